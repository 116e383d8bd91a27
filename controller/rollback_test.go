package controller

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// newKeepingRig has gone through the revisions v1, v2 and v3 of /shop/a, with a
// commit in between that changed nothing.
func newKeepingRig(t *testing.T) *rig {
	g := newRig(t, files("/shop/a", "v1"))
	g.start()
	for _, tree := range []map[string]string{files("/shop/a", "v2", "/shop/b", "v1"), files("/shop/a", "v2", "/shop/b", "v1"), files("/shop/a", "v3", "/shop/b", "v1")} {
		g.repo.push(tree)
		after(time.Second)
	}
	g.runs("/shop/a=v3 /shop/b=v1")
	return g
}

func (g *rig) rollback(to Rollback) store.Pin {
	g.t.Helper()
	pin, err := g.Rollback(g.t.Context(), "shop", to, ada)
	if err != nil {
		g.t.Fatal(err)
	}
	after(time.Second)
	return pin
}

// A rollback holds until it is released: against new revisions, drift, and a
// restart with the source away.
func TestRollbackHoldsUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		if pin := g.rollback(Rollback{}); pin.ID != "commit-3" {
			t.Errorf("one back from commit-4 is %s: want commit-3, the last that asked for something else", pin.ID)
		}
		g.runs("/shop/a=v2 /shop/b=v1")
		g.repo.push(files("/shop/a", "v4", "/shop/b", "v1"))
		after(2 * testResync)
		g.runs("/shop/a=v2 /shop/b=v1")
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		after(2 * testResync)
		g.runs("/shop/a=v2 /shop/b=v1")

		g.stop()
		g.repo.fail(errors.New("no route to host"))
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		g.start()
		after(testResync)
		g.runs("/shop/a=v2 /shop/b=v1")
		y := g.sync("shop")
		if y.RolledBack == nil || y.RolledBack.ID != "commit-3" || y.RolledBack.By.User != "ada" || y.PlannedRevision != "commit-3" {
			t.Errorf("shown as rolled back to %+v, planned at %s", y.RolledBack, y.PlannedRevision)
		}
		if y.InForce.ID != "commit-3" || y.InForce.Subject != "change 3" || y.InForce.Author != "Ada" || y.Revision.ID != "" {
			t.Errorf("in force: %+v, at the source: %q, which was not read since the start", y.InForce, y.Revision.ID)
		}
		if why := g.Status().NotReady(); len(why) > 0 {
			t.Errorf("not ready though it knows what it wants: %v", why)
		}
		// With the source still away it goes on to another one.
		if pin := g.rollback(Rollback{Revision: "commit-1"}); pin.ID != "commit-1" {
			t.Errorf("rolled back to %s", pin.ID)
		}
		g.runs("/shop/a=v1")

		g.repo.commit(files("/shop/a", "v5", "/shop/b", "v1"))
		g.repo.fail(nil)
		g.repo.commit(files("/shop/a", "v5", "/shop/b", "v1"))
		after(2 * testInterval)
		g.runs("/shop/a=v1")
		if err := g.Release(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v5 /shop/b=v1")
		if y := g.sync("shop"); y.RolledBack != nil || g.shelf.state(t, "shop").Pin != nil {
			t.Errorf("still rolled back: %+v", y.RolledBack)
		}
		g.stop()
	})
}

// The status names the revision that is in force, and beside it what the source
// is at, also while Marathon cannot be read.
func TestStatusNamesTheRevisionInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		shows := func(when, inForce, source, rolledBack string) {
			t.Helper()
			y, pin := g.sync("shop"), store.Pin{}
			if y.RolledBack != nil {
				pin = *y.RolledBack
			}
			if y.InForce.ID != inForce || y.Revision.ID != source || pin.ID != rolledBack {
				t.Errorf("%s: in force %q, source at %q, rolled back to %q; want %q, %q, %q", when, y.InForce.ID, y.Revision.ID, pin.ID, inForce, source, rolledBack)
			}
		}
		shows("following", "commit-4", "commit-4", "")
		g.world.set(func() { g.world.down = errors.New("connection refused") })
		g.rollback(Rollback{})
		shows("rolled back, Marathon away", "commit-3", "commit-4", "commit-3")
		g.world.set(func() { g.world.down = nil })
		g.repo.push(files("/shop/a", "v5"))
		after(2 * testResync)
		shows("a push later", "commit-3", "commit-5", "commit-3")
		if err := g.Release(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		shows("released", "commit-5", "commit-5", "")
	})
}

