package manifests

import (
	"fmt"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
	"github.com/pacer-gitops/pacer/visible"
)

// Bounds of what is reported. Problems beyond them are counted as they arise and
// never held, so that no input makes many times its own size of them.
const (
	maxFileProblems   = 200    // listed of one file
	maxSourceProblems = 1000   // listed of a source
	maxHeldProblems   = 20_000 // remembered of all files of a source, beside one of each file
	maxMessage        = 1000   // bytes of one message, or of one path in a definition
)

// CountProblems counts errors and warnings, with those that are not listed and
// that a last problem stands for.
func CountProblems(problems []Problem) (errors, warnings int) {
	var t tally
	for i := range problems {
		t.add(problems[i].Severity == SeverityWarning, problems[i].count())
	}
	return t.errors, t.warnings
}

// ProblemWords counts errors and warnings apart for a person, as in "1 problem, 2
// warnings": a warning stops nothing. Empty: there are none.
func ProblemWords(problems []Problem) string {
	errors, warnings := CountProblems(problems)
	var words []string
	for _, c := range []struct {
		n    int
		what string
	}{{errors, "problem"}, {warnings, "warning"}} {
		switch {
		case c.n == 1:
			words = append(words, "1 "+c.what)
		case c.n > 1:
			words = append(words, fmt.Sprintf("%d %ss", c.n, c.what))
		}
	}
	return strings.Join(words, ", ")
}

// count is how many problems this one stands for.
func (p *Problem) count() int { return max(1, p.More) }

// tally counts errors and warnings.
type tally struct{ errors, warnings int }

// add counts n more and returns how many of that severity there are now.
func (t *tally) add(warning bool, n int) int {
	if warning {
		t.warnings += n
		return t.warnings
	}
	t.errors += n
	return t.errors
}

func (t *tally) of(warning bool) int { return (*t).add(warning, 0) }
func (t tally) all() int             { return t.errors + t.warnings }
func (t tally) less(o tally) tally   { return tally{t.errors - o.errors, t.warnings - o.warnings} }

// problemList collects problems as they arise. Of each severity it keeps the
// first ones up to a bound, and counts the others.
type problemList struct {
	kept  []Problem
	held  tally        // entries of kept
	found tally        // all problems, kept or not
	cut   syntax.Place // of the first that was not kept
}

// full reports whether a problem of that severity would not be kept.
func (l *problemList) full(most int, s Severity) bool { return l.held.of(s == SeverityWarning) >= most }

// add takes a problem, of which it keeps at most so many.
func (l *problemList) add(most int, p Problem) {
	l.found.add(p.Severity == SeverityWarning, p.count())
	if l.full(most, p.Severity) {
		if l.cut == (syntax.Place{}) {
			l.cut = syntax.Place{Line: p.Line, Column: p.Column}
		}
		return
	}
	p.Message, p.Path = cutText(p.Message), cutText(p.Path)
	l.held.add(p.Severity == SeverityWarning, 1)
	l.kept = append(l.kept, p)
}

// keep adds a problem that stands for others, which are counted already.
func (l *problemList) keep(p Problem) {
	l.held.add(p.Severity == SeverityWarning, 1)
	l.kept = append(l.kept, p)
}

// shorten leaves at most so many of both severities, errors before warnings. It
// returns a problem that stands for all that is not kept, of the file or source
// that where names, as in "in this file"; nil: nothing is left out. What is left
// out counts as an error only where errors are: warnings stop nothing, however
// many they are.
func (l *problemList) shorten(most int, file, where string) *Problem {
	errors := min(l.held.errors, most)
	room := map[bool]int{false: errors, true: min(l.held.warnings, most-errors)}
	at := syntax.Place{}
	kept := make([]Problem, 0, room[false]+room[true]+1)
	var told, held tally
	for _, p := range l.kept {
		warning := p.Severity == SeverityWarning
		if room[warning] == 0 {
			if at == (syntax.Place{}) {
				at = syntax.Place{Line: p.Line, Column: p.Column}
			}
			continue
		}
		room[warning]--
		told.add(warning, p.count())
		held.add(warning, 1)
		kept = append(kept, p)
	}
	l.kept, l.held = kept, held
	left := l.found.less(told)
	if left.all() == 0 {
		return nil
	}
	if at == (syntax.Place{}) {
		at = l.cut
	}
	rest := &Problem{File: file, Line: at.Line, Column: at.Column, Severity: SeverityWarning, More: left.all()}
	rest.Message = fmt.Sprintf("there are %d more warnings %s", rest.More, where)
	if left.errors > 0 {
		rest.Severity = SeverityError
		rest.Message = fmt.Sprintf("there are %d more problems %s: correct those above first", rest.More, where)
	}
	return rest
}

// cutText bounds a text of which parts come from a manifest.
func cutText(s string) string { return visible.Cut(s, maxMessage) }
