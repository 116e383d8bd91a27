package reconcile

import (
	"errors"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
)

// Next is what follows a reconciliation by itself, before something changes:
//
//	the reconciliation                                           next
//	found nothing to do, or applied everything                   nothing: the resync compares again
//	was superseded, or stopped                                   nothing: the newer one is queued
//	failed: its source was never fetched                         nothing: the source is fetched again by itself
//	failed: definitions only                                     nothing: not before they change
//	only read, as the first of its term                          now
//	has a failed rollout to revert                               now
//	only read, and the leader has something to do                follow
//	failed: Marathon does not answer, or its list is not whole   retry soon
//	failed: the outcome of a change is not known                 retry soon
//	failed: a change, though its definition is not to blame      retry later
//	failed otherwise: a password, a full disk                    retry later
//	applied everything, and it differs again                     retry later: somebody else reverts it
type Next int

const (
	NextNothing    Next = iota
	NextNow             // something is known to be due
	NextFollow          // as often as Marathon can be read, and once more when the leader is done
	NextRetrySoon       // what failed mends itself
	NextRetryLater      // somebody has to do something
)

// The back-off of reconciliations that are tried again.
const (
	MinBackoff = time.Second
	MaxBackoff = 5 * time.Minute
	// MaxAway bounds it where Marathon is only away: asking costs little, and
	// nobody should wait long once it is back.
	MaxAway = 15 * time.Second
)

// Ceiling is the longest back-off.
func (n Next) Ceiling() time.Duration {
	if n == NextRetrySoon {
		return MaxAway
	}
	return MaxBackoff
}

// nextAfter is what follows an error that kept a reconciliation from working.
func nextAfter(err error) Next {
	if isLacking(err) {
		return NextRetrySoon
	}
	switch marathon.KindOf(err) {
	case marathon.KindNotSent, marathon.KindTooMany, marathon.KindLocked:
		return NextRetrySoon
	case marathon.KindUnknown:
		if _, answers := errors.AsType[*marathon.Error](err); answers {
			return NextRetrySoon
		}
	}
	return NextRetryLater
}

// ending is how a reconciliation ended.
type ending struct {
	result status.Result
	err    error // what kept it from working; nil if only changes failed
	next   Next
	hands  bool // what it was for is handed to the next one
}

// failed is of a reconciliation that could not work.
func failed(err error) ending {
	return ending{result: status.ResultFailed, err: err, next: nextAfter(err)}
}
