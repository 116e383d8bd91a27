package marathon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A request may take as long as Options.Timeout says, for a write to a Marathon of
// ten thousand apps takes seconds. Whether its Marathon is still there is known
// sooner: where nothing comes, GET /ping is asked, which any Marathon answers at
// once, a standby for the leader.
//
//	what is waited for               asked after          ended with  found out after
//	a read                           1.5 s of silence     one miss    4.5 s
//	a write                          1.5 s of silence     3 misses    12.5 s, for it may have been taken
//	events, requests of late         2 s of silence       one miss    5 s
//	events, at rest                  6 s of silence       one miss    9 s
//
// Silence is of all that comes from that Marathon, so what is busy is not asked. At
// rest an event stream has a keep-alive every 10 s, and so one question every 10 s,
// between two of them.
const (
	askPatience  = 1500 * time.Millisecond
	busyQuiet    = 2 * time.Second
	restQuiet    = 6 * time.Second
	busyFor      = 10 * time.Second // after the last request
	pulseTimeout = 3 * time.Second  // of GET /ping
	// pulseKept is for how long the answer to a question is taken for that to the next.
	pulseKept = time.Second
	// writeMisses are in a row.
	writeMisses = 3
)

// ErrNotThere is what requests and streams end with whose Marathon does not answer
// whether it is there.
var ErrNotThere = errors.New("it is not there")

// notThere is a Marathon that did not answer GET /ping.
type notThere struct {
	base  string    // URL, without secrets
	since time.Time // of which nothing has come
	found string    // what became of GET /ping
}

// Error names the time of day, which stays true.
func (e *notThere) Error() string {
	return fmt.Sprintf("%s has answered nothing since %s UTC: %s", e.base, e.since.UTC().Format(time.DateTime), e.found)
}

func (e *notThere) Is(target error) bool { return target == ErrNotThere }

// pulses are the signs of life of all that a client asks.
type pulses struct {
	ping   func(context.Context, *url.URL) (int, error)
	of     map[string]*pulse // by scheme and host
	used   atomic.Int64      // when a request was last made, in ns since born
	born   time.Time
	life   context.Context // ends with the client
	end    context.CancelFunc
	asking sync.WaitGroup
}

// pulse is that of one Marathon.
type pulse struct {
	all   *pulses
	base  *url.URL
	heard atomic.Int64 // when something last came, in ns since born

	mu    sync.Mutex
	asked int64         // when the first of what is unanswered was asked
	over  chan struct{} // closed when the question under way is over; nil: there is none
	err   *notThere     // of the last question; nil: it was answered, or something came since
	at    int64         // when that was over
}

func newPulses(bases []*url.URL, ping func(context.Context, *url.URL) (int, error)) *pulses {
	all := &pulses{ping: ping, of: map[string]*pulse{}, born: time.Now()}
	all.life, all.end = context.WithCancel(context.Background())
	for _, base := range bases {
		all.of[base.Scheme+base.Host] = &pulse{all: all, base: base}
	}
	return all
}

// close ends all questions.
func (a *pulses) close() {
	a.end()
	a.asking.Wait()
}

func (a *pulses) now() int64 { return int64(time.Since(a.born)) }

func (a *pulses) since(at int64) time.Duration { return time.Duration(a.now() - at) }

// use notes that something is asked.
func (a *pulses) use() { a.used.Store(max(1, a.now())) }

// at is the pulse of what a URL leads to, which is one of the bases.
func (a *pulses) at(u *url.URL) *pulse { return a.of[u.Scheme+u.Host] }

// quiet is for how long an event stream may say nothing before its Marathon is asked.
func (a *pulses) quiet() time.Duration {
	if used := a.used.Load(); used > 0 && a.since(used) < busyFor {
		return busyQuiet
	}
	return restQuiet
}

// hear notes that something came.
func (p *pulse) hear() { p.heard.Store(p.all.now()) }

// silent is for how long nothing came, at most since some time.
func (p *pulse) silent(since int64) time.Duration {
	return p.all.since(max(p.heard.Load(), since))
}

// note notes that something is asked now.
func (p *pulse) note() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked <= p.heard.Load() {
		p.asked = p.all.now()
	}
}

// there returns nil as long as a Marathon is not known to be away. One that did not
// answer last is asked once more before anything else is asked of it.
func (p *pulse) there(ctx context.Context) error {
	p.mu.Lock()
	away := p.away()
	p.mu.Unlock()
	if away == nil {
		return nil
	}
	return p.ask(ctx)
}

