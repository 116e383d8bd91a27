package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

func TestRetryOf(t *testing.T) {
	answer := func(status int) error {
		return fmt.Errorf("cannot read Marathon: %w", &marathon.Error{Status: status, Sent: true})
	}
	tests := map[string]struct {
		end  passEnd
		want retry
	}{
		"unchanged":             {passEnd{result: status.ResultUnchanged}, retryNever},
		"applied":               {passEnd{result: status.ResultApplied}, retryNever},
		"applied, undone again": {passEnd{result: status.ResultApplied, pending: true}, retryLater},
		"superseded":            {passEnd{result: status.ResultSuperseded, unknown: true}, retryNever},
		"stopped":               {passEnd{result: status.ResultStopped, unknown: true}, retryNever},
		"no snapshot":           {passEnd{result: status.ResultFailed, noSnapshot: true, err: errors.New("x")}, retryNever},
		"Marathon not reached":  {passEnd{result: status.ResultFailed, err: &marathon.Error{}}, retrySoon},
		"Marathon answers 503":  {passEnd{result: status.ResultFailed, err: answer(503)}, retrySoon},
		"Marathon answers 429":  {passEnd{result: status.ResultFailed, err: answer(429)}, retrySoon},
		"a wrong password":      {passEnd{result: status.ResultFailed, err: answer(401)}, retryLater},
		"not allowed":           {passEnd{result: status.ResultFailed, err: answer(403)}, retryLater},
		"not found":             {passEnd{result: status.ResultFailed, err: answer(404)}, retryLater},
		"a full disk":           {passEnd{result: status.ResultFailed, err: errors.New("no space left")}, retryLater},
		"outcome not known":     {passEnd{result: status.ResultFailed, unknown: true}, retrySoon},
		"not its definition":    {passEnd{result: status.ResultFailed, transient: true}, retryLater},
		"its definition":        {passEnd{result: status.ResultFailed}, retryNever},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := retryOf(test.end); got != test.want {
				t.Errorf("retryOf(%+v) = %v, want %v", test.end, got, test.want)
			}
		})
	}
}

