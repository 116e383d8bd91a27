package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Given is a value from outside the file: a flag or an environment variable.
type Given struct {
	Key     string // of the option, NAME for the name of a sync or source
	Value   string
	Origin  string // "flag --scope", for errors
	Default bool   // it holds only where the file says nothing
}

// Load reads a configuration file and what was given beside it, which goes
// before the file. Everything wrong is told at once. Values for a sync hold for
// each sync of the file. Paths in the file are absolute in what is returned.
func Load(path string, given ...Given) (*Config, error) {
	c, _, err := LoadNoting(path, given...)
	return c, err
}

// LoadNoting is Load, and says in a sentence for each what of the configuration an
// environment variable has changed: it is not seen where a command is typed, and
// holds for every sync.
func LoadNoting(path string, given ...Given) (*Config, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	root, err := parse(path, text)
	if err != nil {
		return nil, nil, err
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("folder of the configuration: %w", err)
	}
	var overridden []string
	c, err := decode(path, root, given, func(c *Config, d *decoder) {
		c.startPaths(d, folder)
		overridden = d.overridden()
	})
	return c, overridden, err
}

// One is the configuration that flags alone describe: one sync of one source.
func One(name string, s Source, given ...Given) (*Config, error) {
	root := mapping()
	if err := root.Encode(map[string]any{
		"sources": map[string]any{name: map[string]any{}},
		"syncs":   map[string]any{name: map[string]any{"source": name}},
	}); err != nil {
		return nil, err
	}
	return decode("command line", root, given, func(c *Config, _ *decoder) {
		c.Sources = map[string]Source{name: c.Sources[name].with(s)}
	})
}

func decode(file string, root *yaml.Node, given []Given, adjust func(*Config, *decoder)) (*Config, error) {
	d := &decoder{file: file, origin: map[*yaml.Node]string{}, seen: map[string]*yaml.Node{}}
	for _, g := range given {
		d.overlay(root, strings.Split(g.Key, "."), g)
	}
	c := &Config{}
	fill(reflect.ValueOf(c).Elem())
	d.into(root, reflect.ValueOf(c).Elem(), "")
	adjust(c, d)
	if err := d.joined(); err != nil {
		return nil, err
	}
	c.check(d)
	if err := d.joined(); err != nil {
		return nil, err
	}
	return c, nil
}

// overlay puts a given value at its key, under every name where the key has NAME.
func (d *decoder) overlay(n *yaml.Node, path []string, g Given) {
	if n.Kind != yaml.MappingNode {
		return // wrong itself, which decoding will tell
	}
	if path[0] == "NAME" {
		for i := 1; i < len(n.Content); i += 2 {
			d.overlay(n.Content[i], path[1:], g)
		}
		return
	}
	switch {
	case len(path) == 1 && g.Default && has(n, path[0]):
		return
	case ofAnotherType(n, path[0]):
		return // what holds for every source of one type leaves those of others alone
	}
	value := d.member(n, path[0], g.Origin)
	if len(path) == 1 {
		d.noteOverride(g, value)
		*value = d.given(g)
		d.origin[value] = g.Origin
		return
	}
	if value.Kind == 0 {
		*value = *mapping()
	}
	d.overlay(value, path[1:], g)
}

// ofAnotherType reports whether n is a source of another type than key, which is that
// of a type.
func ofAnotherType(n *yaml.Node, key string) bool {
	types := SourceTypes()
	return slices.Contains(types, key) && slices.ContainsFunc(types, func(t string) bool { return t != key && has(n, t) })
}

// has reports whether a mapping has a key.
func has(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// member is the value of a key, made if it is not there.
func (d *decoder) member(n *yaml.Node, name, origin string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	key, value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, &yaml.Node{}
	d.origin[key], d.origin[value] = origin, origin
	n.Content = append(n.Content, key, value)
	return value
}

// given is the node of a value: A=b,C=d for names and values, else a scalar.
func (d *decoder) given(g Given) yaml.Node {
	if !strings.HasSuffix(g.Key, ".substitute") {
		return yaml.Node{Kind: yaml.ScalarNode, Value: g.Value}
	}
	names := *mapping()
	for pair := range strings.SplitSeq(g.Value, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			d.errs = append(d.errs, &Error{Where: g.Origin, Message: fmt.Sprintf("%q: expected NAME=VALUE", pair)})
			continue
		}
		for _, s := range []string{name, value} {
			node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
			d.origin[node] = g.Origin
			names.Content = append(names.Content, node)
		}
	}
	return names
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }
