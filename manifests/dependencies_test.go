package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// waitsFor is the dumb form of Dependencies: what each app waits for, edge by edge.
func waitsFor(apps, groups map[string][]string) map[string]map[string]bool {
	edges := map[string]map[string]bool{}
	for id := range apps {
		edges[id] = map[string]bool{}
		on := slices.Clone(apps[id])
		for g, more := range groups {
			if g == "/" || strings.HasPrefix(id, g+"/") {
				on = append(on, more...)
			}
		}
		for _, target := range on {
			for other := range apps {
				if other == target || apps[target] == nil && (target == "/" || strings.HasPrefix(other, target+"/")) {
					edges[id][other] = true
				}
			}
		}
	}
	return edges
}

// reaches is the transitive closure of edges.
func reaches(edges map[string]map[string]bool) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for id, on := range edges {
		all[id] = maps.Clone(on)
	}
	for via := range all {
		for from := range all {
			if all[from][via] {
				maps.Copy(all[from], all[via])
			}
		}
	}
	return all
}

// depthOf is the longest way from an app, of a graph without cycles.
func depthOf(id string, edges map[string]map[string]bool) int {
	depth := 0
	for on := range edges[id] {
		depth = max(depth, 1+depthOf(on, edges))
	}
	return depth
}

func TestDependenciesAreThoseOfADumbGraph(t *testing.T) {
	ids := []string{"/a", "/b", "/g/a", "/g/b", "/g/h/a", "/g-x/a"}
	targets := append([]string{"/", "/g", "/g/h", "/g-x", "/nowhere"}, ids...)
	cyclic, layered := 0, 0
	check := func(t *rapid.T) {
		apps, groups, g := map[string][]string{}, map[string][]string{}, Dependencies{}
		some := func(what string) []string {
			return rapid.SliceOfN(rapid.SampledFrom(targets), 0, 2).Draw(t, what)
		}
		for _, id := range rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID).Draw(t, "apps") {
			apps[id] = append([]string{}, some("dependencies of "+id)...)
			g.SetApp(id, apps[id])
		}
		for _, id := range []string{"/", "/g", "/g/h"} {
			if rapid.IntRange(0, 5).Draw(t, "group "+id+" depends") == 0 {
				groups[id] = some("dependencies of " + id)
			}
			g.SetGroup(id, groups[id])
		}
		edges := waitsFor(apps, groups)
		all := reaches(edges)
		found := g.Cycles(slices.Sorted(maps.Keys(apps)))
		for id := range apps {
			cycle := found[id]
			if all[id][id] != (cycle != nil) {
				t.Fatalf("%s waits for itself: %v, but its cycle is %v", id, all[id][id], cycle)
			}
			if cycle == nil {
				continue
			}
			cyclic++
			if !slices.Contains(cycle, id) || cycle[0] != cycle[len(cycle)-1] {
				t.Fatalf("the cycle of %s is %v", id, cycle)
			}
			for i := range cycle[1:] {
				if !edges[cycle[i]][cycle[i+1]] {
					t.Fatalf("%v: %s does not wait for %s", cycle, cycle[i], cycle[i+1])
				}
			}
		}
		if len(found) > 0 {
			return
		}
		for id := range apps {
			if got, want := g.Depth(id), depthOf(id, edges); got != want {
				t.Fatalf("the depth of %s is %d, expected %d", id, got, want)
			}
			layered = max(layered, g.Depth(id))
		}
	}
	for range 20 { // by chance, most of all with -short, some graphs are simple
		if rapid.Check(t, check); cyclic > 0 && layered >= 2 {
			break
		}
	}
	if cyclic == 0 || layered < 2 {
		t.Errorf("%d apps in cycles and %d layers at most: the graphs are too simple", cyclic, layered)
	}
}

func TestOneWordingOfACycle(t *testing.T) {
	long := Cycle{}
	for i := range 12 {
		long = append(long, fmt.Sprintf("/a%d", i))
	}
	long = append(long, "/a0")
	for _, c := range []struct {
		cycle Cycle
		way   string
	}{
		{Cycle{"/a", "/a"}, "/a -> /a"},
		{Cycle{"/a", "/b", "/a"}, "/a -> /b -> /a"},
		{long, "/a0 -> /a1 -> /a2 -> /a3 -> /a4 -> /a5 -> /a6 -> /a7 -> /a8 -> /a9 -> … (2 more) -> /a0"},
	} {
		if got, want := c.cycle.String(), "dependency cycle: "+c.way+": remove one of these dependencies, which may be on a group, or of one"; got != want {
			t.Errorf("%s\nexpected %s", got, want)
		}
	}
}
