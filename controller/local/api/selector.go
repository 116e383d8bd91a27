package api

import (
	"errors"
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

// What a label query is made of. Source: Marathon's LabelSelectorParsers.
var (
	wordForm     = regexp.MustCompile(`^(?:\\.|[-A-Za-z0-9_.])+`)
	escapeForm   = regexp.MustCompile(`\\(.)`)
	operatorForm = regexp.MustCompile(`^(?:==|!=|in|notin)`)
)

// parseSelector reads Marathon's label selectors: k, k==v, k!=v, k in (a,b),
// k notin (a,b), joined by commas. A backslash stands before any other character
// than letters, digits and -_. of a label or value.
func parseSelector(text string) (selector, error) {
	p := &selectorParser{rest: text}
	s, err := p.selector()
	if err != nil {
		return nil, state.Refuse(http.StatusUnprocessableEntity, "Can not parse label selector %s. Reason: %v", text, err)
	}
	return s, nil
}

type selectorParser struct{ rest string }

// next skips blanks and takes what a form matches; "": nothing.
func (p *selectorParser) next(form *regexp.Regexp) string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n\f\v")
	found := form.FindString(p.rest)
	p.rest = p.rest[len(found):]
	return found
}

// skip takes a mark, if it is the next.
func (p *selectorParser) skip(mark string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n\f\v")
	rest, found := strings.CutPrefix(p.rest, mark)
	p.rest = rest
	return found
}

func (p *selectorParser) word() (string, error) {
	w := p.next(wordForm)
	if w == "" {
		return "", errors.New(`string matching regex '(\\.|[-A-Za-z0-9_.])+' expected but '` + p.rest + `' found`)
	}
	return escapeForm.ReplaceAllString(w, "$1"), nil
}

func (p *selectorParser) selector() (selector, error) {
	var s selector
	if p.skip(""); p.rest == "" {
		return nil, nil
	}
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		s = append(s, t)
		if !p.skip(",") {
			break
		}
	}
	if p.rest != "" {
		return nil, errors.New("end of input expected but '" + p.rest + "' found")
	}
	return s, nil
}

func (p *selectorParser) term() (term, error) {
	key, err := p.word()
	if err != nil {
		return term{}, err
	}
	t := term{key: key}
	switch operator := p.next(operatorForm); operator {
	case "==", "!=":
		value, err := p.word()
		t.operator, t.values = map[string]string{"==": "in", "!=": "notin"}[operator], []string{value}
		return t, err
	case "in", "notin":
		t.operator = operator
		t.values, err = p.set()
	}
	return t, err
}

// set is (a, b, …), which may be empty.
func (p *selectorParser) set() ([]string, error) {
	if !p.skip("(") {
		return nil, errors.New("'(' expected but '" + p.rest + "' found")
	}
	var values []string
	for !p.skip(")") {
		if len(values) > 0 && !p.skip(",") {
			return nil, errors.New("')' expected but '" + p.rest + "' found")
		}
		v, err := p.word()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
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
