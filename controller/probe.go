package controller

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// storage is why the state of a sync could not be read or saved last.
type storage struct{ load, save error }

// words say why; empty: it could.
func (s storage) words() string {
	if err := cmp.Or(s.load, s.save); err != nil {
		return err.Error()
	}
	return ""
}

// loaded notes what became of reading the state anew: what was not saved before is
// given up with that.
func (y *syncer) loaded(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.storage = storage{load: err}
}

// saved notes what became of saving the state, whole or in part.
func (y *syncer) saved(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.storage.save = err
}

// Prober is a store that can be tried without anything to save. Every
// store.Records is.
type Prober interface {
	// Probe tells whether the store can be used, at the least cost that shows it.
	Probe(ctx context.Context) error
}

var _ Prober = store.Records(nil)

// probed is what the last try of the store has shown.
type probed struct {
	mu    sync.Mutex
	error string
}

// set notes what a try has shown, and tells whether the store can be used again.
func (p *probed) set(err error) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.error
	p.error = ""
	if err != nil {
		p.error = err.Error()
	}
	return before != "" && err == nil
}

func (p *probed) get() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.error
}

// probe tries the store until ctx ends, since at rest nothing is saved for hours. A
// sync that could not load or save tries again as soon as the store can be used.
func (c *Controller) probe(ctx context.Context, store Prober, interval time.Duration) {
	for {
		err := c.tryStore(ctx, store)
		if ctx.Err() != nil {
			return
		}
		if c.probed.set(err) {
			c.retryStored()
		}
		if wait.Sleep(ctx, interval) != nil {
			return
		}
	}
}

func (c *Controller) tryStore(ctx context.Context, store Prober) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	return store.Probe(ctx)
}

// retryStored asks for a pass of each sync whose state could not be read or saved.
func (c *Controller) retryStored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, y := range c.syncers {
		y.mu.Lock()
		failed := y.storage != (storage{})
		y.mu.Unlock()
		if failed && c.run != nil {
			y.note(store.Asked{By: store.AskedByRetry})
			c.run.queue.Add(name)
		}
	}
}
