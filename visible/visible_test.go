package visible

import (
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestLineAndText(t *testing.T) {
	for in, want := range map[string][2]string{
		"plain – ü ✓":        {"plain – ü ✓", "plain – ü ✓"},
		`C:\new "quoted"`:    {`C:\new "quoted"`, `C:\new "quoted"`},
		"a\nb\r\tc":          {`a\nb\r\tc`, "a\nb\\r\tc"},
		"\x1b[31mred\a":      {`\x1b[31mred\a`, `\x1b[31mred\a`},
		"\x00\x7f":           {`\x00\x7f`, `\x00\x7f`},
		"\u009b31m":          {`\u009b31m`, `\u009b31m`},
		"\u0085\u202e\u2028": {`\u0085\u202e\u2028`, `\u0085\u202e\u2028`},
		"\u2066\u200b\ufeff": {`\u2066\u200b\ufeff`, `\u2066\u200b\ufeff`},
		"a\xff\x9b":          {`a\xff\x9b`, `a\xff\x9b`},
		"\u00a0":             {`\u00a0`, `\u00a0`},
		"\U000e0041":         {`\U000e0041`, `\U000e0041`},
		"'":                  {"'", "'"},
	} {
		if got := Line(in); got != want[0] {
			t.Errorf("Line(%q): %s, want %s", in, got, want[0])
		}
		if got := Text(in); got != want[1] || !Whole([]byte(got)) {
			t.Errorf("Text(%q): %q, want %q", in, got, want[1])
		}
	}
	if got := Words(" a\r\n\t b\u2028c\x1b "); got != `a b c\x1b` {
		t.Errorf("Words: %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"short", 5, "short"}, {"longer", 5, "longe…"}, {"aüb", 2, "a…"}, {"ü", 1, "…"}, {"\x80\x80\x80", 2, "…"}, {"", 0, ""},
	} {
		if got := Cut(c.in, c.most); got != c.want {
			t.Errorf("Cut(%q, %d): %q, want %q", c.in, c.most, got, c.want)
		}
	}
}

func TestJSONAndYAMLMeanTheSame(t *testing.T) {
	in := map[string]string{"k\u202e": "a\x1b\u009b\x7f\u2066\u00a0\U000e0041\n\t😀"}
	text, err := json.MarshalIndent(in, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func([]byte) []byte{"JSON": JSON, "YAML": YAML} {
		safe := f(text)
		if !Whole(safe) {
			t.Errorf("%s: %q", name, safe)
		}
		var out map[string]string
		err := json.Unmarshal(safe, &out)
		if name == "YAML" {
			err = yaml.Unmarshal(safe, &out)
		}
		if err != nil || out["k\u202e"] != in["k\u202e"] {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}
