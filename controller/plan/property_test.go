package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/manifests"
)

// recorded is one line of the recordings of a real Marathon.
type recorded struct {
	Name       string          `json:"name"`
	LiveBefore json.RawMessage `json:"liveBefore"`
	After      json.RawMessage `json:"after"`
	LiveAfter  json.RawMessage `json:"liveAfter"`
	Outcome    string          `json:"outcome"`
}

func recordings(t testing.TB, kind string) []recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "conformance", kind+"-transitions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// put plans what putting git over live leads to: none, scale, restart, metadata
// or rejected.
func put(t testing.TB, kind manifests.Kind, live, git json.RawMessage) string {
	in := Input{Policy: Policy{Scope: "/", Adopt: true}, Cluster: manifests.DefaultCluster(), Live: Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}}}
	item := manifests.Item{Kind: kind, File: "x.json", Line: 1}
	var violations []manifests.Violation
	switch kind {
	case manifests.KindApp:
		if item.App, violations = manifests.DecodeApp(tree(t, string(git))); item.App == nil {
			return "rejected"
		}
		violations = append(violations, manifests.ValidateApp(item.App, &in.Cluster)...)
		item.ID = item.App.ID
		in.Live.Apps[item.ID] = decodeInto[manifests.App](t, live)
	default:
		if item.Pod, violations = manifests.DecodePod(tree(t, string(git))); item.Pod == nil {
			return "rejected"
		}
		violations = append(violations, manifests.ValidatePod(item.Pod, &in.Cluster)...)
		item.ID = item.Pod.ID
		in.Live.Pods[item.ID] = decodeInto[manifests.Pod](t, live)
	}
	if slices.ContainsFunc(violations, func(v manifests.Violation) bool { return !v.Warning }) {
		return "rejected"
	}
	in.Desired.Items = []manifests.Item{item}
	p := Compute(in)
	switch {
	case len(p.Changes) == 0:
		return "none"
	case p.Changes[0].Blocked != nil:
		return "rejected"
	case p.Changes[0].Action == Scale:
		return "scale"
	case p.Changes[0].Restart:
		return "restart"
	}
	return "metadata"
}

// decodeInto reads what Marathon answers, of which it may say more than a
// definition has.
func decodeInto[T any](t testing.TB, b []byte) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

func TestRecordings(t *testing.T) {
	// Where Pacer differs on purpose, see testdata/conformance/README.md: an
	// unknown field is refused, tty: false counts as absent.
	onPurpose := map[string]string{"unknown-field": "rejected", "tty-false": "none"}
	for _, kind := range []manifests.Kind{manifests.KindApp, manifests.KindPod} {
		for _, r := range recordings(t, string(kind)) {
			want, after := r.Outcome, "none"
			if _, name, _ := strings.Cut(r.Name, "."); onPurpose[name] != "" {
				want = onPurpose[name]
			}
			if want == "rejected" {
				after = "rejected"
			}
			if got := put(t, kind, r.LiveBefore, r.After); got != want {
				t.Errorf("%s %s: planned %s, Marathon did %s", kind, r.Name, got, want)
			}
			if r.LiveAfter == nil || r.Outcome == "rejected" {
				continue
			}
			if got := put(t, kind, r.LiveAfter, r.After); got != after {
				t.Errorf("%s %s: planned %s once it is applied", kind, r.Name, got)
			}
		}
	}
}

// corpus holds apps in many forms: as people write them and as Marathon answers.
type corpus struct{ git, live []*manifests.App }

func newCorpus(t testing.TB) corpus {
	cluster := manifests.DefaultCluster()
	var c corpus
	for i, r := range recordings(t, "app") {
		a, violations := manifests.DecodeApp(tree(t, string(r.After)))
		if a != nil {
			violations = append(violations, manifests.ValidateApp(a, &cluster)...)
		}
		if a == nil || i%3 != 0 || slices.ContainsFunc(violations, func(v manifests.Violation) bool { return !v.Warning }) {
			continue
		}
		a.Dependencies = nil // they name apps that are not here
		c.git = append(c.git, a)
		live := decodeInto[manifests.App](t, r.LiveBefore)
		live.Dependencies = nil
		c.live = append(c.live, live)
	}
	return c
}

