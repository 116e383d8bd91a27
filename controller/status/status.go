package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// State says whether what Marathon holds of an app is what git defines: the
// first axis of its status.
type State string

// The states of an app, a pod or a group.
const (
	Synced    State = "synced"      // the live definition is what git defines
	OutOfSync State = "out of sync" // it differs
	Unknown   State = "unknown"     // Marathon or the manifest cannot be read
)

// States lists every state, in the order in which people want to see them.
func States() []State { return []State{OutOfSync, Unknown, Synced} }

// Health says how the instances of an app are, whatever git defines: the
// second axis. A group has none.
type Health string

// The healths of an app or a pod.
const (
	HealthHealthy     Health = "healthy"     // all instances that Marathon is to run do, and are healthy where they are checked
	HealthProgressing Health = "progressing" // a deployment is bringing it to its count
	HealthDegraded    Health = "degraded"    // instances are missing or unhealthy, and what is in progress, if anything, has failed
	HealthSuspended   Health = "suspended"   // the target is 0 instances, and none run
	HealthMissing     Health = "missing"     // Marathon does not have it
	HealthUnknown     Health = "unknown"     // Marathon cannot be read
)

// Healths lists every health, in the order in which people want to see them.
func Healths() []Health {
	return []Health{HealthMissing, HealthDegraded, HealthUnknown, HealthProgressing, HealthSuspended, HealthHealthy}
}

// Condition says what Pacer does about an app, or what hinders it: finer than
// the two axes, and empty where there is nothing to tell.
type Condition string

// The conditions of an app, a pod or a group.
const (
	InRollout Condition = "rollout"         // a change is being carried out
	Failed    Condition = "failed"          // its rollout failed; not tried again until the definition changes
	Blocked   Condition = "blocked"         // a change is blocked; the reason says by what
	Broken    Condition = "broken manifest" // its manifest has errors: nothing is changed under this id
)

// Conditions lists every condition, in the order in which people want to see them.
func Conditions() []Condition { return []Condition{Failed, Broken, Blocked, InRollout} }

// Instances counts the tasks of an app, or the instances of a pod.
type Instances struct {
	// Desired is git's count, whatever Marathon's is. Where git has none (an app that it
	// no longer defines, a count that an autoscaler owns, a manifest with errors) it is
	// Marathon's.
	Desired int `json:"desired"`
	// Target is the count that Marathon has, and works towards; 0 where it does not
	// have the app.
	Target  int  `json:"target"`
	Running int  `json:"running"`
	Healthy int  `json:"healthy"` // only told where Checked
	Checked bool `json:"checked"` // the app has health checks
}

// App is one app, pod or group of a sync.
type App struct {
	ID        string         `json:"id"`
	Kind      manifests.Kind `json:"kind"`
	State     State          `json:"state"`
	Health    Health         `json:"health,omitempty"` // of groups: none
	Condition Condition      `json:"condition,omitempty"`
	Since     time.Time      `json:"since,omitzero"` // when state, health and condition became what they are
	// LastKnown is how it stood before nothing was known of it; nil: that is known,
	// or never was. Instances are of then.
	LastKnown *LastKnown `json:"lastKnown,omitempty"`
	// Waiting is since when a change waits to be sent; zero: none does.
	Waiting   time.Time   `json:"waitingSince,omitzero"`
	Instances Instances   `json:"instances"`
	Action    plan.Action `json:"action,omitempty"`   // of the change that is pending or in progress
	Reason    string      `json:"reason,omitempty"`   // one sentence for people; never a secret
	Said      string      `json:"-"`                  // the beginning of Reason that says how many tasks run, if it does: kept the same as Instances
	Revision  string      `json:"revision,omitempty"` // at which it was last applied, or seen to be equal; empty: not by this sync
	File      string      `json:"file,omitempty"`
	// Approvable: the change is blocked, and an approval lifts that.
	Approvable bool `json:"approvable,omitempty"`
	// Counted: Instances.Desired is git's, and does not follow Marathon's.
	Counted bool `json:"-"`
}

// Counts says in a few words how many instances run: "3 of 5 running (Marathon's
// target: 3), 3 healthy". Of a group: nothing.
func (a App) Counts() string {
	i := a.Instances
	if a.Kind == manifests.KindGroup {
		return ""
	}
	words := fmt.Sprintf("%d of %d running", i.Running, i.Desired)
	if i.Target != i.Desired && a.Health != HealthMissing {
		words += fmt.Sprintf(" (Marathon's target: %d)", i.Target)
	}
	if i.Checked {
		words += fmt.Sprintf(", %d healthy", i.Healthy)
	}
	return words
}

// Result is how a reconciliation ended.
type Result string

