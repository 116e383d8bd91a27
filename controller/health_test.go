package controller

import (
	"testing"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
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
		health := healthOf(true, i, len(s.Deployments), false)
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
