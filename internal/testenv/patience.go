package testenv

import "time"

// Patience is how long a test waits for what must come before it fails. It is no
// measure: only what never comes reaches it, on the slowest and busiest machine.
const Patience = 5 * time.Minute
