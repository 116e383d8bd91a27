package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// holdDependents: what depends on something that failed, or that does not run
// and has an error in its manifest, waits for that to be mended, and so does what
// depends on it in turn. What was applied before and changed by somebody is put
// back all the same.
func holdDependents(w *work, drafts []*draft) {
	down := w.down()
	if !down.any() {
		return
	}
	dependencies := w.dependencies()
	ordered := slices.Clone(drafts)
	depth := make(map[*draft]int, len(drafts))
	for _, d := range drafts {
		depth[d] = dependencies.Depth(d.ID)
	}
	slices.SortStableFunc(ordered, func(a, b *draft) int { return cmp.Compare(depth[a], depth[b]) })
	for _, d := range ordered { // what is held may hold others, which lie deeper
		if d.App == nil && d.Pod == nil || d.Action == Delete || d.GoesAhead() || d.Blocked != nil {
			continue
		}
		if on, why := w.downBelow(d.ID, dependencies.Of(d.ID), down); on != "" {
			d.hold(fmt.Sprintf("it depends on %s, %s: fix that first", on, why))
			down.add(d.ID, "which is blocked, too")
		}
	}
}

// down is what git has in a form that failed or cannot be read, or that waits for
// that.
type down struct {
	why map[string]string // by id
	in  map[string]string // by group: the first id in it
	// there holds, while something of git cannot be read, what of apps and pods is
	// live or can be read, and the groups that they lie in: nil otherwise.
	there map[string]bool
}

func (d down) any() bool { return len(d.why) > 0 || d.there != nil }

func (d down) add(id, why string) {
	d.why[id] = why
	for g := id; g != "/"; {
		g = manifests.ParentID(g)
		if first := d.in[g]; first == "" || id < first {
			d.in[g] = id
		}
	}
}

// down tells what git has in a form that failed or has an error, and why.
func (w *work) down() down {
	down := down{why: map[string]string{}, in: map[string]string{}}
	if len(w.in.Failed) > 0 {
		w.addFailed(down)
	}
	if len(w.in.Desired.Broken) > 0 || len(w.in.Desired.Unreadable) > 0 {
		down.there = w.there()
	}
	for id := range w.in.Desired.Broken {
		if !down.there[id] {
			down.add(id, "whose manifest has an error and which does not run")
		}
	}
	return down
}

func (w *work) addFailed(down down) {
	for i := range w.in.Desired.Items {
		item := &w.in.Desired.Items[i]
		f, failed := w.in.Failed[item.ID]
		if failed && item.Kind != manifests.KindGroup && w.wanted[item.ID] == item.Kind && f.Hash == w.hash(item) {
			down.add(item.ID, "which failed: "+f.Words())
		}
	}
}

// there is what of apps and pods is live or can be read, with all groups above.
func (w *work) there() map[string]bool {
	there := make(map[string]bool, len(w.in.Live.Apps)+len(w.wanted))
	add := func(id string) {
		for ; !there[id]; id = manifests.ParentID(id) {
			there[id] = true
		}
	}
	for id := range w.in.Live.Apps {
		add(id)
	}
	for id := range w.in.Live.Pods {
		add(id)
	}
	for id, kind := range w.wanted {
		if kind != manifests.KindGroup {
			add(id)
		}
	}
	return there
}

// downBelow is the first id that is down among dependencies, which name apps,
// pods and groups, and why it is; empty: there is none.
func (w *work) downBelow(id string, dependencies []string, down down) (on, why string) {
	for _, target := range dependencies {
		if target == id {
			continue
		}
		if why := down.why[target]; why != "" {
			return target, why
		}
		if kind := w.wanted[target]; kind == manifests.KindApp || kind == manifests.KindPod || manifests.Within(id, target) {
			continue
		}
		if first := down.in[target]; first != "" {
			return first, down.why[first]
		}
		if why := w.hidden(target, down); why != "" {
			return target, why
		}
	}
	return "", ""
}

// hidden says why an id that neither runs nor can be read may be described by
// what has an error; empty: it is not.
func (w *work) hidden(id string, down down) string {
	files := w.in.Desired.Unreadable
	switch {
	case down.there == nil || down.there[id]:
		return ""
	case w.brokenAbove(manifests.ParentID(id)):
		return "which does not run and is in a group whose manifest has an error"
	case len(files) > 0 && w.inScope(id):
		return "which does not run and may be defined in " + files[0] + ", which cannot be read"
	}
	return ""
}

// warnUnknown warns of dependencies on what neither git nor Marathon has.
func (w *work) warnUnknown() {
	w.problems = append(w.problems, w.in.Desired.UnknownDependencies(w.in.Policy.Scope, func(yield func(string) bool) {
		_ = eachKey(w.in.Live.Apps, yield) && eachKey(w.in.Live.Pods, yield) && eachKey(w.in.Live.Groups, yield)
	})...)
}

func eachKey[V any](m map[string]V, yield func(string) bool) bool {
	for id := range m {
		if !yield(id) {
			return false
		}
	}
	return true
}
