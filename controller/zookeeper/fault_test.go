package zookeeper

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

func TestDialGoesPastAServerThatAcceptsAndSaysNothing(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	c := config(t, e)
	c.Handshake = time.Second
	frozen := e.Followers()[0]
	frozen.Freeze()
	defer e.Heal(t)
	// Which server comes first is chance; so that it is the frozen one at some
	// time, some sessions.
	for range 6 {
		dialed(t, c)
	}
}

func TestDialGivesUpWithTheLastReason(t *testing.T) {
	before := runtime.NumGoroutine()
	err := dialedInVain(t, Config{Servers: []string{testenv.FreePort(t).Address()}}, "connection refused")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline and the last reason", err)
	}
	awaitGoroutines(t, before)
}

// awaitGoroutines waits until there are no more than before.
func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	zktest.Await(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func TestWhatIsNoZooKeeperIsToldApart(t *testing.T) {
	for name, says := range map[string]string{
		"a long answer":  "\xff\xff\xff\xff",
		"a short answer": "\x00\x00\x00\x01\x00",
		"a web server":   "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte(says))
				_, _ = conn.Read(make([]byte, 1<<10))
				_ = conn.Close()
			}
		}()
		t.Run(name, func(t *testing.T) {
			_ = dialedInVain(t, Config{Servers: []string{ln.Addr().String()}}, "is it a ZooKeeper server?")
		})
	}
}

func TestTheSessionOutlivesItsConnection(t *testing.T) {
	e := zktest.Shared(t)
	c := config(t, e)
	c.SessionTimeout = 10 * time.Second
	c.Auth = Auth{User: "pacer", Password: password("right")}
	conn := dialed(t, c)
	session := conn.SessionID()
	if _, err := conn.Create(c.Root+"/mine", nil, zk.FlagEphemeral, conn.ACL()); err != nil {
		t.Fatal(err)
	}
	drain(conn)
	for _, s := range e.Servers() {
		s.Proxy.Cut()
	}
	awaitChange(t, conn, func() bool { return !conn.Connected() })
	e.Heal(t)
	awaitChange(t, conn, conn.Connected)
	// It is authenticated again, or the node could not be read.
	if _, stat, err := conn.Get(c.Root + "/mine"); err != nil || stat.EphemeralOwner != session || conn.SessionID() != session || conn.Err() != nil {
		t.Errorf("%+v, %v, session %x then %x, %v", stat, err, session, conn.SessionID(), conn.Err())
	}
}

func drain(c *Conn) {
	select {
	case <-c.Changed():
	default:
	}
}

// awaitChange waits for a condition, looking only when Changed says so.
func awaitChange(t *testing.T, c *Conn, holds func() bool) {
	t.Helper()
	late := time.After(testenv.Patience)
	for !holds() {
		select {
		case <-c.Changed():
		case <-late:
			t.Fatal("the change is not told")
		}
	}
}

func TestAnExpiredSessionIsOver(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	c := config(t, e)
	c.SessionTimeout = time.Second
	conn := dialed(t, c)
	session := conn.SessionID()
	if _, err := conn.Create(c.Root+"/mine", nil, zk.FlagEphemeral, conn.ACL()); err != nil {
		t.Fatal(err)
	}
	other := c
	other.SessionTimeout, other.Servers = 10*time.Second, []string{} // past the proxies, which are cut
	for _, s := range e.Servers() {
		other.Servers = append(other.Servers, s.Direct())
	}
	watcher := dialed(t, other)
	if _, err := watcher.Sync(c.Root); err != nil { // its server may not know of the node yet
		t.Fatal(err)
	}
	for _, s := range e.Servers() {
		s.Proxy.Cut()
	}
	defer e.Heal(t)
	zktest.Await(t, "the end of the node", func() bool {
		there, _, err := watcher.Exists(c.Root + "/mine")
		return err == nil && !there
	})
	e.Heal(t)
	select {
	case <-conn.Done():
	case <-time.After(testenv.Patience):
		t.Fatal("the end of the session is not told")
	}
	if !errors.Is(conn.Err(), zk.ErrSessionExpired) || conn.SessionID() != session {
		t.Errorf("%v, session %x then %x: want no other session", conn.Err(), session, conn.SessionID())
	}
	if _, err := conn.Create(c.Root+"/late", nil, 0, conn.ACL()); err == nil {
		t.Error("a session that is over still writes")
	}
}

