package visible

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// encodings are the ways in which a program may print a value that it was given.
func encodings(v string) map[string]string {
	quoted, _ := json.Marshal(v)
	all := map[string]string{
		"plain": v, "JSON": string(quoted), "JSON of PHP": strings.ReplaceAll(string(quoted), "/", `\/`), "Go": strconv.Quote(v), "ASCII": strconv.QuoteToASCII(v),
		"query": url.QueryEscape(v), "path": url.PathEscape(v), "small query": smallEscapes(url.QueryEscape(v)),
		"hex": hex.EncodeToString([]byte(v)), "HEX": fmt.Sprintf("%X", v),
	}
	for name, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "raw std": base64.RawStdEncoding, "url": base64.URLEncoding, "raw url": base64.RawURLEncoding} {
		for _, in := range []string{"%s", "u:%s", "us:%s:x", "user:%s@host"} {
			all["base64 "+name+" "+in] = e.EncodeToString(fmt.Appendf(nil, in, v))
		}
	}
	return all
}

// TestNoFormOfASecretIsShown: of a value, however it was encoded, nothing is left
// that decodes to half of it.
func TestNoFormOfASecretIsShown(t *testing.T) {
	for _, canary := range []string{"canary-3f9a7c21", "cañary/+?&=<>'\"\\ x!()*", "canary\nof two lines", "p@ss:w0rd"} {
		for name, form := range encodings(canary) {
			text := "boom: " + form + " at line 7"
			got := Hide(text, []string{"other value", canary}, LeastSecret)
			if !strings.Contains(got, Hidden) || !strings.HasPrefix(got, "boom: ") || !strings.HasSuffix(got, " at line 7") {
				t.Errorf("%q as %s: %q", canary, name, got)
			}
			rest := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(got, "boom: "), " at line 7"), Hidden, "")
			if len(rest) > 12+2*strings.Count(name, "base64")*6 || strings.Contains(rest, canary[:6]) {
				t.Errorf("%q as %s leaves %q", canary, name, rest)
			}
		}
	}
}

func TestHide(t *testing.T) {
	for _, c := range []struct {
		text   string
		values []string
		want   string
	}{
		{"nothing to hide", []string{"secret"}, "nothing to hide"},
		{"a secret, a secret", []string{"secret"}, "a <hidden>, a <hidden>"},
		{"true 8080 /root short", []string{"true", "8080", "/root", "short"}, "true 8080 /root short"},
		{"one-two-three", []string{"one-two", "two-three"}, "<hidden>"},
		{"aaaaaaaaaa", []string{"aaaaaa"}, "<hidden>"},
		{"x first line of it", []string{"first line\nsecond line"}, "x <hidden> of it"},
		{"a  b", []string{"", "\n", "a b"}, "a  b"},
		{"key of two lines", []string{"of\n  two lines"}, "key <hidden>"},
	} {
		if got := Hide(c.text, c.values, LeastSecret); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func BenchmarkHide(b *testing.B) {
	var values []string
	for i := range 40 {
		values = append(values, fmt.Sprintf("value-%d-of-a-variable", i))
	}
	for b.Loop() {
		Hide("Command exited with status 1: task shop_cart.instance-9dd0b53b-8c4e-4ed9-a658-8c8aaf0f49e9._app.1", values, LeastSecret)
	}
}
