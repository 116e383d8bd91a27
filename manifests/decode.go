package manifests

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// DecodeApp checks the shape of an app as it stands in a manifest and reads it.
// The tree is decoded JSON: map[string]any, []any, string, json.Number, bool,
// nil; it is not changed. All violations are collected. Those that Marathon
// would find carry its path, status and words; an unknown field, which
// Marathon takes in silence, has Status 0. The app is nil if there is a
// violation that is no warning.
func DecodeApp(tree any) (*App, []Violation) { return decodeAs[App](syntax.NodeOf(tree), appShape) }

// DecodePod does for a pod what DecodeApp does for an app.
func DecodePod(tree any) (*Pod, []Violation) { return decodeAs[Pod](syntax.NodeOf(tree), podShape) }

// DecodeGroup does for a group, with all in it, what DecodeApp does for an app.
func DecodeGroup(tree any) (*Group, []Violation) {
	return decodeAs[Group](syntax.NodeOf(tree), groupShape)
}

func decodeAs[T any](n *syntax.Node, s *shape) (*T, []Violation) {
	v, found := decodeKnown[T](n, s, 0)
	if slices.ContainsFunc(found, func(v Violation) bool { return !v.Warning }) {
		return nil, found
	}
	return v, found
}

// decodeKnown is decodeAs for those who want to see more of what is wrong: an
// unknown field does not keep it from reading the rest, as it does not keep
// Marathon. So many violations of each severity are kept; 0: maxFindings.
func decodeKnown[T any](n *syntax.Node, s *shape, most int) (*T, []Violation) {
	read, found, whole := decodePart[T](n, s, most)
	if !whole {
		return nil, found
	}
	return read, found
}

// decodePart is decodeKnown that also returns what it could read, and whether that
// is all: fields that something was found in may be read in part.
func decodePart[T any](n *syntax.Node, s *shape, most int) (read *T, found []Violation, whole bool) {
	var d decoder
	d.most = most
	read = new(T)
	d.value(n, s, "", ofValue(read))
	return read, d.all(), d.errors() <= d.unknowns
}

// decoder walks a value along a shape. It collects what is wrong, and writes the
// rest where it belongs: without nulls and without what Marathon fills in, with
// enums and integers in canonical form. What is written counts only if nothing
// is wrong.
type decoder struct {
	findings
	suggested int            // how many unknown fields a right name was looked for
	unknowns  int            // how many unknown fields there are
	given     []*syntax.Node // the members of the objects that are open, in their tables' order
	shown     *syntax.Node   // what undefined was asked for last
	asJSON    string         // and how it is shown
}

// mostSuggested bounds the time that a definition of nothing but unknown fields
// takes.
const mostSuggested = 100

// value checks a value against a shape and writes it to where it belongs.
func (d *decoder) value(n *syntax.Node, s *shape, path string, to reflect.Value) {
	switch s.kind {
	case kindString:
		d.text(n, s, path, to)
	case kindEnum:
		d.enum(n, s, path, to)
	case kindInt, kindLong, kindNumber:
		d.number(n, s, path, to)
	case kindBool:
		d.boolean(n, s, path, to)
	case kindList:
		d.list(n, s, path, to)
	case kindMap:
		d.mapping(n, s, path, to)
	case kindAny:
		d.anything(n, path, to)
	case kindObject:
		d.object(n, s, path, to)
	default:
		d.special(n, s, path, to)
	}
}

func (d *decoder) special(n *syntax.Node, s *shape, path string, to reflect.Value) {
	switch s.kind {
	case kindEnvValue:
		d.envValue(n, s, path, as[EnvValue](to))
	case kindLimit:
		d.limit(n, path, as[Limit](to))
	case kindUnreachable:
		d.unreachable(n, s, path, as[UnreachableStrategy](to))
	case kindConstraint:
		d.constraint(n, path, as[Constraint](to))
	case kindCommand:
		d.command(n, s, path, settle(to))
	case kindVolume:
		d.appVolume(n, s, path, settle(to))
	case kindPodVolume:
		d.podVolume(n, s, path, settle(to))
	case kindScaling:
		d.scaling(n, s, path, settle(to))
	}
}

func (d *decoder) text(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if d.isText(n, s, path) {
		settle(to).SetString(plainText(n.Text))
	}
}

