// Package store keeps what must outlive a process: inventory, history,
// suspensions, rollbacks, and which rollouts are under way or have failed.
//
// A lost or unreadable record is never an empty one: Load says so, and nothing
// is deleted until the inventory is known again. A Ledger, in the folder of each
// replica, is what tells a record that is gone from one that never was.
package store

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Store holds one State a sync. Methods may be called from several goroutines.
type Store interface {
	// Load returns what was saved. For a sync that was never saved it returns
	// a State whose Inventory is nil.
	Load(ctx context.Context, sync string) (State, error)
	// Save replaces the state of a sync: whole or not at all, also when the
	// process is killed in the middle.
	Save(ctx context.Context, sync string, s State) error
	Close() error
}

// Records is all that outlives a process, and can be looked through.
type Records interface {
	Store
	Archive
	// Syncs names the syncs of which something is saved, sorted.
	Syncs(ctx context.Context) ([]string, error)
	// Peek is Load without setting anything aside.
	Peek(ctx context.Context, sync string) (State, error)
	// Probe tells whether the store can be used now: a folder written, ZooKeeper
	// read.
	Probe(ctx context.Context) error
}

// State is what is remembered of a sync.
type State struct {
	// Inventory holds what the sync has applied: what it may delete. Nil: not
	// known.
	Inventory map[string]Owned        `json:"inventory"`
	Rollouts  map[string]Rollout      `json:"rollouts,omitempty"` // by id: under way
	Sent      map[string]Sent         `json:"sent,omitempty"`     // by id: on its way, its answer not known
	Failed    map[string]plan.Failure `json:"failed,omitempty"`   // by id
	History   []Entry                 `json:"history,omitempty"`  // newest first, at most MaxHistory
	Suspended bool                    `json:"suspended,omitempty"`
	// Suspension says who suspended the sync; nil: it is not suspended, or an older
	// Pacer saved that it is.
	Suspension *Suspension       `json:"suspension,omitempty"`
	Approved   map[string]string `json:"approved,omitempty"` // id → revision the approval is for
	// Healthy holds, by id, what ran well before a change that is under way or
	// has failed. Like any definition it may hold what its author put into env.
	Healthy map[string]plan.Healthy `json:"healthy,omitempty"`
	// Held holds, by id, what was one of more deletes than the policy allows
	// without an approval, and of how many.
	Held map[string]int `json:"held,omitempty"`
	// Kept lists the revisions that a rollback can go to, newest first, at most
	// MaxHistory. What they asked for lies in an Archive.
	Kept []Kept `json:"kept,omitempty"`
	// Pin holds the sync at one of Kept; nil: it follows its source.
	Pin *Pin `json:"pin,omitempty"`
	// Newest is the newest revision that was begun to be applied; nil: none was,
	// or an older Pacer saved the state.
	Newest *Newest `json:"newest,omitempty"`
	// ID tells this record from another one of the same sync, such as the one
	// that begins after a loss. Empty: an older Pacer saved it.
	ID string `json:"id,omitempty"`
	// Replaces holds the ids of the records, and of the reports of their loss,
	// that this one is known to take the place of, at most maxReplaced.
	Replaces []string `json:"replaces,omitempty"`
	// Loss is the last known loss of what was saved; nil: none is known.
	Loss *Loss `json:"loss,omitempty"`
	// Stands holds, by id, what was last told of an app, and since when it is so.
	Stands map[string]Stand `json:"stands,omitempty"`
}

// MaxHistory is how many entries of history are kept for a sync.
const MaxHistory = 50

// MaxChanges is how many changes one entry of history lists.
const MaxChanges = 200

// Kept is a revision that was applied, or found to be as it should.
type Kept struct {
	ID      string    `json:"id"`
	Ref     string    `json:"ref,omitempty"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"` // of the commit
	Since   time.Time `json:"since"`         // when it was first found to be in force
	Scope   string    `json:"scope"`         // for which it was read
	Sum     string    `json:"sum"`           // of its content in the Archive
	// Change is the newest commit that changed what the sync reads; nil: not known.
	Change *Commit `json:"change,omitempty"`
}

