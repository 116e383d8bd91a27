package testenv

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Port is a TCP port of this machine's loopback that a process is to listen at which
// the test starts later, once or several times. Until Release nobody else gets it,
// neither by chance nor by asking for any port, and while nobody listens whoever
// connects is refused.
//
// To choose a port, close it and hope is not enough: the kernel gives it to the next
// who asks for any, such as the end of a connection of another test. Here it stays
// bound. On Linux two sockets with SO_REUSEADDR may be bound to one port as long as
// at most one of them listens; Go, Java and C servers set it. A bind to any port, and
// the port of an outgoing connection, avoid what is bound.
type Port struct {
	Number int
	close  func() error
}

// NewPort reserves a port that the kernel chooses.
func NewPort() (*Port, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p := &Port{close: sync.OnceValue(func() error { return syscall.Close(fd) })}
	if p.Number, err = bind(fd); err != nil {
		return nil, errors.Join(fmt.Errorf("reserve a port: %w", err), p.close())
	}
	return p, nil
}

// bind binds a socket to any port of the loopback. It shares the port only from then
// on: a port that others would share is not chosen.
func bind(fd int) (port int, err error) {
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}

// Address is where a process that listens at the port is found: 127.0.0.1:PORT.
func (p *Port) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release ends the reservation, also if it is called again.
func (p *Port) Release() error { return p.close() }

// FreePort reserves a port until the end of the test.
func FreePort(t testing.TB) *Port {
	t.Helper()
	p, err := NewPort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Release(); err != nil {
			t.Errorf("release port %d: %v", p.Number, err)
		}
	})
	return p
}
