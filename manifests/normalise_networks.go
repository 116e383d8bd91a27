package manifests

import (
	"cmp"
	"slices"
)

// Network modes.
const (
	modeHost      = "host"
	modeBridge    = "container/bridge"
	modeContainer = "container"
)

var (
	hostMode      = new(modeHost)
	bridgeMode    = new(modeBridge)
	containerMode = new(modeContainer)
	hostNetwork   = []Network{{Mode: hostMode}}
)

// Containerizers.
const (
	typeDocker = "DOCKER"
	typeMesos  = "MESOS"
)

func (c *Container) isDocker() bool { return c != nil && (c.Type == typeDocker || c.Type == "") }

// cannotMigrate is a definition that Marathon fails to normalise: a 500 at the
// definition as a whole.
func cannotMigrate(answer, message string) []Violation {
	return []Violation{{Path: "/", Status: 500, Answer: answer, Message: message}}
}

// migrate rewrites the forms from before Marathon 1.5 into those of today, in
// place. Source: AppNormalization.forDeprecated; recorded.
func migrate(a *App, c *Cluster) []Violation {
	faults := migrateURIs(a)
	networks, f := migrateNetworks(a, c)
	faults = append(faults, f...)
	migrated := a.PortDefinitions
	if migrated == nil && a.Ports != nil {
		migrated = portDefinitionsOf(a.Ports)
	}
	if a.Container == nil && a.IPAddress != nil {
		a.Container = &Container{Type: typeMesos}
	}
	if a.Container != nil {
		container := *a.Container
		container.Type = cmp.Or(container.Type, typeDocker)
		faults = append(faults, migrateMappings(&container, a.IPAddress)...)
		settleMappings(&container, networks, migrated)
		a.Container = &container
	}
	a.PortDefinitions = migrated
	switch {
	case offHost(networks):
		a.PortDefinitions = nil
	case migrated == nil:
		a.PortDefinitions = defaultPortDefinitions
	}
	a.Networks, a.IPAddress, a.Ports = networks, nil, nil
	return faults
}

// migrateNetworks reads networks, or the older ipAddress and
// container.docker.network (AppNormalization.NetworkTranslation).
func migrateNetworks(a *App, c *Cluster) ([]Network, []Violation) {
	var legacy *string
	if a.Container != nil && a.Container.Docker != nil {
		legacy = a.Container.Docker.Network
	}
	switch {
	case len(a.Networks) > 0 && (a.IPAddress != nil || legacy != nil):
		return normaliseNetworkModes(a.Networks), cannotMigrate("cannot mix deprecated and canonical network APIs", "networks is given together with ipAddress or container.docker.network: keep only networks")
	case len(a.Networks) > 0:
		return normaliseNetworkModes(a.Networks), nil
	case legacy != nil:
		return dockerNetwork(*legacy, a.IPAddress)
	case a.IPAddress == nil:
		return nil, nil
	}
	n := Network{Mode: containerMode, Name: a.IPAddress.NetworkName, Labels: nilIfNone(a.IPAddress.Labels)}
	if n.Name != nil && *n.Name == c.bridgeName() {
		n.Mode, n.Name = bridgeMode, nil
	}
	return []Network{n}, nil
}

func (c *Cluster) bridgeName() string { return cmp.Or(c.BridgeName, "mesos-bridge") }

func dockerNetwork(legacy string, ip *IPAddress) ([]Network, []Violation) {
	var n Network
	if ip != nil {
		n.Labels = nilIfNone(ip.Labels)
	}
	switch legacy {
	case "HOST":
		return hostNetwork, nil
	case "BRIDGE":
		n.Mode = bridgeMode
	case "USER":
		n.Mode = containerMode
		if ip != nil {
			n.Name = ip.NetworkName
		}
	default:
		return nil, cannotMigrate("unsupported docker network type "+legacy, "container.docker.network is "+legacy+", which Marathon does not support: write networks")
	}
	return []Network{n}, nil
}

// normaliseNetworkModes gives networks without a mode the default, container.
func normaliseNetworkModes(networks []Network) []Network {
	copied := false
	for i, n := range networks {
		if n.Mode != nil && (n.Labels == nil || len(n.Labels) > 0) {
			continue
		}
		if !copied {
			networks, copied = slices.Clone(networks), true
		}
		networks[i].Mode = cmp.Or(n.Mode, containerMode)
		networks[i].Labels = nilIfNone(n.Labels)
	}
	return networks
}

// nameNetworks gives container networks without a name the default one.
func nameNetworks(networks []Network, c *Cluster) []Network {
	copied := false
	for i, n := range networks {
		if n.mode() != modeContainer || n.Name != nil || c.DefaultNetworkName == "" {
			continue
		}
		if !copied {
			networks, copied = slices.Clone(networks), true
		}
		networks[i].Name = &c.DefaultNetworkName
	}
	return networks
}

// settleNetworks does what Marathon does with networks after it has checked an
// app. Source: AppNormalization.forPostValidation.
func settleNetworks(a *App, c *Cluster) {
	a.Networks = nameNetworks(a.Networks, c)
	if len(a.Networks) == 0 {
		a.Networks = hostNetwork
	}
	a.RequirePorts = cmp.Or(a.RequirePorts, no)
	if !offHost(a.Networks) {
		return
	}
	a.RequirePorts = no
	if a.Container == nil {
		a.Container = &Container{Type: typeMesos, PortMappings: defaultPortMappings}
	}
	if hasMode(a.Networks, modeBridge) && slices.ContainsFunc(a.Container.PortMappings, func(m PortMapping) bool { return m.HostPort == nil }) {
		container := *a.Container
		container.PortMappings = slices.Clone(container.PortMappings)
		for i := range container.PortMappings {
			container.PortMappings[i].HostPort = cmp.Or(container.PortMappings[i].HostPort, zero)
		}
		a.Container = &container
	}
}

func hasMode(networks []Network, mode string) bool { return countMode(networks, mode) > 0 }

func countMode(networks []Network, mode string) int {
	n := 0
	for i := range networks {
		if networks[i].mode() == mode {
			n++
		}
	}
	return n
}

func (n *Network) mode() string {
	if n.Mode == nil {
		return modeContainer
	}
	return *n.Mode
}

// offHost reports whether there is a network other than the host's. No network
// at all is the host's.
func offHost(networks []Network) bool {
	return len(networks) > countMode(networks, modeHost)
}
