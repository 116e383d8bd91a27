package controller

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// How often Marathon is read for what is shown while reconciliations wait for rollouts.
// A reconciliation reads for itself; this reading only keeps the status from telling what
// was true when the reconciliation began.
const (
	liveInterval = 2 * time.Second        // while any reconciliation waits
	liveBreath   = 500 * time.Millisecond // between two reads, whatever happens
)

// observer says when what is shown is to be read again: never at rest.
type observer struct {
	waiting atomic.Int32 // reconciliations that carry out a plan
	began   wait.Signal  // the first of them began: the clock runs
	ended   wait.Signal  // a change ended: of interest while others are waited for
	news    wait.Signal  // Marathon said that something happened
	// steady is when an app that is degraded for its restarts alone will be healthy
	// if nothing happens: of that no event tells. Zero: there is none.
	steady func() time.Time
}

func newObserver(steady func() time.Time) *observer {
	return &observer{steady: steady, began: wait.NewSignal(), ended: wait.NewSignal(), news: wait.NewSignal()}
}

// wait notes that a reconciliation waits until the returned function is called.
func (o *observer) wait() (end func()) {
	o.waiting.Add(1)
	o.began.Notify()
	return func() { o.waiting.Add(-1) }
}

// rest waits until a read is due.
func (o *observer) rest(ctx context.Context) error {
	for {
		var tick <-chan time.Time
		if o.waiting.Load() > 0 {
			tick = time.After(liveInterval)
		} else if at := o.steady(); !at.IsZero() {
			tick = time.After(max(liveInterval, time.Until(at)))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.began:
		case <-o.ended:
			if err := wait.Sleep(ctx, liveBreath); err != nil { // several end together, and so does the reconciliation with the last
				return err
			}
			if o.waiting.Load() > 0 {
				return nil
			}
		case <-o.news:
			return nil
		case <-tick:
			return nil
		}
	}
}

// observe keeps the counts and healths of all syncs of a cluster as Marathon
// tells them, with one reader for all, until ctx ends.
func (c *Controller) observe(ctx context.Context, m *cluster) {
	for m.observer.rest(ctx) == nil {
		began := time.Now()
		state, err := c.stateOf(ctx, m, nil)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			c.mu.Lock()
			syncers := make([]*syncer, 0, len(c.syncers))
			for _, y := range c.syncers {
				if y.cluster == m {
					syncers = append(syncers, y)
				}
			}
			c.mu.Unlock()
			for _, y := range syncers {
				y.view.Refresh(state, &m.restarts, began)
			}
		}
		rest := liveBreath
		if err == nil {
			rest = max(rest, schedule.ReadShare*time.Since(began))
		}
		if wait.Sleep(ctx, rest) != nil {
			return
		}
	}
}
