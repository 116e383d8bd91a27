package plan

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// hidden stands for a value that is a secret. That a field is listed says that
// the two sides differ.
const hidden = visible.Hidden

// masked returns fields in which no value is left that is a secret:
//
//   - the value of a name that people choose (in env, environment, labels,
//     options and parameters) if the name looks like that of a secret: it
//     contains PASSWORD, PASSWD, PASSPHRASE, SECRET, TOKEN, CREDENTIAL or
//     PRIVATE, or has a word that is or ends in KEY, PASS or PWD, or a word AUTH;
//   - in any text, the password of a URL, what follows NAME= or --name where the
//     name looks like that of a secret, what follows Bearer and Basic, and
//     private keys in PEM form.
//
// Names of secrets ({"secret": "db"}) are references and stay. The list is never
// nil.
func masked(fields []manifests.FieldDiff) []manifests.FieldDiff {
	result := make([]manifests.FieldDiff, 0, len(fields))
	for _, f := range fields {
		steps := strings.Split(strings.TrimPrefix(f.Path, "/"), "/")
		f.Live = maskAt(steps, f.Live)
		f.Desired = maskAt(steps, f.Desired)
		result = append(result, f)
	}
	return result
}

// Confidential lists, as sorted JSON pointers, the places of an app or pod at
// which a plan would hide something, since it looks like a secret in plain text.
func Confidential(definition any) []string {
	tree := toTree(definition)
	return hiddenAt(nil, "", tree, mask(tree, false))
}

func hiddenAt(paths []string, at string, plain, masked any) []string {
	switch p := plain.(type) {
	case map[string]any:
		m, same := masked.(map[string]any)
		if !same {
			return append(paths, at)
		}
		for _, name := range slices.Sorted(maps.Keys(p)) {
			paths = hiddenAt(paths, at+"/"+pointerToken.Replace(name), p[name], m[name])
		}
	case []any:
		m, same := masked.([]any)
		if !same {
			return append(paths, at)
		}
		for i := range p {
			paths = hiddenAt(paths, at+"/"+strconv.Itoa(i), p[i], m[i])
		}
	default:
		if plain != masked {
			return append(paths, at)
		}
	}
	return paths
}

// pointerToken escapes a name for a JSON pointer (RFC 6901).
var pointerToken = strings.NewReplacer("~", "~0", "/", "~1")

// named are the fields whose keys people choose.
var named = map[string]bool{"env": true, "environment": true, "labels": true, "options": true, "parameters": true}

// maskAt masks a value that stands at a path.
func maskAt(steps []string, v any) any {
	if v == nil {
		return nil
	}
	for i, s := range steps[:len(steps)-1] {
		if !named[s] || !secretName(steps[i+1]) {
			continue
		}
		if steps[len(steps)-1] == "secret" && i+3 == len(steps) {
			return v // /env/PASSWORD/secret: the name of a secret
		}
		return maskSecret(v)
	}
	return mask(v, named[steps[len(steps)-1]])
}

// mask walks through a value. chosen says that the keys of v are chosen by
// people.
func mask(v any, chosen bool) any {
	switch t := v.(type) {
	case nil, bool, float64, int, int64, json.Number:
		return v
	case string:
		return maskText(t)
	case map[string]any:
		return maskObject(t, chosen)
	case []any:
		return maskList(t)
	}
	tree := toTree(v)
	switch tree.(type) {
	case nil, bool, json.Number, string, map[string]any, []any:
		return mask(tree, chosen)
	}
	return hidden
}

// maskList masks the members of a list: of arguments, too, where the name of an
// option and its value are members of their own.
func maskList(list []any) []any {
	result := make([]any, len(list))
	secret := false
	for i, m := range list {
		s, text := m.(string)
		switch {
		case text && secret && !strings.HasPrefix(s, "-"):
			result[i] = hidden
		default:
			result[i] = mask(m, false)
		}
		secret = text && strings.HasPrefix(s, "-") && !strings.ContainsAny(s, "= ") && secretName(s)
	}
	return result
}

