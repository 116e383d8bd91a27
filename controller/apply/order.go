package apply

import (
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// waits is what the items wait for. What is only watched waits for nothing, and is
// waited for; deletes are ordered later, when their live definitions are known.
func (r *run) waits() plan.Waits {
	return plan.WaitsOf(func(yield func(*plan.Change) bool) {
		for _, it := range r.items {
			if !yield(&it.change) {
				return
			}
		}
	}, r.req.Groups)
}

// link fills in what each item needs.
func (r *run) link(w plan.Waits) {
	for _, it := range r.items {
		if it.resumed || it.change.Action == plan.Delete {
			continue
		}
		for id := range w.For(it.change.ID) {
			it.needs = append(it.needs, r.byID[id])
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
