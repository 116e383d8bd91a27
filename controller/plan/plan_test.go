package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/manifests"
)

// app reads an app as a manifest would have it. It must be valid.
func app(t testing.TB, text string) *manifests.App {
	t.Helper()
	a, violations := manifests.DecodeApp(tree(t, text))
	if a == nil {
		t.Fatalf("app %s: %v", text, violations)
	}
	return a
}

func pod(t testing.TB, text string) *manifests.Pod {
	t.Helper()
	p, violations := manifests.DecodePod(tree(t, text))
	if p == nil {
		t.Fatalf("pod %s: %v", text, violations)
	}
	return p
}

func tree(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func simple(id string, more string) string {
	return fmt.Sprintf(`{"id": %q, "cmd": "sleep 100", "cpus": 0.1, "mem": 16%s}`, id, more)
}

// world is a Marathon and a git repository of apps, as texts by id.
type world struct {
	git, live map[string]string
	pods      map[string]string // live ones
	groups    map[string]*manifests.Group
	owned     []string // nil: not known
	policy    Policy
	change    func(in *Input)
}

func (w world) input(t testing.TB) Input {
	t.Helper()
	in := Input{
		Revision: "r2", Sync: "shop", Cluster: manifests.DefaultCluster(), Policy: w.policy,
		Live: Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}, Groups: w.groups},
	}
	if in.Policy.Scope == "" {
		in.Policy.Scope = "/shop"
	}
	for _, id := range sortedKeys(w.git) {
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: id, Kind: manifests.KindApp, File: "apps" + id + ".yaml", Line: 1, App: app(t, w.git[id])})
	}
	for id, text := range w.live {
		in.Live.Apps[id] = app(t, text)
	}
	for id, text := range w.pods {
		in.Live.Pods[id] = pod(t, text)
	}
	if w.owned != nil {
		in.Inventory = map[string]Owned{}
		for _, id := range w.owned {
			kind := manifests.KindApp
			if w.pods[id] != "" {
				kind = manifests.KindPod
			}
			in.Inventory[id] = Owned{Kind: kind, File: "apps" + id + ".yaml", Revision: "r1"}
		}
	}
	if w.change != nil {
		w.change(&in)
	}
	return in
}

// brief is a plan in a few words: "create /a", "delete /b blocked: …".
func brief(p Plan) []string {
	lines := []string{}
	for _, c := range p.Changes {
		line := string(c.Action)
		if c.Restart {
			line += " (restart)"
		}
		if c.Kind != manifests.KindApp {
			line += " " + string(c.Kind)
		}
		line += " " + c.ID
		if c.Blocked != nil {
			line += " blocked: " + *c.Blocked
		}
		lines = append(lines, line)
	}
	return lines
}

const (
	persistent = `{"id": "/shop/db", "cmd": "db", "cpus": 0.1, "mem": 16, "role": "dev", "container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}]}}`
	onePod     = `{"id": "/shop/pod", "containers": [{"name": "c", "resources": {"cpus": 0.1, "mem": 16}, "exec": {"command": {"shell": "sleep 100"}}}], "networks": [{"mode": "host"}]}`
)

