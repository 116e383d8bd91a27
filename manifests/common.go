package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Kind tells apps, pods and groups apart.
type Kind string

// The kinds of definition.
const (
	KindApp   Kind = "app"
	KindPod   Kind = "pod"
	KindGroup Kind = "group"
)

// EnvValue is the value of an environment variable: plain text, or the name of
// an entry in secrets.
type EnvValue struct {
	Value  string
	Secret string // not empty: the value is that secret's
}

func (v EnvValue) isSecret() bool { return v.Secret != "" }

// MarshalJSON writes the form that Marathon takes: a string or {"secret": name}.
func (v EnvValue) MarshalJSON() ([]byte, error) {
	if v.Secret != "" {
		return json.Marshal(map[string]string{"secret": v.Secret})
	}
	return json.Marshal(v.Value)
}

// UnmarshalJSON reads a string or {"secret": name}.
func (v *EnvValue) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		var s struct {
			Secret string `json:"secret"`
		}
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("environment value: %w", err)
		}
		*v = EnvValue{Secret: s.Secret}
		return nil
	}
	*v = EnvValue{}
	return json.Unmarshal(b, &v.Value)
}

// Secret says where a secret comes from.
type Secret struct {
	Source string `json:"source,omitzero"`
}

// Constraint restricts placement: field, operator and, for most operators, a
// value. Apps write it as an array of strings, pods as an object.
type Constraint struct {
	Field    string
	Operator string
	Value    *string
}

type constraintObject struct {
	FieldName string  `json:"fieldName"`
	Operator  string  `json:"operator"`
	Value     *string `json:"value,omitzero"`
}

// MarshalJSON writes the array form of apps.
func (c Constraint) MarshalJSON() ([]byte, error) {
	parts := []string{c.Field, c.Operator}
	if c.Value != nil {
		parts = append(parts, *c.Value)
	}
	return json.Marshal(parts)
}

// UnmarshalJSON reads the array form of apps or the object form of pods.
func (c *Constraint) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		var o constraintObject
		if err := json.Unmarshal(b, &o); err != nil {
			return fmt.Errorf("constraint: %w", err)
		}
		*c = Constraint{Field: o.FieldName, Operator: o.Operator, Value: o.Value}
		return nil
	}
	var parts []string
	if err := json.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("constraint: %w", err)
	}
	if len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("constraint: %d members: expected [field, operator] or [field, operator, value]", len(parts))
	}
	*c = Constraint{Field: parts[0], Operator: parts[1]}
	if len(parts) == 3 {
		c.Value = &parts[2]
	}
	return nil
}

// PodConstraint is a Constraint in the object form of pods.
type PodConstraint Constraint

// MarshalJSON writes the object form of pods.
func (c PodConstraint) MarshalJSON() ([]byte, error) {
	return json.Marshal(constraintObject{FieldName: c.Field, Operator: c.Operator, Value: c.Value})
}

// UnmarshalJSON reads either form.
func (c *PodConstraint) UnmarshalJSON(b []byte) error {
	return (*Constraint)(c).UnmarshalJSON(b)
}

// Artifact is something that Mesos fetches into the sandbox.
type Artifact struct {
	Cache      *bool   `json:"cache,omitzero"`
	DestPath   *string `json:"destPath,omitzero"`
	Executable *bool   `json:"executable,omitzero"`
	Extract    *bool   `json:"extract,omitzero"`
	URI        string  `json:"uri,omitzero"`
}

// LinuxInfo holds Linux-only settings of a Mesos container (Marathon 1.8).
type LinuxInfo struct {
	IPCInfo *IPCInfo `json:"ipcInfo,omitzero"`
	Seccomp *Seccomp `json:"seccomp,omitzero"`
}

// IPCInfo sets a container's IPC namespace (Marathon 1.9).
type IPCInfo struct {
	Mode    string `json:"mode,omitzero"`
	ShmSize *int   `json:"shmSize,omitzero"` // MiB
}

// Seccomp sets a container's seccomp profile (Marathon 1.8).
type Seccomp struct {
	ProfileName *string `json:"profileName,omitzero"`
	Unconfined  *bool   `json:"unconfined,omitzero"`
}

