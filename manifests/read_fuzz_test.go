package manifests

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// seed adds all golden files with an extension.
func seed(f *testing.F, extensions ...string) {
	archives, err := filepath.Glob("testdata/read/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal("no archives", err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			for _, e := range extensions {
				if strings.HasSuffix(file.Name, e) {
					f.Add(file.Data)
				}
			}
		}
	}
	damaged, err := os.ReadFile("../testdata/guide/demoapp.damaged.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(damaged)
}

var fuzzLimits = Limits{FileBytes: 1 << 16, Depth: 20, Values: 1000}

// checkDesired holds for every input: each problem points into the file, nothing
// is lost without being marked, and what is read can be rendered and read again.
func checkDesired(t *testing.T, d Desired, name string, data []byte) {
	t.Helper()
	lines := bytes.Split(data, []byte("\n"))
	for _, p := range d.Problems {
		if p.File != name && p.File != "." {
			t.Errorf("problem in %q", p.File)
		}
		if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > len(lines[p.Line-1])+1) {
			t.Errorf("outside of the file: %s", p)
		}
		if strings.ContainsAny(p.String(), "\n\r\x1b") {
			t.Errorf("forges lines: %q", p.String())
		}
	}
	if len(d.Items) == 0 && len(d.Broken) == 0 && len(d.Unreadable) == 0 {
		t.Error("nothing is known and nothing is marked")
	}
	for _, item := range d.Items {
		if !Within(item.ID, "/demo") || d.Broken[item.ID] {
			t.Errorf("item %q", item.ID)
		}
	}
	for _, format := range []string{FormatJSON, FormatYAML} {
		rendered, err := Render(d, DefaultCluster(), format)
		if err != nil {
			t.Fatal(err)
		}
		checkRendered(t, rendered, format, len(d.Items))
	}
}

// checkRendered reads what was rendered and renders it again: the same bytes.
func checkRendered(t *testing.T, rendered []byte, format string, items int) {
	t.Helper()
	d := NewReader().Read(fstest.MapFS{"r." + format: &fstest.MapFile{Data: rendered}}, Options{})
	again, err := Render(d, DefaultCluster(), format)
	if err != nil || len(d.Items) != items {
		t.Fatalf("%v, %d items of %d: %q\n%s", err, len(d.Items), items, texts(d), rendered)
	}
	if diff := cmp.Diff(string(rendered), string(again)); diff != "" {
		t.Error(diff)
	}
}

func FuzzReadJSON(f *testing.F) {
	seed(f, ".json")
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewReader().Read(oneFile("a.json", string(data)), Options{Scope: "/demo", Limits: fuzzLimits})
		checkDesired(t, d, "a.json", data)
		if !json.Valid(data) && len(d.Unreadable) == 0 {
			t.Error("no JSON, and not marked")
		}
	})
}

func FuzzReadYAML(f *testing.F) {
	seed(f, ".yaml", ".yml", ".YML", ".json")
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewReader().Read(oneFile("a.yaml", string(data)), Options{Scope: "/demo", Limits: fuzzLimits})
		checkDesired(t, d, "a.yaml", data)
	})
}

func FuzzIgnore(f *testing.F) {
	for _, s := range []string{"a\n!b\n", "/a/**/b/", "[!a-z]?*.json", `\#x\ `, "[[:digit:]]", "**/x", "x/**", "a**b", "[]a]", "[a-\\]]"} {
		f.Add(s, "a/b/c.json")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		rules, faults := readIgnore([]byte(text), ".")
		lines := strings.Split(text, "\n")
		for _, fault := range faults {
			if fault.Place.Line < 1 || fault.Place.Line > len(lines) || fault.Place.Column != 1 {
				t.Errorf("%+v", fault)
			}
		}
		if len(rules) > len(lines) {
			t.Errorf("%d rules of %d lines", len(rules), len(lines))
		}
		ignored(rules, path, false)
		ignored(rules, path, true)
	})
}
