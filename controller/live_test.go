package controller

import (
	"errors"
	"fmt"
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

// A pass that looks at everything again, be it for another revision, knows not yet
// why a rollout hangs: what was said of it stays.
func TestWhyARolloutHangsIsNotForgotten(t *testing.T) {
	t.Parallel()
	const why = "0 of 1 running: all offers refused"
	for name, test := range map[string]struct {
		before, after status.Condition
		said, want    string
	}{
		"it goes on":     {status.InRollout, status.InRollout, "", why},
		"something else": {status.InRollout, status.InRollout, "another reason", "another reason"},
		"it is up":       {status.InRollout, "", "", ""},
		"it begins":      {"", status.InRollout, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			y := newSyncer(testSync("shop"), newWatcher("shop", Source{Source: &repo{}}), &cluster{})
			y.showApps([]status.App{{ID: "/shop/a", Condition: test.before, Reason: why}}, time.Now())
			apps := []status.App{{ID: "/shop/a", Condition: test.after, Reason: test.said}, {ID: "/shop/new", Condition: status.InRollout}}
			y.keepReasons(apps)
			if apps[0].Reason != test.want || apps[1].Reason != "" {
				t.Errorf("said %q and %q, want %q and nothing", apps[0].Reason, apps[1].Reason, test.want)
			}
		})
	}
}

// A reading that is slow does not put back what a pass has shown meanwhile.
func TestOlderReadingsAreNotShown(t *testing.T) {
	t.Parallel()
	y := newSyncer(testSync("shop"), newWatcher("shop", Source{Source: &repo{}}), &cluster{})
	began := time.Now()
	shown := status.Instances{Desired: 2, Target: 2, Running: 2}
	empty := marathon.State{}
	for i, test := range []struct {
		read, ended time.Time
		want        status.Health
	}{
		{read: began.Add(time.Second), want: status.HealthHealthy},
		{read: began.Add(-time.Second), ended: began.Add(time.Second), want: status.HealthHealthy},
		{read: began.Add(-time.Second), ended: began.Add(-time.Millisecond), want: status.HealthMissing},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			y.showApps([]status.App{{ID: "/shop/a", Kind: "app", State: status.Synced, Health: status.HealthHealthy, Instances: shown}}, test.read)
			y.ended["/shop/a"] = test.ended
			y.refresh(empty, began)
			if a := y.status().Apps[0]; a.Health != test.want || a.Instances.Desired != 2 {
				t.Errorf("shown as %+v, want %s of 2", a, test.want)
			}
		})
	}
}