func withID(a *manifests.App, id string) *manifests.App {
	changed := *a
	changed.ID = id
	return &changed
}

var propertyIDs = []string{"/shop/a", "/shop/b", "/shop/c", "/shop/g/d", "/shop/g/h/e", "/shop/pod", "/shopping/f", "/other/i"}

// drawInput draws a Marathon, a repository, an inventory and a policy that have
// nothing to do with each other.
func drawInput(t *rapid.T, c corpus, live *manifests.Pod) Input {
	in := Input{
		Revision: "r2", Sync: "s", Cluster: manifests.DefaultCluster(),
		Live:    Live{Apps: map[string]*manifests.App{}, Pods: map[string]*manifests.Pod{}, Groups: map[string]*manifests.Group{"/": {}}},
		Failed:  map[string]Failure{},
		Desired: manifests.Desired{Broken: map[string]bool{}},
		Policy: Policy{
			Scope:      rapid.SampledFrom([]string{"/", "/shop", "/shop/g"}).Draw(t, "scope"),
			Prune:      rapid.SampledFrom([]Prune{PruneOff, PruneConfirm, PruneOn, PruneOn}).Draw(t, "prune"),
			Exclusive:  rapid.Bool().Draw(t, "exclusive"),
			Adopt:      rapid.Bool().Draw(t, "adopt"),
			MaxDeletes: MaxDeletes{Count: rapid.IntRange(0, 2).Draw(t, "count"), Percent: rapid.SampledFrom([]int{0, 20, 100}).Draw(t, "percent")},
			Instances:  rapid.SampledFrom([]Instances{{}, {Live: true}, {Min: 2, Max: 3}}).Draw(t, "instances"),
			Ignore:     rapid.SampledFrom([][]Ignore{nil, {{ID: "/shop/*", Paths: []string{"/env/A", "/labels", "/cmd"}}}}).Draw(t, "ignore"),
			Approved:   map[string]bool{}, ReportDrift: rapid.Bool().Draw(t, "drift"),
		},
	}
	in.StateLost = rapid.SampledFrom([]string{"", "", "lost"}).Draw(t, "state lost")
	if rapid.IntRange(0, 4).Draw(t, "known") > 0 {
		in.Inventory = map[string]Owned{}
	}
	if rapid.IntRange(0, 5).Draw(t, "unreadable") == 0 {
		in.Desired.Unreadable = []string{"bad.yaml"}
	}
	one := rapid.IntRange(0, len(c.git)-1)
	chance := func(label string, of int) bool { return rapid.IntRange(1, of).Draw(t, label) == 1 }
	for _, id := range propertyIDs {
		n := one.Draw(t, "app of "+id)
		if chance("in git "+id, 2) {
			in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: id, Kind: manifests.KindApp, File: id[1:] + ".json", Line: 1, App: withID(c.git[n], id)})
		}
		switch {
		case id == "/shop/pod" && chance("pod", 2):
			in.Live.Pods[id] = live
		case chance("live "+id, 2):
			in.Live.Apps[id] = withID(c.live[n], id)
		case chance("live other "+id, 2):
			in.Live.Apps[id] = withID(c.live[one.Draw(t, "other app of "+id)], id)
		}
		if in.Inventory != nil && chance("owned "+id, 2) {
			kind := rapid.SampledFrom([]manifests.Kind{manifests.KindApp, manifests.KindApp, manifests.KindPod}).Draw(t, "kind of "+id)
			in.Inventory[id] = Owned{Kind: kind, File: "f", Revision: rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "revision of "+id)}
		}
		in.Desired.Broken[id] = chance("broken "+id, 10)
		in.Policy.Approved[id] = chance("approved "+id, 4)
		for g := manifests.ParentID(id); g != "/"; g = manifests.ParentID(g) {
			in.Live.Groups[g] = &manifests.Group{ID: g}
		}
	}
	return in
}

