package manifests

import "regexp"

// Patterns of Marathon's RAML types (stringTypes.raml, environmentVariable.raml).
var (
	pathIDPattern      = regexp.MustCompile(`^(\/?((\.\.)|(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9]))?($|\/))+$`)
	namePattern        = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	networkNamePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9_]*[a-z0-9])?$`)
	envKeyPattern      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,253}$`)
)

// Shapes that apps and pods share.
var (
	pathID      = text().from(1).matching(pathIDPattern)
	shortName   = text().to(63).from(1).matching(namePattern)
	legacyName  = text().from(1).matching(namePattern)
	networkName = text().to(63).from(1).matching(networkNamePattern)
	uri         = text().to(1024).from(1)
	filePath    = text().to(1024).from(1)
	nonEmpty    = text().from(1)
	anyPort     = integer().from(0).to(65535)
	seconds     = integer().from(0)
	stringMap   = mapOf(text().confidential())
	protocols   = oneOf("tcp", "udp", "udp,tcp")
	httpScheme  = oneOf("HTTP", "HTTPS")
	killOrder   = oneOf("YOUNGEST_FIRST", "OLDEST_FIRST")
	fraction    = number().from(0).to(1)

	envValueShape = strictObject(
		field{name: "secret", shape: text(), required: true, doc: "The name of an entry in secrets."},
	).as(kindEnvValue).confidential()

	secretsShape = mapOf(object(
		field{name: "source", shape: nonEmpty, required: true, doc: "Where the secret store holds it."},
	))

	artifactShape = object(
		field{name: "uri", shape: uri, required: true, doc: "What the Mesos fetcher downloads."},
		field{name: "extract", shape: boolean(), def: "true", doc: "Unpack an archive."},
		field{name: "executable", shape: boolean(), def: "false", doc: "Make the file executable."},
		field{name: "cache", shape: boolean(), def: "false", doc: "Keep it in the agent's fetcher cache."},
		field{name: "destPath", shape: filePath, doc: "The file's path in the sandbox."},
	)

	networkShape = object(
		field{name: "mode", shape: oneOf("container", "container/bridge", "host"), def: `"container"`, doc: "host shares the agent's network, container/bridge maps ports, container joins a named network."},
		field{name: "name", shape: networkName, def: "Marathon's --default_network_name, for mode container", doc: "The container network to join; only for mode container."},
		field{name: "labels", shape: stringMap, def: "{}", doc: "Labels for the network provider; not for mode host."},
	)

	executorResourcesShape = object(
		field{name: "cpus", shape: number().from(0.1), def: "0.1", unit: "shares", doc: "CPU of the executor."},
		field{name: "mem", shape: number().from(32), def: "32", unit: "MiB", doc: "Memory of the executor."},
		field{name: "disk", shape: number().from(10), def: "10", unit: "MiB", doc: "Disk of the executor."},
	)

	limitShape          = special(kindLimit, "")
	resourceLimitsShape = strictObject(
		field{name: "cpus", shape: limitShape, unit: "shares", doc: "The most CPU that a task may use; at least cpus."},
		field{name: "mem", shape: limitShape, unit: "MiB", doc: "The most memory that a task may use; at least mem."},
	)

	linuxInfoShape = strictObject(
		field{name: "seccomp", shape: strictObject(
			field{name: "profileName", shape: text(), doc: "A profile on the agent; excludes unconfined."},
			field{name: "unconfined", shape: boolean(), def: "false", doc: "Run without a profile."},
		), doc: "The seccomp profile of the container."},
		field{name: "ipcInfo", since: release19, shape: strictObject(
			field{name: "mode", shape: oneOf("PRIVATE", "SHARE_PARENT"), required: true, doc: "Whose IPC namespace the container uses."},
			field{name: "shmSize", shape: integer(), unit: "MiB", doc: "Size of /dev/shm; only with PRIVATE."},
		), doc: "The IPC namespace of the container."},
	)

	unreachableShape = object(
		field{name: "inactiveAfterSeconds", shape: long().from(0), def: "0", unit: "seconds", doc: "After this an unreachable task is replaced."},
		field{name: "expungeAfterSeconds", shape: long().from(0), def: "0", unit: "seconds", doc: "After this an unreachable task is given up; at least inactiveAfterSeconds."},
	).as(kindUnreachable)

	commandShape = object(
		field{name: "shell", shape: nonEmpty, doc: "A line for the shell; excludes argv."},
		field{name: "argv", shape: list(text()).from(1), doc: "Program and arguments; excludes shell."},
	).as(kindCommand)

	commandCheckShape = strictObject(
		field{name: "command", shape: commandShape, required: true, doc: "What is run; exit code 0 is healthy."},
	)

	pullConfigShape = object(
		field{name: "secret", shape: nonEmpty, required: true, doc: "The entry of secrets that holds a Docker config.json."},
	)

	persistentShape = object(
		field{name: "type", shape: oneOf("root", "path", "mount"), def: `"root"; "mount" with a profileName`, doc: "The kind of disk."},
		field{name: "size", shape: long().from(0), required: true, unit: "MiB", doc: "Size of the volume; more than 0."},
		field{name: "maxSize", shape: long().from(0), unit: "MiB", doc: "Largest mount disk to take; only for type mount, more than size."},
		field{name: "profileName", since: release16, shape: text(), doc: "Storage profile of the disk."},
		field{name: "constraints", shape: list(special(kindConstraint, "")), def: "[]", doc: `["path", "LIKE", regular expression]; not for type root.`},
	)
)

// computedFields are what Marathon adds to a definition when asked for it;
// manifests made from its answers carry them.
func computedFields(names ...string) []field {
	fields := make([]field, 0, len(names))
	for _, name := range names {
		shape := computedShapes[name]
		if shape == nil {
			shape = anything()
		}
		fields = append(fields, field{name: name, shape: shape, computed: true, effect: effectNone, doc: "Filled in by Marathon; ignored in a manifest."})
	}
	return fields
}

// computedShapes are of those whose members somebody may ask for.
var computedShapes = map[string]*shape{
	"residency": object(
		field{name: "relaunchEscalationTimeoutSeconds", shape: long().from(0), computed: true, def: "3600", unit: "seconds", doc: "Has no effect; Marathon shows it for apps with persistent volumes."},
		field{name: "taskLostBehavior", shape: oneOf("WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT"), computed: true, def: `"WAIT_FOREVER"`, doc: "Has no effect; Marathon shows it for apps with persistent volumes."},
	),
	"versionInfo": object(
		field{name: "lastConfigChangeAt", shape: text(), computed: true, doc: "When tasks were last replaced."},
		field{name: "lastScalingAt", shape: text(), computed: true, doc: "When instances last changed."},
	),
}
