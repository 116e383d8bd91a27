package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
)

// failing is a rollout of three tasks that fails, and how it is replaced.
type failing struct {
	name       string
	pod        bool
	cmd        string            // of the rollout; empty: run bad
	labels     map[string]string // of the rollout
	checked    bool              // it has health checks
	min, over  float64
	fix        bool // a commit replaces it, and no revert
	cancelled  bool // somebody cancels its deployment
	flaw       flaw // of each request that ends tasks
	least, top int  // good tasks, and all: what the strategy allows
}

func (b *failing) definition(version int) string {
	cmd, labels := "run good", map[string]string{}
	if version == 2 {
		cmd, labels = "run bad", b.labels
		if b.cmd != "" {
			cmd = b.cmd
		}
	}
	upgrade := map[string]any{"minimumHealthCapacity": b.min, "maximumOverCapacity": b.over}
	def := map[string]any{"id": "/shop/web", "labels": labels}
	env := map[string]any{"VERSION": fmt.Sprint(version)}
	if b.pod {
		container := map[string]any{"name": "c", "exec": map[string]any{"command": map[string]any{"shell": cmd}}, "resources": map[string]any{"cpus": 0.01, "mem": 8}}
		if b.checked {
			container["healthCheck"] = map[string]any{"exec": map[string]any{"command": map[string]any{"shell": "check"}}, "gracePeriodSeconds": 2, "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 1000}
		}
		def["containers"], def["environment"] = []any{container}, env
		def["scaling"] = map[string]any{"kind": "fixed", "instances": 3}
		def["scheduling"] = map[string]any{"upgrade": upgrade}
	} else {
		def["cmd"], def["cpus"], def["mem"], def["instances"], def["upgradeStrategy"], def["env"] = cmd, 0.01, 8, 3, upgrade, env
		if b.checked {
			def["healthChecks"] = []any{map[string]any{"protocol": "COMMAND", "command": map[string]any{"value": "check"}, "gracePeriodSeconds": 2, "intervalSeconds": 2, "timeoutSeconds": 1, "delaySeconds": 1, "maxConsecutiveFailures": 1000}}
		}
	}
	text, err := json.Marshal(def)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// bad are all tasks of the rollout that Marathon lists, and all its tasks.
func (b *failing) count(f *fleet, good map[string]bool) (bad, all int) {
	if b.pod {
		_, text := f.site.ask("GET", "/v2/pods//shop/web::status", "")
		var pod struct {
			Instances []struct{ SpecReference string }
		}
		if err := json.Unmarshal([]byte(text), &pod); err != nil {
			f.t.Fatal(err)
		}
		for _, i := range pod.Instances {
			if !good[i.SpecReference[strings.LastIndexByte(i.SpecReference, '/')+1:]] {
				bad++
			}
		}
		return bad, len(pod.Instances)
	}
	tasks := f.site.app("/shop/web")["tasks"].([]any)
	for _, v := range tasks {
		if version, _ := v.(map[string]any)["version"].(string); !good[version] {
			bad++
		}
	}
	return bad, len(tasks)
}

// live is the version of what Marathon has, and whether that is good.
func (b *failing) live(f *fleet) (version string, good bool) {
	path := "/v2/apps//shop/web"
	if b.pod {
		path = "/v2/pods//shop/web"
	}
	code, text := f.site.ask("GET", path, "")
	if code != http.StatusOK {
		f.t.Fatalf("%d %s", code, text)
	}
	var v struct {
		App     struct{ Version string }
		Version string
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		f.t.Fatal(err)
	}
	return v.App.Version + v.Version, strings.Contains(text, "run good")
}

// A revert goes ahead where nothing of the rollout can be ended before.
func TestARevertGoesAheadWhereNothingCanBeEndedFirst(t *testing.T) {
	slow := map[string]string{"local.never-start": "true", "local.slow-to-die": "15"}
	for _, b := range []failing{
		{name: "no answer", flaw: silent},
		{name: "an error", flaw: broken},
		{name: "cut off", flaw: cutBefore},
		{name: "no answer for a pod", pod: true, flaw: silent},
		{name: "an error for a pod", pod: true, flaw: broken},
		{name: "they do not die", labels: slow},
	} {
		b.min, b.over, b.top = 1, 1, 9
		if b.labels == nil {
			b.labels = map[string]string{"local.never-start": "true"}
		}
		t.Run(b.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { b.run(t) }) })
	}
}