// never checks what must hold for any plan.
func never(t *rapid.T, in Input, p Plan) {
	wanted := map[string]bool{}
	for _, item := range in.Desired.Items {
		if manifests.Within(item.ID, in.Policy.Scope) && !in.Desired.Broken[item.ID] {
			wanted[item.ID] = true
		}
	}
	for _, c := range p.Changes {
		owned, mine := in.Inventory[c.ID]
		exclusive := in.Policy.Exclusive && in.Policy.Prune != PruneOff && in.Policy.Scope != "/"
		switch {
		case c.Action == Delete && c.Kind != manifests.KindGroup && (!mine || owned.Kind != c.Kind) && (!exclusive || c.Blocked == nil && in.StateLost != ""):
			t.Fatalf("%s, which the sync has never applied, is to be deleted, blocked: %v", c.ID, c.Blocked)
		case !manifests.Within(c.ID, in.Policy.Scope):
			t.Fatalf("%s is outside of the scope %s", c.ID, in.Policy.Scope)
		case in.Desired.Broken[c.ID]:
			t.Fatalf("%s is broken and yet to be changed", c.ID)
		case c.Blocked != nil:
			continue
		case c.Action == Delete && (len(in.Desired.Unreadable) > 0 || in.Inventory == nil || len(wanted) == 0 || wanted[c.ID]):
			t.Fatalf("%s is deleted though it is not known that it may be", c.ID)
		case c.Action == Delete && in.Policy.Prune == PruneOff, c.Action == Delete && c.Kind != manifests.KindGroup && in.Policy.Prune == PruneConfirm && !in.Policy.Approved[c.ID]:
			t.Fatalf("%s is deleted though prune is %s", c.ID, in.Policy.Prune)
		case c.Action == Delete && c.Kind == manifests.KindGroup && !mine && !emptiedBy(p, c.ID):
			t.Fatalf("group %s is deleted though nothing in it is", c.ID)
		case (c.Action == Update || c.Action == Scale) && !mine && !in.Policy.Adopt && !in.Policy.Approved[c.ID]:
			t.Fatalf("%s is changed and is not ours", c.ID)
		case c.Action == Scale && c.Restart:
			t.Fatalf("%s is scaled by replacing tasks", c.ID)
		}
	}
}

// emptiedBy reports whether a plan deletes something in a group.
func emptiedBy(p Plan, group string) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		return c.Action == Delete && c.Blocked == nil && c.Kind != manifests.KindGroup && manifests.Within(c.ID, group)
	})
}

// carryOut does to live what Marathon would do.
func carryOut(t *rapid.T, in Input, p Plan) Input {
	in.Live.Apps, in.Live.Pods, in.Live.Groups = maps.Clone(in.Live.Apps), maps.Clone(in.Live.Pods), maps.Clone(in.Live.Groups)
	in.Inventory = maps.Clone(p.Owned)
	for _, c := range p.Changes {
		switch {
		case c.Blocked != nil:
		case c.Action != Delete:
			in.Live.Apps[c.ID] = c.App
			in.Inventory[c.ID] = Owned{Kind: c.Kind, File: c.File, Revision: p.Revision, Hash: c.Hash}
		case c.Kind == manifests.KindGroup:
			for _, id := range slices.Concat(sortedKeys(in.Live.Apps), sortedKeys(in.Live.Pods)) {
				if manifests.Within(id, c.ID) {
					t.Fatalf("group %s is deleted with %s in it", c.ID, id)
				}
			}
			delete(in.Live.Groups, c.ID)
		default:
			delete(in.Live.Apps, c.ID)
			delete(in.Live.Pods, c.ID)
			delete(in.Inventory, c.ID)
		}
	}
	return in
}

func TestWhatNeverHappensAndWhereItEnds(t *testing.T) {
	c, live := newCorpus(t), pod(t, onePod)
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, c, live)
		for range 6 {
			before := fingerprint(in)
			p := Compute(in)
			if fingerprint(in) != before {
				t.Fatal("planning changes its input")
			}
			never(t, in, p)
			if p.Pending() == 0 {
				return
			}
			in = carryOut(t, in, p)
		}
		t.Fatalf("still changing after six rounds: %v", brief(Compute(in)))
	})
}

