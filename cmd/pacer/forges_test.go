package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// lockedLog is a log that several goroutines write.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// story is a Pacer, a Marathon, a git server and a forge.
type story struct {
	t        *testing.T
	marathon *localtest.Server
	forge    forgetest.StandIn
	world    *forgetest.World
	repo     *gittest.Repo
	program  *program
	file     string
	log      *lockedLog
}

// The variables that the configuration of a story names.
const forgeToken, hookSecret = "PACER_TEST_FORGE_TOKEN", "PACER_TEST_HOOK_SECRET"

func webApp(instances int, cmd string) string {
	return fmt.Sprintf(`{"id": "web", "cmd": %q, "cpus": 0.1, "mem": 32, "instances": %d}`, cmd, instances)
}

// newStory begins with one app of three instances that runs.
func newStory(t *testing.T, at func(t testing.TB, w *forgetest.World) forgetest.StandIn) *story {
	s := &story{t: t, marathon: localtest.New(t, localtest.Options{}), repo: gittest.New(t), log: &lockedLog{}}
	s.repo.BareGit("config", "uploadpack.allowReachableSHA1InWant", "true") // as forges do
	s.repo.Commit("begin", map[string]string{"prod/web.json": webApp(3, "sleep 1000"), "README.md": "apps"})
	s.world = forgetest.NewWorld(t, s.repo, "team", "shop")
	s.forge = at(t, s.world)
	o := s.forge.Options()
	given, err := url.Parse(o.Repository)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := url.Parse(s.repo.Serve(t, gittest.HTTP{}).Repo)
	if err != nil {
		t.Fatal(err)
	}
	git := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = backend.Scheme, backend.Host
		r.Out.URL.Path = backend.Path + strings.TrimPrefix(r.In.URL.Path, given.Path)
	}})
	t.Cleanup(git.Close)
	t.Setenv(forgeToken, o.Token)
	t.Setenv(hookSecret, "sesame")
	s.file = filepath.Join(t.TempDir(), "pacer.yaml")
	text := fmt.Sprintf(`marathon: {url: %[1]s, agentPort: 0}
listen: 127.0.0.1:0
stateDir: %[2]s
web: {url: "https://pacer.example.com/"}
sources:
  shop:
    git:
      url: %[3]s
      branch: main
      interval: 100ms
      allowHTTP: true
      webhook: {secret: {env: %[7]s}}
      forge: {type: %[4]s, url: %[5]q, token: {env: %[6]s}}
syncs:
  shop: {source: shop, path: prod, scope: /shop, prune: "on", settle: 1s, deadline: 5s}
`, s.marathon.URL, t.TempDir(), git.URL+given.Path, o.Type, o.URL, forgeToken, hookSecret)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.runs(3)
	return s
}

func (s *story) start() {
	s.t.Helper()
	c, err := config.Load(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.program, err = startProgram(s.t.Context(), c, false, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(err error) { s.t.Error(err) })
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.program
	s.t.Cleanup(func() { s.end(p) })
}

// end stops a Pacer, if that was not done.
func (s *story) end(p *program) {
	if s.program != p {
		return
	}
	s.program = nil
	if err := p.Stop(context.Background()); err != nil {
		s.t.Error(err)
	}
}

// until waits for a condition, which says what is there instead.
func (s *story) until(what string, holds func() (bool, string)) {
	s.t.Helper()
	var found string
	for end := time.Now().Add(testenv.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if ok, found = holds(); ok {
			return
		}
	}
	s.t.Fatalf("%s did not come; there is:\n%s\nlog:\n%s", what, found, s.log)
}

func (s *story) runs(instances int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d instances", instances), func() (bool, string) {
		n := s.marathon.Instances()["/shop/web"]
		return n == instances, fmt.Sprint(n)
	})
}

// says waits until the one comment of Pacer on a pull request has texts in it.
func (s *story) says(number int, texts ...string) string {
	s.t.Helper()
	var body string
	s.until(fmt.Sprintf("a comment with %q", texts), func() (bool, string) {
		var all []string
		for _, c := range s.world.Pull(number).Comments {
			if c.Author != "ada" {
				all = append(all, c.Body)
			}
		}
		if len(all) != 1 {
			return false, strings.Join(all, "\n----\n")
		}
		body = all[0]
		for _, text := range texts {
			if !strings.Contains(body, text) {
				return false, body
			}
		}
		return true, ""
	})
	return body
}

