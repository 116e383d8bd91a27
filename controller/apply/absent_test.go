package apply_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// hidden is a Marathon behind a liar.
type hidden struct {
	*localtest.Server
	client *marathon.Client
}

func newHidden(t testing.TB, liar *localtest.Liar) *hidden {
	h := &hidden{Server: localtest.New(t, localtest.Options{Wrap: liar.Wrap})}
	h.client = newClient(t, h.URL)
	return h
}

func newClient(t testing.TB, urls ...string) *marathon.Client {
	t.Helper()
	c, err := marathon.New(marathon.Options{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// planned is a plan of the first n apps, one instance each, on what the liar shows.
func (h *hidden) planned(t testing.TB, n int, policy plan.Policy) plan.Plan {
	t.Helper()
	state, err := h.client.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	policy.Scope, policy.Adopt = "/", true
	in := plan.Input{Cluster: state.Cluster, Policy: policy, Inventory: map[string]plan.Owned{}, Live: plan.Live{Groups: state.Groups, Apps: map[string]*manifests.App{}}}
	for id, a := range state.Apps {
		in.Live.Apps[id] = a.Definition
	}
	for i := range n {
		a := localtest.App(i, 1)
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: a.ID, Kind: manifests.KindApp, File: a.ID, App: a})
	}
	return plan.Compute(in)
}

// An array replaces what is there, so nothing goes in one by a list that lacks
// what Marathon has: neither all of it, nor half, nor one.
func TestAListThatLacksAppsReplacesNone(t *testing.T) {
	const apps, scaled = 30, 3
	all := func(string) bool { return true }
	half := func(id string) bool { return id[len(id)-1]%2 == 0 }
	for name, test := range map[string]struct {
		hide  func(string) bool
		trees bool // lack the same
		more  int  // apps that are really new
	}{
		"all":                             {all, false, 0},
		"half":                            {half, false, 0},
		"one of many new ones":            {func(id string) bool { return id == localtest.App(7, 1).ID }, false, 30},
		"all, and the tree agrees":        {all, true, 0},
		"half, and the tree agrees":       {half, true, 0},
		"twelve, of which each is read":   {func(id string) bool { return id >= "/g18" }, true, 0},
		"half, the tree agrees, some new": {half, true, 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			liar := &localtest.Liar{Trees: test.trees}
			h := newHidden(t, liar)
			h.Fill(t, apps, scaled) // an autoscaler made them so many
			liar.Hide(test.hide)
			p := h.planned(t, apps+test.more, plan.Policy{})
			creates := plan.Plan{Revision: "r1"}
			for _, c := range p.Changes {
				if c.Action == plan.Create {
					creates.Changes = append(creates.Changes, c)
				}
			}
			if len(creates.Changes) < 12 {
				t.Fatalf("%d apps are to be created: the test shows nothing", len(creates.Changes))
			}
			h.Forget()
			ctx, cancel := context.WithCancelCause(t.Context())
			outcomes := apply.New(h.client, apply.Options{}).Apply(ctx, creates, apply.Request{Progress: func(o apply.Outcome) {
				if strings.Contains(o.Reason, "lacks") {
					cancel(context.Canceled) // it would be tried for half a minute
				}
			}})
			for id, n := range h.Instances() {
				if n != scaled {
					t.Errorf("%s has %d instances: it was replaced", id, n)
				}
			}
			if n := h.Requests()["PUT /v2/apps"]; n > 0 {
				t.Errorf("%d arrays were sent", n)
			}
			for _, o := range outcomes {
				if o.Result == apply.Applied {
					t.Errorf("%s is said to be applied", o.ID)
				}
			}
		})
	}
}

