package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
)

// This file sees to it that nothing goes back by itself. A replica that takes
// over, and a process that starts, may have an older revision than the one that
// was applied last, and a source may answer with an older one. The newest
// revision that was begun to be applied is in the store; see store.Newest.

// holdAfter is how long the first fetch of a term may take before the sync is
// reconciled with the newest revision that was applied.
const holdAfter = 10 * time.Second

// ground is what a pass takes for desired, and what it may do by it.
type ground struct {
	revision sources.Revision
	snapshot *sources.Snapshot // that desired is read from; nil: kept says it
	kept     *store.Kept       // that is read from the archive; nil: snapshot
	writes   bool              // else it only reads
	back     bool              // it goes back to an older revision, as the source did
	hold     *status.Hold      // nil: it follows its source, or a rollback
	confirms bool              // it is held only until its source has answered again
}

// situation is what verdictOf decides by, of a sync that follows its source.
type situation struct {
	fetched   bool // a fetch that began in the term has ended well
	waited    bool // one has failed, or holdAfter is over
	known     bool // the newest revision of this source that was applied is known
	older     bool // what the fetch brought is older than that
	shown     bool // this source has itself shown the newest one, before it went back in this term
	confirmed bool // asked again, it answered the same each time
}

// verdict is what a pass of the leader takes for desired.
type verdict string

const (
	follow  verdict = "follow"  // what was fetched
	awaits  verdict = "wait"    // what was fetched before the term, and it only reads
	hold    verdict = "hold"    // the newest revision that was applied
	confirm verdict = "confirm" // the same, and the source is asked again
)

// verdictOf decides what a pass of the leader takes for desired:
//
//	fetch of the term       newest      what it brought   shown here   asked again    verdict
//	ended well              not known   any               any          any            follow
//	ended well              known       not older         any          any            follow
//	ended well              known       older             yes          the same       follow: a force-push
//	ended well              known       older             yes          not yet        confirm
//	ended well              known       older             no           any            hold: a mirror that lags
//	failed, or it is late   known                                                     hold
//	failed, or it is late   not known                                                 wait
//	under way               any                                                       wait
func verdictOf(c situation) verdict {
	switch {
	case !c.fetched && c.waited && c.known:
		return hold
	case !c.fetched:
		return awaits
	case !c.known || !c.older:
		return follow
	case !c.shown:
		return hold
	case !c.confirmed:
		return confirm
	}
	return follow
}

// stand chooses what a pass goes by: a rollback, what was fetched, or the newest
// revision that was applied.
func (p *pass) stand(ctx context.Context, seen look) ground {
	if pin := p.y.memory.state.Pin; pin != nil {
		return ground{revision: revisionOf(pin.Kept), kept: &pin.Kept, writes: true}
	}
	g := ground{snapshot: seen.snapshot}
	if seen.snapshot != nil {
		g.revision = seen.snapshot.Revision
		p.y.watcher.showsNewest(g.revision.ID, p.y.memory.state.Newest)
	}
	if p.term == nil || !p.y.memory.loaded {
		return g
	}
	c := p.situation(ctx, seen)
	switch verdictOf(c) {
	case follow:
		g.writes, g.back = true, c.older
	case confirm:
		p.y.watcher.confirm(seen.snapshot.Revision.ID)
		g = p.held(ctx, g, seen, "it is fetched again every 2 s, to distinguish a force-push from a server that lags behind")
		g.confirms = true
		return g
	case hold:
		return p.held(ctx, g, seen, p.wayOn(c, seen))
	}
	return g
}

