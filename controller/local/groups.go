package local

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// serveGroups is /v2/groups and all below it.
func (m *Marathon) serveGroups(w http.ResponseWriter, r *http.Request, rest string) error {
	rest = strings.Trim(rest, "/")
	if r.Method == http.MethodGet && (rest == "apps" || strings.HasSuffix(rest, "/apps")) {
		return m.groupApps(r, resolve(strings.TrimSuffix(rest, "apps"), "/"))
	}
	if r.Method == http.MethodGet && (rest == "versions" || strings.HasSuffix(rest, "/versions")) {
		return m.groupVersions(resolve(strings.TrimSuffix(rest, "versions"), "/"))
	}
	if at := strings.LastIndex(rest, "versions/"); r.Method == http.MethodGet && (at == 0 || at > 0 && rest[at-1] == '/') {
		return m.groupVersion(r, resolve(rest[:at], "/"), rest[at+len("versions/"):])
	}
	id := resolve(rest, "/")
	switch r.Method {
	case http.MethodGet:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.groupReply(m.root, id, r)
	case http.MethodPost, http.MethodPut:
		return m.putGroup(w, r, id)
	case http.MethodPatch:
		return m.patchGroup(w, r, id)
	case http.MethodDelete:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.writeReply(http.StatusOK, edit{group: manifests.ParentID(id), force: flag(r, "force", false), change: func(d *draft) error {
			if m.root.groups[id] == nil {
				return fail(http.StatusNotFound, "Group '%s' does not exist", id)
			}
			d.dropGroup(id)
			return nil
		}})
	}
	return errMethod
}

func (m *Marathon) groupReply(of *root, id string, r *http.Request) error {
	if of.groups[id] == nil {
		return missing("Group '%s' does not exist", id)
	}
	return ok(m.groupTree(of, id, groupEmbedsOf(r.URL.Query()["embed"])))
}

// groupApps are the apps of a group and below it, as a list.
func (m *Marathon) groupApps(r *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	apps, e := []json.RawMessage{}, groupEmbedsOf(r.URL.Query()["embed"])
	for _, key := range m.root.under(id) {
		if s := m.app(key); s != nil {
			apps = append(apps, m.appView(s, e.app))
		}
	}
	return ok(apps)
}

// groupEmbeds are the parts of the tree that a client asked for; without any
// word it gets the definitions of all.
type groupEmbeds struct {
	groups, apps, pods bool
	app                embeds
}

func groupEmbedsOf(words []string) groupEmbeds {
	if len(words) == 0 {
		return groupEmbeds{groups: true, apps: true, pods: true}
	}
	has := func(w string) bool { return slices.Contains(words, w) }
	var ofApps []string
	for _, w := range words {
		if strings.HasPrefix(w, "group.apps.") {
			ofApps = append(ofApps, w)
		}
	}
	return groupEmbeds{groups: has("group.groups"), apps: has("group.apps"), pods: has("group.pods"), app: embedsOf(ofApps)}
}

type groupView struct {
	ID           string            `json:"id"`
	Apps         []json.RawMessage `json:"apps"`
	Pods         []any             `json:"pods"`
	Groups       []*groupView      `json:"groups"`
	Dependencies []string          `json:"dependencies"`
	Version      stamp             `json:"version"`
	EnforceRole  *bool             `json:"enforceRole,omitempty"`
}

// groupTree is the tree from a group down, made in one pass over the root.
func (m *Marathon) groupTree(of *root, id string, e groupEmbeds) *groupView {
	views := map[string]*groupView{}
	for _, g := range slices.Sorted(maps.Keys(of.groups)) {
		if !manifests.Within(g, id) {
			continue
		}
		v := &groupView{ID: g, Apps: []json.RawMessage{}, Pods: []any{}, Groups: []*groupView{},
			Dependencies: append([]string{}, of.groups[g].dependencies...), Version: of.version}
		if g != "/" && manifests.ParentID(g) == "/" {
			v.EnforceRole = new(or(of.groups[g].enforceRole, false))
		}
		views[g] = v
		if up := views[manifests.ParentID(g)]; up != nil && g != id && e.groups {
			up.Groups = append(up.Groups, v)
		}
	}
	for _, key := range of.ids() {
		v, s := views[manifests.ParentID(key)], of.specs[key]
		switch {
		case v == nil:
		case s.pod != nil && e.pods:
			v.Pods = append(v.Pods, inDoubles(m.podStatus(s, s.definition())))
		case s.app != nil && e.apps:
			v.Apps = append(v.Apps, m.appView(s, e.app))
		}
	}
	return views[id]
}

