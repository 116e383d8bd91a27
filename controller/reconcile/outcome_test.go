package reconcile

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

func TestNextAfterAnError(t *testing.T) {
	answer := func(status int) error {
		return fmt.Errorf("cannot read Marathon: %w", &marathon.Error{Status: status, Sent: true})
	}
	tests := map[string]struct {
		err  error
		want Next
	}{
		"Marathon not reached":  {&marathon.Error{}, NextRetrySoon},
		"Marathon answers 503":  {answer(503), NextRetrySoon},
		"Marathon answers 429":  {answer(429), NextRetrySoon},
		"its list is not whole": {fmt.Errorf("cannot plan: %w", &lackingError{}), NextRetrySoon},
		"a wrong password":      {answer(401), NextRetryLater},
		"not allowed":           {answer(403), NextRetryLater},
		"not found":             {answer(404), NextRetryLater},
		"a full disk":           {errors.New("no space left"), NextRetryLater},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextAfter(test.err); got != test.want {
				t.Errorf("after %v: %v, want %v", test.err, got, test.want)
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
		want     ending
	}{
		"nothing":                   {nil, nil, ending{result: status.ResultUnchanged}},
		"only blocked":              {nil, []apply.Outcome{blocked}, ending{result: status.ResultUnchanged}},
		"applied, whatever blocked": {nil, []apply.Outcome{blocked, applied, blocked}, ending{result: status.ResultApplied}},
		"one failed":                {nil, []apply.Outcome{applied, failed, applied}, ending{result: status.ResultFailed}},
		"a deletion failed":         {nil, []apply.Outcome{{Result: apply.Failed}}, ending{result: status.ResultFailed, next: NextRetryLater}},
		"a password failed":         {nil, []apply.Outcome{transient}, ending{result: status.ResultFailed, next: NextRetryLater}},
		"one unknown":               {nil, []apply.Outcome{applied, unknown}, ending{result: status.ResultFailed, next: NextRetrySoon}},
		"unknown, and a password":   {nil, []apply.Outcome{transient, unknown}, ending{result: status.ResultFailed, next: NextRetrySoon}},
		"superseded":                {apply.ErrSuperseded, []apply.Outcome{applied}, ending{result: status.ResultSuperseded}},
		"superseded, one unknown":   {apply.ErrSuperseded, []apply.Outcome{unknown}, ending{result: status.ResultSuperseded}},
		"stopped, one unknown":      {context.Canceled, []apply.Outcome{unknown}, ending{result: status.ResultStopped}},
		"handed over":               {ErrAgain, []apply.Outcome{applied, handedOver, blocked}, ending{result: status.ResultProgressing, hands: true}},
		"handed over, one failed":   {ErrAgain, []apply.Outcome{handedOver, failed}, ending{result: status.ResultFailed, hands: true}},
		"nothing was left over":     {ErrAgain, []apply.Outcome{applied, blocked}, ending{result: status.ResultApplied}},
		"nor anything done":         {ErrAgain, []apply.Outcome{blocked}, ending{result: status.ResultUnchanged}},
		"stopped":                   {context.Canceled, []apply.Outcome{applied}, ending{result: status.ResultStopped}},
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
	p := &reconciliation{r: &Reconciler{}}
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

// TestHistoryKeepsWhatHappened shows which outcomes make an entry.
func TestHistoryKeepsWhatHappened(t *testing.T) {
	began := time.Unix(1, 0)
	p := &reconciliation{revision: sources.Revision{ID: "r", Author: "Ada"}}
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

// Of what is handed over a change keeps the time of its write; what an older
// revision began does not make the younger one's last longer.
func TestLasted(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	last := status.Reconciliation{Began: at(10), Ended: at(100), Result: status.ResultApplied}
	outcome := func(id string, r apply.Result, began, ended int) apply.Outcome {
		o := apply.Outcome{ID: id, Result: r}
		if began > 0 {
			o.Began = at(began)
		}
		if ended > 0 {
			o.Ended = at(ended)
		}
		return o
	}
	for name, test := range map[string]struct {
		result       status.Result
		outcomes     []apply.Outcome
		older        string
		began, ended int
	}{
		"one":                         {status.ResultApplied, []apply.Outcome{outcome("/a", apply.Applied, 20, 23)}, "", 20, 23},
		"several":                     {status.ResultFailed, []apply.Outcome{outcome("/a", apply.Applied, 20, 23), outcome("/b", apply.Failed, 15, 90)}, "", 15, 90},
		"handed over":                 {status.ResultApplied, []apply.Outcome{outcome("/a", apply.Applied, 2, 23)}, "", 2, 23},
		"of an older one":             {status.ResultApplied, []apply.Outcome{outcome("/a", apply.Applied, 2, 23), outcome("/b", apply.Applied, 21, 30)}, "/a", 21, 30},
		"of an older one alone":       {status.ResultApplied, []apply.Outcome{outcome("/a", apply.Applied, 2, 23)}, "/a", 2, 23},
		"refused":                     {status.ResultFailed, []apply.Outcome{outcome("/a", apply.Failed, 0, 23)}, "", 23, 23},
		"superseded":                  {status.ResultSuperseded, []apply.Outcome{outcome("/a", apply.Applied, 20, 23), outcome("/b", apply.Superseded, 21, 100)}, "", 20, 100},
		"cut off, its end is unknown": {status.ResultStopped, []apply.Outcome{outcome("/b", apply.Unknown, 21, 100)}, "", 21, 100},
	} {
		t.Run(name, func(t *testing.T) {
			p := &reconciliation{outcomes: test.outcomes, older: map[string]bool{test.older: true}}
			last := last
			last.Result = test.result
			if began, ended := p.lasted(last); !began.Equal(at(test.began)) || !ended.Equal(at(test.ended)) {
				t.Errorf("from %s to %s, want %s to %s", began, ended, at(test.began), at(test.ended))
			}
		})
	}
}

func TestRememberRevert(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	failure := plan.Failure{Hash: "bad", Reason: "exit code 1", Deployment: "d1"}
	outcome := func(r apply.Result) apply.Outcome {
		return apply.Outcome{ID: "/a", Kind: manifests.KindApp, Action: plan.Update, Result: r, Reason: "why", Deployment: "d2", Hash: "good", Began: began, Revert: true}
	}
	transient := outcome(apply.Failed)
	transient.Transient = true
	cases := map[string]struct {
		o       apply.Outcome
		failure plan.Failure
		owned   string // revision and hash
		rollout bool
	}{
		"begun":                    {outcome(""), failure, "r1 good", true},
		"back":                     {outcome(apply.Applied), plan.Failure{Hash: "bad", Reason: "exit code 1", Restored: true}, "r1 good", false},
		"failed as well":           {outcome(apply.Failed), plan.Failure{Hash: "bad", Reason: "exit code 1", Unrestored: "why", Deployment: "d2"}, "r2 bad", false},
		"failed, not by its fault": {transient, failure, "r2 bad", false},
		"cut off":                  {outcome(apply.Unknown), failure, "r2 bad", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := store.State{
				Inventory: map[string]store.Owned{"/a": {Kind: manifests.KindApp, Revision: "r2", Hash: "bad"}}, Rollouts: map[string]store.Rollout{},
				Failed: map[string]plan.Failure{"/a": failure}, Healthy: map[string]plan.Healthy{"/a": {Revision: "r1", Hash: "good"}},
			}
			remember(&s, c.o, "r2", "a.yaml")
			if diff := cmp.Diff(c.failure, s.Failed["/a"]); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if o := s.Inventory["/a"]; o.Revision+" "+o.Hash != c.owned {
				t.Errorf("inventory: %+v, want %s", o, c.owned)
			}
			if r, begun := s.Rollouts["/a"]; begun != c.rollout || begun && !carried(s.Rollouts)["/a"].Revert {
				t.Errorf("rollout: %+v", r)
			}
		})
	}
}

// An id is unproven from its creation till a rollout of it comes up, whichever.
func TestUnproven(t *testing.T) {
	s := store.State{Inventory: map[string]store.Owned{}, Rollouts: map[string]store.Rollout{}, Failed: map[string]plan.Failure{}}
	for _, step := range []struct {
		action plan.Action
		result apply.Result
		want   bool
	}{
		{plan.Create, "", true}, {plan.Create, apply.Failed, true}, {plan.Update, "", true}, {plan.Update, apply.Superseded, true},
		{plan.Update, apply.Failed, true}, {plan.Update, "", true}, {plan.Update, apply.Applied, false},
		{plan.Update, "", false}, {plan.Update, apply.Failed, false},
	} {
		remember(&s, apply.Outcome{ID: "/a", Action: step.action, Result: step.result, Deployment: fmt.Sprint(len(s.History), step), Hash: "h"}, "r", "f")
		if got := unproven(&s)["/a"]; got != step.want {
			t.Errorf("after %s %s: %v", step.action, step.result, got)
		}
	}
}

func TestApprovalIsForOneRevision(t *testing.T) {
	t.Parallel()
	if got := approved(map[string]string{"/a": "one", "/b": "two"}, "two"); len(got) != 1 || !got["/b"] {
		t.Errorf("approved for two: %v", got)
	}
}
