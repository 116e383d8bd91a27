package controller

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/sources"
)

// proposed is a snapshot that no source is at, such as the merge of a pull request.
func proposed(files map[string]string) *sources.Snapshot {
	return &sources.Snapshot{Revision: sources.Revision{ID: "proposal"}, FS: treeOf(files)}
}

// previewed is a preview as text.
func (g *rig) previewed(files map[string]string) string {
	g.t.Helper()
	p, err := g.Preview(g.t.Context(), "shop", proposed(files))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := plan.Write(&b, p, "text"); err != nil {
		g.t.Fatal(err)
	}
	return b.String()
}

func TestPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		g.options.Syncs[0].Policy.Prune = plan.PruneConfirm
		g.start()
		defer g.stop()
		after(time.Minute)
		scaled := files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1")
		scaled["shop-a.json"] = strings.Replace(scaled["shop-a.json"], `"instances": 1`, `"instances": 5`, 1)
		broken := files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1")
		broken["shop-b.json"] = `{"id": "/shop/b", "cmd": "v1", "cpus": "much"}`
		for name, c := range map[string]struct {
			files map[string]string
			want  []string
		}{
			"nothing": {files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"), []string{"3 unchanged"}},
			"scale":   {scaled, []string{"↕ scale /shop/a", "/instances: 1 → 5", "1 to scale, 0 to delete, 2 unchanged"}},
			"restart": {files("/shop/a", "v2", "/shop/b", "v1", "/shop/c", "v1"), []string{"~ update /shop/a (tasks will be replaced)", "2 unchanged"}},
			"create":  {files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1", "/shop/d", "v1"), []string{"+ create /shop/d"}},
			"delete":  {files("/shop/a", "v1", "/shop/b", "v1"), []string{"- delete /shop/c", "! ", "1 blocked"}},
			"empty":   {map[string]string{}, []string{"3 to delete", "3 blocked"}},
			"broken":  {broken, []string{"! shop-b.json:1:", "1 problem", "2 unchanged"}},
		} {
			got := g.previewed(c.files)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %s\nwant %q", name, got, want)
				}
			}
		}
		g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1")
	})
}

// An approval is given for a change at a revision: what a pull request proposes is not
// approved by it.
func TestAPreviewHasNoApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.options.Syncs[0].Policy.Prune = plan.PruneConfirm
		g.start()
		defer g.stop()
		after(time.Minute)
		if err := g.Suspend(t.Context(), "shop", ada); err != nil { // so that what is approved waits
			t.Fatal(err)
		}
		g.repo.push(files("/shop/a", "v1"))
		after(time.Minute)
		if err := g.Approve(t.Context(), "shop", []string{"/shop/b"}, "", ada); err != nil {
			t.Fatal(err)
		}
		if stored := g.shelf.state(t, "shop"); len(stored.Approved) != 1 {
			t.Fatalf("approved %v", stored.Approved)
		}
		if got := g.previewed(files("/shop/a", "v1")); !strings.Contains(got, "- delete /shop/b") || !strings.Contains(got, "1 blocked") {
			t.Errorf("of another revision: %s", got)
		}
	})
}

// Nothing is known before the first plan, of no other sync, and while Marathon is away.
func TestAPreviewOfWhatIsUnknownIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.start()
		defer g.stop()
		if _, err := g.Preview(t.Context(), "shop", proposed(nil)); !errors.Is(err, ErrNotPlanned) {
			t.Errorf("before the first plan: %v", err)
		}
		if _, err := g.Preview(t.Context(), "shoe", proposed(nil)); !errors.Is(err, ErrNoSync) {
			t.Errorf("of another sync: %v", err)
		}
		g.repo.push(files("/shop/a", "v1"))
		after(time.Minute)
		g.world.set(func() { g.world.down = errors.New("connection refused") })
		if got := g.previewed(files("/shop/a", "v1")); !strings.Contains(got, "cannot read Marathon: connection refused") {
			t.Errorf("with Marathon away: %s", got)
		}
	})
}

// A preview changes nothing: neither what is shown and stored nor what the next
// reconciliation does, also while one is in progress.
func TestAPreviewChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		before, stored := g.sync("shop"), g.shelf.state(t, "shop")
		writes := g.world.writes("/shop/a") + g.world.writes("/shop/b")
		for range 3 {
			g.previewed(files("/shop/a", "evil"))
			g.previewed(map[string]string{"x.json": "{"})
		}
		if now := g.sync("shop"); !reflect.DeepEqual(before.Apps, now.Apps) || !reflect.DeepEqual(before.History, now.History) || !reflect.DeepEqual(before.Problems, now.Problems) {
			t.Errorf("shown\n%+v\nbefore\n%+v", now, before)
		}
		if now := g.shelf.state(t, "shop"); !reflect.DeepEqual(stored, now) {
			t.Errorf("stored\n%+v\nbefore\n%+v", now, stored)
		}
		previews := make(chan struct{})
		go func() {
			defer close(previews)
			for range 50 {
				g.previewed(files("/shop/a", "evil", "/shop/c", "evil"))
				time.Sleep(100 * time.Millisecond)
			}
		}()
		for _, cmd := range []string{"v2", "v3", "v4"} {
			g.repo.push(files("/shop/a", cmd, "/shop/b", "v1"))
			after(2 * time.Second)
		}
		<-previews
		after(time.Minute)
		g.runs("/shop/a=v4 /shop/b=v1")
		if n := g.world.writes("/shop/a") + g.world.writes("/shop/b") - writes; n > 3 || g.world.writes("/shop/c") > 0 {
			t.Errorf("%d writes for three commits, %d of what was only proposed", n, g.world.writes("/shop/c"))
		}
	})
}
