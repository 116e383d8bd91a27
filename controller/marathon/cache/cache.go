// Package cache keeps a live copy of a Marathon: read once as a whole, and from then on
// only what its events name. See Cache for what it promises.
//
// Requests and the form of answers are the client's, in marathon. What a state means is
// the reconciliation's.
package cache

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/manifests"
)

// Cache is the live state of one Marathon, kept current by its events: read
// once as a whole, then only what an event names.
//
// # What it promises
//
//   - State is never older than the last write that this process was answered
//     (by the Cache's Client), nor than what Confirm was asked for.
//   - Of each app and pod it is something that Marathon said, whole: never a
//     mixture, never a guess from an event. Different ids may have been read at
//     different moments.
//   - Where nothing is heard (no stream yet, or it broke) or a read failed,
//     State reads everything itself, and what cannot be read is an error: an old
//     state is not shown for a new one, nor an empty one for none.
//   - Events may be lost, doubled or late. What they would have told is found
//     by the next list: after every reconnect, every Resync, and as soon as the
//     version of the root shows that a write was not heard of.
//
// So who reads to decide what to write gets what an event was already there
// for, and asks Confirm about the ids in question before it writes.
//
// # How it works
//
// One goroutine holds the stream and only marks what events name; another
// reads, one round after the other, so that no answer overtakes another: single
// Apps where they are few, one list where they are many, and that once the
// burst is over.
type Cache struct {
	up      upstream
	options Options

	mu      sync.Mutex
	running bool
	news    chan struct{} // closed and made anew when what State waits for may have come
	wake    wait.Signal

	stream    int    // moves with each stream
	streaming bool   // one is open
	refused   uint64 // attempts to open one that failed
	refusal   error  // of the last of them
	synced    bool   // a whole list was read since, and every round after it
	marks     marks

	cluster     manifests.Cluster
	frame       marathon.GroupTree
	apps        map[string]marathon.Listed
	pods        map[string]marathon.Pod
	deployments []marathon.Deployment
	snapshot    *marathon.State  // what was handed out last; nil: it is out of date
	read        map[string]int64 // id → when the round that read it alone began, in ns of clock

	// Lists are asked for by number: one serves all that asked before it began.
	asked, served, failed uint64
	err                   error // of failed
	listed                int64 // when the last list that succeeded began
	// Writes, and what must be read before State may answer, by number too.
	writes uint64
	owed   map[string]uint64

	waiting int // for news

	pool  *pool // of the worker alone
	pace  pace
	begun time.Time
	subs  map[*Changes]bool
}

// Options are what a Cache is made of. The zero value will do.
type Options struct {
	// Resync is how often everything is read though nothing seems to have been
	// missed, give or take a tenth; zero: 5 min.
	Resync time.Duration
	Log    *slog.Logger // nil: nothing is logged
}

// DefaultResync is how often a Cache reads everything.
const DefaultResync = 5 * time.Minute

// New returns a cache of what c reads, which learns of what c writes. It
// asks nothing until Run.
func New(c *marathon.Client, o Options) *Cache {
	cache := newCache(clientUpstream{c}, o)
	c.OnWrite(cache.wrote)
	return cache
}

func newCache(up upstream, o Options) *Cache {
	o.Resync = cmp.Or(o.Resync, DefaultResync)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Cache{
		up: up, options: o, news: make(chan struct{}), wake: wait.NewSignal(),
		pool: newPool(), marks: newMarks(), owed: map[string]uint64{}, read: map[string]int64{}, subs: map[*Changes]bool{}, begun: time.Now(),
	}
}

// Run keeps the cache until ctx ends. It may be called once at a time.
func (c *Cache) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("marathon: the cache is already running")
	}
	c.running = true
	c.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() { c.listen(ctx) })
	group.Go(func() { c.work(ctx) })
	group.Wait()
	c.mu.Lock()
	c.running, c.synced = false, false
	c.tell()
	c.mu.Unlock()
	return nil
}

// State returns all that Marathon holds, whole, or an error: at once where
// nothing is known to be out of date. The result is shared: it must not be
// changed.
func (c *Cache) State(ctx context.Context) (marathon.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	writes := c.writes
	ticket := uint64(0) // of a list; 0: none was asked for
	for {
		switch {
		case ticket > 0 && c.served >= ticket:
			return c.assembled(), nil
		case ticket > 0 && c.failed >= ticket:
			return marathon.State{}, c.err
		case !c.running:
			return c.direct(ctx)
		case c.streaming && c.synced:
			if !c.owes(writes) {
				return c.assembled(), nil
			}
		case ticket == 0:
			c.asked++
			ticket = c.asked
		}
		c.wake.Notify()
		if err := c.await(ctx); err != nil {
			return marathon.State{}, err
		}
	}
}

