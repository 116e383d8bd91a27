package manifests

import "slices"

// Cluster is what must be known of a Marathon to foretell what it does with a
// definition. It comes from GET /v2/info and from the top-level groups.
type Cluster struct {
	Version             string          // "1.11.26"
	Features            []string        // sorted: external_volumes, gpu_resources, secrets, task_killing, vips
	MesosRole           string          // --mesos_role: the role of apps outside enforcing groups
	DefaultNetworkName  string          // --default_network_name; empty: none
	BridgeName          string          // --mesos_bridge_name
	LocalPortMin        int             // first service port that Marathon assigns
	LocalPortMax        int             // first service port beyond the range
	NewGroupEnforceRole bool            // --new_group_enforce_role top
	EnforceRole         map[string]bool // top-level group id ("/shop") → enforceRole
	// KeptRoles holds the roles of apps and pods that the flags of today would
	// not allow: Marathon lets a definition keep the role that it has.
	KeptRoles map[string]string // id → role
	// FlagsUnknown: no Marathon was asked, and MesosRole, Features and
	// DefaultNetworkName are only what they are without flags. What they alone
	// decide is then a warning.
	FlagsUnknown bool
}

// roleByFlag reports whether the role of an app or pod that names none is what
// --mesos_role says, which is not known.
func (c *Cluster) roleByFlag(id string) bool {
	top, nested := topLevel(id)
	return c.FlagsUnknown && !(nested && c.enforces(top))
}

// KeepRole notes the role of a live app or pod if it would not be allowed to a
// new one. It needs MesosRole and EnforceRole to be known.
func (c *Cluster) KeepRole(id string, role *string) {
	if role == nil || slices.Contains(c.validRoles(id), *role) {
		return
	}
	if c.KeptRoles == nil {
		c.KeptRoles = map[string]string{}
	}
	c.KeptRoles[id] = *role
}

// UnknownCluster is a Marathon 1.11 of which nobody knows the flags, used where
// none is asked (validate, render).
func UnknownCluster() Cluster {
	c := DefaultCluster()
	c.FlagsUnknown = true
	return c
}

// DefaultCluster is a Marathon 1.11 with every flag at its default.
func DefaultCluster() Cluster {
	return Cluster{
		Version:      "1.11.26",
		MesosRole:    "*",
		BridgeName:   "mesos-bridge",
		LocalPortMin: 10000,
		LocalPortMax: 20000,
	}
}
