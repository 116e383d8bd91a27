package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// syncer does what a controller does with plans and outcomes, and no more.
type syncer struct {
	c         *cluster
	facts     manifests.Cluster
	inventory map[string]plan.Owned
	rollouts  map[string]Rollout
	began     []string // deployments, which only grow
	wrong     []string
}

// normal is a definition as Marathon keeps it. Without ports nothing in it is
// Marathon's to choose.
func (s *syncer) normal(a *manifests.App) *manifests.App {
	a.CPUs, a.PortDefinitions = new(0.1), []manifests.PortDefinition{}
	return manifests.NormaliseApp(a, nil, &s.facts)
}

func (s *syncer) plan(desired map[string]*manifests.App) plan.Plan {
	live := plan.Live{Apps: map[string]*manifests.App{}}
	apps, err := s.c.Apps(context.Background())
	if err != nil {
		panic(err)
	}
	for id, a := range apps {
		live.Apps[id] = a.Definition
	}
	in := plan.Input{Cluster: s.facts, Live: live, Inventory: s.inventory, Policy: plan.Policy{Scope: "/", Prune: plan.PruneOn, Adopt: true}}
	for id, a := range sorted(desired) {
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: id, Kind: manifests.KindApp, File: id, App: a})
	}
	return plan.Compute(in)
}

// pass plans and applies once, and says whether there was anything to do. With
// fresh, it does so as a new process that knows only what was noted.
func (s *syncer) pass(ctx context.Context, a *Applier, desired map[string]*manifests.App) bool {
	p := s.plan(desired)
	apps, err := s.c.Apps(ctx)
	if err != nil {
		panic(err)
	}
	for id, ro := range HalfDone(marathon.State{Apps: apps}, time.Now()) {
		if s.inventory[id].Kind != "" && s.rollouts[id].Kind == "" {
			s.rollouts[id] = ro
		}
	}
	if p.Pending() == 0 && len(s.rollouts) == 0 {
		return false
	}
	r := Request{Cluster: s.facts, Rollouts: s.rollouts, Deployments: s.began}
	s.rollouts = map[string]Rollout{}
	for id, ro := range r.Rollouts {
		s.rollouts[id] = ro
	}
	r.Progress = func(o Outcome) {
		if o.Result == Blocked || o.Result == "" && o.Deployment == "" {
			return // nothing was begun
		}
		s.inventory[o.ID] = plan.Owned{Kind: o.Kind, File: o.ID}
		s.began = append(s.began, o.Deployment)
		s.rollouts[o.ID] = Rollout{Kind: o.Kind, Action: o.Action, Deployment: o.Deployment, Began: o.Began}
		if o.Result == Applied || o.Result == Failed {
			delete(s.rollouts, o.ID)
		}
		if o.Result == Applied && o.Action == plan.Delete {
			delete(s.inventory, o.ID)
		}
		if o.Result == Failed && !o.Transient {
			s.wrong = append(s.wrong, fmt.Sprintf("%s %s failed: %s", o.ID, o.Action, o.Reason))
		}
	}
	for _, o := range a.Apply(ctx, p, r) {
		if o.Result == Unknown || o.Result == Superseded {
			if s.rollouts[o.ID].Deployment == "" { // it never began, or nobody knows
				delete(s.rollouts, o.ID)
			}
		}
	}
	return true
}

// Random manifests, random interference, random faults, new revisions and
// processes at random times: in the end there is no difference and nothing left
// half done, nothing was deleted that was not ours, and at rest nothing is
// written.
func TestComesToRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := script{rapid.SliceOfN(rapid.IntRange(0, 1<<20), 150, 150).Draw(rt, "script"), 0}
		synctest.Test(t, func(*testing.T) { comesToRest(rt, &draw) })
	})
}

// script is a supply of random numbers, drawn before the bubble of virtual time
// is entered, that ends in zeros.
type script struct {
	numbers []int
	next    int
}

func (s *script) n(below int) int {
	if s.next >= len(s.numbers) {
		return 0
	}
	s.next++
	return s.numbers[s.next-1] % below
}

