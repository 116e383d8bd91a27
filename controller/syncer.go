package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/manifests"
)

// syncer is one sync and what is known of it.
type syncer struct {
	spec    Sync
	watcher *watcher
	cluster *cluster
	reader  *manifests.Reader

	ctx    context.Context    // ends with Run, or when the sync is gone
	cancel context.CancelFunc // set when started
	group  sync.WaitGroup     // its resync and its pass

	// memory is used by the pass alone, of which there is one at a time.
	memory    memory
	fights    map[string]fight          // id → its drift that was put back
	gone      goneIDs                   // of the inventory: see examine
	change    knownChange               // who changed last what it reads
	kept      string                    // the revision that was last found worth keeping, and is kept
	pinned    *recalled                 // what a rollback asks for, once it was read
	waits     waits                     // since when changes wait, also of the pass alone
	tried     map[string]status.Attempt // id → the last of what is tried again, likewise
	known     plan.Known                // what was found equal, also of the pass alone
	looked    *term                     // of which a pass has read everything
	following bool                      // the last pass saw the leader at work

	mu        sync.Mutex
	view      status.Sync
	rows      map[string]int       // id → index in view.Apps
	read      time.Time            // when the reading began that the counts in view are of
	ended     map[string]time.Time // id → when its change ended, if after read
	lastRead  time.Time            // when the last pass that read Marathon began to
	lastTook  time.Duration        // how long that took
	heard     time.Time            // when Marathon last said that something changed
	due       time.Time            // when the next pass for what was heard was put off to; zero: there is none
	pace      *rate.Limiter        // of the passes that events ask for
	orders    []*order
	asked     store.Asked   // who wants a pass after the next look
	noted     store.Asked   // what the next pass is for
	current   *current      // the pass under way
	longest   time.Duration // the longest back-off for what failed last
	stands    map[string]store.Stand
	restless  bool              // stands has changed since it was last copied
	authors   map[string]string // id → the address that wrote it since Pacer did, as far as Marathon tells
	self      string            // where Pacer's own requests come from, as Marathon sees it; empty: not known
	succeeded time.Time         // when the last pass ended that did not fail, or it was started
	storage   storage           // whether the state could be read and saved
	planned   *plan.Input       // what the last plan was made of; what it holds does not change
}

// current is the pass under way.
type current struct {
	revision string
	pinned   bool                 // a rollback: no newer revision supersedes it
	held     bool                 // it keeps to the newest revision that was applied
	against  string               // the answer of the source that it does not follow meanwhile
	applying bool                 // all is read and planned
	began    time.Time            // when it began to
	moved    time.Time            // when a change last began or ended
	works    map[string]time.Time // what it changes or watches → when that ended
	events   wait.Signal          // wakes it
	again    *time.Timer          // set where it is to end for a new pass
	cancel   context.CancelCauseFunc
}

// memory is what the store holds of a sync.
type memory struct {
	state  store.State
	loaded bool  // it was read from the store
	reads  int   // attempts to read it
	term   *term // in which that was
	dirty  bool  // it holds what is not saved yet
	ahead  bool  // so it does, of what is noted ahead of a write: Sent and Healthy
}

func newSyncer(spec Sync, w *watcher, m *cluster) *syncer {
	return &syncer{
		spec: spec, watcher: w, cluster: m, reader: manifests.NewReader(), fights: map[string]fight{}, waits: waits{}, tried: map[string]status.Attempt{}, gone: goneIDs{},
		stands: map[string]store.Stand{}, authors: map[string]string{}, pace: rate.NewLimiter(rate.Every(passBreath), passBurst),
		view: status.Sync{Name: spec.Name, Source: w.source.Source.String(), Path: spec.Path, Scope: spec.Policy.Scope, Marathon: spec.Marathon},
	}
}

func (y *syncer) stop() {
	if y.cancel != nil {
		y.cancel()
		y.group.Wait()
		y.cancel = nil
	}
}

// begin notes that a pass has begun, what for, and by which look at the source.
// All happens under the lock that supersede takes, so that a newer snapshot
// either is the one returned here or cancels the pass.
func (y *syncer) begin() (context.Context, context.CancelCauseFunc, look, store.Asked) {
	y.mu.Lock()
	defer y.mu.Unlock()
	seen, asked := y.watcher.seen(), y.noted
	y.noted, y.due = store.Asked{}, time.Time{}
	ctx, cancel := context.WithCancelCause(y.ctx)
	y.current = &current{cancel: cancel, events: wait.NewSignal()}
	if seen.snapshot != nil {
		y.current.revision = seen.snapshot.Revision.ID
	}
	y.view.Running = true
	return ctx, cancel, seen, asked
}

// note says what the next pass is for. Of several reasons the one counts that
// explains most.
func (y *syncer) note(a store.Asked) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.noted = y.noted.Or(a)
}

// pin notes that the pass under way carries a rollback out.
func (y *syncer) pin() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.current.pinned = true
}

// supersede cancels the pass under way if it works on another revision that is
// not to be held. One that kept to that same revision is done anew, by the source.
func (y *syncer) supersede(revision string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch cur := y.current; {
	case cur == nil || cur.pinned || cur.held && cur.against == revision:
	case cur.revision != revision:
		cur.cancel(apply.ErrSuperseded)
	case cur.held && cur.against == "":
		cur.cancel(errAgain)
	}
}

// quiet is how long nothing must have begun or ended in an apply for it to be
// only waiting.
const quiet = 10 * time.Second

// again ends a pass that has read everything already, so that a new one may:
// at once if a person asked, else only if it merely waits.
func (y *syncer) again(asked bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.current != nil && y.current.applying && (asked || time.Since(y.current.moved) >= quiet) {
		y.current.cancel(errAgain)
	}
}

