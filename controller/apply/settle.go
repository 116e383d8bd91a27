package apply

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// The settling times where neither the sync nor the options give one. A task
// with a health check has proved something by passing it; one without has proved
// nothing by being started.
const (
	settleChecked   = 2 * time.Second
	settleUnchecked = 5 * time.Second
)

// settle is the settling time of an item: how long all its tasks must have
// stayed up for its rollout to have converged.
//
//	sync's settle   options' settle   health checks   a task of this version failed   settling time
//	given                                             no                              the sync's
//	none            given                             no                              the options'
//	none            none              yes             no                              2 s
//	none            none              no              no                              5 s; 2 s where no task is to run
//	                                                  yes                             the same, at least Marathon's back-off
//
// After a failure Marathon launches the next task when its back-off is over, and
// forgets the back-off when that task has lasted: a task that has not outlived
// one is no proof that the next will not fail.
func (r *run) settle(it *item) time.Duration {
	settle := settleUnchecked
	switch {
	case r.req.Settle > 0:
		settle = r.req.Settle
	case r.options.Settle != 0:
		settle = max(0, r.options.Settle)
	case checked(it.live), it.live.instances() == 0:
		settle = settleChecked
	}
	if n := it.failures.count; n > 0 {
		settle = max(settle, backoffOf(it.live, &r.req.Cluster, n))
	}
	return settle
}

// backoffOf is how long Marathon waits to launch the next task after so many
// failures of a version: backoff × factor^failures, at most the maximum. The
// normal form spells the defaults out.
func backoffOf(l live, c *manifests.Cluster, failures int) time.Duration {
	var backoff, factor, most float64 // in seconds, but for the factor
	switch {
	case l.app != nil:
		a := manifests.NormaliseApp(l.app.Definition, nil, c)
		backoff, factor, most = float64(*a.BackoffSeconds), *a.BackoffFactor, float64(*a.MaxLaunchDelaySeconds)
	case l.pod != nil:
		b := manifests.NormalisePod(l.pod.Definition, nil, c).Scheduling.Backoff
		backoff, factor, most = *b.Backoff, *b.BackoffFactor, *b.MaxLaunchDelay
	}
	return time.Duration(min(backoff*math.Pow(factor, float64(failures)), most) * float64(time.Second))
}

// failures are those of the tasks of one version of an app or a pod. Marathon tells
// of the last one only.
type failures struct {
	version time.Time // lastConfigChangeAt
	last    string
	count   int       // how many were seen
	first   time.Time // when the first of them was
}

// mostLoops is how many apps are remembered whose tasks failed.
const mostLoops = 10_000

// failed takes in what was read of the failures of an item, and reports whether
// there is a new one. They outlive an Apply: one that ends for a newer reading is
// followed by another that watches the same rollout.
func (r *run) failed(it *item) bool {
	s := it.live.status()
	r.mu.Lock()
	defer r.mu.Unlock()
	known, is := r.loops[it.id()]
	if !is || !known.version.Equal(s.LastConfigChangeAt) {
		known = failures{version: s.LastConfigChangeAt}
	}
	before := known.count
	if f := s.PresentFailure(); f != nil {
		if last := f.TaskID + f.Timestamp.String(); last != known.last {
			if known.last = last; known.count == 0 {
				known.first = time.Now()
			}
			known.count++
		}
	}
	if it.failures = known; known.count > 0 {
		if !is && len(r.loops) >= mostLoops {
			clear(r.loops)
		}
		r.loops[it.id()] = known
	}
	return known.count > before
}

// outlived forgets the failures of what has come up.
func (r *run) outlived(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.loops, id)
}

// replaced reports whether a task of an item ended or was replaced since the last
// look, and counts the failures of this version. The counts may be the same as
// before, since a task that fails is launched again within a second. Tasks are
// compared where both looks read them, as they do of a few items.
func (r *run) replaced(it *item) bool {
	tasks := tasksOf(it.live)
	replaced := r.failed(it) || tasks != "" && it.tasks != "" && tasks != it.tasks
	it.tasks = tasks
	return replaced
}

// tasksOf identifies the tasks that run; empty where they were not read.
func tasksOf(l live) string {
	var ids []string
	if l.app != nil {
		for _, t := range l.app.Tasks {
			ids = append(ids, t.ID)
		}
	} else if l.pod != nil {
		for _, i := range l.pod.Instances {
			ids = append(ids, i.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// idle reports whether nothing of an item runs or is to: then no task of it can
// be of an older configuration.
func idle(l live) bool {
	s := l.status()
	return l.instances() == 0 && s.Running == 0 && s.Staged == 0
}

// doubt is how long what one look found must last before it is acted on: a
// standby of Marathon may be a moment behind.
func (r *run) doubt() time.Duration {
	if r.options.Settle != 0 {
		return max(0, r.options.Settle)
	}
	return settleChecked
}
