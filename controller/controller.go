package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/sources"
)

// Controller keeps a set of syncs reconciled. Its methods may be called from
// several goroutines.
type Controller struct {
	log      *slog.Logger
	clusters map[string]*cluster // by name; the one that has none is ""
	store    store.Store
	archive  store.Archive // nil: there is none, and no rollback
	metrics  *metrics
	// observers of each sync, beside log and metrics
	observers []reconcile.Observer
	slots     chan struct{} // a place for each reconciliation that reads and plans
	diffs     chan struct{} // one place: who only asks keeps no reconciliation waiting

	leadership     func() leader.Status // nil: there is one replica
	peers          Peers                // nil: they are not asked
	requestTimeout time.Duration

	reloading sync.Mutex // what was started is stopped by one at a time

	mu       sync.Mutex
	options  Options
	watchers map[string]*schedule.Watcher // by the name of the source
	syncers  map[string]*syncer
	reload   string          // why the newest options are not in force
	run      *run            // nil: not running
	probed   probed          // of the store
	term     *reconcile.Term // nil: somebody else may write
}

// run is what lives as long as one call of Run.
type run struct {
	ctx      context.Context
	schedule *schedule.Schedule
	group    sync.WaitGroup
}

// New returns a controller that does nothing until Run.
func New(o Options) (*Controller, error) {
	clusters, err := clustersOf(o)
	switch {
	case err != nil:
		return nil, err
	case o.Store == nil:
		return nil, errors.New("controller: a Store is required")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Controller{}
	m, err := newMetrics(o.Metrics, c.allSyncers)
	if err != nil {
		return nil, fmt.Errorf("controller: cannot register metrics: %w", err)
	}
	*c = Controller{
		log: o.Log, clusters: clusters, store: o.Store, archive: o.Archive,
		metrics: m, observers: o.Observers, diffs: make(chan struct{}, 1),
		slots:      make(chan struct{}, cmp.Or(o.Concurrency, runtime.GOMAXPROCS(0))),
		leadership: o.Leadership, peers: o.Peers, requestTimeout: o.RequestTimeout,
		watchers: map[string]*schedule.Watcher{}, syncers: map[string]*syncer{},
	}
	if !o.Follow {
		c.term = reconcile.NewTerm(context.Background(), true) // begins with Run
	}
	c.replace(o)
	return c, nil
}

// Run reconciles until ctx ends, then stops in good order: no new write is
// started, running requests end, and what happened is saved. It may be called
// once at a time.
func (c *Controller) Run(ctx context.Context) error {
	wait, err := c.Start(ctx)
	if err != nil {
		return err
	}
	wait()
	return nil
}

// Start begins what Run does: when it returns the controller runs, and takes what
// it is asked for. The caller calls wait once, which returns when ctx has ended and
// all is stopped in good order.
func (c *Controller) Start(ctx context.Context) (wait func(), err error) {
	r := &run{ctx: ctx, schedule: schedule.New(c.ceiling)}
	c.mu.Lock()
	if c.run != nil {
		c.mu.Unlock()
		r.schedule.Stop()
		return nil, errors.New("controller: already running")
	}
	c.run = r
	for _, w := range c.watchers {
		c.startWatcher(w)
	}
	for _, y := range c.syncers {
		c.startSyncer(y)
	}
	c.mu.Unlock()

	r.group.Go(func() { r.schedule.Run(func(sync string) { c.serve(r, sync) }) })
	if c.peers != nil {
		r.group.Go(func() { c.watchPeers(ctx) })
	}
	if s, ok := c.store.(Prober); ok {
		interval := cmp.Or(c.options.ProbeInterval, DefaultProbeInterval)
		r.group.Go(func() { c.probe(ctx, s, interval) })
	}
	for _, m := range c.clusters {
		r.group.Go(func() { c.observe(ctx, m) })
		if m.Events != nil {
			r.group.Go(func() { c.listen(ctx, m) })
		}
	}
	return func() { c.finish(r) }, nil
}

// finish waits for the end of a run's context, and ends the run.
func (c *Controller) finish(r *run) {
	<-r.ctx.Done()
	r.schedule.Stop()
	r.group.Wait()

	c.reloading.Lock()
	defer c.reloading.Unlock()
	c.mu.Lock()
	watchers, syncers := slices.Collect(maps.Values(c.watchers)), slices.Collect(maps.Values(c.syncers))
	c.mu.Unlock()
	for _, w := range watchers {
		w.Stop()
	}
	for _, y := range syncers {
		y.stop()
	}
	c.mu.Lock()
	c.run = nil
	c.mu.Unlock()
}

// serve reconciles a sync, and decides when that is due again.
func (c *Controller) serve(r *run, name string) {
	c.mu.Lock()
	y := c.syncers[name]
	if y == nil || r.ctx.Err() != nil {
		c.mu.Unlock()
		r.schedule.Forget(name)
		return
	}
	y.group.Add(1)
	c.mu.Unlock()
	defer y.group.Done()
	r.schedule.Ended(y.slot, c.reconcile(y))
}

// reconcile reconciles a sync in the term that is in force, if there is one.
func (c *Controller) reconcile(y *syncer) reconcile.Result {
	ctx, cancel := context.WithCancelCause(y.ctx)
	defer cancel(nil)
	running, asked, fetched := y.slot.Begin(cancel, y.watcher.Last)
	term := c.enter()
	defer term.Bind(cancel)()
	return y.reconciler.Reconcile(ctx, reconcile.Input{Term: term, Fetched: fetched, Asked: asked, Commands: y.slot.TakeCommands, Running: running})
}

// ceiling is the longest back-off for what went wrong last in a sync.
func (c *Controller) ceiling(name string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if y := c.syncers[name]; y != nil {
		return y.slot.Ceiling()
	}
	return reconcile.MaxBackoff
}

// Trigger asks for a fetch at the source of a sync and a reconciliation after it. It
// returns ErrNoSync for a name that is not configured.
func (c *Controller) Trigger(name string, by store.Asked) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	y := c.syncers[name]
	if y == nil {
		return NoSync(name, slices.Collect(maps.Keys(c.syncers)))
	}
	if c.run == nil {
		return errNotRunning
	}
	y.slot.Ask(by)
	y.watcher.Request(by)
	return nil
}

