package scheduler

import (
	"slices"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// driver carries out the actions of a deployment's steps: Start, Stop, Scale and
// Restart of one run spec.
type driver struct {
	*base
	instances *Instances
	health    *Health
}

// scaling is a change of a count alone.
type scaling struct {
	going  []*state.Instance        // those that have to go first
	before map[*state.Instance]bool // nil while they go; then what there is, which is not waited for
	add    int                      // instances that come and are waited for
}

// restarting is a restart that is carried out.
type restarting struct {
	state.RestartBounds
	old int // outdated instances when new ones were launched last; negative: none were yet
}

// enter does what an action does once, when its step begins.
func (d *driver) enter(dep *Deployment, a state.Action) {
	if s := dep.Spec(a.ID()); s != nil && s.App != nil {
		d.health.publishChecks(s)
	}
	s := d.Versions.Root.Specs[a.ID()]
	switch {
	case a.Is("Stop"):
		d.health.forgetChecks(a.ID())
	case s == nil:
	case a.Is("Scale"):
		dep.scales[s.ID] = &scaling{going: d.instances.scaleDown(s, dep.kill[s.ID])}
	case a.Is("Restart"):
		d.enterRestart(dep, s)
	}
}

func (d *driver) enterRestart(dep *Deployment, s *state.RunSpec) {
	delete(d.Limiter, s.ID) // Marathon resets the back-off, too
	for _, i := range d.instances.outdated(s) {
		if i.Current() == nil {
			d.instances.decommission(i) // never launched: nothing to wait for
		}
	}
	dep.restarts[s.ID] = &restarting{state.BoundRestart(s, d.instances.Of(s.ID)), -1}
	d.instances.replacing[s.ID] = true
}

// drive brings an action forward and reports whether it is done.
func (d *driver) drive(dep *Deployment, a state.Action) bool {
	s := d.Versions.Root.Specs[a.ID()]
	switch {
	case a.Is("Stop"):
		return d.instances.stopAll(a.ID())
	case a.Is("Start") || s == nil:
		return true
	case a.Is("Scale"):
		return d.scale(dep.scales[s.ID], s)
	}
	return d.restart(dep.restarts[s.ID], s)
}

// restart replaces the instances of an older configuration: one of them goes
// for each new one that is up, and new ones come where there is room, at first and
// whenever an old one has gone. One that a client wipes meanwhile is not replaced
// before that. Source: Marathon's TaskReplaceActor.
func (d *driver) restart(r *restarting, s *state.RunSpec) bool {
	fresh, up := 0, 0
	for _, i := range d.instances.active(s.ID) {
		if !i.Outdated(s) {
			fresh++
			if d.ready(s, i) {
				up++
			}
		}
	}
	old := d.instances.outdated(s)
	state.SortForReplacement(old)
	for len(old) > 0 && r.Old-len(old) < r.Kill+up {
		d.instances.decommission(old[0])
		old = old[1:]
	}
	if fresh > s.Instances() {
		d.instances.scale(s)
	}
	all := d.instances.Of(s.ID) // with what is old, until it is dead
	left := 0
	for _, i := range all {
		if i.Spec.Generation != s.Generation {
			left++
		}
	}
	if r.old < 0 || left < r.old {
		d.instances.schedule(s, min(s.Instances()-fresh, r.Most-len(all)))
		r.old = left
	}
	return len(d.instances.outdated(s)) == 0 && d.reached(s)
}

// scale brings the instances of a run spec to their count, and reports whether
// those that came are up. Those that were there are not waited for, be they well
// or not. Source: Marathon's TaskStartActor.
func (d *driver) scale(c *scaling, s *state.RunSpec) bool {
	if c == nil {
		return true // it came after the step began, by another write
	}
	is := d.instances.Of(s.ID)
	if slices.ContainsFunc(c.going, func(i *state.Instance) bool { return slices.Contains(is, i) }) {
		return false
	}
	if c.before == nil {
		c.before = map[*state.Instance]bool{}
		for _, i := range is {
			c.before[i] = true
		}
		c.add = max(0, s.Instances()-len(is))
		d.instances.schedule(s, c.add)
	}
	active, up := d.instances.active(s.ID), 0
	for _, i := range active {
		if !c.before[i] && d.ready(s, i) {
			up++
		}
	}
	if up < c.add {
		d.instances.schedule(s, s.Instances()-len(active)) // what was lost on the way
	}
	return up >= c.add
}

// reached reports whether a run spec has its count of instances, each up, and
// none that still dies.
func (d *driver) reached(s *state.RunSpec) bool {
	is := d.instances.Of(s.ID)
	return len(is) == s.Instances() &&
		!slices.ContainsFunc(is, func(i *state.Instance) bool { return i.Decommissioned || !d.ready(s, i) })
}

// ready reports whether an instance counts as up in a deployment: running, healthy
// and past its readiness check.
func (d *driver) ready(s *state.RunSpec, i *state.Instance) bool {
	if i.Condition != state.Running || !i.ConsideredHealthy() {
		return false
	}
	if s.App == nil || len(s.App.ReadinessChecks) == 0 || i.Ready {
		return true
	}
	d.health.checkReadiness(s, i)
	return false
}
