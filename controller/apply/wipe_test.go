package apply

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

var (
	ranBefore = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	rolledOut = ranBefore.Add(time.Hour)
)

// rolling is an app in a rollout, with a task that ran before unless it is gone.
func rolling(gone bool, change func(*manifests.App), tasks ...marathon.Task) live {
	a := &manifests.App{ID: "/a"}
	if change != nil {
		change(a)
	}
	if !gone {
		tasks = append(tasks, marathon.Task{ID: "old", State: "TASK_RUNNING", Version: ranBefore},
			marathon.Task{ID: "old and stuck", State: "TASK_STAGING", Version: ranBefore})
	}
	return live{app: &marathon.App{Definition: a, Tasks: tasks,
		Status: marathon.Status{Version: rolledOut.Format(time.RFC3339Nano), LastConfigChangeAt: rolledOut}}}
}

func newTask(state string, health ...bool) marathon.Task {
	t := marathon.Task{ID: "new", State: state, Version: rolledOut}
	for _, alive := range health {
		t.Health = append(t.Health, marathon.HealthResult{Alive: alive})
	}
	return t
}

func rollingPod(status string, containers ...string) live {
	p := &marathon.Pod{Definition: &manifests.Pod{ID: "/a"}, Status: marathon.Status{Version: "v2"}, Instances: []marathon.PodInstance{
		{ID: "old", Status: "STABLE", SpecReference: "/v2/pods/a::versions/v1"},
		{ID: "old and stuck", Status: "STAGING", SpecReference: "/v2/pods/a::versions/v1"},
		{ID: "new", Status: status, SpecReference: "/v2/pods/a::versions/v2"},
	}}
	for _, c := range containers {
		p.Instances[2].Containers = append(p.Instances[2].Containers, marathon.PodContainer{Status: c})
	}
	return live{pod: p}
}

func withEnded(l live) live {
	l.app.Ended = append(l.app.Ended, marathon.Task{ID: "new", State: "TASK_FAILED"})
	return l
}

// The truth table of what is ended before a write: never what serves or may serve,
// and never what holds data.
func TestWhatIsEndedBeforeAWrite(t *testing.T) {
	checked := func(a *manifests.App) { a.HealthChecks = make([]manifests.HealthCheck, 1) }
	twice := func(a *manifests.App) { a.HealthChecks = make([]manifests.HealthCheck, 2) }
	data := func(a *manifests.App) {
		a.Container = &manifests.Container{Volumes: []manifests.Volume{{Persistent: &manifests.PersistentVolume{}}}}
	}
	podData := rollingPod("STAGING")
	podData.pod.Definition.Volumes = []manifests.Volume{{Persistent: &manifests.PersistentVolume{}}}
	unready := []marathon.Deployment{{CurrentActions: []marathon.Action{{App: "/a", Readiness: []marathon.Readiness{{TaskID: "new"}}}}}}
	ready := []marathon.Deployment{{CurrentActions: []marathon.Action{{App: "/a", Readiness: []marathon.Readiness{{TaskID: "new", Ready: true}}}}}}
	for name, c := range map[string]struct {
		live          live
		deployments   []marathon.Deployment
		revert, other bool
	}{
		"staging":                  {live: rolling(false, nil, newTask("TASK_STAGING")), revert: true, other: true},
		"starting":                 {live: rolling(false, nil, newTask("TASK_STARTING")), revert: true, other: true},
		"ended":                    {live: withEnded(rolling(false, nil)), revert: true, other: true},
		"runs":                     {live: rolling(false, nil, newTask("TASK_RUNNING"))},
		"runs, healthy":            {live: rolling(false, checked, newTask("TASK_RUNNING", true))},
		"runs, unhealthy":          {live: rolling(false, checked, newTask("TASK_RUNNING", false)), revert: true},
		"runs, not asked yet":      {live: rolling(false, checked, newTask("TASK_RUNNING")), revert: true},
		"runs, one check of two":   {live: rolling(false, twice, newTask("TASK_RUNNING", true)), revert: true},
		"runs, not ready":          {live: rolling(false, nil, newTask("TASK_RUNNING")), deployments: unready, revert: true},
		"runs, ready":              {live: rolling(false, nil, newTask("TASK_RUNNING")), deployments: ready},
		"unreachable":              {live: rolling(false, checked, newTask("TASK_UNREACHABLE"))},
		"being killed":             {live: rolling(false, nil, newTask("TASK_KILLING"))},
		"nothing runs from before": {live: rolling(true, nil, newTask("TASK_STAGING"))},
		"holds data":               {live: rolling(false, data, newTask("TASK_STAGING"))},
		"a pod, pending":           {live: rollingPod("PENDING"), revert: true, other: true},
		"a pod, staging":           {live: rollingPod("STAGING"), revert: true, other: true},
		"a pod, runs":              {live: rollingPod("STABLE", "TASK_RUNNING")},
		"a pod, unhealthy":         {live: rollingPod("DEGRADED", "TASK_RUNNING"), revert: true},
		"a pod, unreachable":       {live: rollingPod("DEGRADED", "TASK_UNREACHABLE")},
		"a pod, ends":              {live: rollingPod("TERMINAL")},
		"a pod, holds data":        {live: podData},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{deployments: c.deployments}
			for failed, want := range map[bool]bool{true: c.revert, false: c.other} {
				var expected []string
				if want {
					expected = []string{"new"}
				}
				if found := r.idle(c.live, failed); !slices.Equal(found, expected) {
					t.Errorf("failed %v: expected %v, found %v", failed, expected, found)
				}
			}
		})
	}
}

