package manifests

import (
	"slices"
	"strconv"
)

// checks checks health, check and readiness (AppValidation).
func (v *appChecks) checks(a *App) {
	count := len(portsOf(a))
	mesos := 0
	for i := range a.HealthChecks {
		h := &a.HealthChecks[i]
		at := "/healthChecks(" + strconv.Itoa(i) + ")"
		if h.isMarathons() && h.Command == nil {
			v.portIndex(at, h, count)
		}
		if h.protocol() != protocolCommand && !h.isMarathons() && h.Command == nil {
			mesos++
		}
		docker := a.Container != nil && a.Container.isDocker()
		if h.IPProtocol != nil && *h.IPProtocol == "IPv6" && (h.isMarathons() || h.protocol() == protocolCommand || !docker) {
			v.refuse(at, "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks", "ipProtocol IPv6 goes only with a Docker container and a protocol MESOS_…")
		}
	}
	if mesos > 1 {
		v.refuse("/", "AppDefinition can contain at most one Mesos health check", "there are %d health checks with a protocol MESOS_…: Marathon takes one", mesos)
	}
	v.readiness(a)
}

func (h *HealthCheck) protocol() string { return value(h.Protocol, schemeHTTP) }

// isMarathons reports whether Marathon itself runs the check.
func (h *HealthCheck) isMarathons() bool {
	return slices.Contains([]string{protocolHTTP, protocolHTTPS, protocolTCP}, h.protocol())
}

const badPortIndex = "Health check port indices must address an element of the ports array or container port mappings."

func (v *findings) portIndex(path string, h *HealthCheck, count int) {
	switch {
	case h.PortIndex == nil && h.Port != nil:
	case h.PortIndex == nil && count == 0:
		v.refuse(path, badPortIndex, "the app has no port that the health check could ask: give it a port, or the check a protocol COMMAND")
	case h.PortIndex != nil && *h.PortIndex >= count:
		v.refuse(path, badPortIndex, "portIndex is %d, but the app has %s: the first has the index 0", *h.PortIndex, counted(count, "port"))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// portsOf are the service ports as far as their number is concerned. An app
// without any settled yet gets the default ones.
func portsOf(a *App) []*int {
	if a.Container == nil && offHost(a.Networks) {
		return make([]*int, len(defaultPortMappings))
	}
	return servicePorts(a)
}

func (v *appChecks) readiness(a *App) {
	if n := len(a.ReadinessChecks); n > 1 {
		v.refuse("/readinessChecks/size", "got "+strconv.Itoa(n)+", expected 1 or less", "there are %d readiness checks: Marathon takes one", n)
	}
	known := names(a.PortDefinitions, func(d *PortDefinition) *string { return d.Name })
	switch {
	case a.Container != nil && a.Container.PortMappings != nil:
		known = names(a.Container.PortMappings, func(m *PortMapping) *string { return m.Name })
	case a.Container == nil && offHost(a.Networks):
		known = []string{*defaultPortName}
	}
	for i, r := range normaliseReadinessChecks(a.ReadinessChecks) {
		at := "/readinessChecks(" + strconv.Itoa(i) + ")"
		if !slices.Contains(known, *r.PortName) {
			v.refuse(at+"/portName", "No port definition reference for portName "+*r.PortName, "portName is %q, but no port has that name", *r.PortName)
		}
		if *r.TimeoutSeconds >= *r.IntervalSeconds {
			v.refuse(at+"/timeoutSeconds", "got "+strconv.Itoa(*r.TimeoutSeconds)+", expected less than "+strconv.Itoa(*r.IntervalSeconds),
				"timeoutSeconds is %d, not less than intervalSeconds, which is %d", *r.TimeoutSeconds, *r.IntervalSeconds)
		}
	}
}

// convertibleHealthCheck finds the combinations that Marathon fails on
// (HealthCheckConversion.appHealthCheckRamlReader; measured).
func (v *findings) convertibleHealthCheck(path string, h *HealthCheck) {
	isCommand := h.protocol() == protocolCommand
	switch {
	case h.Command != nil && (h.Path != nil || h.Port != nil):
		v.fail("/", "Invalid combination of HealthCheck parameters", "%s has a command beside path or port: a COMMAND check has neither", last(path))
	case h.Command != nil && !isCommand:
		v.fail("/", "illegal protocol "+h.protocol()+" specified with command", "%s has a command, but its protocol is %s: write protocol COMMAND", last(path), h.protocol())
	case h.Command == nil && isCommand:
		v.fail("/", "illegal protocol COMMAND for non-command health check", "%s has protocol COMMAND but no command", last(path))
	}
}

func (v *findings) convertibleCheck(c *Check) {
	kinds := 0
	for _, given := range []bool{c.HTTP != nil, c.TCP != nil, c.Exec != nil} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		v.fail("/", "illegal RAML Check: expected one of http, tcp or exec checks", "check has %d of http, tcp and exec: write one of them", kinds)
	}
	if c.HTTP != nil && value(c.HTTP.Scheme, schemeHTTP) != "HTTP" {
		v.fail("/", "HTTPS (of class mesosphere.marathon.raml.HttpScheme$Https$)", "check.http.scheme is HTTPS, which Marathon fails on: use HTTP")
	}
}

// storedChecks looks at the ports that there will be. given tells a portIndex
// that was written from one that was filled in.
func (v *appChecks) storedChecks(a, given *App) {
	count := len(servicePorts(a))
	for i := range given.HealthChecks {
		h := given.HealthChecks[i].normalised()
		if !h.isMarathons() && h.protocol() != protocolCommand {
			v.portIndex("/healthChecks("+strconv.Itoa(i)+")", &h, count)
		}
	}
	if a.Check == nil {
		return
	}
	if a.Container != nil && a.Container.isDocker() {
		v.refuse("/", "AppDefinition must not use 'checks' if using docker", "check does not work with a Docker container: use type MESOS, or healthChecks")
	}
	var index *int
	switch {
	case a.Check.HTTP != nil:
		index = a.Check.HTTP.PortIndex
	case a.Check.TCP != nil:
		index = a.Check.TCP.PortIndex
	}
	if index != nil && *index >= count {
		v.refuse("/check", "check port index must address an element of the ports array or container port mappings.",
			"portIndex is %d, but the app has %s: the first has the index 0", *index, counted(count, "port"))
	}
}
