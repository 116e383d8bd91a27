package apply

import (
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// Converged reports whether an app whose definition is right is up: no deployment
// works on it, as many tasks run as def has instances, all are healthy where it
// has health checks, and none is of an older configuration. If not, the text
// says what is missing. Deployments are those that Marathon runs; nil where they
// are not known.
func Converged(s marathon.Status, def *manifests.App, deployments []marathon.Deployment) (bool, string) {
	if len(def.ReadinessChecks) == 0 { // what those ask for ends with the deployment alone
		s.Deployments = ownDeployments(s.Deployments, deployments)
	}
	return converged(s, def.Count(), len(def.HealthChecks) > 0)
}

// ConvergedPod does for a pod what Converged does for an app. An instance
// counts as healthy when all its containers run and pass their checks, if any.
func ConvergedPod(s marathon.Status, def *manifests.Pod, deployments []marathon.Deployment) (bool, string) {
	s.Deployments = ownDeployments(s.Deployments, deployments)
	return converged(s, def.Count(), true)
}

// ownDeployments are those of some deployments that work on one app alone. One
// that works on several, as on an array of new apps, lasts until the last of them
// is up: each of them is judged by its own counts.
func ownDeployments(ids []string, all []marathon.Deployment) []string {
	if len(ids) == 0 || len(all) == 0 {
		return ids
	}
	shared := func(id string) bool {
		return slices.ContainsFunc(all, func(d marathon.Deployment) bool {
			return d.ID == id && len(d.AffectedApps)+len(d.AffectedPods) > 1
		})
	}
	return slices.DeleteFunc(slices.Clone(ids), shared)
}

// converged reports whether a rollout is over, and if not what is missing:
//
//	deployments   running           outdated     healthy, where checked   converged
//	some                                                                  no
//	none          other than asked                                        no: of too many, Marathon kills some
//	none          as asked          some                                  no
//	none          as asked          not known                             no
//	none          as asked          none         fewer than running       no
//	none          as asked          none         all                      yes
//
// It is stricter than the health of an app, which who waits for no rollout is shown.
func converged(s marathon.Status, instances int, checked bool) (bool, string) {
	switch {
	case len(s.Deployments) > 0:
		return false, fmt.Sprintf("%d of %d running, deployment %s is in progress", s.Running, instances, s.Deployments[0])
	case s.Running != instances:
		return false, fmt.Sprintf("%d of %d running", s.Running, instances)
	case s.Outdated > 0:
		return false, fmt.Sprintf("%d of %d running are of an older version", s.Outdated, s.Running)
	case s.Outdated < 0:
		return false, "cannot tell whether tasks of an older version are running"
	case checked && s.Healthy != instances:
		return false, fmt.Sprintf("%d of %d running, %d healthy", s.Running, instances, s.Healthy)
	}
	return true, ""
}

// live is what the last look found of an item; missing if all are nil.
type live struct {
	app *marathon.App
	pod *marathon.Pod
}

func (l live) missing() bool { return l.app == nil && l.pod == nil }

func (l live) status() marathon.Status {
	switch {
	case l.app != nil:
		return l.app.Status
	case l.pod != nil:
		return l.pod.Status
	}
	return marathon.Status{}
}

func (l live) converged(deployments []marathon.Deployment) (bool, string) {
	switch {
	case l.app != nil:
		return Converged(l.app.Status, l.app.Definition, deployments)
	case l.pod != nil:
		return ConvergedPod(l.pod.Status, l.pod.Definition, deployments)
	}
	return false, "Marathon does not have it"
}

func (l live) instances() int {
	switch {
	case l.app != nil:
		return l.app.Definition.Count()
	case l.pod != nil:
		return l.pod.Definition.Count()
	}
	return 0
}

// differences compares the definition with what was sent, both in normal form.
// What Marathon takes without keeping it (EffectMetadata) is no difference that
// waiting could mend.
func (l live) differences(app *manifests.App, pod *manifests.Pod, c *manifests.Cluster) (bool, []manifests.FieldDiff) {
	var (
		same bool
		cmp  manifests.Comparison
	)
	switch {
	case app != nil && l.app != nil:
		now, want := manifests.NormaliseApp(l.app.Definition, nil, c), manifests.NormaliseApp(app, l.app.Definition, c)
		same, cmp = manifests.HashApp(now) == manifests.HashApp(want), manifests.CompareApps(now, want)
	case pod != nil && l.pod != nil:
		now, want := manifests.NormalisePod(l.pod.Definition, nil, c), manifests.NormalisePod(pod, l.pod.Definition, c)
		same, cmp = manifests.HashPod(now) == manifests.HashPod(want), manifests.ComparePods(now, want)
	default:
		return app != nil || pod != nil, nil
	}
	return !same && cmp.Effect != manifests.EffectMetadata, cmp.Fields
}
