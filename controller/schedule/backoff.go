package schedule

import (
	"math/rand/v2"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"k8s.io/client-go/util/workqueue"
)

// backoff doubles from minBackoff up to what the last failure of the sync
// allows, less up to a quarter, so that syncs that failed together are not
// tried together.
type backoff struct {
	workqueue.TypedRateLimiter[string]
	ceiling func(sync string) time.Duration
}

func newBackoff(ceiling func(string) time.Duration) backoff {
	return backoff{workqueue.NewTypedItemExponentialFailureRateLimiter[string](reconcile.MinBackoff, reconcile.MaxBackoff), ceiling}
}

// When tells how long to wait before the next try.
func (b backoff) When(name string) time.Duration {
	d := min(b.TypedRateLimiter.When(name), b.ceiling(name))
	return d - time.Duration(rand.Float64()*float64(d)/4)
}