func (m *Marathon) groupVersions(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root.groups[id] == nil {
		return missing("Group '%s' does not exist", id)
	}
	vs := []stamp{}
	for _, old := range m.roots {
		if old.groups[id] != nil && id != "/" || id == "/" {
			vs = append(vs, old.version)
		}
	}
	return ok(vs)
}

func (m *Marathon) groupVersion(r *http.Request, id, at string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := m.rootAt(at)
	if err != nil {
		return err
	}
	if old == nil || old.groups[id] == nil {
		return missing("Group '%s' does not exist", id)
	}
	e := groupEmbedsOf(r.URL.Query()["embed"])
	e.app = embeds{} // of the past there are definitions only
	return ok(m.groupTree(old, id, e))
}

// rootAt is the root of a version; nil: not kept.
func (m *Marathon) rootAt(text string) (*root, error) {
	when, err := parseVersion(text)
	if err != nil {
		return nil, err
	}
	for _, old := range slices.Backward(m.roots) {
		if old.version.Equal(when) {
			return old, nil
		}
	}
	return nil, nil
}

// groupUpdate is the body of a group write, read and checked, with absolute
// ids. Apps and groups are nil where absent: then what is there is kept.
type groupUpdate struct {
	id           string
	apps         []*manifests.App
	groups       []*groupUpdate
	dependencies []string
	hasApps      bool
	hasGroups    bool
	hasDeps      bool
	enforceRole  *bool
	hasID        bool
}

func (u *groupUpdate) services() bool {
	return len(u.apps) > 0 || slices.ContainsFunc(u.groups, (*groupUpdate).services)
}

func (m *Marathon) putGroup(w http.ResponseWriter, r *http.Request, id string) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	o, above := b.object(), manifests.ParentID(id)
	if err := checkGroup(o, id); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if given, isText := o["id"].(string); isText {
		id = resolve(given, id)
	}
	if r.Method == http.MethodPost {
		if m.root.groups[id] != nil {
			return fail(http.StatusConflict, "Group %s is already created. Use PUT to change this group.", id)
		}
		if m.app(id) != nil {
			return fail(http.StatusConflict, "An app with the path %s already exists.", id)
		}
	} else if done, err := m.specialUpdate(r, id, o); done {
		return err
	}
	u, err := m.readGroup(o, id, "")
	if err != nil {
		return err
	}
	change := func(d *draft) error { return d.putGroup(u, true) }
	if r.Method == http.MethodPut && flag(r, "dryRun", false) {
		return m.dryRun(u, change)
	}
	dep, err := m.write(edit{group: above, force: flag(r, "force", false), change: change})
	if err != nil {
		return err
	}
	out := deployed(http.StatusOK, dep)
	if r.Method == http.MethodPost {
		out.status, out.location = http.StatusCreated, location(r, id)
	}
	return out
}

// checkGroup refuses an update whose members are of the wrong kind, and a path
// that can be no id. Only here may the update leave its own id out.
func checkGroup(o map[string]any, id string) error {
	if _, vs := manifests.DecodeGroup(map[string]any{"id": id}); id != "/" && len(vs) > 0 {
		return invalidObject(detail{"/", []string{`must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])|(\.|\.\.)$'`}})
	}
	complete := maps.Clone(o)
	if _, given := present(o, "id"); !given {
		complete["id"] = id
	}
	_, vs := manifests.DecodeGroup(complete)
	return refusal(vs, "", invalidShape)
}

