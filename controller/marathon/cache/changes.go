package cache

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/manifests"
)

// differences are the ids that a reading found otherwise than they were known.
type differences struct {
	changed    []string // definition, deployments, old tasks, or whether it is there
	fares      []string // only the counts and what came of its tasks
	everything bool     // Marathon itself is another one, or configured otherwise
}

// app compares an app with what was known of it and returns what is to be known
// from now on.
func (d *differences) app(id string, before, now marathon.App) marathon.App {
	now.Definition = sameOr(d, id, before.Definition, now.Definition, manifests.Same, &before.Status, &now.Status)
	return now
}

func (d *differences) pod(id string, before, now marathon.Pod) marathon.Pod {
	now.Definition = sameOr(d, id, before.Definition, now.Definition, manifests.Same, &before.Status, &now.Status)
	return now
}

// sameOr is the definition that is to be known: the one that was known before
// where it is the same, so that the same definition is the same pointer.
func sameOr[D any](d *differences, id string, before, now *D, same func(a, b *D) bool, was, is *marathon.Status) *D {
	switch {
	case before == nil && now == nil:
		return nil
	case !same(before, now):
		d.changed = append(d.changed, id)
		return now
	}
	d.status(id, was, is)
	return before
}

func (d *differences) status(id string, before, now *marathon.Status) {
	switch {
	case before.Outdated != now.Outdated || !slices.Equal(before.Deployments, now.Deployments):
		d.changed = append(d.changed, id)
	case !sameStatus(before, now):
		d.fares = append(d.fares, id)
	}
}

func sameStatus(a, b *marathon.Status) bool {
	return a.Version == b.Version && a.LastConfigChangeAt.Equal(b.LastConfigChangeAt) && a.LastScalingAt.Equal(b.LastScalingAt) &&
		a.Staged == b.Staged && a.Running == b.Running && a.Healthy == b.Healthy && a.Unhealthy == b.Unhealthy && a.Outdated == b.Outdated &&
		slices.Equal(a.Deployments, b.Deployments) && reflect.DeepEqual(a.LastTaskFailure, b.LastTaskFailure)
}

// frames compares what only groups have.
func (d *differences) frames(before, now marathon.GroupTree) {
	for id, g := range now.Groups {
		if was := before.Groups[id]; was == nil || !sameGroup(was, g) {
			d.changed = append(d.changed, id)
		}
	}
	for id := range before.Groups {
		if now.Groups[id] == nil {
			d.changed = append(d.changed, id)
		}
	}
}

func sameGroup(a, b *manifests.Group) bool {
	sameRole := a.EnforceRole == b.EnforceRole || a.EnforceRole != nil && b.EnforceRole != nil && *a.EnforceRole == *b.EnforceRole
	return sameRole && slices.Equal(a.Dependencies, b.Dependencies)
}

// Changes tells which ids a Cache has come to know otherwise: when it tells,
// State has it. What comes while nobody reads is told once. Events that say who
// wrote what (AuthorEvents) are passed on before. It is read like a Stream.
type Changes struct {
	c    *Cache
	ctx  context.Context
	wake wait.Signal

	// Guarded by the cache's mu.
	authors        []marathon.Event // who wrote what: only an event of Marathon's can tell
	changed, fares map[string]bool
	everything     bool
	err            error // the stream has ended
}

// Changes waits for an event stream and follows the cache while that is open.
// What happened before, and what happens after it ended and before the next
// call, is not told: read everything. The error is why one could not be opened.
func (c *Cache) Changes(ctx context.Context) (*Changes, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := c.refused; !c.streaming; {
		if err := c.await(ctx); err != nil {
			return nil, err
		}
		if c.refused > refused && !c.streaming {
			return nil, c.refusal
		}
	}
	s := &Changes{c: c, ctx: ctx, wake: wait.NewSignal(), changed: map[string]bool{}, fares: map[string]bool{}}
	c.subs[s] = true
	return s, nil
}

// Next waits for the next change. An event without ids may be about anything.
// The end of Marathon's stream is an error.
func (s *Changes) Next() (marathon.Event, error) {
	for {
		e, ok, err := s.take()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-s.ctx.Done():
			return marathon.Event{}, context.Cause(s.ctx)
		case <-s.wake:
		}
	}
}

