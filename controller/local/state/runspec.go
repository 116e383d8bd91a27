package state

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/manifests"
)

// RunSpec is one version of an app or a pod. It is in normal form, so that every
// default is filled in, and does not change. The tags are those of the state file.
type RunSpec struct {
	ID  string         `json:"-"`
	App *manifests.App `json:"app,omitempty"` // exactly one of App and Pod is set
	Pod *manifests.Pod `json:"pod,omitempty"`

	Version    Timestamp `json:"version"`
	ScaledAt   Timestamp `json:"lastScalingAt"`
	ConfigAt   Timestamp `json:"lastConfigChangeAt"`
	Generation int       `json:"-"` // moves whenever tasks must be replaced; versions may repeat

	json json.RawMessage // what Definition returns, made once
}

// NormaliseApp is manifests.NormaliseApp, but keeps a tty of false, as Marathon
// does until its leader changes.
func NormaliseApp(a, live *manifests.App, c *manifests.Cluster) *manifests.App {
	n := manifests.NormaliseApp(a, live, c)
	n.TTY = a.TTY
	return n
}

// Normalised is s, as it was submitted, in normal form. live may be nil.
func (s *RunSpec) Normalised(live *RunSpec, c *manifests.Cluster) *RunSpec {
	if live == nil {
		live = &RunSpec{}
	}
	n := *s
	if s.App != nil {
		n.App = NormaliseApp(s.App, live.App, c)
	} else {
		n.Pod = manifests.NormalisePod(s.Pod, live.Pod, c)
	}
	return &n
}

// Instances is how many are asked for.
func (s *RunSpec) Instances() int {
	if s.App != nil {
		return s.App.Count()
	}
	return s.Pod.Count()
}

// Role is the Mesos role of the tasks.
func (s *RunSpec) Role() string {
	role := (*string)(nil) // before Marathon 1.9
	if s.App != nil {
		role = s.App.Role
	} else {
		role = s.Pod.Role
	}
	return ptr.Deref(role, "*")
}

// Labels are those of the app or pod.
func (s *RunSpec) Labels() map[string]string {
	if s.App != nil {
		return s.App.Labels
	}
	return s.Pod.Labels
}

// LabelSeconds is the value of a label in seconds; 0 where it is none.
func (s *RunSpec) LabelSeconds(name string) time.Duration {
	f, err := strconv.ParseFloat(s.Labels()[name], 64)
	if err != nil || f <= 0 {
		return 0
	}
	return seconds(f)
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

// upgrade is how many instances must be healthy and how many there may be
// during a restart.
func (s *RunSpec) upgrade() (minHealthy, maxInstances int) {
	u := (*manifests.UpgradeStrategy)(nil)
	if s.App != nil {
		u = s.App.UpgradeStrategy
	} else {
		u = s.Pod.Scheduling.Upgrade
	}
	n := float64(s.Instances())
	return int(math.Ceil(n * *u.MinimumHealthCapacity)), int(math.Floor(n * (1 + *u.MaximumOverCapacity)))
}

func (s *RunSpec) killsOldestFirst() bool {
	if s.App != nil {
		return *s.App.KillSelection == "OLDEST_FIRST"
	}
	return *s.Pod.Scheduling.KillSelection == "OLDEST_FIRST"
}

// Resident reports whether tasks keep volumes of their own.
func (s *RunSpec) Resident() bool { return len(s.PersistentVolumes()) > 0 }

// PersistentVolumes are the volumes that outlive a task.
func (s *RunSpec) PersistentVolumes() []manifests.Volume {
	var all []manifests.Volume
	switch {
	case s.Pod != nil:
		all = s.Pod.Volumes
	case s.App.Container != nil:
		all = s.App.Container.Volumes
	}
	return slices.DeleteFunc(slices.Clone(all), func(v manifests.Volume) bool { return v.Persistent == nil })
}

// backoff is the first delay after a failure, its factor and its maximum.
func (s *RunSpec) backoff() (first time.Duration, factor float64, most time.Duration) {
	if a := s.App; a != nil {
		return seconds(float64(*a.BackoffSeconds)), *a.BackoffFactor, seconds(float64(*a.MaxLaunchDelaySeconds))
	}
	b := s.Pod.Scheduling.Backoff
	return seconds(*b.Backoff), *b.BackoffFactor, seconds(*b.MaxLaunchDelay)
}

func (s *RunSpec) constraints() []manifests.Constraint {
	if s.App != nil {
		return s.App.Constraints
	}
	var cs []manifests.Constraint
	for _, c := range s.Pod.Scheduling.Placement.Constraints {
		cs = append(cs, manifests.Constraint(c))
	}
	return cs
}

func (s *RunSpec) acceptedRoles() []string {
	if s.App != nil {
		return s.App.AcceptedResourceRoles
	}
	return s.Pod.Scheduling.Placement.AcceptedResourceRoles
}

// checked reports whether there are health checks.
func (s *RunSpec) checked() bool {
	if s.App != nil {
		return len(s.App.HealthChecks) > 0
	}
	return slices.ContainsFunc(s.Pod.Containers, func(c manifests.PodContainer) bool { return c.HealthCheck != nil })
}
