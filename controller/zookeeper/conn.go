package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// Conn is one session of ZooKeeper and the connections that carry it, one after
// another. The library's methods are open to use; none takes a context, and each
// ends at the latest when the connection is lost or the Conn is closed.
//
// An error of a write does not tell that nothing was written: after
// zk.ErrConnectionClosed it may have been. Exists answers true with some errors:
// look at the error first. Watches say nothing when the connection is lost.
type Conn struct {
	*zk.Conn
	config Config
	tls    *tls.Config
	acl    []zk.ACL
	secret []byte          // user and password, as the server was told; nil: none
	events <-chan zk.Event // closed by the library when it has ended

	session atomic.Int64 // id; 0 before the first was granted
	timeout atomic.Int64 // granted, as a time.Duration
	ready   chan struct{}
	changed wait.Signal
	life    context.Context // ends with the session
	end     context.CancelCauseFunc

	mu   sync.Mutex
	link *link // the newest connection
	said error // the last thing that went wrong with one
}

// ErrNotAllowed: the credential that is given may not write to the root.
var ErrNotAllowed = errors.New("ZooKeeper denies access")

// ErrNoRoot: there is no root, and none is to be made, see Config.Existing.
var ErrNoRoot = errors.New("the root does not exist")

// Dial connects, waits for a session, and proves by a write that the root may be
// written to. It goes round the servers until ctx ends; what they cannot make
// right (a wrong password, a missing file) is an error at once, and so is a
// connection that is lost again before all that was done.
func Dial(ctx context.Context, config Config) (*Conn, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	c := &Conn{config: config, ready: make(chan struct{}), changed: wait.NewSignal()}
	c.life, c.end = context.WithCancelCause(context.Background()) // the session's life, not the call's
	if c.tls, err = config.TLS.config(config.Log); err != nil {
		return nil, err
	}
	auth, err := c.credential()
	if err != nil {
		return nil, err
	}
	c.Conn, c.events, err = zk.Connect(config.Servers, config.SessionTimeout,
		zk.WithHostProvider(&names{}), zk.WithDialer(c.dial), zk.WithEventCallback(c.event),
		zk.WithLogger(debugLog{config.Log}), zk.WithLogInfo(false))
	if err != nil {
		return nil, fmt.Errorf("zookeeper: %w", err)
	}
	if err := c.begin(ctx, auth); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// credential is what AddAuth wants, nil for none; it sets the ACL of new nodes.
func (c *Conn) credential() ([]byte, error) {
	a := c.config.Auth
	switch {
	case a.Certificate:
		// auth stands for whoever the server took the connection's certificate for.
		c.acl = zk.AuthACL(zk.PermAll)
	case a.User != "":
		password, err := a.Password.Read()
		if err != nil {
			return nil, fmt.Errorf("zookeeper auth: %w", err)
		}
		c.acl = zk.DigestACL(zk.PermAll, a.User, password)
		c.secret = []byte(a.User + ":" + password)
		return c.secret, nil
	default:
		c.acl = zk.WorldACL(zk.PermAll)
	}
	return nil, nil
}

// begin waits for the session and prepares it.
func (c *Conn) begin(ctx context.Context, auth []byte) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return c.gaveUp(ctx)
	}
	// The calls that follow take no context: closing ends them.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err := c.prepare(auth)
	if !stop() {
		return errors.Join(c.gaveUp(ctx), err)
	}
	return err
}

func (c *Conn) prepare(auth []byte) error {
	if granted := c.SessionTimeout(); granted != c.config.SessionTimeout {
		c.config.Log.Warn("ZooKeeper grants another session timeout than requested; it allows 2 to 20 of its ticks",
			"asked", c.config.SessionTimeout, "granted", granted)
	}
	if auth != nil {
		if err := c.AddAuth("digest", auth); err != nil {
			return fmt.Errorf("zookeeper auth: %w", err)
		}
	}
	return c.proveRoot()
}

func (c *Conn) gaveUp(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := fmt.Errorf("zookeeper: no session from any of %v: %w", c.config.Servers, context.Cause(ctx))
	if c.said != nil {
		err = fmt.Errorf("%w; the last attempt: %w", err, c.said)
	}
	return err
}

// Root is the node to work under.
func (c *Conn) Root() string { return c.config.Root }

