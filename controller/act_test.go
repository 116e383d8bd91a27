package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
)

func TestSuspendedSyncChangesNothingUntilResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.world.hanging["/shop/b"] = "v1"
		g.start()
		if err := g.Suspend(t.Context(), "shop", ada); err != nil { // while its pass waits
			t.Fatal(err)
		}
		if !g.shelf.state(t, "shop").Suspended {
			t.Error("Suspend returned before it was saved")
		}
		g.repo.push(files("/shop/a", "v2", "/shop/b", "v1"))
		after(2 * testResync)
		g.runs("/shop/a=v1 /shop/b=v1")
		if y := g.sync("shop"); !y.Suspended || g.app("/shop/a").State != status.OutOfSync {
			t.Errorf("suspended %v, a %+v: want it shown and not changed", y.Suspended, g.app("/shop/a"))
		}

		g.stop()
		g.start()
		after(2 * testResync)
		g.runs("/shop/a=v1 /shop/b=v1")
		if err := g.Resume(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v2 /shop/b=v1")
		if g.sync("shop").Suspended {
			t.Error("still shown as suspended")
		}
		if n := g.world.writes("/shop/b"); n != 1 {
			t.Errorf("what hung all the while was written %d times", n)
		}
		g.stop()
	})
}

func TestApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		g.options.Syncs[0].Policy.Prune = plan.PruneConfirm
		g.options.Syncs[0].Policy.MaxDeletes = plan.MaxDeletes{}
		g.start()
		defer g.stop()
		g.repo.push(files("/shop/a", "v1"))
		after(time.Second)
		if b := g.app("/shop/b"); b.Condition != status.Blocked || !b.Approvable {
			t.Fatalf("b: %+v", b)
		}

		for name, test := range map[string]struct {
			ids      []string
			revision string
			says     string
		}{
			"what does not wait": {[]string{"/shop/a"}, "", "/shop/b, /shop/c"},
			"another revision":   {nil, "commit-1", "commit-2"},
		} {
			if err := g.Approve(t.Context(), "shop", test.ids, test.revision, ada); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want a conflict that says %s", name, err, test.says)
			}
		}
		after(testResync)
		g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1")

		if err := g.Approve(t.Context(), "shop", []string{"/shop/b"}, "commit-2", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v1 /shop/c=v1")
		if left := g.shelf.state(t, "shop").Approved; len(left) != 0 {
			t.Errorf("an approval outlives its change: %v", left)
		}

		// All that waits; and what is approved of is of this revision only.
		g.world.set(func() { g.world.deleting = func(id string) {} })
		if err := g.Approve(t.Context(), "shop", nil, "", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		g.runs("/shop/a=v1")
		if err := g.Approve(t.Context(), "shop", nil, "", ada); !errors.Is(err, ErrConflict) {
			t.Errorf("an approval of nothing: %v", err)
		}
	})
}

func TestOrdersThatCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		if err := g.Suspend(t.Context(), "nonsense", ada); !errors.Is(err, ErrNoSync) {
			t.Errorf("an unknown sync: %v", err)
		}
		full := errors.New("no space left on device")
		g.shelf.fail(full)
		if err := g.Suspend(t.Context(), "shop", ada); !errors.Is(err, full) {
			t.Errorf("a full disk: %v", err)
		}
		g.shelf.fail(nil)
		after(testResync)
		if g.sync("shop").Suspended || g.shelf.state(t, "shop").Suspended {
			t.Error("suspended though it was told that this failed")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Resume(ended, "shop", ada); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that is gone: %v", err)
		}
		after(time.Second)
		g.stop()
		if err := g.Suspend(t.Context(), "shop", ada); err == nil {
			t.Error("suspended though it does not run")
		}
	})
}
