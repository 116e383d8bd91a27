package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// world is a Marathon in memory and the hands that change it: what a pass reads
// and does, without the details of HTTP and of rollouts, on a clock of the test.
// The whole way over HTTP is tested in local_test.go.
type world struct {
	mu          sync.Mutex
	apps        map[string]*manifests.App
	deployments map[string]string // id → the deployment that hangs
	down        error             // what State answers
	hanging     map[string]string // id → a cmd that never comes up
	refused     map[string]string // id → the cmds that fail
	tried       map[string]int    // id → writes
	carried     map[string]apply.Rollout
	n           int
	deleting    func(id string)            // nil, or told before each delete
	fare        map[string]marathon.Status // id → how it fares, where not as wanted
	reads       int                        // of the whole state
	slow        time.Duration              // how long each takes
}

func newWorld() *world {
	return &world{
		apps: map[string]*manifests.App{}, deployments: map[string]string{}, hanging: map[string]string{},
		refused: map[string]string{}, tried: map[string]int{}, fare: map[string]marathon.Status{},
	}
}

func (w *world) State(ctx context.Context) (marathon.State, error) {
	w.mu.Lock()
	w.reads++
	slow := w.slow
	w.mu.Unlock()
	time.Sleep(slow) // several may read at once
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return marathon.State{}, w.down
	}
	s := marathon.State{Cluster: manifests.DefaultCluster(), Apps: map[string]marathon.App{}, Pods: map[string]marathon.Pod{}, Groups: map[string]*manifests.Group{}}
	for id, a := range w.apps {
		wanted := a.Count()
		live := marathon.App{Definition: a, Status: marathon.Status{Running: wanted, Healthy: wanted}}
		if d := w.deployments[id]; d != "" {
			live.Status = marathon.Status{Deployments: []string{d}}
		} else if w.refuses(id, *a.Cmd) {
			live.Status = marathon.Status{LastTaskFailure: &marathon.TaskFailure{Message: "exit code 127"}}
		}
		if fare, ok := w.fare[id]; ok {
			live.Status = fare
		}
		s.Apps[id] = live
	}
	return s, nil
}

// Apply changes the world at once, but for what hangs: that ends with ctx.
func (w *world) Apply(ctx context.Context, p plan.Plan, r apply.Request) []apply.Outcome {
	w.mu.Lock()
	w.carried = maps.Clone(r.Rollouts)
	w.mu.Unlock()
	var outcomes []apply.Outcome
	hangs := false
	watched := maps.Clone(r.Rollouts)
	for _, c := range p.Changes {
		delete(watched, c.ID)
		o := apply.Outcome{ID: c.ID, Kind: c.Kind, Action: c.Action, Hash: c.Hash, Revert: c.Revert, Result: apply.Blocked}
		if c.Blocked == nil {
			o = w.change(c, o, r)
		}
		if o.Result != "" {
			o.Ended = time.Now()
			r.Progress(o)
		}
		hangs = hangs || o.Result == ""
		outcomes = append(outcomes, o)
	}
	for id, rollout := range watched {
		o := apply.Outcome{ID: id, Kind: rollout.Kind, Action: rollout.Action, Hash: rollout.Hash, Revert: rollout.Revert, Began: rollout.Began}
		w.mu.Lock()
		if w.deployments[id] == "" {
			o.Result = apply.Applied
		}
		w.mu.Unlock()
		if o.Result != "" {
			o.Ended = time.Now()
			r.Progress(o)
		}
		hangs = hangs || o.Result == ""
		outcomes = append(outcomes, o)
	}
	if hangs {
		<-ctx.Done()
	}
	for i := range outcomes {
		if outcomes[i].Result == "" {
			outcomes[i].Result, outcomes[i].Ended = apply.Unknown, time.Now()
			if errors.Is(context.Cause(ctx), apply.ErrSuperseded) {
				outcomes[i].Result = apply.Superseded
			}
			r.Progress(outcomes[i])
		}
	}
	return outcomes
}

func (w *world) change(c plan.Change, o apply.Outcome, r apply.Request) apply.Outcome {
	if c.App != nil { // as the real one does: what cannot be noted is not sent
		if err := r.Sending([]apply.Write{{Outcome: o, App: c.App}}); err != nil {
			o.Result, o.Reason, o.Transient = apply.Failed, err.Error(), true
			return o
		}
	}
	w.mu.Lock()
	w.n++
	o.Deployment, o.Began = fmt.Sprintf("deployment-%d", w.n), time.Now()
	w.tried[c.ID]++
	w.mu.Unlock()
	o.Result = ""
	r.Progress(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.deployments, c.ID)
	o.Result = apply.Applied
	if c.Action == plan.Delete {
		if w.deleting != nil {
			w.deleting(c.ID)
		}
		delete(w.apps, c.ID)
		return o
	}
	w.apps[c.ID] = c.App
	switch *c.App.Cmd {
	case w.hanging[c.ID]:
		w.deployments[c.ID], o.Result = o.Deployment, ""
		return o
	}
	if w.refuses(c.ID, *c.App.Cmd) {
		o.Result, o.Reason = apply.Failed, "exit code 127: not found"
	}
	return o
}

