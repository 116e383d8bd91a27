package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// podsEndpoint is /v2/pods and all below it.
func podsEndpoint(r *http.Request, rest string) endpoint {
	name, about, special := strings.Cut(rest, "::")
	name = strings.Trim(name, "/")
	id := manifests.AbsoluteID("/", name)
	switch {
	case special:
		return aboutPod(r, id, name == "", about)
	case name == "":
		return methods{http.MethodHead: on(func(*call) (*reply, error) { return &reply{status: http.StatusOK}, nil }),
			http.MethodGet: on(listPods), http.MethodPost: withBody(createPod)}.of(r)
	}
	return methods{http.MethodGet: on(withID(getPod, id)), http.MethodPut: withBody(withID(putPod, id)), http.MethodDelete: on(withID(deletePod, id))}.of(r)
}

// aboutPod is what follows :: in the path.
func aboutPod(r *http.Request, id string, all bool, about string) endpoint {
	if instance, isOne := strings.CutPrefix(about, "instances/"); isOne {
		return methods{http.MethodDelete: on(func(c *call) (*reply, error) { return killInstance(c, id, instance) })}.of(r)
	}
	version, isVersion := strings.CutPrefix(about, "versions/")
	switch {
	case about == "instances":
		return methods{http.MethodDelete: withBody(withID(killInstances, id))}.of(r)
	case all && about == "status":
		return get(r, listPodStatus)
	case about == "status":
		return get(r, ofPod(id, func(c *call, s *state.RunSpec) (*reply, error) { return ok(c.podStatus(s, s.Slim())) }))
	case about == "versions":
		return get(r, ofPod(id, func(c *call, _ *state.RunSpec) (*reply, error) { return ok(c.Versions.Of(id)) }))
	case isVersion:
		return get(r, ofPod(id, func(c *call, _ *state.RunSpec) (*reply, error) { return readPodVersion(c, id, version) }))
	}
	return get(r, ofPod(id, func(*call, *state.RunSpec) (*reply, error) { return nil, errNotFound }))
}

// ofPod reads something of a pod that exists.
func ofPod(id string, h func(*call, *state.RunSpec) (*reply, error)) handler {
	return func(c *call) (*reply, error) {
		s := c.Versions.Root.Pod(id)
		if s == nil {
			return nil, noPod(id)
		}
		return h(c, s)
	}
}

func getPod(c *call, id string) (*reply, error) {
	if s := c.Versions.Root.Pod(id); s != nil {
		return ok(s.Definition())
	}
	return nil, missing(`{"message": "pod with %s does not exist"}`, id) // JSON inside a string, as Marathon has it
}

func pods(c *call) []*state.RunSpec {
	var pods []*state.RunSpec
	for _, id := range c.Versions.Root.IDs() {
		if s := c.Versions.Root.Pod(id); s != nil {
			pods = append(pods, s)
		}
	}
	return pods
}

func listPods(c *call) (*reply, error) {
	all := []json.RawMessage{}
	for _, s := range pods(c) {
		all = append(all, s.Definition())
	}
	return ok(all)
}

func listPodStatus(c *call) (*reply, error) {
	all := []podStatus{}
	for _, s := range pods(c) {
		all = append(all, c.podStatus(s, s.Slim()))
	}
	return ok(all)
}

func readPodVersion(c *call, id, version string) (*reply, error) {
	when, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	if was := c.Versions.Spec(id, when); was != nil {
		return ok(was.Definition())
	}
	return nil, noPod(id)
}

func (c *call) readPod() (*manifests.Pod, error) {
	o, err := c.body.strict("id", "containers")
	if err != nil {
		return nil, err
	}
	delete(o, "version")
	p, err := decode(o, "", manifests.DecodePod)
	if err != nil {
		return nil, err
	}
	return p, state.Refused(manifests.ValidatePod(p, c.cluster()), "", state.Invalid)
}

func createPod(c *call) (*reply, error) {
	p, err := c.readPod()
	if err != nil {
		return nil, err
	}
	p.ID = manifests.AbsoluteID("/", p.ID)
	if c.Versions.Root.Pod(p.ID) != nil {
		return nil, state.Refuse(http.StatusConflict, "A pod with id [%s] already exists.", p.ID)
	}
	out, err := c.writePod(p, "pod_created_event")
	if err != nil {
		return nil, err
	}
	out.status, out.location = http.StatusCreated, c.location(p.ID)
	return out, nil
}

