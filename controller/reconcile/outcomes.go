package reconcile

import (
	"context"
	"errors"
	"slices"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// endOf sums up what became of the changes of a reconciliation:
//
//	cause        outcomes                   result
//	superseded   any                        superseded
//	other        any                        stopped
//	none, again  a failed or unknown one    failed
//	again        one that is handed over    progressing
//	none, again  an applied one             applied
//	none, again  only blocked ones          unchanged
//
// Again (errAgain) is the cause of a reconciliation that ends for the next one, which goes on
// with what has not ended: that has no outcome yet.
func endOf(cause error, outcomes []apply.Outcome) ending {
	end := ending{result: status.ResultUnchanged}
	var unknown, transient bool
	if errors.Is(cause, ErrAgain) {
		cause, end.hands = nil, slices.ContainsFunc(outcomes, isHandedOver)
		if end.hands {
			end.result = status.ResultProgressing
		}
	}
	for _, o := range outcomes {
		switch o.Result {
		case apply.Applied:
			if end.result == status.ResultUnchanged {
				end.result = status.ResultApplied
			}
		case apply.Failed:
			end.result = status.ResultFailed
			transient = transient || o.Transient || o.Hash == ""
		case apply.Unknown:
			end.result, unknown = status.ResultFailed, true
		}
	}
	switch {
	case errors.Is(cause, apply.ErrSuperseded):
		end.result = status.ResultSuperseded
	case cause != nil:
		end.result = status.ResultStopped
	case unknown:
		end.next = NextRetrySoon
	case transient:
		end.next = NextRetryLater
	}
	return end
}

// isHandedOver reports whether the next reconciliation goes on with what an outcome of one
// that ended for it is of.
func isHandedOver(o apply.Outcome) bool { return o.Result == apply.Superseded }

// remember notes in the memory what is told of a change, and reports whether that
// is worth a save. A rollout that an earlier reconciliation began at the same revision is of
// what that was for.
func (p *reconciliation) remember(o apply.Outcome) bool {
	s := &p.r.record.state
	if r := s.Rollouts[o.ID]; r.Revision == p.revision.ID {
		p.asked = p.asked.Or(r.Asked)
	} else if r.Revision != "" && r.Began.Equal(o.Began) {
		p.older[o.ID] = true
	}
	news := remember(s, o, p.revision.ID, p.fileOf(o.ID))
	if r, begun := s.Rollouts[o.ID]; begun && r.Asked.By == "" {
		r.Asked = p.asked
		s.Rollouts[o.ID] = r
	}
	return news
}

// remember notes in the state what is told of a change, and reports whether that
// is worth a save.
//
// An id is in the inventory from when its change is in progress: Marathon has our
// definition then, whatever becomes of its tasks.
func remember(s *store.State, o apply.Outcome, revision, file string) bool {
	if o.Revert {
		return rememberRevert(s, o, revision, file)
	}
	switch o.Result {
	case "":
		if o.Deployment == "" || s.Rollouts[o.ID].Deployment == o.Deployment {
			return false
		}
		begun(s, o, revision, file)
		return true
	case apply.Applied:
		if o.Action == plan.Delete {
			delete(s.Inventory, o.ID)
		} else {
			s.Inventory[o.ID] = appliedAt(s, o, revision, file)
		}
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		delete(s.Failed, o.ID)
		delete(s.Approved, o.ID) // it was for this change
		return true
	case apply.Failed:
		isNew := o.Action == plan.Create || isUnproven(s, o.ID)
		delete(s.Rollouts, o.ID)
		delete(s.Sent, o.ID)
		if o.Hash != "" && !o.Transient {
			s.Failed[o.ID] = plan.Failure{Hash: o.Hash, Reason: o.Reason, Revision: revision, Deployment: o.Deployment, New: isNew}
		}
		return true
	case apply.Blocked: // nothing was taken
		_, sent := s.Sent[o.ID]
		delete(s.Sent, o.ID)
		return sent
	default: // superseded, unknown: the next reconciliation watches what is in progress
		return false
	}
}

// appliedAt is the entry in the inventory for what has been applied. A rollout
// of an older revision, watched to its end, stays that one's: what git has now
// was not applied, and does not drift. One that was only taken up again, without
// a definition, changes no entry.
func appliedAt(s *store.State, o apply.Outcome, revision, file string) store.Owned {
	if owned, known := s.Inventory[o.ID]; known && o.Hash == "" {
		return owned
	}
	if under := s.Rollouts[o.ID]; under.Revision != "" && under.Hash == o.Hash {
		revision = under.Revision
	}
	return store.Owned{Kind: o.Kind, File: file, Revision: revision, Hash: o.Hash}
}

// isUnproven reports whether no rollout of an id has come up yet.
func isUnproven(s *store.State, id string) bool { return s.Failed[id].New || s.Rollouts[id].New }

// unproven lists what is new and has not come up yet.
func unproven(s *store.State) map[string]bool {
	ids := map[string]bool{}
	for id, f := range s.Failed {
		if f.New {
			ids[id] = true
		}
	}
	for id, r := range s.Rollouts {
		if r.New && r.Action != plan.Delete {
			ids[id] = true
		}
	}
	return ids
}

// carried is what Apply is told of rollouts that are in progress.
func carried(rollouts map[string]store.Rollout) map[string]apply.Rollout {
	all := make(map[string]apply.Rollout, len(rollouts))
	for id, r := range rollouts {
		all[id] = apply.Rollout{Kind: r.Kind, Deployment: r.Deployment, Hash: r.Hash, Action: r.Action, Began: r.Began, Revert: r.Revert}
	}
	return all
}

// hanging lists the deployments of rollouts that failed. Marathon goes on with
// them, so they may still hold the locks of what mends them.
func hanging(failed map[string]plan.Failure) []string {
	var deployments []string
	for _, f := range failed {
		if f.Deployment != "" {
			deployments = append(deployments, f.Deployment)
		}
	}
	return deployments
}

// failedIDs are the ids of rollouts that failed.
func failedIDs(failed map[string]plan.Failure) map[string]bool {
	ids := make(map[string]bool, len(failed))
	for id := range failed {
		ids[id] = true
	}
	return ids
}

// approved holds the ids that were approved for this very revision.
func approved(approvals map[string]string, revision string) map[string]bool {
	ids := map[string]bool{}
	for id, r := range approvals {
		if r == revision {
			ids[id] = true
		}
	}
	return ids
}

// superseded reports whether a context ended for a newer revision.
func superseded(ctx context.Context) bool { return errors.Is(context.Cause(ctx), apply.ErrSuperseded) }
