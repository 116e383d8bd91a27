package marathon

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

var errNoLease = errors.New("no lease")

// testLease ends when it is told to, or after it was looked at so many times.
type testLease struct {
	mu    sync.Mutex
	looks int // -1: any number
	ended bool
	done  chan struct{}
	left  time.Duration // how long it lasts, as it says
	held  sync.WaitGroup
}

func newTestLease(looks int) *testLease {
	return &testLease{looks: looks, done: make(chan struct{}), left: time.Hour}
}

func (l *testLease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.looks == 0 {
		return errNoLease
	}
	if l.looks > 0 {
		l.looks--
	}
	return nil
}

func (l *testLease) Done() <-chan struct{} { return l.done }

func (l *testLease) Left() time.Duration { return l.left }

func (l *testLease) Hold() (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, errNoLease
	}
	l.held.Add(1)
	return l.held.Done, nil
}

func (l *testLease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.done)
}

// listener is a Marathon that takes bytes and counts connections.
type listener struct {
	*httptest.Server
	requests, connections atomic.Int32
	answer                func(w http.ResponseWriter, r *http.Request)
}

func listen(t *testing.T) *listener {
	l := &listener{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"deploymentId": "d", "version": "v", "apps": []}`)
	}}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			return
		}
		l.requests.Add(1)
		l.answer(w, r)
	}))
	l.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			l.connections.Add(1)
		}
	}
	l.Start()
	t.Cleanup(l.Close)
	return l
}

// fencedClient has the lease that the pointer holds; nil: none.
func fencedClient(t *testing.T, l *listener, lease *atomic.Pointer[testLease]) *Client {
	c, err := New(Options{URLs: []string{l.URL}, Lease: func() (Lease, error) {
		if now := lease.Load(); now != nil {
			return now, nil
		}
		return nil, errNoLease
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNothingIsWrittenWithoutALease(t *testing.T) {
	l := listen(t)
	var lease atomic.Pointer[testLease]
	c := fencedClient(t, l, &lease)
	if _, err := c.Apps(t.Context()); err != nil {
		t.Errorf("a read needs no lease: %v", err)
	}
	before := l.connections.Load()
	_, err := c.DeleteApp(t.Context(), "/a", true)
	if !errors.Is(err, errNoLease) || KindOf(err) != KindNotSent {
		t.Errorf("got %v, want no lease and nothing sent", err)
	}
	if l.requests.Load() != 1 || l.connections.Load() != before {
		t.Error("something went to Marathon")
	}
	lease.Store(newTestLease(-1))
	if _, err := c.DeleteApp(t.Context(), "/a", true); err != nil || l.requests.Load() != 2 {
		t.Errorf("with a lease: %v, %d requests", err, l.requests.Load())
	}
}

// TestALeaseThatEndsBeforeTheSocketStopsTheWrite is what happens to a process
// that is stopped after it looked: the lease is there when the request is made,
// and is not when it is to be sent.
func TestALeaseThatEndsBeforeTheSocketStopsTheWrite(t *testing.T) {
	l := listen(t)
	var lease atomic.Pointer[testLease]
	c := fencedClient(t, l, &lease)
	lease.Store(newTestLease(1))
	_, err := c.DeleteApp(t.Context(), "/a", true)
	if !errors.Is(err, errNoLease) {
		t.Errorf("got %v, want no lease", err)
	}
	if n := l.requests.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestEachLeaseHasConnectionsOfItsOwn(t *testing.T) {
	l := listen(t)
	var lease atomic.Pointer[testLease]
	c := fencedClient(t, l, &lease)
	first := newTestLease(-1)
	lease.Store(first)
	for range 3 {
		if _, err := c.DeleteApp(t.Context(), "/a", true); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.connections.Load(); n != 1 {
		t.Errorf("%d connections under one lease", n)
	}
	first.end()
	lease.Store(newTestLease(-1))
	if _, err := c.DeleteApp(t.Context(), "/a", true); err != nil {
		t.Fatal(err)
	}
	if n := l.connections.Load(); n != 2 {
		t.Errorf("%d connections under two leases", n)
	}
}

func TestAWriteThatWaitsForItsAnswerEndsWithTheLease(t *testing.T) {
	l := listen(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	l.answer = func(http.ResponseWriter, *http.Request) { close(arrived); <-release }
	defer close(release)
	var lease atomic.Pointer[testLease]
	c := fencedClient(t, l, &lease)
	lease.Store(newTestLease(-1))
	go func() { <-arrived; lease.Load().end() }()
	_, err := c.DeleteApp(t.Context(), "/a", true)
	if !errors.Is(err, errNoLease) || KindOf(err) != KindUnknown {
		t.Errorf("got %v, want no lease, and that it is not known what came of it", err)
	}
}

// TestWhatIsHalfSentStopsWithTheLease fills the socket, ends the lease, and then
// lets Marathon read on: the rest must not come.
func TestWhatIsHalfSentStopsWithTheLease(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	lease := newTestLease(-1)
	c, err := New(Options{URLs: []string{"http://" + ln.Addr().String()}, Lease: func() (Lease, error) { return lease, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 64 << 20 // beyond what the kernel keeps for a reader who does not read
	app := &manifests.App{ID: "/big", Cmd: new(strings.Repeat("x", size))}
	done := make(chan error, 1)
	go func() {
		_, err := c.PutApp(t.Context(), app, false)
		done <- err
	}()
	conn := <-accepted
	defer conn.Close()
	head := make([]byte, 1<<16) // the body is on its way
	if _, err := io.ReadFull(conn, head); err != nil || !bytes.HasPrefix(head, []byte("PUT /v2/apps/big")) {
		t.Fatalf("%q, %v", head[:20], err)
	}
	lease.end()
	if err := <-done; !errors.Is(err, errNoLease) {
		t.Errorf("got %v, want no lease", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(testenv.Patience)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, conn)
	if n >= size-int64(len(head)) || errors.Is(err, io.EOF) {
		t.Errorf("%d bytes came after the lease had ended, and then %v", n, err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the connection is still there")
	}
}

func TestAClosedClientWritesNothing(t *testing.T) {
	l := listen(t)
	var lease atomic.Pointer[testLease]
	c := fencedClient(t, l, &lease)
	lease.Store(newTestLease(-1))
	if _, err := c.DeleteApp(t.Context(), "/a", true); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.DeleteApp(t.Context(), "/a", true); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

// TestAProxyBetweenIsWarnedOf, without the password that its URL may hold.
func TestAProxyBetweenIsWarnedOf(t *testing.T) {
	var out strings.Builder
	bases, err := parseURLs([]string{"http://near:8080", "http://far:8080"})
	if err != nil {
		t.Fatal(err)
	}
	warnOfProxies(slog.New(slog.NewTextHandler(&out, nil)), bases, func(r *http.Request) (*url.URL, error) {
		if r.URL.Host == "near:8080" {
			return nil, nil
		}
		return url.Parse("http://user:hidden@proxy:3128")
	})
	got := out.String()
	if strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "marathon=far:8080 proxy=proxy:3128") || strings.Contains(got, "hidden") {
		t.Errorf("logged %q", got)
	}
}
