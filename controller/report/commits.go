package report

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/report/comment"
	"github.com/pacer-gitops/pacer/controller/status"
)

// commits is what a worker knows of the commits of its source; guarded by its mu.
type commits struct {
	// wanted is what commits are to say; a key stays while a newer revision of its sync
	// has not come, so that what is at rest is not asked for again.
	wanted map[key]forge.Status
	said   map[key]forge.Status // of these, what the forge has
	began  map[string]time.Time // sync → when the first change of its revision began
}

func newCommits() commits {
	return commits{wanted: map[key]forge.Status{}, said: map[key]forge.Status{}, began: map[string]time.Time{}}
}

// commitContext is the context of the status of a commit for a sync.
func commitContext(sync string) string { return "pacer/" + sync }

// changesBegan takes in that a reconciliation has begun to change something.
func (w *worker) changesBegan(b reconcile.Began) {
	w.mu.Lock()
	if _, known := w.commits.began[b.Sync]; !known || !w.isOf(b.Sync, b.Revision.ID) {
		w.commits.began[b.Sync] = b.At
	}
	w.mu.Unlock()
	w.follow(b.Sync, b.Revision.ID, b.Former)
	w.want(b.Sync, b.Revision.ID, forge.Pending, "the rollout is in progress")
}

// isOf reports whether a sync is known to go by a commit. Called with mu held.
func (w *worker) isOf(sync, commit string) bool {
	_, known := w.commits.wanted[key{kind: kindCommit, commit: commit, sync: sync}]
	return known
}

// reconciled takes in what became of a reconciliation. One that found out nothing, or
// was cut off, says nothing: the next one knows more.
func (w *worker) reconciled(e reconcile.Ended) {
	result := e.Reconciliation.Result
	if !e.Leads || e.Standing == nil || result == status.ResultSuperseded || result == status.ResultStopped {
		return
	}
	commit := e.Revision.ID
	if e.Standing.Away != "" {
		commit = e.Fetched.ID // the commit that the sync does not go by
	}
	if commit == "" {
		return
	}
	if e.Standing.Away == "" {
		w.follow(e.Sync, commit, e.Former)
	}
	w.mu.Lock()
	began := w.commits.began[e.Sync]
	w.mu.Unlock()
	w.want(e.Sync, commit, stateOf(e), descriptionOf(e, began))
}

// follow notes which commit a sync goes by now, and has the former ones say so, if they
// wait for their rollout.
func (w *worker) follow(sync, commit string, former []string) {
	w.mu.Lock()
	if !w.isOf(sync, commit) {
		for k, wanted := range w.commits.wanted {
			// What the forge has not yet is kept, unless it has been away for very long.
			if k.sync == sync && (w.commits.said[k] == wanted || len(w.commits.wanted) > maxQueue) {
				delete(w.commits.wanted, k)
				delete(w.commits.said, k)
			}
		}
	}
	unsaid := slices.Clone(former)
	for k := range w.commits.wanted {
		if k.sync == sync && k.commit != commit && !slices.Contains(unsaid, k.commit) {
			unsaid = append(unsaid, k.commit)
		}
	}
	w.mu.Unlock()
	for _, before := range unsaid {
		w.want(sync, before, forge.Stopped, "superseded by "+plan.ShortRevision(commit)+" before it was healthy")
	}
}

// want has a commit say something, if that is news.
func (w *worker) want(sync, commit string, state forge.State, description string) {
	if !w.source.Statuses {
		return
	}
	k := key{kind: kindCommit, commit: commit, sync: sync}
	w.mu.Lock()
	s := forge.Status{Context: commitContext(sync), State: state, Description: description, URL: w.syncURL(sync)}
	news := w.commits.wanted[k] != s || w.commits.said[k] != s
	w.commits.wanted[k] = s
	w.mu.Unlock()
	if news {
		w.add(k)
	}
}

// syncURL is where the page shows a sync; empty: nowhere. Called with mu held.
func (w *worker) syncURL(sync string) string {
	if w.settings.url == "" {
		return ""
	}
	return w.settings.url + "/#sync-" + sync
}

