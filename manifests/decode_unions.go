package manifests

import (
	"reflect"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// Values that Marathon reads in one of several forms (RAML unions). Play tries
// the forms in order and answers with the complaints about the last one, which
// often is not the one that was meant.

func (d *decoder) envValue(n *syntax.Node, s *shape, path string, to *EnvValue) {
	switch n.Kind {
	case syntax.String:
		to.Value = plainText(n.Text)
		return
	case syntax.Object:
		if secret := n.Last("secret"); secret != nil && secret.Kind == syntax.String && secret.Text == "" {
			d.refuse(path+"/secret", "references an undefined secret", "secret is empty: name an entry of secrets")
		}
		var o envSecret
		d.object(n, s, path, ofValue(&o))
		to.Secret = o.Secret
		return
	}
	d.refuse(path, "error.expected.jsobject", "%s is %s: write it as a string, in quotes", last(path), s.show(n))
}

var anyNumber, anyTexts = number(), list(text())

func (d *decoder) limit(n *syntax.Node, path string, to *Limit) {
	switch {
	case n.Kind != syntax.String:
		d.number(n, anyNumber, path, ofValue(&to.Value))
	case n.Text != unlimited:
		// AppValidation.validResourceLimit
		d.refuse(path, "'"+n.Text+"' is an invalid resource limit. It must be 'unlimited' or a number",
			`%s is %q: write a number, or "unlimited" in lower case`, last(path), clip(n.Text))
	default:
		to.Unlimited = true
	}
}

func (d *decoder) unreachable(n *syntax.Node, s *shape, path string, to *UnreachableStrategy) {
	if n.Kind != syntax.String {
		var o unreachableObject
		d.object(n, s, path, ofValue(&o))
		to.ExpungeAfterSeconds, to.InactiveAfterSeconds = o.ExpungeAfterSeconds, o.InactiveAfterSeconds
		return
	}
	if n.Text != "disabled" {
		d.warn(path, `%s is %q: Marathon reads any string as "disabled"; write "disabled"`, last(path), clip(n.Text))
	}
	to.Disabled = true
}

// constraint reads the list form. Its number of members is checked by
// SchedulingValidation, which knows no index.
func (d *decoder) constraint(n *syntax.Node, path string, to *Constraint) {
	if n.Kind != syntax.List {
		d.refuse(path, "error.expected.jsarray", "%s is %s: write [field, operator] or [field, operator, value]", last(path), anything().show(n))
		return
	}
	var parts []string
	d.list(n, anyTexts, path, ofValue(&parts))
	if len(parts) < 2 || len(parts) > 3 {
		d.note(Violation{Path: trimIndex(path), Place: path, Answer: "Each constraint must have either 2 or 3 fields", Status: 422},
			"%s has %d members: write [field, operator] or [field, operator, value]", last(path), len(parts))
		return
	}
	to.Field, to.Operator = parts[0], parts[1]
	if len(parts) == 3 {
		to.Value = &parts[2]
	}
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
func (d *decoder) command(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.Object {
		d.refuse(path+"/argv", "'argv' is undefined on object: {}", `%s is %s: write {"shell": …} or {"argv": […]}`, last(path), s.show(n))
		return
	}
	shell, argv := n.Has("shell"), n.Has("argv")
	switch {
	case shell && argv:
		d.mistake(path+"/argv", "%s has both shell and argv: write one of them", last(path))
	case !shell && !argv:
		d.refuse(path+"/argv", d.undefined("argv", n), "%s has neither shell nor argv: write one of them", last(path))
	}
	inner := d.inner()
	inner.members(n, s, path, to)
	if shell && !argv && inner.refusedSince(0) {
		d.echo(path+"/argv", d.undefined("argv", n))
		inner.unanswer(func(Violation) bool { return true })
	}
	d.take(inner)
}

// inner is a decoder for a part of which not all that is found is Marathon's
// answer.
func (d *decoder) inner() *decoder {
	var inner decoder
	inner.most = d.most
	return &inner
}

// take adds what another decoder found.
func (d *decoder) take(inner *decoder) {
	d.findings.take(&inner.findings)
	d.unknowns += inner.unknowns
}

// unanswerSince marks what was found since as what Marathon does not answer with,
// since it answers with what was found before.
func (f *findings) unanswerSince(since int) {
	rest := findings{found: f.found[since:]}
	rest.unanswer(func(Violation) bool { return true })
	f.found = slices.DeleteFunc(f.found, func(v Violation) bool { return v.Status == 0 && v.Message == "" })
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
func (d *decoder) scaling(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.Object {
		d.refuse(path, "error.expected.jsstring", `%s is %s: write {"kind": "fixed", "instances": …}`, last(path), s.show(n))
		return
	}
	k := n.Last("kind")
	if k == nil {
		k = &syntax.Node{}
	}
	if k.Kind != syntax.String || k.Text != "fixed" {
		d.note(Violation{Path: path, Place: path + "/kind", Answer: "error.expected.jsstring", Status: 422}, `kind is %s: write "kind": "fixed"`, s.show(k))
		inner := d.inner() // Marathon looks no further
		inner.members(n.With("kind", textNode("fixed")), s, path, to)
		inner.unanswer(func(Violation) bool { return true })
		d.take(inner)
		return
	}
	d.members(n, s, path, to)
}

// appVolume reads one of four forms. Marathon tries persistent, external,
// secret and host, and complains about the host form whatever was meant.
func (d *decoder) appVolume(n *syntax.Node, s *shape, path string, to reflect.Value) {
	if n.Kind != syntax.Object {
		d.notObject(n, s, path)
		return
	}
	inner := d.inner()
	inner.members(n, s, path, to)
	host := []string{"containerPath", "hostPath", "mode"}
	needed := host
	switch {
	case n.Has("persistent"):
		needed = []string{"containerPath", "mode"}
	case n.Has("external"):
		needed = []string{"containerPath", "mode"}
		inner.options(n.Last("external"), path+"/external/options")
	case n.Has("secret"):
		needed = []string{"containerPath"}
	}
	for _, name := range needed {
		if !n.Has(name) {
			inner.refuse(path+"/"+name, inner.undefined(name, n), "%s is missing: %s", name, lowerFirst(s.byName[name].doc))
		}
	}
	if inner.refusedSince(0) {
		inner.unanswer(func(v Violation) bool { return !slices.Contains(host, strings.TrimPrefix(v.Path, path+"/")) })
		for _, name := range host {
			if !n.Has(name) && !slices.Contains(needed, name) {
				inner.echo(path+"/"+name, inner.undefined(name, n))
			}
		}
	}
	d.take(inner)
}

var option = text().confidential()

// options checks those of an external volume: text, but for csi.
func (d *decoder) options(external *syntax.Node, path string) {
	if provider := external.Last("provider"); provider != nil && provider.Kind == syntax.String && provider.Text == providerCSI {
		return
	}
	options := external.Last("options")
	if options == nil || options.Kind != syntax.Object {
		return
	}
	for _, m := range options.Sorted() {
		d.isText(m.Value, option, path+"/"+m.Key)
	}
}

// podVolume reads one of four forms. Marathon takes one that fits none of the
// first three as an ephemeral volume, in silence.
func (d *decoder) podVolume(n *syntax.Node, s *shape, path string, to reflect.Value) {
	inner := d.inner()
	inner.object(n, s, path, to)
	ephemeral := map[string]any{}
	if name := n.Last("name"); name != nil {
		ephemeral["name"] = name.Tree()
	}
	for i := range inner.found {
		if found := &inner.found[i]; found.Status != 0 && found.Path != path+"/name" {
			found.Message += "; Marathon would take the volume as an ephemeral one"
			found.Read = &Reading{path, ephemeral}
		}
	}
	inner.unanswer(func(v Violation) bool { return v.Path != path+"/name" })
	d.take(inner)
}
