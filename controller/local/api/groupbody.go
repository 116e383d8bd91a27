package api

import (
	"fmt"
	"maps"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// checkGroup refuses an update whose members are of the wrong kind, and a path
// that can be no id. Only here may the update leave its own id out.
func checkGroup(o map[string]any, id string) error {
	if _, vs := manifests.DecodeGroup(map[string]any{"id": id}); id != "/" && len(vs) > 0 {
		return state.InvalidAt("/", "%s", `must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])|(\.|\.\.)$'`)
	}
	complete := maps.Clone(o)
	if _, given := present(o, "id"); !given {
		complete["id"] = id
	}
	_, vs := manifests.DecodeGroup(complete)
	return state.Refused(vs, "", state.InvalidJSON)
}

// readGroup reads a group update. prefix is its place in the body.
func (c *call) readGroup(o map[string]any, id, prefix string) (*state.GroupUpdate, error) {
	u := &state.GroupUpdate{ID: id}
	_, u.HasID = present(o, "id")
	if v, isBool := o["enforceRole"].(bool); isBool {
		u.EnforceRole = &v
		if v && state.TopGroup(id) != id {
			return nil, state.InvalidAt(prefix+"/enforceRole", "enforceRole can only be set for top-level groups, and %s is not top-level", id)
		}
	}
	var dependencies []any
	dependencies, u.HasDependencies = listOf(o, "dependencies")
	for _, v := range dependencies {
		u.Dependencies = append(u.Dependencies, manifests.AbsoluteID(id, fmt.Sprint(v)))
	}
	if err := c.readGroupApps(o, u, prefix); err != nil {
		return nil, err
	}
	var groups []any
	groups, u.HasGroups = listOf(o, "groups")
	for n, v := range groups {
		at := fmt.Sprintf("%s/groups(%d)", prefix, n)
		sub, child, err := member(v, id, at)
		if err != nil {
			return nil, err
		}
		s, err := c.readGroup(sub, child, at)
		if err != nil {
			return nil, err
		}
		u.Groups = append(u.Groups, s)
	}
	return u, nil
}

func (c *call) readGroupApps(o map[string]any, u *state.GroupUpdate, prefix string) error {
	var apps []any
	apps, u.HasApps = listOf(o, "apps")
	cluster := c.cluster()
	if state.TopGroup(u.ID) == u.ID && u.ID != "/" {
		cluster.EnforceRole[u.ID] = ptr.Deref(u.EnforceRole, cluster.NewGroupEnforceRole)
	}
	for n, v := range apps {
		at := fmt.Sprintf("%s/apps(%d)", prefix, n)
		item, _, err := member(v, u.ID, at)
		if err != nil {
			return err
		}
		a, err := readApp(item, u.ID, at, cluster)
		if err != nil {
			return err
		}
		u.Apps = append(u.Apps, a)
	}
	return nil
}

// member is a member of a group's list, with its id, which must be a child of the
// group.
func member(v any, group, at string) (o map[string]any, id string, err error) {
	o, _ = v.(map[string]any)
	name, isText := o["id"].(string)
	if !isText {
		return nil, "", invalidJSONAt(at+"/id", "'id' is undefined on object: %s", printed(v))
	}
	id = manifests.AbsoluteID(group, name)
	if manifests.ParentID(id) != group {
		return nil, "", state.InvalidAt(at+"/id", "Identifier is not child of '%s'", group)
	}
	return o, id, nil
}

// listOf is a list in an object, and whether it is given.
func listOf(o map[string]any, key string) ([]any, bool) {
	v, given := present(o, key)
	list, _ := v.([]any)
	return list, given
}

func printed(v any) string {
	text, err := state.Encode(v)
	if err != nil {
		return "?"
	}
	return string(text)
}
