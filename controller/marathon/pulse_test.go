package marathon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/secret"
)

// plant is one or more Marathons on a clock of the test. One that is frozen takes
// what it is asked, and neither answers nor says anything on its streams.
type plant struct {
	mu     sync.Mutex
	frozen map[string]chan struct{} // by host; closed when it thaws
	mute   bool                     // streams say nothing
	slow   time.Duration            // what anything but /ping takes
	status int                      // of /ping; zero: 200
	asked  map[string]int           // "host METHOD /path" → how often
	auth   string                   // what /ping came with
}

func newPlant() *plant { return &plant{frozen: map[string]chan struct{}{}, asked: map[string]int{}} }

func (p *plant) freeze(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen[host] = make(chan struct{})
}

func (p *plant) thaw(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen[host])
	delete(p.frozen, host)
}

func (p *plant) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[what]
}

// awake waits until a host is not frozen, or a request ends.
func (p *plant) awake(ctx context.Context, host string) error {
	p.mu.Lock()
	thaws := p.frozen[host]
	p.mu.Unlock()
	if thaws == nil {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-thaws:
		return nil
	}
}

func (p *plant) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked[r.URL.Host+" "+r.Method+" "+r.URL.Path]++
	slow, status := p.slow, p.status
	if r.URL.Path == "/ping" {
		slow, p.auth = 0, r.Header.Get("Authorization")
	} else {
		status = 0
	}
	p.mu.Unlock()
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(slow):
	}
	if err := p.awake(r.Context(), r.URL.Host); err != nil {
		return nil, err
	}
	answer := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
	if status > 0 {
		answer.StatusCode = status
	}
	switch {
	case r.URL.Path == "/v2/events":
		answer.Header.Set("Content-Type", "text/event-stream")
		out, in := io.Pipe()
		context.AfterFunc(r.Context(), func() { in.CloseWithError(r.Context().Err()) })
		go p.beat(r.Context(), r.URL.Host, in)
		answer.Body = out
	case r.Method == http.MethodGet:
		answer.Body = io.NopCloser(strings.NewReader(`{"apps":[]}`))
	default:
		answer.Body = io.NopCloser(strings.NewReader(`{"version": "v1", "deploymentId": "d1"}`))
	}
	return answer, nil
}

// beat sends the keep-alives of a stream.
func (p *plant) beat(ctx context.Context, host string, in *io.PipeWriter) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Second):
		}
		p.mu.Lock()
		mute := p.mute
		p.mu.Unlock()
		if mute {
			continue
		}
		if p.awake(ctx, host) != nil {
			return
		}
		if _, err := io.WriteString(in, "\r\n"); err != nil {
			return
		}
	}
}

// planted runs a test with a client of m1 and m2, or of m1 alone.
func planted(t *testing.T, urls []string, test func(t *testing.T, p *plant, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlant()
		c := newClient(t, Options{URLs: urls, Auth: Auth{Bearer: secret.Value("sesame")}, Wrap: func(http.RoundTripper) http.RoundTripper { return p }})
		time.Sleep(time.Hour) // nothing is known of before
		test(t, p, c)
		c.Close()
	})
}

// next reads a stream, which has no events, until it ends with what is sent.
func next(t *testing.T, s *Stream) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	t.Cleanup(func() { _ = s.Close() })
	return ended
}

var one, two = []string{"http://m1:8080"}, []string{"http://m1:8080", "http://m2:8080"}

// within calls f, which must take as long as is said.
func within(t *testing.T, least, most time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took < least || took > most {
		t.Errorf("it took %s, want %s to %s", took, least, most)
	}
}

