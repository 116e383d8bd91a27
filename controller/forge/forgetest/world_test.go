package forgetest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

func newWorld(t *testing.T) *World {
	repo := gittest.New(t)
	repo.Commit("Begin", map[string]string{"shop.json": "{\n  \"id\": \"/shop\"\n}\n", "other.json": "{}\n"})
	w := NewWorld(t, repo, "acme", "apps")
	w.HeadRef, w.MergeRef = "refs/pull/%d/head", "refs/pull/%d/merge"
	return w
}

func (w *World) ref(name string) string { return w.must("rev-parse", name) }

func TestAPullRequestFollowsItsBranches(t *testing.T) {
	w := newWorld(t)
	begin := w.Repo.Head()
	n := w.Open(Opening{Files: map[string]string{"shop.json": "{}\n"}, Labels: []string{"a"}})
	p := w.Pull(n)
	if p.Number != 1 || p.State != "open" || p.Base != "main" || p.BaseCommit != begin || p.MergeBase != begin || p.Conflicts || p.HeadCommit == begin {
		t.Errorf("opened: %+v", p)
	}
	if got := w.ref("refs/heads/" + p.Head); got != p.HeadCommit || w.ref("refs/pull/1/head") != got {
		t.Errorf("the head's refs are at %s, expected %s", got, p.HeadCommit)
	}
	if parents := w.ref("refs/pull/1/merge^@"); parents != begin+"\n"+p.HeadCommit {
		t.Errorf("the merge's parents are %s", parents)
	}

	main := w.Repo.Commit("Another", map[string]string{"third.json": "{}\n"})
	if p := w.Pull(n); p.BaseCommit != main || p.MergeBase != begin || !strings.HasPrefix(w.ref("refs/pull/1/merge^@"), main) {
		t.Errorf("after a commit to the base: %+v", p)
	}
	head := w.Push(n, "More", map[string]string{"more.json": "{}\n"})
	if after := w.Pull(n); after.HeadCommit != head || !after.Updated.After(p.Updated) || w.ref(head+"^") != p.HeadCommit || !strings.HasSuffix(w.ref("refs/pull/1/merge^@"), head) {
		t.Errorf("after a push: %+v", after)
	}
	if head = w.ForcePush(n, "Anew", map[string]string{"more.json": "{}\n"}); w.ref(head+"^") != main || w.Pull(n).MergeBase != main {
		t.Error("a force-pushed head is not on the base's tip")
	}
	w.Repo.Commit("Conflict", map[string]string{"more.json": "[]\n"})
	if p := w.Pull(n); !p.Conflicts || p.MergeCommit != "" || !strings.HasPrefix(w.ref("refs/pull/1/merge^@"), main) {
		t.Errorf("with conflicts: %+v", p)
	}
}

func TestAPullRequestEnds(t *testing.T) {
	w := newWorld(t)
	open := func() int {
		return w.Open(Opening{Files: map[string]string{"new-" + w.Now().Format("05.000") + ".json": "{}\n"}})
	}
	merged, squashed, pushed, closed := open(), open(), open(), open()
	at := w.Merge(merged)
	if p := w.Pull(merged); p.State != "merged" || p.MergedAs != at || w.ref("main") != at || w.ref(at+"^2") != p.HeadCommit || p.MergedAt.IsZero() {
		t.Errorf("merged: %+v", p)
	}
	at = w.Squash(squashed)
	if p := w.Pull(squashed); p.State != "merged" || p.MergedAs != at || w.ref("main") != at || strings.Contains(w.ref(at+"^@"), "\n") {
		t.Errorf("squashed: %+v", p)
	}
	w.Repo.Git("pull", "--quiet", "origin", "main")
	w.Repo.Git("fetch", "--quiet", "origin", "refs/pull/3/head:third")
	at = w.Repo.Merge("third")
	w.Repo.Commit("Later", nil)
	if p := w.Pull(pushed); p.State != "merged" || p.MergedAs != at {
		t.Errorf("merged by a push of %s: %+v", at, p)
	}
	w.Close(closed)
	head := w.Pull(closed).HeadCommit
	w.Repo.Commit("Still later", nil)
	if p := w.Pull(closed); p.State != "closed" || p.HeadCommit != head || !p.MergedAt.IsZero() {
		t.Errorf("closed: %+v", p)
	}
	w.Reopen(closed)
	if p := w.Pull(closed); p.State != "open" || p.BaseCommit != w.ref("main") {
		t.Errorf("reopened: %+v", p)
	}
}