// has waits for a status of a commit, whose words differ from forge to forge.
func (s *story) has(commit, context, description string) {
	s.t.Helper()
	s.until(fmt.Sprintf("the status %s %q", context, description), func() (bool, string) {
		for _, t := range s.world.AllStatuses(commit) {
			if strings.Contains(t.Context+" "+t.Description, context) && strings.Contains(t.Description, description) {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", s.world.AllStatuses(commit))
	})
}

var standIns = map[string]func(t testing.TB, w *forgetest.World) forgetest.StandIn{
	"github":           func(t testing.TB, w *forgetest.World) forgetest.StandIn { return forgetest.NewGitHub(t, w) },
	"gitlab":           func(t testing.TB, w *forgetest.World) forgetest.StandIn { return forgetest.NewGitLab(t, w) },
	"bitbucket":        func(t testing.TB, w *forgetest.World) forgetest.StandIn { return forgetest.NewBitbucketCloud(t, w) },
	"bitbucket-server": func(t testing.TB, w *forgetest.World) forgetest.StandIn { return forgetest.NewBitbucketServer(t, w) },
}

// The story that Pacer is made for: a pull request scales, its plan stands on it, and
// merging deploys. It is told of every forge, with all of Pacer.
func TestAPullRequestScales(t *testing.T) {
	testenv.Long(t)
	for name, at := range standIns {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, at)
			n := s.world.Open(forgetest.Opening{Title: "More web", Files: map[string]string{"prod/web.json": webApp(5, "sleep 1000")}})
			s.poke()
			s.says(n, "scale: 3 → 5, no task restarts", "/shop/web")
			s.has(s.world.Pull(n).HeadCommit, "pacer/shop/plan", "1 scale")
			if page := s.get("/api/v1/sources/shop/pulls/" + fmt.Sprint(n)); !strings.Contains(page, `"/instances"`) {
				t.Errorf("the page of the plan has no plan: %s", page)
			}

			// A push is planned again, in the same comment, also after a restart.
			s.end(s.program)
			s.world.Push(n, "another command", map[string]string{"prod/web.json": webApp(5, "sleep 2000")})
			s.start()
			s.says(n, "**restart**", "sleep 2000")
			s.has(s.world.Pull(n).HeadCommit, "pacer/shop/plan", "1 restart")

			// What no sync reads is not commented on.
			other := s.world.Open(forgetest.Opening{Title: "Words", Files: map[string]string{"README.md": "more apps"}})
			broken := s.world.Open(forgetest.Opening{Title: "Broken", Files: map[string]string{"prod/web.json": `{"id": "web", "cmd": 7}`}})
			s.poke()
			s.says(broken, "prod/web.json")
			s.has(s.world.Pull(broken).HeadCommit, "pacer/shop/plan", "1 error in manifests: prod/web.json:1")
			if c := s.world.Pull(other).Comments; len(c) > 0 {
				t.Errorf("a pull request that touches no sync has the comment %s", c[0].Body)
			}

			merge := s.world.Merge(n)
			s.poke()
			s.runs(5)
			s.has(merge, "pacer/shop", "healthy after")

			// One that cannot start fails with the reason, and its revert is healthy.
			stuck := strings.Replace(webApp(5, "sleep 2000"), "{", `{"constraints": [["hostname", "CLUSTER", "nowhere"]], `, 1)
			s.repo.Git("pull", "-q", "--ff-only", "origin", "main")
			failing := s.repo.Commit("for another host", map[string]string{"prod/web.json": stuck})
			s.poke()
			s.has(failing, "pacer/shop", "/shop/web: ")
			revert := s.repo.Revert(failing)
			s.poke()
			s.has(revert, "pacer/shop", "healthy")
			for commit, want := range map[string]string{merge: "healthy after", failing: "/shop/web: "} {
				var last string
				for _, t := range s.world.AllStatuses(commit) { // newest last
					if !strings.Contains(t.Context, "plan") {
						last = t.Description
					}
				}
				if !strings.Contains(last, want) {
					t.Errorf("commit %s says %q in the end, want %q", commit, last, want)
				}
			}
			if strings.Contains(s.log.String(), s.forge.Options().Token) {
				t.Error("the log has the token")
			}
		})
	}
}

// reloaded takes up a changed configuration.
func (s *story) reloaded(change func(text string) string) {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.file, []byte(change(string(text))), 0o600); err != nil {
		s.t.Fatal(err)
	}
	c, err := config.Load(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.program.replace(c); err != nil {
		s.t.Fatal(err)
	}
}

// What is said of a forge is taken up by a reload, as is another repository, and that
// there is none any more.
func TestReloadOfAForge(t *testing.T) {
	s := newStory(t, standIns["github"])
	n := s.world.Open(forgetest.Opening{Title: "More web", Files: map[string]string{"prod/web.json": webApp(5, "sleep 1000")}})
	s.poke()
	s.has(s.world.Pull(n).HeadCommit, "pacer/shop/plan", "1 scale")
	s.says(n, "3 → 5")

	s.reloaded(func(text string) string { return strings.Replace(text, "forge: {", "forge: {statuses: \"off\", ", 1) })
	head := s.world.Push(n, "six", map[string]string{"prod/web.json": webApp(6, "sleep 1000")})
	s.poke()
	s.says(n, "3 → 6")
	if all := s.world.AllStatuses(head); len(all) > 0 {
		t.Errorf("statuses though they are off: %+v", all)
	}

	s.reloaded(func(text string) string { return strings.Replace(text, "      branch: main\n", "", 1) })
	s.world.Push(n, "seven", map[string]string{"prod/web.json": webApp(7, "sleep 1000")})
	s.poke()
	s.says(n, "3 → 7")

	s.reloaded(func(text string) string { return strings.Replace(text, "forge: {", "# forge: {", 1) })
	if page := s.get("/api/v1/sources/shop/pulls/" + fmt.Sprint(n)); !strings.Contains(page, "no such source with a forge") {
		t.Errorf("without a forge the page shows %s", page)
	}
}

// poke is the webhook of a forge.
func (s *story) poke() {
	s.t.Helper()
	sendWebhook(s.t, s.program.addr.String(), "shop", "sesame")
}

// get asks the page of the story's Pacer.
func (s *story) get(path string) string {
	s.t.Helper()
	resp, err := http.Get("http://" + s.program.addr.String() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}
