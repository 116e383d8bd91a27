// Package syntax reads JSON and YAML into one tree of values with the places where they
// stand, within limits that are checked before anything is built, and says what is
// wrong with the form of a text, all of it at once for JSON.
//
// What a value means, and whether it may stand there, is package manifests'.
package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON reads a file that holds one JSON value, and counts the keys and values
// in it. On a fault of the file as a whole there is no value. The id is that of the definition in a damaged file,
// as written, where it can be told; else it is empty.
func JSON(data []byte, l Limits) (value *Node, count int, faults []Fault, id string) {
	size, f := boundsJSON(data, l)
	if f != nil {
		return nil, 0, []Fault{*f}, ""
	}
	if !json.Valid(data) {
		faults, id = diagnoseJSON(data)
		return nil, 0, faults, id
	}
	r := jsonReader{
		text: string(data), sparse: size.text < len(data)/4,
		nodes: make([]Node, 0, size.values), members: make([]Member, 0, size.values), open: make([]Member, 0, 16),
	}
	return r.value(), size.all, nil, ""
}

// jsonReader builds nodes from a text that is known to be JSON. Values are parts
// of that one text, and nodes of all the file stand in two slices that never
// grow: a source has thousands of files, and each allocation costs as much as
// reading twenty bytes. Of a text that is mostly something else, such as blanks,
// strings are copies: what is read is kept, and would keep all of the text.
type jsonReader struct {
	text    string
	sparse  bool
	offset  int
	line    int // that of the offset, from 0
	start   int // where it begins
	nodes   []Node
	members []Member
	open    []Member // of what is open, those of the innermost last
}

func (r *jsonReader) place() Place { return Place{r.line + 1, r.offset - r.start + 1} }

// next is what the next token begins with.
func (r *jsonReader) next() byte {
	for {
		switch c := r.text[r.offset]; c {
		case ' ', '\t', '\r', ',', ':':
			r.offset++
		case '\n': // only here: a string has none
			r.offset++
			r.line, r.start = r.line+1, r.offset
		default:
			return c
		}
	}
}

func (r *jsonReader) value() *Node {
	first := r.next()
	r.nodes = append(r.nodes, Node{Place: r.place()})
	n := &r.nodes[len(r.nodes)-1]
	switch first {
	case '{':
		n.Kind = Object
		r.inner(n, '}')
		n.checkKeys()
	case '[':
		n.Kind = List
		r.inner(n, ']')
	case '"':
		n.Kind = String
		n.Text, n.Wrong = r.string()
	case 't', 'f':
		n.Kind, n.Text = Bool, r.word()
	case 'n':
		r.word()
	default:
		n.Kind, n.Text = Number, r.word()
		n.Wrong = wrongNumber(n.Text)
	}
	return n
}

// inner reads what stands in a list or object.
func (r *jsonReader) inner(n *Node, end byte) {
	r.offset++
	first := len(r.open)
	for r.next() != end {
		var m Member
		if n.Kind == Object {
			m.Place = r.place()
			m.Key, m.Wrong = r.string()
		}
		m.Value = r.value()
		r.open = append(r.open, m)
	}
	r.offset++
	if len(r.open) > first {
		from := len(r.members)
		r.members = append(r.members, r.open[first:]...)
		n.Members = r.members[from:len(r.members):len(r.members)]
		r.open = r.open[:first]
	}
}

// word reads a number, true, false or null.
func (r *jsonReader) word() string {
	start := r.offset
	for r.offset < len(r.text) && strings.IndexByte(" \t\r\n,]}", r.text[r.offset]) < 0 {
		r.offset++
	}
	return r.text[start:r.offset]
}

// string reads a string, with what is wrong about it.
func (r *jsonReader) string() (value, wrong string) {
	start, escaped := r.offset, false
	for r.offset++; r.text[r.offset] != '"'; r.offset++ {
		if r.text[r.offset] == '\\' {
			escaped = true
			r.offset++
		}
	}
	r.offset++
	written := r.text[start:r.offset]
	if escaped {
		return unescape(written)
	}
	value = written[1 : len(written)-1]
	if r.sparse {
		value = strings.Clone(value)
	}
	return value, ""
}

// unescape reads a string that has escapes. It finds half of a surrogate pair:
// the decoder puts U+FFFD in its place, and a value must not change silently.
func unescape(written string) (value, wrong string) {
	if err := json.Unmarshal([]byte(written), &value); err != nil {
		return "", "is no text: " + err.Error() // cannot be: it was found to be JSON
	}
	const stands = "\uFFFD"
	if strings.Count(written, stands)+strings.Count(strings.ToLower(written), `\ufffd`) < strings.Count(value, stands) {
		wrong = `half of a surrogate pair is not a character: write both halves, as in \ud83d\ude00`
	}
	return value, wrong
}

// checkKeys finds keys that stand twice, or twice but for their case: a decoder
// would let one of them win in silence.
func (n *Node) checkKeys() {
	if !clearlyDistinct(n.Members) {
		n.markDoubled()
	}
}

func (n *Node) markDoubled() {
	seen := make(map[string]int, len(n.Members))
	for i := range n.Members {
		m := &n.Members[i]
		folded := strings.ToLower(m.Key)
		first, doubled := seen[folded]
		if !doubled {
			seen[folded] = i
			continue
		}
		if other := n.Members[first]; other.Key == m.Key {
			m.Wrong = fmt.Sprintf("duplicate key %s: it is also at %d:%d; keep one", Quote(m.Key), other.Place.Line, other.Place.Column)
		} else {
			m.Wrong = fmt.Sprintf("the keys %s and %s differ only in case: keep the right one (the other is at %d:%d)",
				Quote(m.Key), Quote(other.Key), other.Place.Line, other.Place.Column)
		}
	}
}

