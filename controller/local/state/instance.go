package state

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// Condition is what an instance is at, in Marathon's words.
type Condition string

// The conditions.
const (
	Scheduled   Condition = "Scheduled"
	Provisioned Condition = "Provisioned"
	Staging     Condition = "Staging"
	Starting    Condition = "Starting"
	Running     Condition = "Running"
	Finished    Condition = "Finished"
	Killing     Condition = "Killing"
	Failed      Condition = "Failed"
	Killed      Condition = "Killed"
)

// Instance is one of the count of an app or pod. It stays the same while its
// tasks come and go; one that is decommissioned ends with its tasks.
type Instance struct {
	ID             string
	Spec           *RunSpec // what it runs, or will run
	Condition      Condition
	Since          Timestamp
	Incarnation    int     // of its tasks, from 1
	Tasks          []*Task // of this incarnation: one, or one a container; none: it waits for an offer
	Past           []*Task // of the incarnation before, while it waits: Marathon shows them until the next
	Decommissioned bool    // Marathon's goal
	Wiped          bool    // its volumes go with it
	Ready          bool    // passed its readiness check
	Readiness      *Readiness
	Healthy        *bool // as last published
}

// Task is one task of an instance.
type Task struct {
	ID, Name  string
	Instance  *Instance
	State     executor.State
	StateAt   Timestamp
	Ports     []int // host ports
	IPs       []string
	PID       int
	StagedAt  Timestamp
	StartedAt Timestamp
	Health    []*Health // of each check, once it runs
	Resources Resources
	Killing   bool
	Simulated bool   // by a label: the executor does not know it
	Blame     string // why it was ended, where that counts as a failure
}

// Health is what one check of one task has found, as Marathon prints it.
type Health struct {
	Seen         bool      `json:"-"` // a probe had a result
	Alive        bool      `json:"alive"`
	Failures     int       `json:"consecutiveFailures"` // in a row
	FirstSuccess Timestamp `json:"firstSuccess,omitzero"`
	LastSuccess  Timestamp `json:"lastSuccess,omitzero"`
	LastFailure  Timestamp `json:"lastFailure,omitzero"`
	LastCause    string    `json:"lastFailureCause,omitempty"`
}

// Readiness is what the readiness check of an instance has found, as Marathon
// prints it.
type Readiness struct {
	Name     string         `json:"name"`
	TaskID   string         `json:"taskId"`
	Seen     bool           `json:"-"` // a probe had a result
	Ready    bool           `json:"ready"`
	Response map[string]any `json:"lastResponse,omitempty"` // nil: not kept
}

// TaskFailure is the last way in which a task of an app ended badly, as Marathon
// prints it.
type TaskFailure struct {
	AppID     string    `json:"appId"`
	Host      string    `json:"host"`
	Message   string    `json:"message"`
	State     string    `json:"state"`
	TaskID    string    `json:"taskId"`
	Timestamp Timestamp `json:"timestamp"`
	Version   Timestamp `json:"version"`
	SlaveID   string    `json:"slaveId"`
}

// Over reports whether the task has ended.
func (t *Task) Over() bool { return t.State.Terminal() }

// Current is a task of the instance; nil: none was launched.
func (i *Instance) Current() *Task {
	if len(i.Tasks) == 0 {
		return nil
	}
	return i.Tasks[0]
}

// Shown are the tasks that Marathon shows of an instance: the past ones where the
// next ones wait.
func (i *Instance) Shown() []*Task { return slices.Concat(i.Past, i.Tasks) }

// Waits reports whether the instance waits for a launch.
func (i *Instance) Waits() bool { return i.Current() == nil && !i.Decommissioned }

// Outdated reports whether the instance is of an older configuration than s, and
// has to be replaced.
func (i *Instance) Outdated(s *RunSpec) bool {
	return !i.Decommissioned && i.Spec.Generation != s.Generation
}

// ConsideredHealthy is true without health checks; else each check of each task
// must have succeeded.
func (i *Instance) ConsideredHealthy() bool {
	h := i.Health()
	return h == nil && !i.Spec.checked() || h != nil && *h
}

// Health is nil while not all is known, or nothing is checked.
func (i *Instance) Health() *bool {
	seen := i.HealthSeen()
	if n := 0; len(seen) > 0 {
		for _, t := range i.Tasks {
			n += len(t.Health)
		}
		if n == len(seen) {
			return new(!slices.Contains(seen, false))
		}
	}
	return nil
}

// HealthSeen is what each check has found that has found something.
func (i *Instance) HealthSeen() []bool {
	var seen []bool
	for _, t := range i.Tasks {
		for _, h := range t.Health {
			if h.Seen {
				seen = append(seen, h.Alive)
			}
		}
	}
	return seen
}

