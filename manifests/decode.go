package manifests

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// DecodeApp checks the shape of an app as it stands in a manifest and reads it.
// The tree is decoded JSON: map[string]any, []any, string, json.Number, bool,
// nil; it is not changed. All violations are collected. Those that Marathon
// would find carry its path, status and words; an unknown field, which
// Marathon takes in silence, has Status 0. The app is nil if there is a
// violation that is no warning.
func DecodeApp(tree any) (*App, []Violation) { return decodeAs[App](tree, appShape) }

// DecodePod does for a pod what DecodeApp does for an app.
func DecodePod(tree any) (*Pod, []Violation) { return decodeAs[Pod](tree, podShape) }

// DecodeGroup does for a group, with all in it, what DecodeApp does for an app.
func DecodeGroup(tree any) (*Group, []Violation) { return decodeAs[Group](tree, groupShape) }

func decodeAs[T any](tree any, s *shape) (*T, []Violation) {
	v, found := decodeKnown[T](tree, s)
	if slices.ContainsFunc(found, func(v Violation) bool { return !v.Warning }) {
		return nil, found
	}
	return v, found
}

// decodeKnown is decodeAs for those who want to see more of what is wrong: an
// unknown field does not keep it from reading the rest, as it does not keep
// Marathon.
func decodeKnown[T any](tree any, s *shape) (*T, []Violation) {
	var d decoder
	clean := d.value(tree, s, "")
	wrong := 0
	for _, v := range d.found {
		if !v.Warning {
			wrong++
		}
	}
	if wrong > d.unknowns {
		return nil, d.found
	}
	b, err := json.Marshal(clean)
	if err == nil {
		v := new(T)
		if err = json.Unmarshal(b, v); err == nil {
			return v, d.found
		}
	}
	// The tables and the Go types disagree: a test holds them together.
	return nil, append(d.found, Violation{Path: "/", Message: "cannot be read: " + err.Error()})
}

// decoder walks a tree along a shape. It collects what is wrong, and builds a
// copy without nulls and without what Marathon fills in, with enums and
// integers in canonical form.
type decoder struct {
	findings
	suggested int // how many unknown fields a right name was looked for
	unknowns  int // how many unknown fields there are
}

// mostSuggested bounds the time that a definition of nothing but unknown fields
// takes.
const mostSuggested = 100

// value checks a value against a shape and returns its clean copy.
func (d *decoder) value(v any, s *shape, path string) any {
	switch s.kind {
	case kindString, kindEnum:
		return d.text(v, s, path)
	case kindInt, kindLong, kindNumber:
		return d.number(v, s, path)
	case kindBool:
		return d.boolean(v, s, path)
	case kindList:
		return d.list(v, s, path)
	case kindMap:
		return d.mapping(v, s, path)
	case kindAny:
		return v
	case kindObject:
		return d.object(v, s, path)
	}
	return d.special(v, s, path)
}

func (d *decoder) special(v any, s *shape, path string) any {
	switch s.kind {
	case kindEnvValue:
		return d.envValue(v, s, path)
	case kindLimit:
		return d.limit(v, path)
	case kindUnreachable:
		return d.unreachable(v, s, path)
	case kindConstraint:
		return d.constraint(v, path)
	case kindCommand:
		return d.command(v, s, path)
	case kindVolume:
		return d.appVolume(v, s, path)
	case kindPodVolume:
		return d.podVolume(v, s, path)
	}
	return d.scaling(v, s, path)
}