func TestCloseEndsEphemeralNodesAtOnceAndEverything(t *testing.T) {
	c := config(t, zktest.Shared(t))
	watcher := dialed(t, c)
	before, files := runtime.NumGoroutine(), openFiles(t)
	for range 5 {
		conn, err := Dial(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Create(c.Root+"/mine", nil, zk.FlagEphemeral, conn.ACL()); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil { // twice does no harm
			t.Fatal(err)
		}
		if !errors.Is(conn.Err(), zk.ErrClosing) {
			t.Error(conn.Err())
		}
		if _, err := watcher.Sync(c.Root); err != nil {
			t.Fatal(err)
		}
		if there, _, err := watcher.Exists(c.Root + "/mine"); err != nil || there {
			t.Fatalf("the node outlives its session: %v, %v", there, err)
		}
	}
	awaitGoroutines(t, before)
	zktest.Await(t, "the end of all connections", func() bool { return openFiles(t) <= files })
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestCloseEndsWhereNobodyAnswers(t *testing.T) {
	e := zktest.Shared(t)
	for name, fault := range map[string]func(*zktest.Proxy){
		"held": func(p *zktest.Proxy) { p.Hold() },
		"cut":  (*zktest.Proxy).Cut,
	} {
		conn := dialed(t, config(t, e))
		for _, s := range e.Servers() {
			fault(s.Proxy)
		}
		blocked := make(chan error, 1)
		go func() { _, _, err := conn.Get("/"); blocked <- err }()
		if err := conn.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-blocked; err == nil {
			t.Errorf("%s: a read was answered by nobody", name)
		}
		e.Heal(t)
	}
}

func TestDialEndsWithItsContextAlsoWhereNobodyAnswersLater(t *testing.T) {
	e := zktest.Shared(t)
	defer e.Heal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, s := range e.Servers() {
		s.Proxy.OnRequest(func(int32) zktest.Fate { // the session is granted already
			cancel()
			for _, s := range e.Servers() {
				go s.Proxy.Hold()
			}
			return zktest.Pass
		})
	}
	if conn, err := Dial(ctx, config(t, e)); !errors.Is(err, context.Canceled) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("got %v, want the end of the context", err)
	}
}

// brittle fails the write that is due.
type brittle struct {
	net.Conn
	due *atomic.Bool
}

func (b brittle) Write(p []byte) (int, error) {
	if b.due.CompareAndSwap(true, false) {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

// TestAFailedWriteOfCredentialsDoesNotWedge: the library, told of such a write,
// waits for ever for itself.
func TestAFailedWriteOfCredentialsDoesNotWedge(t *testing.T) {
	e := zktest.Shared(t)
	var due, reconnected atomic.Bool
	var connections atomic.Int32
	c, _, err := zk.Connect(e.Addresses(), 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(debugLog{config(t, e).Log}),
		zk.WithDialer(func(network, address string, timeout time.Duration) (net.Conn, error) {
			raw, err := net.DialTimeout(network, address, timeout)
			if err != nil {
				return nil, err
			}
			second := connections.Add(1) == 2
			return &link{
				Conn:   brittle{raw, &due},
				failed: func(error) {},
				granted: func(time.Duration, int64) {
					if second { // the next that is written are the credentials
						due.Store(true)
						reconnected.Store(true)
					}
				},
			}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.AddAuth("digest", []byte("pacer:right")); err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Servers() {
		s.Proxy.Break()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, _, err := c.Get("/"); err == nil && reconnected.Load() && !due.Load() {
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(testenv.Patience):
		t.Fatal("the client hangs")
	}
}

func TestWhatIsWrittenAgainstAWipedEnsembleIsNotTakenForWritten(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	c := config(t, e)
	conn := dialed(t, c)
	e.Wipe(t)
	if _, err := conn.Set(c.Root, nil, -1); err == nil {
		t.Error("a write to what is gone succeeded")
	}
	if fresh := dialed(t, c); !fresh.Connected() {
		t.Error("no session after all was wiped")
	}
}
