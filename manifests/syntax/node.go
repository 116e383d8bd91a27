package syntax

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Node is a value of a manifest with the place where it stands. JSON and YAML
// both become nodes, so that all that follows has one form to deal with.
type Node struct {
	Kind    Kind
	Text    string // of a string its value, of a number its digits, of a bool true or false
	Place   Place
	Wrong   string // why the value cannot be used; empty: it can
	Members []Member
}

// Member is a member of an object, or of a list without a key.
type Member struct {
	Key   string
	Place Place  // of the key
	Wrong string // why the key cannot be used
	Value *Node
}

type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// Name is the kind in the words of a problem.
func (k Kind) Name() string {
	return [...]string{"null", "true or false", "a number", "a string", "a list", "an object"}[k]
}

// Limits bound what one file may hold. Each must be set.
type Limits struct {
	Depth       int // nesting of lists and objects
	Values      int // keys and values
	Documents   int // of YAML
	Definitions int // apps, pods and groups
}

// Place is a position in a file: line and column from 1, the column in bytes.
// The zero place is the file as a whole.
type Place struct{ Line, Column int }

// Fault is something wrong at a place of a file, before it is known whose.
type Fault struct {
	Place   Place
	Message string
}

// Get is the value of a key, nil if the object has none.
func (n *Node) Get(key string) *Node {
	for i := range n.Members {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// Last is what counts of a key that may stand twice, nil if the object has none.
func (n *Node) Last(key string) *Node {
	for i := len(n.Members) - 1; i >= 0; i-- {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// Has reports whether an object has a member that says something.
func (n *Node) Has(key string) bool {
	value := n.Last(key)
	return value != nil && value.Kind != Null
}

// Size counts a value with all in it.
func (n *Node) Size() int {
	size := 1
	for i := range n.Members {
		size += n.Members[i].Value.Size()
	}
	return size
}

// Sorted are the members of an object by key, each key once: the last counts.
func (n *Node) Sorted() []Member {
	byKey := func(a, b Member) int { return strings.Compare(a.Key, b.Key) }
	rises := true
	for i := 1; i < len(n.Members) && rises; i++ {
		rises = n.Members[i-1].Key < n.Members[i].Key
	}
	if rises {
		return n.Members
	}
	all := slices.Clone(n.Members)
	slices.SortStableFunc(all, byKey)
	slices.Reverse(all)
	all = slices.CompactFunc(all, func(a, b Member) bool { return a.Key == b.Key })
	slices.Reverse(all)
	return all
}

// NodeOf is decoded JSON as a value that stands nowhere.
func NodeOf(tree any) *Node {
	n := &Node{}
	switch t := tree.(type) {
	case nil:
	case bool:
		n.Kind, n.Text = Bool, strconv.FormatBool(t)
	case string:
		n.Kind, n.Text = String, t
	case json.Number:
		n.Kind, n.Text = Number, t.String()
	case []any:
		n.Kind, n.Members = List, make([]Member, len(t))
		for i := range t {
			n.Members[i].Value = NodeOf(t[i])
		}
	case map[string]any:
		n.Kind, n.Members = Object, make([]Member, 0, len(t))
		for _, key := range slices.Sorted(maps.Keys(t)) {
			n.Members = append(n.Members, Member{Key: key, Value: NodeOf(t[key])})
		}
	default: // a float64 or int, of who did not ask for json.Number
		n.Kind, n.Text = Number, fmt.Sprint(t)
	}
	return n
}

// Tree is the value as decoded JSON: map[string]any, []any, string,
// json.Number, bool, nil.
func (n *Node) Tree() any {
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		return json.Number(n.Text)
	case String:
		return n.Text
	case List:
		l := make([]any, len(n.Members))
		for i, m := range n.Members {
			l[i] = m.Value.Tree()
		}
		return l
	case Object:
		o := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			o[m.Key] = m.Value.Tree()
		}
		return o
	}
	return nil
}

// Faults tells each thing that is wrong in a value, in reading order.
func (n *Node) Faults(tell func(Fault)) {
	if n.Wrong != "" {
		tell(Fault{n.Place, n.Wrong})
	}
	for _, m := range n.Members {
		if m.Wrong != "" {
			tell(Fault{m.Place, m.Wrong})
		}
		m.Value.Faults(tell)
	}
}

// At is the place of the nearest existing node to a path in Marathon's
// notation, such as /healthChecks(0)/portIndex or /env/A/B (a key may hold any
// character). For a member of an object that is the place of its key. told
// reports that something on the way is wrong already.
func (n *Node) At(path string, known Index) (p Place, told bool) {
	p, told = n.Place, n.Wrong != ""
	for path != "" {
		m, rest := n.step(path, known)
		if m == nil {
			break
		}
		n, path, p = m.Value, rest, m.Place
		if p.Line == 0 {
			p = n.Place
		}
		told = told || m.Wrong != "" || n.Wrong != ""
	}
	return p, told
}

// step follows the first part of a path; nil where it leads nowhere.
func (n *Node) step(path string, known Index) (m *Member, rest string) {
	if n.Kind == List {
		end := strings.IndexByte(path, ')')
		if path[0] != '(' || end < 0 {
			return nil, ""
		}
		i, err := strconv.Atoi(path[1:end])
		if err != nil || i < 0 || i >= len(n.Members) {
			return nil, ""
		}
		return &n.Members[i], path[end+1:]
	}
	path = strings.TrimPrefix(path, "/")
	if len(n.Members) > manyMembers {
		return known.member(n, path)
	}
	for i := range n.Members {
		r, ok := strings.CutPrefix(path, n.Members[i].Key)
		if !ok || r != "" && r[0] != '/' && r[0] != '(' {
			continue
		}
		if m == nil || len(n.Members[i].Key) > len(m.Key) {
			m, rest = &n.Members[i], r
		}
	}
	return m, rest
}

// Index says where the keys of objects with many members stand: there may be as
// many faults as members, and to look at each for each would take seconds.
type Index map[*Node]map[string]int

const manyMembers = 64

// Member is the member with the longest key that a path can begin with, the
// first of those that are the same.
func (x Index) member(n *Node, path string) (m *Member, rest string) {
	keys := x[n]
	if keys == nil {
		keys = make(map[string]int, len(n.Members))
		for i := len(n.Members) - 1; i >= 0; i-- {
			keys[n.Members[i].Key] = i
		}
		x[n] = keys
	}
	for end := len(path); end >= 0; end-- {
		if end < len(path) && path[end] != '/' && path[end] != '(' {
			continue
		}
		if i, found := keys[path[:end]]; found {
			return &n.Members[i], path[end:]
		}
	}
	return nil, ""
}

// lines turns offsets in a text into places.
type lines struct {
	text  string
	start []int // offset of each line
}

func newLines(text string) *lines {
	l := &lines{text: text, start: make([]int, 1, 64)}
	for i := range len(text) {
		if text[i] == '\n' {
			l.start = append(l.start, i+1)
		}
	}
	return l
}

// cursor turns rising offsets into places without searching.
type cursor struct {
	lines *lines
	line  int // index into lines.start
}

func (c *cursor) place(offset int) Place {
	for c.line+1 < len(c.lines.start) && c.lines.start[c.line+1] <= offset {
		c.line++
	}
	return Place{c.line + 1, offset - c.lines.start[c.line] + 1}
}

func FormatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// With is an object with another value for a key, or with that key besides.
func (n *Node) With(key string, value *Node) *Node {
	whole := *n
	whole.Members = make([]Member, 0, len(n.Members)+1)
	for _, m := range n.Members {
		if m.Key != key {
			whole.Members = append(whole.Members, m)
		}
	}
	whole.Members = append(whole.Members, Member{Key: key, Value: value})
	return &whole
}
