package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// definition is one app, pod or group of a file, readable or not.
type definition struct {
	id    string
	kind  Kind
	file  string
	place place
	item  *Item // nil: it has errors, or the id of many others
	*across
}

// across is what of a definition is held against others, of one that has errors too.
type across struct {
	on      []string // what it depends on
	onAt    []Place  // where each of these stands
	volumes []volumeUse
}

// nothingAcross is shared by all definitions that have none of it.
var nothingAcross across

// fileResult is what one file says.
type fileResult struct {
	definitions []definition
	problems    problemList
	values      int  // keys and values of the file
	parsed      int  // bytes of regular expressions that were looked at
	tried       int  // values that were looked at for what errors of shape hide
	unreadable  bool // not all ids that it describes are known
}

// setting is where in a file a definition stands.
type setting struct {
	base    string // relative ids resolve against it
	grouped bool   // in a group: only its direct children may stand here
	lost    bool   // the id of the group is not known, so no relative id is
}

// interpreter turns the values of one file into definitions.
type interpreter struct {
	o     *Options
	file  string
	out   *fileResult
	known index
	put   substitution
	// definitions and resolved count what was taken so far, and the bytes of the
	// ids in it. Once there is too much, beyond says so, and no more is taken.
	definitions, resolved int
	beyond                *fault
	equal                 equalIDs
}

// equalIDs counts the apps and pods of a file by id, once there are as many as a
// message lists.
type equalIDs map[string]int

// enough reports whether so many have that id that one more adds nothing but to
// their number: it is broken, and what each says of it is not told.
func (e *equalIDs) enough(id string, kind Kind, before int) bool {
	if kind == KindGroup || before <= mostListed {
		return false
	}
	if *e == nil {
		*e = equalIDs{}
	}
	(*e)[id]++
	return (*e)[id] > mostListed
}

// tooMany counts a definition, and reports whether it is beyond what is taken.
func (p *interpreter) tooMany(at place) bool {
	if p.definitions++; p.definitions > p.o.Limits.Definitions && p.beyond == nil {
		p.beyond = overDefinitions(at, p.o.Limits)
	}
	return p.beyond != nil
}

// resolves counts an id that a written one resolves to: a short one may stand
// for one of maxID bytes.
func (p *interpreter) resolves(at place, id string) {
	if p.resolved += len(id); p.resolved > 2*p.o.Limits.FileBytes && p.beyond == nil {
		p.beyond = &fault{at, fmt.Sprintf("the ids and dependencies of the file come to more than %d bytes: split it into several files", 2*p.o.Limits.FileBytes)}
	}
}

// The keys of a group whose members are definitions of their own.
var memberKeys = []struct {
	key  string
	kind Kind
}{{"apps", KindApp}, {"groups", KindGroup}, {"pods", KindPod}}

// appKeys tell an app from what is none of Marathon's.
var appKeys = []string{"id", "cmd", "args", "container", "instances", "cpus", "mem", "env", "ports", "portDefinitions"}

// foreign names what people mistake for a manifest, by a key that gives it away.
var foreign = []struct{ key, what string }{
	{"apiVersion", "this looks like a manifest of Kubernetes"},
	{"services", "this looks like a Compose file"},
	{"marathon", "this looks like Pacer's configuration"},
	{"dependencies", "a group or app that has dependencies has an \"id\""},
	{"deployments", "this looks like an answer of Marathon"},
}

const whatIsManifest = `a manifest is an app ("id" with "cmd", "args" or "container"), a pod ("containers"), a group ("apps", "groups" or "pods"), or a list of these; list the file in ` + IgnoreFile + ` if it is none`

func (p *interpreter) problem(at place, id, path string, severity Severity, message string) {
	p.out.problems.add(maxFileProblems, Problem{
		File: p.file, Line: at.line, Column: at.column, ID: id, Path: path, Severity: severity, Message: message,
	})
}

// unknown reports what keeps the ids of a file from being known.
func (p *interpreter) unknown(at place, message string) {
	p.problem(at, "", "", SeverityError, message)
	p.out.unreadable = true
}

// document takes one whole value of a file.
func (p *interpreter) document(n *node) {
	n.substitute(&p.put)
	if p.put.room < 0 && p.beyond == nil {
		p.beyond = &fault{n.place, fmt.Sprintf("the values substituted for ${…} come to more than %d bytes: split the file, or shorten the values of substitute", p.o.Limits.FileBytes)}
	}
	s := setting{base: p.o.Scope}
	switch {
	case n.kind != listNode:
		p.value(n, s)
		return
	case len(n.members) <= p.o.Limits.Definitions && !mayBeManifest(n):
		p.unknown(n.place, "a list in which nothing is an app, pod or group: "+whatIsManifest)
		return
	}
	for _, m := range n.members {
		if m.value.kind == listNode {
			p.unknown(m.value.place, "a list in a list: put the definitions into one list")
			continue
		}
		p.value(m.value, s)
	}
}

