package manifests

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// The tables in schema_*.go are the one place that says which fields a
// definition has: the decoder checks by them, the version check reads their
// Since, `pacer explain` and the reference are printed from them.
//
// Source: Marathon's RAML types (docs/docs/rest-api/public/api/v2/types in its
// repository); what a change does is AppDefinition.isUpgrade and
// PodDefinition.isUpgrade, and recorded in testdata/conformance.

// kind is what a value is in JSON, as Marathon reads it.
type kind uint8

const (
	kindString kind = iota
	kindInt         // 32 bits
	kindLong        // 64 bits
	kindNumber
	kindBool
	kindEnum // a string of a set, in any case
	kindObject
	kindList
	kindMap
	kindEnvValue    // a string or {"secret": name}
	kindLimit       // a number or "unlimited"
	kindUnreachable // an object or "disabled"
	kindConstraint  // a list of two or three strings
	kindCommand     // {"shell": …} or {"argv": […]}
	kindVolume      // of an app: one of four forms
	kindPodVolume   // of a pod: one of four forms
	kindScaling     // {"kind": "fixed", …}
	kindAny         // whatever it is
)

// shape is what a value may look like.
type shape struct {
	kind     kind
	words    string // the type for a person; "" for the kind's own
	enum     []string
	pattern  *regexp.Regexp // of a string, or of a map's keys
	min, max *float64       // of a number; of the length of a string or list
	elem     *shape         // of a list or map
	members  []field        // of an object
	byName   map[string]*field
	// strict: Marathon reads the object with Play's own format, which refuses
	// what is no object; the others it reads as if every member were absent.
	strict bool
	// private: a value that may be confidential and stands in no message.
	private bool
	bound   reflect.Type // of an object: the struct that it is read into
}

// field is a member of an object.
type field struct {
	name     string
	shape    *shape
	required bool   // Marathon refuses a definition without it
	computed bool   // Marathon fills it in and ignores it when given
	def      string // default, as JSON or in words
	unit     string
	since    release // first release that knows it
	effect   string  // "" for that of the object it is in
	replaced string  // of a legacy form: what stands in its place
	doc      string
	position int // in the table
	index    int // in the struct
}

// What a change of a field does to the tasks.
const (
	effectIdentity = "another id is another definition"
	effectRestarts = "a change replaces every task"
	effectScales   = "a change starts or stops tasks and keeps the others"
	effectPhantom  = "Marathon shows a change but applies it to no task, and forgets it when its leader changes, unless it comes with a change that replaces the tasks"
	effectNone     = "none: Marathon ignores it"
	effectGroup    = "a change touches no task"
	effectRole     = "a change gives the apps and pods of the group another default role, which replaces every task of those that name none"
)

func (s shape) with(change func(*shape)) *shape { change(&s); return &s }

func text() *shape     { return &shape{kind: kindString} }
func integer() *shape  { return &shape{kind: kindInt} }
func long() *shape     { return &shape{kind: kindLong} }
func number() *shape   { return &shape{kind: kindNumber} }
func boolean() *shape  { return &shape{kind: kindBool} }
func anything() *shape { return &shape{kind: kindAny} }

func oneOf(values ...string) *shape       { return &shape{kind: kindEnum, enum: values} }
func list(elem *shape) *shape             { return &shape{kind: kindList, elem: elem} }
func mapOf(elem *shape) *shape            { return &shape{kind: kindMap, elem: elem} }
func special(k kind, w string) *shape     { return &shape{kind: k, words: w} }
func (s shape) from(least float64) *shape { return s.with(func(s *shape) { s.min = &least }) }
func (s shape) to(most float64) *shape    { return s.with(func(s *shape) { s.max = &most }) }
func (s shape) matching(p *regexp.Regexp) *shape {
	return s.with(func(s *shape) { s.pattern = p })
}
func (s shape) confidential() *shape { return s.with(func(s *shape) { s.private = true }) }

func object(members ...field) *shape {
	s := &shape{kind: kindObject, members: members, byName: make(map[string]*field, len(members))}
	for i := range members {
		members[i].position = i
		s.byName[members[i].name] = &members[i]
	}
	return s
}

func strictObject(members ...field) *shape {
	s := object(members...)
	s.strict = true
	return s
}

// as gives an object another kind, for those that are read by rules of their own.
func (s shape) as(k kind) *shape { return s.with(func(s *shape) { s.kind = k }) }

var kindWords = map[kind]string{
	kindString: "string", kindInt: "integer", kindLong: "integer", kindNumber: "number", kindBool: "boolean",
	kindEnum: "string", kindObject: "object", kindEnvValue: `string or {"secret": name}`,
	kindLimit: `number or "unlimited"`, kindUnreachable: `object or "disabled"`,
	kindConstraint: "[field, operator] or [field, operator, value]", kindCommand: "object",
	kindVolume: "object", kindPodVolume: "object", kindScaling: "object", kindAny: "anything",
}

func (s *shape) typeWords() string {
	switch {
	case s.words != "":
		return s.words
	case s.kind == kindList:
		return "list of " + plural(s.elem.typeWords())
	case s.kind == kindMap:
		return "map of string to " + s.elem.typeWords()
	}
	return kindWords[s.kind]
}

