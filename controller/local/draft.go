package local

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// draft is the next root while a write makes it. What a write puts is
// normalised, gets its service ports and is compared with what was there, all
// at the end: ports that a later app of the same write names are then known.
type draft struct {
	*root
	old     *root
	at      stamp
	cluster *manifests.Cluster
	puts    []*spec // definitions as submitted, in order
	restart map[string]bool
	effects map[string]manifests.Effect // of what was put and existed
	gone    map[string]bool             // deleted
}

func (m *Marathon) newDraft(at stamp) *draft {
	d := &draft{
		root: m.root.clone(), old: m.root, at: at,
		restart: map[string]bool{}, effects: map[string]manifests.Effect{}, gone: map[string]bool{},
	}
	d.version = at
	d.cluster = d.root.cluster(m.options.Cluster)
	return d
}

func (d *draft) put(s *spec) {
	d.addGroups(s.id)
	delete(d.gone, s.id)
	d.puts = slices.DeleteFunc(d.puts, func(p *spec) bool { return p.id == s.id })
	d.puts = append(d.puts, s)
}

func (d *draft) drop(id string) {
	delete(d.specs, id)
	d.gone[id] = true
}

// dropGroup deletes a group with all that is in it. The root itself stays.
func (d *draft) dropGroup(id string) {
	for _, s := range d.under(id) {
		d.drop(s)
	}
	for g := range d.groups {
		if g != "/" && manifests.Within(g, id) {
			delete(d.groups, g)
		}
	}
}

// finish turns what was put into specs and checks the root as a whole.
// generation numbers the configurations.
func (d *draft) finish(generation func() int) error {
	normal := make([]*spec, len(d.puts))
	for i, s := range d.puts {
		live := d.old.specs[s.id]
		if d.gone[s.id] {
			live = nil
		}
		normal[i] = d.normalise(s, live)
	}
	d.assignPorts(normal)
	for _, s := range normal {
		if err := d.place(s, generation); err != nil {
			return err
		}
	}
	return d.check()
}

func (d *draft) normalise(s, live *spec) *spec {
	if s.app == nil {
		var was *manifests.Pod
		if live != nil {
			was = live.pod
		}
		return &spec{id: s.id, pod: manifests.NormalisePod(s.pod, was, d.cluster)}
	}
	var was *manifests.App
	if live != nil {
		was = live.app
	}
	return &spec{id: s.id, app: normaliseApp(s.app, was, d.cluster)}
}

// normaliseApp is manifests.NormaliseApp less the two places where Pacer's
// normal form is stricter than what Marathon holds in memory.
func normaliseApp(a, live *manifests.App, c *manifests.Cluster) *manifests.App {
	n := *manifests.NormaliseApp(a, live, c)
	n.PortDefinitions = slices.Clone(n.PortDefinitions)
	if n.Container != nil {
		n.Container = new(*n.Container)
		n.Container.PortMappings = slices.Clone(n.Container.PortMappings)
	}
	if a.TTY != nil {
		n.TTY = new(*a.TTY)
	}
	return &n
}

// place puts a normal form where it belongs, with the version that the kind of
// its change asks for.
func (d *draft) place(s *spec, generation func() int) error {
	live := d.old.specs[s.id]
	s.version, s.scaledAt, s.configAt = d.at, d.at, d.at
	if live == nil || d.gone[s.id] || (live.app == nil) != (s.app == nil) {
		if live != nil && !d.gone[s.id] {
			return d.sharedID(s.id)
		}
		s.generation = generation()
		d.specs[s.id] = s
		return nil
	}
	compared := compare(live, s)
	if err := refusal(compared.Refused, "", invalidObject); err != nil {
		return err
	}
	effect := compared.Effect
	if d.restart[s.id] {
		effect = manifests.EffectRestart
	}
	switch effect {
	case manifests.EffectNone:
		return nil
	case manifests.EffectMetadata:
		s.version, s.scaledAt, s.configAt, s.generation = live.version, live.scaledAt, live.configAt, live.generation
		effect = manifests.EffectNone
	case manifests.EffectScale:
		s.configAt, s.generation = live.configAt, live.generation
	default:
		s.generation = generation()
	}
	d.specs[s.id] = s
	d.effects[s.id] = effect
	return nil
}

func compare(live, desired *spec) manifests.Comparison {
	if live.app != nil {
		return manifests.CompareApps(live.app, desired.app)
	}
	return manifests.ComparePods(live.pod, desired.pod)
}

// maxInstances bounds the instances that all definitions ask for. Marathon has no
// bound, but a number typed wrong must not eat this machine's memory.
const maxInstances = 100_000

// check holds the rules across definitions.
func (d *draft) check() error {
	for _, p := range d.puts {
		for id := p.id; id != "/"; id = manifests.ParentID(id) {
			s := d.specs[id]
			if s == nil || d.groups[id] == nil {
				continue
			}
			kind := "Applications"
			if s.pod != nil {
				kind = "Pods"
			}
			return invalidObject(detail{d.groupPath(manifests.ParentID(id)), []string{"Groups and " + kind + " may not have the same identifier."}})
		}
	}
	all := 0
	for _, s := range d.specs {
		all += min(s.instances(), maxInstances+1)
	}
	if all > maxInstances {
		return invalidObject(detail{"/", []string{fmt.Sprintf("the local Marathon takes %d instances in all at most: scale down", maxInstances)}})
	}
	if len(dependencies(d.root).Cycles(slices.Sorted(maps.Keys(d.specs)))) > 0 {
		return invalidObject(detail{"/", []string{"Dependency graph has cyclic dependencies."}})
	}
	return nil
}

