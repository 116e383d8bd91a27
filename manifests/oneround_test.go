package manifests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A flaw is something wrong that is put into a right definition. About is what it is
// about: what is told of two flaws that share nothing does not depend on whether the
// other one is there too.
type flaw struct {
	name, about string // about: words
	put         func(d map[string]any)
	also        map[string]string // further files that it needs
}

// in goes down to a part of a definition: in(d, "container", "volumes", 0).
func in(d any, way ...any) map[string]any {
	for _, step := range way {
		switch step := step.(type) {
		case string:
			d = d.(map[string]any)[step]
		case int:
			d = d.([]any)[step]
		}
	}
	return d.(map[string]any)
}

// add appends to a list.
func add(d map[string]any, key string, value any) {
	list, _ := d[key].([]any)
	d[key] = append(slices.Clone(list), value)
}

type tree = map[string]any
type items = []any

const flawlessApp = `{
	"id": "/shop/web", "cmd": "sleep 1000", "user": "u", "instances": 1, "cpus": 1, "mem": 128, "disk": 0, "gpus": 0,
	"env": {"A": "1", "S": {"secret": "s"}}, "secrets": {"s": {"source": "/s"}}, "labels": {"a": "b"}, "role": "shop",
	"container": {"type": "MESOS", "docker": {"image": "i", "forcePullImage": false},
		"portMappings": [{"containerPort": 80, "name": "web", "protocol": "tcp"}, {"containerPort": 81, "name": "admin"}],
		"volumes": [{"containerPath": "/data", "hostPath": "/data", "mode": "RW"}, {"containerPath": "p", "mode": "RW", "persistent": {"size": 10, "type": "mount"}}]},
	"networks": [{"mode": "container", "name": "one"}, {"mode": "container", "name": "two"}],
	"healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 0, "path": "/"}, {"protocol": "COMMAND", "command": {"value": "true"}}],
	"readinessChecks": [{"portName": "web", "protocol": "HTTP"}],
	"check": {"tcp": {"portIndex": 1}, "intervalSeconds": 10},
	"constraints": [["hostname", "UNIQUE"]], "acceptedResourceRoles": ["*"], "dependencies": ["/shop/db"],
	"fetch": [{"uri": "http://h/a"}], "resourceLimits": {"cpus": 2, "mem": "unlimited"},
	"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}, "unreachableStrategy": "disabled",
	"backoffFactor": 1.5, "killSelection": "YOUNGEST_FIRST"
}`

