package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
)

// A change waits from when it was first seen, through superseded reconciliations
// and newer definitions, until it is sent; the status says since when.
func TestSinceWhenAChangeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		handed := map[string]time.Time{}
		applier := applierFunc(func(done <-chan struct{}, p plan.Plan, r apply.Request) []apply.Outcome {
			handed = r.Waiting
			for _, c := range p.Changes { // it comes to a alone
				if c.ID == "/shop/a" {
					r.Progress(apply.Outcome{ID: c.ID, Kind: c.Kind, Action: c.Action, Deployment: "d", Began: time.Now()})
				}
			}
			<-done
			return nil
		})
		g.cluster(func(c *Cluster) { c.Applier = applier })
		g.start()
		defer g.stop()
		began := time.Now()
		for _, v := range []string{"v2", "v3", "v4"} {
			after(3 * time.Second)
			g.repo.push(files("/shop/a", v, "/shop/b", v))
			synctest.Wait()
		}
		if since := handed["/shop/b"]; since.IsZero() || since.After(began) {
			t.Errorf("b waits since %s, want before %s", since, began)
		}
		if !handed["/shop/a"].After(handed["/shop/b"]) {
			t.Errorf("a, which was sent, waits as long as b: %v", handed)
		}
		b := g.app("/shop/b")
		if !b.Waiting.Equal(handed["/shop/b"]) || !g.app("/shop/a").Waiting.IsZero() {
			t.Errorf("status: a %s, b %s", g.app("/shop/a").Waiting, b.Waiting)
		}
		if got := gaugeOf(t, g.options.Metrics, "pacer_sync_waiting_since_timestamp_seconds", "sync", "shop"); got != float64(b.Waiting.UnixMilli())/1000 {
			t.Errorf("metric: %f", got)
		}
	})
}

type applierFunc func(done <-chan struct{}, p plan.Plan, r apply.Request) []apply.Outcome

func (f applierFunc) Apply(ctx context.Context, p plan.Plan, r apply.Request) []apply.Outcome {
	return f(ctx.Done(), p, r)
}
