package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// groupsEndpoint is /v2/groups and all below it.
func groupsEndpoint(r *http.Request, rest string) endpoint {
	rest = strings.Trim(rest, "/")
	id := func(path string) string { return manifests.AbsoluteID("/", path) }
	if r.Method == http.MethodGet {
		group, last := "", rest
		if i := strings.LastIndexByte(rest, '/'); i >= 0 {
			group, last = rest[:i], rest[i+1:]
		}
		switch at := strings.LastIndex(rest, "versions/"); {
		case last == "apps":
			return on(withID(listGroupApps, id(group)))
		case last == "versions":
			return on(withID(listGroupVersions, id(group)))
		case at == 0 || at > 0 && rest[at-1] == '/':
			return on(func(c *call) (*reply, error) { return readGroupVersion(c, id(rest[:at]), rest[at+len("versions/"):]) })
		}
	}
	return methods{http.MethodGet: on(withID(getGroup, id(rest))), http.MethodDelete: on(withID(deleteGroup, id(rest))),
		http.MethodPost: withBody(withID(postGroup, id(rest))), http.MethodPut: withBody(withID(putGroup, id(rest))),
		http.MethodPatch: withBody(withID(patchGroup, id(rest)))}.of(r)
}

func getGroup(c *call, id string) (*reply, error) {
	if c.Versions.Root.Groups[id] == nil {
		return nil, noGroup(id)
	}
	return ok(c.groupView(c.Versions.Root, id, groupEmbedsOf(c.URL.Query()["embed"])))
}

// listGroupApps lists the apps of a group and below it.
func listGroupApps(c *call, id string) (*reply, error) {
	apps, e := []json.RawMessage{}, groupEmbedsOf(c.URL.Query()["embed"])
	for _, s := range c.Versions.Root.AppsUnder(id) {
		apps = append(apps, c.appView(s, e.app))
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
	ofApps := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, "group.apps.") })
	return groupEmbeds{groups: has("group.groups"), apps: has("group.apps"), pods: has("group.pods"), app: embedsOf(ofApps)}
}

type groupView struct {
	ID           string            `json:"id"`
	Apps         []json.RawMessage `json:"apps"`
	Pods         []any             `json:"pods"`
	Groups       []*groupView      `json:"groups"`
	Dependencies []string          `json:"dependencies"`
	Version      state.Timestamp   `json:"version"`
	EnforceRole  *bool             `json:"enforceRole,omitempty"`
}

// groupView is the tree from a group down, made in one pass over the root group.
func (m views) groupView(root *state.RootGroup, id string, e groupEmbeds) *groupView {
	views := map[string]*groupView{}
	for _, g := range slices.Sorted(maps.Keys(root.Groups)) {
		if !manifests.Within(g, id) {
			continue
		}
		v := &groupView{ID: g, Apps: []json.RawMessage{}, Pods: []any{}, Groups: []*groupView{},
			Dependencies: append([]string{}, root.Groups[g].Dependencies...), Version: root.Version}
		above := manifests.ParentID(g)
		if g != "/" && above == "/" {
			v.EnforceRole = new(ptr.Deref(root.Groups[g].EnforceRole, false))
		}
		views[g] = v
		if up := views[above]; up != nil && g != id && e.groups {
			up.Groups = append(up.Groups, v)
		}
	}
	for _, key := range root.IDs() {
		v, s := views[manifests.ParentID(key)], root.Specs[key]
		switch {
		case v == nil:
		case s.Pod != nil && e.pods:
			v.Pods = append(v.Pods, inDoubles(m.podStatus(s, s.Definition())))
		case s.App != nil && e.apps:
			v.Apps = append(v.Apps, m.appView(s, e.app))
		}
	}
	return views[id]
}

func listGroupVersions(c *call, id string) (*reply, error) {
	if c.Versions.Root.Groups[id] == nil {
		return nil, noGroup(id)
	}
	versions := []state.Timestamp{}
	for _, old := range c.Versions.Past {
		if old.Groups[id] != nil {
			versions = append(versions, old.Version)
		}
	}
	return ok(versions)
}

func readGroupVersion(c *call, id, version string) (*reply, error) {
	when, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	old := c.Versions.RootGroup(when)
	if old == nil || old.Groups[id] == nil {
		return nil, noGroup(id)
	}
	e := groupEmbedsOf(c.URL.Query()["embed"])
	e.app = embeds{} // of the past there are definitions only
	return ok(c.groupView(old, id, e))
}