// specialUpdate carries out the updates that are one field alone.
func (m *Marathon) specialUpdate(r *http.Request, id string, o map[string]any) (bool, error) {
	at, toVersion := present(o, "version")
	by, toScale := present(o, "scaleBy")
	if !toVersion && !toScale {
		return false, nil
	}
	if len(o) > 1 {
		return true, invalidObject(detail{"/", []string{"The 'version' and 'scaleBy' fields must be the only field."}})
	}
	if m.root.groups[id] == nil {
		return true, missing("Group '%s' does not exist", id)
	}
	e := edit{group: manifests.ParentID(id), force: flag(r, "force", false)}
	if toScale {
		n, isNumber := by.(json.Number)
		f, err := n.Float64()
		if !isNumber || err != nil {
			return true, invalidShape(detail{"/scaleBy", []string{"error.expected.jsnumber"}})
		}
		if f < 0 {
			return true, invalidShape(detail{"/scaleBy", []string{"error.min"}})
		}
		e.change = func(d *draft) error { d.scaleBy(id, f); return nil }
		return true, m.writeReply(http.StatusOK, e)
	}
	old, err := m.rootAt(fmt.Sprint(at))
	if err != nil {
		return true, err
	}
	if old == nil || old.groups[id] == nil {
		return true, fail(http.StatusUnprocessableEntity, "Group %s not available in version %s", id, at)
	}
	e.change = func(d *draft) error { d.rollGroup(old, id); return nil }
	return true, m.writeReply(http.StatusOK, e)
}

func (d *draft) scaleBy(id string, f float64) {
	for _, key := range d.under(id) {
		s := d.specs[key]
		if s.app == nil {
			continue
		}
		a := *s.app
		a.Instances = new(int(min(math.Ceil(float64(s.instances())*f), math.MaxInt32)))
		d.put(&spec{id: key, app: &a})
	}
}

// rollGroup brings a group back to what it was in an old root.
func (d *draft) rollGroup(old *root, id string) {
	for _, key := range d.under(id) {
		if old.specs[key] == nil {
			d.drop(key)
		}
	}
	for g := range d.groups {
		if g != "/" && manifests.Within(g, id) && old.groups[g] == nil {
			delete(d.groups, g)
		}
	}
	for g, was := range old.groups {
		if manifests.Within(g, id) {
			d.groups[g] = was
		}
	}
	for _, key := range old.under(id) {
		s := old.specs[key]
		d.put(&spec{id: key, app: s.app, pod: s.pod})
	}
}

// readGroup reads a group update. prefix is where it stands in the body.
func (m *Marathon) readGroup(o map[string]any, id, prefix string) (*groupUpdate, error) {
	u := &groupUpdate{id: id}
	_, u.hasID = present(o, "id")
	if v, isBool := o["enforceRole"].(bool); isBool {
		u.enforceRole = &v
		if v && topGroup(id) != id {
			return nil, invalidObject(detail{prefix + "/enforceRole", []string{fmt.Sprintf("enforceRole can only be set for top-level groups, and %s is not top-level", id)}})
		}
	}
	deps, given := present(o, "dependencies")
	u.hasDeps = given
	list, _ := deps.([]any)
	for _, v := range list {
		u.dependencies = append(u.dependencies, resolve(fmt.Sprint(v), id))
	}
	if err := m.readGroupApps(o, u, prefix); err != nil {
		return nil, err
	}
	groups, given := present(o, "groups")
	u.hasGroups = given
	list, _ = groups.([]any)
	for n, v := range list {
		sub, _ := v.(map[string]any)
		at := fmt.Sprintf("%s/groups(%d)", prefix, n)
		name, isText := sub["id"].(string)
		if !isText {
			return nil, invalidShape(detail{at + "/id", []string{"'id' is undefined on object: " + printed(v)}})
		}
		child := resolve(name, id)
		if manifests.ParentID(child) != id {
			return nil, invalidObject(detail{at + "/id", []string{fmt.Sprintf("Identifier is not child of '%s'", id)}})
		}
		s, err := m.readGroup(sub, child, at)
		if err != nil {
			return nil, err
		}
		u.groups = append(u.groups, s)
	}
	return u, nil
}

func (m *Marathon) readGroupApps(o map[string]any, u *groupUpdate, prefix string) error {
	apps, given := present(o, "apps")
	u.hasApps = given
	list, _ := apps.([]any)
	cluster := m.root.cluster(m.options.Cluster)
	if top := topGroup(u.id); top == u.id && u.id != "/" {
		cluster.EnforceRole[top] = or(u.enforceRole, cluster.NewGroupEnforceRole)
	}
	for n, v := range list {
		at := fmt.Sprintf("%s/apps(%d)", prefix, n)
		item, _ := v.(map[string]any)
		if name, isText := item["id"].(string); isText {
			if id := resolve(name, u.id); manifests.ParentID(id) != u.id {
				return invalidObject(detail{at + "/id", []string{fmt.Sprintf("Identifier is not child of '%s'", u.id)}})
			}
		} else {
			return invalidShape(detail{at + "/id", []string{"'id' is undefined on object: " + printed(v)}})
		}
		a, err := m.readApp(item, u.id, at, cluster)
		if err != nil {
			return err
		}
		u.apps = append(u.apps, a)
	}
	return nil
}