// What replaces a rollout that did not come up never takes away what runs well: not
// more of it at a time than the upgrade strategy allows, and no task of the rollout
// stays in addition. Marathon alone would have ended those that run.
func TestWhatRunsWellSurvivesTheEndOfARollout(t *testing.T) {
	stuck, fails, sick := map[string]string{"local.never-start": "true"}, map[string]string{"local.fail-at-once": "true"}, map[string]string{"local.never-healthy": "true"}
	cases := []failing{
		{name: "stuck", labels: stuck, min: 1, over: 1},
		{name: "stuck, one more at a time", labels: stuck, min: 1},
		{name: "stuck, one less at a time", labels: stuck, min: 0.5},
		{name: "stuck, with health checks", labels: stuck, checked: true, min: 1, over: 1},
		{name: "stuck, with health checks, one less at a time", labels: stuck, checked: true, min: 0.5},
		{name: "stuck, fixed by a commit", labels: stuck, min: 1, over: 1, fix: true},
		{name: "stuck, fixed by a commit, one more at a time", labels: stuck, min: 1, fix: true},
		{name: "stuck, cancelled by hand", labels: stuck, min: 1, over: 1, cancelled: true},
		{name: "crash loop", labels: fails, min: 1, over: 1},
		{name: "crash loop, one less at a time", labels: fails, min: 0.5},
		{name: "crash loop, fixed by a commit", labels: fails, min: 1, over: 1, fix: true},
		{name: "unhealthy", labels: sick, checked: true, min: 1, over: 1},
		{name: "unhealthy, one less at a time", labels: sick, checked: true, min: 0.5},
		{name: "a pod, stuck", pod: true, labels: stuck, min: 1, over: 1},
		{name: "a pod, stuck, one more at a time", pod: true, labels: stuck, min: 1},
		{name: "a pod, stuck, fixed by a commit", pod: true, labels: stuck, min: 1, over: 1, fix: true},
		{name: "a pod, crash loop", pod: true, labels: fails, min: 1, over: 1},
		{name: "a pod, unhealthy", pod: true, labels: sick, checked: true, min: 1, over: 1},
	}
	for _, b := range cases {
		b.least, b.top = int(math.Ceil(3*b.min)), int(3*(1+b.over))
		if b.least == b.top {
			b.top++ // Marathon's exception, so that anything can be replaced
		}
		t.Run(b.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { b.run(t) }) })
	}
}

func (b *failing) run(t *testing.T) {
	f := newFleetOf(t, func(s *reconcile.Sync) {
		s.Policy = plan.Policy{Scope: "/shop", Prune: plan.PruneOn, Revert: !b.fix}
		s.Deadline = 30 * time.Second
	}, "a")
	defer f.close()
	f.goesBack(true)
	m := f.replicas[0]
	m.lead()
	f.origin.Commit("good", map[string]string{"web.json": b.definition(1)})
	m.sync()
	after(time.Minute)
	version, _ := b.live(f)
	good := map[string]bool{version: true}
	// push does not wait for what comes of it, which is what is sampled here.
	push := func(message string, version int) {
		f.origin.Commit(message, map[string]string{"web.json": b.definition(version)})
		if err := m.Trigger("shop", ada); err != nil {
			t.Fatal(err)
		}
	}
	m.line.spoil = func(r *http.Request) flaw {
		if r.URL.Path == "/v2/tasks/delete" || strings.HasSuffix(r.URL.Path, "::instances") {
			return b.flaw
		}
		return sound
	}
	push("broken", 2)
	var seen []string
	broke, back := false, false
	for at := range 1200 {
		after(100 * time.Millisecond)
		switch at {
		case 150:
			if b.fix {
				push("fixed", 3)
			}
			if b.cancelled {
				f.byHand("DELETE", "/v2/deployments/"+f.site.deployments()[0].ID+"?force=true", "")
			}
		}
		version, isGood := b.live(f)
		if isGood {
			good[version] = true
		}
		broke, back = broke || !isGood, broke && isGood
		bad, all := b.count(f, good)
		running := slices.Collect(maps.Values(f.site.machine.running("/shop/web")))
		serve := len(slices.DeleteFunc(running, func(cmd string) bool { return !strings.HasPrefix(cmd, "run good") }))
		if now := fmt.Sprintf("%d serve, %d of %d are bad, restored: %v", serve, bad, all, back); len(seen) == 0 || !strings.HasSuffix(seen[len(seen)-1], now) {
			seen = append(seen, fmt.Sprintf("%5.1f s: %s", float64(at)/10, now))
		}
		if serve < b.least || all > b.top || b.least > 0 && back && bad > 0 {
			t.Fatalf("expected at least %d that serve, at most %d in all, and none of the rollout when it is replaced:\n%s", b.least, b.top, strings.Join(seen, "\n"))
		}
	}
	if bad, all := b.count(f, good); !back || bad != 0 || all != 3 || len(f.site.deployments()) != 0 {
		t.Errorf("it did not end well:\n%s", strings.Join(seen, "\n"))
	}
}
