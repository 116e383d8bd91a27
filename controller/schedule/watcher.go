package schedule

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/sources"
)

// FetchPause is the least time between two fetches of a source: a burst of triggers
// is two fetches and not a hundred.
const FetchPause = 100 * time.Millisecond

// fetchTimeout ends a fetch of a source that never comes back.
const fetchTimeout = 10 * time.Minute

// Watcher looks at one source for all syncs that read it.
type Watcher struct {
	Name   string
	Source Source
	wake   wait.Signal

	cancel context.CancelFunc // set when started
	group  sync.WaitGroup
	term   func() *reconcile.Term // that is in force

	mu       sync.Mutex
	last     reconcile.Fetch
	asked    store.Asked // who explains the next fetch best of those that asked for it; zero: it is by the clock
	started  time.Time
	fetching time.Time // when the fetch in progress began; zero: there is none
	failed   time.Time // when the first of the looks began that failed in a row; zero: the last did not
	answers  answers
	asking   string // the revision of which it is asked again and again; empty: of none
	told     string // the error that was logged last; empty: none since a good look
}

// LogError logs that a source cannot be read, once for each cause, and that it can
// again.
func (w *Watcher) LogError(log *slog.Logger, err error) {
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
		log.Info("source can be read again", "source", w.Name)
	default:
		log.Warn("source cannot be read", "source", w.Name, "error", err)
	}
}

// NewWatcher is of a source by its name; term is the one in force, nil: none.
func NewWatcher(name string, s Source, term func() *reconcile.Term) *Watcher {
	return &Watcher{Name: name, Source: s, wake: wait.NewSignal(), term: term}
}

// Start fetches the source until ctx ends or stop is called, and calls fetched after
// each fetch, and late once if the first one takes as long as a hold. It and stop are
// called one at a time.
func (w *Watcher) Start(ctx context.Context, fetched func(*Watcher, reconcile.Fetch), late func()) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.mu.Lock()
	w.started = time.Now()
	w.mu.Unlock()
	w.group.Go(func() { w.watch(ctx, fetched) })
	w.group.Go(func() {
		if wait.Sleep(ctx, reconcile.HoldAfter) == nil {
			late()
		}
	})
}

// IsStarted reports whether start was called and stop was not.
func (w *Watcher) IsStarted() bool { return w.cancel != nil }

// Request asks for a fetch soon, for whom is said; the zero value: for the watcher's own
// purposes. One that is asked for already is enough.
func (w *Watcher) Request(by store.Asked) {
	w.mu.Lock()
	w.asked = w.asked.Or(by)
	w.mu.Unlock()
	w.wake.Notify()
}

// takeAsked is who asked for the fetch that begins now.
func (w *Watcher) takeAsked() store.Asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := w.asked
	w.asked = store.Asked{}
	return by
}

// FetchingSince is when the fetch in progress began; zero: there is none.
func (w *Watcher) FetchingSince() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fetching
}

func (w *Watcher) Last() reconcile.Fetch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *Watcher) Stop() {
	if w.cancel != nil {
		w.cancel()
		w.group.Wait()
		w.cancel = nil
	}
}

// watch looks at once, then whenever the source says that it changed, somebody
// asks, or the interval is over.
func (w *Watcher) watch(ctx context.Context, looked func(*Watcher, reconcile.Fetch)) {
	changed := w.Source.Source.Changed()
	by := store.AskedByStart
	for failures := 0; ; {
		asked := store.Asked{By: by}.Or(w.takeAsked())
		l := w.FetchNow(ctx)
		if ctx.Err() != nil {
			return
		}
		l.By = asked
		looked(w, l)
		if failures++; l.Err == nil {
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
		if wait.Sleep(ctx, FetchPause-time.Since(l.At)) != nil {
			return
		}
	}
}

func (w *Watcher) FetchNow(ctx context.Context) reconcile.Fetch {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	began, at := w.term(), time.Now()
	w.mu.Lock()
	w.fetching = at
	w.mu.Unlock()
	snapshot, err := w.Source.Source.Snapshot(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fetching = (time.Time{}); err == nil {
		w.failed = time.Time{}
	} else if w.failed.IsZero() {
		w.failed = at
	}
	next := reconcile.Fetch{
		Snapshot: w.last.Snapshot, Err: err, At: time.Now(), First: w.last.At.IsZero(), Fetched: w.last.Fetched, Tried: began,
		News: began != nil && w.last.Tried != began,
	}
	if err != nil {
		next.Failing = cmp.Or(w.last.Failing, next.At)
	}
	if err == nil && snapshot != nil {
		next.Moved = next.Snapshot == nil || next.Snapshot.Revision.ID != snapshot.Revision.ID
		next.News = next.News || began != nil && w.last.Fetched != began
		next.Snapshot, next.Fetched = snapshot, began
		next.Confirmed = w.answered(snapshot.Revision.ID, next.At)
	}
	w.last = next
	return next
}

// nextFetch is when to look again: after the interval, or sooner after a
// failure, so that a source that was away for a moment is not away for long.
func nextFetch(interval time.Duration, failures int) time.Duration {
	if failures > 0 {
		interval = wait.Backoff{Min: time.Second, Max: interval}.After(failures)
	}
	return wait.Jitter(interval)
}

// Source is a source that one or more syncs read, looked at once for all of them.
type Source struct {
	Source sources.Source
	// Interval is how often the source is looked at, give or take a tenth;
	// zero: sources.DefaultInterval. Changed only makes it sooner.
	Interval time.Duration
}

// FailingSince is since when a source cannot be read; zero: it can. Asked reports
// whether it was asked at all. A fetch that takes long counts as one that fails.
func (w *Watcher) FailingSince() (since time.Time, asked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.failed.IsZero():
		return w.failed, true
	case !w.fetching.IsZero() && time.Since(w.fetching) >= reconcile.HoldAfter:
		return w.fetching, true
	}
	return time.Time{}, !w.last.At.IsZero()
}
