package apply

import (
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// dependencies are those among what is applied, pods too: Pacer waits for them,
// Marathon does not. Deletes are ordered later, when their live definitions are
// known.
func dependencies(items []*item, groups map[string]*manifests.Group) *manifests.Dependencies {
	d := &manifests.Dependencies{}
	for id, g := range groups {
		d.SetGroup(id, g.Dependencies)
	}
	for _, it := range items {
		switch c := it.change; {
		case c.Action == plan.Delete:
		case c.Group != nil:
			d.SetGroup(c.ID, c.Group.Dependencies)
		case c.App != nil && !it.resumed:
			d.SetApp(c.ID, c.App.Dependencies)
		case c.Kind != manifests.KindGroup:
			d.SetApp(c.ID, nil)
		}
	}
	return d
}

// link fills in what each item needs: what it depends on, and the group that it is
// in where that group's own fields are changed.
func link(items []*item, byID map[string]*item, d *manifests.Dependencies) {
	for _, it := range items {
		if it.resumed || it.change.Action == plan.Delete {
			continue
		}
		for g := manifests.ParentID(it.change.ID); g != "/"; g = manifests.ParentID(g) {
			if up := byID[g]; up != nil && up.change.Kind == manifests.KindGroup {
				it.needs = append(it.needs, up)
			}
		}
		if it.change.Kind == manifests.KindGroup {
			continue
		}
		for _, target := range d.Of(it.change.ID) {
			for id := range d.On(target) {
				if on := byID[id]; on != it {
					it.needs = append(it.needs, on)
				}
			}
		}
	}
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
