package store

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// failing lets a fate befall the n-th request from now on (from 0), and, for
// good, all that follow; it tells whether there was one.
func failing(e *zktest.Ensemble, n int, fate zktest.Fate, forGood bool) *atomic.Bool {
	var count atomic.Int32
	happened := new(atomic.Bool)
	for _, s := range e.Servers() {
		s.Proxy.OnRequest(func(op int32) zktest.Fate {
			switch now := int(count.Add(1)) - 1; {
			case now == n:
				happened.Store(true)
				return fate
			case now > n && forGood:
				return zktest.Lose
			}
			return zktest.Pass
		})
	}
	return happened
}

// wide is a state that takes several nodes where a test cuts it small.
func wide() State {
	s := sample(200)
	for id, o := range s.Inventory {
		o.Hash = fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		s.Inventory[id] = o
	}
	return s
}

// eachRequest plays something again and again, each time with the connection
// lost at another of its requests: before it reached the server, and after.
func eachRequest(t *testing.T, e *zktest.Ensemble, play func(t *testing.T, fail func(forGood bool) *atomic.Bool)) {
	for name, fate := range map[string]zktest.Fate{"request lost": zktest.Lose, "reply lost": zktest.LoseReply} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for again := true; again; n++ {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					defer e.Heal(t)
					var happened *atomic.Bool
					play(t, func(forGood bool) *atomic.Bool { happened = failing(e, n, fate, forGood); return happened })
					again = happened.Load()
				})
			}
			if n < 3 {
				t.Errorf("only %d requests were made: the fault is not played", n)
			}
		})
	}
}

func TestASaveOutlivesALostConnectionAtEachRequest(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	first, second := wide(), wide()
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		o := inZooKeeper(t, e)
		z := openZooKeeper(t, o)
		saved(t, z, "shop", first)
		z = openZooKeeper(t, o)
		holds(t, z, "shop", first)
		fail(false)
		saved(t, z, "shop", second)
		saved(t, z, "shop", second)
		e.Heal(t)
		saved(t, z, "shop", second) // nothing is stale
		holds(t, openZooKeeper(t, o), "shop", second)
		c := dial(t, e, o)
		if names, err := newest(c, path.Join(o.Connection.Root, recordsNode, "shop")); err != nil || names[0][:16] != names[len(names)-1][:16] {
			t.Errorf("children of several generations: %v, %v", names, err)
		}
	})
}

func TestTheFirstSaveOutlivesALostConnectionAtEachRequest(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		o := inZooKeeper(t, e)
		z := openZooKeeper(t, o)
		fail(false)
		saved(t, z, "shop", sample(1))
		saved(t, z, "shop", sample(2))
		e.Heal(t)
		saved(t, z, "shop", sample(3))
		holds(t, openZooKeeper(t, o), "shop", sample(3))
	})
}

func TestALoadOutlivesALostConnectionAtEachRequest(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	want := wide()
	saved(t, openZooKeeper(t, o), "shop", want)
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		z := openZooKeeper(t, o)
		fail(false)
		holds(t, z, "shop", want)
	})
}

func TestSettingAsideOutlivesALostConnectionAtEachRequest(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		o := inZooKeeper(t, e)
		z := openZooKeeper(t, o)
		saved(t, z, "shop", sample(1))
		c := dial(t, e, o)
		if _, err := c.Set(path.Join(o.Connection.Root, recordsNode, "shop"), []byte(`{"format":1}`), -1); err != nil {
			t.Fatal(err)
		}
		fail(false)
		if s, err := z.Load(t.Context(), "shop"); !errors.Is(err, ErrCorrupt) || s.Inventory != nil {
			t.Errorf("got %+v, %v: want ErrCorrupt, also where an answer was lost", s, err)
		}
		if names, err := newest(c, path.Join(o.Connection.Root, asideNode)); err != nil || len(names) == 0 {
			t.Errorf("set aside: %v, %v", names, err)
		}
		if s, err := z.Load(t.Context(), "shop"); err != nil || s.Inventory != nil {
			t.Errorf("afterwards: %+v, %v", s, err)
		}
		saved(t, z, "shop", sample(2))
	})
}

