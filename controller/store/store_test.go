package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/manifests"
)

// random is the same in every run.
var random = rand.New(rand.NewPCG(1, 2))

// place is where a store is, as a process of its own can be told.
type place struct {
	Folder  string   // empty: in ZooKeeper
	Servers []string // of ZooKeeper
	Root    string
}

func (p place) open(ctx context.Context) (Records, error) {
	if p.Folder != "" {
		return OpenFile(p.Folder)
	}
	return OpenZooKeeper(ctx, ZooKeeperOptions{Connection: p.connection()})
}

func (p place) connection() zookeeper.Config {
	return zookeeper.Config{
		Servers: p.Servers, Root: p.Root, SessionTimeout: 5 * time.Second,
		Handshake: 5 * time.Second, // this machine may be busy
	}
}

// kinds are the kinds of store, each with a place of its own for a test.
var kinds = map[string]func(*testing.T) place{
	"file":      func(t *testing.T) place { return place{Folder: filepath.Join(t.TempDir(), "made", "if missing")} },
	"ZooKeeper": func(t *testing.T) place { return newPlace(t, zktest.Shared(t)) },
}

func newPlace(t *testing.T, e *zktest.Ensemble) place {
	t.Helper()
	root := zktest.Root(t)
	t.Cleanup(func() { e.Remove(t, root) })
	return place{Servers: e.Addresses(), Root: root}
}

// inZooKeeper is a place of its own for a test.
func inZooKeeper(t *testing.T, e *zktest.Ensemble) *ZooKeeperOptions {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	o := &ZooKeeperOptions{Log: log, Connection: newPlace(t, e).connection()}
	o.Connection.Log = log
	return o
}

// eachKind runs a test with every kind of store.
func eachKind(t *testing.T, test func(t *testing.T, open func() Records)) {
	for kind, make := range kinds {
		t.Run(kind, func(t *testing.T) {
			place := make(t)
			test(t, func() Records {
				t.Helper()
				s, err := place.open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			})
		})
	}
}

// sample is a state in which every member is set.
func sample(n int) State {
	at := time.Date(2026, 11, 23, 20, 0, n%60, 0, time.UTC)
	s := State{
		Inventory: map[string]Owned{},
		Rollouts:  map[string]Rollout{"/shop/cart": {Kind: manifests.KindApp, Deployment: "d1", Revision: "r1", Hash: "h1", Action: plan.Update, Began: at}},
		Failed:    map[string]plan.Failure{"/shop/web": {Hash: "h2", Reason: "exit code 127 <&>\u2028"}},
		History:   []Entry{{Revision: fmt.Sprint(n), Commit: "r0", Author: "a", Subject: "s", Began: at, Ended: at, Summary: plan.Summary{Create: n}, Result: "applied", Changes: []Done{{ID: "/shop/web", Action: plan.Scale, Outcome: "applied", Seconds: 3.2, Reason: "r"}}, Message: "m"}},
		Suspended: true,
		Approved:  map[string]string{"/shop/old": "r1"},
		Healthy:   map[string]plan.Healthy{"/shop/cart": {Hash: "h0"}},
		Held:      map[string]int{"/shop/gone": 7},
		Kept:      []Kept{{ID: "r1", Ref: "main", Author: "a", Subject: "s", Time: at, Since: at, Scope: "/shop", Sum: checksum("f"), Change: &Commit{ID: "r0", Author: "b", Subject: "t", Time: at}}},
		Stands:    map[string]Stand{"/shop/web": {State: "synced", Health: "healthy", Condition: "rollout", Since: at}},
		ID:        "this", Replaces: []string{"one before"}, Loss: &Loss{At: at, Why: "w", Resumed: at},
	}
	s.Newest = &Newest{Kept: s.Kept[0], Source: "git branch=main", Location: "https://git.example.com/shop.git", Superseded: []string{"r0"}}
	asked := Asked{By: AskedByPerson, Verb: "rollback", User: "ada", Token: "act", Via: "page", Address: "10.0.0.7", Reason: "r"}
	s.Pin, s.History[0].Asked = &Pin{Kept: s.Kept[0], By: asked, At: at}, asked
	s.Suspension = &Suspension{By: asked, At: at}
	for i := range n {
		s.Inventory[fmt.Sprintf("/shop/app-%d", i)] = Owned{Kind: manifests.KindApp, File: "apps.yaml", Revision: "r1", Hash: "h"}
	}
	return s
}

func saved(t *testing.T, s Store, sync string, state State) {
	t.Helper()
	if err := s.Save(t.Context(), sync, state); err != nil {
		t.Fatal(err)
	}
}

