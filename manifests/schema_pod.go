package manifests

var podShape = object(append([]field{
	{name: "id", shape: pathID, required: true, effect: effectIdentity, doc: "The pod's path; relative ones are taken from the group that the pod is in, or the root."},
	{name: "labels", shape: stringMap, def: "{}", doc: "Labels for people and for service discovery."},
	{name: "user", shape: text(), doc: "The user on the agent that containers run as."},
	{name: "environment", shape: mapOf(envValueShape).matching(envKeyPattern), def: "{}", doc: "Environment variables of all containers."},
	{name: "containers", shape: list(podContainerShape).from(1), required: true, doc: "The containers, at least one."},
	{name: "secrets", shape: secretsShape, def: "{}", doc: "Secrets that environments, volumes and images refer to; needs the feature secrets."},
	{name: "volumes", shape: list(podVolumeShape), def: "[]", doc: "Volumes that containers mount; each by at least one."},
	{name: "networks", shape: list(networkShape), doc: `One host, one bridge, or any number of container networks; none is not the same as [{"mode": "host"}].`},
	{name: "scaling", shape: object(
		field{name: "kind", shape: oneOf("fixed"), required: true, def: "", doc: "fixed."},
		field{name: "instances", shape: integer().from(0), def: "1", effect: effectScales, doc: "How many instances run."},
	).as(kindScaling), effect: effectScales, def: `{"kind": "fixed", "instances": 1}`, doc: "How many instances run."},
	{name: "scheduling", shape: schedulingShape, doc: "Where and how instances are started and replaced."},
	{name: "executorResources", shape: executorResourcesShape, since: release16, effect: effectPhantom, def: "0.1, 32, 10", doc: "What the Mesos executor itself gets."},
	{name: "role", shape: nonEmpty, since: release19, def: "the top-level group's name if it enforces its role, else Marathon's --mesos_role", doc: "The Mesos role of the instances."},
	{name: "linuxInfo", shape: linuxInfoShape, since: release19, doc: "The IPC namespace of the pod; seccomp is refused here."},
	{name: "legacySharedCgroups", shape: boolean(), since: release110, effect: effectPhantom, doc: "Put all containers into one cgroup; false counts as absent."},
}, computedFields("version", "status", "statusSince", "message", "spec", "terminationHistory", "lastUpdated", "lastChanged")...)...)

var schedulingShape = object(
	field{name: "backoff", shape: object(
		field{name: "backoff", shape: number().from(0), def: "1.0", unit: "seconds", doc: "Delay before a failed instance is launched again."},
		field{name: "backoffFactor", shape: number().from(0), def: "1.15", doc: "By what each further failure multiplies the delay."},
		field{name: "maxLaunchDelay", shape: number().from(0), def: "300.0; before Marathon 1.8 3600.0", unit: "seconds", doc: "Longest delay."},
	), doc: "Delays the launch of what fails."},
	field{name: "upgrade", shape: object(
		field{name: "minimumHealthCapacity", shape: fraction, def: "1.0; with persistent volumes and no upgrade 0.5", doc: "Instances to keep healthy during a rollout, as a fraction."},
		field{name: "maximumOverCapacity", shape: fraction, def: "1.0; with persistent volumes and no upgrade 0.0", doc: "Instances to add during a rollout, as a fraction."},
	), doc: "How many instances a rollout may stop and add."},
	field{name: "placement", shape: object(
		field{name: "constraints", shape: list(strictObject(
			field{name: "fieldName", shape: text(), required: true, doc: "hostname, or an attribute of the agent."},
			field{name: "operator", shape: oneOf("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"), required: true, doc: "The operator."},
			field{name: "value", shape: text(), doc: "Its value."},
		)), def: "[]", doc: "Where instances may run; a set."},
		field{name: "acceptedResourceRoles", shape: list(text()), def: "[]", doc: `Roles of the offers that are taken: "*" and the pod's own; a set.`},
	), doc: "Where instances may run."},
	field{name: "killSelection", shape: killOrder, def: `"YOUNGEST_FIRST"`, effect: effectPhantom, doc: "Which instances scaling down stops."},
	field{name: "unreachableStrategy", shape: unreachableShape, effect: effectPhantom, def: `{"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}; with persistent volumes "disabled"`, doc: "When unreachable instances are replaced."},
)

