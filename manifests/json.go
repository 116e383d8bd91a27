package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// readJSON reads a file that holds one JSON value. On a fault of the file as a
// whole there is no value. The id is that of the definition in a damaged file,
// as written, where it can be told; else it is empty.
func readJSON(data []byte, l Limits) (value *node, faults []fault, id string) {
	if f := boundsJSON(data, l); f != nil {
		return nil, []fault{*f}, ""
	}
	if !json.Valid(data) {
		faults, id = diagnoseJSON(data)
		return nil, faults, id
	}
	text := string(data)
	r := jsonReader{
		decoder: json.NewDecoder(bytes.NewReader(data)),
		text:    text,
		cursor:  cursor{lines: newLines(text)},
	}
	r.decoder.UseNumber()
	value, err := r.value()
	if err != nil {
		return nil, []fault{{place{1, 1}, "is no JSON: " + err.Error()}}, ""
	}
	return value, nil, ""
}

// jsonReader builds nodes from the tokens of the standard decoder, which keeps
// doubled keys and the digits of numbers, and whose offsets give the places.
type jsonReader struct {
	decoder *json.Decoder
	text    string
	cursor  cursor
}

// start is where the next token begins.
func (r *jsonReader) start() int {
	i := int(r.decoder.InputOffset())
	for i < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[i]) >= 0 {
		i++
	}
	return i
}

func (r *jsonReader) value() (*node, error) {
	start := r.start()
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &node{place: r.cursor.place(start)}
	switch t := token.(type) {
	case bool:
		n.kind, n.text = boolNode, strconv.FormatBool(t)
	case json.Number:
		n.kind, n.text = numberNode, t.String()
		n.wrong = wrongNumber(n.text)
	case string:
		n.kind, n.text = stringNode, t
		n.wrong = r.wrongString(start, t)
	case json.Delim:
		if t == '[' {
			n.kind = listNode
		} else {
			n.kind = objectNode
		}
		err = r.members(n)
	}
	return n, err
}

// members reads what stands in a list or object up to its end.
func (r *jsonReader) members(n *node) error {
	for r.decoder.More() {
		var m member
		if n.kind == objectNode {
			start := r.start()
			token, err := r.decoder.Token()
			if err != nil {
				return err
			}
			m.key, _ = token.(string)
			m.place = r.cursor.place(start)
			m.wrong = r.wrongString(start, m.key)
		}
		value, err := r.value()
		if err != nil {
			return err
		}
		m.value = value
		n.members = append(n.members, m)
	}
	_, err := r.decoder.Token() // the closing bracket
	if n.kind == objectNode {
		n.checkKeys()
	}
	return err
}

// wrongString finds half of a surrogate pair: the decoder puts U+FFFD in its
// place, and a value must not change silently.
func (r *jsonReader) wrongString(start int, value string) string {
	if !strings.ContainsRune(value, '\uFFFD') {
		return ""
	}
	written := r.text[start:r.decoder.InputOffset()]
	if strings.Count(written, "\uFFFD")+strings.Count(strings.ToLower(written), `\ufffd`) >= strings.Count(value, "\uFFFD") {
		return ""
	}
	return `half of a surrogate pair stands for no character: write both halves, as in \ud83d\ude00`
}

// checkKeys finds keys that stand twice, or twice but for their case: a decoder
// would let one of them win in silence.
func (n *node) checkKeys() {
	if len(n.members) < 2 {
		return
	}
	seen := make(map[string]int, len(n.members))
	for i := range n.members {
		m := &n.members[i]
		folded := strings.ToLower(m.key)
		first, doubled := seen[folded]
		if !doubled {
			seen[folded] = i
			continue
		}
		if other := n.members[first]; other.key == m.key {
			m.wrong = fmt.Sprintf("the key %s stands twice: it is also at %d:%d; keep one", quote(m.key), other.place.line, other.place.column)
		} else {
			m.wrong = fmt.Sprintf("the keys %s and %s differ in case only: keep the right one (the other is at %d:%d)",
				quote(m.key), quote(other.key), other.place.line, other.place.column)
		}
	}
}

// quote is a name for a message, safe to print and not long.
func quote(s string) string {
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
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return "the number is too large to be represented: if it is no number, write it in quotes"
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(digits), "e")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
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

// boundsJSON refuses what is nested too deep or has too many values before
// anything is allocated for it. It looks at brackets and commas outside of
// strings, valid or not.
func boundsJSON(data []byte, l Limits) *fault {
	depth, values := 0, 1
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '{', '[':
			depth++
			values++
		case '}', ']':
			depth--
		case ',', ':':
			values++
		}
		if depth > l.Depth || values > l.Values {
			c := cursor{lines: newLines(string(data[:i+1]))}
			return overLimit(c.place(i), depth > l.Depth, l)
		}
	}
	return nil
}

// overLimit is the fault of a file that is beyond a limit.
func overLimit(p place, deep bool, l Limits) *fault {
	if deep {
		return &fault{p, fmt.Sprintf("lists and objects are nested deeper than %d: that is no manifest", l.Depth)}
	}
	return &fault{p, fmt.Sprintf("the file has more than %d keys and values: split it into several files", l.Values)}
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
