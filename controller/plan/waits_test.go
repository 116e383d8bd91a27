package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/manifests"
)

// TestWhatWaitsForABlockedChangeIsBlocked: a plan says of each change whether it would
// be carried out, also where another one keeps it from that.
func TestWhatWaitsForABlockedChangeIsBlocked(t *testing.T) {
	on := func(id, dependency string) string { return simple(id, `, "dependencies": ["`+dependency+`"]`) }
	other := `"labels": {"git": "differs"}`
	groups := map[string]*manifests.Group{"/shop/in": {Dependencies: []string{"/shop/web"}}}
	for name, test := range map[string]struct {
		world
		pods map[string]string // of git
		want []string
	}{
		"on what is not to be adopted, and on that": {world{
			git:   map[string]string{"/shop/db": simple("/shop/db", ", "+other), "/shop/web": on("/shop/web", "/shop/db"), "/shop/next": on("/shop/next", "/shop/web"), "/shop/free": simple("/shop/free", "")},
			live:  map[string]string{"/shop/db": simple("/shop/db", "")},
			owned: []string{},
		}, nil, []string{
			"update (restart) /shop/db blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true",
			"create /shop/free",
			"create /shop/web blocked: it depends on /shop/db, which is blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true",
			"create /shop/next blocked: it depends on /shop/web, which is blocked, too",
		}},
		"a pod by its group, and an app by that pod": {world{
			git:    map[string]string{"/shop/db": simple("/shop/db", ", "+other), "/shop/web": on("/shop/web", "/shop/db"), "/shop/last": on("/shop/last", "/shop/in")},
			live:   map[string]string{"/shop/db": simple("/shop/db", "")},
			owned:  []string{},
			groups: groups,
		}, map[string]string{"/shop/in/pod": strings.Replace(onePod, "/shop/pod", "/shop/in/pod", 1)}, []string{
			"update (restart) /shop/db blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true",
			"create pod /shop/in/pod blocked: it depends on /shop/web, which is blocked, too",
			"create /shop/last blocked: it depends on /shop/in/pod, which is blocked, too",
			"create /shop/web blocked: it depends on /shop/db, which is blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true",
		}},
		"a pod that waits for itself": {world{
			git:    map[string]string{"/shop/web": on("/shop/web", "/shop/in/pod")},
			owned:  []string{},
			groups: groups,
		}, map[string]string{"/shop/in/pod": strings.Replace(onePod, "/shop/pod", "/shop/in/pod", 1)}, []string{
			"create pod /shop/in/pod blocked: dependency cycle: /shop/in/pod -> /shop/web -> /shop/in/pod: remove one of these dependencies, which may be on a group, or of one",
			"create /shop/web blocked: dependency cycle: /shop/in/pod -> /shop/web -> /shop/in/pod: remove one of these dependencies, which may be on a group, or of one",
		}},
		"what was changed by hand goes ahead": {world{
			git:    map[string]string{"/shop/db": simple("/shop/db", ", "+other), "/shop/web": on("/shop/web", "/shop/db")},
			live:   map[string]string{"/shop/db": simple("/shop/db", ""), "/shop/web": simple("/shop/web", ", "+other)},
			owned:  []string{"/shop/web"},
			change: func(in *Input) { applied(in, "/shop/web") },
		}, nil, []string{
			"update (restart) /shop/db blocked: Marathon has this app already, and this sync did not create it: run pacer approve, or set adopt: true",
			"update (restart) /shop/web",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			in := test.input(t)
			for id, text := range test.pods {
				in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: id, Kind: manifests.KindPod, File: "p.yaml", Line: 1, Pod: pod(t, text)})
			}
			got := brief(Compute(in))
			if diff := cmp.Diff(sorted(test.want), sorted(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func sorted(lines []string) []string {
	m := map[string]bool{}
	for _, l := range lines {
		m[l] = true
	}
	return sortedKeys(m)
}

// applied makes git's definition of an id the one that was applied last: what differs
// from it is drift.
func applied(in *Input, id string) {
	for i := range in.Desired.Items {
		if item := &in.Desired.Items[i]; item.ID == id {
			in.Inventory[id] = Owned{Kind: item.Kind, Revision: in.Revision, Hash: newWork(*in).hash(item)}
		}
	}
}

// TestPodsOfAGroupWaitForWhatFailed: as apps do.
func TestPodsOfAGroupWaitForWhatFailed(t *testing.T) {
	in := world{git: map[string]string{"/shop/db": simple("/shop/db", "")}, live: map[string]string{"/shop/db": simple("/shop/db", "")},
		groups: map[string]*manifests.Group{"/shop/in": {Dependencies: []string{"/shop/db"}}}}.input(t)
	in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: "/shop/in/pod", Kind: manifests.KindPod, File: "p.yaml", Line: 1, Pod: pod(t, strings.Replace(onePod, "/shop/pod", "/shop/in/pod", 1))})
	in.Failed = map[string]Failure{"/shop/db": {Hash: newWork(in).hash(&in.Desired.Items[0]), Reason: "exit code 127"}}
	want := []string{"create pod /shop/in/pod blocked: it depends on /shop/db, which failed: exit code 127: fix that first"}
	if diff := cmp.Diff(want, brief(Compute(in))); diff != "" {
		t.Error(diff)
	}
}
