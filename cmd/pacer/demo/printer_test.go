package demo

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestPrinter: the terminal of the demo shows a problem in a manifest, once, and
// obeys nothing that stands in the repository.
func TestPrinter(t *testing.T) {
	var out strings.Builder
	p := printer{out: &out}
	s := status.Sync{
		Revision: sources.Revision{ID: "0123456789", Subject: "a\x1b[31mb\nc"},
		Problems: []manifests.Problem{{File: "bad.yaml", Line: 1, Column: 6, Message: "a value is missing"}},
	}
	told := map[string]bool{}
	for range 2 {
		told = p.printProblems(s, told)
	}
	p.printRevision(s, "")
	s.Problems = nil
	told = p.printProblems(s, told)
	if len(told) != 0 {
		t.Errorf("still told: %v", told)
	}
	times := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`)
	want := "TIME    ! bad.yaml:1:6: a value is missing\n" + "TIME  ● 01234567  a\\x1b[31mb\\nc\n"
	if diff := cmp.Diff(want, times.ReplaceAllString(out.String(), "TIME")); diff != "" {
		t.Error(diff)
	}
}

// TestPrinterPraisesOnlyWhatRuns: no mark of success stands at an app that is as
// git wants it and not up.
func TestPrinterPraisesOnlyWhatRuns(t *testing.T) {
	for want, a := range map[string]status.App{
		"✔ synced: 1 of 1 running":             {State: status.Synced, Health: status.HealthHealthy, Instances: status.Instances{Desired: 1, Target: 1, Running: 1}},
		"✔ synced: 0 of 0 running":             {State: status.Synced, Health: status.HealthSuspended},
		"… progressing: no engine answers":     {State: status.Synced, Health: status.HealthProgressing, Reason: "no engine answers"},
		"… degraded: 0 of 1 running":           {State: status.Synced, Health: status.HealthDegraded, Instances: status.Instances{Desired: 1, Target: 1}},
		"… rollout: 0 of 1 running":            {State: status.Synced, Condition: status.InRollout, Instances: status.Instances{Desired: 1, Target: 1}},
		"✘ failed: not converged within 10m":   {State: status.Synced, Condition: status.Failed, Health: status.HealthDegraded, Reason: "not converged within 10m"},
		"~ out of sync: only instances differ": {State: status.OutOfSync, Health: status.HealthHealthy, Reason: "only instances differ"},
	} {
		if got := a.Mark() + " " + stateOf(a) + ": " + explain(a); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestPrinterKnowsWhatWasThere: what Marathon never had is not told to be deleted.
func TestPrinterKnowsWhatWasThere(t *testing.T) {
	var out strings.Builder
	p := printer{out: &out}
	last := map[string]printedApp{}
	app := func(id string, h status.Health, action plan.Action) status.App {
		return status.App{ID: id, Kind: manifests.KindApp, State: status.OutOfSync, Health: h, Action: action, Reason: "r"}
	}
	group := status.App{ID: "/demo/group", Kind: manifests.KindGroup, State: status.OutOfSync, Action: plan.Delete, Reason: "r"}
	p.printApps(status.Sync{Apps: []status.App{
		app("/demo/blocked", status.HealthMissing, plan.Create), app("/demo/was", status.HealthHealthy, ""), group,
	}}, last)
	p.printApps(status.Sync{Apps: []status.App{app("/demo/was", status.HealthMissing, plan.Delete)}}, last)
	p.printApps(status.Sync{Apps: []status.App{app("/demo/new", status.HealthMissing, plan.Create)}}, last)
	p.printApps(status.Sync{}, last)
	told := regexp.MustCompile(`(?m)^.*  - `).ReplaceAllString(out.String(), "- ")
	for _, want := range []string{"- /demo/blocked  no longer defined; it was never created\n", "- /demo/group  deleted\n", "- /demo/was  deleted\n", "- /demo/new  no longer defined; it was never created\n"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %q, which lacks %q", told, want)
		}
	}
}