func fingerprint(in Input) string {
	b, err := json.Marshal(in)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Where nothing holds anything back, one round makes live what git wants.
func TestOneApplyLeavesNothingToDo(t *testing.T) {
	c, live := newCorpus(t), pod(t, onePod)
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, c, live)
		in.Desired.Unreadable, in.Desired.Broken, in.StateLost = nil, nil, ""
		in.Policy.Adopt, in.Policy.Prune, in.Policy.ReportDrift, in.Policy.MaxDeletes = true, PruneOn, false, MaxDeletes{}
		if in.Inventory == nil {
			in.Inventory = map[string]Owned{}
		}
		for _, id := range propertyIDs {
			in.Policy.Approved[id] = true
		}
		in = carryOut(t, in, Compute(in))
		for _, change := range Compute(in).Changes {
			if change.Blocked == nil || !strings.HasPrefix(*change.Blocked, "Marathon would refuse") && !strings.Contains(*change.Blocked, "empty source") {
				t.Fatalf("left over: %v", brief(Compute(in)))
			}
		}
	})
}

func TestThePlanOfEqualIsEmpty(t *testing.T) {
	c := newCorpus(t)
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, c, nil)
		in.Live.Apps, in.Live.Pods, in.Inventory = map[string]*manifests.App{}, nil, map[string]Owned{}
		in.Policy.Instances = rapid.SampledFrom([]Instances{{}, {Live: true}}).Draw(t, "instances, unbounded")
		for _, item := range in.Desired.Items {
			in.Live.Apps[item.ID] = manifests.NormaliseApp(item.App, nil, &in.Cluster)
		}
		if p := Compute(in); len(p.Changes) > 0 {
			t.Fatalf("%v", brief(p))
		}
	})
}

// benchmarkInput is n apps that are the same in git and Marathon.
func benchmarkInput(b testing.TB, n int) Input {
	in := Input{Revision: "r", Policy: Policy{Scope: "/", Prune: PruneOn}, Cluster: manifests.DefaultCluster(), Live: Live{Apps: map[string]*manifests.App{}}, Inventory: map[string]Owned{}}
	for i := range n {
		id := fmt.Sprintf("/shop/team-%02d/app-%05d", i%50, i)
		git := app(b, fmt.Sprintf(`{"id": %q, "cmd": "./serve --port $PORT0", "cpus": 0.1, "mem": 64, "instances": 2, "env": {"MODE": "prod", "ZONE": "a"}, "labels": {"owner": "team"},
			"container": {"type": "DOCKER", "docker": {"image": "example/app:1.2.3"}, "portMappings": [{"containerPort": 8080, "hostPort": 0}]}, "networks": [{"mode": "container/bridge"}],
			"healthChecks": [{"protocol": "MESOS_HTTP", "path": "/health", "portIndex": 0}]}`, id))
		live := *manifests.NormaliseApp(git, nil, &in.Cluster)
		mapping := live.Container.PortMappings[0]
		mapping.ServicePort = new(10000 + i)
		container := *live.Container
		container.PortMappings = []manifests.PortMapping{mapping}
		live.Container = &container
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: id, Kind: manifests.KindApp, File: "apps.yaml", Line: 1, App: git})
		in.Live.Apps[id] = &live
		in.Inventory[id] = Owned{Kind: manifests.KindApp, File: "apps.yaml", Revision: "r", Hash: "h"}
	}
	return in
}

// Goal: 10,000 apps without a change under 100 ms and 64 MB.
func BenchmarkComputeUnchanged(b *testing.B) {
	in := benchmarkInput(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if p := Compute(in); len(p.Changes) > 0 || p.Summary.None != 10_000 {
			b.Fatalf("%v", brief(p)[:5])
		}
	}
}

// What was compared before is known.
func BenchmarkComputeKnown(b *testing.B) {
	in := benchmarkInput(b, 10_000)
	first := Compute(in)
	in.Inventory, in.Known = first.Owned, first.Known
	b.ReportAllocs()
	for b.Loop() {
		if p := Compute(in); len(p.Changes) > 0 || p.Summary.None != 10_000 {
			b.Fatalf("%v", brief(p)[:5])
		}
	}
}

// All of 10,000 apps are new.
func BenchmarkComputeNew(b *testing.B) {
	in := benchmarkInput(b, 10_000)
	in.Live.Apps = nil
	b.ReportAllocs()
	for b.Loop() {
		if p := Compute(in); p.Summary.Create != 10_000 {
			b.Fatal(p.Summary)
		}
	}
}
