package state

import (
	"maps"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// Action is one action of a deployment.
type Action struct {
	Action string `json:"action"`
	App    string `json:"app,omitempty"`
	Pod    string `json:"pod,omitempty"`
}

// ID is the app or pod that the action is about.
func (a Action) ID() string { return a.App + a.Pod }

// Is reports whether the action is a Start, Stop, Scale or Restart.
func (a Action) Is(verb string) bool { return strings.HasPrefix(a.Action, verb) }

// Action is an action about a run spec.
func (s *RunSpec) Action(verb string) Action {
	if s.App != nil {
		return Action{Action: verb + "Application", App: s.ID}
	}
	return Action{Action: verb + "Pod", Pod: s.ID}
}

// Step is what a deployment does side by side.
type Step struct {
	Actions []Action `json:"actions"`
}

// Steps is the deployment plan from the old root group to the draft: what goes
// stops, what is new starts (with no instance yet), then each layer of the
// dependencies is scaled and restarted. Source: Marathon's DeploymentPlan, and
// the recorded steps in testdata/conformance.
func (d *Draft) Steps() []Step {
	var stops, starts []Action
	for id := range d.dropped {
		if s := d.old.Specs[id]; s != nil && d.Specs[id] == nil {
			stops = append(stops, s.Action("Stop"))
		}
	}
	dependencies := d.dependencies()
	layers := map[int][]Action{}
	for _, p := range d.puts {
		s, effect := d.Specs[p.ID], d.effects[p.ID]
		if s == nil {
			continue
		}
		created := d.old.Specs[p.ID] == nil
		if created {
			starts = append(starts, s.Action("Start"))
		}
		var verb string
		switch {
		case created, effect == manifests.EffectScale, effect == manifests.EffectRestart && s.Instances() == 0:
			verb = "Scale"
		case effect == manifests.EffectRestart:
			verb = "Restart"
		default:
			continue
		}
		depth := 0
		if s.App != nil {
			depth = dependencies.Depth(p.ID)
		}
		layers[depth] = append(layers[depth], s.Action(verb))
	}
	steps := appendStep(appendStep([]Step{}, stops), starts)
	for _, layer := range slices.Sorted(maps.Keys(layers)) {
		steps = appendStep(steps, layers[layer])
	}
	return steps
}

func appendStep(steps []Step, actions []Action) []Step {
	if len(actions) == 0 {
		return steps
	}
	slices.SortFunc(actions, func(a, b Action) int { return strings.Compare(a.ID(), b.ID()) })
	return append(steps, Step{actions})
}