// The history tells of a rollback and of its end who asked, also where nothing
// had to be changed.
func TestRollbackIsInTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		g.rollback(Rollback{})
		g.rollback(Rollback{Revision: "commit-2"}) // the same content
		if err := g.Release(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(2 * testResync)
		var told []string
		for _, e := range g.sync("shop").History {
			told = append(told, fmt.Sprintf("%s %s %d: %s", e.Revision, e.Result, len(e.Changes), e.Asked))
		}
		ada := "person ada (act token) from 10.0.0.7: "
		want := []string{
			"commit-4 applied 1: " + ada + "release", "commit-2 unchanged 0: " + ada + "rollback", "commit-3 applied 1: " + ada + "rollback",
			"commit-4 applied 1: source event", "commit-2 applied 2: source event", "commit-1 applied 1: start",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// What somebody asks for while Marathon is away is still his when it is done.
func TestHistorySaysWhoAskedForWhatHadToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		g.world.set(func() { g.world.down = &marathon.Error{Cause: errors.New("connection refused")} })
		g.rollback(Rollback{})
		after(10 * testResync)
		g.world.set(func() { g.world.down = nil })
		after(2 * reconcile.MaxAway)
		g.runs("/shop/a=v2 /shop/b=v1")
		history := g.sync("shop").History
		if done, failed := history[0], history[1]; done.Result != "applied" || done.Asked.Verb != reconcile.VerbRollback || failed.Result != "failed" || failed.Asked.Verb != reconcile.VerbRollback || history[2].Result != "applied" {
			t.Errorf("the history tells of %+v, then %+v", failed, done)
		}
	})
}

// Deletes by a rollback obey the policy.
func TestRollbackObeysPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.options.Syncs[0].Policy.Prune = plan.PruneConfirm
		g.start()
		defer g.stop()
		g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
		after(time.Second)
		g.rollback(Rollback{})
		g.runs("/shop/a=v1 /shop/b=v1")
		if b := g.app("/shop/b"); b.State != status.OutOfSync || b.Condition != status.Blocked || !b.Approvable {
			t.Errorf("b: %+v", b)
		}
		if err := g.Approve(t.Context(), "shop", nil, "commit-1", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v1")
	})
}

// A rollback mends a sync whose newest revision hangs or failed, at once.
func TestRollbackFromWhatHangs(t *testing.T) {
	for name, bad := range map[string]func(*world){
		"hangs": func(w *world) { w.hanging["/shop/a"] = "bad" }, "fails": func(w *world) { w.refused["/shop/a"] = "bad" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newKeepingRig(t)
				defer g.stop()
				g.world.set(func() { bad(g.world) })
				g.repo.push(files("/shop/a", "bad", "/shop/b", "v1"))
				after(time.Second)
				if pin := g.rollback(Rollback{}); pin.ID != "commit-4" {
					t.Errorf("rolled back to %s: want the last that came about", pin.ID)
				}
				g.runs("/shop/a=v3 /shop/b=v1")
				if a := g.app("/shop/a"); a.State != status.Synced || a.Health != status.HealthHealthy || a.Condition != "" {
					t.Errorf("a: %+v", a)
				}
			})
		})
	}
}

// One app that never comes up does not take the way back from all others, and a
// revision that brought a failure is none to go back to.
func TestRollbackBesideWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.refused["/shop/a"] = "bad" })
		for _, b := range []string{"v1", "v2", "v3"} {
			g.repo.push(files("/shop/a", "bad", "/shop/b", b))
			after(time.Second)
			g.world.set(func() { delete(g.world.apps, "/shop/b") }) // put back at the same revision
			after(2 * testResync)
		}
		var kept []string
		for _, k := range g.sync("shop").Kept {
			kept = append(kept, k.ID)
		}
		if diff := cmp.Diff([]string{"commit-4", "commit-3", "commit-1"}, kept); diff != "" {
			t.Errorf("kept, where commit-2 brought the failure (-want +got):\n%s", diff)
		}
		g.rollback(Rollback{})
		g.runs("/shop/a=bad /shop/b=v2")
		g.rollback(Rollback{})
		g.runs("/shop/a=v1 /shop/b=v1")
	})
}

