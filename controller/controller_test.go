package controller

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

func TestPushDeploysUpdatesAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		g.runs("/shop/a=v1 /shop/b=v1")
		if y := g.sync("shop"); y.Last == nil || y.Last.Result != status.ResultApplied || len(y.History) != 1 || y.Revision.Subject != "change 1" {
			t.Errorf("after the first pass: %+v", y)
		}
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" || a.Health != status.HealthHealthy || a.File != "shop-a.json" {
			t.Errorf("app a: %+v", a)
		}

		g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
		synctest.Wait() // at once, without a poll
		g.runs("/shop/a=v2 /shop/b=v1")

		g.repo.commit(files("/shop/b", "v1"))
		after(2 * testInterval) // found by the poll
		g.runs("/shop/b=v1")
		if owned := g.shelf.state(t, "shop").Inventory; len(owned) != 1 || owned["/shop/b"].Revision != "commit-3" {
			t.Errorf("inventory: %+v, want b alone", owned)
		}
		if tried := g.world.writes("/shop/b"); tried != 1 {
			t.Errorf("b was written %d times though it never changed", tried)
		}
	})
}

func TestDriftIsHealedByTheResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		after(2 * testResync)
		g.runs("/shop/a=v1")
		saves, looks := g.shelf.count(), g.repo.count()
		after(10 * testResync)
		if g.shelf.count() != saves {
			t.Errorf("%d saves at rest", g.shelf.count()-saves)
		}
		if n := g.repo.count() - looks; n < 5 || n > 9 {
			t.Errorf("the source was looked at %d times in %v with an interval of %v", n, 10*testResync, testInterval)
		}
	})
}

func TestUnreadableSourceChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		g.repo.fail(errors.New("no route to host"))
		after(3 * testInterval)
		g.runs("/shop/a=v1")
		if y := g.sync("shop"); y.SourceError != "no route to host" || y.Revision.ID != "commit-1" {
			t.Errorf("source error %q at revision %q, want the last good one in force", y.SourceError, y.Revision.ID)
		}
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		after(2 * testResync)
		g.runs("/shop/a=v1") // healed from the last good revision

		g.repo.fail(nil)
		g.repo.commit(files("/shop/a", "v2"))
		after(testInterval + 15*time.Second)
		g.runs("/shop/a=v2")
		if y := g.sync("shop"); y.SourceError != "" {
			t.Errorf("the source is readable again, status still says %q", y.SourceError)
		}
	})
}

func TestSourceThatWasNeverReadDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		g.stop()
		g.repo.fail(errors.New("authentication failed"))
		g.start()
		defer g.stop()
		after(5 * testInterval)
		g.runs("/shop/a=v1")
		if y := g.sync("shop"); y.Hold == nil || y.Hold.Revision != "commit-1" || y.SourceError == "" || len(y.History) > 1 {
			t.Errorf("status: %+v", y)
		}
	})
}

func TestSourceThatWasNeverReadAtAllChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.world.set(func() { g.world.apps["/shop/old"] = &manifests.App{ID: "/shop/old", Cmd: new("v0")} })
		g.repo.fail(errors.New("authentication failed"))
		g.start()
		defer g.stop()
		after(5 * testInterval)
		g.runs("/shop/old=v0")
		y := g.sync("shop")
		if y.Last == nil || y.Last.Result != status.ResultFailed || y.SourceError == "" || y.Hold != nil {
			t.Errorf("status: %+v", y)
		}
		if failed := y.History[0]; failed.Result != "failed" || len(y.History) > 1 {
			t.Errorf("history has %d entries, newest %+v: want one for the whole outage", len(y.History), failed)
		}
	})
}

func TestBrokenManifestStopsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		tree := files("/shop/b", "v2", "/shop/c", "v1")
		tree["shop-a.json"] = `{"id": "/shop/a", "cmd": `
		g.repo.push(tree)
		synctest.Wait()
		g.runs("/shop/a=v1 /shop/b=v2 /shop/c=v1")
		y := g.sync("shop")
		if len(y.Problems) == 0 || y.Problems[0].File != "shop-a.json" {
			t.Errorf("problems: %v", y.Problems)
		}
	})
}

func TestMarathonAwayDeletesNothingAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		away := &marathon.Error{Method: "GET", URL: "http://m1:8080/v2/apps", Cause: errors.New("connection refused")}
		g.world.set(func() { g.world.down = away })
		g.repo.push(files("/shop/b", "v1"))
		after(time.Hour)
		g.runs("/shop/a=v1")
		s := g.Status()
		if y := s.Syncs[0]; y.Last.Result != status.ResultFailed || !strings.Contains(y.Last.Error, "connection refused") || !strings.Contains(s.Marathon.Error, "connection refused") {
			t.Errorf("status: %+v, Marathon %+v", y.Last, s.Marathon)
		}
		if len(s.NotReady()) == 0 {
			t.Error("ready although Marathon is away")
		}
		if n := len(g.sync("shop").History); n > 3 {
			t.Errorf("an hour without Marathon left %d entries in the history", n)
		}
		g.world.set(func() { g.world.down = nil })
		after(reconcile.MaxAway + time.Second)
		g.runs("/shop/b=v1")
		if s := g.Status(); s.Marathon.Error != "" || len(s.NotReady()) > 0 {
			t.Errorf("after Marathon came back: %+v, %v", s.Marathon, s.NotReady())
		}
	})
}

func TestUnreadableStoreChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		g.stop()
		g.shelf.fail(errors.New("state.json: unexpected end of JSON input"))
		g.repo.commit(files("/shop/b", "v2"))
		g.start()
		defer g.stop()
		after(testResync)
		g.runs("/shop/a=v1 /shop/b=v1") // nothing that could not be remembered is begun
		if y := g.sync("shop"); y.Last.Result != status.ResultFailed || !strings.Contains(y.Last.Error, "cannot read the state of this sync") || len(y.Apps) != 1 || y.Apps[0].Condition != status.Blocked {
			t.Errorf("last pass %+v, apps %+v", y.Last, y.Apps)
		}
		g.shelf.fail(nil) // what was there is there again
		after(reconcile.MaxBackoff)
		g.runs("/shop/b=v2")
	})
}

func TestWipedStoreDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		g.stop()
		g.shelf.saved = map[string][]byte{}
		g.repo.commit(files("/shop/b", "v1"))
		g.start()
		defer g.stop()
		after(10 * testResync)
		g.runs("/shop/a=v1 /shop/b=v1")
		if owned := g.shelf.state(t, "shop").Inventory; len(owned) != 1 || owned["/shop/b"].Hash == "" {
			t.Errorf("inventory %+v: want b, which is equal, adopted in silence", owned)
		}
	})
}

func TestUnsavableStoreStopsThePassBeforeItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		g.shelf.fail(errors.New("no space left on device"))
		g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
		synctest.Wait()
		y := g.sync("shop")
		if y.Last.Result != status.ResultFailed || !strings.Contains(y.Last.Error, "no space left") {
			t.Errorf("last pass: %+v", y.Last)
		}
		g.shelf.fail(nil)
		after(reconcile.MaxBackoff)
		g.runs("/shop/a=v2 /shop/b=v1")
		if owned := g.shelf.state(t, "shop").Inventory; len(owned) != 2 {
			t.Errorf("inventory: %+v", owned)
		}
	})
}

func TestNewRevisionSupersedesAHangingRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "bad", "/shop/b": "slow"} })
		g.repo.push(files("/shop/a", "bad", "/shop/b", "slow"))
		after(2 * testInterval)
		if a := g.app("/shop/a"); a.Condition != status.InRollout || !g.sync("shop").Running {
			t.Errorf("app a is %+v, want it shown as progressing while the pass waits", a)
		}
		if r := g.shelf.state(t, "shop").Rollouts; len(r) != 2 || r["/shop/a"].Revision != "commit-2" {
			t.Errorf("rollouts under way that are saved: %+v", r)
		}

		pushed := time.Now()
		g.repo.push(files("/shop/a", "good", "/shop/b", "slow"))
		synctest.Wait()
		if waited := time.Since(pushed); waited > 0 {
			t.Errorf("the fix waited %v", waited)
		}
		g.runs("/shop/a=good /shop/b=slow")
		if r := g.world.handed(); r["/shop/a"].Deployment == "" || r["/shop/b"].Deployment == "" {
			t.Errorf("rollouts handed over: %+v, want both", r)
		}
		if tried := g.world.writes("/shop/b"); tried != 2 {
			t.Errorf("b was written %d times; the second revision left it as it was", tried)
		}
		if entry := g.sync("shop").History[0]; entry.Result != "superseded" || entry.Revision != "commit-2" {
			t.Errorf("history: %+v", entry)
		}
	})
}

func TestHangingRolloutDoesNotHoldUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "bad"} })
		g.repo.push(files("/shop/a", "bad", "/shop/b", "v1", "/shop/c", "v1"))
		synctest.Wait()
		g.world.set(func() { delete(g.world.apps, "/shop/b") })
		after(2 * testResync)
		g.runs("/shop/a=bad /shop/b=v1 /shop/c=v1") // healed while a hangs
		g.world.set(func() { delete(g.world.apps, "/shop/c") })
		if err := g.Trigger("shop", ada); err != nil {
			t.Fatal(err)
		}
		after(schedule.FetchPause)
		g.runs("/shop/a=bad /shop/b=v1 /shop/c=v1") // by the button at once
		after(20 * testResync)
		y := g.sync("shop")
		if a := g.app("/shop/a"); a.Condition != status.InRollout || g.world.writes("/shop/a") != 2 {
			t.Errorf("a is %+v after %d writes, want it under way as it was begun", a, g.world.writes("/shop/a"))
		}
		if len(y.History) != 3 {
			t.Errorf("%d entries in the history, want the first pass and two repairs: %+v", len(y.History), y.History)
		}
	})
}

func TestFailedDefinitionIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "bad"} })
		g.repo.push(files("/shop/a", "bad", "/shop/b", "v2"))
		synctest.Wait()
		tried := g.world.writes("/shop/a")
		after(time.Hour)
		if g.world.writes("/shop/a") != tried {
			t.Errorf("the failed definition was written again %d times", g.world.writes("/shop/a")-tried)
		}
		g.runs("/shop/a=bad /shop/b=v2")
		if a := g.app("/shop/a"); a.Condition != status.Failed || a.Health != status.HealthDegraded || !strings.Contains(a.Reason, "exit code 127") {
			t.Errorf("app a: %+v", a)
		}
		if n := len(g.sync("shop").History); n != 2 {
			t.Errorf("%d entries in the history, want the first pass and the failed one", n)
		}
		g.repo.push(files("/shop/a", "v3", "/shop/b", "v2"))
		synctest.Wait()
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" || a.Health != status.HealthHealthy {
			t.Errorf("app a after the fix: %+v", a)
		}
		if failed := g.shelf.state(t, "shop").Failed; len(failed) != 0 {
			t.Errorf("still remembered as failed: %+v", failed)
		}
	})
}

func TestFailureIsForgottenWhenTheAppComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "slow"} })
		g.repo.commit(files("/shop/a", "slow"))
		g.start()
		defer g.stop()
		if a := g.app("/shop/a"); a.Condition != status.Failed {
			t.Fatalf("app a: %+v", a)
		}
		g.world.set(func() { g.world.refused = map[string]string{} })
		after(2 * testResync)
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" || len(g.shelf.state(t, "shop").Failed) > 0 {
			t.Errorf("app a came up by itself and is still shown as %+v", a)
		}
	})
}

// A command that fails at once runs for a moment each time that it is started.
func TestFailureIsNotForgottenInACrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.world.set(func() { g.world.refused = map[string]string{"/shop/a": "bad"} })
		g.repo.commit(files("/shop/a", "bad"))
		g.start()
		defer g.stop()
		flicker := func(failed time.Time) {
			g.world.set(func() {
				g.world.fare["/shop/a"] = marathon.Status{Running: 1, Healthy: 1,
					LastTaskFailure: &marathon.TaskFailure{Message: "exit code 127", Timestamp: failed}}
			})
			after(testResync + testResync/5)
		}
		for range 5 {
			flicker(time.Now())
			if a := g.app("/shop/a"); a.Condition != status.Failed {
				t.Fatalf("caught running for a moment, the failed app is %+v", a)
			}
		}
		after(2 * status.SteadyAfter)
		if a := g.app("/shop/a"); a.State != status.Synced || a.Condition != "" {
			t.Errorf("running for a minute, the app is %+v", a)
		}
	})
}

func TestStopInMidApplyIsSavedAndTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "slow"))
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "slow"} })
		g.start()
		stopped := time.Now()
		g.stop()
		if took := time.Since(stopped); took > 0 {
			t.Errorf("the stop took %v", took)
		}
		if y := g.Status(); y.Running || y.Syncs[0].Last.Result != status.ResultStopped {
			t.Errorf("status after the stop: %+v", y.Syncs[0].Last)
		}
		r, ok := g.shelf.state(t, "shop").Rollouts["/shop/a"]
		if !ok || r.Deployment == "" {
			t.Fatalf("the rollout under way is not saved: %+v", r)
		}
		g.start()
		defer g.stop()
		if g.world.handed()["/shop/a"].Deployment != r.Deployment || g.world.writes("/shop/a") != 1 {
			t.Errorf("handed over %+v after %d writes, want the same rollout and no second write", g.world.handed(), g.world.writes("/shop/a"))
		}
		g.world.set(func() { g.world.deployments = map[string]string{}; g.world.hanging = nil })
		g.repo.push(files("/shop/a", "slow", "/shop/b", "v1"))
		after(testResync)
		if left := g.shelf.state(t, "shop").Rollouts; len(left) != 0 {
			t.Errorf("the rollout ended and is still remembered: %+v", left)
		}
	})
}

func TestOneSyncDoesNotHoldAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := files("/shop/a", "slow")
		for name, text := range files("/blog/a", "v1") {
			tree["blog/"+name] = text
		}
		tree["shop/a.json"] = tree["shop-a.json"]
		delete(tree, "shop-a.json")
		g := newRig(t, tree)
		g.options.Concurrency = 1
		blog, shop := testSync("blog"), testSync("shop")
		blog.Path, shop.Path = "blog", "shop"
		g.options.Syncs = []reconcile.Sync{blog, shop}
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "slow"} })
		g.start()
		defer g.stop()
		g.runs("/blog/a=v1 /shop/a=slow")
		if blog := g.sync("blog"); blog.Running || blog.Last.Result != status.ResultApplied || !g.sync("shop").Running {
			t.Errorf("blog: %+v", blog.Last)
		}
		if g.repo.count() != 1 {
			t.Errorf("two syncs of one source looked at it %d times", g.repo.count())
		}
	})
}

func TestTriggerLooksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		g.repo.commit(files("/shop/a", "v2"))
		asked := time.Now()
		for range 100 { // many are one
			if err := g.Trigger("shop", ada); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		g.runs("/shop/a=v2")
		after(schedule.FetchPause)
		if g.repo.count() > 3 || time.Since(asked) > schedule.FetchPause {
			t.Errorf("%d looks for a hundred triggers, after %v", g.repo.count(), time.Since(asked))
		}
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		g.TriggerAll(ada) // a pass follows though the source has not moved
		after(schedule.FetchPause)
		g.runs("/shop/a=v2")
		if err := g.Trigger("nowhere", ada); !errors.Is(err, ErrNoSync) {
			t.Errorf("Trigger of an unknown sync: %v", err)
		}
	})
}

func TestTriggerNeedsARunningController(t *testing.T) {
	g := newRig(t, files("/shop/a", "v1"))
	c, err := New(g.options)
	if err != nil {
		t.Fatal(err)
	}
	if c.Trigger("shop", ada) == nil {
		t.Error("Trigger before Run has no error")
	}
	if why := c.Status().NotReady(); len(why) == 0 {
		t.Error("ready before Run")
	}
}

func TestSuspendedSyncShowsAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		if err := g.shelf.Save(t.Context(), "shop", store.State{Suspended: true}); err != nil {
			t.Fatal(err)
		}
		g.start()
		defer g.stop()
		after(5 * testResync)
		g.runs("")
		if a := g.app("/shop/a"); a.State != status.OutOfSync || a.Health != status.HealthMissing || !g.sync("shop").Suspended {
			t.Errorf("app a: %+v", a)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := map[string]string{"shop/a.json": manifest("/shop/a", "v1"), "blog/a.json": manifest("/blog/a", "v1")}
		g := newRig(t, tree)
		shop, blog := testSync("shop"), testSync("blog")
		shop.Path, blog.Path = "shop", "blog"
		g.options.Syncs = []reconcile.Sync{shop}
		g.start()
		defer g.stop()
		first := g.sync("shop").Last

		next := g.options
		next.Syncs = []reconcile.Sync{shop, blog}
		if err := g.Reload(next); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.runs("/blog/a=v1 /shop/a=v1")
		if last := g.sync("shop").Last; !last.Ended.Equal(first.Ended) {
			t.Error("the sync that did not change began anew")
		}

		bad := next
		bad.Syncs = []reconcile.Sync{{Name: "shop", Source: "nowhere"}}
		if g.Reload(bad) == nil {
			t.Error("bad options were taken")
		}
		if s := g.Status(); len(s.Syncs) != 2 || !strings.Contains(s.Reload, `"nowhere" is not among the sources`) {
			t.Errorf("after a bad reload: %d syncs, %q", len(s.Syncs), s.Reload)
		}

		next.Syncs = []reconcile.Sync{blog}
		if err := g.Reload(next); err != nil {
			t.Fatal(err)
		}
		tree["shop/a.json"] = manifest("/shop/a", "v2")
		tree["blog/a.json"] = manifest("/blog/a", "v2")
		g.repo.push(tree)
		after(5 * testResync)
		g.runs("/blog/a=v2 /shop/a=v1") // what is no longer configured is left alone
		if s := g.Status(); len(s.Syncs) != 1 || s.Reload != "" {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestReloadStopsARunningPassOfAChangedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "slow"))
		g.world.set(func() { g.world.hanging = map[string]string{"/shop/a": "slow"} })
		g.start()
		defer g.stop()
		next := g.options
		changed := testSync("shop")
		changed.Deadline = time.Minute
		next.Syncs = []reconcile.Sync{changed}
		if err := g.Reload(next); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if y := g.sync("shop"); !y.Running || g.world.writes("/shop/a") != 1 {
			t.Errorf("running %v after %d writes, want the new sync to watch the same rollout", y.Running, g.world.writes("/shop/a"))
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	g := newRig(t, nil)
	tests := map[string]struct {
		change func(*Options)
		say    string
	}{
		"no Marathon":    {func(o *Options) { o.Clusters = nil }, "there is no Marathon"},
		"no store":       {func(o *Options) { o.Store = nil }, "Store"},
		"a nil source":   {func(o *Options) { o.Sources = map[string]schedule.Source{"shop": {}} }, "nil"},
		"unknown source": {func(o *Options) { o.Syncs[0].Source = "x" }, `source "x" is not among`},
		"relative scope": {func(o *Options) { o.Syncs[0].Policy.Scope = "shop" }, "expected an absolute id"},
		"no name":        {func(o *Options) { o.Syncs[0].Name = "" }, "no name"},
		"a scope within another": {func(o *Options) { o.Syncs = append(o.Syncs, testSync("shop/web")) },
			`sync "shop/web": its scope /shop/web overlaps /shop, the scope of sync "shop"`},
		"a scope around another": {func(o *Options) {
			o.Syncs = append(o.Syncs, reconcile.Sync{Name: "all", Source: "shop", Policy: plan.Policy{Scope: "/", Prune: plan.PruneOn}})
		}, `sync "all": its scope / overlaps /shop`},
		"the same scope": {func(o *Options) {
			o.Syncs = append(o.Syncs, reconcile.Sync{Name: "again", Source: "shop", Policy: plan.Policy{Scope: "/shop", Prune: plan.PruneOff}})
		}, `sync "again": its scope /shop overlaps /shop`},
		"same name twice": {func(o *Options) { o.Syncs = append(o.Syncs, o.Syncs[0]) }, "duplicate name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := g.options
			o.Syncs = []reconcile.Sync{testSync("shop")}
			test.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), test.say) {
				t.Errorf("New: %v, want an error with %q", err, test.say)
			}
		})
	}
}

func TestScopesThatLieApartAreTaken(t *testing.T) {
	g := newRig(t, nil)
	g.options.Syncs[0].Policy.Exclusive = true
	g.options.Syncs = append(g.options.Syncs, testSync("shopping"), reconcile.Sync{Name: "blog", Source: "shop", Policy: plan.Policy{Scope: "/blog", Prune: plan.PruneConfirm}})
	if _, err := New(g.options); err != nil {
		t.Errorf("New: %v", err)
	}
}
