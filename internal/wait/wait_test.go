package wait

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 30 * time.Second}
	for failures, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 5: 16 * time.Second,
		6: 30 * time.Second, 1000: 30 * time.Second, math.MaxInt: 30 * time.Second,
	} {
		if got := b.After(failures); got != want {
			t.Errorf("after %d failures: %s, expected %s", failures, got, want)
		}
	}
	if got := (Backoff{Min: time.Second, Max: time.Millisecond}).After(1); got != time.Millisecond {
		t.Errorf("a maximum below the minimum: %s, expected the maximum", got)
	}
	if got := (Backoff{Min: 1, Max: math.MaxInt64}).After(1000); got != math.MaxInt64 {
		t.Errorf("doubling overflowed to %d", got)
	}
}

func TestJitterStaysWithinATenth(t *testing.T) {
	below, above := false, false
	for range 1000 {
		d := Jitter(time.Minute)
		if d < 54*time.Second || d > 66*time.Second {
			t.Fatalf("%s is not within a tenth of a minute", d)
		}
		below, above = below || d < time.Minute, above || d > time.Minute
	}
	if !below || !above {
		t.Error("a thousand durations varied to one side only")
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("slept %s, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if err := Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("slept %s beyond its context, %v", time.Since(began), err)
		}
		if err := Sleep(ctx, 0); err == nil {
			t.Error("a context that has ended is not told where there is nothing to wait for")
		}
	})
}

func TestEveryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		calls := 0
		Every(ctx, time.Minute, func() { calls++ })
		if calls < 54 || calls > 66 {
			t.Errorf("%d calls in an hour of minutes", calls)
		}
	})
}

func TestNotificationsNotReceivedCountAsOne(t *testing.T) {
	s := NewSignal()
	for round := range 2 {
		for range 3 {
			s.Notify()
		}
		select {
		case <-s:
		default:
			t.Fatalf("round %d: no notification", round)
		}
		select {
		case <-s:
			t.Fatalf("round %d: several notifications", round)
		default:
		}
	}
}
