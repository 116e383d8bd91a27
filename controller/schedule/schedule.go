package schedule

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/util/workqueue"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Schedule decides when each sync is reconciled, and is the only place that adds to
// the queue. Each cause only says that there may be something to do: it may be lost
// or come twice without harm.
//
//	cause                          noted as    the next reconciliation               the one in progress
//	fetched: another revision      who fetched now, its back-off is forgotten        ends: superseded
//	fetched: the first, of a       start       now                                   goes on; of a revision to be confirmed or held: see supersede
//	term, or a confirmed one
//	triggered by a person          they        when the source has been fetched      ends then, if it applies
//	a command of a person          they        now                                   ends at once
//	the resync interval is over    resync      now, unless a retry is due            ends if it merely waits for 10 s
//	an event of a definition       event       after 50 ms; ¼ s and 9 readings of    ends after 3 s (a live cache: as the left says) for ids
//	                                           Marathon apart, but for 4 in a row    that it does not work on, if it applies
//	an event of tasks              -           never                                 is woken
//	a term began or ended          start       now, its back-off is forgotten        ends with its term
//	no fetch of the term in 10 s   start       now                                   goes on
//	the leader before may have     resync      once, after the time of a request     goes on
//	sent something late
//	Marathon answers again         retry       now, its back-off is forgotten        ends, if it applies
//	the store can be used again    retry       now                                   goes on
//	it ended                       -           see Next; and after events that it    -
//	                                           missed
//
// A reconciliation that ends for the next one hands over what it waits for.
type Schedule struct {
	queue workqueue.TypedRateLimitingInterface[string]
}

func New(ceiling func(sync string) time.Duration) *Schedule {
	return &Schedule{workqueue.NewTypedRateLimitingQueue(newBackoff(ceiling))}
}

// Run calls serve for each sync that is due, until stop is called and all calls have
// returned. There is one call for a sync at a time; calls that only wait for rollouts
// are no burden, so their number is not bounded here but where they read and plan.
func (s *Schedule) Run(serve func(sync string)) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		name, stopped := s.queue.Get()
		if stopped {
			return
		}
		group.Go(func() {
			defer s.queue.Done(name)
			serve(name)
		})
	}
}

func (s *Schedule) Stop() { s.queue.ShutDown() }

// Forget forgets the back-off of a sync that is gone.
func (s *Schedule) Forget(sync string) { s.queue.Forget(sync) }

// Add makes a sync due now. A new chance forgets its back-off.
func (s *Schedule) Add(n *Slot, by store.Asked, newChance bool) {
	n.note(by)
	if newChance {
		s.queue.Forget(n.name)
	}
	s.queue.Add(n.name)
}

// Fetched takes in a fetch of the source of a sync.
func (s *Schedule) Fetched(n *Slot, l reconcile.Fetch) {
	asked := n.takeAsked()
	n.note(asked)
	switch {
	case l.Moved || l.First:
		n.note(l.By)
	case l.News: // of a term
		n.note(store.Asked{By: store.AskedByStart})
	}
	if l.Moved {
		s.queue.Forget(n.name) // a new revision is a new chance
	}
	if (l.Moved || l.News) && l.Snapshot != nil && l.Err == nil {
		n.supersede(l.Snapshot.Revision.ID)
	}
	if l.Moved || l.First || l.News || l.Confirmed || asked.By != "" {
		s.queue.Add(n.name)
	}
	if asked.By != "" {
		n.again(true)
	}
}

// Command has the next reconciliation carry a command out.
func (s *Schedule) Command(n *Slot, o *reconcile.Command) {
	n.put(o)
	s.queue.Add(n.name)
}

// Resync is due once an interval, but no sooner than a retry.
func (s *Schedule) Resync(n *Slot) {
	if s.queue.NumRequeues(n.name) == 0 {
		s.Add(n, store.Asked{By: store.AskedByResync}, false)
		n.again(false)
	}
}

// answersAgain: what Marathon has may be anything now.
func (s *Schedule) AnswersAgain(n *Slot) {
	s.Add(n, store.Asked{By: store.AskedByRetry}, true)
	n.again(true)
}

