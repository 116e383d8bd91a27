package scheduler

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// launch is what the launch of an instance needs.
type launch struct {
	tasks []taskLaunch
	total state.Resources
}

type taskLaunch struct {
	name         string
	task         executor.Task
	resources    state.Resources
	portRequests []portRequest // in the order of the environment
	ports        []int         // host ports, in the order of the requests that have one
}

// portRequest is a port as an app asks for it.
type portRequest struct {
	name      string
	number    int  // of the variable: container or service port; 0: none
	host      int  // 0: any
	noHost    bool // the container's network alone has it
	container int
	protocol  string
}

// taskBuilder turns instances into tasks for the executor. Source: Marathon's
// TaskBuilder.
type taskBuilder struct {
	host    string
	storage *storage
}

// build makes the tasks of an instance but for what the launch alone knows: ids
// and host ports (see complete).
func (b taskBuilder) build(i *state.Instance) *launch {
	l := &launch{}
	if i.Spec.App != nil {
		l.tasks = []taskLaunch{b.appTask(i)}
	} else {
		for n := range i.Spec.Pod.Containers {
			l.tasks = append(l.tasks, b.podTask(i, &i.Spec.Pod.Containers[n]))
		}
		// What the executor itself gets is given back with the first task.
		e := manifests.DefaultExecutorResources()
		if own := i.Spec.Pod.ExecutorResources; own != nil { // before Marathon 1.6 there is none
			e = *own
		}
		l.tasks[0].resources = l.tasks[0].resources.Plus(state.Resources{CPUs: *e.CPUs, Mem: *e.Mem, Disk: *e.Disk})
	}
	for _, t := range l.tasks {
		l.total = l.total.Plus(t.resources)
	}
	return l
}

// killGrace is how long a task has to end by itself: --task_kill_grace_period of
// the Mesos agent.
const killGrace = 3 * time.Second

func (b taskBuilder) appTask(i *state.Instance) taskLaunch {
	app := i.Spec.App
	t := taskLaunch{
		name:         "_app",
		resources:    state.Resources{CPUs: *app.CPUs, Mem: *app.Mem, Disk: *app.Disk, GPUs: *app.GPUs},
		portRequests: appPorts(app),
		task: executor.Task{
			App: app.ID, Cmd: ptr.Deref(app.Cmd, ""), Args: app.Args, User: ptr.Deref(app.User, ""), Env: map[string]string{},
			KillGrace: killGrace, Fetch: fetches(app.Fetch),
		},
	}
	if app.TaskKillGracePeriod != nil {
		t.task.KillGrace = seconds(app.TaskKillGracePeriod)
	}
	if c := app.Container; c != nil {
		t.task.Volumes = b.appVolumes(i, c.Volumes)
		if c.Docker != nil && c.Docker.Image != "" {
			t.task.Container = container(c.Docker, app.Networks)
		}
	}
	t.allot(app.ResourceLimits)
	return t
}

func seconds(p *int) time.Duration { return time.Duration(*p) * time.Second }

// allot gives the executor's task what was asked for, and its limits.
func (l *taskLaunch) allot(limits *manifests.ResourceLimits) {
	t := &l.task
	t.CPUs, t.Mem, t.Disk = l.resources.CPUs, l.resources.Mem, l.resources.Disk
	if limits != nil {
		t.CPULimit, t.MemLimit = limit(limits.CPUs), limit(limits.Mem)
	}
}

func limit(l *manifests.Limit) float64 {
	switch {
	case l == nil:
		return 0
	case l.Unlimited:
		return -1
	}
	return l.Value
}

func container(d *manifests.Docker, networks []manifests.Network) *executor.Container {
	c := &executor.Container{Image: d.Image, ForcePull: *d.ForcePullImage, Privileged: *d.Privileged}
	for _, p := range d.Parameters {
		c.Parameters = append(c.Parameters, [2]string{p.Key, p.Value})
	}
	join(c, networks)
	return c
}

