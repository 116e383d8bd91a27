package plan

import (
	"cmp"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

func TestCyclesThroughWhatOnlyMarathonHas(t *testing.T) {
	on := func(id string, dependencies ...string) string {
		return simple(id, `, "dependencies": ["`+strings.Join(dependencies, `","`)+`"]`)
	}
	cases := map[string]struct {
		git, live map[string]string
		groups    map[string]*manifests.Group
		blocked   map[string]string // id -> the cycle
	}{
		"an app outside of the scope": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/shop/b"), "/shop/b": on("/shop/b", "/other/c"), "/shop/d": simple("/shop/d", "")},
			live:    map[string]string{"/other/c": on("/other/c", "/shop/a")},
			blocked: map[string]string{"/shop/a": "/other/c -> /shop/a -> /shop/b -> /other/c", "/shop/b": "/other/c -> /shop/a -> /shop/b -> /other/c"},
		},
		"a group outside": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/other")},
			live:    map[string]string{"/other/b": simple("/other/b", ""), "/other/c": on("/other/c", "/shop/a")},
			blocked: map[string]string{"/shop/a": "/other/c -> /shop/a -> /other/c"},
		},
		"a dependency of a group": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/other/b")},
			live:    map[string]string{"/other/b": simple("/other/b", "")},
			groups:  map[string]*manifests.Group{"/other": {Dependencies: []string{"/shop"}}},
			blocked: map[string]string{"/shop/a": "/other/b -> /shop/a -> /other/b"},
		},
		"git takes it away": {
			git:  map[string]string{"/shop/a": simple("/shop/a", "")},
			live: map[string]string{"/shop/a": on("/shop/a", "/other/c"), "/other/c": simple("/other/c", "")},
		},
		"nothing that is there": {git: map[string]string{"/shop/a": on("/shop/a", "/nowhere"), "/shop/b": simple("/shop/b", "")}},
		"its own group, as Marathon has it": {
			git:     map[string]string{"/shop/a": on("/shop/a", "/shop"), "/shop/b": simple("/shop/b", "")},
			blocked: map[string]string{"/shop/a": "/shop/a -> /shop/a"},
		},
		"dependencies of groups alone": {
			git:     map[string]string{"/shop/a": simple("/shop/a", "")},
			live:    map[string]string{"/other/b": simple("/other/b", "")},
			groups:  map[string]*manifests.Group{"/shop": {Dependencies: []string{"/other"}}, "/other": {Dependencies: []string{"/shop"}}},
			blocked: map[string]string{"/shop/a": "/other/b -> /shop/a -> /other/b"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, change := range Compute(world{git: c.git, live: c.live, groups: c.groups, policy: Policy{Adopt: true}}.input(t)).Changes {
				cycle, wrong := c.blocked[change.ID]
				if wrong != (change.Blocked != nil) || wrong && !strings.Contains(*change.Blocked, ": "+cycle+":") {
					t.Errorf("%s: %v, want %q", change.ID, change.Blocked, cycle)
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

// What may be a rename looks like it: to lie in the same group is not enough, and
// what never came up may always go.
func TestWhatMayBeARename(t *testing.T) {
	const (
		web   = `"container": {"type": "DOCKER", "docker": {"image": "registry:5000/web:1"}, "portMappings": [{"containerPort": 80}]}`
		next  = `"container": {"type": "DOCKER", "docker": {"image": "registry:5000/web:2"}, "portMappings": [{"containerPort": 80}]}`
		db    = `"container": {"type": "DOCKER", "docker": {"image": "db:1"}, "portMappings": [{"containerPort": 80}]}`
		https = `"container": {"type": "DOCKER", "docker": {"image": "registry:5000/web:1"}, "portMappings": [{"containerPort": 443}]}`
	)
	of := func(id, more string) string {
		return `{"id": "` + id + `", "cpus": 1, "mem": 32, "networks": [{"mode": "container/bridge"}], ` + more + `}`
	}
	for name, c := range map[string]struct {
		old, other string // what goes, and what git has under /shop/new
		unproven   bool   // the old one never came up
		blocked    bool
	}{
		"the same image":                    {of("/shop/old", web), of("/shop/new", web), false, true},
		"a new version of it":               {of("/shop/old", web), of("/shop/new", next), false, true},
		"another image":                     {of("/shop/old", db), of("/shop/new", web), false, false},
		"other ports":                       {of("/shop/old", https), of("/shop/new", web), false, false},
		"the same command":                  {of("/shop/old", `"container": {"type": "MESOS"}, "cmd": "run  it"`), of("/shop/new", `"container": {"type": "MESOS"}, "cmd": "run it"`), false, true},
		"another command":                   {of("/shop/old", `"container": {"type": "MESOS"}, "cmd": "run it"`), of("/shop/new", `"container": {"type": "MESOS"}, "cmd": "run that"`), false, false},
		"the same label with another value": {of("/shop/old", web+`, "labels": {"vhost": "a"}`), of("/shop/new", web+`, "labels": {"vhost": "b"}`), false, true},
		"another label":                     {of("/shop/old", web+`, "labels": {"vhost": "a"}`), of("/shop/new", web), false, false},
		"the same, and never came up":       {of("/shop/old", web), of("/shop/new", web), true, false},
		"the same in another group":         {of("/old/web", web), of("/shop/new", web), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := "/shop/old"
			if strings.Contains(c.old, "/old/web") {
				id = "/old/web"
			}
			in := world{git: map[string]string{"/shop/new": c.other}, live: map[string]string{id: c.old}, owned: []string{id}, policy: Policy{Prune: PruneOn}}.input(t)
			in.Unproven = map[string]bool{"/shop/new": true, id: c.unproven}
			for _, change := range Compute(in).Changes {
				if change.ID == id && (change.Blocked != nil) != c.blocked {
					t.Errorf("blocked: %v %q", change.Blocked != nil, *cmp.Or(change.Blocked, new("")))
				}
			}
		})
	}
}
