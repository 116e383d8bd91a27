package store

import (
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

// eachWay runs a test for copies from each kind of store to the other.
func eachWay(t *testing.T, test func(t *testing.T, from, to Records)) {
	for name := range kinds {
		t.Run("from "+name, func(t *testing.T) {
			var pair []Records
			for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
				if a == name {
					return -1
				}
				return 1
			}) {
				s, err := kinds[kind](t).open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				pair = append(pair, s)
			}
			test(t, pair[0], pair[1])
		})
	}
}

func TestCopyTakesAllAndLeavesTheSource(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to Records) {
		want := []string{"Ä odd/name", "bank", "shop"}
		for i, sync := range want {
			saved(t, from, sync, sample(i+1))
		}
		// All states name it; two have it.
		for _, sync := range want[1:] {
			if err := from.Keep(t.Context(), sync, checksum("f"), []byte(sync)); err != nil {
				t.Fatal(err)
			}
		}
		syncs, err := Copy(t.Context(), from, to, false)
		slices.Sort(want)
		if err != nil || !slices.Equal(syncs, want) {
			t.Fatalf("copied %q, %v, want %q", syncs, err, want)
		}
		for _, s := range []Records{from, to} {
			if got, err := s.Syncs(t.Context()); err != nil || !slices.Equal(got, want) {
				t.Errorf("syncs %q, %v", got, err)
			}
			holds(t, s, "bank", sample(2))
			holds(t, s, "shop", sample(3))
			holds(t, s, "Ä odd/name", sample(1))
			if got, err := s.Recall(t.Context(), "shop", checksum("f")); err != nil || string(got) != "shop" {
				t.Errorf("kept: %q, %v", got, err)
			}
		}
	})
}

func TestCopyRefusesATargetThatHoldsStates(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to Records) {
		saved(t, from, "shop", sample(1))
		saved(t, to, "shop", sample(8))
		saved(t, to, "other", sample(9))
		if syncs, err := Copy(t.Context(), from, to, false); !errors.Is(err, ErrOccupied) || len(syncs) != 0 || !strings.Contains(err.Error(), "other, shop") {
			t.Errorf("copied %q, %v: want ErrOccupied with the names", syncs, err)
		}
		holds(t, to, "shop", sample(8))
		if syncs, err := Copy(t.Context(), from, to, true); err != nil || !slices.Equal(syncs, []string{"shop"}) {
			t.Errorf("with force: copied %q, %v", syncs, err)
		}
		holds(t, to, "shop", sample(1))
		holds(t, to, "other", sample(9))
	})
}

// damage makes the state of a sync one that cannot be understood, and returns
// what tells whether it is still where it was.
func damage(t *testing.T, s Records, sync string) (untouched func() bool) {
	t.Helper()
	const garbage = `{"format":1}`
	if f, ok := s.(*File); ok {
		file := filepath.Join(f.folder, prefix+sync+suffix)
		if err := os.WriteFile(file, []byte(garbage), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() bool {
			b, err := os.ReadFile(file)
			return err == nil && string(b) == garbage
		}
	}
	z := s.(*ZooKeeper)
	c := dial(t, zktest.Shared(t), &z.o)
	node := path.Join(z.o.Connection.Root, recordsNode, sync)
	if _, err := c.Set(node, []byte(garbage), -1); err != nil {
		t.Fatal(err)
	}
	return func() bool {
		b, _, err := c.Get(node)
		return err == nil && string(b) == garbage
	}
}

func TestCopyOfWhatCannotBeReadCopiesNothingAndTouchesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to Records) {
		saved(t, from, "bank", sample(1))
		saved(t, from, "shop", sample(1))
		untouched := damage(t, from, "shop")
		if syncs, err := Copy(t.Context(), from, to, false); !errors.Is(err, ErrCorrupt) || len(syncs) != 0 {
			t.Errorf("copied %q, %v: want ErrCorrupt", syncs, err)
		}
		if got, err := to.Syncs(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("the target holds %q, %v", got, err)
		}
		if !untouched() {
			t.Error("a copy changed its source")
		}
	})
}

func TestCopyWithForceSetsAsideWhatCannotBeRead(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to Records) {
		saved(t, from, "shop", sample(1))
		saved(t, to, "shop", sample(2))
		damage(t, to, "shop")
		if _, err := Copy(t.Context(), from, to, true); err != nil {
			t.Fatal(err)
		}
		got, err := to.Load(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		want := sample(1)
		want.Replaces = got.Replaces // also what was set aside, where that has a name
		if diff := cmp.Diff(want, got); diff != "" || !slices.Contains(got.Replaces, sample(1).Replaces[0]) {
			t.Errorf("(-saved +loaded):\n%s", diff)
		}
	})
}
