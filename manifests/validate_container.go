package manifests

import (
	"regexp"
	"regexp/syntax"
	"slices"
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
	v.volumeNames(a.ID, c.Volumes)
	v.secretVolumes(c.Volumes)
	for i := range c.Volumes {
		v.volume("/container/volumes("+strconv.Itoa(i)+")", a, &c.Volumes[i])
	}
	if usesDVDI(a) && a.Instances != nil && *a.Instances > 1 {
		v.refuseAt("/instances", "Number of instances is limited to 1 when declaring DVDI volumes in app ["+a.ID+"]",
			"instances is %d: an external volume can be used by one", *a.Instances)
	}
}

func (v *appChecks) pullConfig(c *Container, secrets map[string]Secret) {
	const at = "/container/docker/pullConfig"
	if c.isDocker() {
		v.refuse(at, "pullConfig is not supported with Docker containerizer", "pullConfig does not apply to a Docker container: use type MESOS")
		return
	}
	v.emptyOr(v.c, at, "secrets", "pullConfig")
	if _, known := secrets[c.Docker.PullConfig.Secret]; !known {
		v.refuse(at, "pullConfig.secret must refer to an existing secret", "secrets has no entry %q", c.Docker.PullConfig.Secret)
	}
}

func (v *appChecks) volumeNames(id string, volumes []Volume) {
	seen, exclusive := map[string]bool{}, map[string]bool{}
	for _, volume := range volumes {
		if volume.External == nil || volume.External.Name == nil {
			continue
		}
		name := *volume.External.Name
		if seen[name] {
			v.refuse("/container/volumes", "Volume names must be unique", "two external volumes have the name %s", name)
		}
		seen[name] = true
		if !isDVDI(volume) || volume.External.Shared != nil && *volume.External.Shared {
			continue
		}
		if exclusive[name] {
			v.echo("/", "Requested DVDI volume '"+name+"' is declared more than once within app "+id)
		}
		exclusive[name] = true
	}
}

func (v *appChecks) volume(path string, a *App, volume *Volume) {
	switch {
	case volume.Persistent != nil:
		v.persistentPath(path, volume)
		v.persistent(path+"/persistent", volume.Persistent, value(volume.Persistent.Type, diskRoot))
	case volume.External != nil:
		v.external(path, a.Container, volume)
	case volume.Secret != nil:
		if _, known := a.Secrets[*volume.Secret]; !known {
			v.refuse(path, "volume.secret must refer to an existing secret", "secrets has no entry %q", *volume.Secret)
		}
	}
}

