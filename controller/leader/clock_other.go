//go:build !linux

package leader

import "time"

// sinceBoot is the wall clock: where there is no other that counts while the
// machine is suspended, setting it ends the lease, which is safe.
func sinceBoot() time.Duration { return time.Duration(time.Now().UnixNano()) }
