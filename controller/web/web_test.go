package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

// asked collects what the handler triggers.
type asked struct {
	names []string
	by    store.Asked
}

func (a *asked) trigger(name string, by store.Asked) error {
	if name == "gone" {
		return controller.ErrNoSync
	}
	if name == "stopped" {
		return errors.New("the controller is not running")
	}
	a.names, a.by = append(a.names, name), by
	return nil
}

// act is every other action: it notes what it is asked for.
func (a *asked) act(verb string) func(context.Context, string, store.Asked) error {
	return func(_ context.Context, name string, by store.Asked) error { return a.trigger(verb+" "+name, by) }
}

func (a *asked) rollback(_ context.Context, name string, to controller.Rollback, by store.Asked) (store.Pin, error) {
	if to.Revision == "unknown" {
		return store.Pin{}, fmt.Errorf("%w: revision unknown is not kept", controller.ErrConflict)
	}
	return store.Pin{Kept: store.Kept{ID: "1b2c3d4e77aa", Subject: "search"}}, a.trigger(fmt.Sprintf("rollback %s %q %d", name, to.Revision, to.Back), by)
}

// diff is a plan of one change, or no plan.
func (a *asked) diff(_ context.Context, name string, ids []string) (plan.Plan, error) {
	switch name {
	case "gone":
		return plan.Plan{}, controller.ErrNoSync
	case "down":
		return plan.Plan{}, errors.New("cannot read Marathon: connection refused")
	}
	fields := []manifests.FieldDiff{{Path: "/instances", Live: 2, Desired: 5}}
	return plan.Plan{Sync: name, Revision: "3f9c", Summary: plan.Summary{Scale: 1}, Changes: []plan.Change{
		{ID: cmp.Or(append(ids, "/shop/web")...), Kind: manifests.KindApp, Action: plan.Scale, Fields: fields, Reason: "only instances differ"},
	}}, nil
}

func (a *asked) approve(_ context.Context, name string, ids []string, revision string, by store.Asked) error {
	if revision == "old" {
		return fmt.Errorf("%w: revision old is to be approved", controller.ErrConflict)
	}
	return a.trigger(fmt.Sprintf("approve %s %v %s", name, ids, revision), by)
}

func testOptions(t *testing.T, shown status.Status) (Options, *asked) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "pacer_test", Help: "A test."}))
	a := &asked{}
	return Options{
		Status: func() status.Status { return shown }, Trigger: a.trigger,
		Suspend: a.act("suspend"), Resume: a.act("resume"), Approve: a.approve,
		Rollback: a.rollback, Release: a.act("release"), Diff: a.diff, Metrics: registry, Version: "v1.2.3",
		Pull:     func(context.Context, string, int) (report.PullPlan, error) { return samplePull(), nil },
		Abdicate: func(context.Context) error { return nil }, Hosts: origin.Names{"example.com"}, // as httptest asks
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, a
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// concrete makes a path of a route's.
var concrete = strings.NewReplacer("{$}", "", "{file}", "style.css", "{name}", "shop", "{source}", "shop", "{number}", "7")

func TestEveryRouteIsServedSafely(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	h := New(o)
	for _, r := range Routes() {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			path := concrete.Replace(r.Path)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(r.Method, path, nil))
			if w.Code >= 400 && r.Path != "/readyz" && !r.Signed {
				t.Errorf("%s %s answered %d: %s", r.Method, path, w.Code, w.Body)
			}
			for _, header := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cache-Control", "Content-Type"} {
				if w.Header().Get(header) == "" {
					t.Errorf("%s %s has no %s", r.Method, path, header)
				}
			}
			w = httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("DELETE", path, nil))
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("DELETE %s answered %d, want 405", path, w.Code)
			}
			if !r.Action && !r.Signed && r.Method != "GET" {
				t.Errorf("%s %s changes something but is not marked as an action", r.Method, r.Path)
			}
		})
	}
}

