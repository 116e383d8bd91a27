package leader

import (
	"errors"
	"testing"
	"time"
)

// dial is a clock of which a test turns both hands.
type dial struct{ now Instant }

func (d *dial) Now() Instant { return d.now }

func (d *dial) pass(mono, boot time.Duration) {
	d.now = Instant{d.now.Mono + mono, d.now.Boot + boot}
}

func TestALeaseEndsOnWhicheverClockIsAhead(t *testing.T) {
	const length = 5 * time.Second
	for name, c := range map[string]struct {
		mono, boot time.Duration
		ends       bool
	}{
		"before its time":            {length - 1, length - 1, false},
		"at its time":                {length, length, true},
		"suspended beyond its time":  {time.Second, time.Hour, true},
		"suspended for a moment":     {time.Second, time.Second + maxDisagreement, false},
		"suspended for longer":       {time.Second, time.Second + maxDisagreement + 1, true},
		"a clock that goes too fast": {time.Second + maxDisagreement + 1, time.Second, true},
		"a clock that is set back":   {time.Second, -time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &dial{}
			l := newLease(clock, clock.Now(), length)
			clock.pass(c.mono, c.boot)
			err := l.Err()
			if (err != nil) != c.ends || err != nil && !errors.Is(err, ErrNoLease) {
				t.Fatalf("got %v, want it to end: %t", err, c.ends)
			}
			select {
			case <-l.Done():
				if !c.ends {
					t.Error("done")
				}
			default:
				if c.ends {
					t.Error("not done")
				}
			}
		})
	}
}

func TestAnEndedLeaseNeverComesBack(t *testing.T) {
	clock := &dial{}
	l := newLease(clock, clock.Now(), 5*time.Second)
	clock.pass(5*time.Second, 5*time.Second)
	// Nobody has looked meanwhile, as where the process was stopped.
	if err := l.extend(clock.Now(), 5*time.Second); !errors.Is(err, ErrNoLease) {
		t.Errorf("it was made longer after its end: %v", err)
	}
	if l.Err() == nil || l.Left() != 0 {
		t.Error("it is in force again")
	}
	l.end(errors.New("twice")) // does nothing
}

func TestALeaseIsMadeLongerAndNeverShorter(t *testing.T) {
	clock := &dial{}
	l := newLease(clock, clock.Now(), 5*time.Second)
	clock.pass(2*time.Second, 2*time.Second)
	for _, c := range []struct {
		from         Instant
		length, left time.Duration
	}{
		{Instant{time.Second, time.Second}, 2 * time.Second, 3 * time.Second},
		{Instant{time.Second, time.Second}, 5 * time.Second, 4 * time.Second},
		{Instant{}, 5 * time.Second, 4 * time.Second},
	} {
		if err := l.extend(c.from, c.length); err != nil || l.Left() != c.left {
			t.Errorf("%v + %s: %v, %s left, want %s", c.from, c.length, err, l.Left(), c.left)
		}
	}
}

func TestADoubtfulLeaseBeginsNothingNew(t *testing.T) {
	l := newLease(&dial{}, Instant{}, 5*time.Second)
	l.doubt(true)
	if l.Begin() == nil || l.Err() != nil {
		t.Errorf("begin: %v, go on: %v; want only to go on", l.Begin(), l.Err())
	}
	l.doubt(false)
	if err := l.Begin(); err != nil {
		t.Error(err)
	}
	l.end(errors.New("over"))
	if l.Begin() == nil {
		t.Error("something is begun after its end")
	}
}

// TestTheSystemClockGoesOnBothHands: also that neither is the wall's.
func TestTheSystemClockGoesOnBothHands(t *testing.T) {
	first := SystemClock{}.Now()
	for first == (SystemClock{}).Now() { // till the clock ticks
	}
	if now := (SystemClock{}).Now(); now.Mono < first.Mono || now.Boot < first.Boot || now.disagreement(first) > maxDisagreement {
		t.Errorf("from %v to %v", first, now)
	}
}

func TestTheLineIsReadAsItStands(t *testing.T) {
	const a, b, c = "0123456789abcdef0123456789abcdea", "0123456789abcdef0123456789abcdeb", "0123456789abcdef0123456789abcdec"
	l := Line{
		Replicas:   []string{a, b, c, "lost+found"},
		Candidates: []string{"candidate-" + b + "-0000000010", "lock-0000000001", "candidate-" + a + "-0000000009", "candidate-" + a + "-9", "_c_" + a + "-candidate-0000000001"},
	}
	line, foreign := l.places()
	if len(line) != 2 || line[0].id != a || line[1].id != b || len(foreign) != 3 {
		t.Errorf("in line: %v, foreign: %q", line, foreign)
	}
	if out := l.outcast(); out != c {
		t.Errorf("outcast: %q, want the replica whose node is gone", out)
	}
	l.Replicas = l.Replicas[:2]
	if out := l.outcast(); out != "" {
		t.Errorf("outcast: %q, want none", out)
	}
}
