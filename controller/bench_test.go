package controller

import (
	"context"
	"fmt"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
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
		Sources: map[string]Source{"shop": {Source: r}}, Syncs: []Sync{testSync("shop")},
		Marathon: world, Applier: world, Store: &shelf{saved: map[string][]byte{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	y := c.syncers["shop"]
	y.ctx = context.Background()
	y.watcher.lookNow(y.ctx)
	if end := c.pass(y); end.result != PassUnchanged {
		b.Fatalf("the first pass ended %+v: %+v", end, c.Status().Syncs[0].Last)
	}
	b.ReportAllocs()
	for b.Loop() {
		if end := c.pass(y); end.result != PassUnchanged {
			b.Fatalf("a pass at rest ended %+v", end)
		}
	}
}
