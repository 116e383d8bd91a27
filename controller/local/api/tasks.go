package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// tasksEndpoint is /v2/tasks.
func tasksEndpoint(r *http.Request, rest string) endpoint {
	switch rest = strings.Trim(rest, "/"); {
	case rest == "":
		return get(r, listTasks)
	case rest == "delete":
		return methods{http.MethodPost: withBody(killTasks)}.of(r)
	}
	return methods{}.of(r)
}

func listTasks(c *call) (*reply, error) {
	// Of the words for a state Marathon knows two here; others select nothing out.
	var conditions []state.Condition
	for _, word := range append(c.URL.Query()["status"], c.URL.Query()["status[]"]...) {
		switch strings.ToLower(word) {
		case "running":
			conditions = append(conditions, state.Running)
		case "staging":
			conditions = append(conditions, state.Staging)
		}
	}
	var found []*state.Instance
	instances := maps.Collect(c.Instances.All())
	for _, id := range slices.Sorted(maps.Keys(instances)) {
		if c.Versions.Root.App(id) == nil {
			continue // tasks of pods are not listed here, nor those of what is deleted
		}
		for _, i := range instances[id] {
			if len(conditions) == 0 || slices.Contains(conditions, i.Condition) {
				found = append(found, i)
			}
		}
	}
	return ok(map[string]any{"tasks": c.taskViews(found, true)})
}

// listTasksBelow is /v2/apps/{group}/*/tasks.
func listTasksBelow(c *call, group string) (*reply, error) {
	if c.Versions.Root.Groups[group] == nil {
		return nil, noGroup(group)
	}
	all := []taskView{}
	for _, s := range c.Versions.Root.AppsUnder(group) {
		all = append(all, c.taskViews(c.Instances.Of(s.ID), false)...)
	}
	return ok(map[string]any{"tasks": all})
}

func listTasksOfApp(c *call, id string) (*reply, error) {
	if c.Versions.Root.App(id) == nil {
		return nil, noApp(id)
	}
	return ok(map[string]any{"tasks": c.taskViews(c.Instances.Of(id), false)})
}

// killMode is how the query of a kill wants it.
type killMode struct{ scale, wipe bool }

