package manifests

import "strconv"

// silent finds what Marathon takes without a word and does not do. It looks at
// the app as written, before anything is migrated.
func (v *appChecks) silent(a *App) {
	if a.TTY != nil && !*a.TTY {
		v.warn("/tty", "tty: false counts as absent, since Marathon loses it when its leader changes: leave it out")
	}
	if l := a.ResourceLimits; l != nil && l.CPUs == nil && l.Mem == nil {
		v.warn("/resourceLimits", "resourceLimits is empty, which limits nothing but is not the same as none: leave it out")
	}
	if a.IPAddress != nil && a.IPAddress.Groups != nil {
		v.warn("/ipAddress/groups", "ipAddress.groups is ignored by Marathon: leave it out")
	}
	v.silentContainer(a)
	v.silentNetworks(a)
	if len(a.HealthChecks) == 0 {
		return
	}
	migrated := *a
	_ = migrate(&migrated, v.c)
	ports, filled := len(ServicePorts(&migrated)), fillsPortIndex(a, &migrated)
	for i := range a.HealthChecks {
		h := &a.HealthChecks[i]
		at := "/healthChecks(" + strconv.Itoa(i) + ")"
		v.silentHealthCheck(at, h)
		if h.protocol() != protocolCommand && h.Port == nil && h.PortIndex == nil && ports > 1 && (filled || !h.isMarathons()) {
			v.warn(at+"/portIndex", "portIndex is missing and the app has %d ports: the first, 0, is used; name one of them", ports)
		}
	}
}

func (v *appChecks) silentContainer(a *App) {
	c := a.Container
	if c == nil {
		return
	}
	l := c.LinuxInfo
	switch {
	case l != nil && c.isDocker():
		v.warn("/container/linuxInfo", "linuxInfo is dropped by Marathon for a Docker container: use type MESOS, or remove it")
	case l != nil && l.IPCInfo == nil && l.Seccomp == nil:
		v.warn("/container/linuxInfo", "an empty linuxInfo counts as absent, since Marathon loses it when its leader changes: leave it out")
	}
	if d := c.Docker; d != nil && !c.isDocker() && d.Privileged != nil && *d.Privileged {
		v.warn("/container/docker/privileged", "privileged is dropped by Marathon for a container of type MESOS, which runs without it: use type DOCKER, or remove it")
	}
	for i := range c.Volumes {
		if c.Volumes[i].Secret != nil && c.Volumes[i].Mode != nil {
			v.warn("/container/volumes("+strconv.Itoa(i)+")/mode", "mode is ignored for a secret volume: leave it out")
		}
	}
}

func (v *appChecks) silentNetworks(a *App) {
	networks, _ := migrateNetworks(a, v.c)
	if offHost(networks) {
		if len(a.PortDefinitions) > 0 {
			v.warn("/portDefinitions", "portDefinitions is ignored off the host network: write container.portMappings")
		}
		if a.RequirePorts != nil && *a.RequirePorts {
			v.warn("/requirePorts", "requirePorts is ignored off the host network: give the ports a hostPort")
		}
		return
	}
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		v.warn("/container/portMappings", "portMappings is dropped on the host network: write networks with mode container/bridge, or portDefinitions in place of it")
	}
}

func (v *findings) silentHealthCheck(path string, h *HealthCheck) {
	if h.protocol() == protocolCommand {
		if h.PortIndex != nil {
			v.warn(path+"/portIndex", "portIndex is dropped by Marathon for a COMMAND check: leave it out")
		}
		return
	}
	if h.Port != nil && h.PortIndex != nil {
		v.warn(path+"/port", "port and portIndex are both given: keep one of them")
	}
	if h.IgnoreHTTP1xx != nil && *h.IgnoreHTTP1xx {
		v.warn(path+"/ignoreHttp1xx", "ignoreHttp1xx is dropped by Marathon: leave it out")
	}
	if h.isMarathons() && h.DelaySeconds != nil && *h.DelaySeconds != *defaultDelay {
		v.warn(path+"/delaySeconds", "delaySeconds is dropped by Marathon for %s: use protocol MESOS_%s, or leave it out", h.protocol(), h.protocol())
	}
	if (h.protocol() == protocolTCP || h.protocol() == protocolMesosTCP) && h.Path != nil {
		v.warn(path+"/path", "path is dropped by Marathon for %s: leave it out", h.protocol())
	}
}
