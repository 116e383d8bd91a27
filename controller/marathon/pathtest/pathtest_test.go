//go:build linux

package pathtest

import (
	"net"
	"testing"
)

// TestWhatWasWrittenBeforeTheCutHealsComes, also where its connection is closed
// meanwhile: it is what the tests that use this package look for.
func TestWhatWasWrittenBeforeTheCutHealsComes(t *testing.T) {
	for name, cut := range map[string]func(*Listener){"of all": (*Listener).Cut, "of writes": (*Listener).CutWrites} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Listen(t)
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			cut(l)
			if _, err := client.Write([]byte("PUT")); err != nil {
				t.Fatal(err)
			}
			l.AwaitStuck(1)
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if n := l.Unacknowledged(); n != 1 {
				t.Errorf("%d sockets hold bytes", n)
			}
			l.Heal()
			l.AwaitDelivered()
			got := make([]byte, 3)
			if n, err := server.Read(got); err != nil || string(got[:n]) != "PUT" {
				t.Errorf("got %q, %v", got[:n], err)
			}
		})
	}
}

// TestWritesAreCutAndReadsAreNot on the same path.
func TestWritesAreCutAndReadsAreNot(t *testing.T) {
	l := Listen(t)
	l.CutWrites()
	for _, text := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if text == "GET" {
			if _, err := server.Read(make([]byte, len(text))); err != nil {
				t.Fatal(err)
			}
			l.AwaitDelivered()
		}
	}
	l.AwaitStuck(4)
}
