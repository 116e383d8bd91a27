package local

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pacer-gitops/pacer/controller/local/api"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// Marathon is an embedded Marathon.
type Marathon struct {
	scheduler *scheduler.Scheduler
	api       *api.API
}

// Options say what a Marathon is like. Only Executor is needed.
type Options struct {
	// Executor makes what runs the tasks. It is called once by New with the
	// function that takes the updates of all tasks; Close closes what it made.
	Executor func(report func(executor.Update)) (executor.Executor, error)
	// Data is the folder of the state, made if missing. Empty: nothing outlives
	// Close.
	Data string
	// Cluster is what GET /v2/info reports: version, features, role, default
	// network, bridge name and range of service ports. Zero members are those
	// of manifests.DefaultCluster.
	Cluster manifests.Cluster
	// Agent is the one agent that offers.
	Agent Agent
	// Address is the host:port at which clients reach Handler, as /v2/leader and
	// /v2/info report it. Empty: taken from each request.
	Address string
	// MaxRunningDeployments is --max_running_deployments; 0: 100.
	MaxRunningDeployments int
	// Failures opens /local/failures, by which tests ask for failures of the
	// API itself. Labels that begin with "local." work without it.
	Failures bool
	// Log receives the errors that no answer reports; nil: slog.Default().
	Log *slog.Logger
}

// Agent is what the one agent of a Marathon offers.
type Agent = state.Agent

// New makes a Marathon. Nothing listens: serve Handler.
func New(o Options) (*Marathon, error) { return newMarathon(o, nil) }

// newMarathon probes tasks by p; nil: over the network.
func newMarathon(o Options, p scheduler.Prober) (*Marathon, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	s, err := scheduler.New(scheduler.Options{
		Executor: o.Executor, Data: o.Data, Cluster: o.Cluster, Agent: o.Agent,
		MaxRunningDeployments: o.MaxRunningDeployments, Prober: p, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Marathon{s, api.New(s, api.Options{Cluster: o.Cluster, Address: o.Address, Failures: o.Failures})}, nil
}

// Handler is Marathon's HTTP API.
func (m *Marathon) Handler() http.Handler { return m.api }

// Enforcement says in one sentence whether cpus and mem are enforced on this
// machine or only accounted.
func (m *Marathon) Enforcement() string { return m.scheduler.Executor.Enforcement() }

// Close ends every task and every event stream, and gives the data folder back.
func (m *Marathon) Close() error { return m.scheduler.Close() }

// filled is o with every default filled in.
func (o Options) filled() (Options, error) {
	if o.Executor == nil {
		return o, errors.New("local Marathon: no executor given: nothing could run tasks")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.MaxRunningDeployments = cmp.Or(o.MaxRunningDeployments, 100)
	d, c := manifests.DefaultCluster(), &o.Cluster
	c.Version = cmp.Or(c.Version, d.Version)
	c.MesosRole = cmp.Or(c.MesosRole, d.MesosRole)
	c.BridgeName = cmp.Or(c.BridgeName, d.BridgeName)
	c.LocalPortMin = cmp.Or(c.LocalPortMin, d.LocalPortMin)
	c.LocalPortMax = cmp.Or(c.LocalPortMax, d.LocalPortMax)
	a := &o.Agent
	a.Hostname = cmp.Or(a.Hostname, "127.0.0.1")
	a.CPUs = cmp.Or(a.CPUs, 64)
	a.Mem = cmp.Or(a.Mem, 256*1024)
	a.Disk = cmp.Or(a.Disk, 1024*1024)
	a.PortMin = cmp.Or(a.PortMin, 31000)
	a.PortMax = cmp.Or(a.PortMax, 32767)
	if a.PortMin < 1 || a.PortMax > 65535 || a.PortMax < a.PortMin {
		return o, fmt.Errorf("local Marathon: expected host ports within 1 to 65535, found %d to %d", a.PortMin, a.PortMax)
	}
	return o, nil
}
