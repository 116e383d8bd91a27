package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/internal/wait"
)

// Peers is what a controller knows of the other replicas. *leader.Candidate is
// one.
type Peers interface {
	// Report tells the others which sources this replica cannot read. It does
	// not wait.
	Report(failing []string)
	// Reports is what the other candidates told last, one list each.
	Reports(ctx context.Context) ([][]string, error)
	// Abdicate hands over to the next in line.
	Abdicate(ctx context.Context) error
}

// When a leader hands over since it cannot read a source that another can.
const (
	// handOverAfter is how long the source must have failed: longer than others,
	// which ask it twice a minute, take to find out that it is away for them too.
	handOverAfter = time.Minute
	// handOverAgain is the least time between two such hand-overs of a replica.
	handOverAgain = 5 * time.Minute
	// peersInterval is how often that is looked at.
	peersInterval = time.Second
)

// handsOver decides whether a leader hands over for its sources. Failing says, by
// name, for how long each cannot be read that cannot, and in the first fetches of
// the term could not.
//
//	own sources                        another replica's        handed over so   verdict
//	all can be read                                                              stay
//	fail, none for long                                                          stay
//	one fails for long                 that one fails too                        stay
//	one fails for long                 not that, but another    any              stay
//	one fails for long                 some of its own only     < 5 min ago      stay
//	one fails for long                 some of its own only     longer ago       hand over
//
// For long is holdAfter for a source that was not read in the term, as its syncs
// are held then, and else handOverAfter. Some of its own only, and not that one:
// so two replicas never hand over to each other for ever.
func handsOver(failing map[string]failure, others [][]string, since time.Duration) (because []string) {
	var long []string
	for name, f := range failing {
		if f.lasts >= handOverAfter || f.held && f.lasts >= reconcile.HoldAfter {
			long = append(long, name)
		}
	}
	slices.Sort(long)
	if len(long) == 0 || since < handOverAgain {
		return nil
	}
	for _, other := range others {
		if slices.ContainsFunc(other, func(name string) bool { _, own := failing[name]; return !own }) {
			continue
		}
		if reads := slices.DeleteFunc(slices.Clone(long), func(name string) bool { return slices.Contains(other, name) }); len(reads) > 0 {
			return reads
		}
	}
	return nil
}

// failure is a source that cannot be read.
type failure struct {
	lasts time.Duration
	held  bool // it was not read in the term
}

// watchPeers tells the other replicas which sources cannot be read, and hands over
// where one of them can, until ctx ends.
func (c *Controller) watchPeers(ctx context.Context) {
	var told []string
	var handedOver time.Time
	for tells := false; wait.Sleep(ctx, peersInterval) == nil; {
		failing, known := c.failing()
		if names := slices.Sorted(maps.Keys(failing)); known && (!tells || !slices.Equal(names, told)) {
			c.peers.Report(names)
			told, tells = names, true
		}
		if len(failing) == 0 || c.inForce() == nil || handsOver(failing, [][]string{nil}, time.Since(handedOver)) == nil {
			continue // not even one that can read all would be better
		}
		others, err := c.peers.Reports(ctx)
		if err != nil {
			continue // the election finds out by itself what is wrong
		}
		if because := handsOver(failing, others, time.Since(handedOver)); because != nil {
			c.log.Warn("handing over leadership: another replica can read sources that this one cannot", "sources", because)
			handedOver = time.Now()
			if err := c.peers.Abdicate(ctx); err != nil {
				c.log.Warn("cannot hand over leadership", "error", err)
			}
		}
	}
}

// failing lists the sources that cannot be read, by name; known: each was asked.
func (c *Controller) failing() (failing map[string]failure, known bool) {
	c.mu.Lock()
	t, watchers := c.term, maps.Clone(c.watchers)
	c.mu.Unlock()
	failing, known = map[string]failure{}, true
	for name, w := range watchers {
		since, asked := w.FailingSince()
		known = known && asked
		if since.IsZero() {
			continue
		}
		f := failure{lasts: time.Since(since)}
		if t != nil && w.Last().Fetched != t {
			f = failure{lasts: min(f.lasts, time.Since(t.Began)), held: true}
		}
		failing[name] = f
	}
	return failing, known
}
