package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// singleReads is up to how many apps are read one by one, whatever Marathon has.
const singleReads = 8

// singles is up to how many are of as many as Marathon has: see marathon.AloneOf.
func (r *run) singles() int { return max(singleReads, marathon.AloneOf(max(r.req.Apps, r.listed))) }

// look reads all that is watched.
func (r *run) look() {
	r.lookBegan = time.Now()
	var watched []*item
	lists := false
	for _, it := range r.items {
		switch {
		case it.phase == begun && it.change.Kind != manifests.KindGroup:
			watched = append(watched, it)
			lists = lists || it.change.Action == plan.Delete || it.change.Kind == manifests.KindPod
		case it.phase == begun, it.phase == locked:
			lists = true
		}
	}
	ok := r.readItems(watched)
	if ok && lists {
		all, err := r.m.Deployments(r.ctx)
		if r.lookErr = err; err == nil {
			r.deployments = all
		}
	}
	r.lastLook = time.Now()
}

// readItems reads apps and pods: one by one if they are few, else all at once.
// If anything cannot be read, nothing is known, and it says false.
func (r *run) readItems(items []*item) bool {
	var apps, pods []*item
	for _, it := range items {
		switch it.change.Kind {
		case manifests.KindApp:
			apps = append(apps, it)
		case manifests.KindPod:
			pods = append(pods, it)
		}
	}
	r.lookErr = readKind(apps, r.singles(), func() (map[string]live, error) {
		all, err := r.m.Apps(r.ctx)
		r.listed = len(all)
		found := make(map[string]live, len(all))
		for id, a := range all {
			found[id] = live{app: &a}
		}
		return found, err
	}, r.readApp)
	if r.lookErr == nil {
		r.lookErr = readKind(pods, singleReads, func() (map[string]live, error) {
			all, err := r.m.Pods(r.ctx)
			found := make(map[string]live, len(all))
			for id, p := range all {
				found[id] = live{pod: &p}
			}
			return found, err
		}, r.readPod)
	}
	if r.lookErr != nil {
		r.options.Log.Debug("cannot read Marathon", "error", r.lookErr)
	}
	return r.lookErr == nil
}

// readKind reads items one by one if they are at most singles, else by a list.
func readKind(items []*item, singles int, list func() (map[string]live, error), one func(string) (live, error)) error {
	if len(items) > singles {
		all, err := list()
		if err != nil {
			return err
		}
		for _, it := range items {
			it.found(all[it.id()])
		}
		return nil
	}
	for _, it := range items {
		l, err := one(it.id())
		if err != nil {
			return err
		}
		it.found(l)
	}
	return nil
}

// found takes in what was read of an item.
func (it *item) found(l live) {
	if it.live = l; !l.missing() {
		it.was = l
	}
}

// readApp reads one app; that there is none is an answer.
func (r *run) readApp(id string) (live, error) {
	a, err := r.m.App(r.ctx, id)
	if err != nil {
		return live{}, exceptMissing(err)
	}
	return live{app: &a}, nil
}

func (r *run) readPod(id string) (live, error) {
	p, err := r.m.Pod(r.ctx, id)
	if err != nil {
		return live{}, exceptMissing(err)
	}
	return live{pod: &p}, nil
}

func exceptMissing(err error) error {
	if marathon.KindOf(err) == marathon.KindNotFound {
		return nil
	}
	return err
}

// judge decides for each watched item what the last look means.
func (r *run) judge() {
	if r.lookErr != nil {
		r.judgeBlind()
		return
	}
	r.arrays = arrays(r.items)
	for _, it := range slices.Clone(r.items) { // judging may add some
		switch {
		case it.phase == locked:
			r.unlock(it)
		case it.phase != begun:
		case it.change.Kind == manifests.KindGroup:
			r.judgeGroup(it)
		case it.uncertain:
			r.judgeUncertain(it)
		case it.change.Action == plan.Delete:
			r.judgeDelete(it)
		default:
			r.judgeRollout(it)
		}
	}
	r.explainHanging()
}

// arrays are the deployments of several items: of that they are several no
// request needs to be made.
func arrays(items []*item) (found []marathon.Deployment) {
	of := map[string][]string{}
	for _, it := range items {
		if id := it.outcome.Deployment; id != "" {
			of[id] = append(of[id], it.id())
		}
	}
	for id, ids := range of {
		if len(ids) > 1 {
			found = append(found, marathon.Deployment{ID: id, AffectedApps: ids})
		}
	}
	return found
}

