package leader

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// State is where a candidate stands; see the package's comment.
type State string

// The states of a candidate.
const (
	Connecting   State = "connecting"
	Joining      State = "joining"
	Waiting      State = "waiting"
	Verifying    State = "verifying"
	Leading      State = "leading"
	Suspect      State = "suspect"
	Resuming     State = "resuming"
	SteppingDown State = "stepping down"
)

// States lists every state, in the order in which a candidate passes through.
func States() []State {
	return []State{Connecting, Joining, Waiting, Verifying, Leading, Suspect, Resuming, SteppingDown}
}

// ErrGone is what a check or a watch says of a node that is not there.
var ErrGone = errors.New("the node is gone")

// kind is the kind of an event.
type kind int

const (
	ticked    kind = iota // time has passed
	connected             // the session was opened, or not
	joined                // the node was made, or not
	listed                // what stands in ZooKeeper
	departed              // the node that was watched is gone, or watching failed
	checked               // a check was answered, or not
	linked                // a connection carries the session, or none does
	over                  // the session is over
	worked                // the work has ended
	abdicated             // somebody asks to hand over
	stopped               // somebody asks to hand over and to stand no more
)

// event is what happens to a candidate.
type event struct {
	kind    kind
	term    int           // whose connection it comes from; of another than now it is ignored
	err     error         // the answer is no success
	timeout time.Duration // connected: as the server granted it
	node    string        // joined: name of the own node
	epoch   int64         // joined: its czxid
	line    Line          // listed
	check   int           // checked: which
	link    bool          // linked: there is a connection
}

// verb says what a command is to do.
type verb int

const (
	doConnect verb = iota // open a session, answered by connected
	doJoin                // make the own node, answered by joined
	doList                // answered by listed
	doWatch               // answered by departed, when the node is gone
	doCheck               // answered by checked
	doClose               // close the session, once nobody holds a lease of it; nothing of it is heard any more
	doWork                // begin the work under a lease, answered by worked
	doCancel              // end the work, which is answered by worked
	doSay                 // log
	doEnd                 // the candidate stands no more
)

// command is what a candidate wants done. None is waited for.
type command struct {
	verb  verb
	term  int
	id    string // join
	node  string // watch, check
	check int
	lease *Lease          // work
	held  *sync.WaitGroup // close: nobody holds a lease of the term any more
	epoch int64           // work
	err   error           // cancel: why
	level slog.Level
	text  string
	args  []any
}

// election is one candidate: what it knows and what it wants. It is driven by
// step and read by the same goroutine.
type election struct {
	timeout  time.Duration // T
	patience time.Duration // T/2: when every lease of another has ended
	hasty    bool          // only for tests: the newest proof alone is enough
	clock    Clock         // for the leases, which others look at
	rand     *rand.Rand
	newID    func() string

	state    State
	reason   string // why it is not in line
	term     int    // of the connection
	dialing  bool
	retryAt  Instant
	failures int

	id, node string
	epoch    int64
	link     bool
	foreign  map[string]bool // told of already

	line     []place
	seen     bool    // the own node was seen in line
	seenAt   Instant // when, for the first time
	first    bool
	firstAt  Instant
	outcast  string
	listing  bool // under way
	relist   bool // once more after that
	listAt   Instant
	watching string

	checks   int
	checkAt  Instant
	inFlight map[int]Instant // check → when it was sent
	overdue  map[int]bool    // and was missed for that
	missed   int             // since the last that succeeded
	proofs   []proof         // the last that succeeded
	alive    Instant         // when the last of them was sent, or the node was made

	lease   *Lease
	held    *sync.WaitGroup // of all leases of the term
	led     bool            // this node has had a lease
	working bool
	leaving bool // handing over
	leaveBy Instant
	ending  bool // for good
	ended   bool

	out []command
}

// proof is a check that succeeded in time.
type proof struct{ sent, answered Instant }

// proofsKept is enough to find the three that a lease rests on.
const proofsKept = 8

// handOver is how long work may take to end before its lease does.
const handOver = time.Second

func newElection(timeout time.Duration, clock Clock, r *rand.Rand, newID func() string) *election {
	return &election{
		timeout: timeout, patience: timeout / 2, clock: clock, rand: r, newID: newID, state: Connecting, retryAt: clock.Now(),
		foreign: map[string]bool{}, held: new(sync.WaitGroup),
	}
}

