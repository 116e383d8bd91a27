package web

import (
	"fmt"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// hostile is text that a repository, a label or a task may bring: markup,
// script in several contexts, a link that is none, and characters that turn
// text round.
const hostile = `<script>document.title='owned'</script><img src=x onerror="document.title='owned'">"'><a href="javascript:document.title='owned'">x</a> {{.}} ` + "\u202egnp.exe\u0007\nnext line"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sampleStatus is a realistic mixture: a sync with every state, a calm one, one
// that is just starting, and one whose source is full of hostile text.
func sampleStatus() status.Status {
	return status.Status{
		Now: noon, Running: true,
		Marathon: status.Marathon{Version: "1.11.26", Reached: noon.Add(-4 * time.Second)},
		Syncs:    []status.Sync{calmSync(), hostileSync(), shopSync(), startingSync()},
	}
}

func app(id string, state status.State, health status.Health, i status.Instances, file, reason string) status.App {
	return status.App{
		ID: id, Kind: manifests.KindApp, State: state, Health: health, Instances: i, File: file, Reason: reason,
		Since: noon.Add(-3 * time.Hour), Revision: "1b2c3d4e77aa0f3344",
	}
}

// in gives an app a condition.
func in(c status.Condition, a status.App) status.App {
	a.Condition = c
	return a
}

func approvable(id string) status.App {
	a := in(status.Blocked, app(id, status.OutOfSync, status.HealthHealthy, status.Instances{}, "", "prune: confirm requires approval"))
	a.Action, a.Approvable = plan.Delete, true
	return a
}

func shopSync() status.Sync {
	checked := func(wanted, running, healthy int) status.Instances {
		return status.Instances{Desired: wanted, Target: wanted, Running: running, Healthy: healthy, Checked: true}
	}
	plain := func(wanted, running int) status.Instances {
		return status.Instances{Desired: wanted, Target: wanted, Running: running}
	}
	head := sources.Revision{ID: "3f9c2a71d0e84b6c5a1f7e2d9b8c4a6f0e1d2c3b", Ref: "main", Author: "Ada Lovelace", Subject: "cart: keep baskets for a week", Time: noon.Add(-6 * time.Minute)}
	return status.Sync{
		Name: "shop", Source: "https://git.example.com/shop.git", Path: "prod", Scope: "/shop", Revision: head, Running: true,
		Last: &status.Reconciliation{Began: noon.Add(-95 * time.Second), Ended: noon.Add(-20 * time.Second), Revision: head.ID, Result: status.ResultFailed},
		Apps: []status.App{
			in(status.InRollout, app("/shop/cart", status.Synced, status.HealthProgressing, checked(3, 2, 1), "prod/cart.yaml", "update: 1 of 3 new tasks are healthy")),
			app("/shop/checkout", status.Synced, status.HealthHealthy, checked(4, 4, 4), "prod/checkout.yaml", ""),
			in(status.Blocked, app("/shop/legacy-import", status.OutOfSync, status.HealthHealthy, plain(1, 1), "", "git no longer has it: prune is confirm, so pacer approve has to allow its deletion")),
			in(status.Broken, app("/shop/mailer", status.Unknown, status.HealthHealthy, plain(1, 1), "prod/mailer.json", "its manifest has errors, which are listed below: nothing is changed until they are mended")),
			in(status.Failed, app("/shop/pricing", status.OutOfSync, status.HealthDegraded, checked(3, 0, 0), "prod/pricing.yaml", "0 of 3 running after 10 min: 57 of 57 offers refused, all for cpus: requires 99999, the largest offer has 8. The last task ended with exit code 127: sh: 1: pricing-server: not found. Not tried again until the definition changes.")),
			app("/shop/reports", status.Synced, status.HealthSuspended, plain(0, 0), "prod/reports.yaml", ""),
			app("/shop/search", status.Synced, status.HealthHealthy, checked(2, 2, 2), "prod/search.yaml", ""),
			{ID: "/shop/tracing", Kind: manifests.KindPod, State: status.Synced, Health: status.HealthHealthy, Instances: plain(1, 1), File: "prod/tracing.yaml"},
			app("/shop/web", status.OutOfSync, status.HealthHealthy, status.Instances{Desired: 5, Target: 2, Running: 2, Healthy: 2, Checked: true}, "prod/web.yaml", "scale: /instances 2 → 5"),
		},
		Problems: []manifests.Problem{
			{File: "prod/mailer.json", Line: 7, Column: 3, ID: "/shop/mailer", Severity: manifests.SeverityError, Message: `unknown field "instnaces": instances is meant`},
			{File: "prod/search.yaml", Line: 22, Column: 5, ID: "/shop/search", Severity: manifests.SeverityWarning, Message: "a health check without portIndex: the first port is used, say portIndex: 0"},
		},
		History: shopHistory(head),
		Kept:    []store.Kept{{ID: shopHistory(head)[1].Revision}, {ID: shopHistory(head)[2].Revision}},

		PlannedRevision: head.ID, InForce: head,
	}
}

// rolledBackSync is shop after somebody has taken it back.
func rolledBackSync() status.Sync {
	y := shopSync()
	y.Running, y.Last.Result, y.Problems = false, status.ResultApplied, nil
	y.Apps = []status.App{y.Apps[1], y.Apps[6], y.Apps[2]}
	y.Apps[2].Approvable, y.Apps[2].Action = true, plan.Delete
	good := y.History[1]
	by := store.Asked{By: store.AskedByPerson, Verb: "rollback", User: "ada", Token: "act", Address: "10.0.0.7", Reason: "pricing does not start"}
	y.RolledBack = &store.Pin{Kept: store.Kept{ID: good.Revision, Subject: good.Subject}, By: by, At: noon.Add(-4 * time.Minute)}
	y.PlannedRevision, y.InForce = good.Revision, sources.Revision{ID: good.Revision, Author: good.Author, Subject: good.Subject}
	y.History = append([]store.Entry{{
		Revision: good.Revision, Author: good.Author, Subject: good.Subject, Began: noon.Add(-4 * time.Minute), Ended: noon.Add(-3 * time.Minute),
		Result: "applied", Summary: plan.Summary{Update: 1}, Asked: by,
		Changes: []store.Done{{ID: "/shop/pricing", Action: plan.Update, Outcome: "applied"}},
	}}, y.History...)
	return y
}

func shopHistory(head sources.Revision) []store.Entry {
	entries := []store.Entry{{
		Revision: head.ID, Commit: "5d0c4b3a29181716", Author: "Alan Turing", Subject: "pricing: decide it", Began: noon.Add(-95 * time.Second), Ended: noon.Add(-20 * time.Second),
		Summary: plan.Summary{Update: 2, Scale: 1}, Result: "failed", Asked: store.Asked{By: store.AskedByPoll},
		Changes: []store.Done{
			{ID: "/shop/checkout", Action: plan.Scale, Outcome: "applied"},
			{ID: "/shop/pricing", Action: plan.Update, Outcome: "failed", Reason: "0 of 3 running after 10 min: 57 of 57 offers refused, all for cpus"},
			{ID: "/shop/cart", Action: plan.Update, Outcome: "superseded"},
		},
	}}
	for i := range 7 {
		at := noon.Add(-time.Duration(i+1) * 7 * time.Hour)
		entries = append(entries, store.Entry{
			Revision: fmt.Sprintf("%08x77aa0f3344", 0x1b2c3d4e*(i+1)), Author: "Grace Hopper", Subject: fmt.Sprintf("search: index %d more fields", i+2),
			Began: at, Ended: at.Add(12 * time.Second), Summary: plan.Summary{Update: 1}, Result: "applied",
			Changes: []store.Done{{ID: "/shop/search", Action: plan.Update, Outcome: "applied"}},
		})
	}
	return entries
}

func calmSync() status.Sync {
	y := status.Sync{
		Name: "billing", Source: "git@git.example.com:billing.git", Path: "", Scope: "/billing",
		Revision: sources.Revision{ID: "b81d5e0c77aa0f334455", Author: "Grace Hopper", Subject: "invoice: round half to even", Time: noon.Add(-50 * time.Hour)},
		Planned:  noon.Add(-12 * time.Second),
		Last:     &status.Reconciliation{Began: noon.Add(-12 * time.Second), Ended: noon.Add(-12*time.Second + 84*time.Millisecond), Result: status.ResultUnchanged},
	}
	y.InForce = y.Revision
	for _, name := range []string{"invoice", "ledger"} {
		y.Apps = append(y.Apps, app("/billing/"+name, status.Synced, status.HealthHealthy, status.Instances{Desired: 2, Target: 2, Running: 2}, name+".json", ""))
	}
	return y
}

// suspendedSync is calm, since a person had it change nothing.
func suspendedSync() status.Sync {
	y := calmSync()
	by := store.Asked{By: store.AskedByPerson, Verb: "suspend", User: "ada", Token: "act", Via: "page", Address: "10.0.0.7", Reason: "the database moves"}
	at := noon.Add(-5 * time.Minute)
	y.Suspended, y.Suspension = true, &store.Suspension{By: by, At: at}
	y.History = []store.Entry{{Revision: y.Revision.ID, Subject: y.Revision.Subject, Began: at, Ended: at, Result: "suspended", Asked: by}}
	return y
}

// heldSync is calm, and its source answers with an older revision.
func heldSync() status.Sync {
	y := calmSync()
	y.Hold = &status.Hold{
		Revision: y.Revision.ID, Subject: y.Revision.Subject, Answered: "1b2c3d4e77aa0f3344", Since: noon.Add(-time.Minute), Reconciles: true,
		Reason: "the source answers with revision 1b2c3d4e, which is older than the applied revision b81d5e0c",
	}
	return y
}

func startingSync() status.Sync {
	return status.Sync{
		Name: "staging", Source: "https://git.example.com/shop.git", Path: "staging", Scope: "/staging",
		SourceError: "git fetch of https://git.example.com/shop.git: dial tcp: lookup git.example.com: no such host: check the name and this machine's DNS",
	}
}

func hostileSync() status.Sync {
	return status.Sync{
		Name: "evil", Source: "javascript:document.title='owned'", Path: hostile, Scope: "/evil",
		Revision:        sources.Revision{ID: "0badc0de", Author: hostile, Subject: hostile, Time: noon.Add(time.Hour)},
		InForce:         sources.Revision{ID: hostile, Author: hostile, Subject: hostile, Time: noon.Add(time.Hour)},
		Last:            &status.Reconciliation{Began: noon.Add(-time.Second), Ended: noon, Result: status.ResultFailed, Error: hostile},
		Notes:           []string{hostile},
		Apps:            []status.App{app("/evil/"+hostile, status.State(hostile), status.Health(hostile), status.Instances{}, hostile, hostile), approvable("/evil/" + hostile + "2")},
		PlannedRevision: hostile + "3",
		Kept:            []store.Kept{{ID: hostile}},
		Suspended:       true,
		Suspension:      &store.Suspension{By: store.Asked{By: hostile, Via: hostile, Reason: hostile}},
		RolledBack:      &store.Pin{Kept: store.Kept{ID: hostile, Subject: hostile}, By: store.Asked{By: hostile, Reason: hostile}},
		Hold:            &status.Hold{Revision: hostile, Subject: hostile, Answered: hostile, Reason: hostile},
		Problems:        []manifests.Problem{{File: hostile, Line: 1, Column: 1, ID: hostile, Message: hostile}},
		History: []store.Entry{{Revision: hostile, Author: hostile, Subject: hostile, Began: noon, Ended: noon, Result: hostile, Message: hostile,
			Asked:   store.Asked{By: store.AskedByPerson, Verb: hostile, User: hostile, Token: hostile, Address: hostile, Reason: hostile},
			Changes: []store.Done{{ID: hostile, Action: plan.Action(hostile), Outcome: hostile, Reason: hostile}}}},
	}
}
