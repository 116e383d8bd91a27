package leader

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The simulation: an ensemble of three ZooKeeper servers, replicas whose
// elections are the real ones, and a Marathon that takes writes, all on one
// virtual clock and in one goroutine, so that a seed plays the same again.
//
// What of ZooKeeper matters here is as in its source (3.8): a follower serves
// reads from what it has applied; a write needs the leader and a majority; a
// follower tells the leader of its clients' signs of life only in answer to a
// ping, twice a tick; the leader ends a session that it has heard nothing of for
// the timeout, at a full tick; a new leader gives each session the whole timeout
// again; a follower that hears nothing of a leader for some ticks drops its
// clients; a client goes to no server that is behind what it has seen.

const (
	simServers  = 3
	syncLimit   = 5 // half ticks that leader and follower do without each other
	simReplicas = 3
)

// happening is something at a time.
type happening struct {
	at    time.Duration
	order int // of those at the same time
	do    func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

// variant is a way to do it wrong, by which the simulation shows that it would
// notice.
type variant struct {
	name         string
	from         uint64 // seed to begin with: it takes a rare one
	checkAtBuild bool   // the lease is looked at when the request is built, and not at the socket
	trustSession bool   // the session's state is the lease
	oneProof     bool   // the newest check alone is the lease
	noPatience   bool   // the first in line never waits for leases of others
}

type sim struct {
	seed    uint64
	rand    *rand.Rand
	variant variant
	timeout time.Duration
	tick    time.Duration

	now    time.Duration
	calm   bool // no trouble any more
	wiped  bool
	agenda agenda
	order  int

	log      []txn // what a majority has agreed to
	chief    int   // leader of the ensemble; -1: none
	chiefAt  time.Duration
	servers  [simServers]*simServer
	sessions map[int64]*simSession
	nextID   int64
	zxid     int64
	sequence int
	cuts     map[[2]int]time.Duration // servers are 0…, replicas from 10; until when
	replicas []*simReplica

	writer string          // term of the last write that Marathon took
	past   map[string]bool // terms whose time is over
	writes int
	leases int
	broken string // how the safety property was violated
	trace  []string
}

// txn is one change of the tree: a node made or deleted.
type txn struct {
	zxid    int64
	create  map[string]int64 // path → owner
	deletes []string
}

type simServer struct {
	i       int
	frozen  time.Duration // until when
	applied int           // of sim.log
	tree    map[string]int64
	czxid   map[string]int64
	touched map[int64]bool // signs of life that the leader was not told of
	heard   time.Duration  // of the leader
	watches map[string][]func()
}

type simSession struct {
	id     int64
	expiry time.Duration
	dead   bool
}

func newSim(seed uint64, v variant) *sim {
	s := &sim{
		seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), variant: v,
		sessions: map[int64]*simSession{}, cuts: map[[2]int]time.Duration{}, past: map[string]bool{},
	}
	s.timeout, s.tick = 6*time.Second, 500*time.Millisecond
	switch s.rand.IntN(3) {
	case 0:
		s.timeout = 2 * time.Second
	case 1:
		s.timeout, s.tick = 10*time.Second, 2*time.Second
	}
	for i := range s.servers {
		s.servers[i] = &simServer{i: i, tree: map[string]int64{}, czxid: map[string]int64{}, touched: map[int64]bool{}, watches: map[string][]func(){}}
	}
	s.chief = s.rand.IntN(simServers)
	s.at(0, s.halfTick)
	for i := range simReplicas {
		r := &simReplica{s: s, i: i}
		s.replicas = append(s.replicas, r)
		s.at(s.upTo(2*time.Second), r.start)
	}
	return s
}

func (s *sim) upTo(d time.Duration) time.Duration { return time.Duration(s.rand.Int64N(int64(d) + 1)) }
func (s *sim) chance(p float64) bool              { return s.rand.Float64() < p }

func (s *sim) at(delay time.Duration, do func()) {
	s.order++
	heap.Push(&s.agenda, happening{s.now + delay, s.order, do})
}

// run plays until a time, or until the property is violated.
func (s *sim) run(until time.Duration) {
	for len(s.agenda) > 0 && s.broken == "" {
		if s.agenda[0].at > until {
			s.now = until
			return
		}
		h := heap.Pop(&s.agenda).(happening)
		s.now = h.at
		h.do()
	}
}

