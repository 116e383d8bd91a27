package manifests

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDefinition: whatever a manifest says, reading, checking, normalising and
// comparing it ends without a panic, and what is valid has a normal form that
// is its own normal form.
func FuzzDefinition(f *testing.F) {
	var cases []transition
	recording(f, "conformance/app-transitions.json", &cases)
	for i := 0; i < len(cases); i += 20 {
		f.Add([]byte(cases[i].After))
	}
	cases = nil
	recording(f, "conformance/pod-transitions.json", &cases)
	for i := 0; i < len(cases); i += 10 {
		f.Add([]byte(cases[i].After))
	}
	for _, seed := range []string{`null`, `[]`, `{"id": "/a", "container": "x", "networks": ["host"], "env": []}`,
		`{"id": "..", "cmd": "\u0000", "cpus": 1e400, "instances": 1e99, "constraints": [[]], "healthChecks": [{}], "volumes": [{}]}`,
		`{"id": "/a", "ipAddress": {"discovery": {"ports": [{"name": "a"}]}}, "networks": [{}, {}], "container": {"docker": {"image": "a", "network": "USER", "portMappings": []}}}`,
		`{"id": "/g", "apps": [{"id": "a"}], "pods": [{"id": "b"}], "groups": [{"id": "c", "groups": []}]}`} {
		f.Add([]byte(seed))
	}
	clusters := []*Cluster{new(DefaultCluster()), everything(), {}, {Version: "1.5.0"}}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var tree any
		if d.Decode(&tree) != nil {
			return
		}
		for _, c := range clusters {
			exercise(t, appRules, tree, c)
			exercise(t, podRules, tree, c)
			if g, _ := DecodeGroup(tree); g != nil {
				sameAsJSON(t, tree, g)
				ValidateGroup(g, c)
				NormaliseGroup(g, c)
			}
		}
	})
}

func exercise[T any](t *testing.T, r rules[T], tree any, c *Cluster) {
	definition, violations := r.decode(tree)
	if definition == nil {
		if len(errorsOf(violations)) == 0 {
			t.Fatalf("neither a definition nor an error: %v", tree)
		}
		return
	}
	sameAsJSON(t, tree, definition)
	errs := errorsOf(append(violations, r.validate(definition, c)...))
	normal := r.normalise(definition, nil, c)
	again := r.normalise(normal, definition, c)
	r.compare(normal, again)
	if len(errs) == 0 && r.hash(normal) != r.hash(r.normalise(normal, nil, c)) {
		t.Fatalf("another normal form the second time: %s", asJSON(t, normal))
	}
}

// sameAsJSON: what is read of a definition without errors is what encoding/json
// reads of it, but for the case of enums, what Marathon fills in, null as an
// option, and whole numbers that are written with a point.
func sameAsJSON[T any](t *testing.T, tree any, got *T) {
	t.Helper()
	want := new(T)
	if json.Unmarshal([]byte(asJSON(t, tree)), want) != nil {
		return
	}
	switch w := any(want).(type) {
	case *App:
		asRead(w)
	case *Group:
		eachApp(w, asRead)
	}
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); !strings.EqualFold(asJSON(t, want), asJSON(t, got)) {
		t.Fatal(diff)
	}
}

func asRead(a *App) {
	a.Residency = nil
	if a.Container == nil {
		return
	}
	for _, v := range a.Container.Volumes {
		if v.External != nil {
			maps.DeleteFunc(v.External.Options, func(_ string, option any) bool { return option == nil })
		}
	}
}

func eachApp(g *Group, do func(*App)) {
	for i := range g.Apps {
		do(&g.Apps[i])
	}
	for i := range g.Groups {
		eachApp(&g.Groups[i], do)
	}
}