// step takes an event and returns what is to be done for it.
func (e *election) step(now Instant, ev event) []command {
	e.out = nil
	if ev.term == e.term || ev.kind >= worked || ev.kind == ticked {
		e.take(now, ev)
	}
	if !e.ended {
		e.settle(now)
	}
	return e.out
}

func (e *election) take(now Instant, ev event) {
	switch ev.kind {
	case connected:
		e.dialing = false
		e.connected(now, ev)
	case joined:
		e.joined(now, ev)
	case listed:
		e.listed(now, ev)
	case departed:
		e.watching = ""
		if ev.err == nil || errors.Is(ev.err, ErrGone) {
			e.listSoon(now, 0)
		} else {
			e.listSoon(now, e.timeout/5)
		}
	case checked:
		e.checked(now, ev)
	case linked:
		e.link = ev.link
		if ev.link && e.node != "" { // what a watch would have told while there was none is lost
			e.checkAt, e.watching = now, ""
			e.listSoon(now, 0)
		}
	case over:
		e.drop(now, fmt.Errorf("the ZooKeeper session has ended: %w", ev.err), 0)
	case worked:
		e.working = false
	case abdicated:
		e.leave(now)
	case stopped:
		e.ending = true
		e.leave(now)
	}
}

func (e *election) do(c command) {
	c.term = e.term
	e.out = append(e.out, c)
}

func (e *election) say(level slog.Level, text string, args ...any) {
	e.do(command{verb: doSay, level: level, text: text, args: args})
}

func (e *election) connected(now Instant, ev event) {
	switch {
	case ev.err != nil:
		e.drop(now, ev.err, e.backOff())
	case ev.timeout != e.timeout:
		// A lease reckoned with another timeout than the server's protects nothing.
		e.drop(now, fmt.Errorf("ZooKeeper grants a session timeout of %s instead of the configured %s, so this replica is not a candidate: "+
			"set zookeeper.sessionTimeout to a value that the servers allow (2 to 20 of their ticks), or change their minSessionTimeout and maxSessionTimeout",
			ev.timeout, e.timeout), e.timeout)
	default:
		e.state, e.link = Joining, true
		e.id = e.newID()
		e.do(command{verb: doJoin, id: e.id})
	}
}

func (e *election) joined(now Instant, ev event) {
	if ev.err != nil {
		e.drop(now, ev.err, e.backOff())
		return
	}
	e.state, e.reason = Waiting, ""
	e.node, e.epoch = ev.node, ev.epoch
	e.inFlight, e.overdue, e.missed, e.proofs, e.alive, e.checkAt = map[int]Instant{}, map[int]bool{}, 0, nil, now, now
	e.listAt = now
}

// backOff is how long to wait after one failure more, give or take a half.
func (e *election) backOff() time.Duration {
	e.failures++
	d := wait.Backoff{Min: 50 * time.Millisecond, Max: e.timeout / 8}.After(e.failures)
	return d/2 + time.Duration(e.rand.Int64N(int64(d)+1))
}

// drop ends the term at once, and begins the next after a while.
func (e *election) drop(now Instant, why error, wait time.Duration) {
	if e.reason != why.Error() {
		level := slog.LevelWarn
		if e.leaving {
			level = slog.LevelInfo
		}
		e.say(level, "no longer a candidate for leadership", "node", e.node, "error", why)
	}
	e.endLease(why)
	e.do(command{verb: doClose, held: e.held})
	e.term++
	e.held = new(sync.WaitGroup)
	e.state, e.reason, e.retryAt = Connecting, why.Error(), now.Add(wait)
	e.dialing, e.link, e.listing, e.relist, e.watching, e.id, e.node, e.epoch = false, false, false, false, "", "", "", 0
	e.line, e.seen, e.first, e.outcast, e.led, e.leaving = nil, false, false, "", false, false
	e.inFlight, e.overdue, e.proofs = nil, nil, nil
}

// endLease ends the lease, if there is one, and with it the work.
func (e *election) endLease(why error) {
	if e.lease == nil {
		return
	}
	e.lease.end(fmt.Errorf("%w any more: %w", ErrNoLease, why))
	e.lease = nil
	if e.working {
		e.do(command{verb: doCancel, err: why})
	}
}

// leave hands over: work has a while to end, in which the lease still holds.
func (e *election) leave(now Instant) {
	if e.leaving || e.node == "" && !e.ending {
		return
	}
	e.leaving, e.leaveBy = true, now.Add(handOver)
	e.state = SteppingDown
	if e.lease != nil {
		e.lease.doubt(true)
		e.do(command{verb: doCancel, err: errHandOver})
	}
}

