package manifests

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// Errors of shape and Marathon's rules are told in one round, each where it
// stands.
func TestRulesAreToldBesideErrorsOfShape(t *testing.T) {
	const text = `labels: {a: b}
id: /b
instances: "2"
cmd: x
cpus: a
acceptedResourceRoles: []
constraints: [[hostname, NOPE]]
networks: 7
healthChecks: [{protocol: TCP, portIndex: 7}]
`
	want := []string{
		`a.yaml:3:1: /b: instances is "2", a string: write the number 2 without quotes`,
		`a.yaml:4:1: /b: cmd has one character: Marathon takes two or more`,
		`a.yaml:5:1: /b: cpus is "a", a string: write a number`,
		`a.yaml:6:1: /b: acceptedResourceRoles is empty: name a role, or leave it out`,
		`a.yaml:7:15: /b: constraint [hostname, NOPE]: "NOPE" is not an operator: write one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS`,
		`a.yaml:8:1: /b: networks is 7, a number: write a list`,
		`a.yaml:9:16: /b: portIndex is 7, but the app has 1 port: the first has the index 0`, // whatever its networks are
	}
	if d := cmp.Diff(want, texts(NewReader().Read(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, Options{}))); d != "" {
		t.Error(d)
	}
}

// One field of another shape makes no rule say anything of the others, which are
// right.
func TestErrorsOfShapeMakeNoOthers(t *testing.T) {
	for _, text := range []string{
		`{"id": "/a", "cmd": "sleep 1", "user": "u", "env": {"A": {"secret": "s"}}, "secrets": {"s": {"source": "/s"}}, "instances": 1, "cpus": 2, "mem": 200, "gpus": 1,
		"resourceLimits": {"cpus": 3, "mem": "unlimited"}, "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "constraints": [["hostname", "UNIQUE"]], "role": "r",
		"acceptedResourceRoles": ["*"], "upgradeStrategy": {"maximumOverCapacity": 0, "minimumHealthCapacity": 0}, "unreachableStrategy": "disabled", "fetch": [{"uri": "http://h/a"}],
		"networks": [{"mode": "container", "name": "one"}, {"mode": "container", "name": "two"}],
		"container": {"type": "MESOS", "docker": {"image": "i", "pullConfig": {"secret": "s"}}, "portMappings": [{"containerPort": 80, "name": "web", "hostPort": 0, "networkNames": ["two"]}],
			"volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}, {"containerPath": "s", "secret": "s"}]},
		"healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 0}], "readinessChecks": [{"portName": "web"}], "check": {"http": {"portIndex": 0}}}`,
		`{"id": "/a", "cmd": "sleep 1", "portDefinitions": [{"port": 0, "name": "a"}, {"port": 0, "name": "b"}], "requirePorts": false, "healthChecks": [{"protocol": "TCP", "portIndex": 1}]}`,
		`{"id": "/a", "cmd": "sleep 1", "ipAddress": {"discovery": {"ports": [{"number": 80, "name": "a"}]}}, "healthChecks": [{"protocol": "TCP", "portIndex": 0}]}`,
		`{"id": "/p", "scaling": {"kind": "fixed", "instances": 1}, "networks": [{"mode": "container", "name": "n"}], "secrets": {"s": {"source": "/s"}}, "environment": {"A": {"secret": "s"}},
		"role": "r", "scheduling": {"placement": {"acceptedResourceRoles": ["*"]}, "unreachableStrategy": "disabled", "upgrade": {"maximumOverCapacity": 0, "minimumHealthCapacity": 0}},
		"volumes": [{"name": "v", "persistent": {"size": 10}}, {"name": "s", "secret": "s"}],
		"containers": [{"name": "c", "resources": {"cpus": 0.1, "mem": 32}, "environment": {"B": {"secret": "s"}}, "endpoints": [{"name": "e", "containerPort": 80, "hostPort": 0, "networkNames": ["n"]}],
			"healthCheck": {"http": {"endpoint": "e"}}, "volumeMounts": [{"name": "v", "mountPath": "v"}, {"name": "s", "mountPath": "s"}]}]}`,
	} {
		read := func(tree map[string]any) []Problem {
			b, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			return NewReader().Read(fstest.MapFS{"a.json": {Data: b}}, Options{Cluster: UnknownCluster()}).Problems
		}
		tree := parseTree(t, []byte(text)).(map[string]any)
		if errors, _ := CountProblems(read(tree)); errors > 0 {
			t.Fatal(read(tree))
		}
		_, pod := tree["containers"]
		var spoil func(at string, value any, set func(any))
		spoil = func(at string, right any, set func(any)) {
			for _, wrong := range []any{true, "X Y", json.Number("-1"), []any{[]any{}}} {
				set(wrong)
				_, shape := DecodeApp(tree)
				if pod {
					_, shape = DecodePod(tree)
				}
				if !slices.ContainsFunc(shape, func(v Violation) bool { return v.Status != 0 }) {
					continue // it is right in shape
				}
				for _, p := range read(tree) {
					if p.Severity == SeverityError && !slices.ContainsFunc(shape, func(v Violation) bool { return v.Message == p.Message }) {
						t.Errorf("%s is %v: %s", at, wrong, p)
					}
				}
			}
			set(right)
			switch right := right.(type) {
			case map[string]any:
				for _, key := range sortedKeys(right) {
					spoil(at+"/"+key, right[key], func(v any) { right[key] = v })
				}
			case []any:
				for i := range right {
					spoil(at+"("+itoa(i)+")", right[i], func(v any) { right[i] = v })
				}
			}
		}
		for _, name := range sortedKeys(tree) {
			if name != "id" {
				spoil("/"+name, tree[name], func(v any) { tree[name] = v })
			}
		}
	}
}
