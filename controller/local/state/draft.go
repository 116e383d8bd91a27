package state

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/manifests"
)

// Draft is the next root group while a write makes it. What a write puts is
// normalised, gets its service ports and is compared with what was there by
// Finish: ports that a later app of the same write names are then known.
type Draft struct {
	*RootGroup
	old        *RootGroup
	cluster    *manifests.Cluster
	puts       []*RunSpec      // definitions as submitted, in order
	restarted  map[string]bool // replaced though nothing differs
	effects    map[string]manifests.Effect
	dropped    map[string]bool
	generation int // of the last configuration
}

// Put adds or replaces an app or pod.
func (d *Draft) Put(s *RunSpec) {
	d.puts = slices.DeleteFunc(d.puts, func(p *RunSpec) bool { return p.ID == s.ID })
	d.put(s)
}

func (d *Draft) put(s *RunSpec) {
	d.addGroups(s.ID)
	delete(d.dropped, s.ID)
	d.puts = append(d.puts, s)
}

// PutApps puts many at once; of two with the same id the last counts.
func (d *Draft) PutApps(apps []*manifests.App) {
	last := map[string]int{}
	for n, a := range apps {
		last[a.ID] = n
	}
	for n, a := range apps {
		if last[a.ID] == n {
			d.put(&RunSpec{ID: a.ID, App: a})
		}
	}
}

// Restart replaces the instances of an app though nothing of it changes.
func (d *Draft) Restart(s *RunSpec) {
	d.Put(&RunSpec{ID: s.ID, App: s.App})
	d.restarted[s.ID] = true
}

// Scale sets the count of an app.
func (d *Draft) Scale(id string, instances int) {
	a := *d.Specs[id].App
	a.Instances = &instances
	d.Put(&RunSpec{ID: id, App: &a})
}

// Drop deletes an app or pod.
func (d *Draft) Drop(id string) {
	delete(d.Specs, id)
	d.dropped[id] = true
}

// DropGroup deletes a group with all that is in it. The root itself stays.
func (d *Draft) DropGroup(id string) {
	for _, s := range d.Under(id) {
		d.Drop(s)
	}
	d.dropGroups(id, func(string) bool { return true })
}

func (d *Draft) dropGroups(under string, which func(id string) bool) {
	maps.DeleteFunc(d.Groups, func(id string, _ *Group) bool { return id != "/" && manifests.Within(id, under) && which(id) })
}

// ScaleGroup multiplies the counts of all apps below a group.
func (d *Draft) ScaleGroup(id string, factor float64) {
	for _, s := range d.AppsUnder(id) {
		d.Scale(s.ID, int(min(math.Ceil(float64(s.Instances())*factor), math.MaxInt32)))
	}
}

// RestoreGroup makes a group what it was in an older root group.
func (d *Draft) RestoreGroup(old *RootGroup, id string) {
	for _, key := range d.Under(id) {
		if old.Specs[key] == nil {
			d.Drop(key)
		}
	}
	d.dropGroups(id, func(g string) bool { return old.Groups[g] == nil })
	for g, was := range old.Groups {
		if manifests.Within(g, id) {
			d.Groups[g] = was
		}
	}
	for _, key := range old.Under(id) {
		d.restore(old.Specs[key])
	}
}

func (d *Draft) restore(s *RunSpec) { d.Put(&RunSpec{ID: s.ID, App: s.App, Pod: s.Pod}) }

// Revert undoes what a deployment changed: the affected ids and the groups that
// differ between its original and its target.
func (d *Draft) Revert(original, target *RootGroup, affected map[string]bool) {
	for id := range affected {
		if was := original.Specs[id]; was != nil {
			d.restore(was)
		} else if d.Specs[id] != nil {
			d.Drop(id)
		}
	}
	for id, g := range original.Groups {
		if target.Groups[id] != g {
			d.Groups[id] = g
			d.addGroups(id)
		}
	}
	for id := range target.Groups {
		if original.Groups[id] == nil && len(d.Under(id)) == 0 {
			d.DropGroup(id)
		}
	}
}

// SetEnforceRole changes that of a group.
func (d *Draft) SetEnforceRole(id string, enforce bool) {
	g := *d.Groups[id]
	g.EnforceRole = &enforce
	d.Groups[id] = &g
}

// Finish turns what was put into run specs and checks the root group as a whole.
func (d *Draft) Finish() error {
	normal := make([]*RunSpec, len(d.puts))
	for i, s := range d.puts {
		normal[i] = s.Normalised(d.live(s.ID), d.cluster)
	}
	assignPorts(normal, d.old, d.cluster)
	for _, s := range normal {
		if err := d.place(s); err != nil {
			return err
		}
	}
	return d.check()
}

