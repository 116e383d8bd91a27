package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// servePods is /v2/pods and all below it.
func (m *Marathon) servePods(w http.ResponseWriter, r *http.Request, rest string) error {
	name, about, special := strings.Cut(rest, "::")
	name = strings.Trim(name, "/")
	id := resolve(name, "/")
	if special {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.aboutPod(r, id, name == "", about)
	}
	if name == "" {
		return m.serveAllPods(w, r)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		m.mu.Lock()
		defer m.mu.Unlock()
		if s := m.pod(id); s != nil {
			return ok(s.definition())
		}
		return noPod(id)
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
	p.ID = resolve(p.ID, "/")
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
	if p.ID != id {
		return fail(http.StatusBadRequest, "'%s' does not match definition's id ('%s')", id, p.ID)
	}
	out, err := m.writePod(r, p, "pod_updated_event")
	if err != nil {
		return err
	}
	return out
}

// writePod writes a pod; the answer shows it with the version of the write,
// even where nothing changed and the pod keeps its own.
func (m *Marathon) writePod(r *http.Request, p *manifests.Pod, event string) (*reply, error) {
	dep, err := m.write(edit{group: parent(p.ID), force: flag(r, "force", false), change: func(d *draft) error {
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
	dep, err := m.write(edit{group: parent(id), force: flag(r, "force", false), change: func(d *draft) error {
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
func (m *Marathon) aboutPod(r *http.Request, id string, all bool, about string) error {
	if instance, isOne := strings.CutPrefix(about, "instances/"); isOne && r.Method == http.MethodDelete {
		return m.killPod(r, id, []string{instance})
	}
	if about == "instances" && r.Method == http.MethodDelete {
		return m.killPod(r, id, nil)
	}
	if r.Method != http.MethodGet {
		return errMethod
	}
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
	case about == "instances":
		return ok(m.podStatus(s, nil).Instances)
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
		return missing("Pod '%s' does not exist in version %s", id, at)
	}
	return fail(http.StatusInternalServerError, "URI not found")
}

func (m *Marathon) killPod(_ *http.Request, id string, only []string) error {
	s := m.pod(id)
	if s == nil {
		return noPod(id)
	}
	views := []podInstance{}
	for _, i := range slices.Clone(m.instances[id]) {
		if only == nil || slices.Contains(only, i.id) {
			views = append(views, m.podInstance(i))
			m.decommission(i)
		}
	}
	if only != nil && len(views) == 0 {
		return missing("instance %s not found", strings.Join(only, ", "))
	}
	m.poke()
	return ok(views)
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
	Resources   resources     `json:"resources"`
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
	v := podStatus{ID: s.id, Spec: definition, Instances: []podInstance{}, Terminated: []any{}, LastUpdated: m.stampNow(), Since: s.version, LastChanged: s.version}
	stable := 0
	for _, i := range m.instances[s.id] {
		view := m.podInstance(i)
		v.Instances = append(v.Instances, view)
		if i.since.After(v.Since.Time) {
			v.Since, v.LastChanged = i.since, i.since
		}
		if view.Status == "STABLE" && i.wanted() && i.generation() == s.generation {
			stable++
		}
	}
	switch {
	case m.root.specs[s.id] == nil:
		v.Status = "TERMINAL"
	case stable == s.instances() && stable == len(v.Instances):
		v.Status = "STABLE"
	default:
		v.Status = "DEGRADED"
	}
	return v
}

func (m *Marathon) podInstance(i *instance) podInstance {
	p := i.spec.pod
	e := or(p.ExecutorResources, manifests.ExecutorResources{})
	v := podInstance{
		ID: i.id, Status: podCondition(i), Since: i.since, Conditions: []any{}, Networks: []podNetwork{}, Containers: []podContainer{},
		Resources: resources{CPUs: or(e.CPUs, 0.1), Mem: or(e.Mem, 32), Disk: or(e.Disk, 10)},
		Reference: fmt.Sprintf("/v2/pods%s::versions/%s", i.spec.id, i.spec.version), Volumes: []volumeView{},
		LastUpdated: i.since, LastChanged: i.since, Role: i.spec.role(),
	}
	for _, c := range p.Containers {
		r := or(c.Resources, manifests.Resources{})
		v.Resources = v.Resources.plus(resources{or(r.CPUs, 1), or(r.Mem, 128), or(r.Disk, 0), or(r.GPUs, 0)})
	}
	// cents of a share: floating point must not show
	v.Resources.CPUs = float64(int(v.Resources.CPUs*1e6+0.5)) / 1e6
	if t := i.current(); t != nil {
		v.Host, v.AgentID = m.options.Agent.Hostname, m.agentID
		n := podNetwork{Addresses: append([]string{}, t.ips...)}
		if len(p.Networks) > 0 {
			n.Name = or(p.Networks[0].Name, "")
		}
		v.Networks = append(v.Networks, n)
	}
	for n, t := range i.tasks {
		v.Containers = append(v.Containers, podContainerView(&p.Containers[n], t, len(p.Networks) > 0))
	}
	return v
}

func podCondition(i *instance) string {
	switch i.condition {
	case scheduled, provisioned:
		return "PENDING"
	case staging, starting:
		return "STAGING"
	case running:
		if i.consideredHealthy() {
			return "STABLE"
		}
		return "DEGRADED"
	}
	return "TERMINAL"
}

func podContainerView(c *manifests.PodContainer, t *task, networked bool) podContainer {
	r := or(c.Resources, manifests.Resources{})
	v := podContainer{
		Name: c.Name, Status: string(t.state), Since: t.stateAt, Conditions: []podVerdict{}, ID: t.id, Endpoints: []podEndpoint{},
		Resources:   resources{or(r.CPUs, 1), or(r.Mem, 128), or(r.Disk, 0), or(r.GPUs, 0)},
		LastUpdated: t.stateAt, LastChanged: t.stateAt,
	}
	var healthy *bool
	for _, h := range t.health {
		if h.known() {
			healthy = new(h.alive)
			v.Conditions = append(v.Conditions, podVerdict{"healthy", h.changedAt, h.changedAt, fmt.Sprint(h.alive), "health-reported-by-mesos"})
		}
	}
	ports := endpointPorts(c, t, networked)
	for _, e := range c.Endpoints {
		view := podEndpoint{Name: e.Name, Healthy: healthy}
		if port, has := ports[e.Name]; has {
			view.HostPort = &port
		}
		v.Endpoints = append(v.Endpoints, view)
	}
	return v
}
