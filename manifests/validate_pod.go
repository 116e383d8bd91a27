package manifests

import (
	"slices"
	"strconv"
	"strings"
)

// ValidatePod does for a pod what ValidateApp does for an app
// (PodsValidation.podValidator, then podDefValidator).
func ValidatePod(p *Pod, c *Cluster) []Violation { return validatePod(p, c, findings{}) }

func validatePod(p *Pod, c *Cluster, f findings) []Violation {
	v := podChecks{findings: f, c: c, pod: p, networks: newNetworkSet(p.Networks)}
	v.tooNew(c, p, podShape)
	id := AbsoluteID("/", p.ID)
	v.stages(func() { v.written(id) }, v.convertible, func() { v.stored(id) })
	return v.all()
}

// written checks the pod as it was sent.
func (v *podChecks) written(id string) {
	p, c := v.pod, v.c
	v.id(id, nil)
	if p.User != nil && *p.User == "" {
		v.refuse("/user", "must not be empty", "user is empty: name a user, or leave it out")
	}
	v.secretRefs("/environment", p.Environment, p.Secrets, c)
	if len(p.Secrets) > 0 {
		v.emptyOr(c, "/secrets", "secrets", "secrets")
	}
	v.volumes()
	v.containers()
	v.endpoints()
	v.networkRules(p.Networks, c)
	v.scheduling()
	if l := p.LinuxInfo; l != nil {
		if l.Seccomp != nil {
			v.refuse("/linuxInfo/seccomp", "Seccomp configuration on executor level is not supported", "seccomp does not belong in the pod: move it to its containers")
		}
		v.ipcInfo("/linuxInfo", l.IPCInfo)
	}
}

// convertible finds what Marathon fails on when it turns a checked pod into its
// own model (VolumeConversion.volumeConstraintsReads).
func (v *podChecks) convertible() {
	for i, volume := range v.pod.Volumes {
		if volume.Persistent == nil {
			continue
		}
		for _, c := range volume.Persistent.Constraints {
			if c.Field != "path" || c.Operator != "LIKE" || c.Value == nil {
				whole := strings.Join(c.parts(), ",")
				v.fail("/volumes("+strconv.Itoa(i)+")/persistent/constraints", "illegal volume constraint "+whole, `constraint [%s] of the volume %s: write ["path", "LIKE", regular expression]`, whole, volume.Name)
			}
		}
	}
}

// stored checks what depends on the roles that the pod gets.
func (v *podChecks) stored(id string) {
	own := value(v.pod.Role, v.c.defaultRole(id))
	v.role(id, v.pod.Role, v.c)
	v.acceptedOfRole(KindPod, v.accepted(), own, v.pod.Role == nil && v.c.roleByFlag(id), v.c)
	if v.isResident() && v.c.release() >= release19 && own == "*" {
		v.resident(v.pod.Role, v.c.roleByFlag(id), "Resident pods cannot have the role *")
	}
}

type podChecks struct {
	findings
	c        *Cluster
	pod      *Pod
	networks networkSet
}

func (v *podChecks) isResident() bool {
	return slices.ContainsFunc(v.pod.Volumes, func(v Volume) bool { return v.Persistent != nil })
}

func (v *podChecks) volumes() {
	volumeNames := make([]string, len(v.pod.Volumes))
	mounted := v.mounted()
	for i := range v.pod.Volumes {
		volume := &v.pod.Volumes[i]
		volumeNames[i] = volume.Name
		at := "/volumes(" + strconv.Itoa(i) + ")"
		if !mounted[volume.Name] {
			v.refuse(at, "volume must be referenced by at least one container", "no container mounts the volume %s: add a volumeMount, or remove it", volume.Name)
		}
		if volume.Persistent != nil {
			v.persistentVolume(at+"/persistent", volume.Persistent)
		}
	}
	v.secretVolumes()
	if name, twice := firstTwice(volumeNames); twice {
		v.refuse("/volumes", "volume names must be unique", "two volumes have the name %s", name)
	}
}

// persistentVolume finds what Marathon checks in apps only: it takes such a pod,
// and never finds a disk for it.
func (v *podChecks) persistentVolume(path string, p *PersistentVolume) {
	rules := findings{most: v.most, parsed: v.parsed}
	rules.persistent(path, p, *p.normalised().Type)
	for _, found := range rules.found {
		if found.Status == 422 {
			v.mistake(found.Path, "%s", found.Message)
		}
	}
}

