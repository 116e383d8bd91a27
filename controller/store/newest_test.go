package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIsOlder(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s := State{
		Newest:  &Newest{Kept: Kept{ID: "newest", Time: at}, Superseded: []string{"before"}},
		Kept:    []Kept{{ID: "newest"}, {ID: "kept"}},
		History: []Entry{{Revision: "newest", Changes: []Done{{}}}, {Revision: "applied", Changes: []Done{{}}}, {Revision: "failed, of which nothing was applied"}},
	}
	s.Newest.Parents = []string{"parent"}
	for id, want := range map[string]bool{
		"newest": false, "before": true, "kept": true, "applied": true, "parent": true, "another": false, "failed, of which nothing was applied": false,
	} {
		for name, made := range map[string]time.Time{"zero": {}, "later": at.Add(time.Second)} {
			if got := s.IsOlder(id, []string{"others"}, made); got != want {
				t.Errorf("%s, %s: %v, want %v", id, name, got, want)
			}
		}
		for _, made := range []time.Time{at.Add(-time.Hour), at} {
			before := id == "before" || id == "kept" || id == "applied"
			if got := s.IsOlder(id, []string{"others", "newest"}, made); got != before {
				t.Errorf("%s, which builds on the newest: %v, want %v", id, got, before)
			}
		}
	}
	if s.IsOlder("newest", nil, at.Add(-time.Hour)) || !s.IsOlder("another", nil, at.Add(-time.Second)) || !s.IsOlder("another", nil, at) {
		t.Error("a commit that is not of a later second is older, the newest itself never is")
	}
	if (&State{History: s.History}).IsOlder("applied", nil, at) {
		t.Error("nothing is older than what is not known")
	}
}

func TestSupersede(t *testing.T) {
	var n *Newest
	for i := range MaxSuperseded + 5 {
		n = n.Supersede(Newest{Kept: Kept{ID: fmt.Sprint(i)}, Source: "main"})
	}
	if len(n.Superseded) != MaxSuperseded || n.Superseded[0] != "23" || n.ID != "24" {
		t.Errorf("%+v", n)
	}
	back := n.Supersede(Newest{Kept: Kept{ID: "22"}, Source: "main"})
	if back.Superseded[0] != "24" || slices.Contains(back.Superseded, "22") {
		t.Errorf("after a force-push: %+v", back)
	}
	if other := n.Supersede(Newest{Kept: Kept{ID: "25"}, Source: "stable"}); other.Superseded != nil {
		t.Errorf("of another branch: %+v", other)
	}
}

// The newest revision is saved ahead of its first write, with the writes.
func TestTheNewestRevisionIsSavedAhead(t *testing.T) {
	f := open(t, t.TempDir())
	saved(t, f, "shop", sending(sample(3), "/shop/a"))
	next := sending(sample(3), "/shop/b")
	next.Newest = next.Newest.Supersede(Newest{Kept: Kept{ID: "r2"}, Source: next.Newest.Source})
	sendingSaved(t, f, next)
}

// What the newest revision asks for goes with a copy.
func TestCopyTakesTheNewestRevision(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to Records) {
		s := sample(1)
		s.Kept, s.Pin = nil, nil
		saved(t, from, "shop", s)
		if err := from.Keep(t.Context(), "shop", s.Newest.Sum, []byte("what it asks for")); err != nil {
			t.Fatal(err)
		}
		if _, err := Copy(t.Context(), from, to, false); err != nil {
			t.Fatal(err)
		}
		holds(t, to, "shop", s)
		got, err := to.Recall(t.Context(), "shop", s.Newest.Sum)
		if diff := cmp.Diff("what it asks for", string(got)); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}
