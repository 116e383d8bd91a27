package controller

import (
	"cmp"
	"context"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Lead lets reconciliations write until ctx ends, and returns when none does any more. It
// is for a controller with Options.Follow, and may be called once at a time.
//
// What was known before is not relied on: each sync loads its state again, and
// its first reconciliation only reads. One more pass follows after the time that a request
// may take, for what the leader before had sent and Marathon took late.
func (c *Controller) Lead(ctx context.Context) {
	t := reconcile.NewTerm(ctx, false)
	c.setTerm(t)
	c.lookAll() // what was fetched before may be older than what was applied
	// Not by the queue, which merges what is put off with what is sooner.
	late := time.AfterFunc(cmp.Or(c.requestTimeout, marathon.DefaultTimeout), func() { c.passAll(store.AskedByResync) })
	hold := time.AfterFunc(reconcile.HoldAfter, func() { c.passUnfetched(nil) })
	<-ctx.Done()
	late.Stop()
	hold.Stop()
	c.setTerm(nil)
	t.Wait()
	c.passAll(store.AskedByStart) // whatever was cut off is shown as it is now
}

// setTerm puts a term in force, or none.
func (c *Controller) setTerm(t *reconcile.Term) {
	c.mu.Lock()
	c.term = t
	c.mu.Unlock()
	c.passAll(store.AskedByStart)
}

// inForce is the term that is in force; nil: there is none.
func (c *Controller) inForce() *reconcile.Term {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term
}

// passAll asks for a reconciliation of every sync, and says what for.
func (c *Controller) passAll(by store.Asker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return
	}
	for _, y := range c.syncers {
		c.run.schedule.Add(y.slot, store.Asked{By: by}, true)
	}
}

// enter lets a reconciliation begin in the term that is in force; nil: in none.
func (c *Controller) enter() *reconcile.Term {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term != nil {
		c.term.Enter()
	}
	return c.term
}

// lookAll asks for a fetch of every source.
func (c *Controller) lookAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers {
		w.Request(store.Asked{})
	}
}

// passUnfetched asks for a reconciliation of the syncs of a source, nil: of any, for which
// no fetch of the term has ended well.
func (c *Controller) passUnfetched(of *schedule.Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil || c.term == nil {
		return
	}
	for _, y := range c.syncers {
		if (of == nil || y.watcher == of) && y.watcher.Last().Fetched != c.term {
			c.run.schedule.Add(y.slot, store.Asked{By: store.AskedByStart}, false)
		}
	}
}
