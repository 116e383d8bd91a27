package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// Marathon is an embedded Marathon: state, scheduler and HTTP API in one value.
//
// One mutex guards all of it. Requests change the state under it and answer;
// one goroutine, run, takes what the executor reports and drives deployments
// and launches under it. Probes of health run beside, and report to run.
type Marathon struct {
	options  Options
	executor executor.Executor
	prober   prober
	fits     func(*spec) bool // whether constraints let one more task run
	agentID  string
	started  time.Time

	mu         sync.Mutex
	root       *root
	roots      []*root            // the last versions, oldest first
	history    map[string][]*spec // of each id, oldest first
	lastStamp  time.Time
	rollback   stamp // the version of every rollback of this process; see revert
	generation int

	deployments []*deployment
	instances   map[string][]*instance // by id of the spec, oldest first
	parked      map[string][]*instance // of resident ids: no task, but volumes
	tasks       map[string]*task
	delays      map[string]*delay
	failures    map[string]*taskFailure // the last of each id
	checks      map[string][]string     // the health checks of each app that were told of
	offers      map[string]*offerStats
	ports       map[int]bool // host ports of tasks
	nextPort    int          // where freePort goes on; see there
	offer       int          // moves when the agent has more to offer
	used        resources
	engine      engine
	streams     map[*stream]bool
	injected    injected
	counted     time.Time // when instances were last counted; see keepCounts

	reports reports
	wake    wait.Signal
	ctx     context.Context
	stop    context.CancelFunc
	closing chan struct{} // closed when event streams must end
	work    sync.WaitGroup
	data    *folder // nil: nothing is kept
	unsaved bool    // a resident instance came or went
}

// keptVersions is --zk_max_versions.
const keptVersions = 50

// New makes a Marathon. Nothing listens: serve Handler.
func New(o Options) (*Marathon, error) { return newMarathon(o, network{}) }

func newMarathon(o Options, p prober) (*Marathon, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	m := &Marathon{
		options: o, prober: p, agentID: uuid.NewString() + "-S0", started: time.Now(), counted: time.Now(),
		root: newRoot(), history: map[string][]*spec{},
		instances: map[string][]*instance{}, parked: map[string][]*instance{}, tasks: map[string]*task{}, delays: map[string]*delay{},
		failures: map[string]*taskFailure{}, offers: map[string]*offerStats{}, ports: map[int]bool{}, checks: map[string][]string{},
		streams: map[*stream]bool{}, wake: wait.NewSignal(), closing: make(chan struct{}),
	}
	m.root.version = m.stamp()
	m.fits = m.meetsConstraints
	// Two of them on one machine must not offer the same ports in the same order:
	// between an offer and the task's own bind nobody holds the port.
	m.nextPort = rand.IntN(o.Agent.PortMax - o.Agent.PortMin + 1)
	m.reports.wake = m.poke
	m.ctx, m.stop = context.WithCancel(context.Background())
	if o.Data != "" {
		if m.data, err = openFolder(o.Data); err != nil {
			return nil, err
		}
		if err := m.load(); err != nil {
			return nil, errors.Join(err, m.data.close())
		}
	}
	if m.executor, err = o.Executor(m.reports.add); err != nil {
		err = fmt.Errorf("local Marathon: starting the executor: %w", err)
		return nil, errors.Join(err, m.data.close())
	}
	m.work.Go(m.run)
	m.poke()
	return m, nil
}

// Close ends every task and every event stream, and gives the data folder back.
func (m *Marathon) Close() error {
	m.mu.Lock()
	if m.ctx.Err() != nil {
		m.mu.Unlock()
		return nil
	}
	m.stop()
	close(m.closing)
	m.mu.Unlock()
	m.work.Wait()
	return errors.Join(m.executor.Close(), m.removeTemporary(), m.data.close())
}

// Enforcement says in one sentence whether cpus and mem are enforced on this
// machine or only accounted.
func (m *Marathon) Enforcement() string { return m.executor.Enforcement() }

// stamp is now as a version: in milliseconds, and never twice the same.
func (m *Marathon) stamp() stamp {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if !now.After(m.lastStamp) {
		now = m.lastStamp.Add(time.Millisecond)
	}
	m.lastStamp = now
	return stamp{now}
}

func (m *Marathon) nextGeneration() int {
	m.generation++
	return m.generation
}

// poke makes run look again, soon.
func (m *Marathon) poke() {
	m.wake.Notify()
}

// run drives everything that no request drives, until Close.
func (m *Marathon) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		m.mu.Lock()
		for _, report := range m.reports.take() {
			report(m)
		}
		again := m.advance()
		m.saveResidents()
		m.mu.Unlock()
		timer.Reset(again)
	}
}

// advance does all that can be done now, and says when to look again.
func (m *Marathon) advance() time.Duration {
	if m.ctx.Err() != nil {
		return time.Hour
	}
	m.advanceDeployments()
	m.keepCounts()
	again := m.launch()
	m.advanceDeployments() // what was not launched for want of a task is done
	return again
}

// reports are things that happened, in order, waiting for run. Adding never
// blocks: the executor may report from within Launch.
type reports struct {
	mu    sync.Mutex
	queue []func(*Marathon)
	wake  func()
}

func (r *reports) add(u executor.Update) { r.push(func(m *Marathon) { m.taskUpdate(u) }) }

func (r *reports) push(f func(*Marathon)) {
	r.mu.Lock()
	r.queue = append(r.queue, f)
	r.mu.Unlock()
	r.wake()
}

func (r *reports) take() []func(*Marathon) {
	r.mu.Lock()
	defer r.mu.Unlock()
	queue := r.queue
	r.queue = nil
	return queue
}
