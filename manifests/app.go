package manifests

// App is an app definition in Marathon's own words, both as somebody wrote it
// and in normal form: one type for desired and live. A nil pointer, slice or
// map is an absent field; an empty, non-nil slice or map is one that was given
// as empty, which Marathon tells apart for some fields (portDefinitions,
// portMappings).
//
// Fields marked Legacy are accepted in manifests and never stand in a normal
// form. What Marathon only computes (version, tasks, deployments …) is not
// here: see Status in controller/marathon.
//
// Source: Marathon's RAML types (docs/docs/rest-api/public/api/v2/types).
type App struct {
	ID                    string               `json:"id,omitzero"`
	AcceptedResourceRoles []string             `json:"acceptedResourceRoles,omitzero"`
	Args                  []string             `json:"args,omitzero"`
	BackoffFactor         *float64             `json:"backoffFactor,omitzero"`
	BackoffSeconds        *int                 `json:"backoffSeconds,omitzero"` // seconds
	Check                 *Check               `json:"check,omitzero"`
	Cmd                   *string              `json:"cmd,omitzero"`
	Constraints           []Constraint         `json:"constraints,omitzero"`
	Container             *Container           `json:"container,omitzero"`
	CPUs                  *float64             `json:"cpus,omitzero"` // shares
	Dependencies          []string             `json:"dependencies,omitzero"`
	Disk                  *float64             `json:"disk,omitzero"` // MiB
	Env                   map[string]EnvValue  `json:"env,omitzero"`
	Executor              *string              `json:"executor,omitzero"`
	ExecutorResources     *ExecutorResources   `json:"executorResources,omitzero"`
	Fetch                 []Artifact           `json:"fetch,omitzero"`
	GPUs                  *int                 `json:"gpus,omitzero"`
	HealthChecks          []HealthCheck        `json:"healthChecks,omitzero"`
	Instances             *int                 `json:"instances,omitzero"`
	KillSelection         *string              `json:"killSelection,omitzero"`
	Labels                map[string]string    `json:"labels,omitzero"`
	MaxLaunchDelaySeconds *int                 `json:"maxLaunchDelaySeconds,omitzero"` // seconds
	Mem                   *float64             `json:"mem,omitzero"`                   // MiB
	Networks              []Network            `json:"networks,omitzero"`
	PortDefinitions       []PortDefinition     `json:"portDefinitions,omitzero"`
	ReadinessChecks       []ReadinessCheck     `json:"readinessChecks,omitzero"`
	RequirePorts          *bool                `json:"requirePorts,omitzero"`
	ResourceLimits        *ResourceLimits      `json:"resourceLimits,omitzero"`
	Role                  *string              `json:"role,omitzero"`
	Secrets               map[string]Secret    `json:"secrets,omitzero"`
	TaskKillGracePeriod   *int                 `json:"taskKillGracePeriodSeconds,omitzero"` // seconds
	TTY                   *bool                `json:"tty,omitzero"`
	UnreachableStrategy   *UnreachableStrategy `json:"unreachableStrategy,omitzero"`
	UpgradeStrategy       *UpgradeStrategy     `json:"upgradeStrategy,omitzero"`
	User                  *string              `json:"user,omitzero"`

	IPAddress *IPAddress `json:"ipAddress,omitzero"` // Legacy: networks
	Ports     []int      `json:"ports,omitzero"`     // Legacy: portDefinitions
	Residency *Residency `json:"residency,omitzero"` // Legacy: computed by Marathon, ignored when given
	URIs      []string   `json:"uris,omitzero"`      // Legacy: fetch
}

// Container says in what an app runs.
type Container struct {
	Type         string        `json:"type,omitzero"` // DOCKER (default) or MESOS
	Docker       *Docker       `json:"docker,omitzero"`
	LinuxInfo    *LinuxInfo    `json:"linuxInfo,omitzero"`
	PortMappings []PortMapping `json:"portMappings,omitzero"`
	Volumes      []Volume      `json:"volumes,omitzero"`
}

// Docker names an image and how it is run.
type Docker struct {
	Image          string            `json:"image,omitzero"`
	ForcePullImage *bool             `json:"forcePullImage,omitzero"`
	Parameters     []DockerParameter `json:"parameters,omitzero"`
	Privileged     *bool             `json:"privileged,omitzero"`
	PullConfig     *PullConfig       `json:"pullConfig,omitzero"`

	Credential   *DockerCredential `json:"credential,omitzero"`   // Legacy: refused
	Network      *string           `json:"network,omitzero"`      // Legacy: networks
	PortMappings []PortMapping     `json:"portMappings,omitzero"` // Legacy: container.portMappings
}

// DockerParameter is one option of docker run.
type DockerParameter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// DockerCredential is a form of before pullConfig.
type DockerCredential struct {
	Principal string  `json:"principal,omitzero"`
	Secret    *string `json:"secret,omitzero"`
}

// PullConfig names the secret that holds a Docker configuration.
type PullConfig struct {
	Secret string `json:"secret,omitzero"`
}

// PortMapping maps a port of a container to one of its host.
type PortMapping struct {
	ContainerPort *int              `json:"containerPort,omitzero"`
	HostPort      *int              `json:"hostPort,omitzero"`
	Labels        map[string]string `json:"labels,omitzero"`
	Name          *string           `json:"name,omitzero"`
	NetworkNames  []string          `json:"networkNames,omitzero"`
	Protocol      *string           `json:"protocol,omitzero"`
	ServicePort   *int              `json:"servicePort,omitzero"`
}

