package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// serveApps is /v2/apps and all below it.
func (m *Marathon) serveApps(w http.ResponseWriter, r *http.Request, rest string) error {
	rest = strings.Trim(rest, "/")
	if rest == "" {
		return m.serveAllApps(w, r)
	}
	parts := strings.Split(rest, "/")
	n := len(parts)
	last, before := parts[n-1], ""
	if n > 1 {
		before = parts[n-2]
	}
	id := func(cut int) string { return resolve(strings.Join(parts[:n-cut], "/"), "/") }
	switch {
	case last == "*":
		return m.appsBelow(r, id(1))
	case n > 1 && last == "restart":
		return m.restartApp(r, id(1))
	case n > 1 && last == "tasks":
		return m.appTasks(r, id(1), nil)
	case n > 2 && before == "tasks":
		return m.appTasks(r, id(2), []string{last})
	case n > 1 && last == "versions":
		return m.appVersions(r, id(1))
	case n > 2 && before == "versions":
		return m.appVersion(r, id(2), last)
	}
	return m.serveApp(w, r, id(0))
}

func (m *Marathon) serveAllApps(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return m.listApps(r)
	case http.MethodPost:
		return m.createApp(w, r)
	case http.MethodPut, http.MethodPatch:
		return m.putApps(w, r)
	}
	return errMethod
}

func (m *Marathon) serveApp(w http.ResponseWriter, r *http.Request, id string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.app(id)
		if s == nil {
			return noApp(id)
		}
		e := embedsOf(r.URL.Query()["embed"], "app.")
		e.tasks, e.failure = true, true
		return ok(map[string]any{"app": m.appView(s, e)})
	case http.MethodPut, http.MethodPatch:
		return m.putApp(w, r, id)
	case http.MethodDelete:
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.app(id) == nil {
			return noAppToWrite(id)
		}
		return m.writeReply(http.StatusOK, edit{group: parent(id), force: flag(r, "force", true), change: func(d *draft) error {
			d.drop(id)
			return nil
		}})
	}
	return errMethod
}

// app is the app of that id; nil: there is none.
func (m *Marathon) app(id string) *spec {
	if s := m.root.specs[id]; s != nil && s.app != nil {
		return s
	}
	return nil
}

// writeReply writes and words the usual answer.
func (m *Marathon) writeReply(status int, e edit) error {
	dep, err := m.write(e)
	if err != nil {
		return err
	}
	return deployed(status, dep)
}

func (m *Marathon) listApps(r *http.Request) error {
	q := r.URL.Query()
	selector, err := parseSelector(q.Get("label"))
	if err != nil {
		return err
	}
	cmd, id := strings.ToLower(q.Get("cmd")), strings.ToLower(q.Get("id"))
	e := embedsOf(q["embed"], "apps.")
	m.mu.Lock()
	defer m.mu.Unlock()
	apps := []json.RawMessage{}
	for _, key := range m.root.ids() {
		s := m.root.specs[key]
		if s.app == nil || !strings.Contains(key, id) || !selector.matches(s.app.Labels) ||
			cmd != "" && !strings.Contains(strings.ToLower(or(s.app.Cmd, "")), cmd) {
			continue
		}
		apps = append(apps, m.appView(s, e))
	}
	return ok(list("apps", apps))
}

// list is an object with one list of what is text already, joined without
// looking at it again: ten thousand apps are megabytes.
func list(name string, items []json.RawMessage) json.RawMessage {
	size := len(name) + 8
	for _, i := range items {
		size += len(i) + 1
	}
	text := fmt.Appendf(make([]byte, 0, size), "{%q:[", name)
	for n, i := range items {
		if n > 0 {
			text = append(text, ',')
		}
		text = append(text, i...)
	}
	return append(text, "]}"...)
}