// Confirm returns the state with what the ids are now: they are read anew,
// unless that was done within the last second. Who is about to write asks for
// what the write is about.
func (c *Cache) Confirm(ctx context.Context, ids []string) (marathon.State, error) {
	c.mu.Lock()
	recent := c.clock() - int64(confirmAge)
	switch hearing := c.streaming && c.synced; {
	case c.served > 0 && c.listed >= recent && len(c.owed) == 0 && c.failed < c.served:
		defer c.mu.Unlock()
		return c.assembled(), nil
	case hearing && c.listed < recent:
		c.owe(slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			at, alone := c.read[id]
			return alone && at >= recent
		}))
	}
	c.mu.Unlock()
	return c.State(ctx)
}

// confirmAge is how old a reading may be to count as confirmed: it is younger
// than what a pass takes at ten thousand apps.
const confirmAge = time.Second

// direct reads past the cache, which does not run. Called with mu held.
func (c *Cache) direct(ctx context.Context) (marathon.State, error) {
	c.mu.Unlock()
	defer c.mu.Lock()
	r, err := c.up.List(ctx, nil)
	if err != nil {
		return marathon.State{}, err
	}
	return r.State(), nil
}

// await waits for news. Called with mu held.
func (c *Cache) await(ctx context.Context) error {
	news := c.news
	c.waiting++
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.waiting-- }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-news:
		return nil
	}
}

// tell wakes who waits for news. Called with mu held.
func (c *Cache) tell() {
	close(c.news)
	c.news = make(chan struct{})
}

// clock is the time in nanoseconds, on a clock that does not jump.
func (c *Cache) clock() int64 { return int64(time.Since(c.begun)) }

// owes tells whether something written, or to be confirmed, up to a number is
// still to be read. Called with mu held.
func (c *Cache) owes(upTo uint64) bool {
	for _, n := range c.owed {
		if n <= upTo {
			return true
		}
	}
	return false
}

// owe has ids read before State answers whoever asks from now on. Called with
// mu held.
func (c *Cache) owe(ids []string) {
	if len(ids) == 0 {
		return
	}
	c.writes++
	for _, id := range ids {
		c.owed[id] = c.writes
	}
	c.marks.frame, c.marks.deployments = true, true
}

// wrote is told of each write of the Client, also of one that failed: it may
// have arrived. version is the root's, if Marathon told it.
func (c *Cache) wrote(ids []string, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owe(ids)
	if version != "" {
		c.marks.explained(version)
	}
	c.wake.Notify()
}

// assembled is the present state. Called with mu held.
func (c *Cache) assembled() marathon.State {
	if c.snapshot == nil {
		r := marathon.Listing{Cluster: c.cluster, GroupTree: c.frame, Apps: c.apps, Pods: c.pods, Deployments: c.deployments}
		s := r.State()
		c.snapshot = &s
	}
	return *c.snapshot
}

// pace is when the worker may do what.
type pace struct {
	resync  time.Time     // the next one
	list    time.Time     // end of the last list
	took    time.Duration // by it
	retry   time.Time     // not before that, after a failure
	failing int
	round   time.Time // not before that, the next round
}

// How the worker paces itself.
const (
	roundBreath = 20 * time.Millisecond  // between two rounds: a burst is one
	roundShare  = 2                      // and so many times as long as one takes
	gather      = 5 * time.Millisecond   // several events tell of one write
	naming      = 50 * time.Millisecond  // the one that names what it was about may come later than the others
	settled     = 500 * time.Millisecond // without a mark: a burst is over
	longestWait = 15 * time.Second       // for the end of a burst
	leastGap    = 5 * time.Second        // between two lists that only events ask for
	gapShare    = 20                     // and so many times as long as one takes
	late        = 2 * time.Second        // an event of a write that is seen already
)

var readBackoff = wait.Backoff{Min: 250 * time.Millisecond, Max: 15 * time.Second}

// singles is up to how many apps are read one by one.
func (c *Cache) singles() int { return max(16, marathon.AloneOf(len(c.apps))) }

// fewMembers is up to how many apps of a group are read for a write that does not
// say which of them it was about.
const fewMembers = 200
