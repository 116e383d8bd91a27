package manifests

import (
	"encoding/json"
	"reflect"
)

// TrimApp turns a live app into the shortest manifest that plans to no change
// over it: whatever Marathon c would fill in by itself is left out, service
// ports that it assigned too, unless requirePorts makes them host ports, which
// somebody must have meant. portIndex stays, since without it a reader cannot
// tell which port is meant.
func TrimApp(live *App, c *Cluster) *App { return trimApp(live, c, false) }

func trimApp(live *App, c *Cluster, keepServicePorts bool) *App {
	normal := NormaliseApp(live, nil, c)
	lender := normal // of service ports
	if keepServicePorts || normal.RequirePorts != nil && *normal.RequirePorts {
		lender = nil
	}
	return trim(normal, appShape, func(a *App) bool {
		return Same(normal, NormaliseApp(a, lender, c)) && (normal.Container == nil || a.Container != nil || !asksForPorts(a))
	})
}

// asksForPorts: Marathon looks for the ports of checks before it makes the
// container that is not written.
func asksForPorts(a *App) bool { return len(a.HealthChecks) > 0 || len(a.ReadinessChecks) > 0 }

// TrimPod does for a pod what TrimApp does for an app.
func TrimPod(live *Pod, c *Cluster) *Pod {
	normal := NormalisePod(live, nil, c)
	return trim(normal, podShape, func(p *Pod) bool {
		return Same(normal, NormalisePod(p, normal, c))
	})
}

// trim takes out, from the top down, what may go without a difference.
func trim[T any](normal *T, s *shape, same func(*T) bool) *T {
	b, err := json.Marshal(normal)
	if err != nil {
		panic("manifests: trim: " + err.Error()) // only a NaN could be the reason
	}
	out := new(T)
	if err := json.Unmarshal(b, out); err != nil {
		panic("manifests: trim: " + err.Error()) // what was written is read: tested
	}
	trimStruct(reflect.ValueOf(out).Elem(), s, func() bool { return same(out) })
	return out
}

func trimStruct(v reflect.Value, s *shape, same func() bool) {
	for i := range v.NumField() {
		member := v.Field(i)
		f := s.byName[jsonName(v.Type().Field(i))]
		if f == nil || member.IsZero() {
			continue
		}
		if !f.required && f.name != "portIndex" {
			before := reflect.New(member.Type()).Elem()
			before.Set(member)
			member.SetZero()
			if same() {
				continue
			}
			member.Set(before)
		}
		trimInner(member, f.shape, same)
	}
}

// trimInner goes into objects, and the objects of lists.
func trimInner(v reflect.Value, s *shape, same func() bool) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct && s.byName != nil && !isAtom(v.Type()):
		trimStruct(v, s, same)
	case v.Kind() == reflect.Slice && s.elem != nil:
		for i := range v.Len() {
			before := reflect.New(v.Type().Elem()).Elem()
			before.Set(v.Index(i))
			trimInner(v.Index(i), s.elem, same)
			if v.Index(i).IsZero() && v.Index(i).Kind() == reflect.Struct {
				giveBack(v.Index(i), before, s.elem, same)
			}
		}
	}
}

// giveBack gives an object of a list of which nothing is left the first member
// that it had, or nobody would see what is meant. An assigned port is given back
// as 0.
func giveBack(v, before reflect.Value, s *shape, same func() bool) {
	for _, f := range s.members {
		for i := range v.NumField() {
			member := v.Field(i)
			if jsonName(v.Type().Field(i)) != f.name || before.Field(i).IsZero() {
				continue
			}
			if member.Type() == reflect.TypeFor[*int]() {
				if member.Set(reflect.ValueOf(zero)); same() {
					return
				}
			}
			member.Set(before.Field(i))
			return
		}
	}
}
