package apply

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// TestPlanSaysWhatApplyBlocks: where every rollout succeeds, an apply blocks what the
// plan says is blocked and nothing else, whatever depends on what, by itself or by a
// group, apps and pods.
func TestPlanSaysWhatApplyBlocks(t *testing.T) {
	waited, pods := 0, 0
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			c := newCluster()
			p := randomPlan(random, c)
			blocked := map[string]string{}
			for _, change := range p.Changes {
				if change.Blocked != nil {
					blocked[change.ID] = *change.Blocked
				}
			}
			for _, o := range New(c, Options{}).Apply(t.Context(), p, Request{Cluster: manifests.DefaultCluster(), Groups: maps.Clone(c.groups), Deadline: time.Minute}) {
				switch why, is := blocked[o.ID]; {
				case is != (o.Result == Blocked):
					t.Errorf("seed %d: %s %s is %s (%s); the plan says %q", seed, o.Action, o.ID, o.Result, o.Reason, why)
				case !is && o.Result != Applied:
					t.Errorf("seed %d: %s %s is %s: %s", seed, o.Action, o.ID, o.Result, o.Reason)
				}
			}
			for id, why := range blocked {
				if why[:3] == "it " {
					waited++
					if p := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.ID == id && c.Kind == manifests.KindPod }); p >= 0 {
						pods++
					}
				}
			}
		})
	}
	if waited < 50 || pods < 10 {
		t.Errorf("%d changes wait for blocked ones, %d of them of pods: the plans are too simple", waited, pods)
	}
}

// randomPlan is of apps, pods and groups that depend on each other, some of which are
// there already and not the sync's.
func randomPlan(random *rand.Rand, c *cluster) plan.Plan {
	in := plan.Input{
		Revision: "r", Sync: "s", Cluster: manifests.DefaultCluster(), Policy: plan.Policy{Scope: "/"}, Inventory: map[string]plan.Owned{},
		Live: plan.Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}, Groups: map[string]*manifests.Group{}},
	}
	add := func(item manifests.Item) {
		item.File, item.Line = "f.yaml", 1
		in.Desired.Items = append(in.Desired.Items, item)
	}
	var ids []string
	targets := func() (on []string) { // of what is before only, so that there are no cycles
		for range random.IntN(3) {
			if len(ids) > 0 {
				on = append(on, ids[random.IntN(len(ids))])
			}
		}
		slices.Sort(on)
		return slices.Compact(on)
	}
	for g := range 4 {
		group := fmt.Sprintf("/g%d", g)
		if on := targets(); len(on) > 0 {
			if random.IntN(2) == 0 {
				add(manifests.Item{ID: group, Kind: manifests.KindGroup, Group: &manifests.Group{ID: group, Dependencies: on}})
			} else {
				c.groups[group] = &manifests.Group{ID: group, Dependencies: on}
				in.Live.Groups[group] = c.groups[group]
			}
		}
		var members []string
		for m := range 4 {
			id := fmt.Sprintf("%s/m%d", group, m)
			members = append(members, id)
			switch random.IntN(4) {
			case 0:
				add(manifests.Item{ID: id, Kind: manifests.KindPod, Pod: &manifests.Pod{ID: id, Containers: []manifests.PodContainer{
					{Name: "c", Resources: &manifests.Resources{CPUs: new(0.1), Mem: new(32.0)}}}}})
			case 1: // not the sync's, so it needs an approval
				live := manifests.NormaliseApp(appOf(id, "live", 1), nil, &in.Cluster)
				c.has(live)
				in.Live.Apps[id] = live
				fallthrough
			default:
				add(manifests.Item{ID: id, Kind: manifests.KindApp, App: appOf(id, "git", 1, targets()...)})
			}
		}
		ids = append(append(ids, members...), group)
	}
	return plan.Compute(in)
}
