package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// passEnd is how a pass ended.
type passEnd struct {
	result     status.Result
	again      bool  // what it was for is handed to the next pass
	err        error // what kept the pass itself from working; nil if only changes failed
	noSnapshot bool  // the source was never read
	unknown    bool  // a change may or may not have been taken
	transient  bool  // a change failed though its definition is not to blame
	pending    bool  // what was applied differs again
	reread     bool  // it only read: the one that may write is due
	follow     bool  // it only read, and the leader has something to do
}

// pass is one pass of one sync.
type pass struct {
	c        *Controller
	y        *syncer
	term     *term // nil: it only looks
	began    time.Time
	asked    store.Asked // what it is for
	pin      *store.Pin  // the rollback that it carries out; nil: it follows its source
	from     ground      // what it takes for desired
	revision sources.Revision
	state    marathon.State
	read     time.Time // when the reading of state began
	desired  manifests.Desired
	doubted  map[string]bool // of the inventory, which state lacks: see examine
	plan     plan.Plan
	files    map[string]string            // where each change of the plan stands
	wanted   map[string]*status.Instances // what each change of the plan wants
	archived string                       // the checksum of what is desired, once it is in the archive
	change   *store.Commit                // that changed last what it goes by; nil: not known
	older    map[string]bool              // of the outcomes: begun at another revision, and only watched
	wrote    bool                         // it has begun a change
	drift    map[string]string            // what somebody changed and a plan of the pass puts back → why
	outcomes []apply.Outcome
}

// pass looks at desired and live, and makes live what desired is. Whatever
// cannot be read leaves everything as it is.
func (c *Controller) pass(y *syncer) passEnd {
	ctx, cancel, seen, asked := y.begin()
	defer cancel(nil)
	p := &pass{c: c, y: y, term: c.enter(), began: time.Now(), asked: asked, older: map[string]bool{}}
	defer p.term.bind(cancel)()
	end := p.run(ctx, seen)
	p.finish(ctx, end)
	return end
}

func (p *pass) run(ctx context.Context, seen look) passEnd {
	lost := p.load(ctx)
	p.obey(ctx, lost)
	notes := p.lossNotes() // once it is known whether a person resumed the sync
	p.y.show(func(s *status.Sync) { s.Notes = notes })
	if p.pin = p.y.memory.state.Pin; p.pin != nil {
		p.y.pin()
	}
	p.from = p.stand(ctx, seen)
	p.revision = p.from.revision
	p.y.show(func(s *status.Sync) { s.InForce, s.RolledBack = p.revision, p.pin })
	p.showHold()
	if p.from.snapshot == nil && p.from.kept == nil {
		return passEnd{result: status.ResultFailed, noSnapshot: true, err: errors.New("source not fetched yet: nothing is changed until then")}
	}
	if err := p.look(ctx); err != nil {
		return p.cutShort(ctx, err)
	}
	if lost != nil {
		return passEnd{result: status.ResultFailed, err: lost}
	}
	if end, only := p.onlyLooks(); only {
		return end
	}
	if p.y.memory.state.Stopped() || !p.work() {
		return passEnd{result: status.ResultUnchanged}
	}
	return p.apply(ctx)
}

