package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// What Save can say beside an error of the connection. Nothing is saved then.
var (
	// ErrStale: somebody else has saved, or removed, the state of the sync since
	// this process loaded it. Load it again.
	ErrStale = errors.New("another process saved the state in the meantime")
	// ErrNotLeader: ZooKeeper does not have the guard's node any more, or the
	// guard itself says so.
	ErrNotLeader = errors.New("this process is not the leader")
)

// Guard names the node, and its version, that must be in ZooKeeper for a write
// to be taken: the one by which this process leads. An error: it does not lead.
type Guard func() (node string, version int32, err error)

// ZooKeeperOptions say where a ZooKeeper store is, and who may write.
type ZooKeeperOptions struct {
	// Connection is the ensemble and the root; records are in nodes below it.
	Connection zookeeper.Config
	// Guard is asked before each write; nil: everybody may write who has the
	// newest state. ZooKeeper looks at its node in the same transaction.
	Guard Guard
	Log   *slog.Logger // nil: nothing is logged
}

// ZooKeeper is a Store in a ZooKeeper ensemble. Many processes may have it open
// and load; a Save is refused where another one has saved since the last Load.
type ZooKeeper struct {
	o         ZooKeeperOptions
	now       func() time.Time
	chunkSize int // in bytes

	mu      sync.Mutex
	conn    *zookeeper.Conn // nil: none yet, or it was lost
	closed  bool
	records map[string]*record // by node
	closing sync.WaitGroup     // of lost connections
	dialing chan struct{}      // holds a value while somebody dials
}

var _ Records = (*ZooKeeper)(nil)

// record is what this process knows of the node of a sync.
type record struct {
	mu sync.Mutex // one load or save at a time
	at position   // what was loaded or saved last
	// tried is the generation of a save of which it is not known whether it was
	// taken.
	tried string
	// unswept: there may be chunks that belong to nothing.
	unswept bool
}

// callTimeout bounds a load or save: Marathon is better watched with an error
// on the page than not at all.
const callTimeout = 10 * time.Second

// OpenZooKeeper connects, so that a wrong address or credential is told now. The
// root is made if it is missing. Later, a lost connection is replaced when it is
// needed.
func OpenZooKeeper(ctx context.Context, o ZooKeeperOptions) (*ZooKeeper, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	z := &ZooKeeper{o: o, now: time.Now, chunkSize: maxChunk, records: map[string]*record{}, dialing: make(chan struct{}, 1)}
	if _, err := z.connected(ctx); err != nil {
		return nil, fmt.Errorf("state in ZooKeeper: %w", err)
	}
	return z, nil
}

// Close ends the connection.
func (z *ZooKeeper) Close() error {
	z.mu.Lock()
	conn := z.conn
	z.conn, z.closed = nil, true
	z.mu.Unlock()
	var err error
	if conn != nil {
		err = conn.Close()
	}
	z.closing.Wait()
	return err
}

// connected is the connection that there is, or a new one.
func (z *ZooKeeper) connected(ctx context.Context) (*zookeeper.Conn, error) {
	select {
	case z.dialing <- struct{}{}:
		defer func() { <-z.dialing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	z.mu.Lock()
	conn, closed := z.conn, z.closed
	z.mu.Unlock()
	switch {
	case closed:
		return nil, os.ErrClosed
	case conn != nil && conn.Err() == nil:
		return conn, nil
	case conn != nil:
		z.drop(conn)
	}
	conn, err := zookeeper.Dial(ctx, z.o.Connection)
	if err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return nil, errors.Join(os.ErrClosed, conn.Close())
	}
	z.conn = conn
	return conn, nil
}

// drop gives a connection up. Whoever waits for an answer on it is told so.
func (z *ZooKeeper) drop(conn *zookeeper.Conn) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.conn == conn {
		z.conn = nil
		z.closing.Go(func() {
			if err := conn.Close(); err != nil {
				z.o.Log.Warn("an abandoned connection to ZooKeeper has not ended", "error", err)
			}
		})
	}
}

// retryPause lies between two attempts.
const retryPause = 50 * time.Millisecond

// call does something with a connection, and again with another where that one
// is lost, until ctx ends or callTimeout is over. The library's calls take no
// context; giving the connection up ends them.
func (z *ZooKeeper) call(ctx context.Context, do func(*zookeeper.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for refused := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := z.attempt(ctx, do)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, zk.ErrNoAuth) && !errors.Is(err, zookeeper.ErrNotAllowed) && refused == 0:
			refused++ // the credential may have been rotated: the next connection reads it
		case !isLost(err):
			return err
		}
		if late := wait.Sleep(ctx, retryPause); late != nil {
			return errors.Join(err, late)
		}
	}
}

