package controller

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources"
)

// stack is everything real: a directory, the local Marathon over processes, its
// HTTP API, the client, the apply and the state file.
type stack struct {
	t        *testing.T
	source   string // folder of the manifests
	client   *marathon.Client
	options  Options
	registry *prometheus.Registry
	pids     string // folder where each task notes its process id
	state    string // folder of the store
}

func newStack(t *testing.T) *stack {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	m, err := local.New(local.Options{
		Log: log,
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Dir: filepath.Join(t.TempDir(), "tasks"), Update: report, Log: log, CgroupRoot: "none", CloseGrace: 100 * time.Millisecond})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m.Handler())
	client, err := marathon.New(marathon.Options{URLs: []string{server.URL}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	live := cache.New(client, cache.Options{Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = live.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		client.Close()
		if err := m.Close(); err != nil {
			t.Errorf("local Marathon: %v", err)
		}
		server.Close()
	})
	s := &stack{t: t, source: t.TempDir(), client: client, pids: t.TempDir(), state: t.TempDir()}
	directory, err := sources.NewDirectory(sources.DirectoryOptions{Path: s.source, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := directory.Close(); err != nil {
			t.Errorf("source: %v", err)
		}
	})
	s.options = Options{
		Sources: map[string]schedule.Source{"shop": {Source: directory}},
		Syncs:   []reconcile.Sync{{Name: "shop", Source: "shop", Policy: plan.Policy{Scope: "/shop", Prune: plan.PruneOn}, Deadline: time.Minute}},
		Resync:  time.Second, Log: log,
		Clusters: map[string]Cluster{"": {
			Marathon: live, Applier: apply.New(client, apply.Options{Settle: 100 * time.Millisecond, PollInterval: 50 * time.Millisecond, Log: log}),
			Events: func(ctx context.Context) (EventStream, error) {
				changes, err := live.Changes(ctx)
				if err != nil {
					return nil, err
				}
				return changes, nil
			},
		}},
	}
	return s
}

// start runs a controller on the stack until the returned function is called.
func (s *stack) start() (*Controller, func()) {
	s.t.Helper()
	file, err := store.OpenFile(s.state)
	if err != nil {
		s.t.Fatal(err)
	}
	s.registry = prometheus.NewRegistry()
	s.options.Store, s.options.Archive, s.options.Metrics = file, file, s.registry
	c, err := New(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		if err := file.Close(); err != nil {
			s.t.Errorf("store: %v", err)
		}
	}
}

// eventually waits for a state of the world, and tells the last one if it does
// not come.
func eventually(t *testing.T, what string, holds func() (bool, string)) {
	t.Helper()
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
			t.Fatalf("%s did not come true; last seen: %s", what, seen)
		case <-tick.C:
		}
	}
}

// definition is an app whose task notes its process id and sleeps.
func (s *stack) definition(name, command string, instances int) string {
	return fmt.Sprintf(`{"id": "/shop/%s", "cmd": "echo $$ > %s/%s-$MESOS_TASK_ID; exec %s", "cpus": 0.01, "mem": 16, "instances": %d, "backoffSeconds": 1}`,
		name, s.pids, name, command, instances)
}

// push makes the source hold these files and no others.
//
// A look may come in between: each file is whole at any time, they come in the
// order of their names, and what goes goes last.
func (s *stack) push(tree map[string]string) {
	s.t.Helper()
	elsewhere := s.t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		whole := filepath.Join(elsewhere, name)
		if err := os.WriteFile(whole, []byte(tree[name]), 0o600); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Rename(whole, filepath.Join(s.source, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	there, err := os.ReadDir(s.source)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range there {
		if _, stays := tree[file.Name()]; !stays {
			if err := os.Remove(filepath.Join(s.source, file.Name())); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// running are the process ids that tasks of an app noted and that are alive.
func (s *stack) running(name string) []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.pids, name+"-*"))
	if err != nil {
		s.t.Fatal(err)
	}
	var alive []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		pid := strings.TrimSpace(string(content))
		if err != nil || pid == "" {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); err == nil {
			alive = append(alive, pid)
		}
	}
	slices.Sort(alive)
	return alive
}

func (s *stack) awaitStates(c *Controller, want string) {
	s.t.Helper()
	eventually(s.t, "the states "+want, func() (bool, string) {
		var seen []string
		y := c.Status().Syncs[0]
		for _, a := range y.Apps {
			seen = append(seen, fmt.Sprintf("%s: %s, %s", strings.TrimPrefix(a.ID, "/shop/"), a.State, a.Health))
		}
		all := strings.Join(seen, "; ")
		return all == want && !y.Running, all + fmt.Sprintf(" (running %v, last %+v, problems %v)", y.Running, y.Last, y.Problems)
	})
}

func TestStoriesOnTheLocalMarathon(t *testing.T) {
	s := newStack(t)
	tree := map[string]string{"web.json": s.definition("web", "sleep 1000", 1), "api.json": s.definition("api", "sleep 1000", 1)}
	s.push(tree)
	c, stop := s.start()

	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	first, api := s.running("web"), s.running("api")
	if len(first) != 1 || len(api) != 1 {
		t.Fatalf("processes: web %v, api %v, want one of each", first, api)
	}

	// A merge that scales keeps the running task.
	tree["web.json"] = s.definition("web", "sleep 1000", 3)
	s.push(tree)
	eventually(t, "three tasks", func() (bool, string) {
		now := s.running("web")
		return len(now) == 3 && slices.Contains(now, first[0]), fmt.Sprint(now)
	})
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")

	// A broken command hangs, the other app stays up, and a fix supersedes it.
	tree["web.json"] = s.definition("web", "no-such-command", 3)
	s.push(tree)
	eventually(t, "the broken rollout", func() (bool, string) {
		for _, a := range c.Status().Syncs[0].Apps {
			if a.ID == "/shop/web" {
				return a.Condition == status.InRollout && a.Reason != "", fmt.Sprintf("%+v", a)
			}
		}
		return false, "no such app"
	})
	tree["web.json"] = s.definition("web", "sleep 1000", 3)
	s.push(tree)
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	if now := s.running("api"); !slices.Equal(now, api) {
		t.Errorf("the other app was restarted: %v, was %v", now, api)
	}

	// A restart of the controller finds everything as it is.
	stop()
	history := len(c.Status().Syncs[0].History)
	c, stop = s.start()
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	if now := len(c.Status().Syncs[0].History); now != history || history < 3 {
		t.Errorf("%d entries in the history after the restart, %d before it", now, history)
	}

	// What git drops goes.
	delete(tree, "web.json")
	s.push(tree)
	eventually(t, "the deletion", func() (bool, string) {
		now := s.running("web")
		return len(now) == 0, fmt.Sprint(now)
	})
	s.awaitStates(c, "api: synced, healthy")
	if now := s.running("api"); !slices.Equal(now, api) {
		t.Errorf("the other app was restarted: %v, was %v", now, api)
	}
	if n := testutil.ToFloat64(c.metrics.changes.WithLabelValues("shop", "delete", "applied")); n != 1 {
		t.Errorf("pacer_changes_total for deletions is %v, want 1", n)
	}
	if n := gaugeOf(t, s.registry, "pacer_sync_apps", "sync", "shop", "state", "synced", "health", "healthy"); n != 1 {
		t.Errorf("pacer_sync_apps for synced is %v, want 1", n)
	}
	if problems, err := testutil.GatherAndLint(s.registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	stop()
}