// sharedID is the answer to an app and a pod of one id. Marathon repeats it for
// each group that they are in.
func (d *draft) sharedID(id string) error {
	var details []detail
	for g := manifests.ParentID(id); ; g = manifests.ParentID(g) {
		details = append(details, detail{d.groupPath(g), []string{"Applications and Pods may not share the same id"}})
		if g == "/" {
			return invalidObject(details...)
		}
	}
}

// groupPath is where a group stands in a complaint about the root: by a number,
// here that in the order of ids, in Marathon that in the order of a hash map.
func (d *draft) groupPath(id string) string {
	if id == "/" {
		return "/"
	}
	n, _ := slices.BinarySearch(slices.Sorted(maps.Keys(d.groups)), id)
	return fmt.Sprintf("/groups(%d)", n-1) // the root is not among them
}

// assignPorts gives each zero service port the lowest number of the range that
// no app of the old or the new root has.
func (d *draft) assignPorts(normal []*spec) {
	var used map[int]bool
	next := d.cluster.LocalPortMin
	take := func() int {
		if used == nil {
			used = d.usedPorts(normal)
		}
		for used[next] && next < d.cluster.LocalPortMax {
			next++
		}
		used[next] = true
		return next
	}
	for _, s := range normal {
		if s.app == nil {
			continue
		}
		if c := s.app.Container; c != nil && len(c.PortMappings) > 0 {
			for i := range c.PortMappings {
				if or(c.PortMappings[i].ServicePort, 0) == 0 {
					c.PortMappings[i].ServicePort = new(take())
				}
			}
			continue
		}
		for i := range s.app.PortDefinitions {
			if or(s.app.PortDefinitions[i].Port, 0) == 0 {
				s.app.PortDefinitions[i].Port = new(take())
			}
		}
	}
}

func (d *draft) usedPorts(normal []*spec) map[int]bool {
	used := map[int]bool{}
	add := func(s *spec) {
		if s.app != nil {
			for _, p := range servicePorts(s.app) {
				used[or(p, 0)] = true
			}
		}
	}
	for s := range maps.Values(d.old.specs) {
		add(s)
	}
	for _, s := range normal {
		add(s)
	}
	return used
}

// dependencies of all apps. Pods and missing ids do not count.
func dependencies(r *root) *manifests.Dependencies {
	d := &manifests.Dependencies{}
	for id, s := range r.specs {
		if s.app != nil {
			d.SetApp(id, s.app.Dependencies)
		}
	}
	for id, g := range r.groups {
		d.SetGroup(id, g.dependencies)
	}
	return d
}

// action is one action of a deployment.
type action struct {
	Action string `json:"action"`
	App    string `json:"app,omitempty"`
	Pod    string `json:"pod,omitempty"`
}

func (a action) id() string { return a.App + a.Pod }

func (a action) is(verb string) bool { return strings.HasPrefix(a.Action, verb) }

// step is what a deployment does side by side.
type step struct {
	Actions []action `json:"actions"`
}

// steps is the plan from d's old root to its new one. Source:
// Marathon's DeploymentPlan, and the recorded steps in testdata/conformance.
func (d *draft) steps() []step {
	var stops, starts []action
	var work []string // specs that get a Scale or Restart
	for id := range d.gone {
		if s := d.old.specs[id]; s != nil && d.specs[id] == nil {
			stops = append(stops, s.action("Stop"))
		}
	}
	for _, p := range d.puts {
		s := d.specs[p.id]
		if s == nil {
			continue
		}
		if d.old.specs[p.id] == nil {
			starts = append(starts, s.action("Start"))
			work = append(work, p.id)
		} else if e := d.effects[p.id]; e == manifests.EffectScale || e == manifests.EffectRestart {
			work = append(work, p.id)
		}
	}
	steps := appendStep(appendStep([]step{}, stops), starts)
	layers := dependencies(d.root)
	byLayer := map[int][]action{}
	for _, id := range work {
		s, verb := d.specs[id], "Restart"
		if d.old.specs[id] == nil || d.effects[id] == manifests.EffectScale || s.instances() == 0 {
			verb = "Scale"
		}
		depth := 0
		if s.app != nil {
			depth = layers.Depth(id)
		}
		byLayer[depth] = append(byLayer[depth], s.action(verb))
	}
	for _, layer := range slices.Sorted(maps.Keys(byLayer)) {
		steps = appendStep(steps, byLayer[layer])
	}
	return steps
}

func appendStep(steps []step, actions []action) []step {
	if len(actions) == 0 {
		return steps
	}
	slices.SortFunc(actions, func(a, b action) int { return strings.Compare(a.id(), b.id()) })
	return append(steps, step{actions})
}

func (s *spec) action(verb string) action {
	if s.app != nil {
		return action{Action: verb + "Application", App: s.id}
	}
	return action{Action: verb + "Pod", Pod: s.id}
}