// away is what the last question has shown, unless something came since. Called with
// mu held.
func (p *pulse) away() *notThere {
	if p.err != nil && p.heard.Load() > p.at {
		p.err = nil
	}
	return p.err
}

// ask asks a Marathon whether it is there, or waits for whoever does so. Any answer
// means that it is, but for those by which a proxy tells that it is not.
func (p *pulse) ask(ctx context.Context) error {
	p.mu.Lock()
	if p.over == nil && p.at > 0 && p.all.since(p.at) < pulseKept {
		defer p.mu.Unlock()
		return p.result()
	}
	if p.over == nil {
		p.over = make(chan struct{})
		p.all.asking.Go(p.question)
	}
	over := p.over
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-over:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result()
}

// result is away as an error. Called with mu held.
func (p *pulse) result() error {
	if away := p.away(); away != nil {
		return away
	}
	return nil
}

// question is one GET /ping.
func (p *pulse) question() {
	p.note()
	began := p.all.now()
	ctx, cancel := context.WithTimeout(p.all.life, pulseTimeout)
	defer cancel()
	status, err := p.all.ping(ctx, p.base)
	found := ""
	switch {
	case err == nil && status < http.StatusBadGateway:
		p.hear()
	case err == nil:
		found = fmt.Sprintf("GET /ping is answered %d by what is before it", status)
	case ctx.Err() != nil:
		found = fmt.Sprintf("nor GET /ping within %s: check that it runs, and what hangs there", pulseTimeout)
	default:
		found = fmt.Sprintf("GET /ping: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.at = nil, p.all.now()
	if found != "" && p.heard.Load() < began { // else it has answered something else meanwhile
		p.err = &notThere{base: p.base.String(), since: p.all.born.Add(time.Duration(max(p.asked, p.heard.Load()))), found: found}
	}
	close(p.over)
	p.over = nil
}

// vigil ends a request whose Marathon is not there any more.
type vigil struct {
	p      *pulse
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  int64
	most   int // unanswered questions
	misses int
	timer  *time.Timer
}

// watch begins a vigil over what ends with the context that is returned.
func (p *pulse) watch(ctx context.Context, most int) (context.Context, *vigil) {
	p.note()
	v := &vigil{p: p, began: p.all.now(), most: most}
	v.ctx, v.cancel = context.WithCancelCause(ctx)
	v.timer = time.AfterFunc(time.Hour, v.look)
	v.timer.Reset(askPatience) // once the timer is set
	return v.ctx, v
}

// end ends the vigil, and its context.
func (v *vigil) end() {
	v.timer.Stop()
	v.cancel(nil)
}

func (v *vigil) look() {
	if v.ctx.Err() != nil {
		return
	}
	if silent := v.p.silent(v.began); silent < askPatience {
		v.misses = 0
		v.timer.Reset(askPatience - silent)
		return
	}
	switch err := v.p.ask(v.ctx); {
	case v.ctx.Err() != nil:
	case err == nil:
		v.misses = 0
		v.timer.Reset(askPatience)
	case v.misses+1 >= v.most:
		v.cancel(err)
	default:
		v.misses++
		v.timer.Reset(pulseKept)
	}
}

// heardBody is an answer that is a sign of life while it is read.
type heardBody struct {
	io.ReadCloser
	p *pulse
}

func (b heardBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if n > 0 {
		b.p.hear()
	}
	return n, err
}

// newPing returns what asks GET /ping, by a connection of its own: one that has died
// unseen, or waits for a place among others, says nothing of Marathon.
func (c *Client) newPing(t *http.Transport) func(context.Context, *url.URL) (int, error) {
	t = t.Clone()
	t.DisableKeepAlives, t.MaxConnsPerHost = true, 0
	sender := c.newHTTP(t)
	return func(ctx context.Context, base *url.URL) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String()+"/ping", nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Accept", "*/*")
		req.Header.Set("User-Agent", c.options.UserAgent)
		_ = c.options.Auth.set(req) // without, it is refused, which is an answer
		resp, err := sender.Do(req)
		if err != nil {
			return 0, errors.New(strings.TrimSpace(oneLine(unwrapURL(err).Error())))
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBytes) // the status says enough
		return resp.StatusCode, nil
	}
}