// What takes a request and never answers is found out in seconds, and named with the
// time of day since when, which a later reader understands too.
func TestAFrozenMarathonIsFoundOut(t *testing.T) {
	t.Run("by a read", func(t *testing.T) {
		planted(t, one, func(t *testing.T, p *plant, c *Client) {
			p.freeze("m1:8080")
			since := time.Now().UTC().Format(time.DateTime)
			var err error
			within(t, 4*time.Second, 5*time.Second, func() { _, err = c.Apps(t.Context()) })
			if !errors.Is(err, ErrNotThere) || KindOf(err) != KindUnknown && KindOf(err) != KindNotSent {
				t.Errorf("kind %d: %v", KindOf(err), err)
			}
			if want := "http://m1:8080 has answered nothing since " + since + " UTC: nor GET /ping within 3s"; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("%v, want %q", err, want)
			}
			within(t, 0, 0, func() { _, err = c.Apps(t.Context()) }) // which is known now
			if !errors.Is(err, ErrNotThere) {
				t.Error(err)
			}
			p.thaw("m1:8080")
			time.Sleep(pulseKept)
			if _, err := c.Apps(t.Context()); err != nil {
				t.Errorf("it is there again: %v", err)
			}
		})
	})
	t.Run("by a write, which may have been taken", func(t *testing.T) {
		planted(t, two, func(t *testing.T, p *plant, c *Client) {
			p.freeze("m1:8080")
			var err error
			within(t, 10*time.Second, 13*time.Second, func() { _, err = c.PutApp(t.Context(), appNamed("/a"), false) })
			if !errors.Is(err, ErrNotThere) || KindOf(err) != KindUnknown || p.count("m2:8080 PUT /v2/apps/a") != 0 {
				t.Errorf("kind %d, asked %v: %v", KindOf(err), p.asked, err)
			}
			// It is not asked what would hang: what is not sent may go to the other one.
			within(t, 0, 4*time.Second, func() { _, err = c.PutApp(t.Context(), appNamed("/a"), false) })
			if err != nil || p.count("m2:8080 PUT /v2/apps/a") != 1 || p.count("m1:8080 PUT /v2/apps/a") != 1 {
				t.Errorf("asked %v: %v", p.asked, err)
			}
		})
	})
	t.Run("by the event stream", func(t *testing.T) {
		for name, c := range map[string]struct {
			busy bool
			most time.Duration
		}{"at rest": {false, 9 * time.Second}, "while something is asked": {true, 5 * time.Second}} {
			t.Run(name, func(t *testing.T) {
				planted(t, one, func(t *testing.T, p *plant, client *Client) {
					s, err := client.Events(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					ended := next(t, s)
					time.Sleep(time.Minute)
					if c.busy {
						if _, err := client.Apps(t.Context()); err != nil {
							t.Fatal(err)
						}
						time.Sleep(busyQuiet) // until then it is as at rest
					}
					p.freeze("m1:8080")
					within(t, 0, c.most, func() { err = <-ended })
					if !errors.Is(err, ErrNotThere) {
						t.Error(err)
					}
				})
			})
		}
	})
	t.Run("by opening the event stream", func(t *testing.T) {
		planted(t, two, func(t *testing.T, p *plant, c *Client) {
			p.freeze("m1:8080")
			within(t, 0, 5*time.Second, func() {
				s, err := c.Events(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_ = s.Close()
			})
			if p.count("m2:8080 GET /v2/events") != 1 {
				t.Errorf("asked %v", p.asked)
			}
		})
	})
}

// Of several URLs the next is asked as soon as one does not answer, and is not
// waited for again.
func TestAFrozenMarathonIsLeftForTheNext(t *testing.T) {
	planted(t, two, func(t *testing.T, p *plant, c *Client) {
		p.freeze("m1:8080")
		within(t, 4*time.Second, 5*time.Second, func() {
			if _, err := c.Apps(t.Context()); err != nil {
				t.Error(err)
			}
		})
		within(t, 0, 0, func() {
			if _, err := c.Apps(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if p.auth != "Bearer sesame" {
			t.Errorf("/ping is asked with %q", p.auth)
		}
	})
}

// What is slow is not taken for what is away, however slow it is; a write also not
// where nothing at all comes for a while.
func TestWhatIsSlowIsWaitedFor(t *testing.T) {
	planted(t, one, func(t *testing.T, p *plant, c *Client) {
		p.slow = 50 * time.Second
		if _, err := c.Apps(t.Context()); err != nil {
			t.Error(err)
		}
		if n := p.count("m1:8080 GET /ping"); n < 10 || n > 40 {
			t.Errorf("/ping was asked %d times in 50 s", n)
		}
		p.slow = 0
		p.freeze("m1:8080")
		time.AfterFunc(8*time.Second, func() { p.thaw("m1:8080") })
		if _, err := c.PutApp(t.Context(), appNamed("/a"), false); err != nil {
			t.Errorf("a write is given up after 8 s: %v", err)
		}
	})
}

// A proxy that answers for a Marathon that is gone is no sign of life; one that does
// not let /ping through is.
func TestWhatPingAnswers(t *testing.T) {
	for status, there := range map[int]bool{200: true, 401: true, 404: true, 500: true, 502: false, 503: false, 504: false} {
		planted(t, one, func(t *testing.T, p *plant, c *Client) {
			p.slow, p.status = 20*time.Second, status
			_, err := c.Apps(t.Context())
			if there != (err == nil) {
				t.Errorf("%d: %v", status, err)
			}
			if want := fmt.Sprintf("GET /ping is answered %d", status); !there && !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// At rest an event stream costs one small question every 10 s, and nothing else.
func TestAStreamAtRestCostsOnePingBetweenTwoKeepAlives(t *testing.T) {
	planted(t, one, func(t *testing.T, p *plant, c *Client) {
		s, err := c.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended := next(t, s)
		time.Sleep(time.Minute)
		before := p.count("m1:8080 GET /ping")
		time.Sleep(10 * time.Minute)
		if n := p.count("m1:8080 GET /ping") - before; n > 61 || len(p.asked) != 2 {
			t.Errorf("%d pings in 10 minutes, and %v", n, p.asked)
		}
		select {
		case err := <-ended:
			t.Errorf("the stream ended: %v", err)
		default:
		}
	})
}

// A stream that has died unseen ends though its Marathon is there.
func TestAStreamWithoutKeepAlivesEnds(t *testing.T) {
	planted(t, one, func(t *testing.T, p *plant, c *Client) {
		s, err := c.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p.mu.Lock()
		p.mute = true
		p.mu.Unlock()
		within(t, 14*time.Second, 15*time.Second, func() { _, err = s.Next() })
		if !errors.Is(err, ErrSilent) {
			t.Error(err)
		}
	})
}

// A client that is closed leaves nothing behind that asks.
func TestCloseEndsPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant()
		c, err := New(Options{URLs: one, Wrap: func(http.RoundTripper) http.RoundTripper { return p }})
		if err != nil {
			t.Fatal(err)
		}
		p.freeze("m1:8080")
		go func() { _, _ = c.Apps(t.Context()) }()
		time.Sleep(askPatience + time.Second) // it is being asked
		within(t, 0, 0, c.Close)
	})
}
