package manifests

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Dependencies is the graph of what starts only after what, as Marathon has it:
// an app waits for what it depends on and for what the groups that it lies in
// depend on; who depends on a group waits for each app in it. An id that is
// neither put in nor above anything that is stands for nothing.
//
// Marathon has apps alone in it: who waits for pods puts them in too.
type Dependencies struct {
	apps   map[string][]string // id → what it depends on itself
	groups map[string][]string // those that depend on something
	ids    []string            // of apps, in order; nil: to be sorted again
	depths map[string]int      // of nodes that were asked for; unknown: being computed
}

// unknown is the depth of a node that is being computed: of one in a cycle.
const unknown = -2

// SetApp puts an app in, in place of one with its id.
func (g *Dependencies) SetApp(id string, on []string) {
	if g.apps == nil {
		g.apps = map[string][]string{}
	}
	g.apps[id] = on
	g.ids, g.depths = nil, nil
}

// SetGroup puts in what all in a group depend on, in place of what was known.
func (g *Dependencies) SetGroup(id string, on []string) {
	if g.groups == nil {
		g.groups = map[string][]string{}
	}
	if delete(g.groups, id); len(on) > 0 {
		g.groups[id] = on
	}
	g.depths = nil
}

// Of lists the ids that an app depends on: by itself, and by its groups.
func (g *Dependencies) Of(id string) []string {
	all := slices.Clone(g.apps[id])
	if len(g.groups) > 0 {
		for group := id; group != "/"; {
			group = ParentID(group)
			all = append(all, g.groups[group]...)
		}
	}
	return all
}

// On lists the apps that an id stands for as a dependency: itself, or those in it.
func (g *Dependencies) On(id string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if _, app := g.apps[id]; app {
			yield(id)
			return
		}
		if g.ids == nil {
			g.ids = slices.Sorted(maps.Keys(g.apps))
		}
		start, _ := slices.BinarySearch(g.ids, id)
		for _, member := range g.ids[start:] {
			switch {
			case Within(member, id):
				if !yield(member) {
					return
				}
			case member[:min(len(member), len(id))] > id:
				return
			}
		}
	}
}

// Depth returns how many layers of apps an app waits for: 0 where there is none.
// What is in a cycle has none that means anything.
func (g *Dependencies) Depth(id string) int {
	if g.depths == nil {
		g.depths = make(map[string]int, len(g.apps))
	}
	if depth, known := g.depths[id]; known {
		return max(depth, 0)
	}
	g.depths[id] = unknown
	depth := 0
	for _, target := range g.Of(id) {
		depth = max(depth, 1+g.deepest(target))
	}
	g.depths[id] = depth
	return depth
}

// deepest is the depth of the deepest app that an id stands for, -1 where there is
// none. It is kept for groups, which many may depend on.
func (g *Dependencies) deepest(target string) int {
	if _, app := g.apps[target]; app {
		return g.Depth(target)
	}
	node := inGroup + target
	if depth, known := g.depths[node]; known {
		return max(depth, -1)
	}
	g.depths[node] = unknown
	depth := -1
	for id := range g.On(target) {
		depth = max(depth, g.Depth(id))
	}
	g.depths[node] = depth
	return depth
}

// Cycle is a dependency cycle: the apps along it, the first one again at the end.
type Cycle []string

// maxInCycle bounds how many ids of a cycle are named.
const maxInCycle = 10

// String is the only wording of a cycle, with what to do.
func (c Cycle) String() string {
	way := c
	if more := len(c) - 1 - maxInCycle; more > 0 {
		way = append(slices.Clone(c[:maxInCycle]), fmt.Sprintf("… (%d more)", more), c[0])
	}
	return "dependency cycle: " + strings.Join(way, " -> ") + ": remove one of these dependencies, which may be on a group, or of one"
}

// maxSearched bounds how many edges are followed to find the cycles to name among
// apps that all wait for each other: there may be another one for each of them.
const maxSearched = 100_000

// Cycles returns, among some apps and all that they wait for, for each that waits
// for itself, however many others are in between, a shortest cycle that it is on;
// where very many hang together, any.
func (g *Dependencies) Cycles(apps []string) map[string]Cycle {
	found := map[string]Cycle{}
	for _, nodes := range g.knots(apps) {
		searched := 0
		var cycle Cycle
		for _, id := range nodes {
			if strings.HasPrefix(id, inGroup) || found[id] != nil {
				continue
			}
			if searched < maxSearched {
				cycle = g.cycle(id, nodes, &searched)
			}
			for _, on := range append(cycle, id) {
				if found[on] == nil {
					found[on] = cycle
				}
			}
		}
	}
	return found
}

// inGroup begins the nodes that stand for all apps of a group, so that a dependency
// on a group of a thousand apps is one edge and not a thousand.
const inGroup = "in "

// next lists the nodes that a node waits for.
func (g *Dependencies) next(node string) []string {
	if group, is := strings.CutPrefix(node, inGroup); is {
		return slices.Collect(g.On(group))
	}
	on := g.Of(node)
	for i, target := range on {
		if _, app := g.apps[target]; !app {
			on[i] = inGroup + target
		}
	}
	return on
}

// knots lists the nodes that wait for themselves, of some apps and all that they
// wait for: in each list those that all wait for each other, in order. It is Tarjan's algorithm, in time and memory in
// proportion to the edges, however many cycles there are.
func (g *Dependencies) knots(apps []string) [][]string {
	t := tarjan{next: g.next, number: map[string]int{}, low: map[string]int{}, open: map[string]bool{}}
	for _, id := range apps {
		if t.number[id] == 0 && len(g.apps[id])+len(g.groups) > 0 { // else it waits for nothing
			t.visit(id)
		}
	}
	return t.found
}

type tarjan struct {
	next        func(string) []string
	number, low map[string]int // in the order of visits, from 1
	open        map[string]bool
	stack       []string
	found       [][]string
}

func (t *tarjan) visit(node string) {
	t.number[node] = len(t.number) + 1
	t.low[node] = t.number[node]
	t.stack, t.open[node] = append(t.stack, node), true
	loop := false
	for _, next := range t.next(node) {
		switch {
		case t.number[next] == 0:
			t.visit(next)
			t.low[node] = min(t.low[node], t.low[next])
		case t.open[next]:
			t.low[node] = min(t.low[node], t.number[next])
			loop = loop || next == node
		}
	}
	if t.low[node] != t.number[node] {
		return
	}
	start := len(t.stack) - 1
	for t.stack[start] != node {
		start--
	}
	nodes := slices.Clone(t.stack[start:])
	t.stack = t.stack[:start]
	for _, n := range nodes {
		delete(t.open, n)
	}
	if len(nodes) > 1 || loop {
		slices.Sort(nodes)
		t.found = append(t.found, nodes)
	}
}

// cycle returns a shortest cycle through an app, among nodes that all wait for each
// other. It counts the edges that it follows.
func (g *Dependencies) cycle(id string, nodes []string, followed *int) Cycle {
	if slices.ContainsFunc(g.Of(id), func(target string) bool { return Within(id, target) }) {
		return Cycle{id, id} // by itself, or by a group that it lies in
	}
	from := map[string]string{}
	for queue := []string{id}; from[id] == ""; queue = queue[1:] {
		for _, next := range g.next(queue[0]) {
			*followed++
			if _, among := slices.BinarySearch(nodes, next); among && from[next] == "" {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	way := Cycle{id}
	for n := from[id]; n != id; n = from[n] {
		if !strings.HasPrefix(n, inGroup) {
			way = append(way, n)
		}
	}
	way = append(way, id)
	slices.Reverse(way)
	return way
}
