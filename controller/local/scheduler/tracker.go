package scheduler

import (
	"iter"
	"maps"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// tracker has the instances of each run spec, oldest first.
type tracker map[string][]*state.Instance

// All are the instances of each run spec, in no order. Some of those are deleted
// and still end.
func (t tracker) All() iter.Seq2[string, []*state.Instance] { return maps.All(t) }

// Of are the instances of a run spec, oldest first.
func (t tracker) Of(id string) []*state.Instance { return t[id] }

// Waiting are the instances of a run spec that wait for a launch.
func (t tracker) Waiting(id string) []*state.Instance { return where(t[id], (*state.Instance).Waits) }

// active are the instances of a run spec that are to run.
func (t tracker) active(id string) []*state.Instance {
	return where(t[id], func(i *state.Instance) bool { return !i.Decommissioned })
}

// outdated are the instances that a restart has to replace.
func (t tracker) outdated(s *state.RunSpec) []*state.Instance {
	return where(t[s.ID], func(i *state.Instance) bool { return i.Outdated(s) })
}

func where(is []*state.Instance, which func(*state.Instance) bool) []*state.Instance {
	var found []*state.Instance
	for _, i := range is {
		if which(i) {
			found = append(found, i)
		}
	}
	return found
}
