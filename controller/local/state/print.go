package state

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Encode is JSON as Marathon writes it: < > & stand as they are.
func Encode(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

type versionInfo struct {
	LastScalingAt      Timestamp `json:"lastScalingAt"`
	LastConfigChangeAt Timestamp `json:"lastConfigChangeAt"`
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
	Version     Timestamp           `json:"version"`
	VersionInfo *versionInfo        `json:"versionInfo,omitempty"`
}

type podDefinition struct {
	*manifests.Pod
	Version Timestamp `json:"version"`
}

// Definition is a run spec as GET prints it, without what runs of it.
func (s *RunSpec) Definition() json.RawMessage {
	if s.json == nil {
		s.json = WithDoubles(s.Plain())
	}
	return s.json
}

// Plain is a run spec as events print it, where a double may look like an integer.
func (s *RunSpec) Plain() json.RawMessage { return s.print(&versionInfo{s.ScaledAt, s.ConfigAt}) }

// Submitted is an app as the answer to its creation prints it, without
// versionInfo and with doubles that may look like integers.
func (s *RunSpec) Submitted() json.RawMessage { return s.print(nil) }

func (s *RunSpec) print(info *versionInfo) json.RawMessage {
	var v any = podDefinition{s.Pod, s.Version}
	if s.App != nil {
		a := appDefinition{App: s.App, Labels: s.App.Labels, Networks: s.App.Networks, Version: s.Version, VersionInfo: info}
		if a.Labels == nil {
			a.Labels = map[string]string{}
		}
		if s.Resident() {
			a.Residency = map[string]any{"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"}
		}
		v = a
	}
	text, err := Encode(v)
	if err != nil { // numbers that JSON cannot say were refused when they came
		return json.RawMessage(`{}`)
	}
	return text
}

// Slim is a pod's definition as ::status prints it: without an empty placement.
func (s *RunSpec) Slim() json.RawMessage {
	p, scheduling := *s.Pod, *s.Pod.Scheduling
	if len(scheduling.Placement.Constraints)+len(scheduling.Placement.AcceptedResourceRoles) == 0 {
		scheduling.Placement = nil
	}
	p.Scheduling = &scheduling
	return (&RunSpec{ID: s.ID, Pod: &p, Version: s.Version}).Plain()
}

// doubleFields are the members of apps, pods and offers that Marathon holds as doubles.
var doubleFields = map[string]bool{
	"cpus": true, "mem": true, "disk": true, "backoffFactor": true, "minimumHealthCapacity": true, "maximumOverCapacity": true,
	"backoff": true, "maxLaunchDelay": true, "killGracePeriodSeconds": true, "scalar": true,
}

// WithDoubles prints the doubles of a definition as Marathon does, 1.0 where Go
// says 1. It looks at the text: a key that is followed by a number cannot stand
// inside a string, where its quotation marks would be escaped.
func WithDoubles(text json.RawMessage) json.RawMessage {
	out := make(json.RawMessage, 0, len(text)+64)
	rest := text
	for {
		i := bytes.Index(rest, []byte(`":`))
		if i < 0 {
			return append(out, rest...)
		}
		end := i + 2
		for end < len(rest) && strings.IndexByte("+-.0123456789Ee", rest[end]) >= 0 {
			end++
		}
		number := rest[i+2 : end]
		name := rest[bytes.LastIndexByte(rest[:i], '"')+1 : i]
		out = append(out, rest[:end]...)
		if len(number) > 0 && doubleFields[string(name)] && !bytes.ContainsAny(number, ".eE") {
			out = append(out, ".0"...)
		}
		rest = rest[end:]
	}
}
