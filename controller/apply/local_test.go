package apply_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

// machine runs tasks in name only: at once, when it is let go ("hold"), or not at
// all ("exit 127").
type machine struct {
	executor.Executor
	mu      sync.Mutex
	held    []func()
	letGo   bool
	reports chan executor.Update
	running map[string]bool
	done    chan struct{}
}

func newMachine(report func(executor.Update)) *machine {
	m := &machine{reports: make(chan executor.Update, 10000), running: map[string]bool{}, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for u := range m.reports {
			report(u)
		}
	}()
	return m
}

func (m *machine) Launch(t executor.Task) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := executor.Update{TaskID: t.ID, State: executor.Running}
	if strings.HasPrefix(t.Cmd, "hold") && !m.letGo {
		m.held = append(m.held, func() {
			if m.running[t.ID] {
				m.reports <- executor.Update{TaskID: t.ID, State: executor.Running, Timestamp: time.Now()}
			}
		})
		end.State = executor.Starting
	}
	if strings.HasPrefix(t.Cmd, "exit ") {
		end = executor.Update{TaskID: t.ID, State: executor.Failed, Message: "Command exited with status " + t.Cmd[5:]}
	} else {
		m.running[t.ID] = true
	}
	for _, u := range []executor.Update{{TaskID: t.ID, State: executor.Staging}, {TaskID: t.ID, State: executor.Starting}, end} {
		u.Timestamp = time.Now()
		m.reports <- u
	}
	return nil
}

// release lets all go that is held.
func (m *machine) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letGo = true
	for _, run := range m.held {
		run()
	}
}

func (m *machine) Kill(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[id] {
		delete(m.running, id)
		m.reports <- executor.Update{TaskID: id, State: executor.Killed, Message: "killed", Timestamp: time.Now()}
	}
}

func (m *machine) Ready(executor.Task) error                         { return nil }
func (m *machine) Sandbox(string) string                             { return "" }
func (m *machine) Enforcement() string                               { return "none" }
func (m *machine) Files() http.Handler                               { return http.NotFoundHandler() }
func (m *machine) Exec(context.Context, string, string) (int, error) { return 0, nil }

func (m *machine) Close() error {
	m.mu.Lock()
	for id := range m.running {
		m.reports <- executor.Update{TaskID: id, State: executor.Killed, Timestamp: time.Now()}
	}
	m.running = nil
	m.mu.Unlock()
	close(m.reports)
	<-m.done
	return nil
}

// world is an embedded Marathon behind real HTTP, and what syncs with it.
type world struct {
	t       *testing.T
	machine *machine
	url     string
	client  *marathon.Client
	options apply.Options
}

