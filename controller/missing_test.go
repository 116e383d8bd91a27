package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

var _ reconcile.Witness = (*cache.Cache)(nil)

// lied is a controller on the local Marathon, between which a liar stands.
type lied struct {
	*Controller
	t      *testing.T
	world  *localtest.Server
	hand   *marathon.Client // of somebody else, whom nobody lies to
	liar   *localtest.Liar
	live   *cache.Cache
	source string
}

// newLied runs a controller until its apps, one instance each, run. With two URLs
// the second is that of a Marathon that does not lie.
func newLied(t *testing.T, liar *localtest.Liar, apps int, policy plan.Policy, urls int) *lied {
	t.Helper()
	return newLiedIn(t, t.TempDir(), liar, apps, policy, urls)
}

// newLiedIn is newLied with a folder for the state.
func newLiedIn(t *testing.T, state string, liar *localtest.Liar, apps int, policy plan.Policy, urls int) *lied {
	t.Helper()
	l := startLied(t, state, liar, apps, policy, urls)
	l.await("all synced", func(y status.Sync) bool { return l.allSynced(y, apps) })
	return l
}

// startLied does not wait.
func startLied(t *testing.T, state string, liar *localtest.Liar, apps int, policy plan.Policy, urls int) *lied {
	t.Helper()
	l := &lied{t: t, liar: liar, world: localtest.New(t, localtest.Options{Wrap: liar.Wrap}), source: t.TempDir()}
	truth := httptest.NewServer(l.world.Marathon.Handler())
	t.Cleanup(truth.Close)
	l.hand = l.client(truth.URL)
	client := l.client([]string{l.world.URL, truth.URL}[:urls]...)
	l.live = cache.New(client, cache.Options{})
	for i := range apps {
		l.write(i)
	}
	directory, err := sources.NewDirectory(sources.DirectoryOptions{Path: l.source})
	if err != nil {
		t.Fatal(err)
	}
	file, err := store.OpenFile(state)
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	records := store.Remember(file, ledger, slog.New(slog.DiscardHandler)) // as pacer run does
	policy.Scope, policy.Prune = "/", plan.PruneOn
	l.Controller, err = New(Options{
		Sources: map[string]schedule.Source{"repo": {Source: directory}}, Syncs: []reconcile.Sync{{Name: "all", Source: "repo", Policy: policy}},
		Clusters: oneCluster(l.live, apply.New(client, apply.Options{Settle: -1, PollInterval: 20 * time.Millisecond})), Store: records, Archive: records, Resync: time.Hour, ProbeInterval: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- l.live.Run(ctx) }()
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		if err := directory.Close(); err != nil {
			t.Error(err)
		}
		truth.CloseClientConnections()
	})
	return l
}

func (l *lied) client(urls ...string) *marathon.Client {
	c, err := marathon.New(marathon.Options{URLs: urls})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(c.Close)
	return c
}

func (l *lied) file(i int) string { return filepath.Join(l.source, fmt.Sprintf("%05d.json", i)) }

