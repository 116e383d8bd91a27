package apply

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

func TestConverged(t *testing.T) {
	t.Parallel()
	plain, asked := appOf("/a", "x", 2), appOf("/a", "x", 2)
	asked.HealthChecks = []manifests.HealthCheck{{}}
	none, ready := appOf("/a", "x", 0), appOf("/a", "x", 2)
	ready.ReadinessChecks = []manifests.ReadinessCheck{{}}
	for name, c := range map[string]struct {
		def    *manifests.App
		status marathon.Status
		why    string // empty: converged
	}{
		"up":                          {plain, marathon.Status{Running: 2}, ""},
		"instances are 1 unsaid":      {&manifests.App{}, marathon.Status{Running: 1}, ""},
		"none wanted, none runs":      {none, marathon.Status{}, ""},
		"none wanted, one runs":       {none, marathon.Status{Running: 1}, "1 of 0 running"},
		"one short":                   {plain, marathon.Status{Running: 1, Staged: 1}, "1 of 2 running"},
		"one too many":                {plain, marathon.Status{Running: 3}, "3 of 2 running"},
		"no deployment is not enough": {plain, marathon.Status{}, "0 of 2 running"},
		"deployment":                  {plain, marathon.Status{Running: 2, Deployments: []string{"d"}}, "2 of 2 running, deployment d is in progress"},
		"deployment of several":       {plain, marathon.Status{Running: 2, Deployments: []string{"array"}}, ""},
		"two deployments":             {plain, marathon.Status{Running: 2, Deployments: []string{"array", "d"}}, "2 of 2 running, deployment d is in progress"},
		"of several, with readiness":  {ready, marathon.Status{Running: 2, Deployments: []string{"array"}}, "2 of 2 running, deployment array is in progress"},
		"of several, one short":       {plain, marathon.Status{Running: 1, Deployments: []string{"array"}}, "1 of 2 running"},
		"old task":                    {plain, marathon.Status{Running: 2, Outdated: 1}, "1 of 2 running are of an older version"},
		"tasks not read":              {plain, marathon.Status{Running: 2, Outdated: -1}, "cannot tell whether tasks of an older version are running"},
		"healthy":                     {asked, marathon.Status{Running: 2, Healthy: 2}, ""},
		"not healthy":                 {asked, marathon.Status{Running: 2, Healthy: 1, Unhealthy: 1}, "2 of 2 running, 1 healthy"},
		"not checked":                 {plain, marathon.Status{Running: 2, Healthy: 0}, ""},
	} {
		if ok, why := Converged(c.status, c.def, []marathon.Deployment{{ID: "d", AffectedApps: []string{"/a"}}, {ID: "array", AffectedApps: []string{"/a", "/b"}}}); ok != (c.why == "") || why != c.why {
			t.Errorf("%s: %v %q, want %q", name, ok, why, c.why)
		}
	}
	pod := &manifests.Pod{Scaling: &manifests.Scaling{Instances: new(2)}}
	if ok, _ := ConvergedPod(marathon.Status{Running: 2, Healthy: 2}, pod, nil); !ok {
		t.Error("a pod whose instances are all stable has not converged")
	}
	if ok, _ := ConvergedPod(marathon.Status{Running: 2, Healthy: 1}, pod, nil); ok {
		t.Error("a pod with a degraded instance has converged")
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	answer := func(status int) error { return &marathon.Error{Status: status, Sent: true} }
	lockedBy := &marathon.Error{Status: 409, Sent: true, Deployments: []string{"d"}}
	for name, c := range map[string]struct {
		err                    error
		create, update, remove verdict
	}{
		"taken":          {nil, watch, watch, watch},
		"locked":         {lockedBy, waitLocked, waitLocked, waitLocked},
		"conflict":       {answer(409), lookAgain, giveUp, holdBack},
		"bad request":    {answer(400), giveUp, giveUp, giveUp},
		"rejected":       {answer(422), giveUp, giveUp, giveUp},
		"too many":       {&marathon.Error{Status: 403, Sent: true, Message: "Max number (100) of"}, backOff, backOff, backOff},
		"forbidden":      {answer(403), giveUp, giveUp, giveUp},
		"who are you":    {answer(401), giveUpNow, giveUpNow, giveUpNow},
		"missing":        {answer(404), lookAgain, lookAgain, gone},
		"media type":     {answer(415), giveUp, giveUp, giveUp},
		"500":            {answer(500), lookAgain, lookAgain, lookAgain},
		"503":            {answer(503), lookAgain, lookAgain, lookAgain},
		"unreadable 200": {answer(200), lookAgain, lookAgain, lookAgain},
		"cut":            {&marathon.Error{Sent: true, Cause: errors.New("reset")}, lookAgain, lookAgain, lookAgain},
		"not sent":       {&marathon.Error{Cause: errors.New("refused")}, retry, retry, retry},
		"no request":     {errors.New("bad id"), giveUpNow, giveUpNow, giveUpNow},
	} {
		for action, want := range map[plan.Action]verdict{plan.Create: c.create, plan.Update: c.update, plan.Scale: c.update, plan.Delete: c.remove} {
			if got := decide(action, c.err); got != want {
				t.Errorf("%s of a %s: %d, want %d", name, action, got, want)
			}
		}
		if c.err != nil && advice(c.err) == "" {
			t.Errorf("%s: no words for it", name)
		}
	}
}

func TestExplanations(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	config := now.Add(-30 * time.Second)
	asked := appOf("/a", "x", 2)
	asked.HealthChecks = []manifests.HealthCheck{{Path: new("/health")}}
	image := appOf("/a", "x", 2)
	image.Container = &manifests.Container{Docker: &manifests.Docker{Image: "nginx:1"}}
	failed := func(message string, ago time.Duration) marathon.Status {
		return marathon.Status{LastConfigChangeAt: config, LastTaskFailure: &marathon.TaskFailure{
			Message: message, Host: "h1", State: "TASK_FAILED", Timestamp: now.Add(-ago), Version: now.Add(-ago - time.Second)}}
	}
	refused := marathon.QueueItem{ID: "/a", App: asked}
	refused.Delay.Overdue = true
	refused.Summary.Processed, refused.Summary.Unused = 57, 57
	refused.Summary.LastOffers = []marathon.RejectStage{{Reason: "InsufficientCpus", Declined: 3}}
	unhealthyTask := marathon.Task{Health: []marathon.HealthResult{{LastFailureCause: "503 Service Unavailable", ConsecutiveFailures: 4}}}
	readiness := marathon.Deployment{ID: "d", AffectedApps: []string{"/a"}, CurrentActions: []marathon.Action{{Action: "RestartApplication", App: "/a",
		Readiness: []marathon.Readiness{{Name: "warm", LastResponse: &struct {
			Status int `json:"status"`
		}{503}}}}}}
	task := func(id, host, state string) marathon.Task {
		return marathon.Task{ID: id, Host: host, State: state, StagedAt: now.Add(-12 * time.Second)}
	}
	earlier := func(t marathon.Task) marathon.Task { t.StagedAt = t.StagedAt.Add(-10 * time.Second); return t }
	taken := marathon.QueueItem{ID: "/a"}
	taken.Delay.Overdue = true
	taken.Summary.Processed = 3
	fetching := appOf("/a", "x", 2)
	fetching.Container = image.Container
	fetching.Fetch = []manifests.Artifact{{URI: "https://ada:hunter2@files.example.com/a.tgz?token=hunter2"}, {URI: "https://files.example.com/b.tgz"}}
	graceful := appOf("/a", "x", 2)
	graceful.TaskKillGracePeriod = new(60)
	waiting := func(s *manifests.UnreachableStrategy) *manifests.App {
		a := appOf("/a", "x", 2)
		a.UnreachableStrategy = s
		return a
	}
	turn := marathon.Deployment{ID: "d", AffectedApps: []string{"/a", "/db"}, CurrentStep: 2, TotalSteps: 3,
		CurrentActions: []marathon.Action{{Action: "ScaleApplication", App: "/db"}}}
	for name, c := range map[string]struct {
		def      *manifests.App
		status   marathon.Status
		tasks    []marathon.Task
		evidence evidence
		want     string
	}{
		"refused offers": {asked, marathon.Status{}, nil, evidence{queue: []marathon.QueueItem{refused}},
			"0 of 2 running: 57 of 57 offers refused, all for cpus: requires 99999"},
		"exit code": {asked, failed("Command exited with status 127", 3*time.Second), nil, evidence{},
			"0 of 2 running: the last task ended on h1 at 00:00:57 UTC: exit code 127: the command is not found"},
		"exit code with words": {asked, failed("Command exited with status 127: sh: demoap: not found", 3*time.Second), nil, evidence{},
			"0 of 2 running: the last task ended on h1 at 00:00:57 UTC: exit code 127: sh: demoap: not found"},
		"other failure":                       {asked, failed("Failed to pull\nimage", 3*time.Second), nil, evidence{}, "0 of 2 running: the last task ended on h1 at 00:00:57 UTC: Failed to pull image"},
		"failure of the configuration before": {image, failed("Command exited with status 1", 40*time.Second), nil, evidence{}, "0 of 2 running"},
		"health": {asked, marathon.Status{Running: 2}, []marathon.Task{{}, unhealthyTask}, evidence{},
			"2 of 2 running, but /health answers 503 Service Unavailable (0 healthy)"},
		"health, not asked yet": {asked, marathon.Status{Running: 2, Healthy: 1}, []marathon.Task{{}, {Health: []marathon.HealthResult{{Alive: true}}}}, evidence{},
			"2 of 2 running, 1 healthy: /health has not passed yet for 1 (grace period 300 s)"},
		"health, asked within the grace period": {asked, marathon.Status{Running: 2, Unhealthy: 1, Healthy: 1},
			[]marathon.Task{{Health: []marathon.HealthResult{{}}}, {Health: []marathon.HealthResult{{Alive: true}}}}, evidence{},
			"2 of 2 running, 1 healthy: /health has not passed yet for 1 (grace period 300 s)"},
		"readiness": {image, marathon.Status{Running: 2}, nil, evidence{deployments: []marathon.Deployment{readiness}}, "2 of 2 running: readiness check warm answers 503"},
		"turn": {image, marathon.Status{}, nil, evidence{deployments: []marathon.Deployment{turn}},
			"0 of 2 running: waiting for earlier steps: deployment d is at step 2 of 3: ScaleApplication /db"},
		"pulling": {image, marathon.Status{Staged: 1}, nil, evidence{}, "0 of 2 running: 1 staging: fetching image nginx:1"},
		"staging": {image, marathon.Status{Staged: 1}, []marathon.Task{task("t1", "h1", "TASK_STAGING")}, evidence{queue: []marathon.QueueItem{taken}},
			"0 of 2 running: staging since 00:00:48 UTC on h1: fetching image nginx:1"},
		"several staging, with artifacts": {fetching, marathon.Status{Staged: 2}, []marathon.Task{task("t1", "h1", "TASK_STARTING"), earlier(task("t2", "h2", "TASK_STAGING"))}, evidence{},
			"0 of 2 running: 2 staging, the first since 00:00:38 UTC on h2: fetching image nginx:1, https://files.example.com/a.tgz, 1 more"},
		"staging of nothing to fetch": {appOf("/a", "x", 1), marathon.Status{Staged: 1}, []marathon.Task{task("t1", "h1", "TASK_STAGING")}, evidence{},
			"0 of 1 running: staging since 00:00:48 UTC on h1"},
		"one staging, one refused": {asked, marathon.Status{Staged: 1}, []marathon.Task{task("t1", "h1", "TASK_STAGING")}, evidence{queue: []marathon.QueueItem{refused}},
			"0 of 2 running: 57 of 57 offers refused, all for cpus: requires 99999; staging since 00:00:48 UTC on h1"},
		"offers taken, nothing staged": {image, marathon.Status{}, nil, evidence{queue: []marathon.QueueItem{taken}}, "0 of 2 running: offers are being accepted"},
		"one does not end": {graceful, marathon.Status{Running: 2, Outdated: 1}, []marathon.Task{task("t1", "h1", "TASK_RUNNING"), task("t2", "h2", "TASK_KILLING")}, evidence{},
			"2 of 2 running (1 of an older version): the task is being killed since at least 00:00:40 UTC on h2 and has not ended (taskKillGracePeriodSeconds 60)"},
		"several do not end": {image, marathon.Status{Running: 1}, []marathon.Task{task("t3", "h1", "TASK_KILLING"), task("t2", "h2", "TASK_KILLING")}, evidence{},
			"1 of 2 running: 2 tasks are being killed and have not ended, the first since at least 00:00:40 UTC on h2 (no taskKillGracePeriodSeconds)"},
		"unreachable": {image, marathon.Status{Running: 1}, []marathon.Task{task("t2", "h2", "TASK_UNREACHABLE")}, evidence{queue: []marathon.QueueItem{taken}},
			"1 of 2 running: the task is unreachable since at least 00:00:41 UTC on h2: Marathon starts another at once and gives it up at once (unreachableStrategy)"},
		"unreachable, with times": {waiting(&manifests.UnreachableStrategy{InactiveAfterSeconds: new(300), ExpungeAfterSeconds: new(600)}), marathon.Status{Running: 1}, []marathon.Task{task("t2", "h2", "TASK_UNREACHABLE")}, evidence{},
			"1 of 2 running: the task is unreachable since at least 00:00:41 UTC on h2: Marathon starts another after 300 s and gives it up after 600 s (unreachableStrategy)"},
		"unreachable, waited for": {waiting(&manifests.UnreachableStrategy{Disabled: true}), marathon.Status{}, []marathon.Task{task("t2", "h2", "TASK_UNREACHABLE"), task("t4", "h3", "TASK_UNREACHABLE")}, evidence{},
			"0 of 2 running: 2 tasks are unreachable, the first since at least 00:00:41 UTC on h2: Marathon waits for them and starts no other (unreachableStrategy disabled)"},
		"too many": {image, marathon.Status{Running: 3}, nil, evidence{}, "3 of 2 running: 1 surplus, which Marathon will kill"},
		"old ones": {image, marathon.Status{Running: 2, Outdated: 2}, nil, evidence{}, "2 of 2 running (2 of an older version)"},
	} {
		c.evidence.now = now
		c.evidence.seen = &sightings{first: map[string]time.Time{"t2 TASK_KILLING": now.Add(-20 * time.Second), "t2 TASK_UNREACHABLE": now.Add(-19 * time.Second)}}
		if got := c.evidence.explain("/a", live{app: &marathon.App{Definition: c.def, Status: c.status, Tasks: c.tasks}}); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.has(appOf("/up", "x", 1))
		if _, err := c.PutApp(t.Context(), appOf("/stuck", "hang", 1), false); err != nil {
			t.Fatal(err)
		}
		a := New(c, Options{})
		for id, want := range map[string]string{"/up": "", "/none": "Marathon does not have it", "/stuck": "0 of 1 running: 57 of 57 offers refused"} {
			if got := a.Explain(t.Context(), id); !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("%s: %q, want %q", id, got, want)
			}
		}
		c.unreadable = &marathon.Error{Status: 503, Message: "away", Sent: true}
		if got := a.Explain(t.Context(), "/up"); !strings.Contains(got, "unknown") {
			t.Errorf("unreadable: %q", got)
		}
	})
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var items []*item
	for _, m := range []int{100, 1, 100, 2, 2, 100} {
		items = append(items, &item{batchMax: m})
	}
	var sizes []int
	for _, b := range batches(items) {
		sizes = append(sizes, len(b))
		for _, it := range b {
			if len(b) > it.batchMax {
				t.Errorf("an item that allows %d is in an array of %d", it.batchMax, len(b))
			}
		}
	}
	if total := sum(sizes); total != len(items) || len(sizes) > 3 {
		t.Errorf("arrays of %v", sizes)
	}
}

func sum(n []int) int {
	s := 0
	for _, x := range n {
		s += x
	}
	return s
}
