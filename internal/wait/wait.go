// Package wait has the ways in which a goroutine waits: for a time, for the next
// try after failures, for another goroutine. What is tried, and whether it is tried
// again at all, is decided elsewhere.
package wait

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is an exponential back-off: how long to wait after failures in a row.
type Backoff struct {
	Min, Max time.Duration
}

// After returns Min, doubled for each failure after the first, at most Max.
func (b Backoff) After(failures int) time.Duration {
	d := b.Min
	for ; failures > 1; failures-- {
		if d > b.Max/2 { // and further on doubling would overflow
			return b.Max
		}
		d *= 2
	}
	return min(d, b.Max)
}

// Jitter varies a duration by up to a tenth either way, so that what began
// together (replicas, syncs, sources) does not ask all at once.
func Jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// Sleep waits for d, and returns the error of ctx if that ends first. Without a
// positive d it only asks whether ctx has ended.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Every calls f after each interval, with jitter, until ctx ends.
func Every(ctx context.Context, interval time.Duration, f func()) {
	for Sleep(ctx, Jitter(interval)) == nil {
		f()
	}
}

// Signal wakes the goroutine that receives from it. Notifications that have not
// been received yet count as one: what there is to do stands in state that both
// sides know.
type Signal chan struct{}

// NewSignal returns a signal without a notification.
func NewSignal() Signal { return make(Signal, 1) }

// Notify leaves a notification. It never waits.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default: // one is there already
	}
}
