package manifests

import "cmp"

// Protocols of health checks.
const (
	protocolHTTP       = "HTTP"
	protocolHTTPS      = "HTTPS"
	protocolTCP        = "TCP"
	protocolCommand    = "COMMAND"
	protocolMesosHTTP  = "MESOS_HTTP"
	protocolMesosHTTPS = "MESOS_HTTPS"
	protocolMesosTCP   = "MESOS_TCP"
)

// Defaults of checks. Source: healthCheck.raml, check.raml, readinessCheck.raml; recorded.
var (
	schemeHTTP        = new("HTTP")
	ipv4              = new("IPv4")
	defaultGrace      = new(300)
	defaultInterval   = new(60)
	defaultFailures   = new(3)
	defaultTimeout    = new(20)
	defaultDelay      = new(15)
	rootPath          = new("/")
	readinessName     = new("readinessCheck")
	readinessPort     = new("http-api")
	readinessInterval = new(30)
	readinessTimeout  = new(10)
	readinessCodes    = []int{200}
)

func normaliseChecks(a *App) {
	a.HealthChecks = normaliseHealthChecks(a.HealthChecks)
	a.Check = a.Check.normalised()
	a.ReadinessChecks = normaliseReadinessChecks(a.ReadinessChecks)
}

func normaliseHealthChecks(checks []HealthCheck) []HealthCheck {
	if len(checks) == 0 {
		return nil
	}
	out := make([]HealthCheck, len(checks))
	for i := range checks {
		out[i] = checks[i].normalised()
	}
	return sortedSetFunc(out, compareHealthChecks)
}

// normalised keeps of a health check what Marathon keeps: it drops delaySeconds
// of the checks it runs itself, ignoreHttp1xx of all, path and portIndex where
// the protocol has none (HealthCheckConversion; recorded).
//
// portIndex is always filled in. Marathon does so or not depending on the kind
// of request and on how the ports are written, and shows 0 after a change of
// its leader.
func (h HealthCheck) normalised() HealthCheck {
	h.Protocol = cmp.Or(h.Protocol, schemeHTTP)
	h.GracePeriodSeconds = cmp.Or(h.GracePeriodSeconds, defaultGrace)
	h.IntervalSeconds = cmp.Or(h.IntervalSeconds, defaultInterval)
	h.MaxConsecutiveFailures = cmp.Or(h.MaxConsecutiveFailures, defaultFailures)
	h.TimeoutSeconds = cmp.Or(h.TimeoutSeconds, defaultTimeout)
	h.DelaySeconds = cmp.Or(h.DelaySeconds, defaultDelay)
	h.IPProtocol = cmp.Or(h.IPProtocol, ipv4)
	h.IgnoreHTTP1xx = nil
	if h.Port == nil {
		h.PortIndex = cmp.Or(h.PortIndex, zero)
	}
	switch *h.Protocol {
	case protocolHTTP, protocolHTTPS:
		h.IgnoreHTTP1xx, h.DelaySeconds, h.IPProtocol = no, defaultDelay, ipv4
	case protocolTCP:
		h.Path, h.DelaySeconds, h.IPProtocol = nil, defaultDelay, ipv4
	case protocolMesosTCP:
		h.Path = nil
	case protocolCommand:
		h.Path, h.Port, h.PortIndex, h.IPProtocol = nil, nil, nil, ipv4
	}
	return h
}

// Grace returns the seconds after the start of a task within which failures do
// not count, of a check in normal form or not.
func (h HealthCheck) Grace() int { return *cmp.Or(h.GracePeriodSeconds, defaultGrace) }

func compareHealthChecks(a, b HealthCheck) int {
	var valueA, valueB string
	if a.Command != nil {
		valueA = a.Command.Value
	}
	if b.Command != nil {
		valueB = b.Command.Value
	}
	return cmp.Or(
		comparePointers(a.Protocol, b.Protocol), comparePointers(a.PortIndex, b.PortIndex), comparePointers(a.Port, b.Port),
		comparePointers(a.Path, b.Path), cmp.Compare(valueA, valueB), comparePointers(a.IPProtocol, b.IPProtocol),
		comparePointers(a.GracePeriodSeconds, b.GracePeriodSeconds), comparePointers(a.IntervalSeconds, b.IntervalSeconds),
		comparePointers(a.TimeoutSeconds, b.TimeoutSeconds), comparePointers(a.MaxConsecutiveFailures, b.MaxConsecutiveFailures),
		comparePointers(a.DelaySeconds, b.DelaySeconds),
	)
}

// normalised fills in the defaults of an app's check. portIndex is treated as
// in health checks: absent turns into 0 when Marathon's leader changes.
func (c *Check) normalised() *Check {
	if c == nil {
		return nil
	}
	out := *c
	out.IntervalSeconds = cmp.Or(c.IntervalSeconds, defaultInterval)
	out.TimeoutSeconds = cmp.Or(c.TimeoutSeconds, defaultTimeout)
	out.DelaySeconds = cmp.Or(c.DelaySeconds, defaultDelay)
	if c.HTTP != nil {
		http := *c.HTTP
		http.Scheme = cmp.Or(http.Scheme, schemeHTTP)
		if http.Port == nil {
			http.PortIndex = cmp.Or(http.PortIndex, zero)
		}
		out.HTTP = &http
	}
	if c.TCP != nil && c.TCP.Port == nil && c.TCP.PortIndex == nil {
		out.TCP = &TCPCheck{PortIndex: zero}
	}
	return &out
}

func normaliseReadinessChecks(checks []ReadinessCheck) []ReadinessCheck {
	if len(checks) == 0 {
		return nil
	}
	out := make([]ReadinessCheck, len(checks))
	for i, r := range checks {
		if r.HTTPStatusCodesForReady == nil {
			r.HTTPStatusCodesForReady = readinessCodes
		}
		out[i] = ReadinessCheck{
			HTTPStatusCodesForReady: sortedSet(r.HTTPStatusCodesForReady),
			IntervalSeconds:         cmp.Or(r.IntervalSeconds, readinessInterval),
			Name:                    cmp.Or(r.Name, readinessName),
			Path:                    cmp.Or(r.Path, rootPath),
			PortName:                cmp.Or(r.PortName, readinessPort),
			PreserveLastResponse:    cmp.Or(r.PreserveLastResponse, no),
			Protocol:                cmp.Or(r.Protocol, schemeHTTP),
			TimeoutSeconds:          cmp.Or(r.TimeoutSeconds, readinessTimeout),
		}
	}
	return out
}
