package controller

import (
	"fmt"
	"maps"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// fightBackoff is that of putting the same app back again and again.
var fightBackoff = wait.Backoff{Min: 2 * time.Second, Max: 5 * time.Minute}

const (
	// peace is the least time for which an app must have stayed as it was put
	// back for its fight to be forgotten.
	peace = time.Minute
	// stubborn is how many times something must have been put back to be told
	// as a fight.
	stubborn = 3
)

// fight is the drift of one app that was put back.
type fight struct {
	healed int // times
	since  time.Time
	last   time.Time
}

func (f fight) backoff() time.Duration { return fightBackoff.After(f.healed) }

// holdFights holds back drift that was put back a moment ago: who changed it
// does so again, and two that undo each other's work do no good. It forgets
// what has stayed as it should.
func (p *pass) holdFights() {
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
		if by := p.y.authorOf(c.ID); by != "" {
			c.Reason += "; last written from " + by
		}
		if c.Blocked != nil {
			continue
		}
		drift[c.ID], p.drift[c.ID] = true, c.Reason
		if f, ok := p.y.fights[c.ID]; ok && now.Before(f.last.Add(f.backoff())) {
			c.Blocked = new(f.words(c))
			p.c.lookAgainAt(p.y.spec.Name, f.last.Add(f.backoff()))
		}
	}
	maps.DeleteFunc(p.y.fights, func(id string, f fight) bool {
		return !drift[id] && now.Sub(f.last) > max(peace, 2*f.backoff())
	})
}

// words tell of a fight.
func (f fight) words(c *plan.Change) string {
	again := f.last.Add(f.backoff()).UTC().Format(time.TimeOnly)
	if f.healed < stubborn {
		return fmt.Sprintf("changed again right after it was healed; healed again at %s UTC", again)
	}
	return fmt.Sprintf("drift conflict: healed %d times since %s UTC, and another client keeps changing it (%s); healed again at %s UTC: "+
		"stop that client, or exclude the field with ignore or instances of this sync",
		f.healed, f.since.UTC().Format(time.DateTime), c.Reason, again)
}

// healed counts drift that was put back.
func (p *pass) healed(o apply.Outcome) {
	if o.Result != apply.Applied {
		return
	}
	p.y.wroteOver(o.ID)
	if p.drift[o.ID] == "" {
		return
	}
	f := p.y.fights[o.ID]
	if f.last = time.Now(); f.healed == 0 {
		f.since = f.last
	}
	f.healed++
	p.y.fights[o.ID] = f
}

// lookAgainAt asks for a pass at a time.
func (c *Controller) lookAgainAt(name string, t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if y := c.syncers[name]; y != nil && c.run != nil {
		y.note(store.Asked{By: store.AskedByRetry})
		c.run.queue.AddAfter(name, time.Until(t)+time.Millisecond)
	}
}