func deleteGroup(c *call, id string) (*reply, error) {
	return c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		if d.Groups[id] == nil {
			return state.Refuse(http.StatusNotFound, "Group '%s' does not exist", id)
		}
		d.DropGroup(id)
		return nil
	}))
}

func postGroup(c *call, path string) (*reply, error) {
	o := c.body.object()
	if err := checkGroup(o, path); err != nil {
		return nil, err
	}
	id := groupID(o, path)
	if c.Versions.Root.Groups[id] != nil {
		return nil, state.Refuse(http.StatusConflict, "Group %s is already created. Use PUT to change this group.", id)
	}
	if c.Versions.Root.App(id) != nil {
		return nil, state.Refuse(http.StatusConflict, "An app with the path %s already exists.", id)
	}
	out, err := c.writeGroup(o, path, id)
	if err != nil {
		return nil, err
	}
	out.status, out.location = http.StatusCreated, c.location(id)
	return out, nil
}

func putGroup(c *call, path string) (*reply, error) {
	o := c.body.object()
	if err := checkGroup(o, path); err != nil {
		return nil, err
	}
	id := groupID(o, path)
	version, toVersion := present(o, "version")
	factor, toScale := present(o, "scaleBy")
	switch {
	case !toVersion && !toScale:
		return c.writeGroup(o, path, id)
	case len(o) > 1:
		return nil, state.InvalidAt("/", "The 'version' and 'scaleBy' fields must be the only field.")
	case c.Versions.Root.Groups[id] == nil:
		return nil, noGroup(id)
	case toScale:
		return scaleGroup(c, id, factor)
	}
	return restoreGroup(c, id, fmt.Sprint(version))
}

// groupID is the group that a body is about: its own id is read from inside the
// group of the path.
func groupID(o map[string]any, path string) string {
	if given, isText := o["id"].(string); isText {
		return manifests.AbsoluteID(path, given)
	}
	return path
}

func (c *call) writeGroup(o map[string]any, path, id string) (*reply, error) {
	u, err := c.readGroup(o, id, "")
	if err != nil {
		return nil, err
	}
	if c.Method == http.MethodPut && c.flag("dryRun", false) {
		steps, err := c.Deployments.Draft().DryRun(u)
		if err != nil {
			return nil, err
		}
		return ok(map[string]any{"steps": steps})
	}
	return c.write(c.edit(manifests.ParentID(path), func(d *state.Draft) error { return d.PutGroup(u) }))
}

func scaleGroup(c *call, id string, by any) (*reply, error) {
	n, isNumber := by.(json.Number)
	factor, err := n.Float64()
	if !isNumber || err != nil {
		return nil, invalidJSONAt("/scaleBy", "error.expected.jsnumber")
	}
	if factor < 0 {
		return nil, invalidJSONAt("/scaleBy", "error.min")
	}
	return c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		d.ScaleGroup(id, factor)
		return nil
	}))
}

// restoreGroup brings a group back to a version.
func restoreGroup(c *call, id, version string) (*reply, error) {
	when, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	old := c.Versions.RootGroup(when)
	if old == nil || old.Groups[id] == nil {
		return nil, state.Refuse(http.StatusUnprocessableEntity, "Group %s not available in version %s", id, version)
	}
	return c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		d.RestoreGroup(old, id)
		return nil
	}))
}

func patchGroup(c *call, id string) (*reply, error) {
	if c.Versions.Root.Groups[id] == nil {
		return nil, noGroup(id)
	}
	if id == "/" || manifests.ParentID(id) != "/" {
		return nil, state.InvalidAt("/", "Path needs to be top-level")
	}
	given, isGiven := present(c.body.object(), "enforceRole")
	enforce, isBool := given.(bool)
	if isGiven && !isBool {
		return nil, invalidJSONAt("/enforceRole", "error.expected.jsboolean")
	}
	if !isBool {
		enforce = c.api.options.Cluster.NewGroupEnforceRole
	}
	d := c.Deployments.Draft()
	d.SetEnforceRole(id, enforce)
	if err := c.Deployments.Commit(d); err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK}, nil
}
