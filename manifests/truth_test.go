package manifests

import (
	"maps"
	"strings"
	"testing"
)

// truth says of one definition, once live, which others are equal to it and
// what the rest would do: "restart", "scale", "metadata", or "422" and "500"
// for what Marathon refuses, "mistake" for what only Pacer refuses. All of it
// was measured on a running Marathon 1.11. Members of equal and other are laid
// over the definition; the value "-" takes a member away.
type truth struct {
	name  string
	live  string
	equal []string
	other map[string]string // what is laid over → outcome
	// cluster changes what the Marathon is like; nil for one with all features.
	cluster func(*Cluster)
}

const (
	bridged   = `"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}]}`
	onDCOS    = `"container": {"type": "MESOS", "docker": {"image": "a"}, "portMappings": [{"containerPort": 80}]}`
	defaulted = `{"args": [], "env": {}, "labels": {}, "fetch": [], "healthChecks": [], "constraints": [], "dependencies": [], "uris": [],
		"user": null, "container": null, "tty": null, "backoffFactor": 1.15, "backoffSeconds": 1, "maxLaunchDelaySeconds": 300, "cpus": 1, "mem": 128,
		"disk": 0, "gpus": 0, "executor": "", "instances": 1, "requirePorts": false, "killSelection": "YOUNGEST_FIRST", "role": "*",
		"networks": [{"mode": "host"}], "portDefinitions": [{"port": 0, "name": "default", "protocol": "tcp"}],
		"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}, "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}}`
	defaultHealth = `"gracePeriodSeconds": 300, "intervalSeconds": 60, "timeoutSeconds": 20, "maxConsecutiveFailures": 3`
)

func withRole(c *Cluster)           { c.MesosRole = "dev" }
func withDefaultNetwork(c *Cluster) { c.DefaultNetworkName = "dcosdef" }

