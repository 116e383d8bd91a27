package controller

import (
	"context"
	"sync"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
)

// syncer is one sync: its reconciler, when that is due, and what is shown of it.
type syncer struct {
	spec       reconcile.Sync
	watcher    *schedule.Watcher
	cluster    *cluster
	view       *reconcile.View
	authors    *reconcile.Authors
	slot       *schedule.Slot
	reconciler *reconcile.Reconciler

	ctx    context.Context    // ends with Run, or when the sync is gone
	cancel context.CancelFunc // set when started
	group  sync.WaitGroup     // its resync and its reconciliation
}

func (c *Controller) newSyncer(spec reconcile.Sync, w *schedule.Watcher, m *cluster) *syncer {
	y := &syncer{
		spec: spec, watcher: w, cluster: m, authors: &reconcile.Authors{}, slot: schedule.NewSlot(spec.Name),
		view: reconcile.NewView(status.Sync{Name: spec.Name, Source: w.Source.Source.String(), Path: spec.Path, Scope: spec.Policy.Scope, Marathon: spec.Marathon}),
	}
	y.reconciler = reconcile.New(reconcile.Config{
		Sync: spec, Log: c.log, Store: c.store, Archive: c.archive, Slots: c.slots, Source: w, Live: live{c, m, y}, Applier: m.Applier,
		Observers: append([]reconcile.Observer{c.metrics, logged{c.log}}, c.observers...), View: y.view, Authors: y.authors,
	})
	return y
}

func (y *syncer) stop() {
	if y.cancel != nil {
		y.cancel()
		y.group.Wait()
		y.cancel = nil
	}
}

// status returns a copy of what is known, with the last fetch of the source.
func (y *syncer) status() status.Sync {
	seen := y.watcher.Last()
	s := y.view.Status()
	s.Fetched, s.Looked, s.Fetching = seen.At, seen.At, y.watcher.FetchingSince()
	if seen.Snapshot != nil {
		s.Revision = seen.Snapshot.Revision
	}
	if seen.Err != nil {
		s.SourceError, s.SourceFailing = seen.Err.Error(), seen.Failing
	}
	return s
}
