package status

import (
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Facts is what the status of one app is judged by, besides its health.
type Facts struct {
	Broken  string       // the first error of its manifest
	Change  *plan.Change // what is pending; nil: nothing
	Failure *plan.Failure
	Rollout bool // one that Pacer began is in progress
	Revert  bool // and puts the last healthy definition back
}

// StateOf judges the state and condition of an app, and says why:
//
//	broken   change      failure                       rollout    state         condition
//	yes                                                           unknown       broken manifest
//	no       blocked   of the same                              out of sync   failed
//	no       blocked   otherwise                                out of sync   blocked
//	no       a revert                                             out of sync   failed
//	no       some                                                 out of sync   none
//	no       none        some                          a revert   out of sync   failed
//	no       none        the last healthy one is back             out of sync   failed
//	no       none        otherwise                                synced        failed
//	no       none        none                          yes        synced        rollout
//	no       none        none                          no         synced        none
//
// What git defines has failed from then on, whether the last healthy definition is
// yet to be healed, on its way or back.
func StateOf(f Facts) (State, Condition, string) {
	switch {
	case f.Broken != "":
		return Unknown, Broken, "its manifest has an error, so nothing is changed: " + f.Broken
	case f.Change != nil && f.Change.Blocked != nil && f.Failure != nil && f.Failure.Hash == f.Change.Hash:
		return OutOfSync, Failed, f.Failure.Words()
	case f.Change != nil && f.Change.Blocked != nil:
		return OutOfSync, Blocked, *f.Change.Blocked
	case f.Change != nil && f.Change.Revert:
		return OutOfSync, Failed, f.Change.Reason
	case f.Change != nil:
		return OutOfSync, "", f.Change.Reason
	case f.Failure != nil && (f.Failure.Restored || f.Revert):
		return OutOfSync, Failed, f.Failure.Words()
	case f.Failure != nil:
		return Synced, Failed, f.Failure.Words()
	case f.Rollout:
		return Synced, InRollout, ""
	}
	return Synced, "", ""
}

// ShowOutcome changes what is shown of an app by what is told of its change.
// Wanted is what the change asks for, where that is known.
func (a *App) ShowOutcome(o apply.Outcome, desired *Instances) {
	if !o.Began.IsZero() {
		a.Waiting = time.Time{}
	}
	if o.Result == apply.Superseded || o.Result == apply.Unknown {
		return // the next reconciliation finds out: until then it is as it was
	}
	before := *a
	a.Action, a.Reason, a.Said, a.Condition = o.Action, o.Reason, o.Counts, ""
	if a.State = OutOfSync; o.Deployment != "" && o.Action != plan.Delete && !o.Revert {
		a.State = Synced // Marathon has the definition, whatever becomes of its tasks
	}
	switch o.Result {
	case "":
		if o.Status != nil { // else the reason would say other counts than are shown beside it
			a.Instances.Running, a.Instances.Healthy = o.Status.Running, o.Status.Healthy
		}
		if o.Deployment != "" && desired != nil {
			a.Instances.Target = desired.Target
		}
		switch {
		case o.Revert: // what git defines stays failed
			if a.Condition = Failed; o.Reason == "" {
				a.Reason, a.Said = before.Reason, before.Said
			}
		case !o.Began.IsZero():
			a.Condition = InRollout
			a.SetHealth(a.Health, false)
		}
	case apply.Applied:
		a.Action = ""
		switch {
		case o.Revert:
			a.Condition = Failed // what git has; what ran before is back
			a.converged(desired)
		case o.Action == plan.Delete:
			a.State, a.Instances = Synced, Instances{}
			if a.Kind != manifests.KindGroup {
				a.Health = HealthMissing
			}
		default:
			a.State = Synced
			if a.Kind != manifests.KindGroup {
				a.converged(desired)
			}
		}
	case apply.Failed:
		if IsTransient(o) {
			a.State, a.Reason, a.Said = OutOfSync, AfterAttempt("", o.Reason), ""
			break
		}
		a.Condition = Failed
		a.SetHealth(a.Health, false)
	case apply.Blocked:
		a.Condition = Blocked
	}
}

// IsTransient reports whether a change is tried again as it is.
func IsTransient(o apply.Outcome) bool {
	return o.Result == apply.Unknown || o.Result == apply.Failed && (o.Transient || o.Hash == "")
}

// Attempt is one to make a change that is made again.
type Attempt struct {
	Hash   string // of the change
	Reason string // why it failed
}

// AfterAttempt is the reason of a change that is pending, of which an attempt has
// failed.
func AfterAttempt(reason, failure string) string {
	said := "the last attempt failed: " + failure
	if reason != "" {
		said = reason + "; " + said
	}
	return said
}

// FirstErrors tells by id the first error of its manifest.
func FirstErrors(d manifests.Desired) map[string]string {
	first := map[string]string{}
	for id := range d.Broken {
		first[id] = "see the problems"
	}
	told := map[string]bool{}
	for _, problem := range d.Problems {
		if d.Broken[problem.ID] && !told[problem.ID] && problem.Severity == manifests.SeverityError {
			told[problem.ID], first[problem.ID] = true, problem.Message
		}
	}
	return first
}

// UnreadableNote says what follows from files of which nothing is known.
func UnreadableNote(d manifests.Desired) string {
	const most = 5
	files := d.Unreadable
	if len(files) == 0 {
		return ""
	}
	more := ""
	if len(files) > most {
		files, more = files[:most], " and others"
	}
	return "Nothing is deleted while the definitions in these files are unknown: " + strings.Join(files, ", ") + more + "."
}
