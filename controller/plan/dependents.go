package plan

import (
	"fmt"

	"github.com/pacer-gitops/pacer/manifests"
)

// holdDependents: what depends on something that failed waits for that to be
// mended, and so does what depends on it in turn. What was applied before and
// changed by somebody is put back all the same.
func holdDependents(w *work, drafts []*draft) {
	down := w.down()
	if len(down) == 0 {
		return
	}
	depths := w.newDepths()
	for held := true; held; { // what is held may hold others
		held = false
		for _, d := range drafts {
			if d.App == nil || d.Action == Delete || d.Revert || d.Drift || d.Blocked != nil {
				continue
			}
			if on := w.downBelow(d.ID, depths.dependencies(d.ID), down); on != "" {
				d.hold(fmt.Sprintf("it depends on %s, %s: mend that first", on, down[on]))
				down[d.ID], held = "which is held back, too", true
			}
		}
	}
}

// down tells by id what git has in a form that failed, and why.
func (w *work) down() map[string]string {
	down := map[string]string{}
	if len(w.in.Failed) == 0 {
		return down
	}
	for i := range w.in.Desired.Items {
		item := &w.in.Desired.Items[i]
		f, failed := w.in.Failed[item.ID]
		if failed && item.Kind != manifests.KindGroup && w.wanted[item.ID] == item.Kind && f.Hash == w.hash(item) {
			down[item.ID] = "which failed: " + f.Words()
		}
	}
	return down
}

// downBelow is the first id that is down among dependencies, which name apps,
// pods and groups; empty: there is none.
func (w *work) downBelow(id string, dependencies []string, down map[string]string) string {
	for _, target := range dependencies {
		if down[target] != "" && target != id {
			return target
		}
		if kind := w.wanted[target]; kind == manifests.KindApp || kind == manifests.KindPod || within(id, target) {
			continue
		}
		for _, member := range sortedKeys(down) {
			if within(member, target) {
				return member
			}
		}
	}
	return ""
}
