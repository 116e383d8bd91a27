package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Command is what a person asked of a sync. The next reconciliation carries it out, since
// reconciliations alone change what is remembered; the one in progress is ended for it.
type Command struct {
	Change func(*store.State) error // an error says why not, and nothing is changed
	By     store.Asked
	Done   chan error // told once the change is saved
}

func NewCommand(change func(*store.State) error, by store.Asked) *Command {
	return &Command{Change: change, By: by, Done: make(chan error, 1)}
}

// obey carries out what people asked for since the last reconciliation. Where the memory
// cannot be had they are told so, but for a reconciliation that was cut off: the next one
// is queued already.
func (p *reconciliation) obey(ctx context.Context, lost error) {
	if lost != nil && ctx.Err() != nil {
		return
	}
	orders := p.in.Commands()
	if len(orders) == 0 {
		return
	}
	if p.term == nil {
		lost = ErrNotLeading
	}
	answers := make([]error, len(orders))
	for i := range orders {
		answers[i] = lost
	}
	if lost == nil {
		p.carryOut(ctx, orders, answers)
	}
	for i, o := range orders {
		o.Done <- answers[i]
	}
}

// carryOut changes the memory as people asked, and notes what becomes of each.
func (p *reconciliation) carryOut(ctx context.Context, orders []*Command, answers []error) {
	state := &p.r.record.state
	before := *state
	before.Approved = maps.Clone(state.Approved)
	for i, o := range orders {
		if answers[i] = o.Change(state); answers[i] == nil {
			p.asked = p.asked.Or(o.By)
		}
	}
	if !slices.Contains(answers, nil) {
		return
	}
	err := p.save(ctx)
	if err == nil {
		p.r.View.show(func(s *status.Sync) { s.SetStored(state) }) // before who asked has the answer
		return
	}
	*state = before // who is told that it failed may count on it
	for i := range answers {
		answers[i] = cmp.Or(answers[i], err)
	}
}

// What a person asked for, as the history names it where it matters.
const (
	VerbRollback = "rollback"
	VerbRelease  = "release"
	VerbSuspend  = "suspend"
	VerbResume   = "resume"
)

// Listed names the first of many.
func Listed(ids []string) string {
	const most = 10
	switch n := len(ids); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), n-most)
	}
	return strings.Join(ids, ", ")
}
