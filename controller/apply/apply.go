// Package apply carries a plan out: in order, within limits, waiting for each
// rollout until it is healthy, failed or superseded, and explaining one that
// does not come up.
//
// It decides nothing about what should run: that is controller/plan's.
//
// # How it works
//
// Marathon serialises writes, so one loop in one goroutine does everything:
//
//	begin    what depends on nothing unfinished is sent, up to MaxInFlight deployments
//	look     what was sent is read again, all of it at once
//	judge    applied, failed, half done, or wait
//	wait     for the next tick, an event, or the end
//
// A change is an item with a phase: waiting (for what it depends on), ready,
// locked (by deployments of somebody else), begun, done. Every item ends with
// exactly one result.
//
// Nothing is believed but what is read. An answer to a write only starts the
// watching: Marathon forgets finished deployments, a new leader drops those that
// wait for health as if they were done, and somebody else may cancel one. So
// converged means: the definition is equal, no deployment holds the app, as many
// tasks run (and are healthy) as there are instances, none is of an older
// configuration, and all that for the settling time. A rollout that nothing
// drives any more (definition new, tasks old, no deployment) is driven again by
// a restart.
//
// A write whose outcome is not known (5xx, cut connection) is followed by a look;
// only if it was not taken is it sent again, and sending the same definition
// twice is, for Marathon, nothing.
//
// A lock is waited out while other items go on. Force is used only if all that
// hold the lock were begun by Pacer, to supersede them.
package apply

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// Result is what became of a change.
type Result string

// The results.
const (
	Applied    Result = "applied"    // converged: definition equal, tasks running and healthy
	Failed     Result = "failed"     // refused, or not up within its deadline
	Blocked    Result = "blocked"    // held back; Reason says by what
	Superseded Result = "superseded" // given up for a newer revision while under way
	Unknown    Result = "unknown"    // interrupted while under way: read again, then decide
)

// Outcome is what became of one change. Apply reports one when a change begins
// (Result empty), again while it hangs (Result empty, Reason says why), and one
// when it ends.
type Outcome struct {
	ID     string         `json:"id"`
	Kind   manifests.Kind `json:"kind"`
	Action plan.Action    `json:"action"`
	Result Result         `json:"result"`
	Reason string         `json:"reason,omitempty"`
	// Counts is the beginning of Reason that says how many tasks run, which changes
	// while the rest of it stays true; empty: it says nothing of the kind. Status is
	// what it was made of.
	Counts     string           `json:"-"`
	Status     *marathon.Status `json:"-"`
	Deployment string           `json:"deployment,omitempty"`
	Hash       string           `json:"-"`
	Began      time.Time        `json:"began"` // zero: Marathon has taken nothing of it
	Ended      time.Time        `json:"ended"`
	// Transient: the definition is not to blame for Failed (a wrong password,
	// say), so that trying the same again is not in vain.
	Transient bool `json:"-"`
	Revert    bool `json:"revert,omitempty"` // the last healthy definition is put back
}

// ErrSuperseded is the cause with which the context of Apply is cancelled when
// a newer revision is there: nothing more is sent, and what is under way is
// given up to it. A cause that Is it, but is another one, hands over to who goes
// on with the same.
var ErrSuperseded = errors.New("superseded by a newer revision")

// Marathon is what Apply asks and tells. *marathon.Client is one.
type Marathon interface {
	Apps(ctx context.Context) (map[string]marathon.App, error)
	App(ctx context.Context, id string) (marathon.App, error)
	Pods(ctx context.Context) (map[string]marathon.Pod, error)
	Pod(ctx context.Context, id string) (marathon.Pod, error)
	TreeIDs(ctx context.Context) (map[string]bool, error)
	Deployments(ctx context.Context) ([]marathon.Deployment, error)
	Queue(ctx context.Context) ([]marathon.QueueItem, error)

	CreateApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error)
	PutApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error)
	MergeApp(ctx context.Context, a *manifests.App, force bool) (marathon.Receipt, error)
	PutApps(ctx context.Context, apps []*manifests.App, force bool) (marathon.Receipt, error)
	DeleteApp(ctx context.Context, id string, force bool) (marathon.Receipt, error)
	RestartApp(ctx context.Context, id string, force bool) (marathon.Receipt, error)
	CreatePod(ctx context.Context, p *manifests.Pod, force bool) (marathon.Receipt, error)
	PutPod(ctx context.Context, p *manifests.Pod, force bool) (marathon.Receipt, error)
	DeletePod(ctx context.Context, id string, force bool) (marathon.Receipt, error)
	CreateGroup(ctx context.Context, g *manifests.Group, force bool) (marathon.Receipt, error)
	PutGroup(ctx context.Context, g *manifests.Group, force bool) (marathon.Receipt, error)
	DeleteGroup(ctx context.Context, id string, force bool) (marathon.Receipt, error)
}