// secretVolumes: the path is Marathon's, which has no better name for them, and
// counts them alone.
func (v *podChecks) secretVolumes() {
	const path = "/podSecretVolumes(pod)"
	secrets, empty := 0, false
	for _, volume := range v.pod.Volumes {
		if volume.Secret == nil {
			continue
		}
		if secrets == 0 && !v.c.has("secrets") {
			v.emptyOr(v.c, path, "secrets", "a secret volume")
			empty = !v.c.FlagsUnknown
		}
		if _, known := v.pod.Secrets[*volume.Secret]; !known {
			if !empty {
				v.echo(path, "must be empty")
				empty = true
			}
			v.refuse(path+"("+strconv.Itoa(secrets)+")/secret", "volume.secret must refer to an existing secret", "the volume %s: secrets has no entry %q", volume.Name, *volume.Secret)
		}
		secrets++
	}
}

// mounted holds the names of the volumes that a container mounts.
func (v *podChecks) mounted() map[string]bool {
	mounted := map[string]bool{}
	for i := range v.pod.Containers {
		for _, m := range v.pod.Containers[i].VolumeMounts {
			mounted[m.Name] = true
		}
	}
	return mounted
}

func (v *podChecks) containers() {
	containerNames := make([]string, len(v.pod.Containers))
	volumes := map[string]bool{}
	for i := range v.pod.Volumes {
		volumes[v.pod.Volumes[i].Name] = true
	}
	for i := range v.pod.Containers {
		containerNames[i] = v.pod.Containers[i].Name
		v.container("/containers("+strconv.Itoa(i)+")", &v.pod.Containers[i], volumes)
	}
	if name, twice := firstTwice(containerNames); twice {
		v.refuse("/containers", "container names must be unique", "two containers have the name %s", name)
	}
}

func (v *podChecks) container(path string, c *PodContainer, volumes map[string]bool) {
	r := c.normalised(false).Resources
	v.limits(path+"/resourceLimits", c.ResourceLimits, *r.CPUs, *r.Mem)
	if shared := v.pod.LegacySharedCgroups; shared != nil && *shared && c.ResourceLimits != nil {
		v.refuse(path+"/resourceLimits", "resourceLimits cannot be defined if legacySharedCgroups is enabled", "resourceLimits does not go with the pod's legacySharedCgroups: keep one of them")
	}
	if c.Image != nil && c.Image.PullConfig != nil {
		v.emptyOr(v.c, path+"/image/pullConfig", "secrets", "pullConfig")
		if _, known := v.pod.Secrets[c.Image.PullConfig.Secret]; !known {
			v.refuse(path+"/image/pullConfig", "pullConfig.secret must refer to an existing secret", "secrets has no entry %q", c.Image.PullConfig.Secret)
		}
	}
	v.secretRefs(path+"/environment", c.Environment, v.pod.Secrets, v.c)
	for i := range c.Endpoints {
		v.endpoint(path+"/endpoints("+strconv.Itoa(i)+")", &c.Endpoints[i])
	}
	if c.HealthCheck != nil {
		v.healthCheck(path+"/healthCheck", c, c.HealthCheck.normalised())
	}
	for i, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			v.refuse(path+"/volumeMounts("+strconv.Itoa(i)+")/name", "Referenced Volume in VolumeMount should exist", "the pod has no volume %s", m.Name)
		}
	}
	v.linuxInfo(path+"/linuxInfo", c.LinuxInfo)
	if c.Check != nil {
		v.warn(path+"/check", "check is dropped by Marathon in a pod: use healthCheck, or remove it")
	}
}

func (v *podChecks) endpoint(path string, e *Endpoint) {
	v.networkNames(path, &v.networks, e.NetworkNames)
	switch {
	case v.networks.host > 0 && e.ContainerPort != nil:
		v.refuse(path+"/containerPort", "is not allowed when using host-mode networking", "containerPort does not go with the host network: write hostPort")
	case v.networks.container > 0 && e.ContainerPort == nil:
		v.refuse(path+"/containerPort", "is required when using container-mode networking", "containerPort is missing: a container network needs it")
	}
	if p, twice := firstTwice(e.Protocol); twice {
		v.refuse(path+"/protocol", "Duplicate protocols within the same endpoint are not allowed", "protocol names %s twice", p)
	}
	if v.networks.container > 1 && e.HostPort != nil && len(e.NetworkNames) != 1 {
		v.refuse(path, oneNetworkName, "with several container networks an endpoint with a hostPort must say in networkNames which one it belongs to")
	}
}

