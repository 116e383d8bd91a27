package controller

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
)

// The back-off of passes that failed.
const (
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
	// maxAway bounds it where Marathon is only away: asking costs little, and
	// nobody should wait long once it is back.
	maxAway = 15 * time.Second
)

// retry says whether a pass is tried again before something changes.
type retry int

const (
	retryNever retry = iota
	retrySoon        // what failed mends itself: Marathon is away, an outcome is not known
	retryLater       // somebody has to do something: a password, a full disk
)

func (r retry) ceiling() time.Duration {
	if r == retrySoon {
		return maxAway
	}
	return maxBackoff
}

// retryOf decides by how a pass ended:
//
//	result      error                          retried
//	unchanged                                  never: the resync looks again
//	applied     changes are pending again      later: somebody else undoes them
//	superseded                                 never: the newer pass is queued
//	stopped                                    never
//	failed      no snapshot                    never: the source is looked at by itself
//	failed      Marathon away, or outcome      soon
//	            not known
//	failed      a list that is not whole   soon
//	failed      any other                      later
//	failed      definitions only               never: not before they change
func retryOf(p passEnd) retry {
	switch {
	case p.result == status.ResultSuperseded || p.result == status.ResultStopped || p.noSnapshot:
		return retryNever
	case isLacking(p.err):
		return retrySoon
	case p.err != nil:
		switch marathon.KindOf(p.err) {
		case marathon.KindNotSent, marathon.KindTooMany, marathon.KindLocked:
			return retrySoon
		case marathon.KindUnknown:
			if isAnswer(p.err) {
				return retrySoon
			}
		}
		return retryLater
	case p.unknown:
		return retrySoon
	case p.transient || p.pending:
		return retryLater
	}
	return retryNever
}

// backoff doubles from minBackoff up to what the last failure of the sync
// allows, less up to a quarter, so that syncs that failed together are not
// tried together.
type backoff struct {
	workqueue.TypedRateLimiter[string]
	ceiling func(sync string) time.Duration
}

func newBackoff(ceiling func(string) time.Duration) backoff {
	return backoff{workqueue.NewTypedItemExponentialFailureRateLimiter[string](minBackoff, maxBackoff), ceiling}
}

// When tells how long to wait before the next try.
func (b backoff) When(name string) time.Duration {
	d := min(b.TypedRateLimiter.When(name), b.ceiling(name))
	return d - time.Duration(rand.Float64()*float64(d)/4)
}
