package config

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Option is one row of the table of all that can be configured.
type Option struct {
	Key     string // in the file: syncs.NAME.scope
	Flag    string // without dashes; empty: none
	Env     string // environment variable; empty: none
	Type    string // for people
	Default string
	Doc     string
}

// Types of options of which more is known than their kind in Go.
const (
	TypeSwitch = "true, false" // on or off
	TypePath   = "path"        // of this machine, see startPaths
)

// Options lists every option, in the order of the file.
func Options() []Option { return optionsOf(reflect.TypeFor[Config](), "") }

func optionsOf(t reflect.Type, prefix string) []Option {
	var all []Option
	for _, f := range fields(t) {
		o := Option{
			Key: join(prefix, f.Tag.Get("yaml")), Flag: f.Tag.Get("flag"), Env: f.Tag.Get("env"),
			Doc: f.Tag.Get("jsonschema_description"), Type: optionType(f),
		}
		if d := tagValues(f, "default"); len(d) > 0 {
			o.Default = d[0]
		}
		if strings.HasPrefix(prefix, "marathons.") || prefix == "zookeeper.tls" { // flags and environment name the one Marathon without a name
			o.Flag, o.Env = "", ""
		}
		inner, key := f.Type, o.Key
		switch {
		case inner.Kind() == reflect.Map && inner.Elem().Kind() == reflect.Struct:
			inner, key = inner.Elem(), key+".NAME"
		case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
			inner, key = inner.Elem(), key+"[]"
		case inner.Kind() == reflect.Pointer:
			inner = inner.Elem()
		}
		all = append(all, o)
		if inner.Kind() == reflect.Struct && !reflect.PointerTo(inner).Implements(unmarshaler) {
			all = append(all, optionsOf(inner, key)...)
		}
	}
	return all
}

func optionType(f reflect.StructField) string {
	if allowed := tagValues(f, "enum"); len(allowed) > 0 {
		return strings.Join(allowed, ", ")
	}
	if isPath(f) {
		return TypePath
	}
	switch f.Type {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[List]():
		return "one or a list"
	case reflect.TypeFor[Secret]():
		return "{file} or {env}"
	case reflect.TypeFor[Instances]():
		return "git, live, {min, max}"
	}
	switch f.Type.Kind() {
	case reflect.Bool:
		return TypeSwitch
	case reflect.Int:
		return "number"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "names and values"
	}
	return "keys"
}

// tagValues are the values of one word of a jsonschema tag: enum=a,enum=b.
func tagValues(f reflect.StructField, word string) []string {
	var values []string
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		if v, ok := strings.CutPrefix(part, word+"="); ok {
			values = append(values, v)
		}
	}
	return values
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for _, f := range fields(t) {
		if f.Tag.Get("yaml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fields(t) {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}

// fields lists the options of a struct, with those of structs that it embeds.
func fields(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Anonymous })
}

// fill gives every member of a struct that is zero the default of its tag. It
// runs before a struct is decoded, so that a zero that was written stays.
func fill(v reflect.Value) {
	if v.Kind() != reflect.Struct || reflect.PointerTo(v.Type()).Implements(unmarshaler) {
		return
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if d := tagValues(v.Type().Field(i), "default"); len(d) > 0 && f.IsZero() {
			setDefault(f, d[0])
		}
		fill(f)
	}
}

func setDefault(v reflect.Value, text string) {
	if v.Type() == reflect.TypeFor[Instances]() {
		return // git is the zero value
	}
	if v.Type() == reflect.TypeFor[Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("default of a duration: " + err.Error())
		}
		v.SetInt(int64(d))
		return
	}
	if err := yaml.Unmarshal([]byte(text), v.Addr().Interface()); err != nil {
		panic("default of an option: " + err.Error())
	}
}
