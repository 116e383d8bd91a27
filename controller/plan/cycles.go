package plan

import "github.com/pacer-gitops/pacer/manifests"

// holdCycles: Marathon refuses dependency cycles. Those within git are found by the
// reader; these lead through what only Marathon has, in or out of the scope.
func holdCycles(w *work, drafts []*draft) {
	var apps []string
	for _, d := range drafts {
		if d.App != nil && d.Action != Delete {
			apps = append(apps, d.ID)
		}
	}
	if len(apps) == 0 {
		return
	}
	cycles := w.dependencies().Cycles(apps)
	for _, d := range drafts {
		if cycle := cycles[d.ID]; cycle != nil && d.App != nil && d.Action != Delete {
			d.hold(cycle.String())
		}
	}
}

// dependencies are those of all that there will be: what git has counts before what
// Marathon has.
func (w *work) dependencies() *manifests.Dependencies {
	if w.graph != nil {
		return w.graph
	}
	d := &manifests.Dependencies{}
	w.graph = d
	for id, a := range w.in.Live.Apps {
		d.SetApp(id, a.Dependencies)
	}
	for id, g := range w.in.Live.Groups {
		if g != nil {
			d.SetGroup(id, g.Dependencies)
		}
	}
	for _, item := range w.in.Desired.Items {
		switch item.Kind {
		case manifests.KindApp:
			d.SetApp(item.ID, item.App.Dependencies)
		case manifests.KindGroup:
			d.SetGroup(item.ID, item.Group.Dependencies)
		}
	}
	return d
}