// TestCutOffInASaveTheStateIsWholeAndTheNextSaveGoesOn: the store cannot know
// whether its last request was taken, and nobody else has saved.
func TestCutOffInASaveTheStateIsWholeAndTheNextSaveGoesOn(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	old, next := wide(), wide()
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		o := inZooKeeper(t, e)
		z := openZooKeeper(t, o)
		saved(t, z, "shop", old)
		happened := fail(true)
		err := z.Save(soon(t), "shop", next)
		if happened.Load() && err == nil {
			t.Fatal("saved through a cut link")
		}
		e.Heal(t)
		got, err := openZooKeeper(t, o).Load(t.Context(), "shop")
		if err != nil || !cmp.Equal(got, old) && !cmp.Equal(got, next) {
			t.Fatalf("%d apps, %v: want the old state or the new one", len(got.Inventory), err)
		}
		saved(t, z, "shop", sample(5))
		holds(t, openZooKeeper(t, o), "shop", sample(5))
	})
}

func TestWithoutAQuorumNothingIsSavedAndItGoesOnLater(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	saved(t, z, "shop", sample(1))
	e.LoseQuorum(t)
	defer e.Heal(t)
	if err := z.Save(soon(t), "shop", sample(2)); err == nil {
		t.Error("one server of three saved")
	}
	if s, err := z.Load(soon(t), "shop"); err == nil {
		t.Errorf("loaded without a quorum: %+v", s)
	}
	e.Heal(t)
	saved(t, z, "shop", sample(3))
	holds(t, openZooKeeper(t, o), "shop", sample(3))
}

func TestAWipedEnsembleIsNotTakenForAnEmptyState(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	for n := range 3 {
		saved(t, z, "shop", sample(n))
	}
	e.Wipe(t)
	if err := z.Save(t.Context(), "shop", sample(9)); !errors.Is(err, ErrStale) {
		t.Errorf("saved over what is lost: %v, want ErrStale", err)
	}
	if s, err := z.Load(t.Context(), "shop"); err != nil || s.Inventory != nil {
		t.Errorf("loaded %+v, %v: want an inventory that is not known", s, err)
	}
	saved(t, z, "shop", sample(4)) // the root is made again
	holds(t, openZooKeeper(t, o), "shop", sample(4))
}

func TestARootThatSomebodyRemovedIsMadeAgain(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	z := openZooKeeper(t, o)
	c := dial(t, e, o)
	removed := func() {
		nodes := tree(t, c, o.Connection.Root)
		for len(nodes) > 0 {
			for n := range nodes {
				if err := c.Delete(n, -1); err == nil {
					delete(nodes, n)
				} else if !errors.Is(err, zk.ErrNotEmpty) {
					t.Fatal(err)
				}
			}
		}
	}
	removed()
	saved(t, z, "shop", sample(1))
	removed()
	if err := z.Save(t.Context(), "shop", sample(2)); !errors.Is(err, ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	if s, err := z.Load(t.Context(), "shop"); err != nil || s.Inventory != nil {
		t.Errorf("loaded %+v, %v: want an inventory that is not known", s, err)
	}
	saved(t, z, "shop", wide())
}

func TestTheArchiveOutlivesALostConnectionAtEachRequest(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	content := []byte(strings.Repeat("content of three nodes ", 500))
	eachRequest(t, e, func(t *testing.T, fail func(bool) *atomic.Bool) {
		o := inZooKeeper(t, e)
		z := openZooKeeper(t, o)
		kept := func(sum string) {
			if err := z.Keep(t.Context(), "shop", sum, content); err != nil {
				t.Fatal(err)
			}
		}
		kept(checksum("a"))
		fail(false)
		kept(checksum("b"))
		if err := z.Retain(t.Context(), "shop", []string{checksum("b")}); err != nil {
			t.Fatal(err)
		}
		e.Heal(t)
		z = openZooKeeper(t, o)
		if got, err := z.Recall(t.Context(), "shop", checksum("b")); err != nil || string(got) != string(content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := z.Recall(t.Context(), "shop", checksum("a")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what is kept no longer: %v", err)
		}
		if names, err := newest(dial(t, e, o), path.Join(o.Connection.Root, archiveNode, "shop", checksum("b")[:32])); err != nil || len(names) != 3 {
			t.Errorf("%v, %v: want the nodes of one content", names, err)
		}
	})
}