func join(c *executor.Container, networks []manifests.Network) {
	c.HostNetwork = len(networks) == 0
	for _, n := range networks {
		c.HostNetwork = c.HostNetwork || ptr.Deref(n.Mode, "") == "host"
		if ptr.Deref(n.Mode, "") == "container" && c.Network == "" {
			c.Network = ptr.Deref(n.Name, "")
		}
	}
}

func (b taskBuilder) podTask(i *state.Instance, c *manifests.PodContainer) taskLaunch {
	p := i.Spec.Pod
	t := taskLaunch{
		name:      c.Name,
		resources: state.ResourcesOf(c.Resources),
		task: executor.Task{App: p.ID, User: ptr.Deref(c.User, ptr.Deref(p.User, "")), Env: map[string]string{},
			KillGrace: killGrace, Fetch: fetches(c.Artifacts)},
	}
	for _, e := range c.Endpoints {
		port := ptr.Deref(e.ContainerPort, 0)
		t.portRequests = append(t.portRequests, portRequest{name: e.Name, host: ptr.Deref(e.HostPort, 0), noHost: e.HostPort == nil,
			container: port, number: port, protocol: strings.Join(e.Protocol, ",")})
	}
	if c.Exec != nil && c.Exec.Command != nil {
		t.task.Cmd, t.task.Args = ptr.Deref(c.Exec.Command.Shell, ""), c.Exec.Command.Argv
	}
	if c.Lifecycle != nil && c.Lifecycle.KillGracePeriodSeconds != nil {
		t.task.KillGrace = time.Duration(*c.Lifecycle.KillGracePeriodSeconds * float64(time.Second))
	}
	if c.Image != nil {
		t.task.Container = &executor.Container{Image: c.Image.ID, ForcePull: ptr.Deref(c.Image.ForcePull, false)}
		join(t.task.Container, p.Networks)
	}
	for _, mount := range c.VolumeMounts {
		for _, v := range p.Volumes {
			if v.Name == mount.Name {
				t.task.Volumes = append(t.task.Volumes, b.podVolume(i, v, mount))
			}
		}
	}
	t.allot(c.ResourceLimits)
	return t
}

func (b taskBuilder) podVolume(i *state.Instance, v manifests.Volume, mount manifests.VolumeMount) executor.Volume {
	out := executor.Volume{Host: ptr.Deref(v.Host, ""), Container: mount.MountPath, ReadOnly: *mount.ReadOnly}
	if !filepath.IsAbs(out.Host) { // shared by the containers of the pod, or persistent
		out.Host, out.Persistent = b.storage.volume(i, v.Name), true
	}
	return out
}

func fetches(artifacts []manifests.Artifact) []executor.Fetch {
	var fs []executor.Fetch
	for _, a := range artifacts {
		fs = append(fs, executor.Fetch{URI: a.URI, DestPath: ptr.Deref(a.DestPath, ""), Extract: ptr.Deref(a.Extract, true),
			Executable: ptr.Deref(a.Executable, false), Cache: ptr.Deref(a.Cache, false)})
	}
	return fs
}

// appVolumes are the folders of the host that a task gets. A persistent volume is
// the instance's own and stays until the instance goes; external and secret
// volumes are taken and not mounted.
func (b taskBuilder) appVolumes(i *state.Instance, vs []manifests.Volume) []executor.Volume {
	var out []executor.Volume
	for _, v := range vs {
		switch {
		case v.HostPath != nil:
			out = append(out, executor.Volume{Host: *v.HostPath, Container: v.ContainerPath, ReadOnly: ptr.Deref(v.Mode, "") == "RO"})
		case v.Persistent != nil:
			out = append(out, executor.Volume{Host: b.storage.volume(i, v.ContainerPath), Container: v.ContainerPath, Persistent: true})
		}
	}
	return out
}

// appPorts are the ports of an app in the order of PORT0, PORT1 …
func appPorts(a *manifests.App) []portRequest {
	var ps []portRequest
	if c := a.Container; c != nil && len(c.PortMappings) > 0 {
		for _, p := range c.PortMappings {
			ps = append(ps, portRequest{name: ptr.Deref(p.Name, ""), number: *p.ContainerPort, host: ptr.Deref(p.HostPort, 0),
				noHost: p.HostPort == nil, container: *p.ContainerPort, protocol: *p.Protocol})
		}
		return ps
	}
	for _, p := range a.PortDefinitions {
		r := portRequest{name: ptr.Deref(p.Name, ""), number: *p.Port, protocol: *p.Protocol}
		if ptr.Deref(a.RequirePorts, false) {
			r.host = *p.Port
		}
		ps = append(ps, r)
	}
	return ps
}

