package reconcile

import (
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
)

// Fetch is what one fetch of a source has shown.
type Fetch struct {
	Snapshot *sources.Snapshot // the last good one; nil: there was none yet
	Err      error             // of this fetch: the snapshot stays in force
	At       time.Time
	Failing  time.Time   // when the first fetch of those failed that have failed since a good one
	First    bool        // the first fetch of all
	Moved    bool        // the revision is another one than before
	By       store.Asked // who or what it was for

	Fetched   *Term // in which the fetch of the snapshot began; nil: in none
	Tried     *Term // in which this fetch began; nil: in none
	News      bool  // the first fetch that ended in its term, or that ended well
	Confirmed bool  // the revision that it was asked again for has been confirmed
}