// judgeBlind ends what is overdue while Marathon cannot be read: whether it
// came up is not known.
func (r *run) judgeBlind() {
	for _, it := range r.items {
		if it.phase == begun && r.late(it) || it.phase == locked && time.Since(it.lockedAt) >= it.deadline {
			reason := r.blind()
			if known := r.known(it); known != "" {
				reason += "; before that: " + known
			}
			r.finish(it, Unknown, reason)
		}
	}
}

// blind is what is said of each item of which Marathon could not be read until its
// deadline. Why is logged once for all of them.
func (r *run) blind() string {
	if !r.saidBlind {
		r.saidBlind = true
		r.options.Log.Warn("what became of changes is unknown: Marathon could not be read until their deadline", "error", r.lookErr)
	}
	return "the result is unknown: Marathon could not be read until the deadline"
}

func (r *run) late(it *item) bool { return time.Since(it.outcome.Began) >= it.deadline }

// holding lists the deployments that hold an id.
func (r *run) holding(id string) []string {
	var ids []string
	for _, d := range r.deployments {
		if slices.Contains(d.AffectedApps, id) || slices.Contains(d.AffectedPods, id) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// judgeGroup: what only a group has touches no task, so it is done when its
// deployment is. Whether an uncertain write was taken cannot be seen from
// here; to send it again does no harm. A new group that is there when it is sent
// again is taken for that of the first time: if it is not, the next plan says so.
func (r *run) judgeGroup(it *item) {
	conflict := it.uncertain && marathon.KindOf(it.err) == marathon.KindConflict
	switch {
	case conflict && it.unanswered:
		r.finish(it, Applied, "")
	case conflict:
		r.finish(it, Blocked, "another client has created one with this id in the meantime: run plan again")
	case it.uncertain:
		r.again(it)
	case !slices.ContainsFunc(r.deployments, func(d marathon.Deployment) bool { return d.ID == it.outcome.Deployment }):
		r.finish(it, Applied, "")
	case r.late(it):
		r.finish(it, Failed, fmt.Sprintf("deployment %s has not ended within %s", it.outcome.Deployment, it.deadline))
	}
}

// judgeUncertain finds out whether a write was taken.
func (r *run) judgeUncertain(it *item) {
	if it.change.Action == plan.Delete {
		if it.live.missing() {
			it.uncertain = false
			r.judgeDelete(it)
		} else {
			r.again(it)
		}
		return
	}
	exists := marathon.KindOf(it.err) == marathon.KindConflict
	r.keep(it)
	differs, fields := it.live.differences(it.change.App, it.change.Pod, &r.req.Cluster)
	switch {
	case it.live.missing() && exists:
		r.finish(it, Blocked, "Marathon reports a conflict but does not return it: Pacer's user has no permission to view it")
	case exists && differs:
		r.finish(it, Blocked, "another client has created one with this id in the meantime, which differs"+inFields(fields)+": run plan again")
	case it.live.missing() || differs:
		r.again(it)
	default:
		r.began(it, marathon.Receipt{Deployment: first(r.deploymentsOf(it))})
		r.judgeRollout(it)
	}
}

func (r *run) deploymentsOf(it *item) []string {
	if it.live.app != nil {
		return it.live.app.Status.Deployments
	}
	return r.holding(it.id())
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func inFields(fields []manifests.FieldDiff) string {
	if len(fields) == 0 {
		return ""
	}
	var paths []string
	for _, f := range fields[:min(len(fields), 5)] {
		paths = append(paths, f.Path)
	}
	return " in " + strings.Join(paths, ", ")
}

// judgeDelete: gone is what is not there and has no deployment that still ends
// its tasks.
func (r *run) judgeDelete(it *item) {
	holding := r.holding(it.id())
	switch {
	case it.live.missing() && len(holding) == 0:
		r.finish(it, Applied, "")
	case r.late(it) && it.live.missing():
		r.finish(it, Failed, fmt.Sprintf("its tasks have not ended within %s: %s", it.deadline, stopping(it.was, holding[0], it.outcome.Began)))
	case r.late(it):
		it.outcome.Transient = true
		r.finish(it, Failed, "still present after the delete, or recreated by another client")
	}
}

// judgeRollout is the heart: applied, failed, taken over by somebody else, half
// done, or wait.
func (r *run) judgeRollout(it *item) {
	now := time.Now()
	if it.live.pod != nil {
		it.live.pod.Status.Deployments = r.holding(it.id())
	}
	if r.takenOver(it, now) {
		return
	}
	ok, _ := it.live.converged(r.arrays)
	read := r.lookBegan
	if ok || it.live.status().Outdated < 0 {
		ok, read = r.confirmed(it)
	}
	replaced := r.replaced(it)
	switch {
	case ok && (replaced || it.settledSince.IsZero()):
		it.settledSince, it.idleSince = read, time.Time{}
	case !ok:
		it.settledSince = time.Time{}
	}
	switch {
	case ok && read.Sub(it.settledSince) >= r.settle(it):
		if !r.merge(it) {
			r.finish(it, Applied, "")
		}
	case !ok && r.late(it):
		r.finish(it, Failed, r.fullExplanation(it))
	case !ok && len(it.live.status().Deployments) == 0:
		r.drive(it, now)
	default:
		it.idleSince = time.Time{}
	}
}

// takenOver ends an item whose definition is no longer the one that was sent.
// While a deployment runs the definition is not compared: that is nobody's
// work but Marathon's. It ends for good: what is to be done about it is the next
// plan's, and where nothing is to be done there must be nothing left to watch.
func (r *run) takenOver(it *item, now time.Time) bool {
	if !it.live.missing() && len(it.live.status().Deployments) > 0 {
		it.differsSince = time.Time{}
		return false
	}
	r.keep(it)
	differs, fields := it.live.differences(it.change.App, it.change.Pod, &r.req.Cluster)
	switch {
	case !differs && !it.live.missing():
		it.differsSince = time.Time{}
	case it.differsSince.IsZero(): // one look may have met a standby that is behind
		it.differsSince = now
	case now.Sub(it.differsSince) < r.doubt():
	case it.live.missing():
		it.outcome.Transient = true
		r.finish(it, Failed, "during the rollout, another client deleted it")
	default:
		it.outcome.Transient = true
		r.finish(it, Failed, "during the rollout, another client changed it"+inFields(fields))
	}
	return differs || it.live.missing()
}

// confirmed reads a single app where a list cannot tell that no task is of an
// older configuration: statistics are missing, or the version is not the one
// that our write was answered with, so that it may be a rollback's, which is
// older than the tasks it must replace. It tells when the read began that it
// judged by, which of many apps may be long after the look.
func (r *run) confirmed(it *item) (ok bool, read time.Time) {
	read = r.lookBegan
	s := it.live.status()
	if it.live.app != nil && it.live.app.Tasks == nil && !idle(it.live) && (s.Outdated < 0 || s.Version != it.version) ||
		it.live.pod != nil && s.Outdated < 0 {
		one := r.readApp
		if it.live.pod != nil {
			one = r.readPod
		}
		read = time.Now()
		l, err := one(it.id())
		if err != nil || l.missing() {
			return false, read
		}
		if l.pod != nil {
			l.pod.Status.Deployments = s.Deployments
		}
		it.live = l
	}
	ok, _ = it.live.converged(r.arrays)
	return ok, read
}

// maxDrives is how often a rollout that nothing drives is driven again.
const maxDrives = 3

// drive takes up a rollout that stands still: its definition is right and no
// deployment works on it, because it was cancelled, or its Marathon lost it
// when the leader changed. Only a restart replaces tasks of an older
// configuration: putting the same definition again does nothing.
func (r *run) drive(it *item, now time.Time) {
	switch {
	case it.drives >= maxDrives:
		return
	case !r.standsStill(it):
		it.idleSince = time.Time{}
		return
	case it.idleSince.IsZero():
		it.idleSince = now
	}
	if now.Sub(it.idleSince) < max(r.doubt(), r.options.PollInterval) {
		return
	}
	w := Write{Outcome: it.outcome}
	if it.live.app != nil {
		w.App = it.live.app.Definition
	} else {
		w.Pod = it.live.pod.Definition
	}
	if r.wipes(it, w, false) {
		return
	}
	it.idleSince = time.Time{}
	ctx, cancel := r.writing()
	receipt, err := r.restart(ctx, it, w)
	cancel()
	r.options.Log.Info("rollout resumed", "id", it.id(), "deployment", receipt.Deployment, "error", err)
	if err == nil {
		it.drives++
		r.began(it, receipt)
	}
}

// standsStill reports whether nothing is left in Marathon that would bring an item
// without a deployment up. One look may be wrong about it: tasks that end are for a
// moment neither counted nor in the launch queue.
func (r *run) standsStill(it *item) bool {
	s := it.live.status()
	if s.Running+s.Staged == 0 && it.live.instances() > 0 {
		return !r.inQueue(it.id())
	}
	return s.Outdated > 0 // other counts are Marathon's own business: it launches and kills by itself
}

// restart replaces the tasks of an app or a pod by ones of the definition that
// stands. Marathon has no restart for pods: theirs is changed in something of no
// meaning and put right again at once, over the deployment of the change.
func (r *run) restart(ctx context.Context, it *item, w Write) (marathon.Receipt, error) {
	if err := r.req.Sending([]Write{w}); err != nil {
		return marathon.Receipt{}, err
	}
	if it.live.pod == nil {
		return r.m.RestartApp(ctx, it.id(), false)
	}
	right := it.live.pod.Definition
	changed := *right
	changed.Labels = maps.Clone(right.Labels)
	if changed.Labels == nil {
		changed.Labels = map[string]string{}
	}
	changed.Labels[restartLabel] = time.Now().UTC().Format(time.RFC3339)
	first, err := r.m.PutPod(ctx, &changed, false)
	if err != nil {
		return marathon.Receipt{}, err
	}
	receipt, err := r.m.PutPod(ctx, right, false)
	if e, locked := errors.AsType[*marathon.Error](err); locked && e.Kind() == marathon.KindLocked && slices.Equal(e.Deployments, []string{first.Deployment}) {
		receipt, err = r.m.PutPod(ctx, right, true)
	}
	return receipt, err
}

// restartLabel stands in a pod for a moment. Should it stay, because the process
// ended just then, it is a difference like any other.
const restartLabel = "pacer-restart"

// HalfDone finds apps and pods whose definition is new and of whose tasks some
// are old, though no deployment works on them: their rollout was cancelled,
// whoever began it and whether that was noted or not. Nothing but a restart will
// ever replace those tasks. Given to Apply as Rollouts they are driven to their
// end; only what Pacer manages should be.
func HalfDone(s marathon.State, now time.Time) map[string]Rollout {
	found := map[string]Rollout{}
	add := func(id string, kind manifests.Kind, s marathon.Status) {
		if s.Outdated > 0 && len(s.Deployments) == 0 {
			found[id] = Rollout{Kind: kind, Action: plan.Update, Began: now}
		}
	}
	for id, a := range s.Apps {
		add(id, manifests.KindApp, a.Status)
	}
	for id, p := range s.Pods {
		add(id, manifests.KindPod, p.Status)
	}
	return found
}

// inQueue says whether instances wait to be launched; if that cannot be read,
// it is taken for granted.
func (r *run) inQueue(id string) bool {
	queue, err := r.m.Queue(r.ctx)
	return err != nil || slices.ContainsFunc(queue, func(q marathon.QueueItem) bool { return q.ID == id })
}

// explainHanging tells of each change that takes long why it does.
func (r *run) explainHanging() {
	now := time.Now()
	var hanging []*item
	for _, it := range r.items {
		stops := it.change.Action == plan.Delete && len(r.holding(it.id())) > 0
		if it.phase == begun && !it.uncertain && it.settledSince.IsZero() && (!it.live.missing() || stops) && now.Sub(it.explainedAt) >= r.options.ExplainAfter {
			hanging = append(hanging, it)
		}
	}
	if len(hanging) == 0 {
		return
	}
	e := r.evidence(r.ctx)
	for i, it := range hanging {
		it.explainedAt = now
		if it.live.app != nil && it.live.app.Tasks == nil && i < singleReads {
			if l, err := r.readApp(it.id()); err == nil && !l.missing() {
				it.live = l // with what the checks of its tasks say
			}
		}
		r.explain(it, r.explained(e, it, it.live))
	}
}

// explained is why an item is not up, or not gone yet. In a crash loop the counts of
// a moment say little, and how often it was restarted much.
func (r *run) explained(e evidence, it *item, l live) explanation {
	switch f := l.status().PresentFailure(); {
	case l.missing() && it.change.Action == plan.Delete:
		return explanation{why: stopping(it.was, strings.Join(r.holding(it.id()), ", "), it.outcome.Began)}
	case f != nil && it.failures.count > 1:
		minutes := int(math.Ceil(max(time.Since(it.failures.first), time.Second).Minutes()))
		return explanation{Counts(l.status(), l.instances(), false),
			fmt.Sprintf(", restarted %d times in %d min, last%s", it.failures.count, minutes, e.ended(f, l))}
	}
	return e.explained(it.id(), l)
}

// fullExplanation reads all there is to know, for the last word on an item.
func (r *run) fullExplanation(it *item) string {
	l := it.live
	if it.live.app != nil && it.live.app.Tasks == nil {
		if again, err := r.readApp(it.id()); err == nil && !again.missing() {
			l = again
		}
	}
	return fmt.Sprintf("not converged within %s: %s", it.deadline, r.explained(r.evidence(r.ctx), it, l))
}
