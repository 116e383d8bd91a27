package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestTeller: the terminal of the demo tells a problem in a manifest, once, and
// obeys nothing that stands in the repository.
func TestTeller(t *testing.T) {
	var out strings.Builder
	teller := teller{out: &out}
	s := controller.SyncStatus{
		Revision: sources.Revision{ID: "0123456789", Subject: "a\x1b[31mb\nc"},
		Problems: []manifests.Problem{{File: "bad.yaml", Line: 1, Column: 6, Message: "a value is missing"}},
	}
	told := map[string]bool{}
	for range 2 {
		told = teller.tellProblems(s, told)
	}
	teller.tellRevision(s, "")
	s.Problems = nil
	told = teller.tellProblems(s, told)
	if len(told) != 0 {
		t.Errorf("still told: %v", told)
	}
	times := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`)
	want := "TIME    ! bad.yaml:1:6: a value is missing\n" + "TIME  ● 01234567  a\\x1b[31mb\\nc\n"
	if diff := cmp.Diff(want, times.ReplaceAllString(out.String(), "TIME")); diff != "" {
		t.Error(diff)
	}
}

// TestTellerPraisesOnlyWhatRuns: no mark of success stands at an app that is as
// git wants it and not up.
func TestTellerPraisesOnlyWhatRuns(t *testing.T) {
	for want, a := range map[string]controller.AppStatus{
		"✔ synced: 1 of 1 running":             {State: controller.Synced, Health: controller.HealthHealthy, Instances: controller.Instances{Desired: 1, Target: 1, Running: 1}},
		"✔ synced: 0 of 0 running":             {State: controller.Synced, Health: controller.HealthSuspended},
		"… progressing: no engine answers":     {State: controller.Synced, Health: controller.HealthProgressing, Reason: "no engine answers"},
		"… degraded: 0 of 1 running":           {State: controller.Synced, Health: controller.HealthDegraded, Instances: controller.Instances{Desired: 1, Target: 1}},
		"… rollout: 0 of 1 running":            {State: controller.Synced, Condition: controller.InRollout, Instances: controller.Instances{Desired: 1, Target: 1}},
		"✘ failed: not converged within 10m":   {State: controller.Synced, Condition: controller.Failed, Health: controller.HealthDegraded, Reason: "not converged within 10m"},
		"~ out of sync: only instances differ": {State: controller.OutOfSync, Health: controller.HealthHealthy, Reason: "only instances differ"},
	} {
		if got := sign(a) + " " + stands(a) + ": " + fares(a); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestTellerKnowsWhatWasThere: what Marathon never had is not told to be deleted.
func TestTellerKnowsWhatWasThere(t *testing.T) {
	var out strings.Builder
	teller := teller{out: &out}
	last := map[string]toldApp{}
	app := func(id string, h controller.Health, action plan.Action) controller.AppStatus {
		return controller.AppStatus{ID: id, Kind: manifests.KindApp, State: controller.OutOfSync, Health: h, Action: action, Reason: "r"}
	}
	group := controller.AppStatus{ID: "/demo/group", Kind: manifests.KindGroup, State: controller.OutOfSync, Action: plan.Delete, Reason: "r"}
	teller.tellApps(controller.SyncStatus{Apps: []controller.AppStatus{
		app("/demo/blocked", controller.HealthMissing, plan.Create), app("/demo/was", controller.HealthHealthy, ""), group,
	}}, last)
	teller.tellApps(controller.SyncStatus{Apps: []controller.AppStatus{app("/demo/was", controller.HealthMissing, plan.Delete)}}, last)
	teller.tellApps(controller.SyncStatus{Apps: []controller.AppStatus{app("/demo/new", controller.HealthMissing, plan.Create)}}, last)
	teller.tellApps(controller.SyncStatus{}, last)
	told := regexp.MustCompile(`(?m)^.*  - `).ReplaceAllString(out.String(), "- ")
	for _, want := range []string{"- /demo/blocked  no longer defined; it was never created\n", "- /demo/group  deleted\n", "- /demo/was  deleted\n", "- /demo/new  no longer defined; it was never created\n"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %q, which lacks %q", told, want)
		}
	}
}
