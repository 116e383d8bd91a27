// Package visible makes text from outside fit to be seen: commit texts, answers
// of servers, names, what a task wrote. Nothing of it can act on a terminal,
// forge a line of a log, or show in another order than it is in.
//
// It is the only place that decides what is printable. It reads and writes
// nothing.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line makes a text one line in which everything can be seen. What is escaped,
// as in a Go string:
//
//	control characters (ESC, BEL, NUL, line breaks, tabs, C1)   \x1b \a \n \u009b
//	marks that turn the direction of writing, joiners, blanks
//	that are no space, line and paragraph separators            \u202e \u00a0
//	bytes that are no UTF-8                                     \xff
//
// All else stays as it is, the backslash too: the result is for people.
func Line(s string) string { return escaped(s, unicode.IsPrint) }

// Text is Line for a text of several lines: line breaks and tabs stay.
func Text(s string) string {
	return escaped(s, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) })
}

// Words is Line for a text that may have been broken into lines by its author:
// every run of white space is one space.
func Words(s string) string { return Line(strings.Join(strings.Fields(s), " ")) }

// Cut returns at most so many bytes of a text, whole characters, and an ellipsis
// where something is missing.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// JSON escapes, in a JSON text, what Line escapes, as \u and four digits. It
// means the same: such characters stand in strings only.
func JSON(text []byte) []byte {
	return escapedStrings(text, func(r rune) string {
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// YAML is JSON for a JSON text that is read as YAML, which has no pairs of
// surrogates.
func YAML(text []byte) []byte {
	return escapedStrings(text, func(r rune) string {
		if r > 0xffff {
			return fmt.Sprintf(`\U%08X`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// Whole reports whether Text would leave a text as it is.
func Whole(text []byte) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return false
		}
		i += size
	}
	return true
}

func escaped(s string, clean func(rune) bool) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case clean(r):
			b.WriteRune(r)
		case r < 0x80:
			b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// escapedStrings escapes in the strings of a JSON text. Outside of them stands
// no such character but white space.
func escapedStrings(text []byte, escape func(rune) string) []byte {
	if Whole(text) {
		return text
	}
	b := make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...) // as any reader of JSON takes it
		case unicode.IsPrint(r) || r == '\n' || r == '\t' || r == '\r':
			b = append(b, text[i:i+size]...)
		default:
			b = append(b, escape(r)...)
		}
		i += size
	}
	return b
}