// applying notes that all is planned and what is changed or watched now, and
// returns what wakes who waits.
func (y *syncer) applying(ids map[string]time.Time) <-chan struct{} {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.current.applying, y.current.began, y.current.works = true, time.Now(), ids
	return y.current.events
}

// moved notes that a change began or ended.
func (y *syncer) moved() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.current.moved = time.Now()
}

func (y *syncer) ask(a store.Asked) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked = y.asked.Or(a)
}

// takeAsked tells who asked for a pass; its zero value: nobody.
func (y *syncer) takeAsked() store.Asked {
	y.mu.Lock()
	defer y.mu.Unlock()
	asked := y.asked
	y.asked = store.Asked{}
	return asked
}

func (y *syncer) setCeiling(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.longest = d
}

func (y *syncer) getCeiling() time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.longest
}

// status returns a copy of what is known, with the last look at the source.
func (y *syncer) status() status.Sync {
	seen := y.watcher.seen()
	y.mu.Lock()
	defer y.mu.Unlock()
	s := y.view.Clone()
	if s.Stale != nil {
		for i := range s.Apps {
			s.Apps[i] = s.Apps[i].AsUnknown(*s.Stale)
		}
	}
	s.Fetched, s.Looked, s.Fetching = seen.at, seen.at, y.watcher.fetching()
	if seen.snapshot != nil {
		s.Revision = seen.snapshot.Revision
	}
	if seen.err != nil {
		s.SourceError, s.SourceFailing = seen.err.Error(), seen.failing
	}
	s.StoreError = y.storage.words()
	return s
}

// show changes what status tells.
func (y *syncer) show(change func(*status.Sync)) {
	y.mu.Lock()
	defer y.mu.Unlock()
	change(&y.view)
}

// keepReasons takes over what was said of rollouts that continue: why they hang is
// found out again only after a while, which with a commit every few seconds would
// be never. A revision that changes an app makes its change pending first, of which
// nothing is taken over.
func (y *syncer) keepReasons(apps []status.App) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for i := range apps {
		row, known := y.rows[apps[i].ID]
		if a := &apps[i]; known && a.Condition == status.InRollout && a.Reason == "" && y.view.Apps[row].Condition == status.InRollout {
			a.Reason, a.Said = y.view.Apps[row].Reason, y.view.Apps[row].Said
		}
	}
}

// showApps replaces the apps by what follows from a reading of Marathon that
// began at a time.
func (y *syncer) showApps(apps []status.App, read time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for i := range apps {
		y.stamp(&apps[i])
	}
	if !slices.EqualFunc(apps, y.view.Apps, func(a, b status.App) bool { return a.ID == b.ID }) {
		y.rows = make(map[string]int, len(apps))
		for i, a := range apps {
			y.rows[a.ID] = i
		}
	}
	gone := func(id string) bool { _, shown := y.rows[id]; return !shown }
	if before := len(y.stands); before > len(apps) {
		maps.DeleteFunc(y.stands, func(id string, _ store.Stand) bool { return gone(id) })
		y.restless = true
	}
	maps.DeleteFunc(y.authors, func(id, _ string) bool { return gone(id) })
	y.view.Apps, y.read, y.ended = apps, read, map[string]time.Time{}
}

// stamp tells since when an app stands as it does. Called with mu held.
func (y *syncer) stamp(a *status.App) {
	now := store.Stand{State: string(a.State), Health: string(a.Health), Condition: string(a.Condition)}
	before := y.stands[a.ID]
	now.Since = before.Since
	if now != before || before.Since.IsZero() {
		now.Since = time.Now().Round(0) // the same after it was saved
		y.stands[a.ID], y.restless = now, true
	}
	a.Since = now.Since
}

// standing is a copy of how every app stands, if that has changed since the last
// one.
func (y *syncer) standing() (stands map[string]store.Stand, news bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.restless {
		return nil, false
	}
	y.restless = false
	return maps.Clone(y.stands), true
}

// restand takes over how every app stood when the process before ended.
func (y *syncer) restand(stands map[string]store.Stand) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.stands) == 0 && stands != nil {
		y.stands = maps.Clone(stands)
	}
}

// plannedOn keeps what a plan is made of, but for live, for who asks what
// differs. Nothing of it may be changed later.
func (y *syncer) plannedOn(in plan.Input) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.planned = &in
}

// showApp changes one app, if it is shown.
func (y *syncer) showApp(id string, change func(*status.App)) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if i, ok := y.rows[id]; ok {
		change(&y.view.Apps[i])
		y.stamp(&y.view.Apps[i])
	}
}

// showEnd is showApp for a change that has ended now: a reading that began
// before knows nothing of it.
func (y *syncer) showEnd(id string, change func(*status.App)) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if i, ok := y.rows[id]; ok {
		y.ended[id] = time.Now()
		change(&y.view.Apps[i])
		y.stamp(&y.view.Apps[i])
	}
	if y.current != nil && y.current.works != nil {
		y.current.works[id] = time.Now()
	}
}

// doubt shows that nothing is known of any app of a sync, and why. known is when it
// was known last.
func (y *syncer) doubt(why string, known time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	s := status.Stale{Since: time.Now(), Known: known}
	if y.view.Stale != nil {
		s = *y.view.Stale // of since when, the first counts
	}
	s.Reason = why
	y.view.Stale = &s
}

// doubted is what is shown of the apps. Called with mu held.
func (y *syncer) doubted() []status.App {
	if y.view.Stale == nil {
		return y.view.Apps
	}
	apps := slices.Clone(y.view.Apps)
	for i := range apps {
		apps[i] = apps[i].AsUnknown(*y.view.Stale)
	}
	return apps
}
