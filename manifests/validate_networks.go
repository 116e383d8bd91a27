package manifests

import (
	"strconv"
	"strings"
)

// ports checks names and numbers of ports (AppValidation.portDefinitionsValidator
// and portMappingsValidator).
func (v *appChecks) ports(a *App) {
	const unnamed = "Port names must be unique."
	if a.Container != nil {
		mappings := a.Container.PortMappings
		if name, twice := firstTwice(names(mappings, func(m *PortMapping) *string { return m.Name })); twice {
			v.refuse("/container/portMappings", unnamed, "two ports have the name %s", name)
		}
		networks := newNetworkSet(a.Networks)
		for i := range mappings {
			v.mapping("/container/portMappings("+strconv.Itoa(i)+")", &networks, &mappings[i])
		}
	}
	if name, twice := firstTwice(names(a.PortDefinitions, func(d *PortDefinition) *string { return d.Name })); twice {
		v.refuse("/portDefinitions", unnamed, "two ports have the name %s", name)
	}
	if port, twice := firstTwice(withoutZero(definedPorts(a.PortDefinitions))); twice {
		v.refuse("/portDefinitions", "Ports must be unique.", "the port %d is named twice", port)
	}
}

func names[T any](list []T, name func(*T) *string) []string {
	var out []string
	for i := range list {
		if n := name(&list[i]); n != nil {
			out = append(out, *n)
		}
	}
	return out
}

func firstTwice[T comparable](values []T) (T, bool) {
	seen := make(map[T]bool, len(values))
	for _, value := range values {
		if seen[value] {
			return value, true
		}
		seen[value] = true
	}
	var none T
	return none, false
}

const oneNetworkName = "networkNames must be a single item list when hostPort is specified and more than 1 container network is defined"

// networkSet answers about the networks of a definition for each of its ports.
type networkSet struct {
	networks        []Network
	host, container int // of that mode
	known           map[string]bool
	notAmong        string // Marathon's answer to a name that is not known
}

func newNetworkSet(networks []Network) networkSet {
	return networkSet{networks: networks, host: countMode(networks, modeHost), container: countMode(networks, modeContainer)}
}

// has reports whether a network has that name.
func (s *networkSet) has(name string) bool {
	if s.known == nil {
		all := names(s.networks, func(n *Network) *string { return n.Name })
		s.notAmong = "is not one of (" + strings.Join(all, ",") + ")"
		s.known = make(map[string]bool, len(all))
		for _, n := range all {
			s.known[n] = true
		}
	}
	return s.known[name]
}

func (v *findings) mapping(path string, networks *networkSet, m *PortMapping) {
	if networks.container > 1 && m.HostPort != nil && len(m.NetworkNames) != 1 {
		v.refuse(path, oneNetworkName, "with several container networks a port with a hostPort must say in networkNames which one it belongs to")
	}
	v.networkNames(path, networks, m.NetworkNames)
}

func (v *findings) networkNames(path string, networks *networkSet, wanted []string) {
	for i, name := range wanted {
		if !networks.has(name) {
			v.refuse(path+"/networkNames("+strconv.Itoa(i)+")", networks.notAmong, "networkNames has %q, which is not among networks", name)
		}
	}
}

func (v *appChecks) networks(a *App) {
	v.networkRules(a.Networks, v.c)
	if a.Container != nil && a.Container.isDocker() && countMode(a.Networks, modeContainer) > 1 {
		v.refuseAt("/networks", "may only specify a single container network when using the Docker container engine", "a Docker container joins one container network: use type MESOS for several")
	}
}

// networkRules holds for apps and pods (NetworkValidation).
func (v *findings) networkRules(networks []Network, c *Cluster) {
	const at = "/networks"
	for i := range networks {
		n := &networks[i]
		named := n.Name != nil && *n.Name != ""
		switch {
		case n.mode() == modeHost && (named || len(n.Labels) > 0):
			v.refuse(at, "Host networks may not have names or labels", "the host network has no name and no labels")
		case n.mode() == modeBridge && named:
			v.refuse(at, "Bridge networks may not have names", "a bridge network has no name: write mode container to join a named one")
		case n.mode() == modeContainer && n.Name == nil && c.DefaultNetworkName == "" && c.FlagsUnknown:
			v.byFlag(at, "a container network without a name", "--default_network_name")
		case n.mode() == modeContainer && n.Name == nil && c.DefaultNetworkName == "":
			v.refuse(at, "Network name must be specified when container network is selected.", "a container network needs a name: Marathon has no --default_network_name")
		}
	}
	unnamed := 0
	for i := range networks {
		if networks[i].Name == nil && networks[i].mode() == modeContainer {
			unnamed++
		}
	}
	if _, twice := firstTwice(names(nameNetworks(networks, c), func(n *Network) *string { return n.Name })); twice || unnamed > 1 {
		v.refuse(at, "Duplicate networks are not allowed", "networks names a network twice")
	}
	host, bridge := countMode(networks, modeHost), countMode(networks, modeBridge)
	if host+bridge > 1 || (host+bridge == 1 && len(networks) > 1) {
		v.refuse(at, "May specify a single host network, single bridge network, or else 1-to-n container networks", "networks mixes what does not go together: one host, or one bridge, or any number of container networks")
	}
}
