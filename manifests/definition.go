package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// definition is one app, pod or group of a file, readable or not.
type definition struct {
	id    string
	kind  Kind
	file  string
	place syntax.Place
	item  *Item // nil: it has errors, or the id of many others
	*across
}

// across is what of a definition is held against others, of one that has errors too.
type across struct {
	on      []string       // what it depends on
	onAt    []syntax.Place // where each of these stands
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
	known syntax.Index
	put   substitution
	// definitions and resolved count what was taken so far, and the bytes of the
	// ids in it. Once there is too much, beyond says so, and no more is taken.
	definitions, resolved int
	beyond                *syntax.Fault
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
func (p *interpreter) tooMany(at syntax.Place) bool {
	if p.definitions++; p.definitions > p.o.Limits.Definitions && p.beyond == nil {
		p.beyond = syntax.OverDefinitions(at, p.o.Limits.ofFile())
	}
	return p.beyond != nil
}

// resolves counts an id that a written one resolves to: a short one may stand
// for one of maxID bytes.
func (p *interpreter) resolves(at syntax.Place, id string) {
	if p.resolved += len(id); p.resolved > 2*p.o.Limits.FileBytes && p.beyond == nil {
		p.beyond = &syntax.Fault{Place: at, Message: fmt.Sprintf("the ids and dependencies of the file come to more than %d bytes: split it into several files", 2*p.o.Limits.FileBytes)}
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

func (p *interpreter) problem(at syntax.Place, id, path string, severity Severity, message string) {
	p.out.problems.add(maxFileProblems, Problem{
		File: p.file, Line: at.Line, Column: at.Column, ID: id, Path: path, Severity: severity, Message: message,
	})
}

// unknown reports what keeps the ids of a file from being known.
func (p *interpreter) unknown(at syntax.Place, message string) {
	p.problem(at, "", "", SeverityError, message)
	p.out.unreadable = true
}

// document takes one whole value of a file.
func (p *interpreter) document(n *syntax.Node) {
	p.put.replace(n)
	if p.put.room < 0 && p.beyond == nil {
		p.beyond = &syntax.Fault{Place: n.Place, Message: fmt.Sprintf("the values substituted for ${…} come to more than %d bytes: split the file, or shorten the values of substitute", p.o.Limits.FileBytes)}
	}
	s := setting{base: p.o.Scope}
	switch {
	case n.Kind != syntax.List:
		p.value(n, s)
		return
	case len(n.Members) <= p.o.Limits.Definitions && !mayBeManifest(n):
		p.unknown(n.Place, "a list in which nothing is an app, pod or group: "+whatIsManifest)
		return
	}
	for _, m := range n.Members {
		if m.Value.Kind == syntax.List {
			p.unknown(m.Value.Place, "a list in a list: put the definitions into one list")
			continue
		}
		p.value(m.Value, s)
	}
}

// value takes an app, pod or group and tells which it is.
func (p *interpreter) value(n *syntax.Node, s setting) {
	if p.tooMany(n.Place) {
		return
	}
	if n.Wrong != "" && len(n.Members) == 0 {
		p.unknown(n.Place, n.Wrong)
		return
	}
	if n.Kind != syntax.Object {
		p.unknown(n.Place, "expected a definition, found "+n.Kind.Name()+": "+whatIsManifest)
		return
	}
	if app := n.Get("app"); app != nil && app.Kind == syntax.Object && len(n.Members) == 1 {
		n = app // as GET /v2/apps/ID answers
	}
	switch kind := kindOf(n); kind {
	case KindGroup:
		p.group(n, s)
	case "":
		p.unknown(n.Place, whatIs(n))
		for _, m := range n.Members {
			if merges(m) { // what it brings in may be what is missing
				p.problem(m.Place, "", "", SeverityError, m.Wrong)
			}
		}
	default:
		p.definition(n, kind, s)
	}
}

// mayBeManifest reports whether a value of a file, or a part of it, has a key of a
// definition, or is so wrong that it may have one. The rest is told to be no
// manifest, and nothing else of it.
func mayBeManifest(n *syntax.Node) bool {
	switch n.Kind {
	case syntax.List:
		return len(n.Members) == 0 || slices.ContainsFunc(n.Members, func(m syntax.Member) bool { return mayBeManifest(m.Value) })
	case syntax.Object:
		return kindOf(n) != "" || len(n.Members) == 1 && n.Get("app") != nil || isForeign(n) == "" && slices.ContainsFunc(n.Members, merges)
	}
	return false
}

// merges reports whether a member of an object brings in others.
func merges(m syntax.Member) bool { return m.Wrong != "" && m.Key == "<<" }

// kindOf tells a definition by its keys; empty: it is none.
func kindOf(n *syntax.Node) Kind {
	if n.Get("containers") != nil {
		return KindPod
	}
	for _, key := range []string{"apps", "groups", "pods", "enforceRole"} {
		if n.Get(key) != nil {
			return KindGroup
		}
	}
	for _, key := range appKeys {
		if n.Get(key) != nil {
			return KindApp
		}
	}
	return ""
}

// isForeign says what an object is mistaken for a manifest instead of; empty: that
// is not known.
func isForeign(n *syntax.Node) string {
	for _, f := range foreign {
		if n.Get(f.key) != nil {
			return f.what
		}
	}
	return ""
}

func whatIs(n *syntax.Node) string {
	if what := isForeign(n); what != "" {
		return what + ": " + whatIsManifest
	}
	return "none of the keys of an app, pod or group: " + whatIsManifest
}

// group takes a group: what only it has, and its members, each by itself, so
// that one that has errors does not stop the others.
func (p *interpreter) group(n *syntax.Node, s setting) {
	inner := s
	own := *n
	own.Members = nil
	for _, m := range n.Members {
		if !isMembers(m) {
			own.Members = append(own.Members, m)
		}
	}
	switch {
	case n.Get("id") != nil:
		id, known := p.definition(&own, KindGroup, s)
		inner = setting{base: id, grouped: true, lost: !known}
	case s.grouped:
		p.unknown(n.Place, `a group in a group has no "id": write one`)
		inner.lost = true
	default:
		// A bare {"apps": […]}, as GET /v2/apps answers, is a list in an object.
		p.bare(&own, s)
	}
	for _, mk := range memberKeys {
		members := n.Get(mk.key)
		switch {
		case members == nil || members.Kind == syntax.Null && members.Wrong == "":
		case members.Kind != syntax.List:
			p.unknown(members.Place, syntax.Quote(mk.key)+" is "+members.Kind.Name()+", expected a list")
		default:
			for _, m := range members.Members {
				p.groupMember(m.Value, mk.kind, inner)
			}
		}
	}
}

// isMembers reports whether a key of a group holds definitions.
func isMembers(m syntax.Member) bool {
	for _, mk := range memberKeys {
		if m.Key == mk.key && m.Wrong == "" {
			return true
		}
	}
	return false
}

// bare takes what stands beside the lists of an object without an id.
func (p *interpreter) bare(own *syntax.Node, s setting) {
	own.Faults(func(f syntax.Fault) { p.unknown(f.Place, f.Message) })
	for _, m := range own.Members {
		if m.Wrong == "" {
			p.unknown(m.Place, `the key `+syntax.Quote(m.Key)+` belongs to a group, and this one has no "id": write one`)
		}
	}
}

func (p *interpreter) groupMember(n *syntax.Node, kind Kind, s setting) {
	if p.tooMany(n.Place) {
		return
	}
	switch {
	case n.Kind != syntax.Object:
		message := n.Wrong
		if message == "" {
			message = "expected " + article(kind) + ", found " + n.Kind.Name()
		}
		p.unknown(n.Place, message)
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
func podOfStatus(n *syntax.Node) *syntax.Node {
	if spec := n.Get("spec"); spec != nil && spec.Kind == syntax.Object && n.Get("status") != nil && n.Get("containers") == nil {
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
func (p *interpreter) definition(n *syntax.Node, kind Kind, s setting) (id string, known bool) {
	errors := p.out.problems.found.errors
	id, at, known := p.id(n, kind, s)
	p.resolves(at, id)
	shown := id
	if !known {
		shown = ""
	}
	n.Faults(func(f syntax.Fault) { p.problem(f.Place, shown, "", SeverityError, f.Message) })
	whole := n.With("id", &syntax.Node{Kind: syntax.String, Text: id})
	item := Item{ID: id, Kind: kind, File: p.file, Line: n.Place.Line}
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
func (p *interpreter) across(n *syntax.Node, item *Item, shape []Violation) (a across) {
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
func (p *interpreter) volumes(n *syntax.Node, a *App, shape []Violation) (uses []volumeUse) {
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
		use.at, _ = n.At(use.path, p.known)
		uses = append(uses, use)
	}
	return uses
}

// violation reports what breaks a rule where it stands, if nothing was reported
// there before.
func (p *interpreter) violation(n *syntax.Node, id string, v Violation) {
	if v.Message == "" {
		return
	}
	severity := SeverityError
	if v.Warning {
		severity = SeverityWarning
	}
	if at, told := n.At(cmp.Or(v.Place, v.Path), p.known); !told {
		p.out.problems.add(maxFileProblems, Problem{
			File: p.file, Line: at.Line, Column: at.Column, ID: id, Path: v.Path, Severity: severity, Message: v.Message, More: v.More,
		})
	}
}

// above takes a group that the scope lies in: it may be there for its members,
// but what it says of itself is not this sync's to apply.
func (p *interpreter) above(item *Item, at syntax.Place) {
	if item.Group != nil && !saysNothing(item.Group) && item.ID != p.o.Scope {
		p.problem(at, item.ID, "/id", SeverityError, checkScope(item.ID, p.o.Scope).Error()+", and the group has dependencies or enforceRole")
	}
}

// read decodes and checks a definition into the item, in part where it has errors of
// shape, and returns these and what breaks Marathon's rules. Of what is wrong it keeps
// as much as the findings f may have.
func read(item *Item, n *syntax.Node, c *Cluster, f findings) (shape, rules []Violation) {
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
func readAs[T any](n *syntax.Node, s *shape, f findings, check func(*T, findings) []Violation) (part *T, violations, more []Violation) {
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
func (p *interpreter) id(n *syntax.Node, kind Kind, s setting) (id string, at syntax.Place, known bool) {
	placeholder := "/" + joinID(s.base+"/unknown")
	value := n.Get("id")
	at = n.Place
	switch {
	case value == nil:
		p.problem(at, "", "/id", SeverityError, `"id" is missing: `+article(kind)+` needs one, as in /shop/cart`)
		return placeholder, at, false
	case value.Wrong != "" || slices.ContainsFunc(n.Members, func(m syntax.Member) bool {
		return m.Wrong != "" && strings.EqualFold(m.Key, "id") // which one is meant?
	}):
		return placeholder, at, false
	}
	at, _ = n.At("/id", p.known)
	if value.Kind != syntax.String {
		p.problem(at, "", "/id", SeverityError, "the id is "+value.Kind.Name()+", expected text such as /shop/cart")
		return placeholder, at, false
	}
	id, err := resolveID(value.Text, s.base, false)
	if err == nil && id == "/" && kind != KindGroup {
		err = errIDForm
	}
	if err != nil {
		p.problem(at, "", "/id", SeverityError, "the id "+syntax.Quote(value.Text)+" "+err.Error())
		return placeholder, at, false
	}
	if s.lost && value.Text[0] != '/' {
		return placeholder, at, false
	}
	if err := checkScope(id, p.o.Scope); err != nil && !(kind == KindGroup && Within(p.o.Scope, id)) {
		p.problem(at, id, "/id", SeverityError, err.Error())
	} else if s.grouped && !s.lost && ParentID(id) != s.base {
		p.problem(at, id, "/id", SeverityError, "is not a direct child of the group "+s.base+" that contains it: Marathon requires each id in a group to be that of a direct child")
	}
	return id, at, true
}

// dependencies makes the dependencies of an app or group absolute in whole, a
// copy of it, and returns where they stand. What is no list of strings is left to
// the decoder to report.
func (p *interpreter) dependencies(n, whole *syntax.Node, base, shown string) (at []syntax.Place) {
	given := whole.Last("dependencies")
	if given == nil || given.Kind != syntax.List {
		return nil
	}
	if len(given.Members) > maxMembers {
		return nil // the decoder refuses it
	}
	list := &syntax.Node{Kind: syntax.List, Members: slices.Clone(given.Members)}
	whole.Members = append(whole.Members, syntax.Member{Key: "dependencies", Value: list}) // the last counts
	for i, m := range list.Members {
		at = append(at, m.Value.Place)
		if m.Value.Kind != syntax.String {
			continue
		}
		text := m.Value.Text
		id, err := resolveID(text, base, true)
		if err != nil {
			id = "/unknown"
			path := "/dependencies(" + itoa(i) + ")"
			if at, told := n.At(path, p.known); !told {
				p.problem(at, shown, path, SeverityError, "the dependency "+syntax.Quote(text)+" "+err.Error())
			}
		}
		p.resolves(m.Value.Place, id)
		if p.beyond != nil {
			return nil
		}
		list.Members[i].Value = &syntax.Node{Kind: syntax.String, Text: id}
	}
	return at
}
