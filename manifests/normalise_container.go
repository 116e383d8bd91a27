package manifests

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// normaliseContainer keeps what Marathon keeps of a container: linuxInfo only
// for Mesos, privileged and parameters only for Docker (ContainerConversion;
// recorded).
func normaliseContainer(a *App) {
	a.PortDefinitions = normaliseDefinitions(a.PortDefinitions)
	if a.Container == nil {
		return
	}
	c := *a.Container
	c.Type = cmp.Or(c.Type, typeDocker)
	c.LinuxInfo = c.LinuxInfo.normalised()
	if c.LinuxInfo != nil && c.LinuxInfo.IPCInfo == nil && c.LinuxInfo.Seccomp == nil || c.Type == typeDocker {
		c.LinuxInfo = nil
	}
	if c.Docker != nil {
		c.Docker = c.Docker.normalised(c.Type)
	}
	c.Volumes = normaliseVolumes(c.Volumes)
	if offHost(a.Networks) {
		c.PortMappings = normaliseMappings(c.PortMappings)
	} else {
		c.PortMappings = nil
	}
	a.Container = &c
}

var noParameters = []DockerParameter{}

func (d *Docker) normalised(containerType string) *Docker {
	out := Docker{
		Image:          d.Image,
		ForcePullImage: cmp.Or(d.ForcePullImage, no),
		Parameters:     noParameters,
		Privileged:     no,
	}
	if containerType == typeDocker {
		out.Privileged = cmp.Or(d.Privileged, no)
		if len(d.Parameters) > 0 {
			out.Parameters = d.Parameters
		}
	} else {
		out.PullConfig = d.PullConfig
	}
	return &out
}

// normalised gives seccomp the member that Marathon always shows.
func (l *LinuxInfo) normalised() *LinuxInfo {
	if l == nil || l.Seccomp == nil || l.Seccomp.Unconfined != nil {
		return l
	}
	return &LinuxInfo{IPCInfo: l.IPCInfo, Seccomp: &Seccomp{ProfileName: l.Seccomp.ProfileName, Unconfined: no}}
}

var noVolumes = []Volume{}

func normaliseVolumes(volumes []Volume) []Volume {
	if len(volumes) == 0 {
		return noVolumes
	}
	out := make([]Volume, len(volumes))
	for i, v := range volumes {
		switch {
		case v.Persistent != nil:
			v.Persistent = v.Persistent.normalised()
		case v.External != nil:
			v.External = v.External.normalised()
		case v.Secret != nil:
			v.Mode = nil // Marathon ignores it
		}
		out[i] = v
	}
	return out
}

var (
	diskRoot            = new("root")
	diskMount           = new("mount")
	noVolumeConstraints = []Constraint{}
)

// normalised fills in the disk type (VolumeConversion.defaultDiskTypeForProfile)
// and constraints, which Marathon always shows (recorded).
func (p *PersistentVolume) normalised() *PersistentVolume {
	out := *p
	if out.Type == nil {
		out.Type = diskRoot
		if out.ProfileName != nil {
			out.Type = diskMount
		}
	}
	if out.Constraints = normaliseConstraints(out.Constraints); out.Constraints == nil {
		out.Constraints = noVolumeConstraints
	}
	return &out
}

const providerCSI = "csi"

func (e *ExternalVolume) normalised() *ExternalVolume {
	out := *e
	if e.Provider != nil && *e.Provider == providerCSI {
		out.Options = csiOptions(out.Options)
		return &out
	}
	out.Options = nilIfNone(out.Options)
	out.Shared = cmp.Or(out.Shared, no)
	return &out
}

// csiOptions leaves out what Marathon does not show of a volume of provider csi:
// what is empty, and what a block device has not (VolumeConversion.volumeWrites).
func csiOptions(options map[string]any) map[string]any {
	options = withoutEmpty(options)
	if capability, ok := options["capability"].(map[string]any); ok {
		capability = withoutEmpty(capability)
		if capability["accessType"] == "block" {
			delete(capability, "fsType")
			delete(capability, "mountFlags")
		}
		options["capability"] = capability
	}
	return options
}

func withoutEmpty(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		inner, isMap := v.(map[string]any)
		list, isList := v.([]any)
		if v != nil && (!isMap || len(inner) > 0) && (!isList || len(list) > 0) {
			out[k] = v
		}
	}
	return out
}

// normaliseConstraints upper-cases operators, with which Marathon fails in
// lower case (500, measured), and sorts.
func normaliseConstraints(constraints []Constraint) []Constraint {
	if len(constraints) == 0 {
		return nil
	}
	for i, c := range constraints {
		if upper := strings.ToUpper(c.Operator); upper != c.Operator {
			constraints = slices.Clone(constraints)
			for j := i; j < len(constraints); j++ {
				constraints[j].Operator = strings.ToUpper(constraints[j].Operator)
			}
			break
		}
	}
	return sortedSetFunc(constraints, compareConstraints)
}

func compareConstraints(a, b Constraint) int {
	return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Operator, b.Operator), comparePointers(a.Value, b.Value))
}

// comparePointers orders nil before all values.
func comparePointers[T cmp.Ordered](a, b *T) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

func normaliseArtifacts(artifacts []Artifact) []Artifact {
	if len(artifacts) == 0 {
		return nil
	}
	out := make([]Artifact, len(artifacts))
	for i, f := range artifacts {
		f.Extract = cmp.Or(f.Extract, yes)
		f.Executable = cmp.Or(f.Executable, no)
		f.Cache = cmp.Or(f.Cache, no)
		out[i] = f
	}
	return out
}

// migrateURIs rewrites uris as fetch.
func migrateURIs(a *App) []Violation {
	uris := a.URIs
	a.URIs = nil
	switch {
	case len(uris) == 0:
		return nil
	case len(a.Fetch) > 0:
		return cannotMigrate("cannot specify both uris and fetch fields", "both uris and fetch are given: keep fetch")
	}
	a.Fetch = make([]Artifact, len(uris))
	for i, u := range uris {
		a.Fetch[i] = Artifact{URI: u, Extract: new(isArchive(u))}
	}
	return nil
}

var archiveEndings = []string{".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"}

// isArchive says whether Marathon unpacks what uris names: by the ending of
// the path, whose case matters, without query and fragment (FetchUri.isExtract).
func isArchive(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && slices.ContainsFunc(archiveEndings, func(e string) bool { return strings.HasSuffix(u.Path, e) })
}
