package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
)

// many is a definition with so many instances.
func many(id, cmd string, instances int) string {
	return fmt.Sprintf(`{"id": %q, "cmd": %q, "cpus": 0.1, "mem": 32, "instances": %d}`, id, cmd, instances)
}

// scale sets a count in Marathon, as somebody may by hand.
func (w *world) scale(id string, instances int) {
	w.set(func() {
		changed := *w.apps[id]
		changed.Instances = &instances
		w.apps[id] = &changed
	})
}

// An app whose count somebody changed in Marathon is told with git's count as the
// one that is wanted, and Marathon's beside it; what git does not say, Marathon does.
func TestDriftedAppShowsWhatGitWants(t *testing.T) {
	for name, test := range map[string]struct {
		policy  func(*plan.Policy)
		suspend bool
		git     string
		to      int
		want    string
	}{
		"reported":                    {policy: func(p *plan.Policy) { p.ReportDrift = true }, to: 3, want: "out of sync, 3 of 5 running (Marathon's target: 3)"},
		"scaled up":                   {policy: func(p *plan.Policy) { p.ReportDrift = true }, to: 7, want: "out of sync, 7 of 5 running (Marathon's target: 7)"},
		"suspended":                   {suspend: true, to: 3, want: "out of sync, 3 of 5 running (Marathon's target: 3)"},
		"an autoscaler's":             {policy: func(p *plan.Policy) { p.Instances.Live = true }, to: 3, want: "synced, 3 of 3 running"},
		"an autoscaler's, bounded":    {policy: func(p *plan.Policy) { p.Instances.Min, p.ReportDrift = 4, true }, to: 3, want: "out of sync, 3 of 4 running (Marathon's target: 3)"},
		"ignored":                     {policy: func(p *plan.Policy) { p.Ignore = []plan.Ignore{{ID: "/shop/*", Paths: []string{"/instances"}}} }, to: 3, want: "synced, 3 of 3 running"},
		"no longer in git":            {policy: func(p *plan.Policy) { p.Prune = plan.PruneOff }, git: "-", to: 3, want: "out of sync, 3 of 3 running"},
		"with errors in its manifest": {git: `{"id": "/shop/a", "cmd": 7}`, to: 3, want: "unknown, 3 of 3 running"},
		"gone":                        {policy: func(p *plan.Policy) { p.ReportDrift = true }, to: -1, want: "out of sync, 0 of 5 running"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tree := files("/shop/b", "v1")
				tree["a.json"] = many("/shop/a", "v1", 5)
				g := newRig(t, tree)
				if test.policy != nil {
					test.policy(&g.options.Syncs[0].Policy)
				}
				g.start()
				defer g.stop()
				if a := g.app("/shop/a"); a.Counts() != "5 of 5 running" {
					t.Fatalf("applied: %s", a.Counts())
				}
				if test.suspend {
					if err := g.Suspend(t.Context(), "shop", ada); err != nil {
						t.Fatal(err)
					}
				}
				switch test.git {
				case "":
				case "-":
					g.repo.push(files("/shop/b", "v1"))
				default:
					tree["a.json"] = test.git
					g.repo.push(tree)
				}
				if test.to < 0 {
					g.world.set(func() { delete(g.world.apps, "/shop/a") })
				} else {
					g.world.scale("/shop/a", test.to)
				}
				after(2 * testResync)
				a := g.app("/shop/a")
				if got := fmt.Sprintf("%s, %s", a.State, a.Counts()); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// What is read between two passes, too, changes Marathon's count and not git's.
func TestCountsBetweenPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := files("/shop/b", "v1", "/shop/c", "hangs")
		tree["a.json"] = many("/shop/a", "v1", 5)
		g := newRig(t, tree)
		g.world.hanging["/shop/c"] = "hangs"
		g.start()
		defer g.stop()
		g.world.scale("/shop/a", 3)
		after(2 * liveInterval) // the pass waits for c: only what is shown is read
		if a := g.app("/shop/a"); a.Instances != (status.Instances{Desired: 5, Target: 3, Running: 3, Healthy: 3}) {
			t.Errorf("scaled by hand: %+v", a.Instances)
		}
	})
}

// The count that a failed definition wants is git's, also when what ran well
// before is back in its place.
func TestRevertedAppShowsWhatGitWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := map[string]string{"a.json": many("/shop/a", "v1", 2)}
		g := newRig(t, tree)
		g.options.Syncs[0].Policy.Revert = true
		g.world.refused["/shop/a"] = "bad"
		g.start()
		defer g.stop()
		after(time.Second)
		tree["a.json"] = many("/shop/a", "bad", 5)
		g.repo.push(tree)
		after(testResync)
		g.runs("/shop/a=v1")
		a := g.app("/shop/a")
		if a.State != status.OutOfSync || a.Condition != status.Failed || a.Counts() != "2 of 5 running (Marathon's target: 2)" {
			t.Errorf("reverted: %s, %s, %s", a.State, a.Condition, a.Counts())
		}
	})
}
