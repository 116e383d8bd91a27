package apply

import (
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// link fills in what each item needs: the apps, pods and members of groups that
// it depends on, by itself or through a group that it is in, and the group
// whose own fields are changed. Deletes are linked later, when their live
// definitions are known.
func link(items []*item, groups map[string]*manifests.Group) {
	index := newIDIndex(items)
	depends := map[string][]string{} // group → what its members depend on
	for id, g := range groups {
		depends[id] = g.Dependencies
	}
	for _, it := range items {
		if g := it.change.Group; g != nil && it.change.Action != plan.Delete {
			depends[it.change.ID] = g.Dependencies
		}
	}
	for _, it := range items {
		if it.resumed || it.change.Action == plan.Delete {
			continue
		}
		var on []string
		if it.change.App != nil {
			on = append(on, it.change.App.Dependencies...)
		}
		for g := manifests.ParentID(it.change.ID); g != "/"; g = manifests.ParentID(g) {
			on = append(on, depends[g]...)
			if up := index.byID[g]; up != nil && up.change.Kind == manifests.KindGroup {
				it.needs = append(it.needs, up)
			}
		}
		if it.change.Kind == manifests.KindGroup {
			continue
		}
		for _, id := range on {
			it.needs = append(it.needs, index.under(id, it)...)
		}
	}
}

// idIndex finds items by id and by the group they are in.
type idIndex struct {
	byID   map[string]*item
	sorted []*item
}

func newIDIndex(items []*item) idIndex {
	x := idIndex{byID: make(map[string]*item, len(items)), sorted: slices.Clone(items)}
	slices.SortFunc(x.sorted, func(a, b *item) int { return strings.Compare(a.change.ID, b.change.ID) })
	for _, it := range items {
		x.byID[it.change.ID] = it
	}
	return x
}

// under returns what begins under the name of an app or a group, without it.
func (x idIndex) under(id string, without *item) []*item {
	var found []*item
	add := func(it *item) {
		if it != without && it.change.Action != plan.Delete && it.change.Kind != manifests.KindGroup {
			found = append(found, it)
		}
	}
	if it := x.byID[id]; it != nil {
		add(it)
	}
	prefix := strings.TrimSuffix(id, "/") + "/"
	i, _ := slices.BinarySearchFunc(x.sorted, prefix, func(it *item, p string) int { return strings.Compare(it.change.ID, p) })
	for ; i < len(x.sorted) && strings.HasPrefix(x.sorted[i].change.ID, prefix); i++ {
		add(x.sorted[i])
	}
	return found
}

// cycles returns circles of dependencies, each as the ids along it with the
// first repeated at the end. An item is in at most one of them.
func cycles(items []*item) [][]*item {
	const (
		unseen = iota
		open
		closed
	)
	var (
		state = map[*item]int{}
		stack []*item
		found [][]*item
		visit func(*item)
	)
	visit = func(it *item) {
		state[it] = open
		stack = append(stack, it)
		for _, n := range it.needs {
			switch state[n] {
			case unseen:
				visit(n)
			case open:
				found = append(found, append(slices.Clone(stack[slices.Index(stack, n):]), n))
			}
		}
		stack = stack[:len(stack)-1]
		state[it] = closed
	}
	for _, it := range items {
		if state[it] == unseen {
			visit(it)
		}
	}
	return found
}

// linkDeletes puts dependents before what they depend on, and what is in a
// group before the group.
func linkDeletes(deletes []*item) {
	byID := map[string]*item{}
	for _, it := range deletes {
		byID[it.change.ID] = it
	}
	for _, it := range deletes {
		if it.live.app != nil {
			for _, id := range it.live.app.Definition.Dependencies {
				if on := byID[id]; on != nil && on != it {
					on.after = append(on.after, it)
				}
			}
		}
		for g := manifests.ParentID(it.change.ID); g != "/"; g = manifests.ParentID(g) {
			if up := byID[g]; up != nil {
				up.after = append(up.after, it)
			}
		}
	}
}

// replaced returns the creation, if any, that did not come up and that may be
// the new form of what is to be deleted: what ran must then keep running. For a
// creation that the plan holds back, the plan has seen to that.
func replaced(deleted *item, byID map[string]*item) *item {
	for _, id := range deleted.change.NewForms {
		it := byID[id]
		if it == nil || it.change.Blocked != nil || it.outcome.Result == Applied {
			continue
		}
		if it.change.Action == plan.Create || it.resumed && it.change.Action == plan.None {
			return it
		}
	}
	return nil
}