func TestPolicyAllowsNoInlineCode(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	w := get(t, New(o), "/")
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q lets too much in", csp)
	}
	for _, inline := range []string{`<script>`, `<style`, ` style=`, ` onclick=`, ` onerror="`, `href="javascript:`} {
		if strings.Contains(w.Body.String(), inline) {
			t.Errorf("the page holds %s", inline)
		}
	}
}

func TestActionsAreRefusedToOtherSites(t *testing.T) {
	tests := map[string]struct {
		header map[string]string
		code   int
	}{
		"a command line tool":        {nil, 202},
		"our own page":               {map[string]string{"Sec-Fetch-Site": "same-origin"}, 202},
		"another site":               {map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"a neighbouring host":        {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"an old browser, ours":       {map[string]string{"Origin": "http://example.com"}, 202},
		"an old browser, other site": {map[string]string{"Origin": "http://evil.example"}, 403},
		"no origin at all":           {map[string]string{"Origin": "null"}, 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, asked := testOptions(t, sampleStatus())
			r := httptest.NewRequest("POST", "/api/v1/syncs/shop/sync", nil)
			for k, v := range test.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			New(o).ServeHTTP(w, r)
			if w.Code != test.code {
				t.Errorf("answered %d, want %d: %s", w.Code, test.code, w.Body)
			}
			if triggered := len(asked.names) > 0; triggered != (test.code == 202) {
				t.Errorf("triggered %v although the answer was %d", asked.names, w.Code)
			}
		})
	}
}

func TestSyncAction(t *testing.T) {
	tests := map[string]struct {
		path, accept, body string
		code               int
		want               []string
	}{
		"a form of a browser goes back to the page": {path: "shop", accept: "text/html,*/*", code: 303, want: []string{"shop"}},
		"an unknown sync":            {path: "gone", code: 404},
		"a controller that stops":    {path: "stopped", code: 503},
		"a name that needs escaping": {path: "a%20b%2Fc", code: 202, want: []string{"a b/c"}},
		"a body beyond the cap":      {path: "shop", body: strings.Repeat("x", maxBodyBytes+1), code: 413},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, asked := testOptions(t, sampleStatus())
			r := httptest.NewRequest("POST", "/api/v1/syncs/"+test.path+"/sync", strings.NewReader(test.body))
			r.Header.Set("Accept", test.accept)
			w := httptest.NewRecorder()
			New(o).ServeHTTP(w, r)
			if w.Code != test.code {
				t.Errorf("answered %d, want %d: %s", w.Code, test.code, w.Body)
			}
			if diff := gocmp.Diff(test.want, asked.names); diff != "" {
				t.Errorf("triggered (-want +got):\n%s", diff)
			}
		})
	}
}

