package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// ErrNotLeading is returned where something is asked for that only the replica
// that leads can do.
var ErrNotLeading = errors.New("this replica is not the leader")

// term is a time in which passes may write. A pass belongs to the term that it
// began in, or to none: then it only looks, and shows what it saw.
type term struct {
	ctx   context.Context // ends with the lease
	began time.Time
	// sure: nobody else writes, ever. Else the first pass of the term only
	// reads, so that nothing is built on what was known before.
	sure   bool
	passes sync.WaitGroup
}

// Lead lets passes write until ctx ends, and returns when none does any more. It
// is for a controller with Options.Follow, and may be called once at a time.
//
// What was known before is not relied on: each sync loads its state again, and
// its first pass only reads. One more pass follows after the time that a request
// may take, for what the leader before had sent and Marathon took late.
func (c *Controller) Lead(ctx context.Context) {
	t := &term{ctx: ctx, began: time.Now()}
	c.setTerm(t)
	c.lookAll() // what was fetched before may be older than what was applied
	// Not by the queue, which merges what is put off with what is sooner.
	late := time.AfterFunc(cmp.Or(c.requestTimeout, marathon.DefaultTimeout), func() { c.passAll(store.AskedByResync) })
	hold := time.AfterFunc(holdAfter, func() { c.passUnfetched(nil) })
	<-ctx.Done()
	late.Stop()
	hold.Stop()
	c.setTerm(nil)
	t.passes.Wait()
	c.passAll(store.AskedByStart) // whatever was cut off is shown as it is now
}

// setTerm puts a term in force, or none.
func (c *Controller) setTerm(t *term) {
	c.mu.Lock()
	c.term = t
	c.mu.Unlock()
	c.passAll(store.AskedByStart)
}

// inForce is the term that is in force; nil: there is none.
func (c *Controller) inForce() *term {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term
}

// passAll asks for a pass of every sync, and says what for.
func (c *Controller) passAll(by store.Asker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return
	}
	for name, y := range c.syncers {
		y.note(store.Asked{By: by})
		c.run.queue.Forget(name)
		c.run.queue.Add(name)
	}
}

// enter lets a pass begin in the term that is in force; nil: in none.
func (c *Controller) enter() *term {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term != nil {
		c.term.passes.Add(1)
	}
	return c.term
}

// bind ends a pass with its term. The returned function is called when the pass
// has ended.
func (t *term) bind(cancel context.CancelCauseFunc) (leave func()) {
	if t == nil {
		return func() {}
	}
	stop := context.AfterFunc(t.ctx, func() {
		cancel(fmt.Errorf("%w: %w", ErrNotLeading, context.Cause(t.ctx)))
	})
	return func() {
		stop()
		t.passes.Done()
	}
}

// over tells whether a pass may write no more.
func (t *term) over() bool { return t == nil || t.ctx.Err() != nil }

// lookAll asks for a look at every source.
func (c *Controller) lookAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers {
		w.look(store.Asked{})
	}
}

// passUnfetched asks for a pass of the syncs of a source, nil: of any, for which
// no fetch of the term has ended well.
func (c *Controller) passUnfetched(of *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil || c.term == nil {
		return
	}
	for name, y := range c.syncers {
		if (of == nil || y.watcher == of) && y.watcher.seen().fetched != c.term {
			y.note(store.Asked{By: store.AskedByStart})
			c.run.queue.Add(name)
		}
	}
}

// onlyReads reports whether a pass may write nothing: it belongs to no term, it is
// the first of its term, or what it goes by may be older than what was applied.
func (p *pass) onlyReads() bool {
	return p.term == nil || p.y.looked != p.term && !p.term.sure || !p.from.writes
}

// onlyLooks tells whether this pass changes nothing, and how it ends then.
func (p *pass) onlyLooks() (passEnd, bool) {
	switch {
	case p.term == nil:
		return passEnd{result: status.ResultUnchanged, follow: p.work() && !p.y.memory.state.Stopped()}, true
	case p.onlyReads():
		p.y.looked = p.term
		return passEnd{result: status.ResultUnchanged, again: true, reread: p.from.writes}, true
	}
	p.y.looked = p.term
	return passEnd{}, false
}

// next asks for what follows a pass that only looked: at once for the one that
// may write; a little later, once more than there is something to see, for the
// next one that follows what the leader does.
func (c *Controller) next(r *run, name string, y *syncer, end passEnd) {
	if end.reread {
		r.queue.Add(name)
		return
	}
	if end.follow || y.following {
		y.mu.Lock()
		delay := max(liveInterval, liveShare*y.lastTook)
		y.mu.Unlock()
		r.queue.AddAfter(name, delay)
	}
	y.following = end.follow
}