// situation finds out what the verdict depends on.
func (p *pass) situation(ctx context.Context, seen look) situation {
	state, w := &p.y.memory.state, p.y.watcher
	c := situation{
		fetched: seen.fetched == p.term && seen.snapshot != nil,
		waited:  seen.tried == p.term || time.Since(w.asksSince(p.term)) >= holdAfter,
		known:   p.knowsNewest(),
	}
	if !c.fetched || !c.known {
		return c
	}
	revision, directory := seen.snapshot.Revision, p.isDirectory()
	if directory {
		revision.Time = time.Time{} // of a file: it may be anything
	}
	if c.older = state.IsOlder(revision.ID, revision.Parents, revision.Time); !c.older {
		return c
	}
	c.shown = directory && p.term.sure || w.hasShown(ctx, state.Newest, p.term.began)
	c.confirmed = c.shown && (directory || w.isConfirmed(revision.ID))
	return c
}

// wayOn says what a person may do about a hold.
func (p *pass) wayOn(c situation, seen look) string {
	switch {
	case c.fetched:
		newest, answered := plan.ShortRevision(p.y.memory.state.Newest.ID), plan.ShortRevision(seen.snapshot.Revision.ID)
		return fmt.Sprintf("this replica never fetched %s there, so the server or mirror may lag behind; "+
			"the sync continues with %s or any later revision; if %s is correct, run pacer approve %s --revision %s",
			newest, newest, answered, p.y.spec.Name, answered)
	case seen.tried == p.term && seen.err != nil:
		return seen.err.Error()
	}
	return fmt.Sprintf("its fetch has not ended after %s", holdAfter)
}

// held is the ground of a pass that keeps to the newest revision.
func (p *pass) held(ctx context.Context, g ground, seen look, why string) ground {
	n := p.y.memory.state.Newest
	h := &status.Hold{Revision: n.ID, Subject: n.Subject, Since: p.began, Reconciles: true}
	switch {
	case seen.fetched == p.term && seen.snapshot != nil:
		h.Answered = seen.snapshot.Revision.ID
		relation := "which is older than the applied revision %s"
		if p.y.memory.state.IsSuperseded(h.Answered) {
			relation = "which was superseded by revision %s"
		}
		h.Reason = fmt.Sprintf("the source answers with revision %s, "+relation+": %s", plan.ShortRevision(h.Answered), plan.ShortRevision(n.ID), why)
	default:
		since := "this replica became the leader"
		if p.term.sure {
			since = "this process started"
		}
		h.Reason = fmt.Sprintf("the source has not been read since %s, and its last known revision may be older than the applied revision %s: %s",
			since, plan.ShortRevision(n.ID), why)
	}
	if before := p.y.holdShown(); before != nil && before.Revision == h.Revision && before.Answered == h.Answered {
		h.Since = before.Since
	}
	p.y.keepTo(h)
	if seen.snapshot != nil && seen.snapshot.Revision.ID == n.ID {
		return ground{revision: seen.snapshot.Revision, snapshot: seen.snapshot, writes: true, hold: h}
	}
	if _, err := p.recall(ctx, n.Kept); err != nil {
		h.Reconciles = false
		h.Reason += fmt.Sprintf("; nothing is changed in the meantime, because the definitions of that revision are not available: %v", err)
		g.hold = h
		return g
	}
	return ground{revision: revisionOf(n.Kept), kept: &n.Kept, writes: true, hold: h}
}

// knowsNewest reports whether the newest revision that was applied is known and
// can be compared with those of the source: it is of the same branch and folder
// and, where no other replica has a mirror of its own, of the same place.
func (p *pass) knowsNewest() bool {
	n := p.y.memory.state.Newest
	source, location := p.y.followed()
	return n != nil && n.Source == source && (n.Location == location || !p.term.sure)
}

// followed says what a sync follows, and where that is.
func (y *syncer) followed() (source, location string) {
	if s, ok := y.watcher.source.Source.(interface{ Selects() string }); ok {
		source = s.Selects()
	}
	if y.spec.Path != "" {
		source = strings.TrimSpace(source + " path=" + y.spec.Path)
	}
	return source, y.watcher.source.Source.String()
}

