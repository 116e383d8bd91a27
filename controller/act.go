package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// ErrConflict is returned where what is asked for does not fit what is there:
// an approval of what waits for none, a rollback to what was never applied.
var ErrConflict = errors.New("conflict")

var errNotRunning = errors.New("the controller is not running")

// order is what a person asked of a sync. The next pass carries it out, since
// passes alone change what is remembered; the one under way is ended for it.
type order struct {
	change func(*store.State) error // an error says why not, and nothing is changed
	by     store.Asked
	done   chan error // told once the change is saved
}

// Suspend keeps a sync from changing anything until Resume, also after a
// restart. It returns when that is saved, with who asked, when and why; what is
// in progress in Marathon continues there. Of a sync that is suspended already it
// changes who and why, if a reason is given, and not since when.
// Errors: ErrNoSync, one of the store, or the cause of ctx.
func (c *Controller) Suspend(ctx context.Context, sync string, by store.Asked) error {
	by.Verb = verbSuspend
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
	by.Verb = verbResume
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
	s.History = cut(append([]store.Entry{e}, s.History...))
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
	y.mu.Lock()
	defer y.mu.Unlock()
	planned := y.view.PlannedRevision
	if planned == "" || !plan.IsRevision(planned, revision) {
		return nil, "", fmt.Errorf("%w: revision %q was to be approved, but %q was planned last: review its changes first", ErrConflict, plan.ShortRevision(revision), plan.ShortRevision(planned))
	}
	var waiting []string
	for _, a := range y.doubted() {
		if a.Approvable {
			waiting = append(waiting, a.ID)
		}
	}
	if len(ids) == 0 {
		ids = waiting
	}
	for _, id := range ids {
		if !slices.Contains(waiting, id) {
			return nil, "", fmt.Errorf("%w: %s needs no approval; these changes do: %s", ErrConflict, id, listed(waiting))
		}
	}
	if len(ids) == 0 {
		return nil, "", fmt.Errorf("%w: no change is waiting for approval", ErrConflict)
	}
	return ids, planned, nil
}

// listed names the first of many.
func listed(ids []string) string {
	const most = 10
	switch n := len(ids); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), n-most)
	}
	return strings.Join(ids, ", ")
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

// order hands a change of the memory to the next pass and waits till it is
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
			err = ErrNotLeading
		}
		c.mu.Unlock()
		return err
	}
	o := &order{change: change, by: by, done: make(chan error, 1)}
	y.put(o)
	c.run.queue.Add(name)
	stopped := y.ctx.Done()
	c.mu.Unlock()
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not saved yet: %w", context.Cause(ctx))
	case <-stopped:
		return fmt.Errorf("not saved: %w", errNotRunning)
	}
}

// put ends the pass under way for an order.
func (y *syncer) put(o *order) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.orders = append(y.orders, o)
	if y.current != nil {
		y.current.cancel(errAgain)
	}
}

func (y *syncer) takeOrders() []*order {
	y.mu.Lock()
	defer y.mu.Unlock()
	orders := y.orders
	y.orders = nil
	return orders
}

// obey carries out what people asked for since the last pass. Where the memory
// cannot be had they are told so, but for a pass that was cut off: the next one
// is queued already.
func (p *pass) obey(ctx context.Context, lost error) {
	if lost != nil && ctx.Err() != nil {
		return
	}
	orders := p.y.takeOrders()
	if len(orders) == 0 {
		return
	}
	if p.term == nil {
		lost = ErrNotLeading
	}
	answers := make([]error, len(orders))
	for i := range orders {
		answers[i] = lost
	}
	if lost == nil {
		p.carryOut(ctx, orders, answers)
	}
	for i, o := range orders {
		o.done <- answers[i]
	}
}

// carryOut changes the memory as people asked, and notes what becomes of each.
func (p *pass) carryOut(ctx context.Context, orders []*order, answers []error) {
	state := &p.y.memory.state
	before := *state
	before.Approved = maps.Clone(state.Approved)
	for i, o := range orders {
		if answers[i] = o.change(state); answers[i] == nil {
			p.asked = p.asked.Or(o.by)
		}
	}
	if !slices.Contains(answers, nil) {
		return
	}
	err := p.save(ctx)
	if err == nil {
		p.y.show(func(s *status.Sync) { s.SetStored(state) }) // before who asked has the answer
		return
	}
	*state = before // who is told that it failed may count on it
	for i := range answers {
		answers[i] = cmp.Or(answers[i], err)
	}
}
