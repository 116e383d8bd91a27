// Package reset dials connections that are reset when they are closed.
//
// A connection that is closed otherwise is finished: the kernel goes on sending
// what it has not delivered yet, for minutes, also when the process that wrote it
// has ended. A request that was given up would be carried out whenever the path
// to the server heals. A connection that is reset drops it.
//
// It is set when the connection is made, and not when it is closed, so that it
// holds whoever closes it: net/http where a request is cancelled, or the kernel
// where the process is killed. A server to which the request was delivered in
// whole has it all the same, and one that has answered it loses nothing.
package reset

import (
	"context"
	"fmt"
	"net"
)

// Dial makes a connection, as net.Dialer's DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// OnClose has the TCP connections that dial makes reset when they are closed.
func OnClose(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := whenClosed(conn); err != nil {
			_ = conn.Close() // nothing was written
			return nil, fmt.Errorf("the connection to %s would continue to send after it is closed: %w", address, err)
		}
		return conn, nil
	}
}

func whenClosed(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("expected a TCP connection, found %T", conn)
	}
	return tcp.SetLinger(0)
}
