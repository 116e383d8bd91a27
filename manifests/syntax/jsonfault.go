package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFaults bounds what is said about one damaged file.
const maxFaults = 20

// diagnoseJSON says what is wrong in a text that the JSON decoder refused, for
// the person who mends it: it reads on as if what is missing were there, so that
// one look finds every place. It also gives the id of the definition, as
// written, where exactly one stands at the top.
func diagnoseJSON(data []byte) ([]Fault, string) {
	d := &diagnosis{data: data, lines: newLines(string(data))}
	d.advance()
	for d.token.kind != endToken && len(d.faults) < maxFaults {
		d.read()
	}
	if len(d.faults) < maxFaults && !d.lost {
		d.atEnd()
	}
	if len(d.faults) == 0 {
		// The decoder knows better; its offset counts the byte it stumbled over.
		offset, message := 0, "is not valid JSON"
		var e *json.SyntaxError
		var v any
		if err := json.Unmarshal(data, &v); errors.As(err, &e) {
			offset, message = max(int(e.Offset)-1, 0), "is not valid JSON: "+e.Error()
		}
		d.fault(offset, "%s", message)
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return ComparePlaces(a.Place, b.Place) })
	if len(d.ids) == 1 {
		return d.faults, d.ids[0]
	}
	return d.faults, ""
}

func ComparePlaces(a, b Place) int {
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Column - b.Column
}

type tokenKind uint8

const (
	endToken tokenKind = iota
	punctToken
	stringToken
	wordToken // numbers, true, false, null, and whatever else is bare
)

type token struct {
	kind       tokenKind
	start, end int
	punct      byte
}

// expectation is what may come next in a frame.
type expectation uint8

const (
	wantValue    expectation = iota // a value; in a list also its end
	wantMore                        // a value after a comma
	wantKey                         // a key or the end of the object
	wantKeyAfter                    // a key after a comma
	wantColon
	wantMember // the value of a key
	wantComma  // a comma or the end
)

// frame is a list or object that is open.
type frame struct {
	open    byte // '{' or '['
	start   int
	implied bool // its bracket is missing
	name    string
	key     string // the key read last
	want    expectation
}

// diagnosis is the state of reading a damaged text.
type diagnosis struct {
	data     []byte
	lines    *lines
	position int
	token    token // the next one
	last     int   // end of the one before
	stack    []frame
	done     bool // a whole value was read
	lost     bool // the rest was not read
	faults   []Fault
	ids      []string
}

func (d *diagnosis) place(offset int) Place {
	i, _ := slices.BinarySearch(d.lines.start, offset+1)
	return Place{i, offset - d.lines.start[i-1] + 1}
}

func (d *diagnosis) fault(offset int, format string, args ...any) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, Fault{d.place(offset), fmt.Sprintf(format, args...)})
	}
}

// read takes the next token, whatever it is.
func (d *diagnosis) read() {
	if len(d.stack) == 0 {
		d.readTop()
		return
	}
	f := &d.stack[len(d.stack)-1]
	if d.token.kind == punctToken && strings.IndexByte("}]", d.token.punct) >= 0 {
		d.closing(f)
		return
	}
	switch f.want {
	case wantValue, wantMore:
		d.readListMember(f)
	case wantKey, wantKeyAfter:
		d.readKey(f)
	case wantColon:
		d.readColon(f)
	case wantMember:
		d.readValue(f)
	case wantComma:
		d.readComma(f)
	}
}

func (d *diagnosis) readTop() {
	start := d.token.start
	switch {
	case d.done && d.isKey():
		d.fault(start, "a key after the end of the definition: is a \"}\" above it one too many?")
		d.giveUp()
	case d.done && (d.punct('}') || d.punct(']')):
		d.fault(start, "%q closes nothing: remove it", string(d.token.punct))
		d.advance()
	case d.done:
		d.fault(start, "text after the end of the definition: write several definitions as a list, [ … , … ]")
		d.giveUp()
	case d.isKey():
		d.fault(start, "a key outside of an object: is the opening \"{\" missing?")
		d.stack = append(d.stack, frame{open: '{', start: start, implied: true, want: wantKey})
	case d.token.kind == punctToken && strings.IndexByte("{[", d.token.punct) < 0:
		d.fault(start, "%q opens no definition: a manifest begins with \"{\" or \"[\"", string(d.token.punct))
		d.advance()
	default:
		d.value("")
	}
}