// look reads live and desired, plans, and shows what it saw. Only so many
// passes do that at once; waiting for Marathon takes no place, so that a
// cluster that does not answer holds up no sync of another.
func (p *pass) look(ctx context.Context) error {
	if err := p.readLive(ctx); err != nil {
		return err
	}
	select {
	case p.c.slots <- struct{}{}:
		defer func() { <-p.c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.want(ctx); err != nil {
		return err
	}
	if err := p.examined(ctx); err != nil {
		return err
	}
	p.compute()
	if err := p.confirm(ctx); err != nil {
		return err
	}
	if p.term == nil || p.from.writes { // else it may be of an older revision: nothing is learnt of that
		p.learn()
	}
	p.showPlan()
	if p.term != nil && !p.from.writes {
		return nil
	}
	works := p.work() && !p.y.memory.state.Stopped()
	if works && !p.onlyReads() && p.advance() {
		p.y.memory.ahead = true
	}
	if p.term != nil && (p.y.memory.unsaved() || works) && !(works && p.notesAll()) {
		return p.save(ctx) // what cannot be remembered is not begun
	}
	return nil
}

// notesAll tells whether there is something to be sent, and the memory is saved
// anyhow before any of it is: see sending. To save ten thousand apps twice for
// one that changes would make it late.
func (p *pass) notesAll() bool {
	pending := 0
	for _, c := range p.plan.Changes {
		if c.Blocked == nil {
			if pending++; c.App == nil && c.Pod == nil {
				return false
			}
		}
	}
	return pending > 0
}

// want reads what is desired: what the source says, or what it said at the
// revision that the sync was rolled back to.
func (p *pass) want(ctx context.Context) (err error) {
	if p.from.kept != nil {
		p.desired, err = p.recall(ctx, *p.from.kept)
		return err
	}
	spec := p.y.spec
	ended := func() error { return context.Cause(ctx) }
	p.desired, err = p.y.reader.ReadUntil(ended, p.from.snapshot.FS, manifests.Options{
		Path: spec.Path, Scope: spec.Policy.Scope, Substitute: spec.Substitute, Cluster: p.state.Cluster, Limits: spec.Limits,
		Each: SideBySide,
	})
	return err
}

// readLive asks Marathon for everything. Where it answers nothing, or half,
// that is an error and never an empty Marathon.
func (p *pass) readLive(ctx context.Context) error {
	began := time.Now()
	state, err := p.c.stateOf(ctx, p.y.cluster, p.y)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.y.hasRead(began)
	if err != nil {
		return fmt.Errorf("cannot read Marathon, so nothing is changed: %w", err)
	}
	p.state, p.read = state, began
	return nil
}

// examined is examine, and takes up what is known of the state once it is believed.
func (p *pass) examined(ctx context.Context) error {
	if err := p.examine(ctx); err != nil {
		if ctx.Err() == nil {
			p.y.doubt(err.Error(), p.y.compared())
		}
		return err
	}
	p.claim()
	return nil
}

// confirm has what the plan is to change read once more, where live may be a
// moment old, and plans again if that has changed: nothing is overwritten or
// deleted for what it was.
func (p *pass) confirm(ctx context.Context) error {
	c, ok := p.y.cluster.Marathon.(Confirmer)
	if !ok || p.term == nil || !p.from.writes || p.y.memory.state.Stopped() || !p.work() {
		return nil
	}
	ids := slices.Collect(maps.Keys(p.works()))
	began := time.Now()
	state, err := c.Confirm(ctx, ids)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.c.reached(p.y.cluster, p.y, state, err)
	if err != nil {
		return fmt.Errorf("cannot read Marathon once more, so nothing is changed: %w", err)
	}
	before := p.state
	p.state, p.read = state, began
	if !slices.ContainsFunc(ids, func(id string) bool { return moved(before, state, id) }) {
		return nil
	}
	if err := p.examine(ctx); err != nil {
		return err
	}
	p.compute()
	return nil
}

// moved tells whether two states may hold something else of an id.
func moved(a, b marathon.State, id string) bool {
	return a.Apps[id].Definition != b.Apps[id].Definition || a.Pods[id].Definition != b.Pods[id].Definition ||
		!reflect.DeepEqual(a.Groups[id], b.Groups[id])
}

// compared is when the sync was last compared.
func (y *syncer) compared() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.view.Planned
}

// hasRead notes when a pass last read Marathon, and how long that took.
func (y *syncer) hasRead(began time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.lastRead, y.lastTook = began, time.Since(began)
}

// compute plans on what was read last.
func (p *pass) compute() {
	memory := p.y.memory
	policy := p.y.spec.Policy
	policy.Approved = approved(memory.state.Approved, p.revision.ID)
	p.files, p.wanted = map[string]string{}, map[string]*status.Instances{}
	in := plan.Input{
		Revision: p.revision.ID, Sync: p.y.spec.Name, Marathon: p.y.cluster.Address, Desired: p.desired, Cluster: p.state.Cluster,
		Policy: policy, Inventory: maps.Clone(memory.state.Inventory), Failed: maps.Clone(p.standing()), Healthy: maps.Clone(memory.state.Healthy),
		StateLost: p.lossHold(), Doubted: p.doubted,
		Held: maps.Clone(memory.state.Held), Unproven: unproven(&memory.state),
	}
	p.y.plannedOn(in)
	in.Live, in.Known = p.y.cluster.lives.of(p.state), p.y.known
	p.plan = plan.Compute(in)
	p.y.known = p.plan.Known
	for _, c := range p.plan.Changes {
		p.files[c.ID] = c.File
		if c.App != nil || c.Pod != nil {
			p.wanted[c.ID] = new(status.DesiredInstances(&manifests.Item{Kind: c.Kind, App: c.App, Pod: c.Pod}))
		}
	}
	p.holdFights()
	if p.term != nil && !p.y.memory.state.Stopped() {
		p.y.waits.note(p.plan, time.Now())
	}
}

// work tells whether anything is to be sent or watched.
func (p *pass) work() bool {
	return p.plan.Pending() > 0 || len(p.rollouts()) > 0
}

// rollouts is what is to be watched beside the plan: what was begun before, and
// what stands half done though its definition is right. The latter needs no
// note, so that a rollout whose note was lost is brought to its end too. One
// that failed is left as it is until it changes.
func (p *pass) rollouts() map[string]apply.Rollout {
	state := &p.y.memory.state
	all := carried(state.Rollouts)
	half := apply.HalfDone(p.state, time.Now())
	for id, r := range half {
		_, mine := state.Inventory[id]
		_, failed := state.Failed[id]
		if _, known := all[id]; mine && !failed && !known {
			all[id] = r
		}
	}
	for id, hash := range p.asInGit(all) {
		if r := all[id]; r.Action != plan.Delete && !r.Revert {
			r.Hash = hash
			all[id] = r
		}
	}
	return all
}

// asInGit holds the hash of git's definition of those rollouts of which the plan
// changes nothing: whatever was begun, it is git's that comes up now, or fails.
func (p *pass) asInGit(rollouts map[string]apply.Rollout) map[string]string {
	if len(rollouts) == 0 {
		return nil
	}
	changed := map[string]bool{}
	for _, c := range p.plan.Changes {
		changed[c.ID] = true
	}
	hashes := map[string]string{}
	for _, item := range p.desired.Items {
		if _, watched := rollouts[item.ID]; watched && !changed[item.ID] && item.Kind != manifests.KindGroup {
			hashes[item.ID] = p.hash(item)
		}
	}
	return hashes
}

// apply carries the plan out and looks again at what it led to.
func (p *pass) apply(ctx context.Context) passEnd {
	events := p.y.applying(p.works())
	waited := p.y.cluster.observer.wait()
	keeper := p.keep(ctx)
	answered, archived := p.archiveBeside(ctx, keeper)
	changed := p.findChange(ctx)
	p.outcomes = p.y.cluster.Applier.Apply(ctx, p.plan, apply.Request{
		Cluster: p.state.Cluster, Groups: p.state.Groups, Running: p.state.Deployments, Apps: len(p.state.Apps), Deadline: p.y.spec.Deadline, Settle: p.y.spec.Settle, Waiting: maps.Clone(p.y.waits),
		Rollouts: p.rollouts(), Deployments: hanging(p.y.memory.state.Failed), Failed: failedIDs(p.y.memory.state.Failed),
		Progress: func(o apply.Outcome) { answered(); p.progress(keeper, o) },
		Sending:  func(writes []apply.Write) error { return p.sending(keeper, writes) },
		Events:   events,
	})
	archived()
	changed()
	waited()
	cause := context.Cause(ctx)
	end, again := endOf(cause, p.outcomes), errors.Is(cause, errAgain)
	if again {
		p.outcomes = slices.DeleteFunc(p.outcomes, isHandedOver)
	}
	if err := keeper.close(); err != nil {
		end.result, end.err = status.ResultFailed, err
	}
	if !again && end.result != status.ResultStopped && end.result != status.ResultSuperseded {
		end.pending = p.lookAgain(ctx)
	}
	return end
}

// works lists what the apply changes or watches: none of it has ended.
func (p *pass) works() map[string]time.Time {
	ids := map[string]time.Time{}
	for _, c := range p.plan.Changes {
		if c.Blocked == nil {
			ids[c.ID] = time.Time{}
		}
	}
	for id := range p.rollouts() {
		ids[id] = time.Time{}
	}
	return ids
}

// lookAgain shows what live is after an apply, and tells whether it differs
// again already. A failure to look is the next pass's business.
func (p *pass) lookAgain(ctx context.Context) bool {
	if p.readLive(ctx) != nil || p.examined(ctx) != nil {
		return false
	}
	p.compute()
	p.learn()
	p.showPlan()
	return p.plan.Pending() > 0
}

// cutShort tells how a pass ended that could not be planned.
func (p *pass) cutShort(ctx context.Context, err error) passEnd {
	switch {
	case superseded(ctx):
		return passEnd{result: status.ResultSuperseded, again: errors.Is(context.Cause(ctx), errAgain)}
	case ctx.Err() != nil:
		return passEnd{result: status.ResultStopped}
	}
	return passEnd{result: status.ResultFailed, err: err}
}

// finish notes how the pass ended: in the history if it changed something or
// failed, in the store, the status, the metrics and the log.
func (p *pass) finish(ctx context.Context, end passEnd) {
	last := status.Reconciliation{Began: p.began, Ended: time.Now(), Revision: p.revision.ID, Result: end.result}
	if end.err != nil {
		last.Error = end.err.Error()
	}
	state := &p.y.memory.state
	if end.again || p.from.confirms || end.err != nil && len(p.outcomes) == 0 { // the next pass does what this one was for
		p.y.note(p.asked)
	}
	if end.err == nil && !p.read.IsZero() && !p.work() && p.advance() { // nothing of it was to be written
		p.y.memory.dirty = true
	}
	p.keepRevision(ctx, end)
	if p.change == nil {
		p.takeChange()
	}
	if p.term != nil {
		history, changed := recorded(state.History, p.entry(last))
		if changed {
			state.History, p.y.memory.dirty = history, true
		}
		if p.y.memory.loaded {
			if stands, news := p.y.standing(); news {
				state.Stands, p.y.memory.dirty = stands, true
			}
		}
		p.saveLast(ctx, &last)
	}
	p.y.mu.Lock()
	before := p.y.view.Last
	if p.y.current.again != nil {
		p.y.current.again.Stop()
	}
	p.y.current = nil
	p.y.view.Running = false
	p.y.view.Last = &last
	if last.Result != status.ResultProgressing { // the next pass goes on with it
		p.y.view.Current = nil
	}
	p.y.view.SetStored(state)
	if succeeded(last.Result) {
		p.y.succeeded = last.Ended
	}
	p.y.mu.Unlock()
	p.c.metrics.ended(p.y.spec.Name, last)
	p.tell(ctx, before, last)
}

// saveLast saves what a pass did. After the end of its term the store may refuse
// that, since another replica leads: that one finds everything in Marathon.
func (p *pass) saveLast(ctx context.Context, last *status.Reconciliation) {
	if !p.y.memory.unsaved() {
		return
	}
	switch err := p.save(ctx); {
	case err == nil:
	case p.term.over():
		p.c.log.Warn("the result of a reconciliation is not saved; the next leader reads it from Marathon", "sync", p.y.spec.Name, "error", err)
	default:
		p.c.log.Error("cannot save the result of a reconciliation", "sync", p.y.spec.Name, "error", err)
		last.Result, last.Error = status.ResultFailed, err.Error()
	}
}

// tell logs how a pass ended. What a new revision brings that is not carried
// out, errors and changes held back, is told where it is new, though nothing
// was changed.
func (p *pass) tell(ctx context.Context, before *status.Reconciliation, last status.Reconciliation) {
	level, held := p.levelOf(last.Result), 0
	if before != nil && last.Result == status.ResultFailed && last.Error != "" && before.Error == last.Error && before.Revision == last.Revision {
		level = slog.LevelDebug // it was told
	}
	mistakes, _ := manifests.CountProblems(p.plan.Problems)
	for _, c := range p.plan.Changes {
		if c.Blocked != nil {
			held++
		}
	}
	if before == nil || before.Revision != last.Revision {
		level = max(level, slog.LevelInfo)
		if mistakes+held > 0 {
			level = max(level, slog.LevelWarn)
		}
	}
	p.c.log.Log(ctx, level, "reconciliation ended", "sync", p.y.spec.Name, "revision", last.Revision, "result", string(last.Result),
		"problems", mistakes, "blocked", held, "took", last.Ended.Sub(last.Began), "error", last.Error)
}

// levelOf keeps out of the log what is of no interest at rest, and while rollouts
// are merely waited for.
func (p *pass) levelOf(r status.Result) slog.Level {
	switch {
	case r == status.ResultFailed:
		return slog.LevelWarn
	case r == status.ResultUnchanged, r == status.ResultProgressing && !p.wrote:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