// ExecutorResources is what the Mesos executor itself gets (Marathon 1.6).
type ExecutorResources struct {
	CPUs *float64 `json:"cpus,omitzero"` // shares
	Disk *float64 `json:"disk,omitzero"` // MiB
	Mem  *float64 `json:"mem,omitzero"`  // MiB
}

// ResourceLimits lets a task use more than it asked for (Marathon 1.10).
type ResourceLimits struct {
	CPUs *Limit `json:"cpus,omitzero"` // shares
	Mem  *Limit `json:"mem,omitzero"`  // MiB
}

// Limit is a number, or without bound.
type Limit struct {
	Value     float64
	Unlimited bool
}

const unlimited = "unlimited"

// MarshalJSON writes a number or "unlimited".
func (l Limit) MarshalJSON() ([]byte, error) {
	if l.Unlimited {
		return json.Marshal(unlimited)
	}
	return json.Marshal(l.Value)
}

// UnmarshalJSON reads a number or exactly "unlimited" (lower case: measured).
func (l *Limit) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte(`"`)) {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if s != unlimited {
			return fmt.Errorf("limit %q: expected a number or %q", s, unlimited)
		}
		*l = Limit{Unlimited: true}
		return nil
	}
	*l = Limit{}
	return json.Unmarshal(b, &l.Value)
}

// UnreachableStrategy says when an unreachable task is replaced and given up.
type UnreachableStrategy struct {
	Disabled             bool
	ExpungeAfterSeconds  *int // seconds
	InactiveAfterSeconds *int // seconds
}

type unreachableObject struct {
	ExpungeAfterSeconds  *int `json:"expungeAfterSeconds,omitzero"`
	InactiveAfterSeconds *int `json:"inactiveAfterSeconds,omitzero"`
}

// MarshalJSON writes an object or "disabled".
func (u UnreachableStrategy) MarshalJSON() ([]byte, error) {
	if u.Disabled {
		return json.Marshal("disabled")
	}
	return json.Marshal(unreachableObject{u.ExpungeAfterSeconds, u.InactiveAfterSeconds})
}

// UnmarshalJSON reads an object or a string; Marathon takes any string at all
// for "disabled" (measured).
func (u *UnreachableStrategy) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte(`"`)) {
		*u = UnreachableStrategy{Disabled: true}
		return nil
	}
	var o unreachableObject
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf("unreachableStrategy: %w", err)
	}
	*u = UnreachableStrategy{ExpungeAfterSeconds: o.ExpungeAfterSeconds, InactiveAfterSeconds: o.InactiveAfterSeconds}
	return nil
}

// Volume is a volume of an app (ContainerPath, Mode, HostPath) or of a pod
// (Name, Host): host, persistent, external or secret, by which member is set.
type Volume struct {
	ContainerPath string            `json:"containerPath,omitzero"`
	External      *ExternalVolume   `json:"external,omitzero"`
	Host          *string           `json:"host,omitzero"` // pods
	HostPath      *string           `json:"hostPath,omitzero"`
	Mode          *string           `json:"mode,omitzero"`
	Name          string            `json:"name,omitzero"` // pods
	Persistent    *PersistentVolume `json:"persistent,omitzero"`
	Secret        *string           `json:"secret,omitzero"`
}

// PersistentVolume is a volume that survives its task.
type PersistentVolume struct {
	Constraints []Constraint `json:"constraints,omitzero"`
	MaxSize     *int64       `json:"maxSize,omitzero"` // MiB
	ProfileName *string      `json:"profileName,omitzero"`
	Size        *int64       `json:"size,omitzero"` // MiB
	Type        *string      `json:"type,omitzero"`
}

// ExternalVolume is a volume of another storage system. Options is map[string]string
// for provider dvdi and an object for csi (Marathon 1.11).
type ExternalVolume struct {
	Name     *string        `json:"name,omitzero"`
	Options  map[string]any `json:"options,omitzero"`
	Provider *string        `json:"provider,omitzero"`
	Shared   *bool          `json:"shared,omitzero"`
	Size     *int64         `json:"size,omitzero"` // GiB, by the provider
}
