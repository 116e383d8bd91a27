package status

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// Who waits for a sync reads its history afterwards: what is synced and healthy while
// its reconciliation is in progress is waited for until that has ended. A failure is
// told at once.
func TestUnmetUntilTheReconciliationHasEnded(t *testing.T) {
	y := Sync{Name: "shop", Planned: time.Now(), PlannedRevision: "r1", Revision: sources.Revision{ID: "r1"}, Running: true,
		Apps: []App{{ID: "/shop/a", State: Synced, Health: HealthHealthy}}}
	unmet := func() (string, string) { return Status{Syncs: []Sync{y}}.Unmet("") }
	if missing, failed := unmet(); missing != "shop: a reconciliation is in progress" || failed != "" {
		t.Errorf("in progress: waiting for %q, failed %q", missing, failed)
	}
	y.Problems = []manifests.Problem{{File: "a.yaml", Line: 1, Column: 2, Message: "it is wrong"}}
	if _, failed := unmet(); failed != "shop: a.yaml:1:2: it is wrong" {
		t.Errorf("a problem: failed %q", failed)
	}
	y.Problems, y.Running = nil, false
	if missing, failed := unmet(); missing != "" || failed != "" {
		t.Errorf("ended: waiting for %q, failed %q", missing, failed)
	}
}