func printed(v any) string {
	text, err := encode(v)
	if err != nil {
		return "?"
	}
	return string(text)
}

// topGroup is the top-level group that an id stands in.
func topGroup(id string) string {
	if i := strings.IndexByte(id[1:], '/'); i >= 0 {
		return id[:i+1]
	}
	return id
}

// putGroup lays an update over the tree. Source: Marathon's
// GroupConversion, and testdata/conformance/api/groups.json.
func (d *draft) putGroup(u *groupUpdate, top bool) error {
	was := d.groups[u.id]
	g := group{}
	if was != nil {
		g = *was
	}
	if u.hasDeps {
		g.dependencies = u.dependencies
	}
	if u.id != "/" && manifests.ParentID(u.id) == "/" {
		g.enforceRole = new(or(u.enforceRole, d.cluster.NewGroupEnforceRole))
		if was != nil && u.hasID && top && u.services() && or(was.enforceRole, false) != *g.enforceRole {
			return invalidObject(detail{"/enforceRole", []string{"enforceRole cannot be modified in a request that adds, removes or modifies services. " +
				"The updates to enforceRole and services must be performed in separate requests."}})
		}
		d.cluster.EnforceRole[u.id] = *g.enforceRole
	}
	d.addGroups(u.id)
	d.groups[u.id] = &g
	if u.hasApps {
		for key, s := range d.specs {
			if s.app != nil && manifests.ParentID(key) == u.id && !slices.ContainsFunc(u.apps, func(a *manifests.App) bool { return a.ID == key }) {
				d.drop(key)
			}
		}
		d.putAll(u.apps)
	}
	if u.hasGroups {
		for other := range d.groups {
			if other != "/" && manifests.ParentID(other) == u.id && !slices.ContainsFunc(u.groups, func(s *groupUpdate) bool { return s.id == other }) {
				d.dropGroup(other)
			}
		}
		for _, s := range u.groups {
			if err := d.putGroup(s, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// dryRun answers with the steps, as Marathon words them: its target is not
// versioned, so each app that the update addresses seems to be restarted.
func (m *Marathon) dryRun(u *groupUpdate, change func(*draft) error) error {
	d := m.newDraft(m.stamp())
	if err := change(d); err != nil {
		return err
	}
	var address func(*groupUpdate)
	address = func(u *groupUpdate) {
		if u.id != "/" {
			for key, s := range d.specs {
				if manifests.ParentID(key) == u.id && s.app != nil && !slices.ContainsFunc(d.puts, func(p *spec) bool { return p.id == key }) {
					d.puts = append(d.puts, &spec{id: key, app: s.app})
				}
			}
		}
		for _, s := range u.groups {
			address(s)
		}
	}
	address(u)
	for _, p := range d.puts {
		d.restart[p.id] = true
	}
	if err := d.finish(func() int { return 0 }); err != nil {
		return err
	}
	return ok(map[string]any{"steps": d.steps()})
}

func (m *Marathon) patchGroup(w http.ResponseWriter, r *http.Request, id string) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root.groups[id] == nil {
		return missing("Group '%s' does not exist", id)
	}
	if id == "/" || manifests.ParentID(id) != "/" {
		return invalidObject(detail{"/", []string{"Path needs to be top-level"}})
	}
	given, isGiven := present(b.object(), "enforceRole")
	v, isBool := given.(bool)
	if isGiven && !isBool {
		return invalidShape(detail{"/enforceRole", []string{"error.expected.jsboolean"}})
	}
	if !isBool {
		v = m.options.Cluster.NewGroupEnforceRole
	}
	d := m.newDraft(m.stamp())
	g := *d.groups[id]
	g.enforceRole = &v
	d.groups[id] = &g
	if err := m.swap(d); err != nil {
		return err
	}
	return &reply{status: http.StatusOK}
}