// What is not kept is refused, and it is said what is.
func TestRollbackRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		for name, test := range map[string]struct {
			to   Rollback
			says string
		}{
			"a revision that never was": {Rollback{Revision: "deadbeef"}, `this sync has no stored revision "deadbeef"; available: commit-4 (change 4), commit-3 (change 3), commit-2 (change 2), commit-1 (change 1)`},
			"an ambiguous one":          {Rollback{Revision: "commit-"}, "is ambiguous"},
			"further than it goes":      {Rollback{Back: 3}, "no stored revision 3 steps back"},
		} {
			if _, err := g.Rollback(t.Context(), "shop", test.to, ada); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want a conflict that says %s", name, err, test.says)
			}
		}
		if _, err := g.Rollback(t.Context(), "nonsense", Rollback{}, ada); !errors.Is(err, ErrNoSync) {
			t.Errorf("an unknown sync: %v", err)
		}
		if err := g.Release(t.Context(), "shop", ada); !errors.Is(err, ErrConflict) {
			t.Errorf("released though it is not rolled back: %v", err)
		}
		full := errors.New("no space left on device")
		pin, err := g.Rollback(t.Context(), "shop", Rollback{Revision: "commit-1"}, ada) // reads what it goes to
		if err != nil || pin.ID != "commit-1" {
			t.Fatal(pin, err)
		}
		g.shelf.fail(full)
		if err := g.Release(t.Context(), "shop", ada); !errors.Is(err, full) {
			t.Errorf("a full disk: %v", err)
		}
		g.shelf.fail(nil)
		after(testResync)
		g.runs("/shop/a=v1")
		if g.sync("shop").RolledBack == nil {
			t.Error("released though it was told that this failed")
		}

		// What was kept is damaged or gone: nothing is changed, and another way is open.
		other, _, err := reconcile.Pack(manifests.Desired{})
		if err != nil {
			t.Fatal(err)
		}
		for name, spoilt := range map[string]func([]byte) []byte{
			"gone": nil, "cut": func(b []byte) []byte { return b[:len(b)/2] }, "other": func([]byte) []byte { return other },
		} {
			whole := g.shelf.spoilKept(spoilt)
			_, err := g.Rollback(t.Context(), "shop", Rollback{Revision: "commit-2"}, ada)
			if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "missing or damaged") {
				t.Errorf("%s: %v", name, err)
			}
			g.stop()
			g.world.set(func() { delete(g.world.apps, "/shop/a") })
			g.start()
			after(testResync)
			if got := g.world.cmds(); got != "" {
				t.Errorf("%s: %q runs: want nothing changed while it is not known what is wanted", name, got)
			}
			if y := g.sync("shop"); !strings.Contains(y.Last.Error, "rolled back to commit-1, so nothing is changed") {
				t.Errorf("%s: %+v", name, y.Last)
			}
			g.shelf.restoreKept(whole)
			after(reconcile.MaxBackoff + time.Minute)
			g.runs("/shop/a=v1")
		}
	})
}

func TestARollbackIsForItsScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		options := g.options
		options.Syncs = []reconcile.Sync{testSync("shop")}
		options.Syncs[0].Policy.Scope = "/"
		if err := g.Reload(options); err != nil {
			t.Fatal(err)
		}
		after(testInterval)
		if _, err := g.Rollback(t.Context(), "shop", Rollback{Revision: "commit-1"}, ada); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "scope") {
			t.Errorf("rolled back to what was read for another scope: %v", err)
		}
	})
}

// Suspended and rolled back: nothing is changed before both are over.
func TestRollbackOfASuspendedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		if err := g.Suspend(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		g.rollback(Rollback{})
		after(2 * testResync)
		g.runs("/shop/a=v3 /shop/b=v1")
		if err := g.Resume(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v2 /shop/b=v1")
	})
}

// Ten different contents are kept, and no more; commits that change nothing take
// no place of one that does.
func TestWhatIsKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v0"))
		g.start()
		defer g.stop()
		for i := 1; i <= 2*reconcile.MaxContents; i++ {
			g.repo.push(files("/shop/a", fmt.Sprintf("v%d", i)))
			after(time.Second)
			g.repo.push(files("/shop/a", fmt.Sprintf("v%d", i)))
			after(time.Second)
		}
		kept := g.sync("shop").Kept
		if len(g.shelf.kept) != reconcile.MaxContents || len(kept) != 2*reconcile.MaxContents {
			t.Errorf("%d contents of %d revisions are kept, want %d of %d", len(g.shelf.kept), len(kept), reconcile.MaxContents, 2*reconcile.MaxContents)
		}
		g.rollback(Rollback{Back: reconcile.MaxContents - 1})
		g.runs(fmt.Sprintf("/shop/a=v%d", reconcile.MaxContents+1))
	})
}

