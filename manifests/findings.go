package manifests

import (
	"fmt"
	"slices"
)

// findings collects violations.
type findings struct{ found []Violation }

// refuse notes what Marathon answers with 422.
func (f *findings) refuse(path, answer, format string, args ...any) {
	f.add(Violation{Path: path, Answer: answer, Status: 422, Message: fmt.Sprintf(format, args...)})
}

// fail notes what Marathon fails on with 500.
func (f *findings) fail(path, answer, format string, args ...any) {
	f.add(Violation{Path: path, Answer: answer, Status: 500, Message: fmt.Sprintf(format, args...)})
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
	if v.Path == "" {
		v.Path = "/"
	}
	f.found = append(f.found, v)
}

// refusedSince reports whether Marathon refuses something found since.
func (f *findings) refusedSince(since int) bool {
	return slices.ContainsFunc(f.found[since:], func(v Violation) bool { return v.Status != 0 && !v.Warning })
}