// giveUp ends the reading where going on would only guess.
func (d *diagnosis) giveUp() {
	d.position, d.lost = len(d.data), true
	d.advance()
}

func (d *diagnosis) readListMember(f *frame) {
	start := d.token.start
	switch {
	case d.isKey():
		d.fault(start, "a key in the list%s: are \"{\" and \"}\" missing around its member?", f.of())
		f.want = wantComma
		d.stack = append(d.stack, frame{open: '{', start: start, implied: true, name: f.name, want: wantKey})
	case d.punct(',') || d.punct(':'):
		d.fault(start, "expected a member of the list%s, found %q: remove it", f.of(), string(d.token.punct))
		d.advance()
	default:
		f.want = wantComma
		d.value(f.name)
	}
}

func (d *diagnosis) readKey(f *frame) {
	start := d.token.start
	switch {
	case d.token.kind == stringToken:
		f.key = d.text()
		f.want = wantColon
		d.checkString()
		d.advance()
	case d.token.kind == wordToken && d.isKey():
		f.key = d.text()
		f.want = wantColon
		d.fault(start, "a key needs double quotes: write %s", Quote(f.key))
		d.advance()
	case d.punct(','):
		d.fault(start, "expected a key, found \",\": remove it")
		d.advance()
	case d.punct(':'):
		d.fault(start, "\":\" without a key before it: a member is \"key\": value")
		f.key, f.want = "", wantColon
	default:
		d.fault(start, "expected a key, found a value: the members of an object are \"key\": value")
		f.key, f.want = "", wantComma
		d.value("")
	}
}

func (d *diagnosis) readColon(f *frame) {
	f.want = wantMember
	if d.punct(':') {
		d.advance()
		return
	}
	if d.token.kind == wordToken && d.data[d.token.start] == '=' {
		d.fault(d.token.start, "expected \":\", found \"=\"")
		d.position = d.token.start + 1
		d.advance()
		return
	}
	d.fault(d.last, "\":\" is missing after the key %s", Quote(f.key))
}

func (d *diagnosis) readValue(f *frame) {
	f.want = wantComma
	switch {
	case d.punct(','):
		d.fault(d.last, "the value of %s is missing: write null for none", Quote(f.key))
	case d.punct(':'):
		d.fault(d.token.start, "two \":\" after %s: remove one", Quote(f.key))
		f.want = wantMember
		d.advance()
	case d.isKey() && d.place(d.token.start).Line > d.place(max(d.last-1, 0)).Line:
		d.fault(d.last, "the value of %s is missing: write null for none", Quote(f.key))
	default:
		if len(d.stack) == 1 && f.key == "id" && f.open == '{' && d.token.kind == stringToken {
			d.ids = append(d.ids, d.text())
		}
		d.value(f.key)
	}
}

func (d *diagnosis) readComma(f *frame) {
	next := wantMore
	if f.open == '{' {
		next = wantKeyAfter
	}
	switch {
	case d.punct(','):
		f.want = next
		d.advance()
	case d.punct(':'):
		d.fault(d.token.start, "\":\" after a value: is a \"{\" missing before the key, or a comma?")
		f.want = wantMember
		d.advance()
	case f.open == '{' && f.key != "":
		d.fault(d.last, "\",\" is missing after the value of %s", Quote(f.key))
		f.want = next
	default:
		d.fault(d.last, "\",\" is missing between the members%s", f.of())
		f.want = next
	}
}

// closing takes a closing bracket, also of a frame further out.
func (d *diagnosis) closing(f *frame) {
	start, punct := d.token.start, d.token.punct
	open := byte('{')
	if punct == ']' {
		open = '['
	}
	if f.open != open {
		d.mismatch(open)
		return
	}
	switch f.want {
	case wantMore, wantKeyAfter:
		d.fault(d.last-1, "a comma before %q: JSON has none after the last member", string(punct))
	case wantColon, wantMember:
		d.fault(start, "the value of %s is missing: write null for none", Quote(f.key))
	}
	d.pop()
	d.advance()
}

