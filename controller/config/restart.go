package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Reloaded is what a running process takes up of a configuration that has changed:
//
//	members of Config tagged reload:"restart"   as in c, until the next start
//	all others                                  as in next
//
// keys are those of the former that differ, as far down as the file names them.
func (c *Config) Reloaded(next *Config) (inForce *Config, keys []string) {
	inForce = new(*next)
	was, is, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(next).Elem(), reflect.ValueOf(inForce).Elem()
	for i := range was.NumField() {
		f := was.Type().Field(i)
		if f.Tag.Get("reload") != "restart" {
			continue
		}
		keys = append(keys, differing(f.Tag.Get("yaml"), was.Field(i), is.Field(i))...)
		to.Field(i).Set(was.Field(i))
	}
	slices.Sort(keys)
	return inForce, keys
}

// differing lists the keys below one, or that one itself, at which two values
// differ.
func differing(key string, a, b reflect.Value) (keys []string) {
	t := a.Type()
	switch {
	case reflect.DeepEqual(a.Interface(), b.Interface()):
		return nil
	case t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshaler):
		for _, f := range fields(t) {
			keys = append(keys, differing(join(key, f.Tag.Get("yaml")), a.FieldByIndex(f.Index), b.FieldByIndex(f.Index))...)
		}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		for _, name := range names(a, b) {
			was, is := a.MapIndex(reflect.ValueOf(name)), b.MapIndex(reflect.ValueOf(name))
			if !was.IsValid() || !is.IsValid() {
				keys = append(keys, join(key, name))
				continue
			}
			keys = append(keys, differing(join(key, name), was, is)...)
		}
	default:
		return []string{key}
	}
	return keys
}

// names are the keys of two maps.
func names(all ...reflect.Value) []string {
	set := map[string]bool{}
	for _, m := range all {
		for _, k := range m.MapKeys() {
			set[k.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// RestartKeys are the keys at the top of the file that a running process does not
// take up, in the order of the file.
func RestartKeys() (keys []string) {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("reload") == "restart" {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// CheckMarathons refuses syncs of a reloaded configuration that write to a Marathon
// which only a restart connects to: next is the whole of the file, c what of it is in
// force.
func (c *Config) CheckMarathons(next *Config) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Syncs)) {
		key, to := "marathon", c.Syncs[name].Marathon
		if to != "" {
			key = "marathons." + to
		}
		if len(c.MarathonOf(c.Syncs[name]).URL) == 0 && len(next.MarathonOf(c.Syncs[name]).URL) > 0 {
			errs = append(errs, fmt.Errorf("syncs.%s.marathon: %q is new in %s, which a running Pacer cannot reload: restart it", name, to, key))
		}
	}
	return errors.Join(errs...)
}
