package main

import (
	"testing"

	"github.com/pacer-gitops/pacer/cmd/pacer/ci"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// Syncs that write the same files to several Marathons find the same problems, which a
// reviewer sees once.
func TestProblemsOfSeveralSyncsAreListedOnce(t *testing.T) {
	shared := manifests.Problem{File: "web.json", Line: 4, ID: "/shop/web", Severity: manifests.SeverityError, Message: "x"}
	other := shared
	other.ID = "/dublin/web"
	a := annotations{format: ci.GitLab}
	from := sources.GitOptions{}
	a.add(from, []manifests.Problem{shared})
	a.add(from, []manifests.Problem{shared, other})
	if len(a.problems) != 2 || a.problems[0].Problem != shared || a.problems[1].Problem != other {
		t.Errorf("%+v", a.problems)
	}
}
