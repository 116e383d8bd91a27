package manifests

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// node is a value of a manifest with the place where it stands. JSON and YAML
// both become nodes, so that all that follows has one form to deal with.
type node struct {
	kind    nodeKind
	text    string // of a string its value, of a number its digits, of a bool true or false
	place   place
	wrong   string // why the value cannot be used; empty: it can
	members []member
}

// member is a member of an object, or of a list without a key.
type member struct {
	key   string
	place place  // of the key
	wrong string // why the key cannot be used
	value *node
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	listNode
	objectNode
)

// name is the kind in the words of a problem.
func (k nodeKind) name() string {
	return [...]string{"null", "true or false", "a number", "a string", "a list", "an object"}[k]
}

// place is a position in a file: line and column from 1, the column in bytes.
// The zero place is the file as a whole.
type place struct{ line, column int }

// fault is something wrong at a place of a file, before it is known whose.
type fault struct {
	place   place
	message string
}

// get is the value of a key, nil if the object has none.
func (n *node) get(key string) *node {
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// last is what counts of a key that may stand twice, nil if the object has none.
func (n *node) last(key string) *node {
	for i := len(n.members) - 1; i >= 0; i-- {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// has reports whether an object has a member that says something.
func (n *node) has(key string) bool {
	value := n.last(key)
	return value != nil && value.kind != nullNode
}

// size counts a value with all in it.
func (n *node) size() int {
	size := 1
	for i := range n.members {
		size += n.members[i].value.size()
	}
	return size
}

// sorted are the members of an object by key, each key once: the last counts.
func (n *node) sorted() []member {
	byKey := func(a, b member) int { return strings.Compare(a.key, b.key) }
	rises := true
	for i := 1; i < len(n.members) && rises; i++ {
		rises = n.members[i-1].key < n.members[i].key
	}
	if rises {
		return n.members
	}
	all := slices.Clone(n.members)
	slices.SortStableFunc(all, byKey)
	slices.Reverse(all)
	all = slices.CompactFunc(all, func(a, b member) bool { return a.key == b.key })
	slices.Reverse(all)
	return all
}

// nodeOf is decoded JSON as a value that stands nowhere.
func nodeOf(tree any) *node {
	n := &node{}
	switch t := tree.(type) {
	case nil:
	case bool:
		n.kind, n.text = boolNode, strconv.FormatBool(t)
	case string:
		n.kind, n.text = stringNode, t
	case json.Number:
		n.kind, n.text = numberNode, t.String()
	case []any:
		n.kind, n.members = listNode, make([]member, len(t))
		for i := range t {
			n.members[i].value = nodeOf(t[i])
		}
	case map[string]any:
		n.kind, n.members = objectNode, make([]member, 0, len(t))
		for _, key := range sortedKeys(t) {
			n.members = append(n.members, member{key: key, value: nodeOf(t[key])})
		}
	default: // a float64 or int, of who did not ask for json.Number
		n.kind, n.text = numberNode, fmt.Sprint(t)
	}
	return n
}

// tree is the value as decoded JSON: map[string]any, []any, string,
// json.Number, bool, nil.
func (n *node) tree() any {
	switch n.kind {
	case boolNode:
		return n.text == "true"
	case numberNode:
		return json.Number(n.text)
	case stringNode:
		return n.text
	case listNode:
		l := make([]any, len(n.members))
		for i, m := range n.members {
			l[i] = m.value.tree()
		}
		return l
	case objectNode:
		o := make(map[string]any, len(n.members))
		for _, m := range n.members {
			o[m.key] = m.value.tree()
		}
		return o
	}
	return nil
}

// faults tells each thing that is wrong in a value, in reading order.
func (n *node) faults(tell func(fault)) {
	if n.wrong != "" {
		tell(fault{n.place, n.wrong})
	}
	for _, m := range n.members {
		if m.wrong != "" {
			tell(fault{m.place, m.wrong})
		}
		m.value.faults(tell)
	}
}

// at is the place of the nearest existing node to a path in Marathon's
// notation, such as /healthChecks(0)/portIndex or /env/A/B (a key may hold any
// character). For a member of an object that is the place of its key. told
// reports that something on the way is wrong already.
func (n *node) at(path string, known index) (p place, told bool) {
	p, told = n.place, n.wrong != ""
	for path != "" {
		m, rest := n.step(path, known)
		if m == nil {
			break
		}
		n, path, p = m.value, rest, m.place
		if p.line == 0 {
			p = n.place
		}
		told = told || m.wrong != "" || n.wrong != ""
	}
	return p, told
}

// step follows the first part of a path; nil where it leads nowhere.
func (n *node) step(path string, known index) (m *member, rest string) {
	if n.kind == listNode {
		end := strings.IndexByte(path, ')')
		if path[0] != '(' || end < 0 {
			return nil, ""
		}
		i, err := strconv.Atoi(path[1:end])
		if err != nil || i < 0 || i >= len(n.members) {
			return nil, ""
		}
		return &n.members[i], path[end+1:]
	}
	path = strings.TrimPrefix(path, "/")
	if len(n.members) > manyMembers {
		return known.member(n, path)
	}
	for i := range n.members {
		r, ok := strings.CutPrefix(path, n.members[i].key)
		if !ok || r != "" && r[0] != '/' && r[0] != '(' {
			continue
		}
		if m == nil || len(n.members[i].key) > len(m.key) {
			m, rest = &n.members[i], r
		}
	}
	return m, rest
}

// index says where the keys of objects with many members stand: there may be as
// many faults as members, and to look at each for each would take seconds.
type index map[*node]map[string]int

const manyMembers = 64

// member is the member with the longest key that a path can begin with, the
// first of those that are the same.
func (x index) member(n *node, path string) (m *member, rest string) {
	keys := x[n]
	if keys == nil {
		keys = make(map[string]int, len(n.members))
		for i := len(n.members) - 1; i >= 0; i-- {
			keys[n.members[i].key] = i
		}
		x[n] = keys
	}
	for end := len(path); end >= 0; end-- {
		if end < len(path) && path[end] != '/' && path[end] != '(' {
			continue
		}
		if i, found := keys[path[:end]]; found {
			return &n.members[i], path[end:]
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

func (c *cursor) place(offset int) place {
	for c.line+1 < len(c.lines.start) && c.lines.start[c.line+1] <= offset {
		c.line++
	}
	return place{c.line + 1, offset - c.lines.start[c.line] + 1}
}