// value takes an app, pod or group and tells which it is.
func (p *interpreter) value(n *node, s setting) {
	if p.tooMany(n.place) {
		return
	}
	if n.wrong != "" && len(n.members) == 0 {
		p.unknown(n.place, n.wrong)
		return
	}
	if n.kind != objectNode {
		p.unknown(n.place, "expected a definition, found "+n.kind.name()+": "+whatIsManifest)
		return
	}
	if app := n.get("app"); app != nil && app.kind == objectNode && len(n.members) == 1 {
		n = app // as GET /v2/apps/ID answers
	}
	switch kind := kindOf(n); kind {
	case KindGroup:
		p.group(n, s)
	case "":
		p.unknown(n.place, whatIs(n))
		for _, m := range n.members {
			if merges(m) { // what it brings in may be what is missing
				p.problem(m.place, "", "", SeverityError, m.wrong)
			}
		}
	default:
		p.definition(n, kind, s)
	}
}

// mayBeManifest reports whether a value of a file, or a part of it, has a key of a
// definition, or is so wrong that it may have one. The rest is told to be no
// manifest, and nothing else of it.
func mayBeManifest(n *node) bool {
	switch n.kind {
	case listNode:
		return len(n.members) == 0 || slices.ContainsFunc(n.members, func(m member) bool { return mayBeManifest(m.value) })
	case objectNode:
		return kindOf(n) != "" || len(n.members) == 1 && n.get("app") != nil || isForeign(n) == "" && slices.ContainsFunc(n.members, merges)
	}
	return false
}

// merges reports whether a member of an object brings in others.
func merges(m member) bool { return m.wrong != "" && m.key == "<<" }

// kindOf tells a definition by its keys; empty: it is none.
func kindOf(n *node) Kind {
	if n.get("containers") != nil {
		return KindPod
	}
	for _, key := range []string{"apps", "groups", "pods", "enforceRole"} {
		if n.get(key) != nil {
			return KindGroup
		}
	}
	for _, key := range appKeys {
		if n.get(key) != nil {
			return KindApp
		}
	}
	return ""
}

// isForeign says what an object is mistaken for a manifest instead of; empty: that
// is not known.
func isForeign(n *node) string {
	for _, f := range foreign {
		if n.get(f.key) != nil {
			return f.what
		}
	}
	return ""
}

func whatIs(n *node) string {
	if what := isForeign(n); what != "" {
		return what + ": " + whatIsManifest
	}
	return "none of the keys of an app, pod or group: " + whatIsManifest
}

// group takes a group: what only it has, and its members, each by itself, so
// that one that has errors does not stop the others.
func (p *interpreter) group(n *node, s setting) {
	inner := s
	own := *n
	own.members = nil
	for _, m := range n.members {
		if !isMembers(m) {
			own.members = append(own.members, m)
		}
	}
	switch {
	case n.get("id") != nil:
		id, known := p.definition(&own, KindGroup, s)
		inner = setting{base: id, grouped: true, lost: !known}
	case s.grouped:
		p.unknown(n.place, `a group in a group has no "id": write one`)
		inner.lost = true
	default:
		// A bare {"apps": […]}, as GET /v2/apps answers, is a list in an object.
		p.bare(&own, s)
	}
	for _, mk := range memberKeys {
		members := n.get(mk.key)
		switch {
		case members == nil || members.kind == nullNode && members.wrong == "":
		case members.kind != listNode:
			p.unknown(members.place, quote(mk.key)+" is "+members.kind.name()+", expected a list")
		default:
			for _, m := range members.members {
				p.groupMember(m.value, mk.kind, inner)
			}
		}
	}
}

// isMembers reports whether a key of a group holds definitions.
func isMembers(m member) bool {
	for _, mk := range memberKeys {
		if m.key == mk.key && m.wrong == "" {
			return true
		}
	}
	return false
}

// bare takes what stands beside the lists of an object without an id.
func (p *interpreter) bare(own *node, s setting) {
	own.faults(func(f fault) { p.unknown(f.place, f.message) })
	for _, m := range own.members {
		if m.wrong == "" {
			p.unknown(m.place, `the key `+quote(m.key)+` belongs to a group, and this one has no "id": write one`)
		}
	}
}

func (p *interpreter) groupMember(n *node, kind Kind, s setting) {
	if p.tooMany(n.place) {
		return
	}
	switch {
	case n.kind != objectNode:
		message := n.wrong
		if message == "" {
			message = "expected " + article(kind) + ", found " + n.kind.name()
		}
		p.unknown(n.place, message)
	case kind == KindGroup:
		p.group(n, s)
	case kind == KindPod:
		p.definition(podOfStatus(n), kind, s)
	default:
		p.definition(n, kind, s)
	}
}

