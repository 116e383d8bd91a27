package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// holdDependents: what depends on something that failed waits for that to be
// mended, and so does what depends on it in turn. What was applied before and
// changed by somebody is put back all the same.
func holdDependents(w *work, drafts []*draft) {
	down := w.down()
	if len(down.why) == 0 {
		return
	}
	depths := w.newDepths()
	ordered := slices.Clone(drafts)
	depth := make(map[*draft]int, len(drafts))
	for _, d := range drafts {
		depth[d] = depths.of(d.ID)
	}
	slices.SortStableFunc(ordered, func(a, b *draft) int { return cmp.Compare(depth[a], depth[b]) })
	for _, d := range ordered { // what is held may hold others, which lie deeper
		if d.App == nil || d.Action == Delete || d.Revert || d.Drift || d.Blocked != nil {
			continue
		}
		if on := w.downBelow(d.ID, depths.dependencies(d.ID), down); on != "" {
			d.hold(fmt.Sprintf("it depends on %s, %s: mend that first", on, down.why[on]))
			down.add(d.ID, "which is held back, too")
		}
	}
}

// down is what git has in a form that failed, or that waits for that.
type down struct {
	why map[string]string // by id
	in  map[string]string // by group: the first id in it
}

func (d down) add(id, why string) {
	d.why[id] = why
	for g := id; g != "/"; {
		g = parent(g)
		if first := d.in[g]; first == "" || id < first {
			d.in[g] = id
		}
	}
}

// down tells what git has in a form that failed, and why.
func (w *work) down() down {
	down := down{map[string]string{}, map[string]string{}}
	if len(w.in.Failed) == 0 {
		return down
	}
	for i := range w.in.Desired.Items {
		item := &w.in.Desired.Items[i]
		f, failed := w.in.Failed[item.ID]
		if failed && item.Kind != manifests.KindGroup && w.wanted[item.ID] == item.Kind && f.Hash == w.hash(item) {
			down.add(item.ID, "which failed: "+f.Words())
		}
	}
	return down
}

// downBelow is the first id that is down among dependencies, which name apps,
// pods and groups; empty: there is none.
func (w *work) downBelow(id string, dependencies []string, down down) string {
	for _, target := range dependencies {
		if down.why[target] != "" && target != id {
			return target
		}
		if kind := w.wanted[target]; kind == manifests.KindApp || kind == manifests.KindPod || within(id, target) {
			continue
		}
		if first := down.in[target]; first != "" {
			return first
		}
	}
	return ""
}
