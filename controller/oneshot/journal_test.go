package oneshot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
)

// TestJournalKnowsWhatWasStarted: the next apply of the same user on the same
// Marathon, and no other, knows the deployments that still run.
func TestJournalKnowsWhatWasStarted(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	urls := []string{"http://one:8080", "http://two:8080"}
	first := OpenJournal(urls)
	first.note(apply.Outcome{ID: "/shop/a", Deployment: "started"})
	first.note(apply.Outcome{ID: "/shop/b", Deployment: "ended"})
	first.note(apply.Outcome{ID: "/shop/c", Deployment: "reported", Result: apply.Applied}) // an end is no start
	if first.Warning() != "" {
		t.Fatal(first.Warning())
	}
	f, err := os.OpenFile(first.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"deployment": "to`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	now := []marathon.Deployment{{ID: "of another client"}, {ID: "started"}, {ID: "reported"}, {ID: "to"}}
	if got := OpenJournal(urls).running(now); !slices.Equal(got, []string{"started"}) {
		t.Errorf("running: %q", got)
	}
	if got := OpenJournal(urls[:1]).running(now); len(got) > 0 {
		t.Errorf("running on another Marathon: %q", got)
	}
}

// TestJournalThatCannotBeWritten is no error of an apply: a warning says what follows.
func TestJournalThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", file)
	j := OpenJournal([]string{"http://one:8080"})
	j.note(apply.Outcome{ID: "/shop/a", Deployment: "started"})
	if got := j.Warning(); !strings.HasPrefix(got, "warning: could not record the started deployments; the next pacer apply waits for them") {
		t.Errorf("warning %q", got)
	}
	if got := j.running([]marathon.Deployment{{ID: "started"}}); len(got) > 0 {
		t.Errorf("running: %q", got)
	}
}
