package visible

import (
	"regexp"
	"strings"
)

// Markdown makes a text one line of Markdown, as forges read it, in which nothing acts:
// no markup, link, image or mention of a person, no reference to an issue or a commit.
// Words stay words; a text with anything that a forge might give a meaning to becomes
// code.
func Markdown(s string) string {
	if s == "" || number.MatchString(s) || words.MatchString(s) && !reference.MatchString(s) {
		return s
	}
	return MarkdownCode(s)
}

var (
	number = regexp.MustCompile(`^[0-9]{1,5}$`)
	// words are letters, digits and blanks, and signs that mean nothing inside a line: a
	// dot or a colon only at the end of a word, where it makes no address.
	words = regexp.MustCompile(`^[\pL(/]([\pL\pN (),;'/-]|[.:]( |$))*$`)
	// reference is what forges link though it has no sign in front: GH-12, a commit.
	reference = regexp.MustCompile(`[\pL\pN]-[0-9]|(^|[^\pL\pN])[0-9a-f]{6,}($|[^\pL\pN])`)
)

// MarkdownCode makes a text a code span of one line. In code nothing acts, whatever it
// holds; within a table, see Cell.
func MarkdownCode(s string) string {
	s = Line(s)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") {
		s = " " + s + " " // which a reader of Markdown takes off again
	}
	return fence + s + fence
}

// Cell makes Markdown of one line the cell of a table.
func Cell(markdown string) string { return strings.ReplaceAll(markdown, "|", `\|`) }

// MarkdownBlock makes a text of several lines a block of code in a language.
func MarkdownBlock(language, s string) string {
	fence := strings.Repeat("`", max(3, longestRun(s, '`')+1))
	return fence + language + "\n" + strings.TrimSuffix(s, "\n") + "\n" + fence + "\n"
}

// longestRun is how often a character comes in a row.
func longestRun(s string, c byte) (longest int) {
	run := 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
