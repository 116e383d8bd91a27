package report_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/controller/forge/giteatest"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources"
)

// The stories of pull requests with everything real: Gitea and its webhooks, git over
// HTTP, the controller, the local Marathon's API. Only tasks are accounted.

func TestMain(m *testing.M) { os.Exit(giteatest.Main(m)) }

const (
	planContext = "pacer/shop/plan"
	label       = "pacer/plan"
)

func cart(instances any) map[string]string {
	return map[string]string{"apps/cart.json": fmt.Sprintf("{\n  \"id\": \"/shop/cart\",\n  \"cmd\": \"sleep 1000\",\n  \"cpus\": 0.1,\n  \"mem\": 32,\n  \"instances\": %v\n}\n", instances)}
}

// story is one repository, one Marathon, and the Pacers that come and go.
type story struct {
	*giteatest.Repository
	t        *testing.T
	marathon *localtest.Server
	token    string
	state    string // folder, which outlives a Pacer

	mu      sync.Mutex
	webhook func() // what a webhook asks for; nil: no Pacer runs
}

func newStory(t *testing.T) *story {
	t.Helper()
	g := giteatest.Shared(t)
	files := cart(1)
	files["README.md"] = "Apps\n"
	s := &story{Repository: g.NewRepository(t, files), t: t, marathon: localtest.New(t, localtest.Options{}), state: t.TempDir()}
	s.token = g.Token(t, giteatest.Bot, "read:user", "write:issue", "write:repository")
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.webhook != nil {
			s.webhook()
		}
	}))
	t.Cleanup(hook.Close)
	s.Webhook(hook.URL, "a-secret")
	return s
}

