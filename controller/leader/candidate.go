package leader

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Candidate is made of. Ensemble and Timeout are needed.
type Options struct {
	Ensemble Ensemble
	// Timeout is the session timeout, T: four ticks of the ensemble at least.
	// Where a server grants another one the candidate does not stand.
	Timeout time.Duration
	// Address is the URL at which other replicas reach this one.
	Address string
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured
	Clock   Clock                 // nil: SystemClock
}

// Candidate is one replica that stands for election. Its methods may be called
// from several goroutines.
type Candidate struct {
	o       Options
	metrics *metrics
	events  chan heard

	mu      sync.Mutex
	running bool
	status  Status
	lease   *Lease // nil: none
	path    string // of the own node; empty: none
	session Session
	id      string // of the own nodes in the session
	report  []byte // which sources cannot be read; nil: not known yet
}

// Term is a time of leading without a gap.
type Term struct {
	// Epoch is the czxid of the own node: it grows with each leader. A leader
	// that has its lease back after a gap has the same as before.
	Epoch int64
	Lease *Lease
}

// Status is what is known of the election.
type Status struct {
	State State `json:"state"`
	// Leading: this replica has a lease.
	Leading bool `json:"leading"`
	// Epoch grows with each election; of the leader, as far as it is known.
	Epoch int64 `json:"epoch,omitempty"`
	// LeaseSeconds is how long the own lease lasts yet, if it is not renewed.
	LeaseSeconds float64 `json:"leaseSeconds,omitempty"`
	// Leader is the URL of the first in line, as far as it is known.
	Leader string `json:"leader,omitempty"`
	// LeaderUnproved: nothing proves that Leader is the URL of a replica; see Trust.
	LeaderUnproved bool `json:"leaderUnproved,omitempty"`
	// Candidates is how many replicas stand for election.
	Candidates int `json:"candidates"`
	// Reason says why this one does not.
	Reason string `json:"reason,omitempty"`
}

// NotReady says why this replica could not become the leader; empty: it could,
// or it is.
func (s Status) NotReady() string {
	if s.Reason == "" && (s.State == Connecting || s.State == Joining) {
		return "no ZooKeeper session yet"
	}
	return s.Reason
}

// heard is an event, and what comes with it.
type heard struct {
	event
	session Session  // connected
	who     *Replica // identified: who is the first in line
	told    *told    // what became of a report
}

// Replica is one that stands for election.
type Replica struct {
	Address string // URL, as it gives it
	Epoch   int64
	Trust   Trust // in the address
	node    string
}

// ErrNobody is returned where no leader is known.
var ErrNobody = errors.New("no leader is known")

// New returns a candidate that does nothing until Lead.
func New(o Options) (*Candidate, error) {
	if o.Ensemble == nil || o.Timeout <= 0 {
		return nil, errors.New("leader: Ensemble and Timeout are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = SystemClock{}
	}
	c := &Candidate{o: o, events: make(chan heard, 16), status: Status{State: Connecting}}
	var err error
	if c.metrics, err = newMetrics(o.Metrics, c.Status); err != nil {
		return nil, fmt.Errorf("leader: cannot register metrics: %w", err)
	}
	return c, nil
}

// Status returns what is known now.
func (c *Candidate) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	if c.lease != nil {
		left := c.lease.Left()
		s.Leading, s.LeaseSeconds = left > 0, left.Seconds()
	}
	return s
}

// Lease returns the lease in force, if something new may be begun under it. Any
// error is, or wraps, ErrNoLease.
func (c *Candidate) Lease() (*Lease, error) {
	c.mu.Lock()
	lease, s := c.lease, c.status
	c.mu.Unlock()
	switch {
	case lease != nil:
		return lease, lease.Begin()
	case s.Reason != "":
		return nil, fmt.Errorf("%w: %s", ErrNoLease, s.Reason)
	case s.Leader != "" && s.Leader != c.o.Address:
		return nil, fmt.Errorf("%w: the leader is %s", ErrNoLease, s.Leader)
	}
	return nil, fmt.Errorf("%w: it is %s", ErrNoLease, s.State)
}

// Node is the path of the own node while this replica has a lease: what a write
// to ZooKeeper can be made to depend on.
func (c *Candidate) Node() (string, error) {
	lease, err := c.Lease()
	if lease != nil && err != nil {
		err = lease.Err() // what is under way may end, also while it is handed over
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" {
		return "", ErrNoLease
	}
	return c.path, nil
}

