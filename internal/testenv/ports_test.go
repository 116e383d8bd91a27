//go:build linux

package testenv

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// talk says whether who connects to a port finds somebody who listens there.
func talk(t *testing.T, ln net.Listener, p *Port) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = conn.Write([]byte("here"))
			conn.Close()
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); string(got) != "here" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAReservedPortIsListenedAtAgainAndAgain(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		p := FreePort(t)
		_, number, _ := net.SplitHostPort(p.Address())
		for range 3 {
			if conn, err := net.Dial("tcp", p.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("before it listens: %v, %v", conn, err)
			}
			ln, err := net.Listen("tcp", net.JoinHostPort(host, number))
			if err != nil {
				t.Fatalf("listen at %q: %v", host, err)
			}
			talk(t, ln, p)
			if second, err := net.Listen("tcp", p.Address()); err == nil {
				second.Close()
				t.Error("two listen at one port")
			}
			ln.Close()
		}
	}
}

// TestNobodyElseGetsAReservedPort asks for any port so often that one of many which
// are reserved would come, were it free: to listen, to connect from, and to reserve.
func TestNobodyElseGetsAReservedPort(t *testing.T) {
	reserved := map[int]bool{}
	for range 500 {
		p := FreePort(t)
		if reserved[p.Number] {
			t.Fatalf("port %d is reserved twice", p.Number)
		}
		reserved[p.Number] = true
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const tries = 2000 // by chance none of 500 of 28,000 would come once in 10^15
	for range tries {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if port := ln.Addr().(*net.TCPAddr).Port; reserved[port] {
			t.Fatalf("a listener got the reserved port %d", port)
		}
		ln.Close()
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if port := conn.LocalAddr().(*net.TCPAddr).Port; reserved[port] {
			t.Fatalf("a connection got the reserved port %d", port)
		}
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := accepted.(*net.TCPConn).SetLinger(0); err != nil { // leave no port behind that waits
			t.Fatal(err)
		}
		accepted.Close()
		conn.Close()
	}
}

// Who does not share a port is kept out as well, and gets it after Release.
func TestAReleasedPortIsFree(t *testing.T) {
	p := FreePort(t)
	alone := func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		return syscall.Bind(fd, &syscall.SockaddrInet4{Port: p.Number, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err := alone(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("reserved: %v", err)
	}
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	if err := alone(); err != nil {
		t.Errorf("released: %v", err)
	}
}
