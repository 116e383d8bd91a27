package controller

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

// looked waits until the controller has planned on what it read after now, and
// come to rest.
func (s *stack) looked(c *Controller) {
	s.t.Helper()
	now := time.Now()
	if err := c.Trigger("shop", ada); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "a look at everything", func() (bool, string) {
		y := c.Status().Syncs[0]
		return y.Last != nil && y.Last.Began.After(now) && !y.Running, fmt.Sprintf("%+v", y.Last)
	})
}

// byHand changes a live app as a person or an autoscaler would.
func (s *stack) byHand(id string, change func(*manifests.App)) {
	s.t.Helper()
	live, err := s.client.App(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	change(live.Definition)
	if _, err := s.client.PutApp(s.t.Context(), live.Definition, false); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) runs(name string, n int) []string {
	s.t.Helper()
	var now []string
	eventually(s.t, fmt.Sprintf("%d tasks of %s", n, name), func() (bool, string) {
		now = s.running(name)
		live, err := s.client.App(s.t.Context(), "/shop/"+name)
		return len(now) == n && err == nil && live.Status.Running == n && len(live.Status.Deployments) == 0, fmt.Sprint(now, live.Status, err)
	})
	return now
}

// A definition that does not come up is replaced by what ran before, whose tasks
// never stopped, and the sync says so.
func TestRevertOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t)
	s.options.Syncs[0].Policy.Revert, s.options.Syncs[0].Deadline = true, 5*time.Second
	s.push(map[string]string{"web.json": s.definition("web", "sleep 1000", 2)})
	c, stop := s.start()
	s.awaitStates(c, "web: synced, healthy")
	before := s.running("web")
	// Not a command that fails: on a busy machine that runs for long enough to be taken for up.
	nowhere := strings.Replace(s.definition("web", "sleep 3000", 2), `"cpus": 0.01`, `"cpus": 9999`, 1)
	s.push(map[string]string{"web.json": nowhere})
	eventually(t, "the revert", func() (bool, string) {
		a := c.Status().Syncs[0].Apps[0]
		return a.Condition == status.Failed && a.Health == status.HealthHealthy && strings.Contains(a.Reason, "reverted to the last healthy definition"), fmt.Sprintf("%+v", a)
	})
	if live, err := s.client.App(t.Context(), "/shop/web"); err != nil || !strings.HasSuffix(*live.Definition.Cmd, "exec sleep 1000") {
		t.Errorf("live: %+v, %v", live.Definition, err)
	}
	if now := s.runs("web", 2); len(before) != 2 {
		t.Errorf("tasks: %v, were %v", now, before)
	}
	s.looked(c)
	history := c.Status().Syncs[0].History
	if len(history) != 3 || history[0].Changes[0].Outcome != "applied" || !strings.Contains(history[0].Changes[0].Reason, "reverted to the last healthy one") {
		t.Errorf("history: %+v", history)
	}
	stop()
}

// Counts of an autoscaler and ignored paths are left alone, at rest and when
// something else changes.
func TestAutoscalerOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t)
	policy := &s.options.Syncs[0].Policy
	policy.Instances = plan.Instances{Min: 1, Max: 4}
	policy.Ignore = []plan.Ignore{{ID: "/shop/*", Paths: []string{"/env/BUILD"}}}
	s.push(map[string]string{"web.json": s.definition("web", "sleep 1000", 1)})
	c, stop := s.start()
	s.awaitStates(c, "web: synced, healthy")
	first := s.running("web")

	s.byHand("/shop/web", func(a *manifests.App) { a.Instances = new(3) })
	scaled := s.runs("web", 3)
	s.looked(c)
	if now := s.runs("web", 3); !slices.Equal(now, scaled) || !slices.Contains(now, first[0]) {
		t.Errorf("tasks after a scale by hand: %v, were %v", now, scaled)
	}
	s.awaitStates(c, "web: synced, healthy")
	if y := c.Status().Syncs[0]; y.Apps[0].Instances.Desired != 3 || len(y.History) != 1 {
		t.Errorf("status after a scale by hand: %+v", y)
	}

	s.byHand("/shop/web", func(a *manifests.App) { a.Env = map[string]manifests.EnvValue{"BUILD": {Value: "77"}} })
	built := s.runs("web", 3)
	s.looked(c)
	if now := s.runs("web", 3); !slices.Equal(now, built) {
		t.Errorf("tasks after an ignored path changed: %v, were %v", now, built)
	}

	s.push(map[string]string{"web.json": s.definition("web", "sleep 2000", 1)})
	eventually(t, "the new command", func() (bool, string) {
		live, err := s.client.App(t.Context(), "/shop/web")
		return err == nil && strings.HasSuffix(*live.Definition.Cmd, "exec sleep 2000"), fmt.Sprint(err)
	})
	s.runs("web", 3)
	s.looked(c)
	if live, err := s.client.App(t.Context(), "/shop/web"); err != nil || *live.Definition.Instances != 3 || live.Definition.Env["BUILD"].Value != "77" {
		t.Errorf("after a change of the command: %+v, %v", live.Definition, err)
	}

	s.byHand("/shop/web", func(a *manifests.App) { a.Instances = new(6) })
	s.looked(c)
	s.runs("web", 4) // no more than max
	stop()
}

