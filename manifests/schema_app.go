package manifests

import "regexp"

// executorPattern is app.raml's, as Marathon matches it: as a whole.
var executorPattern = regexp.MustCompile(`^(//cmd|/?[^/]+(/[^/]+)*|)$`)

var appShape = object(append([]field{
	{name: "id", shape: pathID, required: true, effect: effectIdentity, doc: "The app's path; relative ones are taken from the group that the app is in, or the root."},
	{name: "cmd", shape: nonEmpty, doc: "A line for the shell, at least two characters; excludes args."},
	{name: "args", shape: list(text()), doc: "Program and arguments, or arguments of the image's entrypoint; excludes cmd."},
	{name: "user", shape: text(), doc: "The user on the agent that tasks run as."},
	{name: "env", shape: mapOf(envValueShape), def: "{}", doc: "Environment variables; numbers and booleans must be quoted."},
	{name: "secrets", shape: secretsShape, def: "{}", doc: "Secrets that env, volumes and pullConfig refer to; needs the feature secrets."},
	{name: "instances", shape: integer().from(0), def: "1", effect: effectScales, doc: "How many tasks run."},
	{name: "cpus", shape: number().from(0.001), def: "1.0", unit: "shares", doc: "CPU of each task."},
	{name: "mem", shape: number().from(0), def: "128.0", unit: "MiB", doc: "Memory of each task."},
	{name: "disk", shape: number().from(0), def: "0.0", unit: "MiB", doc: "Disk of each task's sandbox."},
	{name: "gpus", shape: integer().from(0), def: "0", doc: "GPUs of each task; needs the feature gpu_resources and no Docker container."},
	{name: "executor", shape: text().matching(executorPattern), def: `""`, doc: "The Mesos executor."},
	{name: "executorResources", shape: executorResourcesShape, since: release16, effect: effectPhantom, doc: "What the Mesos executor itself gets."},
	{name: "resourceLimits", shape: resourceLimitsShape, since: release110, doc: "Lets tasks use more than they request."},
	{name: "labels", shape: stringMap, def: "{}", doc: "Labels for people and for service discovery."},
	{name: "dependencies", shape: list(pathID), def: "[]", doc: "Apps that must be healthy before this one is started; a set of absolute ids."},
	{name: "constraints", shape: list(special(kindConstraint, "")), def: "[]", doc: "Where tasks may run: UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS; a set."},
	{name: "acceptedResourceRoles", shape: list(text()), def: "Marathon's --default_accepted_resource_roles", doc: `Roles of the offers that are taken: "*" and the app's own; a set.`},
	{name: "role", shape: nonEmpty, since: release19, def: "the top-level group's name if it enforces its role, else Marathon's --mesos_role", doc: "The Mesos role of the tasks."},
	{name: "backoffSeconds", shape: seconds, def: "1", unit: "seconds", doc: "Delay before a failed task is launched again."},
	{name: "backoffFactor", shape: number().from(1), def: "1.15", doc: "By what each further failure multiplies the delay."},
	{name: "maxLaunchDelaySeconds", shape: seconds, def: "300; before Marathon 1.8 3600", unit: "seconds", doc: "Longest delay."},
	{name: "taskKillGracePeriodSeconds", shape: seconds, unit: "seconds", doc: "Time between SIGTERM and SIGKILL; 0 is not the same as none."},
	{name: "upgradeStrategy", shape: upgradeStrategyShape, def: "1.0 and 1.0; with persistent or external volumes 0.5 and 0.0", doc: "How many tasks a rollout may stop and add; both members or none."},
	{name: "unreachableStrategy", shape: unreachableShape, def: `{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}; with persistent volumes "disabled"`, doc: "When unreachable tasks are replaced."},
	{name: "killSelection", shape: killOrder, def: `"YOUNGEST_FIRST"`, doc: "Which tasks scaling down stops."},
	{name: "fetch", shape: list(artifactShape), def: "[]", doc: "What is downloaded into the sandbox."},
	{name: "container", shape: containerShape, doc: "The container that tasks run in."},
	{name: "networks", shape: list(networkShape), def: `[{"mode": "host"}]`, doc: "One host, one bridge, or any number of container networks."},
	{name: "portDefinitions", shape: list(portDefinitionShape), def: `on the host network [{"port": 0, "name": "default"}]`, doc: "Ports on the host network; [] means none."},
	{name: "requirePorts", shape: boolean(), def: "false", doc: "Use the ports as host ports; only on the host network."},
	{name: "healthChecks", shape: list(healthCheckShape), def: "[]", doc: "When a task counts as healthy; a set."},
	{name: "check", shape: appCheckShape, since: release18, doc: "A check whose result is only shown; not for Docker containers."},
	{name: "readinessChecks", shape: list(readinessCheckShape), def: "[]", doc: "When a rollout may continue; at most one."},
	{name: "tty", shape: boolean(), doc: "Give tasks a terminal; false counts as absent."},
	{name: "ports", shape: list(anyPort), replaced: "portDefinitions", doc: "Ports on the host network."},
	{name: "uris", shape: list(uri), replaced: "fetch", doc: "What is downloaded into the sandbox."},
	{name: "ipAddress", shape: ipAddressShape, replaced: "networks and container.portMappings", doc: "An address per task, from before Marathon 1.5."},
}, computedFields(
	"residency", "version", "versionInfo", "tasks", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "tasksStats",
	"deployments", "lastTaskFailure", "readinessCheckResults", "storeUrls",
)...)...)

