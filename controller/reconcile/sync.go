package reconcile

import (
	"context"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Sync is one unit of reconciliation.
type Sync struct {
	Name       string
	Marathon   string // key of Options.Clusters; empty: the one without a name
	Source     string // key of Options.Sources
	Path       string // folder in the source; empty for all of it
	Policy     plan.Policy
	Deadline   time.Duration // of one rollout; zero: that of the applier
	Settle     time.Duration // of one rollout; zero: see apply.Options.Settle
	Substitute map[string]string
	Limits     manifests.Limits // of what is read; zero members: the defaults
	// ResumeAfterLoss: after a known loss of its state the sync is resumed at
	// once, also where it was suspended or rolled back, which is lost too.
	ResumeAfterLoss bool
}

// Applier carries a plan out. *apply.Applier is one.
type Applier interface {
	Apply(ctx context.Context, p plan.Plan, r apply.Request) []apply.Outcome
}

// Confirmer is a Marathon whose State may be a moment old. *cache.Cache is
// one.
type Confirmer interface {
	// Confirm returns the state with what the ids are now.
	Confirm(ctx context.Context, ids []string) (marathon.State, error)
}

type again struct{}

// ErrAgain ends a reconciliation that only waits for rollouts, so that the next one looks
// at everything again: one that hangs must not keep the rest of the sync from
// being mended. The rollouts are handed over.
var ErrAgain error = again{}

func (again) Error() string { return "restarted: everything is read again" }

func (again) Is(target error) bool { return target == apply.ErrSuperseded }