func TestActions(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		path, kind, body string
		code             int
		want             []string
	}{
		"suspend":                     {path: "shop/suspend", code: 200, want: []string{"suspend shop"}},
		"resume":                      {path: "shop/resume", code: 200, want: []string{"resume shop"}},
		"a button without fields":     {path: "shop/resume", kind: form, code: 200, want: []string{"resume shop"}},
		"approve all":                 {path: "shop/approve", code: 200, want: []string{"approve shop [] "}},
		"approve some":                {path: "shop/approve", body: `{"ids": ["/a", "/b"], "revision": "3f9c"}`, code: 200, want: []string{"approve shop [/a /b] 3f9c"}},
		"approve by the button":       {path: "shop/approve", kind: form, body: "ids=%2Fa&revision=3f9c", code: 200, want: []string{"approve shop [/a] 3f9c"}},
		"approve what is outdated":    {path: "shop/approve", body: `{"revision": "old"}`, code: 409},
		"roll back one":               {path: "shop/rollback", code: 200, want: []string{`rollback shop "" 0`}},
		"roll back three":             {path: "shop/rollback", body: `{"back": 3}`, code: 200, want: []string{`rollback shop "" 3`}},
		"roll back by the button":     {path: "shop/rollback", kind: form, body: "revision=1b2c&reason=it+hangs", code: 200, want: []string{`rollback shop "1b2c" 0`}},
		"release by the button":       {path: "shop/rollback", kind: form, body: "release=true", code: 200, want: []string{"release shop"}},
		"release":                     {path: "shop/rollback", body: `{"release": true}`, code: 200, want: []string{"release shop"}},
		"release to a revision":       {path: "shop/rollback", body: `{"release": true, "revision": "1b2c"}`, code: 400},
		"a revision, and so far back": {path: "shop/rollback", body: `{"back": 1, "revision": "1b2c"}`, code: 400},
		"forward":                     {path: "shop/rollback", body: `{"back": -1}`, code: 400},
		"back by no number":           {path: "shop/rollback", kind: form, body: "back=one", code: 400},
		"a reason without end":        {path: "shop/rollback", body: `{"reason": "` + strings.Repeat("x", maxReason+1) + `"}`, code: 400},
		"what is not kept":            {path: "shop/rollback", body: `{"revision": "unknown"}`, code: 409},
		"a key that is misspelt":      {path: "shop/approve", body: `{"id": "/a"}`, code: 400},
		"half a body":                 {path: "shop/approve", body: `{"ids": ["/a"`, code: 400},
		"a form that cannot be read":  {path: "shop/approve", kind: form, body: "ids=%zz", code: 400},
		"a form beyond the cap":       {path: "shop/approve", kind: form, body: "ids=" + strings.Repeat("x", maxBodyBytes+1), code: 413},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, asked := testOptions(t, sampleStatus())
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			r := httptest.NewRequest("POST", "/api/v1/syncs/"+test.path, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			w := httptest.NewRecorder()
			New(o).ServeHTTP(w, r)
			if w.Code != test.code || !strings.Contains(w.Body.String(), "message") {
				t.Errorf("answered %d, want %d: %s", w.Code, test.code, w.Body)
			}
			if diff := gocmp.Diff(test.want, asked.names); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "remote=192.0.2.1:1234") {
				t.Errorf("the log says %q, want one line with who asked", text)
			}
		})
	}
}

