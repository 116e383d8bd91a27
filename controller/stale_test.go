package controller

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/sources"
)

var notReached = &marathon.Error{Method: "GET", URL: "http://m1:8080/v2/apps", Cause: errors.New("connection refused")}

// lose has the events of a world end, and everything else be refused.
func (g *rig) lose(s *station) {
	g.world.set(func() { g.world.down = notReached })
	s.off.Store(true)
	close(s.cut)
	s.cut = make(chan struct{})
}

func (g *rig) regain(s *station) {
	g.world.set(func() { g.world.down = nil })
	s.off.Store(false)
}

// gauge is the value of a series, with the labels in the order of their names.
func (g *rig) gauge(name string, labels ...string) float64 {
	g.t.Helper()
	all, err := g.options.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if family.GetName() == name && slices.Equal(values, labels) {
				return m.GetGauge().GetValue()
			}
		}
	}
	g.t.Fatalf("there is no %s of %v", name, labels)
	return 0
}

// Without Marathon nothing is known of any app, from the moment its events end:
// nothing is green, nothing empty, and why is said once. With it back all is known
// at once, and stands as long as it did.
func TestWithoutMarathonNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		var log bytes.Buffer
		g.options.Log = slog.New(slog.NewTextHandler(&log, nil))
		g.start()
		defer g.stop()
		after(time.Hour)
		g.world.set(func() {
			g.world.fare["/shop/b"] = marathon.Status{LastTaskFailure: &marathon.TaskFailure{Message: "killed"}}
		})
		s.events <- deployed("/shop/b")
		after(time.Second)
		before := g.sync("shop").Apps
		if before[0].Health != status.HealthHealthy || before[1].Health != status.HealthDegraded || before[1].Reason == "" {
			t.Fatalf("apps: %+v", before)
		}
		log.Reset()

		lost := time.Now()
		g.lose(s)
		after(time.Second)
		y := g.sync("shop")
		if y.Stale == nil || !strings.Contains(y.Stale.Reason, "http://m1:8080/v2/apps") || y.Stale.Since.Before(lost) || y.Stale.Known.IsZero() || y.Stale.Known.After(lost) {
			t.Errorf("why nothing is known: %+v", y.Stale)
		}
		for i, a := range y.Apps {
			was := status.LastKnown{State: status.Synced, Health: before[i].Health, At: y.Stale.Known}
			if a.State != status.Unknown || a.Health != status.HealthUnknown || a.LastKnown == nil || *a.LastKnown != was || a.Reason != "" || a.Instances != before[i].Instances {
				t.Errorf("without Marathon: %+v, last known %+v, want %+v", a, a.LastKnown, was)
			}
		}
		if got := y.Counts(); got != "2 unknown" {
			t.Errorf("counted: %s", got)
		}
		if unknown, healthy := g.gauge("pacer_sync_apps", "unknown", "unknown", "shop"), g.gauge("pacer_sync_apps", "healthy", "synced", "shop"); unknown != 2 || healthy != 0 {
			// labels: health, state, sync
			t.Errorf("the metric has %v unknown and %v healthy apps", unknown, healthy)
		}
		if why := g.Status().NotReady(); len(why) != 1 || !strings.HasPrefix(why[0], "Marathon cannot be read since ") || !strings.Contains(why[0], "connection refused") {
			t.Errorf("not ready: %q", why)
		}
		after(10 * time.Minute)
		if y := g.sync("shop"); !y.Stale.Since.Equal(g.sync("shop").Apps[0].Since) || y.Stale.Since.After(lost.Add(time.Second)) {
			t.Errorf("unknown since %s after 10 minutes, lost at %s", y.Stale.Since, lost)
		}
		if n := strings.Count(log.String(), "connection refused"); n > 3 { // the events, Marathon, the sync
			t.Errorf("the reason is logged %d times in 10 minutes:\n%s", n, log.String())
		}

		g.regain(s)
		after(17 * time.Second) // the longest back-off of marathon.Follow, and its jitter
		y = g.sync("shop")
		if y.Stale != nil || y.Last.Result == status.ResultFailed {
			t.Errorf("with Marathon back: %+v, last pass %+v", y.Stale, y.Last)
		}
		for i, a := range y.Apps {
			if a.State != status.Synced || a.Health != before[i].Health || a.LastKnown != nil || !a.Since.Equal(before[i].Since) {
				t.Errorf("with Marathon back: %+v, want it as it was: %+v", a, before[i])
			}
		}
		if healthy := g.gauge("pacer_sync_apps", "healthy", "synced", "shop"); healthy != 1 {
			t.Errorf("the metric has %v healthy apps", healthy)
		}
		if why := g.Status().NotReady(); len(why) > 0 {
			t.Errorf("not ready: %q", why)
		}
	})
}

