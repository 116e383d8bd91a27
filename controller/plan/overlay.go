package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Kept is what of a definition is not git's but live's: the count that an
// autoscaler sets, and ignored paths. A nil one keeps nothing.
type Kept struct {
	Instances Instances
	Ignored   []string // JSON pointers
}

// OwnsCount reports whether git says how many instances of an id there are, and
// not an autoscaler or whoever else sets what the policy leaves to live.
func (p Policy) OwnsCount(id string) bool {
	return p.Instances == (Instances{}) && !slices.ContainsFunc(p.ignoredPaths(id), func(path string) bool {
		return path == "/instances" || path == "/scaling" || path == "/scaling/instances"
	})
}

// kept is what the policy leaves to live in an id; nil: nothing.
func (w *work) kept(id string) *Kept {
	k := Kept{Instances: w.in.Policy.Instances, Ignored: w.in.Policy.ignoredPaths(id)}
	if k.Instances == (Instances{}) && len(k.Ignored) == 0 {
		return nil
	}
	return &k
}

// App is a desired app with what live keeps of it, both in normal form; live is
// nil where Marathon has none.
func (k *Kept) App(desired, live *manifests.App) *manifests.App {
	if k == nil {
		return desired
	}
	var running *int
	if live != nil {
		running = live.Instances
	}
	if n := k.Instances.of(desired.Instances, running); n != nil {
		changed := *desired
		changed.Instances = n
		desired = &changed
	}
	return withIgnored(k.Ignored, live, desired)
}

// Pod does for a pod what App does for an app.
func (k *Kept) Pod(desired, live *manifests.Pod) *manifests.Pod {
	if k == nil {
		return desired
	}
	var running *int
	if live != nil && live.Scaling != nil {
		running = live.Scaling.Instances
	}
	if desired.Scaling != nil {
		if n := k.Instances.of(desired.Scaling.Instances, running); n != nil {
			changed, scaling := *desired, *desired.Scaling
			scaling.Instances = n
			changed.Scaling = &scaling
			desired = &changed
		}
	}
	return withIgnored(k.Ignored, live, desired)
}

// of decides between the counts of git's normal form and the live one, nil where
// nothing is live; nil: git's stays.
func (i Instances) of(git, live *int) *int {
	if !i.Live && i.Min == 0 && i.Max == 0 {
		return nil
	}
	n := max(*cmp.Or(live, git), i.Min)
	if i.Max > 0 {
		n = min(n, i.Max)
	}
	return &n
}

// ignoredPaths lists the JSON pointers that are left to live in an id.
func (p Policy) ignoredPaths(id string) []string {
	var paths []string
	for _, rule := range p.Ignore {
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
	if len(paths) == 0 || live == nil {
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