// What a sync leaves to others is created alone, since a POST replaces nothing;
// what is git's goes in one array, and is not read app by app.
func TestOnlyWhatIsGitsGoesInArrays(t *testing.T) {
	const apps = 60
	for name, test := range map[string]struct {
		policy      plan.Policy
		posts, puts int
	}{
		"all is git's":          {plan.Policy{}, 0, 1},
		"an autoscaler counts":  {plan.Policy{Instances: plan.Instances{Live: true}}, apps, 0},
		"within bounds":         {plan.Policy{Instances: plan.Instances{Min: 1, Max: 5}}, apps, 0},
		"somebody sets a label": {plan.Policy{Ignore: []plan.Ignore{{ID: "/g0[0-4]/*", Paths: []string{"/labels/team"}}}}, 5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHidden(t, &localtest.Liar{})
			p := h.planned(t, apps, test.policy)
			h.Forget()
			outcomes := apply.New(h.client, apply.Options{Settle: -1}).Apply(t.Context(), p, apply.Request{})
			for _, o := range outcomes {
				if o.Result != apply.Applied {
					t.Errorf("%s is %s: %s", o.ID, o.Result, o.Reason)
				}
			}
			asked := h.Requests()
			if asked["POST /v2/apps"] != test.posts || asked["PUT /v2/apps"] != test.puts {
				t.Errorf("%d apps were sent alone and %d arrays, want %d and %d", asked["POST /v2/apps"], asked["PUT /v2/apps"], test.posts, test.puts)
			}
			if test.posts == 0 && asked["GET /v2/apps/ID"] > 20 {
				t.Errorf("%d apps were read alone, want at most 20", asked["GET /v2/apps/ID"])
			}
			if n := len(h.Instances()); n != apps {
				t.Errorf("there are %d apps, want %d", n, apps)
			}
		})
	}
}

// What a list lacks for a moment is created once it is whole, if it is new.
func TestAWholeListIsActedOn(t *testing.T) {
	t.Parallel()
	liar := &localtest.Liar{}
	h := newHidden(t, liar)
	h.Fill(t, 15, 3)
	liar.Hide(func(string) bool { return true })
	p := h.planned(t, 30, plan.Policy{})
	h.Hear(func(r *http.Request) {
		if r.URL.Path == "/v2/groups" { // after the first doubt
			liar.Hide(nil)
		}
	})
	outcomes := apply.New(h.client, apply.Options{Settle: -1}).Apply(t.Context(), p, apply.Request{})
	results := map[apply.Result]int{}
	for _, o := range outcomes {
		results[o.Result]++
	}
	if want := map[apply.Result]int{apply.Applied: 15, apply.Blocked: 15}; !maps.Equal(results, want) {
		t.Errorf("results %v, want %v: what is there differs and is planned again", results, want)
	}
	for id, n := range h.Instances() {
		if old := id <= localtest.App(14, 1).ID; old != (n == 3) {
			t.Errorf("%s has %d instances", id, n)
		}
	}
}

// A group that the tree lacks keeps what others gave it.
func TestANewGroupReplacesNoneThatIsThere(t *testing.T) {
	t.Parallel()
	h := newHidden(t, &localtest.Liar{})
	theirs := &manifests.Group{ID: "/shop", Dependencies: []string{"/db"}}
	if _, err := h.client.CreateGroup(t.Context(), theirs, false); err != nil {
		t.Fatal(err)
	}
	p := plan.Plan{Changes: []plan.Change{
		{ID: "/shop", Kind: manifests.KindGroup, Action: plan.Create, Group: &manifests.Group{ID: "/shop", Dependencies: []string{}}},
		{ID: "/new", Kind: manifests.KindGroup, Action: plan.Create, Group: &manifests.Group{ID: "/new", Dependencies: []string{"/shop"}}},
	}}
	outcomes := apply.New(h.client, apply.Options{Settle: -1}).Apply(t.Context(), p, apply.Request{})
	var results []string
	for _, o := range outcomes {
		results = append(results, fmt.Sprint(o.ID, " ", o.Result))
	}
	if want := []string{"/shop blocked", "/new applied"}; !slices.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
	state, err := h.client.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"/shop": "/db", "/new": "/shop"} {
		if g := state.Groups[id]; g == nil || !slices.Equal(g.Dependencies, []string{want}) {
			t.Errorf("group %s is %+v, want a dependency on %s", id, g, want)
		}
	}
}
