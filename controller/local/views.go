package local

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

type versionInfo struct {
	LastScalingAt      stamp `json:"lastScalingAt"`
	LastConfigChangeAt stamp `json:"lastConfigChangeAt"`
}

// appDefinition is an app as Marathon prints it: some fields are always there.
type appDefinition struct {
	*manifests.App
	Residency   any                 `json:"residency,omitempty"`
	URIs        any                 `json:"uris,omitempty"` // legacy fields are never printed
	Ports       any                 `json:"ports,omitempty"`
	IPAddress   any                 `json:"ipAddress,omitempty"`
	Labels      map[string]string   `json:"labels"`
	Networks    []manifests.Network `json:"networks,omitempty"`
	Version     stamp               `json:"version"`
	VersionInfo *versionInfo        `json:"versionInfo,omitempty"`
}

// definition is a spec as GET prints it, without what describes its run.
func (s *spec) definition() json.RawMessage {
	if s.json == nil {
		s.json = withDoubles(s.plain())
	}
	return s.json
}

// plain is a spec as events print it, where a double may look like an integer.
func (s *spec) plain() json.RawMessage { return s.print(&versionInfo{s.scaledAt, s.configAt}) }

func (s *spec) print(info *versionInfo) json.RawMessage {
	var v any
	if s.app != nil {
		a := appDefinition{App: s.app, Labels: s.app.Labels, Networks: s.app.Networks, Version: s.version, VersionInfo: info}
		if a.Labels == nil {
			a.Labels = map[string]string{}
		}
		if s.resident() {
			a.Residency = map[string]any{"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"}
		}
		v = a
	} else {
		v = struct {
			*manifests.Pod
			Version stamp `json:"version"`
		}{s.pod, s.version}
	}
	text, err := encode(v)
	if err != nil { // numbers that JSON cannot say were refused when they came
		return json.RawMessage(`{}`)
	}
	return text
}

// extend adds members to an object that is already text.
func extend(object json.RawMessage, members any) json.RawMessage {
	more, err := encode(members)
	if err != nil || len(more) <= 2 {
		return object
	}
	return slices.Concat(object[:len(object)-1], []byte(","), more[1:])
}

// counts are the tasks of an app by how they fare.
type counts struct {
	Staged    int `json:"staged"`
	Running   int `json:"running"`
	Healthy   int `json:"healthy"`
	Unhealthy int `json:"unhealthy"`
}

func (c *counts) add(i *instance) {
	switch i.condition {
	case provisioned, staging:
		c.Staged++
	case running:
		c.Running++
		if seen := i.healthSeen(); slices.Contains(seen, false) {
			c.Unhealthy++
		} else if len(seen) > 0 {
			c.Healthy++
		}
	}
}

type run struct {
	*runCounts
	Deployments     []ref              `json:"deployments,omitzero"`
	Readiness       []any              `json:"readinessCheckResults,omitzero"`
	Tasks           []taskView         `json:"tasks,omitzero"`
	LastTaskFailure *taskFailure       `json:"lastTaskFailure,omitempty"`
	TaskStats       map[string]statsOf `json:"tasksStats,omitempty"`
}

type runCounts struct {
	Staged    int `json:"tasksStaged"`
	Running   int `json:"tasksRunning"`
	Healthy   int `json:"tasksHealthy"`
	Unhealthy int `json:"tasksUnhealthy"`
}

// embeds are the parts of an answer that a client asked for.
type embeds struct{ counts, deployments, tasks, failure, stats, readiness bool }

// usual are the parts that apps outside of groups have in any case.
var usual = embeds{counts: true, deployments: true}

// embedsOf reads the words of a query, which may have any of three prefixes or
// none. Source: Marathon's InfoEmbedResolver.
func embedsOf(words []string) embeds {
	var e embeds
	for _, w := range words {
		for _, prefix := range []string{"group.apps.", "apps.", "app."} {
			if rest, has := strings.CutPrefix(w, prefix); has {
				w = rest
				break
			}
		}
		switch w {
		case "counts", "count":
			e.counts = true
		case "deployments":
			e.deployments = true
		case "tasks":
			e.tasks, e.deployments = true, true
		case "failures": // the old word for three
			e.tasks, e.deployments, e.failure = true, true, true
		case "lastTaskFailure":
			e.failure = true
		case "taskStats":
			e.stats = true
		case "readiness":
			e.readiness = true
		}
	}
	return e
}

