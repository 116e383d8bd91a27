package reconcile

import (
	"fmt"
	"maps"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// conflictBackoff is that of putting the same app back again and again.
var conflictBackoff = wait.Backoff{Min: 2 * time.Second, Max: 5 * time.Minute}

const (
	// conflictOver is the least time for which an app must have stayed as it was put
	// back for its drift conflict to be forgotten.
	conflictOver = time.Minute
	// conflictTold is how many times something must have been healed to be told
	// as a drift conflict.
	conflictTold = 3
)

// conflict is the drift of one app that was healed.
type conflict struct {
	healed int // times
	since  time.Time
	last   time.Time
}

func (f conflict) backoff() time.Duration { return conflictBackoff.After(f.healed) }

// blockConflicts holds back drift that was healed a moment ago: who changed it
// does so again, and two that undo each other's work do no good. It forgets
// what has stayed as it should.
func (p *reconciliation) blockConflicts() {
	now := time.Now()
	drift := map[string]bool{}
	if p.drift == nil {
		p.drift = map[string]string{}
	}
	for i := range p.plan.Changes {
		c := &p.plan.Changes[i]
		if !c.Drift {
			continue
		}
		if by := p.r.Authors.author(c.ID); by != "" {
			c.Reason += "; last written from " + by
		}
		if c.Blocked != nil {
			continue
		}
		drift[c.ID], p.drift[c.ID] = true, c.Reason
		if f, ok := p.r.conflicts[c.ID]; ok && now.Before(f.last.Add(f.backoff())) {
			c.Blocked = new(f.words(c))
			if at := f.last.Add(f.backoff()); p.at.IsZero() || at.Before(p.at) {
				p.at = at
			}
		}
	}
	maps.DeleteFunc(p.r.conflicts, func(id string, f conflict) bool {
		return !drift[id] && now.Sub(f.last) > max(conflictOver, 2*f.backoff())
	})
}

// words tell of a drift conflict.
func (f conflict) words(c *plan.Change) string {
	again := f.last.Add(f.backoff()).UTC().Format(time.TimeOnly)
	if f.healed < conflictTold {
		return fmt.Sprintf("changed again right after it was healed; healed again at %s UTC", again)
	}
	return fmt.Sprintf("drift conflict: healed %d times since %s UTC, and another client keeps changing it (%s); healed again at %s UTC: "+
		"stop that client, or exclude the field with ignore or instances of this sync",
		f.healed, f.since.UTC().Format(time.DateTime), c.Reason, again)
}

// healed counts drift that was healed.
func (p *reconciliation) healed(o apply.Outcome) {
	if o.Result != apply.Applied {
		return
	}
	p.r.Authors.forget(func(id string) bool { return id == o.ID })
	if p.drift[o.ID] == "" {
		return
	}
	f := p.r.conflicts[o.ID]
	if f.last = time.Now(); f.healed == 0 {
		f.since = f.last
	}
	f.healed++
	p.r.conflicts[o.ID] = f
}
