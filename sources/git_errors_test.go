package sources

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

const canary = "s3cr3t-canary"

func TestGitVanishedBranchIsAnErrorUntilItIsBack(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		repo.Commit("begin", map[string]string{"a": "1"})
		repo.Branch("release")
		head := repo.Commit("release", map[string]string{"a": "2"})
		o.Branch = "release"
		g := openGit(t, o)
		last := snapshot(t, g)
		repo.Switch("main")
		repo.Git("branch", "--quiet", "-D", "release")
		repo.Delete("refs/heads/release")
		if err := fails(t, g, ErrNoRef); !strings.Contains(err.Error(), "branch release") {
			t.Errorf("the error does not name the branch: %v", err)
		}
		wantFile(t, last, "a", "2")
		repo.Git("branch", "release", head)
		repo.Git("push", "--quiet", "origin", "release")
		if s := snapshot(t, g); s != last {
			t.Errorf("the branch is back where it was, and the snapshot is another: %v", s.Revision)
		}
	})
}

func TestGitEmptiedRepositoryIsToldApart(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		if o.URL == "file://"+repo.Work {
			o.URL = "file://" + repo.Bare
		}
		o.Branch = "main"
		g := openGit(t, o)
		fails(t, g, ErrEmpty)
		repo.Commit("begin", map[string]string{"a": "1"})
		last := snapshot(t, g)
		repo.Empty()
		fails(t, g, ErrEmpty)
		wantFile(t, last, "a", "1")
	})
}

func TestGitRepositoryThatIsNotThere(t *testing.T) {
	transports(t, func(t *testing.T, _ *gittest.Repo, o GitOptions) {
		o.URL += "-of-nobody"
		fails(t, openGit(t, o), ErrNotFound)
	})
}

func TestGitWrongPasswordAndRotation(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"a": "1"})
	server := repo.Serve(t, gittest.HTTP{User: "ada", Password: "old"})
	secret := secretFile(t, canary)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Auth: Auth{Username: "ada", Password: secret}})
	err := fails(t, g, ErrAuth)
	if strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "check the source's auth") {
		t.Errorf("error is %v", err)
	}
	writeFile(t, secret.File, "old\n")
	wantRevision(t, snapshot(t, g), head, "main")
	server.SetPassword("new")
	fails(t, g, ErrAuth)
	writeFile(t, secret.File, "new")
	wantRevision(t, snapshot(t, g), head, "main")
}

func TestGitSecretThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]secret.Ref{
		"no file":        {File: filepath.Join(t.TempDir(), "none")},
		"empty file":     secretFile(t, "\n"),
		"unset variable": {Env: "PACER_TEST_UNSET_VARIABLE"},
		"both":           {File: "a", Env: "B"},
	} {
		t.Run(name, func(t *testing.T) {
			g := openGit(t, GitOptions{URL: "http://127.0.0.1:1/repo", AllowHTTP: true, Auth: Auth{Password: password}})
			if s, err := g.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "auth: password") {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

func TestGitSecretFromTheEnvironment(t *testing.T) {
	repo := gittest.New(t)
	head := repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{User: "git", Password: canary})
	t.Setenv("PACER_TEST_TOKEN", canary)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Auth: Auth{Password: secret.Ref{Env: "PACER_TEST_TOKEN"}}})
	wantRevision(t, snapshot(t, g), head, "main")
}

// The password goes as a bearer token where that is configured, and is none of the
// user's then.
func TestGitBearerToken(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{})
	server.Intercept(func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		git.ServeHTTP(w, r)
	})
	for bearer, want := range map[bool]error{true: nil, false: ErrAuth} {
		g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Auth: Auth{Password: secretFile(t, canary), Bearer: bearer}})
		if want != nil {
			fails(t, g, want)
		} else {
			wantRevision(t, snapshot(t, g), head, "main")
		}
	}
}

