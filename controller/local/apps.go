package local

import (
	"cmp"
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
	if rest == "" || rest == "/" {
		return m.serveAllApps(w, r)
	}
	rest = strings.Trim(rest, "/")
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
	case n > 1 && last == "restart" && r.Method != http.MethodDelete: // which deletes an app of that name
		return m.restartApp(r, id(1))
	case n > 1 && last == "tasks" && before == "*":
		return m.tasksBelow(r, id(2))
	case n > 1 && last == "tasks":
		return m.appTasks(r, id(1), "")
	case n > 2 && before == "tasks":
		return m.appTasks(r, id(2), last)
	case n > 1 && last == "versions":
		return m.appVersions(r, id(1))
	case n > 2 && before == "versions":
		return m.appVersion(r, id(2), last)
	}
	return m.serveApp(w, r, id(0))
}

func (m *Marathon) serveAllApps(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
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
	case http.MethodGet:
		m.mu.Lock()
		defer m.mu.Unlock()
		s := m.app(id)
		if s == nil {
			return noApp(id)
		}
		return ok(map[string]any{"app": m.appView(s, embedsOf(r.URL.Query()["embed"]).and(usual).and(embeds{tasks: true, failure: true}))})
	case http.MethodPut, http.MethodPatch:
		return m.putApp(w, r, id)
	case http.MethodDelete:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.writeReply(http.StatusOK, edit{group: manifests.ParentID(id), force: flag(r, "force", true), change: func(d *draft) error {
			if m.app(id) == nil {
				return noAppToWrite(id)
			}
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
	e := embedsOf(q["embed"]).and(usual)
	m.mu.Lock()
	defer m.mu.Unlock()
	apps := []json.RawMessage{}
	for _, key := range m.root.ids() {
		s := m.root.specs[key]
		if s.app == nil || !strings.Contains(key, id) || !selector.matches(s.app.Labels) ||
			q.Has("cmd") && (s.app.Cmd == nil || !strings.Contains(strings.ToLower(*s.app.Cmd), cmd)) {
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

// appsBelow is /v2/apps/{group}/*.
func (m *Marathon) appsBelow(r *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	below, err := m.below(r, id)
	apps, e := []json.RawMessage{}, embedsOf(r.URL.Query()["embed"]).and(usual).and(embeds{tasks: true, failure: true})
	for _, s := range below {
		apps = append(apps, m.appView(s, e))
	}
	return cmp.Or[error](err, ok(list("*", apps)))
}

// tasksBelow is /v2/apps/{group}/*/tasks.
func (m *Marathon) tasksBelow(r *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	below, err := m.below(r, id)
	all := []taskView{}
	for _, s := range below {
		all = append(all, m.tasksOf(s.id, false)...)
	}
	return cmp.Or[error](err, ok(map[string]any{"tasks": all}))
}

// below are the apps of a group that a GET asks for. The caller holds the lock.
func (m *Marathon) below(r *http.Request, id string) ([]*spec, error) {
	if r.Method != http.MethodGet {
		return nil, errMethod
	}
	if m.root.groups[id] == nil {
		return nil, missing("Group '%s' does not exist", id)
	}
	var apps []*spec
	for _, key := range m.root.under(id) {
		if s := m.app(key); s != nil {
			apps = append(apps, s)
		}
	}
	return apps, nil
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
	return a, lowerCaseOperator(a)
}

// lowerCaseOperator is how Marathon fails over an operator in lower case, which
// its validation lets pass. Pacer writes it in upper case.
func lowerCaseOperator(a *manifests.App) error {
	for _, c := range a.Constraints {
		if c.Operator != strings.ToUpper(c.Operator) {
			parts := []string{c.Field, c.Operator}
			if c.Value != nil {
				parts = append(parts, *c.Value)
			}
			return fail(http.StatusInternalServerError, "illegal constraint specification %s", strings.Join(parts, ","))
		}
	}
	return nil
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
	dep, err := m.write(edit{group: manifests.ParentID(a.ID), force: flag(r, "force", false), change: func(d *draft) error {
		if m.app(a.ID) != nil {
			return fail(http.StatusConflict, "An app with id [%s] already exists.", a.ID)
		}
		d.put(&spec{id: a.ID, app: a})
		return nil
	}})
	if err != nil {
		return err
	}
	// The answer and the event show the service ports before they are assigned.
	plain := (&spec{id: a.ID, app: normaliseApp(a, nil, cluster), version: dep.version}).print(nil)
	m.tellPost(r, func() json.RawMessage { return plain })
	return &reply{status: http.StatusCreated, location: location(r, a.ID), deployed: dep.id,
		body: extend(withDoubles(plain), run{runCounts: &runCounts{}, Deployments: []ref{{dep.id}}})}
}

func (m *Marathon) tellPost(r *http.Request, definition func() json.RawMessage) {
	m.publish("api_post_event", func() map[string]any {
		return map[string]any{"clientIp": clientIP(r), "uri": r.URL.EscapedPath(), "appDefinition": definition()}
	})
}

// onlyVersion is the version that an update goes back to, if it has one, which
// must then be all that it has.
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
	text, isText := v.(string)
	if !isText {
		return "", true, invalidShape(detail{"/version", []string{"error.expected.jsstring"}})
	}
	return text, true, nil
}

func (m *Marathon) putApp(w http.ResponseWriter, r *http.Request, id string) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	o := b.object()
	o["id"] = id
	m.mu.Lock()
	defer m.mu.Unlock()
	live := m.app(id)
	// What is not there yet is read as if it were given in full.
	full := live == nil || r.Method == http.MethodPut && !flag(r, "partialUpdate", true)
	if _, isObject := b.tree.(map[string]any); full && !isObject {
		return invalidShape(detail{"", []string{"error.expected.jsobject"}})
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
	dep, err := m.write(edit{group: manifests.ParentID(id), force: flag(r, "force", false), change: func(d *draft) error {
		if live == nil && r.Method == http.MethodPatch {
			return noAppToWrite(id)
		}
		d.put(&spec{id: id, app: a})
		return nil
	}})
	if err != nil {
		return err
	}
	m.tellPost(r, func() json.RawMessage { return m.root.specs[id].plain() })
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
	a, err := m.appAt(id, at, err)
	if err != nil {
		return err
	}
	return m.writeReply(http.StatusOK, edit{group: manifests.ParentID(id), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: id, app: a})
		return nil
	}})
}

// appAt is what an app was in a version; err is passed on.
func (m *Marathon) appAt(id, at string, err error) (*manifests.App, error) {
	if err != nil {
		return nil, err
	}
	when, err := parseVersion(at)
	if err != nil {
		return nil, err
	}
	if was := m.versionOf(id, when); was != nil && was.app != nil {
		return was.app, nil
	}
	return nil, noAppToWrite(id)
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
		return invalidShape(detail{"", []string{"error.expected.jsarray"}})
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
	if full && !hasID {
		return nil, invalidShape(detail{fmt.Sprintf("(%d)/id", n), []string{"'id' is undefined on object: " + printed(item)}})
	}
	if !hasID || !isText {
		return nil, fail(http.StatusUnprocessableEntity, "requirement failed: App Update must have app id set")
	}
	live := m.app(resolve(id, "/"))
	if live == nil && r.Method == http.MethodPatch {
		return nil, noAppToWrite(resolve(id, "/"))
	}
	if !full {
		if at, given, err := onlyVersion(o); err != nil || given && live != nil {
			return m.appAt(resolve(id, "/"), at, err)
		}
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
	return m.writeReply(http.StatusOK, edit{group: manifests.ParentID(id), force: flag(r, "force", false), change: func(d *draft) error {
		if s == nil {
			return noAppToWrite(id)
		}
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
		return missing("App '%s' does not exist in version %s", id, stamp{when})
	}
	return ok(s.definition())
}
