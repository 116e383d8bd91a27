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

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// Marathon is what a reconciliation reads. *marathon.Client is one.
type Marathon interface {
	// State returns all that Marathon holds, whole, or an error: never a part.
	State(ctx context.Context) (marathon.State, error)
}

// Defaults for what Options and Sync leave zero.
const (
	DefaultResync        = 30 * time.Second
	DefaultProbeInterval = 10 * time.Second
)

// Options is all that a controller is made of.
type Options struct {
	Sources map[string]schedule.Source // by name; closed by the caller, after Run or Reload returned
	Syncs   []reconcile.Sync

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

	// Observers are told of what becomes of reconciliations, in addition to the log and
	// the metrics.
	Observers []reconcile.Observer

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
	// Concurrency bounds how many reconciliations read and plan side by side; waiting
	// for rollouts takes no place. Zero: as many as there are processors.
	Concurrency int
}

// ErrNoSync is returned where a sync is named that the configuration has not.
var ErrNoSync = errors.New("no sync is named")

// NoSync is ErrNoSync for a name, with those that there are.
func NoSync(name string, names []string) error {
	names = slices.Sorted(slices.Values(names))
	there := "there are: " + reconcile.Listed(names)
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

func (o Options) checkSync(s reconcile.Sync) error {
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