// refuses reports whether a command of an app fails.
func (w *world) refuses(id, cmd string) bool {
	return slices.Contains(strings.Fields(w.refused[id]), cmd)
}

// cmds tells what runs: "id=cmd", sorted.
func (w *world) cmds() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for id, a := range w.apps {
		all = append(all, id+"="+*a.Cmd)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// writes tells how often an id was written.
func (w *world) writes(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tried[id]
}

// looks tells how often everything was read.
func (w *world) looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// handed is what the last apply was told of rollouts under way.
func (w *world) handed() map[string]apply.Rollout {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.carried
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// repo is a source whose revisions a test commits.
type repo struct {
	mu       sync.Mutex
	snapshot *sources.Snapshot
	err      error
	down     error                   // like err, but the snapshot is there again afterwards
	read     fstest.MapFS            // what was last read with success
	trees    map[string]fstest.MapFS // by revision
	looks    int
	n        int
	slow     time.Duration // how long it takes to open each file
	changed  chan struct{}
}

// slowFS takes its time to open a file.
type slowFS struct {
	fstest.MapFS
	each time.Duration
}

func (f slowFS) Open(name string) (fs.File, error) {
	time.Sleep(f.each)
	return f.MapFS.Open(name)
}

// tree is what was committed as a revision.
func (r *repo) tree(revision string) fstest.MapFS {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trees[revision]
}

// commit makes a revision of the given files: name → text.
func (r *repo) commit(files map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	tree := treeOf(files)
	r.snapshot = &sources.Snapshot{FS: tree, Revision: sources.Revision{ID: fmt.Sprintf("commit-%d", r.n), Author: "Ada", Subject: fmt.Sprintf("change %d", r.n)}}
	if r.trees == nil {
		r.trees = map[string]fstest.MapFS{}
	}
	r.trees[r.snapshot.Revision.ID] = tree
}

// treeOf is a tree of files in memory: name → text.
func treeOf(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func (r *repo) push(files map[string]string) {
	r.commit(files)
	r.changed <- struct{}{}
}

func (r *repo) Snapshot(context.Context) (*sources.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	if r.down != nil {
		return nil, r.down
	}
	if r.snapshot != nil {
		r.read = r.snapshot.FS.(fstest.MapFS)
	}
	if r.snapshot != nil && r.slow > 0 {
		slow := *r.snapshot
		slow.FS = slowFS{r.read, r.slow}
		return &slow, r.err
	}
	return r.snapshot, r.err
}

func (r *repo) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if err != nil {
		r.snapshot = nil
	}
}

// away makes the source unreadable for a while.
func (r *repo) away(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = err
}

func (r *repo) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

func (r *repo) Changed() <-chan struct{} { return r.changed }
func (r *repo) String() string           { return "https://git.example.com/shop.git" }
func (r *repo) Close() error             { return nil }

// shelf is a store in memory that keeps the bytes, as a file would.
type shelf struct {
	mu    sync.Mutex
	saved map[string][]byte
	err   error // of every call
	late  error // of a Save that has saved, as where the folder cannot be synced
	spoil bool  // what is saved is corrupt: told once, and set aside
	saves int
	kept  map[string][]byte // content of revisions, by checksum
}

func (s *shelf) Keep(_ context.Context, _, sum string, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.kept[sum] = content
	}
	return s.err
}

func (s *shelf) Recall(_ context.Context, _, sum string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if content, ok := s.kept[sum]; ok || s.err != nil {
		return content, s.err
	}
	return nil, fs.ErrNotExist
}

func (s *shelf) Retain(_ context.Context, _ string, sums []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.kept, func(sum string, _ []byte) bool { return !slices.Contains(sums, sum) })
	return s.err
}

// spoilKept changes all content of revisions, nil: removes it, and returns what was.
func (s *shelf) spoilKept(spoilt func([]byte) []byte) map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := maps.Clone(s.kept)
	for sum, content := range whole {
		if delete(s.kept, sum); spoilt != nil {
			s.kept[sum] = spoilt(content)
		}
	}
	return whole
}

func (s *shelf) restoreKept(whole map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = whole
}

func (s *shelf) Load(_ context.Context, sync string) (store.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var state store.State
	if s.spoil {
		s.spoil = false
		delete(s.saved, sync)
		return state, fmt.Errorf("sync-%s.json: %w", sync, store.ErrCorrupt)
	}
	if s.err != nil || s.saved[sync] == nil {
		return state, s.err
	}
	return state, json.Unmarshal(s.saved[sync], &state)
}

