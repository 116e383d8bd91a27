package report

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// standIns are the forges that the stories are told of.
var standIns = map[string]func(t *testing.T, w *forgetest.World) forgetest.StandIn{
	"github":           func(t *testing.T, w *forgetest.World) forgetest.StandIn { return forgetest.NewGitHub(t, w) },
	"gitlab":           func(t *testing.T, w *forgetest.World) forgetest.StandIn { return forgetest.NewGitLab(t, w) },
	"bitbucket":        func(t *testing.T, w *forgetest.World) forgetest.StandIn { return forgetest.NewBitbucketCloud(t, w) },
	"bitbucket-server": func(t *testing.T, w *forgetest.World) forgetest.StandIn { return forgetest.NewBitbucketServer(t, w) },
}

// site is a forge, a git server, a Marathon, and a Pacer between them: all real, but for
// the forge.
type site struct {
	t          *testing.T
	world      *forgetest.World
	standIn    forgetest.StandIn
	client     *marathon.Client
	controller *controller.Controller
	options    Options
	reporter   *Reporter
	end        func()
	log        *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// app is a manifest of a count of instances.
func app(id string, instances int) string {
	return fmt.Sprintf("{\"id\": %q, \"cmd\": \"sleep 1000\", \"cpus\": 0.1, \"mem\": 32, \"instances\": %d}\n", id, instances)
}

// tellOf runs a story at each type of forge.
func tellOf(t *testing.T, story func(t *testing.T, s *site)) {
	for name, start := range standIns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, newSite(t, start))
		})
	}
}

