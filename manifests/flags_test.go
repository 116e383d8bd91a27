package manifests

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// What only a flag of Marathon decides is a warning where no Marathon is asked,
// and an error where one has answered that it lacks the flag. What no flag makes
// right stays an error.
func TestFlagsThatAreNotKnown(t *testing.T) {
	const volume = `"container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}]}`
	pod := func(more string) string {
		return `{"id": "/p", "scaling": {"kind": "fixed", "instances": 1}, "containers": [{"name": "a", "resources": {"cpus": 0.1, "mem": 32}` + more + `}`
	}
	for text, flag := range map[string]string{
		`{"id": "/a", "cmd": "sleep 1", ` + volume + `}`:                                                                                                         "--mesos_role",
		`{"id": "/a", "cmd": "sleep 1", "role": "dev", ` + volume + `}`:                                                                                          "--mesos_role dev",
		`{"id": "/a", "cmd": "sleep 1", "acceptedResourceRoles": ["*", "dev"]}`:                                                                                  "--mesos_role dev",
		`{"id": "/a", "cmd": "sleep 1", "gpus": 1, "container": {"type": "MESOS"}}`:                                                                              "--enable_features gpu_resources",
		`{"id": "/a", "cmd": "sleep 1", "env": {"A": {"secret": "s"}}, "secrets": {"s": {"source": "/s"}}}`:                                                      "--enable_features secrets",
		`{"id": "/a", "cmd": "sleep 1", "networks": [{"mode": "container"}], "container": {"type": "MESOS"}}`:                                                    "--default_network_name",
		`{"id": "/a", "cmd": "sleep 1", "secrets": {"s": {"source": "/s"}}, "container": {"type": "MESOS", "volumes": [{"containerPath": "c", "secret": "s"}]}}`: "--enable_features secrets",
		`{"id": "/a", "container": {"type": "MESOS", "docker": {"image": "i", "pullConfig": {"secret": "s"}}}, "secrets": {"s": {"source": "/s"}}}`:              "--enable_features secrets",
		pod(`, "environment": {"A": {"secret": "s"}}}], "secrets": {"s": {"source": "/s"}}`):                                                                     "--enable_features secrets",
		pod(`, "image": {"kind": "DOCKER", "id": "i", "pullConfig": {"secret": "s"}}}], "secrets": {"s": {"source": "/s"}}`):                                     "--enable_features secrets",
		pod(`, "volumeMounts": [{"name": "v", "mountPath": "v"}]}], "volumes": [{"name": "v", "secret": "s"}], "secrets": {"s": {"source": "/s"}}`):              "--enable_features secrets",
		pod(`, "volumeMounts": [{"name": "v", "mountPath": "v"}]}], "volumes": [{"name": "v", "persistent": {"size": 10}}]`):                                     "--mesos_role",
		pod(`}], "scheduling": {"placement": {"acceptedResourceRoles": ["dev"]}}`):                                                                               "--mesos_role dev",
		pod(`}], "networks": [{"mode": "container"}]`):                                                                                                           "--default_network_name",

		`{"id": "/a", "cmd": "sleep 1", "role": "*", ` + volume + `}`:                            "",
		`{"id": "/a", "cmd": "sleep 1", "acceptedResourceRoles": ["one", "two"]}`:                "",
		`{"id": "/a", "cmd": "sleep 1", "env": {"A": {"secret": "s"}}}`:                          "",
		`{"id": "/a", "cmd": "sleep 1", "role": "dev", "acceptedResourceRoles": ["other"]}`:      "",
		`[{"id": "/g", "enforceRole": true}, {"id": "/g/a", "cmd": "sleep 1", "role": "dev"}]`:   "",
		`{"id": "/a", "cmd": "sleep 1", "networks": [{}, {}], "container": {"type": "MESOS"}}`:   "",
		`{"id": "/a", "cmd": "sleep 1", "gpus": 1, "container": {"docker": {"image": "nginx"}}}`: "",
	} {
		read := func(c Cluster) (errors, warnings []string) {
			for _, p := range NewReader().Read(fstest.MapFS{"a.json": {Data: []byte(text)}}, Options{Cluster: c}).Problems {
				if p.Severity == SeverityError {
					errors = append(errors, p.Message)
				} else {
					warnings = append(warnings, p.Message)
				}
			}
			return errors, warnings
		}
		told := func(m string) bool { return strings.Contains(m, " is accepted only by a Marathon with "+flag) }
		errors, warnings := read(UnknownCluster())
		if (len(errors) > 0) != (flag == "") || flag != "" && !slices.ContainsFunc(warnings, told) {
			t.Errorf("%s\nerrors %q\nwarnings %q", text, errors, warnings)
		}
		errors, warnings = read(DefaultCluster())
		if len(errors) == 0 || slices.ContainsFunc(warnings, func(m string) bool { return strings.Contains(m, "accepted only") }) {
			t.Errorf("without the flag: %s\nerrors %q\nwarnings %q", text, errors, warnings)
		}
		if slices.ContainsFunc(errors, func(m string) bool { return strings.Contains(m, "--marathon") }) {
			t.Errorf("names a flag of a verb: %q", errors)
		}
	}
}
