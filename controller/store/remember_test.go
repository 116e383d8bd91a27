package store

import (
	"errors"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

func openLedger(t *testing.T, folder string) *Ledger {
	t.Helper()
	l, err := OpenLedger(folder)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The rows of the table above Ledger.
func TestLedgerJudges(t *testing.T) {
	const here, elsewhere = "ZooKeeper zk1/pacer", "ZooKeeper zk1/teams"
	owned := map[string]Owned{}
	cases := []struct {
		name       string
		remembered [][2]string // place, id
		place      string
		there      State
		lost       string // empty: it is not
	}{
		{"a first start", nil, here, State{}, ""},
		{"a replica that joins", nil, here, State{ID: "a", Inventory: owned}, ""},
		{"a record of an older Pacer", nil, here, State{Inventory: owned}, ""},
		{"the same", [][2]string{{here, "a"}}, here, State{ID: "a"}, ""},
		{"gone", [][2]string{{here, "a"}}, here, State{}, "the record of the sync is gone"},
		{"gone, in a folder", [][2]string{{placeFolder, "a"}}, placeFolder, State{}, "the record of the sync is gone"},
		{"another place, without any", [][2]string{{here, "a"}}, elsewhere, State{}, "the record of the sync is gone; it was in " + here + ", and the configuration now says " + elsewhere},
		{"another", [][2]string{{here, "a"}}, here, State{ID: "b"}, "the record of the sync was lost, and a new one was started"},
		{"another, which knows", [][2]string{{here, "a"}}, here, State{ID: "b", Replaces: []string{"z", "a"}}, ""},
		{"another, which knows of an older loss only", [][2]string{{here, "a"}, {here, "b"}}, here, State{ID: "c", Replaces: []string{"a"}}, "a new one was started"},
		{"the one before is back", [][2]string{{here, "a"}, {here, "b"}}, here, State{ID: "a"}, "a new one was started"},
		{"another place, with another", [][2]string{{here, "a"}}, elsewhere, State{ID: "b"}, ""},
		{"another place, with a copy", [][2]string{{placeFolder, "a"}}, here, State{ID: "a"}, ""},
		{"back to a folder, without a copy", [][2]string{{placeFolder, "a"}, {here, "a"}}, placeFolder, State{ID: "a"}, "the record of the sync is an older version; it was in " + here},
		{"back to a folder, with a copy", [][2]string{{here, "a"}, {placeFolder, "a"}}, placeFolder, State{ID: "a"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			l := openLedger(t, folder)
			for _, r := range c.remembered {
				if err := l.note("shop", r[0], r[1]); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // and again from its file
				lost := l.judge("shop", c.place, &c.there)
				if (lost != nil) != (c.lost != "") || lost != nil && (!strings.HasPrefix(lost.Why, c.lost) && !strings.Contains(lost.Why, c.lost) || !errors.Is(lost, ErrLost)) {
					t.Errorf("judged %+v, want %q", lost, c.lost)
				}
				if lost != nil && !slices.Contains(lost.Was, c.remembered[len(c.remembered)-1][1]) {
					t.Errorf("was %q", lost.Was)
				}
				if other := l.judge("bank", c.place, &State{}); other != nil {
					t.Errorf("another sync: %v", other)
				}
				l = openLedger(t, folder)
			}
		})
	}
}

// What is missing where the ledger cannot be understood may be anything.
func TestADamagedLedgerIsDoubted(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"format":1,"syncs":{"sh`, "newer": `{"format":2}`, "other keys": `{"format":1,"sync":{}}`,
		"no ids": `{"format":1,"syncs":{"shop":{"place":"p","ids":[]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, ledgerName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLedger(t, folder)
			if aside, _ := filepath.Glob(filepath.Join(folder, ledgerName+".corrupt-*")); len(aside) != 1 || !strings.Contains(l.Doubt(), aside[0]) {
				t.Errorf("set aside: %q, told: %q", aside, l.Doubt())
			}
			if lost := l.judge("shop", placeFolder, &State{}); lost == nil || !strings.Contains(lost.Why, "cannot be parsed") {
				t.Errorf("without a record: %+v", lost)
			}
			if lost := l.judge("shop", placeFolder, &State{ID: "a"}); lost != nil {
				t.Errorf("with a record: %+v", lost)
			}
			if err := l.note("shop", placeFolder, "a"); err != nil || openLedger(t, folder).Doubt() != "" {
				t.Errorf("written anew: %v", err)
			}
		})
	}
}

// full is a disk on which nothing can be written.
type full struct{ disk }

func (full) createTemp(string, string) (file, error) {
	return nil, errors.New("no space left on device")
}

// What cannot be written is remembered while the process lives, and written later.
func TestALedgerThatCannotBeWritten(t *testing.T) {
	folder := t.TempDir()
	l := openLedger(t, folder)
	l.files = full{}
	if err := l.note("shop", placeFolder, "a"); err == nil {
		t.Error("no error")
	}
	if l.judge("shop", placeFolder, &State{}) == nil {
		t.Error("it is not remembered")
	}
	l.files = disk{}
	if err := l.note("shop", placeFolder, "a"); err != nil {
		t.Error(err)
	}
	if openLedger(t, folder).judge("shop", placeFolder, &State{}) == nil {
		t.Error("it was never written")
	}
}

// replica is one of several with a folder of its own.
type replica struct {
	Records
	t *testing.T
}

func newReplica(t *testing.T, o *ZooKeeperOptions, folder string) replica {
	t.Helper()
	return replica{Remember(openZooKeeper(t, o), openLedger(t, folder), slog.New(slog.NewTextHandler(t.Output(), nil))), t}
}

func (r replica) lost(s State, err error) *LostError {
	r.t.Helper()
	lost, ok := errors.AsType[*LostError](err)
	if !ok {
		r.t.Fatalf("%+v, %v: want a loss", s, err)
	}
	return lost
}

func (r replica) fine(s State, err error) State {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// begun is a record that begins anew after a loss, or at a first start.
func begun(id string, was ...string) State {
	s := State{ID: id, Inventory: map[string]Owned{}}
	s.Replace(was...)
	return s
}

// A leader that does not know of a loss is told by a replica that does, before
// it can save, and hence write to Marathon, once more; whoever comes later, with
// what memory ever, finds the loss known.
func TestAReplicaThatRemembersTellsALeaderThatDoesNot(t *testing.T) {
	testenv.Long(t)
	e := zktest.Shared(t)
	for name, savedBefore := range map[string]bool{"before it has saved": false, "after it has saved": true} {
		t.Run(name, func(t *testing.T) {
			o := inZooKeeper(t, e)
			ctx, memory, third := t.Context(), t.TempDir(), t.TempDir()
			for _, folder := range []string{memory, third} {
				r := newReplica(t, o, folder)
				r.fine(r.Load(ctx, "shop"))
				saved(t, r, "shop", begun("a"))
				e.Remove(t, path.Join(o.Connection.Root, recordsNode))
			}
			leader, follower := newReplica(t, o, t.TempDir()), newReplica(t, o, memory)
			leader.fine(leader.Load(ctx, "shop"))
			if savedBefore {
				saved(t, leader, "shop", begun("b"))
			}
			follower.lost(follower.Peek(ctx, "shop"))
			follower.lost(follower.Peek(ctx, "shop")) // it is told once
			if err := leader.Save(ctx, "shop", begun("b")); !errors.Is(err, ErrStale) {
				t.Errorf("the leader saves: %v, want ErrStale", err)
			}
			there, err := leader.Load(ctx, "shop")
			lost := leader.lost(there, err)
			if !slices.Contains(lost.Was, "a") || savedBefore != (there.ID == "b") {
				t.Errorf("lost: %+v, there: %+v", lost, there)
			}
			saved(t, leader, "shop", begun("c", append(lost.Was, there.ID)...))
			if got := follower.fine(follower.Peek(ctx, "shop")); got.ID != "c" {
				t.Errorf("%+v", got)
			}
			leader.fine(leader.Load(ctx, "shop"))
			saved(t, leader, "shop", begun("c", append(lost.Was, there.ID)...))
			for _, folder := range []string{third, t.TempDir()} {
				late := newReplica(t, o, folder)
				late.fine(late.Peek(ctx, "shop"))
				late.fine(late.Load(ctx, "shop"))
			}
			for node := range tree(t, dial(t, e, o), path.Join(o.Connection.Root, claimsNode)) {
				if path.Base(node) != claimsNode {
					t.Errorf("%s is left", node)
				}
			}
		})
	}
}

// A record that was set aside is known to be lost by a replica that remembers
// nothing, though the one that set it aside was killed.
func TestWhatWasSetAsideIsLostToEveryReplica(t *testing.T) {
	e := zktest.Shared(t)
	o := inZooKeeper(t, e)
	first := openZooKeeper(t, o)
	saved(t, first, "shop", begun("a"))
	conn := dial(t, e, o)
	if _, err := conn.Set(path.Join(o.Connection.Root, recordsNode, "shop"), []byte("?"), -1); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Load(t.Context(), "shop"); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("%v, want ErrCorrupt", err)
	}
	next := newReplica(t, o, t.TempDir())
	lost := next.lost(next.Load(t.Context(), "shop"))
	saved(t, next, "shop", begun("b", lost.Was...))
	next.fine(next.Load(t.Context(), "shop"))
}

// What a copy replaces by force is no loss to a replica that remembers it.
func TestACopyByForceIsNoLoss(t *testing.T) {
	o, memory := inZooKeeper(t, zktest.Shared(t)), t.TempDir()
	r := newReplica(t, o, memory)
	r.fine(r.Load(t.Context(), "shop"))
	saved(t, r, "shop", begun("a"))
	other := t.TempDir()
	if err := openLedger(t, other).note("shop", r.Records.(*remembering).place, "x"); err != nil {
		t.Fatal(err)
	}
	claims := newReplica(t, o, other)
	claims.lost(claims.Peek(t.Context(), "shop"))
	folder := open(t, t.TempDir())
	saved(t, folder, "shop", begun("b"))
	if _, err := Copy(t.Context(), folder, openZooKeeper(t, o), true); err != nil {
		t.Fatal(err)
	}
	again := newReplica(t, o, memory)
	if got := again.fine(again.Load(t.Context(), "shop")); got.ID != "b" {
		t.Errorf("%+v", got)
	}
}