// pacer starts a Pacer that leads until the returned function is called, which may be
// called again.
func (s *story) pacer() (stop func()) {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	git := sources.GitOptions{URL: s.URL, Auth: sources.Auth{Password: secret.Value(s.token)}, AllowHTTP: true}
	commits, err := sources.OpenCommits(git, sources.Environment{Log: log})
	must(err)
	git.Branch = "main"
	source, err := git.Open(sources.Environment{Log: log})
	must(err)
	f, err := forge.Open(forge.Options{Type: "gitea", Repository: s.URL, Token: secret.Value(s.token), Log: log})
	must(err)
	client, err := marathon.New(marathon.Options{URLs: []string{s.marathon.URL}, Log: log})
	must(err)
	live := cache.New(client, cache.Options{Log: log})
	file, err := store.OpenFile(s.state)
	must(err)
	c, err := controller.New(controller.Options{
		Sources: map[string]schedule.Source{"apps": {Source: source}}, Store: file, Archive: file, Log: log,
		Syncs: []reconcile.Sync{{Name: "shop", Source: "apps", Path: "apps", Policy: plan.Policy{Scope: "/shop", Prune: plan.PruneOn}}},
		Clusters: map[string]controller.Cluster{"": {
			Marathon: live, Applier: apply.New(client, apply.Options{Settle: 100 * time.Millisecond, PollInterval: 50 * time.Millisecond, Log: log}),
		}},
	})
	must(err)
	r := report.New(report.Options{
		Sources: map[string]*report.Source{"apps": {
			Forge: f, Commits: commits, Merge: sources.Merge, Branch: func() string { return "main" }, Comments: true, Statuses: true, Forks: true, Label: label,
		}},
		Syncs: []report.Sync{{Name: "shop", Source: "apps", Path: "apps"}}, Planner: c, Log: log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = live.Run(ctx) })
	wait, err := c.Start(ctx)
	must(err)
	running.Go(wait)
	running.Go(func() { r.Run(ctx) })
	s.hear(func() {
		_ = c.Look("apps", store.Asked{}) // it is there
		r.Request("apps")
	})
	stop = sync.OnceFunc(func() {
		s.hear(nil)
		cancel()
		running.Wait()
		client.Close()
		for _, err := range []error{commits.Close(), source.Close(), file.Close()} {
			if err != nil {
				s.t.Error(err)
			}
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *story) hear(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhook = f
}

// says waits until a pull request has one comment of Pacer that contains all words, and
// returns its number.
func (s *story) says(number int, words ...string) (id int64) {
	s.t.Helper()
	giteatest.Await(s.t, fmt.Sprintf("a comment with %q", words), func() (bool, string) {
		all := s.Comments(number, giteatest.Bot)
		if len(all) > 1 {
			s.t.Fatalf("%d comments: %+v", len(all), all)
		}
		if len(all) == 0 {
			return false, "no comment"
		}
		id = all[0].ID
		for _, w := range words {
			if !strings.Contains(all[0].Body, w) {
				return false, all[0].Body
			}
		}
		return true, ""
	})
	return id
}

// stands waits until a status of a commit is in a state and says all words.
func (s *story) stands(commit, context string, state forge.State, words ...string) {
	s.t.Helper()
	giteatest.Await(s.t, fmt.Sprintf("%s of %s to be %s %q", context, commit, state, words), func() (bool, string) {
		is := s.Statuses(commit)[context]
		ok := is.State == string(state)
		for _, w := range words {
			ok = ok && strings.Contains(is.Description, w)
		}
		return ok, fmt.Sprintf("%+v", is)
	})
}

// runs waits until Marathon has so many instances of the app.
func (s *story) runs(instances int) {
	s.t.Helper()
	giteatest.Await(s.t, fmt.Sprint(instances, " instances"), func() (bool, string) {
		is := s.marathon.Instances()
		return is["/shop/cart"] == instances, fmt.Sprint(is)
	})
}

func (s *story) head(number int) string { s.t.Helper(); return s.Pull(number).HeadCommit }

// A pull request is planned, edited as it goes on, merged, and reverted; between two
// pushes the Pacer that leads is another.
func TestStoryOfScalingAtGitea(t *testing.T) {
	s := newStory(t)
	stop := s.pacer()
	s.runs(1)
	n := s.Open(forgetest.Opening{Title: "More carts", Files: cart(3)})
	id := s.says(n, "**1 scale", "scale: 1 → 3, no task restarts", s.head(n)[:8])
	s.stands(s.head(n), planContext, forge.Success, "1 scale")

	broken := s.Push(n, "Break it", cart(`"many"`))
	if again := s.says(n, broken[:8], "apps/cart.json", "/src/commit/"+broken+"/apps/cart.json#L6"); again != id {
		t.Errorf("the comment is %d, and was %d", again, id)
	}
	s.stands(broken, planContext, forge.Failure, "1")

	stop()
	fixed := s.Push(n, "Mend it", cart(4)) // while nobody listens
	stop = s.pacer()
	if again := s.says(n, fixed[:8], "scale: 1 → 4, no task restarts"); again != id {
		t.Errorf("after a restart the comment is %d, and was %d", again, id)
	}
	s.stands(fixed, planContext, forge.Success, "1 scale")
	s.runs(1) // nothing of a pull request is applied

	merge := s.Merge(n)
	s.runs(4)
	s.Repo.Git("revert", "--no-edit", "--mainline", "1", merge)
	s.Repo.Git("push", "--quiet", "origin", "main")
	s.runs(1)
	if all := s.Comments(n, giteatest.Bot); len(all) != 1 || all[0].ID != id {
		t.Errorf("comments in the end: %+v", all)
	}
	stop()
}

// A comment that somebody deleted is written again, once.
func TestStoryOfADeletedCommentAtGitea(t *testing.T) {
	s := newStory(t)
	s.pacer()
	s.runs(1)
	n := s.Open(forgetest.Opening{Files: cart(2)})
	id := s.says(n, "scale: 1 → 2")
	s.DeleteComment(id)
	head := s.Push(n, "More", cart(3))
	if again := s.says(n, head[:8], "scale: 1 → 3"); again == id {
		t.Error("the deleted comment is there again")
	}
}

// What no sync reads is none of Pacer's business; what conflicts is told with the files.
func TestStoryOfConflictsAtGitea(t *testing.T) {
	s := newStory(t)
	s.pacer()
	s.runs(1)
	other := s.Open(forgetest.Opening{Files: map[string]string{"README.md": "More apps\n"}})
	n := s.Open(forgetest.Opening{Files: cart(2)})
	s.says(n, "scale: 1 → 2")
	tip := s.Repo.Commit("Another number", cart(5))
	s.says(n, tip[:8], "apps/cart.json")
	s.stands(s.head(n), planContext, forge.Failure, "conflicts with main", "apps/cart.json")
	s.ForcePush(n, "On top of it", cart(6))
	s.says(n, "scale: 5 → 6")
	s.stands(s.head(n), planContext, forge.Success, "1 scale")
	if all, statuses := s.Comments(other, giteatest.Bot), s.Statuses(s.head(other)); len(all) > 0 || len(statuses) > 0 {
		t.Errorf("nothing of a sync is touched: %+v, %+v", all, statuses)
	}
}

// The plan of a stranger waits for a maintainer, anew for each head: of a fork, and of a
// pull request without a branch, which needs no more rights than one.
func TestStoryOfForksAtGitea(t *testing.T) {
	s := newStory(t)
	s.pacer()
	s.runs(1)
	n := s.Open(forgetest.Opening{Fork: "mallory", Files: cart(7)})
	without := s.OpenWithoutBranch("mallory", cart(8))
	for _, n := range []int{n, without} {
		s.says(n, "sets the label "+label)
		s.stands(s.head(n), planContext, forge.Pending, "waits for the label")
	}
	s.Label(n, label)
	id := s.says(n, "scale: 1 → 7")
	s.stands(s.head(n), planContext, forge.Success, "1 scale")
	head := s.Push(n, "Something else", cart(9))
	if again := s.says(n, "has new commits since the label"); again != id {
		t.Errorf("the comment is %d, and was %d", again, id)
	}
	s.stands(head, planContext, forge.Pending, "waits for the label")
	giteatest.Await(t, "the label to be taken off", func() (bool, string) {
		labels := s.Pull(n).Labels
		return len(labels) == 0, fmt.Sprint(labels)
	})
	s.Label(n, label)
	s.says(n, "scale: 1 → 9")
	s.says(without, "sets the label "+label)
}
