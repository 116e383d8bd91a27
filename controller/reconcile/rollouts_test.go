package reconcile

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// What stands half done is watched though nothing was noted of it; but only
// what is ours, what did not fail, and what nothing works on.
func TestHalfDoneIsWatched(t *testing.T) {
	t.Parallel()
	half := marathon.App{Status: marathon.Status{Running: 1, Outdated: 1}}
	driven := marathon.App{Status: marathon.Status{Running: 1, Outdated: 1, Deployments: []string{"d"}}}
	p := &reconciliation{r: &Reconciler{}}
	p.state.Apps = map[string]marathon.App{
		"/half": half, "/theirs": half, "/failed": half, "/driven": driven, "/noted": half,
		"/up": {Status: marathon.Status{Running: 1}}, "/unread": {Status: marathon.Status{Running: 1, Outdated: -1}},
	}
	p.r.record.state = store.State{
		Inventory: map[string]store.Owned{"/half": {}, "/failed": {}, "/driven": {}, "/noted": {}, "/up": {}, "/unread": {}},
		Failed:    map[string]plan.Failure{"/failed": {Hash: "h"}},
		Rollouts:  map[string]store.Rollout{"/noted": {Deployment: "noted", Hash: "older"}},
	}
	app := &manifests.App{ID: "/half", Cmd: new("x")}
	p.desired.Items = []manifests.Item{{ID: "/half", Kind: manifests.KindApp, App: app}, {ID: "/noted", Kind: manifests.KindApp, App: app}}
	got := p.rollouts()
	if h := got["/noted"].Hash; h != p.hash(p.desired.Items[1]) {
		t.Errorf("hash %q: somebody put another definition there than was begun, and git has that now", h)
	}
	if h := got["/half"].Hash; h == "" || h != p.hash(p.desired.Items[0]) {
		t.Errorf("hash %q: should it fail, it would not be known what failed", h)
	}
	p.plan.Changes = []plan.Change{{ID: "/half"}} // held back: git has another definition than runs
	if h := p.rollouts()["/half"].Hash; h != "" {
		t.Errorf("hash %q of what does not run", h)
	}
	if diff := cmp.Diff([]string{"/half", "/noted"}, slices.Sorted(maps.Keys(got))); diff != "" || got["/noted"].Deployment != "noted" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	if !p.work() {
		t.Error("a half done app is no work")
	}
}
