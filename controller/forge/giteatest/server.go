// Package giteatest gives tests a real Gitea on this machine: users, tokens, webhooks,
// and repositories in which people do what they do at a forge. forge.sh builds it. A
// Repository offers what a World of forgetest does. No product code may import it.
package giteatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Server is a running Gitea. It sends nothing to anywhere but this machine, and knows the
// user root, who may do everything.
type Server struct {
	URL string // without a slash at the end

	folder  *testenv.Folder
	program string // of Gitea
	port    *testenv.Port
	account *syscall.Credential // it runs as; nil: as who runs the test

	mu      sync.Mutex
	process *exec.Cmd // nil: not running
	gone    chan struct{}
	tokens  map[string]string // user → a token that may do everything
	number  int               // of names that were given
}

// Page is how many items a page of its API has at most, whatever is asked for.
const Page = 8

// all is the scope of a token that may do everything that its user may.
const all = "all"

var shared struct {
	sync.Mutex
	main   bool
	server *Server
}

// Main runs the tests of a package that use Shared: func TestMain(m *testing.M)
// { os.Exit(giteatest.Main(m)) }.
func Main(m interface{ Run() int }) int {
	shared.main = true
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		must(shared.server.close())
	}
	return code
}

// Shared is the one that all tests of a package share, started for the first. A test
// makes a repository of its own.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("giteatest.Shared needs a TestMain that calls giteatest.Main")
	}
	if shared.server == nil {
		shared.server = open(t)
	}
	return shared.server
}

// Start starts one that a test has for itself, and may stop.
func Start(t testing.TB) *Server {
	t.Helper()
	s := open(t)
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB) *Server {
	t.Helper()
	s := &Server{program: testenv.Gitea(t), tokens: map[string]string{}}
	if err := s.prepare(); err != nil {
		t.Fatal(errors.Join(fmt.Errorf("giteatest: %w", err), s.close()))
	}
	s.Start(t)
	// What the program itself does is done with its database, which has its tables now.
	out, err := s.command("admin", "user", "create", "--admin", "--username", "root", "--email", "root@example.com", "--password", password("root"), "--must-change-password=false").CombinedOutput()
	if err != nil {
		t.Fatalf("giteatest: make the user root: %v\n%s\n%s", err, out, s.lastLines())
	}
	return s
}

func password(user string) string { return "password-of-" + user }

// folderPrefix begins the name of the folder that a server works in.
const folderPrefix = "pacer-giteatest-"

// prepare makes the folder that it works in.
func (s *Server) prepare() (err error) {
	if s.folder, err = testenv.NewFolder(folderPrefix); err != nil {
		return err
	}
	if s.port, err = testenv.NewPort(); err != nil {
		return err
	}
	s.URL = "http://" + s.port.Address()
	name := "nobody"
	if os.Getuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return err
		}
		name = me.Username
	}
	file := filepath.Join(s.folder.Path, "app.ini")
	text := fmt.Sprintf(configuration, name, s.folder.Path, s.program, s.port.Number, Page)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	// Gitea refuses to run as root.
	nobody, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(os.Chown(s.folder.Path, int(uid), int(gid)), os.Chown(file, int(uid), int(gid)))
}

// configuration is Gitea's. Nothing that it does by itself leaves this machine: no mail,
// no search for updates, no pictures; and what takes long for nothing is off.
const configuration = `RUN_USER = %s
RUN_MODE = prod
WORK_PATH = %s
[server]
STATIC_ROOT_PATH = %s
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[4]d
ROOT_URL = http://127.0.0.1:%[4]d/
OFFLINE_MODE = true
DISABLE_SSH = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = a-secret-of-tests
PASSWORD_COMPLEXITY = off
PASSWORD_HASH_ALGO = pbkdf2_v1
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[mailer]
ENABLED = false
[picture]
DISABLE_GRAVATAR = true
[cron]
ENABLED = false
[cron.update_checker]
ENABLED = false
[actions]
ENABLED = false
[packages]
ENABLED = false
[api]
MAX_RESPONSE_ITEMS = %[5]d
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[queue]
TYPE = channel
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
MODE = console
LEVEL = Warn
`

// command is a call of the program, with nothing of the environment of who runs the test.
func (s *Server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.program, "gitea"), append(args, "--config", filepath.Join(s.folder.Path, "app.ini"))...)
	cmd.Dir = s.folder.Path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder.Path, "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	return cmd
}

func (s *Server) logFile() string { return filepath.Join(s.folder.Path, "log") }

