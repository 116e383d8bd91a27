package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon/pathtest"
)

// TestWhatIsInterruptedDoesNotComeLater: who ends a command and turns to another
// one is not to have the first carried out after it, when the path to the server
// heals.
func TestWhatIsInterruptedDoesNotComeLater(t *testing.T) {
	var arrived atomic.Int32
	server, path := pathtest.Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			arrived.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	server.Start()
	t.Cleanup(server.Close)
	path.CutWrites()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"suspend", "shop", "--server", server.URL}, nil, io.Discard, io.Discard)
	}()
	path.AwaitStuck(1)
	cancel()
	if got := <-code; got != exitError {
		t.Errorf("exit code %d", got)
	}
	path.Heal()
	path.AwaitDelivered()
	server.Close()
	if n := arrived.Load(); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// cancelOn cancels once a text was written.
type cancelOn struct {
	text   string
	cancel context.CancelFunc
	strings.Builder
}

func (w *cancelOn) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	if strings.Contains(w.String(), w.text) {
		w.cancel()
	}
	return n, err
}

// Ctrl-C in an apply leaves the reason that was known by then, beside each change
// that has not ended, and the exit code of an error.
func TestAnInterruptedApplySaysWhatIsKnown(t *testing.T) {
	m := localtest.New(t, localtest.Options{})
	dir := t.TempDir()
	manifest := `{"id": "/shop/a", "cmd": "serve", "cpus": 0.1, "mem": 32, "instances": 3, "labels": {"local.fail-at-once": "true"}}`
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out strings.Builder
	progress := &cancelOn{text: "rollout    create /shop/a: 0 of 3 running", cancel: cancel}
	code := run(ctx, []string{"apply", dir, "--marathon", m.URL, "--scope", "/shop"}, nil, &out, progress)
	const want = "interrupted: Pacer was stopped; 0 of 3 running, restarted "
	if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "local.fail-at-once") || code != exitError {
		t.Errorf("exit code %d, told\n%s\nprogress\n%s", code, out.String(), progress.String())
	}
	if !strings.Contains(progress.String(), "pacer: interrupted: stopped before all rollouts finished\n") {
		t.Errorf("progress\n%s", progress.String())
	}
}

// Ctrl-C in a wait is no timeout, and leaves what is missing.
func TestAnInterruptedWaitSaysWhatIsMissing(t *testing.T) {
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"now": "2026-01-01T00:00:00Z", "syncs": [{"name": "shop", "suspended": true, "planned": "2026-01-01T00:00:00Z"}]}`)
		asked <- struct{}{}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-asked; <-asked; cancel() }() // the first answer was taken in before the second was asked for
	var said strings.Builder
	if code := run(ctx, []string{"wait", "--server", server.URL}, nil, io.Discard, &said); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if want := "pacer: interrupted; not done yet: shop: it is suspended by an older Pacer, which did not record who, when and why\n"; said.String() != want {
		t.Errorf("said %q, expected %q", said.String(), want)
	}
}
