package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// View is what is shown of one sync: reconciliations write it, one at a time, and so
// does who reads Marathon in between. Its methods may be called from several
// goroutines.
type View struct {
	mu        sync.Mutex
	shown     status.Sync
	rows      map[string]int       // id → index in shown.Apps
	read      time.Time            // when the reading of Marathon began that the counts are of
	ended     map[string]time.Time // id → when its change ended, if after read
	stands    map[string]store.Stand
	restless  bool      // stands has changed since it was last copied
	succeeded time.Time // when the last reconciliation ended that did not fail, or the sync was started
	storage   storage   // whether the state could be read and saved
	planned   *Planned  // nil: nothing was planned yet
}

func NewView(of status.Sync) *View {
	return &View{shown: of, stands: map[string]store.Stand{}}
}

// show changes what status tells.
func (v *View) show(change func(*status.Sync)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.shown)
}

// keepReasons takes over what was said of rollouts that continue: why they hang is
// found out again only after a while, which with a commit every few seconds would
// be never. A revision that changes an app makes its change pending first, of which
// nothing is taken over.
func (v *View) keepReasons(apps []status.App) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range apps {
		row, known := v.rows[apps[i].ID]
		if a := &apps[i]; known && a.Condition == status.InRollout && a.Reason == "" && v.shown.Apps[row].Condition == status.InRollout {
			a.Reason, a.Said = v.shown.Apps[row].Reason, v.shown.Apps[row].Said
		}
	}
}

// showApps replaces the apps by what follows from a reading of Marathon that
// began at a time.
func (v *View) showApps(apps []status.App, read time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range apps {
		v.stamp(&apps[i])
	}
	if !slices.EqualFunc(apps, v.shown.Apps, func(a, b status.App) bool { return a.ID == b.ID }) {
		v.rows = make(map[string]int, len(apps))
		for i, a := range apps {
			v.rows[a.ID] = i
		}
	}
	gone := func(id string) bool { _, shown := v.rows[id]; return !shown }
	if before := len(v.stands); before > len(apps) {
		maps.DeleteFunc(v.stands, func(id string, _ store.Stand) bool { return gone(id) })
		v.restless = true
	}
	v.shown.Apps, v.read, v.ended = apps, read, map[string]time.Time{}
}

// stamp tells since when an app stands as it does. Called with mu held.
func (v *View) stamp(a *status.App) {
	now := store.Stand{State: string(a.State), Health: string(a.Health), Condition: string(a.Condition)}
	before := v.stands[a.ID]
	now.Since = before.Since
	if now != before || before.Since.IsZero() {
		now.Since = time.Now().Round(0) // the same after it was saved
		v.stands[a.ID], v.restless = now, true
	}
	a.Since = now.Since
}

// standing is a copy of how every app stands, if that has changed since the last
// one.
func (v *View) standing() (stands map[string]store.Stand, news bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.restless {
		return nil, false
	}
	v.restless = false
	return maps.Clone(v.stands), true
}

// restand takes over how every app stood when the process before ended.
func (v *View) restand(stands map[string]store.Stand) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.stands) == 0 && stands != nil {
		v.stands = maps.Clone(stands)
	}
}

// plannedOn keeps what a plan is made of.
func (v *View) plannedOn(p *Planned) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.planned = p
}

// showApp changes one app, if it is shown.
func (v *View) showApp(id string, change func(*status.App)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i, ok := v.rows[id]; ok {
		change(&v.shown.Apps[i])
		v.stamp(&v.shown.Apps[i])
	}
}

// showEnd is showApp for a change that has ended now: a reading that began
// before knows nothing of it.
func (v *View) showEnd(id string, change func(*status.App)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i, ok := v.rows[id]; ok {
		v.ended[id] = time.Now()
		change(&v.shown.Apps[i])
		v.stamp(&v.shown.Apps[i])
	}
}

// Doubt shows that nothing is known of any app of a sync, and why. known is when it
// was known last.
func (v *View) Doubt(why string, known time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := status.Stale{Since: time.Now(), Known: known}
	if v.shown.Stale != nil {
		s = *v.shown.Stale // of since when, the first counts
	}
	s.Reason = why
	v.shown.Stale = &s
}

// doubted is what is shown of the apps. Called with mu held.
func (v *View) doubted() []status.App {
	if v.shown.Stale == nil {
		return v.shown.Apps
	}
	apps := slices.Clone(v.shown.Apps)
	for i := range apps {
		apps[i] = apps[i].AsUnknown(*v.shown.Stale)
	}
	return apps
}

// begin shows that a reconciliation is in progress.
func (v *View) begin() {
	v.show(func(s *status.Sync) { s.Running = true })
}

// end shows how a reconciliation ended, and what is stored now. It returns what was
// shown of the one before.
func (v *View) end(last status.Reconciliation, state *store.State) (before *status.Reconciliation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before = v.shown.Last
	v.shown.Running, v.shown.Last = false, &last
	if last.Result != status.ResultProgressing { // the next one goes on with it
		v.shown.Current = nil
	}
	v.shown.SetStored(state)
	if last.Result.Succeeded() {
		v.succeeded = last.Ended
	}
	return before
}

// Start notes when the sync was started.
func (v *View) Start(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.succeeded = now
}

// compared is when the sync was last compared.
func (v *View) compared() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shown.Planned
}

// Hold is the hold that is shown.
func (v *View) Hold() *status.Hold {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shown.Hold
}

// showHold shows a hold, or that there is none, and returns what was shown before.
func (v *View) showHold(h *status.Hold) (before *status.Hold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before, v.shown.Hold = v.shown.Hold, h
	return before
}

// Has reports whether an app, a pod or a group is shown.
func (v *View) Has(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, shown := v.rows[id]
	return shown
}

// loaded notes what became of reading the state again: what was not saved before is
// given up with that.
func (v *View) loaded(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.storage = storage{load: err}
}

// saved notes what became of saving the state, whole or in part.
func (v *View) saved(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.storage.save = err
}

// StoreFailed reports whether the state could not be read or saved last.
func (v *View) StoreFailed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.storage != (storage{})
}

// storage is why the state of a sync could not be read or saved last.
type storage struct{ load, save error }

// words say why; empty: it could.
func (s storage) words() string {
	if err := cmp.Or(s.load, s.save); err != nil {
		return err.Error()
	}
	return ""
}

// Status returns a copy of what is shown.
func (v *View) Status() status.Sync {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.shown.Clone()
	if s.Stale != nil {
		for i := range s.Apps {
			s.Apps[i] = s.Apps[i].AsUnknown(*s.Stale)
		}
	}
	s.StoreError = v.storage.words()
	return s
}

// Measure hands out what is shown, and when a reconciliation last succeeded, for as
// long as read takes.
func (v *View) Measure(read func(shown *status.Sync, apps []status.App, succeeded time.Time)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	read(&v.shown, v.doubted(), v.succeeded)
}

// Refresh shows how the apps of a sync are in a state whose reading began at a
// time. What a reconciliation has read or done since is not overwritten. The states
// are its business: it knows what git defines.
func (v *View) Refresh(state marathon.State, restarts *status.Restarts, began time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.read.After(began) {
		return
	}
	v.read = began
	for i := range v.shown.Apps {
		a := &v.shown.Apps[i]
		if v.ended[a.ID].After(began) {
			continue
		}
		a.Refresh(state, restarts, v.shown.Suspended, time.Now())
		v.stamp(a)
	}
}

// Planned is what the last plan was made of; nil: there is none.
func (v *View) Planned() *Planned {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.planned
}
