package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// fleet is several replicas of one Marathon and one store. Whatever differs
// between replicas in production differs here: each has a mirror of the
// repository, a clone of that, a way to git that can be cut, and a connection to
// Marathon of its own.
//
// It holds what must hold at any time: no app goes back to an earlier version,
// and none that was created is deleted, unless a test allows it.
type fleet struct {
	t        *testing.T
	spec     reconcile.Sync
	origin   *gittest.Repo
	site     *site
	store    store.Store
	archive  store.Archive
	replicas []*member
	single   bool // one replica without election
	stays    bool // nobody hears what the others report, so leadership stays where it is
	version  int  // of the newest commit

	mu        sync.Mutex
	versions  map[string]int // id → the highest that Marathon ever had
	backwards bool           // it is meant to go back
	wrong     []string
}

// member is one replica.
type member struct {
	*Controller
	f      *fleet
	name   string
	way    *way
	clone  string
	branch string
	line   *line
	client *marathon.Client
	wires  *http.Transport
	log    *strings.Builder
	cancel context.CancelFunc
	done   chan error
	endOf  func() // its term; nil: it does not lead

	told      []string // which sources it cannot read; nil: nothing yet. Under f.mu, as what follows
	abdicated int
}

// way is how a replica reaches git: a mirror of its own.
type way struct {
	*sources.Git
	origin, mirror string

	mu     sync.Mutex
	broken error
	stuck  bool                  // it never answers
	lags   bool                  // the mirror is not updated
	answer func(look int) string // the commit that a look finds; empty: the newest
	looks  int
}

func (w *way) Snapshot(ctx context.Context) (*sources.Snapshot, error) {
	w.mu.Lock()
	w.looks++
	broken, stuck, lags, answer, look := w.broken, w.stuck, w.lags, w.answer, w.looks
	w.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if broken != nil {
		return nil, broken
	}
	if !lags {
		w.update()
	}
	if answer != nil {
		if commit := answer(look); commit != "" {
			w.point(commit)
		}
	}
	return w.Git.Snapshot(ctx)
}

// update brings the mirror up to date, where it is not.
func (w *way) update() {
	ref := filepath.Join("refs", "heads", "main")
	newest, err := os.ReadFile(filepath.Join(w.origin, ref))
	if err != nil {
		panic(err)
	}
	if mine, _ := os.ReadFile(filepath.Join(w.mirror, ref)); string(mine) != string(newest) {
		git("-C", w.mirror, "fetch", "--quiet", w.origin, "+refs/*:refs/*")
	}
}

// point has the mirror's branch point to a commit.
func (w *way) point(commit string) {
	if err := os.WriteFile(filepath.Join(w.mirror, "refs", "heads", "main"), []byte(commit+"\n"), 0o600); err != nil {
		panic(err)
	}
}

func (w *way) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// git runs git, which a test cannot do without.
func git(args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Env = testenv.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("git %v: %v: %s", args, err, out))
	}
	return strings.TrimSpace(string(out))
}

// newFleet begins with revision 1 of one app; nobody leads.
func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	return newFleetOf(t, func(*reconcile.Sync) {}, names...)
}

// newFleetOf is newFleet with another sync.
func newFleetOf(t *testing.T, spec func(*reconcile.Sync), names ...string) *fleet {
	t.Helper()
	shelf := &shelf{saved: map[string][]byte{}, kept: map[string][]byte{}}
	f := &fleet{t: t, spec: reconcile.Sync{Name: "shop", Source: "git", Policy: plan.Policy{Scope: "/shop", Prune: plan.PruneOn, Adopt: true}}, origin: gittest.New(t), store: shelf, archive: shelf, versions: map[string]int{}, single: len(names) == 1}
	var err error
	if f.site, err = newSite(); err != nil {
		t.Fatal(err)
	}
	spec(&f.spec)
	f.commit("cart")
	for _, name := range names {
		f.replicas = append(f.replicas, f.newMember(name))
	}
	return f
}

// newMember starts a replica with nothing on its disk.
func (f *fleet) newMember(name string) *member {
	f.t.Helper()
	dir := f.t.TempDir()
	w := &way{origin: f.origin.Bare, mirror: filepath.Join(dir, "mirror.git")}
	git("clone", "--quiet", "--mirror", w.origin, w.mirror)
	m := &member{f: f, name: name, way: w, clone: filepath.Join(dir, "clone"), branch: "main"}
	m.start()
	return m
}

