package manifests

import (
	"fmt"
	"slices"

	"github.com/pacer-gitops/pacer/visible"
)

// findings collects violations.
type findings struct{ found []Violation }

// refuse notes what Marathon answers with 422.
func (f *findings) refuse(path, answer, format string, args ...any) {
	f.add(Violation{Path: path, Answer: answer, Status: 422, Message: fmt.Sprintf(format, args...)})
}

// fail notes what Marathon fails on with 500, without saying where.
func (f *findings) fail(place, answer, format string, args ...any) {
	f.add(Violation{Path: "/", Place: place, Answer: answer, Status: 500, Message: fmt.Sprintf(format, args...)})
}

// echo notes what Marathon complains of beside something noted with words for a
// person.
func (f *findings) echo(path, answer string) {
	f.add(Violation{Path: path, Answer: answer, Status: 422})
}

// mistake notes what Marathon takes in silence and cannot be meant.
func (f *findings) mistake(path, format string, args ...any) {
	f.add(Violation{Path: path, Message: fmt.Sprintf(format, args...)})
}

// warn notes what Marathon takes in silence and is probably not meant.
func (f *findings) warn(path, format string, args ...any) {
	f.add(Violation{Path: path, Warning: true, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) add(v Violation) {
	v.Message = visible.Line(v.Message) // names of fields and variables are somebody else's text
	if v.Path == "" {
		v.Path = "/"
	}
	f.found = append(f.found, v)
}

// place says where a person finds what was found since.
func (f *findings) place(since int, place string) {
	for i := range f.found[since:] {
		f.found[since+i].Place = place
	}
}

// refusedSince reports whether Marathon refuses something found since.
func (f *findings) refusedSince(since int) bool {
	return slices.ContainsFunc(f.found[since:], func(v Violation) bool { return v.Status != 0 && !v.Warning })
}