// A server that echoes what it was sent must not bring it into an error.
func TestGitErrorsHoldNoSecretThatTheServerEchoes(t *testing.T) {
	t.Parallel()
	server := gittest.New(t).Serve(t, gittest.HTTP{})
	const password = canary + "@ /" // another word where it is part of a URL
	basic := base64.StdEncoding.EncodeToString([]byte("ada:" + password))
	forms := []string{canary, basic[8 : len(basic)-8], hex.EncodeToString([]byte(canary))}
	for name, answer := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization")+password, http.StatusTeapot)
		},
		"unauthorised": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.Header.Get("Authorization")+password, http.StatusUnauthorized)
		},
		"protocol": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "0050ERR "+r.Header.Get("Authorization")+password) //nolint:errcheck
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.invalid/"+url.PathEscape(password)+"/info/refs", http.StatusFound)
		},
		"encoded": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, fmt.Sprintf("0080ERR %x %s", password, url.QueryEscape(password))) //nolint:errcheck
		},
	} {
		server.Handle(answer)
		var logged bytes.Buffer
		g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Log: slog.New(slog.NewTextHandler(&logged, nil)),
			Auth: Auth{Username: "ada", Password: secretFile(t, password)}})
		_, err := g.Snapshot(t.Context())
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, text := range []string{err.Error(), g.String(), logged.String()} {
			if slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(text, form) }) {
				t.Errorf("%s: secret in %s", name, text)
			}
		}
	}
}

func TestGitTLSIsVerified(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{TLS: true})
	_, err := openGit(t, GitOptions{URL: server.Repo}).Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--git-ca-file") {
		t.Errorf("unknown CA: got %v", err)
	}
	ca := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(server.CA))
	wrongName := strings.Replace(server.Repo, "127.0.0.1", "localhost", 1)
	_, err = openGit(t, GitOptions{URL: wrongName, Auth: Auth{CAFile: ca}}).Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not valid for it") {
		t.Errorf("wrong name: got %v", err)
	}
	var logged bytes.Buffer
	g := openGit(t, GitOptions{URL: server.Repo, Auth: Auth{InsecureSkipVerify: true}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	wantRevision(t, snapshot(t, g), head, "main")
	if !strings.Contains(logged.String(), "NOT verified") {
		t.Errorf("skipping the check is not loud: %s", logged.String())
	}
}

// otherHost logs all that is sent to it.
func otherHost(t *testing.T) (url string, seen func() []http.Header) {
	var mu sync.Mutex
	var headers []http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		headers = append(headers, r.Header)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []http.Header {
		mu.Lock()
		defer mu.Unlock()
		return headers
	}
}

func TestGitCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	url, seen := otherHost(t)
	for name, serve := range map[string]gittest.HTTP{"host": {}, "scheme": {TLS: true}} {
		server := repo.Serve(t, serve)
		server.Handle(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, url+r.URL.RequestURI(), http.StatusMovedPermanently)
		})
		auth := Auth{Username: "ada", Password: secretFile(t, canary)}
		if serve.TLS {
			auth.CAFile = writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(server.CA))
		}
		err := fails(t, openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Auth: auth}), ErrRedirect)
		if strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if headers := seen(); len(headers) > 0 {
		t.Errorf("the other host was asked, with %v", headers)
	}
}

