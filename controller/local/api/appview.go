package api

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// counts are the tasks of an app by how they are.
type counts struct {
	Staged    int `json:"staged"`
	Running   int `json:"running"`
	Healthy   int `json:"healthy"`
	Unhealthy int `json:"unhealthy"`
}

func countsOf(is []*state.Instance) counts {
	var c counts
	for _, i := range is {
		switch i.Condition {
		case state.Provisioned, state.Staging:
			c.Staged++
		case state.Running:
			c.Running++
			if seen := i.HealthSeen(); slices.Contains(seen, false) {
				c.Unhealthy++
			} else if len(seen) > 0 {
				c.Healthy++
			}
		}
	}
	return c
}

// run is what an answer adds to the definition of an app.
type run struct {
	*runCounts
	Deployments     []state.Ref           `json:"deployments,omitzero"`
	Readiness       []state.Readiness     `json:"readinessCheckResults,omitzero"`
	Tasks           []taskView            `json:"tasks,omitzero"`
	LastTaskFailure *state.TaskFailure    `json:"lastTaskFailure,omitempty"`
	TaskStats       map[string]statistics `json:"tasksStats,omitempty"`
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

// appView is an app with the parts that were asked for.
func (m views) appView(s *state.RunSpec, e embeds) json.RawMessage {
	if e == (embeds{}) {
		return s.Definition()
	}
	var v run
	is := m.Instances.Of(s.ID)
	if e.deployments {
		v.Deployments = m.Deployments.Of(s.ID)
	}
	if e == usual && len(v.Deployments)+len(is) == 0 {
		return idle(s.Definition())
	}
	if e.counts {
		v.runCounts = new(runCounts(countsOf(is)))
	}
	if e.tasks {
		v.Tasks = m.taskViews(is, false)
	}
	if e.failure {
		v.LastTaskFailure = m.Instances.LastFailure(s.ID)
	}
	if e.stats {
		v.TaskStats = statisticsOf(s, is)
	}
	if e.readiness {
		v.Readiness = m.readinessViews(s.ID)
	}
	return extend(s.Definition(), v)
}

// atRest is what appView adds to an app without tasks and deployments, of which
// there may be ten thousand.
const atRest = `,"tasksStaged":0,"tasksRunning":0,"tasksHealthy":0,"tasksUnhealthy":0,"deployments":[]}`

func idle(definition json.RawMessage) json.RawMessage {
	text := make(json.RawMessage, 0, len(definition)+len(atRest))
	return append(append(text, definition[:len(definition)-1]...), atRest...)
}

// readinessViews are the readiness checks of a run spec that is deployed.
func (m views) readinessViews(id string) []state.Readiness {
	found := []state.Readiness{}
	for _, i := range m.Instances.Of(id) {
		if r := i.Readiness; r != nil && r.Seen && len(m.Deployments.Of(id)) > 0 {
			found = append(found, *r)
		}
	}
	return found
}

type statistics struct {
	Stats struct {
		Counts   counts    `json:"counts"`
		LifeTime *lifeTime `json:"lifeTime,omitempty"`
	} `json:"stats"`
}

type lifeTime struct {
	Average float64 `json:"averageSeconds"`
	Median  float64 `json:"medianSeconds"`
}

func statisticsOf(s *state.RunSpec, is []*state.Instance) map[string]statistics {
	all := map[string]statistics{}
	for name, counts := range map[string]func(*state.Instance) bool{
		"totalSummary":            func(*state.Instance) bool { return true },
		"startedAfterLastScaling": func(i *state.Instance) bool { return !i.Spec.Version.Before(s.ScaledAt.Time) },
		"withLatestConfig":        func(i *state.Instance) bool { return !i.Spec.Version.Before(s.ConfigAt.Time) },
		"withOutdatedConfig":      func(i *state.Instance) bool { return i.Spec.Version.Before(s.ConfigAt.Time) },
	} {
		var launched []*state.Instance
		for _, i := range is {
			if i.Current() != nil && counts(i) {
				launched = append(launched, i)
			}
		}
		if len(launched) > 0 {
			all[name] = statisticsOver(launched)
		}
	}
	return all
}

func statisticsOver(is []*state.Instance) (st statistics) {
	st.Stats.Counts = countsOf(is)
	var ages []float64
	sum := 0.0
	for _, i := range is {
		if t := i.Current(); !t.StartedAt.IsZero() {
			ages = append(ages, time.Since(t.StartedAt.Time).Seconds())
			sum += ages[len(ages)-1]
		}
	}
	if len(ages) > 0 {
		slices.Sort(ages)
		st.Stats.LifeTime = &lifeTime{Average: sum / float64(len(ages)), Median: ages[len(ages)/2]}
	}
	return st
}
