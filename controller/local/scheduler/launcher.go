package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
)

// launcher gives the agent's offers to the instances that wait.
type launcher struct {
	*base
	instances *Instances
	builder   taskBuilder
	engine    engine
}

// reoffer is how often the same offer is made again to what waits for something
// whose coming is not reported, such as a container engine or a free port.
const reoffer = 2 * time.Second

// launch gives offers to all that wait, and returns when to offer again.
func (l *launcher) launch() time.Duration {
	again := time.Hour
	for _, id := range slices.Sorted(maps.Keys(l.Queue)) {
		s := l.Versions.Root.Specs[id]
		if s == nil {
			continue
		}
		if waiting := l.instances.Waiting(id); len(waiting) > 0 {
			again = min(again, l.launchSpec(s, waiting))
		}
	}
	return max(again, time.Millisecond)
}

func (l *launcher) launchSpec(s *state.RunSpec, waiting []*state.Instance) time.Duration {
	if left, delayed := l.Limiter.Left(s, time.Now()); delayed && left > 0 {
		return left
	}
	o, offer := l.Queue[s.ID], l.Agent.offer+1
	if o.Tried == offer && o.WaitsFor == "" && o.Last != state.InsufficientPorts {
		return time.Hour // nothing has changed since this was declined
	}
	for _, i := range waiting {
		i.Spec = s
		if !l.match(i, o) {
			o.Tried = offer
			return reoffer
		}
	}
	o.Since = state.Timestamp{}
	return time.Hour
}

// match offers the agent to an instance and launches it if that fits.
func (l *launcher) match(i *state.Instance, o *state.OfferStatistics) bool {
	what := l.builder.build(i)
	waitsFor, known := l.waitsFor(what)
	if !known {
		return false // nothing was offered yet
	}
	o.Processed++
	o.WaitsFor = ""
	declined := l.Agent.Declined(i.Spec, what.total, l.Agent.Free(), l.running(i.Spec.ID))
	if declined == "" && !l.Agent.choosePorts(what) {
		declined = state.InsufficientPorts
	}
	switch {
	case declined != "":
	case waitsFor != "":
		o.WaitsFor, declined = waitsFor, state.UnfulfilledConstraint
	default:
		l.launchInstance(i, what)
		o.Last, o.LastUsed = "", state.At(time.Now())
		return true
	}
	o.Decline(declined, time.Now())
	return false
}

// running is how many instances of a run spec are on the agent and stay.
func (l *launcher) running(id string) int {
	return len(where(l.instances.active(id), func(i *state.Instance) bool { return i.Current() != nil }))
}

// engine is the last answer of whether containers can be run.
type engine struct {
	asking   bool
	answered time.Time
	err      error
}

// engineAnswerCounts is how long an answer of the engine counts.
const engineAnswerCounts = time.Second

// waitsFor says what the machine lacks for the tasks of a launch; "": nothing. It
// is not known while the engine, which may take seconds, is being asked: that is
// done in the background, and the answer wakes the loop.
func (l *launcher) waitsFor(what *launch) (why string, known bool) {
	e := &l.engine
	n := slices.IndexFunc(what.tasks, func(t taskLaunch) bool { return t.task.Container != nil })
	switch {
	case n < 0:
		return "", true
	case !e.answered.IsZero() && time.Since(e.answered) < engineAnswerCounts:
		if e.err != nil {
			return e.err.Error(), true
		}
		return "", true
	case e.asking:
		return "", false
	}
	e.asking = true
	task := what.tasks[n].task
	l.background(func() {
		err := l.runner.Ready(task)
		l.report(func() {
			*e = engine{answered: time.Now(), err: err}
			l.Agent.offersMore()
		})
	})
	return "", false
}

func (l *launcher) launchInstance(i *state.Instance, what *launch) {
	i.Incarnation++
	i.Tasks, i.Past = nil, nil
	for n := range what.tasks {
		i.Tasks = append(i.Tasks, newTask(i, &what.tasks[n]))
	}
	l.instances.launched(i)
	for n, t := range i.Tasks { // whose environment may have the ports of all
		l.builder.complete(t, &what.tasks[n])
	}
	l.instances.become(i, state.Provisioned)
	for n, t := range i.Tasks {
		l.runner.launch(t, what.tasks[n].task)
	}
}

func newTask(i *state.Instance, l *taskLaunch) *state.Task {
	now := state.At(time.Now())
	return &state.Task{
		ID: fmt.Sprintf("%s.%s.%d", i.ID, l.name, i.Incarnation), Name: l.name, Instance: i,
		State: executor.Staging, StateAt: now, StagedAt: now, Ports: append([]int{}, l.ports...), Resources: l.resources,
	}
}
