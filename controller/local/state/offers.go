package state

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/manifests"
)

// Resources are what the agent has, or a task asks for.
type Resources struct {
	CPUs float64 `json:"cpus"`
	Mem  float64 `json:"mem"`
	Disk float64 `json:"disk"`
	GPUs int     `json:"gpus"`
}

// Plus is the sum of both.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.CPUs + o.CPUs, r.Mem + o.Mem, r.Disk + o.Disk, r.GPUs + o.GPUs}
}

// Minus is what is left of r.
func (r Resources) Minus(o Resources) Resources {
	return Resources{r.CPUs - o.CPUs, r.Mem - o.Mem, r.Disk - o.Disk, r.GPUs - o.GPUs}
}

// ResourcesOf are what a container of a pod in normal form asks for.
func ResourcesOf(r *manifests.Resources) Resources {
	return Resources{*r.CPUs, *r.Mem, *r.Disk, *r.GPUs}
}

// The stages that an offer passes, as Marathon names the reasons to decline it.
const (
	UnfulfilledRole       = "UnfulfilledRole"
	UnfulfilledConstraint = "UnfulfilledConstraint"
	NoReservation         = "NoCorrespondingReservationFound"
	AgentMaintenance      = "AgentMaintenance"
	InsufficientCPUs      = "InsufficientCpus"
	InsufficientMemory    = "InsufficientMemory"
	InsufficientDisk      = "InsufficientDisk"
	InsufficientGPUs      = "InsufficientGpus"
	InsufficientPorts     = "InsufficientPorts"
	ScarceResources       = "DeclinedScarceResources"
)

// Stages are in Marathon's order.
var Stages = []string{UnfulfilledRole, UnfulfilledConstraint, NoReservation, AgentMaintenance,
	InsufficientCPUs, InsufficientMemory, InsufficientDisk, InsufficientGPUs, InsufficientPorts, ScarceResources}

// lacking is the first stage at which free resources do not hold what is asked
// for; "": they do.
func (r Resources) lacking(ask Resources) string {
	const rounding = 1e-9
	switch {
	case ask.CPUs > r.CPUs+rounding:
		return InsufficientCPUs
	case ask.Mem > r.Mem+rounding:
		return InsufficientMemory
	case ask.Disk > r.Disk+rounding:
		return InsufficientDisk
	case ask.GPUs > r.GPUs:
		return InsufficientGPUs
	}
	return ""
}

// Agent is what the one agent of a Marathon offers.
type Agent struct {
	Hostname   string            // where tasks are reached; empty: 127.0.0.1
	Attributes map[string]string // as constraints read them; @region and @zone too
	CPUs       float64           // shares; 0: 64
	Mem        float64           // MiB; 0: 256 GiB
	Disk       float64           // MiB; 0: 1 TiB
	GPUs       int
	PortMin    int // first host port; 0: 31000
	PortMax    int // last host port; 0: 32767, below what Linux hands out itself
	// Unconstrained has every constraint count as met, as among many agents.
	Unconstrained bool
}

// Resources are all that the agent has.
func (a Agent) Resources() Resources { return Resources{a.CPUs, a.Mem, a.Disk, a.GPUs} }

// Declined is the stage at which an offer of what is free does not do for one
// more task of s, of which there are some; "": it does. Ports are not considered.
func (a Agent) Declined(s *RunSpec, ask, free Resources, there int) string {
	switch {
	case len(s.acceptedRoles()) > 0 && !slices.Contains(s.acceptedRoles(), "*"):
		return UnfulfilledRole // all of the agent is unreserved
	case !a.Unconstrained && !a.meets(s.constraints(), there):
		return UnfulfilledConstraint
	}
	return free.lacking(ask)
}

// meets answers constraints as Marathon would with one agent, on which there are
// tasks of the same spec already.
func (a Agent) meets(constraints []manifests.Constraint, there int) bool {
	for _, c := range constraints {
		value, known := a.Attributes[c.Field]
		if c.Field == "hostname" || c.Field == "@hostname" {
			value, known = a.Hostname, true
		}
		if !meets(c, value, known, there) {
			return false
		}
	}
	return true
}

func meets(c manifests.Constraint, value string, known bool, there int) bool {
	want := ptr.Deref(c.Value, "")
	if !known {
		return c.Operator == "UNLIKE"
	}
	switch c.Operator {
	case "UNIQUE":
		return there == 0
	case "MAX_PER":
		most, err := strconv.Atoi(want)
		return err == nil && there < most
	case "CLUSTER", "IS":
		return want == "" || want == value
	case "GROUP_BY": // groups that no agent has count as empty
		groups, err := strconv.Atoi(want)
		return err != nil || groups <= 1 || there == 0
	case "LIKE", "UNLIKE":
		re, err := regexp.Compile("^(?:" + want + ")$")
		return err == nil && re.MatchString(value) == (c.Operator == "LIKE")
	}
	return false
}

// LaunchQueue is what became of the offers to each run spec that waited.
type LaunchQueue map[string]*OfferStatistics

// OfferStatistics is what became of the offers to a run spec.
type OfferStatistics struct {
	Since     Timestamp // when it began to wait
	Processed int
	Unused    int
	LastUsed  Timestamp
	LastLost  Timestamp
	Last      string         // the stage at which the last offer was declined; "": it was not
	Declined  map[string]int // by stage
	WaitsFor  string         // why the executor cannot run it now, for people
	Tried     int            // the offer that was last looked at; 0: none since it waits
}

// Add notes that a run spec waits.
func (q LaunchQueue) Add(id string, now time.Time) {
	o := q[id]
	if o == nil {
		o = &OfferStatistics{Declined: map[string]int{}}
		q[id] = o
	}
	if o.Since.IsZero() {
		o.Since = At(now)
	}
	o.Tried = 0
}

// Decline notes an offer that was declined at a stage.
func (o *OfferStatistics) Decline(stage string, now time.Time) {
	o.Unused++
	o.Last, o.LastLost = stage, At(now)
	o.Declined[stage]++
}

// Reject is one row of the summaries of declined offers, as Marathon prints it.
type Reject struct {
	Reason    string `json:"reason"`
	Declined  int    `json:"declined"`
	Processed int    `json:"processed"`
}

// LastRejects is the funnel of the last offer: the stages after the one that
// declined it saw nothing.
func (o *OfferStatistics) LastRejects() []Reject {
	if o.Last == "" {
		return funnel(0, nil)
	}
	return funnel(1, map[string]int{o.Last: 1})
}

// Rejects is the funnel of all offers since the launch began.
func (o *OfferStatistics) Rejects() []Reject { return funnel(o.Processed, o.Declined) }

func funnel(offers int, declined map[string]int) []Reject {
	var rs []Reject
	for _, stage := range Stages {
		rs = append(rs, Reject{stage, declined[stage], offers})
		offers -= declined[stage]
	}
	return rs
}
