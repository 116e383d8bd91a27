package apply

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// A write over a rollout that has not ended, such as a revert or a restart, leaves two
// sorts of tasks to Marathon: those of the rollout, and outdated ones that still run.
// Whatever restores a definition gives it a new version, so both are outdated then and are
// replaced: a write of the former definition, a rollback of the deployment, and the
// app's former version alike (GroupVersioningUtil, DeploymentPlanReverter). No write
// keeps them. But Marathon ends as many at once as there are more than instances, in
// no certain order: without health checks a task that never started counts as one
// that runs well (TaskReplaceActor, computeRestartStrategy). Of three that ran and
// three that hung, a revert ended the three that ran; of two of three and one that
// hung, with health checks and {0.5, 0}, none was ended and none was started.
//
// So what of the rollout does not serve is ended first, for good (a wipe, which has
// no successor in the rollout). What Marathon then counts is what ran before, and
// the upgrade strategy alone decides how many of it go at a time. To scale instead
// ends the wrong ones (ScalingProposition: tasks that wait for an offer go last), and
// to end with scale=true lowers the count.
//
//	task of the rollout                     a revert   another write
//	staging, starting, pending              ended      ended
//	has ended, the next is not there yet    ended      ended
//	runs, a health check has not passed,    ended      stays: it may pass
//	or its readiness check
//	runs                                    stays      stays
//	unreachable, being killed               stays      stays: it may serve; it goes
//
// A task of an app that waits for an offer has no id in Marathon's API, so it stays.
// Nothing is ended where no outdated task runs, as there is nothing to protect; nor
// with persistent volumes, which would go, too; nor while somebody else's deployment
// holds the app, which is waited for.

// Wiper is what a Marathon may offer in addition: to cancel a deployment, and to end
// tasks for good, whose instances are not replaced. *marathon.Client does.
type Wiper interface {
	CancelDeployment(ctx context.Context, id string) error
	WipeTasks(ctx context.Context, app string, ids []string) error
	WipeInstances(ctx context.Context, pod string, ids []string) error
}

// wiping is the end of tasks before an item is written.
type wiping struct {
	over  bool      // or not needed
	ids   []string  // of tasks, or of instances of a pod
	until time.Time // it is not waited for any longer
}

const (
	wipeRequest = 2 * time.Second  // of the request: Marathon answers when all are gone
	wipeTime    = 10 * time.Second // of all
	wipeCheck   = 500 * time.Millisecond
)

// clears ends what does not serve of the rollout that an item is about to be written
// over, and reports whether that is still in progress. Where it cannot be done, the
// item is written all the same.
func (r *run) clears(it *item) bool {
	c := it.change
	if it.wiping.over || c.App == nil && c.Pod == nil {
		return false
	}
	if it.wiping.until.IsZero() && !it.force && !(c.Revert && r.isFree(it)) {
		return false
	}
	if !r.wipes(it, Write{it.outcome, c.App, c.Pod}, c.Revert) {
		return false
	}
	it.phase, it.retryAt = ready, time.Now().Add(wipeCheck)
	return true
}

// wipes is clears for any write; failed: the rollout has, so what runs of it and
// does not serve is ended, too.
func (r *run) wipes(it *item, w Write, failed bool) bool {
	if it.wiping.over || r.wiper == nil {
		return false
	}
	read := r.readApp
	if it.change.Kind == manifests.KindPod {
		read = r.readPod
	}
	l, err := read(it.id())
	switch now := time.Now(); {
	case err != nil || l.missing() || !it.force && len(l.status().Deployments) > 0:
		it.wiping.over = true
	case it.wiping.until.IsZero():
		it.wiping.ids, it.wiping.until = r.idle(l, failed), now.Add(wipeTime)
		it.wiping.over = len(it.wiping.ids) == 0 || !r.wipe(it, w, failed)
	case !slices.ContainsFunc(it.wiping.ids, l.has), now.After(it.wiping.until):
		it.wiping.over = true
	}
	return !it.wiping.over
}

// isFree reads whether no deployment holds an item. One that does is met as the lock
// that it is: it is waited for, or, if it is Pacer's own, this is tried again by force.
func (r *run) isFree(it *item) bool {
	all, err := r.m.Deployments(r.ctx)
	if err != nil {
		return false
	}
	r.deployments = all
	return len(r.holding(it.id())) == 0
}

