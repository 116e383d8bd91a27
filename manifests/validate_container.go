package manifests

import (
	"regexp"
	"strconv"
	"strings"
)

// container checks a container and its volumes (AppValidation.validContainer).
func (v *appChecks) container(a *App) {
	c := a.Container
	if c == nil {
		return
	}
	if c.Docker == nil && c.isDocker() {
		v.refuse("/container/docker", "not defined", "container has no docker, hence no image: give one, or write type MESOS")
	}
	if c.Docker != nil && c.Docker.PullConfig != nil {
		v.pullConfig(c, a.Secrets)
	}
	v.volumeNames(c.Volumes)
	for i := range c.Volumes {
		v.volume("/container/volumes("+strconv.Itoa(i)+")", a, &c.Volumes[i])
	}
	if _, external := volumeKinds(a); external && a.Instances != nil && *a.Instances > 1 {
		v.refuse("/", "Number of instances is limited to 1 when declaring DVDI volumes in app ["+a.ID+"]",
			"instances is %d: an external volume can be used by one", *a.Instances)
	}
}

func (v *appChecks) pullConfig(c *Container, secrets map[string]Secret) {
	const at = "/container/docker/pullConfig"
	if c.isDocker() {
		v.refuse(at, "pullConfig is not supported with Docker containerizer", "pullConfig does not apply to a Docker container: use type MESOS")
		return
	}
	v.feature(at, "secrets", "pullConfig")
	if _, known := secrets[c.Docker.PullConfig.Secret]; !known {
		v.refuse(at, "pullConfig.secret must refer to an existing secret", "secrets has no entry %q", c.Docker.PullConfig.Secret)
	}
}

func (v *appChecks) volumeNames(volumes []Volume) {
	seen := map[string]bool{}
	for _, volume := range volumes {
		if volume.External == nil || volume.External.Name == nil {
			continue
		}
		if name := *volume.External.Name; seen[name] {
			v.refuse("/container/volumes", "Volume names must be unique", "two external volumes have the name %s", name)
		} else {
			seen[name] = true
		}
	}
}

func (v *appChecks) volume(path string, a *App, volume *Volume) {
	switch {
	case volume.Persistent != nil:
		v.persistentPath(path, volume)
		v.persistent(path+"/persistent", volume.Persistent)
	case volume.External != nil:
		v.external(path, a.Container, volume)
	case volume.Secret != nil:
		v.feature("/container/volumes", "secrets", "a secret volume")
		if _, known := a.Secrets[*volume.Secret]; !known {
			v.refuse(path, "volume.secret must refer to an existing secret", "secrets has no entry %q", *volume.Secret)
		}
	}
}

func isDots(path string) bool { return path == "." || path == ".." }

func (v *appChecks) persistentPath(path string, volume *Volume) {
	at := path + "/containerPath"
	if isDots(volume.ContainerPath) {
		v.refuse(at, "can not be one of (.,..)", "containerPath is %q: name a directory", volume.ContainerPath)
	}
	if strings.Contains(volume.ContainerPath, "/") {
		v.refuse(at, `value must not contain "/"`, "containerPath is %q: that of a persistent volume is a plain name in the sandbox, without a slash", volume.ContainerPath)
	}
	if volume.Mode != nil && *volume.Mode != "RW" {
		v.refuse(path+"/mode", "does not equal RW", "mode is %s: a persistent volume is RW", *volume.Mode)
	}
}

// persistent checks the volume itself, of an app or a pod.
func (v *findings) persistent(path string, p *PersistentVolume) {
	if p.Size != nil && *p.Size <= 0 {
		v.refuse(path+"/size", "got "+strconv.FormatInt(*p.Size, 10)+", expected more than 0", "size is 0: give it some MiB")
	}
	kind := *p.normalised().Type
	if kind == *diskRoot && len(p.Constraints) > 0 {
		v.refuse(path, "Constraints on root volumes are not supported", "constraints need type path or mount")
	}
	switch {
	case p.MaxSize == nil:
	case kind != *diskMount:
		v.refuse(path, "Only mount volumes can have maxSize", "maxSize needs type mount")
	case p.Size != nil && *p.MaxSize <= *p.Size:
		v.refuse(path, "Max size must be larger than size", "maxSize is %d, not more than size, which is %d", *p.MaxSize, *p.Size)
	}
	for _, c := range p.Constraints {
		v.volumeConstraint(path+"/constraints", c)
	}
}

func (v *findings) volumeConstraint(path string, c Constraint) {
	whole := strings.Join(c.parts(), ",")
	switch {
	case c.Field != "path" || c.Value == nil:
		v.refuse(path, "Unsupported constraint "+whole, `constraint [%s]: write ["path", "LIKE", regular expression]`, whole)
	case !isOperator(c.Operator):
		v.refuse(path, "unknown constraint operator "+c.Operator, "constraint [%s]: the operator must be LIKE", whole)
	case c.Operator != "LIKE" && c.Operator != "UNLIKE":
		v.refuse(path, "Operator must be one of LIKE, UNLIKE", "constraint [%s]: the operator must be LIKE", whole)
	case !isRegexp(*c.Value):
		v.refuse(path+"/"+*c.Value, "Invalid regular expression", "constraint [%s]: %q is no regular expression", whole, *c.Value)
	case c.Operator == "UNLIKE":
		v.fail(path, "illegal volume constraint "+whole, "constraint [%s]: Marathon fails on UNLIKE for volumes; write LIKE", whole)
	}
}

func isRegexp(s string) bool {
	if _, err := regexp.Compile(s); err == nil {
		return true
	}
	// Java knows constructs that Go does not: look-around, back references,
	// possessive quantifiers. What uses them is left to Marathon.
	return strings.Contains(s, "(?") || strings.Contains(s, `\`) || strings.Contains(s, "++") || strings.Contains(s, "*+") || strings.Contains(s, "&&")
}

// external checks a volume of provider dvdi (DVDIProvider); of csi Marathon
// checks nothing more than its form.
func (v *appChecks) external(path string, c *Container, volume *Volume) {
	e := volume.External
	v.feature(path, "external_volumes", "an external volume")
	if e.Provider != nil && *e.Provider == providerCSI {
		return
	}
	at := path + "/external"
	if e.Name == nil || *e.Name == "" {
		v.refuse(at+"/name", "not defined", "an external volume needs a name")
	}
	if e.Provider == nil || *e.Provider != "dvdi" {
		v.refuse(at+"/provider", "not defined", "an external volume needs a provider: dvdi, or csi from Marathon 1.11")
	}
	if driver, ok := e.Options["dvdi/driver"].(string); !ok || driver == "" {
		v.refuse(at+`/options("dvdi/driver")`, "not defined", `options needs "dvdi/driver", the name of the volume driver`)
	}
	if isDots(volume.ContainerPath) {
		v.refuse(path+"/containerPath", "can not be one of (.,..)", "containerPath is %q: name a directory", volume.ContainerPath)
	}
	if !c.isDocker() {
		if volume.Mode != nil && *volume.Mode != "RW" {
			v.refuse(path+"/mode", "does not equal RW", "mode is %s: an external volume of a MESOS container is RW", *volume.Mode)
		}
		return
	}
	if len(e.Options) > 1 {
		v.refuse(at+"/options", "must only contain dvdi/driver", "options of an external volume of a Docker container has no more than dvdi/driver")
	}
	if e.Size != nil {
		v.refuse(at+"/size", "must be undefined for Docker containers", "size does not apply to a Docker container: the volume must exist already")
	}
}
