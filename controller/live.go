package controller

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// How often Marathon is read for what is shown while passes wait for rollouts.
// A pass reads for itself; this reading only keeps the status from telling what
// was true when the pass began.
const (
	liveInterval = 2 * time.Second        // while any pass waits
	liveBreath   = 500 * time.Millisecond // between two reads, whatever happens
	// liveShare: after a read, so many times as long as it took there is none,
	// so that a Marathon of many apps is not kept busy with being looked at.
	liveShare = 9
)

// observer says when what is shown is to be read anew: never at rest.
type observer struct {
	waiting atomic.Int32 // passes that carry out a plan
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

// wait notes that a pass waits until the returned function is called.
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
			if err := wait.Sleep(ctx, liveBreath); err != nil { // several end together, and so does the pass with the last
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
				y.refresh(state, began)
			}
		}
		rest := liveBreath
		if err == nil {
			rest = max(rest, liveShare*time.Since(began))
		}
		if wait.Sleep(ctx, rest) != nil {
			return
		}
	}
}

// refresh shows how the apps of a sync fare in a state whose reading began at a
// time. What a pass has read or done since is not overwritten. The states are
// the passes' business: they know what git wants.
func (y *syncer) refresh(state marathon.State, began time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.read.After(began) {
		return
	}
	y.read = began
	for i := range y.view.Apps {
		a := &y.view.Apps[i]
		if y.ended[a.ID].After(began) {
			continue
		}
		a.Refresh(state, &y.cluster.restarts, y.view.Suspended, time.Now())
		y.stamp(a)
	}
}
