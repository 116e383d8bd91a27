// Package oneshot plans and applies a sync once, without a running Pacer: it reads
// the source and Marathon, computes the plan, applies it, and waits until every
// rollout has converged or failed. It also writes what is live to a folder of
// manifests.
//
// A person asked for it. So live apps may be adopted, nothing is known of what Pacer
// applied before (there is no inventory), and what needs approval is approved by id.
// All that is stored is the Journal.
//
// Not here: how the difference is computed (controller/plan), how it is applied
// (controller/apply), the loop of a running Pacer (controller), and flags, exit codes
// and printing (cmd/pacer).
package oneshot

import (
	"context"
	"errors"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// Sync is one sync that is planned or applied once.
type Sync struct {
	Name     string
	Marathon string // its address, for people; empty: none is involved

	Source     sources.Options
	State      string // path of a folder that is no content of the source; empty: none
	Path       string // folder in the source; empty: all of it
	Substitute map[string]string

	Policy  plan.Policy // as configured; Adopt and ReportDrift have no effect
	Approve []string    // ids of changes that a person approved, or all

	Deadline time.Duration // of a rollout
	Settle   time.Duration // see apply.Request
}

// snapshot is the source of a sync at one revision.
type snapshot struct {
	sources.Source
	newest *sources.Snapshot
	sync   Sync
	reader *manifests.Reader
}

// open opens the source of a sync and fetches its newest revision.
func (s Sync) open(ctx context.Context) (*snapshot, error) {
	source, err := s.Source.Open(sources.Environment{State: s.State})
	if err != nil {
		return nil, err
	}
	newest, err := source.Snapshot(ctx)
	if err != nil {
		_ = source.Close()
		return nil, err
	}
	return &snapshot{source, newest, s, manifests.NewReader()}, nil
}

// desired renders the snapshot for a Marathon. To render it again, for the same one,
// costs little. It ends with ctx, between two files, with the cause of that.
func (s *snapshot) desired(ctx context.Context, cluster manifests.Cluster) (manifests.Desired, error) {
	ended := func() error { return context.Cause(ctx) }
	return s.reader.ReadUntil(ended, s.newest.FS, manifests.Options{
		Path: s.sync.Path, Scope: s.sync.Policy.Scope, Substitute: s.sync.Substitute, Cluster: cluster,
		Each: reconcile.SideBySide,
	})
}

// Desired reads the newest revision of the source and renders it for a Marathon,
// which it does not ask.
func Desired(ctx context.Context, s Sync, cluster manifests.Cluster) (manifests.Desired, error) {
	source, err := s.open(ctx)
	if err != nil {
		return manifests.Desired{}, err
	}
	desired, err := source.desired(ctx, cluster)
	return desired, errors.Join(err, source.Close())
}