// Who asked is handed on: by the token that it proved and the address, and by the
// name beside it.
func TestWhoAskedIsHandedOn(t *testing.T) {
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for name, test := range map[string]struct {
		tokens Tokens
		login  func(*http.Request)
		want   store.Asked
	}{
		"without tokens": {Tokens{}, func(*http.Request) {}, store.Asked{Via: "API"}},
		"a name alone":   {Tokens{}, func(r *http.Request) { r.SetBasicAuth("ada", "") }, store.Asked{User: "ada", Via: "API"}},
		"a token":        {Tokens{Act: token("a")}, bearer("a"), store.Asked{Token: "act", Via: "API"}},
		"a command line": {Tokens{Act: token("a")}, func(r *http.Request) {
			bearer("a")(r)
			r.Header.Set("Pacer-Via", "command line")
			r.Header.Set("Pacer-User", "ada@laptop")
		}, store.Asked{Token: "act", User: "ada@laptop", Via: "command line"}},
		"a browser": {Tokens{Read: token("r"), Act: token("a")}, func(r *http.Request) {
			r.SetBasicAuth("ada", "a")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, store.Asked{Token: "act", User: "ada", Via: "page"}},
		"a browser without a name": {Tokens{}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, store.Asked{Via: "page"}},
		"a liar": {Tokens{}, func(r *http.Request) {
			r.Header.Set("Pacer-Via", "the boss")
			r.Header.Set("Pacer-User", strings.Repeat("é", 500))
		}, store.Asked{User: strings.Repeat("é", 50) + "…", Via: "API"}},
		"one token": {Tokens{Read: token("r")}, bearer("r"), store.Asked{Token: "read", Via: "API"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, asked := testOptions(t, sampleStatus())
			o.Tokens = test.tokens
			r := httptest.NewRequest("POST", "/api/v1/syncs/shop/rollback", strings.NewReader(`{"reason": "it hangs"}`))
			test.login(r)
			New(o).ServeHTTP(httptest.NewRecorder(), r)
			test.want.By, test.want.Verb, test.want.Address, test.want.Reason = store.AskedByPerson, "rollback", "192.0.2.1", "it hangs"
			if diff := gocmp.Diff(test.want, asked.by); diff != "" {
				t.Errorf("who asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	for path, want := range map[string]struct {
		code       int
		kind, says string
	}{
		"shop/diff":                           {200, "application/json", `"path": "/instances"`},
		"shop/diff?id=/shop/cart":             {200, "application/json", `"id": "/shop/cart"`},
		"shop/diff?format=text&id=/shop/cart": {200, "text/plain; charset=utf-8", "/instances: 2 → 5"},
		"shop/diff?format=markdown":           {200, "text/markdown; charset=utf-8", "/shop/web"},
		"shop/diff?format=yaml":               {200, "application/yaml", "path: /instances"},
		"shop/diff?format=<script>":           {400, "application/json", "expected one of text, json"},
		"gone/diff":                           {404, "application/json", "no sync is named"},
		"down/diff":                           {503, "application/json", "cannot read Marathon"},
	} {
		t.Run(path, func(t *testing.T) {
			o, _ := testOptions(t, sampleStatus())
			w := get(t, New(o), "/api/v1/syncs/"+path)
			if w.Code != want.code || w.Header().Get("Content-Type") != want.kind || !strings.Contains(w.Body.String(), want.says) {
				t.Errorf("answered %d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		})
	}
}

func TestActionLogCannotBeForged(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	w := httptest.NewRecorder()
	New(o).ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/syncs/a%0Alevel=ERROR%20msg=forged/sync", nil))
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("one action wrote %d lines:\n%s", lines, log.String())
	}
}

func TestStatusIsWhatTheControllerSays(t *testing.T) {
	want := sampleStatus()
	o, _ := testOptions(t, want)
	w := get(t, New(o), "/api/v1/status")
	var got status.Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestReadiness(t *testing.T) {
	ready := status.Status{Running: true, Syncs: []status.Sync{calmSync()}}
	down := ready
	down.Marathon.Error = "dial tcp: connection refused"
	tests := map[string]struct {
		status status.Status
		code   int
		say    string
	}{
		"all is planned":      {ready, 200, "ready"},
		"not running":         {status.Status{}, 503, "the controller is not running"},
		"Marathon is down":    {down, 503, "connection refused"},
		"source never read":   {status.Status{Running: true, Syncs: []status.Sync{startingSync()}}, 503, "sync staging: its source has not been fetched yet: git fetch"},
		"nothing planned yet": {status.Status{Running: true, Syncs: []status.Sync{{Name: "x"}}}, 503, "sync x: git and Marathon have not been compared yet"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, _ := testOptions(t, test.status)
			w := get(t, New(o), "/readyz")
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.say) {
				t.Errorf("answered %d %q, want %d with %q", w.Code, w.Body, test.code, test.say)
			}
		})
	}
}

// Without Marathon nothing on the page is green, and the reason is there once,
// however many apps and syncs there are.
func TestPageWithoutMarathon(t *testing.T) {
	const why = "GET http://m1:8080/v2/apps: no answer from Marathon: connection refused"
	stale := func(name string) status.Sync {
		y := calmSync()
		y.Name, y.Stale = name, &status.Stale{Reason: why, Since: noon, Known: noon.Add(-time.Minute)}
		y.Last = &status.Reconciliation{Result: status.ResultFailed, Error: "cannot read Marathon, so nothing is changed: " + why}
		y.History = nil
		for i := range y.Apps {
			a := &y.Apps[i]
			a.LastKnown = &status.LastKnown{State: a.State, Health: a.Health, At: noon.Add(-time.Minute)}
			a.State, a.Health = status.Unknown, status.HealthUnknown
		}
		return y
	}
	away := status.Status{Now: noon, Running: true, Syncs: []status.Sync{stale("a"), stale("b")}}
	away.Marathon = status.Marathon{Error: why, Failing: noon}
	o, _ := testOptions(t, away)
	body := get(t, New(o), "/").Body.String()
	if n := strings.Count(body, "connection refused"); n != 1 {
		t.Errorf("the reason is there %d times", n)
	}
	if strings.Contains(body, "chip good") {
		t.Error("something is green")
	}
	for _, say := range []string{"Marathon cannot be read since", `<span class="chip bad">unknown</span>`, "last known: synced, healthy", "running at "} {
		if !strings.Contains(body, say) {
			t.Errorf("the page does not say %q", say)
		}
	}
	away.Marathon = status.Marathon{} // it answers, and is not believed
	o, _ = testOptions(t, away)
	if n := strings.Count(get(t, New(o), "/").Body.String(), "connection refused"); n != 2 {
		t.Errorf("what each sync doubts is there %d times, want once for each", n)
	}
}

func TestPageSaysWhatIsWrong(t *testing.T) {
	failing := sampleStatus()
	failing.Marathon.Error = "GET http://m1:8080/v2/info: connection refused"
	failing.Reload = `pacer.yaml:3:1: unknown key "syncz": syncs is meant`
	broken := calmSync()
	broken.SourceError = "remote: repository not found"
	tests := map[string]struct {
		status status.Status
		say    []string
	}{
		"mixed": {sampleStatus(), []string{
			"failed", "57 of 57 offers refused", `<span class="dim">last change</span> <code title="5d0c4b3a29181716">5d0c4b3a</code> <bdi class="subject">pricing: decide it</bdi>`,
			"<bdi>Alan Turing</bdi>, <time", "revision by <bdi>Grace Hopper</bdi>, <time", "prod/mailer.json:7:3", "Grace Hopper", "1 of 3 new tasks are healthy",
			"2 of 3 running, 1 healthy", "2 of 5 running (Marathon&#39;s target: 2), 2 healthy", "scale: /instances 2 → 5", "lookup git.example.com: no such host", "3 older",
		}},
		"held": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{heldSync()}}, []string{
			`<span class="chip warn">held</span>`, `Held at <code title="b81d5e0c77aa0f334455">b81d5e0c</code>`, "the newest applied revision", "older than the applied revision b81d5e0c",
			`<form method="post" action="/api/v1/syncs/billing/approve"><input type="hidden" name="revision" value="1b2c3d4e77aa0f3344">`, "Approve going back to 1b2c3d4e",
		}},
		"suspended": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{suspendedSync()}}, []string{
			"This sync is suspended", "5 min ago", "by <bdi>person ada (page, act token) from 10.0.0.7: suspend (the database moves)</bdi>", `aria-label="Resume billing"`,
			`<span class="chip idle">suspended</span> <code title="b81d5e0c77aa0f334455">`, "triggered by <bdi>person ada (page, act token)",
		}},
		"suspended long ago": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{{Name: "x", Suspended: true}}}, []string{
			"This sync is suspended", "By an older Pacer, which did not record who, when and why.",
		}},
		"rolled back": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{rolledBackSync()}}, []string{
			"Rolled back to", "1b2c3d4e", "person ada (act token) from 10.0.0.7: rollback (pricing does not start)", `aria-label="Release shop"`,
			"Pin to 36587a9c until released", `<span class="chip warn">rolled back</span>`,
			`<dt>Revision</dt><dd><code title="1b2c3d4e77aa0f3344">1b2c3d4e</code> <bdi class="subject">search: index 2 more fields</bdi>`, "(rolled back)",
			`<dt>Source at</dt><dd><code title="3f9c2a71d0e84b6c5a1f7e2d9b8c4a6f0e1d2c3b">3f9c2a71</code> <bdi class="subject">cart: keep baskets for a week</bdi>`, "1 out of sync, 2 synced; 3 healthy; 1 blocked", "Approve delete",
		}},
		"nothing configured": {status.Status{Now: noon, Running: true}, []string{"No syncs yet", "branch: main"}},
		"failing":            {failing, []string{"Marathon cannot be read; nothing is changed", "connection refused", "Configuration reload failed", "syncz"}},
		"source lost":        {status.Status{Now: noon, Running: true, Syncs: []status.Sync{broken}}, []string{"the revision above stays active", "repository not found"}},
		"no apps": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{{Name: "x", Path: "prod", Last: &status.Reconciliation{Result: status.ResultUnchanged}}}},
			[]string{"Put a manifest (.json, .yaml) into prod of the source", "Nothing has been changed yet."}},
		"the first change hangs": {status.Status{Now: noon, Running: true, Syncs: []status.Sync{{Name: "x", Running: true,
			Apps: []status.App{{ID: "/a", Kind: manifests.KindApp, State: status.Synced, Health: status.HealthProgressing, Condition: status.InRollout}}}}},
			[]string{"1 change in progress. Each reconciliation that changes something or fails is listed here when it ends."}},
		"not running": {status.Status{}, []string{"Pacer is not running yet"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, _ := testOptions(t, test.status)
			body := get(t, New(o), "/").Body.String()
			for _, say := range test.say {
				if !strings.Contains(body, say) {
					t.Errorf("the page does not say %q", say)
				}
			}
		})
	}
}

