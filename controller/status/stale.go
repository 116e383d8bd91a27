package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// Stale says why what is shown of Marathon is what was known last and not what is
// known: once for all apps of a sync.
type Stale struct {
	Reason string    `json:"reason"`         // for people; never a secret
	Since  time.Time `json:"since"`          // when that was found out
	Known  time.Time `json:"known,omitzero"` // when it was last known; zero: never
}

// LastKnown is how an app stood before that became unknown.
type LastKnown struct {
	State  State     `json:"state"`
	Health Health    `json:"health,omitempty"` // of groups: none
	At     time.Time `json:"at"`
}

// WasKnown says what was last known of an app of which nothing is known: "last
// known: synced, healthy, 3 of 3 running at 2026-03-01 12:03:04 UTC". Empty: it is
// known, or never was.
func (a App) WasKnown() string {
	l := a.LastKnown
	if l == nil {
		return ""
	}
	words := []string{string(l.State)}
	if l.Health != "" {
		a.Health = l.Health
		words = append(words, string(l.Health), a.Counts())
	}
	return "last known: " + strings.Join(words, ", ") + " at " + at(l.At)
}

// tooLong is for how long an answer may be waited for until that is worth a word.
const tooLong = 5 * time.Second

// Away says of each Marathon that cannot be read, or keeps Pacer waiting, which it
// is, since when, and why: one sentence for all its syncs.
func (s Status) Away() []string {
	all := s.Marathons
	if len(all) == 0 {
		all = map[string]Marathon{"": s.Marathon}
	}
	var away []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m := all[name]; m.Error != "" || s.Now.Sub(m.Asked) >= tooLong {
			if said := m.unanswering(name); said != "" {
				away = append(away, said)
			}
		}
	}
	return away
}

// WhyStale says why nothing is known of the apps of a sync, where its Marathon does
// not say so for all of them (see Away); empty: it does, or they are known.
func (s Status) WhyStale(y Sync) string {
	if y.Stale == nil || y.Stale.Reason == s.MarathonOf(y).Error {
		return ""
	}
	return y.Stale.Reason
}

// LastError is the error of the last reconciliation, where Stale does not say it.
func (y Sync) LastError() string {
	if y.Last == nil || y.Stale != nil && strings.Contains(y.Last.Error, y.Stale.Reason) {
		return ""
	}
	return y.Last.Error
}

// SourceWaits says that a fetch keeps Pacer waiting; empty: none does.
func (s Status) SourceWaits(y Sync) string {
	if y.Fetching.IsZero() || y.SourceError != "" || s.Now.Sub(y.Fetching) < tooLong {
		return ""
	}
	return fmt.Sprintf("no answer from %s since %s", y.Source, at(y.Fetching))
}

// AsUnknown is what is shown of an app while nothing is known of it: unknown is never
// what it was before, nor empty.
//
//	                   shown
//	state, health      unknown (a group has no health), with what was known last beside
//	condition, reason  as before where they are of what Pacer, or git, has done: failed, blocked, broken manifest
//	                   none where Marathon would have to confirm it: rollout, why it is degraded
//	instances          as known last
//	approvals          none: what they would let through is to be planned again
func (a App) AsUnknown(s Stale) App {
	if !s.Known.IsZero() && a.State != Unknown {
		a.LastKnown = &LastKnown{State: a.State, Health: a.Health, At: s.Known}
	}
	a.State, a.Since, a.Approvable = Unknown, s.Since, false
	if a.Kind != manifests.KindGroup {
		a.Health = HealthUnknown
	}
	if a.Condition == InRollout || a.Condition == "" {
		a.Condition, a.Reason = "", ""
	}
	return a
}

// Believe ends a doubt that is older than what was read and compared.
func (s *Sync) Believe(read time.Time) {
	if s.Stale != nil && !s.Stale.Since.After(read) {
		s.Stale = nil
	}
}