// wipe requests the end of tasks, and reports whether Marathon may have taken that.
// It is noted as the write is that follows: without the lease, nothing is ended.
//
// Marathon starts none in their place while their deployment is there. A rollout that
// has failed may wait for them for ever, as its revert is tried until it is done. Of
// any other the write may never come, if git goes back to it meanwhile. So that one is
// cancelled before, as the write would do: what is cancelled is resumed.
func (r *run) wipe(it *item, w Write, failed bool) bool {
	w.Outcome.Began = time.Now()
	if r.req.Sending([]Write{w}) != nil {
		return false // nor will it be written, which says why
	}
	wipe := r.wiper.WipeTasks
	if it.change.Kind == manifests.KindPod {
		wipe = r.wiper.WipeInstances
	}
	ctx, done := r.writing()
	defer done()
	ctx, cancel := context.WithTimeout(ctx, wipeRequest)
	defer cancel()
	if it.force && !failed {
		for _, id := range r.holding(it.id()) {
			if err := exceptMissing(r.wiper.CancelDeployment(ctx, id)); err != nil {
				return false
			}
		}
	}
	r.tell(it, fmt.Sprintf("ending %d tasks of its rollout that do not serve, before it is replaced", len(it.wiping.ids)))
	err := wipe(ctx, it.id(), it.wiping.ids)
	r.options.Log.Info("ending tasks of a rollout that do not serve before it is replaced", "id", it.id(), "tasks", it.wiping.ids, "error", err)
	return err == nil || marathon.KindOf(err) == marathon.KindUnknown
}

// idle are the tasks that are ended before an item is written: see the table above.
func (r *run) idle(l live, failed bool) (ids []string) {
	outdated := 0 // that run
	add := func(id string, present, runs, idle bool) {
		switch {
		case !present && runs:
			outdated++
		case present && idle:
			ids = append(ids, id)
		}
	}
	var volumes []manifests.Volume
	switch {
	case l.pod != nil:
		volumes = l.pod.Definition.Volumes
		for _, i := range l.pod.Instances {
			idle := i.Status == "PENDING" || i.Status == "STAGING" || failed && i.Status == "DEGRADED" && !isUnreachable(i)
			add(i.ID, path.Base(i.SpecReference) == l.pod.Status.Version, i.Status == "STABLE", idle)
		}
	default:
		if l.app.Definition.Container != nil {
			volumes = l.app.Definition.Container.Volumes
		}
		unready := r.unready(l.app.Definition.ID)
		for _, t := range l.app.Tasks {
			runs := t.State == "TASK_RUNNING"
			fails := runs && (!passes(t, len(l.app.Definition.HealthChecks)) || unready[t.ID])
			idle := t.State == "TASK_STAGING" || t.State == "TASK_STARTING" || failed && fails
			add(t.ID, l.app.Status.IsPresent(t.Version), runs, idle)
		}
		for _, t := range l.app.Ended { // an outdated one that ends in a rollout is gone
			add(t.ID, true, false, true)
		}
	}
	if outdated == 0 || slices.ContainsFunc(volumes, func(v manifests.Volume) bool { return v.Persistent != nil }) {
		return nil
	}
	return ids
}

// passes reports whether a task has passed all of so many health checks.
func passes(t marathon.Task, checks int) bool {
	return len(t.Health) >= checks && !slices.ContainsFunc(t.Health, func(h marathon.HealthResult) bool { return !h.Alive })
}

func isUnreachable(i marathon.PodInstance) bool {
	return slices.ContainsFunc(i.Containers, func(c marathon.PodContainer) bool { return c.Status == taskUnreachable })
}

// unready are the tasks of an app whose readiness check has not passed.
func (r *run) unready(id string) map[string]bool {
	tasks := map[string]bool{}
	for _, d := range r.deployments {
		for _, a := range d.CurrentActions {
			for _, check := range a.Readiness {
				if a.App == id && !check.Ready {
					tasks[check.TaskID] = true
				}
			}
		}
	}
	return tasks
}

// has reports whether a task, or an instance of a pod, is still listed.
func (l live) has(id string) bool {
	if l.pod != nil {
		return slices.ContainsFunc(l.pod.Instances, func(i marathon.PodInstance) bool { return i.ID == id })
	}
	is := func(t marathon.Task) bool { return t.ID == id }
	return slices.ContainsFunc(l.app.Tasks, is) || slices.ContainsFunc(l.app.Ended, is)
}