func TestPageBoundsWhatItLists(t *testing.T) {
	y := calmSync()
	y.Apps = nil
	for range 5000 {
		y.Apps = append(y.Apps, app("/a", status.Synced, status.HealthHealthy, status.Instances{}, "", ""))
	}
	y.Apps = append(y.Apps, app("/z", status.OutOfSync, status.HealthDegraded, status.Instances{}, "", "it does not start"))
	o, _ := testOptions(t, status.Status{Now: noon, Running: true, Syncs: []status.Sync{y}})
	h := New(o)
	body := get(t, h, "/").Body.String()
	if rows := strings.Count(body, `<th scope="row">`); rows != maxCalm+1 {
		t.Errorf("%d rows, want the failed one and %d others", rows, maxCalm)
	}
	if !strings.Contains(body, "4900 more are synced and healthy") || !strings.Contains(body, "it does not start") {
		t.Error("the page does not say how many rows it leaves out, or leaves out the failed one")
	}
	if rows := strings.Count(get(t, h, "/?all=1").Body.String(), `<th scope="row">`); rows != 5001 {
		t.Errorf("%d rows where all are asked for, want 5001", rows)
	}

	y.Apps, y.Problems = nil, nil
	for i := range 50_000 {
		id := fmt.Sprintf("/a%d", i)
		y.Apps = append(y.Apps, status.App{ID: id, Kind: manifests.KindApp, State: status.Unknown, Condition: status.Broken, Reason: "its manifest has an error"})
		if i < 1000 {
			y.Problems = append(y.Problems, manifests.Problem{File: "a.json", ID: id, Severity: manifests.SeverityError, Message: "wrong"})
		}
	}
	y.Problems = append(y.Problems, manifests.Problem{File: ".", Severity: manifests.SeverityError, Message: "there are 49000 more", More: 49_000})
	o, _ = testOptions(t, status.Status{Now: noon, Running: true, Syncs: []status.Sync{y}})
	h = New(o)
	for path, most := range map[string]int{"/": maxLoud, "/?all=1": maxRows} {
		body := get(t, h, path).Body.String()
		if rows := strings.Count(body, `<th scope="row">`); rows != most || !strings.Contains(body, fmt.Sprintf("%d more need attention", 50_000-most)) {
			t.Errorf("%s: %d rows of what needs attention, want %d, and how many more there are", path, rows, most)
		}
		if !strings.Contains(body, "and 49800 more") {
			t.Errorf("%s does not say how many problems it leaves out", path)
		}
	}
}