func TestGitFollowsARedirectWithinTheHost(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{User: "ada", Password: canary})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, old := strings.CutPrefix(r.URL.Path, "/old.git/"); old {
			http.Redirect(w, r, "/repo.git/"+path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		server.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g := openGit(t, GitOptions{URL: front.URL + "/old.git", AllowHTTP: true, Auth: Auth{Username: "ada", Password: secretFile(t, canary)}})
	wantRevision(t, snapshot(t, g), head, "main")
}

func TestGitSSHServerMustBeKnown(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	server := repo.ServeSSH(t)
	_, other := gittest.NewKey(t)
	wrong := writeFile(t, filepath.Join(t.TempDir(), "wrong"), gittest.KnownHostsLine(server.Address, other))
	empty := writeFile(t, filepath.Join(t.TempDir(), "empty"), "")
	for file, want := range map[string]string{
		wrong:                                 "another key than known_hosts has (line 1",
		empty:                                 "not in known_hosts",
		filepath.Join(t.TempDir(), "missing"): "cannot read known_hosts",
	} {
		for _, insecure := range []bool{false, true} { // which is about certificates alone
			g := openGit(t, GitOptions{URL: server.Repo, Auth: Auth{Key: secret.Ref{File: server.KeyFile}, KnownHosts: file, InsecureSkipVerify: insecure}})
			if err := fails(t, g, ErrHostKey); !strings.Contains(err.Error(), want) {
				t.Errorf("want an error with %q: %v", want, err)
			}
		}
	}
}

func TestGitSSHKeyMustBeLetIn(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	server := repo.ServeSSH(t)
	stranger, _ := gittest.NewKey(t)
	err := fails(t, openGit(t, GitOptions{URL: server.Repo, Auth: Auth{Key: secret.Ref{File: stranger}, KnownHosts: server.KnownHosts}}), ErrAuth)
	if key, _ := os.ReadFile(stranger); strings.Contains(err.Error(), string(key)) {
		t.Error("the key is in the error")
	}
	garbage := secretFile(t, canary)
	_, err = openGit(t, GitOptions{URL: server.Repo, Auth: Auth{Key: garbage, KnownHosts: server.KnownHosts}}).Snapshot(t.Context())
	if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "cannot read the ssh key") {
		t.Errorf("got %v", err)
	}
}

// silent is a server that takes connections and never answers.
func silent(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		listener.Close() //nolint:errcheck
		running.Wait()
		for _, c := range open {
			c.Close() //nolint:errcheck
		}
	})
	return listener.Addr().String()
}

func TestGitHangingServerMeetsTheDeadline(t *testing.T) {
	address := silent(t)
	key, public := gittest.NewKey(t)
	ssh := Auth{Key: secret.Ref{File: key}, KnownHosts: writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), gittest.KnownHostsLine(address, public))}
	before := runtime.NumGoroutine()
	for _, o := range []GitOptions{
		{URL: "http://" + address + "/repo", AllowHTTP: true},
		{URL: "https://" + address + "/repo"},
		{URL: "ssh://git@" + address + "/repo", Auth: ssh},
	} {
		o.Timeout = 50 * time.Millisecond
		fails(t, openGit(t, o), context.DeadlineExceeded)
		o.Timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := openGit(t, o).Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", o.URL, err)
		}
		cancel()
	}
	waitForGoroutines(t, before)
}

// waitForGoroutines fails if more goroutines than before are still there after a long while.
func waitForGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(testenv.Patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// A fetch that stops in its middle leaves the last snapshot and the clone as they were.
func TestGitFetchThatIsCutOffOrHangs(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1"})
	server := repo.Serve(t, gittest.HTTP{})
	backend := repo.Serve(t, gittest.HTTP{})
	dir := filepath.Join(t.TempDir(), "clone")
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Dir: dir, Timeout: 2 * time.Second})
	last := snapshot(t, g)
	before := files(t, dir)
	head := repo.Commit("two", map[string]string{"a": strings.Repeat("2", 100_000)})
	var hang atomic.Bool
	server.Handle(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		backend.Config.Handler.ServeHTTP(recorded, r)
		for key, values := range recorded.Header() {
			w.Header()[key] = values
		}
		body := recorded.Body.Bytes()
		if r.Method == http.MethodPost {
			w.Header().Del("Content-Length")
			w.Write(body[:len(body)/2]) //nolint:errcheck
			w.(http.Flusher).Flush()
			if hang.Load() {
				<-r.Context().Done()
			}
			panic(http.ErrAbortHandler)
		}
		w.Write(body) //nolint:errcheck
	})
	if s, err := g.Snapshot(t.Context()); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut off: got %v, %v", s, err)
	}
	hang.Store(true)
	fails(t, g, context.DeadlineExceeded)
	wantFile(t, last, "a", "1")
	if after := files(t, dir); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("failed fetches left files: %v, before %v", after, before)
	}
	server.Handle(nil)
	wantRevision(t, snapshot(t, g), head, "main")
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
