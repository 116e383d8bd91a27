package manifests

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/fstest"
)

// forkTree is a tree of n apps, some of which have another command.
func forkTree(n int, changed map[int]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i := range n {
		cmd := "sleep 1"
		if c, is := changed[i]; is {
			cmd = c
		}
		fs[fmt.Sprintf("d%d/app%03d.json", i%7, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id": "/shop/app%d", "cmd": %q}`, i, cmd)}
	}
	return fs
}

// Forks read other snapshots while the reader goes on with its own: each result is that
// of a new reader, and the definitions that are the same are the very same.
func TestForksOfAReader(t *testing.T) {
	o := Options{Scope: "/shop", Cluster: UnknownCluster()}
	r := NewReader()
	first := r.Read(newSnapshot(forkTree(100, nil)), o)
	before := map[string]*App{}
	for _, item := range first.Items {
		before[item.ID] = item.App
	}
	var all sync.WaitGroup
	for i := range 8 {
		of := r.Fork()
		all.Go(func() {
			for j := range 5 {
				fork := of.Fork()
				changed := forkTree(100, map[int]string{i: "other", j + 50: "x"})
				got, want := fork.Read(newSnapshot(changed), o), NewReader().Read(newSnapshot(changed), o)
				if !reflect.DeepEqual(got.Items, want.Items) || !reflect.DeepEqual(got.Problems, want.Problems) {
					t.Errorf("fork %d, snapshot %d: another result than that of a new reader", i, j)
				}
				same := 0
				for _, item := range got.Items {
					if before[item.ID] == item.App {
						same++
					}
				}
				if same != 98 {
					t.Errorf("fork %d, snapshot %d: %d of 98 definitions are not parsed again", i, j, same)
				}
			}
		})
	}
	for j := range 5 {
		r.Read(newSnapshot(forkTree(100, map[int]string{j: "main"})), o)
	}
	all.Wait()
	if again := r.Read(newSnapshot(forkTree(100, nil)), o); !reflect.DeepEqual(again.Items, first.Items) {
		t.Error("the reader was changed by its forks")
	}
}