func plural(words string) string {
	switch words {
	case "string", "integer", "number", "object":
		return words + "s"
	}
	return words
}

// FieldDoc describes one field of an app, a pod or a group: the decoder checks
// by it, `pacer explain` and the reference are printed from it.
type FieldDoc struct {
	Path     string   `json:"path"`               // app.container.docker.image; a list's members have the list's path
	Type     string   `json:"type"`               // in words: "list of objects"
	Unit     string   `json:"unit,omitempty"`     // "MiB", "seconds" …; empty: none
	Default  string   `json:"default,omitempty"`  // in words or as JSON; empty: none
	Min      *float64 `json:"min,omitempty"`      // of a number; of the length of a string or list
	Max      *float64 `json:"max,omitempty"`      // likewise
	Length   bool     `json:"length,omitempty"`   // Min and Max are of a length
	Enum     []string `json:"enum,omitempty"`     // the words that it may be
	Pattern  string   `json:"pattern,omitempty"`  // of a string, or of a map's keys
	Since    string   `json:"since,omitempty"`    // first Marathon release that knows it; empty: all supported ones
	Effect   string   `json:"effect"`             // what a change of it does to tasks, in words
	Replaced string   `json:"replaced,omitempty"` // for a legacy form: what stands in its place
	Computed bool     `json:"computed,omitempty"` // Marathon fills it in; ignored in a manifest
	Required bool     `json:"required,omitempty"`
	Doc      string   `json:"doc"`               // one sentence
	Members  []string `json:"members,omitempty"` // names of the fields of an object, or of a list's or map's objects
}

// Range is what its values may be, in words: "RO, RW", "0 … 65535", "at least 1
// long"; empty: no bound but the type.
func (d FieldDoc) Range() string {
	var words []string
	if len(d.Enum) > 0 {
		words = append(words, strings.Join(d.Enum, ", "))
	}
	what := ""
	if d.Length {
		what = " long"
	}
	switch {
	case d.Min != nil && d.Max != nil:
		words = append(words, syntax.FormatNumber(*d.Min)+" … "+syntax.FormatNumber(*d.Max)+what)
	case d.Min != nil:
		words = append(words, "at least "+syntax.FormatNumber(*d.Min)+what)
	case d.Max != nil:
		words = append(words, "at most "+syntax.FormatNumber(*d.Max)+what)
	}
	return strings.Join(words, "; ")
}

// root is a kind of definition, the beginning of a path.
type root struct {
	kind        Kind
	shape       *shape
	effect, doc string
}

var roots = []root{
	{KindApp, appShape, effectRestarts, "A service of which a number of equal tasks run."},
	{KindPod, podShape, effectRestarts, "Containers that run together on one agent, a number of times."},
	{KindGroup, groupShape, effectGroup, "A folder of apps, pods and groups."},
}

// AllFields yields every field of apps, pods and groups, in reading order. The
// apps and pods inside a group are not repeated.
func AllFields() iter.Seq[FieldDoc] {
	return func(yield func(FieldDoc) bool) {
		for _, root := range roots {
			if !eachField(string(root.kind), root.shape, field{}, yield) {
				return
			}
		}
	}
}

func eachField(path string, s *shape, parent field, yield func(FieldDoc) bool) bool {
	for _, f := range s.members {
		f = f.inherit(parent)
		at := path + "." + f.name
		if !yield(f.document(at)) {
			return false
		}
		inner := f.shape.objects()
		if inner == appShape || inner == podShape || inner == groupShape {
			continue
		}
		if inner != nil && !eachField(at, inner, f, yield) {
			return false
		}
	}
	return true
}

// objects is the shape of the objects that a value is, or consists of.
func (s *shape) objects() *shape {
	for s.elem != nil {
		s = s.elem
	}
	if len(s.members) == 0 {
		return nil
	}
	return s
}

// inherit gives a field what holds for the object that it is in.
func (f field) inherit(parent field) field {
	if f.effect == "" {
		f.effect = parent.effect
	}
	if f.effect == "" {
		f.effect = effectRestarts
	}
	if f.since < parent.since {
		f.since = parent.since
	}
	if f.replaced == "" {
		f.replaced = parent.replaced
	}
	return f
}

func (f field) document(path string) FieldDoc {
	limits := f.shape
	d := FieldDoc{
		Path: path, Type: f.shape.typeWords(), Unit: f.unit, Default: f.def,
		Effect: f.effect, Replaced: f.replaced, Computed: f.computed, Required: f.required, Doc: f.doc,
	}
	if f.since > oldestRelease {
		d.Since = f.since.String()
	}
	if limits.kind == kindList && limits.elem.kind != kindObject && limits.min == nil && limits.max == nil {
		limits = limits.elem // a list of strings, numbers or words of a set
	}
	d.Min, d.Max, d.Enum = limits.min, limits.max, limits.enum
	d.Length = (d.Min != nil || d.Max != nil) && (limits.kind == kindString || limits.kind == kindList)
	if limits.pattern != nil {
		d.Pattern = limits.pattern.String()
	}
	if inner := f.shape.objects(); inner != nil {
		for _, m := range inner.members {
			d.Members = append(d.Members, m.name)
		}
	}
	return d
}

