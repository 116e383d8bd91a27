package manifests

import "reflect"

// equalApps is what equal is for apps, written out: a pass over a Marathon
// compares all its apps and most are equal, and this takes a quarter of the
// time. What few apps have is left to equal. A test changes every field there
// is and holds the two against each other.
func equalApps(a, b *App) bool {
	return a.ID == b.ID && same(a.Instances, b.Instances) && same(a.Cmd, b.Cmd) &&
		same(a.CPUs, b.CPUs) && same(a.Mem, b.Mem) && same(a.Disk, b.Disk) && same(a.GPUs, b.GPUs) &&
		same(a.Role, b.Role) && same(a.User, b.User) && same(a.Executor, b.Executor) &&
		same(a.BackoffFactor, b.BackoffFactor) && same(a.BackoffSeconds, b.BackoffSeconds) &&
		same(a.MaxLaunchDelaySeconds, b.MaxLaunchDelaySeconds) && same(a.KillSelection, b.KillSelection) &&
		same(a.RequirePorts, b.RequirePorts) && same(a.TaskKillGracePeriod, b.TaskKillGracePeriod) && same(a.TTY, b.TTY) &&
		equalAppLists(a, b) && equalAppObjects(a, b) && equalLegacy(a, b)
}

func equalAppLists(a, b *App) bool {
	return sameList(a.Args, b.Args, is) && sameList(a.AcceptedResourceRoles, b.AcceptedResourceRoles, is) &&
		sameList(a.Dependencies, b.Dependencies, is) && sameList(a.Constraints, b.Constraints, equalConstraints) &&
		sameMap(a.Env, b.Env) && sameMap(a.Labels, b.Labels) && sameMap(a.Secrets, b.Secrets) &&
		sameList(a.Networks, b.Networks, equalNetworks) && sameList(a.PortDefinitions, b.PortDefinitions, equalPortDefinitions) &&
		sameList(a.HealthChecks, b.HealthChecks, equalHealthChecks) && sameList(a.Fetch, b.Fetch, equalArtifacts)
}

func equalAppObjects(a, b *App) bool {
	return samePointer(a.Container, b.Container, equalContainers) &&
		samePointer(a.UpgradeStrategy, b.UpgradeStrategy, equalUpgrades) &&
		samePointer(a.UnreachableStrategy, b.UnreachableStrategy, equalRare) &&
		samePointer(a.ExecutorResources, b.ExecutorResources, equalRare) &&
		samePointer(a.ResourceLimits, b.ResourceLimits, equalRare) &&
		samePointer(a.Check, b.Check, equalRare) &&
		sameList(a.ReadinessChecks, b.ReadinessChecks, equalRare)
}

// equalLegacy compares what a normal form never has.
func equalLegacy(a, b *App) bool {
	return samePointer(a.IPAddress, b.IPAddress, equalRare) && samePointer(a.Residency, b.Residency, equalRare) &&
		sameList(a.Ports, b.Ports, func(x, y *int) bool { return *x == *y }) && sameList(a.URIs, b.URIs, is)
}

func equalContainers(a, b *Container) bool {
	return a.Type == b.Type && samePointer(a.Docker, b.Docker, equalDockers) && samePointer(a.LinuxInfo, b.LinuxInfo, equalRare) &&
		sameList(a.PortMappings, b.PortMappings, equalMappings) && sameList(a.Volumes, b.Volumes, equalVolumes)
}

func equalDockers(a, b *Docker) bool {
	return a.Image == b.Image && same(a.ForcePullImage, b.ForcePullImage) && same(a.Privileged, b.Privileged) &&
		sameList(a.Parameters, b.Parameters, func(x, y *DockerParameter) bool { return *x == *y }) &&
		same(a.PullConfig, b.PullConfig) && samePointer(a.Credential, b.Credential, equalRare) &&
		same(a.Network, b.Network) && sameList(a.PortMappings, b.PortMappings, equalMappings)
}

func equalMappings(a, b *PortMapping) bool {
	return same(a.ContainerPort, b.ContainerPort) && same(a.HostPort, b.HostPort) && same(a.ServicePort, b.ServicePort) &&
		same(a.Name, b.Name) && same(a.Protocol, b.Protocol) && sameMap(a.Labels, b.Labels) && sameList(a.NetworkNames, b.NetworkNames, is)
}

func equalPortDefinitions(a, b *PortDefinition) bool {
	return same(a.Port, b.Port) && same(a.Name, b.Name) && same(a.Protocol, b.Protocol) && sameMap(a.Labels, b.Labels)
}

func equalNetworks(a, b *Network) bool {
	return same(a.Mode, b.Mode) && same(a.Name, b.Name) && sameMap(a.Labels, b.Labels)
}

func equalVolumes(a, b *Volume) bool {
	return a.ContainerPath == b.ContainerPath && a.Name == b.Name && same(a.Mode, b.Mode) && same(a.HostPath, b.HostPath) &&
		same(a.Host, b.Host) && same(a.Secret, b.Secret) &&
		samePointer(a.External, b.External, equalRare) && samePointer(a.Persistent, b.Persistent, equalRare)
}

func equalHealthChecks(a, b *HealthCheck) bool {
	return same(a.Command, b.Command) && same(a.DelaySeconds, b.DelaySeconds) && same(a.GracePeriodSeconds, b.GracePeriodSeconds) &&
		same(a.IgnoreHTTP1xx, b.IgnoreHTTP1xx) && same(a.IntervalSeconds, b.IntervalSeconds) && same(a.IPProtocol, b.IPProtocol) &&
		same(a.MaxConsecutiveFailures, b.MaxConsecutiveFailures) && same(a.Path, b.Path) && same(a.Port, b.Port) &&
		same(a.PortIndex, b.PortIndex) && same(a.Protocol, b.Protocol) && same(a.TimeoutSeconds, b.TimeoutSeconds)
}

func equalArtifacts(a, b *Artifact) bool {
	return a.URI == b.URI && same(a.Cache, b.Cache) && same(a.DestPath, b.DestPath) && same(a.Executable, b.Executable) && same(a.Extract, b.Extract)
}

func equalConstraints(a, b *Constraint) bool {
	return a.Field == b.Field && a.Operator == b.Operator && same(a.Value, b.Value)
}

func equalUpgrades(a, b *UpgradeStrategy) bool {
	return same(a.MaximumOverCapacity, b.MaximumOverCapacity) && same(a.MinimumHealthCapacity, b.MinimumHealthCapacity)
}

func equalRare[T any](a, b *T) bool {
	return equal(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
}

func is(a, b *string) bool { return *a == *b }

// same compares what pointers point to; absent is not the same as zero.
func same[T comparable](a, b *T) bool {
	return a == b || (a != nil && b != nil && *a == *b)
}

func samePointer[T any](a, b *T, equal func(a, b *T) bool) bool {
	return a == b || (a != nil && b != nil && equal(a, b))
}

// sameList and sameMap keep absent and empty apart.
func sameList[T any](a, b []T, equal func(a, b *T) bool) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	for i := range a {
		if !equal(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameMap[V comparable](a, b map[string]V) bool {
	return len(a) == len(b) && (a == nil) == (b == nil) && equalMap(a, b)
}

// SameApp reports whether two definitions are written the same, member by
// member; two that mean the same may be written otherwise.
func SameApp(a, b *App) bool { return samePointer(a, b, equalApps) }

// SamePod does for pods what SameApp does for apps.
func SamePod(a, b *Pod) bool { return samePointer(a, b, equalRare) }
