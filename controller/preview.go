package controller

import (
	"context"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/sources"
)

// Preview plans what a sync would do if its source were at a snapshot, such as the merge
// of a pull request, against what Marathon holds now. It writes and keeps nothing. A sync
// that is suspended, rolled back or on hold is planned as if it were not.
// Errors: ErrNoSync, ErrNotPlanned, or one of Marathon.
func (c *Controller) Preview(ctx context.Context, sync string, s *sources.Snapshot) (plan.Plan, error) {
	y := c.syncer(sync)
	if y == nil {
		return plan.Plan{}, c.noSync(sync)
	}
	last := y.view.Planned()
	if last == nil {
		return plan.Plan{}, ErrNotPlanned
	}
	return c.compare(ctx, y, func(state marathon.State, live plan.Live) (plan.Plan, error) {
		return last.Preview(ctx, y.spec, s, live, state.Cluster)
	})
}
