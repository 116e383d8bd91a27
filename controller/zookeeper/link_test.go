package zookeeper

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// grant is a server's answer to a request for a session.
func grant(timeout time.Duration, session int64, extra int) []byte {
	b := make([]byte, 4, 64)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout.Milliseconds()))
	b = binary.BigEndian.AppendUint64(b, uint64(session))
	b = binary.BigEndian.AppendUint32(b, 16)
	b = append(b, make([]byte, 16+extra)...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func answer(length int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(length)), make([]byte, min(length, 1<<20))...)
}

func TestLinkReadsAlongHoweverTheBytesArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.IntRange(1, 1<<30).Draw(t, "ms")) * time.Millisecond
		session := rapid.Int64().Draw(t, "session")
		stream := grant(timeout, session, rapid.IntRange(0, 1).Draw(t, "extra"))
		for range rapid.IntRange(0, 5).Draw(t, "answers") {
			stream = append(stream, answer(rapid.IntRange(minResponse, 5000).Draw(t, "length"))...)
		}
		bad := rapid.SampledFrom([]int{0, minResponse, minResponse - 1, maxResponse + 1, 1<<32 - 1}).Draw(t, "last")
		stream = append(stream, answer(bad)...)
		granted := 0
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		l := &link{Conn: a, granted: func(d time.Duration, id int64) {
			granted++
			if d != timeout || id != session {
				t.Fatalf("granted %s to %d, want %s to %d", d, id, timeout, session)
			}
		}}
		var err error
		for len(stream) > 0 && err == nil {
			n := rapid.IntRange(1, len(stream)).Draw(t, "n")
			err = l.follow(stream[:n])
			stream = stream[n:]
		}
		if granted != 1 {
			t.Fatalf("granted %d times", granted)
		}
		if (err == nil) != (bad == minResponse) {
			t.Fatalf("an answer of %d bytes: %v", bad, err)
		}
	})
}

func FuzzLink(f *testing.F) {
	f.Add(append(grant(time.Second, 7, 1), answer(20)...))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, other := net.Pipe()
		defer a.Close()
		defer other.Close()
		l := &link{Conn: a, granted: func(time.Duration, int64) {}}
		if err := l.follow(b); err == nil && (l.left > maxResponse || len(l.grant) > maxGrant) {
			t.Errorf("%d bytes are awaited, %d kept", l.left, len(l.grant))
		}
	})
}
