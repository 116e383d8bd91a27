package cache

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// marks is what events have named and nobody has read yet.
type marks struct {
	// What may be defined otherwise, and what may only fare otherwise, by id;
	// the kind is empty where the event does not tell.
	changed, fares map[string]manifests.Kind
	groups         map[string]groupMark // version of a write → where it was
	frame          bool
	deployments    bool
	whole          string    // why everything is to be read; empty: it is not
	first, last    time.Time // when the oldest and the newest of all these came

	// Versions of the root whose writes were heard of, and what they were about,
	// for the last few thousand writes: old is dropped when young is full.
	young, old map[string]bool // version → its ids are named
	// seen is a version of the root that no event has told yet.
	seen   string
	seenAt time.Time
}

// groupMark is a write of which only the group is known as yet.
type groupMark struct {
	group string
	at    time.Time
}

func newMarks() marks {
	m := marks{young: map[string]bool{}, old: map[string]bool{}}
	m.clear()
	return m
}

// clear forgets what is to be read, but not what was heard.
func (m *marks) clear() {
	m.changed, m.fares, m.groups = map[string]manifests.Kind{}, map[string]manifests.Kind{}, map[string]groupMark{}
	m.frame, m.deployments, m.whole = false, false, ""
	m.first, m.last = time.Time{}, time.Time{}
}

// take returns what is to be read, and forgets it.
func (m *marks) take() marks {
	taken := *m
	m.clear()
	return taken
}

// mostVersions bounds how many versions are remembered.
const mostVersions = 4096

// heard notes that a write was told of, and whether its ids were.
func (m *marks) heard(version string, named bool) {
	if version == "" {
		return
	}
	if len(m.young) >= mostVersions {
		m.old, m.young = m.young, map[string]bool{}
	}
	m.young[version] = named || m.named(version)
	if m.seen == version {
		m.seen = ""
	}
}

// explained notes that the ids of a write are known.
func (m *marks) explained(version string) {
	m.heard(version, true)
	delete(m.groups, version)
}

func (m *marks) named(version string) bool { return m.young[version] || m.old[version] }

func (m *marks) heardOf(version string) bool {
	_, young := m.young[version]
	_, old := m.old[version]
	return young || old
}

// see compares the version of the root that was read with those that were told.
func (m *marks) see(version string, now time.Time) {
	switch {
	case version == "" || m.heardOf(version):
		m.seen = ""
	case m.seen != version:
		m.seen, m.seenAt = version, now
	}
}

// cacheEvents are the types of events that a Cache subscribes to: those that say
// that a definition, a deployment or the count or health of instances may have
// changed.
func cacheEvents() []string {
	return slices.Concat(marathon.TriggerEvents(), marathon.AuthorEvents(), []string{"pod_deleted_event"})
}

// wireEvent is what a Cache reads of an event.
type wireEvent struct {
	AppID     string `json:"appId"`
	RunSpecID string `json:"runSpecId"`
	GroupID   string `json:"groupId"`
	Version   string `json:"version"`
	URI       string `json:"uri"`
	Plan      struct {
		Version string `json:"version"`
		Steps   []struct {
			Actions []marathon.Action `json:"actions"`
		} `json:"steps"`
	} `json:"plan"`
}

// note marks what an event names. It believes nothing else of it.
func (m *marks) note(e marathon.Event, now time.Time) {
	var w wireEvent
	if json.Unmarshal(e.Data, &w) != nil {
		m.whole = whyLost // something happened, and it is not known what
		m.stamp(now)
		return
	}
	switch e.Type {
	case "scheduler_registered_event", "scheduler_reregistered_event":
		m.whole = whyLost // a new leader, or one that was cut off
	case "group_change_success":
		m.frame = true
		if !m.named(w.Version) {
			m.groups[w.Version] = groupMark{w.GroupID, now}
		}
		m.heard(w.Version, false)
	case "app_terminated_event": // of a pod too
		m.mark(m.changed, w.AppID, "")
	case "api_post_event":
		if by, ok := e.Written(); ok {
			m.mark(m.changed, by.ID, manifests.KindApp)
		}
	case "pod_created_event", "pod_updated_event", "pod_deleted_event":
		if id, ok := strings.CutPrefix(w.URI, "/v2/pods/"); ok {
			m.mark(m.changed, "/"+strings.Trim(id, "/"), manifests.KindPod)
		} else {
			m.frame = true // POST /v2/pods: its group change says the rest
		}
	case "instance_changed_event", "instance_health_changed_event", "unknown_instance_terminated_event":
		m.mark(m.fares, w.RunSpecID, "")
	default: // of deployments
		m.plan(&w)
	}
	m.stamp(now)
}

// plan marks what a deployment is about.
func (m *marks) plan(w *wireEvent) {
	m.deployments, m.frame = true, true
	named := false
	for _, s := range w.Plan.Steps {
		for _, a := range s.Actions {
			kind := manifests.KindApp
			if a.Pod != "" {
				kind = manifests.KindPod
			}
			m.mark(m.changed, a.ID(), kind)
			named = true
		}
	}
	if named && w.Plan.Version != "" {
		m.explained(w.Plan.Version)
	}
}

func (m *marks) mark(in map[string]manifests.Kind, id string, kind manifests.Kind) {
	if id == "" || id == "/" {
		return
	}
	if in[id] == "" {
		in[id] = kind
	}
}

func (m *marks) stamp(now time.Time) {
	if m.first.IsZero() {
		m.first = now
	}
	m.last = now
}
