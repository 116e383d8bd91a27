package manifests

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestRead reads the files of each archive in testdata/read and compares what
// comes out with the archive's last file, WANT.
func TestRead(t *testing.T) {
	archives, err := filepath.Glob("testdata/read/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fsys, want := fstest.MapFS{}, ""
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool {
				if f.Name == "WANT" {
					want = string(f.Data)
					return true
				}
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
				return false
			})
			got := describe(t, NewReader().Read(fsys, goldenOptions))
			if *update {
				a.Files = append(a.Files, txtar.File{Name: "WANT", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var goldenOptions = Options{
	Scope:      "/demo",
	Substitute: map[string]string{"ENV": "prod", "EMPTY": "", "NESTED": "${ENV}", "COUNT": "3"},
}

// describe prints a desired state for a reader of the golden files.
func describe(t *testing.T, d Desired) string {
	t.Helper()
	var b strings.Builder
	for _, p := range d.Problems {
		fmt.Fprintln(&b, p)
	}
	for _, item := range d.Items {
		body, err := json.Marshal([]any{item.App, item.Pod, item.Group})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("null,", "", ",null", "").Replace(string(body))
		fmt.Fprintf(&b, "%s %s %s:%d %s\n", item.Kind, item.ID, item.File, item.Line, text)
	}
	fmt.Fprintf(&b, "broken %q\nunreadable %q\n", slices.Sorted(maps.Keys(d.Broken)), d.Unreadable)
	return b.String()
}