// secretVolumes: the path is Marathon's, which has no better name for them.
func (v *appChecks) secretVolumes(volumes []Volume) {
	if slices.ContainsFunc(volumes, func(volume Volume) bool { return volume.Secret != nil }) {
		v.emptyOr(v.c, "/container/secretVolumes(container)", "secrets", "a secret volume")
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

// persistent checks the volume itself, on a disk of this type.
func (v *findings) persistent(path string, p *PersistentVolume, disk string) {
	if p.Size != nil && *p.Size <= 0 {
		v.refuse(path+"/size", "got "+strconv.FormatInt(*p.Size, 10)+", expected more than 0", "size is 0: give it some MiB")
	}
	if disk == *diskRoot && len(p.Constraints) > 0 {
		v.refuse(path, "Constraints on root volumes are not supported", "constraints need type path or mount, written out")
	}
	if p.MaxSize != nil && disk != *diskMount {
		v.refuse(path, "Only mount volumes can have maxSize", "maxSize needs type mount, written out")
	}
	if p.MaxSize != nil && p.Size != nil && *p.MaxSize <= *p.Size {
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
	case len(*c.Value) > maxRegexp:
		v.mistake(path, "constraint [%s]: the regular expression has %d bytes: at most %d are allowed", clip(whole), len(*c.Value), maxRegexp)
	case !v.isRegexp(*c.Value):
		v.refuse(path+"/"+*c.Value, "Invalid regular expression", "constraint [%s]: %q is not a regular expression", whole, *c.Value)
	case c.Operator == "UNLIKE":
		v.fail(path, "illegal volume constraint "+whole, "constraint [%s]: Marathon fails on UNLIKE for volumes; write LIKE", whole)
	}
}

// maxRegexp bounds a regular expression, in bytes: enough for the names of some
// hundred agents.
const maxRegexp = 10_000

// maxParsedRegexps bounds the regular expressions of a file that are looked at, in
// bytes: to parse one takes some two hundred times its own.
const maxParsedRegexps = 128 << 10

// isRegexp reports whether Marathon may take an expression. It parses and does not
// compile it: of x{1000} compiling makes a thousand times as much.
//
//	has what Java and Go differ on   left to Marathon
//	beyond those of a file           left to Marathon
//	else                             as Go parses it
func (f *findings) isRegexp(s string) bool {
	for _, differs := range differing {
		if strings.Contains(s, differs) {
			return true
		}
	}
	if f.parsed != nil {
		if *f.parsed += len(s); *f.parsed > maxParsedRegexps {
			return true
		}
	}
	_, err := syntax.Parse(s, syntax.Perl)
	return err == nil
}

// differing are the marks of what Java knows and Go does not, or otherwise:
// look-around, back references, classes of Unicode, possessive quantifiers, counts
// above 1000.
var differing = [...]string{"(?", `\`, "++", "*+", "&&", "{"}

const (
	providerDVDI = "dvdi"
	driverOption = "dvdi/driver"
	rexray       = "rexray"
)

func usesDVDI(a *App) bool {
	return a.Container != nil && slices.ContainsFunc(a.Container.Volumes, isDVDI)
}

func isDVDI(v Volume) bool {
	return v.External != nil && v.External.Provider != nil && *v.External.Provider == providerDVDI
}

// external checks a volume of another storage system (AppValidation's
// validExternalVolume, ExternalVolumes); of csi Marathon checks no more than its form.
func (v *appChecks) external(path string, c *Container, volume *Volume) {
	e := volume.External
	v.feature(path, "external_volumes", "an external volume")
	at := path + "/external"
	if e.Provider != nil && *e.Provider == providerCSI {
		if v.c.release() < release111 {
			v.mistake(at+"/provider", "provider csi needs Marathon %s or newer, this one is %s", release111, v.c.Version)
		}
		return
	}
	if e.Name == nil {
		v.refuse(at+"/name", "must not be empty", "an external volume needs a name")
	}
	const what = "an external volume needs a provider: dvdi, or csi from Marathon 1.11"
	switch {
	case e.Provider == nil:
		v.refuse(at+"/provider", "not defined", what)
	case *e.Provider != providerDVDI:
		v.refuse(at+"/provider", "is unknown provider", "provider is %q: %s", clip(*e.Provider), what)
	default:
		v.dvdi(path, c, volume)
	}
}

var (
	optionValue = regexp.MustCompile(`^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$`)
	optionName  = regexp.MustCompile(`^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?/[A-Za-z0-9](?:[-A-Za-z0-9\._:]*[A-Za-z0-9])?$`)
)

// dvdi checks a volume of that provider (DVDIProvider).
func (v *appChecks) dvdi(path string, c *Container, volume *Volume) {
	at, e := path+"/external", volume.External
	switch {
	case e.Name == nil:
		v.refuse(at+"/name", "not defined", "an external volume needs a name")
	case *e.Name == "":
		v.refuse(at+"/name", "must not be empty", "an external volume needs a name")
	}
	v.dvdiOptions(at+"/options", e.Options)
	if isDots(volume.ContainerPath) {
		v.refuse(path+"/containerPath", "can not be one of (.,..)", "containerPath is %q: name a directory", volume.ContainerPath)
	}
	if !c.isDocker() {
		if volume.Mode != nil && *volume.Mode != "RW" {
			v.refuse(path+"/mode", "does not equal RW", "mode is %s: an external volume of a MESOS container is RW", *volume.Mode)
		}
		return
	}
	if _, driver := e.Options[driverOption]; len(e.Options) > 1 || len(e.Options) == 1 && !driver {
		v.refuse(at+"/options", "must only contain dvdi/driver", "options of an external volume of a Docker container has no more than dvdi/driver")
	}
	if e.Size != nil {
		v.refuse(at+"/size", "must be undefined for Docker containers", "size does not apply to a Docker container: the volume must exist already")
	}
}

func (v *findings) dvdiOptions(path string, options map[string]any) {
	for _, name := range sortedKeys(options) {
		if !optionName.MatchString(name) {
			v.refuse(path+"/keys", "must match regular expression '"+optionName.String()+"'", "options has %q: the name of an option is like dvdi/driver", clip(name))
		}
	}
	driver, _ := options[driverOption].(string)
	switch at := path + `("dvdi/driver")`; {
	case driver == "" && options[driverOption] == nil:
		v.refuse(at, "not defined", `options needs "dvdi/driver", the name of the volume driver`)
	case !optionValue.MatchString(driver):
		v.refuse(at, "must match regular expression '"+optionValue.String()+"'", "dvdi/driver is %q: the name of a driver consists of lower-case letters, digits and dashes", clip(driver))
	}
	if driver != rexray {
		return
	}
	for name, rule := range rexrayOptions {
		if value, given := options[name].(string); given && !rule.holds(value) {
			v.refuse(path+`/"`+name+`"`, strings.ReplaceAll(rule.answer, "VALUE", value), "%s is %q: %s", name, clip(value), rule.says)
		}
	}
}

// rexrayOptions are checked by Marathon for the driver rexray.
var rexrayOptions = map[string]struct {
	holds        func(string) bool
	answer, says string
}{
	"dvdi/volumetype": {optionValue.MatchString, "must match regular expression '" + optionValue.String() + "'", "expected lower-case letters, digits and dashes"},
	"dvdi/newfstype":  {optionValue.MatchString, "must match regular expression '" + optionValue.String() + "'", "expected lower-case letters, digits and dashes"},
	"dvdi/iops":       {isPositive, "Expected a valid, positive integer instead of VALUE", "expected a whole number above 0"},
	"dvdi/overwritefs": {func(s string) bool { return strings.EqualFold(s, "true") }, "Expected a valid boolean",
		`Marathon takes "true" only; leave it out for false`},
}

func isPositive(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n > 0
}

// storedVolumes checks what the API does not (PersistentVolumeInfo).
func (v *appChecks) storedVolumes(volumes []Volume) {
	for i, volume := range volumes {
		if p := volume.Persistent; p != nil && p.ProfileName != nil && *p.ProfileName == "" {
			v.refuse("/container/volumes("+strconv.Itoa(i)+")/volume/persistent/profileName", "must not be empty", "profileName is empty: name a profile, or leave it out")
		}
	}
}
