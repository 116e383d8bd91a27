package reconcile

import "testing"

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		want verdict
		s    situation
	}{
		{follow, situation{fetched: true}},
		{follow, situation{fetched: true, older: true}},
		{follow, situation{fetched: true, known: true}},
		{follow, situation{fetched: true, waited: true, known: true, older: true, shown: true, confirmed: true}},
		{confirm, situation{fetched: true, known: true, older: true, shown: true}},
		{hold, situation{fetched: true, known: true, older: true}},
		{hold, situation{fetched: true, known: true, older: true, confirmed: true}},
		{hold, situation{waited: true, known: true}},
		{awaits, situation{waited: true}},
		{awaits, situation{known: true}},
		{awaits, situation{}},
	} {
		if got := verdictOf(test.s); got != test.want {
			t.Errorf("%+v: %s, want %s", test.s, got, test.want)
		}
	}
}
