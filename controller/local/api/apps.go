package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// appsEndpoint is /v2/apps and all below it.
func appsEndpoint(r *http.Request, rest string) endpoint {
	if rest == "" || rest == "/" {
		return methods{http.MethodGet: on(listApps), http.MethodPost: withBody(createApp),
			http.MethodPut: withBody(putApps), http.MethodPatch: withBody(putApps)}.of(r)
	}
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	n := len(parts)
	last, before := parts[n-1], ""
	if n > 1 {
		before = parts[n-2]
	}
	id := func(cut int) string { return manifests.AbsoluteID("/", strings.Join(parts[:n-cut], "/")) }
	switch {
	case last == "*":
		return get(r, withID(listAppsBelow, id(1)))
	case n > 1 && last == "restart" && r.Method != http.MethodDelete: // which deletes an app of that name
		return methods{http.MethodPost: on(withID(restartApp, id(1)))}.of(r)
	case n > 1 && last == "tasks" && before == "*":
		return get(r, withID(listTasksBelow, id(2)))
	case n > 1 && last == "tasks":
		return methods{http.MethodGet: on(withID(listTasksOfApp, id(1))), http.MethodDelete: on(withID(killTasksOfApp, id(1)))}.of(r)
	case n > 2 && before == "tasks":
		return methods{http.MethodDelete: on(func(c *call) (*reply, error) { return killTaskOfApp(c, id(2), last) })}.of(r)
	case n > 1 && last == "versions":
		return get(r, withID(listAppVersions, id(1)))
	case n > 2 && before == "versions":
		return get(r, func(c *call) (*reply, error) { return readAppVersion(c, id(2), last) })
	}
	return methods{http.MethodGet: on(withID(getApp, id(0))), http.MethodDelete: on(withID(deleteApp, id(0))),
		http.MethodPut: withBody(withID(putApp, id(0))), http.MethodPatch: withBody(withID(putApp, id(0)))}.of(r)
}

func listApps(c *call) (*reply, error) {
	q := c.URL.Query()
	selector, err := parseSelector(q.Get("label"))
	if err != nil {
		return nil, err
	}
	cmd, id := strings.ToLower(q.Get("cmd")), strings.ToLower(q.Get("id"))
	e := embedsOf(q["embed"]).and(usual)
	apps := []json.RawMessage{}
	root := c.Versions.Root
	for _, key := range root.IDs() {
		s := root.App(key)
		if s == nil || !strings.Contains(key, id) || !selector.matches(s.App.Labels) ||
			q.Has("cmd") && (s.App.Cmd == nil || !strings.Contains(strings.ToLower(*s.App.Cmd), cmd)) {
			continue
		}
		apps = append(apps, c.appView(s, e))
	}
	return ok(list("apps", apps))
}

// listAppsBelow is /v2/apps/{group}/*.
func listAppsBelow(c *call, id string) (*reply, error) {
	if c.Versions.Root.Groups[id] == nil {
		return nil, noGroup(id)
	}
	apps := []json.RawMessage{}
	for _, s := range c.Versions.Root.AppsUnder(id) {
		apps = append(apps, c.appView(s, c.singleEmbeds()))
	}
	return ok(list("*", apps))
}

// singleEmbeds are the parts of an app that is read by its id or its group.
func (c *call) singleEmbeds() embeds {
	return embedsOf(c.URL.Query()["embed"]).and(usual).and(embeds{tasks: true, failure: true})
}

func getApp(c *call, id string) (*reply, error) {
	s := c.Versions.Root.App(id)
	if s == nil {
		return nil, noApp(id)
	}
	return ok(map[string]any{"app": c.appView(s, c.singleEmbeds())})
}

func deleteApp(c *call, id string) (*reply, error) {
	e := c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		if d.App(id) == nil {
			return noAppToWrite(id)
		}
		d.Drop(id)
		return nil
	})
	e.Force = c.flag("force", true)
	return c.write(e)
}

func createApp(c *call) (*reply, error) {
	o, err := c.body.strict("id")
	if err != nil {
		return nil, err
	}
	cluster := c.cluster()
	a, err := readApp(o, "/", "", cluster)
	if err != nil {
		return nil, err
	}
	dep, err := c.Deployments.Write(c.edit(manifests.ParentID(a.ID), func(d *state.Draft) error {
		if d.App(a.ID) != nil {
			return state.Refuse(http.StatusConflict, "An app with id [%s] already exists.", a.ID)
		}
		d.Put(&state.RunSpec{ID: a.ID, App: a})
		return nil
	}))
	if err != nil {
		return nil, err
	}
	// The answer and the event show the service ports before they are assigned.
	submitted := (&state.RunSpec{ID: a.ID, App: state.NormaliseApp(a, nil, cluster), Version: dep.Version}).Submitted()
	c.publishPost(func() json.RawMessage { return submitted })
	return &reply{status: http.StatusCreated, location: c.location(a.ID), deployed: dep.ID,
		body: extend(state.WithDoubles(submitted), run{runCounts: &runCounts{}, Deployments: []state.Ref{{ID: dep.ID}}})}, nil
}

