package zktest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands between clients and one server.
type Proxy struct {
	target string
	raw    bool // what passes is not ZooKeeper's protocol for clients
	ln     net.Listener
	done   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // of what follows
	closed  bool
	cut     bool
	held    [2]bool // by Direction
	delay   time.Duration
	request func(op int32) Fate
	conns   map[*conn]bool
}

// Direction is a direction in which bytes go.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Fate is what becomes of a request.
type Fate int

// The fates.
const (
	Pass      Fate = iota
	Lose           // it does not reach the server, and the connection is cut
	LoseReply      // the server does it, and the connection is cut before it can say so
)

// conn is one connection and its continuation to the server.
type conn struct {
	client, server net.Conn
	swallow        int32 // number of the request whose answer cuts the connection
}

func newProxy(target string, raw bool) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, raw: raw, ln: ln, conns: map[*conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.done.Go(p.accept)
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.ln.Addr().String() }

func (p *Proxy) port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// Cut ends all connections, and new ones as soon as they are there, until Heal.
func (p *Proxy) Cut() { p.change(func() { p.cut = true; p.drop() }) }

// Break ends all connections once; new ones are let through.
func (p *Proxy) Break() { p.change(p.drop) }

// Hold lets no byte pass, as a firewall that drops packets: nobody is told, and
// what was sent meanwhile arrives after Heal. Without directions: in both.
func (p *Proxy) Hold(directions ...Direction) {
	p.change(func() {
		if len(directions) == 0 {
			p.held = [2]bool{true, true}
		}
		for _, d := range directions {
			p.held[d] = true
		}
	})
}

// Delay lets bytes pass so much later, in each direction.
func (p *Proxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// OnRequest lets f decide the fate of each request of a client, which gets its
// code in ZooKeeper's protocol (1 create, 2 delete, 4 get, 5 set, 12 children,
// 14 multi, 100 auth; pings and the request for a session are not asked about).
// It is called for one request at a time and must not call the Proxy.
func (p *Proxy) OnRequest(f func(op int32) Fate) { p.change(func() { p.request = f }) }

// Heal ends Cut, Hold, Delay and OnRequest.
func (p *Proxy) Heal() {
	p.change(func() { p.cut, p.held, p.delay, p.request = false, [2]bool{}, 0, nil })
}

// Connections is how many there are now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *Proxy) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.changed.Broadcast()
}

// drop ends all connections; mu is held.
func (p *Proxy) drop() {
	for c := range p.conns {
		c.close()
	}
}

func (c *conn) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (p *Proxy) close() {
	p.change(func() { p.closed = true; p.drop() })
	_ = p.ln.Close()
	p.done.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	refuse := p.cut || p.closed
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := p.dial()
	if err != nil {
		return // as refused as there
	}
	c := &conn{client: client, server: server}
	p.change(func() {
		p.conns[c] = true
		if p.cut || p.closed {
			c.close()
		}
	})
	var both sync.WaitGroup
	both.Go(func() { defer c.close(); p.pump(c, ToServer) })
	both.Go(func() { defer c.close(); p.pump(c, ToClient) })
	both.Wait()
	p.change(func() { delete(p.conns, c) })
}

// startingUp is how long a server may take to listen to its peers, which were
// told that it leads. A peer whose connection is ended tries no more; refused, it
// would have tried again, but a proxy cannot refuse.
const startingUp = 2 * time.Second

func (p *Proxy) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startingUp)
	defer cancel()
	for {
		server, err := net.Dial("tcp", p.target)
		if err == nil || !p.raw || !pause(ctx) {
			return server, err
		}
	}
}

// pump copies what one side says to the other, frame by frame, which is how
// ZooKeeper's protocol puts it.
func (p *Proxy) pump(c *conn, d Direction) {
	from, to := c.client, c.server
	if d == ToClient {
		from, to = to, from
	}
	read := readFrame
	if p.raw {
		read = readBytes
	}
	for first := true; ; first = false { // the first is about the session
		data, err := read(from)
		if errors.Is(err, errNoFrame) { // another protocol, such as TLS: from here on bytes
			read, err = readBytes, nil
		}
		if err != nil || !p.let(c, d) || !first && !p.judge(c, d, data) {
			return
		}
		if _, err := to.Write(data); err != nil {
			return
		}
	}
}

// judge tells whether a frame goes on, or the connection ends.
func (p *Proxy) judge(c *conn, d Direction, frame []byte) bool {
	const header = 4 + 4 + 4 // length, number of the request, code
	if p.raw || len(frame) < header {
		return true
	}
	number, op := int32(binary.BigEndian.Uint32(frame[4:])), int32(binary.BigEndian.Uint32(frame[8:]))
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == ToClient {
		return c.swallow == 0 || c.swallow != number
	}
	if p.request == nil || number <= 0 { // pings are not numbered
		return true
	}
	fate := p.request(op)
	if fate == LoseReply {
		c.swallow = number
	}
	return fate != Lose
}

var errNoFrame = errors.New("this is not a frame of ZooKeeper's protocol")

// readFrame reads one frame with its length. With errNoFrame it returns what it
// has read.
func readFrame(r net.Conn) ([]byte, error) {
	const longest = 16 << 20
	frame := make([]byte, 4)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(frame)
	if n > longest {
		return frame, errNoFrame
	}
	frame = append(frame, make([]byte, n)...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

func readBytes(r net.Conn) ([]byte, error) {
	buf := make([]byte, 64<<10)
	n, err := r.Read(buf)
	return buf[:n], err
}

// let waits until bytes may pass, and tells whether the connection still is to
// have them.
func (p *Proxy) let(c *conn, d Direction) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay) // this is the delay itself
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held[d] && !p.closed && p.conns[c] && !p.cut {
		p.changed.Wait()
	}
	return !p.cut && !p.closed
}

// link is the way from one server to another: that for what is agreed on, and
// that for elections.
type link struct {
	quorum, election *Proxy
}

func newLink(to *Server) (*link, error) {
	l := &link{}
	var err error
	if l.quorum, err = newProxy(to.quorum.Address(), true); err != nil {
		return nil, err
	}
	if l.election, err = newProxy(to.election.Address(), true); err != nil {
		l.quorum.close()
		return nil, err
	}
	return l, nil
}

func (l *link) hold() { l.quorum.Hold(); l.election.Hold() }
func (l *link) heal() { l.quorum.Heal(); l.election.Heal() }
func (l *link) close() {
	l.quorum.close()
	l.election.close()
}