// isText checks a text; false: it is none.
func (d *decoder) isText(n *syntax.Node, s *shape, path string) bool {
	if n.Kind != syntax.String {
		d.refuse(path, "error.expected.jsstring", "%s is %s: write it as a string, in quotes", last(path), s.show(n))
		return false
	}
	if s.max != nil && float64(javaLength(n.Text)) > *s.max {
		d.refuse(path, "error.maxLength", "%s has %d characters: at most %g are allowed", last(path), javaLength(n.Text), *s.max)
	}
	if s.min != nil && float64(javaLength(n.Text)) < *s.min {
		d.refuse(path, "error.minLength", "%s is empty: give it a value, or leave it out", last(path))
	}
	if s.pattern != nil && !s.pattern.MatchString(n.Text) {
		d.refuse(path, "error.pattern", "%s is %s: %s", last(path), s.show(n), patternWords(s))
	}
	return true
}

// patternWords says what a pattern of schema_common.go means.
func patternWords(s *shape) string {
	switch s.pattern {
	case pathIDPattern:
		return "an id consists of lower-case letters, digits, dashes and dots, in parts divided by slashes"
	case namePattern:
		return "a name consists of lower-case letters, digits and dashes, and neither begins nor ends with a dash"
	case networkNamePattern:
		return "a network's name consists of lower-case letters, digits, dashes and underscores"
	}
	if s.pattern == executorPattern {
		return "write //cmd, or the path of an executor"
	}
	return "it must match " + s.pattern.String()
}

// enum canonicalises, since Marathon reads enums in any case (recorded).
func (d *decoder) enum(n *syntax.Node, s *shape, path string, to reflect.Value) {
	for _, e := range s.enum {
		if n.Kind == syntax.String && n.Text != "" && strings.EqualFold(e, n.Text) {
			settle(to).SetString(e)
			return
		}
	}
	d.refuse(path, "error.unknown.enum.literal", "%s is %s: write one of %s", last(path), s.show(n), strings.Join(s.enum, ", "))
}

func (d *decoder) boolean(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind == syntax.Bool {
		settle(to).SetBool(n.Text == "true")
		return
	}
	hint := "write true or false"
	if n.Kind == syntax.String && (strings.EqualFold(n.Text, "true") || strings.EqualFold(n.Text, "false")) {
		hint = "write " + strings.ToLower(n.Text) + " without quotes"
	}
	d.refuse(path, "error.expected.jsboolean", "%s is %s: %s", last(path), s.show(n), hint)
}

func (d *decoder) number(n *syntax.Node, s *shape, path string, to reflect.Value) {
	f, err := strconv.ParseFloat(n.Text, 64)
	if n.Kind != syntax.Number || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		answer := "error.expected.jsnumber"
		if n.Kind == syntax.Number && s.kind != kindNumber {
			answer = "error.expected.int"
		}
		d.refuse(path, answer, "%s is %s: write %s", last(path), s.show(n), numberHint(n, s))
		return
	}
	shown, whole := n.Text, int64(0)
	if s.kind != kindNumber {
		var ok bool
		if whole, shown, ok = wholeNumber(n.Text, f, s.kind); !ok {
			d.refuse(path, map[kind]string{kindInt: "error.expected.int", kindLong: "error.expected.long"}[s.kind],
				"%s is %s: write a whole number", last(path), n.Text)
			return
		}
	}
	switch {
	case s.min == nil || f >= *s.min:
	case f >= math.Trunc(*s.min):
		// Marathon's reader is made from its documentation, and cuts the fraction
		// off each bound on the way.
		d.warn(path, "%s is %s, less than the %s that Marathon documents: it takes it, and counts what is below a thousandth as 0", last(path), shown, syntax.FormatNumber(*s.min))
	default:
		d.refuse(path, "error.min", "%s is %s: at least %s", last(path), shown, syntax.FormatNumber(*s.min))
	}
	if s.max != nil && f > *s.max {
		d.refuse(path, "error.max", "%s is %s: at most %s", last(path), shown, syntax.FormatNumber(*s.max))
	}
	if to = settle(to); to.CanFloat() {
		to.SetFloat(f)
	} else {
		to.SetInt(whole)
	}
}

// wholeNumber accepts 1, 1.0 and 1e0 alike, as Marathon does (recorded).
func wholeNumber(digits string, f float64, k kind) (whole int64, shown string, ok bool) {
	bits := 64
	if k == kindInt {
		bits = 32
	}
	if whole, err := strconv.ParseInt(digits, 10, bits); err == nil {
		return whole, digits, true
	}
	limit := math.Ldexp(1, bits-1)
	if f != math.Trunc(f) || f < -limit || f >= limit {
		return 0, "", false
	}
	return int64(f), strconv.FormatInt(int64(f), 10), true
}