func (d *decoder) text(v any, s *shape, path string) any {
	t, ok := v.(string)
	if s.kind == kindEnum {
		return d.enum(v, t, s, path)
	}
	if !ok {
		d.refuse(path, "error.expected.jsstring", "%s is %s: write it as a string, in quotes", last(path), s.show(v))
		return nil
	}
	length := float64(javaLength(t))
	if s.max != nil && length > *s.max {
		d.refuse(path, "error.maxLength", "%s has %d characters: at most %g are allowed", last(path), int(length), *s.max)
	}
	if s.min != nil && length < *s.min {
		d.refuse(path, "error.minLength", "%s is empty: give it a value, or leave it out", last(path))
	}
	if s.pattern != nil && !s.pattern.MatchString(t) {
		d.refuse(path, "error.pattern", "%s is %s: %s", last(path), s.show(v), patternWords(s))
	}
	return t
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
func (d *decoder) enum(v any, t string, s *shape, path string) any {
	for _, e := range s.enum {
		if t != "" && strings.EqualFold(e, t) {
			return e
		}
	}
	d.refuse(path, "error.unknown.enum.literal", "%s is %s: write one of %s", last(path), s.show(v), strings.Join(s.enum, ", "))
	return nil
}

func (d *decoder) boolean(v any, s *shape, path string) any {
	if _, ok := v.(bool); !ok {
		hint := "write true or false"
		if t, isText := v.(string); isText && (strings.EqualFold(t, "true") || strings.EqualFold(t, "false")) {
			hint = "write " + strings.ToLower(t) + " without quotes"
		}
		d.refuse(path, "error.expected.jsboolean", "%s is %s: %s", last(path), s.show(v), hint)
		return nil
	}
	return v
}

func (d *decoder) number(v any, s *shape, path string) any {
	n, ok := asNumber(v)
	f, err := strconv.ParseFloat(string(n), 64)
	if !ok || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		answer := "error.expected.jsnumber"
		if ok && s.kind != kindNumber {
			answer = "error.expected.int"
		}
		d.refuse(path, answer, "%s is %s: write %s", last(path), s.show(v), numberHint(v, s))
		return nil
	}
	if s.kind != kindNumber {
		whole, ok := wholeNumber(n, f, s.kind)
		if !ok {
			d.refuse(path, map[kind]string{kindInt: "error.expected.int", kindLong: "error.expected.long"}[s.kind],
				"%s is %s: write a whole number", last(path), n)
			return nil
		}
		n = whole
	}
	if s.min != nil && f < *s.min {
		d.refuse(path, "error.min", "%s is %s: at least %s", last(path), n, formatNumber(*s.min))
	}
	if s.max != nil && f > *s.max {
		d.refuse(path, "error.max", "%s is %s: at most %s", last(path), n, formatNumber(*s.max))
	}
	return n
}

func asNumber(v any) (json.Number, bool) {
	switch n := v.(type) {
	case json.Number:
		return n, true
	case float64:
		return json.Number(strconv.FormatFloat(n, 'g', -1, 64)), true
	case int:
		return json.Number(strconv.Itoa(n)), true
	case int64:
		return json.Number(strconv.FormatInt(n, 10)), true
	case uint64:
		return json.Number(strconv.FormatUint(n, 10)), true
	}
	return "", false
}

// wholeNumber accepts 1, 1.0 and 1e0 alike, as Marathon does (recorded).
func wholeNumber(n json.Number, f float64, k kind) (json.Number, bool) {
	bits := 64
	if k == kindInt {
		bits = 32
	}
	if _, err := strconv.ParseInt(string(n), 10, bits); err == nil {
		return n, true
	}
	limit := math.Ldexp(1, bits-1)
	if f != math.Trunc(f) || f < -limit || f >= limit {
		return "", false
	}
	return json.Number(strconv.FormatInt(int64(f), 10)), true
}

func numberHint(v any, s *shape) string {
	if t, ok := v.(string); ok {
		if _, err := strconv.ParseFloat(t, 64); err == nil {
			return "the number " + t + " without quotes"
		}
	}
	if s.kind == kindNumber {
		return "a number"
	}
	return "a whole number"
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (d *decoder) list(v any, s *shape, path string) any {
	items, ok := v.([]any)
	if !ok {
		d.refuse(path, "error.expected.jsarray", "%s is %s: write a list", last(path), s.show(v))
		return nil
	}
	if s.min != nil && float64(len(items)) < *s.min {
		d.refuse(path, "error.minLength", "%s is empty: it needs at least %g", last(path), *s.min)
	}
	clean := make([]any, 0, len(items))
	for i, item := range items {
		if c := d.value(item, s.elem, path+"("+strconv.Itoa(i)+")"); c != nil {
			clean = append(clean, c)
		}
	}
	return clean
}

func (d *decoder) mapping(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.refuse(path, "error.expected.jsobject", "%s is %s: write an object", last(path), s.elem.show(v))
		return nil
	}
	clean := make(map[string]any, len(m))
	before := len(d.found)
	for _, key := range sortedKeys(m) {
		if c := d.value(m[key], s.elem, path+"/"+key); c != nil {
			clean[key] = c
		}
	}
	if s.pattern == nil || d.refusedSince(before) {
		return clean // Marathon looks at the keys of what else is right
	}
	for _, key := range sortedKeys(m) {
		if !s.pattern.MatchString(key) {
			d.refuse(path+"/"+key, "error.pattern", "%s has the name %q: it must consist of letters, digits and underscores and not begin with a digit", last(path), clip(key))
		}
	}
	return clean
}

