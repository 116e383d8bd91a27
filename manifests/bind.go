package manifests

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// The decoder writes what it has checked straight into the Go types. bind joins
// the tables to them once, at the start: it notes on each field of a table which
// field of the struct it is.

func init() {
	groupShape.fillGroup()
	for _, r := range []struct {
		shape *shape
		of    reflect.Type
	}{{appShape, reflect.TypeFor[App]()}, {podShape, reflect.TypeFor[Pod]()}, {groupShape, reflect.TypeFor[Group]()}} {
		if err := r.shape.bind(r.of); err != nil {
			panic(err) // the tables and the Go types disagree
		}
	}
}

// envSecret is the object form of EnvValue.
type envSecret struct {
	Secret string `json:"secret"`
}

// written is the struct whose fields are the members of the object that stands
// for a type, where that is not the type itself.
var written = map[reflect.Type]reflect.Type{
	reflect.TypeFor[EnvValue]():            reflect.TypeFor[envSecret](),
	reflect.TypeFor[PodConstraint]():       reflect.TypeFor[constraintObject](),
	reflect.TypeFor[UnreachableStrategy](): reflect.TypeFor[unreachableObject](),
}

// bind joins a shape, and all in it, to a type.
func (s *shape) bind(t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s.elem != nil {
		return s.elem.bind(t.Elem())
	}
	if len(s.members) == 0 {
		return nil
	}
	if w, other := written[t]; other {
		t = w
	}
	if s.bound == t {
		return nil // it has itself in it, or stands in several places
	}
	if s.bound != nil || t.Kind() != reflect.Struct {
		return fmt.Errorf("a table is of one type, not of %s and %s", s.bound, t)
	}
	s.bound = t
	index := map[string]int{}
	for i := range t.NumField() {
		index[jsonName(t.Field(i))] = i
	}
	for i := range s.members {
		f := &s.members[i]
		if f.computed {
			continue
		}
		at, found := index[f.name]
		if !found || !f.shape.fits(t.Field(at).Type) {
			return fmt.Errorf("%s of %s: not there, or of another kind", f.name, t)
		}
		f.index = at
		if err := f.shape.bind(t.Field(at).Type); err != nil {
			return fmt.Errorf("%s of %s: %w", f.name, t, err)
		}
	}
	return nil
}

// fits reports whether a type can hold what a shape lets pass.
func (s *shape) fits(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch s.kind {
	case kindString, kindEnum:
		return t.Kind() == reflect.String
	case kindInt, kindLong:
		return t.Kind() == reflect.Int || t.Kind() == reflect.Int64 // of 64 bits where Pacer runs
	case kindNumber:
		return t.Kind() == reflect.Float64
	case kindBool:
		return t.Kind() == reflect.Bool
	case kindList:
		return t.Kind() == reflect.Slice && s.elem.fits(t.Elem())
	case kindMap:
		return t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && s.elem.fits(t.Elem())
	case kindAny:
		return t.Kind() == reflect.Interface
	}
	return t.Kind() == reflect.Struct
}

// settle is where the value of an optional field goes.
func settle(to reflect.Value) reflect.Value {
	if to.Kind() != reflect.Pointer {
		return to
	}
	to.Set(reflect.New(to.Type().Elem()))
	return to.Elem()
}

// as is where a value of a type of its own goes, such as an EnvValue.
func as[T any](to reflect.Value) *T { return settle(to).Addr().Interface().(*T) }

// ofValue is where to write what p points to.
func ofValue(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

// plainText is text as JSON can hold it: what was put in for ${NAME} may be no
// UTF-8.
func plainText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// jsonName is the name of a struct's field in JSON.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