// ActiveSince is when the first task began to run, else when the instance came
// to its condition.
func (i *Instance) ActiveSince() Timestamp {
	first := Timestamp{}
	for _, t := range i.Tasks {
		if !t.StartedAt.IsZero() && (first.IsZero() || t.StartedAt.Before(first.Time)) {
			first = t.StartedAt
		}
	}
	if first.IsZero() {
		return i.Since
	}
	return first
}

// taskCondition is the condition of an instance whose tasks are all at a state.
func taskCondition(s executor.State) Condition {
	switch s {
	case executor.Staging:
		return Staging
	case executor.Starting:
		return Starting
	case executor.Finished:
		return Finished
	case executor.Failed, executor.Lost:
		return Failed
	case executor.Killed:
		return Killed
	case executor.Killing:
		return Killing
	}
	return Running
}

// Progress is the condition of an instance by its tasks: that of the task which
// has come least far, and once all are over how they ended. It is "" where only
// some are over.
func (i *Instance) Progress() (c Condition, over bool) {
	order := []Condition{Killing, Staging, Starting, Running}
	c, ended, least := Killed, 0, len(order)-1
	for _, t := range i.Tasks {
		at := taskCondition(t.State)
		switch {
		case !t.Over():
			least = min(least, slices.Index(order, at))
		case at != Killed:
			c = at
			ended++
		default:
			ended++
		}
	}
	switch ended {
	case len(i.Tasks):
		return c, true
	case 0:
		return order[least], false
	}
	return "", false
}

// SortForReplacement puts first what a restart replaces first: what is not
// healthy. killSelection has no part in it. Source: Marathon's TaskReplaceActor.
func SortForReplacement(is []*Instance) {
	healthy := func(i *Instance) int {
		if i.Current() != nil && i.ConsideredHealthy() {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(is, func(a, b *Instance) int { return cmp.Compare(healthy(a), healthy(b)) })
}

// SortForScaling puts first what goes first when a count is lowered: what is
// staging, what is starting, what runs, by killSelection; last what waits for an
// offer, surprising as that is. Health has no part in it. Source: Marathon's
// ScalingProposition.
func SortForScaling(s *RunSpec, is []*Instance) {
	const waits = 3
	weight := func(i *Instance) int {
		if at := slices.Index([]Condition{Staging, Starting, Running}, i.Condition); at >= 0 {
			return at
		}
		return waits
	}
	slices.SortStableFunc(is, func(a, b *Instance) int {
		age := b.ActiveSince().Compare(a.ActiveSince().Time)
		if s.killsOldestFirst() {
			age = -age
		}
		return cmp.Or(cmp.Compare(weight(a), weight(b)), age)
	})
}

// RestartBounds bound a restart. They are fixed when its step begins, as in
// Marathon: later the count of healthy tasks says nothing about what was there.
type RestartBounds struct {
	Kill int // outdated instances that may go at once
	Most int // instances that there may be in all
	Old  int // outdated instances at the beginning
}

// BoundRestart fixes what a restart of a spec may use that has these instances.
// Source: Marathon's TaskReplaceActor.
func BoundRestart(s *RunSpec, is []*Instance) RestartBounds {
	minHealthy, most := s.upgrade()
	r, healthy := RestartBounds{Most: most}, 0
	for _, i := range is {
		if !i.Decommissioned && i.ConsideredHealthy() {
			healthy++
		}
		if i.Outdated(s) {
			r.Old++
		}
	}
	r.Kill = max(0, healthy-minHealthy)
	if minHealthy == most && most <= healthy {
		if s.Resident() {
			r.Kill = healthy - minHealthy + 1
		} else {
			r.Most++
		}
	}
	if s.Instances() < len(is) {
		r.Kill = max(r.Kill, len(is)-s.Instances())
	}
	return r
}

// Address is one of a task, as Marathon prints it.
type Address struct {
	IP       string `json:"ipAddress"`
	Protocol string `json:"protocol"`
}

// Addresses are IPs as Marathon prints them.
func Addresses(ips []string) []Address {
	all := []Address{}
	for _, ip := range ips {
		a := Address{ip, "IPv4"}
		if strings.Contains(ip, ":") {
			a.Protocol = "IPv6"
		}
		all = append(all, a)
	}
	return all
}

// EndpointPorts are the host ports of the endpoints of the task's container, by
// name. On a container's own network an endpoint has one only if it asks for it.
func (t *Task) EndpointPorts(c *manifests.PodContainer) map[string]int {
	ports, n := map[string]int{}, 0
	for _, e := range c.Endpoints {
		if e.HostPort != nil && n < len(t.Ports) {
			ports[e.Name] = t.Ports[n]
			n++
		}
	}
	return ports
}
