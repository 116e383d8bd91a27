package manifests

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests/syntax"
	yamlv3 "go.yaml.in/yaml/v3"
)

// ExportOptions say what an export is to hold.
type ExportOptions struct {
	// Scope is the group whose apps, pods and groups are exported, itself
	// included; empty: "/", all of them.
	Scope   string
	Cluster Cluster // the Marathon that they are live in
	// KeepServicePorts writes the service ports that Marathon may have assigned.
	// A manifest with them makes the same ports in another Marathon; without, it
	// leaves the choice to Marathon, which keeps those of an app that it has.
	KeepServicePorts bool
}

// ExportedFile is one manifest of an export.
type ExportedFile struct {
	Name    string // slash-separated, relative to the folder of the scope
	Item    Item   // what it defines
	Content []byte // YAML
	// Refused is what reading the file would refuse, though Marathon has it: then
	// it is not one to be written. Usually empty.
	Refused []Problem
}

// Export turns live definitions into manifests that plan to no change: one file
// an app, pod or group, in folders as the groups are, sorted by name. Equal
// definitions give equal bytes. What Marathon would fill in by itself is left
// out, as in TrimApp, and so are groups that have nothing of their own. The ids
// are absolute, so that the files mean the same in every scope that holds them.
// An id that is none in Marathon is an error: it would become a file's name.
func Export(live []Item, o ExportOptions) ([]ExportedFile, error) {
	scope := cmp.Or(o.Scope, "/")
	files := make([]ExportedFile, 0, len(live))
	for _, item := range live {
		switch {
		case item.ID == "/":
			continue // nothing of the root group is Pacer's to apply
		case !idSegments.MatchString(item.ID):
			return nil, fmt.Errorf("the live %s %s %w", item.Kind, syntax.Quote(clip(item.ID)), errIDForm)
		case !Within(item.ID, scope):
			continue
		}
		item, worthwhile := trimmed(item, &o)
		if !worthwhile {
			continue
		}
		content, err := exportContent(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.ID, err)
		}
		files = append(files, ExportedFile{Name: exportName(item, scope), Item: item, Content: content})
	}
	besideFolders(files)
	for i := range files {
		files[i].Refused = refusedWhenRead(&files[i], scope, o.Cluster)
	}
	slices.SortFunc(files, func(a, b ExportedFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// refusedWhenRead reads an exported file back.
func refusedWhenRead(f *ExportedFile, scope string, c Cluster) []Problem {
	o := Options{Scope: scope, Cluster: c}.settled()
	var read fileResult
	readFile(&read, f.Name, f.Content, &o)
	return slices.DeleteFunc(read.problems.kept, func(p Problem) bool { return p.Severity == SeverityWarning })
}

const (
	exportExt = ".yaml"
	// exportGroup is the file of what a group says of itself. No id has "_", so
	// no app's file has this name.
	exportGroup = "_group" + exportExt
)

// exportName is the file of an item. A scope may be a single app.
func exportName(item Item, scope string) string {
	relative := strings.TrimPrefix(item.ID[len(strings.TrimSuffix(scope, "/")):], "/")
	if item.Kind == KindGroup {
		return path.Join(relative, exportGroup)
	}
	return cmp.Or(relative, path.Base(item.ID)) + exportExt
}

// besideFolders gives files whose names are those of folders, too, other names:
// the app /a beside a group /a.yaml.
func besideFolders(files []ExportedFile) {
	folders := map[string]bool{}
	for _, f := range files {
		for folder := path.Dir(f.Name); folder != "." && !folders[folder]; folder = path.Dir(folder) {
			folders[folder] = true
		}
	}
	for i := range files {
		f := &files[i]
		if folders[f.Name] {
			f.Name = strings.TrimSuffix(f.Name, exportExt) + "_" + exportExt // no id has "_"
		}
		f.Item.File, f.Item.Line = f.Name, 1
	}
}

// trimmed is an item without what Marathon fills in; false: nothing is left.
func trimmed(item Item, o *ExportOptions) (Item, bool) {
	switch item.Kind {
	case KindApp:
		item.App = trimApp(item.App, &o.Cluster, o.KeepServicePorts)
	case KindPod:
		item.Pod = TrimPod(item.Pod, &o.Cluster)
	case KindGroup:
		item.Group = trimGroup(item.Group, &o.Cluster)
		return item, item.Group != nil
	}
	return item, true
}

// trimGroup is what a group itself has beyond what a new one would have; nil
// for nothing. An empty list of apps tells a group that has only dependencies
// from an app.
func trimGroup(live *Group, c *Cluster) *Group {
	g := NormaliseGroup(live, c)
	if g.EnforceRole != nil && *g.EnforceRole == c.NewGroupEnforceRole {
		g.EnforceRole = nil
	}
	switch {
	case saysNothing(g):
		return nil
	case g.EnforceRole == nil:
		g.Apps = []App{}
	}
	return g
}

// exportContent writes an item as YAML, with the members in the order of the
// table of fields.
func exportContent(item Item) ([]byte, error) {
	var n *yamlv3.Node
	var err error
	var s *shape
	switch item.Kind {
	case KindApp:
		n, err = yamlDocument(item.App)
		s = appShape
	case KindPod:
		n, err = yamlDocument(item.Pod)
		s = podShape
	default:
		n, err = yamlDocument(item.Group)
		s = groupShape
	}
	if err != nil {
		return nil, err
	}
	s.order(n)
	var b bytes.Buffer
	if err := encodeYAML(&b, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// order sorts the members of objects as the table lists them.
func (s *shape) order(n *yamlv3.Node) {
	switch {
	case n.Kind == yamlv3.SequenceNode && s.elem != nil:
		for _, child := range n.Content {
			s.elem.order(child)
		}
	case n.Kind == yamlv3.MappingNode && s.byName != nil:
		type pair struct {
			place      int
			key, value *yamlv3.Node
		}
		pairs := make([]pair, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			place := slices.IndexFunc(s.members, func(f field) bool { return f.name == key.Value })
			if place >= 0 {
				s.members[place].shape.order(value)
			}
			pairs = append(pairs, pair{place, key, value})
		}
		slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.place, b.place) })
		for i, p := range pairs {
			n.Content[2*i], n.Content[2*i+1] = p.key, p.value
		}
	}
}
