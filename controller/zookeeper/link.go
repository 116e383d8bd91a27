package zookeeper

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

const (
	// maxResponse is how long an answer may be, in bytes. A node holds at most
	// 1 MiB; the names of a node's children may be more.
	maxResponse = 4 << 20
	// minResponse is the header of every answer: the library would slice beyond
	// a shorter one.
	minResponse = 16
	// The answer to a request for a session: protocol version, timeout in ms,
	// session id, length of the password and the password (16), and in newer
	// servers one byte more.
	minGrant, maxGrant = 36, 64
)

// link is one network connection of a session. It reads along: the first
// answer is the only place that tells the granted session timeout, and the
// length of each is looked at before the library makes room for it.
type link struct {
	net.Conn
	granted func(timeout time.Duration, session int64)
	failed  func(error)

	// Until the session is granted the deadline of the handshake holds, and the
	// library's, which is far away or none at all, does not.
	hasSession atomic.Bool

	head [4]byte // of the answer that comes, filled up to have
	have int
	left int // bytes of the answer that are still to come
	// grant is the first answer up to the session id.
	grant []byte
}

// Read passes on what the server sends while it keeps to the protocol.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if bad := l.follow(b[:n]); bad != nil {
		_ = l.Conn.Close() // the session lives on with the next connection
		n, err = 0, bad
	}
	if err != nil {
		l.failed(err)
	}
	return n, err
}

// follow takes account of bytes that came.
func (l *link) follow(b []byte) error {
	for len(b) > 0 {
		if l.left == 0 {
			n := copy(l.head[l.have:], b)
			l.have, b = l.have+n, b[n:]
			if l.have < len(l.head) {
				return nil
			}
			l.have, l.left = 0, int(binary.BigEndian.Uint32(l.head[:]))
			if err := l.checkLength(); err != nil {
				return err
			}
			continue
		}
		n := min(l.left, len(b))
		if !l.hasSession.Load() {
			l.grant = append(l.grant, b[:n]...)
		}
		l.left, b = l.left-n, b[n:]
		if l.left == 0 && !l.hasSession.Load() {
			l.take(l.grant)
		}
	}
	return nil
}

func (l *link) checkLength() error {
	least, most := minResponse, maxResponse
	if !l.hasSession.Load() {
		least, most = minGrant, maxGrant
	}
	if l.left < least || l.left > most {
		return fmt.Errorf("%s sent an answer of %d bytes, expected %d to %d: is it a ZooKeeper server?", l.RemoteAddr(), l.left, least, most)
	}
	return nil
}

// take reads the first answer whole.
func (l *link) take(grant []byte) {
	timeout := time.Duration(int32(binary.BigEndian.Uint32(grant[4:]))) * time.Millisecond
	session := int64(binary.BigEndian.Uint64(grant[8:]))
	l.hasSession.Store(true)
	_ = l.Conn.SetDeadline(time.Time{})
	l.granted(timeout, session)
}

// Write claims success once there is a session: where it fails the connection
// is closed, which the library notices as it reads. Told of a failed write while
// it sends credentials again, it waits for itself for ever (v1.0.4: the answer of
// a request goes twice into a channel that has room for one). Nothing is lost by
// it, as a write that did not fail need not have arrived either.
func (l *link) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	if err == nil {
		return n, nil
	}
	l.failed(err)
	if !l.hasSession.Load() {
		return n, err
	}
	_ = l.Conn.Close()
	return len(b), nil
}

// SetReadDeadline is the library's, once there is a session.
func (l *link) SetReadDeadline(t time.Time) error {
	if !l.hasSession.Load() {
		return nil
	}
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is the library's, once there is a session.
func (l *link) SetWriteDeadline(t time.Time) error {
	if !l.hasSession.Load() {
		return nil
	}
	return l.Conn.SetWriteDeadline(t)
}
