package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
)

// failedNow is how an app fares whose task failed now and was launched again.
func failedNow(message string) marathon.Status {
	return marathon.Status{Running: 1, Healthy: 1, LastTaskFailure: &marathon.TaskFailure{Message: message, Timestamp: time.Now()}}
}

// An app whose tasks fail again and again is degraded, also in the moments in
// which one runs, and since the first failure.
func TestACrashLoopIsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.fare["/shop/a"] = failedNow("Command exited with status 1") })
		after(testResync + testResync/5)
		first := g.app("/shop/a")
		for range 6 {
			g.world.set(func() { g.world.fare["/shop/a"] = failedNow("Command exited with status 1") })
			after(testResync + testResync/5)
			a := g.app("/shop/a")
			if a.Health != status.HealthDegraded || a.State != status.Synced {
				t.Fatalf("its tasks keep failing, and it is %+v", a)
			}
		}
		a := g.app("/shop/a")
		if a.Reason != "restarted 6 times in 5 min, last: exit code 1" {
			t.Errorf("reason %q", a.Reason)
		}
		after(status.CrashWindow)
		if a := g.app("/shop/a"); a.Health != status.HealthHealthy || a.Reason != "" || !a.Since.After(first.Since) {
			t.Errorf("five minutes after the last failure it is %+v", a)
		}
	})
}

// Since tells when the crash loop began, and not when its last task ended.
func TestACrashLoopKeepsItsSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		var since time.Time
		for i := range 10 {
			g.world.set(func() { g.world.fare["/shop/a"] = failedNow("Command exited with status 1") })
			g.TriggerAll(ada)
			after(3 * time.Second)
			a := g.app("/shop/a")
			if i == 0 {
				since = a.Since
			}
			if a.Health != status.HealthDegraded || !a.Since.Equal(since) {
				t.Fatalf("failure %d: %s since %s, want degraded since %s", i, a.Health, a.Since, since)
			}
		}
	})
}
