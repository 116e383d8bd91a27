//go:build linux

// Package pathtest cuts the path to a server of a test as a broken network does:
// the kernel drops the packets before TCP sees them, so that nobody is told and
// the sender's kernel goes on sending again. A proxy cannot play that, since it
// always takes what is sent to it. The packets are dropped by filters of the
// server's own sockets, which takes neither root nor a network namespace.
package pathtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Listener listens at an address of this machine's loopback.
type Listener struct {
	*net.TCPListener
	t testing.TB

	mu    sync.Mutex
	drops []unix.SockFilter // nil: nothing is dropped
	conns map[*conn]bool
}

// Listen returns a listener at a port that the kernel chose.
func Listen(t testing.TB) *Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false) // such a socket takes no filter
	ln, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // a server may have closed it
	return &Listener{TCPListener: ln.(*net.TCPListener), t: t, conns: map[*conn]bool{}}
}

// Server returns a server that is not started, and the path to it. The test
// closes it.
func Server(t testing.TB, handler http.Handler) (*httptest.Server, *Listener) {
	t.Helper()
	path := Listen(t)
	s := httptest.NewUnstartedServer(handler)
	_ = s.Listener.Close() // it was used for nothing
	s.Listener = path
	return s, path
}

// conn is an accepted connection.
type conn struct {
	*net.TCPConn
	of *Listener
}

// Accept takes the next connection, and the state of the path over to it.
func (l *Listener) Accept() (net.Conn, error) {
	tcp, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &conn{tcp, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	l.apply(tcp)
	return c, nil
}

// Close closes the connection.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

var (
	dropAll = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	// dropWrites drops the packets that begin with P or D: PUT, POST, PATCH and
	// DELETE. What follows in the same connection cannot be read without them.
	dropWrites = []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 12}, // length of the TCP header, in its upper half in words
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xf0},
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 2},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X, Jf: 3}, // no payload: pass
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 'P', Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 'D', Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
)

// Cut drops every packet to the server.
func (l *Listener) Cut() { l.drop(dropAll) }

// CutWrites drops the packets in which a write of HTTP/1 begins, and lets reads
// through.
func (l *Listener) CutWrites() { l.drop(dropWrites) }

// Heal lets all packets through again.
func (l *Listener) Heal() { l.drop(nil) }

func (l *Listener) drop(filter []unix.SockFilter) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drops = filter
	l.apply(l.TCPListener)
	for c := range l.conns {
		l.apply(c.TCPConn)
	}
}

// apply has a socket drop what is to be dropped now; mu is held.
func (l *Listener) apply(socket syscall.Conn) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return // it is closed
	}
	var failed error
	_ = raw.Control(func(fd uintptr) { // its error: closed meanwhile
		if l.drops == nil {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
			if errors.Is(failed, unix.ENOENT) {
				failed = nil // it had none
			}
			return
		}
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(l.drops)), Filter: &l.drops[0]})
	})
	if failed != nil {
		l.t.Errorf("this machine cannot drop packets at a socket, so nothing is tested: %v", failed)
	}
}

// socket is a client's end of a connection, as the kernel shows it.
type socket struct {
	unacknowledged int64 // bytes that it sends until the server's kernel confirms them
	resent         int64 // how often it has done so in vain
}

func (l *Listener) sockets() (all []socket) {
	l.t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		l.t.Fatal(err)
	}
	server := fmt.Sprintf("0100007F:%04X", l.Addr().(*net.TCPAddr).Port)
	for line := range strings.Lines(string(text)) {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt …
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[2] != server {
			continue
		}
		queued, _, _ := strings.Cut(fields[4], ":")
		var s socket
		s.unacknowledged, err = strconv.ParseInt(queued, 16, 64)
		if err == nil {
			s.resent, err = strconv.ParseInt(fields[6], 16, 64)
		}
		if err != nil {
			l.t.Fatalf("/proc/net/tcp: %q: %v", line, err)
		}
		all = append(all, s)
	}
	return all
}

// Unacknowledged is how many sockets of clients hold bytes that the server's
// kernel has not confirmed: they are sent again for as long as a socket holds
// them, also where the process that sent them has ended.
func (l *Listener) Unacknowledged() (n int) {
	l.t.Helper()
	for _, s := range l.sockets() {
		if s.unacknowledged > 0 {
			n++
		}
	}
	return n
}

// stuck is how many of them have sent their bytes again already.
func (l *Listener) stuck() (n int) {
	for _, s := range l.sockets() {
		if s.unacknowledged > 0 && s.resent > 0 {
			n++
		}
	}
	return n
}

// AwaitStuck waits until as many sockets send their bytes in vain, or more.
func (l *Listener) AwaitStuck(sockets int) {
	l.t.Helper()
	l.await(fmt.Sprintf("%d sockets with undelivered bytes", sockets), func() bool { return l.stuck() >= sockets })
}

// AwaitDelivered waits until no socket holds bytes: what was sent has come, or
// never will.
func (l *Listener) AwaitDelivered() {
	l.t.Helper()
	l.await("sockets without bytes", func() bool { return l.Unacknowledged() == 0 })
}

func (l *Listener) await(what string, holds func() bool) {
	l.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(testenv.Patience); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			l.t.Fatalf("%s did not come within %s: %+v", what, testenv.Patience, l.sockets())
		}
	}
}