// A renamed app runs under its new id before the old one goes, what depends on
// another file's app waits for it, and a group that is empty then goes too.
func TestRenameOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t)
	with := func(definition, more string) string { return strings.TrimSuffix(definition, "}") + more + "}" }
	s.push(map[string]string{"web.json": s.definition("old/web", "sleep 1000", 1)})
	c, stop := s.start()
	s.awaitStates(c, "old/web: synced, healthy")

	// The new id does not come up: what runs goes on running.
	s.options.Syncs[0].Deadline = 3 * time.Second
	if err := c.Reload(s.options); err != nil {
		t.Fatal(err)
	}
	s.push(map[string]string{"web.json": with(s.definition("new/web", "sleep 1000", 1), `, "constraints": [["hostname", "LIKE", "nowhere"]]`)})
	eventually(t, "the failure", func() (bool, string) {
		for _, a := range c.Status().Syncs[0].Apps {
			if a.ID == "/shop/new/web" && a.Condition == status.Failed {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", c.Status().Syncs[0].Apps)
	})
	s.looked(c)
	if live, err := s.client.App(t.Context(), "/shop/old/web"); err != nil || live.Status.Running != 1 {
		t.Errorf("the old one was not left running: %+v, %v", live.Status, err)
	}

	s.push(map[string]string{
		"web.json": with(s.definition("new/web", "sleep 1000", 1), `, "dependencies": ["/shop/new/db"]`),
		"db.json":  s.definition("new/db", "sleep 1000", 1),
	})
	s.awaitStates(c, "new/db: synced, healthy; new/web: synced, healthy")
	var order []string
	for _, e := range slices.Backward(c.Status().Syncs[0].History) {
		for _, done := range e.Changes {
			order = append(order, string(done.Action)+" "+strings.TrimPrefix(done.ID, "/shop/")+" "+done.Outcome)
		}
	}
	state, err := s.client.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, there := state.Groups["/shop/old"]; there || len(state.Apps) != 2 {
		t.Errorf("left behind: %v, %v", state.Groups, state.Apps)
	}
	db, web, old := slices.Index(order, "create new/db applied"), slices.IndexFunc(order, func(s string) bool { return strings.HasSuffix(s, "new/web applied") }), slices.Index(order, "delete old/web applied")
	if db < 0 || web < db || old < web {
		t.Errorf("order: %v", order)
	}
	stop()
}

// A rollback to what a directory held before: what runs is that again, what both
// have keeps its tasks, and it is held over a restart with the directory gone.
func TestRollbackOnTheLocalMarathon(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api := s.definition("api", "sleep 1000", 1)
	s.push(map[string]string{"api.json": api, "web.json": s.definition("web", "sleep 1001", 1)})
	c, stop := s.start()
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	first, kept := c.Status().Syncs[0].PlannedRevision, s.running("api")
	s.push(map[string]string{"api.json": api, "job.json": s.definition("job", "sleep 1000", 1), "web.json": s.definition("web", "sleep 1002", 2)})
	s.awaitStates(c, "api: synced, healthy; job: synced, healthy; web: synced, healthy")
	s.looked(c)

	pin, err := c.Rollback(t.Context(), "shop", Rollback{Revision: strings.TrimPrefix(first, plan.ContentHash)[:8]}, ada)
	if err != nil || pin.ID != first {
		t.Fatalf("rolled back to %+v, %v, want %s", pin, err, first)
	}
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	stop()
	if err := os.RemoveAll(s.source); err != nil {
		t.Fatal(err)
	}
	c, stop = s.start()
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	s.byHand("/shop/web", func(a *manifests.App) { a.Instances = new(3) })
	s.looked(c)
	s.runs("web", 1)
	live, err := s.client.App(t.Context(), "/shop/web")
	if err != nil || !strings.HasSuffix(*live.Definition.Cmd, "exec sleep 1001") {
		t.Errorf("live: %+v, %v", live.Definition, err)
	}
	if now := s.running("api"); !slices.Equal(now, kept) {
		t.Errorf("what both revisions have was restarted: %v, was %v", now, kept)
	}
	if now := s.running("job"); len(now) > 0 {
		t.Errorf("what the earlier revision had not still runs: %v", now)
	}
	stop()
}

// One bad app of a new group takes none of the others with it: they are healthy
// while it hangs and after it failed, and it goes when git drops it.
func TestABadAppOfANewGroupOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t)
	s.options.Syncs[0].Deadline = 4 * time.Second
	tree, healthy := map[string]string{}, []string{}
	for i := range 12 {
		name := fmt.Sprintf("a%02d", i)
		tree[name+".json"] = s.definition(name, "sleep 1000", 1)
		if name != "a07" {
			healthy = append(healthy, name+": synced, healthy")
		}
	}
	tree["a07.json"] = strings.TrimSuffix(tree["a07.json"], "}") + `, "constraints": [["hostname", "LIKE", "nowhere"]]}`
	s.push(tree)
	c, stop := s.start()
	defer stop()
	others := func() string {
		var all []string
		for _, a := range c.Status().Syncs[0].Apps {
			if a.ID != "/shop/a07" {
				all = append(all, strings.TrimPrefix(a.ID, "/shop/")+": "+string(a.State)+", "+string(a.Health)+string(a.Condition))
			}
		}
		return strings.Join(all, "; ")
	}
	bad := func() status.App {
		for _, a := range c.Status().Syncs[0].Apps {
			if a.ID == "/shop/a07" {
				return a
			}
		}
		return status.App{}
	}
	want := strings.Join(healthy, "; ")
	eventually(t, "the others are applied while the bad one hangs", func() (bool, string) {
		return others() == want && bad().Condition == status.InRollout, others()
	})
	eventually(t, "the bad one fails alone", func() (bool, string) {
		return others() == want && bad().Condition == status.Failed, fmt.Sprintf("%s; %+v", others(), bad())
	})
	delete(tree, "a07.json")
	s.push(tree)
	eventually(t, "the bad one goes", func() (bool, string) {
		state, err := s.client.State(t.Context())
		return err == nil && len(state.Apps) == 11 && len(state.Deployments) == 0 && others() == want, fmt.Sprintf("%s; %+v", others(), bad())
	})
}
