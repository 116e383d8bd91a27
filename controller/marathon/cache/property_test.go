package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// globe is a Marathon in memory on a clock of the test: it remembers all that
// each id ever was, takes its time to answer, and tells of its writes on
// streams that may lose, double and mix up what they carry.
type globe struct {
	mu      sync.Mutex
	random  *rand.Rand
	apps    map[string]marathon.App
	history map[string][]string // id → all it ever was, in order; "" is not there
	since   map[string][]time.Time
	groups  map[string]bool
	version int
	streams map[*wire]bool
	lossy   bool // events get lost, doubled and late
	broken  bool // reads fail
	lists   int
	singles int
	frames  int
}

func newGlobe(seed uint64) *globe {
	return &globe{random: rand.New(rand.NewPCG(seed, 1)), apps: map[string]marathon.App{}, history: map[string][]string{}, since: map[string][]time.Time{}, groups: map[string]bool{}, streams: map[*wire]bool{}}
}

// face is what an app looks like; "" if it is not there.
func face(a marathon.App) string {
	if a.Definition == nil {
		return ""
	}
	return fmt.Sprintf("%d instances of %s, running %d, healthy %d, %v", *a.Definition.Instances, *a.Definition.Cmd, a.Status.Running, a.Status.Healthy, a.Status.Deployments)
}

func (g *globe) note(id string) {
	if len(g.history[id]) == 0 {
		g.history[id], g.since[id] = []string{""}, []time.Time{{}}
	}
	if now := face(g.apps[id]); g.history[id][len(g.history[id])-1] != now {
		g.history[id], g.since[id] = append(g.history[id], now), append(g.since[id], time.Now())
	}
}

// at is the index of what an id was at a time.
func (g *globe) at(id string, t time.Time) int {
	i := len(g.since[id]) - 1
	for i > 0 && g.since[id][i].After(t) {
		i--
	}
	return i
}

// put makes an app what f makes of it, without telling anybody.
func (g *globe) put(id string, f func(*marathon.App)) {
	a := g.apps[id]
	if a.Definition == nil {
		a.Definition = &manifests.App{ID: id, Cmd: new("x"), Instances: new(0)}
	}
	d := *a.Definition
	a.Definition = &d
	f(&a)
	g.apps[id] = a
	g.groups[parentOf(id)] = true
	g.note(id)
}

func (g *globe) remove(id string) {
	delete(g.apps, id)
	g.note(id)
}

func parentOf(id string) string { return id[:max(1, strings.LastIndexByte(id, '/'))] }

// wrote tells of a write: of the group, and unless it touches no task of the ids.
func (g *globe) wrote(group string, ids []string, plan bool) string {
	g.version++
	version := fmt.Sprintf("v%06d", g.version)
	events := []marathon.Event{{Type: "group_change_success", Data: fmt.Appendf(nil, `{"groupId": %q, "version": %q}`, group, version)}}
	if plan {
		var actions []string
		for _, id := range ids {
			actions = append(actions, fmt.Sprintf(`{"action": "ScaleApplication", "app": %q}`, id))
		}
		data := fmt.Appendf(nil, `{"plan": {"version": %q, "steps": [{"actions": [%s]}]}}`, version, strings.Join(actions, ","))
		events = append(events, marathon.Event{Type: "deployment_info", Data: data}, marathon.Event{Type: "deployment_success", Data: data})
	}
	g.random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] }) // no order across types
	g.send(events...)
	return version
}

func (g *globe) send(events ...marathon.Event) {
	for s := range g.streams {
		for _, e := range events {
			times, late := 1, time.Duration(0)
			if g.lossy {
				times = g.random.IntN(3)
				late = time.Duration(g.random.IntN(3)) * 700 * time.Millisecond
			}
			for range times {
				s.carry(e, late)
			}
		}
	}
}

// wire is one stream.
type wire struct {
	g      *globe
	ctx    context.Context
	events chan marathon.Event
	cut    chan struct{}
}

func (s *wire) carry(e marathon.Event, late time.Duration) {
	go func() {
		time.Sleep(late)
		select {
		case s.events <- e:
		case <-s.cut:
		case <-s.ctx.Done():
		}
	}()
}

func (s *wire) Next() (marathon.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-s.cut:
		return marathon.Event{}, io.EOF
	case <-s.ctx.Done():
		return marathon.Event{}, context.Cause(s.ctx)
	}
}

func (s *wire) Close() error { return nil }

func (g *globe) cutStreams() {
	for s := range g.streams {
		close(s.cut)
		delete(g.streams, s)
	}
}

func (g *globe) events(ctx context.Context) (follower, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken {
		return nil, errBroken
	}
	s := &wire{g: g, ctx: ctx, events: make(chan marathon.Event), cut: make(chan struct{})}
	g.streams[s] = true
	return s, nil
}

var errBroken = errors.New("connection refused")

