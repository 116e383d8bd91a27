package manifests

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// CompareApps foretells what putting desired over live would do. Both are in
// normal form, desired normalised with live's service ports.
//
// Only instances differ: scale. Only executorResources: metadata. Anything
// else, a label too: every task is replaced. Source: AppDefinition.isUpgrade;
// recorded in testdata/conformance.
func CompareApps(live, desired *App) Comparison {
	if Same(live, desired) {
		return Comparison{Effect: EffectNone}
	}
	c := compare(live, desired, "/instances", appPhantoms)
	if c.Effect != EffectNone {
		c.Refused = refusedAppUpdate(live, desired)
	}
	return c
}

// ComparePods does for pods what CompareApps does for apps.
func ComparePods(live, desired *Pod) Comparison {
	c := compare(live, desired, "/scaling/instances", podPhantoms)
	if c.Effect != EffectNone {
		c.Refused = refusedPodUpdate(live, desired)
	}
	return c
}

// Phantom fields: Marathon shows their change and applies it to no task; it
// stores it only with a change that replaces the tasks. Source: what isUpgrade
// of AppDefinition and PodDefinition leaves out; recorded.
var (
	appPhantoms = []string{"/executorResources"}
	podPhantoms = []string{"/executorResources", "/scheduling/killSelection", "/scheduling/unreachableStrategy", "/legacySharedCgroups"}
)

func isAt(path string, places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool {
		return path == p || strings.HasPrefix(path, p+"/")
	})
}

func compare[T any](live, desired *T, instances string, phantoms []string) Comparison {
	a, b := reflect.ValueOf(live).Elem(), reflect.ValueOf(desired).Elem()
	if equal(a, b) {
		return Comparison{Effect: EffectNone}
	}
	var d differ
	d.value("", a, b)
	slices.SortFunc(d.fields, func(x, y FieldDiff) int { return strings.Compare(x.Path, y.Path) })
	c := Comparison{Effect: EffectMetadata, Fields: d.fields}
	for _, f := range d.fields {
		switch {
		case f.Path == instances:
			c.Effect = EffectScale
		case !isAt(f.Path, phantoms):
			c.Effect = EffectRestart
			return c
		}
	}
	return c
}

// Same reports whether two definitions are written the same, member by member; two
// that mean the same may be written otherwise.
func Same[T App | Pod](a, b *T) bool { return equal(reflect.ValueOf(a), reflect.ValueOf(b)) }

