package schedule

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
)

// How often a source that answers with an older revision is asked again, with a
// new connection each time, until it is believed that it was put back: by a
// force-push. Behind a name there may be several servers of which one lags.
const (
	ConfirmGap     = 2 * time.Second
	confirmFetches = 5 // answers in a row that must be the same
	// wavering is how many must be the same of a source that went back to what it
	// had answered before twice within waverMemory: once is a force-push.
	wavering    = 20
	waverMemory = time.Hour
	maxShown    = 100 // revisions that are remembered
)

// answers is what a source answered since the process began.
type answers struct {
	shown   []string  // revisions, the last first; at most maxShown
	same    int       // answers in a row that were the last revision
	counted time.Time // when the last of them came
	again   time.Time // when a revision last came again after another one
	wavered time.Time // when that last happened soon after it had happened before
	since   time.Time // when the first of the answers came that were the last revision, in a row

	newest      string    // the revision that was shown while it was the newest one applied
	newestSince time.Time // of that one: it may become the newest again
}

// note takes an answer in. Of answers that come within confirmGap one counts.
func (a *answers) note(id string, now time.Time) {
	if len(a.shown) > 0 && a.shown[0] == id {
		if now.Sub(a.counted) >= ConfirmGap {
			a.same, a.counted = a.same+1, now
		}
		return
	}
	before := slices.Index(a.shown, id)
	if before >= 0 {
		if !a.again.IsZero() && now.Sub(a.again) < waverMemory {
			a.wavered = now
		}
		a.shown, a.again = slices.Delete(a.shown, before, before+1), now
	}
	a.shown = slices.Insert(a.shown, 0, id)
	a.shown = a.shown[:min(len(a.shown), maxShown)]
	a.same, a.counted, a.since = 1, now, now
}

// wanted is how many answers in a row must be the same to be believed.
func (a *answers) wanted(now time.Time) int {
	if !a.wavered.IsZero() && now.Sub(a.wavered) < waverMemory {
		return wavering
	}
	return confirmFetches
}

// confirmed reports whether the last revision was answered so often that it is
// believed though it is older.
func (a *answers) confirmed(now time.Time) bool { return a.same >= a.wanted(now) }

// answered takes an answer of the source in, and reports whether it is the one
// by which the revision that was asked for again is confirmed. Called with mu held.
func (w *Watcher) answered(id string, now time.Time) bool {
	w.answers.note(id, now)
	if w.asking != id {
		w.asking = ""
		return false
	}
	if !w.answers.confirmed(now) {
		return false
	}
	w.asking = ""
	return true
}

// IsConfirmed reports whether the source has answered with a revision so often in
// a row that it is believed though it is older.
func (w *Watcher) IsConfirmed(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answers.shown) > 0 && w.answers.shown[0] == id && w.answers.confirmed(time.Now())
}

// Confirm has the source asked again, every confirmGap, until a revision is
// confirmed or it answers with another.
func (w *Watcher) Confirm(id string) {
	w.mu.Lock()
	begins := w.asking != id
	w.asking = id
	w.mu.Unlock()
	if begins {
		w.Request(store.Asked{})
	}
}

// ShowsNewest notes that the source shows a revision that is the newest one that
// was applied.
func (w *Watcher) ShowsNewest(id string, newest *store.Newest) {
	if newest == nil || newest.ID != id {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers.newest, w.answers.newestSince = id, newest.Since
}

// HasShown reports whether the source itself has shown the newest revision before
// it went back, so that its older answer is the newer one:
//
//	the newest revision   the source went back   it has shown the newest one                shown
//	any                   before the term                                                   no: the leader then did not go with it
//	not a returned one    in the term            in this process, or its clone has it       yes
//	a returned one        in the term            while it was the newest, in this process   yes
//	otherwise                                                                               no
//
// A revision that the source of another replica went back to was perhaps shown by
// this one long before, and what it shows now is what was gone back from.
func (w *Watcher) HasShown(ctx context.Context, newest *store.Newest, term time.Time) bool {
	w.mu.Lock()
	a := w.answers
	back, shown := !a.since.Before(term), slices.Contains(a.shown, newest.ID)
	w.mu.Unlock()
	switch {
	case !back:
		return false
	case newest.Returned:
		return a.newest == newest.ID && a.newestSince.Equal(newest.Since)
	case shown:
		return true
	}
	source, keeps := w.Source.Source.(interface {
		Had(ctx context.Context, id string) bool
	})
	if !keeps {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, ConfirmGap) // a fetch in progress may hang
	defer cancel()
	return source.Had(ctx, newest.ID)
}

// rest is how long after a fetch the next one is due.
func (w *Watcher) rest(failures int) time.Duration {
	interval := cmp.Or(w.Source.Interval, sources.DefaultInterval)
	w.mu.Lock()
	asking := w.asking != ""
	w.mu.Unlock()
	if asking && failures == 0 {
		return min(interval, ConfirmGap)
	}
	return nextFetch(interval, failures)
}

// AskedSince is since when the source is asked in a term that began at a time.
func (w *Watcher) AskedSince(term time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started.After(term) {
		return w.started
	}
	return term
}

// Followed is what the source selects, such as a branch, and where it is.
func (w *Watcher) Followed() (selects, location string) {
	if s, ok := w.Source.Source.(interface{ Selects() string }); ok {
		selects = s.Selects()
	}
	return selects, w.Source.Source.String()
}