// Event takes in an event of Marathon about ids in the scope of a sync.
func (s *Schedule) Event(n *Slot, kind string, ids []string) {
	if delay, due := n.hear(kind, ids); due && s.queue.NumRequeues(n.name) == 0 { // else a retry is due already
		n.note(store.Asked{By: store.AskedByEvent})
		s.queue.AddAfter(n.name, delay)
	}
}

// Ended decides what follows a reconciliation.
func (s *Schedule) Ended(n *Slot, r reconcile.Result) {
	n.note(r.Carry)
	delay, missed := n.end()
	if missed {
		n.note(store.Asked{By: store.AskedByEvent})
		s.queue.AddAfter(n.name, delay)
	}
	if !r.At.IsZero() {
		n.note(store.Asked{By: store.AskedByRetry})
		s.queue.AddAfter(n.name, time.Until(r.At)+time.Millisecond)
	}
	switch r.Next {
	case reconcile.NextRetrySoon, reconcile.NextRetryLater:
		n.note(store.Asked{By: store.AskedByRetry})
		n.setCeiling(r.Next.Ceiling())
		s.queue.AddRateLimited(n.name)
		return
	case reconcile.NextNow:
		s.queue.Add(n.name)
	case reconcile.NextFollow:
		s.queue.AddAfter(n.name, n.followAfter())
	}
	s.queue.Forget(n.name)
}

// Slot is one sync in the schedule. Its methods may be called from several
// goroutines.
type Slot struct {
	name string

	mu       sync.Mutex
	running  *reconcile.Running // nil: none is in progress
	noted    store.Asked        // what the next reconciliation is for
	asked    store.Asked        // who requested one after the next fetch
	commands []*reconcile.Command
	ended    bool          // one has ended
	heard    time.Time     // when Marathon last said that something changed
	due      time.Time     // when the next one for what was heard was put off to; zero: there is none
	pace     *rate.Limiter // of those that events ask for
	read     time.Time     // when Marathon was last read for it
	took     time.Duration // how long that took
	longest  time.Duration // the longest back-off for what failed last
}

func NewSlot(name string) *Slot {
	return &Slot{name: name, pace: rate.NewLimiter(rate.Every(EventInterval), EventBurst)}
}

// Begin notes that a reconciliation has started, and returns it, what it is for, and
// by which fetch of the source. All happens under the lock that supersede takes, so
// that a newer snapshot either is the one returned here or ends the reconciliation.
func (n *Slot) Begin(cancel context.CancelCauseFunc, fetched func() reconcile.Fetch) (*reconcile.Running, store.Asked, reconcile.Fetch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen, asked, revision := fetched(), n.noted, ""
	if seen.Snapshot != nil {
		revision = seen.Snapshot.Revision.ID
	}
	n.noted, n.due, n.running = store.Asked{}, time.Time{}, reconcile.NewRunning(revision, cancel)
	return n.running, asked, seen
}

// end notes that the reconciliation has ended, and reports whether something was
// heard since it last began to read, and when to look at that.
func (n *Slot) end() (delay time.Duration, missed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if read, took := n.running.LastRead(); !read.IsZero() {
		n.read, n.took = read, took
	}
	n.running.End()
	n.running, n.ended = nil, true
	if !n.heard.After(cmp.Or(n.read, n.heard)) {
		return 0, false
	}
	if now := time.Now(); !n.due.After(now) { // else the next one is on its way
		n.due = now.Add(n.putOff(EventDelay))
	}
	return time.Until(n.due), true
}

// note says what the next reconciliation is for. Of several reasons the one counts
// that explains most.
func (n *Slot) note(a store.Asked) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noted = n.noted.Or(a)
}

// Ask notes who requested a reconciliation after the next fetch.
func (n *Slot) Ask(a store.Asked) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = n.asked.Or(a)
}

// takeAsked is who asked for a reconciliation; its zero value: nobody.
func (n *Slot) takeAsked() store.Asked {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = store.Asked{}
	return asked
}

// put ends the reconciliation in progress for a command.
func (n *Slot) put(o *reconcile.Command) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.commands = append(n.commands, o)
	if n.running != nil {
		n.running.Cancel(reconcile.ErrAgain)
	}
}

