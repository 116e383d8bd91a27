//go:build linux

package marathon

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/clienttls/tlstest"
	"github.com/pacer-gitops/pacer/controller/marathon/pathtest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// far is a Marathon at the end of a path that can be cut. It records writes.
type far struct {
	*httptest.Server
	path   *pathtest.Listener
	caFile string // of its certificate; empty: it speaks no TLS

	mu     sync.Mutex
	writes map[string]int // by path
	all    chan struct{}  // closed when as many have come as may at once
}

// atOnce is how many connections of a client stay open.
const atOnce = 8

func newFar(t *testing.T, secure bool) *far {
	t.Helper()
	s := &far{writes: map[string]int{}, all: make(chan struct{})}
	s.Server, s.path = pathtest.Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // whether it is there: a read may land whenever it likes
			return
		}
		s.mu.Lock()
		s.writes[r.URL.Path]++
		n := s.writes[r.URL.Path]
		s.mu.Unlock()
		if r.URL.Path == "/v2/apps/before" {
			if n == atOnce {
				close(s.all)
			}
			<-s.all
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"deploymentId": "d", "version": "v"}`)
	}))
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
		s.caFile = filepath.Join(t.TempDir(), "ca.pem")
		tlstest.WritePEM(t, s.caFile, "CERTIFICATE", s.Certificate().Raw)
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *far) client(t *testing.T, o Options) *Client {
	t.Helper()
	o.URLs, o.TLS = []string{s.URL}, clienttls.Files{CAFile: s.caFile}
	return newClient(t, o)
}

// arrived is how many writes came, by their path.
func (s *far) arrived() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.writes)
}

// deleteAtOnce begins to delete an app over all connections that a client keeps,
// and returns what waits for the end of that. Each has its error judged.
func deleteAtOnce(ctx context.Context, c *Client, id string, judge func(error)) (wait func()) {
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			_, err := c.DeleteApp(ctx, id, true)
			judge(err)
		})
	}
	return group.Wait
}

// TestNothingGivenUpLands cuts the path to Marathon, ends the time of a write in
// each of the ways in which it can end, and heals the path: the write must not
// come then, when another replica may lead.
func TestNothingGivenUpLands(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	type given struct {
		path   *pathtest.Listener
		client *Client
		lease  atomic.Pointer[testLease]
		cancel context.CancelFunc
	}
	for name, end := range map[string]func(g *given){
		"the lease ends": func(g *given) {
			g.lease.Load().end()
			g.lease.Load().held.Wait() // what a hand-over waits for
			if n := g.path.Unacknowledged(); n > 0 {
				t.Errorf("nobody holds the lease any more, and %d sockets still send", n)
			}
		},
		"the client is closed":     func(g *given) { g.client.Close() },
		"the request is cancelled": func(g *given) { g.cancel() },
		"another lease begins": func(g *given) {
			g.lease.Store(newTestLease(-1))
			_, _ = g.client.fence.enter()
		},
		"no answer comes in time": nil,
		// The process may be stopped: nothing of it tells the kernel to let go.
		"nobody looks while the lease ends": nil,
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", TLS"}[secure], func(t *testing.T) {
				t.Parallel()
				s, lease, g := newFar(t, secure), newTestLease(-1), new(given)
				g.path = s.path
				g.lease.Store(lease)
				o := Options{Lease: func() (Lease, error) { return g.lease.Load(), nil }}
				switch name {
				case "no answer comes in time":
					o.Timeout = 2 * time.Second
				case "nobody looks while the lease ends":
					lease.left = 2 * time.Second
				}
				g.client = s.client(t, o)
				deleteAtOnce(t.Context(), g.client, "/before", func(err error) {
					if err != nil {
						t.Error(err)
					}
				})()
				s.path.Cut()
				var ctx context.Context
				ctx, g.cancel = context.WithCancel(t.Context())
				defer g.cancel()
				wait := deleteAtOnce(ctx, g.client, "/late", func(err error) {
					if KindOf(err) != KindUnknown {
						t.Errorf("got %v, want that it is not known what came of it", err)
					}
				})
				if end != nil {
					s.path.AwaitStuck(atOnce)
					end(g)
				}
				wait()
				s.path.Heal()
				s.path.AwaitDelivered()
				if got := s.arrived(); got["/v2/apps/before"] != atOnce || len(got) > 1 {
					t.Errorf("Marathon was sent %v", got)
				}
			})
		}
	}
}

// TestWithoutALeaseNothingGivenUpLandsEither is the one-shot apply that somebody
// interrupts.
func TestWithoutALeaseNothingGivenUpLandsEither(t *testing.T) {
	t.Parallel()
	s := newFar(t, false)
	c := s.client(t, Options{})
	s.path.CutWrites()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.DeleteApp(ctx, "/late", true)
		done <- err
	}()
	s.path.AwaitStuck(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.path.Heal()
	s.path.AwaitDelivered()
	if got := s.arrived(); len(got) > 0 {
		t.Errorf("Marathon was sent %v", got)
	}
}

// TestALeaseTooShortForTheKernelLetsNothingOut: what the kernel may send again
// must be over when the lease is.
func TestALeaseTooShortForTheKernelLetsNothingOut(t *testing.T) {
	t.Parallel()
	s, lease := newFar(t, false), newTestLease(-1)
	lease.left = 100 * time.Millisecond // less than the kernel waits before it sends again
	c := s.client(t, Options{Lease: func() (Lease, error) { return lease, nil }})
	_, err := c.DeleteApp(t.Context(), "/a", true)
	if err == nil || !strings.Contains(err.Error(), "sessionTimeout") {
		t.Errorf("got %v, want what to do about it", err)
	}
	if got := s.arrived(); len(got) > 0 {
		t.Errorf("Marathon was sent %v", got)
	}
}
