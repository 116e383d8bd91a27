package controller

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/schedule"
)

// stale is a world that shows what it was when it was frozen, unless it is asked
// to confirm.
type stale struct {
	*world
	frozen  atomic.Pointer[marathon.State]
	deaf    error // what Confirm answers
	confirm atomic.Int32
}

func (s *stale) freeze(t testing.TB) {
	state, err := s.world.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state.Apps = maps.Clone(state.Apps)
	s.frozen.Store(&state)
}

func (s *stale) State(ctx context.Context) (marathon.State, error) {
	if f := s.frozen.Load(); f != nil {
		return *f, nil
	}
	return s.world.State(ctx)
}

func (s *stale) Confirm(ctx context.Context, _ []string) (marathon.State, error) {
	s.confirm.Add(1)
	if s.deaf != nil {
		return marathon.State{}, s.deaf
	}
	return s.world.State(ctx)
}

// What is shown of Marathon may be old: nothing is written or deleted for that.
func TestAnOldStateLeadsToNoWrite(t *testing.T) {
	for name, test := range map[string]struct {
		before, after map[string]string // what runs when the state is frozen, and what git then has
		meanwhile     func(*world)
		deaf          error
		want          string
		writes        int
	}{
		"somebody has done it already": {
			before: files("/shop/a", "v1"), after: files("/shop/a", "v2"),
			meanwhile: func(w *world) { other := *w.apps["/shop/a"]; other.Cmd = new("v2"); w.apps["/shop/a"] = &other },
			want:      "/shop/a=v2",
		},
		"it is gone already": {
			before: files("/shop/a", "v1", "/shop/b", "v1"), after: files("/shop/a", "v1"),
			meanwhile: func(w *world) { delete(w.apps, "/shop/b") },
			want:      "/shop/a=v1",
		},
		"nobody can tell": {
			before: files("/shop/a", "v1", "/shop/b", "v1"), after: files("/shop/a", "v1"),
			meanwhile: func(*world) {}, deaf: errors.New("connection refused"),
			want: "/shop/a=v1 /shop/b=v1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, test.before)
				s := &stale{world: g.world}
				g.cluster(func(c *Cluster) { c.Marathon = s })
				g.start()
				defer g.stop()
				s.freeze(t)
				s.confirm.Store(0)
				before := g.world.writes("/shop/a") + g.world.writes("/shop/b")
				g.world.set(func() { test.meanwhile(g.world); s.deaf = test.deaf })
				g.repo.push(test.after)
				after(schedule.FetchPause * 2)
				g.runs(test.want)
				if n := g.world.writes("/shop/a") + g.world.writes("/shop/b") - before; n != 0 {
					t.Errorf("%d writes", n)
				}
				if s.confirm.Load() == 0 {
					t.Error("nothing was confirmed: the test shows nothing")
				}
			})
		})
	}
}
