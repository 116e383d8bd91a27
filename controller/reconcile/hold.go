package reconcile

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
// revision that was started to be applied is in the store; see store.Newest.

// HoldAfter is how long the first fetch of a term may take before the sync is
// reconciled with the newest revision that was applied.
const HoldAfter = 10 * time.Second

// ground is what a reconciliation takes for desired, and what it may do by it.
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

// verdict is what a reconciliation of the leader takes for desired.
type verdict string

const (
	follow  verdict = "follow"  // what was fetched
	awaits  verdict = "wait"    // what was fetched before the term, and it only reads
	hold    verdict = "hold"    // the newest revision that was applied
	confirm verdict = "confirm" // the same, and the source is asked again
)

// verdictOf decides what a reconciliation of the leader takes for desired:
//
//	fetch of the term       newest      what it brought   shown here   asked again    verdict
//	ended well              not known   any               any          any            follow
//	ended well              known       not older         any          any            follow
//	ended well              known       older             yes          the same       follow: a force-push
//	ended well              known       older             yes          not yet        confirm
//	ended well              known       older             no           any            hold: a mirror that lags
//	failed, or it is late   known                                                     hold
//	failed, or it is late   not known                                                 wait
//	in progress             any                                                       wait
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

// stand chooses what a reconciliation goes by: a rollback, what was fetched, or the newest
// revision that was applied.
func (p *reconciliation) stand(ctx context.Context, seen Fetch) ground {
	if pin := p.r.record.state.Pin; pin != nil {
		return ground{revision: revisionOf(pin.Kept), kept: &pin.Kept, writes: true}
	}
	g := ground{snapshot: seen.Snapshot}
	if seen.Snapshot != nil {
		g.revision = seen.Snapshot.Revision
		p.r.Source.ShowsNewest(g.revision.ID, p.r.record.state.Newest)
	}
	if p.term == nil || !p.r.record.loaded {
		return g
	}
	c := p.situation(ctx, seen)
	switch verdictOf(c) {
	case follow:
		g.writes, g.back = true, c.older
	case confirm:
		p.r.Source.Confirm(seen.Snapshot.Revision.ID)
		g = p.held(ctx, g, seen, "it is fetched again every 2 s, to distinguish a force-push from a server that lags behind")
		g.confirms = true
		return g
	case hold:
		return p.held(ctx, g, seen, p.wayOn(c, seen))
	}
	return g
}

// situation finds out what the verdict depends on.
func (p *reconciliation) situation(ctx context.Context, seen Fetch) situation {
	state, w := &p.r.record.state, p.r.Source
	c := situation{
		fetched: seen.Fetched == p.term && seen.Snapshot != nil,
		waited:  seen.Tried == p.term || time.Since(w.AskedSince(p.term.Began)) >= HoldAfter,
		known:   p.knowsNewest(),
	}
	if !c.fetched || !c.known {
		return c
	}
	revision, directory := seen.Snapshot.Revision, p.isDirectory()
	if directory {
		revision.Time = time.Time{} // of a file: it may be anything
	}
	if c.older = state.IsOlder(revision.ID, revision.Parents, revision.Time); !c.older {
		return c
	}
	c.shown = directory && p.term.sure || w.HasShown(ctx, state.Newest, p.term.Began)
	c.confirmed = c.shown && (directory || w.IsConfirmed(revision.ID))
	return c
}

// wayOn says what a person may do about a hold.
func (p *reconciliation) wayOn(c situation, seen Fetch) string {
	switch {
	case c.fetched:
		newest, answered := plan.ShortRevision(p.r.record.state.Newest.ID), plan.ShortRevision(seen.Snapshot.Revision.ID)
		return fmt.Sprintf("this replica never fetched %s there, so the server or mirror may lag behind; "+
			"the sync continues with %s or any later revision; if %s is correct, run pacer approve %s --revision %s",
			newest, newest, answered, p.r.Sync.Name, answered)
	case seen.Tried == p.term && seen.Err != nil:
		return seen.Err.Error()
	}
	return fmt.Sprintf("its fetch has not ended after %s", HoldAfter)
}

