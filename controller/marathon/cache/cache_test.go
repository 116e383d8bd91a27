package cache

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

// kept runs a cache of a globe of n apps on a virtual clock.
func kept(t *testing.T, n int, test func(t *testing.T, g *globe, c *Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newGlobe(1)
		for i := range n {
			g.put(fmt.Sprintf("/g%d/app%d", i%10, i), func(a *marathon.App) { a.Definition.Instances = new(1) })
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := newCache(view{g}, Options{})
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		if s := stateOf(t, c); len(s.Apps) != n {
			t.Fatalf("%d apps, want %d", len(s.Apps), n)
		}
		time.Sleep(late + leastGap + time.Second) // the first list is over, and what it saw is explained
		test(t, g, c)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func stateOf(t *testing.T, c *Cache) marathon.State {
	t.Helper()
	s, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (g *globe) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// asked tells how often everything, and how often one app was asked for.
func (g *globe) asked() (lists, singles int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists, g.singles
}

func TestCacheAsksNothingAtRest(t *testing.T) {
	kept(t, 100, func(t *testing.T, g *globe, c *Cache) {
		lists, singles := g.asked()
		first := stateOf(t, c)
		for range 100 {
			time.Sleep(2 * time.Second)
			if s := stateOf(t, c); s.Apps["/g0/app0"].Definition != first.Apps["/g0/app0"].Definition {
				t.Fatal("an app that did not change is another pointer")
			}
		}
		if l, s := g.asked(); l != lists || s != singles {
			t.Errorf("%d lists and %d reads while nothing happened", l-lists, s-singles)
		}
		time.Sleep(3 * time.Minute)
		if l, _ := g.asked(); l != lists+1 {
			t.Errorf("%d lists after five minutes, want the resync alone", l-lists)
		}
		if s := stateOf(t, c); s.Apps["/g0/app0"].Definition != first.Apps["/g0/app0"].Definition {
			t.Error("a resync that found nothing made other pointers")
		}
	})
}

func TestCacheReadsWhatAnEventNames(t *testing.T) {
	kept(t, 100, func(t *testing.T, g *globe, c *Cache) {
		changes, err := c.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer changes.Close()
		lists, singles := g.asked()
		began := time.Now()
		g.change(func() {
			g.put("/g3/app3", func(a *marathon.App) { a.Definition.Instances = new(7) })
			g.wrote("/g3", []string{"/g3/app3"}, true)
		})
		e, err := changes.Next()
		if err != nil || e.Type != marathon.TypeChanged || !slices.Equal(e.IDs(), []string{"/g3/app3"}) {
			t.Errorf("told %+v %v, %v", e, e.IDs(), err)
		}
		if took := time.Since(began); took > 4*roundBreath+80*time.Millisecond {
			t.Errorf("it took %s beside the answers", took)
		}
		if n := *stateOf(t, c).Apps["/g3/app3"].Definition.Instances; n != 7 {
			t.Errorf("%d instances are shown when the change is told, want 7", n)
		}
		time.Sleep(time.Minute)
		if l, s := g.asked(); l != lists || s-singles > 2 {
			t.Errorf("%d lists and %d single reads for one change", l-lists, s-singles)
		}
	})
}

// Marathon tells of one write by several events within moments: one round of
// reads answers them all, and the first does not keep the id waiting for the next.
func TestCacheReadsOneWriteInOneRound(t *testing.T) {
	kept(t, 100, func(t *testing.T, g *globe, c *Cache) {
		began, frames, version := time.Now(), g.frames, ""
		g.change(func() {
			g.put("/g3/app3", func(a *marathon.App) { a.Definition.Instances = new(7) })
			g.version++
			version = fmt.Sprintf("v%06d", g.version)
			g.send(marathon.Event{Type: "group_change_success", Data: fmt.Appendf(nil, `{"groupId": "/g3", "version": %q}`, version)})
		})
		time.Sleep(gather - time.Millisecond)
		g.change(func() {
			g.send(marathon.Event{Type: "deployment_info", Data: fmt.Appendf(nil, `{"plan": {"version": %q, "steps": [{"actions": [{"action": "ScaleApplication", "app": "/g3/app3"}]}]}}`, version)})
		})
		for *stateOf(t, c).Apps["/g3/app3"].Definition.Instances != 7 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > gather+80*time.Millisecond {
			t.Errorf("it took %s, and an answer 80 ms at most", took)
		}
		time.Sleep(time.Second)
		if n := g.frames - frames; n != 1 {
			t.Errorf("the groups were read %d times for one write", n)
		}
	})
}

func TestCacheListsABurstOnce(t *testing.T) {
	kept(t, 5000, func(t *testing.T, g *globe, c *Cache) {
		lists, singles := g.asked()
		for i := range 5000 {
			g.change(func() {
				id := fmt.Sprintf("/g%d/app%d", i%10, i)
				g.put(id, func(a *marathon.App) { a.Status.Running = 1 })
				g.send(marathon.Event{Type: "instance_changed_event", Data: fmt.Appendf(nil, `{"runSpecId": %q}`, id)})
			})
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(30 * time.Second)
		l, s := g.asked()
		if l-lists != 1 || s-singles > 100 {
			t.Errorf("%d lists and %d single reads for 5,000 events in 10 s", l-lists, s-singles)
		}
		for id, a := range stateOf(t, c).Apps {
			if a.Status.Running != 1 {
				t.Fatalf("%s is shown as it was before the burst", id)
			}
		}
	})
}

// In the midst of a burst about tasks, a change of a definition is read at once.
func TestCacheReadsDefinitionsInABurst(t *testing.T) {
	kept(t, 5000, func(t *testing.T, g *globe, c *Cache) {
		g.change(func() {
			for i := range 3000 {
				g.send(marathon.Event{Type: "instance_changed_event", Data: fmt.Appendf(nil, `{"runSpecId": "/g%d/app%d"}`, i%10, i)})
			}
		})
		time.Sleep(100 * time.Millisecond)
		lists, _ := g.asked()
		g.change(func() {
			g.put("/g3/app3", func(a *marathon.App) { a.Definition.Instances = new(7) })
			g.wrote("/g3", []string{"/g3/app3"}, true)
		})
		time.Sleep(250 * time.Millisecond)
		if n := *stateOf(t, c).Apps["/g3/app3"].Definition.Instances; n != 7 {
			t.Errorf("%d instances are shown, want 7", n)
		}
		if l, _ := g.asked(); l != lists {
			t.Error("it took a list to see it")
		}
	})
}

// A write of which no event came is found when the version of the root that is
// read with another one's tells of it, long before the resync.
func TestCacheFindsAWriteThatItDidNotHearOf(t *testing.T) {
	kept(t, 100, func(t *testing.T, g *globe, c *Cache) {
		g.change(func() {
			streams := g.streams
			g.put("/g3/app3", func(a *marathon.App) { a.Definition.Instances = new(7) })
			g.streams = nil
			g.wrote("/g3", []string{"/g3/app3"}, true) // on no stream
			g.streams = streams
			g.send(marathon.Event{Type: "deployment_success", Data: []byte(`{"plan": {"version": "v000000", "steps": []}}`)})
		})
		time.Sleep(late + leastGap + settled + time.Second)
		if n := *stateOf(t, c).Apps["/g3/app3"].Definition.Instances; n != 7 {
			t.Errorf("%d instances are shown, want 7", n)
		}
	})
}

func TestCacheReadsOwnWritesBeforeItAnswers(t *testing.T) {
	kept(t, 5000, func(t *testing.T, g *globe, c *Cache) {
		g.change(func() { g.lossy, g.streams = true, nil }) // nothing is heard of it
		var ids []string
		g.change(func() {
			for i := range 1000 {
				ids = append(ids, fmt.Sprintf("/g%d/app%d", i%10, i))
				g.put(ids[i], func(a *marathon.App) { a.Definition.Instances = new(7) })
			}
		})
		lists, singles := g.asked()
		c.wrote(ids, "v000001")
		s := stateOf(t, c)
		for _, id := range ids {
			if *s.Apps[id].Definition.Instances != 7 {
				t.Fatalf("%s is shown as it was before the write", id)
			}
		}
		if l, s := g.asked(); l != lists+1 || s != singles {
			t.Errorf("%d lists and %d single reads for a write of a thousand", l-lists, s-singles)
		}
		g.change(func() { g.put(ids[0], func(a *marathon.App) { a.Definition.Instances = new(8) }) })
		c.wrote(ids[:1], "")
		if n := *stateOf(t, c).Apps[ids[0]].Definition.Instances; n != 8 {
			t.Errorf("%d instances are shown, want 8", n)
		}
		if l, s := g.asked(); l != lists+1 || s != singles+1 {
			t.Errorf("%d lists and %d single reads for a write of one more", l-lists-1, s-singles)
		}
	})
}

// Without a stream nothing is known to be up to date: each that asks gets a
// list that began after it asked, and those who ask together share one.
func TestCacheWithoutEventsReadsForWhoAsks(t *testing.T) {
	kept(t, 100, func(t *testing.T, g *globe, c *Cache) {
		changes, err := c.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g.change(func() { g.broken = true; g.cutStreams() })
		if _, err := changes.Next(); err == nil {
			t.Error("the end of the stream was not told")
		}
		if _, err := c.State(t.Context()); err == nil {
			t.Error("a Marathon that does not answer was shown as it was")
		}
		g.change(func() { g.broken = false; g.put("/g3/app3", func(a *marathon.App) { a.Definition.Instances = new(7) }) })
		lists, _ := g.asked()
		answers := make(chan int)
		for range 10 {
			go func() {
				s, err := c.State(t.Context())
				if err != nil {
					answers <- -1
					return
				}
				answers <- *s.Apps["/g3/app3"].Definition.Instances
			}()
		}
		for range 10 {
			if n := <-answers; n != 7 {
				t.Errorf("%d instances are shown, want 7", n)
			}
		}
		if l, _ := g.asked(); l-lists > 2 {
			t.Errorf("%d lists for ten that asked together", l-lists)
		}
	})
}

func TestStateOfACacheThatIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGlobe(1)
		g.put("/a/one", func(*marathon.App) {})
		c := newCache(view{g}, Options{})
		if s := stateOf(t, c); len(s.Apps) != 1 {
			t.Errorf("%d apps, want 1", len(s.Apps))
		}
	})
}