// stateOf is the state of the commit that a sync goes by, or is to go by:
//
//	what is known of it                             state
//	another revision is in force, or it is stopped  pending
//	errors in manifests                             failure
//	an app has failed                               failure
//	changes are blocked, or wait for an approval    pending
//	an app is not settled and healthy yet           pending
//	the reconciliation goes on, or has failed       pending
//	otherwise                                       success
func stateOf(e reconcile.Ended) forge.State {
	switch s := e.Standing; {
	case s.Stopped, s.Away != "":
		return forge.Pending
	case e.Errors > 0, s.Failed > 0:
		return forge.Failure
	case s.Approval+s.Blocked+s.Coming > 0, !hasEnded(e):
		return forge.Pending
	}
	return forge.Success
}

// hasEnded reports whether a reconciliation has done all that it had to.
func hasEnded(e reconcile.Ended) bool {
	return e.Reconciliation.Result == status.ResultApplied || e.Reconciliation.Result == status.ResultUnchanged
}

// descriptionOf says why a commit is in its state. It is the same while that is.
func descriptionOf(e reconcile.Ended, began time.Time) string {
	switch s := e.Standing; {
	case s.Stopped:
		return "the sync is suspended: nothing is changed"
	case s.Away != "":
		return "the sync is " + s.Away
	case e.Errors > 0 && e.Plan != nil:
		return comment.StatusText(*e.Plan)
	case e.Errors > 0:
		return "errors in manifests"
	case s.Failed > 0:
		return s.FailedFirst
	case s.Approval > 0:
		return counted(s.Approval, "change needs approval", "changes need approval")
	case s.Blocked > 0:
		return counted(s.Blocked, "change is blocked", "changes are blocked")
	case s.Coming > 0, !hasEnded(e):
		return "the rollout is in progress"
	}
	if entry := e.Entry; entry != nil && len(entry.Changes) > 0 {
		if began.IsZero() || began.After(entry.Began) {
			began = entry.Began
		}
		return "healthy after " + entry.Ended.Sub(began).Round(time.Second).String()
	}
	return "no changes: healthy"
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// commit brings the status of a commit for a sync up to date:
//
//	the forge has         wanted                becomes
//	pending               superseded            superseded
//	nothing, or an end    superseded            as it is
//	success               any                   as it is: what fails later is another try
//	failure               pending               as it is: the reason stands until it is healthy
//	the same state        pending, other words  the new words
//	the same state        others                as it is
//	otherwise             any                   what is wanted
//
// So a commit is never successful first and failed later, and what is at rest is not
// written again, whoever leads.
func (w *worker) commit(ctx context.Context, commit, sync string) error {
	k := key{kind: kindCommit, commit: commit, sync: sync}
	w.mu.Lock()
	wanted, known := w.commits.wanted[k]
	w.mu.Unlock()
	if !known {
		return nil // a newer one has come
	}
	all, err := w.source.Forge.Statuses(ctx, commit)
	if err != nil {
		return err
	}
	var there *forge.Status
	if i := slices.IndexFunc(all, func(s forge.Status) bool { return s.Context == wanted.Context }); i >= 0 {
		there = &all[i]
	}
	if becomes(there, wanted) {
		if err := w.source.Forge.SetStatus(ctx, commit, wanted); err != nil {
			return fmt.Errorf("set the status %s of commit %s: %w", wanted.Context, plan.ShortRevision(commit), err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.commits.wanted[k] == wanted { // else it is queued again
		w.commits.said[k] = wanted
	}
	return nil
}

// becomes is the table above commit.
func becomes(there *forge.Status, wanted forge.Status) bool {
	switch {
	case wanted.State == forge.Stopped:
		return there != nil && there.State == forge.Pending
	case there == nil:
		return true
	case there.State == forge.Success, there.State == forge.Failure && wanted.State == forge.Pending:
		return false
	case there.State != wanted.State:
		return true
	}
	return wanted.State == forge.Pending && !sameStatus(*there, wanted)
}

// recommit has what is known of commits said again.
func (w *worker) recommit() {
	w.mu.Lock()
	all := slices.Collect(maps.Keys(w.commits.wanted))
	w.mu.Unlock()
	for _, k := range all {
		w.add(k)
	}
}

// merged brings the comment on a pull request that was merged up to date.
func (w *worker) merged(context.Context, forge.Pull) error { return nil }