// mismatch takes a closing bracket that does not fit what is open. The missing
// end of an object whose "{" is missing too was told of there.
func (d *diagnosis) mismatch(open byte) {
	outer := len(d.stack) - 2
	for outer >= 0 && d.stack[outer].open != open {
		outer--
	}
	if outer < 0 {
		d.fault(d.token.start, "%q closes nothing: remove it, or open with %q before", string(d.token.punct), string(open))
		d.advance()
		return
	}
	for len(d.stack)-1 > outer {
		if inner := d.stack[len(d.stack)-1]; !inner.implied {
			d.fault(d.token.start, "%q found while %s is still open: is %q missing before it?",
				string(d.token.punct), d.opened(inner), string(closer(inner.open)))
		}
		d.pop()
	}
}

func (d *diagnosis) pop() {
	d.stack = d.stack[:len(d.stack)-1]
	d.done = len(d.stack) == 0
}

// atEnd tells what is open at the end of the file.
func (d *diagnosis) atEnd() {
	var open []string
	var missing []byte
	for i := len(d.stack) - 1; i >= 0; i-- {
		if f := d.stack[i]; !f.implied || i == 0 {
			open = append(open, d.opened(f))
			missing = append(missing, closer(f.open))
		}
	}
	if len(open) > 0 {
		d.fault(d.last, "the file ends before the end of %s: is %q missing?", strings.Join(open, " and of "), missing)
	}
	if len(d.stack) == 0 && !d.done && len(d.faults) == 0 {
		d.fault(0, "the file is empty: delete it, or write a definition")
	}
}

// Value takes a value: a scalar whole, of a list or object the opening.
func (d *diagnosis) value(name string) {
	t := d.token
	switch {
	case t.kind == punctToken && t.punct == '{':
		d.stack = append(d.stack, frame{open: '{', start: t.start, name: name, want: wantKey})
	case t.kind == punctToken && t.punct == '[':
		d.stack = append(d.stack, frame{open: '[', start: t.start, name: name, want: wantValue})
	case t.kind == stringToken:
		d.checkString()
	case t.kind == wordToken:
		d.checkWord()
	}
	d.advance()
	if len(d.stack) == 0 {
		d.done = true
	}
}

// of names the member that a list is the value of.
func (f frame) of() string {
	if f.name == "" {
		return ""
	}
	return " of " + Quote(f.name)
}

func (d *diagnosis) opened(f frame) string {
	if f.implied {
		return `the definition whose "{" is missing`
	}
	p := d.place(f.start)
	return fmt.Sprintf("the %q at %d:%d%s", string(f.open), p.Line, p.Column, f.of())
}

func closer(open byte) byte {
	if open == '{' {
		return '}'
	}
	return ']'
}

func (d *diagnosis) punct(c byte) bool { return d.token.kind == punctToken && d.token.punct == c }