// isDirectory reports whether revisions of the sync are hashes of content.
func (p *pass) isDirectory() bool {
	return strings.HasPrefix(p.y.memory.state.Newest.ID, plan.ContentHash)
}

// advance notes the revision of a pass as the newest, and reports whether that is
// news: before the first write of it, or once it was found that there is none.
func (p *pass) advance() bool {
	memory := &p.y.memory
	if p.term == nil || p.pin != nil || p.from.hold != nil || !p.from.writes || !memory.loaded || memory.state.Stopped() {
		return false
	}
	n, next := memory.state.Newest, p.y.newestOf(p.revision, time.Now())
	if n != nil && n.ID == next.ID && n.Source == next.Source && n.Scope == next.Scope {
		if n.Location == next.Location || !p.term.sure { // by the mirror of another replica
			return false
		}
		next.Since, next.Sum, next.Returned = n.Since, n.Sum, n.Returned
	}
	if p.from.back {
		p.c.log.Warn("the source went back to a superseded revision, and the sync follows it", "sync", p.y.spec.Name,
			"revision", next.ID, "before", n.ID)
	}
	next.Returned = next.Returned || p.from.back
	memory.state.Newest = n.Supersede(next)
	p.y.watcher.showsNewest(next.ID, memory.state.Newest)
	return true
}

// newestOf is a revision as the store has it.
func (y *syncer) newestOf(r sources.Revision, now time.Time) store.Newest {
	n := store.Newest{Kept: store.Kept{
		ID: r.ID, Ref: r.Ref, Author: r.Author, Subject: r.Subject, Time: r.Time, Since: now, Scope: y.spec.Policy.Scope,
	}}
	n.Source, n.Location = y.followed()
	n.Parents = r.Parents
	return n
}

// approveOlder lets a sync that is held follow its source back to the older
// revision that it answers with.
func (c *Controller) approveOlder(ctx context.Context, y *syncer, id string, by store.Asked) error {
	return c.order(ctx, y.spec.Name, by, func(s *store.State) error {
		seen := y.watcher.seen().snapshot
		if seen == nil || seen.Revision.ID != id {
			return fmt.Errorf("%w: the source no longer answers with revision %s", ErrConflict, plan.ShortRevision(id))
		}
		next := y.newestOf(seen.Revision, time.Now())
		next.Returned = true
		s.Newest = s.Newest.Supersede(next)
		return nil
	})
}

// answeredOlder is the older revision that a held sync's source answers with, if
// its beginning is the one given; empty: there is none.
func (y *syncer) answeredOlder(revision string) string {
	h := y.holdShown()
	if h == nil || h.Answered == "" || revision == "" || !plan.IsRevision(h.Answered, revision) {
		return ""
	}
	return h.Answered
}

// holdShown is the hold that the status tells of.
func (y *syncer) holdShown() *status.Hold {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.view.Hold
}

// keepTo notes that the pass under way keeps to a revision that its source does
// not show: the answer that it does not follow is none that supersedes it.
func (y *syncer) keepTo(h *status.Hold) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.current.revision, y.current.against, y.current.held = h.Revision, h.Answered, true
}

// showHold shows the hold of a pass, and logs where it begins, changes and ends.
func (p *pass) showHold() {
	h := p.from.hold
	p.y.mu.Lock()
	before := p.y.view.Hold
	p.y.view.Hold = h
	p.y.mu.Unlock()
	switch {
	case h == nil && before != nil && p.term != nil:
		p.c.log.Info("sync is no longer held", "sync", p.y.spec.Name, "revision", p.revision.ID)
	case h != nil && (before == nil || before.Revision != h.Revision || before.Answered != h.Answered || before.Reconciles != h.Reconciles):
		p.c.log.Warn("sync is held at the newest applied revision", "sync", p.y.spec.Name, "revision", h.Revision,
			"answered", h.Answered, "reconciles", h.Reconciles, "reason", h.Reason)
	}
}
