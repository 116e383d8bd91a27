package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// phase is how far an item is.
type phase int

const (
	waiting phase = iota // for what it needs
	ready                // to be sent, from retryAt on
	locked               // by deployments of somebody else
	begun                // sent, and watched
	done
)

// item is one change, or one rollout of before, on its way.
type item struct {
	change  plan.Change
	outcome Outcome
	phase   phase
	resumed bool // a rollout of before: only watched
	// needs must be applied before it begins; after must only have ended.
	needs, after []*item

	deadline time.Duration
	retryAt  time.Time
	tries    int   // writes that were not taken for certain
	batchMax int   // how many may go in one array with it
	force    bool  // every deployment that holds it is our own
	err      error // of the last write
	wiping   wiping
	blockers []string
	lockedAt time.Time
	waited   bool // for somebody else's deployment, which may have changed it

	uncertain    bool // the last write may have been taken
	unanswered   bool // so may one of before
	version      string
	live         live
	was          live      // the last one that was there
	settledSince time.Time // all of it has been up since
	failures     failures
	tasks        string // that ran when it was read last; empty: not read
	differsSince time.Time
	idleSince    time.Time // nothing drives it though it is not converged
	drives       int
	merged       bool // what a full PUT loses was sent after it
	explainedAt  time.Time
}

func (it *item) id() string { return it.change.ID }

// run is one Apply. All of it is in one goroutine.
type run struct {
	*Applier
	ctx   context.Context
	plan  plan.Plan
	req   Request
	items []*item // in the order of the outcomes
	turns []*item // of the plan, in the order in which they are sent
	byID  map[string]*item

	start         time.Time
	deletesLinked bool
	blindSince    time.Time // deletes could not be read since
	pausedUntil   time.Time // Marathon takes no more deployments till then
	pauses        int
	delay         time.Duration // till the next look
	lookBegan     time.Time     // the last look
	lastLook      time.Time     // when it ended
	lookErr       error
	saidBlind     bool                  // why something ended of which Marathon could not be read
	listed        int                   // apps that the last list had
	deployments   []marathon.Deployment // of the last look that read them
	arrays        []marathon.Deployment // those that work on several items
	handedOver    bool                  // another Apply goes on with the same
}

// Apply carries out a plan and returns what became of each change, in the
// plan's order, and then of each other rollout, by id. It returns when every
// change has ended, or soon after ctx has.
func (a *Applier) Apply(ctx context.Context, p plan.Plan, req Request) []Outcome {
	if req.Progress == nil {
		req.Progress = func(Outcome) {}
	}
	if req.Sending == nil {
		req.Sending = func([]Write) error { return nil }
	}
	r := &run{Applier: a, ctx: ctx, plan: p, req: req, byID: map[string]*item{}, deployments: req.Running, delay: firstDelay, start: time.Now()}
	r.prepare()
	for r.step() {
	}
	outcomes := make([]Outcome, len(r.items))
	for i, it := range r.items {
		outcomes[i] = it.outcome
	}
	return outcomes
}

// prepare makes the items and puts them in order.
func (r *run) prepare() {
	now := time.Now()
	for _, c := range r.plan.Changes {
		it := r.add(c)
		switch {
		case c.Blocked != nil:
			it.outcome.Result, it.outcome.Reason, it.outcome.Ended, it.phase = Blocked, *c.Blocked, now, done
		case c.Action == plan.None:
			it.outcome.Result, it.outcome.Ended, it.phase = Applied, now, done
		}
	}
	r.turns = slices.Clone(r.items)
	slices.SortStableFunc(r.turns, func(a, b *item) int {
		x, waitsX := r.req.Waiting[a.id()]
		y, waitsY := r.req.Waiting[b.id()]
		switch {
		case waitsX && waitsY:
			return x.Compare(y)
		case waitsX:
			return -1
		case waitsY:
			return 1
		}
		return 0
	})
	for _, ro := range r.req.Rollouts {
		r.mine(ro.Deployment)
	}
	for _, id := range r.req.Deployments {
		r.mine(id)
	}
	for id, ro := range sorted(r.req.Rollouts) {
		if it := r.byID[id]; it == nil || it.change.Blocked != nil {
			r.resume(id, ro)
		}
	}
	waits := r.waits()
	r.link(waits)
	for id, cycle := range sorted(waits.Cycles()) {
		if it := r.byID[id]; !it.resumed && it.phase != done {
			r.finish(it, Failed, cycle.String())
		}
	}
}

