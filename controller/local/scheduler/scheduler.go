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

// base is what all parts use: the lock, what is known, who listens, what runs
// tasks.
type base struct {
	*loop
	Versions *state.Versions
	Queue    state.LaunchQueue
	Limiter  state.RateLimiter
	Events   *Events
	Agent    *Agent
	runner   *runner
	log      *slog.Logger
}

// Scheduler owns what a Marathon knows and runs. Do, Done, Close and the methods
// of Executor may be called by anyone; all else, that of its parts too, from
// within Do.
type Scheduler struct {
	*base
	Executor    executor.Executor
	Instances   *Instances
	Deployments *Deployments

	health   *Health
	launcher *launcher
	storage  *storage
	counted  time.Time // when instances were last counted; see keepCounts
}

// New starts a Scheduler, with what the data folder holds.
func New(o Options) (*Scheduler, error) {
	folder, err := openStorage(o.Data)
	if err != nil {
		return nil, err
	}
	s, err := start(o, folder)
	if err != nil {
		return nil, errors.Join(err, folder.close())
	}
	return s, nil
}

func start(o Options, folder *storage) (*Scheduler, error) {
	st := storedState{Version: state.At(time.Now()), AgentID: uuid.NewString() + "-S0"}
	if _, err := folder.read(stateFile, &st, &st.Format); err != nil {
		return nil, err
	}
	root, err := st.restore(o.Cluster)
	if err != nil {
		return nil, err
	}
	s := assemble(o, root, st.AgentID, folder)
	s.Instances.restore(st)
	if err := s.Deployments.resume(); err != nil {
		return nil, err
	}
	if s.Executor, err = o.Executor(s.reportUpdate); err != nil {
		return nil, fmt.Errorf("local Marathon: starting the executor: %w", err)
	}
	s.runner.Executor = s.Executor
	s.work.Go(func() { s.run(s.round) })
	s.wakeUp()
	return s, nil
}

// assemble joins the parts, each with those that it uses.
func assemble(o Options, root *state.RootGroup, agentID string, folder *storage) *Scheduler {
	b := &base{
		loop: newLoop(), Versions: state.NewVersions(root), Queue: state.LaunchQueue{}, Limiter: state.RateLimiter{},
		Events: &Events{streams: map[*Stream]bool{}, log: o.Log}, Agent: newAgent(o.Agent, agentID), log: o.Log,
	}
	s := &Scheduler{base: b, storage: folder, counted: time.Now()}
	b.runner = &runner{loop: b.loop, report: s.reportUpdate}
	s.Instances = &Instances{
		base: b, volumes: &volumes{storage: folder, log: o.Log, parked: map[string][]*state.Instance{}},
		killing: slices.Contains(o.Cluster.Features, "task_killing"), tracker: tracker{}, tasks: map[string]*state.Task{},
		failures: map[string]*state.TaskFailure{}, replacing: map[string]bool{},
	}
	s.launcher = &launcher{base: b, instances: s.Instances, builder: taskBuilder{b.Agent.Hostname, folder}}
	s.health = &Health{
		base: b, instances: s.Instances, prober: cmp.Or[Prober](o.Prober, network{}),
		published: map[string][]string{}, probes: map[*state.Task]probes{},
	}
	s.Deployments = &Deployments{
		base: b, instances: s.Instances, storage: folder, driver: &driver{b, s.Instances, s.health},
		cluster: o.Cluster, most: o.MaxRunningDeployments,
	}
	return s
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
	s.Instances.saveVolumes()
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
