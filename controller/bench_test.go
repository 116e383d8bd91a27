package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// BenchmarkPassAtRest is one pass of a sync of 10,000 apps without a change,
// less what talking to Marathon and git costs. The tree of the test has no
// content ids, so every file is read again: a source of package sources is not.
func BenchmarkPassAtRest(b *testing.B) {
	tree := map[string]string{}
	world := newWorld()
	cluster := manifests.DefaultCluster()
	for i := range 10_000 {
		id := fmt.Sprintf("/shop/g%d/app%d", i%100, i)
		tree[fmt.Sprintf("g%d/app%d.json", i%100, i)] = manifest(id, "run")
		world.apps[id] = manifests.NormaliseApp(&manifests.App{ID: id, Cmd: new("run"), CPUs: new(0.1), Mem: new(32.0), Instances: new(1)}, nil, &cluster)
	}
	r := &repo{}
	r.commit(tree)
	c, err := New(Options{
		Sources: map[string]schedule.Source{"shop": {Source: r}}, Syncs: []reconcile.Sync{testSync("shop")},
		Clusters: oneCluster(world, world), Store: &shelf{saved: map[string][]byte{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	benchPass(b, c)
}

// BenchmarkPassKnown is the same as it is beside git and a live cache: nothing
// that did not change is read, normalised or compared again.
func BenchmarkPassKnown(b *testing.B) {
	world := newWorld()
	cluster := manifests.DefaultCluster()
	script := "commit refs/heads/main\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 5\nbegin\n"
	var files strings.Builder
	files.WriteString(script)
	for i := range 10_000 {
		id := fmt.Sprintf("/shop/g%d/app%d", i%100, i)
		content := manifest(id, "run")
		fmt.Fprintf(&files, "M 100644 inline g%d/app%d.json\ndata %d\n%s\n", i%100, i, len(content), content)
		world.apps[id] = manifests.NormaliseApp(&manifests.App{ID: id, Cmd: new("run"), CPUs: new(0.1), Mem: new(32.0), Instances: new(1)}, nil, &cluster)
	}
	repo := gittest.New(b)
	repo.GitInput(files.String(), "fast-import", "--quiet")
	git, err := sources.NewGit(sources.GitOptions{URL: repo.Serve(b, gittest.HTTP{}).Repo, Branch: "main", AllowHTTP: true, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer git.Close()
	live := &stale{world: world}
	live.freeze(b)
	c, err := New(Options{
		Sources: map[string]schedule.Source{"shop": {Source: git}}, Syncs: []reconcile.Sync{testSync("shop")},
		Clusters: oneCluster(live, world), Store: &shelf{saved: map[string][]byte{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("nothing", func(b *testing.B) { benchPass(b, c) })
	b.Run("one", func(b *testing.B) { benchRepair(b, c, live) })
	b.Run("preview", func(b *testing.B) { benchPreview(b, c, repo) })
}

// benchPreview measures the plan of a pull request that changes one file: fetching it,
// merging it, and the plan.
func benchPreview(b *testing.B, c *Controller, repo *gittest.Repo) {
	commits, err := sources.OpenCommits(sources.GitOptions{URL: repo.Serve(b, gittest.HTTP{}).Repo, AllowHTTP: true}, sources.Environment{Clone: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer commits.Close()
	base := repo.BareGit("rev-parse", "refs/heads/main")
	if _, err := commits.Fetch(b.Context(), []string{base}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		content := manifest("/shop/g1/app1", fmt.Sprintf("run %d", n))
		repo.GitInput(fmt.Sprintf("commit refs/heads/change%d\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 1\nx\nfrom %s\nM 100644 inline g1/app1.json\ndata %d\n%s\n", n, base, len(content), content), "fast-import", "--quiet")
		b.StartTimer()
		head := fmt.Sprintf("refs/heads/change%d", n)
		got, err := commits.Fetch(b.Context(), []string{"refs/heads/main", head})
		if err != nil {
			b.Fatal(err)
		}
		merged, conflicts, err := sources.Merge(got["refs/heads/main"], got["refs/heads/main"], got[head])
		if err != nil || len(conflicts) > 0 {
			b.Fatal(conflicts, err)
		}
		p, err := c.Preview(b.Context(), "shop", merged)
		if err != nil || p.Summary.Update != 1 {
			b.Fatalf("%+v, %v", p.Summary, err)
		}
	}
}

// benchRepair measures passes that put one app back which somebody has scaled,
// up to its write and what is shown of it.
func benchRepair(b *testing.B, c *Controller, live *stale) {
	y := c.syncers["shop"]
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		id := fmt.Sprintf("/shop/g%d/app%d", n%100, n%10_000)
		live.world.set(func() {
			other := *live.world.apps[id]
			other.Instances = new(3)
			live.world.apps[id] = &other
		})
		live.freeze(b)
		b.StartTimer()
		if end := c.reconcile(y); end.Result != status.ResultApplied {
			b.Fatalf("a pass that repairs ended %+v", end)
		}
	}
}

// benchPass measures passes that change nothing, after a first one.
func benchPass(b *testing.B, c *Controller) {
	y := c.syncers["shop"]
	y.ctx = context.Background()
	y.watcher.FetchNow(y.ctx)
	if end := c.reconcile(y); end.Result != status.ResultUnchanged {
		b.Fatalf("the first pass ended %+v: %+v", end, c.Status().Syncs[0].Last)
	}
	b.ReportAllocs()
	for b.Loop() {
		if end := c.reconcile(y); end.Result != status.ResultUnchanged {
			b.Fatalf("a pass at rest ended %+v", end)
		}
	}
}
