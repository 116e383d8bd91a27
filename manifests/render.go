package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/pacer-gitops/pacer/visible"
)

// The formats of Render.
const (
	FormatJSON = "json"
	FormatYAML = "yaml"
)

// Render writes the desired state in normal form for Marathon c, sorted by id:
// a JSON list, or one YAML document a definition. Equal states give equal bytes,
// and reading what it writes gives the same state again.
func Render(d Desired, c Cluster, format string) ([]byte, error) {
	c = d.Cluster(c)
	items := slices.SortedFunc(slices.Values(d.Items), func(a, b Item) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	documents := make([]any, 0, len(items))
	for _, item := range items {
		documents = append(documents, normal(item, &c))
	}
	switch format {
	case FormatJSON:
		return renderJSON(documents)
	case FormatYAML:
		return renderYAML(documents)
	}
	return nil, fmt.Errorf("format %q: expected %s or %s", format, FormatJSON, FormatYAML)
}

// normal is an item in normal form. A group has an empty list of apps, which
// tells it from an app.
func normal(item Item, c *Cluster) any {
	switch item.Kind {
	case KindApp:
		return NormaliseApp(item.App, nil, c)
	case KindPod:
		return NormalisePod(item.Pod, nil, c)
	}
	g := *NormaliseGroup(item.Group, c)
	g.Apps, g.Groups, g.Pods = []App{}, nil, nil
	return g
}

func renderJSON(documents []any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(documents); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return visible.JSON(b.Bytes()), nil
}

func renderYAML(documents []any) ([]byte, error) {
	if len(documents) == 0 {
		return []byte("[]\n"), nil
	}
	nodes := make([]*yamlv3.Node, 0, len(documents))
	for _, d := range documents {
		n, err := yamlDocument(d)
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		nodes = append(nodes, n)
	}
	var b bytes.Buffer
	if err := encodeYAML(&b, nodes...); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	if !visible.Whole(b.Bytes()) {
		return escapedYAML(documents)
	}
	return b.Bytes(), nil
}

// escapedYAML is each document in the form of JSON, which is YAML too: the
// encoder of YAML leaves marks in that turn the direction of writing.
func escapedYAML(documents []any) ([]byte, error) {
	var all []byte
	for i, d := range documents {
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		if i > 0 {
			all = append(all, "---\n"...)
		}
		all = append(append(all, visible.YAML(text)...), '\n')
	}
	return all, nil
}

// yamlDocument is a definition as a YAML node.
func yamlDocument(definition any) (*yamlv3.Node, error) {
	text, err := json.Marshal(definition)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return yamlNode(decoder)
}

// encodeYAML writes YAML documents.
func encodeYAML(b *bytes.Buffer, documents ...*yamlv3.Node) error {
	e := yamlv3.NewEncoder(b)
	e.SetIndent(2)
	for _, n := range documents {
		if err := e.Encode(n); err != nil {
			return err
		}
	}
	return e.Close()
}

// yamlNode reads the next JSON value as a YAML node, with its keys in the same
// order. The encoder puts quotes around text that could be taken for something
// else.
func yamlNode(d *json.Decoder) (*yamlv3.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &yamlv3.Node{}
	delim, ok := token.(json.Delim)
	if !ok {
		if number, ok := token.(json.Number); ok {
			return &yamlv3.Node{Kind: yamlv3.ScalarNode, Value: number.String()}, nil
		}
		if text, ok := token.(string); ok && isPlain(text) {
			return &yamlv3.Node{Kind: yamlv3.ScalarNode, Tag: "!!str", Value: text}, nil
		}
		if text, ok := token.(string); ok && beginsWithTab(text) {
			return &yamlv3.Node{Kind: yamlv3.ScalarNode, Tag: "!!str", Style: yamlv3.DoubleQuotedStyle, Value: text}, nil
		}
		return n, n.Encode(token)
	}
	n.Kind = yamlv3.SequenceNode
	if delim == '{' {
		n.Kind = yamlv3.MappingNode
	}
	for d.More() {
		child, err := yamlNode(d)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	if _, err := d.Token(); err != nil && err != io.EOF {
		return nil, err
	}
	return n, nil
}

// beginsWithTab reports whether a text is of several lines, the first of which that
// is not empty begins with a tab: the encoder would write it as a block, which it
// cannot read again.
func beginsWithTab(text string) bool {
	return strings.Contains(text, "\n") && strings.HasPrefix(strings.TrimLeft(text, "\r\n"), "\t")
}

// isPlain reports whether a text certainly needs no quotes. To ask the encoder
// would take most of the time of writing.
func isPlain(text string) bool {
	if text == "" || !isLetter(text[0]) && text[0] != '/' {
		return false
	}
	for i := range len(text) {
		if c := text[i]; !isLetter(c) && (c < '0' || c > '9') && c != '/' && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
