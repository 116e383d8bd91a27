package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// untold is a Marathon whose list does not tell of what version tasks are, so
// that each app is read for itself, a second each.
type untold struct {
	*cluster
	up map[string][]time.Time // id → when reads began that found it up
}

func (u untold) Apps(ctx context.Context) (map[string]marathon.App, error) {
	all, err := u.cluster.Apps(ctx)
	for id, a := range all {
		a.Status.Outdated = -1
		all[id] = a
	}
	return all, err
}

func (u untold) App(ctx context.Context, id string) (marathon.App, error) {
	began := time.Now()
	a, err := u.cluster.App(ctx, id)
	time.Sleep(time.Second)
	if a.Status.Running == 1 {
		u.up[id] = append(u.up[id], began)
	}
	return a, err
}

// A task that runs for a moment, again and again, has not come up: neither where
// each look happens to find one running, nor where only the list is read.
func TestACrashLoopIsNotApplied(t *testing.T) {
	for name, c := range map[string]struct {
		cmd    string
		checks bool
		settle time.Duration
		want   Result
	}{
		"dies within the settling time":         {"loop 3s", false, 0, Failed},
		"dies after it":                         {"loop 10s", false, 0, Applied},
		"checked, dies within":                  {"loop 1500ms", true, 0, Failed},
		"checked, dies after it":                {"loop 3s", true, 0, Applied},
		"dies within the sync's settling time":  {"loop 10s", false, 15 * time.Second, Failed},
		"checked, within the sync's":            {"loop 10s", true, 15 * time.Second, Failed},
		"unchecked, after the sync's short one": {"loop 3s", false, time.Second, Applied},
		"stays up":                              {"x", false, 0, Applied},
	} {
		for _, n := range []int{1, singleReads + 2} {
			t.Run(fmt.Sprintf("%s, %d", name, n), func(t *testing.T) {
				in(t, func(t *testing.T, m *cluster) {
					var changes []plan.Change
					for i := range n {
						a := appOf(fmt.Sprintf("/a%d", i), c.cmd, 1)
						if c.checks {
							a.HealthChecks = []manifests.HealthCheck{{}}
						}
						changes = append(changes, change(plan.Create, a))
					}
					req := Request{Settle: c.settle, Deadline: time.Minute}
					for _, o := range New(m, Options{}).Apply(t.Context(), planOf(changes...), req) {
						if o.Result != c.want || c.want == Failed && !strings.Contains(o.Reason, "exit code 1") {
							t.Errorf("%s: %s, %s", o.ID, o.Result, o.Reason)
						}
					}
				})
			})
		}
	}
}

// After a failure a task must outlive Marathon's back-off too.
func TestSettlingAfterAFailureLastsForABackOff(t *testing.T) {
	in(t, func(t *testing.T, m *cluster) {
		a := appOf("/a", "loop 12s", 1)
		a.BackoffSeconds, a.BackoffFactor = new(20), new(1.0)
		m.apps["/a"] = &fakeApp{def: a, version: time.Now(), config: time.Now(), tasks: []*fakeTask{{time.Now(), time.Now().Add(-10 * time.Second)}}}
		got := New(m, Options{}).Apply(t.Context(), planOf(), Request{
			Rollouts: map[string]Rollout{"/a": {Kind: manifests.KindApp, Action: plan.Update, Began: time.Now()}}, Deadline: 2 * time.Minute})
		want(t, got, map[string]Result{"/a": Failed})
	})
}

// What is read late in a look settles from then on, and not from when the look
// began.
func TestSettlingBeginsWithTheReadThatFoundItUp(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		start, settle := time.Now(), 2*time.Second
		rollouts := map[string]Rollout{}
		for i := range singleReads + 2 {
			id := fmt.Sprintf("/a%d", i)
			c.apps[id] = &fakeApp{def: appOf(id, "x", 1), version: start, config: start, tasks: []*fakeTask{{start, start}}}
			rollouts[id] = Rollout{Kind: manifests.KindApp, Action: plan.Update, Began: start}
		}
		last := fmt.Sprintf("/a%d", singleReads+1)
		c.apps[last].tasks[0].running = start.Add(15 * time.Second) // in the second look, before its turn
		u := untold{c, map[string][]time.Time{}}
		for _, o := range New(u, Options{Settle: settle}).Apply(t.Context(), planOf(), Request{Rollouts: rollouts}) {
			up := u.up[o.ID]
			if o.Result != Applied || len(up) == 0 || up[len(up)-1].Sub(up[0]) < settle {
				t.Errorf("%+v, found up at %v", o, up)
			}
		}
	})
}

// uncounted is a Marathon that neither counts a task nor has it in its launch queue
// in the second before it runs, and in the queue alone before that.
type uncounted struct{ *cluster }

func (u uncounted) Apps(ctx context.Context) (map[string]marathon.App, error) {
	all, err := u.cluster.Apps(ctx)
	for id, a := range all {
		a.Status.Staged = 0
		all[id] = a
	}
	return all, err
}

func (u uncounted) App(ctx context.Context, id string) (marathon.App, error) {
	a, err := u.cluster.App(ctx, id)
	a.Status.Staged = 0
	return a, err
}

func (u uncounted) Queue(context.Context) ([]marathon.QueueItem, error) {
	unlock, err := u.read()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var queue []marathon.QueueItem
	for id, a := range u.apps {
		for _, t := range a.tasks {
			if time.Until(t.running) > time.Second {
				queue = append(queue, marathon.QueueItem{ID: id, Kind: manifests.KindApp, Count: 1})
			}
		}
	}
	return queue, nil
}

// An app in a crash loop is driven by Marathon: a restart would only make its
// failures those of an older version, and begin its back-off again.
func TestACrashLoopIsNotRestarted(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.startup = 5 * time.Second
		got := New(uncounted{c}, Options{}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "loop 3s", 1))), Request{Deadline: time.Minute})
		want(t, got, map[string]Result{"/a": Failed})
		if n := c.called("RESTART /a"); n > 0 {
			t.Errorf("restarted %d times", n)
		}
	})
}

// Nothing launches the tasks of an app that its Marathon has forgotten.
func TestAnAppWithoutTasksIsRestarted(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.startup = 20 * time.Second
		time.AfterFunc(5*time.Second, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.deployments, c.apps["/a"].tasks = nil, nil
		})
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "x", 1))), Request{Deadline: time.Minute})
		want(t, got, map[string]Result{"/a": Applied})
		if n := c.called("RESTART /a"); n != 1 {
			t.Errorf("restarted %d times", n)
		}
	})
}
