package status

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
)

// Restarts remembers when tasks of the present definitions of a Marathon failed.
// Marathon tells only of the last failure, and counts alone call an app healthy
// in each moment in which a task that is about to crash happens to run.
type Restarts struct {
	mu   sync.Mutex
	apps map[string]*crashes // by id, apps and pods
	from uintptr             // the map of apps that was taken in last
}

// crashes are the failures of one definition.
type crashes struct {
	config time.Time // of the definition
	last   marathon.TaskFailure
	at     []time.Time // oldest first, at most mostCrashes
}

// SteadyAfter is how long ago the last failure of a task must be for an app to
// have come up after all. A command that fails at once runs for a moment, too,
// again and again, and whoever looks then sees all of it running.
const SteadyAfter = time.Minute

// How long an app is not called healthy after a task of its present definition
// failed. See (*restarts).unsteady.
const (
	CrashWindow = 5 * time.Minute // in which several failures are a crash loop
	steadyOnce  = 5 * time.Second // after a single failure
	steadyLoop  = SteadyAfter     // after the last one of a crash loop
	mostCrashes = 50
)

// Observe takes in what a reading of Marathon tells of failures. Of one that is seen
// first the time is Marathon's, which may be long ago; later ones are timed by
// this machine's clock, so that the two need not agree.
func (r *Restarts) Observe(state marathon.State, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := reflect.ValueOf(state.Apps).Pointer()
	if from == r.from {
		return // the same as before: a live cache hands it out until something changes
	}
	if r.from = from; r.apps == nil {
		r.apps = map[string]*crashes{}
	}
	for id, app := range state.Apps {
		r.note(id, app.Status, now)
	}
	for id, pod := range state.Pods {
		r.note(id, pod.Status, now)
	}
	for id := range r.apps {
		_, app := state.Apps[id]
		if _, pod := state.Pods[id]; !app && !pod {
			delete(r.apps, id)
		}
	}
}

func (r *Restarts) note(id string, s marathon.Status, now time.Time) {
	f := s.PresentFailure()
	if f == nil {
		delete(r.apps, id)
		return
	}
	c, at := r.apps[id], now
	if c == nil || !c.config.Equal(s.LastConfigChangeAt) {
		c = &crashes{config: s.LastConfigChangeAt}
		r.apps[id] = c
		if !f.Timestamp.IsZero() && f.Timestamp.Before(now) {
			at = f.Timestamp
		}
	} else if c.last == *f {
		return
	}
	c.last = *f
	c.at = append(c.at, at)
	c.at = c.at[max(0, len(c.at)-mostCrashes):]
}

// Unsteady says why an app whose tasks all run is not healthy nevertheless; empty
// where it is. Its second result is when that is over if no other task fails.
//
//	failures of the present definition   the last one was                            verdict
//	none                                                                             steady
//	one                                  less than 5 s ago                           restarted
//	several, the last two within 5 min   less than 1 min, or than 1½ times the       restarted N times
//	                                     pause between the last two, ago
//	otherwise                                                                        steady
//
// The pause between two failures grows with Marathon's back-off: a task of a slow
// crash loop may have run for long when the next one fails.
func (r *Restarts) Unsteady(id string, now time.Time) (why string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.apps[id]
	if c == nil {
		return "", time.Time{}
	}
	n := len(c.at)
	last, times := c.at[n-1], 0
	for _, at := range c.at {
		if now.Sub(at) < CrashWindow {
			times++
		}
	}
	until, window := last.Add(steadyOnce), CrashWindow
	if n > 1 {
		if pause := last.Sub(c.at[n-2]); pause < CrashWindow {
			until = last.Add(max(steadyLoop, pause+pause/2))
			times, window = max(times, 2), max(window, now.Sub(c.at[n-2]).Round(time.Minute))
		}
	}
	if !until.After(now) {
		return "", time.Time{}
	}
	if times < 2 {
		return "restarted, last: " + apply.Ending(&c.last), until
	}
	return fmt.Sprintf("restarted %d times in %d min, last: %s", times, int(window.Minutes()), apply.Ending(&c.last)), until
}

// NextSteady is when the first app that is unsteady now will be steady; zero: all are.
func (r *Restarts) NextSteady(now time.Time) (at time.Time) {
	r.mu.Lock()
	ids := make([]string, 0, len(r.apps))
	for id := range r.apps {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		if _, until := r.Unsteady(id, now); !until.IsZero() && (at.IsZero() || until.Before(at)) {
			at = until
		}
	}
	return at
}