var appFlaws = []flaw{
	// Of shape.
	{name: "text for a number", about: "instances", put: func(d tree) { d["instances"] = "2" }},
	{name: "no number", about: "cpus", put: func(d tree) { d["cpus"] = "a" }},
	{name: "too small", about: "mem", put: func(d tree) { d["mem"] = -1 }},
	{name: "a number in env", about: "env.B", put: func(d tree) { in(d, "env")["B"] = 7 }},
	{name: "a name in env", about: "env.", put: func(d tree) { in(d, "env")[""] = "x" }},
	{name: "a number in labels", about: "labels.x", put: func(d tree) { in(d, "labels")["x"] = 7 }},
	{name: "no image", about: "image", put: func(d tree) { in(d, "container", "docker")["image"] = 7 }},
	{name: "no boolean", about: "forcePull", put: func(d tree) { in(d, "container", "docker")["forcePullImage"] = "yes" }},
	{name: "no protocol", about: "mapping0.protocol", put: func(d tree) { in(d, "container", "portMappings", 0)["protocol"] = "xx" }},
	{name: "a volume of no kind", about: "volume2", put: func(d tree) { add(in(d, "container"), "volumes", tree{"containerPath": "/x"}) }},
	{name: "a mode", about: "volume0.mode", put: func(d tree) { in(d, "container", "volumes", 0)["mode"] = "XX" }},
	{name: "no check", about: "health2", put: func(d tree) { add(d, "healthChecks", tree{"protocol": "NOPE"}) }},
	{name: "a part of a constraint", about: "constraint1", put: func(d tree) { add(d, "constraints", items{"a"}) }},
	{name: "no constraint", about: "constraint1", put: func(d tree) { add(d, "constraints", 7) }},
	{name: "labels of a network", about: "network0.labels", put: func(d tree) { in(d, "networks", 0)["labels"] = 7 }},
	{name: "half a strategy", about: "upgrade.health", put: func(d tree) { in(d, "upgradeStrategy")["minimumHealthCapacity"] = "x" }},
	{name: "no selection", about: "kill", put: func(d tree) { d["killSelection"] = "X" }},
	{name: "an artifact without uri", about: "fetch1", put: func(d tree) { add(d, "fetch", tree{"extract": true}) }},
	{name: "a small factor", about: "backoff", put: func(d tree) { d["backoffFactor"] = 0.5 }},
	{name: "no secret", about: "secrets.t", put: func(d tree) { in(d, "secrets")["t"] = "x" }},
	{name: "no list", about: "args", put: func(d tree) { d["args"] = "x" }},
	{name: "an unknown field", about: "instnaces", put: func(d tree) { d["instnaces"] = 1 }},
	{name: "an unknown field below", about: "imgae", put: func(d tree) { in(d, "container", "docker")["imgae"] = "x" }},
	{name: "a number for a user", about: "user", put: func(d tree) { d["user"] = 0 }},
	{name: "no interval", about: "check.interval", put: func(d tree) { in(d, "check")["intervalSeconds"] = "10s" }},
	{name: "no dependency", about: "dependency1", put: func(d tree) { add(d, "dependencies", 7) }},
	// Of the forms from before Marathon 1.5.
	{name: "a credential", about: "credential", put: func(d tree) { in(d, "container", "docker")["credential"] = tree{"principal": "p"} }},
	{name: "parameters of docker run", about: "parameters", put: func(d tree) {
		in(d, "container", "docker")["parameters"] = items{tree{"key": "a", "value": "b"}}
	}},
	{name: "a network of docker run", about: "docker.network", put: func(d tree) { in(d, "container", "docker")["network"] = "BRIDGE" }},
	{name: "uris", about: "uris", put: func(d tree) { d["uris"] = items{"http://h/a b"} }},
	// Of today's.
	{name: "a short command", about: "cmd", put: func(d tree) { d["cmd"] = "x" }},
	{name: "both", about: "args", put: func(d tree) { d["args"] = items{"x"} }},
	{name: "a port's name twice", about: "mapping1.name admin", put: func(d tree) { in(d, "container", "portMappings", 1)["name"] = "web" }},
	{name: "a network that is not there", about: "mapping0.networkNames", put: func(d tree) {
		in(d, "container", "portMappings", 0)["networkNames"] = items{"three"}
	}},
	{name: "which network", about: "mapping1.hostPort", put: func(d tree) { in(d, "container", "portMappings", 1)["hostPort"] = 0 }},
	{name: "an index too many", about: "health0.portIndex", put: func(d tree) { in(d, "healthChecks", 0)["portIndex"] = 9 }},
	{name: "two of Mesos", about: "health2", put: func(d tree) { add(d, "healthChecks", tree{"protocol": "MESOS_TCP", "portIndex": 0}) }},
	{name: "no such port", about: "readiness.port", put: func(d tree) { in(d, "readinessChecks", 0)["portName"] = "none" }},
	{name: "a time-out", about: "readiness.timeout", put: func(d tree) { in(d, "readinessChecks", 0)["timeoutSeconds"] = 60 }},
	{name: "a low limit", about: "limit cpus", put: func(d tree) { in(d, "resourceLimits")["cpus"] = 0.5 }},
	{name: "no such secret", about: "env.U", put: func(d tree) { in(d, "env")["U"] = tree{"secret": "u"} }},
	{name: "no operator", about: "constraint1", put: func(d tree) { add(d, "constraints", items{"hostname", "NOPE"}) }},
	{name: "no roles", about: "roles", put: func(d tree) { d["acceptedResourceRoles"] = items{} }},
	{name: "a slash", about: "volume1.path", put: func(d tree) { in(d, "container", "volumes", 1)["containerPath"] = "a/b" }},
	{name: "no size", about: "volume1.size", put: func(d tree) { in(d, "container", "volumes", 1, "persistent")["size"] = 0 }},
	{name: "over capacity", about: "upgrade.over", put: func(d tree) { in(d, "upgradeStrategy")["maximumOverCapacity"] = 1 }},
	{name: "no URI", about: "fetch1", put: func(d tree) { add(d, "fetch", tree{"uri": "http://h/a b"}) }},
	{name: "a word of Marathon's", about: "dependency1", put: func(d tree) { add(d, "dependencies", "/shop/restart") },
		also: map[string]string{"restart.json": `{"id": "/shop/restart/app", "cmd": "sleep 1"}`}},
	{name: "half a migration", about: "labels.DCOS", put: func(d tree) { in(d, "labels")["DCOS_MIGRATION_API_VERSION"] = "v2" }},
	{name: "an unreachable one", about: "unreachable", put: func(d tree) {
		d["unreachableStrategy"] = tree{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}
	}},
	// Of what Marathon makes of it.
	{name: "an operator in lower case", about: "constraint1", put: func(d tree) { add(d, "constraints", items{"rack", "unique"}) }},
	{name: "a command and a path", about: "health1.path", put: func(d tree) { in(d, "healthChecks", 1)["path"] = "/" }},
	{name: "a check of two kinds", about: "check.exec", put: func(d tree) { in(d, "check")["exec"] = tree{"command": tree{"shell": "true"}} }},
	// Of what it stores.
	{name: "an index of a check", about: "check.index", put: func(d tree) { in(d, "check", "tcp")["portIndex"] = 9 }},
	{name: "seccomp", about: "linuxInfo", put: func(d tree) {
		in(d, "container")["linuxInfo"] = tree{"seccomp": tree{"profileName": "p", "unconfined": true}}
	}},
	{name: "a profile without a name", about: "volume1.profile", put: func(d tree) { in(d, "container", "volumes", 1, "persistent")["profileName"] = "" }},
	// Of ids, and beside others.
	{name: "an id of a dependency", about: "dependency1", put: func(d tree) { add(d, "dependencies", "/Shop/x") }},
	{name: "an unknown dependency", about: "dependency1", put: func(d tree) { add(d, "dependencies", "/shop/dbb") }},
	{name: "a cycle", about: "dependency1 same", put: func(d tree) { add(d, "dependencies", "/shop/back") },
		also: map[string]string{"back.json": `{"id": "/shop/back", "cmd": "sleep 1", "dependencies": ["/shop/web"]}`}},
	{name: "the same id", about: "same", put: func(tree) {}, also: map[string]string{"same.json": `{"id": "/shop/web", "cmd": "sleep 1"}`}},
	{name: "an app below", about: "below", put: func(tree) {}, also: map[string]string{"below.json": `{"id": "/shop/web/below", "cmd": "sleep 1"}`}},
}

