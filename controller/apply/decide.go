package apply

import (
	"errors"
	"fmt"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// verdict is what is done after a write was answered, or not.
type verdict int

const (
	watch      verdict = iota // taken: wait until it has converged
	lookAgain                 // perhaps taken: read, compare, decide
	waitLocked                // a deployment holds it: wait, or force if it is our own
	backOff                   // too many deployments: begin nothing for a while
	retry                     // nothing arrived: try again soon
	giveUp                    // refused for what it is
	giveUpNow                 // refused for what has nothing to do with the definition
	gone                      // a delete of what is no longer there
	holdBack                  // must not be done now
)

// decide is the one place that says what an error of a write means.
func decide(action plan.Action, err error) verdict {
	if err == nil {
		return watch
	}
	if _, ok := errors.AsType[*marathon.Error](err); !ok {
		return giveUpNow // it was not even a request: a bad id, an unreadable secret
	}
	switch marathon.KindOf(err) {
	case marathon.KindLocked:
		return waitLocked
	case marathon.KindConflict:
		switch action {
		case plan.Create:
			return lookAgain // perhaps our own, sent before and not answered
		case plan.Delete:
			return holdBack // a group that is not empty
		}
		return giveUp
	case marathon.KindTooMany:
		return backOff
	case marathon.KindUnauthorised:
		return giveUpNow
	case marathon.KindNotFound:
		if action == plan.Delete {
			return gone
		}
		return lookAgain
	case marathon.KindUnknown:
		return lookAgain
	case marathon.KindNotSent:
		return retry
	}
	return giveUp
}

// advice is what to do about an error, for the person who reads the outcome.
func advice(err error) string {
	e, ok := errors.AsType[*marathon.Error](err)
	if !ok {
		return err.Error()
	}
	switch e.Kind() {
	case marathon.KindRejected:
		return fmt.Sprintf("Marathon refused the definition: %s", e.Words())
	case marathon.KindUnauthorised:
		return fmt.Sprintf("Marathon does not accept the credentials: %s: check user and password, or whether the token has expired", e.Words())
	case marathon.KindForbidden:
		return fmt.Sprintf("Marathon denies it: %s: grant Pacer's user this permission", e.Words())
	case marathon.KindTooMany:
		return fmt.Sprintf("Marathon's limit of running deployments is reached: %s", e.Words())
	case marathon.KindUnknown:
		if e.Status > 0 {
			return fmt.Sprintf("Marathon answered %d: %s", e.Status, e.Words())
		}
	}
	return e.Error()
}

const maxTries = 6

// pause is how long to wait before the next try.
var pause = wait.Backoff{Min: time.Second, Max: 30 * time.Second}
