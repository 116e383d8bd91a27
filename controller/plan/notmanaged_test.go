package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/manifests"
)

// TestWhatIsNotManagedIsTold: whatever the scope holds is in the plan, equal, or
// told to be none of the sync's.
func TestWhatIsNotManagedIsTold(t *testing.T) {
	app := func(id string) NotManaged { return NotManaged{ID: id, Kind: manifests.KindApp} }
	for name, c := range map[string]struct {
		change func(*Input)
		want   []NotManaged
	}{
		"a verb without a server": {func(*Input) {}, []NotManaged{app("/shop/mine"), app("/shop/old"), {ID: "/shop/pod", Kind: manifests.KindPod}}},
		"a server, which deletes what it applied": {func(in *Input) { in.Inventory["/shop/mine"] = Owned{Kind: manifests.KindApp} },
			[]NotManaged{app("/shop/old"), {ID: "/shop/pod", Kind: manifests.KindPod}}},
		"a server that may not delete it": {func(in *Input) {
			in.Inventory["/shop/mine"] = Owned{Kind: manifests.KindApp}
			in.Policy.Prune = PruneOff
		}, []NotManaged{app("/shop/old"), {ID: "/shop/pod", Kind: manifests.KindPod}}},
		"a scope that holds nothing else":       {func(in *Input) { in.Policy.Exclusive = true }, nil},
		"a file that cannot be read":            {func(in *Input) { in.Desired.Unreadable = []string{"apps/bad.yaml"} }, nil},
		"a manifest that is broken":             {func(in *Input) { in.Desired.Broken = map[string]bool{"/shop/old": true, "/shop/pod": true} }, []NotManaged{app("/shop/mine")}},
		"a sync of which the inventory is lost": {func(in *Input) { in.Inventory = nil }, []NotManaged{app("/shop/mine"), app("/shop/old"), {ID: "/shop/pod", Kind: manifests.KindPod}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := world{
				git:    map[string]string{"/shop/web": simple("/shop/web", ""), "/shop/new": simple("/shop/new", "")},
				live:   map[string]string{"/shop/web": simple("/shop/web", ""), "/shop/old": simple("/shop/old", ""), "/shop/mine": simple("/shop/mine", ""), "/bank/x": simple("/bank/x", "")},
				policy: Policy{Prune: PruneConfirm, Scope: "/shop"},
			}.input(t)
			in.Inventory, in.Live.Pods["/shop/pod"] = map[string]Owned{}, pod(t, onePod)
			c.change(&in)
			p := Compute(in)
			if diff := cmp.Diff(c.want, p.NotManaged); diff != "" {
				t.Error(diff)
			}
			for _, change := range p.Changes {
				for _, n := range p.NotManaged {
					if n.ID == change.ID {
						t.Errorf("%s is planned, and not managed", n.ID)
					}
				}
			}
		})
	}
}
