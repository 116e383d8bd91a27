package manifests

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// said are complaints of Marathon: path → words.
type said map[string][]string

// complaint is a definition and all that Marathon complains of in it. Source:
// the validators and conversions of Marathon 1.11 (AppValidation,
// AppDefinition, PodsValidation, …); what is recorded is in
// TestAppTransitions and TestRecordedErrors.
type complaint struct {
	name string
	more string // beside the id, and for apps a cmd unless one stands there
	want said
	// cluster changes what the Marathon is like; nil for one with all features.
	cluster func(*Cluster)
}

const (
	oneCommand = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
	noSecrets  = "Feature secrets is not enabled. Enable with --enable_features secrets)"
	badCheck   = "check port index must address an element of the ports array or container port mappings."
	notEmpty   = "must not be empty"
)

func withoutFeatures(c *Cluster) { c.Features = nil }

func external(more string) string {
	return `"container": {"type": "MESOS", "volumes": [{"containerPath": "v", "mode": "RW", "external": {` + more + `}}]}`
}

func persistentVolume(more string) string {
	return `"container": {"type": "MESOS", "volumes": [{"containerPath": "v", "mode": "RW", "persistent": {` + more + `}}]}`
}

var appComplaints = []complaint{
	{name: "no container yet where ports are looked for", more: `"networks": [{"mode": "container/bridge"}], "healthChecks": [{"path": "/"}], "readinessChecks": [{"portName": "default"}]`,
		want: said{"/healthChecks(0)": {badPortIndex}, "/readinessChecks(0)/portName": {"No port definition reference for portName default"}}},
	{name: "and with a portIndex", more: `"networks": [{"mode": "container", "name": "a"}], "healthChecks": [{"protocol": "TCP", "portIndex": 0}]`, want: said{"/healthChecks(0)": {badPortIndex}}},
	{name: "a Mesos check has its container by then", more: `"networks": [{"mode": "container/bridge"}], "healthChecks": [{"protocol": "MESOS_HTTP"}]`},
	{name: "a port needs no index", more: `"networks": [{"mode": "container/bridge"}], "healthChecks": [{"port": 80}]`},
	{name: "the container is enough", more: `"networks": [{"mode": "container/bridge"}], "container": {"type": "MESOS"}, "healthChecks": [{"path": "/"}], "readinessChecks": [{"portName": "default"}]`},
	{name: "which of the old ports", more: `"ports": [0, 0], "healthChecks": [{"path": "/"}, {"protocol": "MESOS_TCP"}]`, want: said{"/healthChecks(0)": {badPortIndex}}},
	{name: "the only old port", more: `"ports": [0], "healthChecks": [{"path": "/"}]`},
	{name: "the first of the new ports", more: `"portDefinitions": [{}, {}], "healthChecks": [{"path": "/"}]`},
	{name: "no port", more: `"portDefinitions": [], "healthChecks": [{"path": "/"}]`, want: said{"/healthChecks(0)": {badPortIndex}}},
	{name: "no port for a Mesos check", more: `"portDefinitions": [], "healthChecks": [{"protocol": "MESOS_HTTP"}]`, want: said{"/healthChecks(0)": {badPortIndex}}},
	{name: "no such port for a Mesos check", more: `"healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 1}]`, want: said{"/healthChecks(0)": {badPortIndex}}},
	{name: "COMMAND without a command counts as a Mesos check", more: `"healthChecks": [{"protocol": "COMMAND"}, {"protocol": "MESOS_HTTP"}]`, want: said{"/": {"AppDefinition can contain at most one Mesos health check"}}},
	{name: "COMMAND without a command", more: `"healthChecks": [{"protocol": "COMMAND"}]`, want: said{"/": {"illegal protocol COMMAND for non-command health check"}}},
	{name: "command with another protocol", more: `"healthChecks": [{"protocol": "HTTP", "command": {"value": "true"}}]`, want: said{"/": {"illegal protocol HTTP specified with command"}}},
	{name: "IPv6", more: `"healthChecks": [{"protocol": "MESOS_HTTP", "ipProtocol": "IPv6"}]`, want: said{"/healthChecks(0)": {"IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks"}}},

	{name: "which port a check asks", more: `"portDefinitions": [{}, {}], "check": {"tcp": {}}`, want: said{"/check/get": {badCheck}}},
	{name: "no port for a check", more: `"portDefinitions": [], "check": {"http": {"portIndex": 0}}`, want: said{"/check/get": {badCheck}}},
	{name: "a check of a port", more: `"portDefinitions": [{}, {}], "check": {"tcp": {"port": 80}}`},
	{name: "a check that runs a command", more: `"portDefinitions": [], "check": {"exec": {"command": {"shell": "true"}}}`},

	{name: "an operator in lower case", more: `"constraints": [["hostname", "unique"]]`, want: said{"/": {"illegal constraint specification hostname,unique"}}},
	{name: "which waits for the rest to be right", more: `"constraints": [["hostname", "unique"]], "args": ["a"]`, want: said{"/": {oneCommand}}},
	{name: "constraints", more: `"constraints": [["a", "MAX_PER"], ["a", "MAX_PER", "x"], ["a", "LIKE"], ["a", "LIKE", "("], ["", "UNIQUE"], ["a", "IS", "a b"], ["a", "GROUP_BY", "x"]]`,
		want: said{"/constraints": {"GROUP BY must define an integer value or else no value at all", "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)",
			"LIKE and UNLIKE require a non-empty, regular expression value", "MAX_PER requires an integer value", "MAX_PER requires an integer value", "illegal constraint specification", "is not a valid regular expression"}}},

	{name: "an executor that is no path", more: `"executor": "//x"`, want: said{"/executor": {"error.pattern"}}},
	{name: "an executor that ends in a slash", more: `"executor": "/a/"`, want: said{"/executor": {"error.pattern"}}},
	{name: "one character of two bytes", more: `"cmd": "é"`, want: said{"/": {"must not be an empty string"}}},
	{name: "nothing to run, and no image", more: `"cmd": null, "container": {"type": "MESOS"}`, want: said{"/": {oneCommand}}},
	{name: "which waits for the rest to be right, too", more: `"cmd": null, "container": {"type": "MESOS"}, "requirePorts": true, "portDefinitions": [{"name": "a"}, {"name": "a"}]`, want: said{"/portDefinitions": {"Port names must be unique."}}},

	{name: "mixed networks", more: `"networks": [{"mode": "host"}, {"mode": "container", "name": "a"}], "container": {"docker": {"image": "a"}, "portMappings": [{"name": "a"}, {"name": "a"}]}`,
		want: said{"/networks": {"May specify a single host network, single bridge network, or else 1-to-n container networks"}}},

	{name: "no roles, resident", more: `"acceptedResourceRoles": [], ` + persistentVolume(`"size": 1`), want: said{"/acceptedResourceRoles": {"A resident app must have `acceptedResourceRoles = [\"*\"]`.", notEmpty}}, cluster: withRole},
	{name: "odd roles", more: `"acceptedResourceRoles": ["a b", "-a", "."]`, want: said{"/acceptedResourceRoles": {"A role name must not be \".\".", "A role name must not start with a '-'.", "acceptedResourceRoles can only contain *"},
		"/acceptedResourceRoles(1)": {`A role name must not include a space (\x20) character.`}}},
	{name: "resident with the role *", more: persistentVolume(`"size": 1`), want: said{"/role": {"Resident apps cannot have the role *"}}},

	{name: "variables and secrets without a name", more: `"env": {"": "a"}, "secrets": {"": {"source": "a"}}`, want: said{"/env/keys(0)": {notEmpty}, "/secrets/keys(0)": {notEmpty}}},
	{name: "a secret volume without the feature", more: `"container": {"type": "MESOS", "volumes": [{"containerPath": "a", "secret": "s"}]}`, cluster: withoutFeatures,
		want: said{"/container/secretVolumes(container)": {noSecrets, "must be empty"}, "/container/volumes(0)": {"volume.secret must refer to an existing secret"}}},
	{name: "pullConfig without the feature", more: `"container": {"type": "MESOS", "docker": {"image": "a", "pullConfig": {"secret": "s"}}}`, cluster: withoutFeatures,
		want: said{"/container/docker/pullConfig": {noSecrets, "must be empty", "pullConfig.secret must refer to an existing secret"}}},

	{name: "a size of 0", more: persistentVolume(`"size": 0`), want: said{"/container/volumes(0)/persistent/size": {"got 0, expected more than 0"}}, cluster: withRole},
	{name: "maxSize on root", more: persistentVolume(`"size": 10, "maxSize": 5`), want: said{"/container/volumes(0)/persistent": {"Max size must be larger than size", "Only mount volumes can have maxSize"}}, cluster: withRole},
	{name: "a profile alone makes no mount volume in time", more: persistentVolume(`"size": 10, "maxSize": 50, "profileName": "p", "constraints": [["path", "LIKE", "a"]]`),
		want: said{"/container/volumes(0)/persistent": {"Constraints on root volumes are not supported", "Only mount volumes can have maxSize"}}, cluster: withRole},
	{name: "a profile without a name", more: persistentVolume(`"size": 10, "profileName": ""`), want: said{"/container/volumes(0)/volume/persistent/profileName": {notEmpty}}, cluster: withRole},
	{name: "UNLIKE for volumes", more: persistentVolume(`"size": 10, "type": "mount", "constraints": [["path", "UNLIKE", "a"]]`), want: said{"/": {"illegal volume constraint path,UNLIKE,a"}}, cluster: withRole},

	{name: "an external volume of nobody", more: external(`"options": {"dvdi/driver": "d"}`), want: said{"/container/volumes(0)/external/name": {notEmpty}, "/container/volumes(0)/external/provider": {"not defined"}}},
	{name: "an unknown provider", more: external(`"name": "v", "provider": "x"`) + `, "instances": 2`, want: said{"/container/volumes(0)/external/provider": {"is unknown provider"}}},
	{name: "dvdi without name and driver", more: external(`"provider": "dvdi"`), want: said{"/container/volumes(0)/external/name": {notEmpty, "not defined"}, `/container/volumes(0)/external/options("dvdi/driver")`: {"not defined"}}},
	{name: "options of rexray", more: external(`"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "rexray", "dvdi/iops": "many"}`),
		want: said{`/container/volumes(0)/external/options/"dvdi/iops"`: {"Expected a valid, positive integer instead of many"}}},
	{name: "options that are none", more: external(`"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "d", "x": "y"}`),
		want: said{"/container/volumes(0)/external/options/keys": {`must match regular expression '^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?/[A-Za-z0-9](?:[-A-Za-z0-9\._:]*[A-Za-z0-9])?$'`}}},
	{name: "an external volume in Docker", more: `"container": {"docker": {"image": "a"}, "volumes": [{"containerPath": "v", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "size": 5, "options": {"dvdi/driver": "d", "dvdi/x": "y"}}}]}`,
		want: said{"/container/volumes(0)/external/options": {"must only contain dvdi/driver"}, "/container/volumes(0)/external/size": {"must be undefined for Docker containers"}}},
	{name: "an external volume twice", more: `"container": {"type": "MESOS", "volumes": [{"containerPath": "a", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "d"}}},
		{"containerPath": "b", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "d"}}}]}`,
		want: said{"/": {"Requested DVDI volume 'v' is declared more than once within app /shop/x"}, "/container/volumes": {"Volume names must be unique"}}},
	{name: "what goes wrong in a volume makes it a host volume", more: persistentVolume(`"size": -1`),
		want: said{"/container/volumes(0)/hostPath": {`'hostPath' is undefined on object: {"containerPath":"v","mode":"RW","persistent":{"size":-1}}`}}},
	{name: "or without a mode", more: `"container": {"type": "MESOS", "volumes": [{"containerPath": "v", "secret": ""}]}`,
		want: said{"/container/volumes(0)/hostPath": {`'hostPath' is undefined on object: {"containerPath":"v","secret":""}`}, "/container/volumes(0)/mode": {`'mode' is undefined on object: {"containerPath":"v","secret":""}`}}},
	{name: "options that are no text", more: external(`"name": "v", "provider": "dvdi", "options": {"dvdi/driver": 1}`),
		want: said{"/container/volumes(0)/hostPath": {`'hostPath' is undefined on object: {"containerPath":"v","external":{"name":"v","options":{"dvdi/driver":1},"provider":"dvdi"},"mode":"RW"}`}}},
	{name: "what goes wrong in a command makes it argv", more: `"check": {"exec": {"command": {"shell": ""}}}`, want: said{"/check/exec/command/argv": {`'argv' is undefined on object: {"shell":""}`}}},

	{name: "both at once, single and resident", more: persistentVolume(`"size": 1`) + `, "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}`,
		want: said{"/upgradeStrategy/minimumHealthCapacity": {"got 0.5, expected 0.0"}}, cluster: withRole},
}