// podOfStatus is the pod itself where GET /v2/groups tells how it fares: there a
// pod stands as "spec" beside its status, unlike an app.
func podOfStatus(n *node) *node {
	if spec := n.get("spec"); spec != nil && spec.kind == objectNode && n.get("status") != nil && n.get("containers") == nil {
		return spec
	}
	return n
}

func article(kind Kind) string {
	if kind == KindApp {
		return "an app"
	}
	return "a " + string(kind)
}

// definition reads one app or pod, or what only a group has, reports all that
// is wrong with it, and returns its id.
func (p *interpreter) definition(n *node, kind Kind, s setting) (id string, known bool) {
	errors := p.out.problems.found.errors
	id, at, known := p.id(n, kind, s)
	p.resolves(at, id)
	shown := id
	if !known {
		shown = ""
	}
	n.faults(func(f fault) { p.problem(f.place, shown, "", SeverityError, f.message) })
	whole := n.withID(id)
	item := Item{ID: id, Kind: kind, File: p.file, Line: n.place.line}
	if kind != KindPod {
		base := s.base
		if kind == KindGroup {
			base = id
		}
		item.DependsAt = p.dependencies(n, whole, base, shown)
	}
	// One error is enough to know that there is one, once the file has its share.
	most := max(1, maxFileProblems-p.out.problems.held.errors)
	shape, rules := read(&item, whole, &p.o.Cluster, findings{most: most, parsed: &p.out.parsed, tried: &p.out.tried})
	for _, v := range append(shape, rules...) {
		p.violation(n, shown, v)
	}
	if !known {
		p.out.unreadable = true
		return id, false
	}
	if kind == KindGroup && (id == "/" || !Within(id, p.o.Scope)) {
		p.above(&item, at)
		return id, true
	}
	d := definition{id: id, kind: kind, file: p.file, place: at, across: &nothingAcross}
	if enough := p.equal.enough(id, kind, len(p.out.definitions)); !enough {
		if a := p.across(n, &item, shape); len(a.on) > 0 || len(a.volumes) > 0 {
			d.across = &a
		}
		if p.out.problems.found.errors == errors {
			d.item = &item
		}
	}
	p.out.definitions = append(p.out.definitions, d)
	return id, true
}

// across is what is held against other definitions, as far as it could be read.
func (p *interpreter) across(n *node, item *Item, shape []Violation) (a across) {
	for i, id := range item.dependencies() {
		if id == "" || i >= len(item.DependsAt) {
			continue
		}
		a.on, a.onAt = append(a.on, id), append(a.onAt, item.DependsAt[i])
	}
	a.volumes = p.volumes(n, item.App, shape)
	return a
}

// volumes are the external volumes of an app, where all that it has could be read.
func (p *interpreter) volumes(n *node, a *App, shape []Violation) (uses []volumeUse) {
	const path = "/container/volumes"
	if a == nil || a.Container == nil || slices.ContainsFunc(shape, func(v Violation) bool { return !v.Warning && strings.HasPrefix(v.Path, path) }) {
		return nil
	}
	for i := range a.Container.Volumes {
		v := &a.Container.Volumes[i]
		if v.External == nil || v.External.Name == nil || v.External.Provider == nil {
			continue
		}
		use := volumeUse{key: volumeKey{*v.External.Provider, *v.External.Name}, path: path + "(" + itoa(i) + ")/external/name", shared: v.isShared()}
		use.at, _ = n.at(use.path, p.known)
		uses = append(uses, use)
	}
	return uses
}

// violation reports what breaks a rule where it stands, if nothing was reported
// there before.
func (p *interpreter) violation(n *node, id string, v Violation) {
	if v.Message == "" {
		return
	}
	severity := SeverityError
	if v.Warning {
		severity = SeverityWarning
	}
	if at, told := n.at(cmp.Or(v.Place, v.Path), p.known); !told {
		p.out.problems.add(maxFileProblems, Problem{
			File: p.file, Line: at.line, Column: at.column, ID: id, Path: v.Path, Severity: severity, Message: v.Message, More: v.More,
		})
	}
}

// above takes a group that the scope lies in: it may be there for its members,
// but what it says of itself is not this sync's to apply.
func (p *interpreter) above(item *Item, at place) {
	if item.Group != nil && !saysNothing(item.Group) && item.ID != p.o.Scope {
		p.problem(at, item.ID, "/id", SeverityError, checkScope(item.ID, p.o.Scope).Error()+", and the group has dependencies or enforceRole")
	}
}

