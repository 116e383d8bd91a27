package status

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// everyStatus yields all that Marathon may count of an app that asks for up to 3
// instances, and whether a deployment works on it.
func everyStatus(yield func(asked int, checked bool, s marathon.Status)) {
	for asked := range 4 {
		for _, checked := range []bool{false, true} {
			for running := range 5 {
				for healthy := range running + 1 {
					for outdated := -1; outdated <= 1; outdated++ {
						s := marathon.Status{Running: running, Healthy: healthy, Outdated: outdated}
						yield(asked, checked, s)
						s.Deployments = []string{"d"}
						yield(asked, checked, s)
					}
				}
			}
		}
	}
}

// The two judgements of counts agree: no rollout is over while the app is shown to be
// anything but healthy, or suspended where it asks for no instances.
func TestWhatHasConvergedIsHealthy(t *testing.T) {
	converged, healthyOnly := 0, 0
	everyStatus(func(asked int, checked bool, s marathon.Status) {
		def := &manifests.App{ID: "/a", Instances: &asked}
		if checked {
			def.HealthChecks = []manifests.HealthCheck{{}}
		}
		i := counts(s, asked)
		i.Checked = checked
		health := healthBy(true, i, len(s.Deployments), false)
		over, missing := apply.Converged(s, def, nil)
		switch {
		case over && health != HealthHealthy && (health != HealthSuspended || asked > 0):
			t.Errorf("%+v of %d has converged and is %s", s, asked, health)
		case over:
			converged++
		case missing == "":
			t.Errorf("%+v of %d: nothing is said to be missing", s, asked)
		case health == HealthHealthy:
			healthyOnly++
		}
	})
	if converged == 0 || healthyOnly == 0 {
		t.Errorf("%d converged, %d only healthy", converged, healthyOnly)
	}
}

func TestHealthOf(t *testing.T) {
	tests := map[string]struct {
		found       bool
		i           Instances
		deployments int
		failed      bool
		want        Health
	}{
		"missing":                      {false, Instances{Target: 1}, 0, false, HealthMissing},
		"deploying":                    {true, Instances{Target: 1, Running: 1}, 1, false, HealthProgressing},
		"stopped on purpose":           {true, Instances{}, 0, false, HealthSuspended},
		"being stopped":                {true, Instances{Running: 1}, 0, false, HealthHealthy},
		"all run":                      {true, Instances{Target: 2, Running: 2}, 0, false, HealthHealthy},
		"one is missing":               {true, Instances{Target: 2, Running: 1}, 0, false, HealthDegraded},
		"all run, none healthy":        {true, Instances{Target: 2, Running: 2, Checked: true}, 0, false, HealthDegraded},
		"all healthy":                  {true, Instances{Target: 2, Running: 2, Healthy: 2, Checked: true}, 0, false, HealthHealthy},
		"health is not asked for":      {true, Instances{Target: 2, Running: 2, Healthy: 0}, 0, false, HealthHealthy},
		"more run than are wanted":     {true, Instances{Target: 1, Running: 3, Healthy: 1, Checked: true}, 0, false, HealthHealthy},
		"all run, one failed just now": {true, Instances{Target: 2, Running: 2}, 0, true, HealthDegraded},
		"failed, and being deployed":   {true, Instances{Target: 2, Running: 2}, 1, true, HealthProgressing},
		"failed, and stopped since":    {true, Instances{}, 0, true, HealthSuspended},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := healthBy(test.found, test.i, test.deployments, test.failed); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestStateOf(t *testing.T) {
	pending := &plan.Change{Hash: "h2", Reason: "image differs"}
	held := &plan.Change{Hash: "h2", Blocked: new("wait for pacer approve")}
	failed := &plan.Failure{Hash: "h2", Reason: "exit code 127"}
	older := &plan.Failure{Hash: "h1", Reason: "exit code 1"}
	restored := &plan.Failure{Hash: "h2", Reason: "exit code 127", Restored: true}
	tests := map[string]struct {
		f         Facts
		state     State
		condition Condition
		reason    string
	}{
		"equal":                     {Facts{}, Synced, "", ""},
		"equal, our rollout":        {Facts{Rollout: true}, Synced, InRollout, ""},
		"equal, its rollout failed": {Facts{Failure: failed, Rollout: true}, Synced, Failed, "exit code 127"},
		"put back":                  {Facts{Failure: restored}, OutOfSync, Failed, "exit code 127; reverted to the last healthy definition"},
		"pending":                   {Facts{Change: pending}, OutOfSync, "", "image differs"},
		"pending, older one failed": {Facts{Change: pending, Failure: older}, OutOfSync, "", "image differs"},
		"blocked":                   {Facts{Change: held}, OutOfSync, Blocked, "wait for pacer approve"},
		"blocked as it failed":      {Facts{Change: held, Failure: failed}, OutOfSync, Failed, "exit code 127"},
		"blocked, another failed":   {Facts{Change: held, Failure: older}, OutOfSync, Blocked, "wait for pacer approve"},
		"broken, whatever else":     {Facts{Broken: "cpus: want a number", Change: pending, Failure: failed}, Unknown, Broken, "its manifest has an error, so nothing is changed: cpus: want a number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state, condition, reason := StateOf(test.f)
			if state != test.state || condition != test.condition || reason != test.reason {
				t.Errorf("got %q, %q because %q, want %q, %q because %q", state, condition, reason, test.state, test.condition, test.reason)
			}
		})
	}
}

// As soon as Marathon has taken a new count it is its target.
func TestTheTargetOfARollout(t *testing.T) {
	t.Parallel()
	a := App{State: OutOfSync, Instances: Instances{Desired: 3, Target: 1, Running: 1}, Counted: true}
	to := &Instances{Desired: 3, Target: 3}
	a.ShowOutcome(apply.Outcome{Action: plan.Scale, Began: time.Now()}, to)
	if a.Counts() != "1 of 3 running (Marathon's target: 1)" {
		t.Errorf("sent: %s", a.Counts())
	}
	a.ShowOutcome(apply.Outcome{Action: plan.Scale, Began: time.Now(), Deployment: "d"}, to)
	if a.Counts() != "1 of 3 running" {
		t.Errorf("taken: %s", a.Counts())
	}
}
