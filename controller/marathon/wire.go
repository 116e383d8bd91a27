package marathon

import (
	"path"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// wireApp is an app as Marathon tells it: a definition, and all that it
// computes, side by side.
type wireApp struct {
	manifests.App
	Version     string `json:"version"`
	VersionInfo struct {
		LastScalingAt      time.Time `json:"lastScalingAt"`
		LastConfigChangeAt time.Time `json:"lastConfigChangeAt"`
	} `json:"versionInfo"`
	TasksStaged    int `json:"tasksStaged"`
	TasksRunning   int `json:"tasksRunning"`
	TasksHealthy   int `json:"tasksHealthy"`
	TasksUnhealthy int `json:"tasksUnhealthy"`
	Deployments    []struct {
		ID string `json:"id"`
	} `json:"deployments"`
	Tasks           []Task       `json:"tasks"`
	LastTaskFailure *TaskFailure `json:"lastTaskFailure"`
	TasksStats      *struct {    // embedded by the word taskStats: measured
		Outdated *struct {
			Stats struct {
				Counts struct {
					Staged  int `json:"staged"`
					Running int `json:"running"`
				} `json:"counts"`
			} `json:"stats"`
		} `json:"withOutdatedConfig"`
	} `json:"tasksStats"`
}

func (w *wireApp) app() App {
	ended := w.dropEnded()
	w.clean()
	definition := w.App // a copy, so that the rest can go
	s := Status{
		Version:            w.Version,
		LastConfigChangeAt: w.VersionInfo.LastConfigChangeAt,
		LastScalingAt:      w.VersionInfo.LastScalingAt,
		Staged:             w.TasksStaged,
		Running:            w.TasksRunning,
		Healthy:            w.TasksHealthy,
		Unhealthy:          w.TasksUnhealthy,
		Outdated:           w.outdated(),
		LastTaskFailure:    w.LastTaskFailure,
	}
	for _, d := range w.Deployments {
		s.Deployments = append(s.Deployments, d.ID)
	}
	return App{Definition: &definition, Status: s, Tasks: w.Tasks, Ended: ended}
}

// dropEnded takes out the tasks that have ended, and returns them. Until the next
// one of the instance is launched Marathon still shows them, but without a version,
// which would make them look outdated. Source: Marathon's TaskConversion.
func (w *wireApp) dropEnded() (ended []Task) {
	w.Tasks = slices.DeleteFunc(w.Tasks, func(t Task) bool {
		if t.Version.IsZero() {
			ended = append(ended, t)
		}
		return t.Version.IsZero()
	})
	return ended
}

// outdated counts tasks of an older configuration. Where the tasks are there,
// each must have lastConfigChangeAt ≤ version ≤ the app's; the upper bound
// matters after a rollback, whose version is older than the tasks that it
// replaces. Marathon's own statistics know only the lower one. Source:
// Marathon's VersionInfo and TaskStats, and testdata/conformance/api/locks.json.
func (w *wireApp) outdated() int {
	if w.Tasks != nil {
		newest, err := time.Parse(time.RFC3339, w.Version)
		if err != nil {
			return -1
		}
		n := 0
		for _, t := range w.Tasks {
			if t.Version.Before(w.VersionInfo.LastConfigChangeAt) || t.Version.After(newest) {
				n++
			}
		}
		return n
	}
	switch {
	case w.TasksStats == nil && w.TasksStaged+w.TasksRunning > 0:
		return -1
	case w.TasksStats == nil || w.TasksStats.Outdated == nil:
		return 0
	}
	counts := w.TasksStats.Outdated.Stats.Counts
	return counts.Staged + counts.Running
}

// wireTermination is the end of an instance of a pod.
type wireTermination struct {
	InstanceID   string    `json:"instanceID"`
	TerminatedAt time.Time `json:"terminatedAt"`
	Message      string    `json:"message"`
	Containers   []struct {
		ContainerID    string `json:"containerId"`
		LastKnownState string `json:"lastKnownState"`
		Termination    *struct {
			ExitCode *int   `json:"exitCode"`
			Message  string `json:"message"`
		} `json:"termination"`
	} `json:"containers"`
}

// Words of Marathon for the instances of pods. Source: podStatus.raml.
const (
	instancePending  = "PENDING"
	instanceStaging  = "STAGING"
	instanceStable   = "STABLE"
	instanceDegraded = "DEGRADED"
)

// pod puts a definition and a status together. Only a STABLE instance runs with
// every container healthy; a DEGRADED one runs and is not.
func (w *wirePodStatus) pod(d *wirePod) Pod {
	definition := d.Pod
	s := Status{Version: d.Version}
	if at, err := time.Parse(time.RFC3339, d.Version); err == nil {
		s.LastConfigChangeAt = at // or of its scale: pods tell no more
	}
	for _, i := range w.Instances {
		switch i.Status {
		case instancePending, instanceStaging:
			s.Staged++
		case instanceStable:
			s.Running++
			s.Healthy++
		case instanceDegraded:
			s.Running++
			s.Unhealthy++
		}
		if !sameTime(path.Base(i.SpecReference), d.Version) {
			s.Outdated = -1 // or only scaled since: see outdatedInstances
		}
	}
	w.clean(&definition)
	s.LastTaskFailure = w.lastFailure()
	s.LastTaskFailure.clean(envOfPod(&definition))
	return Pod{Definition: &definition, Status: s, Instances: w.Instances}
}

func (w *wirePodStatus) lastFailure() *TaskFailure {
	var last *TaskFailure
	for _, t := range w.TerminationHistory {
		if last != nil && !t.TerminatedAt.After(last.Timestamp) {
			continue
		}
		f := &TaskFailure{AppID: w.ID, TaskID: t.InstanceID, Timestamp: t.TerminatedAt, Message: t.Message}
		for _, c := range t.Containers {
			f.State = c.LastKnownState
			if c.Termination != nil && c.Termination.Message != "" {
				f.Message = c.Termination.Message
			}
		}
		last = f
	}
	return last
}

// sameTime compares two timestamps of Marathon's: with milliseconds in most
// places, with fewer digits in a specReference.
func sameTime(a, b string) bool {
	x, err1 := time.Parse(time.RFC3339, a)
	y, err2 := time.Parse(time.RFC3339, b)
	return err1 == nil && err2 == nil && x.Truncate(time.Millisecond).Equal(y.Truncate(time.Millisecond))
}