func (z *ZooKeeper) attempt(ctx context.Context, do func(*zookeeper.Conn) error) error {
	conn, err := z.connected(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { z.drop(conn) })
	defer stop()
	err = do(conn)
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if isLost(err) || errors.Is(err, zk.ErrNoAuth) {
		z.drop(conn)
	}
	return err
}

// isLost tells whether nothing is known of what was asked, because of the
// connection.
func isLost(err error) bool {
	for _, lost := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrSessionMoved, zk.ErrClosing} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// The nodes below the root.
const (
	recordsNode = "store"
	archiveNode = "archive"
	asideNode   = "set-aside"
	claimsNode  = "lost"
)

// record is that of a sync, and its node.
func (z *ZooKeeper) record(sync string) (*record, string, error) {
	name, err := escaped(sync)
	if err != nil {
		return nil, "", err
	}
	node := path.Join(z.root(), recordsNode, name)
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.records[node] == nil {
		// Not loaded yet: it is taken that there is none, so that the first save
		// of a process that has not looked replaces nothing.
		z.records[node] = &record{at: position{}, unswept: true}
	}
	return z.records[node], node, nil
}

func (z *ZooKeeper) root() string {
	if z.o.Connection.Root == "" {
		return zookeeper.DefaultRoot
	}
	return z.o.Connection.Root
}

// Syncs names the syncs of which something is saved, sorted.
func (z *ZooKeeper) Syncs(ctx context.Context) ([]string, error) {
	var syncs []string
	err := z.call(ctx, func(c *zookeeper.Conn) error {
		syncs = nil
		nodes, err := newest(c, path.Join(z.root(), recordsNode))
		if err != nil {
			return err
		}
		for _, n := range nodes {
			sync, ok := unescaped(n)
			if !ok {
				continue // not ours
			}
			data, _, err := c.Get(path.Join(z.root(), recordsNode, n))
			if err != nil && !errors.Is(err, zk.ErrNoNode) {
				return err
			}
			if len(data) > 0 {
				syncs = append(syncs, sync)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("states in ZooKeeper: %w", err)
	}
	slices.Sort(syncs)
	return syncs, nil
}

// Users names the nodes of processes that use the root now: those that end with
// their session.
func (z *ZooKeeper) Users(ctx context.Context) ([]string, error) {
	var users []string
	err := z.call(ctx, func(c *zookeeper.Conn) error {
		users = nil
		return z.findUsers(c, z.root(), &users)
	})
	if err != nil {
		return nil, fmt.Errorf("processes that use %s in ZooKeeper: %w", z.root(), err)
	}
	return users, nil
}

// CheckUnused returns an error while a process uses the root.
func (z *ZooKeeper) CheckUnused(ctx context.Context) error {
	users, err := z.Users(ctx)
	if err == nil && len(users) > 0 {
		err = fmt.Errorf("the state is in use: by the process that created %s: stop it first; a killed one disappears after the session timeout, %s",
			strings.Join(users, ", "), z.o.Connection.SessionTimeout)
	}
	return err
}

func (z *ZooKeeper) findUsers(c *zookeeper.Conn, node string, users *[]string) error {
	nodes, err := newest(c, node)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if node == z.root() && (n == recordsNode || n == archiveNode || n == asideNode || n == claimsNode) {
			continue
		}
		below := path.Join(node, n)
		_, stat, err := c.Get(below)
		switch {
		case errors.Is(err, zk.ErrNoNode):
		case err != nil:
			return err
		case stat.EphemeralOwner != 0:
			*users = append(*users, below)
		default:
			if err := z.findUsers(c, below, users); err != nil {
				return err
			}
		}
	}
	return nil
}

// newest are the names of a node's children as the ensemble's leader has them:
// the server of a connection may lag behind.
func newest(c *zookeeper.Conn, node string) ([]string, error) {
	if _, err := c.Sync(node); err != nil {
		return nil, err
	}
	return children(c, node)
}

// children are the names of a node's children; none where it is not there.
func children(c *zookeeper.Conn, node string) ([]string, error) {
	names, _, err := c.Children(node)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}
