package oneshot

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
)

// Plan compares the newest revision of the source with the present state of Marathon.
func Plan(ctx context.Context, s Sync, client *marathon.Client) (plan.Plan, error) {
	p, _, err := planner{Sync: s}.plan(ctx, client)
	return p, err
}

// PlanAgainst compares the newest revision of the source with a state of Marathon
// that was read before.
func PlanAgainst(ctx context.Context, s Sync, state marathon.State) (plan.Plan, error) {
	source, err := s.open(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := planner{Sync: s}.against(ctx, source, state)
	return p, errors.Join(err, source.Close())
}

// planner is a sync with what is known of its definitions from an apply that has
// just ended.
type planner struct {
	Sync
	failed  map[string]plan.Failure
	healthy map[string]plan.Healthy // the last healthy definitions of what failed
}

// plan reads the source and Marathon once, in parallel, and compares them.
func (r planner) plan(ctx context.Context, client *marathon.Client) (p plan.Plan, state marathon.State, err error) {
	var source *snapshot
	sides, both := errgroup.WithContext(ctx)
	sides.Go(func() (err error) {
		state, err = client.State(both)
		return err
	})
	sides.Go(func() (err error) {
		if source, err = r.open(both); err != nil {
			return err
		}
		// Rendering depends on the version and features of Marathon, which are there
		// long before its whole state, and hardly differ by then. If they cannot be
		// read, nor can the state, whose error is the better one.
		if cluster, err := client.Info(both); err == nil {
			_, err = source.desired(both, cluster)
			return err
		}
		return nil
	})
	err = sides.Wait()
	if err == nil {
		p, err = r.against(ctx, source, state)
	}
	if source != nil {
		err = errors.Join(err, source.Close())
	}
	return p, state, err
}

// against compares a snapshot with a state of Marathon.
func (r planner) against(ctx context.Context, source *snapshot, state marathon.State) (plan.Plan, error) {
	desired, err := source.desired(ctx, state.Cluster)
	if err != nil {
		return plan.Plan{}, err
	}
	policy := r.Policy
	policy.Adopt, policy.ReportDrift = true, false
	in := plan.Input{
		Revision: source.newest.Revision.ID, Sync: r.Name, Marathon: r.Marathon, Desired: desired, Live: reconcile.LiveOf(state),
		Cluster: state.Cluster, Policy: policy, Inventory: map[string]plan.Owned{}, Failed: r.failed, Healthy: r.healthy,
	}
	p := plan.Compute(in)
	if len(r.Approve) > 0 {
		in.Policy.Approved = r.approved(p)
		p = plan.Compute(in)
	}
	return p, nil
}

// approved holds the ids of a plan that are approved.
func (s Sync) approved(p plan.Plan) map[string]bool {
	ids := map[string]bool{}
	for _, c := range p.Changes {
		ids[c.ID] = slices.Contains(s.Approve, c.ID) || slices.Contains(s.Approve, "all")
	}
	return ids
}
