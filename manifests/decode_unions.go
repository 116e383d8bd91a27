package manifests

import (
	"slices"
	"strings"
)

// Values that Marathon reads in one of several forms (RAML unions). Play tries
// the forms in order and answers with the complaints about the last one, which
// often is not the one that was meant.

func (d *decoder) envValue(v any, s *shape, path string) any {
	switch t := v.(type) {
	case string:
		return t
	case map[string]any:
		if t["secret"] == "" {
			d.refuse(path+"/secret", "references an undefined secret", "secret is empty: name an entry of secrets")
		}
		return d.object(t, s, path)
	}
	d.refuse(path, "error.expected.jsobject", "%s is %s: write it as a string, in quotes", last(path), s.show(v))
	return nil
}

func (d *decoder) limit(v any, path string) any {
	t, isText := v.(string)
	if !isText {
		return d.number(v, number(), path)
	}
	if t != unlimited {
		// AppValidation.validResourceLimit
		d.refuse(path, "'"+t+"' is an invalid resource limit. It must be 'unlimited' or a number",
			`%s is %q: write a number, or "unlimited" in lower case`, last(path), clip(t))
		return nil
	}
	return t
}

func (d *decoder) unreachable(v any, s *shape, path string) any {
	t, isText := v.(string)
	if !isText {
		return d.object(v, s, path)
	}
	if t != "disabled" {
		d.warn(path, `%s is %q: Marathon reads any string as "disabled"; write "disabled"`, last(path), clip(t))
	}
	return "disabled"
}

// constraint reads the list form. Its number of members is checked by
// SchedulingValidation, which knows no index.
func (d *decoder) constraint(v any, path string) any {
	parts, ok := v.([]any)
	if !ok {
		d.refuse(path, "error.expected.jsarray", "%s is %s: write [field, operator] or [field, operator, value]", last(path), anything().show(v))
		return nil
	}
	clean := d.list(parts, list(text()), path).([]any)
	if len(parts) < 2 || len(parts) > 3 {
		d.refuse(trimIndex(path), "Each constraint must have either 2 or 3 fields",
			"%s has %d members: write [field, operator] or [field, operator, value]", last(path), len(parts))
		return nil
	}
	return clean
}

// trimIndex cuts the last index off a path: /constraints(0) to /constraints.
func trimIndex(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '(' {
			return path[:i]
		}
	}
	return path
}

// command reads a shell line or, where Marathon finds none, an argument vector:
// it complains about argv whatever was meant.
func (d *decoder) command(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.refuse(path+"/argv", "'argv' is undefined on object: {}", `%s is %s: write {"shell": …} or {"argv": […]}`, last(path), s.show(v))
		return nil
	}
	shell, argv := m["shell"] != nil, m["argv"] != nil
	switch {
	case shell && argv:
		d.mistake(path, "%s has both shell and argv: write one of them", last(path))
	case !shell && !argv:
		d.refuse(path+"/argv", undefined("argv", m), "%s has neither shell nor argv: write one of them", last(path))
	}
	var inner decoder
	clean := inner.members(m, s, path)
	if shell && !argv && inner.refusedSince(0) {
		d.echo(path+"/argv", undefined("argv", m))
		inner.unanswer(func(Violation) bool { return true })
	}
	d.take(&inner)
	return clean
}

// take adds what another decoder found.
func (d *decoder) take(inner *decoder) {
	d.found = append(d.found, inner.found...)
	d.unknowns += inner.unknowns
}

// unanswer marks those that Marathon does not answer with, since it reads what
// they are about as something else.
func (f *findings) unanswer(which func(Violation) bool) {
	for i := range f.found {
		if v := &f.found[i]; v.Status != 0 && which(*v) {
			v.Status, v.Answer = 0, ""
		}
	}
}

// scaling is told apart by its kind, which is read as a plain string.
func (d *decoder) scaling(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.refuse(path, "error.expected.jsstring", `%s is %s: write {"kind": "fixed", "instances": …}`, last(path), s.show(v))
		return nil
	}
	if m["kind"] != "fixed" {
		d.refuse(path, "error.expected.jsstring", `kind is %s: write "kind": "fixed"`, s.show(m["kind"]))
		return nil
	}
	return d.members(m, s, path)
}

// appVolume reads one of four forms. Marathon tries persistent, external,
// secret and host, and complains about the host form whatever was meant.
func (d *decoder) appVolume(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.notObject(v, s, path)
		return nil
	}
	var inner decoder
	clean := inner.members(m, s, path)
	host := []string{"containerPath", "hostPath", "mode"}
	needed := host
	switch {
	case m["persistent"] != nil:
		needed = []string{"containerPath", "mode"}
	case m["external"] != nil:
		needed = []string{"containerPath", "mode"}
		inner.options(m["external"], path+"/external/options")
	case m["secret"] != nil:
		needed = []string{"containerPath"}
	}
	for _, name := range needed {
		if m[name] == nil {
			inner.refuse(path+"/"+name, undefined(name, m), "%s is missing: %s", name, lowerFirst(s.byName[name].doc))
		}
	}
	if inner.refusedSince(0) {
		inner.unanswer(func(v Violation) bool { return !slices.Contains(host, strings.TrimPrefix(v.Path, path+"/")) })
		for _, name := range host {
			if m[name] == nil && !slices.Contains(needed, name) {
				inner.echo(path+"/"+name, undefined(name, m))
			}
		}
	}
	d.take(&inner)
	return clean
}

// options checks those of an external volume: text, but for csi.
func (d *decoder) options(external any, path string) {
	m, _ := external.(map[string]any)
	options, _ := m["options"].(map[string]any)
	if m["provider"] == providerCSI {
		return
	}
	for _, name := range sortedKeys(options) {
		d.text(options[name], text().confidential(), path+"/"+name)
	}
}

// podVolume reads one of four forms. Marathon takes one that fits none of the
// first three as an ephemeral volume, in silence.
func (d *decoder) podVolume(v any, s *shape, path string) any {
	var inner decoder
	clean := inner.object(v, s, path)
	for i := range inner.found {
		if found := &inner.found[i]; found.Status != 0 && found.Path != path+"/name" {
			found.Message += "; Marathon would take the volume as an ephemeral one"
		}
	}
	inner.unanswer(func(v Violation) bool { return v.Path != path+"/name" })
	d.take(&inner)
	return clean
}
