package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFieldsPage keeps docs/fields.md the same as the table of fields.
func TestFieldsPage(t *testing.T) {
	page := filepath.Join("..", "docs", "fields.md")
	want := fieldsPage()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale: go test ./manifests -run TestFieldsPage -update\n%s", page, diff)
	}
}

func fieldsPage() string {
	var b strings.Builder
	b.WriteString("# Fields\n\nEvery field of apps, pods and groups: the table by which Pacer checks manifests, and which `pacer explain FIELD` prints.\n" +
		"This page is made from the code: `go test ./manifests -run TestFieldsPage -update`.\n\n" +
		"Where *a change* is empty, a change replaces every task.\n")
	kind := ""
	for d := range AllFields() {
		root, name, _ := strings.Cut(d.Path, ".")
		if root != kind {
			kind = root
			fmt.Fprintf(&b, "\n## %s\n\n| field | type | default | range | since | a change | meaning |\n|---|---|---|---|---|---|---|\n", strings.ToUpper(kind[:1])+kind[1:])
		}
		effect := d.Effect
		if effect == effectRestarts {
			effect = ""
		}
		doc := d.Doc
		if d.Required {
			doc = "**Required.** " + doc
		}
		if d.Replaced != "" {
			doc += " Old form: write " + d.Replaced + "."
		}
		columns := []string{"`" + name + "`", strings.TrimSpace(d.Type + " " + inUnit(d.Unit)), d.Default, d.Range(), d.Since, effect, doc}
		for i := range columns {
			columns[i] = strings.ReplaceAll(columns[i], "|", `\|`)
		}
		b.WriteString("| " + strings.Join(columns, " | ") + " |\n")
	}
	return b.String()
}

func inUnit(unit string) string {
	if unit == "" {
		return ""
	}
	return "(" + unit + ")"
}