func (c *call) publishPost(definition func() json.RawMessage) {
	c.Events.Publish("api_post_event", func() map[string]any {
		return map[string]any{"clientIp": c.clientIP(), "uri": c.URL.EscapedPath(), "appDefinition": definition()}
	})
}

func putApp(c *call, id string) (*reply, error) {
	o := c.body.object()
	o["id"] = id
	live := c.Versions.Root.App(id)
	// What is not there yet is read as if it were given in full.
	full := live == nil || c.replaces()
	if _, isObject := c.body.tree.(map[string]any); full && !isObject {
		return nil, invalidJSONAt("", "error.expected.jsobject")
	}
	if !full {
		if at, given, err := onlyVersion(o); err != nil || given {
			return restoreApp(c, id, at, err)
		}
	}
	a, err := c.readUpdate(o, live, full, "")
	if err != nil {
		return nil, err
	}
	out, err := c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		if live == nil && c.Method == http.MethodPatch {
			return noAppToWrite(id)
		}
		d.Put(&state.RunSpec{ID: id, App: a})
		return nil
	}))
	if err != nil {
		return nil, err
	}
	c.publishPost(c.Versions.Root.Specs[id].Plain)
	if live == nil {
		out.status, out.location = http.StatusCreated, c.location(id)
	}
	return out, nil
}

// replaces reports whether an update is in full, and not laid over what is live.
func (c *call) replaces() bool {
	return c.Method == http.MethodPut && !c.flag("partialUpdate", true)
}

// restoreApp brings an app back to a version; err is passed on.
func restoreApp(c *call, id, version string, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	a, err := c.appAt(id, version)
	if err != nil {
		return nil, err
	}
	return c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		d.Put(&state.RunSpec{ID: id, App: a})
		return nil
	}))
}

// appAt is what an app was in a version.
func (c *call) appAt(id, version string) (*manifests.App, error) {
	when, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	if was := c.Versions.Spec(id, when); was != nil && was.App != nil {
		return was.App, nil
	}
	return nil, noAppToWrite(id)
}

func putApps(c *call) (*reply, error) {
	items, isList := c.body.tree.([]any)
	if !isList {
		return nil, invalidJSONAt("", "error.expected.jsarray")
	}
	var apps []*manifests.App
	for n, item := range items {
		a, err := c.readItem(item, n)
		if err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return c.write(c.edit("/", func(d *state.Draft) error {
		d.PutApps(apps)
		return nil
	}))
}

// readItem reads one app of an array.
func (c *call) readItem(item any, n int) (*manifests.App, error) {
	o, _ := item.(map[string]any)
	given, hasID := present(o, "id")
	name, isText := given.(string)
	full := c.replaces()
	if full && !hasID {
		return nil, invalidJSONAt(fmt.Sprintf("(%d)/id", n), "'id' is undefined on object: %s", printed(item))
	}
	if !hasID || !isText {
		return nil, state.Refuse(http.StatusUnprocessableEntity, "requirement failed: App Update must have app id set")
	}
	id := manifests.AbsoluteID("/", name)
	live := c.Versions.Root.App(id)
	if live == nil && c.Method == http.MethodPatch {
		return nil, noAppToWrite(id)
	}
	if !full {
		at, given, err := onlyVersion(o)
		if err != nil {
			return nil, err
		}
		if given && live != nil {
			return c.appAt(id, at)
		}
	}
	return c.readUpdate(o, live, full, fmt.Sprintf("(%d)", n))
}

func restartApp(c *call, id string) (*reply, error) {
	return c.write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		s := d.App(id)
		if s == nil {
			return noAppToWrite(id)
		}
		d.Restart(s)
		return nil
	}))
}

func listAppVersions(c *call, id string) (*reply, error) {
	if c.Versions.Root.App(id) == nil {
		return nil, noApp(id)
	}
	return ok(map[string]any{"versions": c.Versions.Of(id)})
}

func readAppVersion(c *call, id, version string) (*reply, error) {
	when, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	s := c.Versions.Spec(id, when)
	if s == nil || s.App == nil {
		return nil, missing("App '%s' does not exist in version %s", id, state.Timestamp{Time: when})
	}
	return ok(s.Definition())
}
