package manifests

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

func (d *decoder) command(v any, s *shape, path string) any {
	m, ok := v.(map[string]any)
	if !ok {
		d.refuse(path+"/argv", "'argv' is undefined on object: {}", `%s is %s: write {"shell": …} or {"argv": […]}`, last(path), s.show(v))
		return nil
	}
	_, shell := m["shell"]
	_, argv := m["argv"]
	switch {
	case shell && argv:
		d.mistake(path, "%s has both shell and argv: write one of them", last(path))
	case !shell && !argv:
		d.refuse(path+"/argv", undefined("argv", m), "%s has neither shell nor argv: write one of them", last(path))
	}
	return d.members(m, s, path)
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
	before := len(d.found)
	clean := d.members(m, s, path)
	needed := []string{"containerPath", "hostPath", "mode"}
	switch {
	case m["persistent"] != nil, m["external"] != nil:
		needed = []string{"containerPath", "mode"}
	case m["secret"] != nil:
		needed = []string{"containerPath"}
	}
	absent := func(name string) bool { return m[name] == nil }
	for _, name := range needed {
		if absent(name) {
			d.refuse(path+"/"+name, undefined(name, m), "%s is missing: %s", name, lowerFirst(s.byName[name].doc))
		}
	}
	if d.refusedSince(before) && len(needed) < 3 && absent("hostPath") {
		d.refuse(path+"/hostPath", undefined("hostPath", m),
			"Marathon takes this volume for a host volume, since what it says of its own kind is not complete")
	}
	return clean
}

// podVolume reads one of four forms. Marathon takes one that fits none of the
// first three as an ephemeral volume, in silence.
func (d *decoder) podVolume(v any, s *shape, path string) any {
	var inner decoder
	clean := inner.object(v, s, path)
	for _, found := range inner.found {
		if found.Status != 0 && found.Path != path+"/name" {
			found.Status, found.Answer = 0, ""
			found.Message += "; Marathon would take the volume as an ephemeral one"
		}
		d.add(found)
	}
	return clean
}