// equal compares two values of one type as Marathon would: absent and empty
// are not the same. It is reflect.DeepEqual without its bookkeeping for cycles,
// which definitions cannot have, and without its allocations.
func equal(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() || a.Pointer() == b.Pointer() {
			return a.IsNil() == b.IsNil()
		}
		return equal(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return equalSlices(a, b)
	case reflect.Map:
		return equalMaps(a, b)
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Float64:
		return a.Float() == b.Float()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func equalSlices(a, b reflect.Value) bool {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		return false
	}
	if a.Pointer() == b.Pointer() {
		return true
	}
	for i := range a.Len() {
		if !equal(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

// equalMaps knows the types of maps that apps and pods have: iterating by
// reflection would allocate.
func equalMaps(a, b reflect.Value) bool {
	if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
		return false
	}
	if a.Pointer() == b.Pointer() {
		return true
	}
	switch x := a.Interface().(type) {
	case map[string]string:
		return equalMap(x, b.Interface().(map[string]string))
	case map[string]EnvValue:
		return equalMap(x, b.Interface().(map[string]EnvValue))
	case map[string]Secret:
		return equalMap(x, b.Interface().(map[string]Secret))
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func equalMap[V comparable](a, b map[string]V) bool {
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// differ lists where two values differ: down to the members of objects and
// maps; lists of objects member by member if they are of one length, other
// lists as a whole.
type differ struct{ fields []FieldDiff }

func (d *differ) add(path string, live, desired reflect.Value) {
	d.fields = append(d.fields, FieldDiff{Path: path, Live: plain(live), Desired: plain(desired)})
}

func (d *differ) value(path string, a, b reflect.Value) {
	if equal(a, b) {
		return
	}
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		d.value(path, a.Elem(), b.Elem())
	case a.Kind() == reflect.Struct && !isAtom(a.Type()):
		for i := range a.NumField() {
			d.value(path+"/"+pointerToken(jsonName(a.Type().Field(i))), a.Field(i), b.Field(i))
		}
	case a.Kind() == reflect.Map:
		d.maps(path, a, b)
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && a.Len() > 0 && isObject(a.Type().Elem()):
		for i := range a.Len() {
			d.value(path+"/"+strconv.Itoa(i), a.Index(i), b.Index(i))
		}
	default:
		d.add(path, a, b)
	}
}

func (d *differ) maps(path string, a, b reflect.Value) {
	keys := make(map[string]bool)
	for _, m := range []reflect.Value{a, b} {
		for _, k := range m.MapKeys() {
			keys[k.String()] = true
		}
	}
	for _, k := range sortedKeys(keys) {
		x, y := a.MapIndex(reflect.ValueOf(k)), b.MapIndex(reflect.ValueOf(k))
		if !x.IsValid() || !y.IsValid() || !equal(x, y) {
			d.add(path+"/"+pointerToken(k), x, y)
		}
	}
	if len(keys) == 0 {
		d.add(path, a, b) // absent and empty
	}
}

// pointerToken escapes a name for a JSON pointer (RFC 6901).
func pointerToken(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// isAtom reports whether a struct is one value in JSON, not an object with
// members of its own: these have their own MarshalJSON.
func isAtom(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[interface{ MarshalJSON() ([]byte, error) }]())
}

func isObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isAtom(t) }

// plain is a value as a FieldDiff shows it: nil where absent.
func plain(v reflect.Value) any {
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.IsNil() {
		return nil
	}
	if v.Kind() == reflect.String && v.Len() == 0 && v.Type() != reflect.TypeFor[string]() {
		return nil
	}
	return v.Interface()
}

// refusedAppUpdate foretells the rules for apps with persistent volumes. Marathon
// checks the role first, and the rest, with paths that begin at the deployment,
// when it computes that. Source: AppDefinition.validWithRoleEnforcement and
// residentUpdateIsValid; recorded.
func refusedAppUpdate(live, desired *App) []Violation {
	was, _ := volumeKinds(live)
	is, _ := volumeKinds(desired)
	if !was && !is {
		return nil
	}
	var r refusals
	if is && r.role(live.ID, live.Role, desired.Role) {
		return r.found
	}
	const root = "/app(0)"
	if !samePersistent(appVolumesByPath(live), appVolumesByPath(desired)) {
		r.refuse(root, "Persistent volumes can not be changed!", "the persistent volumes differ, which Marathon refuses: make a new app, or delete this one first")
	}
	for _, f := range []struct {
		name string
		same bool
	}{
		{"cpus", *live.CPUs == *desired.CPUs}, {"mem", *live.Mem == *desired.Mem}, {"disk", *live.Disk == *desired.Disk},
		{"gpus", *live.GPUs == *desired.GPUs}, {"requirePorts", *live.RequirePorts == *desired.RequirePorts},
	} {
		if !f.same {
			r.refuse(root+"/"+f.name, "Services with persistent volumes configured may not change resource requirements. If you need to make this change, please create a new service.",
				"%s differs, which Marathon refuses for an app with persistent volumes: make a new app", f.name)
		}
	}
	if !slices.Equal(hostPorts(live), hostPorts(desired)) {
		r.refuse(root, "Services with persistent volumes configured may not change host ports. If you need to make this change, please create a new service.",
			"the host ports differ, which Marathon refuses for an app with persistent volumes: make a new app")
	}
	r.overCapacity(root, desired.UpgradeStrategy)
	return r.found
}

// refusedPodUpdate does so for pods (PodsValidation.residentUpdateIsValid).
func refusedPodUpdate(live, desired *Pod) []Violation {
	before, after := podVolumesByName(live), podVolumesByName(desired)
	if len(before) == 0 && len(after) == 0 {
		return nil
	}
	var r refusals
	if len(after) > 0 && r.role(live.ID, live.Role, desired.Role) {
		return r.found
	}
	const root = "/pod(0)"
	if !samePersistent(before, after) {
		r.refuse(root, "persistent volumes cannot be updated", "the persistent volumes differ, which Marathon refuses: make a new pod, or delete this one first")
	}
	was, is := podResources(live), podResources(desired)
	for i, name := range []string{"cpus", "mem", "disk", "gpus"} {
		if was[i] != is[i] {
			r.refuse(root, name+" cannot be updated if a pod has persistent volumes", "the sum of %s differs, which Marathon refuses for a pod with persistent volumes: make a new pod", name)
		}
	}
	if !slices.Equal(podHostPorts(live), podHostPorts(desired)) {
		r.refuse(root, "host ports cannot be updated if a pod has persistent volumes", "the host ports differ, which Marathon refuses for a pod with persistent volumes: make a new pod")
	}
	r.overCapacity(root, desired.Scheduling.Upgrade)
	return r.found
}

type refusals struct{ findings }

// role: reservations stay with the old role. Outside of groups Marathon does not
// look for it (RoleSettings.forService, residentRoleChangeWarningMessage).
func (r *refusals) role(id string, live, desired *string) (refused bool) {
	if _, nested := topLevel(id); !nested || live == nil || desired == nil || *live == *desired {
		return false
	}
	r.refuse("/role", "It is not possible to change the role for existing reservations. If you proceed with this change, all existing instances will continue to run under the previous role, "+
		*live+". Only new instances will be allocated with the new role, "+*desired+". In order to continue, retry your request with ?force=true",
		"the role differs, which Marathon takes for persistent volumes only by force: running tasks keep the role %s", *live)
	return true
}

// overCapacity: also of what has no persistent volumes any more
// (UpgradeStrategy.validForResidentTasks).
func (r *refusals) overCapacity(root string, u *UpgradeStrategy) {
	r.zeroCapacity(root+"/upgradeStrategy/maximumOverCapacity", *u.MaximumOverCapacity, "an update of a persistent volume")
}

func appVolumesByPath(a *App) map[string]Volume {
	m := map[string]Volume{}
	if a.Container != nil {
		for _, v := range a.Container.Volumes {
			if v.Persistent != nil {
				m[v.ContainerPath] = v
			}
		}
	}
	return m
}

func podVolumesByName(p *Pod) map[string]Volume {
	m := map[string]Volume{}
	for _, v := range p.Volumes {
		if v.Persistent != nil {
			m[v.Name] = v
		}
	}
	return m
}

func samePersistent(a, b map[string]Volume) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok || !equal(reflect.ValueOf(v), reflect.ValueOf(w)) {
			return false
		}
	}
	return true
}

// hostPorts is the set of host ports, sorted (AppDefinition.hostPorts).
func hostPorts(a *App) []int {
	var ports []int
	if a.Container != nil && len(a.Container.PortMappings) > 0 {
		for _, m := range a.Container.PortMappings {
			if m.HostPort != nil {
				ports = append(ports, *m.HostPort)
			}
		}
		return sortedSet(ports)
	}
	for _, d := range a.PortDefinitions {
		ports = append(ports, *d.Port)
	}
	return sortedSet(ports)
}

func podHostPorts(p *Pod) []int {
	var ports []int
	for _, c := range p.Containers {
		for _, e := range c.Endpoints {
			if e.HostPort != nil {
				ports = append(ports, *e.HostPort)
			}
		}
	}
	return sortedSet(ports)
}

// podResources sums what the containers and the executor ask for
// (PodDefinition.resources).
func podResources(p *Pod) [4]float64 {
	var sum [4]float64
	if e := p.ExecutorResources; e != nil {
		sum = [4]float64{*e.CPUs, *e.Mem, *e.Disk}
	}
	for _, c := range p.Containers {
		sum[0] += *c.Resources.CPUs
		sum[1] += *c.Resources.Mem
		sum[2] += *c.Resources.Disk
		sum[3] += float64(*c.Resources.GPUs)
	}
	for i := range sum {
		sum[i] = math.Round(sum[i]*1e9) / 1e9 // Marathon sums decimals, in which order does not matter
	}
	return sum
}