// The results of a reconciliation.
const (
	ResultUnchanged   Result = "unchanged"   // there was nothing to do
	ResultApplied     Result = "applied"     // every change that was not blocked is carried out
	ResultProgressing Result = "progressing" // changes are in progress or wait: the next reconciliation goes on with them
	ResultFailed      Result = "failed"      // it could not be planned or saved, or a change failed
	ResultSuperseded  Result = "superseded"  // given up for a newer revision, or before it planned for what a person asked
	ResultStopped     Result = "stopped"     // cut off by the end of the process, or of its lease
)

// Succeeded reports whether a reconciliation ended without failure.
func (r Result) Succeeded() bool {
	return r == ResultApplied || r == ResultUnchanged || r == ResultProgressing
}

// Reconciliation is the last one of a sync that ended.
type Reconciliation struct {
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Revision string    `json:"revision,omitempty"`
	Result   Result    `json:"result"`
	Error    string    `json:"error,omitempty"` // of ResultFailed: what is wrong and what to do
}

// Sync is what is known of one sync.
type Sync struct {
	Name   string `json:"name"`
	Source string `json:"source"` // for people, without secrets
	Path   string `json:"path"`
	Scope  string `json:"scope"`
	// Marathon is the name of its cluster; empty where there is one without name.
	Marathon string `json:"marathon,omitempty"`

	// Revision is what the source was at when it was last read with success;
	// its ID is empty while it never was.
	Revision sources.Revision `json:"revision"`
	// InForce is the revision that the sync goes by: that of a rollback or a hold,
	// else what its source was at when the last reconciliation began. Its ID is empty while
	// there is none.
	InForce sources.Revision `json:"inForce"`
	// Fetched is when the source was last fetched, with or without success.
	Fetched time.Time `json:"fetched,omitzero"`
	// Looked is the former name of Fetched, for one release more.
	Looked time.Time `json:"looked,omitzero"`
	// Fetching is when the fetch in progress began; zero: none is.
	Fetching time.Time `json:"fetching,omitzero"`
	// SourceError says why the source cannot be read now. The revision above
	// stays in force.
	SourceError string `json:"sourceError,omitempty"`
	// SourceFailing is since when the source cannot be read; zero: it can.
	SourceFailing time.Time `json:"sourceFailing,omitzero"`
	// StoreError says why the sync's state cannot be read or saved.
	StoreError string `json:"storeError,omitempty"`

	// Suspended: nothing is changed until a person resumes the sync.
	Suspended bool `json:"suspended"`
	// Suspension says who suspended it, when and why; nil: nobody did, or that is not
	// known.
	Suspension *store.Suspension `json:"suspension"`
	// StateLost is why, where nobody has suspended it; nil: it is not.
	StateLost *StateLoss `json:"stateLost"`
	// RolledBack is the rollback that is in force; nil: the sync follows its
	// source.
	RolledBack *store.Pin `json:"rolledBack"`
	// Hold says why the sync is kept at the newest revision that was applied; nil:
	// it is not, or this replica is not the leader.
	Hold    *Hold `json:"hold"`
	Running bool  `json:"running"` // a reconciliation is in progress
	// Current is what reconciliations that have not ended have begun to change; nil:
	// nothing. The history has it when it has ended.
	Current *Current        `json:"current"`
	Last    *Reconciliation `json:"last"` // nil: none has ended yet
	// Planned is when desired and live were last compared: zero while they
	// never were since the process began.
	Planned time.Time `json:"planned,omitzero"`
	// PlannedRevision is the revision that was compared then: Apps are of it.
	PlannedRevision string `json:"plannedRevision,omitempty"`
	// Notes are what a person should know beside errors, such as a lost store.
	Notes []string `json:"notes"`

	// Stale is why nothing is known of the apps now; nil: it is.
	Stale *Stale `json:"stale"`

	Summary  plan.Summary        `json:"summary"` // of the last plan
	Apps     []App               `json:"apps"`    // sorted by id
	Problems []manifests.Problem `json:"problems"`
	History  []store.Entry       `json:"history"` // newest first
	// Kept lists the revisions that a rollback can go to, newest first.
	Kept []store.Kept `json:"kept"`
}

// Current is what will be an entry of the history.
type Current struct {
	Began    time.Time   `json:"began"` // the reconciliation that began to change something
	Revision string      `json:"revision"`
	Author   string      `json:"author,omitempty"` // of the revision
	Subject  string      `json:"subject,omitempty"`
	Asked    store.Asked `json:"asked,omitzero"` // what it is for
}

