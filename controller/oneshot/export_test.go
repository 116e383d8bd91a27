package oneshot

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestExportOfRecordings: all that a real Marathon ever showed, live at once,
// goes through files and plans to no change.
func TestExportOfRecordings(t *testing.T) {
	t.Parallel()
	state := marathon.State{
		Cluster: manifests.DefaultCluster(), Apps: map[string]marathon.App{}, Pods: map[string]marathon.Pod{}, Groups: map[string]*manifests.Group{},
	}
	state.Cluster.Features = []string{"external_volumes", "gpu_resources", "secrets", "task_killing", "vips"}
	eachRecorded(t, "app", func(id string, body json.RawMessage) {
		a := new(manifests.App)
		decode(t, body, a)
		a.ID = id
		state.Apps[id] = marathon.App{Definition: a}
		state.Cluster.KeepRole(id, a.Role)
	})
	eachRecorded(t, "pod", func(id string, body json.RawMessage) {
		p := new(manifests.Pod)
		decode(t, body, p)
		p.ID = id
		state.Pods[id] = marathon.Pod{Definition: p}
		state.Cluster.KeepRole(id, p.Role)
	})
	live := LiveItems(state)
	if len(live) < 800 {
		t.Fatalf("only %d recordings", len(live))
	}
	files, err := manifests.Export(live, manifests.ExportOptions{Scope: "/rec", Cluster: state.Cluster})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if n, err := WriteExport(t.Context(), dir, files, false); err != nil || n != len(live) {
		t.Fatalf("%d of %d files: %v", n, len(live), err)
	}
	recordings := Sync{Policy: plan.Policy{Scope: "/rec"}, Source: sources.DirectoryOptions{Path: dir}}
	p, err := PlanAgainst(t.Context(), recordings, state)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range p.Problems {
		if problem.Severity == manifests.SeverityError {
			t.Error(problem)
		}
	}
	for _, c := range p.Changes {
		t.Errorf("%s %s: %+v", c.Action, c.ID, c.Fields)
	}
	if p.Summary.None != len(live) {
		t.Errorf("%d of %d are unchanged", p.Summary.None, len(live))
	}
}

// eachRecorded yields every recorded definition under an id of its own.
func eachRecorded(t *testing.T, kind string, yield func(id string, body json.RawMessage)) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/conformance/" + kind + "-transitions.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ LiveBefore, LiveAfter json.RawMessage }
	decode(t, data, &cases)
	for i, c := range cases {
		for state, body := range map[string]json.RawMessage{"before": c.LiveBefore, "after": c.LiveAfter} {
			if len(body) > 0 && string(body) != "null" {
				yield(fmt.Sprintf("/rec/%s/%s-%d", kind, state, i), body)
			}
		}
	}
}

func decode(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

// filesIn is what a folder holds, hidden files too.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		found[strings.TrimPrefix(name, dir+string(filepath.Separator))] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWritingAnExportKeepsWhatIsThere(t *testing.T) {
	files := []manifests.ExportedFile{{Name: "a.yaml", Content: []byte("a")}, {Name: "team/b.yaml", Content: []byte("b")}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		before func(dir, outside string)
		force  bool
		fails  string // part of the error; empty: none
		want   map[string]string
	}{
		"an empty folder": {
			want: map[string]string{"a.yaml": "a", "team/b.yaml": "b"},
		},
		"one that differs": {
			before: func(dir, _ string) { must(os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("mine"), 0o600)) },
			fails:  "--force", want: map[string]string{"a.yaml": "mine"},
		},
		"one that differs, with force": {
			before: func(dir, _ string) { must(os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("mine"), 0o600)) },
			force:  true, want: map[string]string{"a.yaml": "a", "team/b.yaml": "b"},
		},
		"a folder in place of a file": {
			before: func(dir, _ string) { must(os.Mkdir(filepath.Join(dir, "a.yaml"), 0o700)) },
			force:  true, fails: "a.yaml", want: map[string]string{},
		},
		"a file in place of a folder": {
			before: func(dir, _ string) { must(os.WriteFile(filepath.Join(dir, "team"), []byte("mine"), 0o600)) },
			force:  true, fails: "team", want: map[string]string{"team": "mine"},
		},
		"a link that leads out": {
			before: func(dir, outside string) { must(os.Symlink(outside, filepath.Join(dir, "team"))) },
			force:  true, fails: "team", want: map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			if test.before != nil {
				test.before(dir, outside)
			}
			_, err := WriteExport(t.Context(), dir, files, test.force)
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
			if got := filesIn(t, dir); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := filesIn(t, outside); len(got) > 0 {
				t.Errorf("written outside: %v", got)
			}
		})
	}
}
