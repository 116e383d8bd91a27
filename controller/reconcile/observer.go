package reconcile

import (
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Observer is told what becomes of reconciliations: metrics and the log are observers.
// It changes nothing, and returns soon: what takes long, it starts. Calls of one sync
// come one after the other, those of several syncs at once.
type Observer interface {
	// ChangeEnded: a change was applied, has failed, or was given up.
	ChangeEnded(sync string, o apply.Outcome)
	// ReconciliationEnded comes after what it did was saved and shown.
	ReconciliationEnded(e Ended)
}

// Ended is what became of one reconciliation.
type Ended struct {
	Sync           string
	Reconciliation status.Reconciliation
	Before         *status.Reconciliation // the one before; nil: none
	Entry          *store.Entry           // what the history keeps of it; nil: nothing
	Errors         int                    // in the manifests
	Blocked        int                    // changes that wait for a person, or for something else
	Wrote          bool                   // it has started a change
	Plan           *plan.Plan             // the last that it made, which nobody may change; nil: it made none
}
