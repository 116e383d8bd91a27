package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/manifests"
)

// What depends on something that failed, by itself or through a group, in this
// file or another, waits for it; so does what depends on that.
func TestDependentsOfAFailureWait(t *testing.T) {
	on := func(id string, dependency string) string { return simple(id, `, "dependencies": ["`+dependency+`"]`) }
	git := map[string]string{
		"/shop/db":     simple("/shop/db", ""),
		"/shop/api":    on("/shop/api", "/shop/db"),
		"/shop/web":    on("/shop/web", "/shop/api"),
		"/shop/free":   simple("/shop/free", ""),
		"/shop/data/q": on("/shop/data/q", "/shop/free"),
		"/shop/late":   on("/shop/late", "/shop/data"), // a group
		"/shop/in/x":   simple("/shop/in/x", ""),       // of a group that depends
		"/shop/drift":  on("/shop/drift", "/shop/db"),
	}
	live := map[string]string{"/shop/db": git["/shop/db"], "/shop/data/q": git["/shop/data/q"], "/shop/drift": on("/shop/drift", "/nowhere")}
	in := world{git: git, live: live, owned: sortedKeys(live), policy: Policy{Adopt: true},
		groups: map[string]*manifests.Group{"/shop/in": {Dependencies: []string{"/shop/web"}}}}.input(t)
	hash := func(id string) string {
		for i := range in.Desired.Items {
			if in.Desired.Items[i].ID == id {
				return newWork(in).hash(&in.Desired.Items[i])
			}
		}
		t.Fatal(id)
		return ""
	}
	in.Inventory["/shop/drift"] = Owned{Kind: manifests.KindApp, Revision: in.Revision, Hash: hash("/shop/drift")}
	in.Failed = map[string]Failure{
		"/shop/db":     {Hash: hash("/shop/db"), Reason: "exit code 127"},
		"/shop/data/q": {Hash: hash("/shop/data/q"), Reason: "no offers"},
	}
	held := map[string]string{
		"/shop/api":  "it depends on /shop/db, which failed: exit code 127: fix that first",
		"/shop/web":  "it depends on /shop/api, which is blocked, too: fix that first",
		"/shop/late": "it depends on /shop/data/q, which failed: no offers: fix that first",
		"/shop/in/x": "it depends on /shop/web, which is blocked, too: fix that first",
	}
	changes := map[string]Change{}
	for _, c := range Compute(in).Changes {
		changes[c.ID] = c
		why := ""
		if c.Blocked != nil {
			why = *c.Blocked
		}
		if why != held[c.ID] {
			t.Errorf("%s: %q, want %q", c.ID, why, held[c.ID])
		}
	}
	for _, id := range append(sortedKeys(held), "/shop/free", "/shop/drift") {
		if changes[id].ID == "" {
			t.Errorf("no change of %s", id)
		}
	}
	if !changes["/shop/drift"].Drift {
		t.Error("/shop/drift is no drift")
	}

	// Another definition of what failed is a new chance for all of them.
	in.Failed["/shop/db"] = Failure{Hash: strings.Repeat("0", 64), Reason: "exit code 127"}
	for _, c := range Compute(in).Changes {
		if c.ID != "/shop/late" && c.Blocked != nil {
			t.Errorf("%s is still held: %s", c.ID, *c.Blocked)
		}
	}
}

// What depends on something whose manifest has an error waits while that does
// not run, wherever the error keeps the id from being read.
func TestDependentsOfABrokenManifestWait(t *testing.T) {
	on := func(id, dependency string) string { return simple(id, `, "dependencies": ["`+dependency+`"]`) }
	git := map[string]string{
		"/shop/web":  on("/shop/web", "/shop/db"),
		"/shop/next": on("/shop/next", "/shop/web"),
		"/shop/all":  on("/shop/all", "/shop/data"), // a group that /shop/data/q alone would be in
		"/shop/deep": on("/shop/deep", "/shop/lost/q"),
		"/shop/typo": on("/shop/typo", "/shop/bd"),
		"/shop/runs": on("/shop/runs", "/shop/old"),
		"/shop/free": simple("/shop/free", ""),
		"/shop/far":  on("/shop/far", "/elsewhere/db"), // no file of this sync describes it
	}
	live := map[string]string{"/shop/old": simple("/shop/old", "")}
	compute := func(unreadable ...string) map[string]string {
		in := world{git: git, live: live, owned: sortedKeys(live), policy: Policy{Adopt: true}}.input(t)
		in.Desired.Broken = map[string]bool{"/shop/db": true, "/shop/data/q": true, "/shop/lost": true, "/shop/old": true}
		in.Desired.Unreadable = unreadable
		held := map[string]string{}
		for _, c := range Compute(in).Changes {
			if c.Blocked != nil {
				held[c.ID] = *c.Blocked
			}
		}
		return held
	}
	want := map[string]string{
		"/shop/web":  "it depends on /shop/db, whose manifest has an error and which does not run: fix that first",
		"/shop/next": "it depends on /shop/web, which is blocked, too: fix that first",
		"/shop/all":  "it depends on /shop/data/q, whose manifest has an error and which does not run: fix that first",
		"/shop/deep": "it depends on /shop/lost/q, which does not run and is in a group whose manifest has an error: fix that first",
	}
	if d := cmp.Diff(want, compute()); d != "" {
		t.Error(d)
	}
	want["/shop/typo"] = "it depends on /shop/bd, which does not run and may be defined in apps/bad.yaml, which cannot be read: fix that first"
	if d := cmp.Diff(want, compute("apps/bad.yaml")); d != "" {
		t.Error(d)
	}
}

// A dependency on what neither git nor Marathon has is ignored by Marathon: the
// plan says so, with the nearest id, and holds nothing.
func TestDependenciesOnNothingAreTold(t *testing.T) {
	on := func(id, dependency string) string { return simple(id, `, "dependencies": ["`+dependency+`"]`) }
	git := map[string]string{
		"/shop/db":  simple("/shop/db", ""),
		"/shop/web": on("/shop/web", "/shop/bd"),
		"/shop/in":  on("/shop/in", "/shop/data"), // a group of what is live
		"/shop/out": on("/shop/out", "/other/db"), // live, out of the scope
		"/shop/up":  on("/shop/up", "/shop/pods"),
	}
	live := map[string]string{"/shop/data/q": simple("/shop/data/q", ""), "/other/db": simple("/other/db", "")}
	in := world{git: git, live: live, owned: []string{}, groups: map[string]*manifests.Group{"/shop/pods": {}}}.input(t)
	p := Compute(in)
	want := []manifests.Problem{{
		File: "apps/shop/web.yaml", Line: 1, Column: 1, ID: "/shop/web", Path: "/dependencies(0)", Severity: manifests.SeverityWarning,
		Message: "depends on /shop/bd (did you mean /shop/db?), which neither git nor Marathon has: Marathon ignores such a dependency, and waits for nothing",
	}}
	if d := cmp.Diff(want, p.Problems); d != "" {
		t.Error(d)
	}
	if n := p.Pending(); n != len(git) {
		t.Errorf("%d of %d changes are pending", n, len(git))
	}
}
