package plan

import (
	"bytes"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// owner is what Change.Count is to be.
func (w *work) owner() *Instances {
	if w.in.Policy.Instances == (Instances{}) {
		return nil
	}
	return &w.in.Policy.Instances
}

// appCount gives an app the count that the policy wants.
func (w *work) appCount(desired, live *manifests.App) *manifests.App {
	var running *int
	if live != nil {
		running = live.Instances
	}
	n := w.in.Policy.Instances.Of(desired.Instances, running)
	if n == nil {
		return desired
	}
	changed := *desired
	changed.Instances = n
	return &changed
}

// podCount does for a pod what appCount does for an app.
func (w *work) podCount(desired, live *manifests.Pod) *manifests.Pod {
	if desired.Scaling == nil {
		return desired
	}
	var running *int
	if live != nil && live.Scaling != nil {
		running = live.Scaling.Instances
	}
	n := w.in.Policy.Instances.Of(desired.Scaling.Instances, running)
	if n == nil {
		return desired
	}
	changed, scaling := *desired, *desired.Scaling
	scaling.Instances = n
	changed.Scaling = &scaling
	return &changed
}

// Of decides between git's count and the live one; nil: git's stays.
func (i Instances) Of(git, live *int) *int {
	if !i.Live && i.Min == 0 && i.Max == 0 {
		return nil
	}
	n := 1 // what Marathon takes for no count
	switch {
	case live != nil:
		n = *live
	case git != nil:
		n = *git
	}
	n = max(n, i.Min)
	if i.Max > 0 {
		n = min(n, i.Max)
	}
	return &n
}

// ignoredPaths lists the JSON pointers that are left to live in an id.
func (w *work) ignoredPaths(id string) []string {
	var paths []string
	for _, rule := range w.in.Policy.Ignore {
		if matched, err := path.Match(rule.ID, id); rule.ID == id || err == nil && matched {
			paths = append(paths, rule.Paths...)
		}
	}
	return paths
}

// withIgnored returns desired with live's values at paths, so that they neither
// differ nor are reset by what is sent. What cannot be carried over (a path that
// does not fit the type) stays as git has it.
func withIgnored[T any](paths []string, live, desired *T) *T {
	if len(paths) == 0 {
		return desired
	}
	from, ok := toTree(live).(map[string]any)
	to, fits := toTree(desired).(map[string]any)
	if !ok || !fits {
		return desired
	}
	for _, p := range paths {
		steps := strings.Split(strings.TrimPrefix(p, "/"), "/")
		for i, s := range steps {
			steps[i] = fromPointer.Replace(s)
		}
		value, present := lookUp(from, steps)
		assign(to, steps, value, present)
	}
	b, err := json.Marshal(to)
	if err != nil {
		return desired
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	result := new(T)
	if err := d.Decode(result); err != nil {
		return desired
	}
	return result
}

// toTree turns a value into decoded JSON with its numbers as they are written;
// nil if it has none.
func toTree(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil
	}
	return tree
}

func lookUp(tree any, steps []string) (any, bool) {
	for _, s := range steps {
		switch t := tree.(type) {
		case map[string]any:
			v, ok := t[s]
			if !ok {
				return nil, false
			}
			tree = v
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(t) {
				return nil, false
			}
			tree = t[i]
		default:
			return nil, false
		}
	}
	return tree, true
}

// assign sets, or where it is not present removes, the value at steps. Objects
// on the way are made; members of lists are only replaced.
func assign(tree map[string]any, steps []string, value any, present bool) {
	var node any = tree
	for i, s := range steps {
		last := i == len(steps)-1
		switch t := node.(type) {
		case map[string]any:
			switch {
			case last && present:
				t[s] = value
			case last:
				delete(t, s)
			case t[s] == nil && present:
				t[s] = map[string]any{}
			}
			node = t[s]
		case []any:
			n, err := strconv.Atoi(s)
			if err != nil || n < 0 || n >= len(t) {
				return
			}
			if last && present {
				t[n] = value
			}
			node = t[n]
		default:
			return
		}
	}
}
