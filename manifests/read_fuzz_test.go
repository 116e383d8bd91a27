package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
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

// FuzzJSONValues checks the reading of values, keys and places against the tokens
// of encoding/json.
func FuzzJSONValues(f *testing.F) {
	seed(f, ".json")
	for _, text := range []string{
		`"a"`, ` null `, `[]`, `{}`, "[{},\r\n\t[] , {\"a\" : -0.5e+7}\n]", `{"a": 1, "A": 2, "a": [3], "": ""}`, `{"É": 1, "é": 2}`,
		`["\ud83d\ude00", "\ud83d", "\uFFFD�", "\\\"", "é\/\u00e9", "{[:,"]`, `[12345678901234567890, 1e400, 1e-400, 0.1234567890123456789, 9007199254740992]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if wrongEncoding(data) != nil {
			return
		}
		value, _, faults, _ := readJSON(data, fuzzLimits.withDefaults())
		if valid := json.Valid(data); valid != (value != nil) && !beyond(data) || (value == nil) != (len(faults) > 0) {
			t.Fatalf("valid: %t, value %v, faults %v", valid, value, faults)
		}
		if value == nil {
			return
		}
		r := tokenReader{json.NewDecoder(bytes.NewReader(data)), data}
		r.UseNumber()
		if diff := cmp.Diff(r.value(t), value, cmp.AllowUnexported(node{}, member{}, place{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func beyond(data []byte) bool {
	_, f := boundsJSON(data, fuzzLimits.withDefaults())
	return f != nil
}

// tokenReader makes nodes of tokens.
type tokenReader struct {
	*json.Decoder
	data []byte
}

// place is where the next token begins.
func (r tokenReader) place() place {
	before := r.data[:int(r.InputOffset())]
	rest := r.data[len(before):]
	before = r.data[:len(r.data)-len(bytes.TrimLeft(rest, " \t\r\n,:"))]
	return place{bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')}
}

// text is a string with what is wrong about it.
func (r tokenReader) text(start int64, value string) (string, string) {
	written := bytes.TrimLeft(r.data[start:r.InputOffset()], " \t\r\n,:")
	halves := regexp.MustCompile(`(?i)\\\\|\\ud[89ab]..\\ud[c-f]..|\\ud[8-f]..`).FindAllString(string(written), -1)
	if slices.ContainsFunc(halves, func(s string) bool { return len(s) == 6 }) {
		return value, `half of a surrogate pair is not a character: write both halves, as in \ud83d\ude00`
	}
	return value, ""
}

func (r tokenReader) value(t *testing.T) *node {
	n := &node{place: r.place()}
	start := r.InputOffset()
	token, err := r.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch v := token.(type) {
	case bool:
		n.kind, n.text = boolNode, fmt.Sprint(v)
	case json.Number:
		n.kind, n.text, n.wrong = numberNode, v.String(), wrongNumber(v.String())
	case string:
		n.kind = stringNode
		n.text, n.wrong = r.text(start, v)
	case json.Delim:
		n.kind = map[json.Delim]nodeKind{'[': listNode, '{': objectNode}[v]
		for r.More() {
			var m member
			if n.kind == objectNode {
				m.place, start = r.place(), r.InputOffset()
				key, _ := r.Token()
				m.key, m.wrong = r.text(start, key.(string))
			}
			m.value = r.value(t)
			n.members = append(n.members, m)
		}
		_, _ = r.Token()
		if n.kind == objectNode {
			n.markDoubled()
		}
	}
	return n
}

func FuzzReadYAML(f *testing.F) {
	seed(f, ".yaml", ".yml", ".YML", ".json")
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewReader().Read(oneFile("a.yaml", string(data)), Options{Scope: "/demo", Limits: fuzzLimits})
		checkDesired(t, d, "a.yaml", data)
	})
}

// FuzzYAMLValues checks the reading of values against sigs.k8s.io/yaml alone.
func FuzzYAMLValues(f *testing.F) {
	seed(f, ".yaml", ".yml", ".YML")
	f.Fuzz(func(t *testing.T, data []byte) {
		if wrongEncoding(data) != nil {
			return
		}
		values, _, faults := readYAML(data, fuzzLimits.withDefaults())
		if len(values) != 1 || len(faults) > 0 || len(values[0].wrongs()) > 0 {
			return
		}
		mine, err := json.Marshal(values[0].tree())
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if bytes.Contains(data, []byte("---")) {
			return // a leading document without content
		}
		if err := yaml.UnmarshalStrict(data, &tree); err != nil {
			t.Fatalf("read %s, but: %v", mine, err)
		}
		var again any
		if err := json.Unmarshal(mine, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree, again); diff != "" {
			t.Error(diff)
		}
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
			if fault.place.line < 1 || fault.place.line > len(lines) || fault.place.column != 1 {
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
