package marathon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Lease is a leave to write for as long as it lasts. *leader.Lease is one.
type Lease interface {
	// Err is nil while a byte may leave. It is asked right before each that goes
	// to a socket.
	Err() error
	// Done is closed when the lease has ended, or a little later.
	Done() <-chan struct{}
}

// fence lets writes through under a lease only. Each lease has connections of
// its own, which ask it before every piece that they send, and which are closed
// when it ends: a request that was built, queued or half sent under a lease
// cannot go on under none, nor under the next.
//
// To look at the lease before the request is built is not enough: the process
// may be stopped for any time between that and the write.
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
// what they ask before they write.
func (c *Client) newFenced(lease Lease) (*fenced, error) {
	t, err := newTransport(c.options)
	if err != nil {
		return nil, err
	}
	f := &fenced{lease: lease, closed: make(chan struct{}), conns: map[*fencedConn]bool{}}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return f.guard(conn)
	}
	f.http = c.newHTTP(t)
	f.group.Go(func() {
		select {
		case <-lease.Done():
			f.cutAll()
		case <-f.closed:
		}
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
	f.cutAll()
}

// cutAll closes every connection so that nothing which waits in it is sent any
// more: it is reset, not finished.
func (f *fenced) cutAll() {
	f.mu.Lock()
	conns := f.conns
	f.conns = nil
	f.mu.Unlock()
	for c := range conns {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // else the kernel goes on sending
		}
		_ = c.Conn.Close()
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
}

// Close closes it.
func (c *fencedConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