func podMore(container, pod string) string {
	return `"containers": [{"name": "c", "resources": {"cpus": 1, "mem": 32}` + container + `}]` + pod
}

var podComplaints = []complaint{
	{name: "a constraint", more: podMore("", `, "scheduling": {"placement": {"constraints": [{"fieldName": "hostname", "operator": "unique", "value": "x"}]}}`),
		want: said{"/scheduling/placement/constraints": {"must be empty"}, "/scheduling/placement/constraints(0)": {"UNIQUE does not accept a value"}}},
	{name: "an operator in lower case is one", more: podMore("", `, "scheduling": {"placement": {"constraints": [{"fieldName": "hostname", "operator": "unique"}]}}`)},
	{name: "secrets without the feature", more: podMore("", `, "secrets": {"s": {"source": "a"}}`), want: said{"/secrets": {noSecrets, "must be empty"}}, cluster: withoutFeatures},
	{name: "a secret volume", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "secret": "s"}]`),
		want: said{"/podSecretVolumes(pod)": {noSecrets, "must be empty"}, "/podSecretVolumes(pod)(0)/secret": {"volume.secret must refer to an existing secret"}}, cluster: withoutFeatures},
	{name: "a secret volume of no secret", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "secret": "s"}]`),
		want: said{"/podSecretVolumes(pod)": {"must be empty"}, "/podSecretVolumes(pod)(0)/secret": {"volume.secret must refer to an existing secret"}}},
	{name: "pullConfig", more: podMore(`, "image": {"kind": "DOCKER", "id": "a", "pullConfig": {"secret": "s"}}`, ""), cluster: withoutFeatures,
		want: said{"/containers(0)/image/pullConfig": {noSecrets, "must be empty", "pullConfig.secret must refer to an existing secret"}}},
	{name: "a name of a variable", more: podMore(`, "environment": {"1A": "x"}`, `, "environment": {"a-b": "x"}`), want: said{"/environment/a-b": {"error.pattern"}, "/containers(0)/environment/1A": {"error.pattern"}}},
	{name: "looked at last", more: podMore("", `, "environment": {"a-b": "x", "c": 1}`), want: said{"/environment/c": {"error.expected.jsobject"}}},
	{name: "roles wait for the rest to be right", more: podMore("", `, "role": "other", "user": ""`), want: said{"/user": {notEmpty}}},
	{name: "roles", more: podMore("", `, "role": "other", "scheduling": {"placement": {"acceptedResourceRoles": ["third"]}}`),
		want: said{"/role": {"got other, expected one of: [*, shop]"}, "/acceptedResourceRoles": {"acceptedResourceRoles can only contain * and other"}}},
	{name: "resident", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "persistent": {"size": 1}}], "scheduling": {"placement": {"acceptedResourceRoles": ["dev"]}, "upgrade": {"minimumHealthCapacity": 0.5}, "unreachableStrategy": {}}`),
		want: said{"/acceptedResourceRoles": {"A resident pod must have `acceptedResourceRoles = [\"*\"]`.", "must be empty"}, "/upgrade/maximumOverCapacity": {"got 1.0, expected 0.0"},
			"/": {"unreachableStrategy must be disabled for pods with persistent volumes"}}, cluster: withRole},
	{name: "resident with the role *", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "persistent": {"size": 1}}]`), want: said{"/role": {"Resident pods cannot have the role *"}}},
	{name: "a volume's constraint", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "persistent": {"size": 1, "type": "mount", "constraints": [["path", "UNLIKE", "a"]]}}]`),
		want: said{"/": {"illegal volume constraint path,UNLIKE,a"}}, cluster: withRole},
	{name: "a profile makes a mount volume", more: podMore(`, "volumeMounts": [{"name": "v", "mountPath": "a"}]`, `, "volumes": [{"name": "v", "persistent": {"size": 1, "maxSize": 5, "profileName": "p", "constraints": [["path", "LIKE", "a"]]}}]`), cluster: withRole},
	{name: "shared cgroups", more: podMore(`, "resourceLimits": {"mem": 64}`, `, "legacySharedCgroups": true`), want: said{"/containers(0)/resourceLimits": {"resourceLimits cannot be defined if legacySharedCgroups is enabled"}}},
	{name: "an endpoint", more: podMore(`, "endpoints": [{"name": "a", "containerPort": 80, "protocol": ["tcp", "tcp"], "networkNames": ["n"]}, {"name": "a", "containerPort": 80, "hostPort": 8080}], "healthCheck": {"tcp": {"endpoint": "b"}, "timeoutSeconds": 60}`, `, "networks": [{"mode": "host"}]`),
		want: said{"/containers(0)/endpoints(0)/networkNames(0)": {"is not one of ()"}, "/containers(0)/endpoints(0)/containerPort": {"is not allowed when using host-mode networking"},
			"/containers(0)/endpoints(0)/protocol": {"Duplicate protocols within the same endpoint are not allowed"}, "/containers(0)/endpoints(1)/containerPort": {"is not allowed when using host-mode networking"},
			"/containers(0)/healthCheck/tcp/endpoint": {"contained in the container endpoints"}, "/containers(0)/healthCheck/timeoutSeconds": {"got 60, expected less than 60"},
			"/": {"container ports must be unique across all containers", "endpoint names nust be unique across all containers"}}},
	{name: "two kinds of health check", more: podMore(`, "endpoints": [{"name": "a"}], "healthCheck": {"tcp": {"endpoint": "a"}, "exec": {"command": {"argv": ["a"]}}}`, ""), want: said{"/containers(0)/healthCheck": {"Only one of http, tcp, or command may be specified"}}},
	{name: "an unnamed network", more: podMore("", `, "networks": [{}]`), want: said{"/networks": {"Network name must be specified when container network is selected."}}},
	{name: "a container twice", more: `"containers": [{"name": "c", "resources": {}}, {"name": "c", "resources": {}}]`, want: said{"/containers": {"container names must be unique"}}},
	{name: "an empty command", more: podMore(`, "exec": {"command": {"argv": []}}`, ""), want: said{"/containers(0)/exec/command/argv": {"error.minLength"}}},
}

