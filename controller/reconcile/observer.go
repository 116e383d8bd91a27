package reconcile

import (
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
)

// Observer is told what becomes of reconciliations: metrics and the log are observers.
// It changes nothing, and returns soon: what takes long, it starts. Calls of one sync
// come one after the other, those of several syncs at once.
type Observer interface {
	// ChangesBegan: a reconciliation has begun its first change of what its revision
	// asks for. Several of one revision may: what they tell of is in their Ended.
	ChangesBegan(b Began)
	// ChangeEnded: a change was applied, has failed, or was given up.
	ChangeEnded(sync string, o apply.Outcome)
	// ReconciliationEnded comes after what it did was saved and shown.
	ReconciliationEnded(e Ended)
}

// Began is a reconciliation that has begun to change something.
type Began struct {
	Sync     string
	Revision sources.Revision
	Former   []string // revisions that the sync went by before, the last first; none: not known
	At       time.Time
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

	Leads    bool             // it could write: it belongs to a term, and goes by what was fetched in that
	Revision sources.Revision // that it went by
	Former   []string         // revisions that the sync went by before, the last first; none: not known
	Fetched  sources.Revision // what the source was at; zero: not known
	Standing *Standing        // nil: it could not compare what the revision asks for with Marathon
}

// Standing is how what a sync defines stands at the end of a reconciliation.
type Standing struct {
	Stopped  bool   // the sync changes nothing: it is suspended, or its stored state was lost
	Away     string // why it goes by another revision than its source is at; empty: it does not
	Failed   int    // those whose rollout failed, or whose manifest has errors
	Approval int    // changes that wait for an approval
	Blocked  int    // changes that wait for something else
	Coming   int    // those that are neither of these, nor settled and healthy
	// FailedFirst is the first of Failed by id, and why.
	FailedFirst string
}
