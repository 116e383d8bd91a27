package manifests

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// NormalisePod does for a pod what NormaliseApp does for an app. A pod has no
// service ports, so live lends it nothing.
//
// Marathon stores pods as they are written, so that false and {} are kept apart
// from absent for tty, forcePull, overrideEntrypoint, lifecycle, linuxInfo and
// resourceLimits (measured).
func NormalisePod(p, live *Pod, c *Cluster) *Pod {
	out := *p
	out.ID = AbsoluteID("/", p.ID)
	out.Labels = nilIfNone(p.Labels)
	out.Environment = nilIfNone(p.Environment)
	out.Secrets = nilIfNone(p.Secrets)
	out.Role = cmp.Or(p.Role, c.defaultRole(out.ID))
	out.Networks = nilIfEmpty(nameNetworks(normaliseNetworkModes(p.Networks), c))
	out.LinuxInfo = p.LinuxInfo.normalised()
	out.Volumes = normalisePodVolumes(p.Volumes)
	out.Scaling = p.Scaling.normalised()
	out.Scheduling = p.Scheduling.normalised(slices.ContainsFunc(p.Volumes, func(v Volume) bool { return v.Persistent != nil }), out.Role, c)
	if out.ExecutorResources = p.ExecutorResources.filled(); out.ExecutorResources == nil {
		out.ExecutorResources = executorDefaults
	}
	switch have := c.release(); {
	case have < release16:
		out.ExecutorResources, out.Role = nil, nil
	case have < release19:
		out.Role = nil
	}
	if p.LegacySharedCgroups != nil && !*p.LegacySharedCgroups {
		out.LegacySharedCgroups = nil
	}
	inContainerNetwork := hasMode(out.Networks, modeContainer)
	out.Containers = make([]PodContainer, len(p.Containers))
	for i := range p.Containers {
		out.Containers[i] = p.Containers[i].normalised(inContainerNetwork)
	}
	return &out
}

const scalingFixed = "fixed"

var (
	scaledToOne     = &Scaling{Kind: scalingFixed, Instances: oneInstance}
	noPlacement     = &Placement{}
	secondOfBackoff = new(1.0)
	maxBackoff      = new(300.0)
	wholeCapacity   = new(1.0)
	noResources     = &Resources{}
)

// Count returns how many instances a pod asks for, in normal form or not.
func (p *Pod) Count() int {
	if p == nil || p.Scaling == nil {
		return *oneInstance
	}
	return *cmp.Or(p.Scaling.Instances, oneInstance)
}

func (s *Scaling) normalised() *Scaling {
	if s == nil {
		return scaledToOne
	}
	return &Scaling{Kind: cmp.Or(s.Kind, scalingFixed), Instances: cmp.Or(s.Instances, oneInstance)}
}

// normalised fills in what Marathon shows for every pod. A resident pod gets
// other defaults for an absent upgrade and unreachableStrategy
// (PodNormalization.normalizeUpgradeAndUnreachableStrategy).
func (s *Scheduling) normalised(resident bool, role *string, c *Cluster) *Scheduling {
	if s == nil {
		s = &Scheduling{}
	}
	out := Scheduling{
		KillSelection:       cmp.Or(s.KillSelection, youngestFirst),
		UnreachableStrategy: s.UnreachableStrategy.filled(resident, c),
		Upgrade:             upgradeAll,
		Placement:           noPlacement,
	}
	b := cmp.Or(s.Backoff, &Backoff{})
	out.Backoff = &Backoff{
		Backoff:        inMilliseconds(cmp.Or(b.Backoff, secondOfBackoff)),
		BackoffFactor:  cmp.Or(b.BackoffFactor, defaultFactor),
		MaxLaunchDelay: inMilliseconds(cmp.Or(b.MaxLaunchDelay, c.maxLaunchDelayOfPods())),
	}
	switch {
	case s.Upgrade != nil:
		out.Upgrade = &UpgradeStrategy{
			MaximumOverCapacity:   cmp.Or(s.Upgrade.MaximumOverCapacity, wholeCapacity),
			MinimumHealthCapacity: cmp.Or(s.Upgrade.MinimumHealthCapacity, wholeCapacity),
		}
	case resident:
		out.Upgrade = upgradeStateful
	}
	if s.Placement != nil {
		out.Placement = &Placement{
			AcceptedResourceRoles: nilIfEmpty(c.acceptedRoles(s.Placement.AcceptedResourceRoles, role)),
			Constraints:           normalisePodConstraints(s.Placement.Constraints),
		}
	}
	return &out
}

