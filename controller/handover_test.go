package controller

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

func TestHandsOver(t *testing.T) {
	failing := func(held bool, lasts time.Duration, names ...string) map[string]failure {
		all := map[string]failure{}
		for _, name := range names {
			all[name] = failure{lasts, held}
		}
		return all
	}
	for name, test := range map[string]struct {
		own    map[string]failure
		others [][]string
		since  time.Duration
		want   []string
	}{
		"all can be read":                       {nil, [][]string{{}}, time.Hour, nil},
		"not for long":                          {failing(false, handOverAfter-1, "a"), [][]string{{}}, time.Hour, nil},
		"for long":                              {failing(false, handOverAfter, "a"), [][]string{{}}, time.Hour, []string{"a"}},
		"held, not for long":                    {failing(true, reconcile.HoldAfter-1, "a"), [][]string{{}}, time.Hour, nil},
		"held":                                  {failing(true, reconcile.HoldAfter, "a"), [][]string{{}}, time.Hour, []string{"a"}},
		"nobody else has told":                  {failing(true, time.Hour, "a"), nil, time.Hour, nil},
		"the others cannot either":              {failing(true, time.Hour, "a"), [][]string{{"a"}, {"a", "b"}}, time.Hour, nil},
		"another cannot read another":           {failing(true, time.Hour, "a"), [][]string{{"b"}}, time.Hour, nil},
		"another can read one more":             {failing(true, time.Hour, "a", "b"), [][]string{{"b"}}, time.Hour, []string{"a"}},
		"a moment after another such hand-over": {failing(true, time.Hour, "a"), [][]string{{}}, handOverAgain - 1, nil},
	} {
		if got := handsOver(test.own, test.others, test.since); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// A leader that cannot fetch hands over to one that can, if need be past one that
// cannot either; where nobody can it stays.
func TestALeaderThatCannotFetchHandsOver(t *testing.T) {
	testenv.Long(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b", "c")
		defer f.close()
		a, b, c := f.replicas[0], f.replicas[1], f.replicas[2]
		cut := func(m *member, cut bool) {
			m.way.set(func() {
				if m.way.broken = nil; cut {
					m.way.broken = errNoRoute
				}
			})
		}
		a.lead()
		after(time.Minute)
		for _, m := range []*member{a, b} { // in mid-term: b is next in line, and c can
			cut(m, true)
		}
		f.commit("cart", "pay")
		after(30 * time.Second)
		if f.leader() != a {
			t.Error("it handed over too soon")
		}
		after(2 * time.Minute)
		if f.leader() != c || a.abdicated != 1 || b.abdicated != 1 {
			t.Errorf("%s leads; a abdicated %d times, b %d", f.leader().name, a.abdicated, b.abdicated)
		}
		f.has("cart=2 pay=2", "by one that can fetch")

		cut(c, true)
		after(15 * time.Minute)
		if f.leader() != c || c.abdicated > 0 {
			t.Error("it handed over though nobody can fetch")
		}
		cut(b, false)
		after(3 * time.Minute)
		if f.leader() != b {
			t.Errorf("%s leads", f.leader().name)
		}
		after(15 * time.Minute)
		if n := a.abdicated + b.abdicated + c.abdicated; n > 4 {
			t.Errorf("handed over %d times", n)
		}
		if f.leader() != b || !strings.Contains(c.log.String(), "handing over leadership") {
			t.Errorf("%s leads", f.leader().name)
		}
	})
}

// Two that can read in turn do not hand over to each other all the time.
func TestHandOversForSourcesAreFewAndFarBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		a, b := f.replicas[0], f.replicas[1]
		a.lead()
		after(time.Minute)
		for i := range 12 {
			for j, m := range f.replicas {
				m.way.set(func() {
					if m.way.broken = nil; i%2 == j {
						m.way.broken = errNoRoute
					}
				})
			}
			after(2 * time.Minute)
		}
		if n := a.abdicated + b.abdicated; n < 2 || n > 2*int(24*time.Minute/handOverAgain) {
			t.Errorf("handed over %d times in 24 minutes", n)
		}
		f.has("cart=1", "all the time")
	})
}
