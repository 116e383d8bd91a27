package marathon

import (
	"context"
	"sync/atomic"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// Ear hears the events of a Marathon for who looks for himself and wants to know
// when. A Cache does more: it knows what the events were about.
type Ear struct {
	client *Client
	news   wait.Signal
	hears  atomic.Bool
}

// NewEar returns an ear, which hears nothing until Listen.
func NewEar(c *Client) *Ear { return &Ear{client: c, news: wait.NewSignal()} }

// News is received from when something may have happened.
func (e *Ear) News() <-chan struct{} { return e.news }

// Hears reports whether a stream is open: where none can be had (a proxy keeps events
// back, a right is missing) there is no news though much happens.
func (e *Ear) Hears() bool { return e.hears.Load() }

// Listen hears until ctx ends.
func (e *Ear) Listen(ctx context.Context) {
	Follow(ctx, e.hear, func(_ int, err error) {
		e.client.options.Log.Debug("Marathon's event stream is not connected", "error", err)
	})
}

// hear opens a stream and hears it to its end.
func (e *Ear) hear(ctx context.Context) (opened bool, err error) {
	stream, err := e.client.Events(ctx, TriggerEvents()...)
	if err != nil {
		return false, err
	}
	defer stream.Close()
	e.hears.Store(true)
	defer e.hears.Store(false)
	for {
		e.news.Notify() // also at first: what was before is not told
		if _, err := stream.Next(); err != nil {
			return true, err
		}
	}
}
