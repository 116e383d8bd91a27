package manifests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	v.Message = oneLine(v.Message)
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

// oneLine escapes what might act on a terminal, or look like another message:
// names of fields and variables are somebody else's text.
func oneLine(s string) string {
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// refusedSince reports whether Marathon refuses something found since.
func (f *findings) refusedSince(since int) bool {
	return slices.ContainsFunc(f.found[since:], func(v Violation) bool { return v.Status != 0 && !v.Warning })
}
