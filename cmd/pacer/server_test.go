package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whoever a Pacer, or who stands in its place, redirects to gets no token: not on
// the same host, where net/http would send it along, nor by http in place of https.
func TestNoTokenFollowsARedirect(t *testing.T) {
	t.Setenv("PACER_TOKEN", "correct-horse")
	arrived := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived++
		t.Errorf("%s %s with Authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"message": "done", "now": "2026-01-02T03:04:05Z"}`))
	}))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		pacer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, code)
		}))
		defer pacer.Close()
		for _, args := range [][]string{{"status"}, {"suspend", "shop"}, {"rollback", "shop"}, {"wait", "--timeout", "1s"}, {"diff", "shop"}, {"history", "shop"}} {
			var out, errs strings.Builder
			if got := run(t.Context(), append(args, "--server", pacer.URL), nil, &out, &errs); got == exitOK {
				t.Errorf("%v: %d is done: %s", args, code, out.String())
			}
			if said := errs.String(); !strings.Contains(said, elsewhere.URL) || !strings.Contains(said, "--server") {
				t.Errorf("%v, %d: %q: want where it leads, and what to do", args, code, said)
			}
		}
	}
}
