package config

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/secret"
)

// Duration is written as Go writes durations: 90s, 10m, 1h30m.
type Duration time.Duration

// UnmarshalYAML reads 30s; a bare number has no unit and is refused.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return fmt.Errorf("%q is not a duration: write it with its unit, such as 30s or 10m", n.Value)
	}
	if v <= 0 {
		return fmt.Errorf("%s is not above zero", n.Value)
	}
	*d = Duration(v)
	return nil
}

// String is the form that is read.
func (d Duration) String() string { return time.Duration(d).String() }

// List is one string or a list of strings; a comma separates as well, for flags
// and environment variables.
type List []string

// UnmarshalYAML reads "a", "a,b" or [a, b].
func (l *List) UnmarshalYAML(n *yaml.Node) error {
	var many []string
	switch n.Kind {
	case yaml.ScalarNode:
		many = strings.Split(n.Value, ",")
	case yaml.SequenceNode:
		if err := n.Decode(&many); err != nil {
			return fmt.Errorf("expected a list of strings: %w", err)
		}
	default:
		return fmt.Errorf("expected a string or a list of strings")
	}
	*l = nil
	for _, s := range many {
		if s = strings.TrimSpace(s); s != "" {
			*l = append(*l, s)
		}
	}
	return nil
}

// Secret says where a secret stands: it is never in the configuration itself.
type Secret = secret.Ref

// Instances says who owns the count of instances.
type Instances plan.Instances

// UnmarshalYAML reads git, live or {min: 2, max: 10}.
func (i *Instances) UnmarshalYAML(n *yaml.Node) error {
	*i = Instances{}
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "git":
			return nil
		case "live":
			i.Live = true
			return nil
		}
		return fmt.Errorf("%q: expected git, live or {min: 2, max: 10}", n.Value)
	}
	bounds := map[string]int{}
	if err := n.Decode(&bounds); err != nil {
		return fmt.Errorf("expected git, live or {min: 2, max: 10}")
	}
	for key := range bounds {
		if key != "min" && key != "max" {
			return fmt.Errorf("unknown key %q: expected min and max", key)
		}
	}
	i.Min, i.Max = bounds["min"], bounds["max"]
	if i.Min < 0 || i.Max < 1 || i.Max < i.Min {
		return fmt.Errorf("min %d and max %d: expected 0 ≤ min ≤ max, and max at least 1", i.Min, i.Max)
	}
	return nil
}
