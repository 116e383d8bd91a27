package controller

import (
	"context"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// Prober is a store that can be tried without anything to save. Every
// store.Records is.
type Prober interface {
	// Probe reports whether the store can be used, at the least cost that shows it.
	Probe(ctx context.Context) error
}

var _ Prober = store.Records(nil)

// probed is what the last try of the store has shown.
type probed struct {
	mu    sync.Mutex
	error string
}

// set notes what a try has shown, and reports whether the store can be used again.
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
	ctx, cancel := context.WithTimeout(ctx, reconcile.SaveTimeout)
	defer cancel()
	return store.Probe(ctx)
}

// retryStored asks for a reconciliation of each sync whose state could not be read or saved.
func (c *Controller) retryStored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, y := range c.syncers {
		if c.run != nil && y.view.StoreFailed() {
			c.run.schedule.Add(y.slot, store.Asked{By: store.AskedByRetry}, false)
		}
	}
}