func comesToRest(rt *rapid.T, draw *script) {
	c := newCluster()
	s := &syncer{c: c, facts: manifests.DefaultCluster(), inventory: map[string]plan.Owned{}, rollouts: map[string]Rollout{}}
	c.has(s.normal(appOf("/bystander", "x", 2)))
	c.startup = time.Duration(1+draw.n(8)) * time.Second
	faults := []error{&marathon.Error{Status: 500, Sent: true, Message: "boom"}, &marathon.Error{Sent: true, Cause: errors.New("cut")}, &marathon.Error{Cause: errors.New("away")}}
	fault := func(string) error {
		if i := draw.n(12); i > 0 && i <= len(faults) {
			return faults[i-1]
		}
		return nil
	}
	c.before, c.after = fault, fault

	a := New(c, Options{MaxInFlight: 4})
	var desired map[string]*manifests.App
	for range 1 + draw.n(3) { // revisions
		desired = s.revision(draw)
		ctx, cancel := context.WithCancelCause(context.Background())
		stop := time.AfterFunc(time.Duration(1+draw.n(30))*time.Second, func() { cancel(ErrSuperseded) })
		var timers []*time.Timer
		for range draw.n(3) {
			what, whom := draw.n(7), fmt.Sprintf("/a%d", draw.n(5))
			timers = append(timers, time.AfterFunc(time.Duration(draw.n(20))*time.Second, func() { s.interfere(what, whom) }))
		}
		s.pass(ctx, a, desired)
		stop.Stop()
		for _, t := range timers {
			t.Stop()
		}
		cancel(nil)
		if draw.n(3) == 1 {
			a = New(c, Options{}) // killed, and started again
		}
	}
	synctest.Wait() // for the last of the interference
	c.before, c.after = nil, nil
	passes := 0
	for s.pass(context.Background(), a, desired) || s.resync() {
		if passes++; passes > 20 {
			rt.Fatalf("no rest after 20 passes: %+v, calls %v", s.plan(desired).Changes, c.calls)
		}
	}
	s.check(rt, desired)
}

// resync lets time go by while somebody's deployment is under way: what that
// leaves half done is seen when it has ended, by the next look at everything.
func (s *syncer) resync() bool {
	running, err := s.c.Deployments(context.Background())
	if err != nil {
		panic(err)
	}
	time.Sleep(30 * time.Second)
	return len(running) > 0
}

// revision is a random desired state, never empty: an empty one deletes nothing.
func (s *syncer) revision(draw *script) map[string]*manifests.App {
	desired := map[string]*manifests.App{}
	for i := range 5 {
		if i > 0 && draw.n(4) == 1 {
			continue
		}
		app := appOf(fmt.Sprintf("/a%d", i), []string{"x", "y", "z"}[draw.n(3)], draw.n(4))
		if i > 0 && draw.n(3) == 1 {
			app.Dependencies = []string{fmt.Sprintf("/a%d", draw.n(i))}
		}
		desired[app.ID] = s.normal(app)
	}
	return desired
}

// interfere does what somebody else might do, at any time.
func (s *syncer) interfere(what int, id string) {
	s.c.mu.Lock()
	var def *manifests.App
	if app := s.c.apps[id]; app != nil {
		def = clone(app.def)
	}
	s.c.mu.Unlock()
	ctx := context.WithValue(context.Background(), theirs{}, true)
	switch {
	case what == 0:
		s.c.mu.Lock()
		s.c.deployments = nil // cancelled, or lost by a new leader
		s.c.mu.Unlock()
	case def == nil:
		_, _ = s.c.CreateApp(ctx, s.normal(appOf(id, "theirs", 1)), false)
	case what == 1:
		def.Instances = new(*def.Instances + 1)
		_, _ = s.c.PutApp(ctx, def, true)
	case what == 2:
		_, _ = s.c.DeleteApp(ctx, id, true)
	case what == 3:
		def.Cmd = new("theirs")
		_, _ = s.c.PutApp(ctx, def, true)
	case what == 4:
		_, _ = s.c.RestartApp(ctx, id, true)
	case what == 5:
		s.c.foreign(id)
	}
}

func (s *syncer) check(rt *rapid.T, desired map[string]*manifests.App) {
	c := s.c
	time.Sleep(time.Minute) // whatever was under way has ended
	writes := len(c.writes)
	if p := s.plan(desired); p.Pending() != 0 {
		rt.Errorf("not at rest: %+v", p.Changes)
	}
	for id, want := range desired {
		a := c.apps[id]
		if a == nil || manifests.HashApp(a.def) != manifests.HashApp(want) || len(a.tasks) != want.Count() {
			rt.Errorf("%s: %+v, want %+v", id, a, want)
			continue
		}
		for _, task := range a.tasks {
			if task.version.Before(a.config) {
				rt.Errorf("%s still runs a task of an older version; calls %v", id, c.calls)
			}
		}
	}
	for id := range c.apps {
		if desired[id] == nil && id != "/bystander" && s.inventory[id].Kind != "" {
			rt.Errorf("%s is ours, gone from git, and still there", id)
		}
	}
	if slices.Contains(c.deleted, "/bystander") || c.writes["/bystander"] != 0 || c.restarts["/bystander"] != 0 {
		rt.Error("what is not ours was touched")
	}
	if len(s.wrong) > 0 {
		rt.Errorf("good definitions were blamed: %v", s.wrong)
	}
	if len(c.writes) != writes {
		rt.Error("something was written at rest")
	}
}
