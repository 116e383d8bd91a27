package manifests

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRefusedUpdates: what Marathon refuses of an update only, all of it at once.
// Source: AppDefinition.residentUpdateIsValid and validWithRoleEnforcement, and
// their like for pods.
func TestRefusedUpdates(t *testing.T) {
	const (
		resources = "Services with persistent volumes configured may not change resource requirements. If you need to make this change, please create a new service."
		ports     = "Services with persistent volumes configured may not change host ports. If you need to make this change, please create a new service."
		volumes   = "Persistent volumes can not be changed!"
		tooMany   = "got 1.0, expected 0.0"
		data      = `"container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 64}}]}`
		roles     = "It is not possible to change the role for existing reservations. If you proceed with this change, all existing instances will continue to run under the previous role, dev. " +
			"Only new instances will be allocated with the new role, shop. In order to continue, retry your request with ?force=true"
	)
	for _, row := range []struct {
		name, live, desired string
		want                said
	}{
		{"the volume goes", data, `"container": {"type": "MESOS"}`, said{"/app(0)": {volumes}, "/app(0)/upgradeStrategy/maximumOverCapacity": {tooMany}}},
		{"the volume comes", `"container": {"type": "MESOS"}`, data, said{"/app(0)": {volumes}}},
		{"the volume comes where there is much more", `"mem": 64`, data, said{"/app(0)": {volumes}, "/app(0)/mem": {resources}}},
		{"without a volume nothing is refused", `"mem": 64`, `"cpus": 2`, said{}},
		{"resources and ports", data, data + `, "mem": 64, "gpus": 1, "ports": [9000, 0]`, said{"/app(0)": {ports}, "/app(0)/mem": {resources}, "/app(0)/gpus": {resources}}},
		{"a role, looked at first", data, data + `, "mem": 64, "role": "shop"`, said{"/role": {roles}}},
		{"a role that keeps no reservation", data + `, "role": "shop"`, `"container": {"type": "MESOS"}`, said{"/app(0)": {volumes}, "/app(0)/upgradeStrategy/maximumOverCapacity": {tooMany}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			testRefused(t, appRules, `"cmd": "sleep 100", `+row.live, `"cmd": "sleep 100", `+row.desired, row.want)
		})
	}
	pod := func(cpus, volumes, more string) string {
		return `"containers": [{"name": "c", "resources": {"cpus": ` + cpus + `}, "endpoints": [{"name": "e"}]` + volumes + more
	}
	const mounted, none = `, "volumeMounts": [{"name": "v", "mountPath": "v"}]}], "volumes": [{"name": "v", "persistent": {"size": 64}}]`, `}]`
	for _, row := range []struct {
		name, live, desired string
		want                said
	}{
		{"the pod's volume goes", pod("1", mounted, ""), pod("1", none, ""), said{"/pod(0)": {"persistent volumes cannot be updated"}, "/pod(0)/upgradeStrategy/maximumOverCapacity": {tooMany}}},
		{"the pod's cpus", pod("1", mounted, ""), pod("2", mounted, ""), said{"/pod(0)": {"cpus cannot be updated if a pod has persistent volumes"}}},
		{"the pod's executor counts", pod("1", mounted, ""), pod("1", mounted, `, "executorResources": {"mem": 64}`), said{"/pod(0)": {"mem cannot be updated if a pod has persistent volumes"}}},
		{"the pod's role", pod("1", mounted, ""), pod("2", mounted, `, "role": "shop"`), said{"/role": {roles}}},
		{"the pod's labels", pod("1", mounted, ""), pod("1", mounted, `, "labels": {"a": "b"}`), said{}},
	} {
		t.Run(row.name, func(t *testing.T) { testRefused(t, podRules, row.live, row.desired, row.want) })
	}
}

func testRefused[T any](t *testing.T, r rules[T], live, desired string, want said) {
	c := everything()
	normal := func(more string, live *T) *T {
		d, violations := r.decode(parseTree(t, []byte(`{"id": "/shop/x", `+more+`}`)))
		if d == nil {
			t.Fatal(violations)
		}
		if errs := errorsOf(r.validate(d, c)); len(errs) > 0 {
			t.Fatal(errs)
		}
		return r.normalise(d, live, c)
	}
	was := normal(live, nil)
	if diff := cmp.Diff(want, said(complaints(r.compare(was, normal(desired, was)).Refused))); diff != "" {
		t.Errorf("complaints, wanted - and found +:\n%s", diff)
	}
}

// TestRolesOutsideOfGroups: there Marathon knows no role but its own, and looks
// for no change of it.
func TestRolesOutsideOfGroups(t *testing.T) {
	c := DefaultCluster()
	c.MesosRole = "dev"
	c.KeepRole("/x", new("old"))
	if errs := errorsOf(ValidateApp(&App{ID: "/x", Cmd: new("sleep 100"), Role: new("old")}, &c)); len(errs) != 1 || errs[0].Path != "/role" {
		t.Errorf("the role that it has: %+v", errs)
	}
	var r refusals
	if r.role("/x", new("old"), new("dev")) || len(r.found) > 0 {
		t.Errorf("a change of it: %+v", r.found)
	}
}

// TestPortsOfOneNumber: Marathon gives back every old port that the new
// definition does not name, those of one number too.
func TestPortsOfOneNumber(t *testing.T) {
	c := DefaultCluster()
	definition := func(ports ...int) *App {
		a := &App{ID: "/x", Networks: []Network{{Mode: new("container/bridge")}}, Container: &Container{Docker: &Docker{Image: "a"}}}
		for i, protocol := range []string{"tcp", "udp"} {
			a.Container.PortMappings = append(a.Container.PortMappings, PortMapping{ContainerPort: new(53), Protocol: new(protocol), ServicePort: new(ports[i])})
		}
		return a
	}
	live := NormaliseApp(definition(10053, 10053), nil, &c)
	if got := CompareApps(live, NormaliseApp(definition(0, 0), live, &c)); got.Effect != EffectNone {
		t.Errorf("%+v", got)
	}
	if got := CompareApps(live, NormaliseApp(definition(0, 10053), live, &c)); got.Effect != EffectRestart {
		t.Errorf("a port that is named is not free: %+v", got)
	}
}
