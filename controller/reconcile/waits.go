package reconcile

import (
	"maps"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// waits holds since when changes wait to be sent, by id. What has waited longest
// goes first: else, with a new revision every few seconds, those late in the
// alphabet would never have their turn. It outlives a reconciliation that is
// superseded, and a change that a newer revision makes another one.
type waits map[string]time.Time

// note takes in what a plan would send now.
func (w waits) note(p plan.Plan, now time.Time) {
	pending := map[string]bool{}
	for _, c := range p.Changes {
		if c.Blocked != nil {
			continue
		}
		pending[c.ID] = true
		if _, waits := w[c.ID]; !waits {
			w[c.ID] = now
		}
	}
	maps.DeleteFunc(w, func(id string, _ time.Time) bool { return !pending[id] })
}
