package manifests

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// ValidateApp finds what Marathon c would refuse in an app (Status 422 or 500,
// with Marathon's own path and words), and what it takes in silence though
// nobody means it (Status 0). The app is one that DecodeApp read.
//
// Marathon checks in stages and answers with the complaints of the first that has
// any: these alone have a Status and an Answer. A person would learn of the others a
// round later, so they are looked for as well, in the app as it is once what was
// found before is corrected. What Marathon takes in silence is always looked for.
// A warning with a Status is something that Pacer corrects before it sends.
func ValidateApp(a *App, c *Cluster) []Violation { return validateApp(a, c, findings{}) }

// validateApp adds to findings that are within bounds of the file's.
func validateApp(a *App, c *Cluster, f findings) []Violation {
	v := appChecks{findings: f, c: c}
	v.tooNew(c, a, appShape)
	v.silent(a)
	corrected := *a
	v.stages(
		func() { v.legacy(&corrected) },
		func() { v.migratable(&corrected) },
		func() { v.canonical(&corrected) },
		func() { v.convertible(&corrected) },
		func() { v.stored(&corrected) },
	)
	return v.all()
}

// stages runs checks of which Marathon answers with the first that refuses alone.
func (f *findings) stages(all ...func()) {
	refused := false
	for _, stage := range all {
		before := len(f.found)
		stage()
		if refused {
			f.unanswerSince(before)
		}
		refused = refused || f.refusedSince(before)
	}
}

// appChecks collects what is wrong with one app.
type appChecks struct {
	findings
	c         *Cluster
	nothing   bool // that it says nothing of what to run is found
	reachable bool // that its unreachableStrategy must be "disabled" is found
}

// legacy checks the forms from before Marathon 1.5
// (AppValidation.validateOldAppAPI), and corrects what it finds as its words say, in
// copies of what the app points to.
func (v *appChecks) legacy(a *App) {
	if a.Container != nil {
		container := *a.Container
		a.Container = &container
	}
	if a.Container != nil && a.Container.Docker != nil {
		docker := *a.Container.Docker
		a.Container.Docker = &docker
		v.legacyDocker(a.Container)
	}
	before := len(v.found)
	for i, u := range a.URIs {
		v.uri("/uris("+strconv.Itoa(i)+")", u)
	}
	if len(a.URIs) > 0 && len(a.Fetch) > 0 {
		v.refuse("/uris", "may not be set in conjunction with fetch", "both uris and fetch are given: keep fetch, the newer form")
	}
	if v.refusedSince(before) {
		a.URIs = nil // or fetch would tell it again
	}
	if a.IPAddress != nil {
		address := *a.IPAddress
		a.IPAddress = &address
		v.legacyAddress(a)
	}
	if a.Container != nil && a.Container.Docker != nil && a.Container.Docker.Network != nil && len(a.Networks) > 0 {
		v.refuseAt("/networks", "must not specify both container.docker.network and networks", "both networks and container.docker.network are given: keep networks, the newer form")
		a.Container.Docker.Network = nil
	}
	if ports := withoutZero(a.Ports); len(sortedSet(ports)) < len(ports) {
		v.refuseAt("/ports", "ports must be unique", "ports names a port twice")
		a.Ports = make([]int, len(a.Ports)) // so many there are
	}
	if a.Ports != nil && a.PortDefinitions != nil && !slices.Equal(a.Ports, definedPorts(a.PortDefinitions)) {
		v.refuseAt("/ports", "cannot specify both ports and port definitions", "ports and portDefinitions are both given and differ: keep portDefinitions, the newer form")
		a.Ports = nil
	}
}

func (v *appChecks) legacyDocker(c *Container) {
	const at, empty = "/container/docker/", "must be empty"
	d := c.Docker
	if d.Credential != nil {
		v.refuse(at+"credential", empty, "credential is no longer supported by Marathon: use pullConfig")
		d.Credential = nil
	}
	if c.isDocker() {
		return
	}
	if d.Network != nil {
		v.refuse(at+"network", empty, "network does not apply to a container of type MESOS: write networks")
		d.Network = nil
	}
	if len(d.Parameters) > 0 {
		v.refuse(at+"parameters", empty, "parameters are options of docker run and do not apply to a container of type MESOS: remove them")
		d.Parameters = nil
	}
	if d.PortMappings != nil {
		v.refuse(at+"portMappings", empty, "portMappings does not belong here for a container of type MESOS: move it to container.portMappings")
		if c.PortMappings == nil {
			c.PortMappings = d.PortMappings
		}
		d.PortMappings = nil
	}
}

