package schedule

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"pgregory.net/rapid"
)

func TestBackoffIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ceiling := time.Duration(rapid.Int64Range(int64(reconcile.MinBackoff), int64(reconcile.MaxBackoff)).Draw(t, "ceiling"))
		b := newBackoff(func(string) time.Duration { return ceiling })
		before := time.Duration(0)
		for range rapid.IntRange(1, 40).Draw(t, "failures") {
			d := b.When("shop")
			if d <= 0 || d > ceiling {
				t.Fatalf("waits %v, want at most %v", d, ceiling)
			}
			if d < before/2 {
				t.Fatalf("waits %v after %v", d, before)
			}
			before = d
		}
		b.Forget("shop")
		if d := b.When("shop"); d > reconcile.MinBackoff {
			t.Fatalf("waits %v after a success in between, want at most %v", d, reconcile.MinBackoff)
		}
	})
}