// held is the ground of a reconciliation that keeps to the newest revision.
func (p *reconciliation) held(ctx context.Context, g ground, seen Fetch, why string) ground {
	n := p.r.record.state.Newest
	h := &status.Hold{Revision: n.ID, Subject: n.Subject, Since: p.began, Reconciles: true}
	switch {
	case seen.Fetched == p.term && seen.Snapshot != nil:
		h.Answered = seen.Snapshot.Revision.ID
		relation := "which is older than the applied revision %s"
		if p.r.record.state.IsSuperseded(h.Answered) {
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
	if before := p.r.View.Hold(); before != nil && before.Revision == h.Revision && before.Answered == h.Answered {
		h.Since = before.Since
	}
	p.in.Running.keepTo(h.Revision, h.Answered)
	if seen.Snapshot != nil && seen.Snapshot.Revision.ID == n.ID {
		return ground{revision: seen.Snapshot.Revision, snapshot: seen.Snapshot, writes: true, hold: h}
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
func (p *reconciliation) knowsNewest() bool {
	n := p.r.record.state.Newest
	source, location := p.r.followed()
	return n != nil && n.Source == source && (n.Location == location || !p.term.sure)
}

// followed says what a sync follows, and where that is.
func (r *Reconciler) followed() (source, location string) {
	source, location = r.Source.Followed()
	if r.Sync.Path != "" {
		source = strings.TrimSpace(source + " path=" + r.Sync.Path)
	}
	return source, location
}

// isDirectory reports whether revisions of the sync are hashes of content.
func (p *reconciliation) isDirectory() bool {
	return strings.HasPrefix(p.r.record.state.Newest.ID, plan.ContentHash)
}

// advance notes the revision of a reconciliation as the newest, and reports whether that is
// news: before the first write of it, or once it was found that there is none.
func (p *reconciliation) advance() bool {
	memory := &p.r.record
	if p.term == nil || p.pin != nil || p.from.hold != nil || !p.from.writes || !memory.loaded || memory.state.Stopped() {
		return false
	}
	n, next := memory.state.Newest, p.r.NewestOf(p.revision, time.Now())
	if n != nil && n.ID == next.ID && n.Source == next.Source && n.Scope == next.Scope {
		if n.Location == next.Location || !p.term.sure { // by the mirror of another replica
			return false
		}
		next.Since, next.Sum, next.Returned = n.Since, n.Sum, n.Returned
	}
	if p.from.back {
		p.r.Log.Warn("the source went back to a superseded revision, and the sync follows it", "sync", p.r.Sync.Name,
			"revision", next.ID, "before", n.ID)
	}
	next.Returned = next.Returned || p.from.back
	memory.state.Newest = n.Supersede(next)
	p.r.Source.ShowsNewest(next.ID, memory.state.Newest)
	return true
}

// NewestOf is a revision as the store has it.
func (r *Reconciler) NewestOf(of sources.Revision, now time.Time) store.Newest {
	n := store.Newest{Kept: store.Kept{
		ID: of.ID, Ref: of.Ref, Author: of.Author, Subject: of.Subject, Time: of.Time, Since: now, Scope: r.Sync.Policy.Scope,
	}}
	n.Source, n.Location = r.followed()
	n.Parents = of.Parents
	return n
}

// showHold shows the hold of a reconciliation, and logs where it begins, changes and ends.
func (p *reconciliation) showHold() {
	h := p.from.hold
	before := p.r.View.showHold(h)
	switch {
	case h == nil && before != nil && p.term != nil:
		p.r.Log.Info("sync is no longer held", "sync", p.r.Sync.Name, "revision", p.revision.ID)
	case h != nil && (before == nil || before.Revision != h.Revision || before.Answered != h.Answered || before.Reconciles != h.Reconciles):
		p.r.Log.Warn("sync is held at the newest applied revision", "sync", p.r.Sync.Name, "revision", h.Revision,
			"answered", h.Answered, "reconciles", h.Reconciles, "reason", h.Reason)
	}
}
