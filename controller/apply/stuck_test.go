package apply_test

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// What neither starts nor ends is named with its host and since when, and what
// keeps it: the image, the constraint, the time that it has to end.
func TestWhatHangsIsNamedOnTheLocalMarathon(t *testing.T) {
	w := newWorld(t, "task_killing")
	labelled := func(a *manifests.App, name, value string) *manifests.App {
		a.Labels = map[string]string{name: value}
		return a
	}
	slow := func(id string, instances int) *manifests.App {
		a := labelled(app(id, "sleep 1000", instances), "local.slow-to-die", "3600")
		a.TaskKillGracePeriod = new(30)
		return a
	}
	allApplied(t, w.sync(t.Context(), apply.Request{}, slow("/slow", 2), slow("/gone", 1)), 2)

	image := labelled(app("/image", "", 1), "local.never-start", "true")
	image.Cmd, image.Container = nil, &manifests.Container{Type: "DOCKER", Docker: &manifests.Docker{Image: "registry.example.com/shop:7"}}
	unique := app("/unique", "sleep 1000", 2)
	unique.Constraints = []manifests.Constraint{{Field: "hostname", Operator: "UNIQUE"}}
	p, state := w.plan(slow("/slow", 1), image, unique)
	pod := &manifests.Pod{ID: "/pod", Labels: map[string]string{"local.never-start": "true"}, Scaling: &manifests.Scaling{Kind: "fixed", Instances: new(1)},
		Containers: []manifests.PodContainer{{Name: "main", Image: &manifests.Image{Kind: "DOCKER", ID: "pod:1"}, Resources: &manifests.Resources{CPUs: new(0.1), Mem: new(16.0)}}}}
	p.Changes = append(p.Changes, plan.Change{ID: "/pod", Kind: manifests.KindPod, Action: plan.Create, Pod: pod, Hash: "h"})
	missing := map[string]*regexp.Regexp{}
	for id, text := range map[string]string{
		"/image":  `^0 of 1 running: staging since CLOCK on 127.0.0.1: fetching image registry.example.com/shop:7$`,
		"/unique": `^1 of 2 running: constraint hostname UNIQUE refuses \d+ of \d+ offers$`,
		"/slow":   `^1 of 1 running: the task is being killed since at least CLOCK on 127.0.0.1 and has not ended \(taskKillGracePeriodSeconds 30\)$`,
		"/pod":    `^0 of 1 running: staging since CLOCK on 127.0.0.1: fetching image pod:1$`,
	} {
		missing[id] = regexp.MustCompile(strings.ReplaceAll(text, "CLOCK", `\d\d:\d\d:\d\d UTC`))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := map[string]string{}
	request := apply.Request{Cluster: state.Cluster, Groups: state.Groups, Progress: func(o apply.Outcome) {
		last[o.ID] = o.Reason
		if words := missing[o.ID]; words != nil && words.MatchString(o.Reason) {
			if delete(missing, o.ID); len(missing) == 0 {
				cancel()
			}
		}
	}}
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return c.Action == plan.Delete }) // else it waits for all these
	apply.New(w.client, w.options).Apply(ctx, p, request)
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s is explained by %q, expected %s", id, last[id], missing[id])
	}

	words := regexp.MustCompile(`^stopping since \d\d:\d\d:\d\d UTC: deployment [0-9a-f-]+ is in progress, the task that ran before, on 127.0.0.1, has not ended \(taskKillGracePeriodSeconds 30\)$`)
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	removal := plan.Plan{Changes: []plan.Change{{ID: "/gone", Kind: manifests.KindApp, Action: plan.Delete}}}
	apply.New(w.client, w.options).Apply(ctx, removal, apply.Request{Cluster: state.Cluster, Progress: func(o apply.Outcome) {
		if last["/gone"] = o.Reason; words != nil && words.MatchString(o.Reason) {
			words = nil
			cancel()
		}
	}})
	if words != nil {
		t.Errorf("the delete is explained by %q, expected %s", last["/gone"], words)
	}
}
