package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// A one-shot apply hears Marathon's events while it waits, by one stream. Where there
// are none to be had it looks now and then, and ends all the same.
func TestApplyHearsTheEventsOfMarathon(t *testing.T) {
	testenv.Long(t)
	for name, c := range map[string]struct {
		refuse  bool
		streams int
	}{"events": {false, 1}, "no events": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			open, opened, refused := 0, 0, 0
			m := localtest.New(t, localtest.Options{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v2/events" {
						next.ServeHTTP(w, r)
						return
					}
					mu.Lock()
					if c.refuse {
						refused++
						mu.Unlock()
						http.Error(w, `{"message": "not allowed"}`, http.StatusForbidden)
						return
					}
					open++
					opened++
					mu.Unlock()
					next.ServeHTTP(w, r)
					mu.Lock()
					open--
					mu.Unlock()
				})
			}})
			m.Fill(t, 300, 0)
			dir := t.TempDir()
			for i := range 30 {
				manifest := fmt.Sprintf(`{"id": "/new/a%02d", "cmd": "serve", "cpus": 0.1, "mem": 32, "instances": 2}`, i)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("a%02d.json", i)), []byte(manifest), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			var said strings.Builder
			if code := run(t.Context(), []string{"apply", dir, "--marathon", m.URL, "--scope", "/new"}, nil, io.Discard, &said); code != exitOK {
				t.Fatalf("exit code %d: %s", code, said.String())
			}
			mu.Lock()
			defer mu.Unlock()
			if opened != c.streams || c.refuse && refused == 0 {
				t.Errorf("%d streams were opened and %d refused, expected %d", opened, refused, c.streams)
			}
		})
	}
}