// Options of an Applier. The zero value will do.
type Options struct {
	// MaxInFlight is how many deployments are begun side by side; zero: 20.
	// One that hangs for more than half a minute does not count, so that
	// hanging ones do not hold up the rest, until four times as many hang.
	MaxInFlight int
	// BatchSize is how many new apps go into one array; zero: 5000, which
	// takes a Marathon about 4 s, well within what a standby waits. What runs
	// already always goes alone, since an array locks all its apps together.
	BatchSize int
	// Deadline of one rollout where the request has none; zero: DefaultDeadline.
	Deadline time.Duration
	// Settle is the settling time where the request has none: how long the tasks
	// of a rollout must have stayed up for it to have converged; zero: 2 s where
	// health checks pass, 5 s where there are none; negative: one look is enough.
	Settle time.Duration
	// PollInterval is the longest time between two looks; zero: 1 s. Where a
	// look takes long, it is made more rarely.
	PollInterval time.Duration
	// ExplainAfter is when a rollout that is not up yet is explained for the
	// first time, and how often then; zero: 5 s.
	ExplainAfter time.Duration
	// Grace is how long a write that was sent when the context ended may still
	// take to answer, so that its deployment is known; zero: 10 s.
	Grace time.Duration
	// Own tells of a deployment that is in no Rollouts whether Pacer began it
	// nevertheless (it was killed before it could note it); nil: none.
	Own func(marathon.Deployment) bool
	Log *slog.Logger // nil: nothing is logged
}

// DefaultDeadline is that of the option of a sync, too.
const DefaultDeadline = 10 * time.Minute

func (o Options) filled() Options {
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 20)
	o.BatchSize = cmp.Or(o.BatchSize, 5000)
	o.Deadline = cmp.Or(o.Deadline, DefaultDeadline)
	o.PollInterval = cmp.Or(o.PollInterval, time.Second)
	o.ExplainAfter = cmp.Or(o.ExplainAfter, 5*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	if o.Own == nil {
		o.Own = func(marathon.Deployment) bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Write is a definition that is about to be sent: exactly one of App and Pod is
// set. The outcome has no deployment yet.
type Write struct {
	Outcome Outcome
	App     *manifests.App
	Pod     *manifests.Pod
}

// Rollout is a deployment that Pacer began before this Apply and that may still
// be under way.
type Rollout struct {
	Kind       manifests.Kind
	Deployment string
	Hash       string
	Action     plan.Action
	Began      time.Time // its deadline runs from here
	Revert     bool      // it puts the last healthy definition back
}

// Request is what Apply needs beside the plan.
type Request struct {
	Cluster manifests.Cluster
	// Groups are the live ones, by id: their dependencies hold for all their
	// members.
	Groups map[string]*manifests.Group
	// Deadline of one rollout; zero: Options.Deadline.
	Deadline time.Duration
	// Waiting tells since when changes wait to be sent, by id: what has waited
	// longest goes first, what is not in it last, and else the plan's order holds.
	Waiting map[string]time.Time
	// Settle is the settling time of all; zero: the options'.
	Settle time.Duration
	// Rollouts under way, by id. One whose id is in the plan is superseded by
	// the change, unless that is held back; any other is watched to its end and
	// has an outcome too.
	Rollouts map[string]Rollout
	// Running are the deployments that Marathon ran when the plan was made: what they
	// hold is not written until they have ended, or at once over Pacer's own.
	Running []marathon.Deployment
	// Deployments are further ones that Pacer began, of rollouts that failed or
	// were given up: they may still hold locks, and may be forced.
	Deployments []string
	// Failed holds the ids whose rollout failed before: nobody waits for them, also
	// where a forced write ends the deployment that they hang in.
	Failed map[string]bool
	// Progress is called, never twice at once, when a change begins, with the
	// id of its deployment; when more is known of why one hangs; and when one
	// ends. Apply waits for it: what it stores is stored before anything else
	// is sent.
	Progress func(Outcome)
	// Sending, if given, is called before each write that begins a rollout. It
	// notes what is sent, so that the deployment is known as Pacer's though the
	// process may end before the answer comes. If that fails, nothing is sent.
	Sending func([]Write) error
	// Events, if given, make Apply look at once instead of at the next tick.
	Events <-chan struct{}
	// Hears reports whether Events has all that happens at present, so that Apply
	// need not look for what no event named but now and then; nil: it has not.
	Hears func() bool
	// Apps is how many apps Marathon has: of many, few are read one by one. Zero: not
	// known.
	Apps int
}

// Applier carries plans out. Its methods may be called from several goroutines,
// Apply for plans that have no id in common.
type Applier struct {
	m       Marathon
	wiper   Wiper // nil: there is none
	options Options
	words   *lastWords
	seen    sightings // of tasks that are unreachable or do not end

	mu    sync.Mutex
	begun map[string]bool     // deployments begun by this process
	loops map[string]failures // of what has not come up, by id
}

// New returns an Applier.
func New(m Marathon, o Options) *Applier {
	sandboxes, _ := m.(Sandboxes)
	wiper, _ := m.(Wiper)
	words := &lastWords{from: sandboxes, known: map[string]string{}, silent: map[string]time.Time{}}
	return &Applier{m: m, wiper: wiper, options: o.filled(), words: words, begun: map[string]bool{}, loops: map[string]failures{}, seen: sightings{first: map[string]time.Time{}}}
}
