package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// This file is what shows of Marathon's rules where a definition has errors of
// shape: Marathon answers with those alone, and who corrects them would learn of the
// rest a round later.
//
// What a rule says is reported where it says so whatever is right in the places that
// cannot be read: the definition is checked several times, each time with other
// values in these places, and what each check finds is so.

// Bounds of how often a definition is checked, and of the values that are looked at in
// these checks for one file: what a few errors of shape may cost.
const (
	mostWorlds = 40
	mostTried  = 400_000
)

// further checks what could be read of a definition in spite of the errors of
// shape that were found.
func further[T any](n *syntax.Node, s *shape, found []Violation, f findings, check func(*T, findings) []Violation) []Violation {
	h := hole{}
	var paths []string
	for _, v := range found {
		switch {
		case v.More > 0:
			return nil // the rest may be anywhere
		case v.Warning || v.Message == "":
			continue
		}
		path := cmp.Or(v.Place, v.Path)
		if rest, dug := h.dig(n, s, path, false); dug {
			paths = append(paths, strings.TrimSuffix(path, rest))
		}
	}
	hints := newHints(n)
	count := h.fill(hints)
	if count == 0 || count > mostWorlds {
		return nil
	}
	if f.tried != nil {
		cost := count * n.Size()
		if *f.tried+cost > mostTried {
			return nil
		}
		*f.tried += cost
	}
	var agreed []Violation
	first, parsed := true, 0
	for world := range count {
		part, _, whole := decodePart[T](h.filled(n, world), s, f.most)
		if !whole {
			return nil // one of the values is not right: what the others show is too little
		}
		counted := 0
		if f.parsed != nil {
			counted = *f.parsed
		}
		each := findings{most: f.most, parsed: &counted}
		agreed = agree(agreed, check(part, each), first)
		first, parsed = false, max(parsed, counted)
	}
	if f.parsed != nil {
		*f.parsed = max(*f.parsed, parsed)
	}
	return slices.DeleteFunc(agreed, func(v Violation) bool {
		return slices.ContainsFunc(paths, func(path string) bool { return pathWithin(cmp.Or(v.Place, v.Path), path) })
	})
}

// agree leaves what was found before and now.
func agree(before, now []Violation, first bool) []Violation {
	if first {
		return now
	}
	type key struct{ path, place, message string }
	found := make(map[key]bool, len(now))
	for _, v := range now {
		found[key{v.Path, v.Place, v.Message}] = true
	}
	return slices.DeleteFunc(before, func(v Violation) bool { return !found[key{v.Path, v.Place, v.Message}] })
}

// pathWithin reports whether a path in Marathon's notation leads to another or into
// what is there.
func pathWithin(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '(')
}

// hole is a part of a value that cannot be read, or that has such parts.
type hole struct {
	parts    map[int]*hole    // by index of the member
	absent   map[string]*hole // members that are not there and must be
	shape    *shape           // of what cannot be read; nil: only parts of it cannot
	optional bool             // it may be left out
	values   []*syntax.Node   // that may be right here; nil: nothing
}

// dig makes a hole in n at a path, and returns what of the path leads into what is not
// there; false: there is none, since what is wrong there (a field that nobody knows)
// keeps nothing from being read.
func (h *hole) dig(n *syntax.Node, s *shape, path string, optional bool) (left string, dug bool) {
	at, rest := lastStep(n, path)
	var inner *shape
	within := false // the part may be left out
	switch {
	case at >= 0 && s.kind == kindList:
		inner = s.elem
	case at >= 0 && s.kind == kindMap:
		inner, within = s.elem, true
		if s.pattern != nil && rest == "" && !s.pattern.MatchString(n.Members[at].Key) {
			inner = nothing // the key is wrong
		}
	case at >= 0 && s.byName != nil:
		f := s.byName[n.Members[at].Key]
		if f == nil || f.computed {
			return "", false
		}
		inner, within = f.shape, !f.required && s.kind == kindObject
	case at < 0 && n.Kind == syntax.Object && s.byName != nil && path != "":
		if f := s.byName[strings.TrimPrefix(path, "/")]; f != nil {
			if h.absent == nil {
				h.absent = map[string]*hole{}
			}
			h.absent[f.name] = &hole{shape: f.shape}
			return "", true
		}
	}
	if inner == nil {
		h.shape, h.optional = s, optional
		return path, true
	}
	part := h.parts[at]
	if part == nil {
		part = &hole{}
	}
	if left, dug = part.dig(n.Members[at].Value, inner, rest, within); !dug {
		return "", false
	}
	if h.parts == nil {
		h.parts = map[int]*hole{}
	}
	h.parts[at] = part
	return left, true
}

