package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
)

// holdCircles: Marathon refuses dependencies that go round. Circles within git
// are found by the reader; these lead through what only Marathon has, in or out
// of the scope.
func holdCircles(w *work, drafts []*draft) {
	byID := map[string]*draft{}
	for _, d := range drafts {
		if d.App != nil && d.Action != Delete {
			byID[d.ID] = d
		}
	}
	if !slices.ContainsFunc(drafts, func(d *draft) bool { return byID[d.ID] == d && len(d.App.Dependencies) > 0 }) {
		return
	}
	c := circles{depths: w.newDepths(), number: map[string]int{}, low: map[string]int{}, open: map[string]bool{}}
	for _, id := range sortedKeys(byID) {
		if c.number[id] == 0 {
			c.visit(id)
		}
	}
	for _, nodes := range c.found {
		why := "its dependencies form a circle, which Marathon refuses: " + c.words(nodes) + ": take one of them away"
		for _, id := range nodes {
			if d := byID[id]; d != nil {
				d.hold(why)
			}
		}
	}
}

// circles finds the dependencies that go round, by Tarjan's algorithm: in time
// and memory in proportion to them, however many circles they form. Nodes are
// ids of apps, and groups with "in " before, for all that is in them.
type circles struct {
	*depths
	number, low map[string]int // in the order of visits, from 1
	open        map[string]bool
	stack       []string
	found       [][]string // nodes that all wait for each other, in the order of visits
}

func (c *circles) visit(node string) {
	c.number[node] = len(c.number) + 1
	c.low[node] = c.number[node]
	c.stack, c.open[node] = append(c.stack, node), true
	goesRound := false
	for _, next := range c.next(node) {
		switch {
		case c.number[next] == 0:
			c.visit(next)
			c.low[node] = min(c.low[node], c.low[next])
		case c.open[next]:
			c.low[node] = min(c.low[node], c.number[next])
			goesRound = goesRound || next == node
		}
	}
	if c.low[node] != c.number[node] {
		return
	}
	start := slices.Index(c.stack, node)
	nodes := slices.Clone(c.stack[start:])
	c.stack = c.stack[:start]
	for _, n := range nodes {
		delete(c.open, n)
	}
	if len(nodes) > 1 || goesRound {
		c.found = append(c.found, nodes)
	}
}

// next lists what a node waits for. An app does not wait for itself by way of a
// group that it is in.
func (c *circles) next(node string) []string {
	if group, is := strings.CutPrefix(node, "in "); is {
		return slices.Collect(c.members(group))
	}
	var next []string
	for _, target := range c.dependencies(node) {
		switch _, app := c.apps[target]; {
		case app:
			next = append(next, target)
		case !manifests.Within(node, target):
			next = append(next, "in "+target)
		}
	}
	return next
}

// mostInCircle bounds how many ids one message names.
const mostInCircle = 10

// words names a shortest circle among nodes that all wait for each other: that
// through the first app. A long one is cut.
func (c *circles) words(nodes []string) string {
	isApp := func(n string) bool { return !strings.HasPrefix(n, "in ") }
	among := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		among[n] = true
	}
	first := nodes[slices.IndexFunc(nodes, isApp)] // groups alone wait for nothing
	from := map[string]string{}
	for queue := []string{first}; from[first] == ""; queue = queue[1:] {
		for _, next := range c.next(queue[0]) {
			if among[next] && from[next] == "" {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	ids := []string{first}
	for n := from[first]; n != first; n = from[n] {
		if isApp(n) {
			ids = append(ids, n)
		}
	}
	ids = append(ids, first)
	slices.Reverse(ids)
	if more := len(ids) - 1 - mostInCircle; more > 0 {
		return strings.Join(ids[:mostInCircle], " → ") + fmt.Sprintf(" → … (%d more) → ", more) + first
	}
	return strings.Join(ids, " → ")
}
