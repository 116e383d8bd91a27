//go:build unix

package marathon

import (
	"errors"
	"io"
	"syscall"
)

// Write asks the lease right before each call of the kernel, also before those
// that go on where the socket was full: net.Conn's own Write may wait for room
// in between, and this process be stopped meanwhile.
func (c *fencedConn) Write(p []byte) (int, error) {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		if err := c.of.lease.Err(); err != nil {
			return 0, err
		}
		return c.Conn.Write(p)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		for n < len(p) {
			if failed = c.leave(int(fd)); failed != nil {
				return true
			}
			written, err := syscall.Write(int(fd), p[n:])
			switch {
			case errors.Is(err, syscall.EINTR):
			case errors.Is(err, syscall.EAGAIN):
				return false // called again when there is room
			case err != nil:
				failed = err
				return true
			case written == 0:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				n += written
			}
		}
		return true
	})
	if failed == nil {
		failed = err
	}
	return n, failed
}

// leave is nil while a byte may go to the socket now.
func (c *fencedConn) leave(fd int) error {
	left := c.of.lease.Left()
	if err := c.of.lease.Err(); err != nil {
		return err
	}
	return giveUpWithin(fd, left)
}
