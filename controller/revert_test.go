package controller

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
)

// reverting is a rig with onFailure: revert.
func reverting(t *testing.T, files map[string]string) *rig {
	g := newRig(t, files)
	g.options.Syncs[0].Policy.Revert = true
	return g
}

func TestFailedDefinitionIsRevertedOnceAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := reverting(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "bad"} })
		g.repo.push(files("/shop/a", "bad", "/shop/b", "v2"))
		after(time.Minute)
		g.runs("/shop/a=v1 /shop/b=v2")
		a := g.app("/shop/a")
		if a.Condition != status.Failed || a.Health != status.HealthHealthy || !strings.Contains(a.Reason, "exit code 127: not found; reverted to the last healthy definition") {
			t.Errorf("app a: %+v", a)
		}
		history := g.sync("shop").History
		if len(history) != 3 || !strings.Contains(history[1].Changes[0].Reason, "exit code 127") || history[0].Result != "applied" || history[0].Summary.Update != 1 {
			t.Errorf("history: %+v", history)
		}
		if by := history[0].Asked.By; by != "retry" {
			t.Errorf("the revert was triggered by %q", by)
		}
		tried := g.world.writes("/shop/a")
		after(time.Hour)
		if n := g.world.writes("/shop/a"); n != tried {
			t.Errorf("after the revert it was written %d times more", n-tried)
		}
		// What is back is kept like git's, by the next process too.
		g.stop()
		g.start()
		g.world.set(func() { g.world.apps["/shop/a"] = clone(g.world.apps["/shop/a"], "by hand") })
		after(time.Minute)
		g.runs("/shop/a=v1 /shop/b=v2")
		// A fix is tried at once, and nothing is left behind.
		g.repo.push(files("/shop/a", "v3", "/shop/b", "v2"))
		after(time.Minute)
		g.runs("/shop/a=v3 /shop/b=v2")
		if s := g.shelf.state(t, "shop"); g.app("/shop/a").State != status.Synced || len(s.Failed)+len(s.Healthy)+len(s.Rollouts) > 0 {
			t.Errorf("after the fix: %+v, %+v", g.app("/shop/a"), s)
		}
		g.stop()
	})
}

// What is restored is what was seen running and healthy last, though the push of
// the broken one superseded its rollout before it had settled.
func TestRevertToWhatWasSupersededBeforeItWasProven(t *testing.T) {
	for name, first := range map[string]string{"the first definition of all": "v1", "one after a proven one": "v0"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := reverting(t, files("/shop/a", first))
				g.world.set(func() {
					g.world.hanging = map[string]string{"/shop/a": "v1"}
					g.world.refused = map[string]string{"/shop/a": "bad"}
				})
				g.start()
				defer g.stop()
				g.repo.push(files("/shop/a", "v1"))
				after(time.Second)
				g.world.set(func() { g.world.hanging, g.world.deployments = nil, map[string]string{} }) // it is up, and settles
				g.repo.push(files("/shop/a", "bad"))
				after(time.Minute)
				g.runs("/shop/a=v1")
				if a := g.app("/shop/a"); a.Condition != status.Failed || !strings.Contains(a.Reason, "reverted to the last healthy definition") {
					t.Errorf("app a: %+v", a)
				}
			})
		})
	}
}

// A revert does not wait for what else is under way.
func TestARevertDoesNotWaitForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := reverting(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() {
			g.world.hanging, g.world.refused = map[string]string{"/shop/b": "slow"}, map[string]string{"/shop/a": "bad"}
		})
		g.repo.push(files("/shop/a", "bad", "/shop/b", "slow"))
		after(time.Second)
		g.runs("/shop/a=v1 /shop/b=slow")
		if b := g.app("/shop/b"); b.Condition != status.InRollout {
			t.Errorf("app b: %+v", b)
		}
	})
}

func TestWhereThereIsNothingToRevertToItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := reverting(t, files("/shop/a", "bad"))
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "bad"} })
		g.start()
		defer g.stop()
		after(time.Minute)
		if a := g.app("/shop/a"); a.Condition != status.Failed || !strings.HasSuffix(a.Reason, "nothing to revert to: no definition of it was ever seen running and healthy") {
			t.Errorf("app a: %+v", a)
		}
	})
}

