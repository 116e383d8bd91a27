package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

var errLeaseEnded = errors.New("the lease has ended")

// newReplica is another controller on the same world, source and store.
func (g *rig) newReplica() *rig {
	other := *g
	other.options.Follow = true
	other.start()
	return &other
}

// lead lets a replica lead until the returned function is called, which waits
// until it writes no more.
func (g *rig) lead() (end func()) {
	ctx, cancel := context.WithCancelCause(g.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.Lead(ctx) }()
	return func() { cancel(errLeaseEnded); <-done; synctest.Wait() }
}

func TestAFollowerLooksAndWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one"))
		follower := g.newReplica()
		defer follower.stop()
		g.repo.push(files("/shop/a", "two"))
		after(10 * time.Minute)
		g.runs("")
		if n := g.shelf.count(); n > 0 {
			t.Errorf("it saved %d times", n)
		}
		if s := follower.Status(); len(s.NotReady()) > 0 || s.Syncs[0].PlannedRevision != "commit-2" || follower.app("/shop/a").State != status.OutOfSync {
			t.Errorf("not ready: %v, planned %s, app %+v", s.NotReady(), s.Syncs[0].PlannedRevision, follower.app("/shop/a"))
		}
		if err := follower.Suspend(t.Context(), "shop", store.Asked{}); !errors.Is(err, reconcile.ErrNotLeading) {
			t.Errorf("Suspend: %v", err)
		}
	})
}

func TestTheFirstPassOfATermOnlyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one"))
		r := g.newReplica()
		defer r.stop()
		after(time.Second)
		reads := g.world.looks()
		r.world.set(func() { g.world.down = errors.New("away") })
		end := r.lead()
		after(time.Second)
		g.world.set(func() { g.world.down = nil })
		g.runs("")
		after(20 * time.Second) // what could not be read is read again
		g.runs("/shop/a=one")
		if n := g.world.looks() - reads; n < 3 {
			t.Errorf("everything was read %d times, want once in vain, once without writing, and once more", n)
		}
		end()
	})
}

func TestWhatLandsLateIsFoundOneRequestTimeoutAfterTheTermBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one"))
		g.options.Resync = time.Hour
		g.options.RequestTimeout = 15 * time.Second
		g.options.Sources["shop"] = schedule.Source{Source: g.repo, Interval: time.Hour}
		r := g.newReplica()
		defer r.stop()
		end := r.lead()
		after(10 * time.Second)
		g.runs("/shop/a=one")
		g.world.set(func() {
			late := *g.world.apps["/shop/a"]
			late.Cmd = new("of the leader before")
			g.world.apps["/shop/a"] = &late
		})
		after(6 * time.Second)
		g.runs("/shop/a=one")
		end()
	})
}

func TestTheEndOfATermCutsWhatIsUnderWayAndTheNextGoesOnWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one", "/shop/b", "hangs"))
		g.world.hanging["/shop/b"] = "hangs"
		first, second := g.newReplica(), g.newReplica()
		defer first.stop()
		defer second.stop()
		end := first.lead()
		after(5 * time.Second)
		g.runs("/shop/a=one /shop/b=hangs")
		after(5 * time.Second) // the follower has looked meanwhile
		if a := second.app("/shop/b"); a.Condition != status.InRollout && a.Health != status.HealthProgressing {
			t.Errorf("the follower shows %+v of what the leader waits for", a)
		}
		end()
		if last := first.sync("shop").Last; last == nil || last.Result == status.ResultFailed {
			t.Errorf("the pass that was cut off: %+v", last)
		}
		if _, kept := g.shelf.state(t, "shop").Rollouts["/shop/b"]; !kept {
			t.Error("the rollout under way is forgotten")
		}
		end = second.lead()
		after(5 * time.Second)
		if _, carried := g.world.handed()["/shop/b"]; !carried {
			t.Error("the next leader was not told of the rollout under way")
		}
		if n := g.world.writes("/shop/a"); n != 1 {
			t.Errorf("an app was changed %d times", n)
		}
		if n := g.world.writes("/shop/b"); n != 1 {
			t.Errorf("what is under way was written %d times", n)
		}
		g.world.set(func() { delete(g.world.deployments, "/shop/b") })
		after(3 * time.Minute)
		end()
		after(time.Minute)
		for _, r := range []*rig{first, second} {
			if s := r.sync("shop"); len(s.History) == 0 || r.app("/shop/b").State != status.Synced {
				t.Errorf("a replica shows %d entries of history and %+v", len(s.History), r.app("/shop/b"))
			}
		}
	})
}

func TestWhatWasOrderedOfALeaderIsRefusedWhenItLeadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one"))
		r := g.newReplica()
		defer r.stop()
		end := r.lead()
		after(time.Second)
		if err := r.Suspend(t.Context(), "shop", store.Asked{}); err != nil {
			t.Fatal(err)
		}
		end()
		after(time.Second)
		if !r.sync("shop").Suspended {
			t.Error("the follower does not show the suspension")
		}
		if err := r.Resume(t.Context(), "shop", store.Asked{}); !errors.Is(err, reconcile.ErrNotLeading) {
			t.Errorf("Resume: %v", err)
		}
	})
}

func TestAReplicaThatCannotLeadSaysWhyItIsNotReady(t *testing.T) {
	s := status.Status{Running: true, Leader: &leader.Status{State: leader.Connecting, Reason: "another session timeout"}}
	if why := s.NotReady(); len(why) != 1 {
		t.Errorf("%q", why)
	}
	s.Leader = &leader.Status{State: leader.Waiting}
	if why := s.NotReady(); len(why) != 0 {
		t.Errorf("%q", why)
	}
}
