package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// servePods is /v2/pods and all below it.
func (m *Marathon) servePods(w http.ResponseWriter, r *http.Request, rest string) error {
	name, about, special := strings.Cut(rest, "::")
	name = strings.Trim(name, "/")
	id := resolve(name, "/")
	if special {
		return m.aboutPod(w, r, id, name == "", about)
	}
	if name == "" {
		return m.serveAllPods(w, r)
	}
	switch r.Method {
	case http.MethodGet:
		m.mu.Lock()
		defer m.mu.Unlock()
		if s := m.pod(id); s != nil {
			return ok(s.definition())
		}
		return missing(`{"message": "pod with %s does not exist"}`, id) // JSON inside a string, as Marathon has it
	case http.MethodPut:
		return m.putPod(w, r, id)
	case http.MethodDelete:
		return m.deletePod(r, id)
	}
	return errMethod
}

func (m *Marathon) serveAllPods(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodHead:
		return &reply{status: http.StatusOK}
	case http.MethodGet:
		m.mu.Lock()
		defer m.mu.Unlock()
		all := []json.RawMessage{}
		for _, key := range m.root.ids() {
			if s := m.pod(key); s != nil {
				all = append(all, s.definition())
			}
		}
		return ok(all)
	case http.MethodPost:
		return m.createPod(w, r)
	}
	return errMethod
}

func (m *Marathon) pod(id string) *spec {
	if s := m.root.specs[id]; s != nil && s.pod != nil {
		return s
	}
	return nil
}

func (m *Marathon) readPod(b body) (*manifests.Pod, error) {
	o, isObject := b.tree.(map[string]any)
	if !isObject {
		return nil, invalidShape(detail{"/id", []string{compact(b.raw) + " is not an object"}})
	}
	for _, key := range []string{"id", "containers"} {
		if _, given := present(o, key); !given {
			return nil, invalidShape(detail{"/" + key, []string{fmt.Sprintf("'%s' is undefined on object: %s", key, compact(b.raw))}})
		}
	}
	delete(o, "version")
	p, vs := manifests.DecodePod(o)
	if p == nil && without(o, vs) {
		p, vs = manifests.DecodePod(o)
	}
	if err := refusal(vs, "", invalidShape); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, shapeless(vs)
	}
	return p, refusal(manifests.ValidatePod(p, m.root.cluster(m.options.Cluster)), "", invalidObject)
}

func (m *Marathon) createPod(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.readPod(b)
	if err != nil {
		return err
	}
	p.ID = resolve(p.ID, "/")
	if m.pod(p.ID) != nil {
		return fail(http.StatusConflict, "A pod with id [%s] already exists.", p.ID)
	}
	out, err := m.writePod(r, p, "pod_created_event")
	if err != nil {
		return err
	}
	out.status, out.location = http.StatusCreated, location(r, p.ID)
	return out
}

func (m *Marathon) putPod(w http.ResponseWriter, r *http.Request, id string) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.readPod(b)
	if err != nil {
		return err
	}
	if resolve(p.ID, "/") != id {
		return fail(http.StatusBadRequest, "'%s' does not match definition's id ('%s')", id, p.ID)
	}
	p.ID = id
	out, err := m.writePod(r, p, "pod_updated_event")
	if err != nil {
		return err
	}
	return out
}

// writePod writes a pod; the answer shows it with the version of the write,
// even where nothing changed and the pod keeps its own.
func (m *Marathon) writePod(r *http.Request, p *manifests.Pod, event string) (*reply, error) {
	dep, err := m.write(edit{group: manifests.ParentID(p.ID), force: flag(r, "force", false), change: func(d *draft) error {
		d.put(&spec{id: p.ID, pod: p})
		return nil
	}})
	if err != nil {
		return nil, err
	}
	m.publish(event, func() map[string]any { return map[string]any{"clientIp": clientIP(r), "uri": r.URL.Path} })
	shown := &spec{id: p.ID, pod: m.root.specs[p.ID].pod, version: dep.version}
	return &reply{status: http.StatusOK, body: shown.definition(), deployed: dep.id}, nil
}

