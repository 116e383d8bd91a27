package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// showPlan shows what the reconciliation knows now.
func (p *reconciliation) showPlan() {
	state := &p.r.record.state
	maps.DeleteFunc(p.r.tried, func(id string, _ status.Attempt) bool { _, pending := p.files[id]; return !pending })
	apps := p.apps()
	p.r.View.keepReasons(apps)
	for i := range apps {
		if apps[i].Said != "" {
			apps[i].Recount(p.state)
		}
	}
	p.r.View.showApps(apps, p.read)
	p.r.Authors.forget(func(id string) bool { return !p.r.View.Has(id) })
	note := status.UnreadableNote(p.desired)
	p.r.View.show(func(s *status.Sync) {
		s.Planned, s.PlannedRevision = time.Now(), p.revision.ID
		s.Believe(p.read)
		s.Problems, s.Summary = p.plan.Problems, p.plan.Summary
		s.SetStored(state)
		s.Notes = slices.DeleteFunc(s.Notes, func(n string) bool { return n == note })
		if note != "" {
			s.Notes = append(s.Notes, note)
		}
	})
}

// apps is the status of all that the sync defines, owns and should delete, sorted
// by id.
func (p *reconciliation) apps() []status.App {
	changes := map[string]*plan.Change{}
	for i := range p.plan.Changes {
		changes[p.plan.Changes[i].ID] = &p.plan.Changes[i]
	}
	broken := status.FirstErrors(p.desired)
	items := p.shown()
	apps := make([]status.App, len(items))
	for i, item := range items {
		apps[i] = p.app(item, changes[item.ID], broken[item.ID])
	}
	return apps
}

// shown is what is told of, once each: what git defines, mostly all and in order,
// then what the plan deletes and what has errors.
func (p *reconciliation) shown() []*manifests.Item {
	items := make([]*manifests.Item, 0, len(p.desired.Items)+len(p.plan.Changes))
	for i := range p.desired.Items {
		items = append(items, &p.desired.Items[i])
	}
	for _, c := range p.plan.Changes {
		items = append(items, &manifests.Item{ID: c.ID, Kind: c.Kind, File: c.File})
	}
	files := map[string]string{} // where problems first name each id
	for _, problem := range p.desired.Problems {
		if _, named := files[problem.ID]; !named {
			files[problem.ID] = problem.File
		}
	}
	for id := range p.desired.Broken {
		if id != "" {
			items = append(items, p.brokenItem(id, files[id]))
		}
	}
	slices.SortStableFunc(items, func(a, b *manifests.Item) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(items, func(a, b *manifests.Item) bool { return a.ID == b.ID })
}

// brokenItem is what is known of an id whose manifest has errors: its file is
// that of its first problem, or else, where none is listed, that of before.
func (p *reconciliation) brokenItem(id, file string) *manifests.Item {
	item := &manifests.Item{ID: id, Kind: manifests.KindApp, File: cmp.Or(file, p.r.record.state.Inventory[id].File)}
	if _, pod := p.state.Pods[id]; pod {
		item.Kind = manifests.KindPod
	}
	return item
}

func (p *reconciliation) app(item *manifests.Item, change *plan.Change, broken string) status.App {
	a := status.App{ID: item.ID, Kind: item.Kind, File: item.File, Revision: p.r.record.state.Inventory[item.ID].Revision}
	f := status.Facts{Broken: broken, Change: change}
	if failure, ok := p.r.record.state.Failed[item.ID]; ok {
		f.Failure = &failure
	}
	var rollout store.Rollout
	rollout, f.Rollout = p.r.record.state.Rollouts[item.ID]
	f.Revert = rollout.Revert
	a.State, a.Condition, a.Reason = status.StateOf(f)
	var reason string
	a.Health, a.Instances, reason = p.fares(item)
	stopped := p.r.record.state.Stopped()
	if a.SetHealth(a.Health, stopped); stopped && a.Condition == status.InRollout && a.Health != status.HealthProgressing {
		a.Condition = "" // Marathon has brought it to its end, and Pacer watches nothing
	}
	a.Instances.Desired, a.Counted = p.wantedOf(item, change, a.Instances)
	if change != nil {
		a.Action, a.Approvable = change.Action, change.Blocked != nil && change.Approvable
	}
	a.Waiting = p.r.waits[item.ID]
	if last, tried := p.r.tried[item.ID]; tried && change != nil && change.Blocked == nil && change.Hash == last.Hash {
		a.Reason = status.AfterAttempt(a.Reason, last.Reason)
	}
	if a.Reason == "" {
		a.Reason = reason
	}
	return a
}

// fares tells how an app or a pod fares in Marathon, or what git defines of one
// that Marathon does not have.
func (p *reconciliation) fares(item *manifests.Item) (status.Health, status.Instances, string) {
	health, i, reason := p.r.Live.Restarts().Health(p.state, item.ID, item.Kind, time.Now())
	if health == status.HealthMissing {
		i = status.DesiredInstances(item)
		i.Target = 0
	}
	return health, i, reason
}

// wantedOf is how many instances git wants of an app or a pod, and whether that
// is git's to say. What lends its count from Marathon wants what the change would
// send, or else what Marathon has:
//
//	git defines it   the count is   change, no revert   wanted
//	no               any            any                 Marathon's
//	yes              git's          any                 git's
//	yes              Marathon's     yes                 the change's: within the bounds of the policy
//	yes              Marathon's     no                  Marathon's
func (p *reconciliation) wantedOf(item *manifests.Item, change *plan.Change, live status.Instances) (n int, gits bool) {
	switch {
	case item.App == nil && item.Pod == nil:
		return live.Desired, false
	case p.r.Sync.Policy.OwnsCount(item.ID):
		return status.DesiredInstances(item).Desired, true
	case change != nil && !change.Revert && p.wanted[item.ID] != nil:
		return p.wanted[item.ID].Target, false
	}
	return live.Desired, false
}
