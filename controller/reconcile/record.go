package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// load reads the store until it could be read once: before that nothing is
// started, since it could not be remembered. What is lost for good has the sync
// only report, see lose.
//
// What was loaded holds for a term, in which nobody else saves: a reconciliation of none
// loads again each time, to show what the leader has saved.
func (p *reconciliation) load(ctx context.Context) error {
	reads := p.r.record.reads
	err := p.loadOnce(ctx)
	if p.r.record.reads != reads && ctx.Err() == nil {
		p.r.View.loaded(err)
	}
	return err
}

// peeker is a store that several processes share.
type peeker interface {
	Peek(ctx context.Context, sync string) (store.State, error)
}

func (p *reconciliation) loadOnce(ctx context.Context) error {
	m := &p.r.record
	if m.loaded && p.term != nil && m.term == p.term && !p.claimed(ctx) {
		return nil
	}
	m.loaded, m.dirty, m.ahead = false, false, false
	m.reads++
	read := p.r.Store.Load
	if z, ok := p.r.Store.(peeker); ok && p.term == nil {
		read = z.Peek // to set something aside is the leader's to do
	}
	state, err := read(ctx, p.r.Sync.Name)
	if isLoss(err) {
		state, err = p.lose(ctx, state, err)
	}
	if err != nil {
		return fmt.Errorf("cannot read the state of this sync, so nothing is changed: %w", err)
	}
	if state.Rollouts == nil {
		state.Rollouts = map[string]store.Rollout{}
	}
	if state.Sent == nil {
		state.Sent = map[string]store.Sent{}
	}
	if state.Failed == nil {
		state.Failed = map[string]plan.Failure{}
	}
	if state.Healthy == nil {
		state.Healthy = map[string]plan.Healthy{}
	}
	if p.term != nil {
		m.dirty = p.own(&state)
	}
	m.state, m.loaded, m.term = state, true, p.term
	p.r.View.restand(state.Stands)
	return nil
}

// save writes the memory, also where ctx has ended: what was done is to be
// remembered.
func (p *reconciliation) save(ctx context.Context) error {
	err := p.saveBy(ctx, p.r.Store.Save)
	if err != nil {
		p.r.record.dirty = true // it may be saved all the same: who changes it back saves that too
	}
	if errors.Is(err, store.ErrStale) {
		p.r.record.term = nil // the next reconciliation loads what is there now
	}
	return err
}

// unsaved reports whether anything is.
func (m *record) unsaved() bool { return m.dirty || m.ahead }

// aheadSaver is a store that saves what is noted ahead of a write at less cost
// than all that is known.
type aheadSaver interface {
	SaveAhead(ctx context.Context, sync string, s store.State) error
}

func (p *reconciliation) saveBy(ctx context.Context, save func(context.Context, string, store.State) error) error {
	if !p.r.record.loaded {
		return nil // what is there is not to be lost
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SaveTimeout)
	defer cancel()
	err := save(ctx, p.r.Sync.Name, p.r.record.state)
	if err == nil || !p.term.over() { // else another replica saves
		p.r.View.saved(err)
	}
	if err != nil {
		return fmt.Errorf("cannot save the state of this sync, so nothing more is changed: %w", err)
	}
	p.r.record.dirty, p.r.record.ahead = false, false
	return nil
}

// learn takes over the inventory of the plan, with what was adopted in silence
// and without what is gone, and forgets failures that are over.
func (p *reconciliation) learn() {
	memory := &p.r.record
	if !memory.loaded {
		return
	}
	if memory.state.Inventory == nil || !maps.Equal(p.plan.Owned, memory.state.Inventory) {
		memory.state.Inventory, memory.dirty = maps.Clone(p.plan.Owned), true
	}
	if !maps.Equal(memory.state.Held, p.plan.Held) {
		memory.state.Held, memory.dirty = p.plan.Held, true
	}
	if p.forgive() {
		memory.dirty = true
	}
	if p.keepHealthy() {
		memory.ahead = true
	}
}

// hash identifies the definition that git asks for, as the plan does.
func (p *reconciliation) hash(item manifests.Item) string {
	cluster := p.desired.Cluster(p.state.Cluster)
	switch item.Kind {
	case manifests.KindApp:
		return manifests.HashApp(manifests.NormaliseApp(item.App, nil, &cluster))
	case manifests.KindPod:
		return manifests.HashPod(manifests.NormalisePod(item.Pod, nil, &cluster))
	}
	return ""
}

// forgive drops the failures of what has come up after all, of what git asks
// for otherwise now, and of what is gone.
func (p *reconciliation) forgive() bool {
	failed := p.r.record.state.Failed
	if len(failed) == 0 {
		return false
	}
	changed := map[string]bool{}
	for _, c := range p.plan.Changes {
		changed[c.ID] = true
	}
	items := map[string]manifests.Item{}
	for _, item := range p.desired.Items {
		items[item.ID] = item
	}
	n := len(failed)
	maps.DeleteFunc(failed, func(id string, f plan.Failure) bool {
		item, wanted := items[id]
		switch {
		case changed[id] || p.desired.Broken[id] || len(p.desired.Unreadable) > 0:
			return false
		case !wanted:
			return true
		}
		health, _, _ := p.fares(&item)
		return health == status.HealthHealthy && p.steady(id) || health == status.HealthSuspended || p.hash(item) != f.Hash
	})
	return len(failed) != n
}