func (c *call) killMode() (killMode, error) {
	k := killMode{c.flag("scale", false), c.flag("wipe", false)}
	if k.scale && k.wipe {
		return k, state.Refuse(http.StatusBadRequest, "You cannot use scale and wipe at the same time.")
	}
	return k, nil
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

// killTasks is POST /v2/tasks/delete.
func killTasks(c *call) (*reply, error) {
	mode, err := c.killMode()
	if err != nil {
		return nil, err
	}
	given, isList := c.body.object()["ids"].([]any)
	if !isList {
		return nil, invalidJSONAt("", "'ids' is undefined on object: %s", compact(c.body.raw))
	}
	var named []string
	for _, v := range given {
		id, isText := v.(string)
		if !isText {
			return nil, invalidJSONAt("", "error.expected.jsstring")
		}
		instance, known := instanceOf(id)
		if !known {
			return nil, state.Refuse(http.StatusBadRequest, "Invalid task id '%s'. [taskId %s no valid identifier]", id, id)
		}
		named = append(named, instance)
	}
	victims := map[string][]*state.Instance{}
	for id, is := range c.Instances.All() {
		for _, i := range is {
			if slices.Contains(named, i.ID) && c.Versions.Root.App(id) != nil {
				victims[id] = append(victims[id], i)
			}
		}
	}
	if mode.scale {
		return c.killAndScale(victims)
	}
	views := []taskView{}
	for _, id := range slices.Sorted(maps.Keys(victims)) {
		views = append(views, c.kill(victims[id], mode.wipe)...)
	}
	return ok(map[string]any{"tasks": views})
}

// killTasksOfApp kills those of an app, or of those that are on a host.
func killTasksOfApp(c *call, id string) (*reply, error) {
	host, onHost := c.URL.Query().Get("host"), c.URL.Query().Has("host")
	views, out, err := c.killOfApp(id, func(i *state.Instance) bool {
		return !onHost || host == "*" || i.Current() != nil && host == c.Agent.Hostname
	})
	if out != nil || err != nil {
		return out, err
	}
	return ok(map[string]any{"tasks": views})
}

func killTaskOfApp(c *call, id, task string) (*reply, error) {
	owner, _ := instanceOf(task)
	views, out, err := c.killOfApp(id, func(i *state.Instance) bool { return i.ID == owner })
	switch {
	case out != nil || err != nil:
		return out, err
	case len(views) == 0:
		return nil, missing("Task '%s' does not exist", task)
	}
	return ok(map[string]any{"task": views[0]})
}

// killOfApp kills instances of an app and returns their tasks, or the answer if
// the app is scaled too.
func (c *call) killOfApp(id string, which func(*state.Instance) bool) ([]taskView, *reply, error) {
	mode, err := c.killMode()
	if err != nil {
		return nil, nil, err
	}
	var victims []*state.Instance
	for _, i := range c.Instances.Of(id) {
		if which(i) {
			victims = append(victims, i)
		}
	}
	exists := c.Versions.Root.App(id) != nil
	switch {
	case mode.scale && (!exists || len(c.Instances.Of(id)) == 0):
		return nil, nil, noPath(id)
	case mode.scale:
		out, err := c.killAndScale(map[string][]*state.Instance{id: victims})
		return nil, out, err
	case !exists:
		return nil, nil, noApp(id)
	}
	return c.kill(victims, mode.wipe), nil, nil
}

// kill ends instances; the answer shows one task of each.
func (c *call) kill(victims []*state.Instance, wipe bool) []taskView {
	views := []taskView{}
	for _, i := range victims {
		if shown := i.Shown(); len(shown) > 0 {
			views = append(views, c.taskView(shown[0], false))
		}
	}
	c.Instances.Kill(victims, wipe)
	return views
}

// killAndScale ends instances and lowers the counts of their apps by as many.
func (c *call) killAndScale(victims map[string][]*state.Instance) (*reply, error) {
	for id, is := range victims { // what has no task any more does not count
		victims[id] = slices.DeleteFunc(is, func(i *state.Instance) bool {
			return i.Current() == nil || i.Current().Killing || i.Decommissioned
		})
	}
	e := c.edit("/", func(d *state.Draft) error {
		for _, id := range slices.Sorted(maps.Keys(victims)) {
			if n := len(victims[id]); n > 0 {
				d.Scale(id, max(0, d.Specs[id].Instances()-n))
			}
		}
		return nil
	})
	e.Kill = victims
	return c.write(e)
}

// taskView is a task as GET prints it.
type taskView struct {
	AppID        string          `json:"appId"`
	Health       []healthView    `json:"healthCheckResults"`
	Host         string          `json:"host"`
	ID           string          `json:"id"`
	IPs          []state.Address `json:"ipAddresses"`
	Ports        []int           `json:"ports"`
	ServicePorts []int           `json:"servicePorts"`
	SlaveID      string          `json:"slaveId"`
	State        string          `json:"state"`
	StagedAt     state.Timestamp `json:"stagedAt,omitzero"`
	StartedAt    state.Timestamp `json:"startedAt,omitzero"`
	Version      state.Timestamp `json:"version,omitzero"`
	LocalVolumes []volumeView    `json:"localVolumes"`
	Role         string          `json:"role"`
}

type volumeView struct {
	ContainerPath string `json:"containerPath"`
	PersistenceID string `json:"persistenceId"`
}

type healthView struct {
	state.Health
	InstanceID string `json:"instanceId"`
}

func (m views) taskViews(is []*state.Instance, withServicePorts bool) []taskView {
	views := []taskView{}
	for _, i := range is {
		for _, t := range i.Shown() {
			views = append(views, m.taskView(t, withServicePorts))
		}
	}
	return views
}

func (m views) taskView(t *state.Task, withServicePorts bool) taskView {
	s := t.Instance.Spec
	v := taskView{
		AppID: s.ID, Health: []healthView{}, Host: m.Agent.Hostname, ID: t.ID, IPs: state.Addresses(t.IPs), Ports: []int{},
		ServicePorts: []int{}, SlaveID: m.Agent.ID, State: string(t.State), LocalVolumes: []volumeView{}, Role: s.Role(),
	}
	if !t.Over() { // of one that ended Marathon says less
		v.Ports, v.StagedAt, v.StartedAt, v.Version = t.Ports, t.StagedAt, t.StartedAt, s.Version
		for _, h := range t.Health {
			if h.Seen {
				v.Health = append(v.Health, healthView{*h, "instance [" + t.Instance.ID + "]"})
			}
		}
	}
	if withServicePorts && s.App != nil {
		for _, p := range manifests.ServicePorts(s.App) {
			v.ServicePorts = append(v.ServicePorts, ptr.Deref(p, 0))
		}
	}
	for _, p := range s.PersistentVolumes() {
		path := cmp.Or(p.ContainerPath, p.Name)
		v.LocalVolumes = append(v.LocalVolumes, volumeView{path, fmt.Sprintf("%s#%s", strings.TrimPrefix(strings.ReplaceAll(s.ID, "/", "_"), "_"), path)})
	}
	return v
}
