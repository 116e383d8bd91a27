package store

import (
	"slices"
	"time"
)

// Newest is the newest revision that Pacer began to apply for a sync, or found
// to be in force. It is saved before the first write of it, so that whoever
// leads next knows of it, and nothing older is applied again by itself.
type Newest struct {
	// Kept is the revision. Its Sum is empty until what it asks for is in the
	// Archive.
	Kept
	// Source says what of a source is followed (a branch, a folder of it), in the
	// words of the source, and Location where that is. Revisions of another
	// Source cannot be compared with this one.
	Source   string `json:"source"`
	Location string `json:"location,omitempty"`
	// Returned: it was the newest before, or is older than what was, and the source
	// went back to it, or a person said so. That a source has shown it then says
	// nothing of now.
	Returned bool `json:"returned,omitempty"`
	// Parents are the commits that it builds on: older, though perhaps never applied
	// and made in the same second.
	Parents []string `json:"parents,omitempty"`
	// Superseded lists the revisions that were newest before, the last first, at
	// most MaxSuperseded: times of commits have whole seconds, and clocks differ.
	Superseded []string `json:"superseded,omitempty"`
}

// MaxSuperseded is how many revisions before the newest are remembered. It is
// small because each write to Marathon has them saved ahead of it.
const MaxSuperseded = 20

// Supersede returns next as the newest revision in the place of n, which may be
// nil. Revisions of another source are forgotten.
func (n *Newest) Supersede(next Newest) *Newest {
	next.Superseded = nil
	if n != nil && n.Source == next.Source {
		before := append([]string{n.ID}, n.Superseded...)
		next.Returned = next.Returned || slices.Contains(n.Superseded, next.ID)
		before = slices.DeleteFunc(before, func(id string) bool { return id == next.ID })
		next.Superseded = before[:min(len(before), MaxSuperseded)]
	}
	return &next
}

// IsOlder reports whether a revision is not known to be newer than the newest
// one: a commit that builds on that is, whatever its clock said, unless the
// sync went back from it. A revision that is not a commit has no parents and no
// time; pass the zero time then.
//
//	id                                    parents         time             older
//	the newest                            any             any              no
//	superseded, applied before, or kept   any             any              yes
//	another                               the newest      any              no
//	a parent of the newest                others          any              yes
//	another                               others          later            no
//	another                               others          the same second  yes
//	another                               others          earlier          yes
//	another                               none            one is zero      no
func (s *State) IsOlder(id string, parents []string, at time.Time) bool {
	n := s.Newest
	switch {
	case n == nil || id == n.ID:
		return false
	case s.IsSuperseded(id):
		return true
	case slices.Contains(parents, n.ID):
		return false
	case slices.Contains(n.Parents, id):
		return true
	}
	return !at.IsZero() && !n.Time.IsZero() && !at.After(n.Time)
}

// IsSuperseded reports whether a revision is known to have been in force before the
// newest one, whatever the dates of the two say: after a force-push it may be the
// later commit.
func (s *State) IsSuperseded(id string) bool {
	n := s.Newest
	return n != nil && id != n.ID && (slices.Contains(n.Superseded, id) ||
		slices.ContainsFunc(s.Kept, func(k Kept) bool { return k.ID == id }) ||
		slices.ContainsFunc(s.History, func(e Entry) bool { return e.Revision == id && len(e.Changes) > 0 }))
}
