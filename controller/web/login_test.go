package web

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/secret"
)

func token(s string) secret.Ref { return secret.Value(s) }

// A walk over the route table without and with each token.
func TestTokensOnEveryRoute(t *testing.T) {
	tokens := map[string]Tokens{
		"none": {}, "read": {Read: token("r")}, "act": {Act: token("a")}, "both": {Read: token("r"), Act: token("a")},
		"empty": {Read: token(""), Act: token("")},
	}
	may := map[string]map[string]string{ // tokens → given → see, act
		"none":  {"": "see act", "r": "see act", "a": "see act"},
		"read":  {"": "", "r": "see act", "a": ""},
		"act":   {"": "see", "r": "see", "a": "see act"},
		"both":  {"": "", "r": "see", "a": "see act"},
		"empty": {"": "", "r": "", "a": ""},
	}
	for name, tokens := range tokens {
		for given, allowed := range may[name] {
			o, asked := testOptions(t, sampleStatus())
			o.Tokens = tokens
			o.Log = slog.New(slog.DiscardHandler)
			h := New(o)
			for _, route := range Routes() {
				for _, header := range []string{"bearer", "basic"} {
					r := httptest.NewRequest(route.Method, concrete.Replace(route.Path), nil)
					switch {
					case given != "" && header == "bearer":
						r.Header.Set("Authorization", "Bearer "+given)
					case given != "":
						r.SetBasicAuth("anybody", given)
					}
					asked.names = nil
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					want := route.Open || strings.Contains(allowed, "see") && !route.Action || strings.Contains(allowed, "act")
					refused := http.StatusUnauthorized
					if strings.Contains(allowed, "see") && given == "r" && tokens.Read.IsSet() {
						refused = http.StatusForbidden // it is a right token, for something else
					}
					if got := w.Code != refused; got != want {
						t.Errorf("tokens %s, %s %q: %s %s answered %d", name, header, given, route.Method, route.Path, w.Code)
					}
					if len(asked.names) > 0 && !want {
						t.Errorf("tokens %s, %s %q: %s was done", name, header, given, route.Path)
					}
				}
			}
		}
	}
}

func TestTokensThatCannotBeReadLetNobodyIn(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	o.Tokens.Read = secret.Ref{File: "/run/secrets/read"}
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	w := get(t, New(o), "/")
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secrets") || !strings.Contains(log.String(), "no such file") {
		t.Errorf("answered %d %s, logged %q", w.Code, w.Body, log.String())
	}
}

// A token that went lets nobody in, which a load balancer learns before a person
// does. It is logged once, however often readiness is asked for.
func TestReadinessTellsOfTokensThatCannotBeRead(t *testing.T) {
	o, _ := testOptions(t, status.Status{Running: true, Syncs: []status.Sync{calmSync()}})
	file := filepath.Join(t.TempDir(), "act")
	o.Tokens.Act = secret.Ref{File: file}
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	h := New(o)
	for range 3 {
		if w := get(t, h, "/readyz"); w.Code != 503 || w.Body.String() != "not ready\nweb.tokens.act cannot be read: secret: open "+file+": no such file or directory\n" {
			t.Errorf("answered %d %q", w.Code, w.Body)
		}
	}
	if n := strings.Count(log.String(), "web.tokens.act cannot be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := get(t, h, "/readyz"); w.Code != 200 {
		t.Errorf("answered %d %q with the token back", w.Code, w.Body)
	}
}

func TestTokensAreNotLoggedNorTheCausesTold(t *testing.T) {
	status := sampleStatus()
	status.Running = false
	o, _ := testOptions(t, status)
	o.Tokens = Tokens{Read: token("correct-horse")}
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := New(o)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer battery-staple")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if text := log.String(); !strings.Contains(text, "refused") || strings.Contains(text, "correct-horse") || strings.Contains(text, "battery-staple") {
		t.Errorf("logged %q", text)
	}
	if w := get(t, h, "/readyz"); w.Code != 503 || w.Body.String() != "not ready\n" {
		t.Errorf("/readyz tells who has no token %q", w.Body)
	}
}
