package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

// The tokens of the replicas in these tests.
const readToken, actToken = "may-only-see", "may-act"

// electing is a ZooKeeper and a Marathon for replicas with tokens.
type electing struct {
	t        *testing.T
	ensemble *zktest.Ensemble
	marathon string
	root     string
	auth     string // of the configuration
	files    string // folder of the secrets
}

func newElecting(t *testing.T, e *zktest.Ensemble, withAuth bool) *electing {
	t.Helper()
	c := &electing{t: t, ensemble: e, marathon: localtest.New(t, localtest.Options{}).URL, root: zktest.Root(t), files: t.TempDir()}
	for name, text := range map[string]string{"read": readToken, "act": actToken, "zookeeper": "correct-horse"} {
		if err := os.WriteFile(filepath.Join(c.files, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if withAuth {
		c.auth = fmt.Sprintf("auth: {user: pacer, password: {file: %s}}, ", filepath.Join(c.files, "zookeeper"))
	}
	return c
}

// replica starts a replica in this process and returns its URL.
func (c *electing) replica() string {
	c.t.Helper()
	dir := c.t.TempDir()
	file, url := filepath.Join(dir, "pacer.yaml"), "http://"+testenv.FreePort(c.t).Address()
	text := fmt.Sprintf(`
marathon: {url: %s, agentPort: 0}
zookeeper: {servers: %s, root: %s, %ssessionTimeout: 2s}
listen: %s
web: {tokens: {read: {file: %s/read}, act: {file: %s/act}}}
stateDir: %s
sources: {shop: {directory: {path: %s}}}
syncs: {shop: {source: shop, scope: /shop}}
`, c.marathon, c.ensemble.Addresses()[0], c.root, c.auth, strings.TrimPrefix(url, "http://"), c.files, c.files, filepath.Join(dir, "state"), c.t.TempDir())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	loaded, err := config.Load(file)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := startProgram(c.t.Context(), loaded, false, slog.New(slog.NewTextHandler(c.t.Output(), nil)), func(err error) { c.t.Error(err) })
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
	return url
}

// ask sends a request with a token.
func (c *electing) ask(method, url, token string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (c *electing) status(url string) (s status.Status) {
	c.t.Helper()
	if code, body := c.ask("GET", url+"/api/v1/status", readToken); code != 200 || json.Unmarshal([]byte(body), &s) != nil {
		c.t.Fatalf("%s: %d %s", url, code, body)
	}
	return s
}

// recorder is whom a forged address leads to.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, fmt.Sprintf("%s %s %v", q.Method, q.URL, q.Header))
		_, _ = w.Write([]byte(`{"message": "shop is suspended"}`))
	}))
	t.Cleanup(r.Close)
	return r
}

// A node that a stranger put among the candidates, first in line and with an
// address of its own, is no reason to send anybody's token there: not where
// ZooKeeper has no credentials, and not where the line was left open to everybody.
func TestAForgedLeaderGetsNoToken(t *testing.T) {
	t.Parallel()
	e := zktest.Start(t, zktest.Options{Servers: 1})
	for _, withAuth := range []bool{false, true} {
		t.Run(fmt.Sprintf("auth %v", withAuth), func(t *testing.T) {
			c := newElecting(t, e, withAuth)
			evil := newRecorder(t)
			connection := zookeeper.Config{Servers: e.Addresses(), Root: c.root}
			if withAuth {
				connection.Auth = zookeeper.Auth{User: "pacer", Password: secret.Value("correct-horse")}
			}
			operator, err := zookeeper.Dial(t.Context(), connection)
			if err != nil {
				t.Fatal(err)
			}
			defer operator.Close()
			line := path.Join(c.root, "candidates")
			if _, err := operator.Create(line, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}
			stranger, _, err := zk.Connect(e.Addresses(), 10*time.Second, zk.WithLogInfo(false))
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			forged := fmt.Sprintf(`{"address": %q}`, evil.URL)
			if _, err := stranger.Create(path.Join(line, "candidate-"+strings.Repeat("0", 32)+"-"), []byte(forged), zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}

			replica := c.replica()
			zktest.Await(t, "a leader that is known", func() bool {
				s := c.status(replica)
				return s.Leader != nil && s.Leader.Leader == evil.URL
			})
			code, said := c.ask("POST", replica+"/api/v1/syncs/shop/suspend", actToken)
			if code != http.StatusServiceUnavailable || !strings.Contains(said, evil.URL) || !strings.Contains(said, "zookeeper.auth") {
				t.Errorf("answered %d %s: want an error that names the address and what is missing", code, said)
			}
			evil.mu.Lock()
			defer evil.mu.Unlock()
			if len(evil.seen) > 0 {
				t.Errorf("at the forged address arrived %q", evil.seen)
			}
		})
	}
}

// Where the replicas have a credential in common, one that follows has the leader
// do what it is asked for.
func TestAProvedLeaderDoesWhatAFollowerIsAskedFor(t *testing.T) {
	t.Parallel()
	c := newElecting(t, zktest.Start(t, zktest.Options{Servers: 1}), true)
	leader := c.replica()
	zktest.Await(t, "a leader", func() bool { l := c.status(leader).Leader; return l != nil && l.Leading })
	follower := c.replica()
	zktest.Await(t, "its address at the follower", func() bool { l := c.status(follower).Leader; return l != nil && l.Leader == leader })
	if code, said := c.ask("POST", follower+"/api/v1/syncs/shop/suspend", actToken); code != http.StatusOK {
		t.Errorf("answered %d %s", code, said)
	}
	zktest.Await(t, "the suspension at the leader", func() bool { return c.status(leader).Syncs[0].Suspended })
}
