package config

import (
	"path/filepath"
	"reflect"
)

// startPaths makes the paths of a file absolute, so that they mean the same
// wherever the process was started. Where one that is relative starts:
//
//	it is in                              it starts at
//	the file                              the file's folder
//	nothing: it is the default            the file's folder
//	a flag or an environment variable     the working directory, of who typed it
//
// Paths are the fields of kind path, and the files of secrets.
func (c *Config) startPaths(d *decoder, folder string) {
	d.startPaths(reflect.ValueOf(c).Elem(), "", folder)
}

func (d *decoder) startPaths(v reflect.Value, key, folder string) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		d.startPaths(v.Elem(), key, folder)
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for name, element := range v.Seq2() {
			changed := reflect.New(element.Type()).Elem()
			changed.Set(element)
			d.startPaths(changed, join(key, name.String()), folder)
			v.SetMapIndex(name, changed)
		}
	case v.Type() == reflect.TypeFor[Secret]():
		d.startPath(v.FieldByName("File"), key, folder)
	case v.Kind() == reflect.Struct:
		for _, f := range fields(v.Type()) {
			at, inner := join(key, f.Tag.Get("yaml")), v.FieldByIndex(f.Index)
			if isPath(f) {
				d.startPath(inner, at, folder)
			} else {
				d.startPaths(inner, at, folder)
			}
		}
	}
}

// startPath makes one path absolute, unless it is from outside the file.
func (d *decoder) startPath(v reflect.Value, key, folder string) {
	if _, outside := d.origin[d.seen[key]]; !outside && v.String() != "" && !filepath.IsAbs(v.String()) {
		v.SetString(filepath.Join(folder, v.String()))
	}
}

// isPath reports whether an option is a path of this machine.
func isPath(f reflect.StructField) bool { return f.Tag.Get("kind") == TypePath }