func (r *run) add(c plan.Change) *item {
	it := &item{change: c, batchMax: r.options.BatchSize, deadline: cmp.Or(r.req.Deadline, r.options.Deadline),
		outcome: Outcome{ID: c.ID, Kind: c.Kind, Action: c.Action, Hash: c.Hash, Revert: c.Revert}}
	r.items = append(r.items, it)
	r.byID[c.ID] = it
	return it
}

// resume watches a rollout that was begun before.
func (r *run) resume(id string, ro Rollout) *item {
	it := r.add(plan.Change{ID: id, Kind: ro.Kind, Action: ro.Action, Hash: ro.Hash, Revert: ro.Revert})
	it.resumed, it.phase = true, begun
	it.outcome.Began, it.outcome.Deployment = ro.Began, ro.Deployment
	return it
}

// step does one round, and says whether there is anything left to do.
func (r *run) step() bool {
	if r.ctx.Err() != nil {
		r.stop()
		return false
	}
	r.begin()
	if r.ctx.Err() == nil && r.any(begun, locked) {
		r.look()
		r.judge()
	}
	if !r.any(waiting, ready, locked, begun) {
		return false
	}
	if r.ctx.Err() == nil {
		r.wait()
	}
	return true
}

func (r *run) any(phases ...phase) bool {
	return slices.ContainsFunc(r.items, func(it *item) bool { return slices.Contains(phases, it.phase) })
}

// stop ends every item because ctx has ended, with what is known of it: nobody
// asks Marathon any more.
func (r *run) stop() {
	cause := context.Cause(r.ctx)
	result, reason := Unknown, "interrupted: "+cause.Error()
	switch {
	case errors.Is(cause, ErrSuperseded):
		result, reason = Superseded, cause.Error()
		r.handedOver = cause != ErrSuperseded
	case cause == context.Canceled:
		reason = "interrupted: Pacer was stopped"
	}
	said := map[*item]string{} // of all before the first ends: one may wait for another
	for _, it := range r.items {
		said[it] = reason
		if it.phase != begun {
			said[it] += ", not started"
		}
		if known := r.known(it); known != "" && !r.handedOver {
			said[it] += "; " + known
		}
	}
	for _, it := range r.items {
		if it.phase != done {
			r.finish(it, result, said[it])
		}
	}
}

// known is why an item has not ended, as far as that is known without asking;
// empty: nothing is.
func (r *run) known(it *item) string {
	switch {
	case it.phase == waiting:
		return waitsFor(it)
	case it.phase == begun && it.uncertain:
		return "unknown whether Marathon accepted it: " + advice(it.err)
	case it.phase == begun && !it.settledSince.IsZero():
		return fmt.Sprintf("%d of %d running, not yet for the settling time of %s", it.live.status().Running, it.live.instances(), r.settle(it))
	case it.outcome.Reason != "" || it.phase != begun || it.live.missing() && it.was.missing():
		return it.outcome.Reason
	}
	return r.explained(evidence{now: time.Now(), seen: &r.seen}, it, it.live).String()
}

// waitsFor names what an item waits for; empty: nothing that is known yet.
func waitsFor(it *item) string {
	var ids []string
	for _, n := range slices.Concat(it.needs, it.after) {
		if unfinished(n) {
			ids = append(ids, n.id())
		}
	}
	if len(ids) == 0 {
		return ""
	}
	if more := len(ids) - 3; more > 0 {
		ids = append(ids[:3], fmt.Sprintf("%d more", more))
	}
	return "waits for " + strings.Join(ids, ", ")
}

