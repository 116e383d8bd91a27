package reconcile

import (
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// A process may end between a write and the note of its deployment. That one
// would then be taken for somebody else's: waited for, never forced, and not
// watched. So each write is noted before it is sent, and what is found in
// Marathon just as it was sent is claimed.

// sending notes writes before they are sent.
func (p *reconciliation) sending(k *keeper, writes []apply.Write) error {
	return k.sending(func(sent map[string]store.Sent) {
		for _, w := range writes {
			o := w.Outcome
			sent[o.ID] = store.Sent{
				Kind: o.Kind, Revision: p.revision.ID, File: p.fileOf(o.ID), Hash: o.Hash, Action: o.Action, Revert: o.Revert, Began: o.Began,
				Body: bodyOf(w.App, w.Pod, &p.state.Cluster),
			}
		}
	})
}

// sentFor is how long a write may be in progress though nobody waits for its
// answer any more.
const sentFor = 2 * time.Minute

// claim finds what became of writes whose answer nobody heard.
func (p *reconciliation) claim() {
	state := &p.r.record.state
	if state.Inventory == nil {
		return
	}
	for id, sent := range state.Sent {
		body, version := p.liveBody(id, sent.Kind)
		switch {
		case body == sent.Body:
			o := apply.Outcome{ID: id, Kind: sent.Kind, Action: sent.Action, Hash: sent.Hash, Revert: sent.Revert, Began: sent.Began, Deployment: p.deploymentOf(id, version)}
			begun(state, o, sent.Revision, sent.File)
		case time.Since(sent.Began) < sentFor:
			continue
		}
		delete(state.Sent, id)
		p.r.record.dirty = true
	}
}

// liveBody identifies what Marathon has of an id, and in which version.
func (p *reconciliation) liveBody(id string, kind manifests.Kind) (body, version string) {
	if kind == manifests.KindPod {
		if pod, found := p.state.Pods[id]; found {
			return bodyOf(nil, pod.Definition, &p.state.Cluster), pod.Status.Version
		}
	} else if app, found := p.state.Apps[id]; found {
		return bodyOf(app.Definition, nil, &p.state.Cluster), app.Status.Version
	}
	return "", ""
}

// deploymentOf is the deployment, if any, that made a version of an id what it is.
func (p *reconciliation) deploymentOf(id, version string) string {
	for _, d := range p.state.Deployments {
		if d.Version == version && slices.Contains(d.Affected(), id) {
			return d.ID
		}
	}
	return ""
}

// bodyOf identifies a definition without what Marathon puts into it itself: the
// service ports that it assigns, and executorResources, which it loses.
func bodyOf(app *manifests.App, pod *manifests.Pod, c *manifests.Cluster) string {
	if app == nil {
		return manifests.HashPod(manifests.NormalisePod(pod, nil, c))
	}
	body := *manifests.NormaliseApp(app, nil, c)
	body.ExecutorResources = nil
	body.PortDefinitions = slices.Clone(body.PortDefinitions)
	for i := range body.PortDefinitions {
		body.PortDefinitions[i].Port = nil
	}
	if body.Container != nil {
		container := *body.Container
		container.PortMappings = slices.Clone(container.PortMappings)
		for i := range container.PortMappings {
			container.PortMappings[i].ServicePort = nil
		}
		body.Container = &container
	}
	return manifests.HashApp(&body)
}

// started notes a rollout that is in progress. Its id is in the inventory from then
// on: Marathon has our definition, whatever becomes of its tasks.
func begun(s *store.State, o apply.Outcome, revision, file string) {
	delete(s.Sent, o.ID)
	if h, known := s.Healthy[o.ID]; o.Revert && known && h.Revision != "" {
		revision = h.Revision
	}
	isNew := !o.Revert && (o.Action == plan.Create || isUnproven(s, o.ID))
	s.Rollouts[o.ID] = store.Rollout{
		Kind: o.Kind, Deployment: o.Deployment, Revision: revision, Hash: o.Hash, Action: o.Action, Began: o.Began,
		Revert: o.Revert, New: isNew,
	}
	if o.Action != plan.Delete {
		s.Inventory[o.ID] = appliedAt(s, o, revision, file)
	}
}
