package manifests

import (
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/visible"
)

// maxFindings bounds the violations that are kept of one definition, of each
// severity, where no less is asked for.
const maxFindings = 1000

// findings collects violations as they arise: those beyond the bound are only
// counted.
type findings struct {
	found      []Violation
	most       int   // of each severity; 0: maxFindings
	kept, left tally // of found, and of what is only counted
	parsed     *int  // bytes of the file's expressions that isRegexp parsed; nil: not counted
	tried      *int  // values of the file that further looked at; nil: not counted
}

// refuse notes what Marathon answers with 422.
func (f *findings) refuse(path, answer, format string, args ...any) {
	f.note(Violation{Path: path, Answer: answer, Status: 422}, format, args...)
}

// refuseAt notes what Marathon answers with 422 without saying where: it is at
// place.
func (f *findings) refuseAt(place, answer, format string, args ...any) {
	f.note(Violation{Path: "/", Place: place, Answer: answer, Status: 422}, format, args...)
}

// fail notes what Marathon fails on with 500, without saying where.
func (f *findings) fail(place, answer, format string, args ...any) {
	f.note(Violation{Path: "/", Place: place, Answer: answer, Status: 500}, format, args...)
}

// echo notes what Marathon complains of beside something noted with words for a
// person.
func (f *findings) echo(path, answer string) {
	f.add(Violation{Path: path, Answer: answer, Status: 422})
}

// mistake notes what Marathon takes in silence and cannot be meant.
func (f *findings) mistake(path, format string, args ...any) {
	f.note(Violation{Path: path}, format, args...)
}

// warn notes what Marathon takes in silence and is probably not meant.
func (f *findings) warn(path, format string, args ...any) {
	f.note(Violation{Path: path, Warning: true}, format, args...)
}

// note adds a violation with its message, which is made only if it is kept.
func (f *findings) note(v Violation, format string, args ...any) {
	if !f.full(v.Warning) {
		v.Message = fmt.Sprintf(format, args...)
	}
	f.add(v)
}

// full reports whether a violation would only be counted.
func (f *findings) full(warning bool) bool {
	most := f.most
	if most == 0 {
		most = maxFindings
	}
	return f.kept.of(warning) >= most
}

func (f *findings) add(v Violation) {
	if f.full(v.Warning) {
		f.left.add(v.Warning, max(1, v.More))
		return
	}
	v.Message = visible.Line(v.Message)
	if v.Path == "" {
		v.Path = "/"
	}
	f.kept.add(v.Warning, 1)
	f.found = append(f.found, v)
}

// take adds what was found elsewhere.
func (f *findings) take(other *findings) {
	for _, v := range other.found {
		f.add(v)
	}
	f.left.errors += other.left.errors
	f.left.warnings += other.left.warnings
}

// errors counts what is no warning, kept or not.
func (f *findings) errors() int { return f.kept.errors + f.left.errors }

// all is what was found, with a last violation that stands for what is not kept.
func (f *findings) all() []Violation {
	n, what := f.left.all(), "problems"
	if n == 0 {
		return f.found
	}
	if f.left.errors == 0 {
		what = "warnings"
	}
	return append(slices.Clip(f.found), Violation{
		Path: "/", Warning: f.left.errors == 0, More: n, Message: fmt.Sprintf("there are %d more %s in this definition", n, what),
	})
}

// place says where a person finds what was found since.
func (f *findings) place(since int, place string) {
	for i := range f.found[since:] {
		f.found[since+i].Place = place
	}
}

// refusedSince reports whether Marathon refuses something found since, or may do
// so for what is not kept.
func (f *findings) refusedSince(since int) bool {
	return f.left.errors > 0 || slices.ContainsFunc(f.found[since:], func(v Violation) bool { return v.Status != 0 && !v.Warning })
}
