package plan

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Waits is what the changes of a plan wait for among each other. It is the one place
// that says so: apply goes by it, and the plan foretells by it what will be blocked.
//
//	a change of      waits for the changes of
//	an app           what it depends on, and what the groups that it is in depend on
//	a pod            what the groups that it is in depend on
//	an app or a pod  the groups that it is in, themselves
//	a group          the groups that it is in
//	any, a delete    nothing: deletes are ordered later, by what is live then
//
// What it depends on are apps and pods: Pacer waits for pods, Marathon does not.
type Waits struct {
	kinds map[string]manifests.Kind // of the changes, without deletes
	graph *manifests.Dependencies
}

// WaitsOf tells what changes wait for. Groups are the live ones, by id: what they
// depend on holds for all in them, unless a change says otherwise.
func WaitsOf(changes iter.Seq[*Change], groups map[string]*manifests.Group) Waits {
	w := Waits{kinds: map[string]manifests.Kind{}, graph: &manifests.Dependencies{}}
	for id, g := range groups {
		if g != nil {
			w.graph.SetGroup(id, g.Dependencies)
		}
	}
	for c := range changes {
		if c.Action == Delete {
			continue
		}
		w.kinds[c.ID] = c.Kind
		switch {
		case c.Group != nil:
			w.graph.SetGroup(c.ID, c.Group.Dependencies)
		case c.App != nil:
			w.graph.SetApp(c.ID, c.App.Dependencies)
		case c.Kind != manifests.KindGroup:
			w.graph.SetApp(c.ID, nil)
		}
	}
	return w
}

// For lists the ids of the changes that the change of an id waits for; some may be
// listed twice.
func (w Waits) For(id string) iter.Seq[string] {
	return func(yield func(string) bool) {
		kind, is := w.kinds[id]
		if !is {
			return
		}
		for g := id; g != "/"; {
			if g = manifests.ParentID(g); w.kinds[g] == manifests.KindGroup && !yield(g) {
				return
			}
		}
		if kind == manifests.KindGroup {
			return
		}
		for _, target := range w.graph.Of(id) {
			for on := range w.graph.On(target) {
				if on != id && !yield(on) {
					return
				}
			}
		}
	}
}

// depth is greater than that of all that the change of an id waits for.
func (w Waits) depth(id string) int {
	if w.kinds[id] == manifests.KindGroup {
		return strings.Count(id, "/") - deepest
	}
	return w.graph.Depth(id)
}

// deepest is more than groups nest: ids are shorter.
const deepest = 1 << 20

// Cycles are the changes that wait for themselves, each with its cycle.
func (w Waits) Cycles() map[string]manifests.Cycle { return w.graph.Cycles(sortedKeys(w.kinds)) }

// GoesAhead reports whether a change is carried out though what it depends on is
// blocked or failed: it puts back what ran with that as it is.
func (c *Change) GoesAhead() bool { return c.Drift || c.Revert }

// holdWaiting blocks what waits for a change that is blocked, and so would never be
// sent, and what waits for itself through pods, which Marathon does not know of. It
// comes last: what it foretells is what all others leave.
func holdWaiting(w *work, drafts []*draft) {
	if len(drafts) < 2 {
		return
	}
	waits := WaitsOf(func(yield func(*Change) bool) {
		for _, d := range drafts {
			if !yield(&d.Change) {
				return
			}
		}
	}, w.in.Live.Groups)
	byID := make(map[string]*draft, len(drafts))
	ordered := make([]*draft, 0, len(drafts))
	for _, d := range drafts {
		if d.Action != Delete {
			byID[d.ID] = d
			ordered = append(ordered, d)
		}
	}
	for id, cycle := range waits.Cycles() {
		byID[id].hold(cycle.String())
	}
	if !slices.ContainsFunc(ordered, func(d *draft) bool { return d.Blocked != nil }) {
		return
	}
	slices.SortStableFunc(ordered, func(a, b *draft) int { return cmp.Compare(waits.depth(a.ID), waits.depth(b.ID)) })
	waiting := map[*draft]bool{}
	for _, d := range ordered { // what is blocked here may block others, which are deeper
		if d.Blocked != nil || d.GoesAhead() {
			continue
		}
		for id := range waits.For(d.ID) {
			if on := byID[id]; on.Blocked != nil {
				d.hold(waitsFor(on, waiting[on]))
				waiting[d] = true
				break
			}
		}
	}
}

// waitsFor is why what waits for a blocked change is blocked.
func waitsFor(first *draft, waits bool) string {
	relation := "depends on"
	if first.Kind == manifests.KindGroup {
		relation = "is in the group"
	}
	if waits {
		return fmt.Sprintf("it %s %s, which is blocked, too", relation, first.ID)
	}
	return fmt.Sprintf("it %s %s, which is blocked: %s", relation, first.ID, *first.Blocked)
}
