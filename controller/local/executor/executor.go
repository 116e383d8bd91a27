// Package executor runs tasks on this machine: processes in their own session,
// or containers by the machine's Docker engine. It fetches, makes sandboxes,
// enforces or accounts resources, and tells how tasks end.
//
// It knows nothing of Marathon's API, apps or deployments: those are
// controller/local's, which decides what runs.
//
// # What belongs to a task
//
// A task is its process and everything that came of it. Where a cgroup v2
// hierarchy can be written to, each task has a cgroup, which nothing leaves.
// Elsewhere a process belongs to a task if it is in the task's session or
// process group, descends from one that is, carries the task's marker in its
// environment, or writes to the task's stdout or stderr. A parent-death signal is
// not used: the kernel sends it when the thread that forked ends, which in Go
// says nothing about the program, and it reaches the first child only. Instead
// the next executor on the same folder ends what it finds marked as that folder's.
package executor

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Task is what is to run.
type Task struct {
	ID        string            // unique for ever; names the sandbox
	App       string            // groups the sandboxes of ended tasks, of which the last few are kept
	Cmd       string            // run by /bin/sh -c; or
	Args      []string          // run as they are (or as arguments of the image's entrypoint)
	Env       map[string]string // complete, but for MESOS_SANDBOX, and MESOS_TASK_ID, HOME (the sandbox) and PATH (ours) where it lacks them
	User      string            // empty: the current one
	Ports     []Port
	CPUs      float64 // shares: a weight beside other tasks, no upper limit
	Mem       float64 // MiB; also the limit if MemLimit is 0
	CPULimit  float64 // CPUs at most; 0: none (but see Options.LimitCPUs); below 0: none
	MemLimit  float64 // MiB at most; 0: Mem; below 0: none
	Disk      float64 // MiB, only accounted
	Fetch     []Fetch
	Volumes   []Volume
	KillGrace time.Duration // between SIGTERM and SIGKILL
	Container *Container    // nil: a plain process
}

// Port is a port of the task: on the host, and in the container if it has one.
type Port struct {
	Host, Container int
	Protocol        string // tcp or udp; empty: tcp
}

// Fetch is one artifact for the sandbox, by http, https or file URI or by an
// absolute path of this machine. Cache is accepted and means nothing here.
type Fetch struct {
	URI, DestPath              string
	Extract, Executable, Cache bool
}

// Volume is a folder of the host in the task. A process sees it as a symlink in
// its sandbox where Container is relative; an absolute Container must then be
// equal to Host, for a process sees the host's own files. ReadOnly holds for
// containers only.
type Volume struct {
	Host, Container string
	ReadOnly        bool
	Persistent      bool // made if it is missing, and given to the task's user
}

// Container is the image of a task. A volume with a relative Container path is
// mounted below the sandbox, which containers see as /mnt/mesos/sandbox.
type Container struct {
	Image       string
	ForcePull   bool // pull though the engine has the image
	Privileged  bool
	Parameters  [][2]string // options of docker run, as key and value: see the function Parameters
	HostNetwork bool
	Network     string // a user network, else the bridge
}

// State is what a task is at.
type State string

// The states, as Mesos names them.
const (
	Staging  State = "TASK_STAGING" // fetching, pulling
	Starting State = "TASK_STARTING"
	Running  State = "TASK_RUNNING"
	Killing  State = "TASK_KILLING"
	Finished State = "TASK_FINISHED"
	Failed   State = "TASK_FAILED"
	Killed   State = "TASK_KILLED"
	Lost     State = "TASK_LOST" // its Docker engine went away
)

// Terminal says whether a task in this state has ended.
func (s State) Terminal() bool {
	return s == Finished || s == Failed || s == Killed || s == Lost
}

// Update says that a task has reached a state.
type Update struct {
	TaskID    string
	State     State
	Message   string // "Command exited with status 127"
	ExitCode  int    // of an ended command; 128 + the signal's number if one ended it
	Timestamp time.Time
	PID       int      // of a running process, or of a container's first one
	IPs       []string // of a running task
}

// Executor runs tasks. Launch and Kill only begin; what comes of it is told by
// the function given at creation, in order for each task, never concurrently
// for one task: Staging, Starting, Running, Killing (if killed while running),
// and one terminal state. When that is told no process of the task is left, and
// its ID is forgotten but for the sandbox.
type Executor interface {
	// Launch begins a task. An error means that nothing was begun: the task makes
	// no sense (no command, a bad or known ID) or the executor is closed. What this
	// machine cannot do for it (a missing user, a failed fetch) is told as Failed.
	Launch(Task) error
	// Kill ends a task: SIGTERM to all its processes, then SIGKILL after its
	// grace period. Unknown and ended tasks are no error.
	Kill(taskID string)
	// Exec runs a shell command in the task's surroundings (a COMMAND health
	// check) and returns its exit code. When ctx ends, the command and what it
	// started are ended, and ctx's error is returned. A task that is not running
	// is an error.
	Exec(ctx context.Context, taskID, command string) (int, error)
	// Sandbox is the folder of a task, also after it has ended and after a
	// restart on the same folder; "" if unknown.
	Sandbox(taskID string) string
	// Ready says why a task cannot run here for want of a Docker engine; nil: it
	// can. The engine is asked at most every few seconds.
	Ready(Task) error
	// Enforcement says in one sentence whether cpus and mem of processes are
	// enforced here or only accounted, and why.
	Enforcement() string
	// Files serves the sandboxes as a Mesos agent does: GET /files/read,
	// /files/browse and /files/download with the parameter path (and offset, length).
	Files() http.Handler
	// Close kills every task, waits for them, and leaves no process behind.
	Close() error
}

// Options are what an executor needs to know.
type Options struct {
	// Dir holds the sandboxes and the owner's mark. Only one executor at a time may
	// use it. Empty: a temporary folder, which Close removes.
	Dir string
	// Update is told of each change of a task's state. It may call the executor,
	// but not Close. Required.
	Update func(Update)
	// Owner marks processes and containers as this folder's. Empty: the one
	// written in Dir, or a new one.
	Owner string
	// Docker is the engine's address, as in DOCKER_HOST. Empty: DOCKER_HOST, else
	// unix:///var/run/docker.sock.
	Docker string
	// PublishIP is the address of this machine that containers' ports are
	// published on. Empty: 127.0.0.1.
	PublishIP string
	// KeepSandboxes lets Close leave a temporary folder.
	KeepSandboxes bool
	// KeepPerApp is the number of ended tasks' sandboxes kept for each app. 0: 10.
	KeepPerApp int
	// KeepFor is the age after which an ended task's sandbox is removed. 0: 7 days.
	KeepFor time.Duration
	// CloseGrace is the longest grace period of a task killed by Close. 0: 5 s.
	CloseGrace time.Duration
	// FetchLimit is the number of bytes that one artifact may have, before and
	// after extraction. 0: 4 GiB.
	FetchLimit int64
	// LimitCPUs makes CPUs an upper limit too, as a Mesos agent's
	// --cgroups_enable_cfs does.
	LimitCPUs bool
	// CgroupRoot is where the cgroup v2 hierarchy is mounted. Empty:
	// /sys/fs/cgroup, or its folder unified. "none": cgroups are not used.
	CgroupRoot string
	// Log receives what nobody else can be told. Nil: slog.Default().
	Log *slog.Logger
}
