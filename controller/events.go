package controller

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// EventStream is an open stream of Marathon's events. *marathon.Stream is one.
type EventStream interface {
	// Next waits for the next event; any error ends the stream.
	Next() (marathon.Event, error)
	Close() error
}

// How events lead to passes. An event only says look again: it is never
// believed, may be lost, and what is written in answer to one brings new ones.
const (
	eventBreath = 50 * time.Millisecond // a burst of events is one pass
	// passBreath is the least time between passes that events ask for, but for
	// passBurst of them after a rest: what is rare is answered at once.
	passBreath = 250 * time.Millisecond
	passBurst  = 4
	// waitBreath is how long a pass that waits for rollouts is left alone, so
	// that events of what it does not work on cannot keep it from its end.
	waitBreath = 3 * time.Second
	// echo is how long after the end of a change its events may come.
	echo = time.Second
)

// tellsOfTasks are the types of events that cannot mean that a definition was
// changed: they are of interest to what is shown and to who waits.
var tellsOfTasks = map[string]bool{
	"instance_changed_event": true, "instance_health_changed_event": true, "unknown_instance_terminated_event": true,
	"status_update_event": true, "health_status_changed_event": true,
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
	for name, y := range c.syncers {
		if y.cluster != m {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !manifests.Within(id, y.spec.Policy.Scope) })
		if len(ids) > 0 && len(mine) == 0 {
			continue
		}
		if tellsOfTasks[e.Type] {
			m.observer.news.Notify()
		}
		if delay, due := y.hear(e.Type, mine); due && c.run.queue.NumRequeues(name) == 0 { // else a retry is due already
			y.note(store.Asked{By: store.AskedByEvent})
			c.run.queue.AddAfter(name, delay)
		}
	}
}

// hear notes that something happened to ids in the scope of the sync, and tells
// whether and when a pass is due for it. One under way is woken; it is ended
// for a new one only for ids that it does not work on.
func (y *syncer) hear(kind string, ids []string) (delay time.Duration, due bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if tellsOfTasks[kind] {
		if y.current != nil {
			y.current.events.Notify()
		}
		return 0, false
	}
	y.heard = time.Now()
	switch cur := y.current; {
	case cur == nil:
		if y.view.Last == nil || !y.heard.After(y.due) {
			return 0, false // the first pass is still to come, or the next one is on its way
		}
		delay = y.breath(leastBreath(kind))
		y.due = y.heard.Add(delay)
		return delay, true
	case !cur.applying:
		return 0, false // its end looks at y.heard
	default:
		cur.events.Notify()
		if !strings.HasPrefix(kind, "group_") && cur.again == nil && slices.ContainsFunc(ids, cur.foreign) {
			wait := waitBreath - time.Since(cur.began)
			if kind == marathon.TypeChanged { // and not the noise of others' rollouts: it costs little to look
				wait = y.breath(0)
			}
			cur.again = time.AfterFunc(max(eventBreath, wait), func() { y.againFor(cur) })
		}
		return 0, false
	}
}

// foreign tells whether the pass is not the one that changes an id.
func (c *current) foreign(id string) bool {
	ended, mine := c.works[id]
	return !mine || !ended.IsZero() && time.Since(ended) >= echo
}

// againFor ends a pass that waits, so that a new one looks at everything.
func (y *syncer) againFor(cur *current) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.current == cur {
		cur.cancel(errAgain)
	}
}

// leastBreath is how long the first event after a rest is put off for others to
// come: a live cache has waited for them already.
func leastBreath(kind string) time.Duration {
	if kind == marathon.TypeChanged {
		return 0
	}
	return eventBreath
}

// breath is how long the next pass that an event asks for is put off: the more
// it costs to read Marathon, the longer. Called once for each of them, with mu
// held.
func (y *syncer) breath(least time.Duration) time.Duration {
	y.pace.SetLimit(rate.Every(max(passBreath, liveShare*y.lastTook)))
	return max(least, y.pace.Reserve().Delay())
}

// missed tells whether something was heard since the last pass began to read,
// and when to look at it.
func (y *syncer) missed() (time.Duration, bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.heard.After(cmp.Or(y.lastRead, y.heard)) {
		return 0, false
	}
	if now := time.Now(); !y.due.After(now) { // else the next one is on its way
		y.due = now.Add(y.breath(eventBreath))
	}
	return time.Until(y.due), true
}

// levelOfLoss keeps a Marathon that is away for long out of the log.
func levelOfLoss(failures int) slog.Level {
	if failures > 1 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
