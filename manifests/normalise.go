package manifests

import (
	"cmp"
	"slices"
)

// A normal form is what Marathon would show for a definition, with three
// differences, since Marathon itself loses or changes these when its leader
// changes (recorded in testdata/conformance/README.md): an app's tty false and
// empty linuxInfo count as absent, and portIndex is always filled in.
// residency, which Marathon computes, is left out.
//
// Normalising copies what it changes and shares the rest with its arguments,
// and shares default values among all results: values behind pointers, maps and
// slices of a normal form are to be replaced, never written through.

// NormaliseApp brings a valid app into normal form: the form in which desired
// and live are compared and which is sent, with every default that Marathon c
// would fill in. live, nil if there is none, lends its service ports. The
// arguments are not changed, and normalising twice is normalising once.
func NormaliseApp(a, live *App, c *Cluster) *App {
	out := *a
	out.ID = AbsoluteID("/", a.ID)
	// What is not to be migrated is refused by ValidateApp.
	_ = migrate(&out, c)
	settleNetworks(&out, c)
	out.Residency = nil
	out.Role = cmp.Or(out.Role, c.defaultRole(out.ID))
	fillAppDefaults(&out, c)
	normaliseContainer(&out)
	normaliseChecks(&out)
	normaliseCollections(&out, c)
	fillServicePorts(&out, live, c)
	c.withoutTooNew(&out)
	return &out
}

// Defaults of apps. Source: app.raml, AppConversion.UpgradeStrategyConverter,
// AppNormalization; recorded.
var (
	zero             = new(0)
	no               = new(false)
	yes              = new(true)
	noText           = new("")
	noLabels         = map[string]string{}
	oneInstance      = new(1)
	defaultCPUs      = new(1.0)
	defaultMem       = new(128.0)
	noDisk           = new(0.0)
	defaultFactor    = new(1.15)
	defaultBackoff   = new(1)
	defaultMaxDelay  = new(300)
	youngestFirst    = new("YOUNGEST_FIRST")
	tcp              = new("tcp")
	defaultPortName  = new("default")
	upgradeAll       = &UpgradeStrategy{MaximumOverCapacity: new(1.0), MinimumHealthCapacity: new(1.0)}
	upgradeStateful  = &UpgradeStrategy{MaximumOverCapacity: new(0.0), MinimumHealthCapacity: new(0.5)}
	replaceAtOnce    = &UnreachableStrategy{ExpungeAfterSeconds: zero, InactiveAfterSeconds: zero}
	neverReplace     = &UnreachableStrategy{Disabled: true}
	executorDefaults = &ExecutorResources{CPUs: new(0.1), Disk: new(10.0), Mem: new(32.0)}
)

// Count returns how many instances an app asks for, in normal form or not.
func (a *App) Count() int {
	if a == nil {
		return *oneInstance
	}
	return *cmp.Or(a.Instances, oneInstance)
}

func fillAppDefaults(a *App, c *Cluster) {
	a.BackoffFactor = cmp.Or(a.BackoffFactor, defaultFactor)
	a.BackoffSeconds = cmp.Or(a.BackoffSeconds, defaultBackoff)
	if a.MaxLaunchDelaySeconds == nil {
		a.MaxLaunchDelaySeconds = c.maxLaunchDelay()
	}
	a.CPUs = cmp.Or(a.CPUs, defaultCPUs)
	a.Mem = cmp.Or(a.Mem, defaultMem)
	a.Disk = cmp.Or(a.Disk, noDisk)
	a.GPUs = cmp.Or(a.GPUs, zero)
	a.Executor = cmp.Or(a.Executor, noText)
	a.Instances = cmp.Or(a.Instances, oneInstance)
	a.KillSelection = cmp.Or(a.KillSelection, youngestFirst)
	a.ExecutorResources = a.ExecutorResources.filled()
	persistent, external := volumeKinds(a)
	if a.UpgradeStrategy == nil {
		a.UpgradeStrategy = upgradeAll
		if persistent || external {
			a.UpgradeStrategy = upgradeStateful
		}
	}
	a.UnreachableStrategy = a.UnreachableStrategy.filled(persistent, c)
	if a.TTY != nil && !*a.TTY {
		a.TTY = nil
	}
}