// PortDefinition is a port of an app on the host network.
type PortDefinition struct {
	Labels   map[string]string `json:"labels,omitzero"`
	Name     *string           `json:"name,omitzero"`
	Port     *int              `json:"port,omitzero"`
	Protocol *string           `json:"protocol,omitzero"`
}

// Network is one network that an app or pod joins.
type Network struct {
	Labels map[string]string `json:"labels,omitzero"`
	Mode   *string           `json:"mode,omitzero"` // host, container/bridge or container
	Name   *string           `json:"name,omitzero"`
}

// IPAddress is the form of before networks (Marathon 1.5).
type IPAddress struct {
	Discovery   *IPDiscovery      `json:"discovery,omitzero"`
	Groups      []string          `json:"groups,omitzero"`
	Labels      map[string]string `json:"labels,omitzero"`
	NetworkName *string           `json:"networkName,omitzero"`
}

// IPDiscovery lists the ports of an IPAddress.
type IPDiscovery struct {
	Ports []IPDiscoveryPort `json:"ports,omitzero"`
}

// IPDiscoveryPort is one port of an IPAddress.
type IPDiscoveryPort struct {
	Labels   map[string]string `json:"labels,omitzero"`
	Name     string            `json:"name,omitzero"`
	Number   *int              `json:"number,omitzero"`
	Protocol *string           `json:"protocol,omitzero"`
}

// Residency is what Marathon shows for apps with persistent volumes.
type Residency struct {
	RelaunchEscalationTimeoutSeconds *int    `json:"relaunchEscalationTimeoutSeconds,omitzero"`
	TaskLostBehavior                 *string `json:"taskLostBehavior,omitzero"`
}

// HealthCheck is a health check of an app.
type HealthCheck struct {
	Command                *CommandValue `json:"command,omitzero"`
	DelaySeconds           *int          `json:"delaySeconds,omitzero"`       // seconds
	GracePeriodSeconds     *int          `json:"gracePeriodSeconds,omitzero"` // seconds
	IgnoreHTTP1xx          *bool         `json:"ignoreHttp1xx,omitzero"`
	IntervalSeconds        *int          `json:"intervalSeconds,omitzero"` // seconds
	IPProtocol             *string       `json:"ipProtocol,omitzero"`
	MaxConsecutiveFailures *int          `json:"maxConsecutiveFailures,omitzero"`
	Path                   *string       `json:"path,omitzero"`
	Port                   *int          `json:"port,omitzero"`
	PortIndex              *int          `json:"portIndex,omitzero"`
	Protocol               *string       `json:"protocol,omitzero"`
	TimeoutSeconds         *int          `json:"timeoutSeconds,omitzero"` // seconds
}

// CommandValue is the command of a COMMAND health check.
type CommandValue struct {
	Value string `json:"value"`
}

// Check is a Mesos check of an app (Marathon 1.8).
type Check struct {
	DelaySeconds    *int          `json:"delaySeconds,omitzero"` // seconds
	Exec            *CommandCheck `json:"exec,omitzero"`
	HTTP            *HTTPCheck    `json:"http,omitzero"`
	IntervalSeconds *int          `json:"intervalSeconds,omitzero"` // seconds
	TCP             *TCPCheck     `json:"tcp,omitzero"`
	TimeoutSeconds  *int          `json:"timeoutSeconds,omitzero"` // seconds
}

// HTTPCheck asks a port by HTTP. An app names the port by index or number, a
// pod's container by endpoint.
type HTTPCheck struct {
	Endpoint  string  `json:"endpoint,omitzero"`
	Path      *string `json:"path,omitzero"`
	Port      *int    `json:"port,omitzero"`
	PortIndex *int    `json:"portIndex,omitzero"`
	Scheme    *string `json:"scheme,omitzero"`
}

// TCPCheck opens a port. The port is named as in HTTPCheck.
type TCPCheck struct {
	Endpoint  string `json:"endpoint,omitzero"`
	Port      *int   `json:"port,omitzero"`
	PortIndex *int   `json:"portIndex,omitzero"`
}

// CommandCheck runs a command.
type CommandCheck struct {
	Command *Command `json:"command,omitzero"`
}

// Command is a shell line or an argument vector.
type Command struct {
	Argv  []string `json:"argv,omitzero"`
	Shell *string  `json:"shell,omitzero"`
}

// ReadinessCheck asks a new task during a rollout whether it is ready.
type ReadinessCheck struct {
	HTTPStatusCodesForReady []int   `json:"httpStatusCodesForReady,omitzero"`
	IntervalSeconds         *int    `json:"intervalSeconds,omitzero"` // seconds
	Name                    *string `json:"name,omitzero"`
	Path                    *string `json:"path,omitzero"`
	PortName                *string `json:"portName,omitzero"`
	PreserveLastResponse    *bool   `json:"preserveLastResponse,omitzero"`
	Protocol                *string `json:"protocol,omitzero"`
	TimeoutSeconds          *int    `json:"timeoutSeconds,omitzero"` // seconds
}

// UpgradeStrategy bounds a rollout, as fractions of instances.
type UpgradeStrategy struct {
	MaximumOverCapacity   *float64 `json:"maximumOverCapacity,omitzero"`
	MinimumHealthCapacity *float64 `json:"minimumHealthCapacity,omitzero"`
}
