package reconcile

import (
	"maps"
	"reflect"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// HealthyOf is what runs well now of what a plan is about to change: what is
// healed where the change fails.
func HealthyOf(p plan.Plan, s marathon.State) map[string]plan.Healthy {
	healthy := map[string]plan.Healthy{}
	for _, c := range p.Changes {
		if c.Blocked != nil || c.Revert || c.Action == plan.Delete {
			continue
		}
		owned := p.Owned[c.ID]
		h := plan.Healthy{Revision: owned.Revision, Hash: owned.Hash}
		up := false
		switch c.Kind {
		case manifests.KindApp:
			if live, found := s.Apps[c.ID]; found {
				h.App = live.Definition
				up, _ = apply.Converged(live.Status, live.Definition, s.Deployments)
			}
		case manifests.KindPod:
			if live, found := s.Pods[c.ID]; found {
				h.Pod = live.Definition
				up, _ = apply.ConvergedPod(live.Status, live.Definition, s.Deployments)
			}
		}
		if up {
			healthy[c.ID] = h
		}
	}
	return healthy
}

// keepHealthy remembers what runs well of what is about to be changed, and
// forgets it where the change has come up or is not wanted any more. The last
// definition that was seen running and healthy counts, also where its own rollout
// was superseded before it had settled. One that failed does not, whatever of it
// runs now: what ran before it stays the last healthy one.
func (p *reconciliation) keepHealthy() bool {
	state := &p.r.record.state
	before := maps.Clone(state.Healthy)
	pending := map[string]bool{}
	for _, c := range p.plan.Changes {
		pending[c.ID] = true
	}
	touched := func(id string) bool {
		_, failed := state.Failed[id]
		_, begun := state.Rollouts[id]
		return failed || begun
	}
	maps.DeleteFunc(state.Healthy, func(id string, _ plan.Healthy) bool { return !pending[id] && !touched(id) })
	for id, h := range HealthyOf(p.plan, p.state) {
		_, failed := state.Failed[id]
		if unsteady, _ := p.r.Live.Restarts().Unsteady(id, time.Now()); failed || unsteady != "" {
			continue
		}
		if known, is := state.Healthy[id]; is && sameDefinition(known, h) {
			continue // else it would be told to be of the rollout in progress, which may not have started
		}
		state.Healthy[id] = h
	}
	return !reflect.DeepEqual(before, state.Healthy)
}

// sameDefinition reports whether two hold the same definition.
func sameDefinition(a, b plan.Healthy) bool {
	return reflect.DeepEqual(a.App, b.App) && reflect.DeepEqual(a.Pod, b.Pod)
}

// revertsNow reports whether an outcome leaves something to be reverted, which
// must not wait for what else is in progress.
func (p *reconciliation) revertsNow(o apply.Outcome) bool {
	f, failed := p.r.record.state.Failed[o.ID]
	return p.r.Sync.Policy.Revert && o.Result == apply.Failed && !o.Revert && failed && !f.NoHealthy
}

// tellNoHealthy notes of a failure that there is nothing to revert to.
func (p *reconciliation) tellNoHealthy(o apply.Outcome) {
	state := &p.r.record.state
	f, failed := state.Failed[o.ID]
	if _, known := state.Healthy[o.ID]; !failed || known || !p.r.Sync.Policy.Revert || o.Result != apply.Failed || o.Revert {
		return
	}
	f.NoHealthy = true
	state.Failed[o.ID] = f
}

// standing is the failures but those of definitions that have come up after
// all, though too late: what runs well is not undone.
func (p *reconciliation) standing() map[string]plan.Failure {
	state := &p.r.record.state
	if len(state.Failed) == 0 || !p.r.Sync.Policy.Revert {
		return state.Failed
	}
	standing := maps.Clone(state.Failed)
	for _, item := range p.desired.Items {
		if f, failed := standing[item.ID]; failed && p.hash(item) == f.Hash && p.cameUp(item) {
			delete(standing, item.ID)
		}
	}
	return standing
}

// cameUp reports whether git's definition is what runs, and runs well.
func (p *reconciliation) cameUp(item manifests.Item) bool {
	cluster := p.desired.Cluster(p.state.Cluster)
	c := &cluster
	switch item.Kind {
	case manifests.KindApp:
		live, found := p.state.Apps[item.ID]
		if !found {
			return false
		}
		now := manifests.NormaliseApp(live.Definition, nil, c)
		up, _ := apply.Converged(live.Status, live.Definition, p.state.Deployments)
		return up && p.steady(item.ID) && manifests.CompareApps(now, manifests.NormaliseApp(item.App, now, c)).Effect == manifests.EffectNone
	case manifests.KindPod:
		live, found := p.state.Pods[item.ID]
		if !found {
			return false
		}
		now := manifests.NormalisePod(live.Definition, nil, c)
		up, _ := apply.ConvergedPod(live.Status, live.Definition, p.state.Deployments)
		return up && manifests.ComparePods(now, manifests.NormalisePod(item.Pod, now, c)).Effect == manifests.EffectNone
	}
	return false
}

// rememberRevert is remember for a change that puts the last healthy definition
// back. Git's stays the one that failed, whatever becomes of this.
func rememberRevert(s *store.State, o apply.Outcome, revision, file string) bool {
	f, failed := s.Failed[o.ID]
	if h, known := s.Healthy[o.ID]; known && h.Revision != "" {
		revision = h.Revision
	}
	owned := store.Owned{Kind: o.Kind, File: file, Revision: revision, Hash: o.Hash}
	switch o.Result {
	case "":
		if o.Deployment == "" || s.Rollouts[o.ID].Deployment == o.Deployment {
			return false
		}
		begun(s, o, revision, file)
		return true
	case apply.Applied:
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		s.Inventory[o.ID] = owned
		f.Restored, f.Unrestored, f.Deployment = true, "", ""
	case apply.Failed:
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		if o.Transient {
			return true
		}
		f.Restored, f.Unrestored, f.Deployment = false, o.Reason, o.Deployment
	default:
		return false
	}
	if failed {
		s.Failed[o.ID] = f
	}
	return true
}
