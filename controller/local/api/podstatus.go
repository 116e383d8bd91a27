package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

type podStatus struct {
	ID          string          `json:"id"`
	Spec        json.RawMessage `json:"spec"`
	Status      string          `json:"status"`
	Since       state.Timestamp `json:"statusSince"`
	Instances   []podInstance   `json:"instances"`
	Terminated  []any           `json:"terminationHistory"`
	LastUpdated state.Timestamp `json:"lastUpdated"`
	LastChanged state.Timestamp `json:"lastChanged"`
}

type podInstance struct {
	ID          string          `json:"id"`
	Status      string          `json:"status"`
	Since       state.Timestamp `json:"statusSince"`
	Message     string          `json:"message,omitempty"`
	Conditions  []any           `json:"conditions"`
	Host        string          `json:"agentHostname,omitempty"`
	AgentID     string          `json:"agentId,omitempty"`
	Resources   state.Resources `json:"resources"`
	Networks    []podNetwork    `json:"networks"`
	Containers  []podContainer  `json:"containers"`
	Reference   string          `json:"specReference"`
	Volumes     []volumeView    `json:"localVolumes"`
	LastUpdated state.Timestamp `json:"lastUpdated"`
	LastChanged state.Timestamp `json:"lastChanged"`
	Role        string          `json:"role"`
}

type podNetwork struct {
	Name      string   `json:"name,omitempty"`
	Addresses []string `json:"addresses"`
}

type podContainer struct {
	Name        string           `json:"name"`
	Status      string           `json:"status"`
	Since       state.Timestamp  `json:"statusSince"`
	Conditions  []podCondition   `json:"conditions"`
	ID          string           `json:"containerId"`
	Endpoints   []podEndpoint    `json:"endpoints"`
	Resources   *state.Resources `json:"resources,omitempty"`
	LastUpdated state.Timestamp  `json:"lastUpdated"`
	LastChanged state.Timestamp  `json:"lastChanged"`
}

type podCondition struct {
	Name        string          `json:"name"`
	LastChanged state.Timestamp `json:"lastChanged"`
	LastUpdated state.Timestamp `json:"lastUpdated"`
	Value       string          `json:"value"`
	Reason      string          `json:"reason"`
}

type podEndpoint struct {
	Name     string `json:"name"`
	HostPort *int   `json:"allocatedHostPort,omitempty"`
	Healthy  *bool  `json:"healthy,omitempty"`
}

// The words for what a pod and its instances are at.
const (
	podPending  = "PENDING"
	podStaging  = "STAGING"
	podStable   = "STABLE"
	podDegraded = "DEGRADED"
	podTerminal = "TERMINAL"
)

func (m views) podStatus(s *state.RunSpec, definition json.RawMessage) podStatus {
	now := state.At(time.Now())
	v := podStatus{ID: s.ID, Spec: definition, Instances: []podInstance{}, Terminated: []any{}, LastUpdated: now}
	stable := 0
	for _, i := range m.Instances.Of(s.ID) {
		if len(i.Shown()) == 0 {
			continue // it has never been anywhere
		}
		view := m.podInstance(i)
		v.Instances = append(v.Instances, view)
		if i.Since.After(v.Since.Time) {
			v.Since = i.Since
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
	case m.Versions.Root.Specs[s.ID] == nil:
		v.Status = podTerminal
	case stable >= s.Instances():
		v.Status = podStable
	default:
		v.Status = podDegraded
	}
	return v
}

// terminations are the last failure of a pod, if this instance had it.
func (m views) terminations(i *state.Instance) []any {
	f := m.Instances.LastFailure(i.Spec.ID)
	for _, t := range i.Shown() {
		if f != nil && t.ID == f.TaskID {
			return []any{map[string]any{"instanceID": i.ID, "startedAt": begun(t), "terminatedAt": f.Timestamp, "message": f.Message,
				"containers": []any{map[string]any{"containerId": t.ID, "lastKnownState": f.State}}}}
		}
	}
	return nil
}

// begun is when a task began to run, else when it was staged.
func begun(t *state.Task) state.Timestamp {
	if t.StartedAt.IsZero() {
		return t.StagedAt
	}
	return t.StartedAt
}

func (m views) podInstance(i *state.Instance) podInstance {
	p := i.Spec.Pod
	// What the executor has by default, whatever the pod says: so does Marathon.
	own := manifests.DefaultExecutorResources()
	v := podInstance{
		ID: i.ID, Status: podInstanceStatus(i), Since: i.Since, Conditions: []any{}, Networks: []podNetwork{}, Containers: []podContainer{},
		Resources: state.Resources{CPUs: *own.CPUs, Mem: *own.Mem, Disk: *own.Disk}, Host: m.Agent.Hostname, AgentID: m.Agent.ID,
		Reference: fmt.Sprintf("/v2/pods%s::versions/%s", i.Spec.ID, i.Spec.Version), Volumes: []volumeView{},
		LastUpdated: i.Since, LastChanged: i.Since, Role: i.Spec.Role(),
	}
	n := podNetwork{}
	if len(p.Networks) > 0 {
		n.Name = ptr.Deref(p.Networks[0].Name, "")
	}
	for at, t := range i.Shown() {
		c := podContainerView(&p.Containers[at], t)
		v.Containers = append(v.Containers, c)
		if c.Resources != nil {
			v.Resources = v.Resources.Plus(*c.Resources)
		}
		if slices.ContainsFunc(c.Conditions, func(c podCondition) bool { return c.Value == "false" }) && v.Status == podStable {
			v.Status, v.Message = podDegraded, "at least one container is not healthy"
		}
		for _, ip := range t.IPs {
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

func podInstanceStatus(i *state.Instance) string {
	switch {
	case !i.Decommissioned && (i.Current() == nil || i.Condition == state.Provisioned):
		return podPending
	case i.Condition == state.Staging, i.Condition == state.Starting:
		return podStaging
	case i.Condition == state.Running:
		return podStable
	}
	return podTerminal
}

// podContainerView is a container as ::status shows it. Source: Marathon's
// PodStatusConversion.
func podContainerView(c *manifests.PodContainer, t *state.Task) podContainer {
	since := begun(t)
	v := podContainer{
		Name: c.Name, Status: string(t.State), Since: since, Conditions: []podCondition{}, ID: t.ID, Endpoints: []podEndpoint{},
		LastUpdated: since, LastChanged: since,
	}
	if t.Over() {
		return v
	}
	v.Resources = new(state.ResourcesOf(c.Resources))
	var healthy *bool
	if len(t.Health) > 0 && t.Health[0].Seen {
		healthy = new(t.Health[0].Alive)
	}
	checked := checkedEndpoint(c.HealthCheck)
	ports := t.EndpointPorts(c)
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
	if c.HealthCheck != nil && t.State == executor.Running {
		condition := podCondition{"healthy", since, since, "false", "health-unreported-by-mesos"}
		if healthy != nil {
			condition.Value, condition.Reason = fmt.Sprint(*healthy), "health-reported-by-mesos"
		}
		v.Conditions = append(v.Conditions, condition)
	}
	return v
}

// checkedEndpoint is the endpoint that a health check asks; "": none.
func checkedEndpoint(h *manifests.PodHealthCheck) string {
	switch {
	case h == nil:
	case h.HTTP != nil:
		return h.HTTP.Endpoint
	case h.TCP != nil:
		return h.TCP.Endpoint
	}
	return ""
}
