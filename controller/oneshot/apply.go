package oneshot

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/manifests"
)

// Options are what an apply works with.
type Options struct {
	Client  *marathon.Client
	Events  *marathon.Ear // of the same Marathon, and listening
	Journal *Journal      // of the same Marathon
	// Progress receives every rollout that starts, hangs or ends, and the time since
	// the first write.
	Progress func(elapsed time.Duration, o apply.Outcome)
}

// Result is a plan, and what became of its changes.
type Result struct {
	Plan     plan.Plan
	Outcomes []plan.Outcome
	// Succeeded reports whether every change was applied and has converged, and no
	// definition has an error.
	Succeeded bool
}

// Apply plans a sync and applies the plan. It returns when every rollout has
// converged or failed, or when ctx has ended: rollouts then continue in Marathon.
// An error means that there was no plan, hence nothing was applied.
func Apply(ctx context.Context, s Sync, o Options) (Result, error) {
	p, state, err := planner{Sync: s}.plan(ctx, o.Client)
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	applier := apply.New(o.Client, apply.Options{Deadline: s.Deadline})
	request := apply.Request{
		Cluster: state.Cluster, Groups: state.Groups, Running: state.Deployments, Apps: len(state.Apps), Settle: s.Settle,
		Events: o.Events.News(), Hears: o.Events.Hears,
		Progress: func(outcome apply.Outcome) {
			o.Journal.note(outcome)
			o.Progress(time.Since(began), outcome)
		},
	}
	request.Rollouts, request.Deployments = notConverged(state, p.Owned), o.Journal.running(state.Deployments)
	outcomes := applier.Apply(ctx, p, request)
	if s.Policy.Revert {
		revert(ctx, s, o.Client, applier, request, applied{p, state, outcomes})
	}
	succeeded := !slices.ContainsFunc(outcomes, func(o apply.Outcome) bool { return o.Result != apply.Applied }) &&
		!slices.ContainsFunc(p.Problems, func(p manifests.Problem) bool { return p.Severity == manifests.SeverityError })
	return Result{Plan: p, Outcomes: forPlan(outcomes), Succeeded: succeeded}, nil
}

// notConverged lists what is in Marathon as git defines it and has not converged: an
// apply waits for it too, whoever started it.
func notConverged(s marathon.State, owned map[string]plan.Owned) map[string]apply.Rollout {
	rollouts := map[string]apply.Rollout{}
	for id, o := range owned {
		converged := true
		if a, is := s.Apps[id]; is && o.Kind == manifests.KindApp {
			converged, _ = apply.Converged(a.Status, a.Definition, s.Deployments)
		} else if p, is := s.Pods[id]; is && o.Kind == manifests.KindPod {
			converged, _ = apply.ConvergedPod(p.Status, p.Definition, s.Deployments)
		}
		if !converged {
			rollouts[id] = apply.Rollout{Kind: o.Kind, Action: plan.None, Began: time.Now()}
		}
	}
	return rollouts
}

// applied is a plan, the state that it was computed from, and its outcomes.
type applied struct {
	plan.Plan
	before   marathon.State
	outcomes []apply.Outcome
}

// revert applies the last healthy definition of each change that has failed, and
// adds what became of that to the reason of its outcome.
func revert(ctx context.Context, s Sync, client *marathon.Client, a *apply.Applier, r apply.Request, done applied) {
	failed := map[string]plan.Failure{}
	for _, o := range done.outcomes {
		if o.Result == apply.Failed && !o.Transient && o.Hash != "" {
			failed[o.ID] = plan.Failure{Hash: o.Hash, Reason: o.Reason, Deployment: o.Deployment}
		}
	}
	if len(failed) == 0 || ctx.Err() != nil {
		return
	}
	again := planner{Sync: s, failed: failed, healthy: reconcile.HealthyOf(done.Plan, done.before)}
	for id, f := range failed {
		_, known := again.healthy[id]
		f.NoHealthy = !known
		failed[id] = f
	}
	p, now, err := again.plan(ctx, client)
	unrestored := ""
	if err != nil {
		unrestored = err.Error()
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return !c.Revert || c.Blocked != nil })
	r.Rollouts, r.Deployments, r.Running = nil, nil, now.Deployments // what failed is known to this applier
	for _, o := range a.Apply(ctx, p, r) {
		f := failed[o.ID]
		f.Restored = o.Result == apply.Applied
		if !f.Restored {
			f.Unrestored = o.Reason
		}
		failed[o.ID] = f
	}
	for i := range done.outcomes {
		if f, is := failed[done.outcomes[i].ID]; is {
			f.Unrestored = cmp.Or(f.Unrestored, unrestored)
			done.outcomes[i].Reason = f.Words()
		}
	}
}

// forPlan are the outcomes as a plan is printed with them.
func forPlan(outcomes []apply.Outcome) []plan.Outcome {
	var all []plan.Outcome
	for _, o := range outcomes {
		seconds := 0.0
		if !o.Began.IsZero() {
			seconds = o.Ended.Sub(o.Began).Round(time.Millisecond).Seconds()
		}
		all = append(all, plan.Outcome{ID: o.ID, Kind: o.Kind, Result: string(o.Result), Reason: o.Reason, Seconds: seconds})
	}
	return all
}
