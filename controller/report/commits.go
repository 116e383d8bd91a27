package report

import (
	"context"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/reconcile"
)

// commits is what a worker knows of the commits of its source; guarded by its mu.
type commits struct{}

// changeEnded takes in what became of a change of a sync.
func (w *worker) changeEnded(string, apply.Outcome) {}

// reconciled takes in what became of a reconciliation of a sync.
func (w *worker) reconciled(reconcile.Ended) {}

// commit brings the status of a commit for a sync up to date.
func (w *worker) commit(context.Context, string, string) error { return nil }

// merged brings the comment on a pull request that was merged up to date.
func (w *worker) merged(context.Context, forge.Pull) error { return nil }
