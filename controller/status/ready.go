package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SourceGrace is for how long a source may fail that was read before, until its
// syncs count as unable to work: a git host that is restarted is no reason to take
// a replica out.
const SourceGrace = time.Minute

// NotReady says why this process should not be relied on: one sentence a cause,
// none when it is ready. What belongs to this replica alone must be whole; what
// others share, a source or a Marathon, must have answered once, and later only so
// that some sync can work, since another replica would fare no better:
//
//	what                                                                       ready
//	the controller does not run                                                no
//	of several replicas, this one could not become the leader                  no
//	the store cannot be written (a folder) or read (ZooKeeper)                 no
//	the state of a sync cannot be read, or was not saved when it last should   no
//	a sync whose source was never read, or was never compared with Marathon,   no
//	also where either does not answer
//	no sync can work: its source fails for a minute, or its Marathon is away   no
//	some syncs cannot work, others can                                         yes
//	rollouts hang or fail, syncs are suspended, changes are blocked            yes
func (s Status) NotReady() []string {
	var why []string
	if !s.Running {
		why = append(why, "the controller is not running")
	}
	if s.Leader != nil && s.Leader.NotReady() != "" {
		why = append(why, "this replica cannot become the leader: "+s.Leader.NotReady())
	}
	if s.Store != "" {
		why = append(why, "the store cannot be used: "+s.Store)
	}
	var unable, away []string
	for _, y := range s.Syncs {
		if y.StoreError != "" {
			why = append(why, "sync "+y.Name+": "+y.StoreError)
		}
		reason, cannot := y.notBegun(), s.unable(y)
		if reason != "" {
			why = append(why, "sync "+y.Name+": "+reason)
		}
		if cannot != "" {
			unable = append(unable, cannot)
		}
		if reason != "" {
			away = append(away, s.MarathonOf(y).unanswering(y.Marathon))
		}
	}
	if len(unable) < len(s.Syncs) {
		unable = nil
	}
	for _, reason := range append(unable, away...) {
		if reason != "" && !slices.Contains(why, reason) { // once for all syncs
			why = append(why, reason)
		}
	}
	for i := range why {
		why[i] = strings.ReplaceAll(why[i], "\n", "; ") // of several errors at once
	}
	return why
}

// notBegun says what a sync has not done since the start of the process, and what of
// its source that waits for; empty: nothing. One that is rolled back needs no source.
func (y Sync) notBegun() string {
	switch unread := y.Revision.ID == "" && y.RolledBack == nil; {
	case unread && y.SourceError != "":
		return "its source has not been fetched yet: " + y.SourceError
	case !y.Planned.IsZero():
		return ""
	case unread && !y.Fetching.IsZero():
		return fmt.Sprintf("its source has not been fetched yet: no answer from %s since %s", y.Source, at(y.Fetching))
	}
	return "git and Marathon have not been compared yet"
}

// at names a time as text that is read later, by whoever, does.
func at(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// MarathonOf is what is known of the Marathon of a sync.
func (s Status) MarathonOf(y Sync) Marathon {
	if named, ok := s.Marathons[y.Marathon]; ok {
		return named
	}
	return s.Marathon
}

// unable says what outside of this process keeps a sync from working.
func (s Status) unable(y Sync) string {
	away := s.MarathonOf(y)
	switch {
	case away.Error != "":
		return away.unanswering(y.Marathon)
	case y.RolledBack == nil && !y.SourceFailing.IsZero() && s.Now.Sub(y.SourceFailing) >= SourceGrace:
		return fmt.Sprintf("sync %s: its source cannot be read since %s: %s", y.Name, at(y.SourceFailing), y.SourceError)
	}
	return ""
}

// unanswering says why nothing is known of a Marathon; empty: it has answered.
func (m Marathon) unanswering(name string) string {
	switch {
	case m.Error != "":
		return m.unreadable(name) + ": " + m.Error
	case m.Reached.IsZero() && !m.Asked.IsZero():
		return fmt.Sprintf("no answer from Marathon %s since %s", cmp.Or(m.URL, name), at(m.Asked))
	}
	return ""
}

// unreadable says that a Marathon of a name cannot be read, and since when.
func (m Marathon) unreadable(name string) string {
	said := strings.TrimSpace("Marathon "+name) + " cannot be read"
	if !m.Failing.IsZero() {
		said += " since " + at(m.Failing)
	}
	return said
}
