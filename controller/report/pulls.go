package report

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
)

const (
	// replanAfter is how long pull requests are left as they are after a reconciliation
	// that may have changed what their plans say: a rollout is many of them.
	replanAfter = 2 * time.Second
	// replanShare: after pull requests were planned, none is planned again for what
	// reconciliations change for as many times as long as planning all of them takes,
	// so that a hundred of them leave the processor to who reconciles.
	replanShare = 9
	// verifyAfter is how long a comment is believed to be there as it was read last:
	// not every forge tells of one that was deleted.
	verifyAfter = 10 * time.Minute
)

// pulls is what a worker knows of the open pull requests; guarded by its mu.
type pulls struct {
	all map[int]*pull
	// last is, by sync, what its last reconciliation planned, until it is compared with
	// prints and revisions: what those before had planned, and at which revision.
	last              map[string]reconcile.Ended
	prints, revisions map[string]string
	kept              kept
}

func newPulls() pulls {
	return pulls{all: map[int]*pull{}, last: map[string]reconcile.Ended{}, prints: map[string]string{}, revisions: map[string]string{}}
}

// open is how many are known.
func (p *pulls) open() int { return len(p.all) }

// pull is one open pull request. The flags say what of it is out of date; all else is
// used by the worker's goroutine alone, but for touched.
type pull struct {
	listed forge.Pull // as the list had it last
	reread bool       // its commits, or what the forge says of it
	replan bool       // what Marathon and the syncs are at
	verify time.Time  // when its comment is looked for again

	touched []string // syncs
	took    time.Duration

	at        forge.Pull // as it was read last
	result    *result    // nil: its base is of no sync
	draft     draft
	annotated map[string]annotated // by sync
	failures  int                  // to plan, in a row
}

// forget has every pull request read and planned again.
func (w *worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, p := range w.pulls.all {
		p.reread = true
		w.queue.Add(key{kind: kindPull, number: n})
	}
}

// planned takes in what a reconciliation planned.
func (w *worker) planned(e reconcile.Ended) {
	if e.Plan == nil {
		return // nothing could be read: nothing new is known
	}
	slim := slim(*e.Plan)
	e.Plan = &slim
	w.mu.Lock()
	w.pulls.last[e.Sync] = e
	w.mu.Unlock()
	w.add(key{kind: kindSync, sync: e.Sync})
}

// compare has those pull requests planned again whose plan a reconciliation may have
// changed. The plan of a pull request depends on git, Marathon, the inventory, and what
// failed. Whatever changes one of them changes the sync's own plan too, or its revision,
// but for what nothing in git defines. So the print of that plan is compared: while
// everything is at rest it is the same, and nothing is done.
func (w *worker) compare(sync string) {
	w.mu.Lock()
	e, news := w.pulls.last[sync]
	delete(w.pulls.last, sync)
	w.mu.Unlock()
	if !news {
		return
	}
	print, revision := printOf(e.Plan), e.Reconciliation.Revision
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.pulls
	moved := p.revisions[sync] != revision
	if !moved && p.prints[sync] == print {
		return
	}
	p.prints[sync], p.revisions[sync] = print, revision
	delay := p.replanAfter()
	for n, one := range p.all {
		if slices.Contains(one.touched, sync) {
			one.replan = true
			w.queue.AddAfter(key{kind: kindPull, number: n}, delay)
		}
	}
	if moved {
		w.queue.Add(key{kind: kindList}) // which looks where the branch is, and perhaps learns only now which it is
	}
}

// replanAfter is how long to leave pull requests as they are. Called with mu held.
func (p *pulls) replanAfter() time.Duration {
	var all time.Duration
	for _, one := range p.all {
		all += one.took
	}
	return max(replanAfter, replanShare*all)
}

// printOf identifies what a plan says.
func printOf(p *plan.Plan) string {
	sum := sha256.New()
	// What cannot be written as JSON is no plan.
	_ = json.NewEncoder(sum).Encode(p)
	return hex.EncodeToString(sum.Sum(nil))
}

// list finds out which pull requests are to be looked at: those that are new, differ, or
// are no longer listed as open, those whose base has moved, and those whose comment was
// not looked for in a while.
func (w *worker) list(ctx context.Context) error {
	branch := w.source.Branch()
	if !w.source.Comments && !w.source.Statuses || branch == "" {
		return nil
	}
	listed, more, err := w.source.Forge.Pulls(ctx)
	if err != nil {
		return err
	}
	if more {
		w.log.Warn("too many open pull requests: only the newest are planned", "planned", len(listed))
	}
	tip, err := "", error(nil)
	if slices.ContainsFunc(listed, func(p forge.Pull) bool { return p.Base == branch }) {
		tip, err = w.tip(ctx, branch)
	}
	w.listed(listed, branch, tip)
	return err
}

