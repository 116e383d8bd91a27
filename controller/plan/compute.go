package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Compute says what would have to change in Marathon for it to be as desired.
// It is a function of its input: the same input gives the same bytes.
//
// What becomes of an id in the scope:
//
//	git          Marathon    inventory   plan
//	has          has not     any         create
//	has          equal       any         none; into the inventory
//	has          differs     has         update or scale
//	has          differs     has not     update or scale, blocked unless Adopt
//	has          other kind  any         create, blocked
//	has not      has         has         delete, blocked unless Prune is on
//	has not      has         has not     nothing; a delete in an exclusive scope
//	has not      has         not known   nothing; a blocked delete in an exclusive scope
//	has not      has not     any         nothing; out of the inventory
//	is broken    any         any         nothing
//
// A scope is exclusive with Exclusive, Prune on or confirm, and where it is
// narrower than /. Nothing else ever leads to the delete of an app or a pod that
// is not in the inventory.
//
// and what holds a change back, the first that applies:
//
//	what                                                    create update scale delete   lifted by
//	Marathon would refuse it, or has another kind           x      x      x              changing git
//	Pacer runs as it, and none of it would be left                x      x      x       doing it in Marathon
//	it is in a dependency cycle                             x      x      x              changing git
//	this definition failed before                           x      x      x              changing git
//	what it depends on failed, or is held for that          x      x      x              mending that
//	what it depends on does not run, and has an error       x      x      x              mending that
//	a file cannot be read: the id may stand there                                x       mending the file
//	git describes nothing at all                                                 x       putting something there
//	the inventory is not known                                                   x       the next pass
//	not in the inventory, and state was lost                                     x       time
//	too much of the inventory is missing from live at once                       x       the list, or an approval of the creates
//	Prune is off                                                                 x       changing the policy
//	it has persistent volumes                                                    x       an approval
//	what may be its new form is not up                                           x       an approval
//	too much of the inventory is missing from live at once  x                            an approval
//	not in the inventory, and not Adopt                            x      x              an approval
//	drift, and ReportDrift                                  x      x      x              an approval
//	Prune is confirm                                                             x       an approval
//	more deletes than MaxDeletes                                                 x       an approval
//	what it depends on, or its group, has a blocked change  x      x      x              what lifts that
//
// Ids outside of the scope are never touched, whatever the inventory says.
// Groups that the plan's deletes empty are deleted last.
func Compute(in Input) Plan {
	w := newWork(in)
	drafts := append(w.wantedChanges(), w.deletes()...)
	w.setNewForms(drafts)
	for _, p := range policies {
		p(w, drafts)
	}
	drafts = append(drafts, w.emptiedGroups(drafts)...)
	w.order(drafts)
	return w.plan(drafts)
}

// draft is a change with what the policies ask about it.
type draft struct {
	Change
	live       bool                  // Marathon has it
	mine       bool                  // the inventory has it
	persistent bool                  // it has volumes that are lost with it
	refused    []manifests.Violation // why Marathon would not take it
}

// hold blocks a change unless it is blocked already.
func (d *draft) hold(why string) {
	if d.Blocked == nil && why != "" {
		d.Blocked = &why
	}
}

// ask blocks a change until a person approves of it, unless it is blocked
// already.
func (d *draft) ask(why string) {
	if d.Blocked == nil && why != "" {
		d.Blocked, d.Approvable = &why, true
	}
}

// work is what a plan is made with.
type work struct {
	in       Input
	cluster  manifests.Cluster         // as it will be once the groups are written
	wanted   map[string]manifests.Kind // what git has in the scope, readable
	owned    map[string]Owned
	adopted  []string
	problems []manifests.Problem
	held     map[string]int
	none     int
	before   map[string]pair         // what is known to be equal
	learned  map[string]pair         // and what was found to be
	graph    *manifests.Dependencies // see dependencies; nil: not needed yet
}

func newWork(in Input) *work {
	w := &work{
		in:       in,
		cluster:  in.Desired.Cluster(in.Cluster),
		wanted:   make(map[string]manifests.Kind, len(in.Desired.Items)),
		owned:    make(map[string]Owned, len(in.Inventory)),
		problems: slices.Clone(in.Desired.Problems),
	}
	if in.Known.fits(&in) {
		w.before = in.Known.pairs
	}
	w.in.Policy.Scope = cmp.Or(strings.TrimRight(in.Policy.Scope, "/"), "/")
	for _, item := range in.Desired.Items {
		switch {
		case in.Desired.Broken[item.ID]:
		case w.inScope(item.ID):
			w.wanted[item.ID] = item.Kind
		default:
			w.outOfScope(item)
		}
	}
	w.warnUnknown()
	for id, o := range in.Inventory {
		if w.wanted[id] != "" || w.isLive(id, o.Kind) || w.mayStandInGit(id) || in.Doubted[id] {
			w.owned[id] = o
		}
	}
	return w
}

// outOfScope reports a definition that the sync may not touch, once. A group
// above the scope only leads there.
func (w *work) outOfScope(item manifests.Item) {
	if item.Kind == manifests.KindGroup && manifests.Within(w.in.Policy.Scope, item.ID) {
		return
	}
	for _, p := range w.problems {
		if p.ID == item.ID && p.Severity == manifests.SeverityError {
			return
		}
	}
	w.problems = append(w.problems, manifests.Problem{
		File: item.File, Line: item.Line, Column: 1, ID: item.ID, Severity: manifests.SeverityError,
		Message: "lies outside of " + w.in.Policy.Scope + ": a sync touches only its scope",
	})
}

func (w *work) inScope(id string) bool { return manifests.Within(id, w.in.Policy.Scope) }

// isLive reports whether Marathon has an id as this kind.
func (w *work) isLive(id string, kind manifests.Kind) bool {
	switch kind {
	case manifests.KindApp:
		return w.in.Live.Apps[id] != nil
	case manifests.KindPod:
		return w.in.Live.Pods[id] != nil
	}
	return w.in.Live.Groups[id] != nil
}

// mayStandInGit reports whether git might describe an id though no item does.
func (w *work) mayStandInGit(id string) bool {
	return len(w.in.Desired.Unreadable) > 0 || w.brokenAbove(id)
}

// brokenAbove reports whether an id, or a group that it lies in, is described
// by something that has errors.
func (w *work) brokenAbove(id string) bool {
	broken := w.in.Desired.Broken
	if len(broken) == 0 {
		return false
	}
	for ; id != "/"; id = manifests.ParentID(id) {
		if broken[id] {
			return true
		}
	}
	return broken["/"]
}

// plan puts the finished drafts together.
func (w *work) plan(drafts []*draft) Plan {
	p := Plan{
		Revision: w.in.Revision,
		Sync:     w.in.Sync,
		Marathon: w.in.Marathon,
		Changes:  make([]Change, 0, len(drafts)),
		Problems: append([]manifests.Problem{}, w.problems...),
		Owned:    w.owned,
		Adopted:  w.adopted,
		Held:     w.held,
		Known:    w.known(),
	}
	p.Summary.None = w.none
	for _, d := range drafts {
		p.Changes = append(p.Changes, d.Change)
		p.Summary.Count(d.Action)
	}
	slices.Sort(p.Adopted)
	p.NotManaged = w.notManaged(drafts)
	return p
}