func (m *Marathon) appsBelow(r *http.Request, id string) error {
	if r.Method != http.MethodGet {
		return errMethod
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root.groups[id] == nil {
		return missing("Group '%s' does not exist", id)
	}
	apps := []json.RawMessage{}
	for _, key := range m.root.under(id) {
		if s := m.app(key); s != nil {
			apps = append(apps, m.appView(s, embeds{tasks: true, failure: true}))
		}
	}
	return ok(list("*", apps))
}

// readApp turns the body of a request into a checked app. base is what relative
// ids of dependencies stand in; prefix is where the app stands in the body.
func (m *Marathon) readApp(tree any, base, prefix string, c *manifests.Cluster) (*manifests.App, error) {
	a, vs := manifests.DecodeApp(tree)
	if a == nil && without(tree, vs) {
		a, vs = manifests.DecodeApp(tree)
	}
	if err := refusal(vs, prefix, invalidShape); err != nil {
		return nil, err
	}
	if a == nil {
		return nil, shapeless(vs)
	}
	a.ID = resolve(a.ID, base)
	for n, on := range a.Dependencies {
		a.Dependencies[n] = resolve(on, base)
	}
	if err := refusal(manifests.ValidateApp(a, c), prefix, invalidObject); err != nil {
		return nil, err
	}
	return a, nil
}

// shapeless is the answer to what does not decode, though no rule of Marathon
// says why.
func shapeless(vs []manifests.Violation) error {
	d := detail{Path: "/", Errors: []string{}}
	for _, v := range vs {
		d.Errors = append(d.Errors, v.Message)
	}
	return invalidShape(d)
}

func (m *Marathon) createApp(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	o, isObject := b.tree.(map[string]any)
	if !isObject {
		return invalidShape(detail{"/id", []string{compact(b.raw) + " is not an object"}})
	}
	if _, given := present(o, "id"); !given {
		return invalidShape(detail{"/id", []string{"'id' is undefined on object: " + compact(b.raw)}})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	cluster := m.root.cluster(m.options.Cluster)
	a, err := m.readApp(o, "/", "", cluster)
	if err != nil {
		return err
	}
	if s := m.root.specs[a.ID]; s != nil && s.app != nil {
		return fail(http.StatusConflict, "An app with id [%s] already exists.", a.ID)
	}
	dep, err := m.write(edit{group: parent(a.ID), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: a.ID, app: a})
		return nil
	}})
	if err != nil {
		return err
	}
	m.tellPost(r, "/v2/apps", a.ID)
	// The answer shows the service ports before they are assigned.
	s := &spec{id: a.ID, app: normaliseApp(a, nil, cluster), version: dep.version}
	return &reply{status: http.StatusCreated, location: location(r, a.ID), deployed: dep.id,
		body: extend(withDoubles(s.print(nil)), run{Deployments: []ref{{dep.id}}})}
}

func (m *Marathon) tellPost(r *http.Request, uri, id string) {
	m.publish("api_post_event", func() map[string]any {
		return map[string]any{"clientIp": clientIP(r), "uri": uri, "appDefinition": m.root.specs[id].plain()}
	})
}

// readOnly are the fields of GET that Marathon refuses in an update.
func onlyVersion(o map[string]any) (string, bool, error) {
	v, given := present(o, "version")
	if !given {
		return "", false, nil
	}
	for k, other := range o {
		if k != "version" && k != "id" && other != nil {
			return "", true, invalidObject(detail{"/", []string{"The 'version' field may only be combined with the 'id' field."}})
		}
	}
	text, _ := v.(string)
	return text, true, nil
}

func (m *Marathon) putApp(w http.ResponseWriter, r *http.Request, id string) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	o := b.object()
	o["id"] = id
	full := r.Method == http.MethodPut && !flag(r, "partialUpdate", true)
	m.mu.Lock()
	defer m.mu.Unlock()
	live := m.app(id)
	if live == nil && r.Method == http.MethodPatch {
		if _, err := m.readApp(o, "/", "", m.root.cluster(m.options.Cluster)); err != nil {
			return err
		}
		return noAppToWrite(id)
	}
	if !full {
		if at, given, err := onlyVersion(o); err != nil || given {
			return m.rollbackApp(r, id, at, err)
		}
	}
	a, err := m.readUpdate(o, live, full, "")
	if err != nil {
		return err
	}
	dep, err := m.write(edit{group: parent(id), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: id, app: a})
		return nil
	}})
	if err != nil {
		return err
	}
	m.tellPost(r, r.URL.Path, id)
	out := deployed(http.StatusOK, dep)
	if live == nil {
		out.status, out.location = http.StatusCreated, location(r, id)
	}
	return out
}

// readUpdate reads the body of an update: in full, or laid over the live app.
func (m *Marathon) readUpdate(o map[string]any, live *spec, full bool, prefix string) (*manifests.App, error) {
	if live != nil && !full {
		o = overlay(live, o)
	} else if full {
		delete(o, "version")
	}
	a, err := m.readApp(o, "/", prefix, m.root.cluster(m.options.Cluster))
	if err == nil && full {
		a.ExecutorResources = nil // lost by this door
	}
	return a, err
}

