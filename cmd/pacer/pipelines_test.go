package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// This file runs the examples for pipelines as far as a shell can: all but the steps that
// install something, and the one of GitHub that needs its own program.

// jobUser is the user of the token of a job, in Gitea always this one.
const jobUser = -2

// stranger is what somebody else has written, so that the plan is put into a comment that
// they can edit.
const stranger = "looks good <!-- pacer cGFjZXIgcGxhbg e30 -->"

// notes are the comments on one pull request, at the addresses of Gitea and of GitLab.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Header.Get("Authorization") != "token sesame" && r.Header.Get("PRIVATE-TOKEN") != "sesame" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/user") {
		_ = json.NewEncoder(w).Encode(map[string]any{"id": jobUser})
		return
	}
	if r.Method == http.MethodGet {
		list := []map[string]any{}
		for i, body := range n.all {
			by := map[string]any{"id": jobUser}
			if body == stranger {
				by["id"] = 7
			}
			list = append(list, map[string]any{"id": i + 1, "body": body, "user": by, "author": by})
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	var given struct{ Body string }
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodPost {
		n.all = append(n.all, given.Body)
	} else {
		var id int
		if _, err := fmt.Sscanf(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], "%d", &id); err != nil || id < 1 || id > len(n.all) {
			http.Error(w, "no such comment", http.StatusNotFound)
			return
		}
		n.all[id-1] = given.Body
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"id": len(n.all)})
}

// pipeline is an example, as its steps.
type pipeline struct {
	file  string
	steps []step
}

type step struct {
	name, script string
	env          map[string]string
}

func actions(t *testing.T, file string) pipeline {
	var read struct {
		Jobs map[string]struct {
			Steps []struct {
				Name, Run string
				Env       map[string]string
			}
		}
	}
	p := pipeline{file: file}
	readExample(t, file, &read)
	for _, s := range read.Jobs["pacer"].Steps {
		if s.Run != "" && s.Name != "Install Pacer" {
			p.steps = append(p.steps, step{s.Name, s.Run, s.Env})
		}
	}
	return p
}

func gitlabJob(t *testing.T, file string) pipeline {
	var read struct {
		Pacer struct {
			Variables map[string]string
			Script    []string
		}
	}
	readExample(t, file, &read)
	return pipeline{file, []step{{"Script", strings.Join(read.Pacer.Script, "\n"), read.Pacer.Variables}}}
}

func readExample(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, "ci", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// run runs the steps until one fails, as a job does.
func (p pipeline) run(t *testing.T, dir string, variables *strings.Replacer, without ...string) (log string, failed string) {
	t.Helper()
	for _, s := range p.steps {
		if strings.Contains(strings.Join(without, ","), s.name) {
			continue
		}
		cmd := exec.CommandContext(t.Context(), testenv.Program(t, "bash"), "-euo", "pipefail", "-c", s.script)
		cmd.Dir, cmd.Env = dir, append(testenv.Environ(), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"))
		for name, value := range s.env {
			cmd.Env = append(cmd.Env, name+"="+variables.Replace(value))
		}
		if p.file == "gitlab.yaml" {
			cmd.Env = append(cmd.Env, "PACER_NOTES_TOKEN=sesame", "CI_API_V4_URL="+variables.Replace("$CI_API_V4_URL"))
		}
		out, err := cmd.CombinedOutput()
		log += string(out)
		if err != nil && failed == "" {
			failed = s.name // steps with !cancelled() go on
		}
	}
	return log, failed
}

func TestExamplesForPipelines(t *testing.T) {
	t.Parallel()
	testenv.Program(t, "jq")
	testenv.Program(t, "curl")
	marathon := localtest.New(t, localtest.Options{})
	for _, c := range []struct {
		pipeline pipeline
		without  string // steps
	}{
		{actions(t, "github.yaml"), "Comment"},
		{actions(t, "gitea.yaml"), ""},
		{gitlabJob(t, "gitlab.yaml"), ""},
	} {
		t.Run(c.pipeline.file, func(t *testing.T) {
			there := &notes{all: []string{stranger}}
			server := httptest.NewServer(there)
			t.Cleanup(server.Close)
			variables := strings.NewReplacer(
				"${{ vars.MARATHON_URL }}", marathon.URL, "$MARATHON_URL", marathon.URL, "${{ github.token }}", "sesame",
				"${{ github.api_url }}", server.URL, "${{ github.repository }}", "team/shop", "${{ github.event.pull_request.number }}", "7",
				"$CI_API_V4_URL", server.URL, "$CI_PROJECT_ID", "1", "$CI_MERGE_REQUEST_IID", "7")
			dir := t.TempDir()
			write := func(manifest string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Join(dir, "apps"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "apps", "web.json"), []byte(manifest), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(`{"id": "web", "cmd": "sleep 100", "instances": 3}`)
			log, failed := c.pipeline.run(t, dir, variables, c.without)
			if failed != "" {
				t.Fatalf("the step %s failed:\n%s", failed, log)
			}
			if c.without != "Comment" {
				there.isCommented(t, "**1 create**", log)
			}

			write(`{"id": "web", "cmd": "sleep 100", "cpus": "1"}`)
			log, failed = c.pipeline.run(t, dir, variables, c.without)
			if failed != c.pipeline.steps[0].name {
				t.Errorf("the step %q failed:\n%s", failed, log)
			}
			if c.without != "Comment" {
				there.isCommented(t, "**1 error in manifests", log)
			}
			switch text, err := os.ReadFile(filepath.Join(dir, "gl-code-quality-report.json")); {
			case c.pipeline.file != "gitlab.yaml":
				if !strings.Contains(log, "::error file=apps/web.json,line=1") {
					t.Errorf("no annotation:\n%s", log)
				}
			case err != nil || !strings.Contains(string(text), `"path": "apps/web.json"`):
				t.Errorf("Code Quality report: %s %v", text, err)
			}
		})
	}
}

// isCommented: there is one comment of the job, which says so, and the person's.
func (n *notes) isCommented(t *testing.T, verdict, log string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) != 2 || n.all[0] != stranger || !strings.HasPrefix(n.all[1], verdict) {
		t.Errorf("comments %q, want one that begins %q:\n%s", n.all, verdict, log)
	}
}

// TestPreCommitHook runs the hook as pre-commit does: in a repository of manifests, with
// the arguments that its user gives.
func TestPreCommitHook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct {
		ID, Name, Entry, Language string
		PassFilenames             *bool `yaml:"pass_filenames"`
	}
	if err := yaml.Unmarshal(text, &hooks); err != nil {
		t.Fatal(err)
	}
	h := hooks[0]
	if len(hooks) != 1 || h.ID != "pacer-validate" || h.Language != "golang" || h.Name == "" || h.PassFilenames == nil || *h.PassFilenames {
		t.Fatalf("%+v", hooks)
	}
	for manifest, fails := range map[string]bool{`{"id": "web", "cmd": "sleep 100"}`: false, `{"id": "web", "cmd": 7}`: true} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "web.json"), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		entry := append(strings.Fields(h.Entry), ".", "--scope", "/shop")
		cmd := exec.CommandContext(t.Context(), entry[0], entry[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); (err != nil) != fails {
			t.Errorf("%s: %v, %s", manifest, err, out)
		}
	}
}
