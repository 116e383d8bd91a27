package local

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// serveTasks is /v2/tasks.
func (m *Marathon) serveTasks(w http.ResponseWriter, r *http.Request, rest string) error {
	rest = strings.Trim(rest, "/")
	if rest == "delete" && r.Method == http.MethodPost {
		return m.killListed(w, r)
	}
	if rest != "" || r.Method != http.MethodGet {
		return errMethod
	}
	// Of the words for a state Marathon knows two here; others select nothing out.
	var states []condition
	for _, word := range append(r.URL.Query()["status"], r.URL.Query()["status[]"]...) {
		switch strings.ToLower(word) {
		case "running":
			states = append(states, running)
		case "staging":
			states = append(states, staging)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []taskView{}
	for _, id := range slices.Sorted(maps.Keys(m.instances)) {
		if m.app(id) == nil {
			continue // tasks of pods are not told here, nor those of what is deleted
		}
		for _, i := range m.instances[id] {
			if len(states) > 0 && !slices.Contains(states, i.condition) {
				continue
			}
			for _, t := range slices.Concat(i.past, i.tasks) {
				all = append(all, m.taskView(t, true))
			}
		}
	}
	return ok(map[string]any{"tasks": all})
}

// howToKill is what the query of a kill says.
type howToKill struct{ scale, wipe, force bool }

func howToKillOf(r *http.Request) (howToKill, error) {
	how := howToKill{flag(r, "scale", false), flag(r, "wipe", false), flag(r, "force", false)}
	if how.scale && how.wipe {
		return how, fail(http.StatusBadRequest, "You cannot use scale and wipe at the same time.")
	}
	return how, nil
}

// taskIDForm is the id of a task; its first part names the instance.
var taskIDForm = regexp.MustCompile(`^(.+\.(?:instance-|marathon-)[^_.]+)[._][^.]+(?:\.\d+)?$`)

// instanceOf is the id of the instance of a task, be it an older incarnation.
func instanceOf(task string) (string, bool) {
	p := taskIDForm.FindStringSubmatch(task)
	if p == nil {
		return "", false
	}
	return p[1], true
}

// killListed is POST /v2/tasks/delete.
func (m *Marathon) killListed(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	how, err := howToKillOf(r)
	if err != nil {
		return err
	}
	given, isList := b.object()["ids"].([]any)
	if !isList {
		return invalidShape(detail{"", []string{"'ids' is undefined on object: " + compact(b.raw)}})
	}
	var named []string
	for _, v := range given {
		id, isText := v.(string)
		if !isText {
			return invalidShape(detail{"", []string{"error.expected.jsstring"}})
		}
		instance, known := instanceOf(id)
		if !known {
			return fail(http.StatusBadRequest, "Invalid task id '%s'. [taskId %s no valid identifier]", id, id)
		}
		named = append(named, instance)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	bySpec := map[string][]*instance{}
	for id, is := range m.instances {
		for _, i := range is {
			if slices.Contains(named, i.id) && m.app(id) != nil {
				bySpec[id] = append(bySpec[id], i)
			}
		}
	}
	if how.scale {
		return m.killAndScale(how, bySpec)
	}
	views := []taskView{}
	for _, id := range slices.Sorted(maps.Keys(bySpec)) {
		views = append(views, m.kill(bySpec[id], how.wipe)...)
	}
	return ok(map[string]any{"tasks": views})
}

// appTasks is /v2/apps/{id}/tasks, and with the id of a task one of them.
func (m *Marathon) appTasks(r *http.Request, id, task string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Method == http.MethodGet && task == "" {
		if m.app(id) == nil {
			return noApp(id)
		}
		return ok(map[string]any{"tasks": m.tasksOf(id, false)})
	}
	if r.Method != http.MethodDelete {
		return errMethod
	}
	how, err := howToKillOf(r)
	if err != nil {
		return err
	}
	found := m.toKill(r, id, task)
	switch {
	case how.scale:
		if m.app(id) == nil || len(m.instances[id]) == 0 {
			return noPath(id)
		}
		return m.killAndScale(how, map[string][]*instance{id: found})
	case m.app(id) == nil:
		return noApp(id)
	}
	views := m.kill(found, how.wipe)
	switch {
	case task == "":
		return ok(map[string]any{"tasks": views})
	case len(views) == 0:
		return missing("Task '%s' does not exist", task)
	}
	return ok(map[string]any{"task": views[0]})
}

// toKill are the instances of an app that a kill means: those on a host, or that
// of a task.
func (m *Marathon) toKill(r *http.Request, id, task string) []*instance {
	host, named := r.URL.Query().Get("host"), r.URL.Query().Has("host")
	owner, _ := instanceOf(task)
	var found []*instance
	for _, i := range m.instances[id] {
		here := host == "*" || i.current() != nil && host == m.options.Agent.Hostname
		if task != "" && i.id == owner || task == "" && (!named || here) {
			found = append(found, i)
		}
	}
	return found
}

// kill ends the tasks of instances, which then get new ones. With wipe the
// instances go, too, and their volumes with them; others come in their place.
// Source: Marathon's TaskKiller.
func (m *Marathon) kill(is []*instance, wipe bool) []taskView {
	views := []taskView{}
	for _, i := range is {
		for _, t := range slices.Concat(i.past, i.tasks)[:min(1, len(i.past)+len(i.tasks))] {
			views = append(views, m.taskView(t, false))
		}
		if wipe {
			i.wiped = true
			m.decommission(i)
		} else {
			m.killTasks(i)
		}
	}
	m.poke()
	return views
}

// killAndScale ends instances and lowers the counts of their apps by as many.
func (m *Marathon) killAndScale(how howToKill, bySpec map[string][]*instance) error {
	for id, is := range bySpec { // what has no task any more does not count
		bySpec[id] = slices.DeleteFunc(is, func(i *instance) bool { return i.current() == nil || i.current().killing || !i.wanted() })
	}
	return m.writeReply(http.StatusOK, edit{group: "/", toKill: bySpec, force: how.force, change: func(d *draft) error {
		for _, id := range slices.Sorted(maps.Keys(bySpec)) {
			if n := len(bySpec[id]); n > 0 {
				a := *d.specs[id].app
				a.Instances = new(max(0, d.specs[id].instances()-n))
				d.put(&spec{id: id, app: &a})
			}
		}
		return nil
	}})
}
