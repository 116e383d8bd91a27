package controller

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// stateful is a rig whose store is a real state folder.
type stateful struct {
	*rig
	folder string
	file   *store.File
}

func newStateful(t *testing.T, files map[string]string) *stateful {
	t.Helper()
	return &stateful{rig: newRig(t, files), folder: filepath.Join(t.TempDir(), "state")}
}

func (g *stateful) start() {
	g.t.Helper()
	file, err := store.OpenFile(g.folder)
	if err != nil {
		g.t.Fatal(err)
	}
	ledger, err := store.OpenLedger(g.folder)
	if err != nil {
		g.t.Fatal(err)
	}
	g.file = file
	records := store.Remember(file, ledger, slog.New(slog.NewTextHandler(g.t.Output(), nil)))
	g.options.Store, g.options.Archive = records, records
	g.rig.start()
}

func (g *stateful) stop() {
	g.t.Helper()
	g.rig.stop()
	if err := g.file.Close(); err != nil {
		g.t.Error(err)
	}
}

func (g *stateful) restart() {
	g.t.Helper()
	g.stop()
	g.start()
}

// record is the file of the sync.
func (g *stateful) record() string { return filepath.Join(g.folder, "sync-shop.json") }

func (g *stateful) rewrite(change func(string) string) {
	g.t.Helper()
	text, err := os.ReadFile(g.record())
	if err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.record(), []byte(change(string(text))), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *stateful) resume() {
	g.t.Helper()
	if err := g.Resume(g.t.Context(), "shop", ada); err != nil {
		g.t.Fatal(err)
	}
	after(schedule.FetchPause)
	if notes := fmt.Sprint(g.sync("shop").Notes); strings.Contains(notes, "until the sync is resumed") {
		g.t.Errorf("resumed, it is still told to be waiting for that: %s", notes)
	}
}

// reports holds that the sync only reports, and says so everywhere.
func (g *stateful) reports() {
	g.t.Helper()
	y := g.sync("shop")
	if y.StateLost == nil || y.StateLost.Why == "" || y.StateLost.At.IsZero() || !y.Suspended {
		g.t.Errorf("state lost: %+v, suspended: %v", y.StateLost, y.Suspended)
	}
	if len(y.Notes) != 1 || !strings.Contains(y.Notes[0], "pacer resume shop") {
		g.t.Errorf("notes: %q", y.Notes)
	}
	if n := gaugeOf(g.t, g.options.Metrics, "pacer_sync_state_lost", "sync", "shop"); n != 1 {
		g.t.Errorf("pacer_sync_state_lost is %v", n)
	}
}

func (g *stateful) works() {
	g.t.Helper()
	if y := g.sync("shop"); y.StateLost != nil || y.Suspended {
		g.t.Errorf("state lost: %+v, suspended: %v", y.StateLost, y.Suspended)
	}
	if n := gaugeOf(g.t, g.options.Metrics, "pacer_sync_state_lost", "sync", "shop"); n != 0 {
		g.t.Errorf("pacer_sync_state_lost is %v", n)
	}
}

// losses are ways in which the record of a sync gets lost while Pacer is stopped.
var losses = map[string]func(*stateful){
	"cut":   func(g *stateful) { g.rewrite(func(s string) string { return s[:len(s)/2] }) },
	"empty": func(g *stateful) { g.rewrite(func(string) string { return "" }) },
	"corrupt": func(g *stateful) {
		g.rewrite(func(s string) string { return strings.Replace(s, "/shop/a", "/shop/z", 1) })
	},
	"newer":     func(g *stateful) { g.rewrite(func(string) string { return `{"format":99,"anything":["else"]}` }) },
	"removed":   func(g *stateful) { g.remove(g.record()) },
	"set aside": (*stateful).setAsideAndKilled,
}

func (g *stateful) remove(name string) {
	g.t.Helper()
	if err := os.RemoveAll(name); err != nil {
		g.t.Fatal(err)
	}
}

// setAsideAndKilled is a process that has set a corrupt record aside, and is
// killed before it has saved anything.
func (g *stateful) setAsideAndKilled() {
	g.t.Helper()
	g.rewrite(func(string) string { return "?" })
	file, err := store.OpenFile(g.folder)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := file.Load(g.t.Context(), "shop"); !errors.Is(err, store.ErrCorrupt) {
		g.t.Fatalf("loaded: %v", err)
	}
	if err := file.Close(); err != nil {
		g.t.Fatal(err)
	}
}

