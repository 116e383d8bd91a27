package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/manifests"
)

func samplePull() report.PullPlan {
	p := plan.Plan{Sync: "shop", Summary: plan.Summary{Scale: 1, Delete: 1, None: 118}, Changes: []plan.Change{
		{ID: "/shop/cart", Kind: manifests.KindApp, Action: plan.Scale, File: "cart.json", Reason: "only instances differ: tasks are kept", Fields: []manifests.FieldDiff{{Path: "/instances", Live: 3.0, Desired: 5.0}}},
		{ID: "/shop/old", Kind: manifests.KindApp, Action: plan.Delete, Reason: "no longer defined in git", Blocked: new("prune is confirm: run pacer approve"), Approvable: true},
	}, Problems: []manifests.Problem{{File: "w.json", Line: 1, Column: 2, Severity: manifests.SeverityWarning, Message: "<script>alert(1)</script>"}}}
	return report.PullPlan{
		Source: "shop", Number: 7, Title: "More <b>carts</b> \u202e", Author: "ada", URL: "javascript:alert(1)", At: noon,
		Base: "main", BaseCommit: "4a1b2c3d4e5f60718293a4b5c6d7e8f901234567", Head: "carts", HeadCommit: "89abcdef0123456789abcdef0123456789abcdef", Merge: "here",
		Syncs: []report.SyncPlan{{Sync: "shop", Plan: &p}, {Sync: "blog", Error: "cannot read Marathon"}},
	}
}

func TestPlansOfPullRequests(t *testing.T) {
	o, _ := testOptions(t, sampleStatus())
	o.Pull = func(_ context.Context, source string, number int) (report.PullPlan, error) {
		switch {
		case source != "shop":
			return report.PullPlan{}, fmt.Errorf("%w with a forge: %s", controller.ErrNoSource, source)
		case number == 8:
			return report.PullPlan{}, fmt.Errorf("%w: 8 is not open", report.ErrNoPull)
		case number == 9:
			return report.PullPlan{}, report.ErrNotLeading
		}
		return samplePull(), nil
	}
	for path, want := range map[string]struct {
		code int
		says []string
	}{
		"/pulls/shop/7":                 {200, []string{"Pull request 7: <bdi>More &lt;b&gt;carts&lt;/b&gt;", "<code>89abcdef</code>", "1 scale, 1 delete · 1 needs approval · 118 unchanged", "↕ scale /shop/cart", "&lt;script&gt;alert", "cannot read Marathon"}},
		"/pulls/shop/8":                 {404, []string{"There is no plan to show.", "8 is not open"}},
		"/pulls/shop/9":                 {503, []string{"There is no plan to show."}},
		"/pulls/shoe/7":                 {404, []string{"no such source with a forge: shoe"}},
		"/pulls/shop/x":                 {400, []string{"expected the number of a pull request"}},
		"/api/v1/sources/shop/pulls/7":  {200, []string{`"headCommit": "89abcdef0123456789abcdef0123456789abcdef"`, `"id": "/shop/cart"`}},
		"/api/v1/sources/shop/pulls/8":  {404, []string{`"message": "no plan of this pull request: 8 is not open"`}},
		"/api/v1/sources/shop/pulls/-1": {400, []string{"expected the number"}},
	} {
		w := get(t, New(o), path)
		body := w.Body.String()
		for _, says := range want.says {
			if w.Code != want.code || !strings.Contains(body, says) {
				t.Errorf("%s answered %d without %q: %s", path, w.Code, says, body)
			}
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "javascript:alert(1)\"") && strings.HasPrefix(path, "/pulls") || strings.Contains(body, "\u202e") {
			t.Errorf("%s shows what acts: %s", path, body)
		}
	}
	o.Pull = nil
	if w := get(t, New(o), "/pulls/shop/7"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no source has a forge with credentials") {
		t.Errorf("without a forge: %d %s", w.Code, w.Body)
	}
}