// Explain finds a field by a dotted or slashed path: cpus,
// container.docker.image, /healthChecks(0)/path, pod.containers.resources.cpus.
// Without a kind in front, an app's field is looked for first. A kind alone is
// what it consists of. An unknown path is an error that names the nearest right
// one.
func Explain(path string) (FieldDoc, error) {
	want := fieldPath(path)
	if want == "" {
		return FieldDoc{}, fmt.Errorf("no field named: write one, for example app.container.docker.image")
	}
	if len(want) > 10*longestShown {
		return FieldDoc{}, fmt.Errorf("no field %q", clip(path))
	}
	for _, root := range roots {
		if want == string(root.kind) {
			whole := field{shape: root.shape, effect: root.effect, doc: root.doc}
			return whole.document(want), nil
		}
	}
	inKind, ofKind := "", want
	if kind, rest, deeper := strings.Cut(want, "."); deeper && slices.ContainsFunc(roots, func(r root) bool { return kind == string(r.kind) }) {
		inKind, ofKind = kind+".", rest
	}
	var nearest string
	best := -1.0
	for d := range AllFields() {
		_, bare, _ := strings.Cut(d.Path, ".")
		if d.Path == want || bare == want {
			return d, nil
		}
		if s := resemblance(bare, ofKind, d.Replaced != ""); s > best && strings.HasPrefix(d.Path, inKind) {
			best, nearest = s, d.Path
		}
	}
	return FieldDoc{}, fmt.Errorf("no field %q: the nearest is %s", path, nearest)
}

// resemblance of a path to what somebody wrote, from 0 to 1. One who knows the
// end of a path, or its last name, means that; and rather not an old form.
func resemblance(candidate, want string, old bool) float64 {
	candidate, want = strings.ToLower(candidate), strings.ToLower(want)
	s := 0.8 * levenshtein.Similarity(candidate, want, nil)
	if strings.HasSuffix("."+candidate, "."+want) {
		s = 1
	} else if !strings.Contains(want, ".") {
		s = max(s, 0.9*levenshtein.Similarity(candidate[strings.LastIndexByte(candidate, '.')+1:], want, nil))
	}
	if old {
		s -= 0.05
	}
	return s
}

var indexPattern = regexp.MustCompile(`\(\d+\)|\[\d+\]`)

// fieldPath brings Marathon's notation, a JSON pointer or a dotted path into
// the form of FieldDoc.Path.
func fieldPath(path string) string {
	path = indexPattern.ReplaceAllString(strings.TrimSpace(path), "")
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '/' })
	return strings.Join(slices.DeleteFunc(parts, isDigits), ".")
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// hint says what to do about a member that an object does not have:
//
//	the name is one of an object in it        its place
//	it is like one of the object's own        that one
//	one of them begins with it, or it does    that one: interval, intervalSeconds; environment, env
//	none of these                             remove it
func (s *shape) hint(name string) string {
	if place := s.placeOf(name); place != "" {
		return "its place is " + place
	}
	if nearest := cmp.Or(s.nearestMember(name), s.abbreviated(name)); nearest != "" {
		return "did you mean " + nearest + "?"
	}
	return "remove it"
}

// placeOf is the path to the one member of a name in the objects that are in this
// one, two deep at most; empty where there is none, or several.
func (s *shape) placeOf(name string) string {
	level, paths := []*shape{s}, []string{""}
	for range 2 {
		var below []*shape
		var belowPaths, found []string
		for i, at := range level {
			for _, m := range at.members {
				if m.computed || m.shape == nil || len(m.shape.members) == 0 {
					continue
				}
				path := paths[i] + m.name + "."
				below, belowPaths = append(below, m.shape), append(belowPaths, path)
				if f := m.shape.byName[name]; f != nil && !f.computed {
					found = append(found, path+name)
				}
			}
		}
		if len(found) > 0 {
			if len(found) > 1 {
				return ""
			}
			return found[0]
		}
		level, paths = below, belowPaths
	}
	return ""
}

// abbreviated is the member of which a name is the beginning, or the other way
// round; at least three letters of it.
func (s *shape) abbreviated(name string) string {
	const least = 3
	for _, m := range s.members {
		short, long := name, m.name
		if len(short) > len(long) {
			short, long = long, short
		}
		if !m.computed && len(short) >= least && strings.HasPrefix(strings.ToLower(long), strings.ToLower(short)) {
			return m.name
		}
	}
	return ""
}

// nearestMember is the member whose name resembles most what was written, or
// "" if none does.
func (s *shape) nearestMember(name string) string {
	if len(name) > longestShown {
		return "" // and comparing would take long
	}
	nearest, best := "", 0.55 // below this a suggestion misleads
	for _, m := range s.members {
		if m.computed {
			continue
		}
		if score := levenshtein.Similarity(strings.ToLower(m.name), strings.ToLower(name), nil); score > best {
			nearest, best = m.name, score
		}
	}
	return nearest
}
