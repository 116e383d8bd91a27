package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
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
			if a.Health != HealthDegraded || a.State != Synced {
				t.Fatalf("its tasks keep failing, and it is %+v", a)
			}
		}
		a := g.app("/shop/a")
		if a.Reason != "restarted 6 times in 5 min, last: exit code 1" {
			t.Errorf("reason %q", a.Reason)
		}
		after(crashWindow)
		if a := g.app("/shop/a"); a.Health != HealthHealthy || a.Reason != "" || !a.Since.After(first.Since) {
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
			if a.Health != HealthDegraded || !a.Since.Equal(since) {
				t.Fatalf("failure %d: %s since %s, want degraded since %s", i, a.Health, a.Since, since)
			}
		}
	})
}

func TestUnsteady(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := start.Add(-time.Hour)
	fail := func(at time.Duration) marathon.Status {
		return marathon.Status{LastConfigChangeAt: config, LastTaskFailure: &marathon.TaskFailure{
			Message: "Command exited with status 1", Timestamp: start.Add(at), Version: config}}
	}
	older := fail(0)
	older.LastTaskFailure.Version = config.Add(-time.Minute)
	for name, c := range map[string]struct {
		seen []marathon.Status // each when it happened
		at   time.Duration     // when it is asked
		want string
	}{
		"no failure":                       {nil, 0, ""},
		"of an older version":              {[]marathon.Status{older}, time.Second, ""},
		"one, just now":                    {[]marathon.Status{fail(0)}, time.Second, "restarted, last: exit code 1"},
		"one, a moment ago":                {[]marathon.Status{fail(0)}, 6 * time.Second, ""},
		"two":                              {[]marathon.Status{fail(0), fail(10 * time.Second)}, 40 * time.Second, "restarted 2 times in 5 min, last: exit code 1"},
		"two, long ago":                    {[]marathon.Status{fail(0), fail(10 * time.Second)}, 80 * time.Second, ""},
		"two, far apart":                   {[]marathon.Status{fail(0), fail(time.Hour)}, time.Hour + 30*time.Second, ""},
		"a slow loop between two failures": {[]marathon.Status{fail(0), fail(4 * time.Minute)}, 9 * time.Minute, "restarted 2 times in 9 min, last: exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var r restarts
			for _, s := range c.seen {
				r.saw(marathon.State{Apps: map[string]marathon.App{"/a": {Status: s}}}, s.LastTaskFailure.Timestamp)
			}
			why, until := r.unsteady("/a", start.Add(c.at))
			if why != c.want || (why == "") != until.IsZero() || !until.Equal(r.next(start.Add(c.at))) {
				t.Errorf("got %q till %s, want %q", why, until, c.want)
			}
		})
	}
}
