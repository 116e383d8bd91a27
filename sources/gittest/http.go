package gittest

import (
	"encoding/pem"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// HTTP says how a repository is served. The zero value is plain http for everybody.
type HTTP struct {
	User, Password string // basic authentication is asked for where User is given
	TLS            bool   // https with a certificate of its own; see Server.CA
}

// Server serves a repository by git's http-backend.
type Server struct {
	*httptest.Server
	Repo string // URL of the repository
	CA   []byte // PEM certificate to trust, where it serves TLS

	mu       sync.Mutex
	user     string
	password string
	requests []string
	hook     func(w http.ResponseWriter, r *http.Request, git http.Handler)
}

// Serve serves the repository until the test ends.
func (r *Repo) Serve(t testing.TB, o HTTP) *Server {
	t.Helper()
	s := &Server{user: o.User, password: o.Password}
	backend := r.backend(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, req.Method+" "+req.URL.RequestURI())
		user, password, hook := s.user, s.password, s.hook
		s.mu.Unlock()
		u, p, _ := req.BasicAuth()
		switch {
		case hook != nil:
			hook(w, req, backend)
		case user != "" && (u != user || p != password):
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, req)
		}
	})
	s.Server = httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(t.Output(), "git server: ", 0)
	if o.TLS {
		s.StartTLS()
		s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	s.Repo = s.URL + "/" + filepath.Base(r.Bare)
	return s
}

// backend runs git http-backend for each request.
func (r *Repo) backend(t testing.TB) *cgi.Handler {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git --exec-path: %v", err)
	}
	path, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"))
	if err != nil {
		t.Fatalf("this test needs git's http-backend: install the package git: %v", err)
	}
	r.BareGit("config", "http.receivepack", "true")
	return &cgi.Handler{
		Path: path,
		Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(r.Bare), "GIT_HTTP_EXPORT_ALL=1",
			"HOME=" + r.home, "XDG_CONFIG_HOME=" + r.home, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		},
		Logger: log.New(t.Output(), "git http-backend: ", 0),
		Stderr: t.Output(),
	}
}

// SetPassword changes what the server takes, as when a token is rotated.
func (s *Server) SetPassword(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = password
}

// Handle has requests answered by h instead of git; nil gives them back to git.
func (s *Server) Handle(h http.HandlerFunc) {
	if h == nil {
		s.Intercept(nil)
		return
	}
	s.Intercept(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { h(w, r) })
}

// Intercept has requests answered by h, which may pass them on to git; nil gives
// them back to git.
func (s *Server) Intercept(h func(w http.ResponseWriter, r *http.Request, git http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// Requests returns the requests since the last call, as "METHOD URI".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}