// flawlessDocker has the forms from before Marathon 1.5.
const flawlessDocker = `{
	"id": "/shop/old", "cmd": "sleep 1000", "instances": 1, "cpus": 1, "mem": 128, "env": {"A": "1"}, "labels": {"a": "b"},
	"container": {"type": "DOCKER", "docker": {"image": "i", "network": "BRIDGE", "portMappings": [{"containerPort": 80}, {"containerPort": 81}]},
		"volumes": [{"containerPath": "/e", "mode": "RW", "external": {"name": "e", "provider": "dvdi", "options": {"dvdi/driver": "d"}}}]},
	"healthChecks": [{"protocol": "HTTP", "portIndex": 0, "path": "/"}], "constraints": [["hostname", "UNIQUE"]], "uris": ["http://h/a"],
	"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}, "dependencies": ["/shop/db"]
}`

var dockerFlaws = []flaw{
	{name: "text for a number", about: "instances", put: func(d tree) { d["instances"] = "2" }},
	{name: "a number in env", about: "env", put: func(d tree) { in(d, "env")["B"] = 7 }},
	{name: "no image", about: "image", put: func(d tree) { in(d, "container", "docker")["image"] = 7 }},
	{name: "no protocol", about: "mapping", put: func(d tree) { in(d, "container", "docker", "portMappings", 0)["protocol"] = "xx" }},
	{name: "a credential", about: "credential", put: func(d tree) { in(d, "container", "docker")["credential"] = tree{"principal": "p"} }},
	{name: "no URI", about: "uris", put: func(d tree) { d["uris"] = items{"http://h/a", "http://h/a b"} }},
	{name: "both uris and fetch", about: "fetch", put: func(d tree) { d["fetch"] = items{tree{"uri": "http://h/b"}} }},
	{name: "both mappings", about: "mappings", put: func(d tree) {
		in(d, "container")["portMappings"] = items{tree{"containerPort": 80}, tree{"containerPort": 82}}
	}},
	{name: "a network that is none", about: "network", put: func(d tree) { in(d, "container", "docker")["network"] = "NONE" }},
	{name: "both networks", about: "network", put: func(d tree) { d["networks"] = items{tree{"mode": "container/bridge"}} }},
	{name: "an address", about: "network ports mapping", put: func(d tree) { d["ipAddress"] = tree{"discovery": tree{"ports": items{}}} }},
	{name: "ports twice", about: "ports", put: func(d tree) { d["ports"] = items{9000, 9000} }},
	{name: "ports and definitions", about: "ports", put: func(d tree) { d["ports"], d["portDefinitions"] = items{9000}, items{tree{"port": 9001}} }},
	{name: "an index too many", about: "health.index", put: func(d tree) { in(d, "healthChecks", 0)["portIndex"] = 9 }},
	{name: "a command and a path", about: "health1", put: func(d tree) {
		add(d, "healthChecks", tree{"protocol": "COMMAND", "command": tree{"value": "true"}, "path": "/"})
	}},
	{name: "an operator in lower case", about: "constraint", put: func(d tree) { add(d, "constraints", items{"rack", "unique"}) }},
	{name: "gpus", about: "gpus", put: func(d tree) { d["gpus"] = 1 }},
	{name: "over capacity", about: "upgrade", put: func(d tree) { in(d, "upgradeStrategy")["maximumOverCapacity"] = 1 }},
	{name: "an unreachable one", about: "unreachable", put: func(d tree) {
		d["unreachableStrategy"] = tree{"inactiveAfterSeconds": 9, "expungeAfterSeconds": 0}
	}},
	{name: "a check", about: "check", put: func(d tree) { d["check"] = tree{"tcp": tree{"portIndex": 0}} }},
	{name: "a driver", about: "driver", put: func(d tree) { in(d, "container", "volumes", 0, "external", "options")["dvdi/driver"] = "D!" }},
	{name: "a size", about: "size", put: func(d tree) { in(d, "container", "volumes", 0, "external")["size"] = 1 }},
	{name: "a volume of another app", about: "external", put: func(tree) {}, also: map[string]string{"other.json": `{"id": "/shop/other", "cmd": "sleep 1", "instances": 1,
		"upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
		"container": {"type": "MESOS", "volumes": [{"containerPath": "e", "mode": "RW", "external": {"name": "e", "provider": "dvdi", "options": {"dvdi/driver": "d"}}}]}}`}},
	{name: "a cycle", about: "dependency", put: func(d tree) { add(d, "dependencies", "/shop/back") },
		also: map[string]string{"back.json": `{"id": "/shop/back", "cmd": "sleep 1", "dependencies": ["/shop/old"]}`}},
}