// Commit is a commit, for people.
type Commit struct {
	ID      string    `json:"id"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// Pin is a rollback that is in force.
type Pin struct {
	Kept
	By Asked     `json:"by"`
	At time.Time `json:"at"`
}

// Suspension is a suspend that is in force.
type Suspension struct {
	By Asked     `json:"by"`
	At time.Time `json:"at"`
}

// Words say who suspended a sync and when, to follow "suspended". Nil: not recorded.
func (s *Suspension) Words() string {
	if s == nil {
		return " by an older Pacer, which did not record who, when and why"
	}
	return fmt.Sprintf(" at %s by %s", s.At.UTC().Format(time.RFC3339), s.By)
}

// WithoutDefinitions is the state without definitions, whose env may hold secrets.
func (s State) WithoutDefinitions() State {
	s.Healthy = maps.Clone(s.Healthy)
	for id, h := range s.Healthy {
		h.App, h.Pod = nil, nil
		s.Healthy[id] = h
	}
	return s
}

// Stand is what was last told of an app, in the words of the status.
type Stand struct {
	State     string    `json:"state"`
	Health    string    `json:"health,omitempty"`
	Condition string    `json:"condition,omitempty"`
	Since     time.Time `json:"since"`
}

// Owned is an id that a sync has applied.
type Owned = plan.Owned

// Rollout is a deployment in Marathon that Pacer began.
type Rollout struct {
	Kind       manifests.Kind `json:"kind"`
	Deployment string         `json:"deployment"` // Marathon's id
	Revision   string         `json:"revision"`
	Hash       string         `json:"hash"`
	Action     plan.Action    `json:"action"`
	Began      time.Time      `json:"began"`
	Revert     bool           `json:"revert,omitempty"` // it puts the last healthy definition back
	New        bool           `json:"new,omitempty"`    // no rollout of the id has come up before
	Asked      Asked          `json:"asked,omitzero"`   // what the pass that began it was for
}

// Sent is a write that is noted before it is sent, so that what comes of it is
// known as Pacer's own though nobody lived to hear the answer.
type Sent struct {
	Kind     manifests.Kind `json:"kind"`
	Revision string         `json:"revision"`
	File     string         `json:"file"`
	Hash     string         `json:"hash"` // as in Rollout
	Body     string         `json:"body"` // identifies what was sent, as Marathon will show it
	Action   plan.Action    `json:"action"`
	Revert   bool           `json:"revert,omitempty"`
	Began    time.Time      `json:"began"`
}

// Entry is one pass that changed something or failed, or a suspend or its end.
type Entry struct {
	Revision string `json:"revision"`
	// Commit is the newest commit that changed what the sync reads, and Author and
	// Subject are its. Empty: it is not known, and they are those of the revision,
	// which may have changed something else.
	Commit  string `json:"commit,omitempty"`
	Author  string `json:"author,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Began is when the first write of what is listed was sent, also by an earlier
	// pass of the revision that handed over to this one; Ended when the last of it
	// ended, or was given up. What a pass waited for before its first write (a lock,
	// an answer, its turn) lies before. Where nothing was written Began is Ended, or
	// when the first pass failed of several that failed alike.
	Began   time.Time    `json:"began"`
	Ended   time.Time    `json:"ended"`
	Summary plan.Summary `json:"summary"`
	Result  string       `json:"result"`            // applied, failed, superseded, stopped, unchanged, suspended, resumed
	Changes []Done       `json:"changes,omitempty"` // at most MaxChanges, those that did not succeed first
	More    int          `json:"more,omitempty"`    // changes that are not listed, all in Summary
	Message string       `json:"message,omitempty"`
	// Repeated is how often the same failure followed, up to Ended; zero: never.
	Repeated int   `json:"repeated,omitempty"`
	Asked    Asked `json:"asked,omitzero"` // who or what it was begun for
}

// Lasted says what the time from Began to Ended of an entry is: "took" of changes
// that ended, "given up after" of others, "since" of a failure that was repeated;
// empty: it says nothing.
func (e Entry) Lasted() string {
	took := e.Ended.Sub(e.Began)
	switch failed := e.Result == "failed"; {
	case e.Repeated > 0, len(e.Changes) == 0 && failed && took >= time.Second:
		return "since"
	case len(e.Changes) == 0, took <= 0:
		return ""
	case failed, e.Result == "applied":
		return "took"
	}
	return "given up after"
}

// Done is what became of one change.
type Done struct {
	ID      string      `json:"id"`
	Action  plan.Action `json:"action"`
	Outcome string      `json:"outcome"`
	// Seconds from the write to the end; zero: nothing was written, or it did not end.
	Seconds float64 `json:"seconds,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}