func (s *sim) note(format string, args ...any) {
	if len(s.trace) < 100000 {
		s.trace = append(s.trace, fmt.Sprintf("%8.3f ", s.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

func (s *sim) fail(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
		s.note("VIOLATION: %s", s.broken)
	}
}

// told is the end of the trace.
func (s *sim) told() string {
	return strings.Join(s.trace[max(0, len(s.trace)-60):], "\n")
}

// The network.

func (s *sim) linked(a, b int) bool {
	return s.now >= s.cuts[[2]int{min(a, b), max(a, b)}] && a != b || a == b
}

func (s *sim) cut(a, b int, d time.Duration) {
	key := [2]int{min(a, b), max(a, b)}
	s.cuts[key] = max(s.cuts[key], s.now+d)
}

// latency of one message.
func (s *sim) latency() time.Duration {
	if !s.calm && s.chance(0.02) {
		return s.upTo(s.timeout / 4)
	}
	return 200*time.Microsecond + s.upTo(5*time.Millisecond)
}

// carry delivers a message from one end to the other. Where the link is cut it
// is sent again when it is there again, as TCP does; where that takes long, the
// connection is gone, and the message with it.
func (s *sim) carry(from, to int, do func()) {
	var try func()
	sent := s.now
	try = func() {
		until := s.cuts[[2]int{min(from, to), max(from, to)}]
		switch {
		case from == to || s.now >= until:
			do()
		case until-sent < s.timeout*2/3:
			s.at(until-s.now+s.upTo(50*time.Millisecond), try)
		}
	}
	s.at(s.latency(), try)
}

// send delivers to a server. A frozen one takes it when it wakes.
func (s *sim) send(from int, to *simServer, do func()) {
	s.carry(from, to.i, func() { s.awake(to, do) })
}

func (s *sim) awake(to *simServer, do func()) {
	if s.now < to.frozen {
		s.at(to.frozen-s.now, func() { s.awake(to, do) })
		return
	}
	do()
}

// The ensemble.

// majority tells whether a server can reach enough others now.
func (s *sim) majority(i int) bool {
	n := 0
	for _, other := range s.servers {
		if s.linked(i, other.i) && s.now >= other.frozen {
			n++
		}
	}
	return n > simServers/2 && s.now >= s.servers[i].frozen
}

func (s *sim) halfTick() {
	s.at(s.tick/2, s.halfTick)
	s.govern()
	if s.chief >= 0 && s.now-s.chiefAt > syncLimit*s.tick/2 {
		s.note("the ensemble has lost its leader %d", s.chief)
		s.chief = -1
		s.at(200*time.Millisecond+s.upTo(time.Second), s.elect)
	}
	for _, f := range s.servers {
		if s.now-f.heard > syncLimit*s.tick/2 && s.now >= f.frozen {
			s.dropClients(f)
		}
	}
}

// govern is what the leader does each half tick, and as soon as it thaws.
func (s *sim) govern() {
	if s.chief >= 0 && s.majority(s.chief) {
		s.chiefAt = s.now
		s.pingFollowers()
		s.expireSessions()
	}
}

func (s *sim) elect() {
	for _, i := range s.rand.Perm(simServers) {
		if s.majority(i) {
			s.note("the ensemble has leader %d", i)
			s.chief, s.chiefAt = i, s.now
			s.catchUp(s.servers[i])
			for _, session := range s.sessions {
				session.expiry = s.roundUp(s.now + s.timeout)
			}
			return
		}
	}
	s.at(s.tick/2, s.elect)
}

func (s *sim) roundUp(t time.Duration) time.Duration { return (t/s.tick + 1) * s.tick }

func (s *sim) touch(id int64) {
	if session := s.sessions[id]; session != nil && !session.dead {
		session.expiry = max(session.expiry, s.roundUp(s.now+s.timeout))
	}
}

// pingFollowers tells them that the leader is there, and hears of their clients.
func (s *sim) pingFollowers() {
	chief := s.servers[s.chief]
	chief.heard = s.now
	for _, f := range s.servers {
		if f == chief || s.now < f.frozen {
			continue
		}
		s.send(chief.i, f, func() {
			if s.chief != chief.i {
				return
			}
			f.heard = s.now
			s.catchUp(f)
			touched := f.touched
			f.touched = map[int64]bool{}
			s.send(f.i, chief, func() {
				for id := range touched {
					s.touch(id)
				}
			})
		})
	}
}

func (s *sim) expireSessions() {
	for _, id := range sortedKeys(s.sessions) {
		if session := s.sessions[id]; !session.dead && session.expiry <= s.now {
			s.note("session %d has expired", id)
			s.closeSession(id)
		}
	}
}

func (s *sim) closeSession(id int64) {
	s.sessions[id].dead = true
	var gone []string
	chief := s.servers[s.chief]
	for path, owner := range chief.tree {
		if owner == id {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	s.commit(txn{deletes: gone})
}

// commit agrees on a change, which the others apply a little later.
func (s *sim) commit(t txn) {
	s.zxid++
	t.zxid = s.zxid
	s.log = append(s.log, t)
	chief := s.servers[s.chief]
	s.catchUp(chief)
	for _, f := range s.servers {
		if f != chief {
			n := len(s.log)
			s.send(chief.i, f, func() {
				if f.applied == n-1 { // else the next ping brings it
					s.catchUp(f)
				}
			})
		}
	}
}

func (s *sim) catchUp(f *simServer) {
	for f.applied < len(s.log) {
		t := s.log[f.applied]
		f.applied++
		for path, owner := range t.create {
			f.tree[path], f.czxid[path] = owner, t.zxid
		}
		for _, path := range t.deletes {
			delete(f.tree, path)
			fire := f.watches[path]
			delete(f.watches, path)
			for _, do := range fire {
				do()
			}
		}
	}
}

func (s *sim) dropClients(f *simServer) {
	for _, r := range s.replicas {
		if c := r.client; c != nil && c.server == f {
			c.lose()
		}
	}
}

// wipe is what it is called: all data is lost, sessions too.
func (s *sim) wipe() {
	s.note("all of ZooKeeper is wiped")
	s.wiped = true
	for _, session := range s.sessions {
		session.dead = true
	}
	s.log, s.zxid, s.sequence = nil, 0, 0
	for _, f := range s.servers {
		f.applied, f.tree, f.czxid, f.touched, f.watches = 0, map[string]int64{}, map[string]int64{}, map[int64]bool{}, map[string][]func(){}
		s.dropClients(f)
	}
}

// simClient is a session of a replica and its connection.
type simClient struct {
	r        *simReplica
	term     int
	id       int64
	server   *simServer // nil: no connection
	conn     int        // number of the connection
	received time.Duration
	seen     int // of sim.log, at most
	closed   bool
	pending  map[int]func(error)
	next     int
}

var errLost = errors.New("connection closed")

// ask sends an operation to the server and hears of its answer, or of the
// connection's end. write: it goes to the leader, and is answered when the own
// server has applied it.
func (c *simClient) ask(write bool, op func(f *simServer) error, answer func(error)) {
	s := c.r.s
	c.next++
	n := c.next
	if c.server == nil {
		// The library keeps it till there is a connection, or all servers failed.
		c.r.later(s.upTo(time.Second), func() { answer(errLost) })
		return
	}
	c.pending[n] = answer
	c.r.later(s.timeout/2, func() { // each call has its limit
		if answer := c.pending[n]; answer != nil && !c.closed {
			delete(c.pending, n)
			answer(errLost)
		}
	})
	server, conn := c.server, c.conn
	reply := func(err error) {
		if !s.calm && s.chance(0.01) {
			return // the reply is lost, and with it, sooner or later, the connection
		}
		seen := server.applied
		s.carry(server.i, 10+c.r.i, func() {
			c.r.later(0, func() {
				if c.conn != conn || c.server == nil || c.closed {
					return
				}
				c.received, c.seen = s.now, max(c.seen, seen)
				if answer := c.pending[n]; answer != nil {
					delete(c.pending, n)
					answer(err)
				}
			})
		})
	}
	s.send(10+c.r.i, server, func() {
		server.touched[c.id] = true
		if s.chief == server.i {
			s.touch(c.id)
		}
		if !write {
			reply(op(server))
			return
		}
		if s.chief < 0 {
			return
		}
		chief := s.servers[s.chief]
		propose := func() {
			if s.chief != chief.i || !s.majority(chief.i) {
				return // it hangs, and ends with the connection
			}
			if session := s.sessions[c.id]; session == nil || session.dead {
				reply(errLost)
				return
			}
			err := op(chief)
			n := len(s.log)
			var wait func()
			wait = func() { // the own server answers when it has applied it
				if server.applied >= n || n > len(s.log) {
					reply(err)
				} else if s.linked(server.i, chief.i) {
					s.at(time.Millisecond, wait)
				}
			}
			wait()
		}
		if chief == server {
			propose()
		} else {
			s.send(server.i, chief, propose)
		}
	})
}

// lose ends the connection; the session lives on.
func (c *simClient) lose() {
	if c.server == nil || c.closed {
		return
	}
	c.server = nil
	c.conn++
	pending := c.pending
	c.pending = map[int]func(error){}
	c.r.later(0, func() {
		for _, n := range sortedKeys(pending) {
			pending[n](errLost)
		}
		c.tellLink()
	})
	c.r.later(c.r.s.upTo(300*time.Millisecond), c.reconnect)
}

// tellLink tells what is when it is heard.
func (c *simClient) tellLink() {
	c.r.tell(event{kind: linked, term: c.term, link: c.server != nil})
}

// keepAlive pings as the library does, and gives a silent connection up.
func (c *simClient) keepAlive() {
	s := c.r.s
	if c.closed {
		return
	}
	c.r.later(s.timeout/3, c.keepAlive)
	if c.server == nil {
		return
	}
	if s.now-c.received > s.timeout*2/3 {
		c.lose()
		return
	}
	c.ask(false, func(*simServer) error { return nil }, func(error) {})
}

// reconnect tries one server; where it does not grant the session, another a
// little later.
func (c *simClient) reconnect() {
	s := c.r.s
	if c.closed || c.server != nil {
		return
	}
	f := s.servers[s.rand.IntN(simServers)]
	answered := false
	again := func() {
		if !answered {
			answered = true
			c.reconnect()
		}
	}
	c.r.later(300*time.Millisecond+s.upTo(700*time.Millisecond), again)
	s.send(10+c.r.i, f, func() {
		serves := s.chief >= 0 && s.now-f.heard <= syncLimit*s.tick/2 && s.linked(f.i, s.chief)
		if !serves || f.applied < c.seen {
			return
		}
		session := s.sessions[c.id]
		expired := session == nil || session.dead
		if !expired {
			s.touch(c.id) // it is proved by the leader
		}
		s.carry(f.i, 10+c.r.i, func() {
			c.r.later(0, func() {
				if c.closed || answered {
					return
				}
				answered = true
				if expired {
					c.closed = true
					c.r.tell(event{kind: over, term: c.term, err: errors.New("expired")})
					return
				}
				c.server, c.received = f, s.now
				c.conn++
				c.tellLink()
			})
		})
	})
}

func (c *simClient) close() {
	s := c.r.s
	if c.closed {
		return
	}
	if f := c.server; f != nil {
		c.ask(true, func(*simServer) error {
			if !s.sessions[c.id].dead {
				s.closeSession(c.id)
			}
			return nil
		}, func(error) {})
	}
	c.closed = true
}

// simReplica is a process of Pacer.
type simReplica struct {
	s       *sim
	i       int
	life    int
	frozen  time.Duration // until when
	lag     time.Duration // how long its monotonic clock stood still
	e       *election
	client  *simClient
	alarm   int // number of the newest
	work    *simWork
	stopped bool
}

// Now is what the clocks of its machine say.
func (r *simReplica) Now() Instant { return Instant{Mono: r.s.now - r.lag, Boot: r.s.now} }

// later does something in the process, unless it was killed till then; a frozen
// process does it when it wakes.
func (r *simReplica) later(d time.Duration, do func()) {
	life := r.life
	var try func()
	try = func() {
		switch {
		case r.life != life:
		case r.s.now < r.frozen:
			r.s.at(r.frozen-r.s.now+r.s.upTo(3*time.Millisecond), try)
		default:
			do()
		}
	}
	r.s.at(d, try)
}

func (r *simReplica) start() {
	if r.e != nil {
		return
	}
	r.stopped = false
	r.e = newElection(r.s.timeout, r, r.s.rand, r.newID)
	r.e.hasty = r.s.variant.oneProof
	if r.s.variant.noPatience {
		r.e.patience = 0
	}
	r.tell(event{kind: ticked})
}

func (r *simReplica) newID() string {
	return fmt.Sprintf("%016x%016x", r.s.rand.Uint64(), r.s.rand.Uint64())
}

func (r *simReplica) kill() {
	if r.e == nil {
		return
	}
	r.s.note("replica %d is killed", r.i)
	r.life++
	if r.client != nil {
		r.client.closed = true
	}
	r.e, r.client, r.work = nil, nil, nil
	r.frozen = 0
}

func (r *simReplica) freeze(d time.Duration, suspended bool) {
	r.s.note("replica %d is frozen for %s (suspended: %t)", r.i, d, suspended)
	if suspended && r.frozen <= r.s.now {
		r.lag += d
	}
	r.frozen = max(r.frozen, r.s.now+d)
}

// tell steps the election and carries out what it wants.
func (r *simReplica) tell(ev event) {
	if r.e == nil {
		return
	}
	before := r.e.state
	commands := r.e.step(r.Now(), ev)
	for _, c := range commands {
		r.carryOut(c)
		if r.e == nil {
			return
		}
	}
	if r.e.state != before {
		r.s.note("replica %d: %s → %s (%s)", r.i, before, r.e.state, r.e.reason)
	}
	r.alarm++
	n := r.alarm
	r.later(r.e.wake(r.Now()), func() {
		if r.alarm == n {
			r.tell(event{kind: ticked})
		}
	})
}

func (r *simReplica) carryOut(c command) {
	s := r.s
	switch client := r.client; c.verb {
	case doConnect:
		r.connect(c.term)
	case doJoin:
		var node string
		var epoch int64
		client.ask(true, func(*simServer) error {
			s.sequence++
			node = fmt.Sprintf("%s%010d", prefixOf(c.id), s.sequence)
			s.commit(txn{create: map[string]int64{"r/" + c.id: client.id, "c/" + node: client.id}})
			epoch = s.zxid
			return nil
		}, func(err error) { r.tell(event{kind: joined, term: c.term, node: node, epoch: epoch, err: err}) })
	case doList:
		var line Line
		client.ask(false, func(f *simServer) error {
			for path := range f.tree {
				if id, ok := strings.CutPrefix(path, "r/"); ok {
					line.Replicas = append(line.Replicas, id)
				}
			}
			slices.Sort(line.Replicas)
			return nil
		}, func(err error) {
			if err != nil {
				r.tell(event{kind: listed, term: c.term, err: err})
				return
			}
			client.ask(false, func(f *simServer) error {
				for path := range f.tree {
					if name, ok := strings.CutPrefix(path, "c/"); ok {
						line.Candidates = append(line.Candidates, name)
					}
				}
				slices.Sort(line.Candidates)
				return nil
			}, func(err error) { r.tell(event{kind: listed, term: c.term, line: line, err: err}) })
		})
	case doWatch:
		r.watch(client, c)
	case doCheck:
		client.ask(true, func(f *simServer) error {
			s.commit(txn{})
			if _, there := f.tree["c/"+c.node]; !there {
				return ErrGone
			}
			return nil
		}, func(err error) { r.tell(event{kind: checked, term: c.term, check: c.check, err: err}) })
	case doClose:
		if client != nil {
			client.close()
			r.client = nil
		}
	case doWork:
		s.leases++
		r.work = &simWork{r: r, lease: c.lease, client: client, term: fmt.Sprintf("replica %d life %d epoch %d node %s", r.i, r.life, c.epoch, r.e.node)}
		s.note("replica %d leads, epoch %d", r.i, c.epoch)
		s.lonely()
		r.later(s.upTo(50*time.Millisecond), r.work.read)
	case doCancel:
		if r.work != nil {
			r.work.cancelled = true
		}
	case doEnd:
		s.note("replica %d has ended", r.i)
		r.life++
		r.e, r.client, r.work = nil, nil, nil
		s.at(s.upTo(2*time.Second), r.start)
	case doSay:
		s.note("replica %d says: %s %v", r.i, c.text, c.args)
	}
}

func (r *simReplica) connect(term int) {
	s := r.s
	s.nextID++
	c := &simClient{r: r, term: term, id: s.nextID, pending: map[int]func(error){}, closed: true}
	r.client = c
	f := s.servers[s.rand.IntN(simServers)]
	answered := false
	answer := func(err error) {
		if !answered && r.client == c {
			answered = true
			r.tell(event{kind: connected, term: term, timeout: s.timeout, err: err})
		}
	}
	r.later(time.Second, func() { answer(errLost) })
	s.send(10+r.i, f, func() {
		if s.chief < 0 || !s.linked(f.i, s.chief) || s.now-f.heard > syncLimit*s.tick/2 {
			return
		}
		s.send(f.i, s.servers[s.chief], func() {
			if s.chief < 0 || !s.majority(s.chief) {
				return
			}
			s.sessions[c.id] = &simSession{id: c.id, expiry: s.roundUp(s.now + s.timeout)}
			s.carry(f.i, 10+r.i, func() {
				r.later(0, func() {
					if answered || r.client != c {
						return
					}
					c.server, c.received, c.closed = f, s.now, false
					r.later(s.timeout/3, c.keepAlive)
					answer(nil)
				})
			})
		})
	})
}

func (r *simReplica) watch(client *simClient, c command) {
	s := r.s
	if client.server == nil {
		r.later(10*time.Millisecond, func() { r.tell(event{kind: departed, term: c.term, err: errLost}) })
		return
	}
	server, conn := client.server, client.conn
	client.ask(false, func(f *simServer) error {
		if _, there := f.tree["c/"+c.node]; !there {
			return ErrGone
		}
		f.watches["c/"+c.node] = append(f.watches["c/"+c.node], func() {
			s.carry(server.i, 10+r.i, func() {
				r.later(0, func() {
					if client.conn == conn && !client.closed { // a watch of a lost connection is silent
						r.tell(event{kind: departed, term: c.term})
					}
				})
			})
		})
		return nil
	}, func(err error) {
		if err != nil {
			r.tell(event{kind: departed, term: c.term, err: err})
		}
	})
}

// simWork is the work of a term: it reads, and then writes as fast as it can.
type simWork struct {
	r         *simReplica
	lease     *Lease
	client    *simClient
	term      string
	cancelled bool
}

func (w *simWork) read() {
	if w.ends() {
		return
	}
	w.r.later(w.r.s.upTo(100*time.Millisecond), w.build)
}

func (w *simWork) ends() bool {
	if !w.cancelled {
		return false
	}
	wait := w.r.s.upTo(50 * time.Millisecond)
	if w.r.s.chance(0.1) {
		wait = w.r.s.upTo(2 * time.Second)
	}
	w.r.later(wait, func() { w.r.tell(event{kind: worked}) })
	return true
}

// allowed is what stands for the lease.
func (w *simWork) allowed() error {
	if w.r.s.variant.trustSession {
		if w.client.closed || w.client.server == nil {
			return ErrNoLease
		}
		return nil
	}
	return w.lease.Err()
}

// build makes a request; then it goes to the socket in one or two pieces.
func (w *simWork) build() {
	s := w.r.s
	if w.ends() {
		return
	}
	if w.lease.Begin() != nil && !s.variant.trustSession || w.allowed() != nil {
		w.r.later(s.upTo(50*time.Millisecond), w.build)
		return
	}
	pieces := 1 + s.rand.IntN(2)
	var send func()
	send = func() {
		if !s.variant.checkAtBuild && w.allowed() != nil {
			w.r.later(0, w.build)
			return
		}
		s.accept(w)
		if pieces--; pieces > 0 {
			w.r.later(s.upTo(300*time.Millisecond), send)
			return
		}
		w.r.later(5*time.Millisecond+s.upTo(200*time.Millisecond), w.build) // Marathon answers
	}
	w.r.later(s.upTo(5*time.Millisecond), send)
}

// accept is a piece of a write that has left for Marathon: the safety property.
func (s *sim) accept(w *simWork) {
	s.writes++
	if s.past[w.term] {
		s.fail("a write of %q left after one of %q", w.term, s.writer)
	}
	if s.writer != w.term {
		s.past[s.writer], s.writer = true, w.term
	}
}

// lonely holds that no two leases are in force.
func (s *sim) lonely() {
	if s.variant.trustSession || s.variant.checkAtBuild {
		return // only what leaves counts
	}
	n := 0
	for _, r := range s.replicas {
		if r.e != nil && r.e.lease != nil && r.e.lease.Left() > 0 {
			n++
		}
	}
	if n > 1 {
		s.fail("%d leases are in force", n)
	}
}

func sortedKeys[K int | int64, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
