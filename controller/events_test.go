package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
)

// radio is an event stream whose events a test sends.
type radio struct {
	events chan marathon.Event
	cut    chan struct{}
	ctx    context.Context
}

func (r *radio) Next() (marathon.Event, error) {
	select {
	case e := <-r.events:
		return e, nil
	case <-r.cut:
		return marathon.Event{}, io.EOF
	case <-r.ctx.Done():
		return marathon.Event{}, r.ctx.Err()
	}
}

func (r *radio) Close() error { return nil }

// station opens radios, unless it is off.
type station struct {
	events chan marathon.Event
	cut    chan struct{}
	off    atomic.Bool
	opened atomic.Int32
}

func newStation() *station {
	return &station{events: make(chan marathon.Event), cut: make(chan struct{})}
}

func (s *station) open(ctx context.Context) (EventStream, error) {
	s.opened.Add(1)
	if s.off.Load() {
		return nil, errors.New("connection refused")
	}
	return &radio{events: s.events, cut: s.cut, ctx: ctx}, nil
}

func groupChange(group string) marathon.Event {
	return marathon.Event{Type: "group_change_success", Data: fmt.Appendf(nil, `{"groupId": %q}`, group)}
}

func deployed(id string) marathon.Event {
	return marathon.Event{Type: "deployment_success", Data: fmt.Appendf(nil, `{"plan": {"steps": [{"actions": [{"action": "ScaleApplication", "app": %q}]}]}}`, id)}
}

// newHearingRig is a rig that hears events and has no resync to speak of.
func newHearingRig(t *testing.T, files map[string]string) (*rig, *station) {
	t.Helper()
	g, s := newRig(t, files), newStation()
	g.options.Resync = 1000 * time.Hour
	g.cluster(func(c *Cluster) { c.Events = s.open })
	return g, s
}

func TestEventsTriggerPassesOfTheirScope(t *testing.T) {
	for name, test := range map[string]struct {
		event  marathon.Event
		healed bool
	}{
		"its group":            {groupChange("/shop"), true},
		"an app of it":         {deployed("/shop/a"), true},
		"a group below":        {groupChange("/shop/x"), true},
		"another scope":        {groupChange("/shopping"), false},
		"a group above":        {groupChange("/"), false},
		"anything":             {marathon.Event{Type: "scheduler_reregistered_event", Data: []byte(`{}`)}, true},
		"only tasks":           {marathon.Event{Type: "instance_changed_event", Data: []byte(`{"runSpecId": "/shop/a"}`)}, false},
		"what cannot be read":  {marathon.Event{Type: "deployment_success", Data: []byte(`{`)}, true},
		"an app that has gone": {marathon.Event{Type: "app_terminated_event", Data: []byte(`{"appId": "/shop/a"}`)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, s := newHearingRig(t, files("/shop/a", "v1"))
				g.start()
				defer g.stop()
				after(time.Minute) // also after the pass for the stream that was opened
				g.world.set(func() { delete(g.world.apps, "/shop/a") })
				s.events <- test.event
				after(schedule.EventDelay)
				if got := g.world.cmds() == "/shop/a=v1"; got != test.healed {
					t.Errorf("healed: %v, want %v", got, test.healed)
				}
			})
		})
	}
}

func TestBurstsOfEventsAreFewPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		before := g.world.looks()
		for range 1000 {
			s.events <- deployed("/shop/a")
			time.Sleep(10 * time.Millisecond)
		}
		after(time.Minute)
		if n := g.world.looks() - before; n < 35 || n > 10*4+schedule.EventBurst+1 {
			t.Errorf("%d reads for 1000 events in 10 s, want about four a second", n)
		}
		if n := g.world.writes("/shop/a"); n != 1 {
			t.Errorf("%d writes of what never changed", n)
		}
	})
}

// One pass is paid for once, whether the events for it came before the last one
// had ended or after, or both, and also where another replica leads.
func TestPassesAreAsManyAsTheReadingAllows(t *testing.T) {
	for _, follow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g, s := newHearingRig(t, files("/shop/a", "v1"))
			g.world.slow, g.options.Follow = 100*time.Millisecond, follow
			g.start()
			defer g.stop()
			after(time.Minute)
			before := g.world.looks()
			for range 6000 {
				s.events <- deployed("/shop/a")
				time.Sleep(10 * time.Millisecond)
			}
			least := int(time.Minute / ((schedule.ReadShare + 1) * g.world.slow))
			if n := g.world.looks() - before; n < least || n > least*(schedule.ReadShare+1)/schedule.ReadShare+schedule.EventBurst+1 {
				t.Errorf("following %v: %d reads for events without end in a minute, want about %d", follow, n, least)
			}
		})
	}
}

// What is heard after a retry that came sooner than the pass that was put off is
// not taken for seen: no other pass is on its way.
func TestAnEventAfterARetryIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.world.slow = 2 * time.Second
		g.start()
		defer g.stop()
		after(time.Hour)
		for range schedule.EventBurst + 1 { // the next one is put off
			s.events <- deployed("/shop/a")
			after(4 * time.Second)
		}
		g.world.set(func() { g.world.down = errors.New("away") })
		g.repo.push(files("/shop/a", "v2"))
		after(2*time.Second + time.Millisecond) // it has failed
		s.events <- deployed("/shop/a")
		g.world.set(func() { g.world.down = nil })
		after(6 * time.Second) // the retry has ended
		g.runs("/shop/a=v2")
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		s.events <- deployed("/shop/a")
		after(time.Minute)
		g.runs("/shop/a=v2")
	})
}

