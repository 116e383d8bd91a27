package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
)

// swamp is a world that does not answer.
type swamp struct{ *world }

func (s swamp) State(ctx context.Context) (marathon.State, error) {
	<-ctx.Done()
	return marathon.State{}, ctx.Err()
}

// newAtlas is a rig of two clusters, here and there, with a sync of the same
// scope and source each.
func newAtlas(t *testing.T, there Marathon, applier reconcile.Applier) *rig {
	t.Helper()
	g := newRig(t, files("/shop/a", "v1"))
	g.options.Clusters = map[string]Cluster{"here": {Marathon: g.world, Applier: g.world}, "there": {Marathon: there, Applier: applier}}
	policy := plan.Policy{Scope: "/shop", Prune: plan.PruneOn}
	g.options.Syncs = []reconcile.Sync{
		{Name: "near", Marathon: "here", Source: "shop", Policy: policy},
		{Name: "far", Marathon: "there", Source: "shop", Policy: policy},
	}
	g.options.Concurrency = 1
	return g
}

func TestSyncsOfSeveralClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newWorld()
		g := newAtlas(t, far, far)
		g.start()
		defer g.stop()
		g.runs("/shop/a=v1")
		if got := far.cmds(); got != "/shop/a=v1" {
			t.Errorf("there runs %q", got)
		}
		far.set(func() { far.down = errors.New("connection refused") })
		g.repo.push(files("/shop/a", "v2"))
		after(schedule.FetchPause * 2)
		g.runs("/shop/a=v2")
		if got := far.cmds(); got != "/shop/a=v1" {
			t.Errorf("there runs %q while it does not answer", got)
		}
		s := g.Status()
		if !strings.HasPrefix(s.Marathon.Error, "there: ") || s.Marathons["here"].Error != "" || s.Marathons["there"].Error == "" || g.sync("far").Marathon != "there" {
			t.Errorf("status: %+v, %+v", s.Marathon, s.Marathons)
		}
		far.set(func() { far.down = nil })
		after(reconcile.MaxAway)
		if got := far.cmds(); got != "/shop/a=v2" {
			t.Errorf("there runs %q when it answers again", got)
		}
	})
}

// A cluster that never answers takes no place from the other's passes, though
// there is one place only.
func TestAClusterThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newWorld()
		g := newAtlas(t, swamp{far}, far)
		g.start()
		defer g.stop()
		for _, cmd := range []string{"v2", "v3", "v4"} {
			g.repo.push(files("/shop/a", cmd))
			after(schedule.FetchPause * 2)
			g.runs("/shop/a=" + cmd)
		}
	})
}

// Events of one cluster are about its own syncs only.
func TestEventsOfOneCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, s := newWorld(), newStation()
		g := newAtlas(t, far, far)
		here := g.options.Clusters["here"]
		here.Events = s.open
		g.options.Clusters["here"] = here
		g.options.Resync = 1000 * time.Hour
		g.start()
		defer g.stop()
		after(time.Second)
		near, away := g.world.looks(), far.looks()
		s.events <- deployed("/shop/a")
		after(time.Second)
		if g.world.looks() == near || far.looks() != away {
			t.Errorf("%d looks here and %d there after an event of here", g.world.looks()-near, far.looks()-away)
		}
	})
}

func TestClustersAreChecked(t *testing.T) {
	w := newWorld()
	both := map[string]Cluster{"here": {Marathon: w, Applier: w}}
	for name, o := range map[string]Options{
		"no cluster at all":    {},
		"no applier":           {Clusters: map[string]Cluster{"here": {Marathon: w}}},
		"unknown name":         {Clusters: both, Syncs: []reconcile.Sync{{Name: "s", Marathon: "nowhere", Source: "shop", Policy: plan.Policy{Scope: "/"}}}},
		"no name where needed": {Clusters: both, Syncs: []reconcile.Sync{{Name: "s", Source: "shop", Policy: plan.Policy{Scope: "/"}}}},
	} {
		o.Store, o.Sources = &shelf{}, map[string]schedule.Source{"shop": {Source: &repo{}}}
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
