package reconcile

import (
	"testing"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
)

// A pod is counted as an app is.
func TestDriftedPodShowsWhatGitWants(t *testing.T) {
	t.Parallel()
	scaled := func(n int) *manifests.Pod {
		return &manifests.Pod{ID: "/shop/p", Scaling: &manifests.Scaling{Kind: "fixed", Instances: &n}}
	}
	p := &reconciliation{r: New(Config{Live: &steadyLive{}}), state: marathon.State{Pods: map[string]marathon.Pod{
		"/shop/p": {Definition: scaled(3), Status: marathon.Status{Running: 3}},
	}}}
	item := &manifests.Item{ID: "/shop/p", Kind: manifests.KindPod, Pod: scaled(5)}
	if a := p.app(item, &plan.Change{ID: item.ID, Kind: item.Kind, Action: plan.Scale}, ""); a.Counts() != "3 of 5 running (Marathon's target: 3)" || a.Health != status.HealthHealthy {
		t.Errorf("%s, %s", a.Health, a.Counts())
	}
}

// steadyLive is a Marathon of which no task failed.
type steadyLive struct {
	Live
	restarts status.Restarts
}

func (l *steadyLive) Restarts() *status.Restarts { return &l.restarts }