func TestAForksBranchIsNotInTheRepository(t *testing.T) {
	w := newWorld(t)
	n := w.Open(Opening{Fork: "mallory", Author: "mallory", Head: "main", Files: map[string]string{"shop.json": "[]\n"}})
	p := w.Pull(n)
	if w.ref("refs/heads/main") != p.BaseCommit || w.ref("refs/pull/1/head") != p.HeadCommit || p.HeadCommit == p.BaseCommit {
		t.Errorf("a fork's head: %+v", p)
	}
	w.FreezeMergeRefs(true)
	before := w.ref("refs/pull/1/merge")
	w.Push(n, "More", map[string]string{"shop.json": "{}\n"})
	if w.ref("refs/pull/1/merge") != before {
		t.Error("a frozen merge ref moved")
	}
	w.FreezeMergeRefs(false)
	if w.Pull(n).MergeCommit == "" || w.ref("refs/pull/1/merge") == before {
		t.Error("a merge ref does not move again")
	}
}

func TestTalkOfAPullRequest(t *testing.T) {
	w := newWorld(t)
	n := w.Open(Opening{Files: map[string]string{"shop.json": "[]\n"}})
	w.Label(n, "a")
	w.Label(n, "b")
	w.Label(n, "a")
	w.Unlabel(n, "b")
	first := w.Comment(n, "grace", "one")
	w.Comment(n, "ada", "two")
	w.DeleteComment(first)
	p := w.Pull(n)
	if strings.Join(p.Labels, " ") != "a" || len(p.Comments) != 1 || len(w.Comments(n, "ada")) != 1 || len(w.Comments(n, "grace")) != 0 {
		t.Errorf("%+v", p)
	}
	w.SetStatus(Status{Commit: p.HeadCommit, Context: "ci", State: "pending"})
	w.SetStatus(Status{Commit: p.HeadCommit, Context: "ci", State: "success"})
	if all := w.AllStatuses(p.HeadCommit); len(all) != 2 || w.Statuses(p.HeadCommit)["ci"].State != "success" {
		t.Errorf("statuses: %+v", all)
	}
}

func TestFaultsOfAServer(t *testing.T) {
	served := make(chan struct{}, 100)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served <- struct{}{} }))
	// A connection that is used again would be tried again by net/http when it is cut.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(ctx context.Context) int {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/a?b=c", nil)
		resp, err := client.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	ctx := t.Context()
	for name, c := range map[string]struct {
		fault  Fault
		want   []int
		served int
	}{
		"none fits":     {Fault{Method: "POST"}, []int{200, 200}, 2},
		"all":           {Fault{}, []int{500, 500}, 0},
		"one":           {Fault{Path: "b=c", Status: 503, Times: 1}, []int{503, 200}, 1},
		"after it":      {Fault{Late: true, Status: 502}, []int{502, 502}, 2},
		"cut":           {Fault{Cut: true, Times: 1, Method: "GET", Path: "/a"}, []int{0, 200}, 1},
		"cut, for long": {Fault{Cut: true}, []int{0}, 0},
	} {
		s.Break(c.fault)
		for _, want := range c.want {
			if got := get(ctx); got != want {
				t.Errorf("%s: %d, expected %d", name, got, want)
			}
		}
		if len(served) != c.served {
			t.Errorf("%s: %d served, expected %d", name, len(served), c.served)
		}
		for len(served) > 0 {
			<-served
		}
		s.Heal()
	}
	s.Requests()
	s.Break(Fault{Hang: true, Times: 1})
	hanging, cancel := context.WithCancel(ctx)
	got := make(chan int)
	go func() { got <- get(hanging) }()
	for len(s.Requests()) == 0 { // until it hangs
		time.Sleep(time.Millisecond)
	}
	cancel()
	if code := <-got; code != 0 || len(served) != 0 {
		t.Errorf("hanging: %d, %d served", code, len(served))
	}
	if got := get(ctx); got != 200 {
		t.Errorf("after it: %d", got)
	}
}
