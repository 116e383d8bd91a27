package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
)

// How often a source that answers with an older revision is asked again, with a
// new connection each time, until it is believed that it was put back: by a
// force-push. Behind a name there may be several servers of which one lags.
const (
	confirmGap   = 2 * time.Second
	confirmLooks = 5 // answers in a row that must be the same
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
}

// note takes an answer in. Of answers that come within confirmGap one counts.
func (a *answers) note(id string, now time.Time) {
	if len(a.shown) > 0 && a.shown[0] == id {
		if now.Sub(a.counted) >= confirmGap {
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
	a.same, a.counted = 1, now
}

// wanted is how many answers in a row must be the same to be believed.
func (a *answers) wanted(now time.Time) int {
	if !a.wavered.IsZero() && now.Sub(a.wavered) < waverMemory {
		return wavering
	}
	return confirmLooks
}

// confirmed reports whether the last revision was answered so often that it is
// believed though it is older.
func (a *answers) confirmed(now time.Time) bool { return a.same >= a.wanted(now) }

// answered takes an answer of the source in, and reports whether it is the one
// by which the revision that was asked for again is confirmed. Called with mu held.
func (w *watcher) answered(id string, now time.Time) bool {
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

// isConfirmed reports whether the source has answered with a revision so often in
// a row that it is believed though it is older.
func (w *watcher) isConfirmed(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answers.shown) > 0 && w.answers.shown[0] == id && w.answers.confirmed(time.Now())
}

// confirm has the source asked again, every confirmGap, until a revision is
// confirmed or it answers with another.
func (w *watcher) confirm(id string) {
	w.mu.Lock()
	begins := w.asking != id
	w.asking = id
	w.mu.Unlock()
	if begins {
		w.look(store.Asked{})
	}
}

// hasShown reports whether the source itself has shown a revision: in this
// process, or in one before whose clone is on the disk.
func (w *watcher) hasShown(ctx context.Context, id string) bool {
	w.mu.Lock()
	shown := slices.Contains(w.answers.shown, id)
	w.mu.Unlock()
	if shown {
		return true
	}
	source, keeps := w.source.Source.(interface {
		Had(ctx context.Context, id string) bool
	})
	if !keeps {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, confirmGap) // a fetch under way may hang
	defer cancel()
	return source.Had(ctx, id)
}

// rest is how long after a look the next one is due.
func (w *watcher) rest(failures int) time.Duration {
	interval := cmp.Or(w.source.Interval, DefaultInterval)
	w.mu.Lock()
	asking := w.asking != ""
	w.mu.Unlock()
	if asking && failures == 0 {
		return min(interval, confirmGap)
	}
	return nextLook(interval, failures)
}

// asksSince is since when the source is asked in a term.
func (w *watcher) asksSince(t *term) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started.After(t.began) {
		return w.started
	}
	return t.began
}
