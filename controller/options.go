package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// Marathon is what a pass reads. *marathon.Client is one.
type Marathon interface {
	// State returns all that Marathon holds, whole, or an error: never a part.
	State(ctx context.Context) (marathon.State, error)
}

// Confirmer is a Marathon whose State may be a moment old. *marathon.Cache is
// one.
type Confirmer interface {
	// Confirm returns the state with what the ids are now.
	Confirm(ctx context.Context, ids []string) (marathon.State, error)
}

// Applier carries a plan out. *apply.Applier is one.
type Applier interface {
	Apply(ctx context.Context, p plan.Plan, r apply.Request) []apply.Outcome
}

// errAgain ends a pass that only waits for rollouts, so that the next one looks
// at everything again: one that hangs must not keep the rest of the sync from
// being mended. The rollouts are handed over.
var errAgain error = again{}

type again struct{}

func (again) Error() string        { return "restarted: everything is read again" }
func (again) Is(target error) bool { return target == apply.ErrSuperseded }

// Source is a source that one or more syncs read, looked at once for all of them.
type Source struct {
	Source sources.Source
	// Interval is how often the source is looked at, give or take a tenth;
	// zero: sources.DefaultInterval. Changed only makes it sooner.
	Interval time.Duration
}

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

// Defaults for what Options and Sync leave zero.
const (
	DefaultResync        = 30 * time.Second
	DefaultProbeInterval = 10 * time.Second
)

// Options is all that a controller is made of.
type Options struct {
	Sources map[string]Source // by name; closed by the caller, after Run or Reload returned
	Syncs   []Sync

	// Clusters are Marathons by name, one of them perhaps without. They stay as New
	// was given them.
	Clusters map[string]Cluster
	Store    store.Store
	Archive  store.Archive // nil: no revision is kept, so there is no rollback

	// Follow: there are other replicas, one of which writes. Passes only look,
	// and show the same as the leader's, except while Lead runs.
	Follow bool
	// Leadership tells Status who leads; nil: there is one replica.
	Leadership func() leader.Status
	// Peers are the other replicas, to one of which a leader hands over that
	// cannot read a source which that one can; nil: it never does.
	Peers Peers
	// RequestTimeout is how long a request to Marathon may take; zero:
	// marathon.DefaultTimeout. See Lead.
	RequestTimeout time.Duration

	// RestartNeeded are the keys of the configuration that are in force as they were
	// before it changed: for Status.
	RestartNeeded []string

	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured

	// Resync is how often live is compared with desired though nothing is
	// known to have changed, give or take a tenth; zero: DefaultResync.
	Resync time.Duration
	// ProbeInterval is how often a store that is a Prober is tried; zero:
	// DefaultProbeInterval.
	ProbeInterval time.Duration
	// Concurrency bounds how many passes read and plan side by side; waiting
	// for rollouts takes no place. Zero: as many as there are processors.
	Concurrency int
}

// ErrNoSync is returned where a sync is named that the configuration has not.
var ErrNoSync = errors.New("no sync is named")

// NoSync is ErrNoSync for a name, with those that there are.
func NoSync(name string, names []string) error {
	names = slices.Sorted(slices.Values(names))
	there := "there are: " + listed(names)
	if len(names) == 0 {
		there = "none is configured"
	}
	if strings.HasPrefix(name, "/") {
		there += "; the ids of apps follow the name of their sync"
	}
	return fmt.Errorf("%w %q; %s", ErrNoSync, name, there)
}

// ErrNoSource is returned where a source is named that the configuration has not.
var ErrNoSource = errors.New("no such source")

// check tells all that is wrong with the sources and syncs.
func (o Options) check() error {
	var errs []error
	for name, s := range o.Sources {
		if s.Source == nil {
			errs = append(errs, fmt.Errorf("source %q: it is nil", name))
		}
	}
	seen := map[string]bool{}
	for _, s := range o.Syncs {
		if err := o.checkSync(s); err != nil {
			errs = append(errs, fmt.Errorf("sync %q: %w", s.Name, err))
		}
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("sync %q: duplicate name: syncs need different names", s.Name))
		}
		seen[s.Name] = true
	}
	return errors.Join(append(errs, o.checkScopes()...)...)
}

// checkScopes refuses syncs that could write to the same ids, as the configuration
// does: they would undo each other's changes for ever.
func (o Options) checkScopes() []error {
	var errs []error
	for i, a := range o.Syncs {
		for _, b := range o.Syncs[i+1:] {
			if a.Name != b.Name && a.Marathon == b.Marathon && manifests.Overlap(a.Policy.Scope, b.Policy.Scope) {
				errs = append(errs, fmt.Errorf("sync %q: its scope %s overlaps %s, the scope of sync %q: two syncs must not write to the same ids",
					b.Name, b.Policy.Scope, a.Policy.Scope, a.Name))
			}
		}
	}
	return errs
}

func (o Options) checkSync(s Sync) error {
	switch _, ok := o.Sources[s.Source]; {
	case s.Name == "":
		return errors.New("it has no name")
	case !o.has(s.Marathon):
		return fmt.Errorf("marathon %q is not among the clusters", s.Marathon)
	case !ok:
		return fmt.Errorf("source %q is not among the sources", s.Source)
	case !strings.HasPrefix(s.Policy.Scope, "/"):
		return fmt.Errorf("scope %q: expected an absolute id such as /shop, or / for everything", s.Policy.Scope)
	}
	return nil
}