// A pass that waits for a rollout lives through a Marathon that goes and comes: what
// it does not work on must not stay unknown until it ends.
func TestARolloutOutlivesThatMarathonWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.world.hanging["/shop/b"] = "v1"
		g.start()
		defer g.stop()
		after(time.Minute)
		if b := g.app("/shop/b"); b.Condition != status.InRollout {
			t.Fatalf("b: %+v", b)
		}
		g.lose(s)
		after(liveInterval + liveBreath)
		if b := g.app("/shop/b"); b.State != status.Unknown || b.Condition != "" || b.Health != status.HealthUnknown {
			t.Errorf("without Marathon b is %+v", b)
		}
		g.regain(s)
		after(17 * time.Second) // the longest back-off of marathon.Follow, and its jitter
		if a, b := g.app("/shop/a"), g.app("/shop/b"); a.State != status.Synced || a.Health != status.HealthHealthy || b.Condition != status.InRollout || b.Health != status.HealthProgressing {
			t.Errorf("with Marathon back a is %+v, b %+v", a, b)
		}
		if n := g.world.writes("/shop/b"); n != 1 {
			t.Errorf("b was written %d times", n)
		}
	})
}

// Of several Marathons only the syncs of the one that is away are doubted.
func TestAMarathonThatIsAwayMakesNoOtherUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newWorld()
		g := newAtlas(t, far, far)
		g.start()
		defer g.stop()
		after(time.Minute)
		far.set(func() { far.down = notReached })
		after(testResync * 11 / 10)
		if near, far := g.sync("near"), g.sync("far"); near.Stale != nil || near.Apps[0].Health != status.HealthHealthy || far.Stale == nil || far.Apps[0].Health != status.HealthUnknown {
			t.Errorf("near: %+v, far: %+v", near, far)
		}
	})
}

// What an approval would let through is to be compared anew.
func TestNothingIsApprovedThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.options.Syncs[0].Policy.Prune = "confirm"
		g.start()
		defer g.stop()
		after(time.Minute)
		g.repo.push(files("/shop/b", "v1"))
		after(time.Second)
		if a := g.app("/shop/a"); !a.Approvable || a.Condition != status.Blocked {
			t.Fatalf("a: %+v", a)
		}
		g.lose(s)
		after(time.Second)
		if a := g.app("/shop/a"); a.Approvable || a.Condition != status.Blocked || a.Reason == "" {
			t.Errorf("a: %+v, want it blocked as before, and not to be approved", a)
		}
		if err := g.Approve(t.Context(), "shop", []string{"/shop/a"}, "", ada); !errors.Is(err, ErrConflict) {
			t.Errorf("it is approved: %v", err)
		}
	})
}

// quagmire is a source that never answers.
type quagmire struct{ *repo }

func (quagmire) Snapshot(ctx context.Context) (*sources.Snapshot, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// What hangs from the very start is named where it is asked whether Pacer works, with
// the address and since when, and not only that nothing was compared.
func TestWhatHangsFromTheStartIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		source   sources.Source
		marathon Marathon
		want     string
	}{
		"git":           {quagmire{&repo{changed: make(chan struct{})}}, newWorld(), "sync shop: its source has not been fetched yet: no answer from https://git.example.com/shop.git since 2000-01-01 00:00:00 UTC"},
		"Marathon":      {nil, swamp{newWorld()}, "sync shop: git and Marathon have not been compared yet\nno answer from Marathon http://m1:8080 since 2000-01-01 00:00:00 UTC"},
		"both":          {quagmire{&repo{changed: make(chan struct{})}}, swamp{newWorld()}, "sync shop: its source has not been fetched yet: no answer from https://git.example.com/shop.git since 2000-01-01 00:00:00 UTC\nno answer from Marathon http://m1:8080 since 2000-01-01 00:00:00 UTC"},
		"no Marathon":   {nil, &world{down: notReached}, "sync shop: git and Marathon have not been compared yet\nMarathon cannot be read since 2000-01-01 00:00:00 UTC: GET http://m1:8080/v2/apps: no answer from Marathon: connection refused"},
		"git and no M.": {quagmire{&repo{changed: make(chan struct{})}}, &world{down: notReached}, "sync shop: its source has not been fetched yet: no answer from https://git.example.com/shop.git since 2000-01-01 00:00:00 UTC\nMarathon cannot be read since 2000-01-01 00:00:00 UTC: GET http://m1:8080/v2/apps: no answer from Marathon: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, s := newHearingRig(t, files("/shop/a", "v1"))
				if c.source != nil {
					g.options.Sources["shop"] = schedule.Source{Source: c.source}
				}
				g.options.Clusters = map[string]Cluster{"": {Marathon: c.marathon, Address: "http://m1:8080", Applier: g.world, Events: s.open}}
				s.off.Store(strings.Contains(c.want, "refused"))
				g.start()
				after(schedule.FetchPause)
				if got := strings.Join(g.Status().NotReady(), "\n"); got != c.want {
					t.Errorf("not ready for\n%s\nwant\n%s", got, c.want)
				}
				g.stop()
			})
		})
	}
}