func TestEndOf(t *testing.T) {
	outcome := func(r apply.Result) apply.Outcome { return apply.Outcome{Result: r, Hash: "h"} }
	applied, failed, blocked, unknown := outcome(apply.Applied), outcome(apply.Failed), outcome(apply.Blocked), outcome(apply.Unknown)
	handedOver := outcome(apply.Superseded)
	transient := failed
	transient.Transient = true
	tests := map[string]struct {
		cause    error
		outcomes []apply.Outcome
		want     passEnd
	}{
		"nothing":                   {nil, nil, passEnd{result: status.ResultUnchanged}},
		"only blocked":              {nil, []apply.Outcome{blocked}, passEnd{result: status.ResultUnchanged}},
		"applied, whatever blocked": {nil, []apply.Outcome{blocked, applied, blocked}, passEnd{result: status.ResultApplied}},
		"one failed":                {nil, []apply.Outcome{applied, failed, applied}, passEnd{result: status.ResultFailed}},
		"a deletion failed":         {nil, []apply.Outcome{{Result: apply.Failed}}, passEnd{result: status.ResultFailed, transient: true}},
		"a password failed":         {nil, []apply.Outcome{transient}, passEnd{result: status.ResultFailed, transient: true}},
		"one unknown":               {nil, []apply.Outcome{applied, unknown}, passEnd{result: status.ResultFailed, unknown: true}},
		"superseded":                {apply.ErrSuperseded, []apply.Outcome{applied}, passEnd{result: status.ResultSuperseded}},
		"handed over":               {errAgain, []apply.Outcome{applied, handedOver, blocked}, passEnd{result: status.ResultProgressing, again: true}},
		"handed over, one failed":   {errAgain, []apply.Outcome{handedOver, failed}, passEnd{result: status.ResultFailed, again: true}},
		"nothing was left over":     {errAgain, []apply.Outcome{applied, blocked}, passEnd{result: status.ResultApplied}},
		"nor anything done":         {errAgain, []apply.Outcome{blocked}, passEnd{result: status.ResultUnchanged}},
		"stopped":                   {context.Canceled, []apply.Outcome{applied}, passEnd{result: status.ResultStopped}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := endOf(test.cause, test.outcomes); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRemember(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	under := store.Rollout{Kind: manifests.KindApp, Deployment: "d", Revision: "r2", Hash: "h2", Action: plan.Update, Began: began}
	owned := store.Owned{Kind: manifests.KindApp, File: "a.yaml", Revision: "r1", Hash: "h1"}
	outcome := func(r apply.Result, a plan.Action) apply.Outcome {
		return apply.Outcome{ID: "/a", Kind: manifests.KindApp, Action: a, Result: r, Reason: "why", Deployment: "d", Hash: "h2", Began: began}
	}
	sent, transient := outcome("", plan.Update), outcome(apply.Failed, plan.Update)
	sent.Deployment, transient.Transient = "", true
	older, driven := under, outcome(apply.Applied, plan.Update)
	older.Revision, driven.Hash = "r0", ""
	type world struct {
		Owned   *store.Owned
		Rollout *store.Rollout
		Failure *plan.Failure
	}
	tests := map[string]struct {
		before world
		o      apply.Outcome
		after  world
		save   bool
	}{
		"begins, not sent yet":     {world{}, sent, world{}, false},
		"begins, ours":             {world{Owned: &owned}, outcome("", plan.Update), world{Owned: &store.Owned{Kind: manifests.KindApp, File: "b.yaml", Revision: "r2", Hash: "h2"}, Rollout: &under}, true},
		"begins, new":              {world{}, outcome("", plan.Update), world{Owned: &store.Owned{Kind: manifests.KindApp, File: "b.yaml", Revision: "r2", Hash: "h2"}, Rollout: &under}, true},
		"hangs":                    {world{Owned: &owned, Rollout: &under}, outcome("", plan.Update), world{Owned: &owned, Rollout: &under}, false},
		"applied":                  {world{Owned: &owned, Rollout: &under, Failure: &plan.Failure{Hash: "h1"}}, outcome(apply.Applied, plan.Update), world{Owned: &store.Owned{Kind: manifests.KindApp, File: "b.yaml", Revision: "r2", Hash: "h2"}}, true},
		"applied, of before":       {world{Owned: &owned, Rollout: &older}, outcome(apply.Applied, plan.Update), world{Owned: &store.Owned{Kind: manifests.KindApp, File: "b.yaml", Revision: "r0", Hash: "h2"}}, true},
		"taken up again":           {world{Owned: &owned}, driven, world{Owned: &owned}, true},
		"deleted":                  {world{Owned: &owned, Rollout: &under}, outcome(apply.Applied, plan.Delete), world{}, true},
		"failed":                   {world{Owned: &owned, Rollout: &under}, outcome(apply.Failed, plan.Update), world{Owned: &owned, Failure: &plan.Failure{Hash: "h2", Reason: "why", Revision: "r2", Deployment: "d"}}, true},
		"failed, not by its fault": {world{Owned: &owned, Rollout: &under}, transient, world{Owned: &owned}, true},
		"superseded":               {world{Owned: &owned, Rollout: &under}, outcome(apply.Superseded, plan.Update), world{Owned: &owned, Rollout: &under}, false},
		"not known":                {world{Owned: &owned, Rollout: &under}, outcome(apply.Unknown, plan.Update), world{Owned: &owned, Rollout: &under}, false},
		"blocked":                  {world{}, outcome(apply.Blocked, plan.Update), world{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := store.State{Inventory: map[string]store.Owned{}, Rollouts: map[string]store.Rollout{}, Failed: map[string]plan.Failure{}}
			if test.before.Owned != nil {
				s.Inventory["/a"] = *test.before.Owned
			}
			if test.before.Rollout != nil {
				s.Rollouts["/a"] = *test.before.Rollout
			}
			if test.before.Failure != nil {
				s.Failed["/a"] = *test.before.Failure
			}
			save := remember(&s, test.o, "r2", "b.yaml")
			got := world{}
			if v, ok := s.Inventory["/a"]; ok {
				got.Owned = &v
			}
			if v, ok := s.Rollouts["/a"]; ok {
				got.Rollout = &v
			}
			if v, ok := s.Failed["/a"]; ok {
				got.Failure = &v
			}
			if diff := cmp.Diff(test.after, got); diff != "" || save != test.save {
				t.Errorf("save %v, want %v; state (-want +got):\n%s", save, test.save, diff)
			}
		})
	}
}

func TestRecorded(t *testing.T) {
	outage := store.Entry{Revision: "r", Result: "failed", Message: "Marathon is away", Ended: time.Unix(1, 0)}
	longer := outage
	longer.Ended = time.Unix(9, 0)
	repeated := longer
	repeated.Repeated = 1
	refused := func(seconds float64, id, outcome string) store.Entry {
		return store.Entry{Revision: "r", Result: "failed", Changes: []store.Done{{ID: id, Outcome: outcome, Reason: "500: boom", Seconds: seconds}}}
	}
	first, again, other, partly := refused(30, "/a", "failed"), refused(31, "/a", "failed"), refused(30, "/b", "failed"), refused(30, "/a", "applied")
	twice := first
	twice.Repeated = 1
	done := store.Entry{Revision: "r", Result: "applied", Changes: []store.Done{{ID: "/a"}}}
	tests := map[string]struct {
		history []store.Entry
		e       *store.Entry
		want    []store.Entry
	}{
		"nothing to record":      {[]store.Entry{done}, nil, []store.Entry{done}},
		"the first":              {nil, &done, []store.Entry{done}},
		"newest first":           {[]store.Entry{done}, &outage, []store.Entry{outage, done}},
		"the same failure again": {[]store.Entry{outage, done}, &longer, []store.Entry{repeated, done}},
		"the same write refused": {[]store.Entry{first, done}, &again, []store.Entry{twice, done}},
		"another write refused":  {[]store.Entry{first, done}, &other, []store.Entry{other, first, done}},
		"one of it was taken":    {[]store.Entry{partly, done}, &partly, []store.Entry{partly, partly, done}},
		"the same change again":  {[]store.Entry{done}, &done, []store.Entry{done, done}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := recorded(test.history, test.e)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
	var long []store.Entry
	for range 3 * store.MaxHistory {
		long, _ = recorded(long, &done)
	}
	if len(long) != store.MaxHistory {
		t.Errorf("%d entries are kept, want %d", len(long), store.MaxHistory)
	}
}

// TestHistoryListsFewChanges: of a pass that changed thousands, those that did
// not succeed first, and how many more there were.
func TestHistoryListsFewChanges(t *testing.T) {
	p := &pass{y: &syncer{}}
	for i := range 10_000 {
		o := apply.Outcome{ID: fmt.Sprintf("/a%d", i), Action: plan.Create, Result: apply.Applied, Began: time.Unix(int64(i), 0)}
		if i%1000 == 999 {
			o.Result, o.Reason = apply.Failed, "exit code 1"
		}
		p.outcomes = append(p.outcomes, o)
	}
	e := p.entry(status.Reconciliation{Result: status.ResultFailed})
	if len(e.Changes) != store.MaxChanges || e.More != 10_000-store.MaxChanges || e.Summary.Create != 10_000 {
		t.Errorf("%d changes and %d more of %+v", len(e.Changes), e.More, e.Summary)
	}
	for i, d := range e.Changes {
		if failed := d.Outcome == string(apply.Failed); failed != (i < 10) {
			t.Errorf("change %d: %+v", i, d)
		}
	}
}

func TestApprovalsHoldForTheirRevisionOnly(t *testing.T) {
	got := approved(map[string]string{"/a": "r1", "/b": "r2"}, "r2")
	if diff := cmp.Diff(map[string]bool{"/b": true}, got); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ceiling := time.Duration(rapid.Int64Range(int64(minBackoff), int64(maxBackoff)).Draw(t, "ceiling"))
		b := newBackoff(func(string) time.Duration { return ceiling })
		before := time.Duration(0)
		for range rapid.IntRange(1, 40).Draw(t, "failures") {
			d := b.When("shop")
			if d <= 0 || d > ceiling {
				t.Fatalf("waits %v, want at most %v", d, ceiling)
			}
			if d < before/2 {
				t.Fatalf("waits %v after %v", d, before)
			}
			before = d
		}
		b.Forget("shop")
		if d := b.When("shop"); d > minBackoff {
			t.Fatalf("waits %v after a success in between, want at most %v", d, minBackoff)
		}
	})
}

func TestNextLook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Hour)).Draw(t, "interval"))
		failures := rapid.IntRange(0, 100).Draw(t, "failures")
		d := nextLook(interval, failures)
		if d <= 0 || d > interval*11/10+1 {
			t.Fatalf("next look after %v with an interval of %v", d, interval)
		}
		if failures == 0 && d < interval*9/10 {
			t.Fatalf("next look after %v already, with an interval of %v", d, interval)
		}
		if failures == 1 && d > 2*time.Second {
			t.Fatalf("next look only after %v, after one failure", d)
		}
	})
}

