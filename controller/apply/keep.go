package apply

import (
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// keep takes what of a definition is not git's from what the last look found:
// the plan's may be old by as long as the change waited for its turn, and a scale
// in the middle of a rollout is nobody's interference.
func (r *run) keep(it *item) {
	kept, c := it.change.Kept, &r.req.Cluster
	switch {
	case kept == nil:
	case it.change.App != nil && it.live.app != nil:
		it.change.App = kept.App(it.change.App, manifests.NormaliseApp(it.live.app.Definition, nil, c))
	case it.change.Pod != nil && it.live.pod != nil:
		it.change.Pod = kept.Pod(it.change.Pod, manifests.NormalisePod(it.live.pod.Definition, nil, c))
	}
}

// keepLive is keep by a fresh look, right before a write.
func (r *run) keepLive(it *item) error {
	if it.change.Kept == nil || it.change.Action == plan.Create {
		return nil
	}
	read := r.readApp
	if it.change.Kind == manifests.KindPod {
		read = r.readPod
	}
	l, err := read(it.id())
	if err == nil {
		it.live = l
		r.keep(it)
	}
	return err
}
