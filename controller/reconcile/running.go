package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// Running is a reconciliation in progress, and how it is ended for the next one. Its
// methods may be called from several goroutines.
type Running struct {
	Cancel context.CancelCauseFunc
	Events wait.Signal // wakes it while it waits for rollouts

	mu       sync.Mutex
	revision string
	pinned   bool                 // a rollback: no newer revision supersedes it
	held     bool                 // it keeps to the newest revision that was applied
	against  string               // the answer of the source that it does not follow meanwhile
	applying bool                 // all is read and planned
	began    time.Time            // when it began to apply
	moved    time.Time            // when a change last began or ended
	works    map[string]time.Time // what it changes or watches → when that ended
	read     time.Time            // when it last began to read Marathon; zero: it did not
	took     time.Duration        // how long that took
	later    *time.Timer          // set where it is to end for the next one
}

// NewRunning is of a reconciliation of the revision that the source was at; empty:
// of none.
func NewRunning(revision string, cancel context.CancelCauseFunc) *Running {
	return &Running{revision: revision, Cancel: cancel, Events: wait.NewSignal()}
}

// pin notes that it carries a rollback out.
func (n *Running) pin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pinned = true
}

// keepTo notes that it keeps to a revision that its source does not show: the answer
// that it does not follow is none that supersedes it.
func (n *Running) keepTo(revision, against string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.revision, n.against, n.held = revision, against, true
}

// hasRead notes when it last read Marathon, and how long that took.
func (n *Running) hasRead(began time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.read, n.took = began, time.Since(began)
}

// LastRead is what hasRead noted.
func (n *Running) LastRead() (began time.Time, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.read, n.took
}

// applies notes that all is planned and what is changed or watched now, and returns
// what wakes who waits.
func (n *Running) applies(ids map[string]time.Time) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.applying, n.began, n.works = true, time.Now(), ids
	return n.Events
}

// IsApplying reports whether all is read and planned, and since when.
func (n *Running) IsApplying() (since time.Time, is bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.began, n.applying
}

// changeMoved notes that a change began or ended.
func (n *Running) changeMoved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moved = time.Now()
}

// changeEnded notes that a change has ended.
func (n *Running) changeEnded(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.works != nil {
		n.works[id] = time.Now()
	}
}

// Supersede ends it if it is of another revision that is not to be held. One that
// keeps to that same revision is done again, by the source.
func (n *Running) Supersede(revision string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.pinned || n.held && n.against == revision:
	case n.revision != revision:
		n.Cancel(apply.ErrSuperseded)
	case n.held && n.against == "":
		n.Cancel(ErrAgain)
	}
}

// quiet is how long nothing must have started or ended in an apply for it to be
// only waiting.
const quiet = 10 * time.Second

// Again ends it where it has read everything already, so that the next one may: at
// once if a person asked, else only if it merely waits.
func (n *Running) Again(asked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.applying && (asked || time.Since(n.moved) >= quiet) {
		n.Cancel(ErrAgain)
	}
}

// AgainAfter ends it after a time, for the next one, unless that is to come already.
func (n *Running) AgainAfter(delay func() time.Duration) {
	n.mu.Lock()
	waits := n.later == nil
	n.mu.Unlock()
	if !waits {
		return
	}
	d := delay()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.later = time.AfterFunc(d, func() { n.Cancel(ErrAgain) })
}

// End stops what would end it later.
func (n *Running) End() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.later != nil {
		n.later.Stop()
	}
}

// echo is how long after the end of a change its events may come.
const echo = time.Second

// Foreign reports whether one of the ids is none that it works on.
func (n *Running) Foreign(ids ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(ids, func(id string) bool {
		ended, mine := n.works[id]
		return !mine || !ended.IsZero() && time.Since(ended) >= echo
	})
}

// IsOwn reports whether it works on an id, and so writes it itself.
func (n *Running) IsOwn(id string) bool {
	n.mu.Lock()
	applies := n.works != nil
	n.mu.Unlock()
	return applies && !n.Foreign(id)
}
