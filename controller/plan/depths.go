package plan

import (
	"iter"
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// depths tells how many layers of dependencies lie below an app: 0 if it
// depends on nothing. What git has counts before what Marathon has.
type depths struct {
	apps    map[string][]string // dependencies by id; pods have none
	groups  map[string][]string // of groups that have any
	ids     []string            // of apps, sorted once a group is asked about
	known   map[string]int      // finished nodes
	visited map[string]bool     // begun nodes: one that is begun and not known closes a circle
}

func (w *work) newDepths() *depths {
	d := &depths{apps: make(map[string][]string, len(w.in.Live.Apps)), groups: map[string][]string{}, known: map[string]int{}, visited: map[string]bool{}}
	for id, a := range w.in.Live.Apps {
		d.apps[id] = a.Dependencies
	}
	for id, g := range w.in.Live.Groups {
		if g != nil && len(g.Dependencies) > 0 {
			d.groups[id] = g.Dependencies
		}
	}
	for _, item := range w.in.Desired.Items {
		switch item.Kind {
		case manifests.KindApp:
			d.apps[item.ID] = item.App.Dependencies
		case manifests.KindGroup:
			d.groups[item.ID] = item.Group.Dependencies
		}
	}
	return d
}

// members are the ids of the apps in a group, in order.
func (d *depths) members(group string) iter.Seq[string] {
	if d.ids == nil {
		d.ids = sortedKeys(d.apps)
	}
	return func(yield func(string) bool) {
		start, _ := slices.BinarySearch(d.ids, group)
		for _, id := range d.ids[start:] {
			switch {
			case manifests.Within(id, group):
				if !yield(id) {
					return
				}
			case id[:min(len(id), len(group))] > group:
				return
			}
		}
	}
}

// of returns the depth of an app. The reader refuses dependencies that go
// round; should there be any left, they end where they close.
func (d *depths) of(id string) int {
	if depth, ok := d.known[id]; ok || d.visited[id] {
		return depth
	}
	d.visited[id] = true
	depth := 0
	for _, dependency := range d.dependencies(id) {
		depth = max(depth, 1+d.ofTarget(dependency, id))
	}
	d.known[id] = depth
	return depth
}

// dependencies of an app: its own and those of the groups it lies in.
func (d *depths) dependencies(id string) []string {
	all := slices.Clone(d.apps[id])
	if len(d.groups) > 0 {
		for g := id; g != "/"; {
			g = manifests.ParentID(g)
			all = append(all, d.groups[g]...)
		}
	}
	return all
}

// ofTarget returns the depth of an app, or of the deepest app in a group; -1 if
// there is no such app. An app does not wait for itself.
func (d *depths) ofTarget(target, from string) int {
	if _, app := d.apps[target]; app {
		if target == from {
			return -1
		}
		return d.of(target)
	}
	key := "in " + target
	if depth, ok := d.known[key]; ok {
		return depth
	}
	if d.visited[key] {
		return -1
	}
	d.visited[key] = true
	deepest := -1
	for id := range d.members(target) {
		deepest = max(deepest, d.of(id))
	}
	d.known[key] = deepest
	return deepest
}