// TestHistoryKeepsWhatHappened shows which outcomes make an entry.
func TestHistoryKeepsWhatHappened(t *testing.T) {
	began := time.Unix(1, 0)
	p := &pass{revision: sources.Revision{ID: "r", Author: "Ada"}}
	if e := p.entry(status.Reconciliation{Result: status.ResultUnchanged}); e != nil {
		t.Errorf("a pass that did nothing left %+v", e)
	}
	p.outcomes = []apply.Outcome{{ID: "/held", Result: apply.Blocked, Began: began}, {ID: "/never", Result: apply.Unknown}}
	if e := p.entry(status.Reconciliation{Result: status.ResultSuperseded}); e != nil {
		t.Errorf("a pass that began nothing left %+v", e)
	}
	p.outcomes = append(p.outcomes,
		apply.Outcome{ID: "/a", Action: plan.Scale, Result: apply.Applied, Began: began},
		apply.Outcome{ID: "/b", Action: plan.Delete, Result: apply.Superseded, Began: began})
	e := p.entry(status.Reconciliation{Result: status.ResultSuperseded, Revision: "r"})
	want := &store.Entry{
		Revision: "r", Author: "Ada", Result: "superseded", Began: began, Summary: plan.Summary{Scale: 1, Delete: 1},
		Changes: []store.Done{{ID: "/a", Action: plan.Scale, Outcome: "applied"}, {ID: "/b", Action: plan.Delete, Outcome: "superseded"}},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

// recorder takes what is registered.
type recorder struct {
	prometheus.Registerer
	all []prometheus.Collector
}

func (r *recorder) Register(c prometheus.Collector) error {
	r.all = append(r.all, c)
	return nil
}

type nobody struct{ leader.Ensemble }

// TestDocumentedMetrics holds docs/metrics.md to what is registered, both ways.
func TestDocumentedMetrics(t *testing.T) {
	m, err := newMetrics(nil, func() []*syncer { return nil })
	if err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)", unit: "", constLabels: \{\}, variableLabels: \{(.*)\}\}`)
	measured := map[string]string{}
	requests, err := NewRequests(nil)
	if err != nil {
		t.Fatal(err)
	}
	election := &recorder{}
	if _, err := leader.New(leader.Options{Ensemble: nobody{}, Timeout: time.Second, Metrics: election}); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(m.all(), requests.all(), election.all) {
		descriptions := make(chan *prometheus.Desc, 1)
		c.Describe(descriptions)
		found := described.FindStringSubmatch((<-descriptions).String())
		if found == nil {
			t.Fatal("a metric cannot be described")
		}
		labels := "none"
		if found[3] != "" {
			labels = "`" + strings.ReplaceAll(found[3], ",", "`, `") + "`"
		}
		measured[found[1]] = labels + " " + found[2]
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(pacer_[a-z_]+)` \\| [a-z]+ \\| (.+) \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = row[2] + " " + row[3]
	}
	if diff := cmp.Diff(measured, documented); diff != "" {
		t.Errorf("docs/metrics.md differs from the code (-measured +documented):\n%s", diff)
	}
}