// live is what a put replaces; nil: nothing.
func (d *Draft) live(id string) *RunSpec {
	if d.dropped[id] {
		return nil
	}
	return d.old.Specs[id]
}

// place puts a run spec where it belongs, with the versions that the effect of
// its change asks for.
//
//	effect     version   scaled at   config at   generation
//	(created)  new       new         new         new
//	none       (the live one stays)
//	metadata   live's    live's      live's      live's
//	scale      new       new         live's      live's
//	restart    new       new         new         new
func (d *Draft) place(s *RunSpec) error {
	live := d.live(s.ID)
	effect := manifests.EffectRestart
	if live != nil {
		if (live.App == nil) != (s.App == nil) {
			return sharedID(d.RootGroup, s.ID)
		}
		compared := compare(live, s)
		if err := Refused(compared.Refused, "", Invalid); err != nil {
			return err
		}
		if !d.restarted[s.ID] {
			effect = compared.Effect
		}
		if effect == manifests.EffectNone {
			return nil
		}
		d.effects[s.ID] = effect
	}
	s.Version, s.ScaledAt, s.ConfigAt = d.Version, d.Version, d.Version
	switch effect {
	case manifests.EffectMetadata:
		s.Version, s.ScaledAt, s.ConfigAt, s.Generation = live.Version, live.ScaledAt, live.ConfigAt, live.Generation
	case manifests.EffectScale:
		s.ConfigAt, s.Generation = live.ConfigAt, live.Generation
	default:
		d.generation++
		s.Generation = d.generation
	}
	d.Specs[s.ID] = s
	return nil
}

func compare(live, desired *RunSpec) manifests.Comparison {
	if live.App != nil {
		return manifests.CompareApps(live.App, desired.App)
	}
	return manifests.ComparePods(live.Pod, desired.Pod)
}

// maxInstances bounds the instances that all definitions ask for. Marathon has no
// bound, but a number typed wrong must not eat this machine's memory.
const maxInstances = 100_000

// check holds the rules across definitions.
func (d *Draft) check() error {
	for _, p := range d.puts {
		for id := p.ID; id != "/"; id = manifests.ParentID(id) {
			s := d.Specs[id]
			if s == nil || d.Groups[id] == nil {
				continue
			}
			kind := "Applications"
			if s.Pod != nil {
				kind = "Pods"
			}
			return InvalidAt(groupPath(d.RootGroup, manifests.ParentID(id)), "Groups and %s may not have the same identifier.", kind)
		}
	}
	all := 0
	for _, s := range d.Specs {
		all += min(s.Instances(), maxInstances+1)
	}
	if all > maxInstances {
		return InvalidAt("/", "the local Marathon takes at most %d instances in all: scale down", maxInstances)
	}
	if len(d.dependencies().Cycles(slices.Sorted(maps.Keys(d.Specs)))) > 0 {
		return InvalidAt("/", "Dependency graph has cyclic dependencies.")
	}
	return nil
}

// sharedID is the answer to an app and a pod of one id. Marathon repeats it for
// each group that they are in.
func sharedID(r *RootGroup, id string) error {
	var details []Detail
	for g := manifests.ParentID(id); ; g = manifests.ParentID(g) {
		details = append(details, Detail{groupPath(r, g), []string{"Applications and Pods may not share the same id"}})
		if g == "/" {
			return Invalid(details...)
		}
	}
}

// groupPath is the path of a group in a refusal of the root group: by a number,
// here that in the order of ids, in Marathon that in the order of a hash map.
func groupPath(r *RootGroup, id string) string {
	if id == "/" {
		return "/"
	}
	n, _ := slices.BinarySearch(slices.Sorted(maps.Keys(r.Groups)), id)
	return fmt.Sprintf("/groups(%d)", n-1) // the root is not among them
}

// assignPorts gives each zero service port the lowest number of the cluster's
// range that no app of the old root group or the new run specs has.
func assignPorts(specs []*RunSpec, old *RootGroup, c *manifests.Cluster) {
	var used map[int]bool
	next := c.LocalPortMin
	for _, s := range specs {
		if s.App == nil {
			continue
		}
		ports := manifests.ServicePorts(s.App)
		for i, p := range ports {
			if ptr.Deref(p, 0) != 0 {
				continue
			}
			if used == nil {
				used = usedPorts(slices.AppendSeq(slices.Clone(specs), maps.Values(old.Specs)))
			}
			for used[next] && next < c.LocalPortMax {
				next++
			}
			used[next] = true
			ports[i] = new(next)
		}
		manifests.SetServicePorts(s.App, ports)
	}
}

func usedPorts(specs []*RunSpec) map[int]bool {
	used := map[int]bool{}
	for _, s := range specs {
		if s.App != nil {
			for _, p := range manifests.ServicePorts(s.App) {
				used[ptr.Deref(p, 0)] = true
			}
		}
	}
	return used
}