func (m *Marathon) deletePod(r *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pod(id) == nil {
		return noPod(id)
	}
	dep, err := m.write(edit{group: manifests.ParentID(id), force: flag(r, "force", false), change: func(d *draft) error {
		d.drop(id)
		return nil
	}})
	if err != nil {
		return err
	}
	m.publish("pod_deleted_event", func() map[string]any { return map[string]any{"clientIp": clientIP(r), "uri": r.URL.Path} })
	return &reply{status: http.StatusAccepted, deployed: dep.id, location: "http://" + r.Host + "/" + dep.id}
}

// aboutPod is what stands behind :: in the path.
func (m *Marathon) aboutPod(w http.ResponseWriter, r *http.Request, id string, all bool, about string) error {
	if instance, isOne := strings.CutPrefix(about, "instances/"); isOne || about == "instances" {
		if r.Method != http.MethodDelete {
			return errMethod
		}
		return m.killPod(w, r, id, instance, isOne)
	}
	if r.Method != http.MethodGet {
		return errMethod
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if all && about == "status" {
		views := []any{}
		for _, key := range m.root.ids() {
			if s := m.pod(key); s != nil {
				views = append(views, m.podStatus(s, s.slim()))
			}
		}
		return ok(views)
	}
	s := m.pod(id)
	if s == nil {
		return noPod(id)
	}
	switch at, isVersion := strings.CutPrefix(about, "versions/"); {
	case about == "status":
		return ok(m.podStatus(s, s.slim()))
	case about == "versions":
		return ok(m.versions(id))
	case isVersion:
		when, err := parseVersion(at)
		if err != nil {
			return err
		}
		if was := m.versionOf(id, when); was != nil {
			return ok(was.definition())
		}
		return noPod(id)
	}
	return fail(http.StatusInternalServerError, "URI not found")
}

// killPod ends the instances that the path or the body names.
func (m *Marathon) killPod(w http.ResponseWriter, r *http.Request, id, one string, isOne bool) error {
	named := []string{one}
	if !isOne {
		b, err := readBody(w, r)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b.raw, &named); err != nil {
			return invalidShape(detail{"", []string{"error.expected.jsarray"}})
		}
	}
	for n, name := range named {
		if !instanceIDForm.MatchString(name) {
			path := "/"
			if !isOne {
				path = fmt.Sprintf("/(%d)", n)
			}
			return invalidObject(detail{path, []string{fmt.Sprintf("must fully match regular expression '%s'", instanceIDForm)}})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pod(id) == nil {
		return noPath(id)
	}
	var found []*instance
	views := []instanceView{}
	for _, i := range m.instances[id] {
		if slices.Contains(named, i.id) {
			found = append(found, i)
			views = append(views, m.instanceView(i))
		}
	}
	m.kill(found, flag(r, "wipe", false))
	switch {
	case !isOne:
		return ok(views)
	case len(views) == 0:
		return missing("Task '%s' does not exist", one)
	}
	return ok(views[0])
}

// instanceIDForm is Marathon's for the ids of instances.
var instanceIDForm = regexp.MustCompile(`^(.+)\.(instance-|marathon-)([^\.]+)$`)

// instanceView is an instance as a kill answers it.
type instanceView struct {
	ID    string `json:"instanceId"`
	State struct {
		Condition   condition `json:"condition"`
		Since       stamp     `json:"since"`
		ActiveSince *stamp    `json:"activeSince,omitempty"`
		Healthy     *bool     `json:"healthy,omitempty"`
		Goal        string    `json:"goal"`
	} `json:"state"`
	Agent   *agentView `json:"agentInfo,omitempty"`
	Version stamp      `json:"runSpecVersion"`
	Lost    any        `json:"unreachableStrategy"`
}

type agentView struct {
	Host       string `json:"host"`
	ID         string `json:"agentId"`
	Attributes []any  `json:"attributes"`
}

func (m *Marathon) instanceView(i *instance) instanceView {
	v := instanceView{ID: i.id, Version: i.spec.version, Lost: or(i.spec.scheduling().UnreachableStrategy, manifests.UnreachableStrategy{})}
	v.State.Condition, v.State.Since, v.State.Goal, v.State.Healthy = i.condition, i.since, "Running", i.health()
	if i.unwanted {
		v.State.Goal = "Decommissioned"
	}
	if i.current() != nil {
		since := i.activeSince()
		v.State.ActiveSince = &since
		v.Agent = &agentView{m.options.Agent.Hostname, m.agentID, []any{}}
	}
	return v
}

type podStatus struct {
	ID          string          `json:"id"`
	Spec        json.RawMessage `json:"spec"`
	Status      string          `json:"status"`
	Since       stamp           `json:"statusSince"`
	Instances   []podInstance   `json:"instances"`
	Terminated  []any           `json:"terminationHistory"`
	LastUpdated stamp           `json:"lastUpdated"`
	LastChanged stamp           `json:"lastChanged"`
}

type podInstance struct {
	ID          string         `json:"id"`
	Status      string         `json:"status"`
	Since       stamp          `json:"statusSince"`
	Message     string         `json:"message,omitempty"`
	Conditions  []any          `json:"conditions"`
	Host        string         `json:"agentHostname,omitempty"`
	AgentID     string         `json:"agentId,omitempty"`
	Resources   resources      `json:"resources"`
	Networks    []podNetwork   `json:"networks"`
	Containers  []podContainer `json:"containers"`
	Reference   string         `json:"specReference"`
	Volumes     []volumeView   `json:"localVolumes"`
	LastUpdated stamp          `json:"lastUpdated"`
	LastChanged stamp          `json:"lastChanged"`
	Role        string         `json:"role"`
}

type podNetwork struct {
	Name      string   `json:"name,omitempty"`
	Addresses []string `json:"addresses"`
}

type podContainer struct {
	Name        string        `json:"name"`
	Status      string        `json:"status"`
	Since       stamp         `json:"statusSince"`
	Conditions  []podVerdict  `json:"conditions"`
	ID          string        `json:"containerId"`
	Endpoints   []podEndpoint `json:"endpoints"`
	Resources   *resources    `json:"resources,omitempty"`
	LastUpdated stamp         `json:"lastUpdated"`
	LastChanged stamp         `json:"lastChanged"`
}

type podVerdict struct {
	Name        string `json:"name"`
	LastChanged stamp  `json:"lastChanged"`
	LastUpdated stamp  `json:"lastUpdated"`
	Value       string `json:"value"`
	Reason      string `json:"reason"`
}

type podEndpoint struct {
	Name     string `json:"name"`
	HostPort *int   `json:"allocatedHostPort,omitempty"`
	Healthy  *bool  `json:"healthy,omitempty"`
}

// slim is a pod's definition as ::status prints it: without an empty placement.
func (s *spec) slim() json.RawMessage {
	p := *s.pod
	if p.Scheduling != nil && p.Scheduling.Placement != nil &&
		len(p.Scheduling.Placement.Constraints)+len(p.Scheduling.Placement.AcceptedResourceRoles) == 0 {
		p.Scheduling = new(*p.Scheduling)
		p.Scheduling.Placement = nil
	}
	return (&spec{id: s.id, pod: &p, version: s.version}).plain()
}

func (m *Marathon) podStatus(s *spec, definition json.RawMessage) podStatus {
	now := m.stampNow()
	v := podStatus{ID: s.id, Spec: definition, Instances: []podInstance{}, Terminated: []any{}, LastUpdated: now}
	stable := 0
	for _, i := range m.instances[s.id] {
		if len(i.tasks)+len(i.past) == 0 {
			continue // it has never been anywhere
		}
		view := m.podInstance(i)
		v.Instances = append(v.Instances, view)
		if i.since.After(v.Since.Time) {
			v.Since = i.since
		}
		if view.Status == podStable {
			stable++
		}
		v.Terminated = append(v.Terminated, m.terminations(i)...)
	}
	if len(v.Instances) == 0 {
		v.Since = now
	}
	v.LastChanged = v.Since
	switch {
	case m.root.specs[s.id] == nil:
		v.Status = podTerminal
	case stable >= s.instances():
		v.Status = podStable
	default:
		v.Status = podDegraded
	}
	return v
}

// The words for what a pod and its instances are at.
const (
	podPending  = "PENDING"
	podStaging  = "STAGING"
	podStable   = "STABLE"
	podDegraded = "DEGRADED"
	podTerminal = "TERMINAL"
)

// terminations tell of the last failure of a pod, if this instance had it.
func (m *Marathon) terminations(i *instance) []any {
	f := m.failures[i.spec.id]
	for _, t := range slices.Concat(i.past, i.tasks) {
		if f == nil || t.id != f.TaskID {
			continue
		}
		started := t.startedAt
		if started.IsZero() {
			started = t.stagedAt
		}
		return []any{map[string]any{"instanceID": i.id, "startedAt": started, "terminatedAt": f.Timestamp, "message": f.Message,
			"containers": []any{map[string]any{"containerId": t.id, "lastKnownState": f.State}}}}
	}
	return nil
}

func (m *Marathon) podInstance(i *instance) podInstance {
	p := i.spec.pod
	v := podInstance{
		ID: i.id, Status: podCondition(i), Since: i.since, Conditions: []any{}, Networks: []podNetwork{}, Containers: []podContainer{},
		// What the executor has by default, whatever the pod says: so does Marathon.
		Resources: resources{CPUs: 0.1, Mem: 32, Disk: 10}, Host: m.options.Agent.Hostname, AgentID: m.agentID,
		Reference: fmt.Sprintf("/v2/pods%s::versions/%s", i.spec.id, i.spec.version), Volumes: []volumeView{},
		LastUpdated: i.since, LastChanged: i.since, Role: i.spec.role(),
	}
	n := podNetwork{}
	if len(p.Networks) > 0 {
		n.Name = or(p.Networks[0].Name, "")
	}
	for at, t := range slices.Concat(i.past, i.tasks) {
		c := podContainerView(&p.Containers[at], t, len(p.Networks) > 0)
		v.Containers = append(v.Containers, c)
		if c.Resources != nil {
			v.Resources = v.Resources.plus(*c.Resources)
		}
		if slices.ContainsFunc(c.Conditions, func(c podVerdict) bool { return c.Value == "false" }) && v.Status == podStable {
			v.Status, v.Message = podDegraded, "at least one container is not healthy"
		}
		for _, ip := range t.ips {
			if !slices.Contains(n.Addresses, ip) {
				n.Addresses = append(n.Addresses, ip)
			}
		}
	}
	if len(n.Addresses) > 0 {
		v.Networks = append(v.Networks, n)
	}
	// millionths of a share: floating point must not show
	v.Resources.CPUs = float64(int(v.Resources.CPUs*1e6+0.5)) / 1e6
	return v
}

func podCondition(i *instance) string {
	switch {
	case i.wanted() && (i.current() == nil || i.condition == provisioned):
		return podPending
	case i.condition == staging, i.condition == starting:
		return podStaging
	case i.condition == running:
		return podStable
	}
	return podTerminal
}

// podContainerView is a container as ::status shows it. Source: Marathon's
// PodStatusConversion.
func podContainerView(c *manifests.PodContainer, t *task, networked bool) podContainer {
	since := t.startedAt
	if since.IsZero() {
		since = t.stagedAt
	}
	v := podContainer{
		Name: c.Name, Status: string(t.state), Since: since, Conditions: []podVerdict{}, ID: t.id, Endpoints: []podEndpoint{},
		LastUpdated: since, LastChanged: since,
	}
	if t.over() {
		return v
	}
	r := or(c.Resources, manifests.Resources{})
	v.Resources = &resources{or(r.CPUs, 1), or(r.Mem, 128), or(r.Disk, 0), or(r.GPUs, 0)}
	var healthy *bool
	if len(t.health) > 0 && t.health[0].seen {
		healthy = &t.health[0].alive
	}
	checked := checkedEndpoint(c)
	ports := endpointPorts(c, t, networked)
	var last []podEndpoint // the one that is checked, at the end
	for _, e := range c.Endpoints {
		view := podEndpoint{Name: e.Name}
		if port, has := ports[e.Name]; has {
			view.HostPort = &port
		}
		if e.Name == checked {
			view.Healthy = healthy
			last = append(last, view)
			continue
		}
		v.Endpoints = append(v.Endpoints, view)
	}
	v.Endpoints = append(v.Endpoints, last...)
	if c.HealthCheck != nil && t.state == executor.Running {
		verdict := podVerdict{"healthy", since, since, "false", "health-unreported-by-mesos"}
		if healthy != nil {
			verdict.Value, verdict.Reason = fmt.Sprint(*healthy), "health-reported-by-mesos"
		}
		v.Conditions = append(v.Conditions, verdict)
	}
	return v
}

// checkedEndpoint is the endpoint that the health check of a container asks.
func checkedEndpoint(c *manifests.PodContainer) string {
	switch h := c.HealthCheck; {
	case h == nil:
	case h.HTTP != nil:
		return h.HTTP.Endpoint
	case h.TCP != nil:
		return h.TCP.Endpoint
	}
	return ""
}