func (v *appChecks) legacyAddress(a *App) {
	if a.IPAddress.Discovery != nil && a.Container != nil && a.Container.isDocker() {
		v.refuse("/ipAddress", "ipAddress/discovery is not allowed for Docker containers", "ipAddress.discovery does not apply to Docker containers: write networks and container.portMappings")
		a.mapDiscovered()
	}
	if name := a.IPAddress.NetworkName; name != nil && !networkNamePattern.MatchString(*name) {
		v.mistake("/ipAddress/networkName", "networkName is %q, which only the old form takes: %s", clip(*name), patternWords(networkName))
	}
	if len(a.Networks) > 0 {
		v.refuseAt("/networks", "must not specify both networks and ipAddress", "both networks and ipAddress are given: keep networks, the newer form")
		a.mapDiscovered()
		a.IPAddress = nil
		return
	}
	if len(a.Ports) > 0 || len(a.PortDefinitions) > 0 {
		v.refuseAt("/ipAddress", "cannot specify both an IP address and port", "both ipAddress and ports are given: an app with an address of its own has no host ports; write networks and container.portMappings")
	}
}

// mapDiscovered moves the ports of ipAddress.discovery to where they are to be.
func (a *App) mapDiscovered() {
	d := a.IPAddress.Discovery
	if a.IPAddress.Discovery = nil; d == nil || a.Container == nil || a.Container.PortMappings != nil {
		return
	}
	for _, p := range d.Ports {
		a.Container.PortMappings = append(a.Container.PortMappings, mappingOf(p))
	}
}

func withoutZero(ports []int) []int {
	return slices.DeleteFunc(slices.Clone(ports), func(p int) bool { return p == 0 })
}

func definedPorts(definitions []PortDefinition) []int {
	ports := make([]int, len(definitions))
	for i, d := range definitions {
		if d.Port != nil {
			ports[i] = *d.Port
		}
	}
	return ports
}

// migratable finds what Marathon fails on when it brings older forms into today's, and
// corrects that.
func (v *appChecks) migratable(a *App) {
	migrated := *a
	faults := migrate(&migrated, v.c)
	if len(faults) == 0 {
		return
	}
	for _, f := range faults {
		v.add(f)
	}
	a.URIs = nil
	container, docker := a.Container, (*Docker)(nil)
	if container == nil || container.Docker == nil {
		return // networks beside ipAddress, which is corrected already
	}
	docker = container.Docker
	if container.PortMappings == nil {
		container.PortMappings = docker.PortMappings
	}
	docker.PortMappings = nil
	if a.IPAddress != nil {
		a.mapDiscovered()
	}
	if _, faults := migrateNetworks(a, v.c); len(faults) > 0 {
		docker.Network = nil
		if len(a.Networks) == 0 && container.PortMappings != nil {
			a.Networks = []Network{{Mode: bridgeMode}}
		}
	}
}

// canonical checks today's forms (AppValidation.validateCanonicalAppAPI).
func (v *appChecks) canonical(given *App) {
	a := *given
	a.ID = AbsoluteID("/", given.ID)
	_ = migrate(&a, v.c) // what was in its way is corrected
	v.id(a.ID, given.Dependencies)
	v.command(&a)
	v.container(&a)
	v.ports(&a)
	v.networks(&a)
	v.checks(&a, fillsPortIndex(given, &a))
	v.resources(&a)
	v.secrets(&a)
	v.placement(&a)
	v.strategies(&a)
	v.labels(&a)
	for i, f := range a.Fetch {
		v.uri("/fetch("+strconv.Itoa(i)+")/uri", f.URI)
	}
}

// id checks ids as far as their pattern does not (PathId.pathIdValidator).
func (v *findings) id(id string, dependencies []string) {
	if id == "/" {
		v.refuse("/id", "Path must contain at least one path element", "id is the root: name the definition")
		return
	}
	v.reserved("/id", id)
	for i, d := range dependencies {
		v.reserved("/dependencies("+strconv.Itoa(i)+")", AbsoluteID("/", d))
	}
}

var reservedWords = []string{"restart", "tasks", "versions", ".", ".."}

