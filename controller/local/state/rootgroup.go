package state

import (
	"maps"
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// RootGroup is one version of all that is defined.
type RootGroup struct {
	Version Timestamp
	Groups  map[string]*Group   // by absolute id; "/" is always there
	Specs   map[string]*RunSpec // apps and pods by absolute id

	sorted []string // the ids of Specs, once they were asked for
}

// Group is what only a group has; its members are found by their ids. The tags
// are those of the state file.
type Group struct {
	Dependencies []string `json:"dependencies,omitempty"`
	EnforceRole  *bool    `json:"enforceRole,omitempty"` // only top-level groups
}

// NewRootGroup is the root group of an empty Marathon.
func NewRootGroup(version Timestamp) *RootGroup {
	return &RootGroup{Version: version, Groups: map[string]*Group{"/": {}}, Specs: map[string]*RunSpec{}}
}

func (r *RootGroup) clone() *RootGroup {
	return &RootGroup{Version: r.Version, Groups: maps.Clone(r.Groups), Specs: maps.Clone(r.Specs)}
}

// App is the app of an id; nil: there is none.
func (r *RootGroup) App(id string) *RunSpec {
	if s := r.Specs[id]; s != nil && s.App != nil {
		return s
	}
	return nil
}

// Pod is the pod of an id; nil: there is none.
func (r *RootGroup) Pod(id string) *RunSpec {
	if s := r.Specs[id]; s != nil && s.Pod != nil {
		return s
	}
	return nil
}

// IDs are the ids of all run specs, sorted. It is not for a draft, whose ids
// change.
func (r *RootGroup) IDs() []string {
	if r.sorted == nil {
		r.sorted = slices.Sorted(maps.Keys(r.Specs))
	}
	return r.sorted
}

// Under lists the ids of the run specs in a group and below it, sorted.
func (r *RootGroup) Under(id string) []string {
	var ids []string
	for s := range r.Specs {
		if manifests.Within(s, id) {
			ids = append(ids, s)
		}
	}
	slices.Sort(ids)
	return ids
}

// AppsUnder are the apps in a group and below it, sorted by id.
func (r *RootGroup) AppsUnder(id string) []*RunSpec {
	var apps []*RunSpec
	for _, key := range r.Under(id) {
		if s := r.App(key); s != nil {
			apps = append(apps, s)
		}
	}
	return apps
}

// dependencies are those of all apps. Pods and missing ids do not count.
func (r *RootGroup) dependencies() *manifests.Dependencies {
	d := &manifests.Dependencies{}
	for id, s := range r.Specs {
		if s.App != nil {
			d.SetApp(id, s.App.Dependencies)
		}
	}
	for id, g := range r.Groups {
		d.SetGroup(id, g.Dependencies)
	}
	return d
}

// Cluster is base with the enforced roles of the top-level groups.
func (r *RootGroup) Cluster(base manifests.Cluster) *manifests.Cluster {
	base.EnforceRole = map[string]bool{}
	for id, g := range r.Groups {
		if g.EnforceRole != nil {
			base.EnforceRole[id] = *g.EnforceRole
		}
	}
	return &base
}

// addGroups makes the groups above id.
func (r *RootGroup) addGroups(id string) {
	for p := manifests.ParentID(id); r.Groups[p] == nil; p = manifests.ParentID(p) {
		r.Groups[p] = &Group{}
	}
}
