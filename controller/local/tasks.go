package local

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// prepare says what an instance needs, and makes its tasks but for what the
// launch alone knows: ids and host ports (see complete).
func (m *Marathon) prepare(i *instance) *ask {
	a := &ask{}
	if i.spec.app != nil {
		a.tasks = []askedTask{m.appTask(i)}
	} else {
		p := i.spec.pod
		e := or(p.ExecutorResources, manifests.ExecutorResources{})
		a.total = resources{CPUs: or(e.CPUs, 0.1), Mem: or(e.Mem, 32), Disk: or(e.Disk, 10)}
		for n := range p.Containers {
			a.tasks = append(a.tasks, m.podTask(i, &p.Containers[n]))
		}
		// What the executor itself gets is given back with the first task.
		a.tasks[0].resources = a.tasks[0].resources.plus(a.total)
		a.total = resources{}
	}
	for _, t := range a.tasks {
		a.total = a.total.plus(t.resources)
	}
	return a
}

func (m *Marathon) appTask(i *instance) askedTask {
	app := i.spec.app
	t := askedTask{
		name:      "_app",
		resources: resources{or(app.CPUs, 1), or(app.Mem, 128), or(app.Disk, 0), or(app.GPUs, 0)},
		wanted:    appPorts(app),
		task: executor.Task{
			App: app.ID, Cmd: or(app.Cmd, ""), Args: app.Args, User: or(app.User, ""), Env: map[string]string{},
			KillGrace: 3 * time.Second, Fetch: fetches(app.Fetch),
		},
	}
	if app.TaskKillGracePeriod != nil {
		t.task.KillGrace = time.Duration(*app.TaskKillGracePeriod) * time.Second
	}
	if c := app.Container; c != nil {
		t.task.Volumes = m.volumes(i, c.Volumes)
		if c.Docker != nil && c.Docker.Image != "" {
			t.task.Container = container(c.Docker, app.Networks)
		}
	}
	t.allot(app.ResourceLimits)
	return t
}

// allot tells the executor what the task asked for, and its limits.
func (a *askedTask) allot(limits *manifests.ResourceLimits) {
	t := &a.task
	t.CPUs, t.Mem, t.Disk = a.resources.CPUs, a.resources.Mem, a.resources.Disk
	if limits == nil {
		return
	}
	for _, l := range []struct {
		from *manifests.Limit
		to   *float64
	}{{limits.CPUs, &t.CPULimit}, {limits.Mem, &t.MemLimit}} {
		switch {
		case l.from != nil && l.from.Unlimited:
			*l.to = -1
		case l.from != nil:
			*l.to = l.from.Value
		}
	}
}

func container(d *manifests.Docker, networks []manifests.Network) *executor.Container {
	c := &executor.Container{Image: d.Image, ForcePull: or(d.ForcePullImage, false), Privileged: or(d.Privileged, false)}
	for _, p := range d.Parameters {
		c.Parameters = append(c.Parameters, [2]string{p.Key, p.Value})
	}
	join(c, networks)
	return c
}

func join(c *executor.Container, networks []manifests.Network) {
	c.HostNetwork = len(networks) == 0
	for _, n := range networks {
		c.HostNetwork = c.HostNetwork || or(n.Mode, "") == "host"
		if or(n.Mode, "") == "container" && c.Network == "" {
			c.Network = or(n.Name, "")
		}
	}
}

