package controller

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// entryOf is the newest entry of the history that lists a change of an id, and
// that change.
func entryOf(t *testing.T, y status.Sync, id string) (store.Entry, store.Done) {
	t.Helper()
	for _, e := range y.History {
		for _, d := range e.Changes {
			if d.ID == id {
				return e, d
			}
		}
	}
	t.Fatalf("the history has no change of %s: %+v", id, y.History)
	return store.Entry{}, store.Done{}
}

// plots has a function decide what happens to each request; nil: nothing does.
func (s *storm) plots(plot func(*http.Request) flaw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plot = plot
}

// A change lasts from its write to its end: not from when Pacer began to wait for
// somebody else's deployment, and not while others of the pass are waited for.
func TestHistoryTellsHowLongChangesTook(t *testing.T) {
	for name, test := range map[string]struct {
		before func(s *storm)
		git    map[string]wish
		least  time.Duration // that the pass takes
	}{
		"a lock of somebody else": {
			before: func(s *storm) {
				s.hand("POST", "/local/failures/lock", `{"id":"/a"}`)
				time.AfterFunc(2*time.Minute, func() { s.site.ask("DELETE", "/local/failures/lock", "") })
			},
			git:   map[string]wish{"/a": {Cmd: cmdRuns, Instances: 2}},
			least: 2 * time.Minute,
		},
		"another that hangs, since before": {
			before: func(s *storm) {
				s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 1}, "/b": {Cmd: cmdFails + " 1", Instances: 1}}))
				after(time.Minute)
			},
			git: map[string]wish{"/a": {Cmd: cmdRuns, Instances: 2}, "/b": {Cmd: cmdFails + " 1", Instances: 1}},
		},
		"a Marathon that is slow to answer": {
			before: func(s *storm) {
				s.plots(func(r *http.Request) flaw {
					if r.Method == http.MethodGet && r.URL.Path == "/v2/apps" {
						return late
					}
					return sound
				})
			},
			git:   map[string]wish{"/a": {Cmd: cmdRuns, Instances: 2}},
			least: 10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t)
				s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 1}}))
				after(time.Minute)
				test.before(s)
				pushed := time.Now()
				s.repo.push(tree(test.git))
				after(5 * time.Minute)
				y := s.life.Status().Syncs[0]
				e, d := entryOf(t, y, "/a")
				took := e.Ended.Sub(e.Began)
				if d.Outcome != "applied" || d.Seconds <= 1 || d.Seconds > 20 || took.Round(time.Millisecond).Seconds() != d.Seconds {
					t.Errorf("%s took %s, and /a %v s, %s; it was pushed at %s, began at %s and ended at %s",
						e.Result, took, d.Seconds, d.Outcome, pushed, e.Began, e.Ended)
				}
				if e.Ended.Before(pushed.Add(test.least)) {
					t.Errorf("ended %s after the push: want at least %s", e.Ended.Sub(pushed), test.least)
				}
				for i, e := range y.History[1:] {
					if e.Ended.After(y.History[i].Ended) {
						t.Errorf("entry %d ended at %s, after the one above it at %s", i+1, e.Ended, y.History[i].Ended)
					}
				}
				s.plots(nil)
				after(10 * time.Second)
				for _, wrong := range s.close() {
					t.Log(wrong)
				}
			})
		})
	}
}

// A pass that has begun changes and hands them over to the next one is told as
// progressing, in the status, the metrics and the log, and not as unchanged.
func TestAPassThatBeganChangesIsProgressing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		g := newRig(t, files("/shop/a", "v1"))
		g.options.Log = slog.New(slog.NewTextHandler(log, nil))
		g.world.hanging["/shop/a"] = "v1"
		g.start()
		defer g.stop()
		after(4 * testResync)
		passes := func(result status.Result) float64 {
			return testutil.ToFloat64(g.metrics.reconciled.WithLabelValues("shop", string(result)))
		}
		if y := g.sync("shop"); y.Last == nil || y.Last.Result != status.ResultProgressing || len(y.History) != 0 {
			t.Errorf("last pass %+v, history %+v: want a progressing one, and nothing that has ended", y.Last, y.History)
		}
		if unchanged, progressing := passes(status.ResultUnchanged), passes(status.ResultProgressing); unchanged != 0 || progressing < 3 {
			t.Errorf("%v passes unchanged, %v progressing", unchanged, progressing)
		}
		if found := log.with(`"reconciliation ended"`); len(found) != 1 || !strings.Contains(found[0], "result=progressing") {
			t.Errorf("logged: %q, want the one pass that began the change", found)
		}
		if c := g.sync("shop").Current; c == nil || c.Revision == "" || c.Asked.By == "" || time.Since(c.Began) < 3*testResync {
			t.Errorf("shown of what is in progress: %+v", c)
		}
		g.world.set(func() { clear(g.world.hanging); clear(g.world.deployments) })
		after(2 * testResync)
		y := g.sync("shop")
		if y.Current != nil {
			t.Errorf("shown as in progress after its end: %+v", y.Current)
		}
		if e, d := entryOf(t, y, "/shop/a"); e.Result != "applied" || d.Outcome != "applied" || e.Ended.Sub(e.Began) < 4*testResync || len(y.History) != 1 {
			t.Errorf("history %+v", y.History)
		}
		if y.Last.Result != status.ResultUnchanged && y.Last.Result != status.ResultApplied {
			t.Errorf("last pass %+v", y.Last)
		}
	})
}
