package controller

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// isAnswer tells whether an error comes from talking to Marathon at all.
func isAnswer(err error) bool {
	_, ok := errors.AsType[*marathon.Error](err)
	return ok
}

// endOf sums up what became of the changes of a pass:
//
//	cause        outcomes                   result
//	superseded   any                        superseded
//	other        any                        stopped
//	none, again  a failed or unknown one    failed
//	again        one that is handed over    progressing
//	none, again  an applied one             applied
//	none, again  only blocked ones          unchanged
//
// Again (errAgain) is the cause of a pass that ends for the next one, which goes on
// with what has not ended: that has no outcome yet.
func endOf(cause error, outcomes []apply.Outcome) passEnd {
	end := passEnd{result: status.ResultUnchanged}
	if errors.Is(cause, errAgain) {
		cause, end.again = nil, slices.ContainsFunc(outcomes, isHandedOver)
		if end.again {
			end.result = status.ResultProgressing
		}
	}
	for _, o := range outcomes {
		switch o.Result {
		case apply.Applied:
			if end.result == status.ResultUnchanged {
				end.result = status.ResultApplied
			}
		case apply.Failed:
			end.result = status.ResultFailed
			end.transient = end.transient || o.Transient || o.Hash == ""
		case apply.Unknown:
			end.result, end.unknown = status.ResultFailed, true
		}
	}
	switch {
	case errors.Is(cause, apply.ErrSuperseded):
		end.result = status.ResultSuperseded
	case cause != nil:
		end.result = status.ResultStopped
	}
	return end
}

// isHandedOver reports whether the next pass goes on with what an outcome of one
// that ended for it is of.
func isHandedOver(o apply.Outcome) bool { return o.Result == apply.Superseded }

// remember notes in the memory what is told of a change, and tells whether that
// is worth a save. A rollout that an earlier pass began at the same revision is of
// what that was for.
func (p *pass) remember(o apply.Outcome) bool {
	s := &p.y.memory.state
	if r := s.Rollouts[o.ID]; r.Revision == p.revision.ID {
		p.asked = p.asked.Or(r.Asked)
	} else if r.Revision != "" && r.Began.Equal(o.Began) {
		p.older[o.ID] = true
	}
	news := remember(s, o, p.revision.ID, p.fileOf(o.ID))
	if r, begun := s.Rollouts[o.ID]; begun && r.Asked.By == "" {
		r.Asked = p.asked
		s.Rollouts[o.ID] = r
	}
	return news
}

// remember notes in the state what is told of a change, and tells whether that
// is worth a save.
//
// An id is in the inventory from when its change is under way: Marathon has our
// definition then, whatever becomes of its tasks.
func remember(s *store.State, o apply.Outcome, revision, file string) bool {
	if o.Revert {
		return rememberRevert(s, o, revision, file)
	}
	switch o.Result {
	case "":
		if o.Deployment == "" || s.Rollouts[o.ID].Deployment == o.Deployment {
			return false
		}
		begun(s, o, revision, file)
		return true
	case apply.Applied:
		if o.Action == plan.Delete {
			delete(s.Inventory, o.ID)
		} else {
			s.Inventory[o.ID] = appliedAt(s, o, revision, file)
		}
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		delete(s.Failed, o.ID)
		delete(s.Approved, o.ID) // it was for this change
		return true
	case apply.Failed:
		isNew := o.Action == plan.Create || isUnproven(s, o.ID)
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		if o.Hash != "" && !o.Transient {
			s.Failed[o.ID] = plan.Failure{Hash: o.Hash, Reason: o.Reason, Revision: revision, Deployment: o.Deployment, New: isNew}
		}
		return true
	case apply.Blocked: // nothing was taken
		_, sent := s.Sent[o.ID]
		delete(s.Sent, o.ID)
		return sent
	default: // superseded, unknown: the next pass watches what is under way
		return false
	}
}

// appliedAt is the entry in the inventory for what has been applied. A rollout
// of an older revision, watched to its end, stays that one's: what git has now
// was not applied, and does not drift. One that was only taken up again, without
// a definition, changes no entry.
func appliedAt(s *store.State, o apply.Outcome, revision, file string) store.Owned {
	if owned, known := s.Inventory[o.ID]; known && o.Hash == "" {
		return owned
	}
	if under := s.Rollouts[o.ID]; under.Revision != "" && under.Hash == o.Hash {
		revision = under.Revision
	}
	return store.Owned{Kind: o.Kind, File: file, Revision: revision, Hash: o.Hash}
}

