package manifests

import (
	"slices"
	"strings"
)

// graph holds what starts only after what. Besides the apps it has two nodes
// for a group, so that a dependency on, or of, a group of a thousand apps is one
// edge and not a thousand.
type graph struct {
	index map[string]int
	names []string // id of an app; empty for the nodes of groups
	edges [][]int
}

func (g *graph) node(key, id string) int {
	if i, ok := g.index[key]; ok {
		return i
	}
	i := len(g.names)
	g.index[key] = i
	g.names = append(g.names, id)
	g.edges = append(g.edges, nil)
	return i
}

func (g *graph) edge(from, to int) { g.edges[from] = append(g.edges[from], to) }

// cycles reports the dependencies that go round, which Marathon refuses, at each
// app on the way. Unknown ids and pods do not count, as in Marathon.
func (s *set) cycles() {
	if !slices.ContainsFunc(s.definitions, func(d *definition) bool { return len(d.dependencies()) > 0 }) {
		return
	}
	for _, cycle := range s.graph().cycles() {
		slices.Sort(cycle)
		for _, id := range cycle {
			for _, d := range s.byID[id] {
				if d.kind != KindApp {
					continue
				}
				if len(cycle) == 1 {
					s.problem(d, "/dependencies", "depends on itself: remove that dependency, which may be by way of a group")
				} else {
					s.problem(d, "/dependencies", "dependency cycle among %s: remove one of these dependencies", shorten(cycle, len(cycle)))
				}
			}
		}
	}
}

// dependencies of a definition that can be read.
func (d *definition) dependencies() []string {
	switch {
	case d.item == nil:
		return nil
	case d.kind == KindApp:
		return d.item.App.Dependencies
	case d.kind == KindGroup:
		return d.item.Group.Dependencies
	}
	return nil
}

func (s *set) graph() *graph {
	g := &graph{index: make(map[string]int, 2*len(s.definitions))}
	targets, sources := map[string]bool{}, map[string]bool{}
	for _, d := range s.definitions {
		for _, dependency := range d.dependencies() {
			targets[dependency] = true
		}
		if d.kind == KindGroup && len(d.dependencies()) > 0 {
			sources[d.id] = true
		}
	}
	for _, d := range s.definitions {
		switch d.kind {
		case KindApp:
			s.addApp(g, d, targets, sources)
		case KindGroup:
			// A group's dependencies are on groups only.
			for _, dependency := range d.dependencies() {
				g.edge(g.node("of "+d.id, ""), g.node("in "+dependency, ""))
			}
		}
	}
	return g
}

// addApp adds an app with what it waits for, itself and by its groups, and puts
// it into the groups that something waits for.
func (s *set) addApp(g *graph, d *definition, targets, sources map[string]bool) {
	app := g.node(d.id, d.id)
	for _, dependency := range d.dependencies() {
		key := "in " + dependency
		if slices.ContainsFunc(s.byID[dependency], func(t *definition) bool { return t.kind == KindApp }) {
			g.edge(app, g.node(dependency, dependency))
			continue
		}
		g.edge(app, g.node(key, ""))
	}
	for group := d.id; group != "/"; {
		group = ParentID(group)
		if targets[group] {
			g.edge(g.node("in "+group, ""), app)
		}
		if sources[group] {
			g.edge(app, g.node("of "+group, ""))
		}
	}
}

// cycles lists, for each set of nodes that all reach each other, its apps.
// It is Tarjan's algorithm.
func (g *graph) cycles() [][]string {
	t := tarjan{graph: g, number: make([]int, len(g.names)), low: make([]int, len(g.names)), open: make([]bool, len(g.names))}
	for i := range g.names {
		if t.number[i] == 0 {
			t.visit(i)
		}
	}
	slices.SortFunc(t.found, func(a, b []string) int { return strings.Compare(slices.Min(a), slices.Min(b)) })
	return t.found
}

type tarjan struct {
	graph       *graph
	count       int
	number, low []int
	open        []bool
	stack       []int
	found       [][]string
}

func (t *tarjan) visit(i int) {
	t.count++
	t.number[i], t.low[i] = t.count, t.count
	t.stack = append(t.stack, i)
	t.open[i] = true
	for _, j := range t.graph.edges[i] {
		if t.number[j] == 0 {
			t.visit(j)
			t.low[i] = min(t.low[i], t.low[j])
		} else if t.open[j] {
			t.low[i] = min(t.low[i], t.number[j])
		}
	}
	if t.low[i] == t.number[i] {
		t.component(i)
	}
}

// component takes the finished component of i off the stack.
func (t *tarjan) component(i int) {
	start := len(t.stack) - 1
	for t.stack[start] != i {
		start--
	}
	members := t.stack[start:]
	var apps []string
	for _, j := range members {
		t.open[j] = false
		if name := t.graph.names[j]; name != "" {
			apps = append(apps, name)
		}
	}
	if len(members) > 1 && len(apps) > 0 || slices.Contains(t.graph.edges[i], i) {
		t.found = append(t.found, apps)
	}
	t.stack = t.stack[:start]
}