// isKey reports whether the next token is a string or bare word with ":" after it.
func (d *diagnosis) isKey() bool {
	if d.token.kind != stringToken && d.token.kind != wordToken {
		return false
	}
	rest := bytes.TrimLeft(d.data[d.token.end:min(d.token.end+64, len(d.data))], " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// Text is the content of a string token, or a bare word.
func (d *diagnosis) text() string {
	written := d.data[d.token.start:d.token.end]
	var s string
	if d.token.kind == stringToken && json.Unmarshal(written, &s) == nil {
		return s
	}
	return strings.Trim(string(written), `"'`)
}

// advance reads the next token, skipping blanks and, with a fault, comments.
func (d *diagnosis) advance() {
	d.last = d.token.end
	for {
		for d.position < len(d.data) && strings.IndexByte(" \t\r\n", d.data[d.position]) >= 0 {
			d.position++
		}
		if !d.skipComment() {
			break
		}
	}
	start := d.position
	if start >= len(d.data) {
		d.token = token{kind: endToken, start: len(d.data), end: len(d.data)}
		return
	}
	switch c := d.data[start]; {
	case strings.IndexByte("{}[],:", c) >= 0:
		d.token = token{punctToken, start, start + 1, c}
	case c == '"':
		d.token = token{stringToken, start, endOfString(d.data, start) + 1, 0}
	default:
		d.token = token{wordToken, start, d.endOfWord(start), 0}
	}
	d.position = d.token.end
}

func (d *diagnosis) skipComment() bool {
	rest := d.data[d.position:]
	if !bytes.HasPrefix(rest, []byte("//")) && !bytes.HasPrefix(rest, []byte("#")) && !bytes.HasPrefix(rest, []byte("/*")) {
		return false
	}
	d.fault(d.position, "JSON has no comments: remove it, or write the manifest as YAML")
	end := bytes.IndexByte(rest, '\n')
	if rest[0] == '/' && rest[1] == '*' {
		if end = bytes.Index(rest, []byte("*/")); end >= 0 {
			end += 2
		}
	}
	if end < 0 {
		end = len(rest)
	}
	d.position += end
	return true
}

// endOfWord ends a bare word before the next blank or mark; a text in single
// quotes ends at the second.
func (d *diagnosis) endOfWord(start int) int {
	if d.data[start] == '\'' {
		rest := d.data[start+1:]
		if i := bytes.IndexAny(rest, "'\n"); i >= 0 && rest[i] == '\'' {
			return start + 2 + i
		}
	}
	i := bytes.IndexAny(d.data[start:], " \t\r\n{}[],:\"")
	switch {
	case i < 0:
		return len(d.data)
	case i == 0:
		return start + 1
	}
	return start + i
}

// checkWord says what is wrong with a bare value. It does not quote it: it may
// be a secret.
func (d *diagnosis) checkWord() {
	written := d.data[d.token.start:d.token.end]
	if json.Valid(written) {
		return
	}
	switch word := strings.ToLower(string(written)); {
	case written[0] == '\'':
		d.fault(d.token.start, "text in single quotes: JSON takes double quotes")
	case word == "true" || word == "false" || word == "null":
		d.fault(d.token.start, "%s must be written in lower case: %s", written, word)
	case word == "none" || word == "undefined" || word == "nil":
		d.fault(d.token.start, "%s is not a JSON value: write null", written)
	case word == "nan" || strings.Contains(word, "infinity"):
		d.fault(d.token.start, "infinity and NaN are not JSON numbers: write a finite one")
	case strings.IndexByte("0123456789+-.", written[0]) >= 0:
		d.fault(d.token.start, "a number in a form that JSON does not have (leading zero, \"+\", bare \".\"): write it plainly, or in quotes if it is text")
	default:
		d.fault(d.token.start, "text without quotes: write it in double quotes")
	}
}

// checkString says what is wrong inside of a string token.
func (d *diagnosis) checkString() {
	start, end := d.token.start, d.token.end
	written := d.data[start:end]
	if json.Valid(written) {
		return
	}
	if len(written) < 2 || written[len(written)-1] != '"' {
		d.fault(start, "a string begins here and does not end on its line: is a '\"' missing, or should the line break be written \"\\n\"?")
		if rest := bytes.TrimLeft(d.data[end:], " \t\r\n"); len(rest) > 0 && strings.IndexByte("\"{}[]", rest[0]) < 0 {
			d.position, d.lost = len(d.data), true
		}
		return
	}
	for i := 1; i < len(written)-1; i++ {
		switch c := written[i]; {
		case c < ' ':
			d.fault(start+i, "a control character in a string: write %s", escapeOf(c))
			return
		case c == '\\':
			if n := escapeLength(written[i:]); n > 0 {
				i += n - 1
				continue
			}
			d.fault(start+i, `"\" and what follows is not a JSON escape: for a backslash write "\\"`)
			return
		}
	}
}

func escapeOf(c byte) string {
	if c == '\t' {
		return `"\t"`
	}
	return fmt.Sprintf(`"\u%04x"`, c)
}

// escapeLength is the length of a right escape at the start, else 0.
func escapeLength(b []byte) int {
	for _, n := range []int{2, 6} {
		if len(b) >= n && utf8.Valid(b[:n]) && json.Valid(slices.Concat([]byte{'"'}, b[:n], []byte{'"'})) {
			return n
		}
	}
	return 0
}
