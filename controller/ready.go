package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// sourceGrace is for how long a source may fail that was read before, until its
// syncs count as unable to work: a git host that is restarted is no reason to take
// a replica out.
const sourceGrace = time.Minute

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
func (y SyncStatus) notBegun() string {
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
func (s Status) MarathonOf(y SyncStatus) MarathonStatus {
	if named, ok := s.Marathons[y.Marathon]; ok {
		return named
	}
	return s.Marathon
}

// unable says what outside of this process keeps a sync from working.
func (s Status) unable(y SyncStatus) string {
	away := s.MarathonOf(y)
	switch {
	case away.Error != "":
		return away.unanswering(y.Marathon)
	case y.RolledBack == nil && !y.SourceFailing.IsZero() && s.Now.Sub(y.SourceFailing) >= sourceGrace:
		return fmt.Sprintf("sync %s: its source cannot be read since %s: %s", y.Name, at(y.SourceFailing), y.SourceError)
	}
	return ""
}

// unanswering says why nothing is known of a Marathon; empty: it has answered.
func (m MarathonStatus) unanswering(name string) string {
	switch {
	case m.Error != "":
		return m.unreadable(name) + ": " + m.Error
	case m.Reached.IsZero() && !m.Asked.IsZero():
		return fmt.Sprintf("no answer from Marathon %s since %s", cmp.Or(m.URL, name), at(m.Asked))
	}
	return ""
}

// unreadable says that a Marathon of a name cannot be read, and since when.
func (m MarathonStatus) unreadable(name string) string {
	said := strings.TrimSpace("Marathon "+name) + " cannot be read"
	if !m.Failing.IsZero() {
		said += " since " + at(m.Failing)
	}
	return said
}

// storage is why the state of a sync could not be read or saved last.
type storage struct{ load, save error }

// words say why; empty: it could.
func (s storage) words() string {
	if err := cmp.Or(s.load, s.save); err != nil {
		return err.Error()
	}
	return ""
}

// loaded notes what became of reading the state anew: what was not saved before is
// given up with that.
func (y *syncer) loaded(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.storage = storage{load: err}
}

// saved notes what became of saving the state, whole or in part.
func (y *syncer) saved(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.storage.save = err
}

// Prober is a store that can be tried without anything to save. Every
// store.Records is.
type Prober interface {
	// Probe tells whether the store can be used, at the least cost that shows it.
	Probe(ctx context.Context) error
}

var _ Prober = store.Records(nil)

// probed is what the last try of the store has shown.
type probed struct {
	mu    sync.Mutex
	error string
}

// set notes what a try has shown, and tells whether the store can be used again.
func (p *probed) set(err error) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.error
	p.error = ""
	if err != nil {
		p.error = err.Error()
	}
	return before != "" && err == nil
}

func (p *probed) get() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.error
}

// probe tries the store until ctx ends, since at rest nothing is saved for hours. A
// sync that could not load or save tries again as soon as the store can be used.
func (c *Controller) probe(ctx context.Context, store Prober, interval time.Duration) {
	for {
		err := c.tryStore(ctx, store)
		if ctx.Err() != nil {
			return
		}
		if c.probed.set(err) {
			c.retryStored()
		}
		if wait.Sleep(ctx, interval) != nil {
			return
		}
	}
}

func (c *Controller) tryStore(ctx context.Context, store Prober) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	return store.Probe(ctx)
}

// retryStored asks for a pass of each sync whose state could not be read or saved.
func (c *Controller) retryStored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, y := range c.syncers {
		y.mu.Lock()
		failed := y.storage != (storage{})
		y.mu.Unlock()
		if failed && c.run != nil {
			y.note(store.Asked{By: store.AskedByRetry})
			c.run.queue.Add(name)
		}
	}
}
