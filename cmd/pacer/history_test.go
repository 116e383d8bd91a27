package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// An entry of the history leaves out what is not known, as of a directory, and
// says of a duration what it is.
func TestPrintEntry(t *testing.T) {
	ended := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	commit := store.Entry{Revision: "3f9c2a71d0e84b6c", Commit: "3f9c2a71d0e84b6c", Author: "Ada", Subject: "Run one", Ended: ended, Result: "applied"}
	directory := store.Entry{Revision: "sha256:0123456789abcdef", Ended: ended, Result: "applied"}
	with := func(e store.Entry, change func(*store.Entry)) store.Entry {
		change(&e)
		return e
	}
	create := []store.Done{{ID: "/shop/web", Action: plan.Create, Outcome: "applied", Seconds: 3.21}}
	for name, test := range map[string]struct {
		e    store.Entry
		want string
	}{
		"a commit": {with(commit, func(e *store.Entry) { e.Changes, e.Began = create, ended.Add(-3210*time.Millisecond) }),
			"2026-03-02T12:00:00Z  applied    3f9c2a71 Run one (Ada, took 3.2s)\n    create /shop/web  applied\n"},
		"a commit beside the change": {with(commit, func(e *store.Entry) {
			e.Commit = "1b2c3d4e77aa0f3344"
			e.Changes, e.Began = create, ended.Add(-3210*time.Millisecond)
		}),
			"2026-03-02T12:00:00Z  applied    3f9c2a71, last change 1b2c3d4e Run one (Ada, took 3.2s)\n    create /shop/web  applied\n"},
		"an author who may have changed something else": {with(commit, func(e *store.Entry) { e.Commit = ""; e.Changes, e.Began = create, ended.Add(-3210*time.Millisecond) }),
			"2026-03-02T12:00:00Z  applied    3f9c2a71 Run one (revision by Ada, took 3.2s)\n    create /shop/web  applied\n"},
		"a directory": {with(directory, func(e *store.Entry) { e.Changes, e.Began = create, ended.Add(-3210*time.Millisecond) }),
			"2026-03-02T12:00:00Z  applied    sha256:01234567 (took 3.2s)\n    create /shop/web  applied\n"},
		"nothing was changed": {with(directory, func(e *store.Entry) { e.Began, e.Result = ended.Add(-time.Minute), "unchanged" }),
			"2026-03-02T12:00:00Z  unchanged  sha256:01234567\n"},
		"a failure, for long": {with(commit, func(e *store.Entry) {
			e.Began, e.Result, e.Message, e.Repeated = ended.Add(-time.Hour), "failed", "Marathon cannot be read", 11
		}), "2026-03-02T12:00:00Z  failed     3f9c2a71 Run one (Ada, since 2026-03-02T11:00:00Z, 12 times)\n    Marathon cannot be read\n"},
		"given up": {with(commit, func(e *store.Entry) {
			e.Began, e.Result, e.Asked = ended.Add(-2*time.Minute), "superseded", store.Asked{By: store.AskedByPoll}
			e.Changes = append([]store.Done{{ID: "/shop/api", Action: plan.Scale, Outcome: "superseded", Reason: "superseded by a newer revision"}}, create...)
		}), "2026-03-02T12:00:00Z  superseded 3f9c2a71 Run one (Ada, given up after 2m0s)\n    triggered by poll\n" +
			"    scale /shop/api  superseded: superseded by a newer revision\n    create /shop/web  applied (3.2s)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			printEntry(&out, test.e)
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is in progress comes first, with what triggered it: the history has it at its
// end, which a settling time later may be.
func TestPrintHistory(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	y := status.Sync{
		Current: &status.Current{Began: began, Revision: strings.Repeat("b", 40), Author: "Ada", Subject: "Run two", Asked: store.Asked{By: store.AskedByWebhook}},
		History: []store.Entry{{Ended: began.Add(-time.Minute), Result: "applied", Revision: strings.Repeat("a", 40), Subject: "Run one"}},
	}
	var out strings.Builder
	printHistory(&out, y)
	want := "2026-03-01T12:00:00Z  progressing bbbbbbbb Run two (revision by Ada)\n    triggered by webhook\n2026-03-01T11:59:00Z  applied    aaaaaaaa Run one\n"
	if out.String() != want {
		t.Errorf("got\n%s\nexpected\n%s", &out, want)
	}
}