func numberHint(n *syntax.Node, s *shape) string {
	if n.Kind == syntax.String {
		if _, err := strconv.ParseFloat(n.Text, 64); err == nil {
			return "the number " + n.Text + " without quotes"
		}
	}
	if s.kind == kindNumber {
		return "a number"
	}
	return "a whole number"
}

// maxMembers bounds one list or object within a definition: whatever Marathon
// does, no task has so many ports, volumes, labels or arguments.
const maxMembers = 5_000

// tooMany refuses a list or object that is too long to be meant.
func (d *decoder) tooMany(n *syntax.Node, path string) bool {
	if len(n.Members) <= maxMembers {
		return false
	}
	d.refuse(path, "error.maxLength", "%s has %d members: at most %d are allowed; split the definition into several", last(path), len(n.Members), maxMembers)
	return true
}

func (d *decoder) list(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.List {
		d.refuse(path, "error.expected.jsarray", "%s is %s: write a list", last(path), s.show(n))
		return
	}
	if d.tooMany(n, path) {
		return
	}
	if s.min != nil && float64(len(n.Members)) < *s.min {
		d.refuse(path, "error.minLength", "%s is empty: it needs at least %g", last(path), *s.min)
	}
	if len(n.Members) == 0 {
		to.Set(reflect.MakeSlice(to.Type(), 0, 0)) // given as empty
		return
	}
	to.Grow(len(n.Members))
	to.SetLen(len(n.Members))
	for i := range n.Members {
		d.value(n.Members[i].Value, s.elem, path+"("+strconv.Itoa(i)+")", to.Index(i))
	}
}

func (d *decoder) mapping(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.Object {
		d.refuse(path, "error.expected.jsobject", "%s is %s: write an object", last(path), s.elem.show(n))
		return
	}
	if d.tooMany(n, path) {
		return
	}
	members := n.Sorted()
	made := reflect.MakeMapWithSize(to.Type(), len(members))
	key, value := reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
	before := len(d.found)
	for _, m := range members {
		if s.elem.kind == kindAny && m.Value.Kind == syntax.Null {
			continue
		}
		value.SetZero()
		d.value(m.Value, s.elem, path+"/"+m.Key, value)
		key.SetString(m.Key)
		made.SetMapIndex(key, value)
	}
	to.Set(made)
	if s.pattern == nil {
		return
	}
	if before, values := len(d.found), d.refusedSince(before); values {
		defer func() { d.unanswerSince(before) }() // Marathon looks at the keys of what else is right
	}
	for _, m := range members {
		if !s.pattern.MatchString(m.Key) {
			d.refuse(path+"/"+m.Key, "error.pattern", "%s has the name %q: it must consist of letters, digits and underscores and not begin with a digit", last(path), clip(m.Key))
		}
	}
}

// anything takes what Marathon hands on as it is.
func (d *decoder) anything(n *syntax.Node, path string, to reflect.Value) {
	if v := d.plain(n, path); v != nil {
		to.Set(reflect.ValueOf(v))
	}
}

// plain is a value as encoding/json decodes it into an interface. The path is
// that of the whole.
func (d *decoder) plain(n *syntax.Node, path string) any {
	switch n.Kind {
	case syntax.Bool:
		return n.Text == "true"
	case syntax.Number:
		f, err := strconv.ParseFloat(n.Text, 64)
		if err != nil {
			d.mistake(path, "%s has a number that is too large to be represented: if it is no number, write it in quotes", last(path))
		}
		return f
	case syntax.String:
		return plainText(n.Text)
	case syntax.List:
		l := make([]any, len(n.Members))
		for i, m := range n.Members {
			l[i] = d.plain(m.Value, path)
		}
		return l
	case syntax.Object:
		o := make(map[string]any, len(n.Members))
		for _, m := range n.Sorted() {
			o[m.Key] = d.plain(m.Value, path)
		}
		return o
	}
	return nil
}

func (d *decoder) object(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.Object {
		d.notObject(n, s, path)
		return
	}
	to = settle(to)
	if c, ok := to.Addr().Interface().(*PodConstraint); ok {
		var o constraintObject
		d.members(n, s, path, ofValue(&o))
		*c = PodConstraint{Field: o.FieldName, Operator: o.Operator, Value: o.Value}
	} else {
		d.members(n, s, path, to)
	}
	for i := range s.members {
		if f := &s.members[i]; f.required && n.Last(f.name) == nil {
			d.missing(n, s, f, path)
		}
	}
}