// clearlyDistinct reports whether the keys of an object are few and in ASCII and
// none stands twice in any case.
func clearlyDistinct(members []Member) bool {
	const few = 16
	if len(members) > few {
		return false
	}
	for i := range members {
		key := members[i].Key
		for j := range len(key) {
			if key[j] >= utf8.RuneSelf {
				return len(members) < 2
			}
		}
		for _, before := range members[:i] {
			if len(before.Key) == len(key) && strings.EqualFold(before.Key, key) {
				return false
			}
		}
	}
	return true
}

// Quote is a name for a message, safe to print and not long.
func Quote(s string) string {
	const longest = 60
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return strconv.Quote(s)
}

// maxExact bounds the integers that are exact in the floating-point numbers that
// JSON is commonly read into: 2^53 itself is what its successor is rounded to.
const maxExact = 1 << 53

// wrongNumber finds numbers that would be rounded. It does not quote them: they
// may be secrets.
func wrongNumber(digits string) string {
	if len(digits) <= 15 && !strings.ContainsAny(digits, "eE") {
		return "" // exact whatever the digits are
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return "the number is too large to be represented: if it is no number, write it in quotes"
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(digits), "e")
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	significant := strings.Trim(whole+fraction, "0")
	switch {
	case f == 0 && significant != "":
		return "the number is too small to be represented: if it is no number, write it in quotes"
	case f >= maxExact || f <= -maxExact:
		return "the number is 2^53 or more, where numbers are rounded: if it is no number, write it in quotes"
	case len(significant) > 17:
		return "the number has more digits than can be represented: round it, or if it is no number, write it in quotes"
	}
	return ""
}

// jsonSize is how much there is in a text: at most so many values, without the
// keys, if it is JSON, all with the keys, and bytes in strings.
type jsonSize struct{ values, all, text int }

// boundsJSON refuses what is nested too deep, or has too many values, too many
// definitions or too long keys, before anything is allocated for it. It looks at
// brackets, commas and colons outside of strings, valid or not.
func boundsJSON(data []byte, l Limits) (size jsonSize, f *Fault) {
	depth, values, keys, ids := 0, 1, 0, 0
	var before []byte // the string that was read last
	beyond := func(i int, f func(Place, Limits) *Fault) (jsonSize, *Fault) {
		c := cursor{lines: newLines(string(data[:i+1]))}
		return jsonSize{}, f(c.place(i), l)
	}
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			end := endOfString(data, i)
			size.text += end - i
			before = data[i+1 : max(end, i+1)]
			i = end
		case '{', '[':
			depth++
			values++
		case '}', ']':
			depth--
		case ',':
			values++
		case ':':
			values++
			keys++
			if string(before) == "id" {
				ids++
			}
			if len(before) > MaxKey {
				return beyond(i, overKey)
			}
			before = nil
		}
		switch {
		case depth > l.Depth:
			return beyond(i, overDepth)
		case values > l.Values:
			return beyond(i, overValues)
		case ids > l.Definitions:
			return beyond(i, OverDefinitions)
		}
	}
	size.values, size.all = values-keys, values
	return size, nil
}

// MaxKey bounds a key, in bytes: paths that lead through it are built of it.
const MaxKey = 1000

// These are the faults of a file that is beyond a limit.

func overDepth(p Place, l Limits) *Fault {
	return &Fault{p, fmt.Sprintf("lists and objects are nested deeper than %d: that is no manifest", l.Depth)}
}

func overValues(p Place, l Limits) *Fault {
	return &Fault{p, fmt.Sprintf("the file has more than %d keys and values: split it into several files", l.Values)}
}

func OverDefinitions(p Place, l Limits) *Fault {
	return &Fault{p, fmt.Sprintf("the file has more than %d apps, pods and groups: split it into several files", l.Definitions)}
}

func overKey(p Place, _ Limits) *Fault {
	return &Fault{p, fmt.Sprintf("a key is longer than %d bytes: shorten it", MaxKey)}
}

// endOfString is the offset of the quote that ends the string beginning at i,
// or of the end of its line where it is not closed.
func endOfString(data []byte, i int) int {
	for j := i + 1; j < len(data); j++ {
		switch data[j] {
		case '\\':
			if j+1 < len(data) && data[j+1] != '\n' {
				j++
			}
		case '"':
			return j
		case '\n':
			return j - 1
		}
	}
	return len(data) - 1
}

// WrongEncoding finds what is no plain UTF-8 text, or stands for another file.
func WrongEncoding(data []byte) *Fault {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return &Fault{Place{1, 1}, "begins with a byte order mark: save the file as UTF-8 without one"}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return &Fault{Place{1, 1}, "is UTF-16: save the file as UTF-8"}
	case bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/")):
		return &Fault{Place{1, 1}, "is a pointer of Git LFS, not the file itself: keep manifests out of LFS (.gitattributes)"}
	}
	line := 0
	for i, start := 0, 0; i < len(data); {
		r, size := rune(data[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(data[i:])
		}
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{Place{line + 1, i - start + 1}, "is not valid UTF-8 from here: save the file as UTF-8"}
		case r == '\n':
			line, start = line+1, i+1
		case r < ' ' && r != '\t' && r != '\r' || r == 0x7f:
			return &Fault{Place{line + 1, i - start + 1}, "has a control character: remove it, or write it as an escape in a quoted text"}
		}
		i += size
	}
	return nil
}
