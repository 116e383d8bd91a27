package api

import (
	"strings"
	"testing"
)

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"id":"/e/x", "cmd": "x"`, "", `"x"`, `{"a" "b"}`, `[1,`, "[", "{\"\\", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBody(raw)
		if err == nil && b.raw == nil {
			t.Error("neither read nor refused")
		}
		_ = b.object()
	})
}

func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"a", "a==b", "a in (b,c),d", "a notin (b", "(", "a!=b,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSelector(text)
		if err == nil && len(s) == 0 && strings.Trim(text, ", \t\r\n\v\f\u0085\u00a0") != "" && strings.TrimSpace(text) != "" && strings.Trim(text, ",") != "" {
			t.Errorf("%q selects all", text)
		}
	})
}

func FuzzReplaceAt(f *testing.F) {
	for _, seed := range []string{"/a", "/a(0)/b", "/a(9)/b", "a(x", "", "/", "/a(-1)/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, path string) {
		for _, object := range []map[string]any{nil, {}} {
			replaceAt(map[string]any{"a": []any{map[string]any{"b": 1}}}, path, object)
		}
	})
}
