package report

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

func TestStateOfACommit(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	applied := &store.Entry{Began: began.Add(time.Second), Ended: began.Add(43 * time.Second), Changes: []store.Done{{ID: "/shop/web"}}}
	for name, c := range map[string]struct {
		ended       reconcile.Ended
		state       forge.State
		description string
	}{
		"errors":          {reconcile.Ended{Errors: 2, Standing: &reconcile.Standing{}}, forge.Failure, "errors in manifests"},
		"not saved":       {reconcile.Ended{Standing: &reconcile.Standing{}, Reconciliation: status.Reconciliation{Result: status.ResultFailed}}, forge.Pending, "the rollout is in progress"},
		"still settling":  {reconcile.Ended{Standing: &reconcile.Standing{}, Reconciliation: status.Reconciliation{Result: status.ResultProgressing}}, forge.Pending, "the rollout is in progress"},
		"suspended":       {reconcile.Ended{Standing: &reconcile.Standing{Stopped: true, Failed: 1}}, forge.Pending, "the sync is suspended: nothing is changed"},
		"rolled back":     {reconcile.Ended{Errors: 1, Standing: &reconcile.Standing{Away: "rolled back to 4a1b2c3d"}}, forge.Pending, "the sync is rolled back to 4a1b2c3d"},
		"failed":          {reconcile.Ended{Standing: &reconcile.Standing{Failed: 1, FailedFirst: "/shop/web: exit code 1", Coming: 1}}, forge.Failure, "/shop/web: exit code 1"},
		"approval":        {reconcile.Ended{Standing: &reconcile.Standing{Approval: 2}}, forge.Pending, "2 changes need approval"},
		"blocked":         {reconcile.Ended{Standing: &reconcile.Standing{Blocked: 1}}, forge.Pending, "1 change is blocked"},
		"coming":          {reconcile.Ended{Standing: &reconcile.Standing{Coming: 3}}, forge.Pending, "the rollout is in progress"},
		"healthy":         {reconcile.Ended{Standing: &reconcile.Standing{}, Entry: applied}, forge.Success, "healthy after 43s"},
		"nothing changed": {reconcile.Ended{Standing: &reconcile.Standing{}, Plan: &plan.Plan{}}, forge.Success, "no changes: healthy"},
	} {
		if c.ended.Reconciliation.Result == "" {
			c.ended.Reconciliation.Result = status.ResultApplied
		}
		if state, text := stateOf(c.ended), descriptionOf(c.ended, began); state != c.state || text != c.description {
			t.Errorf("%s: %s %q, want %s %q", name, state, text, c.state, c.description)
		}
	}
}

// What a commit is said to be follows from what it is said to be already: in no order of
// events does a success become a failure.
func TestWhatBecomesOfAStatus(t *testing.T) {
	said := func(state forge.State, text string) forge.Status {
		return forge.Status{Context: "pacer/shop", State: state, Description: text}
	}
	states := []forge.State{forge.Pending, forge.Success, forge.Failure, forge.Stopped}
	for _, wanted := range states {
		if got := becomes(nil, said(wanted, "x")); got != (wanted != forge.Stopped) {
			t.Errorf("nothing, wanted %s: %v", wanted, got)
		}
		for _, there := range states {
			before := said(there, "x")
			want := there != wanted
			switch {
			case wanted == forge.Stopped:
				want = there == forge.Pending
			case there == forge.Success, there == forge.Failure && wanted == forge.Pending:
				want = false
			}
			if got := becomes(&before, said(wanted, "x")); got != want {
				t.Errorf("%s, wanted %s: %v", there, wanted, got)
			}
		}
	}
	before := said(forge.Pending, "x")
	if !becomes(&before, said(forge.Pending, "y")) {
		t.Error("why it is pending is not said again")
	}
	before.State = forge.Failure
	if becomes(&before, said(forge.Failure, "y")) {
		t.Error("a failure is said again for other words")
	}
}
