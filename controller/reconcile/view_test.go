package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/status"
)

// A pass that looks at everything again, be it for another revision, knows not yet
// why a rollout hangs: what was said of it stays.
func TestWhyARolloutHangsIsNotForgotten(t *testing.T) {
	t.Parallel()
	const why = "0 of 1 running: all offers refused"
	for name, test := range map[string]struct {
		before, after status.Condition
		said, want    string
	}{
		"it goes on":     {status.InRollout, status.InRollout, "", why},
		"something else": {status.InRollout, status.InRollout, "another reason", "another reason"},
		"it is up":       {status.InRollout, "", "", ""},
		"it begins":      {"", status.InRollout, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := NewView(status.Sync{Name: "shop"})
			v.showApps([]status.App{{ID: "/shop/a", Condition: test.before, Reason: why}}, time.Now())
			apps := []status.App{{ID: "/shop/a", Condition: test.after, Reason: test.said}, {ID: "/shop/new", Condition: status.InRollout}}
			v.keepReasons(apps)
			if apps[0].Reason != test.want || apps[1].Reason != "" {
				t.Errorf("said %q and %q, want %q and nothing", apps[0].Reason, apps[1].Reason, test.want)
			}
		})
	}
}

// A reading that is slow does not put back what a pass has shown meanwhile.
func TestOlderReadingsAreNotShown(t *testing.T) {
	t.Parallel()
	v := NewView(status.Sync{Name: "shop"})
	began := time.Now()
	shown := status.Instances{Desired: 2, Target: 2, Running: 2}
	empty := marathon.State{}
	for i, test := range []struct {
		read, ended time.Time
		want        status.Health
	}{
		{read: began.Add(time.Second), want: status.HealthHealthy},
		{read: began.Add(-time.Second), ended: began.Add(time.Second), want: status.HealthHealthy},
		{read: began.Add(-time.Second), ended: began.Add(-time.Millisecond), want: status.HealthMissing},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			v.showApps([]status.App{{ID: "/shop/a", Kind: "app", State: status.Synced, Health: status.HealthHealthy, Instances: shown}}, test.read)
			v.ended["/shop/a"] = test.ended
			v.Refresh(empty, new(status.Restarts), began)
			if a := v.Status().Apps[0]; a.Health != test.want || a.Instances.Desired != 2 {
				t.Errorf("shown as %+v, want %s of 2", a, test.want)
			}
		})
	}
}
