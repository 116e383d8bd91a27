package plan

import (
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

// What stands in the place of a definition that failed.
func TestLastHealthyDefinitionIsPutBack(t *testing.T) {
	bad, good := simple("/shop/web", `, "user": "bad"`), simple("/shop/web", `, "user": "good"`)
	healthy := Healthy{App: app(t, good), Revision: "r1", Hash: "h1"}
	failed := func(f Failure) func(*Input, string) {
		return func(in *Input, hash string) {
			f.Hash = hash
			in.Failed = map[string]Failure{"/shop/web": f}
		}
	}
	cases := map[string]struct {
		live    string
		policy  Policy
		healthy map[string]Healthy
		failed  func(in *Input, hash string)
		want    string // action, user that is sent, and what holds it back
		reason  string
	}{
		"failed":                     {bad, Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Reason: "exit code 1"}), "revert good", "git's definition failed (exit code 1), reverting to the last healthy definition: user differs"},
		"policy is report":           {bad, Policy{}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Reason: "exit code 1"}), "", ""},
		"nothing ran well before":    {bad, Policy{Revert: true}, nil, failed(Failure{Reason: "exit code 1"}), "", ""},
		"did not fail":               {bad, Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, func(*Input, string) {}, "", ""},
		"is back":                    {good, Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Reason: "exit code 1", Restored: true}), "update bad blocked: this definition failed: exit code 1; reverted to the last healthy definition: it is not retried until the definition changes", ""},
		"that failed as well":        {bad, Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Reason: "exit code 1", Unrestored: "exit code 2"}), "", ""},
		"is back, and somebody":      {simple("/shop/web", `, "user": "hand"`), Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Restored: true}), "revert good", ""},
		"the same, only reported":    {simple("/shop/web", `, "user": "hand"`), Policy{Revert: true, ReportDrift: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{Restored: true}), "revert good blocked: drift is only reported: run pacer approve to heal it, or set drift: heal", ""},
		"git has another since":      {bad, Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, func(in *Input, _ string) { failed(Failure{})(in, "other") }, "", ""},
		"an autoscaler's count":      {simple("/shop/web", `, "user": "bad", "instances": 7`), Policy{Revert: true, Instances: Instances{Live: true}}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{}), "revert good 7", ""},
		"the count alone was at bad": {simple("/shop/web", `, "user": "good", "instances": 7`), Policy{Revert: true}, map[string]Healthy{"/shop/web": healthy}, failed(Failure{}), "revert good", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := world{git: map[string]string{"/shop/web": bad}, live: map[string]string{"/shop/web": c.live}, owned: []string{"/shop/web"}, policy: c.policy}
			in := w.input(t)
			in.Healthy = c.healthy
			c.failed(&in, manifests.HashApp(manifests.NormaliseApp(in.Desired.Items[0].App, nil, &in.Cluster)))
			var got, reason string
			for _, change := range Compute(in).Changes {
				got, reason = string(change.Action), change.Reason
				if change.Revert {
					got = "revert"
					if change.Hash != healthy.Hash {
						t.Errorf("hash %q: the inventory would hold git's", change.Hash)
					}
				}
				got += " " + *change.App.User
				if *change.App.Instances != 1 {
					got += " 7"
				}
				if change.Blocked != nil {
					got += " blocked: " + *change.Blocked
				}
			}
			if got != c.want || c.reason != "" && reason != c.reason {
				t.Errorf("got %q because %q\nwant %q because %q", got, reason, c.want, c.reason)
			}
		})
	}
}

func TestLastHealthyPodIsPutBack(t *testing.T) {
	bad := strings.Replace(onePod, "sleep 100", "exit 1", 1)
	in := world{pods: map[string]string{"/shop/pod": bad}, owned: []string{"/shop/pod"}, policy: Policy{Revert: true}}.input(t)
	in.Desired.Items = []manifests.Item{{ID: "/shop/pod", Kind: manifests.KindPod, File: "pod.yaml", Pod: pod(t, bad)}}
	in.Healthy = map[string]Healthy{"/shop/pod": {Pod: pod(t, onePod)}}
	in.Failed = map[string]Failure{"/shop/pod": {Hash: manifests.HashPod(manifests.NormalisePod(in.Desired.Items[0].Pod, nil, &in.Cluster))}}
	p := Compute(in)
	if len(p.Changes) != 1 || !p.Changes[0].Revert || *p.Changes[0].Pod.Containers[0].Exec.Command.Shell != "sleep 100" {
		t.Errorf("%+v", p.Changes)
	}
}

// Too many deletes stay too many while some of them are approved and done.
func TestTheRestOfTooManyDeletesIsNotLetThrough(t *testing.T) {
	live, owned := map[string]string{"/shop/cart": simple("/shop/cart", "")}, []string{"/shop/cart"}
	for _, id := range []string{"/shop/x0", "/shop/x1", "/shop/x2"} {
		live[id], owned = simple(id, ""), append(owned, id)
	}
	w := world{git: map[string]string{"/shop/cart": live["/shop/cart"]}, live: live, owned: owned, policy: Policy{Prune: PruneOn, MaxDeletes: MaxDeletes{Count: 2}}}
	var held map[string]int
	step := func(what string, change func(*Input), pending int) {
		t.Helper()
		in := w.input(t)
		in.Held = held
		change(&in)
		p := Compute(in)
		if p.Pending() != pending {
			t.Errorf("%s: %v, want %d to be carried out", what, brief(p), pending)
		}
		held = p.Held
	}
	nothing := func(*Input) {}
	step("three of two", nothing, 0)
	step("one is approved", func(in *Input) { in.Policy.Approved = map[string]bool{"/shop/x0": true} }, 1)
	delete(w.live, "/shop/x0")
	step("it is done: the other two were never let through", nothing, 0)
	step("at another revision too", func(in *Input) { in.Revision = "r3" }, 0)
	step("after a file could not be read", func(in *Input) { in.Desired.Unreadable = []string{"x.yaml"} }, 0)
	step("and after what is above them was broken", func(in *Input) { in.Desired.Broken = map[string]bool{"/shop": true} }, 0)
	step("the file is mended", nothing, 0)
	step("one more is approved", func(in *Input) { in.Policy.Approved = map[string]bool{"/shop/x1": true} }, 1)
	step("the bound is raised", func(in *Input) { in.Policy.MaxDeletes.Count = 3 }, 2)
	step("and lowered again", nothing, 0)
	w.git["/shop/x1"], w.git["/shop/x2"] = w.live["/shop/x1"], w.live["/shop/x2"]
	step("they stand in git again", nothing, 0)
	delete(w.git, "/shop/x1")
	step("and one goes alone", nothing, 1)
}
