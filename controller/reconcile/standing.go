package reconcile

import (
	"cmp"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
)

// mostFormer is how many revisions before the present one are told of: those that a
// leader left in progress that was lost.
const mostFormer = 5

// former are revisions that the sync went by before this one, the last first. The store
// has them, so that they are known though another leader began them.
func (p *reconciliation) former() []string {
	n := p.r.record.state.Newest
	if n == nil {
		return nil
	}
	all := n.Superseded
	if n.ID != p.revision.ID {
		all = append([]string{n.ID}, all...)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(id string) bool { return id == p.revision.ID })
	return all[:min(len(all), mostFormer)]
}

// standingNow is how what the revision defines stands as it is shown; nil: that is of
// another revision, or not known.
func (p *reconciliation) standingNow() (s *Standing) {
	p.r.View.Measure(func(shown *status.Sync, apps []status.App, _ time.Time) {
		if shown.PlannedRevision == p.revision.ID && p.files != nil && shown.Stale == nil {
			s = standingOf(shown, apps)
		}
	})
	return s
}

// standingOf sums up what is shown of a sync:
//
//	condition        state    health                       counts as
//	failed, broken   any      any                          failed
//	blocked          any      any                          approval if that lifts it, else blocked
//	rollout          any      any                          coming
//	none             synced   healthy, suspended, missing  settled: a deleted one is missing
//	none             synced   none                         settled: a group
//	none             others                                coming
func standingOf(shown *status.Sync, apps []status.App) *Standing {
	s := &Standing{Stopped: shown.Suspended || shown.StateLost != nil, Away: away(shown)}
	for _, a := range apps {
		switch {
		case a.Condition == status.Failed || a.Condition == status.Broken:
			s.Failed++
			s.FailedFirst = cmp.Or(s.FailedFirst, said(a))
		case a.Condition == status.Blocked && a.Approvable:
			s.Approval++
		case a.Condition == status.Blocked:
			s.Blocked++
		case a.Condition == "" && a.State == status.Synced && a.Health != status.HealthProgressing && a.Health != status.HealthDegraded && a.Health != status.HealthUnknown:
		default:
			s.Coming++
		}
	}
	return s
}

func said(a status.App) string {
	if a.Reason == "" {
		return a.ID
	}
	return a.ID + ": " + a.Reason
}

// away says why a sync goes by another revision than its source is at.
func away(shown *status.Sync) string {
	switch {
	case shown.RolledBack != nil:
		return "rolled back to " + plan.ShortRevision(shown.RolledBack.ID)
	case shown.Hold != nil:
		return "held at " + plan.ShortRevision(shown.Hold.Revision)
	}
	return ""
}