func TestPageShowsTextInItsOrder(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	body := get(t, New(o), "/").Body.String()
	if strings.ContainsAny(body, "\u202e\u0007") || !strings.Contains(body, "\\u202egnp.exe\\a\nnext line") {
		t.Error("characters that turn text round, or control characters, reach the page")
	}
}

func TestHeadline(t *testing.T) {
	busy := calmSync()
	busy.Apps = append(busy.Apps, app("/b", status.Synced, status.HealthProgressing, status.Instances{}, "", ""))
	blocked := calmSync()
	blocked.Apps = append(blocked.Apps, in(status.Blocked, app("/b", status.OutOfSync, status.HealthHealthy, status.Instances{}, "", "")))
	for want, syncs := range map[string][]status.Sync{
		"nothing to do yet":            nil,
		"all synced":                   {calmSync()},
		"working":                      {calmSync(), busy},
		"1 of 3 syncs needs attention": {calmSync(), busy, blocked},
		"2 of 3 syncs need attention":  {calmSync(), blocked, shopSync()},
	} {
		v := newPageView(status.Status{Now: noon, Syncs: syncs}, "", maxCalm)
		if v.Headline.Word != want {
			t.Errorf("headline %q, want %q", v.Headline.Word, want)
		}
	}
}

func TestSafeLink(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/shop.git": "https://git.example.com/shop.git",
		"http://h/x":                       "http://h/x",
		"https://user:secret@h/x":          "",
		"javascript:alert(1)":              "",
		"JaVaScRiPt://h/%0aalert(1)":       "",
		"data:text/html,x":                 "",
		"git@git.example.com:shop.git":     "",
		"/srv/git/shop":                    "",
		"//h/x":                            "",
	} {
		if got := safeLink(address); got != want {
			t.Errorf("safeLink(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestAgoAndSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 59 * time.Second: "59 s ago", 61 * time.Second: "1 min ago",
		25 * time.Hour: "1 day ago", 72 * time.Hour: "3 days ago", 3 * time.Hour: "3 h ago",
	} {
		if got := ago(noon, noon.Add(-d)); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	if got := ago(noon, time.Time{}); got != "never" {
		t.Errorf("ago(zero) = %q, want never", got)
	}
	if got := span(84 * time.Millisecond); got != "84 ms" {
		t.Errorf("span(84ms) = %q", got)
	}
}

func TestSlowAndLargeRequestsAreCutOff(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	server := Server(New(o), "127.0.0.1:0")
	if server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 {
		t.Error("a time-out is not set")
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond // the same path, sooner
	listener, err := net.Listen("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() { _ = server.Close(); <-done }()

	for name, request := range map[string]string{
		"a header that never ends":    "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"a header larger than wanted": "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 4*maxHeaderBytes) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(testenv.Patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request); err != nil {
				return // cut off already
			}
			answer, err := io.ReadAll(conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the server still holds the connection")
			}
			if bytes.Contains(answer, []byte("200 OK")) {
				t.Errorf("the request was served: %.80q", answer)
			}
		})
	}
}

// TestDocumentedRoutes holds docs/api.md to the route table, both ways.
func TestDocumentedRoutes(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = m[2]
	}
	served := map[string]string{}
	for _, r := range Routes() {
		served[r.Method+" "+strings.ReplaceAll(r.Path, "{$}", "")] = r.Doc
	}
	if diff := gocmp.Diff(served, documented); diff != "" {
		t.Errorf("docs/api.md differs from the route table (-served +documented):\n%s", diff)
	}
}
