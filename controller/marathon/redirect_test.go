package marathon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/clienttls/tlstest"
	"github.com/pacer-gitops/pacer/secret"
)

// seer is a server that writes down with what credential it was asked.
type seer struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newSeer(t *testing.T, secure bool, h http.HandlerFunc) *seer {
	t.Helper()
	s := &seer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" { // asked where a machine is busy for so long that it might be away
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.Header.Get("Authorization"))
		s.mu.Unlock()
		h(w, r)
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *seer) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, ", ")
}

// TestRedirectsKeepCredentials: what Marathon is proved to with goes to what is
// configured, and never from https to http, whatever the redirect and whoever is
// asked for it.
func TestRedirectsKeepCredentials(t *testing.T) {
	t.Parallel()
	empty := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/v2/events") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		fmt.Fprint(w, `{"apps":[]}`)
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, c := range []struct {
			name                  string
			from, to              bool // whether by https
			configured, userinfo  bool // where it leads
			write, stream, passes bool
		}{
			{name: "to a configured one", configured: true, passes: true},
			{name: "to a configured one, by https", from: true, to: true, configured: true, passes: true},
			{name: "from http to https", to: true, configured: true, passes: true},
			{name: "from https to http", from: true, configured: true},
			{name: "to a stranger"},
			{name: "to a stranger, by https", from: true, to: true},
			{name: "to a stranger, from https to http", from: true},
			{name: "with a user", configured: true, userinfo: true},
			{name: "a write", configured: true, write: true},
			{name: "a write, from https to http", from: true, configured: true, write: true},
			{name: "a stream to a configured one", configured: true, stream: true, passes: true},
			{name: "a stream to a stranger", stream: true},
			{name: "a stream from https to http", from: true, configured: true, stream: true},
		} {
			t.Run(fmt.Sprint(code, " ", c.name), func(t *testing.T) {
				second := newSeer(t, c.to, empty)
				target := second.URL
				if c.userinfo {
					target = strings.Replace(target, "//", "//eve:secret@", 1)
				}
				first := newSeer(t, c.from, func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, target+r.URL.RequestURI(), code)
				})
				o := Options{URLs: []string{first.URL}, Auth: Auth{Bearer: secret.Value("sesame")}}
				if c.configured {
					o.URLs = append(o.URLs, second.URL)
				}
				o.TLS = trusting(t, first.Server, second.Server)
				client := newClient(t, o)
				err := askOnce(t, client, c.write, c.stream)
				asked := second.asked()
				switch {
				case c.passes && (err != nil || asked != "GET Bearer sesame"):
					t.Errorf("asked %q, %v", asked, err)
				case !c.passes && (err == nil || asked != ""):
					t.Errorf("asked %q, %v", asked, err)
				}
			})
		}
	}
}

// askOnce asks the first URL alone.
func askOnce(t *testing.T, c *Client, write, stream bool) error {
	t.Helper()
	switch {
	case stream:
		s, err := c.stream(t.Context(), c.bases[0], "/v2/events")
		if err == nil {
			err = s.Close()
		}
		return err
	case write:
		_, err := c.once(t.Context(), c.bases[0], request{method: http.MethodPut, path: "/v2/apps/a", body: 1}, []byte("1"))
		return err
	}
	_, err := c.once(t.Context(), c.bases[0], request{method: http.MethodGet, path: "/v2/apps"}, nil)
	return err
}

// trusting trusts the certificates of servers.
func trusting(t *testing.T, servers ...*httptest.Server) clienttls.Files {
	t.Helper()
	for _, s := range servers {
		if s.TLS != nil { // all have the same certificate
			ca := t.TempDir() + "/ca.pem"
			tlstest.WritePEM(t, ca, "CERTIFICATE", s.Certificate().Raw)
			return clienttls.Files{CAFile: ca}
		}
	}
	return clienttls.Files{}
}
