package manifests

import (
	"slices"
	"strconv"
	"strings"
)

// checks checks health, check and readiness (AppValidation).
// filled says whether Marathon fills in a missing portIndex by itself.
func (v *appChecks) checks(a *App, filled bool) {
	count := len(ServicePorts(a))
	mesos := 0
	for i := range a.HealthChecks {
		h := &a.HealthChecks[i]
		at := "/healthChecks(" + strconv.Itoa(i) + ")"
		switch {
		case !h.isMarathons() || h.Command != nil:
		case a.Container == nil && offHost(a.Networks) && h.asksOwnPort():
			v.refuse(at, badPortIndex, "Marathon resolves the port of this health check before it creates the omitted container: write container, with portMappings")
		default:
			v.portIndex(at, h, count, filled)
		}
		if !h.isMarathons() && h.Command == nil {
			mesos++
		}
		docker := a.Container != nil && a.Container.isDocker()
		if h.IPProtocol != nil && *h.IPProtocol == "IPv6" && (h.isMarathons() || h.protocol() == protocolCommand || !docker) {
			v.refuse(at, "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks", "ipProtocol IPv6 goes only with a Docker container and a protocol MESOS_…")
		}
	}
	if mesos > 1 {
		v.refuseAt("/healthChecks", "AppDefinition can contain at most one Mesos health check", "there are %d health checks with a protocol MESOS_…: Marathon takes one", mesos)
	}
	v.readiness(a)
}

// asksOwnPort reports whether the check asks one of the app's own ports.
func (h *HealthCheck) asksOwnPort() bool { return h.Port == nil || h.PortIndex != nil }

func (h *HealthCheck) protocol() string { return value(h.Protocol, schemeHTTP) }

// isMarathons reports whether Marathon itself runs the check.
func (h *HealthCheck) isMarathons() bool {
	return slices.Contains([]string{protocolHTTP, protocolHTTPS, protocolTCP}, h.protocol())
}

const badPortIndex = "Health check port indices must address an element of the ports array or container port mappings."

// fillsPortIndex reports whether Marathon gives the health checks of an app
// that say neither portIndex nor port the first port: only if the app names its
// ports in the newer forms, those that migrating makes of older ones included
// for mappings and not for ports (AppNormalization.forDeprecated).
func fillsPortIndex(given, migrated *App) bool {
	return len(given.PortDefinitions) > 0 || migrated.Container != nil && migrated.Container.PortMappings != nil
}

func (v *findings) portIndex(path string, h *HealthCheck, count int, filled bool) {
	switch {
	case h.PortIndex == nil && h.Port != nil:
	case h.PortIndex == nil && count == 0:
		v.refuse(path, badPortIndex, "the app has no port for the health check: give it a port, or use protocol COMMAND")
	case h.PortIndex == nil && count > 1 && !filled:
		v.refuse(path, badPortIndex, "portIndex is missing, and the app has %s: name one of them", counted(count, "port"))
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

func (v *appChecks) readiness(a *App) {
	if n := len(a.ReadinessChecks); n > 1 {
		v.refuse("/readinessChecks/size", "got "+strconv.Itoa(n)+", expected 1 or less", "there are %d readiness checks: Marathon takes one", n)
	}
	known := names(a.PortDefinitions, func(d *PortDefinition) *string { return d.Name })
	if a.Container != nil && a.Container.PortMappings != nil {
		known = names(a.Container.PortMappings, func(m *PortMapping) *string { return m.Name })
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
		v.fail(path, "Invalid combination of HealthCheck parameters", "%s has a command and also path or port: a COMMAND check has neither", last(path))
	case h.Command != nil && !isCommand:
		v.fail(path, "illegal protocol "+h.protocol()+" specified with command", "%s has a command, but its protocol is %s: write protocol COMMAND", last(path), h.protocol())
	case h.Command == nil && isCommand:
		v.fail(path, "illegal protocol COMMAND for non-command health check", "%s has protocol COMMAND but no command", last(path))
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
		v.fail("/check", "illegal RAML Check: expected one of http, tcp or exec checks", "check has %d of http, tcp and exec: write one of them", kinds)
	}
	if c.HTTP != nil && value(c.HTTP.Scheme, schemeHTTP) != "HTTP" {
		v.fail("/check/http/scheme", "HTTPS (of class mesosphere.marathon.raml.HttpScheme$Https$)", "check.http.scheme is HTTPS, which Marathon fails on: use HTTP")
	}
	if c.Exec != nil && c.Exec.Command != nil && c.Exec.Command.Argv != nil {
		// CheckConversion.commandCheckWrites knows shell lines only.
		v.mistake("/check/exec/command/argv", "check.exec.command has argv: Marathon takes it, and then fails to show this app and every list with it; write shell")
	}
}

// convertibleConstraint: Marathon checks operators in any case, and then reads
// them in capitals only (ConstraintConversion; measured).
func (v *findings) convertibleConstraint(place string, c Constraint) {
	if op := strings.ToUpper(c.Operator); op != c.Operator && isOperator(op) {
		v.fail(place, "illegal constraint specification "+strings.Join(c.parts(), ","),
			"constraint [%s]: write the operator as %s, since Marathon fails on lower case", strings.Join(c.parts(), ", "), op)
	}
}

// storedChecks looks at the ports that there will be. given tells a portIndex
// that was written from one that was filled in. By now Marathon fills it in for
// health checks whatever the ports were written as, and never for a check.
func (v *appChecks) storedChecks(a, given *App) {
	count := len(ServicePorts(a))
	for i := range given.HealthChecks {
		h := &given.HealthChecks[i]
		if !h.isMarathons() && h.protocol() != protocolCommand {
			v.portIndex("/healthChecks("+strconv.Itoa(i)+")", h, count, true)
		}
	}
	if a.Check == nil {
		return
	}
	if a.Container != nil && a.Container.isDocker() {
		v.refuseAt("/check", "AppDefinition must not use 'checks' if using docker", "check does not work with a Docker container: use type MESOS, or healthChecks")
	}
	var port, index *int
	switch {
	case given.Check.HTTP != nil:
		port, index = given.Check.HTTP.Port, given.Check.HTTP.PortIndex
	case given.Check.TCP != nil:
		port, index = given.Check.TCP.Port, given.Check.TCP.PortIndex
	default:
		return
	}
	// The path is Marathon's: it names the reading of an optional value.
	const at, answer = "/check/get", "check port index must address an element of the ports array or container port mappings."
	switch {
	case index != nil && *index >= count:
		v.refuse(at, answer, "portIndex is %d, but the app has %s: the first has the index 0", *index, counted(count, "port"))
	case index == nil && port == nil && count != 1:
		v.refuse(at, answer, "check has neither portIndex nor port, and the app has %s: name one of them", counted(count, "port"))
	}
}
