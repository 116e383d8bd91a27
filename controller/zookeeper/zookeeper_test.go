package zookeeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

func TestMain(m *testing.M) { os.Exit(zktest.Main(m)) }

// config connects a test to an ensemble, under a root of its own.
func config(t *testing.T, e *zktest.Ensemble) Config {
	t.Helper()
	return Config{
		Servers: e.Addresses(), Root: zktest.Root(t), SessionTimeout: 5 * time.Second,
		Handshake: 5 * time.Second, // this machine is busy
		Log:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func dialed(t *testing.T, c Config) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := Dial(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func password(p string) func() (string, error) { return func() (string, error) { return p, nil } }

func TestDialGrantsASessionAndMakesTheRoot(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Root += "/deep/below"
	conn := dialed(t, c)
	if conn.SessionTimeout() != 5*time.Second || conn.SessionID() == 0 || !conn.Connected() {
		t.Errorf("session %d, timeout %s, connected %v", conn.SessionID(), conn.SessionTimeout(), conn.Connected())
	}
	if _, stat, err := conn.Get(c.Root); err != nil || stat.EphemeralOwner != 0 {
		t.Errorf("the root: %+v, %v", stat, err)
	}
	if conn.Err() != nil {
		t.Error(conn.Err())
	}
}

func TestTheGrantedTimeoutIsKnown(t *testing.T) {
	c := config(t, zktest.Shared(t))
	for asked, granted := range map[time.Duration]time.Duration{100 * time.Millisecond: time.Second, time.Minute: 10 * time.Second} {
		c.SessionTimeout = asked
		if conn := dialed(t, c); conn.SessionTimeout() != granted {
			t.Errorf("asked for %s: %s is known, want %s", asked, conn.SessionTimeout(), granted)
		}
	}
}

func TestAWrongPasswordIsToldAtOnce(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Auth = Auth{User: "pacer", Password: password("right")}
	dialed(t, c)
	for name, auth := range map[string]Auth{"wrong": {User: "pacer", Password: password("hunter2")}, "none": {}} {
		c.Auth = auth
		_, err := Dial(t.Context(), c)
		if !errors.Is(err, ErrNotAllowed) || !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("%s: got %v, want ErrNotAllowed", name, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
