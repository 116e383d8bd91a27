package cache

import (
	"reflect"
	"sync"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

// pool lets equal parts of many definitions be one: most of ten thousand apps
// have the same counts, names, roles and strategies, each decoded for itself.
// Nobody writes through a definition that a Cache hands out.
type pool struct {
	mu      sync.Mutex
	strings map[string]string
	values  map[any]reflect.Value // what pointers point to → a pointer to the same
}

// What a pool holds is bounded, since what is unique is of no use in it.
const (
	mostPooled = 32 << 10 // entries of a kind, when it begins anew
	longPooled = 64       // bytes of a string
)

func newPool() *pool {
	return &pool{strings: map[string]string{}, values: map[any]reflect.Value{}}
}

// share has an app share what it can with all before it.
func (p *pool) share(a *marathon.App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.strings) > mostPooled || len(p.values) > mostPooled {
		clear(p.strings)
		clear(p.values)
	}
	a.Status.Version = p.text(a.Status.Version)
	p.value(reflect.ValueOf(a.Definition).Elem())
}

func (p *pool) text(s string) string {
	if len(s) > longPooled {
		return s
	}
	if same, ok := p.strings[s]; ok {
		return same
	}
	p.strings[s] = s
	return s
}

// value replaces the parts of a value by those that are known.
func (p *pool) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(p.text(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && !f.IsZero() {
				p.value(f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.value(v.Index(i))
		}
	case reflect.Map:
		p.entries(v)
	case reflect.Pointer:
		p.value(v.Elem())
		p.pointer(v)
	}
}

// pointer replaces a pointer by one to an equal value, if that can be compared
// without looking behind further pointers: those were replaced before.
func (p *pool) pointer(v reflect.Value) {
	if !v.Elem().Comparable() || v.Elem().Type().Size() > longPooled {
		return
	}
	key := v.Elem().Interface()
	if same, ok := p.values[key]; ok {
		v.Set(same)
		return
	}
	p.values[key] = reflect.ValueOf(v.Interface())
}

// entries makes a map as small as it can be, of strings that are shared.
func (p *pool) entries(v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String || v.IsNil() {
		return
	}
	small := reflect.MakeMapWithSize(v.Type(), v.Len())
	for i := v.MapRange(); i.Next(); {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.SetString(p.text(i.Key().String()))
		value.Set(i.Value())
		p.value(value)
		small.SetMapIndex(key, value)
	}
	v.Set(small)
}