func (n *Slot) TakeCommands() []*reconcile.Command {
	n.mu.Lock()
	defer n.mu.Unlock()
	commands := n.commands
	n.commands = nil
	return commands
}

func (n *Slot) setCeiling(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.longest = d
}

// Ceiling is the longest back-off for what failed last.
func (n *Slot) Ceiling() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.longest
}

// supersede ends the reconciliation in progress for a newer revision; see running.
func (n *Slot) supersede(revision string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		n.running.Supersede(revision)
	}
}

// again ends the reconciliation in progress for the next one; see running.
func (n *Slot) again(asked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		n.running.Again(asked)
	}
}

// IsOwn reports whether the reconciliation in progress works on an id.
func (n *Slot) IsOwn(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running != nil && n.running.IsOwn(id)
}

// How events lead to reconciliations. An event only says look again: it is never
// believed, may be lost, and what is written in answer to one brings new ones.
const (
	EventDelay = 50 * time.Millisecond // a burst of events is one reconciliation
	// EventInterval is the least time between those that events ask for, but for
	// EventBurst of them after a rest: what is rare is answered at once.
	EventInterval = 250 * time.Millisecond
	EventBurst    = 4
	// waitDelay is how long one that waits for rollouts is left alone, so that events
	// of what it does not work on cannot keep it from its end.
	waitDelay = 3 * time.Second
)

// TellsOfTasks are the types of events that cannot mean that a definition was
// changed: they are of interest to what is shown and to who waits.
var TellsOfTasks = map[string]bool{
	"instance_changed_event": true, "instance_health_changed_event": true, "unknown_instance_terminated_event": true,
	"status_update_event": true, "health_status_changed_event": true,
}

// hear notes that something happened to ids in the scope of the sync, and reports
// whether and when a reconciliation is due for it. One in progress is woken; it is
// ended for the next one only for ids that it does not work on.
func (n *Slot) hear(kind string, ids []string) (delay time.Duration, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if TellsOfTasks[kind] {
		if n.running != nil {
			n.running.Events.Notify()
		}
		return 0, false
	}
	n.heard = time.Now()
	if n.running == nil {
		if !n.ended || !n.heard.After(n.due) {
			return 0, false // the first one is still to come, or the next one is on its way
		}
		delay = n.putOff(leastDelay(kind))
		n.due = n.heard.Add(delay)
		return delay, true
	}
	began, applies := n.running.IsApplying()
	if !applies {
		return 0, false // its end looks at heard
	}
	n.running.Events.Notify()
	if !strings.HasPrefix(kind, "group_") && n.running.Foreign(ids...) {
		n.running.AgainAfter(func() time.Duration {
			if kind == marathon.TypeChanged { // and not the noise of others' rollouts: it costs little to look
				return max(EventDelay, n.putOff(0))
			}
			return max(EventDelay, waitDelay-time.Since(began))
		})
	}
	return 0, false
}

// leastDelay is how long the first event after a rest is put off for others to
// come: a live cache has waited for them already.
func leastDelay(kind string) time.Duration {
	if kind == marathon.TypeChanged {
		return 0
	}
	return EventDelay
}

// readShare: after a reading of Marathon, so many times as long as it took there is
// none for what events tell of, so that a Marathon of many apps is not kept busy with
// being read.
const ReadShare = 9

// putOff is how long the next reconciliation that an event asks for is put off: the
// more it costs to read Marathon, the longer. Called once for each of them, with mu
// held.
func (n *Slot) putOff(least time.Duration) time.Duration {
	took := n.took
	if n.running != nil {
		if _, now := n.running.LastRead(); now > 0 {
			took = now
		}
	}
	n.pace.SetLimit(rate.Every(max(EventInterval, ReadShare*took)))
	return max(least, n.pace.Reserve().Delay())
}

// followInterval is how often, at most, a replica that does not lead follows what the
// leader does.
const followInterval = 2 * time.Second

// followAfter is how long after a reconciliation of a replica that does not lead the
// next one is due, while the leader has something to do.
func (n *Slot) followAfter() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(followInterval, ReadShare*n.took)
}
