package controller

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/sources"
)

// breath is the least time between two looks at a source: a burst of triggers
// is two looks and not a hundred.
const breath = 100 * time.Millisecond

// lookTimeout ends a look at a source that never comes back.
const lookTimeout = 10 * time.Minute

// watcher looks at one source for all syncs that read it.
type watcher struct {
	name   string
	source Source
	wake   wait.Signal

	cancel context.CancelFunc // set when started
	group  sync.WaitGroup
	term   func() *term // that is in force; set before it is started

	mu      sync.Mutex
	last    look
	asked   store.Asked // who explains the next look best of those that asked for it; zero: it is by the clock
	started time.Time
	looking time.Time // when the look under way began; zero: there is none
	failed  time.Time // when the first of the looks began that failed in a row; zero: the last did not
	answers answers
	asking  string // the revision of which it is asked again and again; empty: of none
	told    string // the error that was logged last; empty: none since a good look
}

// look is what one look at a source has shown.
type look struct {
	snapshot *sources.Snapshot // the last good one; nil: there was none yet
	err      error             // of this look: the snapshot stays in force
	at       time.Time
	failing  time.Time   // when the first look of those failed that have failed since a good one
	first    bool        // the first look of all
	moved    bool        // the revision is another one than before
	by       store.Asked // who or what it was for

	fetched   *term // in which the fetch of the snapshot began; nil: in none
	tried     *term // in which this look began; nil: in none
	news      bool  // the first look that ended in its term, or that ended well
	confirmed bool  // the revision that it was asked again for has been confirmed
}

// tell logs that a source cannot be read, once for each cause, and that it can
// again.
func (w *watcher) tell(log *slog.Logger, err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	w.mu.Lock()
	before := w.told
	w.told = now
	w.mu.Unlock()
	switch {
	case now == before:
	case now == "":
		log.Info("source can be read again", "source", w.name)
	default:
		log.Warn("source cannot be read", "source", w.name, "error", err)
	}
}

func newWatcher(name string, s Source) *watcher {
	return &watcher{name: name, source: s, wake: wait.NewSignal(), term: func() *term { return nil }}
}

// look asks for a look soon, for whom is said; the zero value: for the watcher's own
// purposes. One that is asked for already is enough.
func (w *watcher) look(by store.Asked) {
	w.mu.Lock()
	w.asked = w.asked.Or(by)
	w.mu.Unlock()
	w.wake.Notify()
}

// takeAsked is who asked for the look that begins now.
func (w *watcher) takeAsked() store.Asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := w.asked
	w.asked = store.Asked{}
	return by
}

// fetching is when the look under way began; zero: there is none.
func (w *watcher) fetching() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looking
}

func (w *watcher) seen() look {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *watcher) stop() {
	if w.cancel != nil {
		w.cancel()
		w.group.Wait()
		w.cancel = nil
	}
}

// watch looks at once, then whenever the source says that it changed, somebody
// asks, or the interval is over.
func (w *watcher) watch(ctx context.Context, looked func(*watcher, look)) {
	changed := w.source.Source.Changed()
	by := store.AskedByStart
	for failures := 0; ; {
		asked := store.Asked{By: by}.Or(w.takeAsked())
		l := w.lookNow(ctx)
		if ctx.Err() != nil {
			return
		}
		l.by = asked
		looked(w, l)
		if failures++; l.err == nil {
			failures = 0
		}
		timer := time.NewTimer(w.rest(failures))
		by = store.AskedByPoll // who wakes it has said who it is
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.wake:
		case _, open := <-changed:
			by = store.AskedByChange
			if !open {
				changed = nil // the source was closed: the timer still asks it
			}
		}
		timer.Stop()
		if wait.Sleep(ctx, breath-time.Since(l.at)) != nil {
			return
		}
	}
}

func (w *watcher) lookNow(ctx context.Context) look {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	began, at := w.term(), time.Now()
	w.mu.Lock()
	w.looking = at
	w.mu.Unlock()
	snapshot, err := w.source.Source.Snapshot(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking = (time.Time{}); err == nil {
		w.failed = time.Time{}
	} else if w.failed.IsZero() {
		w.failed = at
	}
	next := look{
		snapshot: w.last.snapshot, err: err, at: time.Now(), first: w.last.at.IsZero(), fetched: w.last.fetched, tried: began,
		news: began != nil && w.last.tried != began,
	}
	if err != nil {
		next.failing = cmp.Or(w.last.failing, next.at)
	}
	if err == nil && snapshot != nil {
		next.moved = next.snapshot == nil || next.snapshot.Revision.ID != snapshot.Revision.ID
		next.news = next.news || began != nil && w.last.fetched != began
		next.snapshot, next.fetched = snapshot, began
		next.confirmed = w.answered(snapshot.Revision.ID, next.at)
	}
	w.last = next
	return next
}

// nextLook is when to look again: after the interval, or sooner after a
// failure, so that a source that was away for a moment is not away for long.
func nextLook(interval time.Duration, failures int) time.Duration {
	if failures > 0 {
		interval = wait.Backoff{Min: time.Second, Max: interval}.After(failures)
	}
	return wait.Jitter(interval)
}
