package leader

import "time"

// Instant is a moment on the two clocks that a lease is measured by, each
// counted from a start of its own.
type Instant struct {
	Mono time.Duration // may stand still while the machine is suspended
	Boot time.Duration // does not
}

// Since is how long ago an earlier instant was; where the clocks differ, on the
// one that says it is longer.
func (i Instant) Since(earlier Instant) time.Duration {
	return max(i.Mono-earlier.Mono, i.Boot-earlier.Boot)
}

// Add is the instant some time later.
func (i Instant) Add(d time.Duration) Instant { return Instant{i.Mono + d, i.Boot + d} }

// disagreement is how much more time has passed since an earlier instant on one
// clock than on the other.
func (i Instant) disagreement(earlier Instant) time.Duration {
	return ((i.Mono - earlier.Mono) - (i.Boot - earlier.Boot)).Abs()
}

// Clock tells the time. Neither of its clocks is ever set: an hour more or less
// on the wall changes nothing.
type Clock interface{ Now() Instant }

// SystemClock is this machine's.
type SystemClock struct{}

var started = time.Now()

// Now reads both clocks.
func (SystemClock) Now() Instant { return Instant{Mono: time.Since(started), Boot: sinceBoot()} }
