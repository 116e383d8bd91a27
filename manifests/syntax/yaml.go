package syntax

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// YAML reads every document of a file, and counts the keys and values that it
// has at most. Documents without content are left
// out. A fault of the file as a whole, or of one document, is in faults, and
// then not all that the file describes is known.
func YAML(data []byte, l Limits) (values []*Node, count int, faults []Fault) {
	count, f := boundsYAML(data, l)
	if f != nil {
		return nil, 0, []Fault{*f}
	}
	text := string(data)
	all := newLines(text)
	twice := 0
	for first := 0; first < len(all.start); {
		next := first + 1
		for next < len(all.start) && !documentMark(text[all.start[next]:], "---") {
			next++
		}
		end := len(text)
		if next < len(all.start) {
			end = all.start[next]
		}
		r := yamlReader{text: text[all.start[first]:end], file: all, first: first, limits: l, twice: &twice}
		r.plain = plainYAML(r.text)
		value, f := r.document()
		if f != nil {
			faults = append(faults, *f)
		} else if value != nil {
			values = append(values, value)
		}
		first = next
	}
	return values, count, faults
}

// documentMark reports whether a line is the given mark: in no YAML text may a
// line within a document begin so, not even in a quoted text.
func documentMark(line, mark string) bool {
	rest, ok := strings.CutPrefix(line, mark)
	return ok && (rest == "" || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// yamlReader reads one document of a file. Places come from the nodes of
// go.yaml.in/yaml/v3, values from sigs.k8s.io/yaml, as all tools of that family
// read them; where the two do not agree the document is refused. A document that
// has nothing on which they could differ is read once.
type yamlReader struct {
	text   string // the document
	file   *lines
	first  int // its first line, from 0
	limits Limits
	unsafe bool // it has aliases: it must not be expanded
	wrong  bool // it has a node that cannot be used
	plain  bool // it has nothing but scalars that readers could differ on
	beyond *Fault
	differ []doubtful
	nodes  int  // keys and values so far
	twice  *int // values of the file that are read twice
	last   yamlPlace
}

// doubtful is a scalar that readers could differ on, as it is written: one line,
// without quotes.
type doubtful struct {
	value   *Node
	written string
}

func (r *yamlReader) document() (*Node, *Fault) {
	decoder := yamlv3.NewDecoder(strings.NewReader(r.text))
	var root, more yamlv3.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, r.syntaxFault(err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, &Fault{r.place(&more), `a second document after "...": begin each document with "---"`}
	} else if !errors.Is(err, io.EOF) {
		return nil, r.syntaxFault(err)
	}
	content := root.Content[0]
	if content.Kind == yamlv3.ScalarNode && content.Value == "" && content.Style == 0 && content.Anchor == "" {
		return nil, nil
	}
	value := r.convert(content, 1)
	if r.beyond != nil {
		return nil, r.beyond
	}
	switch {
	case r.unsafe || r.wrong:
	case r.plain && r.checkDoubtful(value):
	default:
		if *r.twice += r.nodes; *r.twice > MaxReadTwice {
			return nil, overTwice(value.Place)
		}
		if f := r.crossCheck(value); f != nil {
			return nil, f
		}
	}
	return value, nil
}

// checkDoubtful reads the scalars that readers could differ on once more with
// sigs.k8s.io/yaml, as a list of their own: the whole would cost as much as
// reading all. It reports whether that was possible.
func (r *yamlReader) checkDoubtful(value *Node) bool {
	var list []any
	if len(r.differ) > 0 {
		var text strings.Builder
		for _, d := range r.differ {
			text.WriteString("- " + d.written + "\n")
		}
		if yaml.UnmarshalStrict([]byte(text.String()), &list, useNumber) != nil || len(list) != len(r.differ) {
			return false
		}
	}
	value.shortenNumbers()
	for i, d := range r.differ {
		reconcile(d.value, list[i])
	}
	return true
}

func useNumber(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

// crossCheck reads the document once more with sigs.k8s.io/yaml.
func (r *yamlReader) crossCheck(value *Node) *Fault {
	var tree any
	if err := yaml.UnmarshalStrict([]byte(r.text), &tree, useNumber); err != nil {
		return &Fault{value.Place, "is YAML that tools disagree about: write it in the simplest form (" + yamlMessage(err.Error()) + ")"}
	}
	if !reconcile(value, tree) {
		return &Fault{value.Place, "is YAML that readers disagree about: write it in the simplest form"}
	}
	return nil
}

// reconcile compares a value with what the other reader made of it and takes
// over how that writes numbers. A scalar that differs is noted as wrong; false
// says that lists or objects differ.
func reconcile(n *Node, tree any) bool {
	switch n.Kind {
	case Object:
		o, ok := tree.(map[string]any)
		if !ok || len(o) != len(n.Members) {
			return false
		}
		for _, m := range n.Members {
			other, ok := o[m.Key]
			if !ok || !reconcile(m.Value, other) {
				return false
			}
		}
		return true
	case List:
		l, ok := tree.([]any)
		if !ok || len(l) != len(n.Members) {
			return false
		}
		for i, m := range n.Members {
			if !reconcile(m.Value, l[i]) {
				return false
			}
		}
		return true
	}
	number, isNumber := tree.(json.Number)
	if isNumber && n.Kind == Number {
		mine, errMine := strconv.ParseFloat(n.Text, 64)
		theirs, errTheirs := number.Float64()
		if errMine == nil && errTheirs == nil && mine == theirs {
			n.Text = number.String()
			return true
		}
	}
	if isNumber || !reflect.DeepEqual(n.Tree(), tree) {
		n.Wrong = "is a value that YAML readers disagree about: write text in quotes and numbers in decimal"
	}
	return true
}

// convert makes a node and notes what cannot be used on it.
func (r *yamlReader) convert(y *yamlv3.Node, depth int) *Node {
	r.nodes++
	n := &Node{Place: r.place(y)}
	if depth > r.limits.Depth && (y.Kind == yamlv3.SequenceNode || y.Kind == yamlv3.MappingNode) && r.beyond == nil {
		r.beyond = overDepth(n.Place, r.limits)
	}
	if r.beyond != nil {
		return n
	}
	n.Wrong = r.wrongForm(y)
	switch y.Kind {
	case yamlv3.SequenceNode:
		n.Kind = List
		n.Members = make([]Member, 0, len(y.Content))
		for _, c := range y.Content {
			n.Members = append(n.Members, Member{Value: r.convert(c, depth+1)})
		}
	case yamlv3.MappingNode:
		n.Kind = Object
		n.Members = make([]Member, 0, len(y.Content)/2)
		for i := 0; i+1 < len(y.Content); i += 2 {
			n.Members = append(n.Members, r.member(y.Content[i], y.Content[i+1], depth))
		}
		n.checkKeys()
		for _, m := range n.Members {
			r.wrong = r.wrong || m.Wrong != ""
		}
	case yamlv3.ScalarNode:
		r.scalar(n, y)
	}
	r.wrong = r.wrong || n.Wrong != ""
	return n
}

func (r *yamlReader) member(key, value *yamlv3.Node, depth int) Member {
	r.nodes++
	m := Member{Key: key.Value, Place: r.place(key)}
	if len(m.Key) > MaxKey && r.beyond == nil {
		r.beyond = overKey(m.Place, r.limits)
	}
	m.Value = r.convert(value, depth+1)
	r.plain = r.plain && (key.Style != 0 || plainlyText(key.Value))
	plain := key.Style&(yamlv3.DoubleQuotedStyle|yamlv3.SingleQuotedStyle) == 0
	switch {
	case key.Kind == yamlv3.AliasNode || key.Anchor != "":
		m.Wrong, r.unsafe = wrongAlias, true
	case key.Kind != yamlv3.ScalarNode:
		m.Wrong = "a list or object as a key: a key is text"
	case key.Tag == "!!merge":
		m.Wrong, r.unsafe = `merge keys ("<<") are not supported: a definition must be complete where it is used, so that nothing hidden changes it; write the keys out`, true
	case key.Style&yamlv3.TaggedStyle != 0:
		m.Wrong = wrongTag
	case plain && (key.Tag != "!!str" && key.Tag != "!!timestamp" || oldBool(key.Value)):
		m.Wrong = fmt.Sprintf("the key %s is not text in YAML: write it in quotes", Quote(key.Value))
	}
	r.wrong = r.wrong || m.Wrong != ""
	return m
}

const (
	wrongAlias = `anchors and aliases ("&", "*") are not supported: a few lines of them can expand to gigabytes; write the value out`
	wrongTag   = `a tag ("!") is not supported: write the value without it, and text in quotes`
)

// wrongForm finds what is refused of any value.
func (r *yamlReader) wrongForm(y *yamlv3.Node) string {
	switch {
	case y.Kind == yamlv3.AliasNode || y.Anchor != "":
		r.unsafe = true
		return wrongAlias
	case y.Style&yamlv3.TaggedStyle != 0:
		return wrongTag
	}
	return ""
}

var (
	decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	float   = regexp.MustCompile(`^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
)

// scalar sets the value of a scalar. No message quotes digits: they may be a
// secret.
func (r *yamlReader) scalar(n *Node, y *yamlv3.Node) {
	n.Kind, n.Text = String, y.Value
	const quoted = yamlv3.DoubleQuotedStyle | yamlv3.SingleQuotedStyle | yamlv3.LiteralStyle | yamlv3.FoldedStyle
	if y.Style&quoted != 0 || n.Wrong != "" {
		return
	}
	switch y.Tag {
	case "!!null":
		n.Kind, n.Text = Null, ""
	case "!!bool":
		n.Kind, n.Text = Bool, strings.ToLower(y.Value)
	case "!!int", "!!float":
		n.Kind = Number
		if !plainNumber.MatchString(y.Value) {
			r.doubt(n, y)
		}
		if n.Wrong = wrongYAMLNumber(y.Value); n.Wrong != "" {
			n.Text = "0" // a number to check the rest with
		} else if !json.Valid([]byte(n.Text)) { // .5, 5., +1
			f, _ := strconv.ParseFloat(n.Text, 64)
			n.Text = strconv.FormatFloat(f, 'g', -1, 64)
		}
	default:
		if !plainlyText(y.Value) {
			r.doubt(n, y)
		}
		if oldBool(y.Value) {
			n.Wrong = fmt.Sprintf(`%s is true or false in YAML 1.1 and text in YAML 1.2: write true or false, or "%s" in quotes for text`, y.Value, y.Value)
		}
	}
}

// MaxReadTwice bounds the values of a file that are read by both readers, which
// costs as much again.
const MaxReadTwice = 25_000

func overTwice(p Place) *Fault {
	return &Fault{p, fmt.Sprintf(`YAML readers differ on more than %d values (text without quotes that begins as a number, a date or a tag does): write them in quotes, or split the file`, MaxReadTwice)}
}

// doubt notes a scalar that readers could differ on.
func (r *yamlReader) doubt(n *Node, y *yamlv3.Node) {
	if y.Value == "" || strings.ContainsAny(y.Value, "\n\r\u0085\u2028\u2029") || y.Value[0] == ' ' {
		r.plain = false // what was written is not known
		return
	}
	if *r.twice++; *r.twice > MaxReadTwice && r.beyond == nil {
		r.beyond = overTwice(n.Place)
	}
	r.differ = append(r.differ, doubtful{n, y.Value})
}

// marksOfReaders are what the readers may take differently wherever it stands: a
// tag, which begins a word, and a remark behind a tab.
var marksOfReaders = regexp.MustCompile("(^|[^\"'#\\w])!|\t[ \t]*#")

// plainYAML reports whether a document has nothing but values that two readers
// could differ on; those scalar and member look at. Both readers are the same
// parser in two versions, which take texts apart by the same code but for
// remarks, and there only tabs before a remark make a difference, and directives.
// What a plain scalar is taken for is not the same, and not what a tag does.
func plainYAML(text string) bool {
	if strings.ContainsAny(text, "!\t") && marksOfReaders.MatchString(text) {
		return false
	}
	for line := range strings.Lines(text) {
		if line[0] == '%' || strings.HasPrefix(line, "...") {
			return false
		}
	}
	return true
}

// plainlyText reports whether a plain scalar is text to every reader if it is
// text to one: it begins as no number, date or merge key does.
func plainlyText(s string) bool {
	return s != "" && strings.IndexByte("0123456789+-.=<~", s[0]) < 0
}

// plainNumber is of the numbers that every reader reads alike.
var plainNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,14}|-?(0|[1-9][0-9]{0,6})\.[0-9]{1,6})$`)

// shortenNumbers writes those of a plain document as the other reader would.
func (n *Node) shortenNumbers() {
	if n.Kind == Number && strings.Contains(n.Text, ".") {
		if f, err := strconv.ParseFloat(n.Text, 64); err == nil {
			n.Text = FormatNumber(f)
		}
	}
	for _, m := range n.Members {
		m.Value.shortenNumbers()
	}
}

// oldBool reports whether YAML 1.1 takes a plain text for true or false and
// YAML 1.2 does not.
func oldBool(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return true
	}
	return false
}

func wrongYAMLNumber(digits string) string {
	lower := strings.ToLower(digits)
	unsigned := strings.TrimLeft(digits, "+-")
	switch {
	case strings.HasSuffix(lower, ".inf") || strings.HasSuffix(lower, ".nan"):
		return "Marathon cannot represent infinity and NaN: write a finite number, or text in quotes"
	case len(unsigned) > 1 && unsigned[0] == '0' && strings.IndexByte(unsigned, '.') != 1 && strings.IndexByte("eE", unsigned[1]) < 0:
		return `digits after a zero are an octal, hexadecimal or binary number in YAML: write it in quotes if it is text (such as a file mode), else in decimal`
	case strings.ContainsRune(digits, '_'):
		return `digits with "_" are a number in YAML: write it in quotes if it is text, else without "_"`
	case !decimal.MatchString(digits) && !float.MatchString(digits):
		return `is an unusual form of a number: write it in quotes if it is text, else in decimal`
	}
	return wrongNumber(digits)
}

// Place turns a node's line and its column in characters into a place. Nodes
// come in reading order, so it goes on from the last one where it can.
func (r *yamlReader) place(y *yamlv3.Node) Place {
	line := min(max(r.first+y.Line, 1), len(r.file.start))
	column := max(y.Column-1, 0)
	if line != r.last.line || column < r.last.runes {
		r.last = yamlPlace{line: line}
	}
	rest := r.file.text[r.file.start[line-1]:]
	for r.last.runes < column && r.last.bytes < len(rest) && rest[r.last.bytes] != '\n' {
		_, size := utf8.DecodeRuneInString(rest[r.last.bytes:])
		r.last.runes++
		r.last.bytes += size
	}
	return Place{line, r.last.bytes + 1}
}

// yamlPlace is a place as YAML counts it, with the same in bytes.
type yamlPlace struct{ line, runes, bytes int }

var (
	yamlLine   = regexp.MustCompile(`line (\d+): `)
	yamlAnchor = regexp.MustCompile(`(^|[\s\[{,])&`)
)

// YAMLFault says where and why a text is no YAML, given the parser's error: for
// files that are no manifests. Line and column count from 1.
func YAMLFault(text string, err error) (line, column int, message string) {
	r := &yamlReader{text: text, file: newLines(text)}
	f := r.syntaxFault(err)
	return f.Place.Line, f.Place.Column, f.Message
}

// syntaxFault turns the parser's error, which knows a line only, into a fault
// at the first character of that line.
func (r *yamlReader) syntaxFault(err error) *Fault {
	// The older parser names the line of the problem, the newer one that of its
	// context. It expands aliases, so it gets none.
	if !yamlAnchor.MatchString(r.text) {
		if older := yaml.Unmarshal([]byte(r.text), new(any)); older != nil {
			err = older
		}
	}
	message := err.Error()
	line := 1
	if m := yamlLine.FindStringSubmatchIndex(message); m != nil {
		line, _ = strconv.Atoi(message[m[2]:m[3]])
		message = message[m[1]:]
		if strings.HasPrefix(message, "did not find expected") {
			line++ // those of the parser, not the scanner, count from 0
		}
	}
	line = min(max(r.first+line, 1), len(r.file.start))
	text := r.file.text[r.file.start[line-1]:]
	text, _, _ = strings.Cut(text, "\n")
	indent := len(text) - len(strings.TrimLeft(text, " \t\r"))
	at := Place{line, min(indent, max(len(text)-1, 0)) + 1}
	if tab := strings.IndexByte(text[:indent], '\t'); tab >= 0 {
		return &Fault{Place{line, tab + 1}, "a tab in the indentation: YAML requires spaces"}
	}
	if strings.HasPrefix(text, "%") {
		return &Fault{at, `directives ("%") are not supported: remove the line`}
	}
	return &Fault{at, yamlMessage(message)}
}

// yamlMeaning adds to the parser's words what is mostly meant.
var yamlMeaning = []struct{ words, meaning string }{
	{"did not find expected key", "a line above is indented differently, or its text has a quote or \":\" and needs quotes around all of it"},
	{"did not find expected '-' indicator", "write the members of a list one below the other, each after \"- \""},
	{"could not find expected ':'", "a member is \"key: value\", with a blank after the colon"},
	{"mapping values are not allowed", "a value with \": \" in it needs quotes around all of it, or the line is indented too far"},
	{"found character that cannot start any token", "a tab, or a value that begins with @, ` or % and needs quotes"},
	{"found unexpected end of stream", "a quote that is opened above is not closed"},
	{"did not find expected ',' or ']'", "a list opened with \"[\" is not closed, or a comma is missing"},
	{"did not find expected ',' or '}'", "an object opened with \"{\" is not closed, or a comma is missing"},
	{"did not find expected node content", "a value is missing"},
	{"did not find expected alphabetic or numeric character", "a value that begins with & or * needs quotes"},
	{"unknown anchor", "a value that begins with \"*\" needs quotes"},
	{"found undefined tag handle", "a value that begins with \"!\" needs quotes"},
	{"found unknown escape character", "in double quotes a backslash is written \"\\\\\"; single quotes take it as it is"},
	{"did not find expected <document start>", "each document begins with \"---\""},
	{"block sequence entries are not allowed", "a list begins on a line of its own, under its key"},
}

func yamlMessage(message string) string {
	for _, m := range yamlMeaning {
		if strings.Contains(message, m.words) {
			return "YAML: " + m.words + ": " + m.meaning
		}
	}
	// Words of the parser that are not known may quote a value: they stay out.
	return "is not valid YAML: check indentation, quotes and brackets from here upwards"
}
