package apply

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// The states in which a task neither runs nor has ended. Source: Marathon's
// TaskConversion and PodStatusConversion; TASK_KILLING is told with Marathon's
// feature task_killing alone.
const (
	taskStaging     = "TASK_STAGING"
	taskStarting    = "TASK_STARTING"
	taskKilling     = "TASK_KILLING"
	taskUnreachable = "TASK_UNREACHABLE"
)

// stuckTask is a task of an app, or a container of a pod, that neither runs nor has
// ended.
type stuckTask struct {
	id, host  string
	container string    // of a pod
	since     time.Time // it was staged, or seen in its state first; zero: not known
}

// stuckTasks are the tasks in one of some states, the oldest first.
func (e evidence) stuckTasks(l live, states ...string) []stuckTask {
	var found []stuckTask
	add := func(t stuckTask, state string) {
		if !slices.Contains(states, state) {
			return
		}
		if state == taskKilling || state == taskUnreachable { // since when, Marathon does not tell
			t.since = e.seen.since(t.id+" "+state, e.now)
		}
		found = append(found, t)
	}
	if l.app != nil {
		for _, t := range l.app.Tasks {
			add(stuckTask{id: t.ID, host: t.Host, since: t.StagedAt}, t.State)
		}
	} else if l.pod != nil {
		for _, i := range l.pod.Instances {
			for _, c := range i.Containers {
				add(stuckTask{id: i.ID + " " + c.Name, host: i.AgentHostname, container: c.Name, since: c.StatusSince}, c.Status)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b stuckTask) int { return a.since.Compare(b.since) })
	return found
}

// which names the first of some tasks: "since 15:03:04 UTC on h1".
func which(tasks []stuckTask, since string) string {
	first, words := tasks[0], []string{}
	if !first.since.IsZero() {
		words = append(words, since+" "+timeOfDay(first.since))
	}
	if first.host != "" {
		words = append(words, "on "+first.host)
	}
	return strings.Join(words, " ")
}

// timeOfDay is how a moment is told in what is stored, and read much later.
func timeOfDay(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// staging tells since when and where tasks are staged that do not run yet, and what
// they fetch.
func (e evidence) staging(l live) string {
	tasks := e.stuckTasks(l, taskStaging, taskStarting)
	var text, container string
	switch n := len(tasks); {
	case n == 0 && l.status().Staged == 0:
		return ""
	case n == 0: // a list, which has no tasks
		text = fmt.Sprintf("%d staging", l.status().Staged)
	case n == 1:
		text, container = "staging "+which(tasks, "since"), tasks[0].container
	default:
		text, container = fmt.Sprintf("%d staging, the first %s", n, which(tasks, "since")), tasks[0].container
	}
	if what := fetched(l, container); what != "" {
		text += ": fetching " + what
	}
	return text
}

// fetched names what a task needs before it starts: its image, and what its fetch
// says; of a pod, what the container needs that is staged.
func fetched(l live, container string) string {
	var needs []string
	add := func(image string, artifacts []manifests.Artifact) {
		if image != "" {
			needs = append(needs, "image "+image)
		}
		for _, a := range artifacts {
			needs = append(needs, withoutSecrets(a.URI))
		}
	}
	if l.app != nil {
		image := ""
		if c := l.app.Definition.Container; c != nil && c.Docker != nil {
			image = c.Docker.Image
		}
		add(image, l.app.Definition.Fetch)
	} else if l.pod != nil {
		for _, c := range l.pod.Definition.Containers {
			if container != "" && c.Name != container {
				continue
			}
			image := ""
			if c.Image != nil {
				image = c.Image.ID
			}
			add(image, c.Artifacts)
		}
	}
	const most = 2
	if more := len(needs) - most; more > 0 {
		needs = append(needs[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(needs, ", ")
}

// withoutSecrets is a URI without user, password and query, in which tokens are.
func withoutSecrets(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "a URI that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// dying tells which tasks do not end though they are killed.
func (e evidence) dying(l live) string {
	tasks := e.stuckTasks(l, taskKilling)
	switch len(tasks) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the task %s and has not ended (%s)", which(tasks, "is being killed since at least"), graceOf(l))
	}
	return fmt.Sprintf("%d tasks are being killed and have not ended, the first %s (%s)", len(tasks), which(tasks, "since at least"), graceOf(l))
}

// graceOf names the time that tasks have between being asked to end and being ended.
func graceOf(l live) string {
	grace := ""
	if l.app != nil {
		if s := l.app.Definition.TaskKillGracePeriod; s != nil {
			grace = fmt.Sprintf("taskKillGracePeriodSeconds %d", *s)
		}
		return cmp.Or(grace, "no taskKillGracePeriodSeconds")
	}
	if l.pod != nil {
		for _, c := range l.pod.Definition.Containers {
			if c.Lifecycle != nil && c.Lifecycle.KillGracePeriodSeconds != nil {
				grace = fmt.Sprintf("killGracePeriodSeconds %g of %s", *c.Lifecycle.KillGracePeriodSeconds, c.Name)
			}
		}
	}
	return cmp.Or(grace, "no killGracePeriodSeconds")
}

// unreachable tells which tasks Mesos has lost sight of, and what Marathon does
// about it.
func (e evidence) unreachable(l live) string {
	tasks := e.stuckTasks(l, taskUnreachable)
	switch len(tasks) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the task %s: %s", which(tasks, "is unreachable since at least"), strategyOf(l, "it"))
	}
	return fmt.Sprintf("%d tasks are unreachable, the first %s: %s", len(tasks), which(tasks, "since at least"), strategyOf(l, "them"))
}

// strategyOf says what Marathon does about tasks that are unreachable.
func strategyOf(l live, them string) string {
	var s *manifests.UnreachableStrategy
	switch {
	case l.app != nil:
		s = l.app.Definition.UnreachableStrategy
	case l.pod != nil && l.pod.Definition.Scheduling != nil:
		s = l.pod.Definition.Scheduling.UnreachableStrategy
	}
	if s != nil && s.Disabled {
		return "Marathon waits for " + them + " and starts no other (unreachableStrategy disabled)"
	}
	after := func(seconds *int) string {
		if seconds == nil || *seconds == 0 { // Marathon's default since 1.5.1
			return "at once"
		}
		return fmt.Sprintf("after %d s", *seconds)
	}
	if s == nil {
		s = &manifests.UnreachableStrategy{}
	}
	return fmt.Sprintf("Marathon starts another %s and gives %s up %s (unreachableStrategy)", after(s.InactiveAfterSeconds), them, after(s.ExpungeAfterSeconds))
}

// stopping tells of a delete, by what was there before it, whose tasks have not
// ended: of what is deleted Marathon shows no task any more.
func stopping(was live, deployment string, since time.Time) string {
	var hosts []string
	tasks := was.status().Running + was.status().Staged
	if was.app != nil {
		for _, t := range was.app.Tasks {
			hosts = append(hosts, t.Host)
		}
	} else if was.pod != nil {
		for _, i := range was.pod.Instances {
			hosts = append(hosts, i.AgentHostname)
		}
	}
	slices.Sort(hosts)
	hosts = slices.DeleteFunc(slices.Compact(hosts), func(h string) bool { return h == "" })
	text := fmt.Sprintf("stopping since %s: deployment %s is in progress", timeOfDay(since), deployment)
	if was.missing() {
		return text
	}
	where := ""
	if len(hosts) > 0 {
		if more := len(hosts) - 3; more > 0 {
			hosts = append(hosts[:3], fmt.Sprintf("%d more hosts", more))
		}
		where = ", on " + strings.Join(hosts, ", ")
	}
	if tasks == 1 {
		return fmt.Sprintf("%s, the task that ran before%s, has not ended (%s)", text, where, graceOf(was))
	}
	return fmt.Sprintf("%s, the %d tasks that ran before%s, have not all ended (%s)", text, tasks, where, graceOf(was))
}

// sightings remembers since when tasks were seen in a state of which Marathon does
// not tell since when.
type sightings struct {
	mu    sync.Mutex
	first map[string]time.Time
}

const mostSightings = 10_000

// since is when a key was seen first; zero where nothing is remembered.
func (s *sightings) since(key string, now time.Time) time.Time {
	if s == nil {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.first[key]; known {
		return at
	}
	if len(s.first) >= mostSightings {
		clear(s.first)
	}
	s.first[key] = now
	return now
}
