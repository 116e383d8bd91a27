package report

import (
	"context"

	"github.com/pacer-gitops/pacer/controller/reconcile"
)

// pulls is what a worker knows of pull requests; guarded by its mu.
type pulls struct {
	known map[int]struct{}
}

func newPulls() pulls { return pulls{known: map[int]struct{}{}} }

// open is how many are open.
func (p *pulls) open() int { return len(p.known) }

// forget has every pull request planned again.
func (w *worker) forget() {}

// planned has those pull requests planned again whose plan a reconciliation may have
// changed.
func (w *worker) planned(reconcile.Ended) {}

// list finds out which pull requests are to be looked at.
func (w *worker) list(ctx context.Context) error {
	_, _, err := w.source.Forge.Pulls(ctx)
	return err
}

// pull brings what is said of a pull request up to date.
func (w *worker) pull(context.Context, int) error { return nil }
