package api

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// selector is a label query: all of its terms must hold.
type selector []term

// term is one condition on a label: that it exists, and where there is an
// operator, that its value is (in) or is not (notin) one of some.
type term struct {
	key, operator string
	values        []string
}

// What a label query is made of. Source: Marathon's LabelSelectorParsers. Unlike
// those of Kubernetes a label that is missing fulfils no term, and any character
// may stand in a label or value behind a backslash.
var (
	blank    = `[ \t\r\n\f\v]`
	word     = `(?:\\.|[-A-Za-z0-9_.])+`
	words    = `(?:` + word + blank + `*(?:,` + blank + `*` + word + blank + `*)*)?`
	termForm = regexp.MustCompile(`^` + blank + `*(` + word + `)(?:` +
		blank + `*(==|!=)` + blank + `*(` + word + `)|` +
		blank + `+(in|notin)` + blank + `*\(` + blank + `*(` + words + `)\))?` + blank + `*(,|$)`)
	wordForm   = regexp.MustCompile(word)
	escapeForm = regexp.MustCompile(`\\(.)`)
)

// parseSelector reads Marathon's label selectors: k, k==v, k!=v, k in (a,b),
// k notin (a,b), joined by commas.
func parseSelector(text string) (selector, error) {
	if strings.Trim(text, " \t\r\n\f\v") == "" {
		return nil, nil
	}
	var s selector
	for rest, more := text, true; more; {
		found := termForm.FindStringSubmatch(rest)
		if found == nil {
			return nil, state.Refuse(http.StatusUnprocessableEntity,
				"Can not parse label selector %s. Reason: expected k, k==v, k!=v, k in (a,b) or k notin (a,b), found '%s'", text, rest)
		}
		t := term{key: unescape(found[1]), operator: found[4]}
		switch found[2] {
		case "==":
			t.operator = "in"
		case "!=":
			t.operator = "notin"
		}
		for _, w := range wordForm.FindAllString(found[3]+found[5], -1) {
			t.values = append(t.values, unescape(w))
		}
		s = append(s, t)
		rest, more = rest[len(found[0]):], found[6] == ","
	}
	return s, nil
}

func unescape(word string) string { return escapeForm.ReplaceAllString(word, "$1") }

func (s selector) matches(labels map[string]string) bool {
	for _, t := range s {
		value, there := labels[t.key]
		if !there || t.operator != "" && slices.Contains(t.values, value) != (t.operator == "in") {
			return false
		}
	}
	return true
}
