package oneshot

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

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
)

// Journal records, from one pacer apply to the next of the same user, which
// deployments were started, so that a fix may supersede a rollout that hangs.
// Marathon's ids of deployments are unique: what is in here was started by Pacer,
// whatever else happens in the cluster. Where it is lost, an earlier rollout is
// waited for like one of another client.
//
// It is a file of one JSON object a line, in the user's cache.
type Journal struct {
	path string
	err  error // the first one, for Warning
}

// rollout is one line.
type rollout struct {
	Deployment string `json:"deployment"`
	ID         string `json:"id"` // of the app or pod, for people
}

// OpenJournal is the journal for one Marathon cluster, by its URLs. Where there can
// be none, Warning says why.
func OpenJournal(urls []string) *Journal {
	cache, err := os.UserCacheDir()
	if err != nil {
		return &Journal{err: err}
	}
	sum := sha256.Sum256([]byte(strings.Join(urls, "\n")))
	return &Journal{path: filepath.Join(cache, "pacer", "begun", hex.EncodeToString(sum[:8])+".jsonl")}
}

// running lists the deployments that were started and still run. A line that cannot
// be read (a torn write) counts for nothing.
func (j *Journal) running(deployments []marathon.Deployment) []string {
	if j.path == "" || len(deployments) == 0 {
		return nil
	}
	runs := map[string]bool{}
	for _, d := range deployments {
		runs[d.ID] = true
	}
	text, err := os.ReadFile(j.path)
	if err != nil {
		return nil // there is none yet, or it is lost: see Journal
	}
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var r rollout
		if json.Unmarshal(lines.Bytes(), &r) == nil && runs[r.Deployment] {
			found = append(found, r.Deployment)
		}
	}
	return found
}

// note adds the deployment of a rollout that has started.
func (j *Journal) note(o apply.Outcome) {
	if j.path == "" || o.Deployment == "" || o.Result != "" {
		return
	}
	line, err := json.Marshal(rollout{Deployment: o.Deployment, ID: o.ID})
	if err == nil {
		err = j.write(append(line, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = err
	}
}

// largest is the size at which what is in the file is too old to be of use:
// deployments end. The file is then emptied.
const largest = 4 << 20

func (j *Journal) write(line []byte) error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(j.path); err == nil && info.Size() > largest {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(j.path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Warning says why deployments could not be recorded, and what follows; empty: they
// were.
func (j *Journal) Warning() string {
	if j.err == nil {
		return ""
	}
	return fmt.Sprintf("warning: could not record the started deployments; the next pacer apply waits for them instead of superseding them: %v", j.err)
}
