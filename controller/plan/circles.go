package plan

import (
	"slices"
	"strings"
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
	c := circles{depths: w.newDepths(), state: map[string]int{}}
	for _, id := range sortedKeys(byID) {
		c.visit(id)
	}
	for _, circle := range c.found {
		why := "its dependencies form a circle, which Marathon refuses: " + strings.Join(circle, " → ") + ": take one of them away"
		for _, id := range circle {
			if d := byID[id]; d != nil {
				d.hold(why)
			}
		}
	}
}

// circles finds the dependencies that go round. Nodes are ids of apps, and
// groups with "in " before, for all that is in them.
type circles struct {
	*depths
	state map[string]int // 1: on the stack, 2: done
	stack []string
	found [][]string // ids of apps, the first again at the end
}

func (c *circles) visit(node string) {
	c.state[node] = 1
	c.stack = append(c.stack, node)
	for _, next := range c.next(node) {
		switch c.state[next] {
		case 0:
			c.visit(next)
		case 1:
			c.close(next)
		}
	}
	c.stack = c.stack[:len(c.stack)-1]
	c.state[node] = 2
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
		case !within(node, target):
			next = append(next, "in "+target)
		}
	}
	return next
}

// close notes the circle that ends at a node on the stack.
func (c *circles) close(node string) {
	var ids []string
	for _, n := range c.stack[slices.Index(c.stack, node):] {
		if !strings.HasPrefix(n, "in ") {
			ids = append(ids, n)
		}
	}
	if len(ids) > 0 {
		c.found = append(c.found, append(ids, ids[0]))
	}
}