func (l *lied) write(i int) {
	text, err := json.Marshal(localtest.App(i, 1))
	if err == nil {
		err = os.WriteFile(l.file(i), text, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lied) sync() status.Sync { return l.Status().Syncs[0] }

func (l *lied) allSynced(y status.Sync, apps int) bool {
	return len(y.Apps) == apps && !y.Running && !slices.ContainsFunc(y.Apps, func(a status.App) bool { return a.State != status.Synced || a.Health != status.HealthHealthy })
}

func (l *lied) await(what string, holds func(status.Sync) bool) {
	l.t.Helper()
	eventually(l.t, what, func() (bool, string) {
		y := l.sync()
		return holds(y), fmt.Sprintf("%s, running %v, last %+v", y.Counts(), y.Running, y.Last)
	})
}

// pass has everything read anew and waits for the end of a pass on that.
func (l *lied) pass() status.Sync {
	l.t.Helper()
	l.live.Distrust()
	asked := time.Now()
	if err := l.Trigger("all", ada); err != nil {
		l.t.Fatal(err)
	}
	l.await("a pass", func(y status.Sync) bool { return !y.Running && y.Last != nil && y.Last.Began.After(asked) })
	return l.sync()
}

// scale is what an autoscaler does.
func (l *lied) scale(count int) {
	l.t.Helper()
	apps, err := l.hand.Apps(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, a := range apps {
		scaled := *a.Definition
		scaled.Instances = new(count)
		if _, err := l.hand.PutApp(l.t.Context(), &scaled, true); err != nil {
			l.t.Fatal(err)
		}
	}
	l.world.Settled()
}

// writes counts what was asked of the Marathon through the liar and was no read.
func (l *lied) writes() (n int) {
	for what, times := range l.world.Requests() {
		if !strings.HasPrefix(what, "GET ") {
			n += times
		}
	}
	return n
}

func (l *lied) counts(want int) {
	l.t.Helper()
	for id, n := range l.world.Instances() {
		if n != want {
			l.t.Errorf("%s has %d instances, want %d", id, n, want)
		}
	}
}

func everything(string) bool { return true }

func odd(id string) bool { return (id[len(id)-1]-'0')%2 == 1 }

func only(ids ...int) func(string) bool {
	return func(id string) bool {
		return slices.ContainsFunc(ids, func(i int) bool { return localtest.App(i, 1).ID == id })
	}
}

// A list that lacks what was applied, twice in a row and for longer, leads to no
// write: no count goes back, nothing is deleted, and once it is whole all is well.
func TestAListThatLacksWhatWasAppliedIsNotBelieved(t *testing.T) {
	testenv.Long(t)
	const apps = 30
	live := plan.Policy{Instances: plan.Instances{Live: true}}
	for name, test := range map[string]struct {
		hide   func(string) bool
		trees  bool
		policy plan.Policy
		drop   int // of the apps git drops so many meanwhile
	}{
		"all of it":                             {hide: everything, policy: live},
		"all, in the tree too":                  {hide: everything, trees: true, policy: live},
		"half":                                  {hide: odd, policy: live},
		"half, which git counts":                {hide: odd, policy: plan.Policy{Instances: plan.Instances{Min: 1, Max: 9}}},
		"one":                                   {hide: only(17), policy: live},
		"a few that git drops":                  {hide: only(0, 2), policy: plan.Policy{Instances: plan.Instances{Live: true}, MaxDeletes: plan.MaxDeletes{Count: 5}}, drop: 6},
		"half while git drops more than it may": {hide: odd, policy: plan.Policy{Instances: plan.Instances{Live: true}, MaxDeletes: plan.MaxDeletes{Count: 5}}, drop: 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			liar := &localtest.Liar{Trees: test.trees}
			l := newLied(t, liar, apps, test.policy, 1)
			l.scale(3)
			l.pass()
			l.world.Forget()
			liar.Hide(test.hide)
			for i := range test.drop {
				if err := os.Remove(l.file(i)); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				y := l.pass()
				if y.Last.Result != status.ResultFailed || !strings.Contains(y.Last.Error, "lacks") || !strings.Contains(y.Last.Error, "/g") {
					t.Errorf("a pass ended %+v, want one that names what the list lacks", y.Last)
				}
				for _, a := range y.Apps {
					if a.State != status.Unknown {
						t.Errorf("%s is said to be %s", a.ID, a.State)
					}
				}
			}
			if n := l.writes(); n > 0 {
				t.Errorf("%d writes: %v", n, l.world.Requests())
			}
			l.counts(3)
			liar.Hide(nil)
			for i := range test.drop {
				l.write(i)
			}
			l.pass()
			l.await("all synced again", func(y status.Sync) bool { return l.allSynced(y, apps) })
			l.counts(3)
			if n := len(l.world.Instances()); n != apps {
				t.Errorf("there are %d apps, want %d", n, apps)
			}
		})
	}
}

// gone deletes apps past Pacer.
func (l *lied) gone(ids ...int) {
	l.t.Helper()
	for _, i := range ids {
		if _, err := l.hand.DeleteApp(l.t.Context(), localtest.App(i, 1).ID, true); err != nil {
			l.t.Fatal(err)
		}
	}
	l.world.Settled()
}

func first(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// A few that somebody deleted are put back unasked. More wait for an approval, or
// for the word of another URL.
func TestHowMuchIsCreatedAgainUnasked(t *testing.T) {
	testenv.Long(t)
	const apps = 24
	five := plan.Policy{MaxDeletes: plan.MaxDeletes{Count: 5}}
	for name, test := range map[string]struct {
		policy  plan.Policy
		gone    int
		urls    int
		blocked int
	}{
		"as many as maxDeletes":                  {five, 5, 1, 0},
		"more than maxDeletes":                   {five, 6, 1, 6},
		"all":                                    {five, apps, 1, apps},
		"another URL says so too":                {five, 6, 2, 0},
		"all, and another URL says so too":       {five, apps, 2, 0},
		"as many as are allowed without a bound": {plan.Policy{}, 20, 1, 0},
		"more than that":                         {plan.Policy{}, 21, 1, 21},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLied(t, &localtest.Liar{}, apps, test.policy, test.urls)
			l.gone(first(test.gone)...)
			y := l.pass()
			blocked := 0
			for _, a := range y.Apps {
				if a.Condition == status.Blocked {
					blocked++
					if !a.Approvable || !strings.Contains(a.Reason, "missing from Marathon's list at once") {
						t.Errorf("%s is blocked for %q, approvable %v", a.ID, a.Reason, a.Approvable)
					}
				}
			}
			if blocked != test.blocked || len(l.world.Instances()) != apps-blocked {
				t.Errorf("%d of %d apps are there and %d blocked, want %d blocked", len(l.world.Instances()), apps, blocked, test.blocked)
			}
			if blocked > 0 {
				if err := l.Approve(t.Context(), "all", nil, "", ada); err != nil {
					t.Fatal(err)
				}
			}
			l.await("all synced again", func(y status.Sync) bool { return l.allSynced(y, apps) })
		})
	}
}

// Where Marathon lies about single apps too, another URL still finds it out; and
// while much is missing nothing is deleted.
func TestAnotherURLProvesAListWrong(t *testing.T) {
	const apps = 24
	liar := &localtest.Liar{Trees: true, Singles: true}
	l := newLied(t, liar, apps, plan.Policy{MaxDeletes: plan.MaxDeletes{Count: 5}}, 2)
	liar.Hide(everything)
	if y := l.pass(); !strings.Contains(y.Last.Error, "lacks") {
		t.Errorf("a pass ended %+v", y.Last)
	}
	liar.Hide(nil)
	l.pass()
	l.await("all synced again", func(y status.Sync) bool { return l.allSynced(y, apps) })

	alone := newLied(t, liar, apps, plan.Policy{MaxDeletes: plan.MaxDeletes{Count: 5}}, 1)
	liar.Hide(func(id string) bool { return id > localtest.App(9, 1).ID })
	alone.world.Forget()
	for i := range 2 {
		if err := os.Remove(alone.file(i)); err != nil {
			t.Fatal(err)
		}
	}
	y := alone.pass()
	reasons := map[string]string{}
	for _, a := range y.Apps {
		reasons[a.ID] = a.Reason
	}
	if n := alone.writes(); n > 0 || !strings.Contains(reasons[localtest.App(0, 1).ID], "nothing is deleted") {
		t.Errorf("%d writes; what git dropped: %q", n, reasons[localtest.App(0, 1).ID])
	}
	alone.counts(1)
}

// What git dropped and somebody deleted leaves the inventory, however much it is.
func TestWhatIsDroppedAndGoneIsForgotten(t *testing.T) {
	const apps = 24
	l := newLied(t, &localtest.Liar{}, apps, plan.Policy{MaxDeletes: plan.MaxDeletes{Count: 2}}, 1)
	for i := range apps - 1 {
		if err := os.Remove(l.file(i)); err != nil {
			t.Fatal(err)
		}
	}
	l.await("deletions blocked", func(y status.Sync) bool { return y.Summary.Delete == apps-1 })
	l.gone(first(apps - 1)...)
	l.pass()
	state, err := l.store.Load(t.Context(), "all")
	if err != nil {
		t.Fatal(err)
	}
	if ids := slices.Sorted(maps.Keys(state.Inventory)); !slices.Equal(ids, []string{localtest.App(apps-1, 1).ID}) {
		t.Errorf("the inventory holds %v", ids)
	}
}

// A pod that the list of pods lacks is not created anew either.
func TestAListThatLacksPodsIsNotBelieved(t *testing.T) {
	liar := &localtest.Liar{}
	l := newLied(t, liar, 1, plan.Policy{Instances: plan.Instances{Live: true}}, 1)
	pod := `{"id":"/pods/a","scaling":{"kind":"fixed","instances":1},"containers":[{"name":"c","exec":{"command":{"shell":"sleep 1000"}},"resources":{"cpus":0.1,"mem":32}}],"networks":[{"mode":"host"}]}`
	if err := os.WriteFile(filepath.Join(l.source, "pod.json"), []byte(pod), 0o600); err != nil {
		t.Fatal(err)
	}
	l.await("the pod", func(y status.Sync) bool { return l.allSynced(y, 2) })
	p, err := l.hand.Pod(t.Context(), "/pods/a")
	if err != nil {
		t.Fatal(err)
	}
	scaled := *p.Definition
	scaled.Scaling = &manifests.Scaling{Kind: "fixed", Instances: new(3)}
	if _, err := l.hand.PutPod(t.Context(), &scaled, false); err != nil {
		t.Fatal(err)
	}
	l.pass()
	l.world.Forget()
	liar.Hide(func(id string) bool { return id == "/pods/a" })
	if y := l.pass(); !strings.Contains(y.Last.Error, "/pods/a") || l.writes() > 0 {
		t.Errorf("a pass ended %+v after %v", y.Last, l.world.Requests())
	}
	liar.Hide(nil)
	l.pass()
	l.await("all synced again", func(y status.Sync) bool { return l.allSynced(y, 2) })
	if p, err := l.hand.Pod(t.Context(), "/pods/a"); err != nil || *p.Definition.Scaling.Instances != 3 {
		t.Errorf("the pod is %+v, %v", p.Definition, err)
	}
}