// tip is the commit that a branch is at; empty: it is not there.
func (w *worker) tip(ctx context.Context, branch string) (string, error) {
	ref := "refs/heads/" + branch
	got, err := w.source.Commits.Fetch(ctx, []string{ref})
	if err != nil || got[ref] == nil {
		return "", err
	}
	return got[ref].Revision.ID, nil
}

// listed queues what a list shows to be out of date.
func (w *worker) listed(listed []forge.Pull, branch, tip string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	open := map[int]bool{}
	for _, l := range listed {
		open[l.Number] = true
		p := w.pulls.all[l.Number]
		if p == nil {
			p = &pull{reread: true, annotated: map[string]annotated{}}
			w.pulls.all[l.Number] = p
		}
		before := p.listed
		p.listed = l
		p.reread = p.reread || differs(before, l) || l.Base == branch && (p.result == nil || tip != "" && tip != p.result.base.Revision.ID)
		said := !before.Updated.Equal(l.Updated) // somebody has said something, or deleted it
		if p.reread || said || len(p.touched) > 0 && !p.verify.After(now) {
			w.queue.Add(key{kind: kindPull, number: l.Number})
		}
	}
	for n, p := range w.pulls.all {
		if !open[n] {
			p.reread = true
			w.queue.Add(key{kind: kindPull, number: n})
		}
	}
}

// differs reports whether what is said of a pull request may have to differ.
func differs(a, b forge.Pull) bool {
	return a.HeadCommit != b.HeadCommit || a.Base != b.Base || a.BaseCommit != b.BaseCommit || a.MergeRef != b.MergeRef ||
		a.Conflicts != b.Conflicts || a.Fork != b.Fork || a.State != b.State || !slices.Equal(a.Labels, b.Labels)
}

// pull brings what is said of a pull request up to date: it reads it, plans it, and says
// what differs from what is said there already. What is up to date already is left out.
func (w *worker) pull(ctx context.Context, n int) error {
	p, reread, replan := w.take(n)
	if p == nil {
		return nil
	}
	err := w.bring(ctx, n, p, reread, replan)
	if err != nil {
		w.untake(p, reread, replan)
	}
	return err
}

// take is a pull request, and what is to be brought up to date of it.
func (w *worker) take(n int) (p *pull, reread, replan bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p = w.pulls.all[n]; p == nil {
		return nil, false, false
	}
	reread, replan = p.reread, p.replan || p.reread
	p.reread, p.replan = false, false
	return p, reread, replan
}

// untake notes that this is still to be done.
func (w *worker) untake(p *pull, reread, replan bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.reread, p.replan = p.reread || reread, p.replan || replan
}

func (w *worker) bring(ctx context.Context, n int, p *pull, reread, replan bool) error {
	if reread {
		at, err := w.source.Forge.Pull(ctx, n)
		switch {
		case errors.Is(err, forge.ErrNotFound):
			w.drop(n)
			return nil
		case err != nil:
			return err
		}
		switch p.at = at; at.State {
		case forge.PullMerged:
			if err := w.merged(ctx, at); err != nil {
				return err
			}
			w.drop(n)
			return nil
		case forge.PullClosed:
			w.drop(n)
			return nil
		}
		if p.result, err = nil, nil; at.Base == w.source.Branch() {
			p.result, err = w.fetch(ctx, at)
		}
		if err != nil {
			return err
		}
	}
	began := time.Now()
	found, memory, err := w.find(ctx, n)
	if err != nil {
		return err
	}
	if replan {
		d, err := w.draft(ctx, p, memory)
		if err != nil {
			return err
		}
		p.draft = d
	}
	w.mu.Lock()
	p.touched, p.verify = p.draft.touched(), time.Now().Add(verifyAfter)
	if replan {
		p.took = time.Since(began)
	}
	w.mu.Unlock()
	if err := w.say(ctx, p, found); err != nil {
		return err
	}
	w.keep(p)
	return p.draft.err
}

// drop forgets a pull request that is no longer open.
func (w *worker) drop(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pulls.all, n)
}
