package syntax

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readBoth reads a document as it is read, and with sigs.k8s.io/yaml beside in
// any case: the two must be the same. It reports whether one reading was enough.
func readBoth(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string) bool {
	t.Helper()
	once := yamlReader{text: text, file: newLines(text), limits: fuzzTree, plain: plainYAML(text), twice: new(int)}
	twice := once
	twice.plain, twice.twice = false, new(int)
	got, gotFault := once.document()
	want, wantFault := twice.document()
	parts := cmp.AllowUnexported(Node{}, Member{}, Place{}, Fault{})
	if diff := cmp.Diff(want, got, parts) + cmp.Diff(wantFault, gotFault, parts); diff != "" {
		t.Fatalf("%q: %s", text, diff)
	}
	return once.plain && got != nil && !once.wrong
}

// TestPlainYAMLNeedsNoSecondReading: readers agree on documents of lines that
// are put together at random, from the parts that plain documents consist of and
// some that they do not.
func TestPlainYAMLNeedsNoSecondReading(t *testing.T) {
	part := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	indent := part("", "", "", " ", "  ", "  ", "    ")
	dash := part("", "", "", "", "- ", "-", "- - ", "? ", ": ", "-  ")
	key := part("", "", "a: ", "b: ", "c: ", "d:  ", "e:", "f :", `"g": `, `'h': `, "i j: ", `"k":`, "1: ", "y: ", "null: ", "l-m/n.o: ", "p:q: ", "'r' : ", "__: ", "s, t: ", "$u: ", "(v): ")
	value := part("", "", "", "x", "y z", "1", "0", "-0", "-7", "1.50", "64.0", "-0.0", "0.000001", "0.0000001", "1.", ".5", "01", "0x1", "1_0", "1e3", "12:30:45", "2001-01-01", "123456789012345678",
		"true", "True", "no", "On", "null", "~", "Null", "NULL", "nan", "inf", ".nan", ".inf", "=", "<<", "a=b", `"q"`, `'q'`, `"it's"`, `'it''s'`, `"open`, `close"`, `'open`, `close'`, "it's", `say "x"`, `""`, "''",
		"[]", "{}", "[a, b]", "{a: b}", "{a: b, c: [1, {d: e}]}", "[a, ]", "{a, b}", "{a: , b: 1}", "[a: b]", "[", "]", "{", "}", ", x", "[a", "b]", "{a:", "b}", "{a:b}", `{"a":b}`, `["a":1]`, "{? a}",
		"http://h:80/p", "a:b", "a: b", "a:", "- x", "-x", "--", "---x", "x - y", "x # y", "x#y", "a, b", "$(x)", "${X}", "^x$", "x # y", "'a' # b", "# c", "[a, # c", "b] # d", "[a, b] # c", "{a: b} # c", "&a x", "*a", "!t x", "!!str x", "a && b", "5 * 3", "100%", "me@x", "./run", "10.0.0.1", "-Xmx1g", "#!/bin/sh", "hello!", "x! y", "0.12345678901234567", "+1", "-1.50", "1e400", "1.5e3", "[./a, 1.5.3, -b]", "{a: ./b, c: .5}", "=x", "<x", "~x", "-a: b", ".5.", "- -", "...", "--- x", "x > y", "x | y", "a?b", "|", "|-", ">+", ">", "|2", ">\n\n    text\n\n   x", "|\n  # text", "x\t# y", "\t# y", "\\", `"\u00e9\t"`, `"a\/b"`, `"\ud800"`, `"a \`, `"\q"`, "x\u0085y", "x\u2028  y", "\ufeff", "x &y", "x !y", "x *y", "!", "? x", ";", "/", "(x)", "x\r", "x\ty", `"\x41"`, "|", ">", "x \n", "|\n   text", "é", "%x", "@x", "`x`")
	line := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
			return part("", " ", "   ", "# note", "  # a: b", "#", "#x", "    #", "   # 'open", "  text", "      text", "...", "..", "%YAML 1.1").Draw(t, "line")
		}
		return indent.Draw(t, "indent") + dash.Draw(t, "dash") + key.Draw(t, "key") + value.Draw(t, "value") + part("", "", "", " ").Draw(t, "end")
	})
	enough := 0
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(line, 1, 8).Draw(t, "lines"), "\n") + part("", "\n").Draw(t, "end")
		if readBoth(t, text) {
			enough++
		}
	})
	t.Logf("%d documents were read once", enough)
}

func FuzzPlainYAML(f *testing.F) {
	seedTrees(f, ".yaml", ".yml", ".YML")
	f.Add([]byte("id: /team1/app1\ninstances: 2\ncpus: 0.5\nenv:\n  A: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, f := boundsYAML(data, fuzzTree); WrongEncoding(data) == nil && f == nil {
			readBoth(t, string(data))
		}
	})
}