// Counts says in a few words how many apps of the sync are in each state, of
// each health and in each condition: "1 out of sync, 3 synced; 4 healthy; 1 blocked".
func (s Sync) Counts() string {
	states, healths, conditions := map[State]int{}, map[Health]int{}, map[Condition]int{}
	for _, a := range s.Apps {
		states[a.State]++
		healths[a.Health]++
		conditions[a.Condition]++
	}
	var parts []string
	if states[Unknown] >= healths[HealthUnknown] { // that their health is unknown too need not be said
		delete(healths, HealthUnknown)
	}
	for _, part := range []string{counted(States(), states), counted(Healths(), healths), counted(Conditions(), conditions)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

func counted[W ~string](words []W, counts map[W]int) string {
	var parts []string
	for _, w := range words {
		if n := counts[w]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w))
		}
	}
	return strings.Join(parts, ", ")
}

func (s Sync) Clone() Sync {
	if s.Last != nil {
		s.Last = new(*s.Last)
	}
	s.Notes = append([]string{}, s.Notes...)
	s.Apps = append([]App{}, s.Apps...)
	s.Problems = append([]manifests.Problem{}, s.Problems...)
	s.History = slices.Clone(s.History)
	if s.History == nil {
		s.History = []store.Entry{}
	}
	s.Kept = append([]store.Kept{}, s.Kept...)
	if s.RolledBack != nil {
		s.RolledBack = new(*s.RolledBack)
	}
	if s.Suspension != nil {
		s.Suspension = new(*s.Suspension)
	}
	if s.Hold != nil {
		s.Hold = new(*s.Hold)
	}
	if s.Stale != nil {
		s.Stale = new(*s.Stale)
	}
	return s
}

// SetStored takes over what is stored of the sync.
func (s *Sync) SetStored(state *store.State) {
	s.Suspended, s.Suspension, s.StateLost = state.Stopped(), state.Suspension, stateLoss(state)
	s.RolledBack = state.Pin
	s.History, s.Kept = slices.Clone(state.History), slices.Clone(state.Kept)
}

// Marathon is what is known of Marathon.
type Marathon struct {
	URL     string    `json:"url,omitempty"` // for people, without secrets
	Version string    `json:"version,omitempty"`
	Reached time.Time `json:"reached,omitzero"` // last whole answer
	Error   string    `json:"error,omitempty"`  // why it cannot be read now
	Failing time.Time `json:"failing,omitzero"` // since when; zero: it can
	// Asked is since when an answer is waited for; zero: none is.
	Asked time.Time `json:"asked,omitzero"`
}

// Status is a consistent copy of what the controller knows.
type Status struct {
	Now     time.Time `json:"now"`
	Running bool      `json:"running"`          // Run was called and has not ended
	Reload  string    `json:"reload,omitempty"` // why the newest configuration is not in force
	// RestartNeeded are the keys of the newest configuration that are not in force.
	RestartNeeded []string       `json:"restartNeeded,omitempty"`
	Leader        *leader.Status `json:"leader,omitempty"` // nil: there is one replica
	Store         string         `json:"store,omitempty"`  // why the store cannot be used, whatever the sync
	Marathon      Marathon       `json:"marathon"`         // of several: what is wrong with any
	// Marathons is each by its name, where they have names.
	Marathons map[string]Marathon `json:"marathons,omitempty"`
	Syncs     []Sync              `json:"syncs"` // sorted by name
	// Forges are those that this replica reports to, sorted by source: none while
	// another one leads.
	Forges []Forge `json:"forges,omitempty"`
}

// StateLoss is what is told of a loss of state that nobody has resumed the sync
// after.
type StateLoss struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// stateLoss is the loss because of which a sync only reports; nil: none.
func stateLoss(s *store.State) *StateLoss {
	if !s.Loss.Reports() {
		return nil
	}
	return &StateLoss{At: s.Loss.At, Why: s.Loss.Why}
}

// Hold says why a sync is kept at the newest revision that was applied though
// its source answers otherwise, or not at all.
type Hold struct {
	Revision string `json:"revision"` // that it is held at
	Subject  string `json:"subject,omitempty"`
	// Answered is the revision that the source answers with, which is older or was
	// superseded; empty: it could not be read since this replica leads, or this
	// process started.
	Answered string `json:"answered,omitempty"`
	// Reason says why, and what to do.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Reconciles: live is kept as the revision says. False: what it says is not
	// known, so nothing is changed.
	Reconciles bool `json:"reconciles"`
}

// OldestWait is since when the app waits whose change has waited longest to be
// sent; zero: none does.
func (s *Sync) OldestWait() (at time.Time) {
	for i := range s.Apps {
		if since := s.Apps[i].Waiting; !since.IsZero() && (at.IsZero() || since.Before(at)) {
			at = since
		}
	}
	return at
}