// overlay is the live app with the members of an update in place of its own.
// Source: Marathon's AppHelpers and testdata/conformance/api/apps-crud.json.
func overlay(live *spec, o map[string]any) map[string]any {
	text, err := json.Marshal(live.app)
	var merged map[string]any
	if err == nil {
		var b body
		if b, err = parseBody(text); err == nil {
			merged = b.object()
		}
	}
	if err != nil {
		merged = map[string]any{}
	}
	// A form of before replaces what it has become.
	for old, now := range map[string][]string{
		"ports": {"portDefinitions"}, "uris": {"fetch"}, "ipAddress": {"networks"}, "networks": {"container"},
		"resourceLimits": {"resourceLimits"}, "executorResources": {"executorResources"},
	} {
		_, given := present(o, old)
		dropped := old == "resourceLimits" || old == "executorResources"
		if given != dropped {
			for _, k := range now {
				if _, also := present(o, k); !also || k == old {
					delete(merged, k)
				}
			}
		}
	}
	for k, v := range o {
		if v != nil {
			merged[k] = v
		}
	}
	return merged
}

func (m *Marathon) rollbackApp(r *http.Request, id, at string, err error) error {
	if err != nil {
		return err
	}
	when, err := parseVersion(at)
	if err != nil {
		return err
	}
	was := m.versionOf(id, when)
	if was == nil || was.app == nil {
		return noAppToWrite(id)
	}
	return m.writeReply(http.StatusOK, edit{group: parent(id), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: id, app: was.app})
		return nil
	}})
}

func parseVersion(text string) (time.Time, error) {
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return when, fail(http.StatusUnprocessableEntity, "Invalid timestamp provided '%s'. Expecting ISO-8601 datetime string.", text)
	}
	return when, nil
}

// versionOf is what an id was in a version; nil: not kept.
func (m *Marathon) versionOf(id string, when time.Time) *spec {
	for _, s := range slices.Backward(m.history[id]) {
		if s.version.Equal(when) {
			return s
		}
	}
	return nil
}

func (m *Marathon) putApps(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	items, isList := b.tree.([]any)
	if !isList {
		return invalidShape(detail{"/", []string{"error.expected.jsarray"}})
	}
	full := r.Method == http.MethodPut && !flag(r, "partialUpdate", true)
	m.mu.Lock()
	defer m.mu.Unlock()
	var apps []*manifests.App
	for n, item := range items {
		a, err := m.readOne(r, item, n, full)
		if err != nil {
			return err
		}
		apps = append(apps, a)
	}
	return m.writeReply(http.StatusOK, edit{group: "/", force: flag(r, "force", false), change: func(d *draft) error {
		d.putAll(apps)
		return nil
	}})
}

// readOne reads one app of an array.
func (m *Marathon) readOne(r *http.Request, item any, n int, full bool) (*manifests.App, error) {
	o, _ := item.(map[string]any)
	given, hasID := present(o, "id")
	id, isText := given.(string)
	if !hasID || !isText {
		return nil, fail(http.StatusUnprocessableEntity, "requirement failed: App Update must have app id set")
	}
	live := m.app(resolve(id, "/"))
	if live == nil && r.Method == http.MethodPatch {
		return nil, noAppToWrite(resolve(id, "/"))
	}
	return m.readUpdate(o, live, full, fmt.Sprintf("(%d)", n))
}

// putAll puts many at once; of two with the same id the last counts.
func (d *draft) putAll(apps []*manifests.App) {
	last := map[string]int{}
	for n, a := range apps {
		last[a.ID] = n
	}
	for n, a := range apps {
		if last[a.ID] == n {
			d.addGroups(a.ID)
			delete(d.gone, a.ID)
			d.puts = append(d.puts, &spec{id: a.ID, app: a})
		}
	}
}

func (m *Marathon) restartApp(r *http.Request, id string) error {
	if r.Method != http.MethodPost {
		return errMethod
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.app(id)
	if s == nil {
		return noApp(id)
	}
	return m.writeReply(http.StatusOK, edit{group: parent(id), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: id, app: s.app})
		d.restart[id] = true
		return nil
	}})
}

func (m *Marathon) appVersions(r *http.Request, id string) error {
	if r.Method != http.MethodGet {
		return errMethod
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.app(id) == nil {
		return noApp(id)
	}
	return ok(map[string]any{"versions": m.versions(id)})
}

func (m *Marathon) versions(id string) []stamp {
	vs := []stamp{}
	for _, s := range slices.Backward(m.history[id]) {
		vs = append(vs, s.version)
	}
	return vs
}

func (m *Marathon) appVersion(r *http.Request, id, at string) error {
	if r.Method != http.MethodGet {
		return errMethod
	}
	when, err := parseVersion(at)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.versionOf(id, when)
	if s == nil || s.app == nil {
		return noApp(id)
	}
	return ok(s.definition())
}