// steady reports whether no task of an app failed of late.
func (p *reconciliation) steady(id string) bool {
	last := p.state.Apps[id].Status.LastTaskFailure
	return last == nil || time.Since(last.Timestamp) >= status.SteadyAfter
}

// keeper saves the memory while an apply goes on. What begins is saved before
// anything else is sent, unless saving takes so long that it would hold up the
// apply: then it is saved a little later, all at once.
type keeper struct {
	p     *reconciliation
	ctx   context.Context
	mu    sync.Mutex
	err   error
	took  time.Duration
	saved time.Time
	end   chan struct{}
	group sync.WaitGroup
}

// The share of the time that saving may take, and how late it may be.
const (
	saveShare = 10
	saveDelay = 100 * time.Millisecond
)

func (p *reconciliation) keep(ctx context.Context) *keeper {
	k := &keeper{p: p, ctx: ctx, end: make(chan struct{})}
	k.group.Go(func() {
		ticker := time.NewTicker(saveDelay)
		defer ticker.Stop()
		for {
			select {
			case <-k.end:
				return
			case <-ticker.C:
				k.change(func() bool { return false })
			}
		}
	})
	return k
}

// change changes the memory, and saves it if that is due.
func (k *keeper) change(f func() bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	memory := &k.p.r.record
	memory.dirty = f() || memory.dirty
	if memory.unsaved() && time.Since(k.saved) >= saveShare*k.took {
		k.save()
	}
}

// sending notes what is about to be sent, and saves that now.
func (k *keeper) sending(note func(sent map[string]store.Sent)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	memory := &k.p.r.record
	note(memory.state.Sent)
	memory.ahead = true
	if s, ok := k.p.r.Store.(aheadSaver); ok && !memory.dirty {
		return k.p.saveBy(k.ctx, s.SaveAhead)
	}
	k.save()
	return k.err
}

func (k *keeper) save() {
	began := time.Now()
	k.err = k.p.save(k.ctx)
	k.saved = time.Now()
	k.took = k.saved.Sub(began)
}

// close saves what is not saved yet and reports whether the memory is safe.
func (k *keeper) close() error {
	close(k.end)
	k.group.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.p.r.record.unsaved() {
		k.save()
	}
	return k.err
}

// showCurrent shows what a reconciliation has begun, before the history has it.
func (p *reconciliation) showCurrent() {
	p.r.View.show(func(s *status.Sync) {
		if c := s.Current; c == nil || c.Revision != p.revision.ID {
			s.Current = &status.Current{Began: p.began, Revision: p.revision.ID, Author: p.revision.Author, Subject: p.revision.Subject, Asked: p.asked}
		}
	})
}

// progress is told of each change that begins, hangs or ends.
func (p *reconciliation) progress(k *keeper, o apply.Outcome) {
	began, former := false, []string(nil)
	k.change(func() bool {
		news := p.remember(o)
		if _, planned := p.files[o.ID]; planned && !o.Began.IsZero() {
			began, former = !p.wrote, p.former()
			p.wrote = true
			p.showCurrent()
		}
		p.tellNoHealthy(o)
		p.noteAttempt(k.ctx, o)
		if !o.Began.IsZero() {
			delete(p.r.waits, o.ID)
		}
		if news {
			p.in.Running.changeMoved()
		}
		return news
	})
	if began {
		for _, observer := range p.r.Observers {
			observer.ChangesBegan(Began{Sync: p.r.Sync.Name, Revision: p.revision, Former: former, At: o.Began})
		}
	}
	if o.Result == apply.Superseded && errors.Is(context.Cause(k.ctx), ErrAgain) {
		return // the next reconciliation goes on with it
	}
	if o.Result == "" {
		p.r.View.showApp(o.ID, func(a *status.App) { a.ShowOutcome(o, p.wanted[o.ID]) })
	} else {
		p.in.Running.changeEnded(o.ID)
		p.r.View.showEnd(o.ID, func(a *status.App) { a.ShowOutcome(o, p.wanted[o.ID]) })
		p.healed(o)
		p.r.Live.ChangeEnded()
		if p.revertsNow(o) {
			p.reverts = true
			p.in.Running.Again(true)
		}
		for _, observer := range p.r.Observers {
			observer.ChangeEnded(p.r.Sync.Name, o)
		}
	}
}

// noteAttempt notes that an attempt to make a change failed which is made again,
// until it is taken.
func (p *reconciliation) noteAttempt(ctx context.Context, o apply.Outcome) {
	switch {
	case status.IsTransient(o) && ctx.Err() == nil:
		p.r.tried[o.ID] = status.Attempt{Hash: o.Hash, Reason: o.Reason}
	case o.Deployment != "" || o.Result == apply.Applied:
		delete(p.r.tried, o.ID)
	}
}

// fileOf tells where an id is defined, or was when it was applied last.
func (p *reconciliation) fileOf(id string) string {
	if file, ok := p.files[id]; ok {
		return file
	}
	return p.r.record.state.Inventory[id].File
}

// SaveTimeout bounds a save, also one after the end of the process was asked for.
const SaveTimeout = 10 * time.Second