func clone(a *manifests.App, cmd string) *manifests.App {
	changed := *a
	changed.Cmd = &cmd
	return &changed
}

// What ran before is remembered before anything is sent, through kills and
// through a second bad definition over the first.
func TestLastHealthyOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := reverting(t, files("/shop/a", "v1"))
		g.start()
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "bad"} })
		g.repo.push(files("/shop/a", "bad"))
		after(time.Second)
		g.stop()
		g.world.set(func() {
			g.world.hanging = map[string]string{}
			g.world.deployments = map[string]string{}
			g.world.refused = map[string]string{"/shop/a": "worse"}
			g.world.fare["/shop/a"] = marathon.Status{} // nor does the bad one come up
		})
		g.repo.commit(files("/shop/a", "worse"))
		g.start()
		defer g.stop()
		after(time.Minute)
		g.runs("/shop/a=v1")
	})
}

// afterSecond is a world in which something happens after the second apply.
type afterSecond struct {
	*world
	then func()
	n    int
}

func (a *afterSecond) Apply(ctx context.Context, p plan.Plan, r apply.Request) []apply.Outcome {
	outcomes := a.world.Apply(ctx, p, r)
	if a.n++; a.n == 2 {
		a.then()
	}
	return outcomes
}

// A new app has nothing to be put back to, and a revert that fails is the end.
func TestWhereARevertEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := reverting(t, files("/shop/b", "v1"))
		g.cluster(func(c *Cluster) {
			c.Applier = &afterSecond{world: g.world, then: func() { // the port is taken meanwhile, say
				g.world.set(func() { g.world.refused["/shop/b"] += " v1" })
			}}
		})
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "bad", "/shop/b": "bad"} })
		g.repo.push(files("/shop/a", "bad", "/shop/b", "bad"))
		after(time.Minute)
		g.runs("/shop/a=bad /shop/b=v1")
		if a := g.app("/shop/a"); a.Condition != status.Failed || strings.Contains(a.Reason, "last healthy") {
			t.Errorf("app a: %+v", a)
		}
		tried := g.world.writes("/shop/b")
		after(time.Hour)
		if n := g.world.writes("/shop/b"); n != tried {
			t.Errorf("b was written %d times more", n-tried)
		}
		if b := g.app("/shop/b"); b.Condition != status.Failed || !strings.Contains(b.Reason, "the revert to the last healthy definition failed, too: exit code 127") {
			t.Errorf("app b: %+v", b)
		}
	})
}

// A rollout that is late but came up before anybody undid it is left alone.
func TestWhatCameUpLateIsNotReverted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "slow"} })
		g.repo.push(files("/shop/a", "slow"))
		after(time.Second)
		if a := g.app("/shop/a"); a.Condition != status.Failed {
			t.Fatalf("app a: %+v", a)
		}
		g.stop()
		g.world.set(func() { g.world.refused = map[string]string{} })
		g.options.Syncs[0].Policy.Revert = true
		g.start()
		defer g.stop()
		after(time.Minute)
		g.runs("/shop/a=slow")
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" {
			t.Errorf("app a: %+v", a)
		}
	})
}

// Approving some of too many deletions lets through those alone, whatever
// happens to process and revision.
func TestApprovingSomeDeletionsLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1", "/shop/d", "v1"))
		g.options.Syncs[0].Policy.MaxDeletes = plan.MaxDeletes{Count: 2}
		g.start()
		g.repo.push(files("/shop/a", "v1"))
		after(time.Minute)
		g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1 /shop/d=v1")
		g.stop()
		s := g.shelf.state(t, "shop")
		s.Approved = map[string]string{"/shop/b": "commit-2"}
		if err := g.shelf.Save(t.Context(), "shop", s); err != nil {
			t.Fatal(err)
		}
		g.start()
		defer g.stop()
		after(time.Minute)
		g.runs("/shop/a=v1 /shop/c=v1 /shop/d=v1")
		g.repo.push(files("/shop/a", "v2"))
		after(time.Hour)
		g.runs("/shop/a=v2 /shop/c=v1 /shop/d=v1")
		if c := g.app("/shop/c"); c.Condition != status.Blocked || !strings.Contains(c.Reason, "maxDeletes") {
			t.Errorf("app c: %+v", c)
		}
	})
}