func newWorld(t *testing.T, features ...string) *world {
	t.Parallel()
	var tasks *machine
	cluster := manifests.DefaultCluster()
	cluster.Features = features
	m, err := local.New(local.Options{
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			tasks = newMachine(report)
			return tasks, nil
		},
		Failures: true, Cluster: cluster, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	s := httptest.NewServer(m.Handler())
	t.Cleanup(s.Close)
	c, err := marathon.New(marathon.Options{URLs: []string{s.URL}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &world{t: t, machine: tasks, url: s.URL, client: c, options: apply.Options{Settle: 300 * time.Millisecond, PollInterval: 200 * time.Millisecond, ExplainAfter: time.Second}}
}

// ask sends something to the Marathon's own API for tests.
func (w *world) ask(method, path, body string) string {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode > 299 {
		w.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	return string(b)
}

// plan computes what would bring Marathon to the apps.
func (w *world) plan(apps ...*manifests.App) (plan.Plan, marathon.State) {
	w.t.Helper()
	state, err := w.client.State(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	in := plan.Input{Cluster: state.Cluster, Policy: plan.Policy{Scope: "/", Prune: plan.PruneOn, Adopt: true},
		Live: plan.Live{Apps: map[string]*manifests.App{}, Groups: state.Groups}, Inventory: map[string]plan.Owned{}}
	for id, a := range state.Apps {
		in.Live.Apps[id] = a.Definition
		in.Inventory[id] = plan.Owned{Kind: manifests.KindApp, File: id}
	}
	for _, a := range apps {
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: a.ID, Kind: manifests.KindApp, File: a.ID, App: a})
	}
	return plan.Compute(in), state
}

// sync plans and applies, and returns the outcomes by id.
func (w *world) sync(ctx context.Context, r apply.Request, apps ...*manifests.App) map[string]apply.Outcome {
	w.t.Helper()
	p, state := w.plan(apps...)
	r.Cluster, r.Groups = state.Cluster, state.Groups
	found := map[string]apply.Outcome{}
	for _, o := range apply.New(w.client, w.options).Apply(ctx, p, r) {
		found[o.ID] = o
	}
	return found
}

// settled checks that there is nothing left to do, and that all tasks are there.
func (w *world) settled(apps ...*manifests.App) {
	w.t.Helper()
	p, state := w.plan(apps...)
	if p.Pending() != 0 {
		w.t.Errorf("after the apply there is still a plan: %+v", p.Changes)
	}
	for _, a := range apps {
		live, ok := state.Apps[a.ID]
		if !ok || live.Status.Running != *a.Instances || live.Status.Outdated != 0 {
			w.t.Errorf("%s: %+v", a.ID, live.Status)
		}
	}
	if len(state.Apps) != len(apps) || len(state.Deployments) != 0 {
		w.t.Errorf("%d apps, want %d; deployments %v", len(state.Apps), len(apps), state.Deployments)
	}
}

func app(id, cmd string, instances int, dependencies ...string) *manifests.App {
	return &manifests.App{ID: id, Cmd: &cmd, Instances: &instances, CPUs: new(0.01), Mem: new(8.0), Dependencies: dependencies}
}

func tooBig(id string) *manifests.App {
	a := app(id, "sleep 1000", 1)
	a.CPUs = new(99999.0)
	return a
}

func allApplied(t *testing.T, outcomes map[string]apply.Outcome, n int) {
	t.Helper()
	if len(outcomes) != n {
		t.Errorf("%d outcomes, want %d: %v", len(outcomes), n, outcomes)
	}
	for id, o := range outcomes {
		if o.Result != apply.Applied {
			t.Errorf("%s %s %s: %s", id, o.Action, o.Result, o.Reason)
		}
	}
}

func TestLifeOfAnApp(t *testing.T) {
	w := newWorld(t)
	first := []*manifests.App{app("/s/db", "sleep 1000", 1), app("/s/web", "sleep 1000", 2, "/s/db"), app("/old/a", "sleep 1000", 1)}
	allApplied(t, w.sync(t.Context(), apply.Request{}, first...), 3)
	w.settled(first...)
	second := []*manifests.App{app("/s/db", "sleep 2000", 1), app("/s/web", "sleep 1000", 4, "/s/db")}
	outcomes := w.sync(t.Context(), apply.Request{}, second...)
	if outcomes["/s/db"].Action != plan.Update || outcomes["/s/web"].Action != plan.Scale || outcomes["/old/a"].Action != plan.Delete {
		t.Errorf("actions: %+v", outcomes)
	}
	for _, o := range outcomes {
		if o.Result != apply.Applied {
			t.Errorf("%+v", o)
		}
	}
	w.settled(second...)
}

func TestManyNewApps(t *testing.T) {
	w := newWorld(t)
	var apps []*manifests.App
	for i := range 60 {
		apps = append(apps, app(fmt.Sprintf("/many/a%02d", i), "sleep 1000", 1))
	}
	allApplied(t, w.sync(t.Context(), apply.Request{}, apps...), 60)
	w.settled(apps...)
}

// The story of the demo: a rollout that cannot come up is explained, and the
// revert supersedes it at once, by another process than the one that began it.
// One bad app of an array of new ones fails alone: the others are applied as soon
// as they are up, can be changed while it hangs, and it goes when git drops it.
func TestOneBadAppOfAnArrayFailsAlone(t *testing.T) {
	testenv.Long(t)
	w := newWorld(t)
	const bad = "/many/a07"
	var good, all []*manifests.App
	for i := range 20 {
		a := app(fmt.Sprintf("/many/a%02d", i), "sleep 1000", 1)
		if a.ID == bad {
			a = tooBig(bad)
		} else {
			good = append(good, a)
		}
		all = append(all, a)
	}
	var badEnded bool
	early := 0
	outcomes := w.sync(t.Context(), apply.Request{Deadline: 5 * time.Second, Progress: func(o apply.Outcome) {
		badEnded = badEnded || o.ID == bad && o.Result != ""
		if o.Result == apply.Applied && !badEnded {
			early++
		}
	}}, all...)
	failed := outcomes[bad]
	delete(outcomes, bad)
	allApplied(t, outcomes, 19)
	if early != 19 || failed.Result != apply.Failed || !strings.Contains(failed.Reason, "cpus") {
		t.Errorf("%d were applied before the bad one failed, which is %+v", early, failed)
	}
	hanging := apply.Request{Deployments: []string{failed.Deployment}, Failed: map[string]bool{bad: true}}
	changed := append([]*manifests.App{app(good[0].ID, "sleep 2000", 1)}, good[1:]...)
	allApplied(t, w.sync(t.Context(), hanging, append(changed, tooBig(bad))...), 19) // all that hung in its deployment, but for the bad one
	allApplied(t, w.sync(t.Context(), hanging, changed...), 1)
	w.settled(changed...)
}

func TestRevertOverAHangingRollout(t *testing.T) {
	w := newWorld(t)
	good := []*manifests.App{app("/a", "sleep 1000", 1), app("/crash", "sleep 1000", 1)}
	allApplied(t, w.sync(t.Context(), apply.Request{}, good...), 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	noted, why := map[string]apply.Rollout{}, map[string]string{}
	outcomes := w.sync(ctx, apply.Request{Progress: func(o apply.Outcome) {
		if o.Result == "" {
			noted[o.ID] = apply.Rollout{Kind: o.Kind, Action: o.Action, Deployment: o.Deployment, Hash: o.Hash, Began: o.Began}
			why[o.ID] += o.Reason
		}
		if strings.Contains(why["/a"], "cpus") && strings.Contains(why["/crash"], "127") {
			cancel(apply.ErrSuperseded)
		}
	}}, tooBig("/a"), app("/crash", "exit 127", 1))
	if outcomes["/a"].Result != apply.Superseded || outcomes["/crash"].Result != apply.Superseded {
		t.Errorf("outcomes: %+v", outcomes)
	}
	if !strings.Contains(why["/a"], "offers refused, all for cpus: requires 99999") || !strings.Contains(why["/crash"], "exit code 127: the command is not found") {
		t.Errorf("explanations: %v", why)
	}
	start := time.Now()
	allApplied(t, w.sync(t.Context(), apply.Request{Rollouts: noted}, good...), 2)
	w.settled(good...)
	t.Logf("reverted in %s", time.Since(start))
}

func TestFaultsOfTheAPI(t *testing.T) {
	testenv.Long(t)
	for name, failure := range map[string]string{
		"taken, half an answer":  `{"method":"%s","path":"/v2/apps","half":true}`,
		"answered 500, not done": `{"method":"%s","path":"/v2/apps","status":500,"message":"boom"}`,
		"502 twice":              `{"method":"%s","path":"/v2/apps","status":502,"message":"proxy","times":2}`,
		"too many deployments":   `{"method":"%s","path":"/v2/apps","status":403,"message":"Max number (100) of running deployments is achieved."}`,
		"reads fail for a while": `{"method":"GET","path":"/v2/apps","status":503,"message":"away","times":4}%.0s`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, write := range []struct {
				method string
				app    *manifests.App
			}{{"POST", app("/a", "sleep 1000", 1)}, {"PUT", app("/a", "sleep 2000", 2)}} {
				method := write.method
				p, state := w.plan(write.app)
				w.ask("POST", "/local/failures", fmt.Sprintf(failure, method))
				for _, o := range apply.New(w.client, w.options).Apply(t.Context(), p, apply.Request{Cluster: state.Cluster}) {
					if o.Result != apply.Applied {
						t.Errorf("%s: %+v", method, o)
					}
				}
				w.ask("DELETE", "/local/failures", "")
				w.settled(write.app)
			}
		})
	}
}

func TestLockOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	allApplied(t, w.sync(t.Context(), apply.Request{}, app("/a", "sleep 1000", 1)), 1)
	w.ask("POST", "/local/failures/lock", `{"id":"/a"}`)
	var free sync.Once
	outcomes := w.sync(t.Context(), apply.Request{Progress: func(o apply.Outcome) {
		if o.ID == "/b" && o.Result == apply.Applied { // others go on meanwhile
			free.Do(func() { w.ask("DELETE", "/local/failures/lock", "") })
		}
	}}, app("/a", "sleep 2000", 1), app("/b", "sleep 1000", 1))
	allApplied(t, outcomes, 2)
	w.settled(app("/a", "sleep 2000", 1), app("/b", "sleep 1000", 1))
}

// A full PUT loses executorResources, and a partial one unsets nothing: together
// they leave what git has, and nothing to do.
func TestExecutorResourcesSurviveUpdates(t *testing.T) {
	w := newWorld(t)
	def := func(change func(*manifests.App)) *manifests.App {
		a := app("/a", "sleep 1000", 1)
		a.ExecutorResources = &manifests.ExecutorResources{CPUs: new(0.2), Mem: new(64.0), Disk: new(10.0)}
		change(a)
		return a
	}
	for _, step := range []struct {
		name   string
		change func(*manifests.App)
	}{
		{"create", func(a *manifests.App) { a.User = new("nobody") }},
		{"update", func(a *manifests.App) { a.User, a.Cmd = new("nobody"), new("sleep 2000") }},
		{"scale", func(a *manifests.App) { a.User, a.Cmd, a.Instances = new("nobody"), new("sleep 2000"), new(2) }},
		{"unset a field", func(a *manifests.App) { a.Cmd, a.Instances = new("sleep 2000"), new(2) }},
		{"unset a label", func(a *manifests.App) { a.Labels = map[string]string{"a": "b"} }},
		{"change them alone", func(a *manifests.App) { a.ExecutorResources.CPUs = new(0.4) }},
	} {
		want := def(step.change)
		for id, o := range w.sync(t.Context(), apply.Request{}, want) {
			if o.Result != apply.Applied {
				t.Errorf("%s: %s %s: %s", step.name, id, o.Result, o.Reason)
			}
		}
		w.settled(want)
		if live, err := w.client.App(t.Context(), "/a"); err != nil || live.Definition.ExecutorResources == nil || *live.Definition.ExecutorResources.CPUs != *want.ExecutorResources.CPUs {
			t.Fatalf("%s: %+v, %v", step.name, live.Definition.ExecutorResources, err)
		}
	}
}

// A pod whose rollout somebody cancelled is half done, and Marathon has no
// restart for pods: it is brought to its end all the same, its definition is
// what it was, and once it is up nothing is left to do.
func TestCancelledRolloutOfAPodIsTakenUpAgain(t *testing.T) {
	w := newWorld(t)
	pod := func(cmd string) *manifests.Pod {
		return &manifests.Pod{ID: "/p", Scaling: &manifests.Scaling{Kind: "fixed", Instances: new(2)}, Labels: map[string]string{"a": "b"},
			Containers: []manifests.PodContainer{{Name: "c", Resources: &manifests.Resources{CPUs: new(0.1), Mem: new(16.0)},
				Exec: &manifests.Exec{Command: &manifests.Command{Shell: &cmd}}}}}
	}
	await := func(what string, ok func(marathon.State) bool) marathon.State {
		t.Helper()
		for end := time.Now().Add(testenv.Patience); ; time.Sleep(10 * time.Millisecond) {
			s, err := w.client.State(t.Context())
			if err == nil && ok(s) {
				return s
			}
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s: %+v, %v", what, s.Pods, err)
			}
		}
	}
	if _, err := w.client.CreatePod(t.Context(), pod("sleep 1000"), false); err != nil {
		t.Fatal(err)
	}
	await("the pod", func(s marathon.State) bool { return s.Pods["/p"].Status.Running == 2 && len(s.Deployments) == 0 })
	receipt, err := w.client.PutPod(t.Context(), pod("hold 1000"), false)
	if err != nil {
		t.Fatal(err)
	}
	await("an instance of the new form", func(s marathon.State) bool { return s.Pods["/p"].Status.Staged > 0 })
	if err := w.client.CancelDeployment(t.Context(), receipt.Deployment); err != nil {
		t.Fatal(err)
	}
	w.machine.release()
	half := await("the pod to stand half done", func(s marathon.State) bool { return len(apply.HalfDone(s, time.Now())) == 1 })

	request := apply.Request{Cluster: half.Cluster, Rollouts: apply.HalfDone(half, time.Now())}
	for _, o := range apply.New(w.client, w.options).Apply(t.Context(), plan.Plan{}, request) {
		if o.ID != "/p" || o.Result != apply.Applied {
			t.Errorf("%+v", o)
		}
	}
	s := await("the end", func(s marathon.State) bool { return len(s.Deployments) == 0 })
	live := s.Pods["/p"]
	if len(apply.HalfDone(s, time.Now())) != 0 || live.Status.Running != 2 || live.Status.Outdated != 0 {
		t.Errorf("still half done: %+v", live.Status)
	}
	if got := live.Definition; *got.Containers[0].Exec.Command.Shell != "hold 1000" || len(got.Labels) != 1 {
		t.Errorf("the definition was changed: %+v", got)
	}
}