// complete gives a task its id, its ports and its environment.
func (b taskBuilder) complete(t *state.Task, l *taskLaunch) {
	s, env := t.Instance.Spec, l.task.Env
	l.task.ID = t.ID
	maps.Copy(env, l.portEnv())
	maps.Copy(env, marathonEnv(s, l))
	env["MESOS_TASK_ID"] = t.ID
	env["HOST"] = b.host
	given := map[string]manifests.EnvValue{}
	if s.App != nil {
		given = s.App.Env
	} else {
		maps.Copy(env, endpointEnv(t.Instance))
		maps.Copy(given, s.Pod.Environment)
		for _, c := range s.Pod.Containers {
			if c.Name == t.Name {
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
// them. It also makes the port mappings for the executor.
func (l *taskLaunch) portEnv() map[string]string {
	env := map[string]string{}
	var hosts, generated []string
	given := l.ports
	for n, r := range l.portRequests {
		port := r.container
		switch {
		case !r.noHost:
			port, given = given[0], given[1:]
			hosts = append(hosts, strconv.Itoa(port))
			l.task.Ports = append(l.task.Ports, executor.Port{Host: port, Container: cmp.Or(r.container, port), Protocol: strings.Split(r.protocol, ",")[0]})
		case port == 0:
			port = 1025 + rand.IntN(65535-1024) // only the container's own network has it
			generated = append(generated, strconv.Itoa(port))
		}
		text := strconv.Itoa(port)
		env["PORT"+strconv.Itoa(n)] = text
		env["PORT_"+strconv.Itoa(cmp.Or(r.number, port))] = text
		if r.name != "" {
			env["PORT_"+strings.ToUpper(r.name)] = text
		}
	}
	if len(l.portRequests) > 0 {
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

func envName(text string) string { return strings.ToUpper(notInEnvNames.ReplaceAllString(text, "_")) }

func marathonEnv(s *state.RunSpec, l *taskLaunch) map[string]string {
	number := func(f float64) string { // as Java prints doubles
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	env := map[string]string{
		"MARATHON_APP_ID":            s.ID,
		"MARATHON_APP_VERSION":       s.Version.String(),
		"MARATHON_APP_RESOURCE_CPUS": number(l.resources.CPUs),
		"MARATHON_APP_RESOURCE_MEM":  number(l.resources.Mem),
		"MARATHON_APP_RESOURCE_DISK": number(l.resources.Disk),
		"MARATHON_APP_RESOURCE_GPUS": strconv.Itoa(l.resources.GPUs),
	}
	if l.task.Container != nil {
		env["MARATHON_APP_DOCKER_IMAGE"] = l.task.Container.Image
	}
	var names []string
	for _, k := range slices.Sorted(maps.Keys(s.Labels())) {
		if v := s.Labels()[k]; len(k) < maxLabelInEnv && len(v) < maxLabelInEnv {
			names = append(names, envName(k))
			env["MARATHON_APP_LABEL_"+envName(k)] = v
		}
	}
	env["MARATHON_APP_LABELS"] = strings.Join(names, " ")
	return env
}

// endpointEnv gives every container of a pod the endpoints of all.
func endpointEnv(i *state.Instance) map[string]string {
	env := map[string]string{}
	for n, c := range i.Spec.Pod.Containers {
		for name, port := range i.Tasks[n].EndpointPorts(&c) {
			env["ENDPOINT_"+envName(name)] = strconv.Itoa(port)
			env["EP_HOST_"+envName(name)] = strconv.Itoa(port)
		}
		for _, e := range c.Endpoints {
			if e.ContainerPort != nil {
				env["EP_CONTAINER_"+envName(e.Name)] = strconv.Itoa(*e.ContainerPort)
			}
		}
	}
	return env
}