// Start starts it where it was stopped, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		t.Fatal("giteatest: it runs already")
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := s.command("web")
	cmd.Stdout, cmd.Stderr = log, log
	if err := testenv.Launch(cmd); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended says nothing: it was killed, or the log tells
		close(gone)
	}()
	s.process, s.gone = cmd, gone
	Await(t, "Gitea to answer", func() (bool, string) {
		select {
		case <-gone:
			t.Fatalf("giteatest: Gitea has ended: %s\n%s", cmd.ProcessState, s.lastLines())
		default:
		}
		resp, err := http.Get(s.URL + "/api/healthz")
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close() // only its status is looked at
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// Stop kills it. What it holds stays.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic("giteatest: " + err.Error())
	}
	<-s.gone
	s.process = nil
}

func (s *Server) close() error {
	s.Stop()
	var errs []error
	if s.port != nil {
		errs = append(errs, s.port.Release())
	}
	if s.folder != nil {
		errs = append(errs, s.folder.Remove())
	}
	return errors.Join(errs...)
}

func (s *Server) lastLines() string {
	const most = 4000
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-most):]))
}

func must(err error) {
	if err != nil {
		panic("giteatest: " + err.Error())
	}
}

// Await waits until something holds, and asks in between.
func Await(t testing.TB, what string, holds func() (bool, string)) {
	t.Helper()
	why := ""
	for give := time.Now().Add(testenv.Patience); time.Now().Before(give); {
		var ok bool
		if ok, why = holds(); ok {
			return
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	t.Fatalf("waited without effect for %s: %s", what, why)
}

// User makes a user, if there is none of that name yet.
func (s *Server) User(t testing.TB, name string) {
	t.Helper()
	s.token(t, name)
}

// Token makes a token of a user, who is made if need be, that has only the scopes given,
// such as write:issue.
func (s *Server) Token(t testing.TB, user string, scopes ...string) string {
	t.Helper()
	s.User(t, user)
	return s.newToken(t, user, scopes...)
}

// newToken asks with the user's password, since tokens cannot make tokens.
func (s *Server) newToken(t testing.TB, user string, scopes ...string) string {
	t.Helper()
	var made struct {
		Token string `json:"sha1"`
	}
	code, answer := s.request(t, "POST", "/users/"+user+"/tokens", map[string]any{"name": s.name("token"), "scopes": scopes}, &made, func(r *http.Request) {
		r.SetBasicAuth(user, password(user))
	})
	if code != http.StatusCreated {
		t.Fatalf("make a token of %s: %d %s", user, code, answer)
	}
	return made.Token
}

// token is one with which the test itself asks as a user.
func (s *Server) token(t testing.TB, user string) string {
	t.Helper()
	s.mu.Lock()
	known := s.tokens[user]
	s.mu.Unlock()
	if known != "" {
		return known
	}
	if user != "root" {
		code, answer := s.ask(t, "root", "POST", "/admin/users", map[string]any{
			"username": user, "email": user + "@example.com", "password": password(user), "must_change_password": false,
		}, nil)
		if code != http.StatusCreated && !strings.Contains(answer, "already exists") {
			t.Fatalf("make user %s: %d %s", user, code, answer)
		}
	}
	made := s.newToken(t, user, all)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[user] = made
	return made
}

// name is one that was not given before.
func (s *Server) name(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	return kind + "-" + strconv.Itoa(s.number)
}

// do asks the API as a user for what must succeed.
func (s *Server) do(t testing.TB, user, method, path string, in, out any) {
	t.Helper()
	if code, answer := s.ask(t, user, method, path, in, out); code >= http.StatusBadRequest {
		t.Fatalf("%s: %s %s: %d %s\n%s", user, method, path, code, answer, s.lastLines())
	}
}

// ask asks the API as a user, and returns the answer's code and text.
func (s *Server) ask(t testing.TB, user, method, path string, in, out any) (int, string) {
	t.Helper()
	token := s.token(t, user)
	return s.request(t, method, path, in, out, func(r *http.Request) { r.Header.Set("Authorization", "token "+token) })
}

func (s *Server) request(t testing.TB, method, path string, in, out any, authorize func(*http.Request)) (int, string) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, s.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	authorize(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, s.lastLines())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil && resp.StatusCode < http.StatusBadRequest {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return resp.StatusCode, string(text)
}

// signIn is a client whose cookies are a user's.
func (s *Server) signIn(t testing.TB, user string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	resp, err := c.PostForm(s.URL+"/user/login", url.Values{"user_name": {user}, "password": {password(user)}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Request.URL.Path != "/" && resp.Request.URL.Path != "" {
		t.Fatalf("signing in as %s leads to %s: %s", user, resp.Request.URL, resp.Status)
	}
	return c
}
