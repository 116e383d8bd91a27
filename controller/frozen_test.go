package controller

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
)

// newFrost is a rig whose Marathon is the local one, by its HTTP API at each of the
// hosts, with the client, the live copy and the apply of a real Pacer, on a virtual
// clock.
func newFrost(t *testing.T, hosts ...string) (g *rig, way *localtest.Direct, end func()) {
	t.Helper()
	m := localtest.NewMarathon(t, localtest.Options{})
	handlers, urls := map[string]http.Handler{}, []string(nil)
	for _, host := range hosts {
		handlers[host] = m.Handler()
		urls = append(urls, "http://"+host)
	}
	way = localtest.NewDirect(handlers)
	client, err := marathon.New(marathon.Options{URLs: urls, Wrap: func(http.RoundTripper) http.RoundTripper { return way }})
	if err != nil {
		t.Fatal(err)
	}
	g = newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
	live := cache.New(client, cache.Options{Log: g.options.Log})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = live.Run(ctx) })
	g.options.Clusters = map[string]Cluster{"": {
		Marathon: live, Address: strings.Join(urls, ", "), Applier: apply.New(client, apply.Options{}),
		Events: func(ctx context.Context) (EventStream, error) {
			changes, err := live.Changes(ctx)
			if err != nil {
				return nil, err
			}
			return changes, nil
		},
	}}
	return g, way, func() {
		cancel()
		running.Wait()
		client.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// settled is whether everything of a sync is known, synced and healthy.
func settled(y status.Sync) bool {
	for _, a := range y.Apps {
		if a.State != status.Synced || a.Health != status.HealthHealthy {
			return false
		}
	}
	return y.Stale == nil && len(y.Apps) > 0
}

// A leader that is frozen, with its connections open, is noticed within 10 s at rest
// and 5 s while something is asked of it; until then its apps were green for half a
// minute. What is known is said to be of before, and it is known again soon after.
func TestAFrozenMarathonIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		push   bool // a commit, which has something asked
		within time.Duration
	}{"at rest": {false, 10 * time.Second}, "while something is asked": {true, 5 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, way, end := newFrost(t, "m1:8080")
				g.start()
				after(time.Hour)
				if y := g.sync("shop"); !settled(y) {
					t.Fatalf("before: %+v", y)
				}
				way.Freeze("m1:8080")
				if c.push {
					g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
				}
				after(c.within)
				y := g.sync("shop")
				if y.Stale == nil || !strings.Contains(y.Stale.Reason, "http://m1:8080 has answered nothing since 20") {
					t.Fatalf("after %s it is known why nothing is known: %+v", c.within, y.Stale)
				}
				for _, a := range y.Apps {
					if a.State != status.Unknown || a.Health != status.HealthUnknown || a.LastKnown == nil || a.LastKnown.Health != status.HealthHealthy {
						t.Errorf("a frozen Marathon's app is %+v", a)
					}
				}
				after(time.Hour)
				way.Thaw("m1:8080")
				after(2 * reconcile.MaxAway)
				if y := g.sync("shop"); !settled(y) {
					t.Errorf("after it thawed: %+v, %+v", y.Stale, y.Apps)
				}
				g.stop()
				end()
			})
		})
	}
}

// With several URLs the next is asked, and Pacer works on by it.
func TestAFrozenMarathonIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, way, end := newFrost(t, "m1:8080", "m2:8080")
		g.start()
		after(time.Hour)
		way.Freeze("m1:8080")
		after(10 * time.Second)
		if y := g.sync("shop"); !settled(y) {
			t.Errorf("with another one: %+v, %+v", y.Stale, y.Apps)
		}
		way.Forget()
		g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
		after(time.Minute)
		if n := way.Requests()["m2:8080 PUT /v2/apps/ID"]; n != 1 || !settled(g.sync("shop")) {
			t.Errorf("asked %v for a commit: %+v", way.Requests(), g.sync("shop").Apps)
		}
		g.stop()
		end()
	})
}

// At rest only that is asked whether Marathon is there, and all of it every 5 minutes.
func TestAtRestMarathonIsOnlyPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, way, end := newFrost(t, "m1:8080")
		g.start()
		after(time.Hour)
		for way.Forget(); way.Requests()["m1:8080 GET /v2/apps"] == 0; { // a resync
			after(time.Second)
		}
		after(10 * time.Second)
		way.Forget()
		after(4 * time.Minute)
		asked := way.Requests()
		if n := asked["m1:8080 GET /ping"]; n > 25 || len(asked) > 1 {
			t.Errorf("asked in 4 minutes at rest: %v", asked)
		}
		g.stop()
		end()
	})
}
