package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
)

// ErrConflict is returned where what is asked for does not fit what is there:
// an approval of what waits for none, a rollback to what was never applied.
var ErrConflict = errors.New("conflict")

var errNotRunning = errors.New("the controller is not running")

// Suspend keeps a sync from changing anything until Resume, also after a
// restart. It returns when that is saved, with who asked, when and why; what is
// in progress in Marathon continues there. Of a sync that is suspended already it
// changes who and why, if a reason is given, and not since when.
// Errors: ErrNoSync, one of the store, or the cause of ctx.
func (c *Controller) Suspend(ctx context.Context, sync string, by store.Asked) error {
	by.Verb = reconcile.VerbSuspend
	return c.order(ctx, sync, by, func(s *store.State) error {
		if s.Suspended && by.Reason == "" {
			return nil
		}
		at := time.Now()
		c.recordStop(sync, s, resultSuspended, at, by)
		if s.Suspension != nil {
			at = s.Suspension.At
		}
		s.Suspended, s.Suspension = true, &store.Suspension{By: by, At: at}
		return nil
	})
}

// Resume ends a Suspend, and that a sync only reports after a loss of its state.
func (c *Controller) Resume(ctx context.Context, sync string, by store.Asked) error {
	by.Verb = reconcile.VerbResume
	return c.order(ctx, sync, by, func(s *store.State) error {
		if !s.Stopped() {
			return nil
		}
		at := time.Now()
		c.recordStop(sync, s, resultResumed, at, by)
		s.Suspended, s.Suspension = false, nil
		s.Loss = s.Loss.Resume(at)
		return nil
	})
}

// The results of entries of the history that are of no reconciliation.
const (
	resultSuspended = "suspended"
	resultResumed   = "resumed"
)

// recordStop notes in the history that a sync is suspended or resumed.
func (c *Controller) recordStop(sync string, s *store.State, result string, at time.Time, by store.Asked) {
	e := store.Entry{Began: at, Ended: at, Result: result, Asked: by}
	if y := c.syncer(sync); y != nil {
		r := y.status().InForce
		if e.Revision = y.inForce(s); e.Revision == r.ID {
			e.Subject = r.Subject
		}
	}
	s.History = reconcile.WithEntry(s.History, e)
}

// Approve lets changes of a sync through that wait for it: each once, and for
// one revision only. No ids: all that wait. The revision, or its beginning, must
// be the one that was planned last; empty: whatever was. Of a sync that is held,
// and without ids, it may be the older one that its source answers with: then the
// sync follows it. Errors: ErrNoSync,
// ErrConflict, one of the store, or the cause of ctx.
func (c *Controller) Approve(ctx context.Context, sync string, ids []string, revision string, by store.Asked) error {
	y := c.syncer(sync)
	if y == nil {
		return c.noSync(sync)
	}
	if older := y.answeredOlder(revision); older != "" && len(ids) == 0 {
		return c.approveOlder(ctx, y, older, by)
	}
	ids, revision, err := y.approvable(ids, revision)
	if err != nil {
		return err
	}
	return c.order(ctx, sync, by, func(s *store.State) error {
		if s.Approved == nil {
			s.Approved = map[string]string{}
		}
		maps.DeleteFunc(s.Approved, func(_, r string) bool { return r != revision })
		for _, id := range ids {
			s.Approved[id] = revision
		}
		return nil
	})
}

// approvable tells which ids of which revision are meant by an approval.
func (y *syncer) approvable(ids []string, revision string) ([]string, string, error) {
	shown := y.view.Status()
	planned := shown.PlannedRevision
	if planned == "" || !plan.IsRevision(planned, revision) {
		return nil, "", fmt.Errorf("%w: revision %q was to be approved, but %q was planned last: review its changes first", ErrConflict, plan.ShortRevision(revision), plan.ShortRevision(planned))
	}
	var waiting []string
	for _, a := range shown.Apps {
		if a.Approvable {
			waiting = append(waiting, a.ID)
		}
	}
	if len(ids) == 0 {
		ids = waiting
	}
	for _, id := range ids {
		if !slices.Contains(waiting, id) {
			return nil, "", fmt.Errorf("%w: %s needs no approval; these changes do: %s", ErrConflict, id, reconcile.Listed(waiting))
		}
	}
	if len(ids) == 0 {
		return nil, "", fmt.Errorf("%w: no change is waiting for approval", ErrConflict)
	}
	return ids, planned, nil
}

// noSync is ErrNoSync for a name. The lock must not be held.
func (c *Controller) noSync(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return NoSync(name, slices.Collect(maps.Keys(c.syncers)))
}

// allSyncers lists the syncs, by name.
func (c *Controller) allSyncers() []*syncer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*syncer, 0, len(c.syncers))
	for _, name := range slices.Sorted(maps.Keys(c.syncers)) {
		all = append(all, c.syncers[name])
	}
	return all
}

func (c *Controller) syncer(name string) *syncer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.syncers[name]
}

// order hands a change of the memory to the next reconciliation and waits until it is
// saved.
func (c *Controller) order(ctx context.Context, name string, by store.Asked, change func(*store.State) error) error {
	c.mu.Lock()
	y := c.syncers[name]
	if y == nil {
		c.mu.Unlock()
		return c.noSync(name)
	}
	if c.run == nil || c.term == nil {
		err := errNotRunning
		if c.run != nil {
			err = reconcile.ErrNotLeading
		}
		c.mu.Unlock()
		return err
	}
	o := reconcile.NewCommand(change, by)
	c.run.schedule.Command(y.slot, o)
	stopped := y.ctx.Done()
	c.mu.Unlock()
	select {
	case err := <-o.Done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not saved yet: %w", context.Cause(ctx))
	case <-stopped:
		return fmt.Errorf("not saved: %w", errNotRunning)
	}
}

// approveOlder lets a sync that is held follow its source back to the older
// revision that it answers with.
func (c *Controller) approveOlder(ctx context.Context, y *syncer, id string, by store.Asked) error {
	return c.order(ctx, y.spec.Name, by, func(s *store.State) error {
		seen := y.watcher.Last().Snapshot
		if seen == nil || seen.Revision.ID != id {
			return fmt.Errorf("%w: the source no longer answers with revision %s", ErrConflict, plan.ShortRevision(id))
		}
		next := y.reconciler.NewestOf(seen.Revision, time.Now())
		next.Returned = true
		s.Newest = s.Newest.Supersede(next)
		return nil
	})
}

// answeredOlder is the older revision that a held sync's source answers with, if
// its beginning is the one given; empty: there is none.
func (y *syncer) answeredOlder(revision string) string {
	h := y.view.Hold()
	if h == nil || h.Answered == "" || revision == "" || !plan.IsRevision(h.Answered, revision) {
		return ""
	}
	return h.Answered
}
