package apply

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// The costs that were measured on a real Marathon: testdata/conformance/README.md.
// One changed app costs in proportion to all there are; an array has a fixed
// cost and one for each app in it.
func measuredPut(changed, there int) time.Duration {
	if changed == 1 {
		return 130*time.Millisecond + time.Duration(there)*37*time.Microsecond
	}
	return 1750*time.Millisecond + time.Duration(changed)*550*time.Microsecond
}

func measuredList(there int) time.Duration {
	return 78*time.Millisecond + time.Duration(there)*23*time.Microsecond
}

// From nothing to ten thousand apps costs little more than the arrays
// themselves, and one change among them little more than its own request.
func TestCostAtTenThousandApps(t *testing.T) {
	const n = 10_000
	in(t, func(t *testing.T, c *cluster) {
		c.putCost, c.listCost = measuredPut, measuredList
		var changes []plan.Change
		for i := range n {
			changes = append(changes, change(plan.Create, appOf(fmt.Sprintf("/g%d/a%d", i%100, i), "x", 0)))
		}
		a := New(c, Options{Settle: -1})
		start := time.Now()
		for _, o := range a.Apply(t.Context(), planOf(changes...), Request{}) {
			if o.Result != Applied {
				t.Fatalf("%+v", o)
			}
		}
		took, ideal := time.Since(start), 2*measuredPut(n/2, 0)
		if ratio := took.Seconds() / ideal.Seconds(); ratio > 1.5 {
			t.Errorf("all: %s, %.2f of the ideal %s", took, ratio, ideal)
		}
		t.Logf("all: %s, ideal %s", took, ideal)

		// A list of so many takes a third of a second, and is not asked for all the
		// time: yet the end of the settling time is not overslept.
		c.apps, c.startup = map[string]*fakeApp{}, 0
		start, lists := time.Now(), c.lists
		a = New(c, Options{})
		a.Apply(t.Context(), planOf(changes...), Request{})
		settled := time.Since(start) - ideal
		if most := 2*time.Second + 4*measuredList(n); settled > most || c.lists-lists > 4 {
			t.Errorf("%s beside the arrays and %d lists, want %s at most and 4", settled, c.lists-lists, most)
		}

		a = New(c, Options{Settle: -1})
		start = time.Now()
		a.Apply(t.Context(), planOf(change(plan.Update, appOf("/g0/a0", "y", 0))), Request{})
		took, ideal = time.Since(start), measuredPut(1, n)
		if ratio := took.Seconds() / ideal.Seconds(); ratio > 1.3 {
			t.Errorf("one: %s, %.2f of the ideal %s", took, ratio, ideal)
		}
		t.Logf("one: %s, ideal %s", took, ideal)
	})
}