// lastStep is the index of the member that a path leads to first, and the rest of the
// path; -1: it leads to none. Of a key that stands twice the last counts.
func lastStep(n *syntax.Node, path string) (at int, rest string) {
	at = -1
	if path == "" {
		return at, ""
	}
	if n.Kind == syntax.List {
		for i := range n.Members {
			if r, ok := strings.CutPrefix(path, "("+itoa(i)+")"); ok {
				return i, r
			}
		}
		return at, ""
	}
	path = strings.TrimPrefix(path, "/")
	for i, m := range n.Members {
		r, ok := strings.CutPrefix(path, m.Key)
		if ok && (r == "" || r[0] == '/' || r[0] == '(') && (at < 0 || len(m.Key) >= len(n.Members[at].Key)) {
			at, rest = i, r
		}
	}
	return at, rest
}

// fill finds values for all holes, and returns how many there are of that which has
// most; 0: there is one that none is known for.
func (h *hole) fill(hints hints) int {
	if h.shape != nil {
		h.parts, h.absent = nil, nil // all of it is replaced
		h.values = guesses(h.shape, hints)
		if h.optional {
			h.values = append(h.values, nil)
		}
		return len(h.values)
	}
	most := 1
	for _, holes := range []func(func(*hole) bool){h.eachPart, h.eachAbsent} {
		for part := range holes {
			n := part.fill(hints)
			if n == 0 {
				return 0
			}
			most = max(most, n)
		}
	}
	return most
}

func (h *hole) eachPart(yield func(*hole) bool) {
	for _, at := range sortedInts(h.parts) {
		if !yield(h.parts[at]) {
			return
		}
	}
}

func (h *hole) eachAbsent(yield func(*hole) bool) {
	for _, name := range sortedKeys(h.absent) {
		if !yield(h.absent[name]) {
			return
		}
	}
}

