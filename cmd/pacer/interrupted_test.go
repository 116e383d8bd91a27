package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

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