func (s *Changes) take() (marathon.Event, bool, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.err != nil:
		return marathon.Event{}, false, s.err
	case len(s.authors) > 0:
		e := s.authors[0]
		s.authors = s.authors[1:]
		return e, true, nil
	case s.everything:
		s.everything = false
		clear(s.changed)
		clear(s.fares)
		return marathon.Event{Type: marathon.TypeChanged}, true, nil
	case len(s.changed) > 0:
		return marathon.NewEvent(marathon.TypeChanged, emptied(s.changed)), true, nil
	case len(s.fares) > 0:
		return marathon.NewEvent(marathon.TypeFares, emptied(s.fares)), true, nil
	}
	return marathon.Event{}, false, nil
}

func emptied(ids map[string]bool) []string {
	sorted := slices.Sorted(maps.Keys(ids))
	clear(ids)
	return sorted
}

// Close ends the following.
func (s *Changes) Close() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	delete(s.c.subs, s)
	return nil
}

// publish tells who follows. Called with mu held.
func (c *Cache) publish(d *differences) {
	for s := range c.subs {
		s.everything = s.everything || d.everything
		for _, id := range d.changed {
			s.changed[id] = true
		}
		for _, id := range d.fares {
			s.fares[id] = true
		}
		if s.everything || len(s.changed)+len(s.fares) > 0 {
			s.wake.Notify()
		}
	}
}

// mostAuthors bounds how many events wait for who does not read.
const mostAuthors = 1024

// pass passes on an event that says who wrote what. Called with mu held.
func (c *Cache) pass(e marathon.Event) {
	for s := range c.subs {
		if len(s.authors) < mostAuthors {
			s.authors = append(s.authors, e)
			s.wake.Notify()
		}
	}
}

// listen holds an event stream open until ctx ends.
func (c *Cache) listen(ctx context.Context) {
	marathon.Follow(ctx, c.follow, func(_ int, err error) {
		c.options.Log.Debug("Marathon's event stream is not connected", "error", err)
	})
}

// follow opens a stream and marks what it tells until it ends.
func (c *Cache) follow(ctx context.Context) (opened bool, err error) {
	stream, err := c.up.events(ctx)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused, c.refusal = c.refused+1, err
		c.tell()
		return false, err
	}
	defer stream.Close()
	c.mu.Lock()
	c.stream++
	c.streaming, c.synced = true, false
	c.marks = newMarks()
	c.pace.retry = time.Time{}
	c.tell()
	c.mu.Unlock()
	c.wake.Notify()
	for {
		e, err := stream.Next()
		c.mu.Lock()
		if err != nil {
			c.deafen(err)
			c.mu.Unlock()
			return true, err
		}
		c.marks.note(e, time.Now())
		if _, ok := e.Written(); ok {
			c.pass(e)
		}
		c.mu.Unlock()
		c.wake.Notify()
	}
}

// deafen notes that nothing is heard any more. Called with mu held.
func (c *Cache) deafen(err error) {
	c.streaming, c.synced = false, false
	for s := range c.subs {
		s.err = err
		s.wake.Notify()
	}
	c.tell()
}

// upstream is what a Cache reads from: a Client.
type upstream interface {
	List(ctx context.Context, k *marathon.Known) (*marathon.Listing, error)
	Under(ctx context.Context, group string, k *marathon.Known) (map[string]marathon.Listed, error)
	Groups(ctx context.Context) (marathon.GroupTree, error)
	App(ctx context.Context, id string) (marathon.App, error)
	Pod(ctx context.Context, id string) (marathon.Pod, error)
	Deployments(ctx context.Context) ([]marathon.Deployment, error)
	SecondIDs(ctx context.Context) (ids map[string]bool, asked bool, err error)
	events(ctx context.Context) (follower, error)
}

// follower is a Stream.
type follower interface {
	Next() (marathon.Event, error)
	Close() error
}

// clientUpstream is a Client as an upstream.
type clientUpstream struct{ *marathon.Client }

func (u clientUpstream) events(ctx context.Context) (follower, error) {
	s, err := u.Events(ctx, cacheEvents()...)
	if err != nil {
		return nil, err // and no stream that is nil and does not look so
	}
	return s, nil
}
