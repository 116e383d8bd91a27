package local

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// root is one version of all that is defined: Marathon's root group. It is not
// changed once it is swapped in; a write changes a clone.
type root struct {
	version stamp
	groups  map[string]*group // by absolute id; "/" is always there
	specs   map[string]*spec  // apps and pods by absolute id

	sorted []string // the ids of specs, once somebody asked
}

// ids are the ids of all specs, sorted. Only for a root that changes no more.
func (r *root) ids() []string {
	if r.sorted == nil {
		r.sorted = slices.Sorted(maps.Keys(r.specs))
	}
	return r.sorted
}

// group is what only a group has. Its members are found by their ids.
type group struct {
	dependencies []string
	enforceRole  *bool // only top-level groups
}

// spec is one version of an app or a pod, in normal form and not changed.
type spec struct {
	id  string
	app *manifests.App // exactly one of app and pod is set
	pod *manifests.Pod

	version    stamp
	scaledAt   stamp
	configAt   stamp
	generation int // moves whenever tasks must be replaced; versions may repeat

	json []byte // the definition as GET prints it, made once
}

// stamp is a version: a moment in milliseconds, as Marathon prints it.
type stamp struct{ time.Time }

const stampLayout = "2006-01-02T15:04:05.000Z"

func (s stamp) String() string { return s.UTC().Format(stampLayout) }

// MarshalJSON prints the form of Marathon's versions.
func (s stamp) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *stamp) UnmarshalJSON(b []byte) error { return s.Time.UnmarshalJSON(b) }

func newRoot() *root {
	return &root{groups: map[string]*group{"/": {}}, specs: map[string]*spec{}}
}

func (r *root) clone() *root {
	return &root{version: r.version, groups: maps.Clone(r.groups), specs: maps.Clone(r.specs)}
}

// addGroups makes the groups above id.
func (r *root) addGroups(id string) {
	for p := manifests.ParentID(id); r.groups[p] == nil; p = manifests.ParentID(p) {
		r.groups[p] = &group{}
	}
}

// under lists the ids of the specs below a group, sorted.
func (r *root) under(id string) []string {
	var ids []string
	for s := range r.specs {
		if manifests.Within(s, id) {
			ids = append(ids, s)
		}
	}
	slices.Sort(ids)
	return ids
}

// cluster is base with the enforced roles of r's top-level groups.
func (r *root) cluster(base manifests.Cluster) *manifests.Cluster {
	base.EnforceRole = map[string]bool{}
	for id, g := range r.groups {
		if g.enforceRole != nil {
			base.EnforceRole[id] = *g.enforceRole
		}
	}
	return &base
}

// resolve makes id absolute, read from inside base, and cleans it.
func resolve(id, base string) string {
	if !strings.HasPrefix(id, "/") {
		id = base + "/" + id
	}
	var parts []string
	for p := range strings.SplitSeq(id, "/") {
		switch p {
		case "", ".":
		case "..":
			parts = parts[:max(0, len(parts)-1)]
		default:
			parts = append(parts, p)
		}
	}
	return "/" + strings.Join(parts, "/")
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func (s *spec) instances() int {
	if s.app != nil {
		return s.app.Count()
	}
	return s.pod.Count()
}

func (s *spec) role() string {
	if s.app != nil {
		return or(s.app.Role, "*")
	}
	return or(s.pod.Role, "*")
}

func (s *spec) labels() map[string]string {
	if s.app != nil {
		return s.app.Labels
	}
	return s.pod.Labels
}

func (s *spec) scheduling() manifests.Scheduling {
	if s.pod != nil && s.pod.Scheduling != nil {
		return *s.pod.Scheduling
	}
	return manifests.Scheduling{}
}

// upgrade is how many instances must be healthy and how many there may be
// during a restart.
func (s *spec) upgrade() (minHealthy, maxCapacity int) {
	u := &manifests.UpgradeStrategy{}
	if s.app != nil && s.app.UpgradeStrategy != nil {
		u = s.app.UpgradeStrategy
	} else if p := s.scheduling().Upgrade; p != nil {
		u = p
	}
	n := float64(s.instances())
	return int(math.Ceil(n * or(u.MinimumHealthCapacity, 1))), int(math.Floor(n * (1 + or(u.MaximumOverCapacity, 1))))
}

func (s *spec) oldestFirst() bool {
	kill := s.scheduling().KillSelection
	if s.app != nil {
		kill = s.app.KillSelection
	}
	return or(kill, "") == "OLDEST_FIRST"
}

// resident says whether tasks keep volumes of their own.
func (s *spec) resident() bool { return len(s.persistentVolumes()) > 0 }

func (s *spec) persistentVolumes() []manifests.Volume {
	var all []manifests.Volume
	switch {
	case s.app != nil && s.app.Container != nil:
		all = s.app.Container.Volumes
	case s.pod != nil:
		all = s.pod.Volumes
	}
	return slices.DeleteFunc(slices.Clone(all), func(v manifests.Volume) bool { return v.Persistent == nil })
}

// backoff is the first delay after a failure, its factor and its maximum.
func (s *spec) backoff() (first time.Duration, factor float64, most time.Duration) {
	if s.app != nil {
		return seconds(s.app.BackoffSeconds), *s.app.BackoffFactor, seconds(s.app.MaxLaunchDelaySeconds)
	}
	b := s.pod.Scheduling.Backoff
	return seconds(b.Backoff), *b.BackoffFactor, seconds(b.MaxLaunchDelay)
}

func (s *spec) constraints() []manifests.Constraint {
	if s.app != nil {
		return s.app.Constraints
	}
	var cs []manifests.Constraint
	if p := s.scheduling().Placement; p != nil {
		for _, c := range p.Constraints {
			cs = append(cs, manifests.Constraint(c))
		}
	}
	return cs
}

func (s *spec) acceptedRoles() []string {
	if s.app != nil {
		return s.app.AcceptedResourceRoles
	}
	if p := s.scheduling().Placement; p != nil {
		return p.AcceptedResourceRoles
	}
	return nil
}

// checked says whether the spec has health checks.
func (s *spec) checked() bool {
	if s.app != nil {
		return len(s.app.HealthChecks) > 0
	}
	return slices.ContainsFunc(s.pod.Containers, func(c manifests.PodContainer) bool { return c.HealthCheck != nil })
}

// servicePorts are the ports that Marathon assigns, in their order.
func servicePorts(a *manifests.App) []*int {
	var ports []*int
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		for i := range a.Container.PortMappings {
			ports = append(ports, a.Container.PortMappings[i].ServicePort)
		}
		return ports
	}
	for i := range a.PortDefinitions {
		ports = append(ports, a.PortDefinitions[i].Port)
	}
	return ports
}
