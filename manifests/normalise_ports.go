package manifests

import (
	"cmp"
	"slices"
)

// Defaults of ports. Source: raml/Apps.scala; recorded.
var (
	defaultPortDefinitions = []PortDefinition{{Port: zero, Name: defaultPortName, Protocol: tcp}}
	defaultPortMappings    = []PortMapping{{ContainerPort: zero, Name: defaultPortName, Protocol: tcp, ServicePort: zero, Labels: noLabels}}
)

func portDefinitionsOf(ports []int) []PortDefinition {
	definitions := make([]PortDefinition, len(ports))
	for i := range ports {
		definitions[i] = PortDefinition{Port: &ports[i]}
	}
	return definitions
}

// migrateMappings takes over container.docker.portMappings and
// ipAddress.discovery.ports (AppNormalization.migrateDockerPortMappings and
// migrateIpDiscovery).
func migrateMappings(c *Container, ip *IPAddress) []Violation {
	var faults []Violation
	if d := c.Docker; d != nil && (d.PortMappings != nil || d.Network != nil) {
		docker := *d
		switch {
		case d.PortMappings == nil:
		case c.PortMappings == nil:
			c.PortMappings = d.PortMappings
		case len(d.PortMappings) > 0:
			faults = cannotMigrate("cannot specify both portMappings and docker.portMappings",
				"both container.portMappings and container.docker.portMappings are given: keep container.portMappings")
		}
		docker.PortMappings, docker.Network = nil, nil
		c.Docker = &docker
	}
	if ip == nil || ip.Discovery == nil || len(ip.Discovery.Ports) == 0 {
		return faults
	}
	switch {
	case c.Type != typeMesos:
		return append(faults, cannotMigrate("ipAddress.discovery.ports do not apply for container type "+c.Type,
			"ipAddress.discovery.ports does not apply to a Docker container: write container.portMappings")...)
	case c.PortMappings != nil:
		return append(faults, cannotMigrate("container.portMappings and ipAddress.discovery.ports must not both be set",
			"both container.portMappings and ipAddress.discovery.ports are given: keep container.portMappings")...)
	}
	for _, p := range ip.Discovery.Ports {
		c.PortMappings = append(c.PortMappings, mappingOf(p))
	}
	return faults
}

// mappingOf is a port of ipAddress.discovery in today's form.
func mappingOf(p IPDiscoveryPort) PortMapping {
	return PortMapping{ContainerPort: p.Number, Name: new(p.Name), Protocol: p.Protocol, Labels: p.Labels}
}

// settleMappings drops mappings on the host network, and elsewhere adds the
// default one, and one for each port definition beyond the mappings
// (AppNormalization.maybeDropPortMappings and its neighbours; recorded).
func settleMappings(c *Container, networks []Network, definitions []PortDefinition) {
	if !offHost(networks) || hasMode(networks, modeHost) {
		c.PortMappings = nil
		return
	}
	if c.PortMappings == nil {
		c.PortMappings = defaultPortMappings
	}
	if missing := len(definitions) - len(c.PortMappings); missing > 0 {
		c.PortMappings = append(slices.Clone(c.PortMappings), make([]PortMapping, missing)...)
	}
}

func normaliseMappings(mappings []PortMapping) []PortMapping {
	out := make([]PortMapping, len(mappings))
	for i, m := range mappings {
		m.ContainerPort = cmp.Or(m.ContainerPort, zero)
		m.ServicePort = cmp.Or(m.ServicePort, zero)
		m.Protocol = cmp.Or(m.Protocol, tcp)
		m.NetworkNames = nilIfEmpty(m.NetworkNames)
		if m.Labels == nil {
			m.Labels = noLabels
		}
		out[i] = m
	}
	return out
}

func normaliseDefinitions(definitions []PortDefinition) []PortDefinition {
	if definitions == nil {
		return nil
	}
	out := make([]PortDefinition, len(definitions))
	for i, d := range definitions {
		d.Port = cmp.Or(d.Port, zero)
		d.Protocol = cmp.Or(d.Protocol, tcp)
		d.Labels = nilIfNone(d.Labels)
		out[i] = d
	}
	return out
}

// fillServicePorts replaces zeros by the service ports that live has and the
// app does not name, in order, if they lie in the range that Marathon assigns
// from. What is still zero gets a new port from Marathon, so it differs from
// whatever live has. Source: AssignDynamicServiceLogic; recorded.
func fillServicePorts(a, live *App, c *Cluster) {
	ports := ServicePorts(a)
	if live == nil || !slices.ContainsFunc(ports, isZero) {
		return
	}
	for _, port := range ServicePorts(live) {
		if !c.assigns(port) || a.namesServicePort(*port) {
			continue
		}
		free := slices.IndexFunc(ports, isZero)
		if free < 0 {
			break
		}
		ports[free] = port
	}
	SetServicePorts(a, ports)
}

func (a *App) namesServicePort(port int) bool {
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		return slices.ContainsFunc(a.Container.PortMappings, func(m PortMapping) bool { return m.ServicePort != nil && *m.ServicePort == port })
	}
	return slices.ContainsFunc(a.PortDefinitions, func(d PortDefinition) bool { return d.Port != nil && *d.Port == port })
}

func isZero(p *int) bool { return p == nil || *p == 0 }

// assigns reports whether a service port lies in Marathon's range.
func (c *Cluster) assigns(port *int) bool {
	least, most := c.LocalPortMin, c.LocalPortMax
	if least == 0 && most == 0 {
		least, most = 10000, 20000
	}
	return port != nil && *port >= least && *port < most
}

// ServicePorts are those of the mappings if there are any, else those of the
// port definitions (AppDefinition.servicePorts).
func ServicePorts(a *App) []*int {
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		ports := make([]*int, len(a.Container.PortMappings))
		for i := range ports {
			ports[i] = a.Container.PortMappings[i].ServicePort
		}
		return ports
	}
	ports := make([]*int, len(a.PortDefinitions))
	for i := range ports {
		ports[i] = a.PortDefinitions[i].Port
	}
	return ports
}

// SetServicePorts gives an app in normal form its service ports, in the order of
// ServicePorts. It writes into slices that normalising has copied.
func SetServicePorts(a *App, ports []*int) {
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		for i, port := range ports {
			a.Container.PortMappings[i].ServicePort = cmp.Or(port, zero)
		}
		return
	}
	for i, port := range ports {
		a.PortDefinitions[i].Port = cmp.Or(port, zero)
	}
}
