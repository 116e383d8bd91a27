package reconcile

import (
	"cmp"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// recorded adds an entry to a history, newest first. A reconciliation that failed as the
// one before did, and changed nothing, only moves the end of that one: else a
// night without Marathon, or with one that takes no write, would push out all that
// ever happened.
func recorded(history []store.Entry, e *store.Entry) ([]store.Entry, bool) {
	if e == nil {
		return history, false
	}
	if len(history) > 0 && repeats(history[0], *e) {
		history = append([]store.Entry(nil), history...)
		history[0].Ended, history[0].Repeated = e.Ended, history[0].Repeated+1
		return history, true
	}
	return WithEntry(history, *e), true
}

// repeats reports whether two entries are of the same failure, of which nothing
// came.
func repeats(a, b store.Entry) bool {
	same := func(x, y store.Done) bool {
		return x.ID == y.ID && x.Action == y.Action && x.Outcome == y.Outcome && x.Reason == y.Reason
	}
	return b.Result == string(status.ResultFailed) && a.Result == b.Result && a.Revision == b.Revision && a.Message == b.Message &&
		a.More == b.More && slices.EqualFunc(a.Changes, b.Changes, same) &&
		!slices.ContainsFunc(b.Changes, func(d store.Done) bool { return d.Outcome == string(apply.Applied) })
}

// WithEntry is a history with an entry on top, and without what is too old.
func WithEntry(history []store.Entry, e store.Entry) []store.Entry {
	history = append([]store.Entry{e}, history...)
	return history[:min(len(history), store.MaxHistory)]
}

// entry is what the history keeps of a reconciliation; nil if it changed nothing, did not
// fail and was not asked for by name. What is merely blocked is in the status,
// not in the history, and so is what the next reconciliation goes on with.
func (p *reconciliation) entry(last status.Reconciliation) *store.Entry {
	e := &store.Entry{
		Revision: p.revision.ID, Author: p.revision.Author, Subject: p.revision.Subject,
		Began: last.Began, Ended: last.Ended, Result: string(last.Result), Message: last.Error, Asked: p.asked,
	}
	if p.change != nil {
		e.Commit, e.Author, e.Subject = p.change.ID, p.change.Author, p.change.Subject
	}
	if last.Result == status.ResultProgressing {
		e.Result = string(status.ResultApplied) // all that is listed is
	}
	for _, o := range p.outcomes {
		if o.Result == apply.Blocked || (!isEnd(o.Result) && o.Began.IsZero()) {
			continue
		}
		done := store.Done{ID: o.ID, Action: o.Action, Outcome: string(o.Result), Reason: cmp.Or(o.Reason, p.drift[o.ID])}
		if isEnd(o.Result) && !o.Began.IsZero() && o.Ended.After(o.Began) {
			done.Seconds = o.Ended.Sub(o.Began).Round(time.Millisecond).Seconds()
		}
		e.Changes = append(e.Changes, done)
		e.Summary.Count(o.Action)
	}
	if len(e.Changes) > 0 {
		e.Began, e.Ended = p.lasted(last)
	}
	if len(e.Changes) > store.MaxChanges {
		slices.SortStableFunc(e.Changes, func(a, b store.Done) int { return cmp.Compare(applied(a), applied(b)) })
		e.More = len(e.Changes) - store.MaxChanges
		e.Changes = slices.Clone(e.Changes[:store.MaxChanges])
	}
	if len(e.Changes) == 0 && last.Result != status.ResultFailed && !p.tellsOfRollback(last.Result) {
		return nil
	}
	return e
}

// isEnd reports whether a change with that result has ended by itself.
func isEnd(r apply.Result) bool { return r == apply.Applied || r == apply.Failed }

// lasted is when the first write of the changes of a reconciliation was sent, and when the
// last of them ended. Writes of another revision, watched to their end, count only
// where there are no others. Of a reconciliation that was given up it is when that was.
func (p *reconciliation) lasted(last status.Reconciliation) (began, ended time.Time) {
	var before time.Time // the first write of another revision
	for _, o := range p.outcomes {
		if o.Result == apply.Blocked {
			continue
		}
		if isEnd(o.Result) && o.Ended.After(ended) {
			ended = o.Ended
		}
		first := &began
		if p.older[o.ID] {
			first = &before
		}
		if !o.Began.IsZero() && (first.IsZero() || o.Began.Before(*first)) {
			*first = o.Began
		}
	}
	if last.Result == status.ResultSuperseded || last.Result == status.ResultStopped || ended.IsZero() {
		ended = last.Ended
	}
	return cmp.Or(began, before, ended), ended
}

// applied is 1 for a change that succeeded, which is the least to be told of.
func applied(d store.Done) int {
	if d.Outcome == string(apply.Applied) {
		return 1
	}
	return 0
}

// tellsOfRollback reports whether a reconciliation belongs in the history even if it found
// nothing to change: that a rollback began or ended.
func (p *reconciliation) tellsOfRollback(r status.Result) bool {
	asked := p.asked.Verb == VerbRollback || p.asked.Verb == VerbRelease
	return asked && r == status.ResultUnchanged && !p.r.record.state.Stopped()
}