// ender is a Marathon of which tasks can be ended.
type ender struct {
	Marathon
	live        live
	deployments []marathon.Deployment
}

func (e *ender) App(context.Context, string) (marathon.App, error) { return *e.live.app, nil }
func (e *ender) Deployments(context.Context) ([]marathon.Deployment, error) {
	return e.deployments, nil
}

func (e *ender) WipeTasks(_ context.Context, _ string, ids []string) error {
	e.live.app.Tasks = slices.DeleteFunc(e.live.app.Tasks, func(t marathon.Task) bool { return slices.Contains(ids, t.ID) })
	return nil
}

func (e *ender) CancelDeployment(context.Context, string) error { return nil }

func (e *ender) WipeInstances(context.Context, string, []string) error { return nil }

// Tasks are ended only by who may write, and where no other deployment is at work.
func TestNothingIsEndedWithoutTheLeaseOrUnderAnotherDeployment(t *testing.T) {
	other := marathon.Deployment{ID: "other", AffectedApps: []string{"/a"}}
	for name, c := range map[string]struct {
		lease error
		other bool // a deployment of somebody else, seen by
		late  bool // the app alone
		left  int
	}{
		"as it should be":                        {left: 2},
		"without the lease":                      {lease: errors.New("the lease has ended"), left: 3},
		"another deployment":                     {other: true, left: 3},
		"another deployment that has just begun": {late: true, left: 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := &ender{live: rolling(false, nil, newTask("TASK_STAGING"))}
			if c.other {
				m.deployments = []marathon.Deployment{other}
			}
			if c.late {
				m.live.app.Status.Deployments = []string{other.ID}
			}
			r := &run{Applier: New(m, Options{}), ctx: t.Context(), byID: map[string]*item{}, req: Request{
				Progress: func(Outcome) {}, Sending: func([]Write) error { return c.lease }}}
			it := r.add(plan.Change{ID: "/a", Kind: manifests.KindApp, Revert: true, App: &manifests.App{ID: "/a"}})
			waits := r.clears(it)
			if left := len(m.live.app.Tasks); left != c.left || waits != (c.left == 2) {
				t.Errorf("expected %d tasks, found %d, and the write waits: %v", c.left, left, waits)
			}
			if r.clears(it) {
				t.Error("the write still waits, though nothing is left to be ended")
			}
		})
	}
}
