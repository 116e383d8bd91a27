package reconcile

import (
	"context"
	"errors"
	"fmt"
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

// reconciliation is one in progress, and what it knows so far.
type reconciliation struct {
	r        *Reconciler
	in       Input
	term     *Term // nil: it only looks
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
	older    map[string]bool              // of the outcomes: started at another revision, and only watched
	wrote    bool                         // it has started a change
	drift    map[string]string            // what somebody changed and a plan of the reconciliation puts back → why
	outcomes []apply.Outcome
	reverts  bool        // a rollout failed that is to be reverted now
	at       time.Time   // when drift may be healed again
	carry    store.Asked // what the next one is for
}

// Input is what one reconciliation starts from.
type Input struct {
	Term     *Term       // in which it writes; nil: it only reads
	Fetched  Fetch       // what the source was at
	Asked    store.Asked // what it is for
	Commands func() []*Command
	Running  *Running
}

// Result is what a reconciliation leads to. What it did is in Marathon, in the store
// and in the view.
type Result struct {
	Result status.Result
	Next   Next
	At     time.Time   // when the next one is due at the latest; zero: never
	Carry  store.Asked // what the next one is for, since this one did not come to it
}

// Reconcile makes live what is desired. Whatever cannot be read leaves everything as
// it is. It ends with ctx, with its term, and for what ends running.
func (r *Reconciler) Reconcile(ctx context.Context, in Input) Result {
	p := &reconciliation{r: r, in: in, term: in.Term, began: time.Now(), asked: in.Asked, older: map[string]bool{}}
	r.View.begin()
	end := p.run(ctx, in.Fetched)
	follows := end.next == NextFollow
	if end.next == NextNothing && r.following {
		end.next = NextFollow // once more than there is something to see
	}
	r.following = follows
	if p.reverts {
		end.next, p.carry = NextNow, p.carry.Or(store.Asked{By: store.AskedByRetry})
	}
	p.finish(ctx, end)
	return Result{Result: end.result, Next: end.next, At: p.at, Carry: p.carry}
}

func (p *reconciliation) run(ctx context.Context, seen Fetch) ending {
	lost := p.load(ctx)
	p.obey(ctx, lost)
	notes := p.lossNotes() // once it is known whether a person resumed the sync
	p.r.View.show(func(s *status.Sync) { s.Notes = notes })
	if p.pin = p.r.record.state.Pin; p.pin != nil {
		p.in.Running.pin()
	}
	p.from = p.stand(ctx, seen)
	p.revision = p.from.revision
	p.r.View.show(func(s *status.Sync) { s.InForce, s.RolledBack = p.revision, p.pin })
	p.showHold()
	if p.from.snapshot == nil && p.from.kept == nil {
		return ending{result: status.ResultFailed, err: errors.New("source not fetched yet: nothing is changed until then")}
	}
	if err := p.look(ctx); err != nil {
		return p.cutShort(ctx, err)
	}
	if lost != nil {
		return failed(lost)
	}
	if end, only := p.onlyLooks(); only {
		return end
	}
	if p.r.record.state.Stopped() || !p.work() {
		return ending{result: status.ResultUnchanged}
	}
	return p.apply(ctx)
}

// Fetch reads live and desired, plans, and shows what it saw. Only so many
// reconciliations do that at once; waiting for Marathon takes no place, so that a
// cluster that does not answer holds up no sync of another.
func (p *reconciliation) look(ctx context.Context) error {
	if err := p.readLive(ctx); err != nil {
		return err
	}
	select {
	case p.r.Slots <- struct{}{}:
		defer func() { <-p.r.Slots }()
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
	works := p.work() && !p.r.record.state.Stopped()
	if works && !p.onlyReads() && p.advance() {
		p.r.record.ahead = true
	}
	if p.term != nil && (p.r.record.unsaved() || works) && !(works && p.notesAll()) {
		return p.save(ctx) // what cannot be remembered is not started
	}
	return nil
}

// notesAll reports whether there is something to be sent, and the memory is saved
// anyhow before any of it is: see sending. To save ten thousand apps twice for
// one that changes would make it late.
func (p *reconciliation) notesAll() bool {
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
func (p *reconciliation) want(ctx context.Context) (err error) {
	if p.from.kept != nil {
		p.desired, err = p.recall(ctx, *p.from.kept)
		return err
	}
	p.desired, err = p.r.Sync.read(ctx, p.r.reader, p.from.snapshot, p.state.Cluster)
	return err
}

// read reads what a snapshot asks a sync for.
func (y Sync) read(ctx context.Context, reader *manifests.Reader, s *sources.Snapshot, cluster manifests.Cluster) (manifests.Desired, error) {
	return reader.ReadUntil(func() error { return context.Cause(ctx) }, s.FS, manifests.Options{
		Path: y.Path, Scope: y.Policy.Scope, Substitute: y.Substitute, Cluster: cluster, Limits: y.Limits, Each: SideBySide,
	})
}

// readLive asks Marathon for everything. Where it answers nothing, or half,
// that is an error and never an empty Marathon.
func (p *reconciliation) readLive(ctx context.Context) error {
	began := time.Now()
	state, err := p.r.Live.State(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.in.Running.hasRead(began)
	if err != nil {
		return fmt.Errorf("cannot read Marathon, so nothing is changed: %w", err)
	}
	p.state, p.read = state, began
	return nil
}

// examined is examine, and takes up what is known of the state once it is believed.
func (p *reconciliation) examined(ctx context.Context) error {
	if err := p.examine(ctx); err != nil {
		if ctx.Err() == nil {
			p.r.View.Doubt(err.Error(), p.r.View.compared())
		}
		return err
	}
	p.claim()
	return nil
}

// confirm has what the plan is to change read once more, where live may be a
// moment old, and plans again if that has changed: nothing is overwritten or
// deleted for what it was.
func (p *reconciliation) confirm(ctx context.Context) error {
	if p.term == nil || !p.from.writes || p.r.record.state.Stopped() || !p.work() {
		return nil
	}
	ids := slices.Collect(maps.Keys(p.works()))
	began := time.Now()
	state, isNews, err := p.r.Live.Confirm(ctx, ids)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && !isNews:
		return nil
	case err != nil:
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

// moved reports whether two states may hold something else of an id.
func moved(a, b marathon.State, id string) bool {
	return a.Apps[id].Definition != b.Apps[id].Definition || a.Pods[id].Definition != b.Pods[id].Definition ||
		!reflect.DeepEqual(a.Groups[id], b.Groups[id])
}

// compute plans on what was read last.
func (p *reconciliation) compute() {
	memory := p.r.record
	policy := p.r.Sync.Policy
	policy.Approved = approved(memory.state.Approved, p.revision.ID)
	p.files, p.wanted = map[string]string{}, map[string]*status.Instances{}
	in := plan.Input{
		Revision: p.revision.ID, Sync: p.r.Sync.Name, Marathon: p.r.Live.Address(), Desired: p.desired, Cluster: p.state.Cluster,
		Policy: policy, Inventory: maps.Clone(memory.state.Inventory), Failed: maps.Clone(p.standing()), Healthy: maps.Clone(memory.state.Healthy),
		StateLost: p.lossHold(), Doubted: p.doubted,
		Held: maps.Clone(memory.state.Held), Unproven: unproven(&memory.state),
	}
	on := in
	in.Live, in.Known = p.r.Live.Plan(p.state), p.r.known
	p.plan = plan.Compute(in)
	p.r.known = p.plan.Known
	on.Known = p.r.known
	p.r.View.plannedOn(&Planned{Input: on, reader: p.r.reader.Fork()})
	for _, c := range p.plan.Changes {
		p.files[c.ID] = c.File
		if c.App != nil || c.Pod != nil {
			p.wanted[c.ID] = new(status.DesiredInstances(&manifests.Item{Kind: c.Kind, App: c.App, Pod: c.Pod}))
		}
	}
	p.blockConflicts()
	if p.term != nil && !p.r.record.state.Stopped() {
		p.r.waits.note(p.plan, time.Now())
	}
}

// work reports whether anything is to be sent or watched.
func (p *reconciliation) work() bool {
	return p.plan.Pending() > 0 || len(p.rollouts()) > 0
}

// rollouts is what is to be watched beside the plan: what was started before, and
// what stands half done though its definition is right. The latter needs no
// note, so that a rollout whose note was lost is brought to its end too. One
// that failed is left as it is until it changes.
func (p *reconciliation) rollouts() map[string]apply.Rollout {
	state := &p.r.record.state
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
// changes nothing: whatever was started, it is git's that comes up now, or fails.
func (p *reconciliation) asInGit(rollouts map[string]apply.Rollout) map[string]string {
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
func (p *reconciliation) apply(ctx context.Context) ending {
	events := p.in.Running.applies(p.works())
	waited := p.r.Live.Waiting()
	keeper := p.keep(ctx)
	answered, archived := p.archiveBeside(ctx, keeper)
	changed := p.findChange(ctx)
	p.outcomes = p.r.Applier.Apply(ctx, p.plan, apply.Request{
		Cluster: p.state.Cluster, Groups: p.state.Groups, Running: p.state.Deployments, Apps: len(p.state.Apps), Deadline: p.r.Sync.Deadline, Settle: p.r.Sync.Settle, Waiting: maps.Clone(p.r.waits),
		Rollouts: p.rollouts(), Deployments: hanging(p.r.record.state.Failed), Failed: failedIDs(p.r.record.state.Failed),
		Progress: func(o apply.Outcome) { answered(); p.progress(keeper, o) },
		Sending:  func(writes []apply.Write) error { return p.sending(keeper, writes) },
		Events:   events,
	})
	archived()
	changed()
	waited()
	cause := context.Cause(ctx)
	end, again := endOf(cause, p.outcomes), errors.Is(cause, ErrAgain)
	if again {
		p.outcomes = slices.DeleteFunc(p.outcomes, isHandedOver)
	}
	if err := keeper.close(); err != nil {
		end = ending{result: status.ResultFailed, err: err, next: nextAfter(err), hands: end.hands}
	}
	if !again && end.result != status.ResultStopped && end.result != status.ResultSuperseded {
		if p.lookAgain(ctx) && end.next == NextNothing {
			end.next = NextRetryLater
		}
	}
	return end
}

// works lists what the apply changes or watches: none of it has ended.
func (p *reconciliation) works() map[string]time.Time {
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

// lookAgain shows what live is after an apply, and reports whether it differs
// again already. A failure to read is the next reconciliation's business.
func (p *reconciliation) lookAgain(ctx context.Context) bool {
	if p.readLive(ctx) != nil || p.examined(ctx) != nil {
		return false
	}
	p.compute()
	p.learn()
	p.showPlan()
	return p.plan.Pending() > 0
}

// cutShort tells how a reconciliation ended that could not be planned.
func (p *reconciliation) cutShort(ctx context.Context, err error) ending {
	switch {
	case superseded(ctx):
		return ending{result: status.ResultSuperseded, hands: errors.Is(context.Cause(ctx), ErrAgain)}
	case ctx.Err() != nil:
		return ending{result: status.ResultStopped}
	}
	return failed(err)
}

// finish notes how the reconciliation ended: in the history if it changed something or
// failed, in the store, the status, the metrics and the log.
func (p *reconciliation) finish(ctx context.Context, end ending) {
	last := status.Reconciliation{Began: p.began, Ended: time.Now(), Revision: p.revision.ID, Result: end.result}
	if end.err != nil {
		last.Error = end.err.Error()
	}
	state := &p.r.record.state
	if end.hands || p.from.confirms || end.err != nil && len(p.outcomes) == 0 { // the next reconciliation does what this one was for
		p.carry = p.asked
	}
	if end.err == nil && !p.read.IsZero() && !p.work() && p.advance() { // nothing of it was to be written
		p.r.record.dirty = true
	}
	p.keepRevision(ctx, end)
	if p.change == nil {
		p.takeChange()
	}
	var entry *store.Entry
	if p.term != nil {
		entry = p.entry(last)
		history, changed := recorded(state.History, entry)
		if changed {
			state.History, p.r.record.dirty = history, true
		}
		if p.r.record.loaded {
			if stands, news := p.r.View.standing(); news {
				state.Stands, p.r.record.dirty = stands, true
			}
		}
		p.saveLast(ctx, &last)
	}
	before := p.r.View.end(last, state)
	ended := p.ended(last, before, entry)
	for _, o := range p.r.Observers {
		o.ReconciliationEnded(ended)
	}
}

// saveLast saves what a reconciliation did. After the end of its term the store may refuse
// that, since another replica leads: that one finds everything in Marathon.
func (p *reconciliation) saveLast(ctx context.Context, last *status.Reconciliation) {
	if !p.r.record.unsaved() {
		return
	}
	switch err := p.save(ctx); {
	case err == nil:
	case p.term.over():
		p.r.Log.Warn("the result of a reconciliation is not saved; the next leader reads it from Marathon", "sync", p.r.Sync.Name, "error", err)
	default:
		p.r.Log.Error("cannot save the result of a reconciliation", "sync", p.r.Sync.Name, "error", err)
		last.Result, last.Error = status.ResultFailed, err.Error()
	}
}

// ended is what observers are told of a reconciliation.
func (p *reconciliation) ended(last status.Reconciliation, before *status.Reconciliation, entry *store.Entry) Ended {
	e := Ended{Sync: p.r.Sync.Name, Reconciliation: last, Before: before, Entry: entry, Wrote: p.wrote,
		Leads: p.term != nil && p.from.writes, Revision: p.revision, Former: p.former(), Standing: p.standingNow()}
	if p.files != nil { // compute was called
		made := p.plan
		e.Plan = &made
	}
	if s := p.in.Fetched.Snapshot; s != nil {
		e.Fetched = s.Revision
	}
	e.Errors, _ = manifests.CountProblems(p.plan.Problems)
	for _, c := range p.plan.Changes {
		if c.Blocked != nil {
			e.Blocked++
		}
	}
	return e
}
