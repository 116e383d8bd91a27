package visible

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Hidden stands for what is a secret.
const Hidden = "<hidden>"

// LeastSecret is how many bytes a value has that is hidden whatever it is called.
// Values of environment variables may be passwords under any name, so a few
// harmless ones are hidden with them (paths, names of hosts). Shorter ones are
// true, 8080, warn, /root: to hide them would leave nothing to read, and what is
// that short protects nothing.
const LeastSecret = 6

// Hide replaces the values in a text of which each has at least so many bytes: as
// they are, on one line, each of their lines, and encoded in the ways in which
// programs print what they were given:
//
//	JSON and Go        as the content of a string
//	URL                in a query, in a path or a part of one, as encodeURIComponent does
//	hexadecimal        in small and in capital digits
//	base64             of both alphabets, with and without padding, also where it
//	                   stands in the midst of what was encoded: Basic dXNlcjpw…
//
// A text that was compressed, encrypted, reversed or cut in the midst of a value
// is not found out.
func Hide(text string, values []string, least int) string {
	type span struct{ from, to int }
	var spans []span
	longest := longestWord(text)
	for _, value := range values {
		for form := range forms(value, least, longest) {
			for from := 0; ; {
				i := strings.Index(text[from:], form)
				if i < 0 {
					break
				}
				spans = append(spans, span{from + i, from + i + len(form)})
				from += i + 1
			}
		}
	}
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	shown := 0 // up to here all is written
	for _, s := range spans {
		if s.from >= shown {
			b.WriteString(text[shown:s.from])
			b.WriteString(Hidden)
		}
		shown = max(shown, s.to)
	}
	b.WriteString(text[shown:])
	return b.String()
}

// forms are the ways in which a value may stand in a text whose longest word of
// letters and digits has so many bytes.
func forms(value string, least, longest int) map[string]bool {
	all := map[string]bool{}
	add := func(forms ...string) {
		for _, form := range forms {
			if len(form) >= least {
				all[form] = true
			}
		}
	}
	whole := strings.TrimSpace(value)
	add(value, whole)
	if whole != value || strings.ContainsFunc(value, unicode.IsSpace) {
		add(strings.Join(strings.Fields(value), " "))
		for line := range strings.Lines(value) {
			add(strings.TrimRight(line, "\r\n"))
		}
	}
	if len(whole) < least {
		return all
	}
	for _, v := range slices.Compact([]string{value, whole}) {
		if !strings.ContainsFunc(v, special) {
			add(digits(v, longest)...)
			continue
		}
		add(quoted(v)...)
		add(inURLs(v)...)
		add(digits(v, longest)...)
	}
	return all
}

// special reports whether a character of a value may be written in another way in
// a string or a URL.
func special(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' || r == '~')
}

// longestWord is how many bytes the longest word of a text has that could be
// hexadecimal or base64: what is encoded and longer is not in it.
func longestWord(text string) int {
	longest, at := 0, 0
	for i := range len(text) {
		if b := rune(text[i]); special(b) && b != '+' && b != '/' || b == '.' || b == '~' {
			at = i + 1
			continue
		}
		longest = max(longest, i+1-at)
	}
	return longest
}

func quoted(v string) []string {
	inner := func(s string) string { return s[1 : len(s)-1] }
	html, _ := json.Marshal(v) // a string always can be
	var plain strings.Builder
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return []string{strings.ReplaceAll(inner(string(html)), "/", `\/`), inner(string(html)), inner(strings.TrimSpace(plain.String())), inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v))}
}

var unescapedByScripts = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

func inURLs(v string) []string {
	query := url.QueryEscape(v)
	all := []string{query, url.PathEscape(v), (&url.URL{Path: v}).EscapedPath(), strings.ReplaceAll(query, "+", "%20"), unescapedByScripts.Replace(query)}
	for _, form := range all {
		all = append(all, smallEscapes(form))
	}
	return all
}

// smallEscapes writes the escapes of a URL in small letters: %2f.
func smallEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(s[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

func digits(v string, longest int) []string {
	var all []string
	if 2*len(v) <= longest {
		small := hex.EncodeToString([]byte(v))
		all = append(all, small, strings.ToUpper(small))
	}
	if len(v)*8/6-2 > longest {
		return all
	}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		all = append(all, alphabet.EncodeToString([]byte(v)))
		// Three bytes are four characters. Of those at either end others may have
		// a part, so only the characters between are the same wherever v stands.
		for before := range 3 {
			encoded := alphabet.EncodeToString(append(make([]byte, before), v...))
			all = append(all, encoded[(before*8+5)/6:(before+len(v))*8/6])
		}
	}
	return all
}
