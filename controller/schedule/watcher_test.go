package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNextFetch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "interval"))
		failures := rapid.IntRange(0, 100).Draw(t, "failures")
		d := nextFetch(interval, failures)
		if d <= 0 || d > interval*11/10+1 {
			t.Fatalf("next look after %v with an interval of %v", d, interval)
		}
		if failures == 0 && d < interval*9/10 {
			t.Fatalf("next look after %v already, with an interval of %v", d, interval)
		}
		if failures == 1 && d > 2*time.Second {
			t.Fatalf("next look only after %v, after one failure", d)
		}
	})
}