// answer takes its time before and after f looks at the globe.
func (g *globe) answer(f func()) error {
	g.mu.Lock()
	before, after := time.Duration(g.random.IntN(40))*time.Millisecond, time.Duration(g.random.IntN(40))*time.Millisecond
	g.mu.Unlock()
	time.Sleep(before)
	g.mu.Lock()
	broken := g.broken
	f()
	g.mu.Unlock()
	time.Sleep(after)
	if broken {
		return errBroken
	}
	return nil
}

func (g *globe) frame() marathon.GroupTree {
	f := marathon.GroupTree{Groups: map[string]*manifests.Group{}, Roles: map[string]bool{}, Version: fmt.Sprintf("v%06d", g.version)}
	for id := range g.groups {
		f.Groups[id] = &manifests.Group{ID: id}
	}
	return f
}

func (g *globe) told(within string) map[string]marathon.Listed {
	apps := map[string]marathon.Listed{}
	for id, a := range g.apps {
		if manifests.Within(id, within) {
			a.Definition = &manifests.App{ID: id, Cmd: new(*a.Definition.Cmd), Instances: new(*a.Definition.Instances)} // decoded anew
			apps[id] = marathon.Listed{App: a}
		}
	}
	return apps
}

func (g *globe) List(context.Context, *marathon.Known) (*marathon.Listing, error) {
	r := &marathon.Listing{Cluster: manifests.DefaultCluster(), Pods: map[string]marathon.Pod{}, Deployments: []marathon.Deployment{}}
	err := g.answer(func() { g.lists++; r.GroupTree = g.frame() })
	if err == nil {
		err = g.answer(func() { r.Apps = g.told("/") }) // another request: another moment
	}
	return r, err
}

func (g *globe) Under(_ context.Context, group string, _ *marathon.Known) (apps map[string]marathon.Listed, err error) {
	err = g.answer(func() { apps = g.told(group) })
	return apps, err
}

// view is a globe as a Cache sees it.
type view struct{ *globe }

func (v view) SecondIDs(context.Context) (map[string]bool, bool, error) { return nil, false, nil }

func (v view) Groups(context.Context) (f marathon.GroupTree, err error) {
	err = v.answer(func() { v.frames++; f = v.frame() })
	return f, err
}

func (v view) App(_ context.Context, id string) (a marathon.App, err error) {
	found := false
	err = v.answer(func() {
		v.singles++
		l, ok := v.told("/")[id]
		a, found = l.App, ok
	})
	if err == nil && !found {
		err = &marathon.Error{Status: 404, Sent: true}
	}
	return a, err
}

func (v view) Pod(context.Context, string) (marathon.Pod, error) {
	return marathon.Pod{}, &marathon.Error{Status: 404, Sent: true}
}

func (v view) Deployments(context.Context) ([]marathon.Deployment, error) {
	return []marathon.Deployment{}, v.answer(func() {})
}

// prank is one thing that happens to a globe and those who look at it.
type prank struct {
	Kind string
	App  string
	N    int
}

var pranks = []string{
	"scale", "scale", "create", "delete", "metadata", "bulk", "no-op", "task", "cut", "break", "mend",
	"own write", "own write", "look", "look", "confirm", "time", "moment",
}

func drawPranks(t *rapid.T) []prank {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) prank {
		return prank{
			Kind: rapid.SampledFrom(pranks).Draw(t, "kind"),
			App:  rapid.SampledFrom([]string{"/a/one", "/a/two", "/b/one", "/b/c/deep"}).Draw(t, "app"),
			N:    rapid.IntRange(1, 9).Draw(t, "n"),
		}
	}), 1, 30).Draw(t, "pranks")
}

// TestCacheEqualsMarathon: whatever is written, lost, doubled, late, cut or
// broken, the cache shows of each app only what it was at some time, never
// something older than the last own write or what was confirmed, and after a
// resync exactly what there is; where no event was lost, soon.
func TestCacheEqualsMarathon(t *testing.T) {
	for name, lossy := range map[string]bool{"nothing lost": false, "events lost": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				script, seed := drawPranks(rt), rapid.Uint64().Draw(rt, "seed")
				var fault string
				synctest.Test(t, func(t *testing.T) { fault = playCache(t, script, seed, lossy) })
				if fault != "" {
					rt.Fatal(fault)
				}
			})
		})
	}
}

type stage struct {
	g     *globe
	cache *Cache
	ctx   context.Context
	fault string
}