// ACL is what new nodes are made with.
func (c *Conn) ACL() []zk.ACL { return c.acl }

// SessionTimeout is the timeout that the server has granted.
func (c *Conn) SessionTimeout() time.Duration { return time.Duration(c.timeout.Load()) }

// SessionID is the id of the one session that this is.
func (c *Conn) SessionID() int64 { return c.session.Load() }

// Connected tells whether a connection carries the session now. It is no proof
// that the server at its end still belongs to the ensemble.
func (c *Conn) Connected() bool { return c.State() == zk.StateHasSession }

// Changed gets a value when Connected or Done may have changed. Several changes
// may be one value; it is for one reader.
func (c *Conn) Changed() <-chan struct{} { return c.changed }

// Done is closed when the session is over: expired, or Close was called. No
// other session follows it. A session whose servers have lost their data is not
// told to be over: they refuse it, for ever.
func (c *Conn) Done() <-chan struct{} { return c.life.Done() }

// Err tells why Done is closed: zk.ErrSessionExpired or zk.ErrClosing; nil
// before.
func (c *Conn) Err() error { return context.Cause(c.life) }

// closeLimit is how long the library may take to end after its connection was
// closed and its dialer refuses. Its slowest step is a wait of a second between
// rounds of the servers.
const closeLimit = 5 * time.Second

// Close ends the session, which removes its ephemeral nodes at once where a
// server is reached within a second, and stops everything that belongs to it.
func (c *Conn) Close() error {
	c.end(zk.ErrClosing)
	c.Conn.Close()
	if l := c.newest(); l != nil {
		_ = l.Conn.Close() // was closed already, or has nobody to tell
	}
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	for {
		select {
		case _, open := <-c.events:
			if !open {
				return nil
			}
		case <-limit.C:
			return fmt.Errorf("zookeeper: the client is still running %s after it was closed", closeLimit)
		}
	}
}

// dial opens the next connection of the session. Once the session is over it
// refuses, or the library would begin another in silence.
func (c *Conn) dial(_, address string, _ time.Duration) (net.Conn, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if old := c.newest(); old != nil {
		_ = old.Conn.Close() // the library forgets that of a session that expired
	}
	raw, err := dial(c.life, address, c.tls, c.config.Handshake)
	if err != nil {
		c.fail(err)
		return nil, err
	}
	if err := raw.SetDeadline(time.Now().Add(c.config.Handshake)); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	l := &link{Conn: raw, granted: c.granted, failed: c.fail}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Err(); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	c.link = l
	return l, nil
}

func (c *Conn) newest() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = err
}

// granted hears of each answer to a request for a session.
func (c *Conn) granted(timeout time.Duration, session int64) {
	if session == 0 {
		return // expired, which an event tells
	}
	c.session.Store(session)
	c.timeout.Store(int64(timeout))
}

// event is called by the library, in goroutines and under locks of its own: it
// must not wait for anything, nor call the library.
func (c *Conn) event(e zk.Event) {
	if e.Type != zk.EventSession {
		return
	}
	switch e.State {
	case zk.StateExpired:
		c.end(zk.ErrSessionExpired)
		c.config.Log.Warn("the ZooKeeper session has expired", "session", c.hexSession())
	case zk.StateHasSession:
		c.connected(e.Server)
	case zk.StateDisconnected:
		c.disconnected(e.Server)
	default:
		return // on the way to one of those
	}
	c.changed.Notify()
}

func (c *Conn) connected(server string) {
	c.config.Log.Info("connected to ZooKeeper", "server", server, "session", c.hexSession(), "sessionTimeout", c.SessionTimeout())
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// disconnected is also told of connections that never came to a session.
func (c *Conn) disconnected(server string) {
	c.mu.Lock()
	said, l := c.said, c.link
	c.mu.Unlock()
	if c.Err() != nil || l == nil || !l.hasSession.Load() {
		return
	}
	c.config.Log.Warn("lost the connection to ZooKeeper", "server", server, "session", c.hexSession(), "error", said)
}

func (c *Conn) hexSession() string { return fmt.Sprintf("0x%x", c.session.Load()) }

// debugLog takes what the library logs: details of what the events tell.
type debugLog struct{ log *slog.Logger }

// Printf is the library's.
func (l debugLog) Printf(format string, args ...any) {
	l.log.Debug("ZooKeeper client", "message", fmt.Sprintf(format, args...))
}
