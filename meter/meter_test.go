package meter

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestWhatIsTooMuch(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		text     string
		max      int64
		expanded int64 // bytes that it comes from; 0: it is not compressed
		want     string
	}{
		"nothing":                       {text: ""},
		"a document":                    {text: `{"a":[1,2,{"b":"c\"]}"}]}`},
		"as long as may be":             {text: `"abc"`, max: 5},
		"longer":                        {text: `"abcd"`, max: 5, want: "longer than 5 bytes"},
		"as deep as may be":             {text: deep(maxDepth)},
		"deeper":                        {text: deep(maxDepth + 1), want: "nests objects and lists"},
		"beside each other":             {text: "[" + strings.Repeat("{},", 1000) + "{}]"},
		"brackets in a text":            {text: `"` + strings.Repeat(`[{\"`, 1000) + `"`},
		"a text as long as may be":      {text: `"` + strings.Repeat("a", maxText-1) + `"`},
		"a longer text":                 {text: `"` + strings.Repeat("a", maxText) + `"`, want: "a string longer than"},
		"a number without an end":       {text: strings.Repeat("1", maxText+1), want: "a string longer than"},
		"zeros":                         {text: strings.Repeat("\x00", maxText+1), want: "a string longer than"},
		"many numbers":                  {text: strings.Repeat("123456789 ", maxText/10+1)},
		"two texts":                     {text: `["` + strings.Repeat("a", maxText/2) + `","` + strings.Repeat("a", maxText/2) + `"]`},
		"blanks":                        {text: strings.Repeat(" \n\t\r", maxBlanks/4)},
		"more blanks":                   {text: strings.Repeat(" ", maxBlanks+1), want: "blanks"},
		"blanks in a text":              {text: `"` + strings.Repeat(" ", maxBlanks+1) + `"`},
		"empty objects that are free":   {text: "[" + strings.Repeat("{},", 90_000) + "{}]"},
		"more of them":                  {text: "[" + strings.Repeat("{},", 120_000) + "{}]", want: "values"},
		"objects with something in":     {text: "[" + strings.Repeat(`{"id":"/shop/cart","instances":2},`, 100_000) + "{}]"},
		"the same from enough":          {text: "[" + strings.Repeat(`{"id":"/shop/cart","instances":2},`, 100_000) + "{}]", expanded: 60_000},
		"the same from next to nothing": {text: "[" + strings.Repeat(`{"id":"/shop/cart","instances":2},`, 100_000) + "{}]", expanded: 6_000, want: "expand to"},
	} {
		if c.max == 0 {
			c.max = 1 << 30
		}
		var from func() int64
		if c.expanded > 0 {
			from = func() int64 { return c.expanded }
		}
		ways := map[string]io.Reader{"whole": strings.NewReader(c.text)}
		if len(c.text) < 1<<20 {
			ways["in halves"] = iotest.HalfReader(strings.NewReader(c.text))
		}
		for way, r := range ways {
			m := NewReader(r, c.max, from)
			text, err := io.ReadAll(m)
			if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %s: %v, want %q", name, way, err, c.want)
			}
			if err == nil && string(text) != c.text || err != nil && m.Err() == nil {
				t.Errorf("%s, %s: %d bytes of %d, %v", name, way, len(text), len(c.text), m.Err())
			}
		}
		if err := Check([]byte(c.text), c.max, c.expanded); (err != nil) != (c.want != "") {
			t.Errorf("%s, checked: %v", name, err)
		}
	}
}

// FuzzMeter: what is JSON is counted right however it is cut, and never refused
// where it is small.
func FuzzMeter(f *testing.F) {
	f.Add([]byte(`{"a\\":["\"",{}],"b":1}`), 3)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		if len(text) > 1<<16 {
			return
		}
		whole, parts := NewReader(nil, 1<<20, nil), NewReader(nil, 1<<20, nil)
		whole.scan(text)
		piece = max(1, piece)
		for rest := text; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			parts.scan(rest[:min(piece, len(rest))])
		}
		if whole.depth <= maxDepth && (whole.values != parts.values || whole.containers != parts.containers || whole.depth != parts.depth || whole.quoted != parts.quoted) {
			t.Fatalf("%q: %+v and %+v", text, whole, parts)
		}
		var v any
		if json.Unmarshal(text, &v) == nil && whole.depth != 0 && whole.depth <= maxDepth {
			t.Fatalf("%q ends at depth %d", text, whole.depth)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	text := []byte(strings.Repeat(`{"id":"/g00/app00000","backoffFactor":1.15,"cmd":"./serve --shard 0","env":{"APP":"x"}},`, 10_000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		NewReader(nil, 1<<30, nil).scan(text)
	}
}