// A few changes that follow soon upon each other do not wait for their turn.
func TestChangesAfterARestAreAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1", "/shop/c", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		for _, id := range []string{"/shop/a", "/shop/b", "/shop/c"} {
			g.world.set(func() { delete(g.world.apps, id) })
			s.events <- deployed(id)
			after(schedule.EventDelay)
			g.runs("/shop/a=v1 /shop/b=v1 /shop/c=v1")
			after(2 * schedule.EventDelay) // till the pass has ended
		}
	})
}

func TestALostStreamIsOpenedAgainAndEverythingLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		s.off.Store(true)
		s.cut <- struct{}{}
		after(time.Minute)
		if n := s.opened.Load(); n < 6 || n > 16 {
			t.Errorf("%d tries within a minute, want some, more and more rarely", n)
		}
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		s.off.Store(false)
		after(30 * time.Second) // twice the longest back-off
		g.runs("/shop/a=v1")    // though nobody told
	})
}

// While one app hangs, another one that somebody changes is put back.
func TestEventsOfOtherAppsEndAPassThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.world.hanging["/shop/b"] = "v1"
		g.start()
		defer g.stop()
		after(time.Minute)
		reads := g.world.looks()
		for range 100 {
			s.events <- deployed("/shop/b") // its own work
		}
		after(2 * liveInterval)
		if n := g.world.looks() - reads; n > 4 {
			t.Errorf("%d reads for events of what the pass itself does", n)
		}
		g.world.set(func() { delete(g.world.apps, "/shop/a") })
		s.events <- deployed("/shop/a")
		after(schedule.EventInterval)
		g.runs("/shop/a=v1 /shop/b=v1")
		if n := g.world.writes("/shop/b"); n != 1 {
			t.Errorf("what hangs was written %d times", n)
		}
		if y := g.sync("shop"); !y.Running || g.app("/shop/b").Condition != status.InRollout {
			t.Errorf("what hangs is no longer waited for: %+v", y)
		}
	})
}

func TestAFightIsBackedOffAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := newHearingRig(t, files("/shop/a", "v1", "/shop/b", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		began := g.world.writes("/shop/a")
		undo := func() {
			if g.world.cmds() == "/shop/a=v1 /shop/b=v1" {
				g.world.set(func() { other := *g.world.apps["/shop/a"]; other.Cmd = new("theirs"); g.world.apps["/shop/a"] = &other })
				s.events <- deployed("/shop/a")
			}
		}
		for range 10 * 60 * 5 { // 5 min in steps of 100 ms
			undo()
			after(100 * time.Millisecond)
		}
		if n := g.world.writes("/shop/a") - began; n < 6 || n > 9 {
			t.Errorf("%d writes in 5 min of fighting, want about 8: after 2, 4, 8 … 256 s", n)
		}
		if a := g.app("/shop/a"); a.Condition != status.Blocked || !strings.Contains(a.Reason, "drift conflict: healed") {
			t.Errorf("shown as %+v", a)
		}
		if b := g.app("/shop/b"); b.State != status.Synced || g.world.writes("/shop/b") != 1 {
			t.Errorf("the other app: %+v", b)
		}
		// Whoever it was gives up: it is put back without being asked, and forgotten.
		after(5*time.Minute + 10*time.Second)
		g.runs("/shop/a=v1 /shop/b=v1")
		after(2*5*time.Minute + time.Minute)
		began = g.world.writes("/shop/a")
		undo()
		after(2 * schedule.EventDelay)
		g.runs("/shop/a=v1 /shop/b=v1")
		if n := g.world.writes("/shop/a") - began; n != 1 {
			t.Errorf("%d writes for one drift after a long peace", n)
		}
	})
}

// Somebody scales an app by hand: on the local Marathon, with a resync that
// comes too late, it is back at once, and what Pacer writes does not keep it busy.
func TestScalingByHandIsHealedAtOnce(t *testing.T) {
	s := newStack(t)
	s.push(map[string]string{"web.json": s.definition("web", "sleep 1000", 2)})
	s.options.Resync = time.Hour
	only := s.options.Clusters[""]
	only.Events = eventsOf(s.client)
	s.options.Clusters[""] = only
	c, stop := s.start()
	defer stop()
	s.awaitStates(c, "web: synced, healthy")
	before := s.running("web")

	app, err := s.client.App(t.Context(), "/shop/web")
	if err != nil {
		t.Fatal(err)
	}
	app.Definition.Instances = new(3)
	began := time.Now()
	if _, err := s.client.PutApp(t.Context(), app.Definition, false); err != nil {
		t.Fatal(err)
	}
	healed := func() (bool, string) {
		app, err := s.client.App(t.Context(), "/shop/web")
		if err != nil {
			return false, err.Error()
		}
		return *app.Definition.Instances == 2, fmt.Sprint(*app.Definition.Instances)
	}
	eventually(t, "the definition of git", healed)
	t.Logf("put back after %v", time.Since(began))
	s.awaitStates(c, "web: synced, healthy")
	t.Logf("synced and healthy after %v", time.Since(began))
	eventually(t, "the processes", func() (bool, string) {
		now := s.running("web")
		return len(now) == 2, fmt.Sprint(now)
	})
	if now := s.running("web"); !slices.Contains(before, now[0]) && !slices.Contains(before, now[1]) {
		t.Errorf("both tasks were replaced: %v, were %v", now, before)
	}
	if n := len(c.Status().Syncs[0].History); n != 2 {
		t.Errorf("%d passes changed something, want the first and the healing", n)
	}
}