// The rows of the two tables above Compute.
func TestTruthTable(t *testing.T) {
	web, cart := simple("/shop/web", ""), simple("/shop/cart", "")
	webThree, webOther := simple("/shop/web", `, "instances": 3`), simple("/shop/web", `, "labels": {"a": "b"}`)
	keep := map[string]string{"/shop/cart": cart}
	withWeb := map[string]string{"/shop/cart": cart, "/shop/web": web}
	withNone := map[string]string{"/shop/cart": cart, "/shop/web": simple("/shop/web", `, "instances": 0`)}
	withThree := map[string]string{"/shop/cart": cart, "/shop/web": webThree}
	many := func(n int) map[string]string {
		all := map[string]string{"/shop/cart": cart}
		for i := range n {
			all[fmt.Sprintf("/shop/x%d", i)] = simple(fmt.Sprintf("/shop/x%d", i), "")
		}
		return all
	}
	hash := func(text string) string {
		c := manifests.DefaultCluster()
		return manifests.HashApp(manifests.NormaliseApp(app(t, text), nil, &c))
	}
	cases := []struct {
		name  string
		world world
		want  []string
	}{
		{"git has, Marathon has not", world{git: withWeb, live: keep, owned: []string{}}, []string{"create /shop/web"}},
		{"equal", world{git: withWeb, live: withWeb, owned: []string{}}, []string{}},
		{"only instances differ", world{git: withThree, live: withWeb, owned: []string{"/shop/web"}}, []string{"scale /shop/web"}},
		{"differs", world{git: withWeb, live: map[string]string{"/shop/cart": cart, "/shop/web": webOther}, owned: []string{"/shop/web"}}, []string{"update (restart) /shop/web"}},
		{"differs and is not ours", world{git: withThree, live: withWeb, owned: []string{}}, []string{
			"scale /shop/web blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true"}},
		{"differs, not known whether it is ours", world{git: withThree, live: withWeb}, []string{
			"scale /shop/web blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true"}},
		{"differs and is adopted", world{git: withThree, live: withWeb, owned: []string{}, policy: Policy{Adopt: true}}, []string{"scale /shop/web"}},
		{"differs and is approved", world{git: withThree, live: withWeb, owned: []string{}, policy: Policy{Approved: map[string]bool{"/shop/web": true}}}, []string{"scale /shop/web"}},
		{"another kind", world{git: map[string]string{"/shop/pod": simple("/shop/pod", "")}, pods: map[string]string{"/shop/pod": onePod}}, []string{
			"create /shop/pod blocked: Marathon would refuse this create: /id: Marathon has a pod with this id: delete that first, or give this another id"}},

		{"gone from git, prune on", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Scope: "/", Prune: PruneOn}}, []string{"delete /shop/web"}},
		{"a pod gone from git", world{git: keep, live: keep, pods: map[string]string{"/shop/pod": onePod}, owned: []string{"/shop/pod"}, policy: Policy{Scope: "/", Prune: PruneOn}}, []string{"delete pod /shop/pod"}},
		{"gone from git, prune off", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOff, Approved: map[string]bool{"/shop/web": true}}}, []string{
			"delete /shop/web blocked: prune is off: set prune: confirm or on for this sync, or delete it in Marathon"}},
		{"gone from git, prune confirm", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneConfirm}}, []string{
			"delete /shop/web blocked: prune: confirm requires approval: run pacer approve, or add it to git again"}},
		{"gone from git, confirmed", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneConfirm, Approved: map[string]bool{"/shop/web": true}}}, []string{"delete /shop/web"}},
		{"Pacer itself, gone from git and approved", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Scope: "/", Prune: PruneOn, Self: "/shop/web", Approved: map[string]bool{"/shop/web": true}}}, []string{
			"delete /shop/web blocked: Pacer itself runs as this app: to stop it, do that in Marathon"}},
		{"Pacer itself, never ours", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true, Self: "/shop/web"}}, []string{
			"delete /shop/web blocked: Pacer itself runs as this app: to stop it, do that in Marathon"}},
		{"Pacer itself, scaled to nothing and approved", world{git: withNone, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Self: "/shop/web", Approved: map[string]bool{"/shop/web": true}}}, []string{
			"scale /shop/web blocked: Pacer itself runs as this app: to stop it, do that in Marathon"}},
		{"Pacer itself, scaled", world{git: withThree, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Self: "/shop/web"}}, []string{"scale /shop/web"}},
		{"another app scaled to nothing", world{git: withNone, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Self: "/shop/cart"}}, []string{"scale /shop/web"}},
		{"gone from both", world{git: keep, live: keep, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOn}}, []string{}},
		{"never ours", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneConfirm}}, []string{}},
		{"never ours, prune on for all of Marathon", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Scope: "/", Prune: PruneOn}}, []string{}},
		{"never ours, prune on for a scope", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneOn}}, []string{}},
		{"never ours, in an exclusive scope", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true}}, []string{"delete /shop/web"}},
		{"a pod that was never ours, in an exclusive scope", world{git: keep, live: keep, pods: map[string]string{"/shop/pod": onePod}, owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true}}, []string{"delete pod /shop/pod"}},
		{"never ours, exclusive for all of Marathon", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Scope: "/", Prune: PruneOn, Exclusive: true}}, []string{}},
		{"never ours, exclusive with prune off", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneOff, Exclusive: true}}, []string{}},
		{"never ours, exclusive with prune confirm", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneConfirm, Exclusive: true}}, []string{
			"delete /shop/web blocked: prune: confirm requires approval: run pacer approve, or define it in git, where it never was: exclusive: true deletes everything else"}},
		{"never ours, exclusive and confirmed", world{git: keep, live: withWeb, owned: []string{}, policy: Policy{Prune: PruneConfirm, Exclusive: true, Approved: map[string]bool{"/shop/web": true}}}, []string{"delete /shop/web"}},
		{"persistent data that was never ours, in an exclusive scope", world{git: keep, live: map[string]string{"/shop/cart": cart, "/shop/db": persistent}, owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true}}, []string{
			"delete /shop/db blocked: its persistent volumes and all their data are deleted, too: run pacer approve, or define it in git, where it never was: exclusive: true deletes everything else"}},
		{"more than allowed that were never ours, in an exclusive scope", world{git: keep, live: many(2), owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true, MaxDeletes: MaxDeletes{Count: 1}}}, []string{
			"delete /shop/x0 blocked: 2 deletions at once exceed the 1 that maxDeletes allows: run pacer approve, or raise maxDeletes",
			"delete /shop/x1 blocked: 2 deletions at once exceed the 1 that maxDeletes allows: run pacer approve, or raise maxDeletes"}},
		{"never ours, in an exclusive scope after a loss of state", world{git: keep, live: many(1), owned: []string{}, policy: Policy{Prune: PruneOn, Exclusive: true, Approved: map[string]bool{"/shop/x0": true}}, change: func(in *Input) {
			in.StateLost = "stored state was lost"
		}}, []string{"delete /shop/x0 blocked: stored state was lost: apps that this sync has not applied are not deleted"}},
		{"ours, after a loss of state", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOn, Exclusive: true}, change: func(in *Input) {
			in.StateLost = "stored state was lost"
		}}, []string{"delete /shop/web"}},
		{"not known whether ours", world{git: keep, live: withWeb, policy: Policy{Scope: "/", Prune: PruneOn}}, []string{}},
		{"not known whether ours, prune on for a scope", world{git: keep, live: withWeb, policy: Policy{Prune: PruneOn}}, []string{}},
		{"not known whether ours, in an exclusive scope", world{git: keep, live: withWeb, policy: Policy{Prune: PruneOn, Exclusive: true}}, []string{
			"delete /shop/web blocked: the inventory of this sync is unknown: nothing is deleted until it is known"}},
		{"ours as another kind", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOn}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindPod}
		}}, []string{}},
		{"ours as another kind, in an exclusive scope after a loss of state", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOn, Exclusive: true}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindPod}
			in.StateLost = "stored state was lost"
		}}, []string{"delete /shop/web blocked: stored state was lost: apps that this sync has not applied are not deleted"}},

		{"outside of the scope", world{
			git:   map[string]string{"/shop/cart": cart, "/other/web": simple("/other/web", ""), "/shopping/web": simple("/shopping/web", "")},
			live:  map[string]string{"/shop/cart": cart, "/other/old": simple("/other/old", "")},
			owned: []string{"/other/old"}, policy: Policy{Prune: PruneOn},
		}, []string{}},

		{"broken", world{git: withThree, live: many(1), owned: []string{"/shop/web", "/shop/x0"}, policy: Policy{Prune: PruneOn}, change: func(in *Input) {
			in.Desired.Broken = map[string]bool{"/shop/web": true, "/shop/x0": true}
		}}, []string{}},
		{"under a broken group", world{git: keep, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Prune: PruneOn}, change: func(in *Input) {
			in.Desired.Broken = map[string]bool{"/shop": true}
		}}, []string{}},
		{"an unreadable file", world{git: withThree, live: many(1), owned: []string{"/shop/x0"}, policy: Policy{Prune: PruneOn, Approved: map[string]bool{"/shop/x0": true}}, change: func(in *Input) {
			in.Desired.Unreadable = []string{"apps/bad.json", "z"}
		}}, []string{"create /shop/web",
			"delete /shop/x0 blocked: apps/bad.json and 1 more cannot be read and might define this: nothing is deleted until they are fixed"}},
		{"an empty source", world{live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Scope: "/", Prune: PruneOn, Approved: map[string]bool{"/shop/web": true}}}, []string{
			"delete /shop/web blocked: git defines no apps or pods in /: an empty source deletes nothing; if intended, delete this in Marathon"}},
		{"a source with a group only", world{live: withWeb, owned: []string{"/shop/web"}, policy: Policy{Scope: "/", Prune: PruneOn}, change: func(in *Input) {
			in.Desired.Items = []manifests.Item{{ID: "/shop", Kind: manifests.KindGroup, Group: &manifests.Group{ID: "/shop"}}}
		}}, []string{
			"delete /shop/web blocked: git defines no apps or pods in /: an empty source deletes nothing; if intended, delete this in Marathon"}},

		{"failed before", world{git: withThree, live: keep, owned: []string{}, change: func(in *Input) {
			in.Failed = map[string]Failure{"/shop/web": {Hash: hash(webThree), Reason: "exit code 127"}}
			in.Policy.Approved = map[string]bool{"/shop/web": true}
		}}, []string{"create /shop/web blocked: this definition failed: exit code 127: it is not retried until the definition changes"}},
		{"failed before, and changed since", world{git: withWeb, live: keep, owned: []string{}, change: func(in *Input) {
			in.Failed = map[string]Failure{"/shop/web": {Hash: hash(webThree), Reason: "exit code 127"}}
		}}, []string{"create /shop/web"}},

		{"drift of a definition, reported", world{git: withWeb, live: withThree, owned: []string{"/shop/web"}, policy: Policy{ReportDrift: true}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindApp, Revision: "r1", Hash: hash(web)}
		}}, []string{"scale /shop/web blocked: drift is only reported: run pacer approve to heal it, or set drift: heal"}},
		{"drift at a revision, reported", world{git: withWeb, live: keep, owned: []string{"/shop/web"}, policy: Policy{ReportDrift: true}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindApp, Revision: "r2"}
		}}, []string{"create /shop/web blocked: drift is only reported: run pacer approve to heal it, or set drift: heal"}},
		{"a new definition is no drift", world{git: withThree, live: withWeb, owned: []string{"/shop/web"}, policy: Policy{ReportDrift: true}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindApp, Revision: "r1", Hash: hash(web)}
		}}, []string{"scale /shop/web"}},
		{"drift, healed", world{git: withWeb, live: withThree, owned: []string{"/shop/web"}, change: func(in *Input) {
			in.Inventory["/shop/web"] = Owned{Kind: manifests.KindApp, Revision: "r2", Hash: hash(web)}
		}}, []string{"scale /shop/web"}},

		{"persistent data", world{git: keep, live: map[string]string{"/shop/cart": cart, "/shop/db": persistent}, owned: []string{"/shop/db"}, policy: Policy{Prune: PruneOn}}, []string{
			"delete /shop/db blocked: its persistent volumes and all their data are deleted, too: run pacer approve, or add it to git again"}},
		{"persistent data that is to be confirmed anyway", world{git: keep, live: map[string]string{"/shop/cart": cart, "/shop/db": persistent}, owned: []string{"/shop/db"}, policy: Policy{Prune: PruneConfirm}}, []string{
			"delete /shop/db blocked: its persistent volumes and all their data are deleted, too: run pacer approve, or add it to git again"}},
		{"persistent data, approved", world{git: keep, live: map[string]string{"/shop/cart": cart, "/shop/db": persistent}, owned: []string{"/shop/db"}, policy: Policy{Prune: PruneOn, Approved: map[string]bool{"/shop/db": true}}}, []string{"delete /shop/db"}},
		{"what Marathon would refuse", world{git: map[string]string{"/shop/db": strings.Replace(persistent, `0.1`, `0.2`, 1)}, live: map[string]string{"/shop/db": persistent}, owned: []string{"/shop/db"}}, []string{
			"update (restart) /shop/db blocked: Marathon would refuse this update: /app(0)/cpus: "}},

		{"more is missing than is believed", world{git: withWeb, live: many(1), owned: []string{"/shop/web", "/shop/x0", "/shop/gone"}, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Count: 1}}, change: func(in *Input) {
			in.Doubted = map[string]bool{"/shop/web": true, "/shop/gone": true}
		}}, []string{
			"create /shop/web blocked: 2 apps and pods that this sync applied are missing from Marathon's list at once, and at most 1 are recreated without approval: run pacer approve if they are really gone, or add another address of this Marathon to marathon.url, whose list is then compared",
			"delete /shop/x0 blocked: 2 apps and pods that this sync applied are missing from Marathon's list at once: nothing is deleted based on that list until they are listed again, approved, or known to be gone"}},
		{"more is missing than is believed, approved", world{git: withWeb, live: keep, owned: []string{"/shop/web"}, policy: Policy{Approved: map[string]bool{"/shop/web": true}}, change: func(in *Input) {
			in.Doubted = map[string]bool{"/shop/web": true}
		}}, []string{"create /shop/web"}},

		{"as many deletes as allowed", world{git: keep, live: many(2), owned: []string{"/shop/x0", "/shop/x1"}, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Count: 2}}}, []string{"delete /shop/x0", "delete /shop/x1"}},
		{"more deletes than allowed", world{git: keep, live: many(3), owned: []string{"/shop/x0", "/shop/x1", "/shop/x2"}, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Count: 2}, Approved: map[string]bool{"/shop/x1": true}}}, []string{
			"delete /shop/x0 blocked: 3 deletions at once exceed the 2 that maxDeletes allows: run pacer approve, or raise maxDeletes",
			"delete /shop/x1",
			"delete /shop/x2 blocked: 3 deletions at once exceed the 2 that maxDeletes allows: run pacer approve, or raise maxDeletes"}},
		{"a larger share than allowed", world{git: keep, live: many(2), owned: []string{"/shop/cart", "/shop/x0", "/shop/x1"}, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Count: 5, Percent: 20}}}, []string{
			"delete /shop/x0 blocked: 2 deletions at once exceed the 1 that maxDeletes allows: run pacer approve, or raise maxDeletes",
			"delete /shop/x1 blocked: 2 deletions at once exceed the 1 that maxDeletes allows: run pacer approve, or raise maxDeletes"}},
		{"a share is rounded up", world{git: keep, live: many(1), owned: []string{"/shop/cart", "/shop/x0"}, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Percent: 20}}}, []string{"delete /shop/x0"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := brief(Compute(c.world.input(t)))
			for i, want := range c.want {
				if i < len(got) && strings.HasSuffix(want, ": ") && strings.HasPrefix(got[i], want) {
					got[i] = want // the rest is Marathon's words
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsOutsideOfTheScopeIsAProblem(t *testing.T) {
	in := world{git: map[string]string{"/other/web": simple("/other/web", ""), "/shop/web": simple("/shop/web", "")}}.input(t)
	in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: "/", Kind: manifests.KindGroup, Group: &manifests.Group{ID: "/"}})
	for range 2 { // the second time the reader has reported it already
		p := Compute(in)
		if len(p.Problems) != 1 || p.Problems[0].String() != "apps/other/web.yaml:1:1: /other/web: lies outside of /shop: a sync touches only its scope" {
			t.Fatalf("problems: %v", p.Problems)
		}
		in.Desired.Problems = p.Problems
	}
}

func TestInventoryAfterAPlan(t *testing.T) {
	web, cart, old := simple("/shop/web", ""), simple("/shop/cart", ""), simple("/shop/old", "")
	w := world{
		git:   map[string]string{"/shop/web": web, "/shop/cart": cart, "/shop/new": simple("/shop/new", "")},
		live:  map[string]string{"/shop/web": web, "/shop/cart": cart, "/shop/old": old, "/shop/foreign": simple("/shop/foreign", "")},
		owned: []string{"/shop/web", "/shop/old", "/shop/vanished"},
	}
	in := w.input(t)
	p := Compute(in)
	if got, want := sortedKeys(p.Owned), []string{"/shop/cart", "/shop/old", "/shop/web"}; !slices.Equal(got, want) {
		t.Errorf("owned: %v, want %v", got, want)
	}
	if !slices.Equal(p.Adopted, []string{"/shop/cart"}) {
		t.Errorf("adopted: %v", p.Adopted)
	}
	if o := p.Owned["/shop/web"]; o.Revision != "r2" || o.Hash == "" {
		t.Errorf("what is equal is owned as %+v: want this revision and a hash", o)
	}
	if o := p.Owned["/shop/old"]; o != in.Inventory["/shop/old"] {
		t.Errorf("what is to be deleted is owned as %+v: want it as it was", o)
	}
	in.Doubted = map[string]bool{"/shop/vanished": true}
	if p := Compute(in); p.Owned["/shop/vanished"].Kind == "" {
		t.Error("an id is forgotten though nothing proves that it is gone")
	}
	in.Doubted, in.Desired.Unreadable = nil, []string{"bad.yaml"}
	if p := Compute(in); p.Owned["/shop/vanished"].Kind == "" {
		t.Error("an id is forgotten though a file that might describe it cannot be read")
	}
	in.Inventory = nil
	if p := Compute(in); p.Owned == nil || len(p.Owned) != 2 {
		t.Errorf("of a lost inventory there is %v: want what is equal in both", p.Owned)
	}
}

func TestCountPolicies(t *testing.T) {
	with := func(n int) string { return simple("/shop/web", fmt.Sprintf(`, "instances": %d`, n)) }
	cases := []struct {
		policy    Instances
		git, live int // live -1: Marathon does not have it
		want      string
		sent      int
	}{
		{Instances{}, 5, 2, "scale", 5},
		{Instances{Live: true}, 5, 2, "", 0},
		{Instances{Live: true}, 5, 0, "", 0},
		{Instances{Live: true}, 5, -1, "create", 5},
		{Instances{Min: 2, Max: 4}, 1, 3, "", 0},
		{Instances{Min: 2, Max: 4}, 9, 9, "scale", 4},
		{Instances{Min: 2, Max: 4}, 3, 1, "scale", 2},
		{Instances{Min: 2, Max: 4}, 9, -1, "create", 4},
		{Instances{Min: 2}, 1, 50, "", 0},
	}
	for _, c := range cases {
		w := world{git: map[string]string{"/shop/web": with(c.git)}, live: map[string]string{}, owned: []string{"/shop/web"}, policy: Policy{Instances: c.policy}}
		if c.live >= 0 {
			w.live["/shop/web"] = with(c.live)
		}
		p := Compute(w.input(t))
		action, sent := "", 0
		if len(p.Changes) > 0 {
			action, sent = string(p.Changes[0].Action), *p.Changes[0].App.Instances
		}
		if action != c.want || sent != c.sent {
			t.Errorf("%+v, git %d, live %d: %q sending %d, want %q sending %d", c.policy, c.git, c.live, action, sent, c.want, c.sent)
		}
	}
}

func TestPodsKeepTheirLiveCountAsWell(t *testing.T) {
	in := world{pods: map[string]string{"/shop/pod": strings.Replace(onePod, `"networks"`, `"scaling": {"kind": "fixed", "instances": 7}, "networks"`, 1)}, owned: []string{"/shop/pod"}, policy: Policy{Instances: Instances{Live: true}}}.input(t)
	in.Desired.Items = []manifests.Item{{ID: "/shop/pod", Kind: manifests.KindPod, File: "pod.yaml", Pod: pod(t, onePod)}}
	if p := Compute(in); len(p.Changes) > 0 {
		t.Errorf("with instances: live: %v", brief(p))
	}
	in.Policy.Instances = Instances{}
	if got := brief(Compute(in)); !slices.Equal(got, []string{"scale pod /shop/pod"}) {
		t.Errorf("with instances: git: %v", got)
	}
}

func TestIgnoredPathsAreNeitherShownNorReset(t *testing.T) {
	git := simple("/shop/web", `, "env": {"BUILD": "1", "A": "1"}, "labels": {"a/b": "git"}, "instances": 3`)
	live := simple("/shop/web", `, "env": {"BUILD": "77", "EXTRA": "x", "A": "2"}, "labels": {"a/b": "live", "new": "n"}, "instances": 3`)
	in := world{
		git: map[string]string{"/shop/web": git}, live: map[string]string{"/shop/web": live}, owned: []string{"/shop/web"},
		policy: Policy{Ignore: []Ignore{
			{ID: "/shop/*", Paths: []string{"/env/BUILD", "/env/EXTRA", "/labels/a~1b", "/labels/absent", "/container/docker/image", "/instances/0"}},
			{ID: "/other", Paths: []string{"/env/A"}},
		}},
	}.input(t)
	p := Compute(in)
	if len(p.Changes) != 1 {
		t.Fatalf("changes: %v", brief(p))
	}
	c := p.Changes[0]
	var paths []string
	for _, f := range c.Fields {
		paths = append(paths, f.Path)
	}
	if want := []string{"/env/A", "/labels/new"}; !slices.Equal(paths, want) {
		t.Errorf("fields %v, want %v", paths, want)
	}
	env := map[string]string{}
	for k, v := range c.App.Env {
		env[k] = v.Value
	}
	if diff := cmp.Diff(map[string]string{"BUILD": "77", "EXTRA": "x", "A": "1"}, env); diff != "" {
		t.Errorf("env that is sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a/b": "live"}, c.App.Labels); diff != "" {
		t.Errorf("labels that are sent (-want +got):\n%s", diff)
	}
	in.Live.Apps = nil
	if p := Compute(in); p.Changes[0].App.Env["BUILD"].Value != "1" {
		t.Error("a new app does not get git's value of an ignored path")
	}
}

func TestOrder(t *testing.T) {
	deps := func(id, on string) string { return simple(id, `, "dependencies": [`+on+`]`) }
	in := world{
		git: map[string]string{
			"/shop/a":      deps("/shop/a", `"/shop/z"`),
			"/shop/b":      deps("/shop/b", `"/shop/data"`), // a group
			"/shop/c":      simple("/shop/c", ""),
			"/shop/data/d": deps("/shop/data/d", `"/shop/same"`),
			"/shop/same":   deps("/shop/same", `"/shop/c"`), // equal: no change, but on the way
			"/shop/z":      simple("/shop/z", ""),
			"/shop/sub/e":  simple("/shop/sub/e", ""), // its group depends on /shop/data
		},
		live: map[string]string{
			"/shop/same":  deps("/shop/same", `"/shop/c"`),
			"/shop/old/x": simple("/shop/old/x", ""),
			"/shop/old/y": deps("/shop/old/y", `"/shop/old/x"`),
		},
		groups: map[string]*manifests.Group{"/shop/old": {ID: "/shop/old", EnforceRole: new(false)}, "/shop/sub": {ID: "/shop/sub"}},
		owned:  []string{"/shop/old/x", "/shop/old/y"}, policy: Policy{Prune: PruneOn},
	}.input(t)
	in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: "/shop/sub", Kind: manifests.KindGroup, File: "g.yaml", Group: &manifests.Group{ID: "/shop/sub", Dependencies: []string{"/shop/data"}}})
	in.Policy.Adopt = true
	want := []string{
		"update group /shop/sub",
		"create /shop/c", "create /shop/z",
		"create /shop/a",
		"create /shop/data/d",
		"create /shop/b", "create /shop/sub/e",
		"delete /shop/old/y", "delete /shop/old/x", "delete group /shop/old",
	}
	if diff := cmp.Diff(want, brief(Compute(in))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOrderEndsWhereDependenciesGoRound(t *testing.T) {
	w := world{git: map[string]string{
		"/shop/a": simple("/shop/a", `, "dependencies": ["/shop/b"]`),
		"/shop/b": simple("/shop/b", `, "dependencies": ["/shop/a", "/shop"]`),
	}}
	if got := brief(Compute(w.input(t))); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestEmptiedGroups(t *testing.T) {
	base := func() world {
		return world{
			git:   map[string]string{"/shop/web": simple("/shop/web", "")},
			live:  map[string]string{"/shop/web": simple("/shop/web", ""), "/shop/a/b/x": simple("/shop/a/b/x", "")},
			owned: []string{"/shop/web", "/shop/a/b/x"}, policy: Policy{Prune: PruneOn},
			groups: map[string]*manifests.Group{"/": {}, "/shop": {}, "/shop/a": {}, "/shop/a/b": {}},
		}
	}
	cases := map[string]struct {
		change func(w *world)
		want   []string
	}{
		"nothing is left":         {func(w *world) {}, []string{"/shop/a/b", "/shop/a"}},
		"an app of somebody else": {func(w *world) { w.policy.Scope = "/"; w.live["/shop/a/y"] = simple("/shop/a/y", "") }, []string{"/shop/a/b"}},
		"a pod of somebody else":  {func(w *world) { w.policy.Scope = "/"; w.pods = map[string]string{"/shop/a/b/pod": onePod} }, nil},
		"an empty group beside":   {func(w *world) { w.groups["/shop/a/c"] = &manifests.Group{} }, []string{"/shop/a/b"}},
		"an app to come":          {func(w *world) { w.git["/shop/a/new"] = simple("/shop/a/new", "") }, []string{"/shop/a/b"}},
		"the delete is held back": {func(w *world) { w.policy.Prune = PruneConfirm }, nil},
		"somebody gave it a role": {func(w *world) { w.groups["/shop/a/b"].EnforceRole = new(true) }, nil},
		"the scope stays":         {func(w *world) { w.policy.Scope = "/shop/a" }, nil},
		"broken may come again": {func(w *world) {
			w.change = func(in *Input) { in.Desired.Broken = map[string]bool{"/shop/a/b/c": true} }
		}, nil},
		"the whole of Marathon":      {func(w *world) { w.policy.Scope = "/" }, []string{"/shop/a/b", "/shop/a"}},
		"Marathon has no such group": {func(w *world) { w.groups = nil }, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := base()
			c.change(&w)
			if w.policy.Scope == "/shop/a" { // git must describe something in it
				w.git["/shop/a/web"] = simple("/shop/a/web", "")
			}
			var got []string
			for _, c := range Compute(w.input(t)).Changes {
				if c.Kind == manifests.KindGroup {
					got = append(got, c.ID)
				}
			}
			if name == "the scope stays" {
				if slices.Contains(got, "/shop/a") {
					t.Error("the scope itself is deleted")
				}
				return
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("groups %v, want %v", got, c.want)
			}
		})
	}
}

// A group that was to go with what it held goes later, if the process ended
// between the two; not if it is filled again, or of another's making.
func TestGroupsThatWereEmptiedBefore(t *testing.T) {
	w := world{
		git:   map[string]string{"/shop/web": simple("/shop/web", "")},
		live:  map[string]string{"/shop/web": simple("/shop/web", ""), "/shop/a/b/x": simple("/shop/a/b/x", "")},
		owned: []string{"/shop/web", "/shop/a/b/x"}, policy: Policy{Prune: PruneConfirm, Approved: map[string]bool{"/shop/a/b/x": true}},
		groups: map[string]*manifests.Group{"/": {}, "/shop": {}, "/shop/a": {}, "/shop/a/b": {}, "/shop/other": {}},
	}
	before := Compute(w.input(t))
	delete(w.live, "/shop/a/b/x") // and then the process ended
	for name, c := range map[string]struct {
		change      func(w *world, in *Input)
		want, owned string
	}{
		"nothing is in it":       {func(*world, *Input) {}, "/shop/a/b /shop/a", "/shop/a /shop/a/b /shop/web"},
		"filled again":           {func(_ *world, in *Input) { in.Live.Apps["/shop/a/y"] = in.Live.Apps["/shop/web"] }, "/shop/a/b", "/shop/a/b /shop/web"},
		"gone":                   {func(_ *world, in *Input) { in.Live.Groups = nil }, "", "/shop/web"},
		"somebody's role":        {func(_ *world, in *Input) { in.Live.Groups["/shop/a/b"] = &manifests.Group{EnforceRole: new(true)} }, "", "/shop/web"},
		"a file is not read":     {func(_ *world, in *Input) { in.Desired.Unreadable = []string{"x.json"} }, "", "/shop/a /shop/a/b /shop/a/b/x /shop/web"},
		"inventory is not known": {func(_ *world, in *Input) { in.Inventory = nil }, "", "/shop/web"},
	} {
		t.Run(name, func(t *testing.T) {
			in := w.input(t)
			in.Live.Groups, in.Inventory = maps.Clone(in.Live.Groups), maps.Clone(before.Owned) // cases change them
			c.change(&w, &in)
			got := Compute(in)
			var groups []string
			for _, c := range got.Changes {
				groups = append(groups, c.ID)
			}
			if strings.Join(groups, " ") != c.want || strings.Join(sortedKeys(got.Owned), " ") != c.owned {
				t.Errorf("deletes %v, want %q; owns %v, want %q", groups, c.want, sortedKeys(got.Owned), c.owned)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	cases := map[string]struct {
		git  *manifests.Group
		live *manifests.Group
		want []manifests.FieldDiff // nil: no change
	}{
		"equal in another order": {&manifests.Group{Dependencies: []string{"/a", "/b"}}, &manifests.Group{Dependencies: []string{"/b", "/a"}}, nil},
		"nothing to say":         {&manifests.Group{}, nil, nil},
		"what git does not say":  {&manifests.Group{}, &manifests.Group{EnforceRole: new(true)}, nil},
		"a role":                 {&manifests.Group{EnforceRole: new(true)}, &manifests.Group{EnforceRole: new(false)}, []manifests.FieldDiff{{Path: "/enforceRole", Live: false, Desired: true}}},
		"no role, of a new one":  {&manifests.Group{EnforceRole: new(false)}, nil, nil},
		"a key removed in git":   {&manifests.Group{}, &manifests.Group{Dependencies: []string{"/a"}}, []manifests.FieldDiff{{Path: "/dependencies", Live: []string{"/a"}}}},
		"new":                    {&manifests.Group{Dependencies: []string{"/a"}}, nil, []manifests.FieldDiff{{Path: "/dependencies", Desired: []string{"/a"}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := world{policy: Policy{Scope: "/", Adopt: true}}.input(t)
			in.Desired.Items = []manifests.Item{{ID: "/g", Kind: manifests.KindGroup, File: "g.yaml", Group: c.git}}
			if c.live != nil {
				in.Live.Groups = map[string]*manifests.Group{"/g": c.live}
				in.Cluster.EnforceRole = map[string]bool{"/g": c.live.EnforceRole != nil && *c.live.EnforceRole}
			}
			p := Compute(in)
			var got []manifests.FieldDiff
			if len(p.Changes) > 0 {
				got = p.Changes[0].Fields
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetadataTouchesNoTaskAndSaysSo(t *testing.T) {
	live := simple("/shop/web", "")
	git := simple("/shop/web", `, "executorResources": {"cpus": 0.2, "mem": 32}`)
	in := world{git: map[string]string{"/shop/web": git}, live: map[string]string{"/shop/web": live}, owned: []string{"/shop/web"}}.input(t)
	p := Compute(in)
	if len(p.Changes) != 1 || p.Changes[0].Action != Update || p.Changes[0].Restart || !strings.Contains(p.Changes[0].Reason, "loses it on leader failover") {
		t.Errorf("got %+v", p.Changes)
	}
}

func TestReasons(t *testing.T) {
	fields := func(paths ...string) (all []manifests.FieldDiff) {
		for _, p := range paths {
			all = append(all, manifests.FieldDiff{Path: p})
		}
		return all
	}
	for _, c := range []struct {
		fields []manifests.FieldDiff
		want   string
	}{
		{fields("/cmd"), "cmd differs"},
		{fields("/env/A", "/env/B"), "env differs"},
		{fields("/cmd", "/env/A", "/labels/x"), "cmd, env and labels differ"},
		{fields("/a", "/b", "/c", "/d", "/e"), "a, b, c and 2 more differ"},
	} {
		if got := differ(c.fields); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	in := sampleInput(t)
	var first []byte
	for i := range 20 {
		var b bytes.Buffer
		for _, format := range Formats() {
			if err := Write(&b, Compute(in), format); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			first = bytes.Clone(b.Bytes())
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Fatalf("differs:\n%s", cmp.Diff(string(first), b.String()))
		}
	}
}
