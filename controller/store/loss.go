package store

import (
	"errors"
	"slices"
	"time"
)

// Loss is a known loss of the record of a sync. Until the sync is resumed it only
// reports: what nobody remembers may have been suspended, or rolled back.
type Loss struct {
	At  time.Time `json:"at"`  // when it was found
	Why string    `json:"why"` // what is gone, for people
	// Resumed is when a person, or the configuration, had the sync work again;
	// zero: it only reports.
	Resumed time.Time `json:"resumed,omitzero"`
}

// Reports reports whether the sync changes nothing because of the loss. A nil
// Loss is none.
func (l *Loss) Reports() bool { return l != nil && l.Resumed.IsZero() }

// Resume returns the loss as resumed at a time, and leaves l as it is.
func (l *Loss) Resume(at time.Time) *Loss {
	if !l.Reports() {
		return l
	}
	resumed := *l
	resumed.Resumed = at
	return &resumed
}

// Stopped reports whether the sync changes nothing until a person resumes it.
func (s *State) Stopped() bool { return s.Suspended || s.Loss.Reports() }

// maxReplaced bounds what a record knows of those before it.
const maxReplaced = 20

// Replace notes that a record takes the place of others, and leaves the slice
// that it had as it is.
func (s *State) Replace(ids ...string) {
	all := slices.Clone(s.Replaces)
	for _, id := range ids {
		if id != "" && id != s.ID && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	s.Replaces = all[max(0, len(all)-maxReplaced):]
}

// replaces reports whether a record is, or takes the place of, the one with an id.
func (s *State) replaces(id string) bool { return s.ID == id || slices.Contains(s.Replaces, id) }

// there reports whether anything was saved.
func (s *State) there() bool { return s.ID != "" || s.Inventory != nil }

// ErrLost is what a LostError is.
var ErrLost = errors.New("the stored state is lost")

// LostError says that the record of a sync is known to be lost: there was one,
// and what is there now, if anything, is another.
type LostError struct {
	Why string
	Was []string // ids for State.Replace of the record that follows
}

// Error says what is gone.
func (e *LostError) Error() string { return ErrLost.Error() + ": " + e.Why }

// Is makes it an ErrLost.
func (e *LostError) Is(target error) bool { return target == ErrLost }
