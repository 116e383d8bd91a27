package cache

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/manifests"
)

// Why a whole list was read.
const (
	whyAsked     = "asked"     // by State, while nothing is heard or something could not be read
	whyConnected = "connected" // a stream was opened: what was before it is not known
	whyResync    = "resync"
	whyMany      = "many" // more ids were named than are read one by one
	whyLost      = "lost" // a write is there of which nothing was heard
)

// work reads what is due, one round after the other, until ctx ends.
func (c *Cache) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.mu.Lock()
		do, at := c.due(time.Now())
		c.mu.Unlock()
		if do != nil {
			do(ctx)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(time.Until(at))
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
	}
}

// due says what is to be done now, or when to look again:
//
//	what                                               when
//	a list that State waits for                        now
//	a list after a stream was opened or a read failed  now, later after failures
//	what was written or is to be confirmed             once State waits for it; by a list where it is too much
//	what events named                                  5 ms after the first of them, 20 ms or more after the round before
//	a list for what is too much                        when the burst is over
//	a resync                                           at its time
//
// Called with mu held.
func (c *Cache) due(now time.Time) (do func(context.Context), at time.Time) {
	never := now.Add(time.Hour)
	list := func(why string) func(context.Context) {
		return func(ctx context.Context) { c.List(ctx, why) }
	}
	waited := c.asked > max(c.served, c.failed)
	switch {
	case waited && !(c.streaming && c.synced):
		return list(whyAsked), never
	case !c.streaming:
		return nil, never // whoever wants to know asks, and gets a list
	case !c.synced:
		if now.Before(c.pace.retry) {
			return nil, c.pace.retry
		}
		return list(whyConnected), never
	case c.waiting > 0 && len(c.owed) > c.singles():
		return list(whyMany), never
	case c.waiting > 0 && len(c.owed) > 0:
		return c.round, never
	case !now.Before(c.pace.resync):
		return list(whyResync), never
	}
	at = c.pace.resync
	if why, when := c.burst(); why != "" {
		if !now.Before(when) {
			return list(why), never
		}
		at = earlier(at, when)
	}
	if when := c.nextRound(); !when.IsZero() {
		if !now.Before(when) {
			return c.round, never
		}
		at = earlier(at, when)
	}
	if c.marks.seen != "" {
		at = earlier(at, c.marks.seenAt.Add(late))
		if !now.Before(c.marks.seenAt.Add(late)) {
			c.marks.seen, c.marks.whole = "", whyLost
			c.marks.stamp(now)
			at = now
		}
	}
	return nil, at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// burst says whether events named too much for single reads, and when it is to
// be listed: once it is over, and not too soon after the list before.
func (c *Cache) burst() (why string, at time.Time) {
	switch why = c.marks.whole; {
	case why != "":
	case len(c.marks.changed) > c.singles() || len(c.marks.fares) > c.singles():
		why = whyMany
	default:
		return "", time.Time{}
	}
	at = earlier(c.marks.last.Add(settled), c.marks.first.Add(longestWait))
	if free := c.pace.list.Add(max(leastGap, gapShare*c.pace.took)); at.Before(free) {
		at = free
	}
	return why, at
}

// nextRound is when single reads are due; zero: none are.
func (c *Cache) nextRound() time.Time {
	m, few := &c.marks, c.singles()
	if (len(m.changed) == 0 || len(m.changed) > few) && (len(m.fares) == 0 || len(m.fares) > few) && len(m.groups) == 0 && !m.frame && !m.deployments {
		return time.Time{}
	}
	return later(c.pace.round, m.first.Add(gather))
}

// list reads everything.
func (c *Cache) List(ctx context.Context, why string) {
	c.mu.Lock()
	taken := c.marks.take()
	serving, written, stream := c.asked, c.writes, c.stream
	k := c.known("/")
	c.mu.Unlock()

	began := time.Now()
	at := c.clock()
	r, err := c.up.List(ctx, k)

	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	took, changed := now.Sub(began), 0
	if err != nil {
		c.failed, c.err = serving, err
		c.missed(now)
	} else {
		changed = c.install(r, serving, written, at)
		c.synced = c.streaming && c.stream == stream
		c.marks.explained(r.GroupTree.Version) // it was read first: all that it holds is in the list
		c.pace = pace{resync: now.Add(wait.Jitter(c.options.Resync)), list: now, took: took, round: now.Add(roundBreath)}
		c.listed = at
	}
	c.options.Log.Debug("read Marathon's list", "why", why, "took", took, "changed", changed, "marked", len(taken.changed)+len(taken.fares), "error", err)
	c.tell()
}

// missed notes that something could not be read: nothing is known to be up to
// date till a list was. Called with mu held.
func (c *Cache) missed(now time.Time) {
	c.synced = false
	c.pace.failing++
	c.pace.retry = now.Add(wait.Jitter(readBackoff.After(c.pace.failing)))
}

// install puts a list in the place of what was known, and tells how many ids
// differ. Called with mu held.
func (c *Cache) install(r *marathon.Listing, serving, written uint64, at int64) int {
	var d differences
	for id, a := range r.Apps {
		r.Apps[id] = marathon.Listed{App: d.app(id, c.apps[id].App, a.App), Sum: a.Sum}
	}
	for id, a := range c.apps {
		if _, still := r.Apps[id]; !still {
			d.app(id, a.App, marathon.App{})
		}
	}
	for id, p := range r.Pods {
		r.Pods[id] = d.pod(id, c.pods[id], p)
	}
	for id, p := range c.pods {
		if _, still := r.Pods[id]; !still {
			d.pod(id, p, marathon.Pod{})
		}
	}
	d.frames(c.frame, r.GroupTree)
	if d.everything = !reflect.DeepEqual(c.cluster, r.Cluster); d.everything {
		c.cluster = r.Cluster
	}
	c.apps, c.pods, c.frame, c.deployments, c.snapshot = r.Apps, r.Pods, r.GroupTree, r.Deployments, nil
	c.served = serving
	maps.DeleteFunc(c.owed, func(_ string, n uint64) bool { return n <= written })
	clear(c.read)
	c.publish(&d)
	return len(d.changed) + len(d.fares)
}

// found is what a round has read. An entry that is nil is not there.
type found struct {
	apps        map[string]*marathon.Listed
	pods        map[string]*marathon.Pod
	groups      map[string]map[string]marathon.Listed // group → all apps in it
	frame       *marathon.GroupTree
	deployments []marathon.Deployment
}

// round reads what was named, each for itself.
func (c *Cache) round(ctx context.Context) {
	c.mu.Lock()
	want, rest := c.wanted(time.Now())
	written, stream, at := c.writes, c.stream, c.clock()
	k := c.known(want.groups...)
	c.mu.Unlock()

	began := time.Now()
	f, err := c.fetch(ctx, want, k)

	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	c.pace.round = now.Add(max(roundBreath, roundShare*now.Sub(began)))
	switch {
	case err != nil:
		c.options.Log.Debug("cannot read Marathon", "error", err)
		c.missed(now)
		c.pace.retry = now // by a list, at once
	case c.stream != stream:
		// The list that follows the new stream reads it once more.
	default:
		c.merge(f, at)
		maps.DeleteFunc(c.owed, func(id string, n uint64) bool { return n <= written && c.read[id] == at })
		if f.frame != nil {
			c.marks.see(f.frame.Version, now)
		}
	}
	if rest != "" && c.marks.whole == "" {
		c.marks.whole = rest
	}
	c.tell()
}

// known is what is known of the apps in some groups. Called with mu held.
func (c *Cache) known(groups ...string) *marathon.Known {
	k := &marathon.Known{BySum: map[marathon.Sum]marathon.Listed{}, Share: c.pool.share}
	for _, g := range groups {
		for id, a := range c.apps {
			if a.Sum != (marathon.Sum{}) && manifests.Within(id, g) {
				k.BySum[a.Sum] = a
			}
		}
	}
	return k
}

// wants is what a round is to read.
type wants struct {
	apps, pods  []string
	groups      []string
	frame       bool
	deployments bool
}

// wanted takes from the marks what a round reads, and tells why a list must
// follow, if one must. Called with mu held.
func (c *Cache) wanted(now time.Time) (w wants, whole string) {
	m, few := &c.marks, c.singles()
	ids := map[string]manifests.Kind{}
	if c.waiting > 0 && len(c.owed) <= few {
		for id := range c.owed {
			ids[id] = ""
		}
	}
	for _, marked := range []map[string]manifests.Kind{m.fares, m.changed} {
		if len(marked) <= few {
			maps.Copy(ids, marked)
			clear(marked)
		}
	}
	for id, kind := range ids {
		_, app := c.apps[id]
		_, pod := c.pods[id]
		unknown := kind == "" && !app && !pod
		if app || kind == manifests.KindApp || unknown {
			w.apps = append(w.apps, id)
		}
		if pod || kind == manifests.KindPod || unknown && len(c.pods) > 0 {
			w.pods = append(w.pods, id)
		}
	}
	for version, g := range m.groups {
		if m.named(version) {
			delete(m.groups, version)
			continue
		}
		if now.Sub(g.at) < naming { // what names the ids may be on its way
			continue
		}
		delete(m.groups, version)
		if g.group == "/" || c.members(g.group) > fewMembers {
			whole = whyMany
		} else {
			w.groups = append(w.groups, g.group)
		}
	}
	slices.Sort(w.groups)
	w.groups = slices.Compact(w.groups)
	w.frame, w.deployments = m.frame, m.deployments
	m.frame, m.deployments = false, false
	if len(m.changed)+len(m.fares)+len(m.groups) == 0 && m.whole == "" {
		m.first, m.last = time.Time{}, time.Time{}
	}
	return w, whole
}

func (c *Cache) members(group string) int {
	n := 0
	for id := range c.apps {
		if manifests.Within(id, group) {
			n++
		}
	}
	return n
}

// mostReads is how many requests of a round are under way at once.
const mostReads = 4

// fetch reads what is wanted: all of it, or an error.
func (c *Cache) fetch(ctx context.Context, w wants, k *marathon.Known) (*found, error) {
	f := &found{apps: map[string]*marathon.Listed{}, pods: map[string]*marathon.Pod{}, groups: map[string]map[string]marathon.Listed{}}
	apps, pods := make([]*marathon.Listed, len(w.apps)), make([]*marathon.Pod, len(w.pods))
	groups := make([]map[string]marathon.Listed, len(w.groups))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(mostReads)
	for i, id := range w.apps {
		g.Go(func() (err error) {
			a, err := c.up.App(ctx, id)
			if err == nil {
				a.Tasks, a.Ended = nil, nil // of no use to who reads everything
				k.Share(&a)
				apps[i] = &marathon.Listed{App: a}
			}
			return marathon.ExceptMissing(err)
		})
	}
	for i, id := range w.pods {
		g.Go(func() (err error) {
			p, err := c.up.Pod(ctx, id)
			if err == nil {
				pods[i] = &p
			}
			return marathon.ExceptMissing(err)
		})
	}
	for i, group := range w.groups {
		g.Go(func() (err error) { groups[i], err = c.up.Under(ctx, group, k); return err })
	}
	if w.frame {
		g.Go(func() (err error) {
			read, err := c.up.Groups(ctx)
			f.frame = &read
			return err
		})
	}
	if w.deployments {
		g.Go(func() (err error) { f.deployments, err = c.up.Deployments(ctx); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, id := range w.apps {
		f.apps[id] = apps[i]
	}
	for i, id := range w.pods {
		f.pods[id] = pods[i]
	}
	for i, id := range w.groups {
		f.groups[id] = groups[i]
	}
	return f, nil
}

// merge puts what a round has read in the place of what was known. Called with
// mu held.
func (c *Cache) merge(f *found, at int64) {
	var d differences
	for group, apps := range f.groups {
		for id, a := range c.apps {
			if _, still := apps[id]; !still && manifests.Within(id, group) {
				d.app(id, a.App, marathon.App{})
				delete(c.apps, id)
			}
		}
		for id, a := range apps {
			c.apps[id] = marathon.Listed{App: d.app(id, c.apps[id].App, a.App), Sum: a.Sum}
		}
	}
	for id, a := range f.apps {
		c.read[id] = at
		if a == nil {
			d.app(id, c.apps[id].App, marathon.App{})
			delete(c.apps, id)
			continue
		}
		c.apps[id] = marathon.Listed{App: d.app(id, c.apps[id].App, a.App)}
	}
	for id, p := range f.pods {
		c.read[id] = at
		if p == nil {
			d.pod(id, c.pods[id], marathon.Pod{})
			delete(c.pods, id)
			continue
		}
		c.pods[id] = d.pod(id, c.pods[id], *p)
	}
	if f.frame != nil {
		d.frames(c.frame, *f.frame)
		c.frame = *f.frame
	}
	if f.deployments != nil {
		c.deployments = f.deployments
	}
	c.snapshot = nil
	c.publish(&d)
}