var appTruths = []truth{
	{name: "command only", live: `{"cmd": "sleep 100"}`, equal: []string{defaulted}, other: map[string]string{
		`{"portDefinitions": []}`: "restart", `{"ports": []}`: "restart", `{"ports": [0]}`: "restart",
		`{"portDefinitions": [{"port": 0}]}`: "restart", `{"user": "root"}`: "restart", `{"unknown": 1}`: "mistake"}},
	{name: "numbers", live: `{"cmd": "sleep 100", "cpus": 1, "mem": 64, "disk": 10, "backoffFactor": 1.5}`,
		equal: []string{`{"cpus": 1.0, "mem": 6.4e1, "backoffFactor": 1.50, "gpus": 0.0, "instances": 1.0, "backoffSeconds": 1.0}`},
		other: map[string]string{`{"cpus": 1.0000001}`: "restart", `{"instances": 1.5}`: "422", `{"cpus": "1"}`: "422"}},
	{name: "args", live: `{"args": ["sleep", "100"]}`, equal: []string{`{"cmd": null}`},
		other: map[string]string{`{"args": ["100", "sleep"]}`: "restart", `{"args": "-", "cmd": "sleep 100"}`: "restart", `{"cmd": "sleep"}`: "422"}},
	{name: "command byte for byte", live: `{"cmd": "sleep 100 "}`,
		other: map[string]string{`{"cmd": "sleep 100"}`: "restart", `{"cmd": "a"}`: "422", `{"cmd": ""}`: "422"}},
	{name: "maps", live: `{"cmd": "sleep 100", "labels": {"b": "1", "a": "2"}, "env": {"X": "1", "Y": ""}}`,
		equal: []string{`{"labels": {"a": "2", "b": "1"}}`},
		other: map[string]string{`{"env": {"X": "1"}}`: "restart", `{"env": {"X": "1", "Y": null}}`: "422", `{"env": {"X": 1, "Y": ""}}`: "422",
			`{"labels": {"b": "1"}}`: "restart", `{"env": "-"}`: "restart"}},
	{name: "user", live: `{"cmd": "sleep 100", "user": "nobody"}`, other: map[string]string{`{"user": "-"}`: "restart", `{"user": ""}`: "restart"}},
	{name: "executor", live: `{"cmd": "sleep 100", "executor": ""}`, equal: []string{`{"executor": "-"}`},
		other: map[string]string{`{"executor": "//cmd"}`: "restart", `{"executor": "/bin/x"}`: "restart"}},
	{name: "grace period", live: `{"cmd": "sleep 100", "taskKillGracePeriodSeconds": 5}`, equal: []string{`{"taskKillGracePeriodSeconds": 5.0}`},
		other: map[string]string{`{"taskKillGracePeriodSeconds": 0}`: "restart", `{"taskKillGracePeriodSeconds": "-"}`: "restart"}},
	{name: "tty false is absent, on purpose", live: `{"cmd": "sleep 100", "tty": false}`, equal: []string{`{"tty": "-"}`},
		other: map[string]string{`{"tty": true}`: "restart"}},
	{name: "empty limits are not none", live: `{"cmd": "sleep 100", "resourceLimits": {}}`, other: map[string]string{`{"resourceLimits": "-"}`: "restart"}},
	{name: "instances", live: `{"cmd": "sleep 100", "instances": 1}`,
		other: map[string]string{`{"instances": 2}`: "scale", `{"instances": 0}`: "scale", `{"instances": 2, "labels": {"a": "b"}}`: "restart"}},

	{name: "accepted roles", live: `{"cmd": "sleep 100", "acceptedResourceRoles": ["*"]}`, equal: []string{`{"acceptedResourceRoles": ["*", "*"]}`},
		other: map[string]string{`{"acceptedResourceRoles": "-"}`: "restart", `{"acceptedResourceRoles": null}`: "restart",
			`{"acceptedResourceRoles": []}`: "422", `{"acceptedResourceRoles": ["foo"]}`: "422"}},
	{name: "dependencies", live: `{"cmd": "sleep 100", "dependencies": ["/x/a", "/x/b"]}`,
		equal: []string{`{"dependencies": ["/x/b", "/x/a"]}`, `{"dependencies": ["/x/b", "/x/a", "/x/a"]}`, `{"dependencies": ["/x/a/", "/x//b"]}`, `{"dependencies": ["x/a", "x/b"]}`},
		other: map[string]string{`{"dependencies": ["/x/a"]}`: "restart"}},
	{name: "constraints", live: `{"cmd": "sleep 100", "constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY", "3"]]}`,
		equal: []string{`{"constraints": [["rack", "GROUP_BY", "3"], ["hostname", "UNIQUE"], ["hostname", "UNIQUE"]]}`},
		other: map[string]string{`{"constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY", "4"]]}`: "restart",
			`{"constraints": [["hostname", "unique"], ["rack", "GROUP_BY", "3"]]}`: "500",
			`{"constraints": [["hostname", "UNIQUE"], ["rack", "GROUP_BY"]]}`:      "mistake", `{"constraints": [["rack", "GROUP_BY", 3]]}`: "422", `{"constraints": [["hostname", "UNIQUE", ""]]}`: "422"}},
	{name: "two health checks", live: `{"cmd": "sleep 100", "healthChecks": [{"path": "/a"}, {"path": "/b"}]}`,
		equal: []string{`{"healthChecks": [{"path": "/b"}, {"path": "/a"}, {"path": "/a"}]}`}, other: map[string]string{`{"healthChecks": [{"path": "/a"}]}`: "restart"}},
	{name: "ready codes", live: `{"cmd": "sleep 100", "readinessChecks": [{"portName": "default", "httpStatusCodesForReady": [200]}]}`,
		equal: []string{`{"readinessChecks": [{"portName": "default"}]}`},
		other: map[string]string{`{"readinessChecks": [{"portName": "default", "httpStatusCodesForReady": [201, 200]}]}`: "restart",
			`{"readinessChecks": [{"portName": "default", "httpStatusCodesForReady": []}]}`: "422"}},
	{name: "kill selection", live: `{"cmd": "sleep 100", "killSelection": "OLDEST_FIRST"}`, equal: []string{`{"killSelection": "oldest_first"}`},
		other: map[string]string{`{"killSelection": "-"}`: "restart", `{"killSelection": "OldestFirst"}`: "422"}},
	{name: "order of networks", live: `{"cmd": "sleep 100", "networks": [{"name": "a"}, {"name": "b"}], "container": {"type": "MESOS"}}`,
		other: map[string]string{`{"networks": [{"name": "b"}, {"name": "a"}]}`: "restart"}},
	{name: "fetch", live: `{"cmd": "sleep 100", "fetch": [{"uri": "http://h/a.jar"}]}`,
		equal: []string{`{"fetch": [{"uri": "http://h/a.jar", "extract": true, "executable": false, "cache": false, "destPath": null}]}`},
		other: map[string]string{`{"fetch": [{"uri": "http://h/a.jar"}, {"uri": "http://h/b.jar"}]}`: "restart", `{"fetch": [{"uri": "http://h/a.jar", "destPath": "x"}]}`: "restart",
			`{"fetch": "-", "uris": ["http://h/a.jar"]}`: "restart"}},

	{name: "upgrade strategy", live: `{"cmd": "sleep 100", "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}}`,
		equal: []string{`{"upgradeStrategy": {"minimumHealthCapacity": 0.50, "maximumOverCapacity": 0.0}}`},
		other: map[string]string{`{"upgradeStrategy": "-"}`: "restart", `{"upgradeStrategy": {"minimumHealthCapacity": 0.6, "maximumOverCapacity": 0}}`: "restart",
			`{"upgradeStrategy": {"minimumHealthCapacity": 0.5}}`: "422"}},
	{name: "unreachable strategy", live: `{"cmd": "sleep 100", "unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}}`,
		other: map[string]string{`{"unreachableStrategy": "-"}`: "restart", `{"unreachableStrategy": "disabled"}`: "restart", `{"unreachableStrategy": {}}`: "restart",
			`{"unreachableStrategy": {"inactiveAfterSeconds": 300}}`: "422"}},
	{name: "empty unreachable strategy", live: `{"cmd": "sleep 100", "unreachableStrategy": {}}`,
		equal: []string{`{"unreachableStrategy": "-"}`, `{"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}}`},
		other: map[string]string{`{"unreachableStrategy": "disabled"}`: "restart"}},
	{name: "disabled unreachable strategy", live: `{"cmd": "sleep 100", "unreachableStrategy": "disabled"}`, equal: []string{`{"unreachableStrategy": "Off"}`},
		other: map[string]string{`{"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}}`: "restart"}},
	{name: "single instance", live: `{"cmd": "sleep 100", "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}`,
		other: map[string]string{`{"upgradeStrategy": "-"}`: "422", `{"instances": 2}`: "422"}},
	{name: "back-off", live: `{"cmd": "sleep 100", "backoffSeconds": 5, "maxLaunchDelaySeconds": 60}`,
		other: map[string]string{`{"backoffSeconds": "-", "maxLaunchDelaySeconds": "-"}`: "restart", `{"backoffFactor": 2}`: "restart"}},

	{name: "legacy ports", live: `{"cmd": "sleep 100", "ports": [0, 0]}`,
		equal: []string{`{"ports": "-", "portDefinitions": [{"port": 0}, {"port": 0}]}`, `{"portDefinitions": [{"port": 0}, {"port": 0}]}`},
		other: map[string]string{`{"ports": "-", "portDefinitions": [{"name": "a"}, {}]}`: "restart", `{"ports": [0]}`: "restart", `{"ports": [0, 0, 0]}`: "restart",
			`{"portDefinitions": [{"port": 1}, {"port": 0}]}`: "422"}},
	{name: "port definitions", live: `{"cmd": "sleep 100", "requirePorts": true, "portDefinitions": [{"port": 8080, "name": "http", "protocol": "tcp", "labels": {"VIP_0": "/web:80"}}, {"port": 0, "protocol": "udp"}]}`,
		equal: []string{`{"portDefinitions": [{"port": 8080, "name": "http", "labels": {"VIP_0": "/web:80"}}, {"port": 0, "protocol": "UDP"}]}`},
		other: map[string]string{
			`{"portDefinitions": [{"port": 0, "protocol": "udp"}, {"port": 8080, "name": "http", "labels": {"VIP_0": "/web:80"}}]}`: "restart",
			`{"portDefinitions": [{"port": 8080, "name": "http", "labels": {}}, {"port": 0, "protocol": "udp"}]}`:                   "restart",
			`{"requirePorts": false}`: "restart",
			`{"portDefinitions": [{"port": 8080, "name": "http", "labels": {"VIP_0": "/web:80"}}, {"port": 0, "protocol": "udp,tcp"}]}`: "restart",
			`{"portDefinitions": [{"port": 8080, "protocol": "tcp,udp"}]}`:                                                              "422",
			`{"portDefinitions": [{"name": "a"}, {"name": "a"}]}`:                                                                       "422",
			`{"portDefinitions": [{"port": 8080}, {"port": 8080}]}`:                                                                     "422"}},
	{name: "no ports", live: `{"cmd": "sleep 100", "portDefinitions": []}`, equal: []string{`{"portDefinitions": "-", "ports": []}`},
		other: map[string]string{`{"portDefinitions": "-"}`: "restart", `{"portDefinitions": null}`: "restart"}},
	{name: "service ports out of range are not kept", live: `{"cmd": "sleep 100", "ports": [9000, 0]}`, equal: []string{`{"ports": [9000, 10001]}`},
		other: map[string]string{`{"ports": [0, 0]}`: "restart", `{"ports": [0, 9000]}`: "restart"}},
	{name: "bridge without mappings", live: `{"container": {"docker": {"image": "a"}}, "networks": [{"mode": "container/bridge"}]}`,
		equal: []string{
			`{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 0, "hostPort": 0, "servicePort": 0, "name": "default", "protocol": "tcp"}]}}`,
			`{"networks": "-", "container": {"docker": {"image": "a", "network": "BRIDGE"}}}`, `{"networks": "-", "container": {"docker": {"image": "a", "network": "bridge"}}}`,
			`{"portDefinitions": []}`, `{"portDefinitions": [{"port": 0}]}`, `{"requirePorts": true}`},
		other: map[string]string{`{"container": {"docker": {"image": "a"}, "portMappings": []}}`: "restart", `{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 0}]}}`: "restart",
			`{"portDefinitions": [{"port": 0}, {"port": 0}]}`: "restart"}},
	{name: "bridge with mappings", live: `{` + bridged + `, "networks": [{"mode": "container/bridge"}]}`,
		equal: []string{`{"networks": "-", "container": {"docker": {"image": "a", "network": "BRIDGE", "portMappings": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}]}}}`,
			`{"networks": "-", "ports": [0, 0], "container": {"docker": {"image": "a", "network": "BRIDGE", "portMappings": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}]}}}`,
			`{"container": {"docker": {"image": "a", "portMappings": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}]}}}`,
			`{"networks": [{"mode": "CONTAINER/BRIDGE"}]}`, `{"portDefinitions": [{"port": 9999}]}`},
		other: map[string]string{
			`{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 81}, {"containerPort": 80, "name": "http"}]}}`:                       "restart",
			`{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "name": "http", "hostPort": 8080}, {"containerPort": 81}]}}`:     "restart",
			`{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "name": "http", "servicePort": 12345}, {"containerPort": 81}]}}`: "restart",
			`{"networks": [{"mode": "container/bridge", "labels": {"a": "b"}}]}`:                                                                              "restart",
			`{"container": {"docker": {"image": "a", "portMappings": [{"containerPort": 1}]}, "portMappings": [{"containerPort": 80}]}}`:                      "500"}},
	{name: "container network", live: `{` + onDCOS + `, "networks": [{"mode": "container", "name": "dcos"}]}`,
		equal: []string{`{"networks": [{"name": "dcos"}]}`, `{"networks": "-", "ipAddress": {"networkName": "dcos"}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "hostPort": 0}]}}`: "restart",
			`{"networks": [{"name": "other"}]}`: "restart", `{"networks": [{"name": "dcos"}, {"name": "b"}]}`: "restart", `{"networks": [{}]}`: "422", `{"networks": [{"name": "dcos"}, {"mode": "host"}]}`: "422"}},
	{name: "two container networks", live: `{` + onDCOS + `, "networks": [{"name": "a"}, {"name": "b"}]}`,
		other: map[string]string{`{"container": {"type": "MESOS", "docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "hostPort": 0}]}}`: "422",
			`{"container": {"type": "MESOS", "docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "hostPort": 0, "networkNames": ["a"]}]}}`: "restart"}},
	{name: "address per task", live: `{"cmd": "sleep 100", "ipAddress": {"networkName": "dcos", "labels": {"a": "b"}, "groups": ["g"], "discovery": {"ports": [{"number": 80, "name": "http", "protocol": "tcp"}]}}}`,
		equal: []string{`{"ipAddress": "-", "networks": [{"mode": "container", "name": "dcos", "labels": {"a": "b"}}], "container": {"type": "MESOS", "portMappings": [{"containerPort": 80, "name": "http"}]}}`,
			`{"ipAddress": {"networkName": "dcos", "labels": {"a": "b"}, "groups": ["h"], "discovery": {"ports": [{"number": 80, "name": "http", "protocol": "tcp"}]}}}`},
		other: map[string]string{`{"ipAddress": "-", "networks": [{"name": "dcos", "labels": {"a": "b"}}]}`: "restart", `{"networks": [{"name": "dcos"}]}`: "422"}},
	{name: "the bridge's name", live: `{"cmd": "sleep 100", "ipAddress": {"networkName": "mesos-bridge"}}`,
		equal: []string{`{"ipAddress": "-", "networks": [{"mode": "container/bridge"}]}`, `{"ipAddress": "-", "networks": [{"mode": "container/bridge"}], "container": {"type": "MESOS"}}`}},
	{name: "legacy user network", live: `{"container": {"docker": {"image": "a", "network": "USER", "portMappings": [{"containerPort": 80}]}}, "ipAddress": {"networkName": "dcos"}}`,
		equal: []string{`{"ipAddress": "-", "networks": [{"name": "dcos"}], "container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80}]}}`},
		other: map[string]string{`{"ipAddress": "-", "networks": [{"name": "dcos"}], "container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80, "hostPort": 0}]}}`: "restart"}},
	{name: "default network", live: `{"cmd": "sleep 100", "networks": [{"mode": "container"}]}`, cluster: withDefaultNetwork,
		equal: []string{`{"networks": [{"mode": "container", "name": "dcosdef"}]}`, `{"networks": [{}]}`, `{"networks": "-", "ipAddress": {}}`}},
	{name: "docker on the host network", live: `{"container": {"type": "DOCKER", "docker": {"image": "a"}}}`,
		equal: []string{`{"container": {"docker": {"image": "a"}}}`, `{"container": {"type": "docker", "docker": {"image": "a"}}}`,
			`{"container": {"docker": {"image": "a", "privileged": false, "forcePullImage": false, "parameters": []}, "volumes": []}}`,
			`{"container": {"docker": {"image": "a", "network": "HOST"}}}`, `{"container": {"docker": {"image": "a"}, "portMappings": [{"containerPort": 80}]}}`,
			`{"container": {"docker": {"image": "a"}, "linuxInfo": {"seccomp": {"unconfined": true}}}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "docker": {"image": "a"}}}`: "restart", `{"container": {"docker": {"image": "a", "forcePullImage": true}}}`: "restart",
			`{"container": {"docker": {"image": "a", "parameters": [{"key": "a", "value": "b"}]}}}`: "restart", `{"container": {"docker": {"image": "a", "network": "NONE"}}}`: "500"}},

	{name: "empty mesos container", live: `{"cmd": "sleep 100", "container": {"type": "MESOS"}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": []}}`, `{"container": {"type": "mesos"}}`, `{"container": {"type": "MESOS", "linuxInfo": {}}}`},
		other: map[string]string{`{"container": "-"}`: "restart", `{"container": {}}`: "422"}},
	{name: "mesos image", live: `{"container": {"type": "MESOS", "docker": {"image": "a"}}}`,
		equal: []string{`{"container": {"type": "MESOS", "docker": {"image": "a", "privileged": true}}}`, `{"container": {"type": "MESOS", "docker": {"image": "a", "parameters": []}}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "docker": {"image": "a", "forcePullImage": true}}}`: "restart", `{"container": {"type": "MESOS", "docker": {"image": "a:latest"}}}`: "restart",
			`{"container": {"type": "MESOS", "docker": {"image": "a", "parameters": [{"key": "a", "value": "b"}]}}}`: "422", `{"container": {"type": "MESOS", "docker": {"image": "a", "network": "HOST"}}}`: "422"}},
	{name: "host volume", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [{"containerPath": "/a", "hostPath": "/a", "mode": "RW"}]}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "/a", "hostPath": "/a", "mode": "rw"}]}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "/a", "hostPath": "/a", "mode": "RO"}]}}`: "restart",
			`{"container": {"type": "MESOS", "volumes": [{"containerPath": "/a/", "hostPath": "/a", "mode": "RW"}]}}`: "restart", `{"container": {"type": "MESOS", "volumes": [{"containerPath": "/a", "hostPath": "/a"}]}}`: "422"}},
	{name: "persistent volume", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}]}}`, cluster: withRole,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"type": "root", "size": 10, "constraints": []}}]}, "residency": {"taskLostBehavior": "RELAUNCH_AFTER_TIMEOUT"},
			"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}, "unreachableStrategy": "disabled"}`},
		other: map[string]string{`{"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 0}}`: "restart", `{"labels": {"a": "b"}}`: "restart", `{"constraints": [["hostname", "UNIQUE"]]}`: "restart",
			`{"acceptedResourceRoles": ["*"]}`: "restart", `{"instances": 2}`: "scale",
			`{"container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 20}}]}}`: "422", `{"cpus": 2}`: "422", `{"requirePorts": true}`: "422", `{"ports": [0, 0]}`: "422",
			`{"container": {"type": "MESOS"}}`: "422", `{"unreachableStrategy": {}}`: "422", `{"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}}`: "422", `{"role": "*"}`: "422"}},
	{name: "external volume", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [{"containerPath": "/v", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "rexray"}}}]}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "/v", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "rexray"}, "shared": false}}]},
			"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}, "unreachableStrategy": {}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "/v", "mode": "RW", "external": {"name": "v", "provider": "dvdi", "options": {"dvdi/driver": "rexray"}, "shared": true}}]}}`: "restart",
			`{"instances": 2}`: "422", `{"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}}`: "422"}},
	{name: "volume of a storage plugin", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [` + csi(`"accessType": "mount", "fsType": "xfs"`, "") + `]}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [` + csi(`"accessType": "mount", "fsType": "xfs", "mountFlags": []`, `, "volumeContext": {}, "nodeStageSecret": null`) + `]}}`, `{"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "volumes": [` + csi(`"accessType": "mount", "fsType": "ext4"`, "") + `]}}`: "restart", `{"instances": 2}`: "scale", `{"upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}}`: "restart"}},
	{name: "block device of a storage plugin", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "volumes": [` + csi(`"accessType": "block"`, "") + `]}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [` + csi(`"accessType": "block", "fsType": "xfs", "mountFlags": ["ro"]`, "") + `]}}`}},
	{name: "secrets", live: `{"cmd": "sleep 100", "env": {"P": {"secret": "s0"}}, "secrets": {"s0": {"source": "a"}}}`,
		other: map[string]string{`{"secrets": {"s0": {"source": "b"}}}`: "restart", `{"secrets": {"s0": {"source": "a"}, "s1": {"source": "a"}}}`: "restart", `{"env": {"P": "s0"}}`: "restart", `{"secrets": "-"}`: "422"}},
	{name: "secret volume", live: `{"cmd": "sleep 100", "secrets": {"s0": {"source": "a"}}, "container": {"type": "MESOS", "volumes": [{"containerPath": "p", "secret": "s0"}]}}`,
		equal: []string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "p", "secret": "s0", "mode": "RO"}]}}`},
		other: map[string]string{`{"container": {"type": "MESOS", "volumes": [{"containerPath": "p", "secret": "s1"}]}}`: "422"}},
	{name: "ipc", live: `{"cmd": "sleep 100", "container": {"type": "MESOS", "linuxInfo": {"ipcInfo": {"mode": "PRIVATE", "shmSize": 16}}}}`,
		equal: []string{`{"container": {"type": "MESOS", "linuxInfo": {"ipcInfo": {"mode": "private", "shmSize": 16.0}}}}`},
		other: map[string]string{`{"container": {"type": "MESOS"}}`: "restart", `{"container": {"type": "MESOS", "linuxInfo": {"ipcInfo": {"mode": "SHARE_PARENT", "shmSize": 16}}}}`: "422"}},

	{name: "lossy health check", live: `{"cmd": "sleep 100", "healthChecks": [{"protocol": "HTTP", "portIndex": 0, "path": "/", "ignoreHttp1xx": true, "delaySeconds": 77}]}`,
		equal: []string{`{"healthChecks": [{"protocol": "HTTP", "portIndex": 0, "path": "/"}]}`, `{"healthChecks": [{"path": "/", ` + defaultHealth + `}]}`},
		other: map[string]string{`{"healthChecks": [{"protocol": "HTTP", "portIndex": 0}]}`: "restart"}},
	{name: "portIndex absent is 0, on purpose", live: `{"cmd": "sleep 100", "healthChecks": [{"path": "/h"}]}`,
		equal: []string{`{"healthChecks": [{"path": "/h", "portIndex": 0}]}`, `{"portDefinitions": [{"name": "default"}]}`},
		other: map[string]string{`{"healthChecks": [{"path": "/h", "port": 80}]}`: "restart", `{"healthChecks": [{"path": "/h", "portIndex": 1}]}`: "422", `{"portDefinitions": []}`: "422"}},
	{name: "mesos http check", live: `{"cmd": "sleep 100", "healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 0, "delaySeconds": 30}]}`,
		equal: []string{`{"healthChecks": [{"protocol": "mesos_http", "portIndex": 0, "delaySeconds": 30, "ignoreHttp1xx": true}]}`},
		other: map[string]string{`{"healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 0}]}`: "restart"}},
	{name: "command check", live: `{"cmd": "sleep 100", "healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}]}`,
		equal: []string{`{"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}, "portIndex": 0}]}`, `{"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}, "ignoreHttp1xx": false}]}`},
		other: map[string]string{`{"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}, {"protocol": "COMMAND", "command": {"value": "false"}}]}`: "restart",
			`{"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}, "path": "/"}]}`: "500"}},
	{name: "an empty command of a check", live: `{"cmd": "sleep 100", "healthChecks": [{"protocol": "COMMAND", "command": {"value": ""}}]}`,
		other: map[string]string{`{"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}]}`: "restart", `{"healthChecks": [{"protocol": "COMMAND", "command": {}}]}`: "422"}},
	{name: "tcp check", live: `{"cmd": "sleep 100", "healthChecks": [{"protocol": "TCP"}]}`,
		equal: []string{`{"healthChecks": [{"protocol": "TCP", "path": "/"}]}`, `{"healthChecks": [{"protocol": "TCP", "ignoreHttp1xx": true}]}`}},
	{name: "executor resources", live: `{"cmd": "sleep 100", "executorResources": {"cpus": 0.2}}`, equal: []string{`{"executorResources": {"cpus": 0.2, "mem": 32, "disk": 10}}`},
		other: map[string]string{`{"executorResources": {"cpus": 0.3}}`: "metadata", `{"executorResources": "-"}`: "metadata", `{"executorResources": "-", "instances": 3}`: "scale"}},
	{name: "resource limits", live: `{"cmd": "sleep 100", "resourceLimits": {"cpus": "unlimited", "mem": 256}}`, equal: []string{`{"resourceLimits": {"cpus": "unlimited", "mem": 256.0}}`},
		other: map[string]string{`{"resourceLimits": "-"}`: "restart", `{"resourceLimits": {"cpus": "UNLIMITED", "mem": 256}}`: "422", `{"resourceLimits": {"mem": 64}}`: "422"}},
	{name: "legacy uris", live: `{"cmd": "sleep 100", "uris": ["http://h/a.tgz", "http://h/b"]}`,
		equal: []string{`{"uris": "-", "fetch": [{"uri": "http://h/a.tgz"}, {"uri": "http://h/b", "extract": false}]}`, `{"fetch": []}`},
		other: map[string]string{`{"uris": "-", "fetch": [{"uri": "http://h/a.tgz"}, {"uri": "http://h/b"}]}`: "restart", `{"uris": ["http://h/b", "http://h/a.tgz"]}`: "restart",
			`{"uris": ["http://h/a.TGZ", "http://h/b"]}`: "restart", `{"fetch": [{"uri": "http://h/c"}]}`: "422"}},
	{name: "check", live: `{"cmd": "sleep 100", "check": {"http": {}}}`, equal: []string{`{"check": {"http": {"portIndex": 0, "scheme": "HTTP"}, "intervalSeconds": 60, "timeoutSeconds": 20, "delaySeconds": 15}}`},
		other: map[string]string{`{"check": "-"}`: "restart", `{"check": {"tcp": {}}}`: "restart", `{"check": {}}`: "500", `{"check": {"http": {"scheme": "HTTPS"}}}`: "500",
			`{"cmd": "-", "container": {"docker": {"image": "a"}}}`: "422"}},
	{name: "residency alone", live: `{"cmd": "sleep 100"}`, equal: []string{`{"residency": null}`}, other: map[string]string{`{"residency": {"taskLostBehavior": "WAIT_FOREVER"}}`: "mistake"}},
	{name: "less than a thousandth", live: `{"cmd": "sleep 100", "cpus": 0.0005, "executorResources": {"cpus": 0.05}}`, other: map[string]string{`{"cpus": 0.001}`: "restart", `{"cpus": -0.1}`: "422"}},
	{name: "names of networks", live: `{"cmd": "sleep 100", "networks": [{"name": "my_net"}, {"name": "other_net"}], "container": {"type": "MESOS", "portMappings": [{"containerPort": 80, "hostPort": 0, "networkNames": ["my_net"]}]}}`,
		other: map[string]string{`{"container": {"type": "MESOS", "portMappings": [{"containerPort": 80, "hostPort": 0, "networkNames": ["other_net"]}]}}`: "restart"}},
}