var upgradeStrategyShape = object(
	field{name: "maximumOverCapacity", shape: fraction, required: true, doc: "Tasks to add during a rollout, as a fraction of instances."},
	field{name: "minimumHealthCapacity", shape: fraction, required: true, doc: "Tasks to keep healthy during a rollout, as a fraction of instances."},
)

var containerShape = object(
	field{name: "type", shape: oneOf("MESOS", "DOCKER"), def: `"DOCKER"`, doc: "The containerizer."},
	field{name: "docker", shape: dockerShape, doc: "The image and how it is run; required for type DOCKER."},
	field{name: "linuxInfo", shape: linuxInfoShape, since: release18, doc: "Linux settings; only for type MESOS. Empty counts as absent."},
	field{name: "portMappings", shape: list(portMappingShape), def: `off the host network [{"containerPort": 0, "name": "default"}]`, doc: "Ports of the container; [] means none. Not on the host network."},
	field{name: "volumes", shape: list(volumeShape), def: "[]", doc: "Host, persistent, external and secret volumes."},
)

var dockerShape = object(
	field{name: "image", shape: nonEmpty, required: true, doc: "The image."},
	field{name: "forcePullImage", shape: boolean(), def: "false", doc: "Pull the image before each start."},
	field{name: "parameters", shape: list(object(
		field{name: "key", shape: nonEmpty, required: true, doc: "An option's name without dashes."},
		field{name: "value", shape: text(), required: true, doc: "Its value."},
	)), def: "[]", doc: "Options of docker run; only for type DOCKER."},
	field{name: "privileged", shape: boolean(), def: "false", doc: "Run privileged; only for type DOCKER."},
	field{name: "pullConfig", shape: pullConfigShape, doc: "How to log in to the registry; only for type MESOS."},
	field{name: "credential", shape: strictObject(
		field{name: "principal", shape: text().confidential(), required: true, doc: "User of the registry."},
		field{name: "secret", shape: text().confidential(), doc: "Password of the registry."},
	), replaced: "pullConfig", doc: "Refused by Marathon since 1.5."},
	field{name: "network", shape: oneOf("BRIDGE", "HOST", "NONE", "USER"), replaced: "networks", doc: "The network, from before Marathon 1.5."},
	field{name: "portMappings", shape: list(portMappingShape), replaced: "container.portMappings", doc: "Ports of the container."},
)

var portMappingShape = object(
	field{name: "containerPort", shape: anyPort, def: "0", doc: "The port in the container; 0 takes the host port."},
	field{name: "hostPort", shape: anyPort, def: "0 on a bridge network, else none", doc: "The port on the host; 0 takes any."},
	field{name: "servicePort", shape: anyPort, def: "0", doc: "The port for load balancers; 0 lets Marathon choose one and keep it."},
	field{name: "name", shape: legacyName, doc: "The port's name, unique in the app."},
	field{name: "protocol", shape: protocols, def: `"tcp"`, doc: "The protocol."},
	field{name: "labels", shape: stringMap, def: "{}", doc: "Labels of the port."},
	field{name: "networkNames", shape: list(networkName), def: "[]", doc: "The container networks that it maps; all if none."},
)

var portDefinitionShape = object(
	field{name: "port", shape: anyPort, def: "0", doc: "The service port, and the host port with requirePorts; 0 lets Marathon choose one and keep it."},
	field{name: "name", shape: legacyName, doc: "The port's name, unique in the app."},
	field{name: "protocol", shape: protocols, def: `"tcp"`, doc: "The protocol."},
	field{name: "labels", shape: stringMap, def: "{}", doc: "Labels of the port."},
)

var volumeShape = object(
	field{name: "containerPath", shape: nonEmpty, required: true, doc: "Where it is mounted."},
	field{name: "mode", shape: oneOf("RO", "RW"), doc: "Required, except on a secret volume."},
	field{name: "hostPath", shape: nonEmpty, doc: "A directory of the host."},
	field{name: "persistent", shape: persistentShape, doc: "A volume that survives its task; makes the app resident."},
	field{name: "external", shape: externalShape, doc: "A volume of another storage system; needs the feature external_volumes."},
	field{name: "secret", shape: nonEmpty, doc: "An entry of secrets, as a file."},
).as(kindVolume)

var externalShape = object(
	field{name: "name", shape: text(), doc: "The volume's name."},
	field{name: "provider", shape: text(), doc: "dvdi, or csi from Marathon 1.11."},
	field{name: "options", shape: mapOf(anything().confidential()), def: "{}", doc: "The provider's options; for dvdi the driver as dvdi/driver."},
	field{name: "size", shape: long().from(0), unit: "GiB", doc: "Size of the volume."},
	field{name: "shared", shape: boolean(), def: "false", since: release18, doc: "The name need not be unique in the cluster."},
)

