package controller

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
)

// While one app hangs, the status tells of all others how they fare now.
func TestCountsFollowWhileAPassWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.world.hanging["/shop/b"] = "v1"
		g.start()
		defer g.stop()
		if y := g.sync("shop"); !y.Running || y.Last != nil {
			t.Fatalf("the pass does not hang: %+v", y)
		}
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" || a.Health != status.HealthHealthy || a.Instances != (status.Instances{Desired: 1, Target: 1, Running: 1}) {
			t.Errorf("a has come up and is shown as %+v", a)
		}
		if why := g.Status().NotReady(); len(why) > 0 {
			t.Errorf("not ready though it only waits: %v", why)
		}

		g.world.set(func() {
			g.world.fare["/shop/a"] = marathon.Status{LastTaskFailure: &marathon.TaskFailure{Message: "killed"}}
		})
		after(liveInterval + liveBreath)
		if a := g.app("/shop/a"); a.Health != status.HealthDegraded || a.Instances.Running != 0 || !strings.Contains(a.Reason, "killed") {
			t.Errorf("the task of a has ended and a is shown as %+v", a)
		}
		g.world.set(func() { delete(g.world.fare, "/shop/a") })
		after(liveInterval + liveBreath)
		if a := g.app("/shop/a"); a.Health != status.HealthHealthy || a.Reason != "" {
			t.Errorf("a has recovered and is shown as %+v", a)
		}

		g.world.set(func() { g.world.down = errors.New("connection refused") })
		after(liveInterval + liveBreath)
		if s := g.Status(); !strings.Contains(s.Marathon.Error, "connection refused") || !s.Syncs[0].Running {
			t.Errorf("Marathon is away and the status says %+v", s.Marathon)
		}
		if a := g.app("/shop/a"); a.State != status.Unknown || a.Health != status.HealthUnknown || a.LastKnown == nil || a.LastKnown.Health != status.HealthHealthy {
			t.Errorf("what cannot be read is shown as %+v, want it unknown, and healthy when last read", a)
		}
	})
}

// Reading for the status costs nothing at rest.
func TestNothingIsReadAtRestButByPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Second)
		if n := g.world.looks(); n > 2 {
			t.Errorf("%d reads for a pass that applied one change at once, want one before and one after", n)
		}
		before := g.world.looks()
		after(20 * testResync)
		if n := g.world.looks() - before; n > 23 {
			t.Errorf("%d reads in 20 resyncs", n)
		}
	})
}
