package syntax

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxDirectives bounds the lines that begin with "%". Directives are not read at
// all; but the parser compares each with all before, and such a line may be text.
const MaxDirectives = 16

// boundsYAML refuses too many directives, documents, definitions and values
// before anything is allocated for them. It counts the marks that can begin them,
// wherever they stand, so it counts some in long texts that are none. It returns how
// many keys and values that makes.
func boundsYAML(data []byte, l Limits) (int, *Fault) {
	var b yamlBounds
	for i, c := range data {
		if b.mark(data, i, c); b.within(l) {
			continue
		}
		at := cursor{lines: newLines(string(data[:i+1]))}
		return 0, b.beyond(at.place(i), l)
	}
	return b.values(), nil
}

// yamlBounds counts the marks of a text.
type yamlBounds struct {
	colons, commas, others      int // of what begins a value
	directives, documents, keys int // keys: those that are id
}

func (b *yamlBounds) mark(data []byte, i int, c byte) {
	switch c {
	case '[', '{':
		b.others++
	case ',':
		b.commas++
	case ':':
		if isColon(data, i) {
			b.colons++
			if isIDKey(data[:i]) {
				b.keys++
			}
		}
	case '-':
		if endsToken(data, i+1) {
			b.others++
		}
		if startsLine(data, i) && documentMark(string(data[i:min(len(data), i+4)]), "---") {
			b.documents++
		}
	case '?':
		if endsToken(data, i+1) {
			b.others += 2 // a key, and a value that may be left out
		}
	case '%':
		if startsLine(data, i) {
			b.directives++
		}
	}
}

// values is at most how many keys and values there are, but for some in objects
// of keys without values: a colon makes two, and so does a comma between such
// keys, a comma between others one.
func (b *yamlBounds) values() int {
	return 1 + 2*b.colons + b.others + max(b.commas, 2*(b.commas-b.colons))
}

func (b *yamlBounds) within(l Limits) bool {
	return b.directives <= MaxDirectives && b.documents <= l.Documents && b.keys <= l.Definitions && b.values() <= l.Values
}

func (b *yamlBounds) beyond(at Place, l Limits) *Fault {
	switch {
	case b.directives > MaxDirectives:
		return &Fault{at, fmt.Sprintf(`more than %d lines begin with "%%": directives are not supported, remove them; indent a text`, MaxDirectives)}
	case b.documents > l.Documents:
		return &Fault{at, fmt.Sprintf("the file has more than %d documents: split it into several files", l.Documents)}
	case b.keys > l.Definitions:
		return OverDefinitions(at, l)
	}
	return overValues(at, l)
}

// The bytes that a line break ends and begins with. To YAML 1.1 these are line
// breaks too: U+0085, U+2028 and U+2029.
const breakEnds, breakBegins = "\n\r\x85\xa8\xa9", "\n\r\xc2\xe2"

func isOf(c byte, bytes string) bool { return strings.IndexByte(bytes, c) >= 0 }

// startsLine reports whether an offset can be that of the first character of a
// line.
func startsLine(data []byte, i int) bool { return i == 0 || isOf(data[i-1], breakEnds) }

// endsToken reports whether an offset is behind a mark that stands alone.
func endsToken(data []byte, i int) bool { return i == len(data) || isOf(data[i], " \t"+breakBegins) }

// isColon reports whether a colon can stand between a key and its value: at the
// end of a word, or where none is before it.
func isColon(data []byte, i int) bool {
	return endsToken(data, i+1) || isOf(data[i+1], ",[]{}?") || startsLine(data, i) || isOf(data[i-1], " \t,[]{}\"':?")
}

// isIDKey reports whether a text ends with the key id: not as a word of a remark
// or of a text.
func isIDKey(text []byte) bool {
	text = bytes.TrimRight(text[max(0, len(text)-16):], " \t\"'")
	text, is := bytes.CutSuffix(text, []byte("id"))
	text = bytes.TrimRight(text, " \t\"'")
	return is && (len(text) == 0 || isOf(text[len(text)-1], "[{,-?"+breakEnds))
}