// SaveAhead saves what is noted ahead of a write, and refuses a state that differs in more.
func (s *shelf) SaveAhead(ctx context.Context, sync string, state store.State) error {
	before, err := s.Load(ctx, sync)
	if err != nil {
		return err
	}
	before.Sent, before.Healthy, before.Newest = state.Sent, state.Healthy, state.Newest
	was, _ := json.Marshal(before)
	is, _ := json.Marshal(state)
	if string(was) != string(is) {
		return fmt.Errorf("more is to be saved than what is noted ahead of a write:\n%s\nwas\n%s", is, was)
	}
	return s.Save(ctx, sync, state)
}

func (s *shelf) Save(_ context.Context, sync string, state store.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.saves++
	var err error
	s.saved[sync], err = json.Marshal(state)
	return cmp.Or(err, s.late)
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *shelf) Close() error { return nil }

func (s *shelf) state(t *testing.T, sync string) store.State {
	t.Helper()
	state, err := s.Load(t.Context(), sync)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// rig is a running controller with its world.
type rig struct {
	*Controller
	t       *testing.T
	world   *world
	repo    *repo
	shelf   *shelf
	options Options
	cancel  context.CancelFunc
	done    chan error
}

// ada is a person who asks for something.
var ada = store.Asked{By: store.AskedByPerson, User: "ada", Token: "act", Address: "10.0.0.7"}

const testInterval, testResync = time.Minute, 40 * time.Second

func newRig(t *testing.T, files map[string]string) *rig {
	t.Helper()
	g := &rig{t: t, world: newWorld(), repo: &repo{changed: make(chan struct{})}, shelf: &shelf{saved: map[string][]byte{}, kept: map[string][]byte{}}}
	if files != nil {
		g.repo.commit(files)
	}
	g.options = Options{
		Sources:  map[string]schedule.Source{"shop": {Source: g.repo, Interval: testInterval}},
		Syncs:    []reconcile.Sync{testSync("shop")},
		Clusters: oneCluster(g.world, g.world), Store: g.shelf, Archive: g.shelf, Resync: testResync,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return g
}

// oneCluster is the only Marathon, without a name.
func oneCluster(m Marathon, a reconcile.Applier) map[string]Cluster {
	return map[string]Cluster{"": {Marathon: m, Applier: a}}
}

// cluster changes the only Marathon before the controller is made.
func (g *rig) cluster(change func(*Cluster)) {
	c := g.options.Clusters[""]
	change(&c)
	g.options.Clusters[""] = c
}

// eventsOf opens the events of a Marathon that a client talks to.
func eventsOf(client *marathon.Client) func(context.Context) (EventStream, error) {
	return func(ctx context.Context) (EventStream, error) {
		stream, err := client.Events(ctx, marathon.TriggerEvents()...)
		if err != nil {
			return nil, err
		}
		return stream, nil
	}
}

func testSync(name string) reconcile.Sync {
	return reconcile.Sync{Name: name, Source: "shop", Policy: plan.Policy{Scope: "/" + name, Prune: plan.PruneOn}}
}

// start runs the controller until stop, and waits for it to come to rest.
func (g *rig) start() {
	g.t.Helper()
	g.options.Metrics = prometheus.NewRegistry()
	c, err := New(g.options)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.t.Context())
	g.Controller, g.cancel, g.done = c, cancel, make(chan error, 1)
	go func() { g.done <- c.Run(ctx) }()
	after(schedule.FetchPause) // the next trigger is not delayed
}

func (g *rig) stop() {
	g.t.Helper()
	g.cancel()
	if err := <-g.done; err != nil {
		g.t.Errorf("Run: %v", err)
	}
}

// after lets time pass and everything come to rest.
func after(d time.Duration) {
	time.Sleep(d) // of the bubble: it moves the clock, it does not wait
	synctest.Wait()
}

func (g *rig) sync(name string) status.Sync {
	g.t.Helper()
	for _, y := range g.Status().Syncs {
		if y.Name == name {
			return y
		}
	}
	g.t.Fatalf("no sync %q in the status", name)
	return status.Sync{}
}

func (g *rig) app(id string) status.App {
	g.t.Helper()
	for _, y := range g.Status().Syncs {
		for _, a := range y.Apps {
			if a.ID == id {
				return a
			}
		}
	}
	return status.App{}
}

func (g *rig) runs(want string) {
	g.t.Helper()
	if got := g.world.cmds(); got != want {
		g.t.Errorf("running: %q, want %q", got, want)
	}
}

// manifest is a whole definition, so that no default makes a difference.
func manifest(id, cmd string) string {
	return fmt.Sprintf(`{"id": %q, "cmd": %q, "cpus": 0.1, "mem": 32, "instances": 1}`, id, cmd)
}

// files makes a tree of apps: id, cmd, id, cmd …
func files(pairs ...string) map[string]string {
	tree := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		tree[strings.ReplaceAll(strings.Trim(pairs[i], "/"), "/", "-")+".json"] = manifest(pairs[i], pairs[i+1])
	}
	return tree
}