// isUnproven tells whether no rollout of an id has come up yet.
func isUnproven(s *store.State, id string) bool { return s.Failed[id].New || s.Rollouts[id].New }

// unproven lists what is new and has not come up yet.
func unproven(s *store.State) map[string]bool {
	ids := map[string]bool{}
	for id, f := range s.Failed {
		if f.New {
			ids[id] = true
		}
	}
	for id, r := range s.Rollouts {
		if r.New && r.Action != plan.Delete {
			ids[id] = true
		}
	}
	return ids
}

// carried is what Apply is told of rollouts that are under way.
func carried(rollouts map[string]store.Rollout) map[string]apply.Rollout {
	all := make(map[string]apply.Rollout, len(rollouts))
	for id, r := range rollouts {
		all[id] = apply.Rollout{Kind: r.Kind, Deployment: r.Deployment, Hash: r.Hash, Action: r.Action, Began: r.Began, Revert: r.Revert}
	}
	return all
}

// hanging lists the deployments of rollouts that failed. Marathon goes on with
// them, so they may still hold the locks of what mends them.
func hanging(failed map[string]plan.Failure) []string {
	var deployments []string
	for _, f := range failed {
		if f.Deployment != "" {
			deployments = append(deployments, f.Deployment)
		}
	}
	return deployments
}

// failedIDs are the ids of rollouts that failed.
func failedIDs(failed map[string]plan.Failure) map[string]bool {
	ids := make(map[string]bool, len(failed))
	for id := range failed {
		ids[id] = true
	}
	return ids
}

// approved holds the ids that were approved for this very revision.
func approved(approvals map[string]string, revision string) map[string]bool {
	ids := map[string]bool{}
	for id, r := range approvals {
		if r == revision {
			ids[id] = true
		}
	}
	return ids
}

// LiveOf is what the plan needs of Marathon's state.
func LiveOf(s marathon.State) plan.Live {
	live := plan.Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}, Groups: s.Groups}
	for id, a := range s.Apps {
		live.Apps[id] = a.Definition
	}
	for id, p := range s.Pods {
		live.Pods[id] = p.Definition
	}
	return live
}

// lives makes LiveOf once for all passes that plan on one state: of a live cache
// that is every sync, for as long as nothing changes.
type lives struct {
	mu   sync.Mutex
	from uintptr // the map of apps it was made from, which last keeps from being reused
	last marathon.State
	live plan.Live
}

func (l *lives) of(s marathon.State) plan.Live {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from := reflect.ValueOf(s.Apps).Pointer(); l.from != from {
		l.from, l.last, l.live = from, s, LiveOf(s)
	}
	return l.live
}

// recorded adds an entry to a history, newest first. A pass that failed as the
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
	return cut(append([]store.Entry{*e}, history...)), true
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

func cut(history []store.Entry) []store.Entry {
	return history[:min(len(history), store.MaxHistory)]
}

// entry is what the history keeps of a pass; nil if it changed nothing, did not
// fail and was not asked for by name. What is merely held back is in the status,
// not in the history, and so is what the next pass goes on with.
func (p *pass) entry(last status.Reconciliation) *store.Entry {
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
		count(&e.Summary, o.Action)
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

// lasted is when the first write of the changes of a pass was sent, and when the
// last of them ended. Writes of another revision, watched to their end, count only
// where there are no others. Of a pass that was given up it is when that was.
func (p *pass) lasted(last status.Reconciliation) (began, ended time.Time) {
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

// tellsOfRollback tells whether a pass belongs in the history even if it found
// nothing to change: that a rollback began or ended.
func (p *pass) tellsOfRollback(r status.Result) bool {
	asked := p.asked.Verb == verbRollback || p.asked.Verb == verbRelease
	return asked && r == status.ResultUnchanged && !p.y.memory.state.Stopped()
}

func count(s *plan.Summary, a plan.Action) {
	switch a {
	case plan.Create:
		s.Create++
	case plan.Update:
		s.Update++
	case plan.Scale:
		s.Scale++
	case plan.Delete:
		s.Delete++
	}
}

// superseded tells whether a context ended for a newer revision.
func superseded(ctx context.Context) bool { return errors.Is(context.Cause(ctx), apply.ErrSuperseded) }