// read decodes and checks a definition into the item, in part where it has errors of
// shape, and returns these and what breaks Marathon's rules. Of what is wrong it keeps
// as much as the findings f may have.
func read(item *Item, n *node, c *Cluster, f findings) (shape, rules []Violation) {
	switch item.Kind {
	case KindApp:
		item.App, shape, rules = readAs(n, appShape, f, func(a *App, f findings) []Violation { return validateApp(a, c, f) })
	case KindPod:
		item.Pod, shape, rules = readAs(n, podShape, f, func(p *Pod, f findings) []Violation { return validatePod(p, c, f) })
	case KindGroup:
		item.Group, shape, rules = readAs(n, groupShape, f, func(g *Group, f findings) []Violation { return validateGroup(g, c, f) })
	}
	return shape, rules
}

// readAs decodes a definition and checks what could be read of it.
func readAs[T any](n *node, s *shape, f findings, check func(*T, findings) []Violation) (part *T, violations, more []Violation) {
	part, violations, whole := decodePart[T](n, s, f.most)
	if whole {
		return part, violations, check(part, f)
	}
	if f.most == 1 { // the file has its share of errors
		return part, violations, nil
	}
	return part, violations, further(n, s, violations, f, check)
}

// id is the absolute id of a definition. Where it cannot be known the problem
// is reported and an id that stands for it returned, to check the rest with.
func (p *interpreter) id(n *node, kind Kind, s setting) (id string, at place, known bool) {
	placeholder := "/" + joinID(s.base+"/unknown")
	value := n.get("id")
	at = n.place
	switch {
	case value == nil:
		p.problem(at, "", "/id", SeverityError, `"id" is missing: `+article(kind)+` needs one, as in /shop/cart`)
		return placeholder, at, false
	case value.wrong != "" || slices.ContainsFunc(n.members, func(m member) bool {
		return m.wrong != "" && strings.EqualFold(m.key, "id") // which one is meant?
	}):
		return placeholder, at, false
	}
	at, _ = n.at("/id", p.known)
	if value.kind != stringNode {
		p.problem(at, "", "/id", SeverityError, "the id is "+value.kind.name()+", expected text such as /shop/cart")
		return placeholder, at, false
	}
	id, err := resolveID(value.text, s.base, false)
	if err == nil && id == "/" && kind != KindGroup {
		err = errIDForm
	}
	if err != nil {
		p.problem(at, "", "/id", SeverityError, "the id "+quote(value.text)+" "+err.Error())
		return placeholder, at, false
	}
	if s.lost && value.text[0] != '/' {
		return placeholder, at, false
	}
	if err := checkScope(id, p.o.Scope); err != nil && !(kind == KindGroup && Within(p.o.Scope, id)) {
		p.problem(at, id, "/id", SeverityError, err.Error())
	} else if s.grouped && !s.lost && ParentID(id) != s.base {
		p.problem(at, id, "/id", SeverityError, "is not a direct child of the group "+s.base+" that contains it: Marathon requires each id in a group to be that of a direct child")
	}
	return id, at, true
}

// withID is an object with that id in place of its own.
func (n *node) withID(id string) *node {
	whole := *n
	whole.members = make([]member, 0, len(n.members)+1)
	for _, m := range n.members {
		if m.key != "id" {
			whole.members = append(whole.members, m)
		}
	}
	whole.members = append(whole.members, member{key: "id", value: &node{kind: stringNode, text: id}})
	return &whole
}

// dependencies makes the dependencies of an app or group absolute in whole, a
// copy of it, and returns where they stand. What is no list of strings is left to
// the decoder to report.
func (p *interpreter) dependencies(n, whole *node, base, shown string) (at []Place) {
	given := whole.last("dependencies")
	if given == nil || given.kind != listNode {
		return nil
	}
	if len(given.members) > maxMembers {
		return nil // the decoder refuses it
	}
	list := &node{kind: listNode, members: slices.Clone(given.members)}
	whole.members = append(whole.members, member{key: "dependencies", value: list}) // the last counts
	for i, m := range list.members {
		at = append(at, Place{m.value.place.line, m.value.place.column})
		if m.value.kind != stringNode {
			continue
		}
		text := m.value.text
		id, err := resolveID(text, base, true)
		if err != nil {
			id = "/unknown"
			path := "/dependencies(" + itoa(i) + ")"
			if at, told := n.at(path, p.known); !told {
				p.problem(at, shown, path, SeverityError, "the dependency "+quote(text)+" "+err.Error())
			}
		}
		p.resolves(m.value.place, id)
		if p.beyond != nil {
			return nil
		}
		list.members[i].value = &node{kind: stringNode, text: id}
	}
	return at
}
