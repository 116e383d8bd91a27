package state

import (
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// KeptVersions is how many versions of the root group, and of each app and pod,
// are kept: --zk_max_versions.
const KeptVersions = 50

// Versions is the root group of now with what it was before.
type Versions struct {
	Root *RootGroup
	Past []*RootGroup // the last versions with that of now, oldest first
	Last Timestamp    // the last version that Next gave out

	specs      map[string][]*RunSpec // of each id, oldest first
	generation int
}

// NewVersions begins with a root group.
func NewVersions(root *RootGroup) *Versions {
	v := &Versions{Root: root, Last: root.Version, specs: map[string][]*RunSpec{}}
	for id, s := range root.Specs {
		s.Generation = v.NextGeneration()
		v.specs[id] = []*RunSpec{s}
	}
	return v
}

// Next is now as a version, and never twice the same.
func (v *Versions) Next(now time.Time) Timestamp {
	next := At(now)
	if !next.After(v.Last.Time) {
		next = Timestamp{v.Last.Add(time.Millisecond)}
	}
	v.Last = next
	return next
}

// NextGeneration numbers a configuration whose tasks are those of no other.
func (v *Versions) NextGeneration() int {
	v.generation++
	return v.generation
}

// Draft begins the root group that is to have a version.
func (v *Versions) Draft(version Timestamp, base manifests.Cluster) *Draft {
	d := &Draft{
		RootGroup: v.Root.clone(), old: v.Root, generation: v.generation,
		restarted: map[string]bool{}, effects: map[string]manifests.Effect{}, dropped: map[string]bool{},
	}
	d.Version = version
	d.cluster = d.RootGroup.Cluster(base)
	return d
}

// Commit makes a draft the root group, and returns the run specs that are new.
func (v *Versions) Commit(d *Draft) []*RunSpec {
	if len(v.Past) == 0 {
		v.Past = []*RootGroup{v.Root}
	}
	v.Root, v.generation = d.RootGroup, d.generation
	v.Past = latest(append(v.Past, v.Root))
	var changed []*RunSpec
	for _, p := range d.puts {
		s := d.Specs[p.ID]
		if s == nil || s == d.old.Specs[p.ID] {
			continue
		}
		s.Definition() // now, not when ten thousand are read
		v.specs[s.ID] = latest(append(v.specs[s.ID], s))
		changed = append(changed, s)
	}
	return changed
}

func latest[T any](versions []T) []T { return versions[max(0, len(versions)-KeptVersions):] }

// Of lists the versions of an app or pod, newest first.
func (v *Versions) Of(id string) []Timestamp {
	all := []Timestamp{}
	for _, s := range slices.Backward(v.specs[id]) {
		all = append(all, s.Version)
	}
	return all
}

// Spec is what an app or pod was in a version; nil: not kept.
func (v *Versions) Spec(id string, version time.Time) *RunSpec {
	for _, s := range slices.Backward(v.specs[id]) {
		if s.Version.Equal(version) {
			return s
		}
	}
	return nil
}

// RootGroup is what the root group was in a version; nil: not kept.
func (v *Versions) RootGroup(version time.Time) *RootGroup {
	for _, r := range slices.Backward(v.Past) {
		if r.Version.Equal(version) {
			return r
		}
	}
	return nil
}

// Forget drops the versions of an app or pod that is gone.
func (v *Versions) Forget(id string) { delete(v.specs, id) }