func (v *findings) reserved(path, id string) {
	if word := id[strings.LastIndexByte(id, '/')+1:]; slices.Contains(reservedWords, word) {
		v.refuse(path, "must not end with any of the following reserved keywords: restart, tasks, versions, ., ..",
			"the id %s ends in %q, a word of Marathon's own addresses: choose another name", id, word)
	}
}

func (v *appChecks) command(a *App) {
	cmd, args := a.Cmd != nil, len(a.Args) > 0
	const answer = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
	switch {
	case cmd && args:
		v.refuseAt("/args", answer, "both cmd and args are given: keep one of them")
	case !cmd && !args && (a.Container == nil || a.Container.isDocker() && a.Container.Docker == nil):
		v.refuse("/", answer, "nothing says what to run: give cmd, args, or a container with an image")
		v.nothing = true
	}
	if cmd && javaLength(*a.Cmd) < 2 {
		v.refuseAt("/cmd", "must not be an empty string", "cmd has one character: Marathon takes two or more")
	}
}

// javaLength counts characters as Marathon does.
func javaLength(s string) int {
	length := 0
	for _, r := range s {
		length += utf16.RuneLen(r)
	}
	return length
}

func (v *appChecks) resources(a *App) {
	if a.GPUs != nil && *a.GPUs > 0 {
		if a.Container != nil && a.Container.isDocker() {
			v.refuseAt("/gpus", "GPU resources only work with the Mesos containerizer", "gpus does not work with a Docker container: use type MESOS")
		}
		before := len(v.found)
		v.feature("/", "gpu_resources", "gpus")
		v.place(before, "/gpus")
	}
	v.limits("/resourceLimits", a.ResourceLimits, value(a.CPUs, defaultCPUs), value(a.Mem, defaultMem))
}

func value[T any](p, otherwise *T) T {
	if p == nil {
		return *otherwise
	}
	return *p
}

// limits are at least what is asked for (AppValidation.validResourceLimit).
func (v *findings) limits(path string, l *ResourceLimits, cpus, mem float64) {
	if l == nil {
		return
	}
	for _, m := range []struct {
		name  string
		limit *Limit
		asked float64
	}{{"cpus", l.CPUs, cpus}, {"mem", l.Mem, mem}} {
		if m.limit != nil && !m.limit.Unlimited && m.limit.Value < m.asked {
			v.refuse(path+"/"+m.name, "resource limit must be greater than or equal to requested resource ("+scalaDouble(m.asked)+")",
				"the limit of %s is %s, less than the %s requested", m.name, syntax.FormatNumber(m.limit.Value), syntax.FormatNumber(m.asked))
		}
	}
}