// Whatever the stopped sync was, suspended, rolled back or neither: after a loss
// nothing is created, changed, healed or deleted until a person resumes it,
// across restarts, and what was live and is not in git is never deleted.
func TestAfterALossTheSyncOnlyReports(t *testing.T) {
	testenv.Long(t)
	stops := map[string]func(*stateful){
		"at work": func(*stateful) {},
		"suspended": func(g *stateful) {
			if err := g.Suspend(g.t.Context(), "shop", ada); err != nil {
				g.t.Fatal(err)
			}
		},
		"rolled back": func(g *stateful) {
			if _, err := g.Rollback(g.t.Context(), "shop", Rollback{}, ada); err != nil {
				g.t.Fatal(err)
			}
		},
	}
	for lost, lose := range losses {
		for stopped, stop := range stops {
			t.Run(lost+" while "+stopped, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newStateful(t, files("/shop/a", "v1", "/shop/b", "v0"))
					g.start()
					g.repo.push(files("/shop/a", "v1", "/shop/b", "v1"))
					after(schedule.FetchPause)
					stop(g)
					after(schedule.FetchPause)
					runs := g.world.cmds()
					g.stop()
					lose(g)
					g.repo.commit(files("/shop/b", "v2", "/shop/c", "v1", "/shop/d", "v1"))
					d := "/shop/d"
					g.world.set(func() { g.world.apps[d] = clone(g.world.apps["/shop/a"], "v1") })
					runs += " /shop/d=v1"
					g.start()
					after(10 * testResync)
					g.runs(runs)
					g.reports()
					g.world.set(func() { g.world.apps[d] = clone(g.world.apps[d], "by hand") }) // though it was adopted
					after(10 * testResync)
					g.runs(strings.Replace(runs, "/shop/d=v1", "/shop/d=by hand", 1))
					g.world.set(func() { g.world.apps[d] = clone(g.world.apps[d], "v1") })
					g.restart()
					after(10 * testResync)
					g.runs(runs)
					g.reports()
					if owned := g.state("shop").Inventory; owned["/shop/a"].Kind != "" || owned["/shop/b"].Kind != "" {
						t.Errorf("inventory %v: want what is equal and nothing else", owned)
					}
					g.resume()
					after(10 * testResync)
					g.works()
					g.runs(strings.Replace(runs, " /shop/d", " /shop/c=v1 /shop/d", 1))
					if b := g.app("/shop/b"); b.Condition != status.Blocked || !b.Approvable {
						t.Errorf("b: %+v, want it to wait for an approval", b)
					}
					g.restart()
					after(10 * testResync)
					g.works()
					g.runs(strings.Replace(runs, " /shop/d", " /shop/c=v1 /shop/d", 1))
					g.repo.push(files("/shop/b", "v2", "/shop/d", "v1"))
					after(testResync)
					g.runs(runs) // c is of this sync and goes, a is not
					g.stop()
				})
			})
		}
	}
}

// state is what the folder holds.
func (g *stateful) state(sync string) store.State {
	g.t.Helper()
	s, err := g.file.Peek(g.t.Context(), sync)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// Nothing is asked at a first start, whether of a sync or of the folder.
func TestAFirstStartIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStateful(t, files("/shop/a", "v1", "/blog/b", "v1"))
		g.start()
		after(testResync)
		g.works()
		g.runs("/shop/a=v1")
		g.stop()

		g.options.Syncs = append(g.options.Syncs, testSync("blog"))
		g.start()
		after(testResync)
		g.works()
		g.runs("/blog/b=v1 /shop/a=v1")
		g.stop()

		g.remove(g.folder)
		g.repo.commit(files("/shop/a", "v1", "/shop/c", "v1", "/blog/b", "v1"))
		g.start()
		after(testResync)
		g.works()
		g.runs("/blog/b=v1 /shop/a=v1 /shop/c=v1")
		g.stop()
	})
}

// A record of a Pacer that gave records no ids, and kept no ledger, is no loss;
// from then on its loss is known.
func TestARecordOfAnOlderPacerIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStateful(t, files("/shop/a", "v1"))
		g.start()
		g.stop()
		file, err := store.OpenFile(g.folder)
		if err != nil {
			t.Fatal(err)
		}
		old, err := file.Load(t.Context(), "shop")
		if err == nil {
			old.ID = ""
			err = errors.Join(file.Save(t.Context(), "shop", old), file.Close(), os.Remove(filepath.Join(g.folder, "ledger.json")))
		}
		if err != nil {
			t.Fatal(err)
		}
		g.start()
		after(testResync)
		g.works()
		g.stop()
		g.remove(g.record())
		g.start()
		after(testResync)
		g.reports()
		g.stop()
	})
}

// onStateLoss: resume has the sync work on, whenever the configuration says it.
func TestOnStateLossResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStateful(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		if err := g.Suspend(t.Context(), "shop", ada); err != nil {
			t.Fatal(err)
		}
		g.stop()
		g.remove(g.record())
		g.repo.commit(files("/shop/b", "v1", "/shop/c", "v1"))
		g.start()
		after(testResync)
		g.runs("/shop/a=v1 /shop/b=v1")
		g.reports()
		g.stop()
		g.options.Syncs[0].ResumeAfterLoss = true
		g.start()
		after(10 * testResync)
		g.works()
		g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1")
		if notes := g.sync("shop").Notes; len(notes) != 1 || !strings.Contains(notes[0], "State was lost at") {
			t.Errorf("notes: %q", notes)
		}
		g.stop()

		g.remove(g.record())
		g.repo.commit(files("/shop/b", "v1", "/shop/d", "v1"))
		g.start()
		after(10 * testResync)
		g.works()
		g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1 /shop/d=v1")
		g.stop()
	})
}

// Soon after a loss not even an exclusive sync deletes what it never applied.
func TestAnExclusiveSyncAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newStateful(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.options.Syncs[0].Policy = plan.Policy{Scope: "/shop", Prune: plan.PruneOn, Exclusive: true}
		g.start()
		g.stop()
		g.remove(g.record())
		g.repo.commit(files("/shop/b", "v1"))
		g.start()
		after(time.Hour)
		g.runs("/shop/a=v1 /shop/b=v1")
		g.resume()
		after(9 * time.Minute)
		g.runs("/shop/a=v1 /shop/b=v1")
		if a := g.app("/shop/a"); a.Condition != status.Blocked || a.Approvable || !strings.Contains(a.Reason, "state was lost at") || !strings.Contains(a.Reason, "holds until 2000-01-01T") {
			t.Errorf("a: %+v", a)
		}
		after(time.Minute + 2*testResync)
		g.runs("/shop/b=v1")
		g.stop()
	})
}