var errHandOver = errors.New("leadership is being handed over")

func (e *election) listSoon(now Instant, wait time.Duration) {
	e.listAt = now.Add(wait)
	e.relist = e.listing && wait == 0
}

func (e *election) listed(now Instant, ev event) {
	e.listing = false
	if ev.err != nil {
		e.listSoon(now, e.timeout/5)
		return
	}
	if e.relist {
		e.listSoon(now, 0)
	} else {
		e.listAt = now.Add(e.timeout)
	}
	e.relist = false
	line, foreign := ev.line.places()
	e.tellForeign(foreign)
	own := slices.IndexFunc(line, func(p place) bool { return p.name == e.node })
	if own < 0 {
		e.drop(now, fmt.Errorf("its node: %w: another client deleted it", ErrGone), 0)
		return
	}
	e.line = line
	if !e.seen {
		e.seen, e.seenAt = true, now
	}
	if own > 0 {
		e.watch(line[own-1].name)
		return
	}
	if !e.first {
		e.first, e.firstAt = true, now
		e.checkAt = now
	}
	if e.outcast = ev.line.outcast(); e.outcast != "" && !e.led {
		e.listAt = now.Add(e.timeout / 10)
	}
}

// watch watches the one before, and no other: where many watch one, its end
// wakes all of them for nothing.
func (e *election) watch(node string) {
	if e.watching != node {
		e.watching = node
		e.do(command{verb: doWatch, node: node})
	}
}

func (e *election) tellForeign(names []string) {
	for _, name := range names {
		if !e.foreign[name] && len(e.foreign) < 1000 {
			e.foreign[name] = true
			e.say(slog.LevelWarn, "ignoring a node among the candidates that is not Pacer's", "name", name)
		}
	}
}

func (e *election) checked(now Instant, ev event) {
	sent, known := e.inFlight[ev.check]
	late := e.overdue[ev.check]
	delete(e.inFlight, ev.check)
	delete(e.overdue, ev.check)
	switch {
	case !known:
	case errors.Is(ev.err, ErrGone):
		e.drop(now, fmt.Errorf("its node: %w: the session expired, or another client deleted it", ErrGone), 0)
	case late || ev.err == nil && now.Since(sent) > e.timeout/5:
		e.miss(late)
	case ev.err != nil:
		e.miss(false)
	default:
		e.prove(proof{sent, now})
	}
}

func (e *election) miss(counted bool) {
	if !counted {
		e.missed++
	}
}

// prove notes a check that succeeded in time, and makes the lease longer.
func (e *election) prove(p proof) {
	if n := len(e.proofs); n > 0 && p.sent.Since(e.proofs[n-1].sent) <= 0 {
		return // overtaken
	}
	e.missed, e.failures, e.alive = 0, 0, p.sent
	e.proofs = append(e.proofs, p)
	e.proofs = e.proofs[max(0, len(e.proofs)-proofsKept):]
	if e.lease == nil {
		return
	}
	if from, length := e.warrant(); length > 0 {
		_ = e.lease.extend(from, length) // settle sees one that has ended
	}
}

// warrant is from when and for how long the checks are a leave to write; see the
// package's comment.
func (e *election) warrant() (from Instant, length time.Duration) {
	n := len(e.proofs) - 1
	if n < 0 {
		return Instant{}, 0
	}
	newest := e.proofs[n]
	if e.hasty {
		return newest.sent, e.timeout / 2
	}
	between := e.before(n, newest.sent, 0)
	if between < 0 {
		return newest.sent, 0
	}
	oldest := e.before(between, e.proofs[between].sent, e.pingGap())
	if oldest < 0 {
		return newest.sent, 0
	}
	return newest.sent, min(e.timeout/2, e.timeout-newest.sent.Since(e.proofs[oldest].sent))
}

// before finds the newest proof before another that was answered at least some
// time before an instant; -1: there is none.
func (e *election) before(n int, at Instant, gap time.Duration) int {
	for n--; n >= 0; n-- {
		if at.Since(e.proofs[n].answered) >= gap {
			break
		}
	}
	return n
}

// pingGap is half a tick of the ensemble at most, since T is to be four of them
// at least: in so long its leader pings every server once.
func (e *election) pingGap() time.Duration { return e.timeout / 8 }

