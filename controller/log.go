package controller

import (
	"context"
	"log/slog"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
)

// logged logs how reconciliations end.
type logged struct{ log *slog.Logger }

// ChangesBegan implements reconcile.Observer.
func (logged) ChangesBegan(reconcile.Began) {}

// ChangeEnded implements reconcile.Observer: changes are in the history.
func (logged) ChangeEnded(string, apply.Outcome) {}

// ReconciliationEnded implements reconcile.Observer. What a new revision brings that
// is not applied, errors and blocked changes, is logged where it is new, though nothing
// was changed.
func (l logged) ReconciliationEnded(e reconcile.Ended) {
	last, before, level := e.Reconciliation, e.Before, levelOf(e)
	if before != nil && last.Result == status.ResultFailed && last.Error != "" && before.Error == last.Error && before.Revision == last.Revision {
		level = slog.LevelDebug // it was logged
	}
	if before == nil || before.Revision != last.Revision {
		level = max(level, slog.LevelInfo)
		if e.Errors+e.Blocked > 0 {
			level = max(level, slog.LevelWarn)
		}
	}
	l.log.Log(context.Background(), level, "reconciliation ended", "sync", e.Sync, "revision", last.Revision, "result", string(last.Result),
		"problems", e.Errors, "blocked", e.Blocked, "took", last.Ended.Sub(last.Began), "error", last.Error)
}

// levelOf keeps out of the log what is of no interest at rest, and while rollouts
// are merely waited for.
func levelOf(e reconcile.Ended) slog.Level {
	switch r := e.Reconciliation.Result; {
	case r == status.ResultFailed:
		return slog.LevelWarn
	case r == status.ResultUnchanged, r == status.ResultProgressing && !e.Wrote:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
