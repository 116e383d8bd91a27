package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/internal/wait"
)

const (
	// requestPause is the least time between two lists of pull requests that webhooks
	// ask for. The first is made at once.
	requestPause = time.Second
	// minBackoff and maxBackoff bound how long a key waits after failures in a row.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute
	// maxPause is the longest time for which a forge that does not answer is left alone.
	maxPause = time.Minute
	// deniedRetry is when what was denied is tried again: somebody may have given the
	// token its right.
	deniedRetry = 5 * time.Minute
	// maxQueue bounds how many keys wait. What does not fit is found again by a list,
	// once there is room.
	maxQueue = 4 * forge.MaxPulls
)

// kind is what a key asks for.
type kind string

const (
	kindList   kind = "list"   // list the pull requests, and see which of them are to be looked at
	kindPull   kind = "pull"   // bring what is said of a pull request up to date
	kindCommit kind = "commit" // the same for a commit and a sync
	kindSync   kind = "sync"   // see which pull requests a reconciliation of a sync may have changed
)

// key is something that is to be brought up to date. It says what may have changed
// and not how: one that is queued twice is handled once, and one too many does no harm.
type key struct {
	kind   kind
	number int    // of a pull request
	commit string // hash
	sync   string
}

func (k key) String() string {
	switch k.kind {
	case kindPull:
		return fmt.Sprintf("pull/%d", k.number)
	case kindCommit:
		return fmt.Sprintf("commit/%s/%s", k.commit, k.sync)
	case kindSync:
		return "sync/" + k.sync
	}
	return string(k.kind)
}

// settings are what a worker is told by Reload without being started again.
type settings struct {
	planner Planner
	url     string
	syncs   []Sync
}

// worker reports to the forge of one source for one term. Its queue may be added to
// from everywhere; all else is done by one goroutine, which alone waits for the forge
// and for git.
type worker struct {
	name   string
	source *Source
	log    *slog.Logger
	queue  workqueue.TypedRateLimitingInterface[key]

	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex // never held while something slow is called
	settings settings
	health   health
	asked    time.Time // when a list was last asked for by request
	overflow bool      // keys were dropped
	pulls    pulls
	commits  commits
}

// startWorker begins with a list.
func startWorker(ctx context.Context, name string, s *Source, t settings, log *slog.Logger) *worker {
	w := &worker{name: name, source: s, log: log, settings: t, queue: workqueue.NewTypedRateLimitingQueue[key](newBackoff()), pulls: newPulls(), commits: newCommits()}
	ctx, w.cancel = context.WithCancel(ctx)
	w.group.Go(func() { w.work(ctx) })
	w.group.Go(func() {
		wait.Every(ctx, max(s.Interval, MinInterval), w.poll)
	})
	context.AfterFunc(ctx, w.queue.ShutDown)
	w.add(key{kind: kindList})
	return w
}

func (w *worker) stop() {
	w.cancel()
	w.group.Wait()
}

// configure puts new settings in force, under which every plan may differ.
func (w *worker) configure(t settings) {
	w.mu.Lock()
	w.settings = t
	w.mu.Unlock()
	w.forget()
	w.add(key{kind: kindList})
}

// configured is what is in force now.
func (w *worker) configured() settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings
}

// poll has the pull requests listed, unless that was denied: then it comes again by itself.
func (w *worker) poll() {
	list := key{kind: kindList}
	w.mu.Lock()
	_, denied := w.health.denied[list]
	w.mu.Unlock()
	if !denied {
		w.add(list)
	}
}

// request has the pull requests listed soon: at once, if that was not asked for within
// requestPause.
func (w *worker) request() {
	now := time.Now()
	w.mu.Lock()
	delay := w.asked.Add(requestPause).Sub(now)
	if delay <= 0 {
		w.asked = now
	}
	w.mu.Unlock()
	if delay > 0 {
		w.queue.AddAfter(key{kind: kindList}, delay)
		return
	}
	w.add(key{kind: kindList})
}

// add makes a key due now. It never waits.
func (w *worker) add(k key) {
	if w.queue.Len() >= maxQueue && k.kind != kindList {
		w.mu.Lock()
		w.overflow = true
		w.mu.Unlock()
		return
	}
	w.queue.Add(k)
}

// work handles keys, one after the other, until ctx ends.
func (w *worker) work(ctx context.Context) {
	for {
		k, stopped := w.queue.Get()
		if stopped {
			return
		}
		if wait.Sleep(ctx, time.Until(w.pausedUntil())) != nil {
			return
		}
		err := w.handle(ctx, k)
		if ctx.Err() != nil {
			return // unknown to the forge as far as we know: the next term looks
		}
		w.ended(k, err)
		w.queue.Done(k)
		w.refill()
	}
}

// handle brings up to date what a key names.
func (w *worker) handle(ctx context.Context, k key) error {
	switch k.kind {
	case kindList:
		return w.list(ctx)
	case kindPull:
		return w.pull(ctx, k.number)
	case kindCommit:
		return w.commit(ctx, k.commit, k.sync)
	case kindSync:
		w.compare(k.sync)
	}
	return nil
}

// refill lists everything, once there is room again for what was dropped.
func (w *worker) refill() {
	w.mu.Lock()
	again := w.overflow && w.queue.Len() < maxQueue/2
	if again {
		w.overflow = false
	}
	w.mu.Unlock()
	if again {
		w.log.Warn("more was to be reported than is kept: all pull requests are read again")
		w.forget()
		w.recommit()
		w.add(key{kind: kindList})
	}
}

