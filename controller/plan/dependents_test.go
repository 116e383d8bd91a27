package plan

import (
	"strings"
	"testing"

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
		"/shop/api":  "it depends on /shop/db, which failed: exit code 127: mend that first",
		"/shop/web":  "it depends on /shop/api, which is held back, too: mend that first",
		"/shop/late": "it depends on /shop/data/q, which failed: no offers: mend that first",
		"/shop/in/x": "it depends on /shop/web, which is held back, too: mend that first",
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