func putPod(c *call, id string) (*reply, error) {
	p, err := c.readPod()
	if err != nil {
		return nil, err
	}
	if manifests.AbsoluteID("/", p.ID) != id {
		return nil, state.Refuse(http.StatusBadRequest, "'%s' does not match definition's id ('%s')", id, p.ID)
	}
	p.ID = id
	return c.writePod(p, "pod_updated_event")
}

// writePod writes a pod; the answer shows it with the version of the write,
// even where nothing changed and the pod keeps its own.
func (c *call) writePod(p *manifests.Pod, event string) (*reply, error) {
	dep, err := c.changePod(p.ID, event, func(d *state.Draft) { d.Put(&state.RunSpec{ID: p.ID, Pod: p}) })
	if err != nil {
		return nil, err
	}
	shown := &state.RunSpec{ID: p.ID, Pod: c.Versions.Root.Specs[p.ID].Pod, Version: dep.Version}
	return &reply{status: http.StatusOK, body: shown.Definition(), deployed: dep.ID}, nil
}

func (c *call) changePod(id, event string, change func(*state.Draft)) (*scheduler.Deployment, error) {
	dep, err := c.Deployments.Write(c.edit(manifests.ParentID(id), func(d *state.Draft) error {
		change(d)
		return nil
	}))
	if err != nil {
		return nil, err
	}
	c.Events.Publish(event, func() map[string]any { return map[string]any{"clientIp": c.clientIP(), "uri": c.URL.Path} })
	return dep, nil
}

func deletePod(c *call, id string) (*reply, error) {
	if c.Versions.Root.Pod(id) == nil {
		return nil, noPod(id)
	}
	dep, err := c.changePod(id, "pod_deleted_event", func(d *state.Draft) { d.Drop(id) })
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusAccepted, deployed: dep.ID, location: c.location("/" + dep.ID)}, nil
}

// killInstances ends the instances that the body names.
func killInstances(c *call, id string) (*reply, error) {
	var named []string
	if err := json.Unmarshal(c.body.raw, &named); err != nil || named == nil {
		return nil, invalidJSONAt("", "error.expected.jsarray")
	}
	for n, name := range named {
		if err := checkInstanceID(name, fmt.Sprintf("/(%d)", n)); err != nil {
			return nil, err
		}
	}
	views, err := c.killInstancesOf(id, named)
	if err != nil {
		return nil, err
	}
	return ok(views)
}

func killInstance(c *call, id, one string) (*reply, error) {
	if err := checkInstanceID(one, "/"); err != nil {
		return nil, err
	}
	views, err := c.killInstancesOf(id, []string{one})
	switch {
	case err != nil:
		return nil, err
	case len(views) == 0:
		return nil, missing("Task '%s' does not exist", one)
	}
	return ok(views[0])
}

// instanceIDForm is Marathon's for the ids of instances.
var instanceIDForm = regexp.MustCompile(`^(.+)\.(instance-|marathon-)([^\.]+)$`)

func checkInstanceID(id, path string) error {
	if instanceIDForm.MatchString(id) {
		return nil
	}
	return state.InvalidAt(path, "must fully match regular expression '%s'", instanceIDForm)
}

func (c *call) killInstancesOf(id string, named []string) ([]map[string]any, error) {
	if c.Versions.Root.Pod(id) == nil {
		return nil, noPath(id)
	}
	var found []*state.Instance
	views := []map[string]any{}
	for _, i := range c.Instances.Of(id) {
		if slices.Contains(named, i.ID) {
			found = append(found, i)
			views = append(views, c.instanceView(i))
		}
	}
	c.Instances.Kill(found, c.flag("wipe", false))
	return views, nil
}

// instanceView is an instance as a kill answers it.
func (m views) instanceView(i *state.Instance) map[string]any {
	now := map[string]any{"condition": i.Condition, "since": i.Since, "goal": "Running"}
	v := map[string]any{
		"instanceId": i.ID, "state": now, "runSpecVersion": i.Spec.Version, "unreachableStrategy": i.Spec.Pod.Scheduling.UnreachableStrategy,
	}
	if i.Decommissioned {
		now["goal"] = "Decommissioned"
	}
	if h := i.Health(); h != nil {
		now["healthy"] = *h
	}
	if i.Current() != nil {
		now["activeSince"] = i.ActiveSince()
		v["agentInfo"] = map[string]any{"host": m.Agent.Hostname, "agentId": m.Agent.ID, "attributes": []any{}}
	}
	return v
}