func (m *Marathon) podTask(i *instance, c *manifests.PodContainer) askedTask {
	p := i.spec.pod
	r := or(c.Resources, manifests.Resources{})
	t := askedTask{
		name:      c.Name,
		resources: resources{or(r.CPUs, 1), or(r.Mem, 128), or(r.Disk, 0), or(r.GPUs, 0)},
		task:      executor.Task{App: p.ID, User: or(c.User, or(p.User, "")), Env: map[string]string{}, KillGrace: 3 * time.Second, Fetch: fetches(c.Artifacts)},
	}
	for _, e := range c.Endpoints {
		host, noHost := or(e.HostPort, 0), e.HostPort == nil && len(p.Networks) > 0
		t.wanted = append(t.wanted, portRequest{name: e.Name, host: host, noHost: noHost,
			container: or(e.ContainerPort, 0), number: or(e.ContainerPort, 0), protocol: strings.Join(e.Protocol, ",")})
	}
	if c.Exec != nil && c.Exec.Command != nil {
		t.task.Cmd, t.task.Args = or(c.Exec.Command.Shell, ""), c.Exec.Command.Argv
	}
	if c.Lifecycle != nil && c.Lifecycle.KillGracePeriodSeconds != nil {
		t.task.KillGrace = time.Duration(*c.Lifecycle.KillGracePeriodSeconds * float64(time.Second))
	}
	if c.Image != nil {
		t.task.Container = &executor.Container{Image: c.Image.ID, ForcePull: or(c.Image.ForcePull, false)}
		join(t.task.Container, p.Networks)
	}
	for _, mount := range c.VolumeMounts {
		for _, v := range p.Volumes {
			if v.Name == mount.Name {
				t.task.Volumes = append(t.task.Volumes, m.podVolume(i, v, mount))
			}
		}
	}
	t.allot(c.ResourceLimits)
	return t
}

func (m *Marathon) podVolume(i *instance, v manifests.Volume, mount manifests.VolumeMount) executor.Volume {
	out := executor.Volume{Host: or(v.Host, ""), Container: mount.MountPath, ReadOnly: or(mount.ReadOnly, false)}
	if !filepath.IsAbs(out.Host) { // shared by the containers of the pod, or persistent
		out.Host, out.Persistent = m.volumeFolder(i, v.Name), true
	}
	return out
}

func fetches(artifacts []manifests.Artifact) []executor.Fetch {
	var fs []executor.Fetch
	for _, a := range artifacts {
		fs = append(fs, executor.Fetch{URI: a.URI, DestPath: or(a.DestPath, ""), Extract: or(a.Extract, true),
			Executable: or(a.Executable, false), Cache: or(a.Cache, false)})
	}
	return fs
}

// volumes are the folders of the host that a task gets. A persistent volume is
// the instance's own and stays until the instance goes; external and secret
// volumes are taken and not mounted.
func (m *Marathon) volumes(i *instance, vs []manifests.Volume) []executor.Volume {
	var out []executor.Volume
	for _, v := range vs {
		switch {
		case v.HostPath != nil:
			out = append(out, executor.Volume{Host: *v.HostPath, Container: v.ContainerPath, ReadOnly: or(v.Mode, "") == "RO"})
		case v.Persistent != nil:
			out = append(out, executor.Volume{Host: m.volumeFolder(i, v.ContainerPath), Container: v.ContainerPath, Persistent: true})
		}
	}
	return out
}

// appPorts are the ports of an app in the order of PORT0, PORT1 …
func appPorts(a *manifests.App) []portRequest {
	var ps []portRequest
	if c := a.Container; c != nil && len(c.PortMappings) > 0 {
		for _, p := range c.PortMappings {
			ps = append(ps, portRequest{name: or(p.Name, ""), number: or(p.ContainerPort, 0), host: or(p.HostPort, 0),
				noHost: p.HostPort == nil, container: or(p.ContainerPort, 0), protocol: or(p.Protocol, "tcp")})
		}
		return ps
	}
	for _, p := range a.PortDefinitions {
		r := portRequest{name: or(p.Name, ""), number: or(p.Port, 0), protocol: or(p.Protocol, "tcp")}
		if or(a.RequirePorts, false) {
			r.host = or(p.Port, 0)
		}
		ps = append(ps, r)
	}
	return ps
}