var podContainerShape = object(
	field{name: "name", shape: shortName, required: true, doc: "The container's name, unique in the pod."},
	field{name: "exec", shape: strictObject(
		field{name: "command", shape: commandShape, required: true, doc: "What is run."},
		field{name: "overrideEntrypoint", shape: boolean(), doc: "Run argv instead of the image's entrypoint; false is not the same as none."},
	), doc: "What the container runs, unless its image says so."},
	field{name: "resources", shape: object(
		field{name: "cpus", shape: number().from(0.001), def: "1.0", unit: "shares", doc: "CPU of the container."},
		field{name: "mem", shape: number().from(0.001), def: "128.0", unit: "MiB", doc: "Memory of the container."},
		field{name: "disk", shape: number().from(0), def: "0.0", unit: "MiB", doc: "Disk of the container."},
		field{name: "gpus", shape: integer().from(0), def: "0", doc: "GPUs of the container."},
	), required: true, doc: "The resources that the container requests."},
	field{name: "resourceLimits", shape: resourceLimitsShape, since: release110, doc: "Lets the container use more than it requests; {} is not the same as none."},
	field{name: "endpoints", shape: list(endpointShape), def: "[]", doc: "The ports of the container."},
	field{name: "linuxInfo", shape: linuxInfoShape, since: release18, doc: "Linux settings; {} is not the same as none."},
	field{name: "image", shape: object(
		field{name: "kind", shape: oneOf("DOCKER"), required: true, doc: "DOCKER."},
		field{name: "id", shape: filePath, required: true, doc: "The image."},
		field{name: "forcePull", shape: boolean(), doc: "Pull the image before each start; false is not the same as none."},
		field{name: "labels", shape: stringMap, def: "{}", doc: "Labels for finding the image."},
		field{name: "pullConfig", shape: pullConfigShape, doc: "How to log in to the registry."},
	), doc: "The image of the container."},
	field{name: "environment", shape: mapOf(envValueShape).matching(envKeyPattern), def: "{}", doc: "Environment variables of the container."},
	field{name: "user", shape: text(), doc: "The user on the agent that the container runs as."},
	field{name: "healthCheck", shape: podHealthCheckShape, doc: "When the container counts as healthy."},
	field{name: "check", shape: podCheckShape, since: release18, effect: effectNone, doc: "Marathon takes and drops it."},
	field{name: "volumeMounts", shape: list(object(
		field{name: "name", shape: shortName, required: true, doc: "A volume of the pod."},
		field{name: "mountPath", shape: filePath, required: true, doc: "Where it is mounted."},
		field{name: "readOnly", shape: boolean(), def: "false", doc: "Mount it for reading only."},
	)), def: "[]", doc: "The volumes of the pod that it mounts."},
	field{name: "artifacts", shape: list(artifactShape), def: "[]", doc: "What is downloaded into the sandbox."},
	field{name: "labels", shape: stringMap, def: "{}", doc: "Labels of the container."},
	field{name: "lifecycle", shape: object(
		field{name: "killGracePeriodSeconds", shape: number().from(0), unit: "seconds", doc: "Time between SIGTERM and SIGKILL."},
	), doc: "How the container ends; {} is not the same as none."},
	field{name: "tty", shape: boolean(), doc: "Give the container a terminal; false is not the same as none."},
)