// and is e with all of other.
func (e embeds) and(other embeds) embeds {
	return embeds{e.counts || other.counts, e.deployments || other.deployments, e.tasks || other.tasks,
		e.failure || other.failure, e.stats || other.stats, e.readiness || other.readiness}
}

// appView is an app with what was asked for of how it fares.
func (m *Marathon) appView(s *spec, e embeds) json.RawMessage {
	if e == (embeds{}) {
		return s.definition()
	}
	var v run
	if e.deployments {
		v.Deployments = m.deploymentsOf(s.id)
	}
	if e == usual && len(v.Deployments)+len(m.instances[s.id]) == 0 {
		return idle(s.definition())
	}
	if e.counts {
		var c counts
		for _, i := range m.instances[s.id] {
			c.add(i)
		}
		v.runCounts = &runCounts{c.Staged, c.Running, c.Healthy, c.Unhealthy}
	}
	if e.tasks {
		v.Tasks = m.tasksOf(s.id, false)
	}
	if e.failure {
		v.LastTaskFailure = m.failures[s.id]
	}
	if e.stats {
		v.TaskStats = m.stats(s)
	}
	if e.readiness {
		v.Readiness = m.readinessView(s.id)
	}
	return extend(s.definition(), v)
}

// atRest is what appView adds to an app without tasks and deployments, of which
// there may be ten thousand.
const atRest = `,"tasksStaged":0,"tasksRunning":0,"tasksHealthy":0,"tasksUnhealthy":0,"deployments":[]}`

func idle(definition json.RawMessage) json.RawMessage {
	text := make(json.RawMessage, 0, len(definition)+len(atRest))
	return append(append(text, definition[:len(definition)-1]...), atRest...)
}

func (m *Marathon) tasksOf(id string, withServicePorts bool) []taskView {
	ts := []taskView{}
	for _, i := range m.instances[id] {
		for _, t := range slices.Concat(i.past, i.tasks) {
			ts = append(ts, m.taskView(t, withServicePorts))
		}
	}
	return ts
}

type statsOf struct {
	Stats struct {
		Counts   counts    `json:"counts"`
		LifeTime *lifeTime `json:"lifeTime,omitempty"`
	} `json:"stats"`
}

type lifeTime struct {
	Average float64 `json:"averageSeconds"`
	Median  float64 `json:"medianSeconds"`
}

func (m *Marathon) stats(s *spec) map[string]statsOf {
	all := map[string]statsOf{}
	for name, in := range map[string]func(*instance) bool{
		"totalSummary":            func(*instance) bool { return true },
		"startedAfterLastScaling": func(i *instance) bool { return !i.spec.version.Before(s.scaledAt.Time) },
		"withLatestConfig":        func(i *instance) bool { return !i.spec.version.Before(s.configAt.Time) },
		"withOutdatedConfig":      func(i *instance) bool { return i.spec.version.Before(s.configAt.Time) },
	} {
		if st, some := m.statsWhere(s.id, in); some {
			all[name] = st
		}
	}
	return all
}

func (m *Marathon) statsWhere(id string, in func(*instance) bool) (statsOf, bool) {
	var st statsOf
	var ages []float64
	some := false
	for _, i := range m.instances[id] {
		t := i.current()
		if t == nil || !in(i) {
			continue
		}
		some = true
		st.Stats.Counts.add(i)
		if !t.startedAt.IsZero() {
			ages = append(ages, time.Since(t.startedAt.Time).Seconds())
		}
	}
	if len(ages) > 0 {
		slices.Sort(ages)
		sum := 0.0
		for _, a := range ages {
			sum += a
		}
		st.Stats.LifeTime = &lifeTime{Average: sum / float64(len(ages)), Median: ages[len(ages)/2]}
	}
	return st, some
}