// Leader asks ZooKeeper who is the first in line now. ErrNobody: nobody is.
func (c *Candidate) Leader(ctx context.Context) (Replica, error) {
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session == nil {
		return Replica{}, fmt.Errorf("%w: this replica has no ZooKeeper session", ErrNobody)
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout/2)
	defer cancel()
	line, err := session.Line(ctx)
	if err != nil {
		return Replica{}, fmt.Errorf("%w: %w", ErrNobody, err)
	}
	places, _ := line.places()
	if len(places) == 0 {
		return Replica{}, ErrNobody
	}
	return identify(ctx, session, places[0].name)
}

func identify(ctx context.Context, s Session, node string) (Replica, error) {
	who, err := s.Read(ctx, node)
	if err != nil {
		return Replica{}, fmt.Errorf("%w: %w", ErrNobody, err)
	}
	return who, nil
}

// Abdicate hands over to the next in line, and stands for election again behind
// it. It returns ErrNoLease where this replica does not lead; it does not wait.
func (c *Candidate) Abdicate(ctx context.Context) error {
	if _, err := c.Lease(); err != nil {
		return err
	}
	select {
	case c.events <- heard{event: event{kind: abdicated}}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lead stands for election until ctx ends, and then hands over: the work has a
// second to end in. While this replica has a lease, work runs; its context ends
// with the lease, and it must return then. It is called again when there is
// another lease, never twice at once. Lead returns when the work has ended and
// the session is closed. It may be called once at a time.
func (c *Candidate) Lead(ctx context.Context, work func(context.Context, Term)) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("leader: it is a candidate already")
	}
	c.running = true
	c.mu.Unlock()
	r := &run{
		Candidate: c, work: work, outer: ctx, quit: make(chan struct{}),
		e: newElection(c.o.Timeout, c.o.Clock, mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64())), newID),
	}
	r.loop()
	close(r.quit)
	r.group.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.status = false, Status{State: Connecting}
	return nil
}

// newID is 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// run is one call of Lead: the shell around an election.
type run struct {
	*Candidate
	e     *election
	work  func(context.Context, Term)
	outer context.Context
	quit  chan struct{} // closed when nobody listens any more
	group sync.WaitGroup

	session    Session // of the term; nil: none yet
	ctx        context.Context
	cancel     context.CancelFunc // ends what is asked in the term
	unwatch    context.CancelFunc
	cancelWork context.CancelCauseFunc
	first      Replica // in line, as far as it is known

	telling bool    // a report is on its way
	tellAt  Instant // not before; zero: at any time
	toldIn  string  // the own node when the last report was taken
	told    []byte  // that report
}

func (r *run) loop() {
	stop := r.outer.Done()
	r.step(heard{event: event{kind: ticked}})
	for !r.e.ended {
		timer := time.NewTimer(r.e.wake(r.o.Clock.Now()))
		select {
		case h := <-r.events:
			r.step(h)
		case <-timer.C:
			r.step(heard{event: event{kind: ticked}})
		case <-stop:
			stop = nil
			r.step(heard{event: event{kind: stopped}})
		}
		timer.Stop()
	}
}

// post tells the loop, if it is there.
func (r *run) post(h heard) {
	select {
	case r.events <- h:
	case <-r.quit:
		r.hangUp(h.session)
	}
}

func (r *run) step(h heard) {
	if h.session != nil {
		if h.term != r.e.term || r.session != nil {
			r.hangUp(h.session)
			return
		}
		r.session = h.session
		r.follow(h.term, h.session)
	}
	switch {
	case h.told != nil:
		r.hasTold(h.told)
	case h.who != nil:
		if h.term == r.e.term {
			r.first = *h.who
		}
	default:
		for _, c := range r.e.step(r.o.Clock.Now(), h.event) {
			r.carryOut(c)
		}
	}
	r.meet()
	r.tell()
	r.publish()
}

// follow passes on what becomes of a session.
func (r *run) follow(term int, s Session) {
	ctx := r.ctx
	r.group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.Changed():
				r.post(heard{event: event{kind: linked, term: term, link: s.Connected()}})
			case <-s.Done():
				r.post(heard{event: event{kind: over, term: term, err: s.Err()}})
				return
			}
		}
	})
}