// complete gives a task its id, its ports and its environment.
func (m *Marathon) complete(t *task, a *askedTask) {
	s := t.instance.spec
	a.task.ID = t.id
	env := a.task.Env
	maps.Copy(env, m.portEnv(a))
	m.marathonEnv(env, s, a)
	env["MESOS_TASK_ID"] = t.id
	env["HOST"] = m.options.Agent.Hostname
	given := map[string]manifests.EnvValue{}
	if s.app != nil {
		given = s.app.Env
	} else {
		m.endpointEnv(env, t)
		maps.Copy(given, s.pod.Environment)
		for _, c := range s.pod.Containers {
			if c.Name == t.name {
				maps.Copy(given, c.Environment)
			}
		}
	}
	for name, v := range given {
		if v.Secret == "" {
			env[name] = v.Value
		}
	}
}

// portEnv is PORT, PORT0, PORTS, PORT_number and PORT_NAME, as Marathon gives
// them, and the port mappings for the executor.
func (m *Marathon) portEnv(a *askedTask) map[string]string {
	env := map[string]string{}
	var hosts, generated []string
	given := slices.Clone(a.ports)
	for n, w := range a.wanted {
		port := w.container
		if w.noHost {
			if port == 0 {
				port = 1025 + rand.IntN(65535-1024) // only the container's own network has it
				generated = append(generated, strconv.Itoa(port))
			}
		} else {
			port, given = given[0], given[1:]
			hosts = append(hosts, strconv.Itoa(port))
			c := w.container
			if c == 0 {
				c = port
			}
			a.task.Ports = append(a.task.Ports, executor.Port{Host: port, Container: c, Protocol: strings.Split(w.protocol, ",")[0]})
		}
		env["PORT"+strconv.Itoa(n)] = strconv.Itoa(port)
		number := w.number
		if number == 0 {
			number = port
		}
		env["PORT_"+strconv.Itoa(number)] = strconv.Itoa(port)
		if w.name != "" {
			env["PORT_"+strings.ToUpper(w.name)] = strconv.Itoa(port)
		}
	}
	if len(a.wanted) > 0 {
		all := append(hosts, generated...)
		env["PORTS"] = strings.Join(all, ",")
		if len(all) > 0 {
			env["PORT"] = all[0]
		}
	}
	return env
}

const maxLabelInEnv = 512 // characters, of name and value

var notInEnvNames = regexp.MustCompile(`[^a-zA-Z0-9_]+`)

