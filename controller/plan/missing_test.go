package plan

import "testing"

// What is created again without an approval is bounded by maxDeletes, and by itself.
func TestMostMissing(t *testing.T) {
	for _, c := range []struct {
		limit MaxDeletes
		owned int
		want  int
	}{
		{MaxDeletes{}, 10_000, 20},
		{MaxDeletes{Count: 5}, 10_000, 5},
		{MaxDeletes{Percent: 20}, 50, 10},
		{MaxDeletes{Percent: 20}, 10_000, 200},
		{MaxDeletes{Count: 1000}, 10_000, 200},
		{MaxDeletes{Count: 5, Percent: 20}, 10, 2},
		{MaxDeletes{Percent: 1}, 10, 1},
	} {
		if got := (Policy{MaxDeletes: c.limit}).MostMissing(c.owned); got != c.want {
			t.Errorf("%+v of %d: %d, expected %d", c.limit, c.owned, got, c.want)
		}
	}
}
