package reconcile

import (
	"context"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// Planned is what the last plan of a sync was made of, for who asks what differs, or
// would. Nothing of it is changed later.
type Planned struct {
	Input  plan.Input        // without Live
	reader *manifests.Reader // with what it remembered then; only forks of it read
}

// Preview plans what a sync would do if its source were at a snapshot: with the policy,
// the inventory and the failures that its last plan went by, and what a Marathon holds. It
// changes nothing, and what it reads is not kept. Approvals are given for a revision, so
// none counts for this one.
func (p *Planned) Preview(ctx context.Context, y Sync, s *sources.Snapshot, live plan.Live, cluster manifests.Cluster) (plan.Plan, error) {
	in := p.Input
	var err error
	in.Desired, err = y.read(ctx, p.reader.Fork(), s, cluster)
	if err != nil {
		return plan.Plan{}, err
	}
	in.Revision, in.Live, in.Cluster = s.Revision.ID, live, cluster
	in.Policy.Approved = nil
	made := plan.Compute(in)
	made.Known = plan.Known{} // of what is thrown away
	return made, nil
}