// csi is a volume of a storage plugin.
func csi(capability, options string) string {
	return `{"containerPath": "v", "mode": "RW", "external": {"name": "v", "provider": "csi", "options": {"pluginName": "p", "capability": {"accessMode": "MULTI_NODE_MULTI_WRITER", ` + capability + `}` + options + `}}}`
}

const onePod = `"containers": [{"name": "c", "exec": {"command": {"shell": "sleep 100"}}, "resources": {"cpus": 1, "mem": 32}}]`

func podContainer(more string) string {
	return `{"containers": [{"name": "c", "exec": {"command": {"shell": "sleep 100"}}, "resources": {"cpus": 1, "mem": 32}, ` + more + `}]}`
}

var podTruths = []truth{
	{name: "one container", live: `{` + onePod + `}`,
		equal: []string{`{"scaling": {"kind": "fixed", "instances": 1}, "scheduling": {"backoff": {"backoff": 1, "backoffFactor": 1.15, "maxLaunchDelay": 300}, "upgrade": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
			"placement": {"constraints": [], "acceptedResourceRoles": []}, "killSelection": "youngest_first", "unreachableStrategy": {}}, "executorResources": {"cpus": 0.1}, "role": "*",
			"labels": {}, "environment": {}, "networks": [], "version": "2021-01-01T00:00:00.000Z", "legacySharedCgroups": false}`,
			podContainer(`"check": {"exec": {"command": {"shell": "true"}}}`)},
		other: map[string]string{`{"networks": [{"mode": "host"}]}`: "restart", podContainer(`"tty": false`): "restart", podContainer(`"lifecycle": {}`): "restart", podContainer(`"linuxInfo": {}`): "restart",
			podContainer(`"resourceLimits": {}`): "restart", `{"containers": [{"name": "c", "exec": {"command": {"shell": "sleep 100"}, "overrideEntrypoint": false}, "resources": {"cpus": 1, "mem": 32}}]}`: "restart",
			`{"scheduling": {"placement": {"acceptedResourceRoles": ["*"]}}}`: "restart", `{"labels": {"a": "b"}}`: "restart", `{"user": "root"}`: "restart",
			`{"scheduling": {"upgrade": {"minimumHealthCapacity": 0.5}}}`: "restart", `{"scheduling": {"backoff": {"backoff": 2}}}`: "restart", `{"scaling": {"kind": "fixed", "instances": 2}}`: "scale",
			`{"scheduling": {"killSelection": "OLDEST_FIRST"}}`: "metadata", `{"scheduling": {"unreachableStrategy": "disabled"}}`: "metadata", `{"executorResources": {"cpus": 0.2}}`: "metadata", `{"legacySharedCgroups": true}`: "metadata",
			`{"scaling": {"instances": 2}}`: "422", `{"containers": []}`: "422", `{"linuxInfo": {"seccomp": {"unconfined": true}}}`: "422"}},
	{name: "endpoint in a container network", live: podWith(`"endpoints": [{"name": "h", "containerPort": 80}]`, `"networks": [{"mode": "container", "name": "dcos"}]`),
		equal: []string{podContainer(`"endpoints": [{"name": "h", "containerPort": 80, "labels": {}}]`), `{"networks": [{"name": "dcos"}]}`},
		other: map[string]string{podContainer(`"endpoints": [{"name": "h", "containerPort": 80, "hostPort": 0}]`): "restart", podContainer(`"endpoints": [{"name": "h", "containerPort": 80, "protocol": ["tcp"]}]`): "restart",
			podContainer(`"endpoints": [{"name": "h"}]`): "422"}},
	{name: "names of networks", live: podWith(`"endpoints": [{"name": "h", "containerPort": 80, "hostPort": 0, "networkNames": ["my_net"]}]`, `"networks": [{"name": "my_net"}, {"name": "other_net"}]`)},
	{name: "less than a thousandth", live: `{"containers": [{"name": "a", "resources": {"cpus": 0.0005, "mem": 0}}]}`},
	{name: "endpoint on a bridge", live: podWith(`"endpoints": [{"name": "h", "containerPort": 80}]`, `"networks": [{"mode": "container/bridge"}]`), equal: []string{podContainer(`"endpoints": [{"name": "h", "containerPort": 80, "hostPort": 0}]`)}},
	{name: "endpoint without a network", live: podWith(`"endpoints": [{"name": "h"}]`, `"labels": {}`), equal: []string{podContainer(`"endpoints": [{"name": "h", "hostPort": 0}]`)}},
	{name: "image", live: podWith(`"image": {"kind": "DOCKER", "id": "a"}`, `"labels": {}`), equal: []string{podContainer(`"image": {"kind": "docker", "id": "a", "labels": {}}`)},
		other: map[string]string{podContainer(`"image": {"kind": "DOCKER", "id": "a", "forcePull": false}`): "restart"}},
	{name: "mount", live: podWith(`"volumeMounts": [{"name": "v", "mountPath": "/v"}]`, `"volumes": [{"name": "v", "host": "/v"}]`), equal: []string{podContainer(`"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": false}]`)},
		other: map[string]string{podContainer(`"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]`): "restart", podContainer(`"volumeMounts": []`): "422", podContainer(`"volumeMounts": [{"name": "w", "mountPath": "/v"}]`): "422"}},
	{name: "health check", live: podWith(`"endpoints": [{"name": "h", "hostPort": 0}], "healthCheck": {"http": {"endpoint": "h"}}`, `"labels": {}`),
		equal: []string{podContainer(`"endpoints": [{"name": "h", "hostPort": 0}], "healthCheck": {"http": {"endpoint": "h", "scheme": "http"}, "delaySeconds": 15, ` + defaultHealth + `}`)},
		other: map[string]string{podContainer(`"endpoints": [{"name": "h"}], "healthCheck": {"http": {"endpoint": "h", "path": "/"}}`): "restart", podContainer(`"endpoints": [{"name": "h"}], "healthCheck": {"http": {"endpoint": "h"}, "delaySeconds": 30}`): "restart",
			podContainer(`"endpoints": [{"name": "h"}], "healthCheck": {"http": {"endpoint": "g"}}`): "422"}},
	{name: "times are cut to milliseconds", live: `{` + onePod + `, "scheduling": {"backoff": {"backoff": 1.0009, "maxLaunchDelay": 2.0005}}}`,
		equal: []string{`{"scheduling": {"backoff": {"backoff": 1, "maxLaunchDelay": 2}}}`, `{"scheduling": {"backoff": {"maxLaunchDelay": 2.000}}}`},
		other: map[string]string{`{"scheduling": {"backoff": {"backoff": 1.001, "maxLaunchDelay": 2}}}`: "restart"}},
	{name: "order of containers", live: `{"containers": [{"name": "a", "resources": {}}, {"name": "b", "resources": {}}]}`, other: map[string]string{`{"containers": [{"name": "b", "resources": {}}, {"name": "a", "resources": {}}]}`: "restart"}},
}