// scalaDouble writes a number as Marathon's messages do: 1.0.
func scalaDouble(f float64) string {
	s := syntax.FormatNumber(f)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// feature checks that Marathon was started with --enable_features name.
func (v *appChecks) feature(path, name, what string) { v.needs(v.c, path, name, what) }

func (v *findings) needs(c *Cluster, path, name, what string) {
	switch {
	case c.has(name):
	case c.FlagsUnknown:
		v.byFlag(path, what, "--enable_features "+name)
	default:
		v.refuse(path, featureAnswer(name), "%s needs Marathon's feature %s, which is off: start Marathon with --enable_features %s", what, name, name)
	}
}

// byFlag warns of what only a flag of Marathon decides, where none is asked.
func (v *findings) byFlag(path, what, flag string) {
	v.warn(path, "%s is accepted only by a Marathon with %s", what, flag)
}

// emptyOr checks a feature where Marathon wants that or nothing at all, and
// complains of both.
func (v *findings) emptyOr(c *Cluster, path, name, what string) {
	if !c.has(name) && !c.FlagsUnknown {
		v.echo(path, "must be empty")
	}
	v.needs(c, path, name, what)
}

func featureAnswer(name string) string {
	return fmt.Sprintf("Feature %s is not enabled. Enable with --enable_features %s)", name, name)
}

func (c *Cluster) has(feature string) bool { return slices.Contains(c.Features, feature) }

func (v *appChecks) strategies(a *App) {
	persistent, external := volumeKinds(a)
	upgrade := a.UpgradeStrategy
	if upgrade == nil {
		upgrade = upgradeAll
		if persistent || external {
			upgrade = upgradeStateful
		}
	}
	const at = "/upgradeStrategy/"
	if a.Labels[labelSingleInstance] == "true" {
		v.zeroCapacity(at+"minimumHealthCapacity", *upgrade.MinimumHealthCapacity, labelSingleInstance)
		v.zeroCapacity(at+"maximumOverCapacity", *upgrade.MaximumOverCapacity, labelSingleInstance)
		if a.Instances != nil && *a.Instances > 1 {
			v.refuseAt("/instances", "Single instance app may only have one instance", "instances is %d, but the label %s allows one", *a.Instances, labelSingleInstance)
		}
	} else if persistent || usesDVDI(a) {
		v.zeroCapacity(at+"maximumOverCapacity", *upgrade.MaximumOverCapacity, "a persistent or external volume")
	}
	if persistent && a.UnreachableStrategy != nil && !a.UnreachableStrategy.Disabled {
		v.refuseAt("/unreachableStrategy", "unreachableStrategy must be disabled for resident tasks", `unreachableStrategy must be "disabled" for an app with persistent volumes: write that, or leave it out`)
		v.reachable = true
	}
}

const labelSingleInstance = "MARATHON_SINGLE_INSTANCE_APP"

func (v *findings) zeroCapacity(path string, capacity float64, because string) {
	if capacity != 0 {
		v.refuse(path, "got "+scalaDouble(capacity)+", expected 0.0", "%s is %s: with %s it must be 0, and be written", last(path), syntax.FormatNumber(capacity), because)
	}
}

// labels checks those of DC/OS (AppValidation.complyWithMigrationAPI).
func (v *appChecks) labels(a *App) {
	version := a.Labels["DCOS_MIGRATION_API_VERSION"]
	if version != "" && (version != "v1" || a.Labels["DCOS_PACKAGE_FRAMEWORK_NAME"] == "" || a.Labels["DCOS_MIGRATION_API_PATH"] == "") {
		v.refuseAt("/labels/DCOS_MIGRATION_API_VERSION", "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using DCOS_MIGRATION_API_VERSION",
			"the label DCOS_MIGRATION_API_VERSION must be v1 and needs DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH, too")
	}
}

// convertible finds what Marathon fails on when it turns a checked app into its
// own model.
func (v *appChecks) convertible(a *App) {
	for i := range a.HealthChecks {
		v.convertibleHealthCheck("/healthChecks("+strconv.Itoa(i)+")", &a.HealthChecks[i])
	}
	if a.Check != nil {
		v.convertibleCheck(a.Check)
	}
	for i, c := range a.Constraints {
		v.convertibleConstraint("/constraints("+strconv.Itoa(i)+")", c)
	}
}

// stored checks the app as Marathon will store it
// (AppDefinition.validBasicAppDefinition), as far as nothing before does.
func (v *appChecks) stored(given *App) {
	a := NormaliseApp(given, nil, v.c)
	if !v.nothing && a.Cmd == nil && len(a.Args) == 0 && a.Container != nil && a.Container.Docker == nil {
		v.refuseAt("/container", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.", "nothing says what to run: a MESOS container without an image needs cmd or args")
	}
	v.storedChecks(a, given)
	if a.Container != nil {
		v.linuxInfo("/container/linuxInfo", a.Container.LinuxInfo)
		v.storedVolumes(a.Container.Volumes)
	}
	if persistent, _ := volumeKinds(a); persistent && a.Role != nil && *a.Role == "*" {
		v.resident(given.Role, v.c.roleByFlag(a.ID), "Resident apps cannot have the role *")
	}
	if !v.reachable {
		v.unreachable("/unreachableStrategy", a.UnreachableStrategy)
	}
}

// resident refuses the role * of what has persistent volumes, unless it names no
// role and a flag may give it another one.
func (v *findings) resident(named *string, byFlag bool, answer string) {
	if named == nil && byFlag {
		v.byFlag("/role", "a persistent volume without a role of its own", "--mesos_role other than *")
		return
	}
	v.refuse("/role", answer, "the role is *: persistent volumes need reserved resources, hence a role of their own")
}

func (v *findings) unreachable(path string, u *UnreachableStrategy) {
	if u == nil || u.Disabled {
		return
	}
	inactive, expunge := value(u.InactiveAfterSeconds, zero), value(u.ExpungeAfterSeconds, zero)
	if inactive > expunge {
		v.refuse(path+"/inactiveAfterSeconds",
			fmt.Sprintf("inactiveAfterSeconds (%d) must be less or equal to expungeAfterSeconds, which is %d", inactive, expunge),
			"inactiveAfterSeconds is %d, more than expungeAfterSeconds, which is %d: a member left out counts as 0", inactive, expunge)
	}
}

// linuxInfo checks a container's (LinuxInfo.validLinuxInfoForContainerState).
func (v *findings) linuxInfo(path string, l *LinuxInfo) {
	if l == nil {
		return
	}
	if s := l.Seccomp; s != nil {
		unconfined := value(s.Unconfined, no)
		switch {
		case s.ProfileName != nil && unconfined:
			v.refuse(path+"/seccomp", "Seccomp unconfined can NOT be true when Profile is defined", "seccomp has both profileName and unconfined: keep one of them")
		case s.ProfileName == nil && !unconfined:
			v.refuse(path+"/seccomp", "Seccomp unconfined must be true when Profile is NOT defined", "seccomp has neither profileName nor unconfined: true")
		}
	}
	v.ipcInfo(path, l.IPCInfo)
}

func (v *findings) ipcInfo(path string, i *IPCInfo) {
	if i != nil && i.Mode == "SHARE_PARENT" && i.ShmSize != nil {
		v.refuse(path+"/ipcInfo", "ipcInfo shmSize can NOT be set when mode is SHARE_PARENT", "shmSize goes only with mode PRIVATE")
	}
}

// uri refuses what Java's URI does: Marathon checks no more.
func (v *findings) uri(path, uri string) {
	if fault := uriFault(uri); fault != "" {
		v.refuse(path, "URI has invalid syntax.", "the URI %s", fault)
	}
}

var schemePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*$`)

// uriFault says why Java's URI would not parse a text; "" if it would.
func uriFault(uri string) string {
	for i, r := range uri {
		switch {
		case r <= ' ' || r == 0x7f || strings.ContainsRune("\"<>\\^`{|}", r):
			return fmt.Sprintf("has %q in it, which must be written as %%%02X", r, r)
		case r > 0x7f && (unicode.IsControl(r) || unicode.IsSpace(r)):
			return fmt.Sprintf("has %q in it, which must be escaped", r)
		case r == '%' && (i+2 >= len(uri) || !isHex(uri[i+1]) || !isHex(uri[i+2])):
			return "has a % without two hexadecimal digits after it: write %25"
		}
	}
	rest, fragment, _ := strings.Cut(uri, "#")
	if strings.Contains(fragment, "#") {
		return "has two # in it: write the second as %23"
	}
	if i := strings.IndexAny(rest, ":/?"); i >= 0 && rest[i] == ':' {
		if !schemePattern.MatchString(rest[:i]) {
			return "has a \":\" after what is no scheme: write %3A"
		}
		if rest = rest[i+1:]; rest == "" || uri[i+1:] == "//" {
			return "has nothing after its scheme: name a host or a path"
		}
		if rest[0] != '/' {
			return "" // opaque, as mailto:a@b
		}
	}
	location, _, _ := strings.Cut(rest, "?")
	if host, ok := strings.CutPrefix(location, "//"); ok {
		_, location, _ = strings.Cut(host, "/")
	}
	if i := strings.IndexAny(location, "[]"); i >= 0 {
		return fmt.Sprintf("has %q in its path, which must be written as %%%02X", location[i], location[i])
	}
	return ""
}

func isHex(b byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", b) >= 0 }

// ValidateGroup checks what only a group has, not the apps and pods in it.
func ValidateGroup(g *Group, c *Cluster) []Violation { return validateGroup(g, c, findings{}) }

func validateGroup(g *Group, c *Cluster, v findings) []Violation {
	own := Group{ID: g.ID, Dependencies: g.Dependencies, EnforceRole: g.EnforceRole}
	v.tooNew(c, &own, groupShape)
	id := AbsoluteID("/", g.ID)
	if id != "/" {
		v.reserved("/id", id)
	}
	if g.EnforceRole != nil && *g.EnforceRole && !isTopLevel(id) {
		v.refuse("/enforceRole", "enforceRole can only be set for top-level groups, and "+id+" is not top-level",
			"enforceRole is set in %s: only a top-level group can have it", id)
	}
	return v.all()
}
