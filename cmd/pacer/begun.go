package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// begun remembers from one pacer apply to the next of the same user which
// deployments it began, so that a fix may supersede a rollout that hangs.
// Marathon's ids of deployments are unique: what
// is in here was begun by Pacer, whatever else goes on in the cluster. Where it
// is lost, a rollout of before is waited for as if it were somebody else's.
//
// It is a file of one JSON object a line, in the user's cache.
type begun struct {
	path string
	err  error // the first one, which is told once
}

// rollout is one line.
type rollout struct {
	Deployment string `json:"deployment"`
	ID         string `json:"id"` // of the app or pod, for people
}

// openBegun is the memory for one Marathon cluster, by its URLs.
func openBegun(urls []string) *begun {
	cache, err := os.UserCacheDir()
	if err != nil {
		return &begun{err: err}
	}
	sum := sha256.Sum256([]byte(strings.Join(urls, "\n")))
	return &begun{path: filepath.Join(cache, "pacer", "begun", hex.EncodeToString(sum[:8])+".jsonl")}
}

// running lists the deployments that were begun and go on still. Of lines that
// say nothing (a torn write) nothing is known.
func (b *begun) running(deployments []marathon.Deployment) []string {
	if b.path == "" || len(deployments) == 0 {
		return nil
	}
	goesOn := map[string]bool{}
	for _, d := range deployments {
		goesOn[d.ID] = true
	}
	text, err := os.ReadFile(b.path)
	if err != nil {
		return nil // none yet, or lost: see above
	}
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var r rollout
		if json.Unmarshal(lines.Bytes(), &r) == nil && goesOn[r.Deployment] {
			found = append(found, r.Deployment)
		}
	}
	return found
}

// note adds what has begun.
func (b *begun) note(o apply.Outcome) {
	if b.path == "" || o.Deployment == "" || o.Result != "" {
		return
	}
	line, err := json.Marshal(rollout{Deployment: o.Deployment, ID: o.ID})
	if err == nil {
		err = b.write(append(line, '\n'))
	}
	if err != nil && b.err == nil {
		b.err = err
	}
}

// largest is when what is in the file is too old to be of use: deployments end.
const largest = 4 << 20

func (b *begun) write(line []byte) error {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(b.path); err == nil && info.Size() > largest {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(b.path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// told is what to say where nothing could be remembered; empty: it could.
func (b *begun) told() string {
	if b.err == nil {
		return ""
	}
	return fmt.Sprintf("warning: could not record the started deployments; the next pacer apply waits for them instead of superseding them: %v", b.err)
}

// notUp is what git describes and is in Marathon as described, but does not run
// as it should: an apply waits for it too, whoever began it.
func notUp(s marathon.State, wanted map[string]plan.Owned) map[string]apply.Rollout {
	rollouts := map[string]apply.Rollout{}
	for id, o := range wanted {
		up := true
		if a, is := s.Apps[id]; is && o.Kind == manifests.KindApp {
			up, _ = apply.Converged(a.Status, a.Definition, s.Deployments)
		} else if p, is := s.Pods[id]; is && o.Kind == manifests.KindPod {
			up, _ = apply.ConvergedPod(p.Status, p.Definition, s.Deployments)
		}
		if !up {
			rollouts[id] = apply.Rollout{Kind: o.Kind, Action: plan.None, Began: time.Now()}
		}
	}
	return rollouts
}