// holds compares what is loaded.
func holds(t *testing.T, s Store, sync string, want State) {
	t.Helper()
	got, err := s.Load(t.Context(), sync)
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(want, got) {
		return // cmp is slow with much
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sync %q (-saved +loaded):\n%s", sync, diff)
	}
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		want := map[string]State{
			"shop":                           sample(3),
			"Shop":                           sample(4),
			"../etc/passwd\x00\n%":           sample(5),
			"empty but known":                {Inventory: map[string]Owned{}},
			strings.Repeat("x", longestName): sample(0),
		}
		var names []string
		for name, state := range want {
			saved(t, s, name, sample(9))
			saved(t, s, name, state)
			names = append(names, name)
		}
		s.Close()
		s = open()
		for name, state := range want {
			holds(t, s, name, state)
		}
		slices.Sort(names)
		if got, err := s.Syncs(t.Context()); err != nil || !slices.Equal(got, names) {
			t.Errorf("syncs %q, %v, want %q", got, err, names)
		}
	})
}

func TestASyncThatWasNeverSavedHasNoKnownInventory(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		if state, err := s.Load(t.Context(), "new"); err != nil || state.Inventory != nil {
			t.Errorf("got %+v, %v: want an inventory that is not known", state, err)
		}
		if syncs, err := s.Syncs(t.Context()); err != nil || len(syncs) != 0 {
			t.Errorf("syncs %q, %v, want none", syncs, err)
		}
	})
}

func TestNamesThatNoFileCanHaveAreRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		for _, name := range []string{"", strings.Repeat("x", longestName+1), strings.Repeat("Ü", longestName/6+1)} {
			if err := s.Save(t.Context(), name, sample(1)); err == nil {
				t.Errorf("a name of %d bytes is taken", len(name))
			}
			if _, err := s.Load(t.Context(), name); err == nil {
				t.Errorf("a name of %d bytes is loaded", len(name))
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		var state State
		for i := range MaxHistory + 20 {
			state.History = append(state.History, Entry{Revision: fmt.Sprint(i)})
		}
		saved(t, s, "shop", state)
		got, err := s.Load(t.Context(), "shop")
		if err != nil || len(got.History) != MaxHistory || got.History[0].Revision != "0" {
			t.Errorf("%d entries, %v: want the newest %d", len(got.History), err, MaxHistory)
		}
		if len(state.History) != MaxHistory+20 {
			t.Error("Save changed its argument")
		}
	})
}

func TestAClosedStoreSavesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		saved(t, s, "shop", sample(1))
		for range 2 { // twice does no harm
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Save(t.Context(), "shop", sample(2)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Save: %v", err)
		}
		if _, err := s.Load(t.Context(), "shop"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Load: %v", err)
		}
		holds(t, open(), "shop", sample(1))
	})
}

func TestNothingHappensAfterTheEndOfTheContext(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		saved(t, s, "shop", sample(1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Save(ctx, "shop", sample(2)); !errors.Is(err, context.Canceled) {
			t.Errorf("Save: %v", err)
		}
		if _, err := s.Load(ctx, "shop"); !errors.Is(err, context.Canceled) {
			t.Errorf("Load: %v", err)
		}
		holds(t, s, "shop", sample(1))
	})
}

func TestSyncsAreSavedSideBySide(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 5 {
					if err := s.Save(t.Context(), fmt.Sprint(i), sample(i+n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for i := range 8 {
			holds(t, s, fmt.Sprint(i), sample(i+4))
		}
	})
}

// huge is a sync of 10,000 apps with as much history as is kept, of passes that
// changed them all.
func huge() State {
	const apps = 10_000
	s := sample(apps)
	for id, o := range s.Inventory {
		o.Hash = fmt.Sprintf("%x", random.Uint64())
		s.Inventory[id] = o
	}
	s.History = nil
	for range MaxHistory {
		e := Entry{Revision: fmt.Sprintf("%x", random.Uint64()), Result: "applied"}
		for i := range apps / 10 {
			e.Changes = append(e.Changes, Done{ID: fmt.Sprintf("/shop/app-%d", i), Action: plan.Update, Outcome: "failed", Reason: fmt.Sprintf("exit code %x", random.Uint64())})
		}
		s.History = append(s.History, e)
	}
	return s
}

func TestTenThousandAppsAndAllTheirHistoryAreSaved(t *testing.T) {
	eachKind(t, func(t *testing.T, open func() Records) {
		s := open()
		saved(t, s, "shop", sample(2))
		want := huge()
		saved(t, s, "shop", want)
		s.Close()
		s = open()
		holds(t, s, "shop", want)
		saved(t, s, "shop", sample(2))
		holds(t, s, "shop", sample(2))
	})
}
