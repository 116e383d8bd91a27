package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/manifests"
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
