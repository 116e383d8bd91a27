package leader

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot reads the clock that counts while the machine is suspended, which
// Go's does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("leader: the kernel has no CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}