// members checks what is there, in the table's order, and what nobody knows.
func (d *decoder) members(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if d.tooMany(n, path) {
		return
	}
	first := len(d.given)
	d.given = append(d.given, make([]*syntax.Node, len(s.members))...)
	var unknown []string
	for _, m := range n.Members {
		if f, known := s.byName[m.Key]; known {
			d.given[first+f.position] = m.Value
		} else {
			unknown = append(unknown, m.Key)
		}
	}
	for i := range s.members {
		f, v := &s.members[i], d.given[first+i]
		switch {
		case v == nil || v.Kind == syntax.Null && !f.required: // null is the same as absent (recorded)
		case f.name == residency && s == appShape && !persists(n):
			d.unknowns++
			d.mistake(path+"/"+residency, "residency is for apps with a persistent volume, and this one has none: Marathon ignores it in a new app and refuses each update that has it; remove it")
		case f.computed:
			d.warn(path+"/"+f.name, "%s is ignored: Marathon fills it in; leave it out", f.name)
		default:
			d.value(v, f.shape, path+"/"+f.name, to.Field(f.index))
		}
	}
	d.given = d.given[:first]
	slices.Sort(unknown)
	for _, name := range slices.Compact(unknown) {
		d.unknown(name, s, path)
	}
}

// residency is what Marathon shows of apps with persistent volumes.
const residency = "residency"

// persists reports whether an app has a persistent volume.
func persists(app *syntax.Node) bool {
	if !app.Has("container") || !app.Last("container").Has("volumes") {
		return false
	}
	volumes := app.Last("container").Last("volumes")
	return slices.ContainsFunc(volumes.Members, func(m syntax.Member) bool { return m.Value.Has("persistent") })
}

func (d *decoder) unknown(name string, s *shape, path string) {
	hint := "remove it"
	d.unknowns++
	if d.suggested++; d.suggested <= mostSuggested {
		hint = s.hint(name)
	}
	where := ""
	if path != "" {
		where = " in " + last(path)
	}
	d.mistake(path+"/"+name, "unknown field %s%s: Marathon would ignore it; %s", clip(name), where, hint)
}

// missing words the absence of a required member as Marathon does, which is not
// the same for objects that Play's own format reads.
func (d *decoder) missing(n *syntax.Node, s *shape, f *field, path string) {
	answer := "error.path.missing"
	if !s.strict {
		answer = d.undefined(f.name, n)
	}
	d.refuse(path+"/"+f.name, answer, "%s is missing: %s", f.name, lowerFirst(f.doc))
}

// undefined is Play's complaint about an absent member. It quotes the object,
// which may hold secrets: it is Marathon's answer to whoever sent it, and not
// for logs.
func (d *decoder) undefined(name string, n *syntax.Node) string {
	if d.shown != n { // one that lacks several members is shown for each
		b, err := json.Marshal(n.Tree())
		if err != nil {
			b = []byte("{}")
		}
		d.shown, d.asJSON = n, string(b)
	}
	return "'" + name + "' is undefined on object: " + d.asJSON
}

// notObject: Marathon reads most objects member by member, so that a string in
// the place of an object is one with all members absent.
func (d *decoder) notObject(n *syntax.Node, s *shape, path string) {
	if s.strict {
		d.refuse(path, "error.expected.jsobject", "%s is %s: write an object", last(path), s.show(n))
		return
	}
	complained := false
	for _, f := range s.members {
		if f.required {
			b, err := json.Marshal(n.Tree())
			if err != nil {
				b = []byte("null")
			}
			d.refuse(path+"/"+f.name, string(b)+" is not an object", "%s is %s: write an object", last(path), s.show(n))
			complained = true
		}
	}
	if !complained {
		d.note(Violation{Path: path, Read: &Reading{Path: path}},
			"%s is %s: write an object; Marathon would read it as an empty one", last(path), s.show(n))
	}
}

// show describes a value for a message; what may be confidential only by type.
func (s *shape) show(n *syntax.Node) string {
	switch n.Kind {
	case syntax.Null:
		return "null"
	case syntax.List:
		return "a list"
	case syntax.Object:
		return "an object"
	}
	what := map[syntax.Kind]string{syntax.String: "a string", syntax.Bool: "a boolean", syntax.Number: "a number"}[n.Kind]
	switch {
	case s.private:
		return what
	case n.Kind == syntax.String:
		return strconv.Quote(clip(n.Text)) + ", " + what
	}
	return n.Text + ", " + what
}

const longestShown = 60

func clip(t string) string {
	if r := []rune(t); len(r) > longestShown {
		return string(r[:longestShown]) + "…"
	}
	return t
}

// last is the name at the end of a path, for a message.
func last(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name == "" {
		return "the definition"
	}
	return clip(name)
}

func lowerFirst(s string) string {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
