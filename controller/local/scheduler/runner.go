package scheduler

import (
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
)

// The labels by which an app or pod asks for failures of its tasks.
const (
	LabelNeverStart   = "local.never-start"   // "true": tasks stay in TASK_STAGING
	LabelFailAtOnce   = "local.fail-at-once"  // "true": tasks fail as soon as they start
	LabelFailAfter    = "local.fail-after"    // seconds: running tasks are ended as failed
	LabelNeverHealthy = "local.never-healthy" // "true": each health check fails
	LabelSlowToDie    = "local.slow-to-die"   // seconds: kills come that much later
)

// runner hands tasks to the executor, or simulates what a label asks for.
type runner struct {
	executor.Executor
	loop   *loop
	report func(executor.Update)
}

func (r *runner) reportState(t *state.Task, s executor.State, message string) {
	r.report(executor.Update{TaskID: t.ID, State: s, Message: message, Timestamp: time.Now()})
}

func (r *runner) launch(t *state.Task, what executor.Task) {
	labels := t.Instance.Spec.Labels()
	switch {
	case labels[LabelNeverStart] == "true":
		t.Simulated = true
		return
	case labels[LabelFailAtOnce] == "true":
		t.Simulated = true
		r.reportState(t, executor.Starting, "")
		r.reportState(t, executor.Failed, "the label "+LabelFailAtOnce+" says so")
		return
	}
	if wait := t.Instance.Spec.LabelSeconds(LabelFailAfter); wait > 0 {
		r.loop.after(wait, func() { r.loop.report(func() { r.fail(t) }) })
	}
	if err := r.Launch(what); err != nil {
		r.reportState(t, executor.Failed, err.Error())
	}
}

// fail ends a running task so that it counts as failed.
func (r *runner) fail(t *state.Task) {
	if !t.Over() && !t.Killing {
		t.Blame = "the label " + LabelFailAfter + " says so"
		r.Kill(t.ID)
	}
}

// kill asks for the end of a task.
func (r *runner) kill(t *state.Task) {
	kill := func() { r.Kill(t.ID) }
	if t.Simulated {
		kill = func() { r.reportState(t, executor.Killed, "") }
	}
	if wait := t.Instance.Spec.LabelSeconds(LabelSlowToDie); wait > 0 {
		r.loop.after(wait, kill)
		return
	}
	kill()
}