// inMilliseconds cuts a time off where Marathon does when it shows one
// (PodConversion.podRamlWriter): what is finer it would lose with its leader.
func inMilliseconds(seconds *float64) *float64 {
	if whole := math.Trunc(math.Round(*seconds*1e9)/1e6) / 1e3; whole != *seconds {
		return &whole
	}
	return seconds
}

func normalisePodConstraints(constraints []PodConstraint) []PodConstraint {
	if len(constraints) == 0 {
		return nil
	}
	out := slices.Clone(constraints)
	for i := range out {
		out[i].Operator = strings.ToUpper(out[i].Operator)
	}
	return sortedSetFunc(out, func(a, b PodConstraint) int { return compareConstraints(Constraint(a), Constraint(b)) })
}

func normalisePodVolumes(volumes []Volume) []Volume {
	if len(volumes) == 0 {
		return nil
	}
	out := slices.Clone(volumes)
	for i := range out {
		if out[i].Persistent != nil {
			out[i].Persistent = out[i].Persistent.normalised()
		}
	}
	return out
}

func (p PodContainer) normalised(inContainerNetwork bool) PodContainer {
	p.Check = nil // Marathon takes and drops it
	p.Artifacts = normaliseArtifacts(p.Artifacts)
	p.Environment = nilIfNone(p.Environment)
	p.Labels = nilIfNone(p.Labels)
	p.LinuxInfo = p.LinuxInfo.normalised()
	p.HealthCheck = p.HealthCheck.normalised()
	r := cmp.Or(p.Resources, noResources)
	p.Resources = &Resources{
		CPUs: cmp.Or(r.CPUs, defaultCPUs), Mem: cmp.Or(r.Mem, defaultMem),
		Disk: cmp.Or(r.Disk, noDisk), GPUs: cmp.Or(r.GPUs, zero),
	}
	if p.Image != nil && p.Image.Labels != nil && len(p.Image.Labels) == 0 {
		image := *p.Image
		image.Labels = nil
		p.Image = &image
	}
	p.Endpoints = normaliseEndpoints(p.Endpoints, inContainerNetwork)
	p.VolumeMounts = nilIfEmpty(slices.Clone(p.VolumeMounts))
	for i := range p.VolumeMounts {
		p.VolumeMounts[i].ReadOnly = cmp.Or(p.VolumeMounts[i].ReadOnly, no)
	}
	return p
}

// normaliseEndpoints fills in hostPort, but not on a container network
// (PodNormalization.Containers).
func normaliseEndpoints(endpoints []Endpoint, inContainerNetwork bool) []Endpoint {
	out := nilIfEmpty(slices.Clone(endpoints))
	for i := range out {
		if !inContainerNetwork {
			out[i].HostPort = cmp.Or(out[i].HostPort, zero)
		}
		out[i].Labels = nilIfNone(out[i].Labels)
		out[i].NetworkNames = nilIfEmpty(out[i].NetworkNames)
		out[i].Protocol = nilIfEmpty(out[i].Protocol)
	}
	return out
}

func (h *PodHealthCheck) normalised() *PodHealthCheck {
	if h == nil {
		return nil
	}
	out := *h
	out.GracePeriodSeconds = cmp.Or(h.GracePeriodSeconds, defaultGrace)
	out.IntervalSeconds = cmp.Or(h.IntervalSeconds, defaultInterval)
	out.MaxConsecutiveFailures = cmp.Or(h.MaxConsecutiveFailures, defaultFailures)
	out.TimeoutSeconds = cmp.Or(h.TimeoutSeconds, defaultTimeout)
	out.DelaySeconds = cmp.Or(h.DelaySeconds, defaultDelay)
	if h.HTTP != nil && h.HTTP.Scheme == nil {
		http := *h.HTTP
		http.Scheme = schemeHTTP
		out.HTTP = &http
	}
	return &out
}
