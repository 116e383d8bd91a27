package zookeeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

func TestMain(m *testing.M) { os.Exit(zktest.Main(m)) }

// dialedInVain dials until the error says one of some reasons, and returns it. How
// far an attempt comes within its time depends on the machine, so each has more.
func dialedInVain(t *testing.T, c Config, reasons ...string) error {
	t.Helper()
	for limit := 200 * time.Millisecond; ; limit *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		conn, err := Dial(ctx, c)
		cancel()
		if err == nil {
			t.Fatal("dialed", conn.Close())
		}
		if slices.ContainsFunc(reasons, func(why string) bool { return strings.Contains(err.Error(), why) }) {
			return err
		}
		if limit > testenv.Patience/10 {
			t.Fatalf("%v: expected one of %q", err, reasons)
		}
	}
}

// config connects a test to an ensemble, under a root of its own.
func config(t *testing.T, e *zktest.Ensemble) Config {
	t.Helper()
	return Config{
		Servers: e.Addresses(), Root: zktest.Root(t), SessionTimeout: 5 * time.Second,
		Handshake: 5 * time.Second, // this machine may be busy
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func dialed(t *testing.T, c Config) *Conn {
	t.Helper()
	conn, err := try(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// try dials; what it gets is closed at the end of the test.
func try(t *testing.T, c Config) (*Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	conn, err := Dial(ctx, c)
	if err == nil {
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return conn, err
}

func password(p string) secret.Ref { return secret.Value(p) }

func TestDialGrantsASessionAndMakesTheRoot(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Root += "/deep/below"
	conn := dialed(t, c)
	if conn.SessionTimeout() != 5*time.Second || conn.SessionID() == 0 || !conn.Connected() || conn.Err() != nil {
		t.Errorf("session %d, timeout %s, connected %v, %v", conn.SessionID(), conn.SessionTimeout(), conn.Connected(), conn.Err())
	}
	if _, stat, err := conn.Get(c.Root); err != nil || stat.EphemeralOwner != 0 {
		t.Errorf("the root: %+v, %v", stat, err)
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

func TestWhatCannotBeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no servers":            {Config{}, "no servers"},
		"a path in a server":    {Config{Servers: []string{"zk1:2181/pacer"}}, `server "zk1:2181/pacer"`},
		"no port":               {Config{Servers: []string{"zk1:"}}, "with a port"},
		"a port beyond":         {Config{Servers: []string{"zk1:70000"}}, "with a port"},
		"a relative root":       {Config{Servers: []string{"zk1"}, Root: "pacer"}, "expected an absolute path"},
		"the root of all":       {Config{Servers: []string{"zk1"}, Root: "/"}, "is reserved"},
		"ZooKeeper's own":       {Config{Servers: []string{"zk1"}, Root: "/zookeeper/config"}, "is reserved"},
		"a path that goes up":   {Config{Servers: []string{"zk1"}, Root: "/pacer/../kafka"}, "expected an absolute path"},
		"a control character":   {Config{Servers: []string{"zk1"}, Root: "/pa\x01cer"}, "does not allow in paths"},
		"half a credential":     {Config{Servers: []string{"zk1"}, Auth: Auth{User: "pacer"}}, "must be set together"},
		"a colon in the user":   {Config{Servers: []string{"zk1"}, Auth: Auth{User: "a:b", Password: password("x")}}, "colon"},
		"no certificate":        {Config{Servers: []string{"zk1"}, Auth: Auth{Certificate: true}}, "requires the certificate"},
		"TLS that is not on":    {Config{Servers: []string{"zk1"}, TLS: TLS{Files: clienttls.Files{CAFile: "/ca.pem"}}}, "not enabled"},
		"no such authority":     {Config{Servers: []string{"zk1"}, TLS: TLS{Enabled: true, Files: clienttls.Files{CAFile: t.TempDir() + "/none"}}}, "no such file"},
		"no readable password":  {Config{Servers: []string{"zk1"}, Auth: Auth{User: "a", Password: secret.Ref{Env: "PACER_TEST_UNSET_VARIABLE"}}}, "is not set"},
		"a negative time-out":   {Config{Servers: []string{"zk1"}, SessionTimeout: -time.Second}, "session timeout"},
		"two ways to authorize": {Config{Servers: []string{"zk1"}, Auth: Auth{User: "a", Password: password("x"), Certificate: true}}, "are mutually exclusive"},
	} {
		if _, err := Dial(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestServerAddress(t *testing.T) {
	for given, want := range map[string]string{
		"zk1": "zk1:2181", "zk1:1": "zk1:1", "127.0.0.1": "127.0.0.1:2181",
		"::1": "[::1]:2181", "[::1]": "[::1]:2181", "[::1]:99": "[::1]:99",
	} {
		if got, err := ServerAddress(given); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", given, got, err, want)
		}
	}
}

func TestAWrongPasswordIsToldAtOnce(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Auth = Auth{User: "pacer", Password: password("right")}
	dialed(t, c)
	for name, auth := range map[string]Auth{"wrong": {User: "pacer", Password: password("hunter2")}, "none": {}} {
		c.Auth = auth
		_, err := try(t, c)
		if !errors.Is(err, ErrNotAllowed) || !errors.Is(err, zk.ErrNoAuth) {
			t.Fatalf("%s: got %v, want ErrNotAllowed", name, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestARootThatIsOpenToEverybodyIsRefusedWithACredential(t *testing.T) {
	c := config(t, zktest.Shared(t))
	dialed(t, c)
	c.Auth = Auth{User: "pacer", Password: password("right")}
	if _, err := try(t, c); !errors.Is(err, ErrNotAllowed) || !strings.Contains(err.Error(), "setAcl -R "+c.Root) {
		t.Errorf("got %v, want ErrNotAllowed and what to do", err)
	}
}

func TestTheRootOfSomebodyElseIsNotChanged(t *testing.T) {
	c := config(t, zktest.Shared(t))
	conn := dialed(t, c)
	if _, err := conn.Set(c.Root, []byte("theirs"), -1); err != nil {
		t.Fatal(err)
	}
	dialed(t, c)
	if data, _, err := conn.Get(c.Root); err != nil || string(data) != "theirs" {
		t.Errorf("the root holds %q, %v", data, err)
	}
}

func TestARotatedPasswordIsReadByTheNextSession(t *testing.T) {
	c := config(t, zktest.Shared(t))
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Auth = Auth{User: "pacer", Password: secret.Ref{File: file}}
	conn := dialed(t, c)
	if _, err := conn.SetACL(c.Root, zk.DigestACL(zk.PermAll, "pacer", "new"), -1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	dialed(t, c)
}

func TestNodesMayBelongToTheOldAndTheNewPassword(t *testing.T) {
	c := config(t, zktest.Shared(t))
	c.Auth = Auth{User: "pacer", Password: password("old")}
	conn := dialed(t, c)
	if err := conn.AddAuth("digest", []byte("pacer:new")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.SetACL(c.Root, zk.AuthACL(zk.PermAll), -1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"old", "new"} {
		c.Auth.Password = password(p)
		dialed(t, c)
	}
}

func TestNodesBelongToTheCredential(t *testing.T) {
	e := zktest.Shared(t)
	c := config(t, e)
	c.Auth = Auth{User: "pacer", Password: password("right")}
	conn := dialed(t, c)
	if err := conn.Make(c.Root + "/a/b"); err != nil {
		t.Fatal(err)
	}
	other := c
	other.Root, other.Auth = zktest.Root(t)+"other", Auth{}
	stranger := dialed(t, other)
	if _, err := stranger.Sync(c.Root); err != nil { // its server may be another one
		t.Fatal(err)
	}
	for _, node := range []string{c.Root, c.Root + "/a", c.Root + "/a/b"} {
		if _, _, err := stranger.Get(node); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("a stranger reads %s: %v", node, err)
		}
		if _, err := stranger.Set(node, nil, -1); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("a stranger writes %s: %v", node, err)
		}
	}
	if err := stranger.Delete(c.Root+"/a/b", -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("a stranger deletes: %v", err)
	}
}