func playCache(t *testing.T, script []prank, seed uint64, lossy bool) string {
	g := newGlobe(seed)
	g.lossy = lossy
	for i, id := range []string{"/a/one", "/a/two", "/b/one", "/b/c/deep"} {
		g.put(id, func(a *marathon.App) { a.Definition.Instances = new(i) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &stage{g: g, cache: newCache(view{g}, Options{Resync: 5 * time.Minute}), ctx: ctx}
	done := make(chan error, 1)
	go func() { done <- s.cache.Run(ctx) }()
	for _, p := range script {
		s.play(p)
	}
	g.mu.Lock()
	g.broken = false
	g.mu.Unlock()
	wait := readBackoff.Max + longestWait + leastGap + late + time.Minute/4
	if lossy {
		wait = readBackoff.Max + 6*time.Minute
	}
	time.Sleep(wait)
	s.equal()
	cancel()
	if err := <-done; err != nil {
		return err.Error()
	}
	return s.fault
}

func (s *stage) say(format string, args ...any) {
	if s.fault == "" {
		s.fault = fmt.Sprintf(format, args...)
	}
}

func (s *stage) play(p prank) {
	g := s.g
	g.mu.Lock()
	switch p.Kind {
	case "scale", "create":
		g.put(p.App, func(a *marathon.App) { a.Definition.Instances = &p.N })
		g.wrote(parentOf(p.App), []string{p.App}, true)
	case "metadata": // no deployment names it
		g.put(p.App, func(a *marathon.App) { a.Definition.Cmd = new(fmt.Sprint("meta", p.N)) })
		g.wrote(parentOf(p.App), nil, false)
	case "delete":
		g.remove(p.App)
		g.wrote(parentOf(p.App), []string{p.App}, true)
	case "bulk":
		var ids []string
		for i := range 40 * p.N {
			id := fmt.Sprintf("/bulk/app%d", i)
			g.put(id, func(a *marathon.App) { a.Definition.Instances = &p.N })
			ids = append(ids, id)
		}
		g.wrote("/", ids, true)
	case "no-op":
		g.wrote(parentOf(p.App), nil, false)
	case "task":
		if _, there := g.apps[p.App]; there {
			g.put(p.App, func(a *marathon.App) { a.Status.Running = p.N })
			g.send(marathon.Event{Type: "instance_changed_event", Data: fmt.Appendf(nil, `{"runSpecId": %q}`, p.App)})
		}
	case "cut":
		g.cutStreams()
	case "break":
		g.broken = true
	case "mend":
		g.broken = false
	}
	g.mu.Unlock()
	switch p.Kind {
	case "own write":
		s.ownWrite(p)
	case "look":
		s.look(nil)
	case "confirm":
		s.look([]string{p.App})
	case "time":
		time.Sleep(time.Duration(p.N) * time.Second)
	case "moment":
		time.Sleep(time.Duration(p.N) * 10 * time.Millisecond)
	}
}

// ownWrite writes as the Client does, which tells the cache when it is answered.
func (s *stage) ownWrite(p prank) {
	s.g.mu.Lock()
	s.g.put(p.App, func(a *marathon.App) { a.Definition.Cmd = new(fmt.Sprint("own", p.N)) })
	version := s.g.wrote(parentOf(p.App), []string{p.App}, true)
	s.g.mu.Unlock()
	s.cache.wrote([]string{p.App}, version)
	s.look([]string{p.App}, p.App)
}

// look asks for the state, and checks that it is none that never was. What is
// fresh must be no older than now, and what is confirmed than a moment ago.
func (s *stage) look(confirm []string, fresh ...string) {
	s.g.mu.Lock()
	least := map[string]int{}
	for _, id := range confirm {
		least[id] = s.g.at(id, time.Now().Add(-confirmAge))
	}
	for _, id := range fresh {
		least[id] = s.g.at(id, time.Now())
	}
	mayFail := s.g.broken
	s.g.mu.Unlock()
	state, err := s.state(confirm)
	if err != nil {
		if !mayFail {
			s.say("State: %v, though Marathon answers", err)
		}
		return
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	for id, history := range s.g.history {
		if i := lastIndex(history, face(state.Apps[id])); i < least[id] {
			s.say("%s is shown as %q: of %q the %d. at least is wanted", id, face(state.Apps[id]), history, least[id])
		}
	}
	for id := range state.Apps {
		if s.g.history[id] == nil {
			s.say("%s is shown and never was", id)
		}
	}
}

func (s *stage) state(confirm []string) (marathon.State, error) {
	if confirm != nil {
		return s.cache.Confirm(s.ctx, confirm)
	}
	return s.cache.State(s.ctx)
}

func lastIndex(history []string, face string) int {
	for i, h := range slices.Backward(history) {
		if h == face {
			return i
		}
	}
	return -1
}

// equal checks that the cache shows what there is.
func (s *stage) equal() {
	before := s.lists()
	state, err := s.cache.State(s.ctx)
	if err != nil {
		s.say("State in the end: %v", err)
		return
	}
	if s.lists() != before {
		s.say("the state in the end was not at hand")
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	want, got := map[string]string{}, map[string]string{}
	for id, a := range s.g.apps {
		want[id] = face(a)
	}
	for id, a := range state.Apps {
		got[id] = face(a)
	}
	if !maps.Equal(got, want) {
		s.say("in the end the cache shows %v, and there is %v", got, want)
	}
	if !reflect.DeepEqual(state.Groups, s.g.frame().Groups) {
		s.say("in the end the cache shows the groups %v, and there are %v", state.Groups, s.g.groups)
	}
}

func (s *stage) lists() int {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.g.lists
}