var healthCheckShape = object(
	field{name: "protocol", shape: oneOf("HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_TCP", "MESOS_HTTP", "MESOS_HTTPS"), def: `"HTTP"`, doc: "How to check; MESOS_* and COMMAND run on the agent, the others in Marathon."},
	field{name: "path", shape: text(), doc: "The path of an HTTP check; none is not the same as /."},
	field{name: "portIndex", shape: anyPort, def: "0, unless port is given; Marathon itself fills it in or not by the way it is written", doc: "Which of the app's ports to check."},
	field{name: "port", shape: anyPort, doc: "A fixed port, in place of portIndex."},
	field{name: "command", shape: strictObject(
		field{name: "value", shape: text(), required: true, doc: "A line for the shell; exit code 0 is healthy."},
	), doc: "What a COMMAND check runs."},
	field{name: "gracePeriodSeconds", shape: seconds, def: "300", unit: "seconds", doc: "Failures within this time after the start do not count."},
	field{name: "intervalSeconds", shape: seconds, def: "60", unit: "seconds", doc: "Time between checks."},
	field{name: "timeoutSeconds", shape: integer(), def: "20", unit: "seconds", doc: "When a check has failed."},
	field{name: "maxConsecutiveFailures", shape: seconds, def: "3", doc: "Failures after which the task is killed."},
	field{name: "delaySeconds", shape: seconds, def: "15", unit: "seconds", doc: "Time before the first check; Marathon drops it from HTTP, HTTPS and TCP checks."},
	field{name: "ignoreHttp1xx", shape: boolean(), def: "false", doc: "Marathon drops it."},
	field{name: "ipProtocol", since: release16, shape: oneOf("IPv4", "IPv6"), def: `"IPv4"`, doc: "IPv6 only for MESOS_* checks of Docker containers."},
)

var appCheckShape = object(
	field{name: "http", shape: object(
		field{name: "path", shape: filePath, doc: "The path."},
		field{name: "portIndex", shape: anyPort, def: "0, unless port is given", doc: "Which of the app's ports to check."},
		field{name: "port", shape: anyPort, doc: "A fixed port, in place of portIndex."},
		field{name: "scheme", shape: httpScheme, def: `"HTTP"`, doc: "Marathon fails on HTTPS."},
	), doc: "Ask by HTTP."},
	field{name: "tcp", shape: object(
		field{name: "portIndex", shape: anyPort, def: "0, unless port is given", doc: "Which of the app's ports to check."},
		field{name: "port", shape: anyPort, doc: "A fixed port, in place of portIndex."},
	), doc: "Open a port."},
	field{name: "exec", shape: commandCheckShape, doc: "Run a command."},
	field{name: "intervalSeconds", shape: seconds, def: "60", unit: "seconds", doc: "Time between checks."},
	field{name: "timeoutSeconds", shape: seconds, def: "20", unit: "seconds", doc: "When a check has failed."},
	field{name: "delaySeconds", shape: seconds, def: "15", unit: "seconds", doc: "Time before the first check."},
)

var readinessCheckShape = object(
	field{name: "name", shape: nonEmpty, def: `"readinessCheck"`, doc: "Its name."},
	field{name: "protocol", shape: httpScheme, def: `"HTTP"`, doc: "HTTP or HTTPS."},
	field{name: "path", shape: filePath, def: `"/"`, doc: "The path."},
	field{name: "portName", shape: legacyName, def: `"http-api"`, doc: "The name of one of the app's ports."},
	field{name: "intervalSeconds", shape: seconds, def: "30", unit: "seconds", doc: "Time between checks."},
	field{name: "timeoutSeconds", shape: integer().from(1), def: "10", unit: "seconds", doc: "When a check has failed; less than intervalSeconds."},
	field{name: "httpStatusCodesForReady", shape: list(integer().from(100).to(999)).from(1), def: "[200]", doc: "The status codes, 100 … 999, that mean ready; a set."},
	field{name: "preserveLastResponse", shape: boolean(), def: "false", doc: "Show the last answers in the deployment."},
)

var ipAddressShape = object(
	field{name: "networkName", shape: nonEmpty, doc: "The network."},
	field{name: "labels", shape: stringMap, def: "{}", doc: "Labels of the network."},
	field{name: "groups", shape: list(text()), effect: effectNone, doc: "Ignored by Marathon."},
	field{name: "discovery", shape: object(
		field{name: "ports", shape: list(object(
			field{name: "number", shape: anyPort, def: "0", doc: "The port."},
			field{name: "name", shape: legacyName, required: true, doc: "Its name."},
			field{name: "protocol", shape: protocols, def: `"tcp"`, doc: "Its protocol."},
			field{name: "labels", shape: stringMap, def: "{}", doc: "Its labels."},
		)), doc: "The ports that tasks open."},
	), doc: "What service discovery publishes."},
)