func TestComplaints(t *testing.T) {
	for _, row := range appComplaints {
		t.Run("app: "+row.name, func(t *testing.T) { testComplaint(t, appRules, row, `"cmd": "sleep 100", `) })
	}
	for _, row := range podComplaints {
		t.Run("pod: "+row.name, func(t *testing.T) { testComplaint(t, podRules, row, "") })
	}
}

func testComplaint[T any](t *testing.T, r rules[T], row complaint, first string) {
	c := DefaultCluster()
	c.Features = []string{"external_volumes", "gpu_resources", "secrets"}
	if row.cluster != nil {
		row.cluster(&c)
	}
	found := check(r, parseTree(t, []byte(`{"id": "/shop/x", `+first+row.more+`}`)), &c)
	got := said(complaints(found))
	if row.want == nil {
		row.want = said{}
	}
	if diff := cmp.Diff(row.want, got); diff != "" {
		t.Errorf("complaints, wanted - and found +:\n%s", diff)
	}
	if len(row.want) > 0 != (len(errorsOf(found)) > 0) {
		t.Errorf("Marathon and Pacer do not agree: %+v", found)
	}
	if len(row.want) > 0 && !slices.ContainsFunc(found, func(v Violation) bool { return v.Message != "" && !v.Warning }) {
		t.Errorf("no message for a person: %+v", found)
	}
}