func (r *run) carryOut(c command) {
	switch c.verb {
	case doConnect:
		r.connect(c.term)
	case doJoin:
		r.ask(c.term, func(ctx context.Context, s Session) heard {
			node, epoch, err := s.Join(ctx, c.id, r.o.Address)
			return heard{event: event{kind: joined, node: node, epoch: epoch, err: err}}
		})
	case doList:
		r.ask(c.term, func(ctx context.Context, s Session) heard {
			line, err := s.Line(ctx)
			return heard{event: event{kind: listed, line: line, err: err}}
		})
	case doCheck:
		r.ask(c.term, func(ctx context.Context, s Session) heard {
			began := time.Now()
			err := s.Check(ctx, c.node)
			r.metrics.checked(time.Since(began), err)
			return heard{event: event{kind: checked, check: c.check, err: err}}
		})
	case doWatch:
		r.watch(c)
	case doClose:
		r.close(c.held)
	case doWork:
		r.begin(c)
	case doCancel:
		r.cancelWork(c.err)
	case doSay:
		r.o.Log.Log(r.outer, c.level, c.text, c.args...)
	case doEnd:
	}
}

// connectTimeout bounds an attempt to open a session; the next has a connection
// and names of its own.
const connectTimeout = 15 * time.Second

func (r *run) connect(term int) {
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(r.outer))
	ctx, cancel := context.WithTimeout(r.ctx, max(connectTimeout, r.o.Timeout))
	r.group.Go(func() {
		defer cancel()
		s, err := r.o.Ensemble.Dial(ctx)
		h := heard{event: event{kind: connected, term: term, err: err}, session: s}
		if err == nil {
			h.timeout = s.Timeout()
		}
		r.post(h)
	})
}

// ask does one call of the session in a goroutine of its own.
func (r *run) ask(term int, do func(context.Context, Session) heard) {
	s := r.session
	ctx, cancel := context.WithTimeout(r.ctx, r.o.Timeout/2)
	r.group.Go(func() {
		defer cancel()
		h := do(ctx, s)
		h.term = term
		r.post(h)
	})
}

func (r *run) watch(c command) {
	if r.unwatch != nil {
		r.unwatch()
	}
	ctx, cancel := context.WithCancel(r.ctx)
	r.unwatch = cancel
	s := r.session
	r.group.Go(func() {
		defer cancel()
		err := s.Gone(ctx, c.node)
		if ctx.Err() == nil {
			r.post(heard{event: event{kind: departed, term: c.term, err: err}})
		}
	})
}

// close closes the session of the term, and the next in line leads as soon as that
// has happened: so what a lease of this one let out is to be gone before.
func (r *run) close(held *sync.WaitGroup) {
	if r.cancel != nil {
		r.cancel()
	}
	if s := r.session; s != nil {
		r.group.Go(func() {
			held.Wait()
			r.hangUp(s)
		})
	}
	r.session, r.first = nil, Replica{}
}

// hangUp closes a session without waiting for it.
func (r *run) hangUp(s Session) {
	if s == nil {
		return
	}
	r.group.Go(func() {
		if err := s.Close(); err != nil {
			r.o.Log.Warn("a ZooKeeper session did not close", "error", err)
		}
	})
}

func (r *run) begin(c command) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.outer))
	r.cancelWork = cancel
	r.metrics.terms.Inc()
	r.o.Log.Info("leading", "epoch", c.epoch, "lease", c.lease.Left())
	r.mu.Lock()
	r.lease, r.path = c.lease, r.session.Path(r.e.node)
	r.mu.Unlock()
	r.group.Go(func() {
		r.work(ctx, Term{Epoch: c.epoch, Lease: c.lease})
		cancel(nil)
		r.post(heard{event: event{kind: worked}})
	})
}

// meet finds out who is the first in line, where that has changed.
func (r *run) meet() {
	if len(r.e.line) == 0 || r.e.line[0].name == r.first.node || r.session == nil {
		return
	}
	node := r.e.line[0].name
	r.first = Replica{node: node}
	r.ask(r.e.term, func(ctx context.Context, s Session) heard {
		who, err := identify(ctx, s, node)
		if err != nil {
			who = Replica{node: node} // the next listing tells who is there instead
		}
		return heard{who: &who}
	})
}

// publish shows what is known.
func (r *run) publish() {
	s := Status{State: r.e.state, Epoch: r.first.Epoch, Leader: r.first.Address, Candidates: len(r.e.line), Reason: r.e.reason}
	s.LeaderUnproved = s.Leader != "" && r.first.Trust != Proved
	if r.e.first {
		s.Epoch, s.Leader, s.LeaderUnproved = r.e.epoch, r.o.Address, false
	}
	r.metrics.inState(s.State)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.lease, r.Candidate.session, r.id = s, r.e.lease, r.session, r.e.id
	if r.e.lease == nil {
		r.path = ""
	}
}