// volumeKinds says whether an app has persistent volumes, which make it
// resident, and whether it has external ones.
func volumeKinds(a *App) (persistent, external bool) {
	if a.Container == nil {
		return false, false
	}
	for i := range a.Container.Volumes {
		persistent = persistent || a.Container.Volumes[i].Persistent != nil
		external = external || a.Container.Volumes[i].External != nil
	}
	return persistent, external
}

func (u *UnreachableStrategy) filled(resident bool, c *Cluster) *UnreachableStrategy {
	switch {
	case u == nil && resident:
		return neverReplace
	case u == nil:
		return c.unreachable()
	case u.Disabled, u.ExpungeAfterSeconds != nil && u.InactiveAfterSeconds != nil:
		return u
	}
	return &UnreachableStrategy{
		ExpungeAfterSeconds:  cmp.Or(u.ExpungeAfterSeconds, zero),
		InactiveAfterSeconds: cmp.Or(u.InactiveAfterSeconds, zero),
	}
}

// DefaultExecutorResources are what Marathon gives the executor of a pod. They
// are shared: replace values, write none.
func DefaultExecutorResources() ExecutorResources { return *executorDefaults }

func (r *ExecutorResources) filled() *ExecutorResources {
	if r == nil || (r.CPUs != nil && r.Disk != nil && r.Mem != nil) {
		return r
	}
	return &ExecutorResources{
		CPUs: cmp.Or(r.CPUs, executorDefaults.CPUs),
		Disk: cmp.Or(r.Disk, executorDefaults.Disk),
		Mem:  cmp.Or(r.Mem, executorDefaults.Mem),
	}
}

// normaliseCollections sorts sets, which Marathon returns in any order, and
// drops what Marathon does not show when empty.
func normaliseCollections(a *App, c *Cluster) {
	a.AcceptedResourceRoles = c.acceptedRoles(a.AcceptedResourceRoles, a.Role)
	a.Constraints = normaliseConstraints(a.Constraints)
	a.Dependencies = absoluteIDs("/", a.Dependencies)
	a.Fetch = normaliseArtifacts(a.Fetch)
	a.Args = nilIfEmpty(a.Args)
	a.Env = nilIfNone(a.Env)
	a.Secrets = nilIfNone(a.Secrets)
	if a.Labels == nil {
		a.Labels = noLabels
	}
}

func nilIfEmpty[S ~[]E, E any](s S) S {
	if len(s) == 0 {
		return nil
	}
	return s
}

func nilIfNone[M ~map[K]V, K comparable, V any](m M) M {
	if len(m) == 0 {
		return nil
	}
	return m
}

// sortedSet sorts and drops duplicates, in a copy if there is anything to do.
func sortedSet[S ~[]E, E cmp.Ordered](s S) S { return sortedSetFunc(s, cmp.Compare[E]) }

func sortedSetFunc[S ~[]E, E any](s S, compare func(a, b E) int) S {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			s = slices.Clone(s)
			slices.SortFunc(s, compare)
			return slices.CompactFunc(s, func(a, b E) bool { return compare(a, b) == 0 })
		}
	}
	return s
}

// defaultRole is the role that Marathon gives to an app or pod that names none
// (RoleSettings.forService).
func (c *Cluster) defaultRole(id string) *string {
	if top, nested := topLevel(id); nested && c.enforces(top) {
		return new(top[1:])
	}
	if c.MesosRole == "" {
		return anyRole
	}
	return &c.MesosRole
}

var anyRole = new("*")

// enforces reports whether a top-level group gives its name as role.
func (c *Cluster) enforces(top string) bool {
	if enforce, known := c.EnforceRole[top]; known {
		return enforce
	}
	return c.NewGroupEnforceRole
}

// NormaliseGroup brings what only a group has into normal form. Its apps, pods
// and groups are left out: they are compared for themselves.
func NormaliseGroup(g *Group, c *Cluster) *Group {
	id := AbsoluteID("/", g.ID)
	out := &Group{ID: id, Dependencies: nilIfEmpty(absoluteIDs(id, g.Dependencies)), EnforceRole: g.EnforceRole}
	switch {
	case !isTopLevel(id):
		out.EnforceRole = nil // GET of 1.9 and 1.10 shows false for nested groups
	case out.EnforceRole == nil:
		out.EnforceRole = new(c.enforces(id))
	}
	return out
}