func podWith(container, pod string) string {
	return strings.TrimSuffix(podContainer(container), "}") + `, ` + pod + `}`
}

func TestAppTruths(t *testing.T) {
	for _, row := range appTruths {
		t.Run(row.name, func(t *testing.T) { testTruth(t, appRules, row, assignPorts) })
	}
}

func TestPodTruths(t *testing.T) {
	for _, row := range podTruths {
		t.Run(row.name, func(t *testing.T) { testTruth(t, podRules, row, func(*Pod) {}) })
	}
}

// assignPorts does what Marathon does with service ports that are 0.
func assignPorts(a *App) {
	ports := ServicePorts(a)
	for i := range ports {
		if isZero(ports[i]) {
			ports[i] = new(10000 + i)
		}
	}
	SetServicePorts(a, ports)
}

func testTruth[T any](t *testing.T, r rules[T], row truth, assign func(*T)) {
	c := DefaultCluster()
	c.Features = []string{"external_volumes", "gpu_resources", "secrets"}
	if row.cluster != nil {
		row.cluster(&c)
	}
	written := parseTree(t, []byte(row.live)).(map[string]any)
	written["id"] = "/shop/x"
	first, outcome := r.outcome(written, nil, &c)
	if outcome != "create" {
		t.Fatalf("the definition itself: %s", outcome)
	}
	assign(first)
	live := r.normalise(first, nil, &c)
	for _, overlay := range append([]string{`{}`}, row.equal...) {
		if _, got := r.outcome(overlaid(t, written, overlay), live, &c); got != "none" {
			t.Errorf("%s: %s, want none", overlay, got)
		}
	}
	for overlay, want := range row.other {
		if _, got := r.outcome(overlaid(t, written, overlay), live, &c); got != want {
			t.Errorf("%s: %s, want %s", overlay, got, want)
		}
	}
}

// outcome is what would become of a definition over live.
func (r rules[T]) outcome(tree any, live *T, c *Cluster) (*T, string) {
	definition, violations := r.decode(tree)
	if definition != nil {
		violations = append(violations, r.validate(definition, c)...)
	}
	if errs := errorsOf(violations); len(errs) > 0 {
		return nil, refusal(errs[0])
	}
	desired := r.normalise(definition, live, c)
	if live == nil {
		return desired, "create"
	}
	comparison := r.compare(live, desired)
	if len(comparison.Refused) > 0 {
		return desired, refusal(comparison.Refused[0])
	}
	return desired, string(comparison.Effect)
}

func refusal(v Violation) string {
	return map[int]string{0: "mistake", 422: "422", 500: "500"}[v.Status]
}

func overlaid(t *testing.T, tree map[string]any, overlay string) map[string]any {
	out := maps.Clone(tree)
	for k, v := range parseTree(t, []byte(overlay)).(map[string]any) {
		out[k] = v
		if v == "-" {
			delete(out, k)
		}
	}
	return out
}
