package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Rollback says where a sync is to go back to.
type Rollback struct {
	Revision string // that is kept, or its beginning; empty: Back
	Back     int    // so many steps back from what is in force; zero: 1
}

// Rollback holds a sync at a revision that it had before, until Release, also
// after a restart: what the source says meanwhile is not looked at. It needs no
// source. It returns when that is saved, with what it went back to; deletes obey
// the policy of the sync as ever. Errors: ErrNoSync, ErrConflict where there is
// no such revision to go back to, one of the store, or the cause of ctx.
func (c *Controller) Rollback(ctx context.Context, sync string, to Rollback, by store.Asked) (store.Pin, error) {
	y := c.syncer(sync)
	if y == nil {
		return store.Pin{}, c.noSync(sync)
	}
	var pin store.Pin
	by.Verb = reconcile.VerbRollback
	err := c.order(ctx, sync, by, func(s *store.State) error {
		k, err := to.among(s.Kept, y.inForce(s))
		if err != nil {
			return err
		}
		if _, err := reconcile.Recall(ctx, c.archive, y.spec, k); err != nil {
			return fmt.Errorf("%w: cannot roll back to %s: %w; available: %s", ErrConflict, plan.ShortRevision(k.ID), err, listedKept(s.Kept))
		}
		pin = store.Pin{Kept: k, By: by, At: time.Now()}
		s.Pin = &pin
		return nil
	})
	if err != nil {
		return store.Pin{}, err
	}
	return pin, nil
}

// Release ends a Rollback: the sync follows its source again. Errors: as of
// Rollback; ErrConflict where there is none.
func (c *Controller) Release(ctx context.Context, sync string, by store.Asked) error {
	by.Verb = reconcile.VerbRelease
	return c.order(ctx, sync, by, func(s *store.State) error {
		if s.Pin == nil {
			return fmt.Errorf("%w: this sync is not rolled back", ErrConflict)
		}
		s.Pin = nil
		return nil
	})
}

// inForce is the revision that a sync works on, or did when the process before
// ended; empty: not known.
func (y *syncer) inForce(s *store.State) string {
	if s.Pin != nil {
		return s.Pin.ID
	}
	if planned := y.status().PlannedRevision; planned != "" {
		return planned
	}
	for _, e := range s.History {
		if e.Revision != "" {
			return e.Revision
		}
	}
	return ""
}

// among finds what is meant among the revisions that are kept, newest first.
func (to Rollback) among(kept []store.Kept, inForce string) (store.Kept, error) {
	if to.Revision != "" {
		return to.named(kept)
	}
	const nowhere = "%w: no stored revision %d steps back; available: %s"
	back := max(to.Back, 1)
	i := slices.IndexFunc(kept, func(k store.Kept) bool { return k.ID == inForce })
	last := ""
	if i >= 0 {
		last = kept[i].Sum
	}
	steps := 0
	for _, k := range kept[i+1:] {
		if k.Sum == last {
			continue // a commit that changed nothing here is no step
		}
		last = k.Sum
		if steps++; steps == back {
			return k, nil
		}
	}
	return store.Kept{}, fmt.Errorf(nowhere, ErrConflict, back, listedKept(kept))
}

func (to Rollback) named(kept []store.Kept) (store.Kept, error) {
	var found []store.Kept
	for _, k := range kept {
		if k.ID == to.Revision {
			return k, nil
		}
		if plan.IsRevision(k.ID, to.Revision) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return store.Kept{}, fmt.Errorf("%w: this sync has no stored revision %q; available: %s", ErrConflict, to.Revision, listedKept(kept))
	}
	return store.Kept{}, fmt.Errorf("%w: revision prefix %q is ambiguous: %s", ErrConflict, to.Revision, listedKept(found))
}

// listedKept names the first of many revisions, short and with their subjects.
func listedKept(kept []store.Kept) string {
	names := make([]string, 0, len(kept))
	for _, k := range kept {
		name := plan.ShortRevision(k.ID)
		if k.Subject != "" {
			name += " (" + k.Subject + ")"
		}
		names = append(names, name)
	}
	return reconcile.Listed(names)
}
