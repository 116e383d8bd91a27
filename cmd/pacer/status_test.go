package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestStatusTellsProblemsAsValidateDoes: with the place where there is one, and
// obeying nothing that stands in the repository.
func TestStatusTellsProblemsAsValidateDoes(t *testing.T) {
	var out strings.Builder
	printStatus(&out, status.Status{Syncs: []status.Sync{{Name: "shop", Problems: []manifests.Problem{
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
		"This replica is the leader, epoch 7, candidates: 3\n":                                                     {State: leader.Leading, Leading: true, Epoch: 7, Candidates: 3},
		"This replica is a follower; the leader is http://a:9090\\x1b, epoch 7, candidates: 3\n":                   {State: leader.Waiting, Leader: "http://a:9090\x1b", Epoch: 7, Candidates: 3},
		"This replica is a follower; the leader is http://b (address not authenticated), epoch 7, candidates: 3\n": {State: leader.Waiting, Leader: "http://b", LeaderUnproved: true, Epoch: 7, Candidates: 3},
		"This replica is a follower (waiting); no leader is known\n":                                               {State: leader.Waiting},
		"This replica cannot become the leader: another session timeout than configured\n":                         {State: leader.Connecting, Reason: "another session timeout than configured"},
	} {
		var out strings.Builder
		printStatus(&out, status.Status{Leader: &l})
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
	for want, y := range map[string]status.Sync{
		"22222222 Run another": {InForce: newer, Revision: newer},
		"11111111 Run one (rolled back; the source is at 22222222 Run another)": {InForce: older, Revision: newer, RolledBack: pin},
		"11111111 Run one (rolled back)":                                        {InForce: older, Revision: older, RolledBack: pin},
		"11111111 Run one (rolled back; the source has not been fetched yet)":   {InForce: older, RolledBack: pin},
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
	printStatus(&out, status.Status{Syncs: []status.Sync{{Name: "shop", Hold: &status.Hold{
		Revision: "3f9c2a71d0e84b6c5a1f7e2d9b8c4a6f0e1d2c3b", Subject: "cart: keep baskets\x1b", Reason: "the source answers with an older one",
		Since: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
	}}}})
	want := "shop: held, not compared yet\n  held at 3f9c2a71 cart: keep baskets\\x1b since 2026-03-02T12:00:00Z\n      the source answers with an older one\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Without Marathon nothing is green, the reason is there once, and what was known
// last is there with its time.
func TestStatusOfWhatIsUnknown(t *testing.T) {
	known := time.Date(2026, 3, 1, 12, 3, 4, 0, time.UTC)
	since := known.Add(3 * time.Second)
	const why = "GET http://m1:8080/v2/apps: no answer from Marathon: connection refused"
	unknown := func(id string, was status.Health, n int) status.App {
		return status.App{ID: id, State: status.Unknown, Health: status.HealthUnknown, Since: since,
			LastKnown: &status.LastKnown{State: status.Synced, Health: was, At: known}, Instances: status.Instances{Desired: 3, Target: 3, Running: n}}
	}
	st := status.Status{
		Now: since.Add(time.Minute), Running: true,
		Marathon: status.Marathon{URL: "http://m1:8080", Reached: known, Error: why, Failing: since},
		Syncs: []status.Sync{{
			Name: "shop", Planned: known, PlannedRevision: "r1", Revision: sources.Revision{ID: "r1"}, InForce: sources.Revision{ID: "r1"},
			Stale: &status.Stale{Reason: why, Since: since, Known: known},
			Last:  &status.Reconciliation{Result: status.ResultFailed, Error: "cannot read Marathon, so nothing is changed: " + why},
			Apps:  []status.App{unknown("/shop/a", status.HealthHealthy, 3), unknown("/shop/b", status.HealthDegraded, 1)},
		}},
	}
	var out strings.Builder
	printStatus(&out, st)
	want := `Marathon cannot be read since 2026-03-01 12:03:07 UTC: GET http://m1:8080/v2/apps: no answer from Marathon: connection refused. Nothing is changed, and the state of its apps is what was last known.
shop: 2 unknown
  at r1
  unknown since 2026-03-01T12:03:07Z
  ? /shop/a  unknown, last known: synced, healthy, 3 of 3 running at 2026-03-01 12:03:04 UTC, for 1m0s
  ? /shop/b  unknown, last known: synced, degraded, 1 of 3 running at 2026-03-01 12:03:04 UTC, for 1m0s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if missing, failed := st.Unmet(""); missing != "shop: Marathon cannot be read: "+why || failed != "" {
		t.Errorf("waiting for %q, failed %q", missing, failed)
	}

	// The Marathon of another sync is no reason to wait.
	st.Marathons = map[string]status.Marathon{"here": {Reached: known}, "there": st.Marathon}
	st.Syncs = []status.Sync{{Name: "near", Marathon: "here", Planned: known, PlannedRevision: "r1", Revision: sources.Revision{ID: "r1"}}}
	if missing, failed := st.Unmet(""); missing != "" || failed != "" {
		t.Errorf("waiting for %q, failed %q", missing, failed)
	}
}

// What hangs is named with since when, and nothing that answers soon.
func TestStatusNamesWhatHangs(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	print := func(ago time.Duration) string {
		var out strings.Builder
		printStatus(&out, status.Status{
			Now: now, Marathon: status.Marathon{URL: "http://m1:8080", Asked: now.Add(-ago)},
			Syncs: []status.Sync{{Name: "shop", Source: "https://git.example.com/shop.git", Fetching: now.Add(-ago)}},
		})
		return out.String()
	}
	if diff := cmp.Diff(`no answer from Marathon http://m1:8080 since 2026-03-01 11:59:50 UTC. Nothing is changed, and the state of its apps is what was last known.
shop: not compared yet
  the source is being fetched: no answer from https://git.example.com/shop.git since 2026-03-01 11:59:50 UTC
`, print(10*time.Second)); diff != "" {
		t.Error(diff)
	}
	if got := print(time.Second); got != "shop: not compared yet\n" {
		t.Errorf("after a second: %s", got)
	}
}
