package state

import (
	"encoding/json"
	"time"
)

// Timestamp is a moment in milliseconds, as Marathon prints it. Versions are
// timestamps.
type Timestamp struct{ time.Time }

const timestampLayout = "2006-01-02T15:04:05.000Z"

// At is a moment as a Timestamp.
func At(t time.Time) Timestamp { return Timestamp{t.UTC().Truncate(time.Millisecond)} }

func (t Timestamp) String() string { return t.UTC().Format(timestampLayout) }

// MarshalJSON prints all three digits of the milliseconds, as Marathon does.
func (t Timestamp) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }
