package plan

import (
	"fmt"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// differ says which top-level fields differ: "cmd differs", "cmd, env and
// labels differ".
func differ(fields []manifests.FieldDiff) string {
	var names []string
	seen := map[string]bool{}
	for _, f := range fields {
		name, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	const most = 4
	switch n := len(names); {
	case n == 0:
		return "the definition differs"
	case n == 1:
		return names[0] + " differs"
	case n > most:
		return fmt.Sprintf("%s and %d more differ", strings.Join(names[:most-1], ", "), n-most+1)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1] + " differ"
	}
}

// written lists what a definition says, without defaults: the fields of a
// create.
func written(item *manifests.Item) []manifests.FieldDiff {
	var definition any
	switch item.Kind {
	case manifests.KindApp:
		definition = item.App
	case manifests.KindPod:
		definition = item.Pod
	default:
		return nil
	}
	tree, _ := toTree(definition).(map[string]any)
	delete(tree, "id")
	return leaves("", tree, nil)
}

// leaves flattens objects; a list is one leaf.
func leaves(path string, tree map[string]any, fields []manifests.FieldDiff) []manifests.FieldDiff {
	for _, name := range sortedKeys(tree) {
		at := path + "/" + toPointer.Replace(name)
		if sub, ok := tree[name].(map[string]any); ok && len(sub) > 0 {
			fields = leaves(at, sub, fields)
			continue
		}
		fields = append(fields, manifests.FieldDiff{Path: at, Desired: tree[name]})
	}
	return fields
}

// Names in JSON pointers (RFC 6901).
var (
	toPointer   = strings.NewReplacer("~", "~0", "/", "~1")
	fromPointer = strings.NewReplacer("~1", "/", "~0", "~")
)