var endpointShape = object(
	field{name: "name", shape: shortName, required: true, doc: "The port's name, unique in the pod."},
	field{name: "containerPort", shape: integer().from(1).to(65535), doc: "The port in the container; required on a container network, refused on the host network."},
	field{name: "hostPort", shape: anyPort, def: "0, but none on a container network", doc: "The port on the host; 0 takes any."},
	field{name: "protocol", shape: list(shortName).from(1), doc: `The protocols, in order; none is not the same as ["tcp"].`},
	field{name: "labels", shape: stringMap, def: "{}", doc: "Labels of the port."},
	field{name: "networkNames", shape: list(networkName), def: "[]", doc: "The container networks that it maps; all if none."},
)

var endpointHTTPShape = object(
	field{name: "endpoint", shape: shortName, required: true, doc: "An endpoint of the container."},
	field{name: "path", shape: filePath, doc: "The path; none is not the same as /."},
	field{name: "scheme", shape: httpScheme, def: `"HTTP"`, doc: "HTTP or HTTPS."},
)

var endpointTCPShape = object(
	field{name: "endpoint", shape: shortName, required: true, doc: "An endpoint of the container."},
)

var podHealthCheckShape = object(
	field{name: "http", shape: endpointHTTPShape, doc: "Ask by HTTP."},
	field{name: "tcp", shape: endpointTCPShape, doc: "Open a port."},
	field{name: "exec", shape: commandCheckShape, doc: "Run a command."},
	field{name: "gracePeriodSeconds", shape: seconds, def: "300", unit: "seconds", doc: "Failures within this time after the start do not count."},
	field{name: "intervalSeconds", shape: seconds, def: "60", unit: "seconds", doc: "Time between checks."},
	field{name: "timeoutSeconds", shape: seconds, def: "20", unit: "seconds", doc: "When a check has failed; less than intervalSeconds."},
	field{name: "maxConsecutiveFailures", shape: seconds, def: "3", doc: "Failures after which the container is killed."},
	field{name: "delaySeconds", shape: seconds, def: "15", unit: "seconds", doc: "Time before the first check."},
)

var podCheckShape = object(
	field{name: "http", shape: endpointHTTPShape, doc: "Ask by HTTP."},
	field{name: "tcp", shape: endpointTCPShape, doc: "Open a port."},
	field{name: "exec", shape: commandCheckShape, doc: "Run a command."},
	field{name: "intervalSeconds", shape: seconds, def: "60", unit: "seconds", doc: "Time between checks."},
	field{name: "timeoutSeconds", shape: seconds, def: "20", unit: "seconds", doc: "When a check has failed."},
	field{name: "delaySeconds", shape: seconds, def: "15", unit: "seconds", doc: "Time before the first check."},
)

var podVolumeShape = object(
	field{name: "name", shape: shortName, required: true, doc: "The volume's name, unique in the pod."},
	field{name: "host", shape: text(), doc: "A path of the host, or a directory of the sandbox if relative."},
	field{name: "persistent", since: release16, shape: persistentShape, doc: "A volume that survives its instance; makes the pod resident."},
	field{name: "secret", shape: nonEmpty, doc: "An entry of secrets, as a file."},
).as(kindPodVolume)

// groupShape is filled later: a group holds groups.
var groupShape = object()

func (s *shape) fillGroup() {
	*s = *object(append([]field{
		{name: "id", shape: pathID, required: true, effect: effectIdentity, doc: "The group's path; relative ones are taken from the group that it is in, or the root."},
		{name: "apps", shape: list(appShape), effect: effectGroup, doc: "The apps in it; Pacer manages each for itself."},
		{name: "pods", shape: list(podShape), effect: effectGroup, doc: "The pods in it; Pacer manages each for itself."},
		{name: "groups", shape: list(groupShape), effect: effectGroup, doc: "The groups in it."},
		{name: "dependencies", shape: list(pathID), def: "[]", effect: effectGroup, doc: "Groups and apps that must be healthy before its members are started; a set."},
		{name: "enforceRole", shape: boolean(), since: release19, def: "Marathon's --new_group_enforce_role", effect: effectRole, doc: "Only for top-level groups: its apps and pods get its name as role."},
	}, computedFields("version")...)...)
}
