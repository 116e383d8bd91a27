package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// Error is one thing wrong in a configuration.
type Error struct {
	Where   string // file:line:column, "flag --scope" or "environment variable PACER_SCOPE"
	Key     string // syncs.shop.scope
	Message string // what is wrong: what is meant

	line, column int // for the order
}

// Error is the one-line form.
func (e *Error) Error() string {
	if e.Key == "" {
		return e.Where + ": " + e.Message
	}
	return e.Where + ": " + e.Key + ": " + e.Message
}

// decoder fills Go values from a tree of nodes, strictly: it knows every key,
// and tells everything that is wrong at once, with its place.
type decoder struct {
	file   string
	origin map[*yaml.Node]string // of nodes that came from flags or the environment
	seen   map[string]*yaml.Node // by key, for checks that come later
	errs   []*Error

	overrides []override
}

func (d *decoder) where(n *yaml.Node) string {
	if origin, ok := d.origin[n]; ok {
		return origin
	}
	if n == nil || n.Line == 0 {
		return d.file
	}
	return fmt.Sprintf("%s:%d:%d", d.file, n.Line, n.Column)
}

func (d *decoder) fail(n *yaml.Node, key, format string, args ...any) {
	e := &Error{Where: d.where(n), Key: key, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		e.line, e.column = n.Line, n.Column
	}
	d.errs = append(d.errs, e)
}

// failAt reports a problem at a key, which need not be there itself: then its
// nearest ancestor is the place.
func (d *decoder) failAt(key, format string, args ...any) {
	at := key
	for at != "" && d.seen[at] == nil {
		at = at[:max(0, strings.LastIndex(at, "."))]
	}
	place := d.seen[at]
	if at == "" {
		place = nil // the file as a whole
	}
	d.fail(place, key, format, args...)
}

func (d *decoder) into(n *yaml.Node, v reflect.Value, key string) {
	d.seen[key] = n
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n, key, "anchors and aliases are not allowed: write the value out")
	case n.Tag == "!!null":
		d.fail(n, key, "the value is missing: write one, or remove the key")
	case v.CanAddr() && v.Addr().Type().Implements(unmarshaler):
		if err := v.Addr().Interface().(yaml.Unmarshaler).UnmarshalYAML(n); err != nil {
			d.fail(n, key, "%v", err)
		}
	default:
		d.kind(n, v, key)
	}
}

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

func (d *decoder) kind(n *yaml.Node, v reflect.Value, key string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
		d.into(n, v.Elem(), key)
	case reflect.Struct:
		d.object(n, v, key)
	case reflect.Map:
		d.dictionary(n, v, key)
	case reflect.Slice:
		d.sequence(n, v, key)
	default:
		if n.Kind != yaml.ScalarNode || n.Decode(v.Addr().Interface()) != nil {
			d.fail(n, key, "expected %s", typeName(v.Type()))
		}
	}
}

// pairs gives the keys and values of a mapping, each key once.
func (d *decoder) pairs(n *yaml.Node, key string, yield func(name string, k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, "expected keys and values")
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if earlier := first[k.Value]; earlier != nil {
			d.fail(k, join(key, k.Value), "duplicate key: it was first given at %s", d.where(earlier))
			continue
		}
		first[k.Value] = k
		yield(k.Value, k, v)
	}
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, key string) {
	d.pairs(n, key, func(name string, k, value *yaml.Node) {
		field, known := fieldOf(v.Type(), name)
		if !known {
			d.fail(k, join(key, name), "unknown key%s", nearest(name, keysOf(v.Type())))
			return
		}
		d.into(value, v.FieldByIndex(field.Index), join(key, name))
		d.enum(field, value, v.FieldByIndex(field.Index), join(key, name))
	})
}

// enum checks a text against the values that its tag allows.
func (d *decoder) enum(f reflect.StructField, n *yaml.Node, v reflect.Value, key string) {
	allowed := tagValues(f, "enum")
	if len(allowed) == 0 || v.Kind() != reflect.String || slices.Contains(allowed, v.String()) {
		return
	}
	hint := ""
	if near := similar(v.String(), allowed); near != "" {
		hint = "; did you mean " + near + "?"
	}
	d.fail(n, key, "%q: expected one of %s%s", v.String(), strings.Join(allowed, ", "), hint)
}

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, key string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, key, func(name string, _, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element)
		d.into(value, element, join(key, name))
		v.SetMapIndex(reflect.ValueOf(name), element)
	})
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, key, "expected a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		d.into(element, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
}

// maxFile is how long a configuration may be, in bytes.
const maxFile = 1 << 20

// parse reads a YAML text of exactly one document into its root node.
func parse(file string, text []byte) (*yaml.Node, error) {
	if len(text) > maxFile {
		return nil, &Error{Where: file, Message: fmt.Sprintf("the file is longer than %d bytes", maxFile)}
	}
	if !utf8.Valid(text) {
		return nil, &Error{Where: file, Message: "is not valid UTF-8: save the file as UTF-8"}
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(file, text, err)
	}
	if document.Kind == 0 || len(document.Content) == 0 {
		return nil, &Error{Where: file, Message: "the file is empty: expected at least marathon, sources and syncs"}
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, syntaxError(file, text, err)
	default:
		return nil, &Error{Where: file, Message: "expected one document, found more: remove --- and what follows it"}
	}
	return document.Content[0], nil
}

func syntaxError(file string, text []byte, err error) *Error {
	line, column, message := syntax.YAMLFault(string(text), err)
	return &Error{Where: fmt.Sprintf("%s:%d:%d", file, line, column), Message: message}
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	default:
		return "a string"
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// nearest is a hint at the right name, which lists all where none is near.
func nearest(name string, names []string) string {
	if near := similar(name, names); near != "" {
		return fmt.Sprintf(": did you mean %s?", near)
	}
	return ": expected one of " + strings.Join(names, ", ")
}

// similar is the name that is most like another one, empty where none is near.
func similar(name string, names []string) string {
	best, score := "", 0.5
	for _, n := range names {
		if s := levenshtein.Similarity(strings.ToLower(name), strings.ToLower(n), nil); s > score {
			best, score = n, s
		}
	}
	return best
}

// joined is all that was wrong, in the order of the text.
func (d *decoder) joined() error {
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column), strings.Compare(a.Key, b.Key))
	})
	var all []error
	for _, e := range d.errs {
		all = append(all, e)
	}
	return errors.Join(all...)
}
