package reconcile

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"golang.org/x/sync/errgroup"
)

// Config is what a reconciler works with.
type Config struct {
	Sync      Sync
	Log       *slog.Logger
	Store     store.Store
	Archive   store.Archive // nil: there is none, and no rollback
	Source    Answers
	Live      Live
	Applier   Applier
	Observers []Observer
	View      *View
	Authors   *Authors
	Slots     chan struct{} // a place for each reconciliation that reads and plans; of all syncs
}

// Reconciler reconciles one sync, again and again. What it remembers from one
// reconciliation to the next is used by the one in progress alone.
type Reconciler struct {
	Config

	reader    *manifests.Reader
	record    record
	conflicts map[string]conflict       // id → its drift that was healed
	gone      goneIDs                   // of the inventory: see examine
	change    knownChange               // who changed last what it reads
	kept      string                    // the revision that was last found worth keeping, and is kept
	pinned    *recalled                 // what a rollback asks for, once it was read
	waits     waits                     // since when changes wait
	tried     map[string]status.Attempt // id → the last of what is tried again
	known     plan.Known                // what was found equal
	looked    *Term                     // of which one has read everything
	following bool                      // the last one saw the leader at work
}

// New returns a reconciler of a sync of which nothing is known yet.
func New(c Config) *Reconciler {
	return &Reconciler{
		Config: c, reader: manifests.NewReader(), conflicts: map[string]conflict{}, waits: waits{}, tried: map[string]status.Attempt{}, gone: goneIDs{},
	}
}

// record is what the store holds of a sync.
type record struct {
	state  store.State
	loaded bool  // it was read from the store
	reads  int   // attempts to read it
	term   *Term // in which that was
	dirty  bool  // it holds what is not saved yet
	ahead  bool  // so it does, of what is noted ahead of a write: Sent and Healthy
}

// Live is Marathon, as the reconciliations of one sync see it.
type Live interface {
	// State returns all that Marathon holds, whole, or an error: never a part.
	State(ctx context.Context) (marathon.State, error)
	// Confirm returns the state with what the ids are now; isNews: State may be a
	// moment old.
	Confirm(ctx context.Context, ids []string) (s marathon.State, isNews bool, err error)
	// Witness is who can be asked about what State lacks; nil: nobody.
	Witness() Witness
	// Plan is what the plan needs of a state.
	Plan(s marathon.State) plan.Live
	// Restarts remembers when tasks failed.
	Restarts() *status.Restarts
	// Address is its URLs, for people, without secrets.
	Address() string
	// Waiting has what is shown read often, until end is called.
	Waiting() (end func())
	// ChangeEnded has it read soon.
	ChangeEnded()
}

// Answers is what a source has answered, as its reconciliations ask about that to
// tell a force-push from a server that lags behind.
type Answers interface {
	// Followed is what a sync follows there, such as a branch, and where that is.
	Followed() (selects, location string)
	// ShowsNewest notes that the source shows the newest revision that was applied.
	ShowsNewest(id string, newest *store.Newest)
	// HasShown reports whether the source itself has shown the newest revision
	// before it went back in a term.
	HasShown(ctx context.Context, newest *store.Newest, term time.Time) bool
	// Confirm has the source asked again until a revision is confirmed.
	Confirm(id string)
	// IsConfirmed reports whether the source has answered with a revision so often
	// in a row that it is believed though it is older.
	IsConfirmed(id string) bool
	// AskedSince is since when the source is asked in a term that began at a time.
	AskedSince(term time.Time) time.Time
}

// SideBySide calls do for 0 … n-1, on as many processors as there are, and
// returns when all are done. It is for work that waits for nothing.
func SideBySide(n int, do func(i int)) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = g.Wait() // none fails
}

// LiveOf is what the plan needs of Marathon's state.
func LiveOf(s marathon.State) plan.Live {
	live := plan.Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}, Groups: s.Groups}
	for id, a := range s.Apps {
		live.Apps[id] = a.Definition
	}
	for id, p := range s.Pods {
		live.Pods[id] = p.Definition
	}
	return live
}