// What the status tells of an app: both axes, since when, at which revision.
func TestStatusTellsSinceWhenAndOfWhichRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		began := time.Now()
		after(10 * testResync)
		a := g.app("/shop/a")
		if a.Since.IsZero() || a.Since.After(began) || a.Revision != "commit-1" {
			t.Errorf("a: %+v, want it so since before %v, at commit-1", a, began)
		}
		g.stop()
		g.start() // the process is another one, the app is not
		after(testResync)
		if now := g.app("/shop/a"); !now.Since.Equal(a.Since) {
			t.Errorf("since %v after a restart, was %v", now.Since, a.Since)
		}
		g.world.set(func() { g.world.fare["/shop/a"] = marathon.Status{} })
		sick := time.Now()
		after(2 * testResync)
		if now := g.app("/shop/a"); now.State != status.Synced || now.Health != status.HealthDegraded || now.Since.Before(sick) {
			t.Errorf("degraded since %v, want since after %v: %+v", now.Since, sick, now)
		}

		// Marathon away: nothing is known, and that is said.
		g.world.set(func() { g.world.down = &marathon.Error{Cause: errors.New("connection refused")} })
		after(2 * testResync)
		ill := g.app("/shop/a").LastKnown
		if now := g.app("/shop/a"); now.State != status.Unknown || now.Reason != "" || ill == nil || ill.Health != status.HealthDegraded {
			t.Errorf("with Marathon away: %+v", now)
		}
		if s := g.sync("shop").Stale; s == nil || !strings.Contains(s.Reason, "connection refused") {
			t.Errorf("why nothing is known is told as %+v", s)
		}
		g.world.set(func() { g.world.down = nil })
		after(2 * reconcile.MaxAway)
		if now := g.app("/shop/a"); now.State != status.Synced || now.Health != status.HealthDegraded || now.Since.Before(sick) || now.Since.After(ill.At) {
			t.Errorf("with Marathon back: %+v, want degraded since before it was away", now)
		}
		g.stop()
	})
}

// The history says who or what asked, for each kind of trigger.
func TestHistorySaysWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		asked := func(want string) {
			t.Helper()
			after(time.Second)
			if e := g.sync("shop").History[0]; e.Asked.String() != want {
				t.Errorf("%s of %s was asked for by %q, want %q", e.Result, e.Revision, e.Asked, want)
			}
		}
		asked("start")
		g.repo.commit(files("/shop/a", "v2"))
		after(testInterval * 11 / 10)
		asked("poll")
		g.repo.push(files("/shop/a", "v3"))
		asked("source event")
		g.repo.commit(files("/shop/a", "v4"))
		if err := g.Look("shop", store.Asked{By: store.AskedByWebhook, Address: "10.0.0.9"}); err != nil {
			t.Fatal(err)
		}
		asked("webhook from 10.0.0.9")
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		s.events <- deployed("/shop/a")
		asked("Marathon event")
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		after(5 * time.Minute)
		if err := g.Trigger("shop", ada); err != nil {
			t.Fatal(err)
		}
		asked("person ada (act token) from 10.0.0.7")
	})
}

// What a pass began for somebody is still his when another pass, or another
// process, ends it, and lasted from when it began.
func TestHistorySaysWhoAskedForWhatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		g.world.set(func() { g.world.hanging["/shop/a"] = "v2" })
		g.repo.commit(files("/shop/a", "v2"))
		if err := g.Trigger("shop", ada); err != nil {
			t.Fatal(err)
		}
		after(5 * testResync) // passes take it over from each other
		g.stop()
		g.start()
		after(testResync)
		g.world.set(func() { clear(g.world.hanging); clear(g.world.deployments) })
		after(2 * testResync)
		defer g.stop()
		e := g.sync("shop").History[0]
		if e.Asked.User != "ada" || e.Ended.Sub(e.Began) < 5*testResync || e.Result != "applied" {
			t.Errorf("the entry is %+v", e)
		}
	})
}

