package controller

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/manifests"
)

// EventStream is an open stream of Marathon's events. *marathon.Stream is one.
type EventStream interface {
	// Next waits for the next event; any error ends the stream.
	Next() (marathon.Event, error)
	Close() error
}

// listen follows Marathon's events until ctx ends. Where it cannot, the resync
// finds everything a little later.
func (c *Controller) listen(ctx context.Context, m *cluster) {
	follow := func(ctx context.Context) (bool, error) {
		opened, err := c.follow(ctx, m)
		if ctx.Err() == nil && unreachable(err) {
			m.observer.news.Notify() // what is shown may be true no more: see reached
		}
		return opened, err
	}
	marathon.Follow(ctx, follow, func(failures int, err error) {
		c.log.Log(ctx, levelOfLoss(failures), "event stream of Marathon lost; falling back to resync", "marathon", m.name, "error", err)
	})
}

// unreachable reports whether events end for a reason that may hold for everything
// else that is asked of a Marathon: not where it answers that it has no such stream.
func unreachable(err error) bool {
	e, answered := errors.AsType[*marathon.Error](err)
	return !answered || e.Status == 0 || e.Status >= http.StatusInternalServerError
}

// follow opens a stream and hears it to its end.
func (c *Controller) follow(ctx context.Context, m *cluster) (opened bool, err error) {
	stream, err := m.Events(ctx)
	if err != nil {
		return false, err
	}
	defer stream.Close()
	c.hearing(m, true)
	defer c.hearing(m, false)
	m.observer.news.Notify()         // it answers, perhaps again
	c.hear(m, marathon.Event{}, nil) // nothing is replayed: everything may have changed
	for {
		e, err := stream.Next()
		if err != nil {
			return true, err
		}
		if w, ok := e.Written(); ok {
			c.authored(m, w) // what it led to is told by other events
			continue
		}
		c.hear(m, e, e.IDs())
	}
}

// hear passes an event on to the syncs in whose scope something happened; one
// without ids may be about anything.
//
// What only a group above a scope is named for is left to the resync: else each
// write into one sync's scope would have all others read everything, and what
// concerns tasks names their apps too.
func (c *Controller) hear(m *cluster, e marathon.Event, ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return
	}
	for _, y := range c.syncers {
		if y.cluster != m {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !manifests.Within(id, y.spec.Policy.Scope) })
		if len(ids) > 0 && len(mine) == 0 {
			continue
		}
		if schedule.TellsOfTasks[e.Type] {
			m.observer.news.Notify()
		}
		c.run.schedule.Event(y.slot, e.Type, mine)
	}
}

// levelOfLoss keeps a Marathon that is away for long out of the log.
func levelOfLoss(failures int) slog.Level {
	if failures > 1 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// authored passes on who wrote an app or a pod.
func (c *Controller) authored(m *cluster, w marathon.Written) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, y := range c.syncers {
		if y.cluster == m && manifests.Within(w.ID, y.spec.Policy.Scope) {
			y.authors.Wrote(w, y.slot.IsOwn(w.ID))
		}
	}
}
