// Package marathon talks to a Marathon over HTTP: it reads apps, pods, groups,
// deployments, the queue and /v2/info, writes definitions and follows events. A live
// copy of it all, which events keep current, is package cache.
// The wire types that only Marathon computes are here; definitions are those of
// package manifests.
//
// It decides nothing: what to write is the plan's and the apply's business.
//
// # Reading
//
// An answer that is not what was asked for is an error and never "nothing
// there": HTML with status 200, {} without "apps", half a document, two
// documents, a body beyond the limit, an app without an id, the same id twice.
// State reads whole lists, each in one request, and for pods the versions that
// were not read before; what it cannot tell from them it says so (Outdated is
// -1), and App, which reads one, then can.
//
// # Writing
//
// Every write sends a whole definition with partialUpdate=false, so that a key
// that is gone from the definition goes from Marathon, with an explicit force
// (the default of a DELETE is true) and with a Content-Length (a standby loses
// chunked bodies). A write goes to the next URL only if it cannot have reached
// the first one. What is not known to be refused or taken says so:
// (*Error).Unknown.
//
// # Secrets
//
// Credentials are read each time they are used and never leave for a host that
// is not configured: redirects to another host or scheme are refused. Errors
// hold no request body, and what Marathon echoes of one is cut out.
package marathon

import (
	"cmp"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// State is what a Marathon held at one moment.
type State struct {
	Cluster     manifests.Cluster
	Apps        map[string]App
	Pods        map[string]Pod
	Groups      map[string]*manifests.Group // id → what only a group has
	Deployments []Deployment
}

// App is a live app: its definition and how it fares.
type App struct {
	Definition *manifests.App
	Status     Status
	Tasks      []Task // that have not ended; nil where not read: only App reads them
	Ended      []Task // that have, of instances whose next task is not launched yet; read with Tasks
}

// Pod is a live pod.
type Pod struct {
	Definition *manifests.Pod
	Status     Status
	Instances  []PodInstance
}

// Status is how an app or a pod fares. Counts are of tasks (instances of a pod).
type Status struct {
	Version            string // opaque token of the definition
	LastConfigChangeAt time.Time
	LastScalingAt      time.Time
	Staged             int
	Running            int
	Healthy            int
	Unhealthy          int
	Outdated           int      // tasks of an older configuration; -1 where not read
	Deployments        []string // ids that hold a lock on it
	LastTaskFailure    *TaskFailure
}

// PresentFailure is the last failure of a task of the present configuration;
// nil where there was none. A failure of an older one says nothing of what is
// wanted now. Marathon tells the version of an app's task; of a pod's instance
// only when it ended.
func (s Status) PresentFailure() *TaskFailure {
	f := s.LastTaskFailure
	switch {
	case f == nil:
		return nil
	case f.Version.IsZero() && f.Timestamp.Before(s.LastConfigChangeAt), !f.Version.IsZero() && !s.IsPresent(f.Version):
		return nil
	}
	return f
}

// IsPresent reports whether a task of a version is of the present configuration. The
// upper bound matters after a rollback of a deployment, whose version is older than
// the tasks that it replaces.
func (s Status) IsPresent(version time.Time) bool {
	newest, err := time.Parse(time.RFC3339Nano, s.Version)
	return !version.Before(s.LastConfigChangeAt) && (err != nil || !version.After(newest))
}

// TaskFailure is the last way in which a task of an app ended badly.
type TaskFailure struct {
	AppID     string    `json:"appId"`
	Host      string    `json:"host"`
	Message   string    `json:"message"`
	State     string    `json:"state"`
	TaskID    string    `json:"taskId"`
	Timestamp time.Time `json:"timestamp"`
	Version   time.Time `json:"version"`
}

// Deployment is a running deployment.
type Deployment struct {
	ID             string     `json:"id"`
	Version        string     `json:"version"`
	AffectedApps   []string   `json:"affectedApps"`
	AffectedPods   []string   `json:"affectedPods"`
	CurrentActions []Action   `json:"currentActions"`
	Steps          []struct { // what is done side by side
		Actions []Action `json:"actions"`
	} `json:"steps"`
	CurrentStep int `json:"currentStep"` // 1-based; 0: not begun
	TotalSteps  int `json:"totalSteps"`
}

// Action is one action of a deployment.
type Action struct {
	Action string `json:"action"` // StartApplication, ScaleApplication, RestartApplication, StopApplication, …Pod
	App    string `json:"app,omitempty"`
	Pod    string `json:"pod,omitempty"`

	Readiness []Readiness `json:"readinessCheckResults,omitempty"` // of currentActions only
}

// ID is the id of the app or pod that the action is about.
func (a Action) ID() string { return cmp.Or(a.App, a.Pod) }

// Affected lists the ids of the apps and pods that the deployment locks.
func (d Deployment) Affected() []string { return slices.Concat(d.AffectedApps, d.AffectedPods) }

// Readiness is what a readiness check last found for one task.
type Readiness struct {
	Name         string `json:"name"`
	TaskID       string `json:"taskId"`
	Ready        bool   `json:"ready"`
	LastResponse *struct {
		Status int `json:"status"` // HTTP status
	} `json:"lastResponse,omitempty"`
}

// Task is one task of an app.
type Task struct {
	ID        string         `json:"id"`
	AppID     string         `json:"appId"`
	Host      string         `json:"host"`
	State     string         `json:"state"` // TASK_STAGING, TASK_RUNNING …
	Version   time.Time      `json:"version"`
	StagedAt  time.Time      `json:"stagedAt"`
	StartedAt time.Time      `json:"startedAt"`
	Ports     []int          `json:"ports"`
	Health    []HealthResult `json:"healthCheckResults"` // one for each check that has answered
}

// HealthResult is what one health check last found for one task.
type HealthResult struct {
	Alive               bool   `json:"alive"`
	ConsecutiveFailures int    `json:"consecutiveFailures"`
	LastFailureCause    string `json:"lastFailureCause"`
}

// PodInstance is one instance of a pod.
type PodInstance struct {
	ID            string         `json:"id"`
	Status        string         `json:"status"` // PENDING, STAGING, STABLE, DEGRADED, TERMINAL
	Message       string         `json:"message"`
	AgentHostname string         `json:"agentHostname"`
	SpecReference string         `json:"specReference"` // ends in ::versions/VERSION
	Containers    []PodContainer `json:"containers"`
}

// PodContainer is how a container of an instance of a pod fares.
type PodContainer struct {
	Name        string    `json:"name"`
	Status      string    `json:"status"`      // TASK_RUNNING …
	StatusSince time.Time `json:"statusSince"` // when it was staged, or started if it was: also of other states
	Message     string    `json:"message"`
	Termination *struct {
		ExitCode *int   `json:"exitCode"`
		Message  string `json:"message"`
	} `json:"termination"`
}
