package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/manifests"
)

// large is a sync of 10,000 apps, each with a hash of its own, and as many passes
// of a usual size as are kept.
func large() State {
	s := sample(0)
	for i := range 10_000 {
		s.Inventory[fmt.Sprintf("/shop/team-%d/app-%d", i%40, i)] = Owned{
			Kind: manifests.KindApp, File: fmt.Sprintf("teams/%d/apps.yaml", i%40), Revision: "3f6d2f0a6c1b4f0e9d8c7b6a5f4e3d2c1b0a9f8e",
			Hash: fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64()),
		}
	}
	for range MaxHistory {
		e := s.History[0]
		for i := range 20 {
			e.Changes = append(e.Changes, Done{ID: fmt.Sprintf("/shop/team-1/app-%d", i), Action: plan.Update, Outcome: "applied"})
		}
		s.History = append(s.History, e)
	}
	return s
}

// BenchmarkSave saves the state of 10,000 apps, and logs how large that is.
func BenchmarkSave(b *testing.B) {
	s := large()
	root := zktest.Root(b)
	e := zktest.Shared(b)
	b.Cleanup(func() { e.Remove(b, root) })
	for name, open := range map[string]func() (Store, error){
		"file": func() (Store, error) { return OpenFile(b.TempDir()) },
		"ZooKeeper": func() (Store, error) {
			return OpenZooKeeper(b.Context(), ZooKeeperOptions{Connection: zookeeper.Config{Servers: e.Addresses(), Root: root, SessionTimeout: 5 * time.Second}})
		},
	} {
		b.Run(name, func(b *testing.B) {
			st, err := open()
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			for b.Loop() {
				if err := st.Save(context.Background(), "shop", s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	whole, err := encode(bounded(s), "shop")
	if err != nil {
		b.Fatal(err)
	}
	chunks, err := pack(whole, maxChunk)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes, for ZooKeeper compressed to %d chunks, the last of %d bytes", len(whole), len(chunks), len(chunks[len(chunks)-1]))
}