// wait waits for the next round: a tick, an event, or the end.
func (r *run) wait() {
	now := time.Now()
	next := now.Add(r.options.PollInterval)
	if r.any(begun, locked) {
		delay := r.delay
		if r.hears() {
			delay = heardPolls * r.options.PollInterval
		}
		next = now.Add(max(delay, r.pause()))
		r.delay = min(2*r.delay, r.options.PollInterval)
		if at := r.settled(); at.After(r.lookBegan) && at.Before(next) { // else a look at that time failed
			next = at
		}
	}
	for _, it := range r.items {
		if at := r.due(it); at.After(now) && at.Before(next) {
			next = at
		}
	}
	timer := time.NewTimer(next.Sub(now))
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
			return
		case _, open := <-r.req.Events:
			if !open {
				r.req.Events = nil
				continue
			}
			// Events come in swarms: one look for all of them.
			timer.Reset(min(time.Until(next), max(0, time.Until(r.lastLook.Add(max(firstDelay, r.pause()))))))
		}
	}
}

// due is when an item asks for a round of itself: to be sent again, or at its
// deadline.
func (r *run) due(it *item) time.Time {
	switch it.phase {
	case ready:
		return later(it.retryAt, r.pausedUntil)
	case begun:
		return it.outcome.Began.Add(it.deadline)
	case locked:
		return it.lockedAt.Add(it.deadline)
	}
	return time.Time{}
}

// Between two looks there is a pause of lookShare times as long as a look takes, so
// that Marathon spends at most a fifth of its time on them, but none longer than
// maxPause: what takes it that long is seldom looked at anyhow, and people wait.
// Where its events are heard, looks that no event asks for are heardPolls times
// rarer: they only find an event that was lost.
const (
	lookShare  = 4
	maxPause   = 2 * time.Second
	heardPolls = 5
)

func (r *run) pause() time.Duration { return min(maxPause, lookShare*r.lastLook.Sub(r.lookBegan)) }

func (r *run) hears() bool { return r.req.Hears != nil && r.req.Hears() }

// settled is when all that is under way will have settled, so that a look ends
// it; zero: something has not come up yet.
func (r *run) settled() (at time.Time) {
	for _, it := range r.items {
		switch {
		case it.phase == begun && it.settledSince.IsZero(), it.phase == locked:
			return time.Time{}
		case it.phase == begun:
			at = later(at, it.settledSince.Add(r.settle(it)))
		}
	}
	return at
}

// firstDelay is how soon after a write the first look is repeated.
const firstDelay = 100 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// begin sends what can be sent.
func (r *run) begin() {
	r.unblock()
	now := time.Now()
	if now.Before(r.pausedUntil) {
		return
	}
	r.expectLocks(now)
	var batch, single []*item
	for _, it := range r.turns {
		switch {
		case it.phase != ready || now.Before(it.retryAt):
		case it.change.Action == plan.Create && it.change.Kind == manifests.KindApp && it.batchMax > 1 && !it.force &&
			it.change.Kept == nil && // an array might reset what is not git's, where there is such an app after all
			it.change.App.ExecutorResources == nil: // which an array would lose: measured
			batch = append(batch, it)
		default:
			single = append(single, it)
		}
	}
	if len(batch) < batchFrom {
		batch, single = nil, r.ofPhase(ready, now)
	}
	slots := r.slots(now)
	if len(batch) > 0 && slots > 0 {
		batch = r.absent(batch)
	}
	for _, group := range batches(batch) {
		if slots == 0 || r.ctx.Err() != nil || time.Now().Before(r.pausedUntil) {
			return
		}
		slots--
		r.sendBatch(group)
	}
	for _, it := range single {
		if slots == 0 || r.ctx.Err() != nil || time.Now().Before(r.pausedUntil) {
			return
		}
		slots--
		r.send(it)
	}
}

// batchFrom is how many new apps are worth an array.
const batchFrom = 10

func (r *run) ofPhase(p phase, now time.Time) []*item {
	var found []*item
	for _, it := range r.turns {
		if it.phase == p && !now.Before(it.retryAt) {
			found = append(found, it)
		}
	}
	return found
}

// batches cuts items into arrays, each as long as the pickiest of it allows.
func batches(items []*item) [][]*item {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b *item) int { return b.batchMax - a.batchMax })
	var cut [][]*item
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].batchMax > n {
			n++
		}
		cut = append(cut, items[:n])
		items = items[n:]
	}
	return cut
}

// hangsAfter is when a deployment no longer takes a place among those in flight.
const hangsAfter = 30 * time.Second

