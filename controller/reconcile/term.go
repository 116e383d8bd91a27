package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
)

// ErrNotLeading is returned where something is asked for that only the replica
// that leads can do.
var ErrNotLeading = errors.New("this replica is not the leader")

// Term is a time in which reconciliations may write. A reconciliation belongs to the term that it
// began in, or to none: then it only looks, and shows what it saw.
type Term struct {
	ctx   context.Context // ends with the lease
	Began time.Time
	// sure: nobody else writes, ever. Else the first reconciliation of the term only
	// reads, so that nothing is built on what was known before.
	sure   bool
	passes sync.WaitGroup
}

// NewTerm is a term that ends with ctx.
func NewTerm(ctx context.Context, sure bool) *Term {
	return &Term{ctx: ctx, Began: time.Now(), sure: sure}
}

// Enter notes that a reconciliation begins in it; bind says when it has ended.
func (t *Term) Enter() { t.passes.Add(1) }

// Wait returns when no reconciliation of it is in progress.
func (t *Term) Wait() { t.passes.Wait() }

// Bind ends a reconciliation with its term. The returned function is called when the reconciliation
// has ended.
func (t *Term) Bind(cancel context.CancelCauseFunc) (leave func()) {
	if t == nil {
		return func() {}
	}
	stop := context.AfterFunc(t.ctx, func() {
		cancel(fmt.Errorf("%w: %w", ErrNotLeading, context.Cause(t.ctx)))
	})
	return func() {
		stop()
		t.passes.Done()
	}
}

// over reports whether a reconciliation may write no more.
func (t *Term) over() bool { return t == nil || t.ctx.Err() != nil }

// onlyReads reports whether a reconciliation may write nothing: it belongs to no term, it is
// the first of its term, or what it goes by may be older than what was applied.
func (p *reconciliation) onlyReads() bool {
	return p.term == nil || p.r.looked != p.term && !p.term.sure || !p.from.writes
}

// onlyLooks reports whether this reconciliation changes nothing, and how it ends then.
func (p *reconciliation) onlyLooks() (ending, bool) {
	switch {
	case p.term == nil:
		end := ending{result: status.ResultUnchanged}
		if p.work() && !p.r.record.state.Stopped() {
			end.next = NextFollow
		}
		return end, true
	case p.onlyReads():
		p.r.looked = p.term
		end := ending{result: status.ResultUnchanged, hands: true}
		if p.from.writes {
			end.next = NextNow
		}
		return end, true
	}
	p.r.looked = p.term
	return ending{}, false
}