func sortedInts[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// filled is n with other values in the holes, for each world others; nil: nothing.
func (h *hole) filled(n *syntax.Node, world int) *syntax.Node {
	if h.shape != nil {
		return h.values[world%len(h.values)]
	}
	whole := *n
	whole.Members = make([]syntax.Member, 0, len(n.Members)+len(h.absent))
	holes := 0
	for i, m := range n.Members {
		if part := h.parts[i]; part != nil {
			// Beside each other they have different ones: each may be one of several.
			if m.Value = part.filled(m.Value, world+holes); m.Value == nil {
				continue
			}
			holes++
		}
		whole.Members = append(whole.Members, m)
	}
	for _, name := range sortedKeys(h.absent) {
		if value := h.absent[name].filled(nil, world+holes); value != nil {
			whole.Members = append(whole.Members, syntax.Member{Key: name, Value: value})
			holes++
		}
	}
	return &whole
}

// hints are the names in a definition by which parts of it are referred to.
type hints []string

// naming are the keys of what is a name, or refers to one.
var naming = map[string]bool{
	"name": true, "secret": true, "portName": true, "endpoint": true, "networkNames": true, "networkName": true, "role": true, "acceptedResourceRoles": true,
}

func newHints(n *syntax.Node) hints {
	seen := map[string]bool{}
	var collect func(n *syntax.Node, named bool)
	collect = func(n *syntax.Node, named bool) {
		if named && n.Kind == syntax.String && n.Text != "" {
			seen[n.Text] = true
		}
		for _, m := range n.Members {
			collect(m.Value, naming[m.Key] || named && n.Kind == syntax.List)
		}
	}
	collect(n, false)
	return sortedKeys(seen)
}

// guesses are values of a shape: so different that what a rule says of all of them it
// would say of any.
func guesses(s *shape, hints hints) []*syntax.Node {
	switch s.kind {
	case kindString:
		return guessTexts(s, hints)
	case kindInt, kindLong, kindNumber:
		return guessNumbers(s)
	case kindBool:
		return []*syntax.Node{{Kind: syntax.Bool, Text: "false"}, {Kind: syntax.Bool, Text: "true"}}
	case kindEnum:
		var all []*syntax.Node
		for _, word := range s.enum {
			all = append(all, textNode(word))
		}
		return all
	case kindList:
		return guessLists(s, hints)
	case kindMap:
		filled := &syntax.Node{Kind: syntax.Object}
		for _, key := range append([]string{"sample"}, hints...) {
			if s.pattern == nil || s.pattern.MatchString(key) {
				filled.Members = append(filled.Members, syntax.Member{Key: key, Value: guesses(s.elem, hints)[0]})
			}
		}
		return []*syntax.Node{{Kind: syntax.Object}, filled}
	case kindObject:
		return guessObjects(s, hints)
	}
	return guessSpecial(s, hints)
}

func textNode(text string) *syntax.Node { return &syntax.Node{Kind: syntax.String, Text: text} }

// nothing is the shape of what must not be there.
var nothing = &shape{kind: kindAny}

// samples fit the patterns of schema_common.go and schema_app.go, and roles.
var samples = []string{"sample", "//cmd", "*"}

func guessTexts(s *shape, hints hints) (all []*syntax.Node) {
	for _, text := range append(slices.Clone(samples), hints...) {
		if (s.pattern == nil || s.pattern.MatchString(text)) && (s.max == nil || float64(len(text)) <= *s.max) {
			all = append(all, textNode(text))
		}
	}
	return all
}

func guessNumbers(s *shape) (all []*syntax.Node) {
	for _, guess := range []float64{0, 1, 1_000_000} {
		if s.min != nil {
			guess = max(guess, *s.min)
		}
		if s.max != nil {
			guess = min(guess, *s.max)
		}
		all = append(all, &syntax.Node{Kind: syntax.Number, Text: syntax.FormatNumber(guess)})
	}
	return all
}

// manyGuessed is more than an index in a definition is likely to be.
const manyGuessed = 30

// guessLists has none, one, and many that differ in their names.
func guessLists(s *shape, hints hints) (all []*syntax.Node) {
	elems := guesses(s.elem, hints)
	for _, e := range elems {
		all = append(all, &syntax.Node{Kind: syntax.List, Members: []syntax.Member{{Value: e}}})
	}
	many := &syntax.Node{Kind: syntax.List, Members: make([]syntax.Member, max(manyGuessed, len(elems), len(hints)))}
	last := elems[len(elems)-1] // the fullest
	for i := range many.Members {
		many.Members[i].Value = elems[i%len(elems)]
		if name := s.elem.byName["name"]; name != nil {
			names := guessTexts(name.shape, append(slices.Clone(hints), fmt.Sprintf("sample-%d", i)))
			many.Members[i].Value = last.With("name", names[min(i, len(names)-1)])
		}
	}
	if s.min == nil || *s.min == 0 {
		all = append(all, &syntax.Node{Kind: syntax.List})
	}
	return append(all, many)
}

// guessObjects has what must be there, and last all that may be.
func guessObjects(s *shape, hints hints) (all []*syntax.Node) {
	least, full := hole{absent: map[string]*hole{}}, &syntax.Node{Kind: syntax.Object}
	for i := range s.members {
		f := &s.members[i]
		if f.required {
			least.absent[f.name] = &hole{shape: f.shape}
		}
		if f.computed || f.shape.kind == kindAny {
			continue
		}
		values := guesses(f.shape, hints)
		full.Members = append(full.Members, syntax.Member{Key: f.name, Value: values[len(values)-1]})
	}
	for world := range least.fill(hints) {
		all = append(all, least.filled(&syntax.Node{Kind: syntax.Object}, world))
	}
	return append(all, full)
}

// guessed are values of the shapes that are read by rules of their own.
var guessed = map[kind][]any{
	kindEnvValue:    {"sample", map[string]any{"secret": "sample"}},
	kindLimit:       {unlimited, 1_000_000, 0},
	kindUnreachable: {"disabled", map[string]any{}, map[string]any{"expungeAfterSeconds": 1_000_000}},
	kindConstraint:  {[]any{"hostname", "UNIQUE"}, []any{"path", "LIKE", "x"}},
	kindCommand:     {map[string]any{"shell": "sample"}},
	kindVolume: {
		map[string]any{"containerPath": "sample", "mode": "RW", "hostPath": "sample"},
		map[string]any{"containerPath": "sample", "mode": "RW", "persistent": map[string]any{"size": 1}},
		map[string]any{"containerPath": "sample", "mode": "RW", "external": map[string]any{
			"name": "sample", "provider": providerDVDI, "options": map[string]any{driverOption: "sample"},
		}},
		map[string]any{"containerPath": "sample", "secret": "sample"},
	},
	kindPodVolume: {map[string]any{"name": "sample"}, map[string]any{"name": "sample", "persistent": map[string]any{"size": 1}}},
	kindScaling:   {map[string]any{"kind": "fixed", "instances": 1}, map[string]any{"kind": "fixed", "instances": 0}},
}

// guessSpecial has each form, and each with every name that there is.
func guessSpecial(s *shape, hints hints) (all []*syntax.Node) {
	for _, form := range guessed[s.kind] {
		n := syntax.NodeOf(form)
		all = append(all, n)
		for _, key := range []string{"name", "secret"} {
			if n.Kind != syntax.Object || n.Get(key) == nil {
				continue
			}
			for _, hint := range hints {
				all = append(all, n.With(key, textNode(hint)))
			}
		}
	}
	return all
}
