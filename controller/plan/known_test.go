package plan

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/manifests"
)

// bare is all that a plan says, in one form, without what is only for the next.
func bare(t interface{ Fatal(...any) }, p Plan) []byte {
	p.Known = Known{}
	type full struct {
		Plan
		Owned   map[string]Owned
		Adopted []string
		Held    map[string]int
		Sent    []any
	}
	f := full{Plan: p, Owned: p.Owned, Adopted: p.Adopted, Held: p.Held}
	for _, c := range p.Changes {
		f.Sent = append(f.Sent, c.App, c.Pod, c.Group, c.Kept, c.Hash, c.Approvable)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// disturb changes something that a plan depends on.
func disturb(t *rapid.T, in Input, c corpus, live *manifests.Pod) Input {
	fresh := drawInput(t, c, live)
	one := rapid.SampledFrom(propertyIDs).Draw(t, "id")
	switch rapid.SampledFrom([]string{"nothing", "all", "app", "git", "gone", "policy", "ignore", "instances", "role", "failed", "inventory"}).Draw(t, "disturbance") {
	case "all":
		fresh.Known, in = in.Known, fresh
	case "app":
		in.Live.Apps = maps.Clone(in.Live.Apps)
		in.Live.Apps[one] = withID(c.live[rapid.IntRange(0, len(c.live)-1).Draw(t, "live")], one)
	case "git":
		in.Desired.Items = slices.Clone(in.Desired.Items)
		for i := range in.Desired.Items {
			if in.Desired.Items[i].ID == one {
				in.Desired.Items[i].App = withID(c.git[rapid.IntRange(0, len(c.git)-1).Draw(t, "git")], one)
			}
		}
	case "gone":
		in.Live.Apps = maps.Clone(in.Live.Apps)
		delete(in.Live.Apps, one)
	case "policy":
		instances, ignore := in.Policy.Instances, in.Policy.Ignore
		in.Policy = fresh.Policy
		in.Policy.Instances, in.Policy.Ignore = instances, ignore
	case "ignore":
		in.Policy.Ignore = fresh.Policy.Ignore
	case "instances":
		in.Policy.Instances = fresh.Policy.Instances
	case "role":
		in.Cluster.MesosRole = rapid.SampledFrom([]string{"*", "other"}).Draw(t, "role")
	case "failed":
		hash := "other"
		for _, item := range in.Desired.Items {
			if item.ID == one {
				hash = manifests.HashApp(manifests.NormaliseApp(item.App, nil, &in.Cluster))
			}
		}
		in.Policy.Revert = true
		in.Failed = map[string]Failure{one: {Hash: hash, Reason: "it does not come up"}}
		in.Healthy = map[string]Healthy{one: {App: withID(c.live[0], one)}}
	case "inventory":
		in.Inventory = fresh.Inventory
	}
	return in
}

// What is known from plans before changes no plan, whatever happens between.
func TestWhatIsKnownChangesNoPlan(t *testing.T) {
	c, live := newCorpus(t), pod(t, onePod)
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, c, live)
		for range rapid.IntRange(2, 6).Draw(t, "rounds") {
			ignorant := in
			ignorant.Known = Known{}
			with, without := Compute(in), Compute(ignorant)
			if !bytes.Equal(bare(t, with), bare(t, without)) {
				t.Fatalf("with what is known:\n%s\nwithout:\n%s", bare(t, with), bare(t, without))
			}
			used += len(in.Known.pairs)
			if rapid.Bool().Draw(t, "carry out") {
				in = carryOut(t, in, with)
			}
			in.Known = with.Known
			in = disturb(t, in, c, live)
		}
	})
	if used == 0 {
		t.Error("nothing was ever known: the test shows nothing")
	}
}

// A plan in which nothing has changed compares nothing: its cost for each app
// is that of some maps.
func TestWhatIsKnownIsNotComparedAgain(t *testing.T) {
	in := benchmarkInput(t, 2000)
	first := Compute(in)
	in.Inventory, in.Known = first.Owned, first.Known
	if n := testing.AllocsPerRun(3, func() { Compute(in) }); n > 200 {
		t.Errorf("%.0f allocations for 2,000 apps that did not change", n)
	}
	one := *in.Live.Apps[in.Desired.Items[0].ID]
	one.Instances = new(7)
	in.Live.Apps = maps.Clone(in.Live.Apps)
	in.Live.Apps[one.ID] = &one
	if p := Compute(in); len(p.Changes) != 1 || p.Changes[0].Action != Scale {
		t.Errorf("one that changed: %v", brief(p))
	}
	if n := testing.AllocsPerRun(3, func() { Compute(in) }); n > 400 {
		t.Errorf("%.0f allocations for 2,000 apps of which one changed", n)
	}
}
