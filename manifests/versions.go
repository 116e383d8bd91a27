package manifests

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// release is a Marathon release line, comparable by <: 1.11 is 1*1000 + 11.
type release int

const (
	release15  release = 1005
	release16  release = 1006
	release18  release = 1008
	release19  release = 1009
	release110 release = 1010
	release111 release = 1011

	oldestRelease = release15
	newestRelease = release111
)

// String is the release as people write it: 1.11.
func (r release) String() string {
	return strconv.Itoa(int(r)/1000) + "." + strconv.Itoa(int(r)%1000)
}

// parseRelease reads the release line out of a version such as "1.11.26" or
// "1.11.0-SNAPSHOT-g90619da7".
func parseRelease(version string) (release, error) {
	text := strings.TrimPrefix(strings.TrimSpace(version), "v")
	majorText, rest, _ := strings.Cut(text, ".")
	minorText, _, _ := strings.Cut(rest, ".")
	minorText, _, _ = strings.Cut(minorText, "-")
	major, wrongMajor := strconv.ParseUint(majorText, 10, 8)
	minor, wrongMinor := strconv.ParseUint(minorText, 10, 8)
	if wrongMajor != nil || wrongMinor != nil {
		return 0, fmt.Errorf("version %q: expected major.minor", version)
	}
	return release(major*1000 + minor), nil
}

// release is the line of this Marathon. One whose version cannot be read is
// taken for the newest; Supported says so to a person.
func (c *Cluster) release() release {
	r, err := parseRelease(c.Version)
	if err != nil {
		return newestRelease
	}
	return r
}

// Supported says whether Pacer knows the release of this Marathon: 1.5 to
// 1.11. Releases before 1.5 return apps in forms (ports, uris, ipAddress) that
// Pacer does not compare. The error names the version and what to do.
func (c *Cluster) Supported() error {
	r, err := parseRelease(c.Version)
	switch {
	case err != nil:
		return fmt.Errorf("cannot determine the Marathon version: %w", err)
	case r < oldestRelease:
		return fmt.Errorf("Marathon %s is too old: Pacer supports %s to %s; upgrade Marathon", c.Version, oldestRelease, newestRelease)
	case r > newestRelease:
		return fmt.Errorf("Marathon %s is too new: Pacer supports %s to %s; upgrade Pacer", c.Version, oldestRelease, newestRelease)
	}
	return nil
}

// tooNew finds the fields that a definition sets and that this Marathon is too
// old for: it would take and ignore them.
func (v *findings) tooNew(c *Cluster, definition any, s *shape) {
	have := c.release()
	if have >= newestRelease {
		return
	}
	walkSet(reflect.ValueOf(definition).Elem(), s, "", func(f *field, path string) bool {
		if f.since <= have {
			return true
		}
		v.mistake(path, "%s needs Marathon %s or newer, this one is %s: remove it, or upgrade Marathon", f.name, f.since, c.Version)
		return false
	})
}

// withoutTooNew takes out of an app's normal form what Pacer filled in and this
// Marathon does not know: it would show none of it, and a manifest that says it
// is refused.
func (c *Cluster) withoutTooNew(a *App) {
	have := c.release()
	if have >= release19 {
		return
	}
	a.Role = nil
	if have < release16 {
		for i := range a.HealthChecks { // copied by normaliseHealthChecks
			a.HealthChecks[i].IPProtocol = nil
		}
	}
	if have >= release18 || a.Container == nil {
		return
	}
	for i := range a.Container.Volumes { // copied by normaliseVolumes
		if external := a.Container.Volumes[i].External; external != nil {
			old := *external
			old.Shared = nil
			a.Container.Volumes[i].External = &old
		}
	}
}

// What other releases fill in by themselves. Source: their RAML types, and for
// 1.5.0 changelog.md.
var (
	hourOfDelay      = new(3600)
	hourOfBackoff    = new(3600.0)
	unreachableOf150 = &UnreachableStrategy{ExpungeAfterSeconds: new(600), InactiveAfterSeconds: new(300)}
)

func (c *Cluster) maxLaunchDelay() *int {
	if c.release() < release18 {
		return hourOfDelay
	}
	return defaultMaxDelay
}

func (c *Cluster) maxLaunchDelayOfPods() *float64 {
	if c.release() < release18 {
		return hourOfBackoff
	}
	return maxBackoff
}

func (c *Cluster) unreachable() *UnreachableStrategy {
	if version := strings.TrimPrefix(c.Version, "v"); version == "1.5.0" || strings.HasPrefix(version, "1.5.0-") {
		return unreachableOf150
	}
	return replaceAtOnce
}

// acceptedRoles sorts the accepted roles of what has this role. Marathon 1.9
// takes out those that are neither it nor *; before, all are taken, and later
// none of them is (changelog.md; AppNormalization.sanitizeAcceptedResourceRoles).
func (c *Cluster) acceptedRoles(roles []string, own *string) []string {
	if len(roles) > 0 && own != nil && c.release() == release19 {
		own := *own
		if other := func(r string) bool { return r != "*" && r != own }; slices.ContainsFunc(roles, other) {
			roles = slices.DeleteFunc(slices.Clone(roles), other)
		}
	}
	return sortedSet(roles)
}

// walkSet calls visit for each field of the table that is set in v, a struct.
// It does not go below a field for which visit returns false.
func walkSet(v reflect.Value, s *shape, path string, visit func(*field, string) bool) {
	t := v.Type()
	for i := range t.NumField() {
		f := s.byName[jsonName(t.Field(i))]
		member := v.Field(i)
		if f == nil || member.IsZero() {
			continue
		}
		at := path + "/" + f.name
		if !visit(f, at) {
			continue
		}
		walkInner(member, f.shape, at, visit)
	}
}

func walkInner(v reflect.Value, s *shape, path string, visit func(*field, string) bool) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct && s.byName != nil:
		walkSet(v, s, path, visit)
	case v.Kind() == reflect.Slice && s.elem != nil:
		for i := range v.Len() {
			walkInner(v.Index(i), s.elem, path+"("+strconv.Itoa(i)+")", visit)
		}
	}
}
