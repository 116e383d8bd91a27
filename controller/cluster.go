package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
)

// Cluster is one Marathon, what tells of it, and what acts on it.
type Cluster struct {
	Marathon Marathon
	Address  string // its URLs, for people, without secrets
	// Events opens the stream of Marathon's events (marathon.TriggerEvents),
	// which is opened again whenever it ends; nil: changes made by others are
	// found by the resync.
	Events  func(context.Context) (EventStream, error)
	Applier reconcile.Applier
}

// cluster is a Cluster and what is known of it. Nothing of it is shared with
// another: one that is slow or away holds up only its own syncs.
type cluster struct {
	Cluster
	name     string // empty: the only one, which needs none
	observer *observer
	lives    lives
	restarts status.Restarts
	hears    atomic.Bool     // its events
	status   status.Marathon // guarded by the controller's mu
	waiting  int             // for its state, guarded likewise
}

func newCluster(name string, given Cluster) *cluster {
	m := &cluster{Cluster: given, name: name}
	m.observer = newObserver(func() time.Time { return m.restarts.NextSteady(time.Now()) })
	return m
}

// clustersOf lists the clusters that the options name.
func clustersOf(o Options) (map[string]*cluster, error) {
	all := map[string]*cluster{}
	for name, given := range o.Clusters {
		if given.Marathon == nil || given.Applier == nil {
			return nil, errors.New("controller: each cluster requires a Marathon and an Applier")
		}
		all[name] = newCluster(name, given)
	}
	if len(all) == 0 {
		return nil, errors.New("controller: there is no Marathon")
	}
	return all, nil
}

// has reports whether the options name a cluster.
func (o Options) has(name string) bool {
	_, named := o.Clusters[name]
	return named
}

// stateOf reads a Marathon, and notes for Status that it is asked and whether it
// answers. by is the sync that needs it; nil: none alone.
func (c *Controller) stateOf(ctx context.Context, m *cluster, by *syncer) (marathon.State, error) {
	c.mu.Lock()
	if m.waiting++; m.waiting == 1 {
		m.status.Asked = time.Now()
	}
	c.mu.Unlock()
	state, err := m.Marathon.State(ctx)
	c.mu.Lock()
	if m.waiting--; m.waiting == 0 {
		m.status.Asked = time.Time{}
	}
	c.mu.Unlock()
	if ctx.Err() == nil { // else it was not waited for to the end
		c.reached(m, by, state, err)
	}
	return state, err
}

// reached notes whether a Marathon answers, and what follows from that for all its
// syncs: without an answer nothing is known of their apps, and with the first one
// after that they are compared again, but by, which is about to.
func (c *Controller) reached(m *cluster, by *syncer, state marathon.State, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := m.status.Error
	if err != nil {
		if m.status.Error = err.Error(); before == "" {
			m.status.Failing = time.Now()
			c.log.Warn("Marathon cannot be read: what is shown of its apps is what was known last", "marathon", cmp.Or(m.name, m.Address), "error", err)
		}
		c.lost(m)
		return
	}
	m.restarts.Observe(state, time.Now())
	m.status = status.Marathon{Version: state.Cluster.Version, Reached: time.Now(), Asked: m.status.Asked}
	if before != "" {
		c.log.Info("Marathon can be read again", "marathon", cmp.Or(m.name, m.Address))
		c.found(m, by)
	}
}

// hearing notes whether a cluster's events are heard. The metric reports whether
// all are that can be.
func (c *Controller) hearing(m *cluster, hears bool) {
	m.hears.Store(hears)
	all := 1.0
	for _, m := range c.clusters {
		if m.Events != nil && !m.hears.Load() {
			all = 0
		}
	}
	c.metrics.stream.Set(all)
}

// marathons is what is known of all clusters: what is wrong with any in one
// sentence, what was read least recently, and where there are names each by its
// name. Called with mu held.
func (c *Controller) marathons() (sum status.Marathon, each map[string]status.Marathon) {
	var wrong []string
	for i, name := range slices.Sorted(maps.Keys(c.clusters)) {
		s := c.clusters[name].status
		s.URL = c.clusters[name].Address
		if name != "" {
			if each == nil {
				each = map[string]status.Marathon{}
			}
			each[name] = s
		}
		if s.Error != "" {
			if name != "" {
				s.Error = fmt.Sprintf("%s: %s", name, s.Error)
			}
			wrong = append(wrong, s.Error)
		}
		if i == 0 || s.Reached.Before(sum.Reached) {
			sum = s
		}
	}
	sum.Error = strings.Join(wrong, "; ")
	return sum, each
}

// lost notes of all syncs of a cluster that nothing is known of their apps. Called
// with mu held.
func (c *Controller) lost(m *cluster) {
	for _, y := range c.syncers {
		if y.cluster == m {
			y.view.Doubt(m.status.Error, m.status.Reached)
		}
	}
}

// found has all syncs of a cluster compared again, but the one that does so already:
// what Marathon holds may be anything now. Called with mu held.
func (c *Controller) found(m *cluster, by *syncer) {
	if c.run == nil {
		return
	}
	for _, y := range c.syncers {
		if y.cluster == m && y != by {
			c.run.schedule.AnswersAgain(y.slot)
		}
	}
}

// live is the Marathon of one sync.
type live struct {
	c *Controller
	m *cluster
	y *syncer
}

// State implements Live.
func (l live) State(ctx context.Context) (marathon.State, error) { return l.c.stateOf(ctx, l.m, l.y) }

// Confirm implements Live.
func (l live) Confirm(ctx context.Context, ids []string) (state marathon.State, isNews bool, err error) {
	confirmer, ok := l.m.Marathon.(reconcile.Confirmer)
	if !ok {
		return marathon.State{}, false, nil
	}
	state, err = confirmer.Confirm(ctx, ids)
	if ctx.Err() == nil {
		l.c.reached(l.m, l.y, state, err)
	}
	return state, true, err
}

// Witness implements Live.
func (l live) Witness() reconcile.Witness {
	w, _ := l.m.Marathon.(reconcile.Witness)
	return w
}

// Plan implements Live.
func (l live) Plan(s marathon.State) plan.Live { return l.m.lives.of(s) }

// Restarts implements Live.
func (l live) Restarts() *status.Restarts { return &l.m.restarts }

// Address implements Live.
func (l live) Address() string { return l.m.Address }

// Waiting implements Live.
func (l live) Waiting() (end func()) { return l.m.observer.wait() }

// ChangeEnded implements Live.
func (l live) ChangeEnded() { l.m.observer.ended.Notify() }

// lives makes LiveOf once for all reconciliations that plan on one state: of a live cache
// that is every sync, for as long as nothing changes.
type lives struct {
	mu   sync.Mutex
	from uintptr // the map of apps it was made from, which last keeps from being reused
	last marathon.State
	live plan.Live
}

func (l *lives) of(s marathon.State) plan.Live {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from := reflect.ValueOf(s.Apps).Pointer(); l.from != from {
		l.from, l.last, l.live = from, s, reconcile.LiveOf(s)
	}
	return l.live
}
