package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// ErrNotPlanned is returned where git and Marathon have not been compared yet.
var ErrNotPlanned = errors.New("git and Marathon have not been compared yet")

// Diff compares what a sync wants, as its last reconciliation read it, with what Marathon
// holds now, and changes nothing. Of ids, if any are given, only these are told.
// Errors: ErrNoSync, ErrNotPlanned, ErrConflict for an id that is none of the
// sync's, or one of Marathon.
func (c *Controller) Diff(ctx context.Context, sync string, ids []string) (plan.Plan, error) {
	y := c.syncer(sync)
	if y == nil {
		return plan.Plan{}, c.noSync(sync)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	in, err := y.lastInput(ids)
	if err != nil {
		return plan.Plan{}, err
	}
	return c.compare(ctx, y, func(state marathon.State, live plan.Live) (plan.Plan, error) {
		in.Live, in.Cluster = live, state.Cluster
		return of(plan.Compute(in), ids), nil
	})
}

// compare plans on what Marathon holds now for who only asks: one at a time, so that no
// reconciliation is kept waiting.
func (c *Controller) compare(ctx context.Context, y *syncer, with func(marathon.State, plan.Live) (plan.Plan, error)) (plan.Plan, error) {
	select {
	case c.diffs <- struct{}{}:
		defer func() { <-c.diffs }()
	case <-ctx.Done():
		return plan.Plan{}, context.Cause(ctx)
	}
	state, err := c.stateOf(ctx, y.cluster, nil)
	if ctx.Err() != nil {
		return plan.Plan{}, context.Cause(ctx)
	}
	if err != nil {
		return plan.Plan{}, fmt.Errorf("cannot read Marathon: %w", err)
	}
	return with(state, y.cluster.lives.of(state))
}

// lastInput is what the last plan was made of, without live.
func (y *syncer) lastInput(ids []string) (plan.Input, error) {
	last := y.view.Planned()
	if last == nil {
		return plan.Input{}, ErrNotPlanned
	}
	for _, id := range ids {
		if !y.view.Has(id) {
			return plan.Input{}, fmt.Errorf("%w: %s is not an app, pod or group of this sync", ErrConflict, id)
		}
	}
	return last.Input, nil
}

// of is the part of a plan that concerns some ids; none: all of it.
func of(p plan.Plan, ids []string) plan.Plan {
	if len(ids) == 0 {
		return p
	}
	other := func(id string) bool { return !slices.Contains(ids, id) }
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return other(c.ID) })
	p.Problems = slices.DeleteFunc(p.Problems, func(problem manifests.Problem) bool { return other(problem.ID) })
	p.NotManaged = slices.DeleteFunc(p.NotManaged, func(n plan.NotManaged) bool { return other(n.ID) })
	p.Summary = plan.Summary{None: len(ids) - len(p.Changes)}
	for _, c := range p.Changes {
		p.Summary.Count(c.Action)
	}
	return p
}
