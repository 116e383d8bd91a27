package plan

import (
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

func TestCirclesThroughWhatOnlyMarathonHas(t *testing.T) {
	on := func(id string, dependencies ...string) string {
		return simple(id, `, "dependencies": ["`+strings.Join(dependencies, `","`)+`"]`)
	}
	cases := map[string]struct {
		git, live map[string]string
		groups    map[string]*manifests.Group
		blocked   map[string]string // id → the circle
	}{
		"an app outside of the scope": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/shop/b"), "/shop/b": on("/shop/b", "/other/c"), "/shop/d": simple("/shop/d", "")},
			live:    map[string]string{"/other/c": on("/other/c", "/shop/a")},
			blocked: map[string]string{"/shop/a": "/shop/a → /shop/b → /other/c → /shop/a", "/shop/b": "/shop/a → /shop/b → /other/c → /shop/a"},
		},
		"a group outside": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/other")},
			live:    map[string]string{"/other/b": simple("/other/b", ""), "/other/c": on("/other/c", "/shop/a")},
			blocked: map[string]string{"/shop/a": "/shop/a → /other/c → /shop/a"},
		},
		"a dependency of a group": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/other/b")},
			live:    map[string]string{"/other/b": simple("/other/b", "")},
			groups:  map[string]*manifests.Group{"/other": {Dependencies: []string{"/shop"}}},
			blocked: map[string]string{"/shop/a": "/shop/a → /other/b → /shop/a"},
		},
		"git takes it away": {
			git:  map[string]string{"/shop/a": simple("/shop/a", "")},
			live: map[string]string{"/shop/a": on("/shop/a", "/other/c"), "/other/c": simple("/other/c", "")},
		},
		"its own group, and nothing that is there": {
			git:  map[string]string{"/shop/a": on("/shop/a", "/shop", "/nowhere"), "/shop/b": simple("/shop/b", "")},
			live: map[string]string{},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, change := range Compute(world{git: c.git, live: c.live, groups: c.groups, policy: Policy{Adopt: true}}.input(t)).Changes {
				circle, wrong := c.blocked[change.ID]
				if wrong != (change.Blocked != nil) || wrong && !strings.Contains(*change.Blocked, ": "+circle+":") {
					t.Errorf("%s: %v, want %q", change.ID, change.Blocked, circle)
				}
			}
		})
	}
}

// What may have been renamed goes only when its new form has come up.
func TestWhatMayHaveBeenRenamedGoesOn(t *testing.T) {
	live := map[string]string{"/shop/a/old": simple("/shop/a/old", ""), "/shop/b/old": simple("/shop/b/old", ""), "/shop/c/old": simple("/shop/c/old", "")}
	w := world{git: map[string]string{"/shop/a/new": simple("/shop/a/new", "")}, live: live, owned: sortedKeys(live), policy: Policy{Prune: PruneOn}}
	for _, c := range []struct {
		unproven, approved map[string]bool
		held               bool // the new form itself
		blocked            string
	}{
		{nil, nil, false, ""},
		{map[string]bool{"/shop/a/new": true}, nil, false, "/shop/a/old /shop/b/old "},
		{map[string]bool{"/shop/a/new": true}, map[string]bool{"/shop/b/old": true}, false, "/shop/a/old "},
		{map[string]bool{"/shop/a/gone": true}, nil, false, ""},
		{nil, nil, true, "/shop/a/old /shop/b/old "},
		{nil, map[string]bool{"/shop/a/old": true}, true, "/shop/b/old "},
	} {
		in := w.input(t)
		if c.held {
			in.Failed = map[string]Failure{"/shop/a/new": {Hash: newWork(in).hash(&in.Desired.Items[0]), Reason: "no offers"}}
		}
		in.Unproven, in.Policy.Approved = c.unproven, c.approved
		o := in.Inventory["/shop/b/old"]
		o.File = in.Desired.Items[0].File // it stood in the same file
		in.Inventory["/shop/b/old"] = o
		blocked := ""
		for _, change := range Compute(in).Changes {
			if change.Action == Delete && change.Kind == manifests.KindApp && change.Blocked != nil {
				blocked += change.ID + " "
			}
		}
		if blocked != c.blocked {
			t.Errorf("%+v: held back %q", c, blocked)
		}
	}
}
