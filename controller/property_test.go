package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
)

// mishap is one thing that happens to a running controller.
type mishap struct {
	Kind string
	App  string
	Cmd  string
}

var mishaps = []string{
	"commit", "drop", "break", "mend", "source down", "source up", "Marathon down", "Marathon up",
	"store down", "store up", "somebody deletes", "somebody changes", "hang", "restart", "trigger", "time",
	"rollback", "release",
}

func drawMishaps(t *rapid.T) []mishap {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mishap {
		return mishap{
			Kind: rapid.SampledFrom(mishaps).Draw(t, "kind"),
			App:  "/shop/" + rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "app"),
			Cmd:  rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "cmd"),
		}
	}), 1, 25).Draw(t, "mishaps")
}

// TestWhateverHappensItConverges: in any order of commits, outages, restarts and
// interference, nothing is deleted that git has, or the revision that the sync is
// rolled back to, or that could be described in a file that cannot be read; and
// when all is well again, what runs is what the last commit says.
func TestWhateverHappensItConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := drawMishaps(rt)
		var fault string
		synctest.Test(t, func(t *testing.T) { fault = play(t, script) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// drama is a rig with what git says.
type drama struct {
	*rig
	git     map[string]string // app → cmd
	broken  bool
	deleted []string      // what was deleted though it must not be
	views   []observation // what may be in force: two while an order is on its way
}

// observation is what a sync is rolled back to; nil: what git has.
type observation fstest.MapFS

func play(t *testing.T, script []mishap) string {
	d := &drama{rig: newRig(t, nil), git: map[string]string{"/shop/a": "v1"}, views: []observation{nil}}
	d.options.Log = nil
	d.options.Syncs[0].Policy = plan.Policy{Scope: "/", Prune: plan.PruneOn}
	d.world.deleting = d.check
	d.commit()
	d.start()
	for _, m := range script {
		d.suffer(m)
		synctest.Wait()
	}
	d.heal()
	after(2*reconcile.MaxBackoff + 2*testInterval + 2*testResync)
	d.stop()
	if len(d.deleted) > 0 {
		return "deleted: " + strings.Join(d.deleted, ", ")
	}
	var want []string
	for _, id := range slices.Sorted(maps.Keys(d.git)) {
		want = append(want, id+"="+d.git[id])
	}
	if got := d.world.cmds(); got != strings.Join(want, " ") {
		return fmt.Sprintf("runs %q, git says %q; last pass %+v", got, want, d.sync("shop").Last)
	}
	return ""
}

// check is asked before each delete: it is wrong if whatever may be in force
// describes the id.
func (d *drama) check(id string) {
	d.repo.mu.Lock()
	defer d.repo.mu.Unlock()
	var by []string
	for _, v := range d.views {
		tree := fstest.MapFS(v)
		if v == nil {
			tree = d.repo.read
		}
		file := describes(tree, id)
		if file == "" {
			return
		}
		by = append(by, file)
	}
	d.deleted = append(d.deleted, fmt.Sprintf("%s by %v", id, by))
}

// describes names the file of a tree that describes an id, or may; empty: none.
func describes(tree fstest.MapFS, id string) string {
	for name, file := range tree {
		if name == "broken.json" || strings.Contains(string(file.Data), `"`+id+`"`) {
			return name
		}
	}
	return ""
}

// hold rolls back to the oldest revision that is kept.
func (d *drama) hold() {
	if kept := d.sync("shop").Kept; len(kept) > 0 {
		target := kept[len(kept)-1].ID
		d.order(observation(d.repo.tree(target)), func() error {
			_, err := d.Rollback(d.t.Context(), "shop", Rollback{Revision: target}, ada)
			return err
		})
	}
}

func (d *drama) release() {
	d.order(nil, func() error { return d.Release(d.t.Context(), "shop", ada) })
}

// order asks for something after which another observation is in force.
func (d *drama) order(v observation, ask func() error) {
	before := d.views[0]
	d.see(before, v)
	if ask() != nil {
		v = before
	}
	d.see(v)
}

func (d *drama) see(views ...observation) {
	d.repo.mu.Lock()
	defer d.repo.mu.Unlock()
	d.views = views
}

func (d *drama) commit() {
	var pairs []string
	for id, cmd := range d.git {
		pairs = append(pairs, id, cmd)
	}
	tree := files(pairs...)
	if d.broken {
		tree["broken.json"] = `{"id": `
	}
	d.repo.commit(tree)
}

func (d *drama) suffer(m mishap) {
	switch m.Kind {
	case "commit":
		d.git[m.App] = m.Cmd
		d.commit()
	case "drop":
		if len(d.git) > 1 {
			delete(d.git, m.App)
			d.commit()
		}
	case "break", "mend":
		d.broken = m.Kind == "break"
		d.commit()
	case "source down":
		d.repo.away(errors.New("no route to host"))
	case "source up":
		d.repo.away(nil)
	case "Marathon down":
		d.world.set(func() { d.world.down = &marathon.Error{Cause: errors.New("connection refused")} })
	case "Marathon up":
		d.world.set(func() { d.world.down = nil })
	case "store down":
		d.shelf.fail(errors.New("input/output error"))
	case "store up":
		d.shelf.fail(nil)
	case "somebody deletes":
		d.world.set(func() { delete(d.world.apps, m.App) })
	case "somebody changes":
		d.world.set(func() {
			if a := d.world.apps[m.App]; a != nil {
				changed := *a
				changed.Cmd = new("somebody's")
				d.world.apps[m.App] = &changed
			}
		})
	case "hang":
		d.world.set(func() { d.world.hanging = map[string]string{m.App: m.Cmd} })
	case "restart":
		d.stop()
		d.start()
	case "trigger":
		d.TriggerAll(ada)
	case "rollback":
		d.hold()
	case "release":
		d.release()
	case "time":
		after(testInterval + testResync + time.Second)
	}
}

func (d *drama) heal() {
	if d.broken {
		d.broken = false
		d.commit()
	}
	d.repo.away(nil)
	d.shelf.fail(nil)
	d.world.set(func() { d.world.down, d.world.hanging, d.world.deployments = nil, nil, map[string]string{} })
	d.release()
}

// TestStatusIsACopy: what a caller does to it does not reach the controller.
func TestStatusIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		s := g.Status().Syncs[0]
		s.Apps[0].State, s.History[0].Result, s.Last.Result = status.Unknown, "forged", status.ResultFailed
		if y := g.sync("shop"); y.Apps[0].State != status.Synced || y.History[0].Result != "applied" || y.Last.Result != status.ResultApplied {
			t.Errorf("a change of a copy reached the controller: %+v", y)
		}
	})
}
