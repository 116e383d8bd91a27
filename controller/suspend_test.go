package controller

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// because is somebody with a reason.
func because(user, reason string) store.Asked {
	by := ada
	by.User, by.Reason = user, reason
	return by
}

// suspension is who suspended a sync and why, and since how long.
func suspension(y status.Sync) string {
	if y.Suspension == nil {
		return fmt.Sprintf("suspended %v", y.Suspended)
	}
	return fmt.Sprintf("suspended %v for %s by %s", y.Suspended, time.Since(y.Suspension.At), y.Suspension.By)
}

// Who suspended a sync, when and why is kept with it until it is resumed, also
// after a restart and at another replica, and both are in the history.
func TestSuspendKeepsWhoWhenAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		shows := func(want string) {
			t.Helper()
			if got := suspension(g.sync("shop")); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		shows("suspended false")
		if err := g.Suspend(t.Context(), "shop", because("ada", "the database moves")); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		const byAda = "person ada (act token) from 10.0.0.7: suspend (the database moves)"
		shows("suspended true for 1m0s by " + byAda)
		g.stop()
		after(time.Minute)
		g.start()
		after(time.Minute)
		shows("suspended true for 3m0.1s by " + byAda)

		// Again without a reason: nothing is news. With one: who and why, and not since when.
		if err := g.Suspend(t.Context(), "shop", because("bob", "")); err != nil {
			t.Fatal(err)
		}
		shows("suspended true for 3m0.1s by " + byAda)
		if err := g.Suspend(t.Context(), "shop", because("bob", "it still moves")); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		shows("suspended true for 4m0.1s by person bob (act token) from 10.0.0.7: suspend (it still moves)")

		if err := g.Resume(t.Context(), "shop", because("ada", "it has moved")); err != nil {
			t.Fatal(err)
		}
		shows("suspended false")
		if e := g.sync("shop").History[0]; e.Result != "resumed" {
			t.Errorf("right after it is resumed the history begins with %+v", e)
		}
		after(time.Minute)
		if err := g.Resume(t.Context(), "shop", because("ada", "once more")); err != nil {
			t.Fatal(err)
		}
		defer g.stop()
		after(time.Minute)
		var told []string
		for _, e := range g.sync("shop").History {
			told = append(told, fmt.Sprintf("%s %s %s %d: %s", e.Revision, e.Subject, e.Result, len(e.Changes), e.Asked))
		}
		want := []string{
			"commit-1 change 1 resumed 0: person ada (act token) from 10.0.0.7: resume (it has moved)",
			"commit-1 change 1 suspended 0: person bob (act token) from 10.0.0.7: suspend (it still moves)",
			"commit-1 change 1 suspended 0: " + byAda,
			"commit-1 change 1 applied 1: start",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// Another replica shows it, and so does the one that leads next.
func TestSuspensionIsShownByEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		first, second := g.newReplica(), g.newReplica()
		defer first.stop()
		defer second.stop()
		end := first.lead()
		after(time.Minute)
		if err := first.Suspend(t.Context(), "shop", because("ada", "the database moves")); err != nil {
			t.Fatal(err)
		}
		after(testResync * 2)
		end()
		after(time.Second)
		end = second.lead()
		after(testResync * 2)
		for name, r := range map[string]*rig{"who led": first, "who leads": second} {
			if s := r.sync("shop").Suspension; s == nil || s.By.User != "ada" || s.By.Reason != "the database moves" {
				t.Errorf("%s shows %+v", name, s)
			}
		}
		if err := second.Resume(t.Context(), "shop", because("bob", "")); err != nil {
			t.Fatal(err)
		}
		after(testResync * 2)
		for name, r := range map[string]*rig{"who led": first, "who leads": second} {
			if y := r.sync("shop"); y.Suspended || y.Suspension != nil || y.History[0].Result != "resumed" || y.History[0].Asked.User != "bob" {
				t.Errorf("%s shows %+v, %+v", name, y.Suspension, y.History[0])
			}
		}
		end()
	})
}

// What an older Pacer saved says that the sync is suspended and no more.
func TestSuspendedByAnOlderPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.shelf.saved["shop"] = []byte(`{"inventory": {}, "suspended": true}`)
		g.start()
		defer g.stop()
		after(time.Minute)
		if got := suspension(g.sync("shop")); got != "suspended true" {
			t.Error(got)
		}
		if err := g.Suspend(t.Context(), "shop", because("ada", "it is known now")); err != nil {
			t.Fatal(err)
		}
		if got := suspension(g.sync("shop")); got != "suspended true for 0s by person ada (act token) from 10.0.0.7: suspend (it is known now)" {
			t.Error(got)
		}
		if err := g.Resume(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v1")
	})
}

// A suspend that could not be saved is none, in the history neither.
func TestASuspendThatIsNotSavedIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		before := len(g.sync("shop").History)
		g.shelf.fail(errors.New("disk full"))
		if err := g.Suspend(t.Context(), "shop", ada); err == nil {
			t.Error("it says that it is suspended")
		}
		g.shelf.fail(nil)
		after(2 * testResync)
		y := g.sync("shop")
		for _, e := range y.History[:len(y.History)-before] {
			if e.Result == resultSuspended {
				t.Errorf("the history says %+v", e)
			}
		}
		if y.Suspended || y.Suspension != nil {
			t.Errorf("suspended %v: %+v", y.Suspended, y.Suspension)
		}
	})
}
