package marathon

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpWithin has the kernel give up what is written to a socket next, and the
// connection with it, before a lease ends that lasts that long: it does so also
// where this process is stopped, and can tell it nothing more.
//
// TCP_USER_TIMEOUT is counted from when bytes were sent for the second time.
// Until then the retransmission timeout of the connection passes (at least
// 200 ms), and as much again where a probe was sent between. The same holds
// where Marathon's kernel takes no more bytes and is asked whether it does
// again. The kernel's timers are late by an eighth at most. So with r for the
// retransmission timeout and u for TCP_USER_TIMEOUT, nothing is sent any more
// after (2r + u) · 9/8: u follows. It is counted anew where some of the bytes
// are confirmed: a path that is slow, and not cut, is not bounded by this.
//
// The connection is bounded by it too while it waits for an answer, but only
// where what was sent is not confirmed: not by how long Marathon works on it.
// The timeout also ends a connection of which a keep-alive probe was not
// answered, with the second one, which is sooner than without it.
func giveUpWithin(fd int, left time.Duration) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("cannot read TCP_INFO of the connection: %w", err)
	}
	again := time.Duration(info.Rto) * time.Microsecond
	timeout := (left*8/9 - 2*again).Milliseconds()
	if timeout < 1 {
		return fmt.Errorf("the lease lasts %s, too short for a path to Marathon with a retransmission timeout of %s: "+
			"if this happens often, raise zookeeper.sessionTimeout", left.Round(time.Millisecond), again)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(min(timeout, math.MaxInt32))); err != nil {
		return fmt.Errorf("cannot set TCP_USER_TIMEOUT of the connection: %w", err)
	}
	return nil
}
