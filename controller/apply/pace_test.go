package apply

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// slow makes a list of everything take so long, and notes when each began.
func (c *cluster) slow(list time.Duration) (began *[]time.Time) {
	began = &[]time.Time{}
	c.listCost = func(int) time.Duration {
		*began = append(*began, time.Now())
		return list
	}
	return began
}

// However long it takes to read everything, the pauses between are short: at most
// 2 s, and less where a fifth of Marathon's time is less.
func TestPausesBetweenLooksAreBounded(t *testing.T) {
	for list, most := range map[time.Duration]time.Duration{
		50 * time.Millisecond:  time.Second,
		400 * time.Millisecond: 1600 * time.Millisecond,
		2 * time.Second:        2 * time.Second,
		20 * time.Second:       2 * time.Second,
	} {
		for name, hears := range map[string]bool{"polling": false, "events all the time": true} {
			t.Run(fmt.Sprintf("%s, %s", list, name), func(t *testing.T) {
				in(t, func(t *testing.T, m *cluster) {
					began := m.slow(list)
					m.startup = time.Minute
					done := make(chan struct{})
					defer close(done)
					var events chan struct{}
					if hears {
						events = make(chan struct{})
						go func() {
							for {
								select {
								case <-done:
									return
								case <-time.After(10 * time.Millisecond):
								}
								select {
								case events <- struct{}{}:
								case <-done:
									return
								}
							}
						}()
					}
					var changes []plan.Change
					for i := range 40 {
						m.has(appOf(fmt.Sprintf("/a%d", i), "one", 1))
						changes = append(changes, change(plan.Update, appOf(fmt.Sprintf("/a%d", i), "two", 1)))
					}
					start := time.Now()
					New(m, Options{Deadline: 10 * time.Minute, MaxInFlight: 50}).Apply(t.Context(), planOf(changes...), Request{Events: events})
					var longest, waited time.Duration
					for i := 1; i < len(*began); i++ {
						pause := (*began)[i].Sub((*began)[i-1]) - list
						longest, waited = max(longest, pause), waited+pause
					}
					if longest > most {
						t.Errorf("a pause of %s, expected at most %s", longest, most)
					}
					if busy := 1 - float64(waited)/float64(time.Since(start)); list <= 500*time.Millisecond && busy > 0.25 {
						t.Errorf("Marathon was read %.0f %% of the time", 100*busy)
					}
				})
			})
		}
	}
}

// Where events are heard, a rollout costs Marathon what they ask for, and the few
// looks that find an event that was lost.
func TestEventsThatAreHeardSparePolls(t *testing.T) {
	looks := map[bool]int{}
	for _, hears := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newCluster()
			began := m.slow(100 * time.Millisecond)
			m.startup = 100 * time.Second
			events := make(chan struct{}, 1)
			var changes []plan.Change
			for i := range 40 {
				m.has(appOf(fmt.Sprintf("/a%d", i), "one", 1))
				changes = append(changes, change(plan.Update, appOf(fmt.Sprintf("/a%d", i), "two", 1)))
			}
			up := time.Now().Add(101 * time.Second) // after the last write
			time.AfterFunc(time.Until(up), func() { events <- struct{}{} })
			got := New(m, Options{MaxInFlight: 50}).Apply(t.Context(), planOf(changes...), Request{Events: events, Hears: func() bool { return hears }})
			for _, o := range got {
				if o.Result != Applied {
					t.Fatalf("%+v", o)
				}
			}
			if late := time.Since(up); late > settleUnchecked+2*time.Second {
				t.Errorf("hears %v: ended %s after all were up", hears, late)
			}
			looks[hears] = len(*began)
		})
	}
	if looks[true] > 35 || looks[false] < 3*looks[true] {
		t.Errorf("%d looks in 107 s where events are heard, %d where not", looks[true], looks[false])
	}
}

// Few apps of many are read one by one, which costs Marathon less than the list.
func TestFewAppsOfManyAreReadAlone(t *testing.T) {
	for apps, n := range map[int]int{0: singleReads, 1000: singleReads, 5000: 20, 10_000: 40} {
		for _, changed := range []int{n, n + 1} {
			synctest.Test(t, func(t *testing.T) {
				m := newCluster()
				began := m.slow(time.Second)
				var changes []plan.Change
				for i := range changed {
					m.has(appOf(fmt.Sprintf("/a%d", i), "one", 1))
					changes = append(changes, change(plan.Update, appOf(fmt.Sprintf("/a%d", i), "two", 1)))
				}
				New(m, Options{MaxInFlight: 100}).Apply(t.Context(), planOf(changes...), Request{Apps: apps})
				if lists := len(*began) > 0; lists != (changed > n) {
					t.Errorf("%d changes among %d apps: %d lists", changed, apps, len(*began))
				}
			})
		}
	}
}