const flawlessPod = `{
	"id": "/shop/pod", "labels": {"a": "b"}, "user": "u", "environment": {"A": "1", "S": {"secret": "s"}}, "secrets": {"s": {"source": "/s"}}, "role": "shop",
	"scaling": {"kind": "fixed", "instances": 1}, "networks": [{"mode": "container", "name": "one"}],
	"scheduling": {"backoff": {"backoffFactor": 1.5}, "upgrade": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}, "unreachableStrategy": "disabled",
		"placement": {"constraints": [{"fieldName": "hostname", "operator": "UNIQUE"}], "acceptedResourceRoles": ["*"]}},
	"volumes": [{"name": "v", "host": "/v"}, {"name": "p", "persistent": {"size": 10, "type": "mount"}}],
	"containers": [
		{"name": "one", "resources": {"cpus": 0.1, "mem": 32}, "image": {"kind": "DOCKER", "id": "i"}, "exec": {"command": {"shell": "sleep 1000"}},
			"endpoints": [{"name": "web", "containerPort": 80, "hostPort": 0, "protocol": ["tcp"]}], "healthCheck": {"http": {"endpoint": "web", "path": "/"}},
			"volumeMounts": [{"name": "v", "mountPath": "v"}, {"name": "p", "mountPath": "p"}]},
		{"name": "two", "resources": {"cpus": 0.1, "mem": 32}, "endpoints": [{"name": "admin", "containerPort": 81}], "resourceLimits": {"cpus": 1}}]
}`

