package web

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/web/browsertest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// By another's name nothing is seen or done that no token guards. A name that the
// configuration has may be asked by, and so may any where there is a token.
func TestOnlyOwnNamesReachWhatNoTokenGuards(t *testing.T) {
	for name, test := range map[string]struct {
		tokens   Tokens
		see, act bool // by another's name, with both tokens
	}{
		"none": {Tokens{}, false, false},
		"act":  {Tokens{Act: token("a")}, false, true},
		"read": {Tokens{Read: token("a")}, true, true},
		"both": {Tokens{Read: token("r"), Act: token("a")}, true, true},
	} {
		for host, own := range map[string]bool{"kiosk:9090": false, "evil.example": false, "10.0.0.9:9090": false, "": false, "pacer.example:9090": true, "127.0.0.1:9090": true, "localhost": true} {
			o, asked := testOptions(t, sampleStatus())
			o.Tokens, o.Hosts = test.tokens, origin.Names{"pacer.example"}
			h := New(o)
			for _, r := range Routes() {
				if r.Signed {
					continue
				}
				q := httptest.NewRequest(r.Method, concrete.Replace(r.Path), nil)
				q.Host = host
				q.Header.Set("Authorization", "Bearer a")
				asked.names = nil
				w := httptest.NewRecorder()
				h.ServeHTTP(w, q)
				want := own || r.Open || !r.Action && test.see || r.Action && test.act
				if got := w.Code != http.StatusMisdirectedRequest; got != want || len(asked.names) > 0 && !want {
					t.Errorf("tokens %s, Host %q: %s %s answered %d, did %q", name, host, r.Method, r.Path, w.Code, asked.names)
				}
			}
		}
	}
}

func TestCausesAreNotToldByAnothersName(t *testing.T) {
	o, _ := testOptions(t, status.Status{})
	h := New(o)
	for host, want := range map[string]string{"kiosk": "not ready\n", "10.0.0.9:9090": "not ready\n", "127.0.0.1:9090": "not ready\nthe controller is not running\n"} {
		r := httptest.NewRequest("GET", "/readyz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 503 || w.Body.String() != want {
			t.Errorf("Host %s: %d %q", host, w.Code, w.Body)
		}
	}
}

// Pages of other sites read nothing either, with tokens or without; a person who
// follows a link does.
func TestPagesOfOtherSitesReadNothing(t *testing.T) {
	for name, tokens := range map[string]Tokens{"none": {}, "both": {Read: token("r"), Act: token("a")}} {
		o, _ := testOptions(t, sampleStatus())
		o.Tokens = tokens
		h := New(o)
		for _, r := range Routes() {
			if r.Open {
				continue
			}
			for mode, dest := range map[string]string{"no-cors": "script", "cors": "empty", "navigate": "document"} {
				q := httptest.NewRequest(r.Method, concrete.Replace(r.Path), nil)
				q.Header.Set("Authorization", "Bearer a")
				q.Header.Set("Sec-Fetch-Site", "cross-site")
				q.Header.Set("Sec-Fetch-Mode", mode)
				q.Header.Set("Sec-Fetch-Dest", dest)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, q)
				if want := mode == "navigate" && !r.Action; (w.Code != http.StatusForbidden) != want {
					t.Errorf("tokens %s: a page reads %s %s (%s): %d", name, r.Method, r.Path, mode, w.Code)
				}
			}
		}
	}
}

// A real browser has a page open whose name comes to mean this machine, and one
// of another port: neither sees anything, or suspends a sync.
func TestBrowserPagesOfOtherSitesNeitherSeeNorAct(t *testing.T) {
	testenv.Long(t)
	for name, host := range map[string]string{"DNS rebinding": "kiosk", "another port": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			l := &live{status: sampleStatus()}
			pacer := serve(t, l)
			evil := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("<!doctype html><title>Kiosk</title>"))
			})
			var now atomic.Value // what is behind the name
			now.Store(http.Handler(evil))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().(http.Handler).ServeHTTP(w, r) }))
			defer server.Close()
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

			ctx, _ := browsertest.Start(t, chromedp.Flag("host-resolver-rules", "MAP kiosk 127.0.0.1"))
			browsertest.Must(t, ctx, chromedp.Navigate("http://"+net.JoinHostPort(host, port)+"/"))
			target := pacer
			if host == "kiosk" {
				now.Store(l.handler(Tokens{}))
				target = ""
			}
			said := browsertest.Script[string](t, ctx, fmt.Sprintf(`(async () => {
				const mode = location.hostname === "kiosk" ? "same-origin" : "no-cors", said = []
				for (const [method, path] of [["POST", "suspend"], ["POST", "sync"], ["GET", "diff"]]) {
					try {
						const answer = await fetch(%q + "/api/v1/syncs/shop/" + path, {method, mode})
						said.push(answer.status + " " + await answer.text())
					} catch (e) {
						said.push(e.message)
					}
				}
				return said.join("; ")
			})()`, target))
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.asked) > 0 || strings.Contains(said, "summary") {
				t.Errorf("the page did %q and was answered %s", l.asked, said)
			}
			if host == "kiosk" && strings.Count(said, "421 ") != 3 {
				t.Errorf("the page was answered %s", said)
			}
		})
	}
}