// Revision is what a source was at when it was last read with success; zero: it was not.
func (c *Controller) Revision(source string) sources.Revision {
	c.mu.Lock()
	w := c.watchers[source]
	c.mu.Unlock()
	if w == nil {
		return sources.Revision{}
	}
	if last := w.Last(); last.Snapshot != nil {
		return last.Snapshot.Revision
	}
	return sources.Revision{}
}

// Look asks for a fetch of a source: one for all syncs that read it, which have a
// pass, by whom is said, if it has moved. It returns ErrNoSource for a name that is
// not configured.
func (c *Controller) Look(source string, by store.Asked) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watchers[source]
	switch {
	case w == nil:
		return fmt.Errorf("%w: %s", ErrNoSource, source)
	case c.run == nil:
		return errNotRunning
	}
	w.Request(by)
	return nil
}

// TriggerAll asks the same for every sync.
func (c *Controller) TriggerAll(by store.Asked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, y := range c.syncers {
		y.slot.Ask(by)
	}
	for _, w := range c.watchers {
		w.Request(by)
	}
}

// Status returns a consistent copy of what is known.
func (c *Controller) Status() status.Status {
	var leads *leader.Status
	if c.leadership != nil {
		leads = new(c.leadership())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := status.Status{Now: time.Now(), Running: c.run != nil, Reload: c.reload, RestartNeeded: slices.Clone(c.options.RestartNeeded), Leader: leads, Store: c.probed.get(), Syncs: []status.Sync{}}
	s.Marathon, s.Marathons = c.marathons()
	for _, name := range slices.Sorted(maps.Keys(c.syncers)) {
		s.Syncs = append(s.Syncs, c.syncers[name].status())
	}
	return s
}

// Reload replaces sources, syncs and intervals, and what needs a restart; what else
// Options hold stays as New was given it. A sync that is the same in both keeps its state and its
// running pass; one that is gone or differs is stopped before Reload returns,
// so that sources that are no longer used may be closed then. Bad options
// change nothing, and Status says so.
func (c *Controller) Reload(o Options) error {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	if err := o.check(); err != nil {
		c.Reject(err)
		return err
	}
	c.mu.Lock()
	c.reload = ""
	watchers, syncers := c.replace(o)
	c.mu.Unlock()
	for _, y := range syncers {
		y.stop()
		c.metrics.forget(y.spec.Name)
	}
	for _, w := range watchers {
		w.Stop()
	}
	return nil
}

// Reject tells in Status that a newer configuration is not in force, and why:
// for a file that could not even be read.
func (c *Controller) Reject(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reload = err.Error()
}

// replace puts sources and syncs in force and returns what is to be stopped.
// Called with mu held, but by New.
func (c *Controller) replace(o Options) (oldWatchers []*schedule.Watcher, oldSyncers []*syncer) {
	c.options = o
	watchers, syncers := map[string]*schedule.Watcher{}, map[string]*syncer{}
	for name, s := range o.Sources {
		w := c.watchers[name]
		if w == nil || w.Source != s {
			w = schedule.NewWatcher(name, s, c.inForce)
		}
		watchers[name] = w
	}
	for _, spec := range o.Syncs {
		y := c.syncers[spec.Name]
		if y == nil || y.watcher != watchers[spec.Source] || !reflect.DeepEqual(y.spec, spec) {
			y = c.newSyncer(spec, watchers[spec.Source], c.clusters[spec.Marathon])
		}
		syncers[spec.Name] = y
	}
	c.watchers, watchers = watchers, c.watchers
	c.syncers, syncers = syncers, c.syncers
	for name, y := range syncers {
		if c.syncers[name] != y {
			oldSyncers = append(oldSyncers, y)
		}
	}
	for name, w := range watchers {
		if c.watchers[name] != w {
			oldWatchers = append(oldWatchers, w)
		}
	}
	if c.run != nil {
		c.startMissing()
	}
	return oldWatchers, oldSyncers
}

// startMissing starts what a reload has added. A sync that is new on a source
// that is not asks for a reconciliation, since the source may not move for long.
func (c *Controller) startMissing() {
	for _, y := range c.syncers {
		if y.cancel == nil {
			c.startSyncer(y)
			if y.watcher.IsStarted() {
				by := store.Asked{By: store.AskedByConfig}
				y.slot.Ask(by)
				y.watcher.Request(by)
			}
		}
	}
	for _, w := range c.watchers {
		if !w.IsStarted() {
			c.startWatcher(w)
		}
	}
}

// startWatcher and startSyncer are called with mu held while running.
func (c *Controller) startWatcher(w *schedule.Watcher) {
	w.Start(c.run.ctx, c.looked, func() { c.passUnfetched(w) })
}

func (c *Controller) startSyncer(y *syncer) {
	y.ctx, y.cancel = context.WithCancel(c.run.ctx)
	y.view.Start(time.Now())
	ctx, schedule := y.ctx, c.run.schedule
	interval := cmp.Or(c.options.Resync, DefaultResync)
	y.group.Go(func() {
		wait.Every(ctx, interval, func() { schedule.Resync(y.slot) })
	})
}

// looked is called after each fetch of a source: it triggers the syncs that read
// it and supersedes the reconciliations that work on an older revision.
func (c *Controller) looked(w *schedule.Watcher, l reconcile.Fetch) {
	if l.Err != nil {
		c.metrics.sourceErrors.WithLabelValues(w.Name).Inc()
	}
	w.LogError(c.log, l.Err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return
	}
	for _, y := range c.syncers {
		if y.watcher == w {
			c.run.schedule.Fetched(y.slot, l)
		}
	}
}
