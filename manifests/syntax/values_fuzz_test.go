package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

// fuzzTree bounds what is fuzzed.
var fuzzTree = Limits{Depth: 20, Values: 1000, Documents: 2_000, Definitions: 5_000}

// seedTrees adds all golden files with an extension.
func seedTrees(f *testing.F, extensions ...string) {
	archives, err := filepath.Glob("../testdata/read/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal("no archives", err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if slices.Contains(extensions, path.Ext(file.Name)) {
				f.Add(file.Data)
			}
		}
	}
}

// FuzzJSONValues checks the reading of values, keys and places against the tokens
// of encoding/json.
func FuzzJSONValues(f *testing.F) {
	seedTrees(f, ".json")
	for _, text := range []string{
		`"a"`, ` null `, `[]`, `{}`, "[{},\r\n\t[] , {\"a\" : -0.5e+7}\n]", `{"a": 1, "A": 2, "a": [3], "": ""}`, `{"É": 1, "é": 2}`,
		`["\ud83d\ude00", "\ud83d", "\uFFFD�", "\\\"", "é\/\u00e9", "{[:,"]`, `[12345678901234567890, 1e400, 1e-400, 0.1234567890123456789, 9007199254740992]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if WrongEncoding(data) != nil {
			return
		}
		value, _, faults, _ := JSON(data, fuzzTree)
		if valid := json.Valid(data); valid != (value != nil) && !beyond(data) || (value == nil) != (len(faults) > 0) {
			t.Fatalf("valid: %t, value %v, faults %v", valid, value, faults)
		}
		if value == nil {
			return
		}
		r := tokenReader{json.NewDecoder(bytes.NewReader(data)), data}
		r.UseNumber()
		if diff := cmp.Diff(r.value(t), value, cmp.AllowUnexported(Node{}, Member{}, Place{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func beyond(data []byte) bool {
	_, f := boundsJSON(data, fuzzTree)
	return f != nil
}

// tokenReader makes nodes of tokens.
type tokenReader struct {
	*json.Decoder
	data []byte
}

// Place is where the next token begins.
func (r tokenReader) place() Place {
	before := r.data[:int(r.InputOffset())]
	rest := r.data[len(before):]
	before = r.data[:len(r.data)-len(bytes.TrimLeft(rest, " \t\r\n,:"))]
	return Place{bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')}
}

// Text is a string with what is wrong about it.
func (r tokenReader) text(start int64, value string) (string, string) {
	written := bytes.TrimLeft(r.data[start:r.InputOffset()], " \t\r\n,:")
	halves := regexp.MustCompile(`(?i)\\\\|\\ud[89ab]..\\ud[c-f]..|\\ud[8-f]..`).FindAllString(string(written), -1)
	if slices.ContainsFunc(halves, func(s string) bool { return len(s) == 6 }) {
		return value, `half of a surrogate pair is not a character: write both halves, as in \ud83d\ude00`
	}
	return value, ""
}

func (r tokenReader) value(t *testing.T) *Node {
	n := &Node{Place: r.place()}
	start := r.InputOffset()
	token, err := r.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch v := token.(type) {
	case bool:
		n.Kind, n.Text = Bool, fmt.Sprint(v)
	case json.Number:
		n.Kind, n.Text, n.Wrong = Number, v.String(), wrongNumber(v.String())
	case string:
		n.Kind = String
		n.Text, n.Wrong = r.text(start, v)
	case json.Delim:
		n.Kind = map[json.Delim]Kind{'[': List, '{': Object}[v]
		for r.More() {
			var m Member
			if n.Kind == Object {
				m.Place, start = r.place(), r.InputOffset()
				key, _ := r.Token()
				m.Key, m.Wrong = r.text(start, key.(string))
			}
			m.Value = r.value(t)
			n.Members = append(n.Members, m)
		}
		_, _ = r.Token()
		if n.Kind == Object {
			n.markDoubled()
		}
	}
	return n
}

// FuzzYAMLValues checks the reading of values against sigs.k8s.io/yaml alone.
func FuzzYAMLValues(f *testing.F) {
	seedTrees(f, ".yaml", ".yml", ".YML")
	f.Fuzz(func(t *testing.T, data []byte) {
		if WrongEncoding(data) != nil {
			return
		}
		values, _, faults := YAML(data, fuzzTree)
		if len(values) != 1 || len(faults) > 0 || len(values[0].wrongs()) > 0 {
			return
		}
		mine, err := json.Marshal(values[0].Tree())
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