// Marathon tells where a write came from: what is put back, and a fight, name it.
func TestDriftAndFightsNameWhereTheyComeFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		written := func(from string) marathon.Event {
			return marathon.Event{Type: "api_post_event", Data: fmt.Appendf(nil, `{"clientIp": %q, "uri": "/v2/apps//shop/a", "appDefinition": {"id": "/shop/a"}}`, from)}
		}
		reads := g.world.looks()
		s.events <- written("10.0.0.1")
		after(time.Minute)
		if n := g.world.looks() - reads; n > 0 {
			t.Errorf("%d reads for an event that only says who: what changed is told by others", n)
		}
		for range 10 * 60 {
			if g.world.cmds() == "/shop/a=v1" {
				g.world.set(func() { other := *g.world.apps["/shop/a"]; other.Cmd = new("theirs"); g.world.apps["/shop/a"] = &other })
				s.events <- written("10.0.0.66")
				s.events <- deployed("/shop/a")
			}
			after(100 * time.Millisecond)
		}
		if a := g.app("/shop/a"); !strings.Contains(a.Reason, "drift conflict") || !strings.Contains(a.Reason, "written from 10.0.0.66") {
			t.Errorf("shown as %q", a.Reason)
		}
		if e := g.sync("shop").History[0]; e.Asked.By != store.AskedByRetry || !strings.Contains(e.Changes[0].Reason, "written from 10.0.0.66") {
			t.Errorf("the history says %+v", e)
		}
	})
}

// A diff is read anew and changes nothing.
func TestDiffIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		diff := func(ids ...string) string {
			t.Helper()
			p, err := g.Diff(t.Context(), "shop", ids)
			if err != nil {
				return err.Error()
			}
			var b strings.Builder
			if err := plan.Write(&b, p, "text"); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		if got := diff(); got != "Plan: 0 to create, 0 to update, 0 to scale, 0 to delete, 2 unchanged\n" {
			t.Errorf("at rest: %s", got)
		}
		g.world.set(func() {
			other := *g.world.apps["/shop/a"]
			other.Instances = new(7)
			g.world.apps["/shop/a"] = &other
			delete(g.world.apps, "/shop/b")
		})
		before := g.world.cmds()
		if got := diff("/shop/a"); !strings.Contains(got, "/instances: 7 → 1") || strings.Contains(got, "/shop/b") || !strings.Contains(got, "1 to scale, 0 to delete, 0 unchanged") {
			t.Errorf("of a: %s", got)
		}
		if got := diff(); !strings.Contains(got, "+ create /shop/b") {
			t.Errorf("of all: %s", got)
		}
		if got := diff("/shop/z"); !strings.Contains(got, "/shop/z is not an app, pod or group of this sync") {
			t.Errorf("of what is not there: %s", got)
		}
		if g.world.cmds() != before {
			t.Error("a diff changed something")
		}
		g.world.set(func() { g.world.down = errors.New("connection refused") })
		if got := diff(); !strings.Contains(got, "cannot read Marathon") {
			t.Errorf("with Marathon away: %s", got)
		}
	})
}

// Many people at once: each gets an answer, and in the end what was asked last holds.
func TestOrdersOfManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newKeepingRig(t)
		defer g.stop()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 20 {
					var err error
					switch (i + j) % 6 {
					case 0:
						_, err = g.Rollback(t.Context(), "shop", Rollback{Revision: fmt.Sprintf("commit-%d", 1+j%4)}, ada)
					case 1:
						err = g.Release(t.Context(), "shop", ada)
					case 2:
						err = g.Suspend(t.Context(), "shop", ada)
					case 3:
						err = g.Resume(t.Context(), "shop", ada)
					case 4:
						_, err = g.Diff(t.Context(), "shop", nil)
					case 5:
						_, err = g.Rollback(t.Context(), "shop", Rollback{}, ada)
					}
					if err != nil && !errors.Is(err, ErrConflict) {
						t.Error(err)
					}
					_ = g.Status()
				}
			})
		}
		all.Wait()
		if err := g.Resume(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		g.rollback(Rollback{Revision: "commit-1"})
		g.runs("/shop/a=v1")
		if err := g.Release(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v3 /shop/b=v1")
		if n := len(g.sync("shop").History); n > store.MaxHistory {
			t.Errorf("%d entries in the history", n)
		}
	})
}

// An app that moved to another file is the same app: nothing is written.
func TestAnAppThatMovedToAnotherFileIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, map[string]string{"a.json": manifest("/shop/a", "v1"), "b.json": manifest("/shop/b", "v1")})
		g.start()
		defer g.stop()
		g.repo.push(map[string]string{"b.json": manifest("/shop/b", "v1"), "team/all.json": "[" + manifest("/shop/a", "v1") + "]"})
		after(2 * testResync)
		g.runs("/shop/a=v1 /shop/b=v1")
		if n, a := g.world.writes("/shop/a"), g.app("/shop/a"); n != 1 || a.File != "team/all.json" || a.Revision != "commit-2" {
			t.Errorf("%d writes, shown as %+v", n, a)
		}
	})
}
