package local

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// selector is a label query: all of its terms must hold.
type selector []term

// term is one condition on a label: that it exists, and where there is an
// operator, that its value is (in) or is not (notin) one of some.
type term struct {
	key, operator string
	values        []string
}

var termForm = regexp.MustCompile(`^\s*([A-Za-z0-9_./-]+)\s*(?:(==|!=)\s*([^,\s()]+)|(in|notin)\s*\(([^)]*)\))?\s*$`)

// parseSelector reads Marathon's label selectors: k, k==v, k!=v, k in (a,b),
// k notin (a,b), joined by commas.
func parseSelector(text string) (selector, error) {
	var s selector
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for _, part := range splitOutside(text) {
		p := termForm.FindStringSubmatch(part)
		if p == nil {
			return nil, fail(http.StatusUnprocessableEntity, "Can not parse label selector: %s", text)
		}
		t := term{key: p[1], operator: p[4]}
		switch p[2] {
		case "==":
			t.operator, t.values = "in", []string{p[3]}
		case "!=":
			t.operator, t.values = "notin", []string{p[3]}
		}
		for v := range strings.SplitSeq(p[5], ",") {
			if v = strings.TrimSpace(v); v != "" {
				t.values = append(t.values, v)
			}
		}
		s = append(s, t)
	}
	return s, nil
}

// splitOutside splits at the commas that stand in no brackets.
func splitOutside(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(c rune) bool {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		return c == ',' && depth == 0
	})
}

func (s selector) matches(labels map[string]string) bool {
	for _, t := range s {
		value, there := labels[t.key]
		if !there || t.operator != "" && slices.Contains(t.values, value) != (t.operator == "in") {
			return false
		}
	}
	return true
}