func newSite(t *testing.T, start func(*testing.T, *forgetest.World) forgetest.StandIn) *site {
	repo := gittest.New(t)
	repo.Commit("Begin", map[string]string{"apps/cart.json": app("/shop/cart", 1), "docs/readme": "shop\n"})
	s := &site{t: t, world: forgetest.NewWorld(t, repo, "acme", "apps"), log: &lockedBuffer{}}
	s.standIn = start(t, s.world)
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	o := sources.GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}
	commits, err := sources.OpenCommits(o, sources.Environment{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	o.Branch = "main"
	git, err := o.Open(sources.Environment{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = commits.Close(), git.Close() })
	s.startController(git, log)
	is := s.standIn.Options()
	f, err := forge.Open(forge.Options{Type: is.Type, URL: is.URL, Repository: is.Repository, Token: secret.Value(is.Token), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.options = Options{
		Sources: map[string]*Source{"repo": {Forge: f, Commits: commits, Merge: sources.Merge, Branch: func() string { return "main" }, Comments: true, Statuses: true, Forks: true, Label: "pacer/plan"}},
		Syncs:   []Sync{{Name: "shop", Source: "repo", Path: "apps"}},
		Planner: s.controller, URL: "https://pacer.example", Log: log,
	}
	s.lead()
	t.Cleanup(func() { s.end() })
	return s
}

func (s *site) startController(git sources.Source, log *slog.Logger) {
	server := localtest.New(s.t, localtest.Options{})
	client, err := marathon.New(marathon.Options{URLs: []string{server.URL}})
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := store.OpenFile(s.t.TempDir())
	if err != nil {
		s.t.Fatal(err)
	}
	s.client = client
	s.controller, err = controller.New(controller.Options{
		Sources:  map[string]schedule.Source{"repo": {Source: git, Interval: time.Hour}},
		Syncs:    []reconcile.Sync{{Name: "shop", Source: "repo", Path: "apps", Policy: plan.Policy{Scope: "/shop", Prune: plan.PruneOn}}},
		Clusters: map[string]controller.Cluster{"": {Marathon: client, Applier: apply.New(client, apply.Options{Settle: 10 * time.Millisecond, PollInterval: 20 * time.Millisecond})}},
		Store:    file, Log: log,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	wait, err := s.controller.Start(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cancel()
		wait()
		_ = file.Close()
		client.Close()
	})
	s.runs(1)
}

// lead has a new reporter report until end is called.
func (s *site) lead() {
	s.reporter = New(s.options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r := s.reporter
	go func() { defer close(done); r.Run(ctx) }()
	s.end = func() { cancel(); <-done }
}

// webhook is what Pacer does for one.
func (s *site) webhook() {
	s.t.Helper()
	if err := s.controller.Look("repo", store.Asked{By: store.AskedByWebhook}); err != nil {
		s.t.Fatal(err)
	}
	s.reporter.Request("repo")
}

func (s *site) eventually(what string, holds func() (bool, string)) {
	s.t.Helper()
	deadline := time.After(testenv.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := holds()
		if ok {
			return
		}
		select {
		case <-deadline:
			s.t.Fatalf("%s did not come; last seen: %s", what, seen)
		case <-tick.C:
		}
	}
}

// runs waits until /shop/cart has so many instances.
func (s *site) runs(instances int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d instances", instances), func() (bool, string) {
		state, err := s.client.State(s.t.Context())
		a := state.Apps["/shop/cart"].Definition
		if err != nil || a == nil || a.Instances == nil {
			return false, fmt.Sprint(err)
		}
		return *a.Instances == instances, fmt.Sprint(*a.Instances)
	})
}

// says waits until the one comment of a pull request has some texts, and the status of
// its head a state. It returns the comment's number.
func (s *site) says(n int, state forge.State, texts ...string) (id int64) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("a comment with %q and the status %s", texts, state), func() (bool, string) {
		p := s.world.Pull(n)
		all := s.world.Comments(n, "pacer")
		if len(all) != 1 {
			return false, fmt.Sprintf("%d comments", len(all))
		}
		id = all[0].ID
		for _, text := range append(texts, p.HeadCommit[:8], s.world.Repo.BareGit("rev-parse", "main")[:8]) {
			if !strings.Contains(all[0].Body, text) {
				return false, fmt.Sprintf("without %q:\n%s", text, all[0].Body)
			}
		}
		statuses, err := s.options.Sources["repo"].Forge.Statuses(s.t.Context(), p.HeadCommit)
		for _, t := range statuses {
			if t.Context == "pacer/shop/plan" && t.State == state {
				return true, ""
			}
		}
		return false, fmt.Sprintf("statuses %+v, %v", statuses, err)
	})
	return id
}

func TestThePlanOfAPullRequestFollowsItsCommits(t *testing.T) {
	tellOf(t, func(t *testing.T, s *site) {
		n := s.world.Open(forgetest.Opening{Files: map[string]string{"apps/cart.json": app("/shop/cart", 3)}})
		s.webhook()
		first := s.says(n, forge.Success, "**1 scale", "1 → 3", "https://pacer.example/pulls/repo/1")

		s.world.Push(n, "More", map[string]string{"apps/cart.json": app("/shop/cart", 5)})
		s.webhook()
		s.says(n, forge.Success, "1 → 5")
		s.world.Push(n, "Break it", map[string]string{"apps/more.json": "{\"id\": \"/shop/more\", \"instances\": \"many\"}\n"})
		s.webhook()
		s.says(n, forge.Failure, "apps/more.json")
		s.world.ForcePush(n, "Mend it", map[string]string{"apps/cart.json": app("/shop/cart", 4)})
		s.webhook()
		s.says(n, forge.Success, "1 → 4")

		s.end()
		s.lead() // another leader, which knows nothing
		s.world.Push(n, "Less", map[string]string{"apps/cart.json": app("/shop/cart", 2)})
		s.webhook()
		if id := s.says(n, forge.Success, "1 → 2"); id != first {
			t.Errorf("comment %d was not edited: it is %d now", first, id)
		}
		s.world.Advance(2 * time.Second) // GitHub tells times by the second
		s.world.DeleteComment(first)
		s.webhook()
		s.says(n, forge.Success, "1 → 2")

		other := s.world.Open(forgetest.Opening{Files: map[string]string{"docs/readme": "our shop\n"}})
		conflict := s.world.Open(forgetest.Opening{Files: map[string]string{"apps/cart.json": app("/shop/cart", 7)}})
		s.world.Merge(n)
		s.webhook()
		s.says(conflict, forge.Failure, "apps/cart.json")
		s.runs(2)
		if all := s.world.Comments(other, "pacer"); len(all) != 0 {
			t.Errorf("it says %q of a pull request that touches no sync", all[0].Body)
		}
		if token := s.standIn.Options().Token; strings.Contains(s.log.String(), token) {
			t.Error("the token is in the log")
		}
	})
}

func TestAForkIsPlannedOnlyForTheCommitsThatItsLabelWasSetFor(t *testing.T) {
	tellOf(t, func(t *testing.T, s *site) {
		if !s.standIn.Options().Labels {
			return // forks are never planned there
		}
		n := s.world.Open(forgetest.Opening{Fork: "mallory", Author: "mallory", Files: map[string]string{"apps/cart.json": app("/shop/cart", 3)}})
		s.webhook()
		s.says(n, forge.Pending, "pacer/plan")
		if body := s.world.Comments(n, "pacer")[0].Body; strings.Contains(body, "1 → 3") {
			t.Errorf("it is planned without the label:\n%s", body)
		}
		s.world.Label(n, "pacer/plan")
		s.webhook()
		s.says(n, forge.Success, "1 → 3")
		s.world.Push(n, "And now for something else", map[string]string{"apps/cart.json": app("/shop/cart", 9)})
		s.webhook()
		s.says(n, forge.Pending, "pacer/plan")
		s.eventually("the label's end", func() (bool, string) {
			labels := s.world.Pull(n).Labels
			return len(labels) == 0, fmt.Sprint(labels)
		})
		if body := s.world.Comments(n, "pacer")[0].Body; strings.Contains(body, "1 → 9") {
			t.Errorf("new commits are planned with the label of others:\n%s", body)
		}
		s.world.Label(n, "pacer/plan")
		s.webhook()
		s.says(n, forge.Success, "1 → 9")
	})
}
