package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestStatusTellsProblemsAsValidateDoes: with the place where there is one, and
// obeying nothing that stands in the repository.
func TestStatusTellsProblemsAsValidateDoes(t *testing.T) {
	var out strings.Builder
	printStatus(&out, controller.Status{Syncs: []controller.SyncStatus{{Name: "shop", Problems: []manifests.Problem{
		{File: "prod", Severity: manifests.SeverityError, Message: "there is no such folder"},
		{File: "a\x1b.yaml", Line: 3, Column: 5, ID: "/shop/a", Severity: manifests.SeverityWarning, Message: "old form"},
	}}}})
	want := "shop: not compared yet\n  prod: there is no such folder\n  a\\x1b.yaml:3:5: warning: /shop/a: old form\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStatusSaysWhoLeads(t *testing.T) {
	for want, l := range map[string]leader.Status{
		"This replica leads, epoch 7, 3 in line\n":                                                            {State: leader.Leading, Leading: true, Epoch: 7, Candidates: 3},
		"This replica follows; the leader is http://a:9090\\x1b, epoch 7, 3 in line\n":                        {State: leader.Waiting, Leader: "http://a:9090\x1b", Epoch: 7, Candidates: 3},
		"This replica follows; the leader is http://b (an address that nothing proves), epoch 7, 3 in line\n": {State: leader.Waiting, Leader: "http://b", LeaderUnproved: true, Epoch: 7, Candidates: 3},
		"This replica follows (waiting); no leader is known\n":                                                {State: leader.Waiting},
		"This replica cannot become the leader: another session timeout than configured\n":                    {State: leader.Connecting, Reason: "another session timeout than configured"},
	} {
		var out strings.Builder
		printStatus(&out, controller.Status{Leader: &l})
		if got := strings.TrimSuffix(out.String(), "No sync is configured.\n"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The revision that is named is the one in force, and the source's beside it.
func TestStatusNamesTheRevisionInForce(t *testing.T) {
	older := sources.Revision{ID: "1111111111111111", Subject: "Run one"}
	newer := sources.Revision{ID: "2222222222222222", Subject: "Run another"}
	directory := sources.Revision{ID: "sha256:3333333333333333"}
	pin := &store.Pin{Kept: store.Kept{ID: older.ID, Subject: older.Subject}}
	for want, y := range map[string]controller.SyncStatus{
		"22222222 Run another": {InForce: newer, Revision: newer},
		"11111111 Run one (rolled back; the source is at 22222222 Run another)": {InForce: older, Revision: newer, RolledBack: pin},
		"11111111 Run one (rolled back)":                                        {InForce: older, Revision: older, RolledBack: pin},
		"11111111 Run one (rolled back; the source was not read yet)":           {InForce: older, RolledBack: pin},
		"11111111 Run one (the source is at 22222222 Run another)":              {InForce: older, Revision: newer},
		"22222222 Run another (not compared yet)":                               {Revision: newer},
		"sha256:33333333": {InForce: directory, Revision: directory},
		"":                {},
	} {
		if got := revisionWords(y); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A sync that is held says at what, why, and what the source answers.
func TestStatusTellsOfAHold(t *testing.T) {
	var out strings.Builder
	printStatus(&out, controller.Status{Syncs: []controller.SyncStatus{{Name: "shop", Hold: &controller.Hold{
		Revision: "3f9c2a71d0e84b6c5a1f7e2d9b8c4a6f0e1d2c3b", Subject: "cart: keep baskets\x1b", Reason: "the source answers with an older one",
		Since: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
	}}}})
	want := "shop: held, not compared yet\n  held at 3f9c2a71 cart: keep baskets\\x1b since 2026-03-02T12:00:00Z\n      the source answers with an older one\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