var podFlaws = []flaw{
	{name: "text for a number", about: "instances", put: func(d tree) { in(d, "scaling")["instances"] = "2" }},
	{name: "a kind of scaling", about: "kind", put: func(d tree) { in(d, "scaling")["kind"] = "x" }},
	{name: "no number", about: "cpus0", put: func(d tree) { in(d, "containers", 0, "resources")["cpus"] = "a" }},
	{name: "a name of a container", about: "name", put: func(d tree) { in(d, "containers", 1)["name"] = "T W O" }},
	{name: "an image without id", about: "image", put: func(d tree) { delete(in(d, "containers", 0, "image"), "id") }},
	{name: "no command", about: "exec", put: func(d tree) { in(d, "containers", 0, "exec")["command"] = "x" }},
	{name: "a number in environment", about: "env.B", put: func(d tree) { in(d, "environment")["B"] = 7 }},
	{name: "a name in environment", about: "env.1X", put: func(d tree) { in(d, "environment")["1X"] = "x" }},
	{name: "labels of a network", about: "network", put: func(d tree) { in(d, "networks", 0)["labels"] = 7 }},
	{name: "a small delay", about: "backoff", put: func(d tree) { in(d, "scheduling", "backoff")["maxLaunchDelay"] = -1 }},
	{name: "an unknown field", about: "imgae", put: func(d tree) { in(d, "containers", 1)["imgae"] = "x" }},
	{name: "no constraint", about: "constraint", put: func(d tree) { add(in(d, "scheduling", "placement"), "constraints", 7) }},
	{name: "a volume without a name", about: "volume2", put: func(d tree) { add(d, "volumes", tree{"host": "/w"}) }},
	{name: "a mount without a path", about: "mount2", put: func(d tree) { add(in(d, "containers", 0), "volumeMounts", tree{"name": "v"}) }},
	{name: "no such secret", about: "env.U", put: func(d tree) { in(d, "environment")["U"] = tree{"secret": "u"} }},
	{name: "no such volume", about: "mount2 volume2", put: func(d tree) { add(in(d, "containers", 0), "volumeMounts", tree{"name": "w", "mountPath": "w"}) }},
	{name: "a volume that nobody mounts", about: "volume2", put: func(d tree) { add(d, "volumes", tree{"name": "w"}) }},
	{name: "no such endpoint", about: "health.endpoint", put: func(d tree) { in(d, "containers", 0, "healthCheck", "http")["endpoint"] = "none" }},
	{name: "a time-out", about: "health.timeout", put: func(d tree) { in(d, "containers", 0, "healthCheck")["timeoutSeconds"] = 60 }},
	{name: "an endpoint's name twice", about: "endpoint1.name", put: func(d tree) { in(d, "containers", 1, "endpoints", 0)["name"] = "web" }},
	{name: "a protocol twice", about: "protocol", put: func(d tree) { in(d, "containers", 0, "endpoints", 0)["protocol"] = items{"tcp", "tcp"} }},
	{name: "a low limit", about: "limit", put: func(d tree) { in(d, "containers", 1, "resourceLimits")["cpus"] = 0.01 }},
	{name: "over capacity", about: "upgrade", put: func(d tree) { in(d, "scheduling", "upgrade")["maximumOverCapacity"] = 1 }},
	{name: "no roles", about: "roles", put: func(d tree) { in(d, "scheduling", "placement")["acceptedResourceRoles"] = items{"bad role"} }},
	{name: "no user", about: "user", put: func(d tree) { d["user"] = "" }},
	{name: "no operator", about: "constraint", put: func(d tree) {
		add(in(d, "scheduling", "placement"), "constraints", tree{"fieldName": "hostname", "operator": "NOPE"})
	}},
	{name: "a constraint of a volume", about: "volume1", put: func(d tree) {
		in(d, "volumes", 1, "persistent")["constraints"] = items{tree{"fieldName": "path", "operator": "UNLIKE", "value": "x"}}
	}},
	{name: "a role", about: "role roles", put: func(d tree) { d["role"] = "other" }},
	{name: "the same id", about: "same", put: func(tree) {}, also: map[string]string{"same.json": `{"id": "/shop/pod", "cmd": "sleep 1"}`}},
}

