package status

import (
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// healthBy judges the health of an app by what Marathon counts, and from whether
// its tasks failed of late (see restarts):
//
//	found   deployments   target   running    healthy, where checked   failed   health
//	no                                                                          missing
//	yes     some                                                                progressing
//	yes     none          0        0                                            suspended
//	yes     none          n        n or more  n or more                no       healthy
//	yes     none          otherwise                                             degraded
//
// It is a judgement of what is live, and not of a rollout: what has converged (see
// apply.Converged) and whose tasks did not fail of late is healthy, or suspended at
// 0 instances. What is healthy may not have converged yet: a surplus task that
// Marathon still has to kill, or one of an older version, serves as well as others.
func healthBy(found bool, i Instances, deployments int, failed bool) Health {
	switch {
	case !found:
		return HealthMissing
	case deployments > 0:
		return HealthProgressing
	case i.Target == 0 && i.Running == 0:
		return HealthSuspended
	case !failed && i.Running >= i.Target && (!i.Checked || i.Healthy >= i.Target):
		return HealthHealthy
	default:
		return HealthDegraded
	}
}

// Health is that of an app or a pod in Marathon's state, with its counts, and why it
// is degraded where it is, as far as its failed tasks tell.
func (r *Restarts) Health(state marathon.State, id string, kind manifests.Kind, now time.Time) (h Health, i Instances, reason string) {
	var (
		found, up bool // up: whatever else its deployments have to do
		s         marathon.Status
	)
	switch kind {
	case manifests.KindGroup:
		return "", Instances{}, ""
	case manifests.KindPod:
		var live marathon.Pod
		live, found = state.Pods[id]
		s, i = live.Status, counts(live.Status, live.Definition.Count())
		i.Checked = podChecked(live.Definition)
		if found && len(s.Deployments) > 0 {
			up, _ = apply.ConvergedPod(s, live.Definition, state.Deployments)
		}
	default:
		var live marathon.App
		live, found = state.Apps[id]
		s, i = live.Status, counts(live.Status, live.Definition.Count())
		i.Checked = appChecked(live.Definition)
		if found && len(s.Deployments) > 0 {
			up, _ = apply.Converged(s, live.Definition, state.Deployments)
		}
	}
	deployments := len(s.Deployments)
	if up {
		deployments = 0
	}
	unsteady, _ := r.Unsteady(id, now)
	h = healthBy(found, i, deployments, unsteady != "")
	switch f := s.LastTaskFailure; {
	case h != HealthDegraded:
	case unsteady != "":
		reason = unsteady
	case f != nil && f.Message != "":
		reason = "the last task ended: " + apply.Ending(f)
	}
	return h, i, reason
}

// DesiredInstances counts what a definition asks for.
func DesiredInstances(item *manifests.Item) Instances {
	n, checked := item.App.Count(), appChecked(item.App)
	if item.Kind == manifests.KindPod {
		n, checked = item.Pod.Count(), podChecked(item.Pod)
	}
	return Instances{Desired: n, Target: n, Checked: checked}
}

func counts(s marathon.Status, target int) Instances {
	return Instances{Desired: target, Target: target, Running: s.Running, Healthy: s.Healthy}
}

func podChecked(d *manifests.Pod) bool {
	return d != nil && slices.ContainsFunc(d.Containers, func(c manifests.PodContainer) bool { return c.HealthCheck != nil })
}

func appChecked(a *manifests.App) bool { return a != nil && len(a.HealthChecks) > 0 }

// SetHealth shows the health that an app has by Marathon's counts, corrected by what is
// known of its rollout. Marathon never gives one up, Pacer does after its deadline; and
// Marathon takes one for done as soon as its tasks run, Pacer when they have stayed
// up, unless the sync is stopped. Else an app whose tasks crash again and again in
// its rollout would be progressing, healthy and degraded in turn.
func (a *App) SetHealth(h Health, stopped bool) {
	switch {
	case h == HealthProgressing && a.State == Synced && a.Condition == Failed:
		h = HealthDegraded
	case a.Condition == InRollout && !stopped && (h == HealthHealthy || h == HealthDegraded):
		h = HealthProgressing
	}
	a.Health = h
}

// converged shows of a rollout that has ended well what it ended with, without
// waiting for the next read: as many run, and are healthy, as it was to bring up.
func (a *App) converged(to *Instances) {
	i := &a.Instances
	if to != nil {
		i.Target, i.Checked = to.Target, to.Checked
	}
	if !a.Counted {
		i.Desired = i.Target
	}
	i.Running, i.Healthy = i.Target, 0
	if i.Checked {
		i.Healthy = i.Target
	}
	a.Health = healthBy(true, *i, 0, false)
}

// Recount has the reason say the counts that are shown beside it: it was found when
// a rollout was explained, seconds ago, and in a crash loop they change each second.
func (a *App) Recount(state marathon.State) {
	checked := strings.Contains(a.Said, "healthy")
	counts := ""
	if app, found := state.Apps[a.ID]; found {
		counts = apply.Counts(app.Status, app.Definition.Count(), checked)
	} else if pod, found := state.Pods[a.ID]; found {
		counts = apply.Counts(pod.Status, pod.Definition.Count(), checked)
	}
	if why, begins := strings.CutPrefix(a.Reason, a.Said); begins && counts != "" {
		a.Reason, a.Said = counts+why, counts
	}
}

// Refresh shows the health and the counts of an app in a newer state of Marathon. Its
// State and Condition are a reconciliation's to judge, which knows what git defines.
func (a *App) Refresh(state marathon.State, r *Restarts, stopped bool, now time.Time) {
	desired := a.Instances.Desired
	health, instances, reason := r.Health(state, a.ID, a.Kind, now)
	a.Instances = instances
	a.SetHealth(health, stopped)
	if a.Counted || a.Health == HealthMissing {
		a.Instances.Desired = desired
	}
	switch {
	case a.State == Synced && a.Condition == "":
		a.Reason, a.Said = reason, ""
	case a.Said != "":
		a.Recount(state)
	}
}