// soonError asks for a key again after a time, which is no failure.
type soonError struct {
	after time.Duration
	why   string
}

func (e *soonError) Error() string { return e.why }

// ended decides what follows a key:
//
//	error                             the key                        other keys of the source
//	none                              is done                        go on
//	soonError                         comes again after its time     go on
//	RateLimitError                    comes again at its time        wait until its time
//	no answer, or one from 500 on     as below, or with the first    wait: 1 s, doubled, up to a minute
//	                                  answer
//	ErrDenied                         comes again in 5 minutes       go on
//	other                             1 s, doubled, up to 5 minutes  go on
//
// So a forge that is down is asked once in a while and not once for each key, and all
// of them are due as soon as it answers.
func (w *worker) ended(k key, err error) {
	var soon *soonError
	var limit *forge.RateLimitError
	switch {
	case err == nil:
		w.queue.Forget(k)
	case errors.As(err, &soon):
		w.queue.AddAfter(k, soon.after)
	case errors.As(err, &limit):
		w.queue.Add(k)
	case errors.Is(err, forge.ErrDenied):
		w.queue.Forget(k)
		w.queue.AddAfter(k, deniedRetry)
	default:
		w.queue.AddRateLimited(k)
	}
	for _, k := range w.note(k, err) {
		w.queue.Forget(k)
		w.queue.Add(k)
	}
}

// unreachable reports whether an error says that nothing else will succeed either, for
// now: there was no answer, or the forge itself failed.
func unreachable(err error) bool {
	if failed, ok := errors.AsType[*forge.StatusError](err); ok {
		return failed.Code >= 500
	}
	_, network := errors.AsType[*url.Error](err)
	return network
}

// health is how asking a forge goes.
type health struct {
	paused time.Time // nothing is asked before
	why    string    // it is paused
	limit  bool      // it is paused for a rate limit
	fails  int       // pauses in a row for which there was no answer
	since  time.Time // of the first of them
	denied map[key]string
	failed map[key]string // what else went wrong last, by key
	missed map[key]bool   // those that failed while there was no answer
}

// note keeps what an error says of the forge, and logs what is new in it. It returns
// what waits for the forge to answer, once it does.
func (w *worker) note(k key, err error) (due []key) {
	now := time.Now()
	var soon *soonError
	var limit *forge.RateLimitError
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &w.health
	if h.denied == nil {
		h.denied, h.failed, h.missed = map[key]string{}, map[key]string{}, map[key]bool{}
	}
	if errors.As(err, &limit) {
		h.paused, h.why, h.limit = limit.Until, err.Error(), true
		w.log.Warn("rate limit of the forge reached: reports wait", "until", limit.Until, "error", err)
		return nil
	}
	if err != nil && unreachable(err) {
		if h.fails++; h.fails == 1 {
			h.since = now
			w.log.Warn("the forge does not answer: reports wait", "key", k.String(), "error", err)
		}
		h.paused, h.why, h.limit = now.Add(wait.Jitter(wait.Backoff{Min: time.Second, Max: maxPause}.After(h.fails))), err.Error(), false
		h.missed[k] = true
		return nil
	}
	if h.fails > 0 {
		w.log.Info("the forge answers again", "after", now.Sub(h.since))
	}
	delete(h.missed, k)
	due = slices.Collect(maps.Keys(h.missed))
	*h = health{denied: h.denied, failed: h.failed, missed: map[key]bool{}}
	before, isDenied := h.denied[k]
	failed := h.failed[k]
	delete(h.denied, k)
	delete(h.failed, k)
	switch {
	case err == nil || errors.As(err, &soon):
	case errors.Is(err, forge.ErrDenied):
		if h.denied[k] = err.Error(); !isDenied || before != err.Error() {
			w.log.Error("the forge denies access: give the token of forge the right that it lacks (pacer check names it)", "key", k.String(), "error", err)
		}
	default:
		if h.failed[k] = err.Error(); failed != err.Error() {
			w.log.Warn("cannot report", "key", k.String(), "error", err)
		}
	}
	return due
}

func (w *worker) pausedUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health.paused
}

// status is what is shown of the forge.
func (w *worker) status() status.Forge {
	queued := w.queue.Len()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := status.Forge{Source: w.name, Forge: w.source.Forge.String(), Queue: queued, Pulls: w.pulls.open()}
	h := &w.health
	switch {
	case h.limit && h.paused.After(time.Now()):
		s.LimitedUntil, s.Error = h.paused, h.why
	case h.fails > 0:
		s.FailingSince, s.Error = h.since, h.why
	default:
		s.Error = firstOf(h.denied)
		if s.Error != "" {
			s.Denied = true
			break
		}
		s.Error = firstOf(h.failed)
	}
	return s
}

// firstOf is one of what went wrong, the same each time.
func firstOf(all map[key]string) string {
	first, why := "", ""
	for k, text := range all {
		if name := k.String(); first == "" || name < first {
			first, why = name, name+": "+text
		}
	}
	return why
}

// backoff doubles from minBackoff to maxBackoff, less up to a quarter, so that keys
// that failed together are not tried together.
type backoff struct {
	workqueue.TypedRateLimiter[key]
}

func newBackoff() backoff {
	return backoff{workqueue.NewTypedItemExponentialFailureRateLimiter[key](minBackoff, maxBackoff)}
}

// When tells how long to wait before the next try.
func (b backoff) When(k key) time.Duration {
	d := b.TypedRateLimiter.When(k)
	return d - time.Duration(rand.Float64()*float64(d)/4)
}