// TestOneRoundTellsAll: what is wrong in a definition is told at once, whatever stage
// of checking finds it: each flaw as if it were alone, and nothing that follows from
// another.
func TestOneRoundTellsAll(t *testing.T) {
	for name, kind := range map[string]struct {
		flawless string
		flaws    []flaw
	}{"app": {flawlessApp, appFlaws}, "docker": {flawlessDocker, dockerFlaws}, "pod": {flawlessPod, podFlaws}} {
		t.Run(name, func(t *testing.T) {
			if told := toldOf(t, kind.flawless, nil); len(told) > 0 {
				t.Fatalf("the flawless definition has flaws: %q", told)
			}
			alone := make([][]string, len(kind.flaws))
			for i, f := range kind.flaws {
				if alone[i] = toldOf(t, kind.flawless, []flaw{f}); len(alone[i]) == 0 {
					t.Fatalf("%s: nothing is told", f.name)
				}
			}
			check := func(these []int) {
				var flaws []flaw
				var names []string
				want := []string{}
				for _, i := range these {
					flaws, names = append(flaws, kind.flaws[i]), append(names, kind.flaws[i].name)
					want = append(want, alone[i]...)
				}
				told := toldOf(t, kind.flawless, flaws)
				for _, w := range want {
					if !slices.Contains(told, w) {
						t.Errorf("%s: not told: %s", strings.Join(names, " + "), w)
					}
				}
				for _, p := range told {
					if !slices.Contains(want, p) {
						t.Errorf("%s: told though none of them says so: %s", strings.Join(names, " + "), p)
					}
				}
			}
			for i := range kind.flaws {
				for j := range i {
					if independent(kind.flaws, []int{j}, i) {
						check([]int{j, i})
					}
				}
			}
			random := rand.New(rand.NewPCG(1, uint64(len(name))))
			for range 300 {
				var these []int
				for _, i := range random.Perm(len(kind.flaws)) {
					if len(these) < 3+random.IntN(5) && independent(kind.flaws, these, i) {
						these = append(these, i)
					}
				}
				check(these)
			}
		})
	}
}

func independent(flaws []flaw, these []int, other int) bool {
	for _, i := range these {
		for _, word := range strings.Fields(flaws[i].about) {
			if slices.Contains(strings.Fields(flaws[other].about), word) {
				return false
			}
		}
	}
	return true
}

var lineOfFile = regexp.MustCompile(`(json):\d+`)

// toldOf is what is told of a definition with flaws, as path and message: where it
// stands in the file depends on the other flaws.
func toldOf(t *testing.T, flawless string, flaws []flaw) []string {
	t.Helper()
	d := parseTree(t, []byte(flawless)).(map[string]any)
	files := fstest.MapFS{"db.json": {Data: []byte(`{"id": "/shop/db", "cmd": "sleep 1"}`)}}
	for _, f := range flaws {
		f.put(d)
		for name, text := range f.also {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	files["a.json"] = &fstest.MapFile{Data: text}
	c := UnknownCluster()
	c.MesosRole, c.Features, c.FlagsUnknown = "shop", []string{"secrets", "external_volumes", "gpu_resources"}, false
	desired := NewReader().Read(files, Options{Cluster: c})
	var told []string
	for _, p := range append(desired.Problems, desired.UnknownDependencies("/", nil)...) {
		if p.Severity == SeverityError || strings.Contains(p.Message, "depends on") {
			told = append(told, lineOfFile.ReplaceAllString(fmt.Sprintf("%s %s %s", p.File, p.Path, p.Message), "$1:…"))
		}
	}
	slices.Sort(told)
	return told
}

// TestHiddenRulesCostLittle: what is looked for behind errors of shape is bounded, in
// one large definition and in many.
func TestHiddenRulesCostLittle(t *testing.T) {
	names := strings.Builder{}
	for i := range 30 {
		fmt.Fprintf(&names, `{"containerPort": %d, "name": "n%d"},`, i, i)
	}
	one := `{"id": "/a%d", "cmd": "sleep 1", "networks": [{"mode": "container", "name": 7}], "container": {"type": "MESOS", "portMappings": [` + strings.TrimSuffix(names.String(), ",") + `]}, "args": [%s]}`
	large := fmt.Sprintf(one, 0, strings.Repeat(`"x",`, 4_900)+`"x"`)
	var many []string
	for i := range 180 {
		many = append(many, fmt.Sprintf(one, i, `"x"`))
	}
	for name, text := range map[string]string{"large": large, "many": "[" + strings.Join(many, ",") + "]"} {
		r := NewReader()
		d := r.Read(newSnapshot(fstest.MapFS{"a.json": file(text)}), Options{Cluster: UnknownCluster()})
		if tried := r.memory.files.get("a.json").result.tried; tried == 0 || tried > mostTried || len(d.Items) > 0 || len(d.Broken) == 0 {
			t.Errorf("%s: looked at %d values, %d items", name, tried, len(d.Items))
		}
		if args := slices.ContainsFunc(d.Problems, func(p Problem) bool { return strings.Contains(p.Message, "both cmd and args are given") }); !args {
			t.Errorf("%s: what is hidden is not told of any: %q", name, texts(d))
		}
	}
}
