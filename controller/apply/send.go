package apply

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// writing is the context of a write. It outlives the end of the Apply for a
// while: a deployment whose id is not known could not be superseded.
func (r *run) writing() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.ctx))
	stop := context.AfterFunc(r.ctx, func() {
		grace := time.NewTimer(r.options.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel(context.Cause(r.ctx))
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel(nil) }
}

// send sends one item and takes in what became of that.
func (r *run) send(it *item) {
	if r.isThere(it) {
		r.began(it, marathon.Receipt{})
		return
	}
	if r.clears(it) {
		return
	}
	it.outcome.Began = time.Now()
	ctx, cancel := r.writing()
	receipt, err := r.write(ctx, it)
	cancel()
	r.options.Log.Debug("write", "id", it.id(), "action", it.change.Action, "force", it.force, "deployment", receipt.Deployment, "error", err)
	forced := it.force
	it.force = false
	r.taken(it, receipt, err)
	if it.force && !forced && r.ctx.Err() == nil {
		r.send(it) // over our own deployment, at once
	}
}

// fresh is for how long a plan is taken at its word.
const fresh = 2 * time.Second

// isThere tells whether what is to be written is there already: while it waited
// for its turn or for a lock, somebody may have put it there, and what differs
// in nothing is not sent.
func (r *run) isThere(it *item) bool {
	old := it.waited || time.Since(r.start) > fresh
	if !old || it.change.App == nil && it.change.Pod == nil || it.change.Action == plan.Create {
		return false
	}
	it.waited = false
	if !r.readItems([]*item{it}) || it.live.missing() {
		return false
	}
	r.keep(it)
	differs, _ := it.live.differences(it.change.App, it.change.Pod, &r.req.Cluster)
	if !differs {
		it.outcome.Began = time.Now()
	}
	return !differs
}

func (r *run) write(ctx context.Context, it *item) (marathon.Receipt, error) {
	if err := r.keepLive(it); err != nil {
		return marathon.Receipt{}, err
	}
	c := it.change
	if c.App != nil || c.Pod != nil {
		if err := r.req.Sending([]Write{{it.outcome, c.App, c.Pod}}); err != nil {
			return marathon.Receipt{}, err
		}
	}
	switch {
	case c.Action == plan.Delete && c.Kind == manifests.KindApp:
		return r.m.DeleteApp(ctx, c.ID, it.force)
	case c.Action == plan.Delete && c.Kind == manifests.KindPod:
		return r.m.DeletePod(ctx, c.ID, it.force)
	case c.Action == plan.Delete:
		return r.m.DeleteGroup(ctx, c.ID, it.force)
	case c.Action == plan.Create:
		return r.create(ctx, it)
	case c.App != nil:
		return r.putApp(ctx, it)
	case c.Pod != nil:
		return r.m.PutPod(ctx, c.Pod, it.force)
	case c.Group != nil:
		return r.m.PutGroup(ctx, c.Group, it.force)
	}
	return marathon.Receipt{}, noDefinition(c.ID)
}

// create creates one app, pod or group, and replaces none: what the plan did not
// see may be there all the same.
func (r *run) create(ctx context.Context, it *item) (marathon.Receipt, error) {
	switch c := it.change; {
	case c.App != nil:
		return r.m.CreateApp(ctx, c.App, it.force)
	case c.Pod != nil:
		return r.m.CreatePod(ctx, c.Pod, it.force)
	case c.Group != nil:
		return r.m.CreateGroup(ctx, c.Group, it.force)
	}
	return marathon.Receipt{}, noDefinition(it.id())
}

func noDefinition(id string) error {
	return fmt.Errorf("the plan has no definition for %s: run plan again", id)
}

// taken does what the answer to a write asks for.
func (r *run) taken(it *item, receipt marathon.Receipt, err error) {
	it.err = err
	v := decide(it.change.Action, err)
	if v != backOff && v != retry {
		r.pauses = 0
	}
	switch v {
	case watch:
		r.began(it, receipt)
	case lookAgain:
		it.phase, it.uncertain = begun, true
		it.unanswered = it.unanswered || marathon.KindOf(err) == marathon.KindUnknown
		r.delay = firstDelay
	case waitLocked:
		r.lock(it)
	case backOff:
		r.pauses++
		r.pausedUntil = time.Now().Add(pause.After(r.pauses + 1))
		it.phase, it.outcome.Began = ready, time.Time{}
		r.tell(it, "waits: "+advice(err))
		r.overdue(it, Blocked)
	case retry: // Marathon is away, and so it is for all others
		r.pauses++
		r.pausedUntil = time.Now().Add(pause.After(r.pauses))
		it.tries = r.pauses - 1
		if r.again(it); it.phase == done {
			for _, other := range r.ofPhase(ready, r.pausedUntil) {
				r.finish(other, it.outcome.Result, "not started: Marathon cannot be reached, see "+it.id())
			}
		}
	case giveUp:
		r.finish(it, Failed, advice(err))
	case giveUpNow:
		it.outcome.Transient = true
		r.finish(it, Failed, advice(err))
	case gone:
		it.phase = begun
	case holdBack:
		r.finish(it, Blocked, advice(err))
	}
}

// began notes that Marathon has taken a write.
func (r *run) began(it *item, receipt marathon.Receipt) {
	it.phase, it.uncertain, it.version = begun, false, receipt.Version
	it.settledSince, it.idleSince, it.differsSince, it.lockedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	it.outcome.Deployment, it.outcome.Reason = receipt.Deployment, ""
	it.outcome.Counts, it.outcome.Status = "", nil
	it.wiping = wiping{}
	it.explainedAt = time.Now()
	r.delay = firstDelay
	r.mine(receipt.Deployment)
	r.options.Log.Info("change started", "id", it.id(), "action", it.change.Action, "deployment", receipt.Deployment)
	r.req.Progress(it.outcome)
}

// again sends an item once more later, unless that was tried often enough.
func (r *run) again(it *item) {
	it.tries++
	it.uncertain = false
	if it.tries >= maxTries {
		result := Unknown
		if e, ok := errors.AsType[*marathon.Error](it.err); ok && e.Status >= 500 {
			// It answered, and what it was told has not come about: that is a fault of its own.
			result, it.outcome.Transient = Failed, true
		}
		r.finish(it, result, fmt.Sprintf("%s (tried %d times)", advice(it.err), it.tries))
		return
	}
	if marathon.KindOf(it.err) == marathon.KindUnknown {
		it.batchMax = max(1, it.batchMax/8) // perhaps one of an array is at fault for all
	}
	it.phase = ready
	it.retryAt = time.Now().Add(pause.After(it.tries))
}

// overdue ends an item that could not even begin within its deadline.
func (r *run) overdue(it *item, result Result) {
	if it.lockedAt.IsZero() {
		it.lockedAt = time.Now()
	}
	if time.Since(it.lockedAt) >= it.deadline {
		r.finish(it, result, fmt.Sprintf("%s, for %s", it.outcome.Reason, it.deadline))
	}
}

// expectLocks finds out what of the items that are ready to be sent is held by
// deployments, as far as is known, and does with that what the 409 would lead to
// with which Marathon answers such a write. It is read once more before it is
// believed: what has ended holds up nothing, and what is forced must be Pacer's own
// now.
func (r *run) expectLocks(now time.Time) {
	var held []*item
	for _, it := range r.turns {
		if it.phase == ready && !now.Before(it.retryAt) && (it.force || len(r.holding(it.id())) > 0) {
			held = append(held, it)
		}
	}
	if len(held) == 0 {
		return
	}
	all, err := r.m.Deployments(r.ctx)
	if err != nil {
		return // the answer to the write will tell
	}
	r.deployments = all
	for _, it := range held {
		it.force = false
		if it.blockers = r.holding(it.id()); len(it.blockers) == 0 {
			continue
		}
		if it.lockedAt.IsZero() {
			it.lockedAt = now
		}
		it.phase = locked
		r.unlock(it)
	}
}

// lock waits for the deployments that hold an item, or gets ready to force its
// way if all of them are Pacer's own.
func (r *run) lock(it *item) {
	it.phase, it.outcome.Began = locked, time.Time{}
	if it.lockedAt.IsZero() {
		it.lockedAt = time.Now()
	}
	it.blockers = nil
	if e, ok := errors.AsType[*marathon.Error](it.err); ok {
		it.blockers = e.Deployments
	}
	all, err := r.m.Deployments(r.ctx)
	if err != nil {
		return // looked at again with the next look
	}
	r.deployments = all
	r.unlock(it)
}

// unlock looks whether what holds a locked item is gone or is our own.
func (r *run) unlock(it *item) {
	var own, foreign []marathon.Deployment
	for _, d := range r.deployments {
		if !slices.Contains(it.blockers, d.ID) {
			continue
		}
		if r.isMine(d) {
			own = append(own, d)
		} else {
			foreign = append(foreign, d)
		}
	}
	if len(foreign) > 0 {
		it.waited = true
		var names []string
		for _, d := range foreign {
			names = append(names, fmt.Sprintf("%s (of %s)", d.ID, strings.Join(d.Affected(), ", ")))
		}
		r.tell(it, "waits for a deployment that Pacer did not start: "+strings.Join(names, "; ")+
			": let it end, or cancel it: DELETE /v2/deployments/"+foreign[0].ID+"?force=true")
		r.overdue(it, Blocked)
		return
	}
	it.phase, it.retryAt = ready, time.Time{}
	if len(own) == 0 {
		// It ended between the answer and the look, or Marathon is slow to take the lock away.
		it.waited = true
		it.retryAt = time.Now().Add(firstDelay)
		return
	}
	it.force = true
	for _, d := range own {
		r.collateral(d)
	}
}

// collateral watches all that a forced write will cut off: a deployment is
// cancelled as a whole, and what it had left to do for others nobody does.
func (r *run) collateral(d marathon.Deployment) {
	watchIt := func(kind manifests.Kind, ids []string) {
		for _, id := range ids {
			if r.byID[id] == nil && !r.req.Failed[id] {
				r.resume(id, Rollout{Kind: kind, Action: plan.Update, Began: time.Now()})
			}
		}
	}
	watchIt(manifests.KindApp, d.AffectedApps)
	watchIt(manifests.KindPod, d.AffectedPods)
}

// sendBatch creates many apps by one array.
func (r *run) sendBatch(group []*item) {
	if len(group) == 1 {
		r.send(group[0])
		return
	}
	apps, writes := make([]*manifests.App, len(group)), make([]Write, len(group))
	for i, it := range group {
		it.outcome.Began = time.Now()
		apps[i], writes[i] = it.change.App, Write{it.outcome, it.change.App, nil}
	}
	ctx, cancel := r.writing()
	var receipt marathon.Receipt
	err := r.req.Sending(writes)
	if err == nil {
		receipt, err = r.m.PutApps(ctx, apps, false)
	}
	cancel()
	r.options.Log.Debug("write of an array", "apps", len(apps), "deployment", receipt.Deployment, "error", err)
	switch decide(plan.Create, err) {
	case giveUp: // all for the fault of one: the others go on without it
		blame(group, err)
	case waitLocked, holdBack:
		for _, it := range group {
			it.batchMax = (len(group) + 1) / 2
		}
	default:
		for _, it := range group {
			r.taken(it, receipt, err)
		}
	}
}

// arrayPath is where Marathon says which member of an array is at fault.
var arrayPath = regexp.MustCompile(`^\((\d+)\)|^/apps/(/.*)`)

// blame finds out of a refusal which members of an array are at fault, and has
// them sent alone. If that cannot be told, all are sent in halves.
func blame(group []*item, err error) {
	guilty := map[*item]bool{}
	if e, ok := errors.AsType[*marathon.Error](err); ok {
		for _, d := range e.Details {
			m := arrayPath.FindStringSubmatch(d.Path)
			if m == nil {
				continue
			}
			for i, it := range group {
				id := it.id()
				if m[1] == strconv.Itoa(i) || m[2] == id || m[2] != "" && strings.HasPrefix(m[2], id+"/") {
					guilty[it] = true
				}
			}
		}
	}
	for _, it := range group {
		switch {
		case guilty[it]:
			it.batchMax = 1
		case len(guilty) == 0:
			it.batchMax = (len(group) + 1) / 2
		}
	}
}
