package marathon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/reset"
)

// Lease is a leave to write for as long as it lasts. *leader.Lease is one.
type Lease interface {
	// Err is nil while a byte may leave. It is asked right before each that goes
	// to a socket.
	Err() error
	// Done is closed when the lease has ended, or a little later.
	Done() <-chan struct{}
	// Left is how long the lease lasts where nothing renews it.
	Left() time.Duration
	// Hold keeps the next leader from being elected until release is called,
	// where this one ends the lease by itself. The error is why it has ended.
	Hold() (release func(), err error)
}

// noLease is what a client writes under that needs none: nobody takes over.
type noLease struct{}

func (noLease) Err() error            { return nil }
func (noLease) Done() <-chan struct{} { return nil }
func (noLease) Left() time.Duration   { return time.Minute } // what a stopped process leaves to the kernel
func (noLease) Hold() (func(), error) { return func() {}, nil }
func alwaysWritable() (Lease, error)  { return noLease{}, nil }

// fence lets writes through under a lease only. Each lease has connections of
// its own, which ask it before every piece that they send, and which are closed
// when it ends: a request that was built, queued or half sent under a lease
// cannot go on under none, nor under the next.
//
// To look at the lease before the request is built is not enough: the process
// may be stopped for any time between that and the write. Nor is it enough to
// write no more: what was written stays in the kernel, which sends it again and
// again while the path to Marathon is cut, and delivers it when that heals, to
// the damage of the next leader. So it is dropped there too, by whatever ends:
//
//	the lease, by time or by handing over   the connections are closed, which resets them (see package reset)
//	the client                              the same
//	one request: cancelled, or timed out    net/http closes its connection, which carries no other request (HTTP/1)
//	the process, by kill -9 or a crash      the kernel closes its connections
//	nothing, for the process is stopped     the kernel gives up what it could not deliver, before the lease ends (giveUpWithin)
//
// Where this replica hands over, the next one is elected only after its
// connections are closed: they hold the lease.
type fence struct {
	lease func() (Lease, error)
	open  func(Lease) (*fenced, error)

	mu      sync.Mutex
	current *fenced // nil: none yet
	closed  bool
}

// fenced is what writes go through under one lease.
type fenced struct {
	lease  Lease
	http   *http.Client
	closed chan struct{}
	group  sync.WaitGroup

	mu    sync.Mutex
	conns map[*fencedConn]bool
}

// errClosed is what a write is refused with after Close.
var errClosed = errors.New("the client is closed")

// enter returns what a write goes through now, or why none may begin.
func (f *fence) enter() (*fenced, error) {
	lease, err := f.lease()
	if err == nil {
		err = lease.Err()
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, errClosed
	case f.current != nil && f.current.lease == lease:
		return f.current, nil
	case f.current != nil:
		f.current.close()
	}
	f.current, err = f.open(lease)
	return f.current, err
}

func (f *fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.current != nil {
		f.current.close()
		f.current = nil
	}
}

// newFenced makes the connections of one lease: those of the client, but for
// what they ask before they write, and what becomes of what they wrote.
func (c *Client) newFenced(lease Lease) (*fenced, error) {
	t, err := newTransport(c.options)
	if err != nil {
		return nil, err
	}
	release, err := lease.Hold()
	if err != nil {
		return nil, err
	}
	f := &fenced{lease: lease, closed: make(chan struct{}), conns: map[*fencedConn]bool{}}
	dial := reset.OnClose(t.DialContext)
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return f.guard(conn)
	}
	// One request a connection at a time: a request of HTTP/2 could not be dropped
	// without those beside it.
	t.ForceAttemptHTTP2 = false
	f.http = c.newHTTP(t)
	f.group.Go(func() {
		select {
		case <-lease.Done():
		case <-f.closed:
		}
		f.cutAll()
		release()
	})
	return f, nil
}

// bounded is a context that ends with the lease too.
func (f *fenced) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	end := make(chan struct{})
	go func() {
		select {
		case <-f.lease.Done():
			cancel(f.lease.Err())
		case <-f.closed:
			cancel(errClosed)
		case <-end:
		}
	}()
	return ctx, func() { close(end); cancel(nil) }
}

func (f *fenced) close() {
	close(f.closed)
	f.group.Wait()
}

// cutAll closes every connection. When it returns, none of them sends any more.
func (f *fenced) cutAll() {
	f.mu.Lock()
	conns := f.conns
	f.conns = nil
	f.mu.Unlock()
	for c := range conns {
		_ = c.Close() // it may be closed
	}
	f.http.CloseIdleConnections()
}

// guard puts a connection under the lease.
func (f *fenced) guard(conn net.Conn) (net.Conn, error) {
	c := &fencedConn{Conn: conn, of: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil { // cut already
		_ = conn.Close()
		if err := f.lease.Err(); err != nil {
			return nil, err
		}
		return nil, errClosed
	}
	f.conns[c] = true
	return c, nil
}

// fencedConn is a connection that sends nothing without a lease.
type fencedConn struct {
	net.Conn
	of *fenced

	once sync.Once
	err  error
}

// Close closes it, or waits until somebody else has.
func (c *fencedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.of.mu.Lock()
		delete(c.of.conns, c)
		c.of.mu.Unlock()
	})
	return c.err
}
