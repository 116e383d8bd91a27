package report

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge"
)

// listing is a forge of which only the list of pull requests is asked.
type listing struct {
	forge.Forge
	began time.Time
	hangs bool

	mu    sync.Mutex
	asked []time.Duration // since it was made
	err   error
}

// fails has it answer with an error from now on; nil: no more.
func (l *listing) fails(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// times is when it was asked, since it was made.
func (l *listing) times() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

func (l *listing) String() string { return "https://forge.example/team/shop" }

func (l *listing) Pulls(ctx context.Context) ([]forge.Pull, bool, error) {
	l.mu.Lock()
	l.asked = append(l.asked, time.Since(l.began))
	err := l.err
	l.mu.Unlock()
	if l.hangs {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return nil, false, err
}

// newListing is a reporter of one source whose forge is the returned one.
func newListing(t *testing.T) (*Reporter, *listing) {
	l := &listing{began: time.Now()}
	r := New(Options{Sources: map[string]*Source{"shop": {Forge: l, Comments: true, Interval: time.Hour, Branch: func() string { return "main" }}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return r, l
}

func (l *listing) expect(t *testing.T, want ...time.Duration) {
	t.Helper()
	asked := l.times()
	if len(asked) != len(want) {
		t.Fatalf("asked at %s, expected at %s", asked, want)
	}
	for i, at := range asked {
		if off := at - want[i]; off < -want[i]/3 || off > want[i]/3 {
			t.Errorf("asked at %s, expected at about %s", asked, want)
		}
	}
}

func TestTheFirstRequestIsServedAtOnceAndABurstOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newListing(t)
		l.expect(t, 0)
		time.Sleep(10 * time.Second)
		for range 100 {
			r.Request("shop")
			synctest.Wait()
		}
		l.expect(t, 0, 10*time.Second)
		time.Sleep(2 * time.Second)
		l.expect(t, 0, 10*time.Second, 11*time.Second)
	})
}

func TestARateLimitPausesTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newListing(t)
		l.fails(&forge.RateLimitError{Until: time.Now().Add(20 * time.Minute), Err: errors.New("403")})
		time.Sleep(10 * time.Second)
		r.Request("shop")
		synctest.Wait()
		l.fails(nil)
		if s := r.Status()[0]; s.LimitedUntil.IsZero() || s.Error == "" {
			t.Errorf("the limit is not shown: %+v", s)
		}
		time.Sleep(5 * time.Minute)
		r.Request("shop")
		time.Sleep(25 * time.Minute)
		if asked := l.times(); len(asked) < 3 || asked[2] < 20*time.Minute {
			t.Errorf("asked at %s", asked)
		}
		if s := r.Status()[0]; s.Error != "" || !s.LimitedUntil.IsZero() {
			t.Errorf("shown after the limit: %+v", s)
		}
	})
}

func TestAForgeThatIsDownIsAskedEverLessAndAgainAtOnceWhenItAnswers(t *testing.T) {
	for name, err := range map[string]error{
		"no answer": &url.Error{Op: "Get", URL: "https://forge.example", Err: errors.New("connection refused")},
		"502":       &url.Error{Op: "Get", URL: "https://forge.example", Err: &forge.StatusError{Code: http.StatusBadGateway}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, l := newListing(t)
				l.fails(err)
				r.Request("shop")
				time.Sleep(30 * time.Minute)
				if asked := l.times(); len(asked) < 8 || len(asked) > 40 {
					t.Errorf("asked %d times in half an hour: %s", len(asked), asked)
				}
				if s := r.Status()[0]; s.FailingSince.IsZero() || s.Error == "" {
					t.Errorf("not shown: %+v", s)
				}
				l.fails(nil)
				time.Sleep(maxBackoff + maxPause)
				if s := r.Status()[0]; s.Error != "" || s.Queue != 0 {
					t.Errorf("shown when it answers: %+v", s)
				}
			})
		})
	}
}

func TestWhatIsDeniedIsTriedAgainSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newListing(t)
		l.fails(&url.Error{Op: "Get", URL: "https://forge.example", Err: &forge.StatusError{Code: http.StatusForbidden}})
		time.Sleep(time.Minute)
		r.Request("shop")
		time.Sleep(time.Second)
		if s := r.Status()[0]; !s.Denied {
			t.Errorf("not shown: %+v", s)
		}
		time.Sleep(11 * time.Minute)
		l.expect(t, 0, time.Minute, 6*time.Minute, 11*time.Minute)
	})
}

func TestATermEndsThoughTheForgeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listing{began: time.Now(), hangs: true}
		r := New(Options{Sources: map[string]*Source{"shop": {Forge: l, Comments: true, Branch: func() string { return "main" }}}})
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); r.Run(ctx) }()
			synctest.Wait()
			began := time.Now()
			for range 10 * maxQueue { // none of it waits
				r.Request("shop")
			}
			cancel()
			<-done
			if d := time.Since(began); d > 0 {
				t.Errorf("it took %s", d)
			}
			if s := r.Status(); len(s) > 0 {
				t.Errorf("shown without a term: %+v", s)
			}
			r.Request("shop") // which is nobody's business now
		}
		if asked := l.times(); len(asked) != 2 {
			t.Errorf("asked %d times in 2 terms", len(asked))
		}
	})
}
