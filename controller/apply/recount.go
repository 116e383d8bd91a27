package apply

import (
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// recount takes the count of a definition that somebody else scales from what
// the last look found: the plan's may be old by as long as the change waited
// for its turn, and a scale in the middle of a rollout is nobody's interference.
func (it *item) recount() {
	owner := it.change.Count
	if owner == nil {
		return
	}
	switch want := it.change; {
	case want.App != nil && it.live.app != nil:
		changed := *want.App
		changed.Instances = owner.Of(want.App.Instances, new(instancesOf(it.live.app.Definition)))
		it.change.App = &changed
	case want.Pod != nil && want.Pod.Scaling != nil && it.live.pod != nil:
		changed, scaling := *want.Pod, *want.Pod.Scaling
		scaling.Instances = owner.Of(scaling.Instances, new(instancesOfPod(it.live.pod.Definition)))
		changed.Scaling = &scaling
		it.change.Pod = &changed
	}
}

// recountLive is recount by a fresh look, right before a write.
func (r *run) recountLive(it *item) error {
	if it.change.Count == nil || it.change.Action == plan.Create {
		return nil
	}
	read := r.readApp
	if it.change.Kind == manifests.KindPod {
		read = r.readPod
	}
	l, err := read(it.id())
	if err == nil {
		it.live = l
		it.recount()
	}
	return err
}