func maskObject(object map[string]any, chosen bool) map[string]any {
	result := make(map[string]any, len(object))
	for name, v := range object {
		switch {
		case chosen && secretName(name):
			result[name] = maskSecret(v)
		default:
			result[name] = mask(v, named[name])
		}
	}
	// A parameter of Docker: {"key": "env", "value": …}.
	if key, ok := object["key"].(string); ok && secretName(key) && object["value"] != nil {
		result["value"] = hidden
	}
	return result
}

// maskSecret hides a value, but not the name of a secret.
func maskSecret(v any) any {
	tree := toTree(v)
	if reference, ok := tree.(map[string]any); ok && len(reference) == 1 && reference["secret"] != nil {
		return reference
	}
	return hidden
}

// secretName reports whether a name looks like that of a secret.
func secretName(name string) bool {
	upper := strings.ToUpper(name)
	for _, part := range []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE"} {
		if strings.Contains(strings.Map(letters, upper), part) {
			return true
		}
	}
	for _, word := range strings.FieldsFunc(splitCamel(name), func(r rune) bool { return !unicode.IsLetter(r) }) {
		word = strings.TrimSuffix(strings.ToUpper(word), "S")
		for _, end := range []string{"KEY", "PAS", "PWD"} { // PAS: PASS less the S of a plural
			if strings.HasSuffix(word, end) {
				return true
			}
		}
		if word == "AUTH" {
			return true
		}
	}
	return false
}

// letters drops what separates words, so that PASS_WORD is found as well.
func letters(r rune) rune {
	if unicode.IsLetter(r) {
		return r
	}
	return -1
}

// splitCamel puts a space between the words of camelCase.
func splitCamel(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range s {
		if lower && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(r)
	}
	return b.String()
}

var (
	urlPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:"']*):[^\s/"']+@`)
	urlUser     = regexp.MustCompile(`(https?://)[^\s/@:"']+@`)
	pemKey      = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)
	assignment  = regexp.MustCompile(`([A-Za-z0-9_.-]+)(\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"'&;,]+)`)
	option      = regexp.MustCompile(`(--?[A-Za-z0-9_.-]+)(\s+)("[^"]*"|'[^']*'|[^\s"'&;,-][^\s"'&;,]*)`)
	scheme      = regexp.MustCompile(`(?i)\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}`)
)

// maskText hides the secrets in a text. Most texts have none, and looking for
// the one character that each pattern needs costs nothing.
func maskText(s string) string {
	if strings.Contains(s, "-----BEGIN") {
		s = pemKey.ReplaceAllString(s, hidden)
	}
	if strings.Contains(s, "@") {
		s = urlPassword.ReplaceAllString(s, "${1}:"+hidden+"@")
		s = urlUser.ReplaceAllString(s, "${1}"+hidden+"@")
	}
	if strings.Contains(s, " ") {
		s = scheme.ReplaceAllString(s, "${1} "+hidden)
	}
	if strings.ContainsAny(s, "=:") {
		s = hideValues(assignment, s)
	}
	if strings.Contains(s, "-") {
		s = hideValues(option, s)
	}
	return s
}

// Masked hides the secrets in what a program has written: what looks like one, and
// the values of its environment in every form that visible.Hide knows, whatever
// their names are; of names that look like a secret's those of 4 bytes too.
func Masked(text string, env map[string]string) string {
	var all, named []string
	for name, value := range env {
		all = append(all, value)
		if secretName(name) {
			named = append(named, value)
		}
	}
	text = visible.Hide(visible.Hide(text, all, visible.LeastSecret), named, 4)
	return maskText(text)
}

// hideValues hides the third group of a pattern where the first one is the name
// of a secret. Else one may stand in the third: https://host/?token=…
func hideValues(pattern *regexp.Regexp, s string) string {
	return pattern.ReplaceAllStringFunc(s, func(found string) string {
		m := pattern.FindStringSubmatch(found)
		switch {
		case !secretName(m[1]):
			return m[1] + m[2] + hideValues(pattern, m[3])
		case strings.HasPrefix(m[3], hidden):
			return found
		}
		return m[1] + m[2] + hidden
	})
}