func (v *podChecks) healthCheck(path string, c *PodContainer, h *PodHealthCheck) {
	if *h.TimeoutSeconds >= *h.IntervalSeconds {
		v.refuse(path+"/timeoutSeconds", "got "+strconv.Itoa(*h.TimeoutSeconds)+", expected less than "+strconv.Itoa(*h.IntervalSeconds),
			"timeoutSeconds is %d, not less than intervalSeconds, which is %d", *h.TimeoutSeconds, *h.IntervalSeconds)
	}
	kinds := 0
	if h.HTTP != nil {
		kinds++
		v.checkedEndpoint(path+"/http/endpoint", c, h.HTTP.Endpoint)
	}
	if h.TCP != nil {
		kinds++
		v.checkedEndpoint(path+"/tcp/endpoint", c, h.TCP.Endpoint)
	}
	if h.Exec != nil {
		kinds++
	}
	if kinds != 1 {
		v.refuse(path, "Only one of http, tcp, or command may be specified", "healthCheck has %d of http, tcp and exec: write one of them", kinds)
	}
}

func (v *podChecks) checkedEndpoint(path string, c *PodContainer, name string) {
	if !slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Name == name }) {
		v.refuse(path, "contained in the container endpoints", "the container has no endpoint %q", name)
	}
}

// endpoints checks what must be unique in the whole pod. The words, with their
// slip, are Marathon's.
func (v *podChecks) endpoints() {
	var endpointNames []string
	var containerPorts, ports []int
	for _, c := range v.pod.Containers {
		for _, e := range c.Endpoints {
			endpointNames = append(endpointNames, e.Name)
			containerPorts = append(containerPorts, value(e.ContainerPort, zero))
			ports = append(ports, value(e.HostPort, zero))
		}
	}
	if name, twice := firstTwice(endpointNames); twice {
		v.refuseAt("/containers", "endpoint names nust be unique across all containers", "two endpoints have the name %s", name)
	}
	if port, twice := firstTwice(withoutZero(containerPorts)); twice {
		v.refuseAt("/containers", "container ports must be unique across all containers", "two endpoints have the containerPort %d: the containers of a pod share their network", port)
	}
	if port, twice := firstTwice(withoutZero(ports)); twice {
		v.refuseAt("/containers", "host ports must be unique across all containers", "two endpoints have the hostPort %d", port)
	}
}

// accepted are the roles that the pod accepts; nil is the same as none.
func (v *podChecks) accepted() []string {
	if s := v.pod.Scheduling; s != nil && s.Placement != nil {
		return nilIfEmpty(s.Placement.AcceptedResourceRoles)
	}
	return nil
}

func (v *podChecks) scheduling() {
	v.emptyOrRight(acceptedPath, func() { v.acceptedRoles(KindPod, v.accepted(), v.isResident()) })
	s := v.pod.Scheduling
	if s == nil {
		return
	}
	if s.Placement != nil {
		const path = "/scheduling/placement/constraints"
		v.emptyOrRight(path, func() {
			for i, c := range s.Placement.Constraints {
				v.constraint(path+"("+strconv.Itoa(i)+")", Constraint(c), v.c)
			}
		})
	}
	if u := s.UnreachableStrategy; u != nil && !u.Disabled && value(u.InactiveAfterSeconds, zero) > value(u.ExpungeAfterSeconds, zero) {
		v.warn("/scheduling/unreachableStrategy/inactiveAfterSeconds", "inactiveAfterSeconds is more than expungeAfterSeconds, which is %d: an instance is given up before it is replaced; a member left out counts as 0",
			value(u.ExpungeAfterSeconds, zero))
	}
	if !v.isResident() {
		return
	}
	if s.Upgrade != nil {
		v.zeroCapacity("/upgrade/maximumOverCapacity", value(s.Upgrade.MaximumOverCapacity, wholeCapacity), "a persistent volume")
	}
	if s.UnreachableStrategy != nil && !s.UnreachableStrategy.Disabled {
		v.refuseAt("/scheduling/unreachableStrategy", "unreachableStrategy must be disabled for pods with persistent volumes", `unreachableStrategy must be "disabled" for a pod with persistent volumes: write that, or leave it out`)
	}
}

// emptyOrRight adds Marathon's complaint about a list that it wants to be empty
// or right, if it is neither.
func (v *podChecks) emptyOrRight(path string, check func()) {
	before := len(v.found)
	if check(); v.refusedSince(before) {
		v.echo(path, "must be empty")
	}
}
