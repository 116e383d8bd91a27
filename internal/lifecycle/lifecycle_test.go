package lifecycle

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever hangs, all else is stopped, and the process ends within 15 s.
func TestStopLeavesBehindWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		hang := func(context.Context) error { <-stuck; return nil }
		var stopped []string
		note := func(name string) func(context.Context) error {
			return func(context.Context) error { stopped = append(stopped, name); return nil }
		}
		inner := &Lifecycle{}
		inner.OnStop("the state", note("state"))
		inner.OnStop("the sources", hang)
		inner.OnStop("the page", func(ctx context.Context) error { <-ctx.Done(); return errors.New("drained late") })
		l := &Lifecycle{}
		l.OnStop("the first", note("first"))
		l.OnStop("the second", hang)
		l.TakeOver(inner)
		l.Background(t.Context(), "what does not listen", func(context.Context) { <-stuck })
		l.OnStop("the last", note("last"))

		ctx, cancel := context.WithCancel(t.Context())
		cancel() // as by a signal
		begun := time.Now()
		err := l.Stop(ctx)
		if took := time.Since(begun); took >= endGrace {
			t.Errorf("it took %s", took)
		}
		if got := strings.Join(stopped, " "); got != "last state first" {
			t.Errorf("stopped are %s", got)
		}
		for _, want := range []string{"stop the second: it does not end", "what does not listen", "stop the sources: it does not end", "drained late"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("nothing says %q: %v", want, err)
			}
		}
	})
}

// Nor does a pipe that nobody reads, where the last words go, keep it from that.
func TestProcessEndsLateThoughNobodyReadsWhatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		defer r.Close()
		ended := make(chan int, 1)
		EndLate(ctx, w, func(code int) { ended <- code })
		cancel()
		begun := time.Now()
		if code := <-ended; code != 1 || time.Since(begun) > endGrace {
			t.Errorf("ended with %d after %s", code, time.Since(begun))
		}
	})
}

func TestProcessEndsLateIfNothingElseEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		ended := make(chan int, 1)
		EndLate(ctx, &out, func(code int) { ended <- code })
		time.Sleep(time.Hour)
		select {
		case code := <-ended:
			t.Fatalf("ended with %d though no signal came", code)
		default:
		}
		cancel()
		begun := time.Now()
		if code := <-ended; code != 1 || time.Since(begun) > endGrace || !strings.Contains(out.String(), "shutdown timed out") {
			t.Errorf("ended with %d after %s: %s", code, time.Since(begun), out.String())
		}
	})
}
