// Package report tells forges what Pacer does: the plan of each pull request, as a
// comment and as statuses of its head, and what became of each commit.
//
// It only reports. Nothing in Pacer waits for it or depends on what it does: whoever
// has news leaves a key in a queue, and one goroutine for each source with a forge does
// the rest. It decides nothing about what runs, and the text of a comment is that of
// package comment.
package report

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/sources"
)

// MinInterval is the least time between two polls of a forge.
const MinInterval = 30 * time.Second

// Planner plans what a sync would do. *controller.Controller is one.
type Planner interface {
	// Preview plans what a sync would do if its source were at a snapshot, and changes
	// nothing. controller.ErrNotPlanned: nothing is known of the sync yet.
	Preview(ctx context.Context, sync string, s *sources.Snapshot) (plan.Plan, error)
}

// Commits fetches commits of a repository. *sources.Commits is one.
type Commits interface {
	// Fetch returns the snapshots of full names of refs and of hashes; what the server
	// does not have is absent.
	Fetch(ctx context.Context, wants []string) (map[string]*sources.Snapshot, error)
}

// Merge merges two snapshots that have a third one in common. sources.Merge is one.
type Merge func(base, ours, theirs *sources.Snapshot) (tree *sources.Snapshot, conflicts []string, err error)

// Options is what a reporter reports, and where.
type Options struct {
	// Sources are those that have a forge, by name. One whose pointer is the same in
	// Reload goes on undisturbed.
	Sources map[string]*Source
	Syncs   []Sync
	Planner Planner
	// URL is Pacer's address for people, without a slash at its end; empty: there are no links.
	URL string
	Log *slog.Logger // nil: nothing is logged
}

// Source is a source whose repository is at a forge.
type Source struct {
	Forge   forge.Forge
	Commits Commits
	Merge   Merge
	// Branch is the branch that the source follows now; empty: it is not known yet, or
	// the source follows none.
	Branch func() string
	// Interval is how often the forge is asked though nothing is known to have changed;
	// at least MinInterval.
	Interval time.Duration

	Comments bool // write comments on pull requests
	Statuses bool // set statuses of commits
	// Forks: pull requests of forks are planned while they have Label.
	Forks bool
	Label string
}

// Sync is a sync that reads one of the sources.
type Sync struct {
	Name     string
	Source   string
	Path     string // folder in the source; empty for all of it
	Marathon string // its name; empty: there is one
}

// Reporter reports to the forges of sources while this replica leads. Its methods may
// be called from several goroutines, and but for Run and Reload none of them waits.
type Reporter struct {
	log *slog.Logger

	reloading sync.Mutex // by one at a time

	mu      sync.Mutex
	options Options
	ctx     context.Context    // of the term; nil: there is none
	workers map[string]*worker // by source, while there is a term
}

var _ reconcile.Observer = (*Reporter)(nil)

// New returns a reporter that does nothing until Run.
func New(o Options) *Reporter {
	return &Reporter{log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), options: o, workers: map[string]*worker{}}
}

// Run reports until ctx, that of a term as leader, ends. What it was doing then is
// cancelled: the next term finds what is there and goes on from that.
func (r *Reporter) Run(ctx context.Context) {
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		panic("report: already running")
	}
	r.ctx = ctx
	r.startMissing()
	r.mu.Unlock()

	<-ctx.Done()
	r.mu.Lock()
	stopped := slices.Collect(maps.Values(r.workers))
	r.ctx, r.workers = nil, map[string]*worker{}
	r.mu.Unlock()
	for _, w := range stopped {
		w.stop()
	}
}

// Reload replaces sources and syncs. What works on a source that is gone or differs has
// ended when it returns, so that it may be closed.
func (r *Reporter) Reload(o Options) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.mu.Lock()
	r.options = o
	var stopped []*worker
	for name, w := range r.workers {
		if o.Sources[name] != w.source {
			stopped = append(stopped, w)
			delete(r.workers, name)
			continue
		}
		w.configure(r.settingsOf(name))
	}
	r.mu.Unlock()
	for _, w := range stopped {
		w.stop()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil {
		r.startMissing()
	}
}

// startMissing starts a worker for each source that has none. Called with mu held.
func (r *Reporter) startMissing() {
	for name, s := range r.options.Sources {
		if r.workers[name] == nil {
			r.workers[name] = startWorker(r.ctx, name, s, r.settingsOf(name), r.log.With("source", name, "forge", s.Forge.String()))
		}
	}
}

// settingsOf is what a worker is told besides its source. Called with mu held.
func (r *Reporter) settingsOf(source string) settings {
	s := settings{planner: r.options.Planner, url: r.options.URL}
	for _, y := range r.options.Syncs {
		if y.Source == source {
			s.syncs = append(s.syncs, y)
		}
	}
	return s
}

// Request has the forge of a source asked soon, as after a webhook: what it tells of
// is found out by asking. A source without a forge is none of its business.
func (r *Reporter) Request(source string) {
	if w := r.worker(source); w != nil {
		w.request()
	}
}

// worker is that of a source; nil: it has no forge, or there is no term.
func (r *Reporter) worker(source string) *worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[source]
}

// workerOf is that of the source of a sync; nil as in worker.
func (r *Reporter) workerOf(sync string) *worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, y := range r.options.Syncs {
		if y.Name == sync {
			return r.workers[y.Source]
		}
	}
	return nil
}

// ChangesBegan implements reconcile.Observer.
func (r *Reporter) ChangesBegan(b reconcile.Began) {
	if w := r.workerOf(b.Sync); w != nil {
		w.changesBegan(b)
	}
}

// ChangeEnded implements reconcile.Observer: what became of all changes is in its Ended.
func (r *Reporter) ChangeEnded(string, apply.Outcome) {}

// ReconciliationEnded implements reconcile.Observer.
func (r *Reporter) ReconciliationEnded(e reconcile.Ended) {
	if w := r.workerOf(e.Sync); w != nil {
		w.planned(e)
		w.reconciled(e)
	}
}

// Status tells how reporting to each forge goes, by the name of the source. It is empty
// while another replica leads.
func (r *Reporter) Status() []status.Forge {
	r.mu.Lock()
	workers := maps.Clone(r.workers)
	r.mu.Unlock()
	var all []status.Forge
	for _, name := range slices.Sorted(maps.Keys(workers)) {
		all = append(all, workers[name].status())
	}
	return all
}

// ErrNotLeading is returned where something is asked for that only the replica that
// leads knows.
var ErrNotLeading = reconcile.ErrNotLeading

// ErrNoPull is returned for a pull request of which there is no plan.
var ErrNoPull = errors.New("no plan of this pull request")
