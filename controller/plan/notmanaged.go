package plan

import (
	"slices"

	"github.com/pacer-gitops/pacer/manifests"
)

// notManaged lists what is live in the scope and of which this plan says nothing.
// Of an app or pod in the scope of which there is no draft:
//
//	git describes it, or may            it is equal, or not known: not listed
//	git does not, the inventory has it  prune or a manifest that cannot be read keeps it: not listed
//	neither                             listed
//
// A verb without a server has no inventory: for it what the server would delete is
// among these.
func (w *work) notManaged(drafts []*draft) []NotManaged {
	if len(w.in.Desired.Unreadable) > 0 {
		return nil
	}
	planned := make(map[string]bool, len(drafts))
	for _, d := range drafts {
		planned[d.ID] = true
	}
	var all []NotManaged
	add := func(id string, kind manifests.Kind) {
		if !planned[id] && w.gone(id) && !w.in.Desired.Broken[id] && !w.owns(id, kind) {
			all = append(all, NotManaged{ID: id, Kind: kind})
		}
	}
	for id := range w.in.Live.Apps {
		add(id, manifests.KindApp)
	}
	for id := range w.in.Live.Pods {
		add(id, manifests.KindPod)
	}
	slices.SortFunc(all, func(a, b NotManaged) int { return cmpString(a.ID, b.ID) })
	return all
}