// slots says how many more deployments may be begun.
func (r *run) slots(now time.Time) int {
	young, all := map[string]bool{}, map[string]bool{}
	for _, it := range r.items {
		if it.phase != begun || it.resumed || !it.settledSince.IsZero() { // what only settles costs Marathon nothing
			continue
		}
		key := it.outcome.Deployment
		if key == "" {
			key = it.id()
		}
		all[key] = true
		if now.Sub(it.outcome.Began) < hangsAfter {
			young[key] = true
		}
	}
	return max(0, min(r.options.MaxInFlight-len(young), 4*r.options.MaxInFlight-len(all)))
}

// unblock makes ready what waits for nothing any more, and ends what waits for
// something that failed.
func (r *run) unblock() {
	r.linkDeletes()
	for changed := true; changed; { // an item that ends in here may end others
		changed = false
		for _, it := range r.items {
			if it.phase != waiting || it.change.Action == plan.Delete && !r.deletesLinked {
				continue
			}
			if why := heldBy(it); why != "" {
				r.finish(it, Blocked, why)
				changed = true
			} else if !slices.ContainsFunc(it.needs, unfinished) && !slices.ContainsFunc(it.after, unfinished) {
				it.phase = ready
			}
		}
	}
}

func unfinished(it *item) bool { return it.phase != done }

// heldBy says what keeps an item from ever beginning in this Apply.
func heldBy(it *item) string {
	if it.change.GoesAhead() {
		return ""
	}
	for _, n := range it.needs {
		if n.phase == done && n.outcome.Result != Applied {
			return fmt.Sprintf("blocked by %s, which it depends on and which is %s: %s", n.id(), n.outcome.Result, n.outcome.Reason)
		}
	}
	return ""
}

// linkDeletes orders the deletes when everything else has ended.
func (r *run) linkDeletes() {
	var deletes []*item
	for _, it := range r.items {
		switch {
		case it.change.Action != plan.Delete || it.resumed:
			if it.phase != done {
				return
			}
		case it.phase == waiting:
			deletes = append(deletes, it)
		}
	}
	if r.deletesLinked || len(deletes) == 0 {
		return
	}
	if !r.readItems(deletes) { // their order is not known before
		if r.blindSince.IsZero() {
			r.blindSince = time.Now()
		}
		for _, it := range deletes {
			if time.Since(r.blindSince) >= it.deadline {
				r.finish(it, Unknown, r.blind())
			}
		}
		return
	}
	r.deletesLinked = true
	for _, it := range deletes {
		if c := replaced(it, r.byID); c != nil {
			r.finish(it, Blocked, fmt.Sprintf("kept: %s, which may replace it, is %s; it is deleted once that is healthy", c.id(), c.outcome.Result))
		}
	}
	linkDeletes(deletes)
}

// finish ends an item.
func (r *run) finish(it *item, result Result, reason string) {
	if it.change.Revert && result == Applied {
		reason = "git's definition failed; reverted to the last healthy one"
	}
	it.phase = done
	it.outcome.Result, it.outcome.Reason, it.outcome.Ended = result, reason, time.Now()
	it.outcome.Counts, it.outcome.Status = "", nil
	level := slog.LevelInfo
	if r.handedOver {
		level = slog.LevelDebug // it goes on
	}
	if result == Applied {
		r.outlived(it.id())
	}
	r.options.Log.Log(r.ctx, level, "change ended", "id", it.id(), "action", it.change.Action, "result", result, "reason", reason)
	r.req.Progress(it.outcome)
}

// tell reports what is known of an item that has not ended, if that is new.
func (r *run) tell(it *item, reason string) { r.explain(it, explanation{why: reason}) }

// explain is tell for an explanation.
func (r *run) explain(it *item, x explanation) {
	if it.outcome.Reason == x.String() {
		return
	}
	it.outcome.Reason, it.outcome.Counts, it.outcome.Status = x.String(), x.counts, nil
	if x.counts != "" {
		it.outcome.Status = new(it.live.status())
	}
	r.req.Progress(it.outcome)
}

// mine remembers that Pacer began a deployment.
func (a *Applier) mine(deployment string) {
	if deployment == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun[deployment] = true
}

func (a *Applier) isMine(d marathon.Deployment) bool {
	a.mu.Lock()
	mine := a.begun[d.ID]
	a.mu.Unlock()
	return mine || a.options.Own(d)
}