func (d *decoder) object(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.notObject(v, s, path)
		return nil
	}
	clean := d.members(m, s, path)
	for _, f := range s.members {
		if _, given := m[f.name]; f.required && !given {
			d.missing(m, s, &f, path)
		}
	}
	return clean
}

// members checks what is there, in the table's order, and what nobody knows.
func (d *decoder) members(m map[string]any, s *shape, path string) map[string]any {
	clean := make(map[string]any, len(m))
	for i := range s.members {
		f := &s.members[i]
		v, given := m[f.name]
		if !given || (v == nil && !f.required) {
			continue // null is the same as absent (recorded)
		}
		at := path + "/" + f.name
		if f.computed {
			d.warn(at, "%s is ignored: Marathon fills it in; leave it out", f.name)
			continue
		}
		if c := d.value(v, f.shape, at); c != nil {
			clean[f.name] = c
		}
	}
	for _, name := range sortedKeys(m) {
		if _, known := s.byName[name]; !known {
			d.unknown(name, s, path)
		}
	}
	return clean
}

func (d *decoder) unknown(name string, s *shape, path string) {
	hint := "remove it"
	d.unknowns++
	if d.suggested++; d.suggested <= mostSuggested {
		if nearest := s.nearestMember(name); nearest != "" {
			hint = "did you mean " + nearest + "?"
		}
	}
	where := ""
	if path != "" {
		where = " in " + last(path)
	}
	d.mistake(path+"/"+name, "unknown field %s%s: Marathon would ignore it; %s", clip(name), where, hint)
}

// missing words the absence of a required member as Marathon does, which is not
// the same for objects that Play's own format reads.
func (d *decoder) missing(m map[string]any, s *shape, f *field, path string) {
	answer := "error.path.missing"
	if !s.strict {
		answer = undefined(f.name, m)
	}
	d.refuse(path+"/"+f.name, answer, "%s is missing: %s", f.name, lowerFirst(f.doc))
}

// undefined is Play's complaint about an absent member. It quotes the object,
// which may hold secrets: it is Marathon's answer to whoever sent it, and not
// for logs.
func undefined(name string, m map[string]any) string {
	b, err := json.Marshal(m)
	if err != nil {
		b = []byte("{}")
	}
	return fmt.Sprintf("'%s' is undefined on object: %s", name, b)
}

// notObject: Marathon reads most objects member by member, so that a string in
// the place of an object is one with all members absent.
func (d *decoder) notObject(v any, s *shape, path string) {
	if s.strict {
		d.refuse(path, "error.expected.jsobject", "%s is %s: write an object", last(path), s.show(v))
		return
	}
	complained := false
	for _, f := range s.members {
		if f.required {
			b, err := json.Marshal(v)
			if err != nil {
				b = []byte("null")
			}
			d.refuse(path+"/"+f.name, string(b)+" is not an object", "%s is %s: write an object", last(path), s.show(v))
			complained = true
		}
	}
	if !complained {
		d.mistake(path, "%s is %s: write an object; Marathon would read it as an empty one", last(path), s.show(v))
	}
}

// show describes a value for a message; what may be confidential only by type.
func (s *shape) show(v any) string {
	value := ""
	switch t := v.(type) {
	case nil:
		return "null"
	case string:
		value = fmt.Sprintf("%q, a string", clip(t))
		if s.private {
			value = "a string"
		}
	case bool:
		value = fmt.Sprintf("%t, a boolean", t)
		if s.private {
			value = "a boolean"
		}
	case []any:
		value = "a list"
	case map[string]any:
		value = "an object"
	default:
		value = fmt.Sprintf("%v, a number", v)
		if s.private {
			value = "a number"
		}
	}
	return value
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