// start begins a process, which finds the clone as it is.
func (m *member) start() {
	f := m.f
	f.t.Helper()
	m.log = &strings.Builder{}
	log := slog.New(slog.NewTextHandler(m.log, nil))
	var err error
	m.way.Git, err = sources.NewGit(sources.GitOptions{URL: "file://" + m.way.mirror, Branch: m.branch, AllowLocal: true, Dir: m.clone, Log: log})
	if err != nil {
		f.t.Fatal(err)
	}
	m.line = newLine(f.site)
	m.line.spoil, m.line.written = func(*http.Request) flaw { return sound }, f.written
	m.line.doubted, m.line.died = func(*http.Request, []byte) {}, func() {}
	client, wires, err := m.line.client()
	if err != nil {
		f.t.Fatal(err)
	}
	m.client, m.wires = client, wires
	var peers Peers
	if !f.single {
		peers = m
	}
	m.Controller, err = New(Options{
		Log: log, Follow: !f.single, Peers: peers,
		Sources:  map[string]schedule.Source{"git": {Source: m.way, Interval: sources.DefaultInterval}},
		Syncs:    []reconcile.Sync{f.spec},
		Clusters: map[string]Cluster{"": {Marathon: client, Applier: apply.New(client, apply.Options{Log: log}), Events: eventsOf(client)}}, Store: f.store, Archive: f.archive,
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.done = cancel, make(chan error, 1)
	go func() { m.done <- m.Run(ctx) }()
}

// stop ends the process.
func (m *member) stop() {
	m.resign()
	m.cancel()
	if err := <-m.done; err != nil {
		m.f.t.Errorf("%s: Run: %v", m.name, err)
	}
	m.line.cut()
	m.client.Close()
	m.wires.CloseIdleConnections()
	m.line.calls.Wait()
	if err := m.way.Git.Close(); err != nil {
		m.f.t.Errorf("%s: source: %v", m.name, err)
	}
}

// lead begins a term.
func (m *member) lead() {
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Lead(ctx) }()
	m.endOf = func() { cancel(errLeaseEnded); <-done }
}

// resign ends the term, if there is one.
func (m *member) resign() {
	if m.endOf != nil {
		m.endOf()
		m.endOf = nil
	}
}

// Report, Reports and Abdicate make it a candidate as its controller sees it:
// it hands over to the next of the fleet.
func (m *member) Report(failing []string) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.told = append([]string{}, failing...)
}

func (m *member) Reports(context.Context) (all [][]string, err error) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	for _, other := range m.f.replicas {
		if other != m && other.told != nil && !m.f.stays {
			all = append(all, other.told)
		}
	}
	return all, nil
}

func (m *member) Abdicate(context.Context) error {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.abdicated++
	next := m.f.replicas[(slices.Index(m.f.replicas, m)+1)%len(m.f.replicas)]
	go m.f.handOver(m, next)
	return nil
}

// leader is the replica that leads.
func (f *fleet) leader() *member {
	f.t.Helper()
	for _, m := range f.replicas {
		if m.inForce() != nil {
			return m
		}
	}
	f.t.Fatal("nobody leads")
	return nil
}

// handOver ends the term of one and begins that of another.
func (f *fleet) handOver(from, to *member) {
	from.resign()
	to.lead()
}

func (f *fleet) close() {
	f.t.Helper()
	for _, m := range f.replicas {
		m.stop()
	}
	if err := f.site.Close(); err != nil {
		f.t.Error(err)
	}
	f.check()
	for _, m := range f.replicas {
		for _, wrong := range untold(m.Status()) {
			f.t.Errorf("%s: %s", m.name, wrong)
		}
	}
	if f.t.Failed() {
		for _, m := range f.replicas {
			f.t.Logf("%s:\n%s", m.name, m.log)
		}
	}
}

// commit makes the next revision: every app of it has its number.
func (f *fleet) commit(apps ...string) string {
	f.t.Helper()
	f.version++
	f.origin.Git("rm", "-r", "-q", "--ignore-unmatch", ".")
	return f.origin.Commit(fmt.Sprintf("version %d", f.version), definitions(f.version, apps))
}

func definitions(version int, apps []string) map[string]string {
	tree := map[string]string{}
	for _, name := range apps {
		tree[name+".json"] = fmt.Sprintf(`{"id": "/shop/%s", "cmd": "run", "cpus": 0.01, "mem": 8, "env": {"VERSION": "%d"}}`, name, version)
	}
	return tree
}

// live is what Marathon has: "cart=1 pay=2".
func (f *fleet) live() string {
	var all []string
	for id, version := range f.liveVersions() {
		all = append(all, fmt.Sprintf("%s=%d", strings.TrimPrefix(id, "/shop/"), version))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (f *fleet) liveVersions() map[string]int {
	_, text := f.site.ask("GET", "/v2/apps", "")
	var all struct {
		Apps []struct {
			ID  string
			Env map[string]string
		}
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		panic(err)
	}
	versions := map[string]int{}
	for _, a := range all.Apps {
		versions[a.ID], _ = strconv.Atoi(a.Env["VERSION"])
	}
	return versions
}

// has holds what Marathon has, now.
func (f *fleet) has(want, when string) {
	f.t.Helper()
	f.check()
	if got := f.live(); got != want {
		f.t.Errorf("%s: Marathon has %q, want %q", when, got, want)
	}
}

// written is told of each write of Pacer's, and looks at Marathon after it.
func (f *fleet) written(r *http.Request, _ []byte) func(int) {
	return func(int) {
		now := f.liveVersions()
		f.mu.Lock()
		defer f.mu.Unlock()
		for id, highest := range f.versions {
			version, there := now[id]
			switch {
			case f.backwards:
			case !there:
				f.wrong = append(f.wrong, fmt.Sprintf("%s %s %s deleted %s", time.Now().Format(time.TimeOnly), r.Method, r.URL.Path, id))
			case version < highest:
				f.wrong = append(f.wrong, fmt.Sprintf("%s %s %s took %s from %d back to %d", time.Now().Format(time.TimeOnly), r.Method, r.URL.Path, id, highest, version))
			}
		}
		f.versions = now
	}
}

func (f *fleet) check() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, wrong := range f.wrong {
		f.t.Error(wrong)
	}
	f.wrong = nil
}

// goesBack lets what happens meanwhile go back.
func (f *fleet) goesBack(back bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backwards = back
}

// byHand is a write of somebody who is not Pacer.
func (f *fleet) byHand(method, path, body string) {
	f.t.Helper()
	if code, text := f.site.ask(method, path, body); code >= http.StatusBadRequest {
		f.t.Fatalf("%s %s: %d %s", method, path, code, text)
	}
	now := f.liveVersions()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versions = now
}

var errNoRoute = errors.New("no route to host")
