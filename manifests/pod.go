package manifests

// Pod is a pod definition: containers that share one host and network. The
// conventions of App hold.
type Pod struct {
	ID                  string              `json:"id,omitzero"`
	Containers          []PodContainer      `json:"containers,omitzero"`
	Environment         map[string]EnvValue `json:"environment,omitzero"`
	ExecutorResources   *ExecutorResources  `json:"executorResources,omitzero"`
	Labels              map[string]string   `json:"labels,omitzero"`
	LegacySharedCgroups *bool               `json:"legacySharedCgroups,omitzero"`
	LinuxInfo           *LinuxInfo          `json:"linuxInfo,omitzero"`
	Networks            []Network           `json:"networks,omitzero"`
	Role                *string             `json:"role,omitzero"`
	Scaling             *Scaling            `json:"scaling,omitzero"`
	Scheduling          *Scheduling         `json:"scheduling,omitzero"`
	Secrets             map[string]Secret   `json:"secrets,omitzero"`
	User                *string             `json:"user,omitzero"`
	Volumes             []Volume            `json:"volumes,omitzero"`
}

// Scaling is how many instances of a pod run.
type Scaling struct {
	Instances *int   `json:"instances,omitzero"`
	Kind      string `json:"kind,omitzero"` // fixed
}

// Scheduling is where and how a pod's instances start and are replaced.
type Scheduling struct {
	Backoff             *Backoff             `json:"backoff,omitzero"`
	KillSelection       *string              `json:"killSelection,omitzero"`
	Placement           *Placement           `json:"placement,omitzero"`
	UnreachableStrategy *UnreachableStrategy `json:"unreachableStrategy,omitzero"`
	Upgrade             *UpgradeStrategy     `json:"upgrade,omitzero"`
}

// Backoff delays the launch of what fails.
type Backoff struct {
	Backoff        *float64 `json:"backoff,omitzero"` // seconds
	BackoffFactor  *float64 `json:"backoffFactor,omitzero"`
	MaxLaunchDelay *float64 `json:"maxLaunchDelay,omitzero"` // seconds
}

// Placement restricts the hosts of a pod.
type Placement struct {
	AcceptedResourceRoles []string        `json:"acceptedResourceRoles,omitzero"`
	Constraints           []PodConstraint `json:"constraints,omitzero"`
}

// PodContainer is one container of a pod.
type PodContainer struct {
	Artifacts      []Artifact          `json:"artifacts,omitzero"`
	Check          *Check              `json:"check,omitzero"` // taken and dropped by Marathon
	Endpoints      []Endpoint          `json:"endpoints,omitzero"`
	Environment    map[string]EnvValue `json:"environment,omitzero"`
	Exec           *Exec               `json:"exec,omitzero"`
	HealthCheck    *PodHealthCheck     `json:"healthCheck,omitzero"`
	Image          *Image              `json:"image,omitzero"`
	Labels         map[string]string   `json:"labels,omitzero"`
	Lifecycle      *Lifecycle          `json:"lifecycle,omitzero"`
	LinuxInfo      *LinuxInfo          `json:"linuxInfo,omitzero"`
	Name           string              `json:"name,omitzero"`
	ResourceLimits *ResourceLimits     `json:"resourceLimits,omitzero"`
	Resources      *Resources          `json:"resources,omitzero"`
	TTY            *bool               `json:"tty,omitzero"`
	User           *string             `json:"user,omitzero"`
	VolumeMounts   []VolumeMount       `json:"volumeMounts,omitzero"`
}

// Endpoint is a port of a pod's container.
type Endpoint struct {
	ContainerPort *int              `json:"containerPort,omitzero"`
	HostPort      *int              `json:"hostPort,omitzero"`
	Labels        map[string]string `json:"labels,omitzero"`
	Name          string            `json:"name,omitzero"`
	NetworkNames  []string          `json:"networkNames,omitzero"`
	Protocol      []string          `json:"protocol,omitzero"`
}

// Exec is what a pod's container runs.
type Exec struct {
	Command            *Command `json:"command,omitzero"`
	OverrideEntrypoint *bool    `json:"overrideEntrypoint,omitzero"`
}

// PodHealthCheck is the health check of a pod's container.
type PodHealthCheck struct {
	DelaySeconds           *int          `json:"delaySeconds,omitzero"` // seconds
	Exec                   *CommandCheck `json:"exec,omitzero"`
	GracePeriodSeconds     *int          `json:"gracePeriodSeconds,omitzero"` // seconds
	HTTP                   *HTTPCheck    `json:"http,omitzero"`
	IntervalSeconds        *int          `json:"intervalSeconds,omitzero"` // seconds
	MaxConsecutiveFailures *int          `json:"maxConsecutiveFailures,omitzero"`
	TCP                    *TCPCheck     `json:"tcp,omitzero"`
	TimeoutSeconds         *int          `json:"timeoutSeconds,omitzero"` // seconds
}

// Image is a container image.
type Image struct {
	ForcePull  *bool             `json:"forcePull,omitzero"`
	ID         string            `json:"id,omitzero"`
	Kind       string            `json:"kind,omitzero"` // DOCKER
	Labels     map[string]string `json:"labels,omitzero"`
	PullConfig *PullConfig       `json:"pullConfig,omitzero"`
}

// Lifecycle sets how a container ends.
type Lifecycle struct {
	KillGracePeriodSeconds *float64 `json:"killGracePeriodSeconds,omitzero"` // seconds
}

// Resources is what a pod's container asks for.
type Resources struct {
	CPUs *float64 `json:"cpus,omitzero"` // shares
	Disk *float64 `json:"disk,omitzero"` // MiB
	GPUs *int     `json:"gpus,omitzero"`
	Mem  *float64 `json:"mem,omitzero"` // MiB
}

// VolumeMount mounts a pod's volume into a container.
type VolumeMount struct {
	MountPath string `json:"mountPath,omitzero"`
	Name      string `json:"name,omitzero"`
	ReadOnly  *bool  `json:"readOnly,omitzero"`
}

// Group is a folder of apps, pods and groups. Pacer manages what only a group
// has (Dependencies, EnforceRole) and the apps and pods in it.
type Group struct {
	ID           string   `json:"id,omitzero"`
	Apps         []App    `json:"apps,omitzero"`
	Dependencies []string `json:"dependencies,omitzero"`
	EnforceRole  *bool    `json:"enforceRole,omitzero"`
	Groups       []Group  `json:"groups,omitzero"`
	Pods         []Pod    `json:"pods,omitzero"`
}
