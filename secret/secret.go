// Package secret says where a secret stands, and reads it. What it opens, and the
// words for what goes wrong then, live with who uses it.
package secret

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Ref says where a secret stands: in a file or in an environment variable. It is
// read for every use, so that a rotated one is taken up at once, and is never held
// in an option, a log or an error. The zero value stands for none.
type Ref struct {
	File string // path
	Env  string // name of an environment variable

	value *string // a pointer, so that no way of printing shows it
}

// Value returns a reference to a secret that is known already.
func Value(v string) Ref { return Ref{value: &v} }

// IsSet reports whether there is a secret.
func (r Ref) IsSet() bool { return r != Ref{} }

// String says where the secret stands, in the form that is read from text.
func (r Ref) String() string {
	switch {
	case r.File != "":
		return "file:" + r.File
	case r.Env != "":
		return "env:" + r.Env
	case r.value != nil:
		return "(secret)"
	}
	return ""
}

// Read returns the secret as it is now, of a file less surrounding white space;
// empty where r is zero. That nothing stands where it should is an error.
func (r Ref) Read() (string, error) {
	switch {
	case r.File != "" && r.Env != "":
		return "", fmt.Errorf("secret is given both as file %s and as environment variable %s: give one", r.File, r.Env)
	case r.File != "":
		content, err := os.ReadFile(r.File)
		if err != nil {
			return "", fmt.Errorf("secret: %w", err)
		}
		if v := strings.TrimSpace(string(content)); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("secret file %s is empty: write the secret to it", r.File)
	case r.Env != "":
		if v := os.Getenv(r.Env); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("secret: environment variable %s is not set", r.Env)
	case r.value != nil:
		return *r.value, nil
	}
	return "", nil
}

// UnmarshalYAML reads {file: PATH}, {env: NAME}, or the same as text, file:PATH or
// env:NAME. The secret itself never stands in a configuration, where it would be
// copied, shown and committed.
func (r *Ref) UnmarshalYAML(n *yaml.Node) error {
	want := errors.New("a secret must not be in the configuration: write {file: PATH} or {env: NAME} (as a flag file:PATH or env:NAME)")
	fields := map[string]string{}
	if n.Kind == yaml.ScalarNode {
		kind, place, _ := strings.Cut(n.Value, ":")
		fields[kind] = place
	} else if n.Decode(&fields) != nil {
		return want
	}
	*r = Ref{File: fields["file"], Env: fields["env"]}
	if len(fields) != 1 || !r.IsSet() {
		return want
	}
	return nil
}
