package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// Options say what a Scheduler runs. All but Data and Prober are needed.
type Options struct {
	// Executor makes what runs the tasks, with the function that takes the updates
	// of all tasks; Close closes it.
	Executor              func(report func(executor.Update)) (executor.Executor, error)
	Data                  string // folder of the state; empty: nothing outlives Close
	Cluster               manifests.Cluster
	Agent                 state.Agent
	MaxRunningDeployments int
	Prober                Prober // nil: over the network
	Log                   *slog.Logger
}

// Scheduler owns what a Marathon knows and runs. Do, Done, Close and the methods
// of Executor may be called by anyone; all else, that of its parts too, from
// within Do.
type Scheduler struct {
	*loop
	Executor    executor.Executor
	Versions    *state.Versions
	Queue       state.LaunchQueue
	Limiter     state.RateLimiter
	Events      *Events
	Agent       *Agent
	Instances   *Instances
	Deployments *Deployments

	health   *Health
	launcher *launcher
	storage  *storage
	counted  time.Time // when instances were last counted; see keepCounts
}

// New starts a Scheduler, with what the data folder holds.
func New(o Options) (*Scheduler, error) {
	agentID := uuid.NewString() + "-S0"
	root, st := state.NewRootGroup(state.At(time.Now())), storedState{}
	folder := temporaryStorage(agentID)
	if o.Data != "" {
		var err error
		if folder, err = openStorage(o.Data); err != nil {
			return nil, err
		}
		found, err := folder.read(stateFile, &st, &st.Format)
		if err != nil {
			return nil, errors.Join(err, folder.close())
		}
		if found {
			agentID, root = st.AgentID, st.rootGroup(o.Cluster)
		}
	}
	s := assemble(o, state.NewVersions(root), newAgent(o.Agent, agentID), folder)
	if err := s.start(o, st); err != nil {
		s.close()
		return nil, errors.Join(err, folder.close())
	}
	return s, nil
}

// assemble joins the parts, each with those that it uses.
func assemble(o Options, versions *state.Versions, agent *Agent, folder *storage) *Scheduler {
	s := &Scheduler{
		loop: newLoop(), Versions: versions, Queue: state.LaunchQueue{}, Limiter: state.RateLimiter{}, Agent: agent,
		Events: &Events{streams: map[*Stream]bool{}, log: o.Log}, storage: folder, counted: time.Now(),
	}
	run := &runner{loop: s.loop, report: s.reportUpdate}
	s.Instances = &Instances{
		loop: s.loop, events: s.Events, versions: versions, agent: agent, runner: run, storage: folder, limiter: s.Limiter, queue: s.Queue, log: o.Log,
		killing: slices.Contains(o.Cluster.Features, "task_killing"), byID: map[string][]*state.Instance{}, parked: map[string][]*state.Instance{}, tasks: map[string]*state.Task{},
		failures: map[string]*state.TaskFailure{}, replacing: map[string]bool{},
	}
	s.launcher = &launcher{
		loop: s.loop, versions: versions, instances: s.Instances, agent: agent, runner: run,
		builder: taskBuilder{agent.Hostname, folder}, limiter: s.Limiter, queue: s.Queue,
	}
	s.health = &Health{
		loop: s.loop, events: s.Events, instances: s.Instances, agent: agent, runner: run, prober: cmp.Or[Prober](o.Prober, network{}),
		published: map[string][]string{}, probes: map[*state.Task]probes{},
	}
	s.Deployments = &Deployments{
		loop: s.loop, events: s.Events, versions: versions, instances: s.Instances, health: s.health, storage: folder, limiter: s.Limiter,
		log: o.Log, cluster: o.Cluster, most: o.MaxRunningDeployments,
	}
	return s
}

// start resumes what ran before and begins to run.
func (s *Scheduler) start(o Options, st storedState) error {
	s.Instances.restore(st)
	if err := s.Deployments.resume(); err != nil {
		return err
	}
	e, err := o.Executor(s.reportUpdate)
	if err != nil {
		return fmt.Errorf("local Marathon: starting the executor: %w", err)
	}
	s.Executor, s.Instances.runner.Executor = e, e
	s.work.Go(func() { s.run(s.round) })
	s.wakeUp()
	return nil
}

// Done is closed when the Scheduler is closed.
func (s *Scheduler) Done() <-chan struct{} { return s.ctx.Done() }

// Close ends every task, and gives the data folder back.
func (s *Scheduler) Close() error {
	if !s.close() {
		return nil
	}
	return errors.Join(s.Executor.Close(), s.storage.close())
}

// ResetDelay lets what waits for the back-off of a run spec be launched at once.
func (s *Scheduler) ResetDelay(id string) {
	delete(s.Limiter, id)
	s.wakeUp()
}

// round does all that can be done now, and returns when to look again.
func (s *Scheduler) round() time.Duration {
	again := time.Hour
	if s.ctx.Err() == nil {
		s.Deployments.advance()
		s.keepCounts()
		again = s.launcher.launch()
		s.Deployments.advance() // what was not launched for want of a task is done
	}
	s.Instances.saveResidents()
	return again
}

func (s *Scheduler) reportUpdate(u executor.Update) { s.report(func() { s.update(u) }) }

// update takes what the executor reports of a task.
func (s *Scheduler) update(u executor.Update) {
	t := s.Instances.update(u)
	if t == nil {
		return
	}
	if t.Over() {
		s.health.stop(t)
	} else if t.State == executor.Running {
		s.health.watch(t)
	}
	s.Instances.settle(t.Instance)
	s.wakeUp()
}

// CountInterval is how often instances that no deployment drives are counted
// again: --scale_apps_interval.
const CountInterval = 5 * time.Minute

// keepCounts brings what no deployment drives back to its count: what is
// missing at once, what is too much (after a cancelled deployment) at the
// interval at which Marathon counts.
func (s *Scheduler) keepCounts() {
	counted := time.Since(s.counted) >= CountInterval
	if counted {
		s.counted = time.Now()
	}
	for id := range s.Instances.All() {
		spec := s.Versions.Root.Specs[id]
		switch {
		case len(s.Deployments.Of(id)) > 0:
		case spec == nil:
			s.Instances.stopAll(id)
		default:
			n := len(s.Instances.active(id))
			if n < spec.Instances() || counted && n > spec.Instances() {
				s.Instances.scale(spec)
			}
		}
	}
}