// settle does what is due.
func (e *election) settle(now Instant) {
	switch {
	case e.leaving && (!e.working || now.Since(e.leaveBy) >= 0):
		e.part(now)
	case e.state == Connecting && !e.dialing && now.Since(e.retryAt) >= 0:
		e.dialing = true
		e.do(command{verb: doConnect})
	case e.node != "" && now.Since(e.alive) >= e.timeout:
		e.drop(now, fmt.Errorf("ZooKeeper has confirmed nothing for %s", e.timeout), e.backOff())
	case e.node != "":
		e.ask(now)
		e.stand(now)
	}
}

// part ends the term in good order.
func (e *election) part(now Instant) {
	ending := e.ending
	e.drop(now, errHandOver, 0)
	e.reason = ""
	if ending {
		e.ended = true
		e.do(command{verb: doEnd})
	}
}

// maxInFlight is how many checks may wait for an answer.
const maxInFlight = 4

// ask sends what is due to ZooKeeper.
func (e *election) ask(now Instant) {
	for n, sent := range e.inFlight {
		if !e.overdue[n] && now.Since(sent) >= e.timeout/5 {
			e.overdue[n] = true
			e.missed++
		}
	}
	if now.Since(e.checkAt) >= 0 {
		e.checkAt = now.Add(e.timeout / 5)
		if e.first && e.lease == nil {
			e.checkAt = now.Add(e.pingGap() + e.timeout/50) // three of them are waited for
		}
		if len(e.inFlight) < maxInFlight {
			e.checks++
			e.inFlight[e.checks] = now
			e.do(command{verb: doCheck, node: e.node, check: e.checks})
		}
	}
	if !e.listing && now.Since(e.listAt) >= 0 {
		e.listing = true
		e.do(command{verb: doList})
	}
}

// stand moves between the states of a candidate in line.
func (e *election) stand(now Instant) {
	if e.leaving {
		return
	}
	doubt := e.missed >= 2 || !e.link
	if e.lease != nil {
		if err := e.lease.Err(); err != nil {
			e.say(slog.LevelWarn, "the lease has expired; no writes until ZooKeeper answers again", "epoch", e.epoch, "error", err)
			e.endLease(err)
		} else {
			e.lease.doubt(doubt)
		}
	}
	if e.lease == nil && !doubt && e.mayLead(now) {
		e.lead()
	}
	before := e.state
	e.state = e.stateNow(doubt)
	if e.state != before {
		e.say(slog.LevelInfo, "leadership", "state", string(e.state), "before", string(before), "node", e.node, "epoch", e.epoch)
	}
}

func (e *election) stateNow(doubt bool) State {
	switch {
	case !e.first:
		return Waiting
	case e.lease != nil && !doubt:
		return Leading
	case !e.led:
		return Verifying
	case doubt || e.missed > 0:
		return Suspect
	}
	return Resuming
}

// mayLead tells whether a lease is due now.
func (e *election) mayLead(now Instant) bool {
	switch from, length := e.warrant(); {
	case !e.first || e.working || length < e.timeout*2/5:
		return false
	case from.Since(e.firstAt) < 0 || now.Since(from) >= e.timeout/5:
		return false // a check that was sent before it was the first, or an old one
	case now.Since(e.seenAt) < e.patience:
		return false
	case e.outcast != "" && now.Since(e.firstAt) < e.patience:
		return false
	}
	return true
}

func (e *election) lead() {
	from, length := e.warrant()
	e.lease, e.led, e.working = newLease(e.clock, from, length), true, true
	e.lease.held = e.held
	e.do(command{verb: doWork, lease: e.lease, epoch: e.epoch})
}

// wake is how long nothing is due if nothing happens.
func (e *election) wake(now Instant) time.Duration {
	next := e.timeout
	due := func(at Instant) { next = min(next, -now.Since(at)) }
	switch {
	case e.leaving:
		due(e.leaveBy)
	case e.state == Connecting:
		if !e.dialing {
			due(e.retryAt)
		}
	case e.node != "":
		due(e.checkAt)
		due(e.alive.Add(e.timeout))
		if !e.listing {
			due(e.listAt)
		}
		for n, sent := range e.inFlight {
			if !e.overdue[n] {
				due(sent.Add(e.timeout / 5))
			}
		}
		if e.lease != nil {
			next = min(next, e.lease.Left())
		} else if e.first {
			for _, at := range []Instant{e.seenAt.Add(e.patience), e.firstAt.Add(e.patience)} {
				if now.Since(at) < 0 {
					due(at)
				}
			}
		}
	}
	return max(next, time.Millisecond)
}