func (m *Marathon) marathonEnv(env map[string]string, s *spec, a *askedTask) {
	number := func(f float64) string { // as Java prints doubles
		if text := strconv.FormatFloat(f, 'f', -1, 64); strings.Contains(text, ".") {
			return text
		}
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	env["MARATHON_APP_ID"] = s.id
	env["MARATHON_APP_VERSION"] = s.version.String()
	env["MARATHON_APP_RESOURCE_CPUS"] = number(a.resources.CPUs)
	env["MARATHON_APP_RESOURCE_MEM"] = number(a.resources.Mem)
	env["MARATHON_APP_RESOURCE_DISK"] = number(a.resources.Disk)
	env["MARATHON_APP_RESOURCE_GPUS"] = strconv.Itoa(a.resources.GPUs)
	if a.task.Container != nil {
		env["MARATHON_APP_DOCKER_IMAGE"] = a.task.Container.Image
	}
	var names []string
	for _, k := range slices.Sorted(maps.Keys(s.labels())) {
		v := s.labels()[k]
		if len(k) >= maxLabelInEnv || len(v) >= maxLabelInEnv {
			continue
		}
		name := strings.ToUpper(notInEnvNames.ReplaceAllString(k, "_"))
		names = append(names, name)
		env["MARATHON_APP_LABEL_"+name] = v
	}
	env["MARATHON_APP_LABELS"] = strings.Join(names, " ")
}

// endpointEnv tells every container of a pod the endpoints of all.
func (m *Marathon) endpointEnv(env map[string]string, t *task) {
	for n, c := range t.instance.spec.pod.Containers {
		for name, port := range endpointPorts(&c, t.instance.tasks[n], len(t.instance.spec.pod.Networks) > 0) {
			key := strings.ToUpper(notInEnvNames.ReplaceAllString(name, "_"))
			env["ENDPOINT_"+key] = strconv.Itoa(port)
			env["EP_HOST_"+key] = strconv.Itoa(port)
		}
		for _, e := range c.Endpoints {
			if e.ContainerPort != nil {
				env["EP_CONTAINER_"+strings.ToUpper(notInEnvNames.ReplaceAllString(e.Name, "_"))] = strconv.Itoa(*e.ContainerPort)
			}
		}
	}
}

// endpointPorts are the host ports of a container's endpoints, by name.
func endpointPorts(c *manifests.PodContainer, t *task, networked bool) map[string]int {
	ports := map[string]int{}
	n := 0
	for _, e := range c.Endpoints {
		if e.HostPort == nil && networked {
			continue
		}
		if n < len(t.ports) {
			ports[e.Name] = t.ports[n]
		}
		n++
	}
	return ports
}

type address struct {
	IP       string `json:"ipAddress"`
	Protocol string `json:"protocol"`
}

func addresses(ips []string) []address {
	as := []address{}
	for _, ip := range ips {
		a := address{ip, "IPv4"}
		if strings.Contains(ip, ":") {
			a.Protocol = "IPv6"
		}
		as = append(as, a)
	}
	return as
}

// taskView is a task as GET prints it.
type taskView struct {
	AppID        string       `json:"appId"`
	Health       []healthView `json:"healthCheckResults"`
	Host         string       `json:"host"`
	ID           string       `json:"id"`
	IPs          []address    `json:"ipAddresses"`
	Ports        []int        `json:"ports"`
	ServicePorts []int        `json:"servicePorts"`
	SlaveID      string       `json:"slaveId"`
	State        string       `json:"state"`
	StagedAt     *stamp       `json:"stagedAt,omitempty"`
	StartedAt    *stamp       `json:"startedAt,omitempty"`
	Version      *stamp       `json:"version,omitempty"`
	LocalVolumes []volumeView `json:"localVolumes"`
	Role         string       `json:"role"`
}

type volumeView struct {
	ContainerPath string `json:"containerPath"`
	PersistenceID string `json:"persistenceId"`
}

func (m *Marathon) taskView(t *task, withServicePorts bool) taskView {
	i := t.instance
	v := taskView{
		AppID: i.spec.id, Health: []healthView{}, Host: m.options.Agent.Hostname, ID: t.id, IPs: addresses(t.ips), Ports: []int{},
		ServicePorts: []int{}, SlaveID: m.agentID, State: string(t.state), LocalVolumes: []volumeView{}, Role: i.spec.role(),
	}
	if !t.over() { // of one that ended Marathon tells less
		v.Ports, v.StagedAt, v.Version = t.ports, &t.stagedAt, &i.spec.version
	}
	if !t.over() && !t.startedAt.IsZero() {
		v.StartedAt = &t.startedAt
	}
	for _, h := range t.health {
		if h.seen && !t.over() {
			v.Health = append(v.Health, h.view(i.id))
		}
	}
	if withServicePorts && i.spec.app != nil {
		for _, p := range servicePorts(i.spec.app) {
			v.ServicePorts = append(v.ServicePorts, or(p, 0))
		}
	}
	for _, p := range i.spec.persistentVolumes() {
		path := cmpString(p.ContainerPath, p.Name)
		v.LocalVolumes = append(v.LocalVolumes, volumeView{path, fmt.Sprintf("%s#%s", strings.TrimPrefix(strings.ReplaceAll(i.spec.id, "/", "_"), "_"), path)})
	}
	return v
}

func cmpString(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
