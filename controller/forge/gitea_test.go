package forge_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/controller/forge/giteatest"
	"github.com/pacer-gitops/pacer/secret"
)

func TestMain(m *testing.M) { os.Exit(giteatest.Main(m)) }

// rights are those that the documentation asks a token of Gitea to have.
var rights = []string{"read:user", "write:issue", "write:repository"}

// atGitea is a repository with two files at a real Gitea, and Pacer's client of it.
func atGitea(t *testing.T) (*giteatest.Repository, forge.Forge) {
	t.Helper()
	s := giteatest.Shared(t)
	r := s.NewRepository(t, map[string]string{"apps/shop.json": "{\n  \"id\": \"/shop\"\n}\n", "apps/a b.json": "{}\n"})
	return r, openGitea(t, r, s.Token(t, giteatest.Bot, rights...))
}

func openGitea(t *testing.T, r *giteatest.Repository, token string) forge.Forge {
	t.Helper()
	f, err := forge.Open(forge.Options{Type: "gitea", Repository: r.URL, Token: secret.Value(token)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestGiteaReadsAPullRequest(t *testing.T) {
	r, f := atGitea(t)
	base := r.Repo.Head()
	n := r.Open(forgetest.Opening{Title: "Scale shop", Body: "by two", Files: map[string]string{"apps/shop.json": "{}\n"}, Draft: true, Labels: []string{"pacer/plan"}})
	head := r.Pull(n).HeadCommit
	p, err := f.Pull(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if p.Updated.IsZero() || time.Since(p.Updated) > time.Hour {
		t.Errorf("updated at %v", p.Updated)
	}
	p.Updated = time.Time{}
	want := forge.Pull{
		Number: n, Title: "WIP: Scale shop", Body: "by two", Author: "ada", State: forge.PullOpen, Draft: true, Labels: []string{"pacer/plan"},
		URL: fmt.Sprintf("%s/pulls/%d", strings.TrimSuffix(r.URL, ".git"), n), Base: "main", BaseCommit: base, Head: "topic-1", HeadCommit: head,
		HeadRef: fmt.Sprintf("refs/pull/%d/head", n), MergeBase: base,
	}
	if got, wanted := fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", want); got != wanted {
		t.Errorf("got  %s\nwant %s", got, wanted)
	}
	if at := r.Repo.Git("ls-remote", "origin", p.HeadRef); !strings.HasPrefix(at, head) {
		t.Errorf("%s is at %q, want %s", p.HeadRef, at, head)
	}
	pulls, more, err := f.Pulls(t.Context())
	if err != nil || more || len(pulls) != 1 {
		t.Fatalf("listed %+v, %t, %v", pulls, more, err)
	}
	pulls[0].Updated = time.Time{}
	if got, wanted := fmt.Sprintf("%+v", pulls[0]), fmt.Sprintf("%+v", want); got != wanted {
		t.Errorf("listed %s\nwant   %s", got, wanted)
	}
	if _, err := f.Pull(t.Context(), n+1); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if f.String() != strings.TrimSuffix(r.URL, ".git") {
		t.Errorf("its address: %s", f)
	}
}

func TestGiteaFollowsAPullRequest(t *testing.T) {
	r, f := atGitea(t)
	base := r.Repo.Head()
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{}\n"}})
	see := func(what string, is func(p forge.Pull) bool) {
		t.Helper()
		p, err := f.Pull(t.Context(), n)
		if err != nil || !is(p) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	head := r.Push(n, "More", map[string]string{"apps/shop.json": "[]\n"})
	see("pushed to", func(p forge.Pull) bool { return p.HeadCommit == head && p.MergeBase == base && p.BaseCommit == base })
	tip := r.Repo.Commit("Beside it", map[string]string{"apps/other.json": "{}\n"})
	see("the base went on", func(p forge.Pull) bool { return p.HeadCommit == head && p.MergeBase == base && p.BaseCommit == tip })
	head = r.ForcePush(n, "Anew", map[string]string{"apps/shop.json": "0\n"})
	giteatest.Await(t, "the merge base", func() (bool, string) {
		p, err := f.Pull(t.Context(), n)
		return err == nil && p.HeadCommit == head && p.MergeBase == tip && p.BaseCommit == tip, fmt.Sprintf("%+v %v", p, err)
	})
	r.Close(n)
	see("closed", func(p forge.Pull) bool { return p.State == forge.PullClosed && p.MergedAs == "" && p.MergedAt.IsZero() })
	if pulls, more, err := f.Pulls(t.Context()); len(pulls) != 0 || more || err != nil {
		t.Errorf("a closed one is listed: %+v, %t, %v", pulls, more, err)
	}
	r.Reopen(n)
	see("reopened", func(p forge.Pull) bool { return p.State == forge.PullOpen })
}

func TestGiteaTellsWhatWasMergedSince(t *testing.T) {
	r, f := atGitea(t)
	began := time.Now().Add(-time.Minute)
	merged, squashed := r.Open(forgetest.Opening{Files: map[string]string{"a": "1"}}), r.Open(forgetest.Opening{Files: map[string]string{"b": "1"}})
	closed := r.Open(forgetest.Opening{Files: map[string]string{"c": "1"}})
	r.Open(forgetest.Opening{Files: map[string]string{"d": "1"}})
	r.Close(closed)
	as := map[int]string{merged: r.Merge(merged), squashed: r.Squash(squashed)}
	pulls, err := f.MergedSince(t.Context(), began)
	if err != nil || len(pulls) != 2 {
		t.Fatalf("got %+v, %v", pulls, err)
	}
	for _, p := range pulls {
		if p.State != forge.PullMerged || p.MergedAs != as[p.Number] || p.MergedAs == "" || p.MergedAt.Before(began) {
			t.Errorf("got %+v, want it merged as %s", p, as[p.Number])
		}
	}
	if r.Repo.Git("rev-parse", "HEAD") != as[squashed] {
		t.Errorf("main is at %s, and the last was merged as %s", r.Repo.Head(), as[squashed])
	}
	if pulls, err := f.MergedSince(t.Context(), time.Now().Add(time.Minute)); len(pulls) != 0 || err != nil {
		t.Errorf("merged in the future: %+v, %v", pulls, err)
	}
}

// Whoever may read a repository may open a pull request. Whether it is one of a fork is
// what keeps live values from strangers.
func TestGiteaTellsForks(t *testing.T) {
	r, f := atGitea(t)
	fork := r.Open(forgetest.Opening{Fork: "mallory", Files: map[string]string{"apps/shop.json": "{}\n"}})
	without := r.OpenWithoutBranch("mallory", map[string]string{"apps/shop.json": "[]\n"})
	own := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "0\n"}})
	listed, _, err := f.Pulls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{fork: true, without: true, own: false} {
		p, err := f.Pull(t.Context(), n)
		if err != nil || p.Fork != want {
			t.Errorf("pull request %d: fork is %t, want %t; %v", n, p.Fork, want, err)
		}
		if at := r.Repo.Git("ls-remote", "origin", p.HeadRef); !strings.HasPrefix(at, p.HeadCommit) || p.HeadCommit == "" {
			t.Errorf("%s is at %q, want %q", p.HeadRef, at, p.HeadCommit)
		}
		i := slices.IndexFunc(listed, func(p forge.Pull) bool { return p.Number == n })
		if i < 0 || listed[i].Fork != want {
			t.Errorf("pull request %d is listed as %+v", n, listed)
		}
	}
	r.DeleteFork("mallory")
	if p, err := f.Pull(t.Context(), fork); err != nil || !p.Fork {
		t.Errorf("the fork is deleted: %+v, %v", p, err)
	}
	// A branch that is deleted makes no fork of it.
	r.Merge(own)
	r.Repo.Git("push", "--quiet", "origin", ":"+r.Pull(own).Head)
	if p, err := f.Pull(t.Context(), own); err != nil || p.Fork || p.State != forge.PullMerged {
		t.Errorf("the branch is deleted: %+v, %v", p, err)
	}
}

func TestGiteaSaysNothingOfConflicts(t *testing.T) {
	r, f := atGitea(t)
	base := r.Repo.Head()
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "1\n"}})
	tip := r.Repo.Commit("Another", map[string]string{"apps/shop.json": "2\n"})
	p, err := f.Pull(t.Context(), n)
	if err != nil || p.MergeBase != base || p.BaseCommit != tip || p.Conflicts || p.MergeRef != "" {
		t.Errorf("what is needed to merge it here: %+v, %v", p, err)
	}
}

func TestGiteaListsAllPages(t *testing.T) {
	r, f := atGitea(t)
	const many = 2*giteatest.Page + 1
	var numbers []int
	for i := range many {
		numbers = append(numbers, r.Open(forgetest.Opening{Files: map[string]string{fmt.Sprint("apps/", i): "1"}}))
	}
	pulls, more, err := f.Pulls(t.Context())
	if err != nil || more {
		t.Fatalf("%t, %v", more, err)
	}
	var listed []int
	for _, p := range pulls {
		listed = append(listed, p.Number)
	}
	slices.Sort(listed)
	if !slices.Equal(listed, numbers) {
		t.Errorf("listed %d, want 1 to %d", listed, many)
	}
	if !slices.IsSortedFunc(pulls, func(a, b forge.Pull) int { return b.Updated.Compare(a.Updated) }) {
		t.Error("not the newest change first")
	}
}

func TestGiteaCommentIsFoundAmongOthers(t *testing.T) {
	r, f := atGitea(t)
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{}\n"}})
	const marker = "<!-- pacer shop -->"
	if c, err := f.FindComment(t.Context(), n, marker); c != nil || err != nil {
		t.Fatalf("before there is one: %+v, %v", c, err)
	}
	r.Comment(n, "ada", "as "+marker+" says") // quoted by somebody else
	r.Comment(n, giteatest.Bot, "<!-- pacer other -->")
	for i := range 2 * giteatest.Page {
		r.Comment(n, "ada", fmt.Sprint("comment ", i))
	}
	body := marker + "\n**1 scale** ünïcode | `x` <details>\n"
	made, err := f.CreateComment(t.Context(), n, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateComment(t.Context(), n, marker+" a second"); err != nil {
		t.Fatal(err)
	}
	found, err := f.FindComment(t.Context(), n, marker)
	if err != nil || found == nil || *found != made || found.Body != body || !strings.HasPrefix(found.URL, r.Server.URL) {
		t.Fatalf("made %+v, found %+v, %v", made, found, err)
	}
	if err := f.EditComment(t.Context(), n, made.ID, marker+" edited"); err != nil {
		t.Fatal(err)
	}
	if all := r.Comments(n, giteatest.Bot); len(all) != 3 || all[1].Body != marker+" edited" {
		t.Errorf("edited: %+v", all)
	}
	r.DeleteComment(r.Comments(n, giteatest.Bot)[1].ID)
	if err := f.EditComment(t.Context(), n, made.ID, "again"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("a deleted one is edited: %v", err)
	}
	if _, err := f.CreateComment(t.Context(), n+1, body); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("at no pull request: %v", err)
	}
}

func TestGiteaTakesTheLongestComment(t *testing.T) {
	r, f := atGitea(t)
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{}\n"}})
	body := strings.Repeat("ü", f.MaxComment()/2)
	if _, err := f.CreateComment(t.Context(), n, body); err != nil {
		t.Fatal(err)
	}
	if all := r.Comments(n, giteatest.Bot); len(all) != 1 || all[0].Body != body {
		t.Errorf("got %d comments", len(all))
	}
}

func TestGiteaStatuses(t *testing.T) {
	r, f := atGitea(t)
	n := r.Open(forgetest.Opening{Fork: "mallory", Files: map[string]string{"apps/shop.json": "{}\n"}})
	commit := r.Pull(n).HeadCommit
	if all, err := f.Statuses(t.Context(), commit); len(all) != 0 || err != nil {
		t.Fatalf("before there is one: %+v, %v", all, err)
	}
	r.SetStatus(forgetest.Status{Commit: commit, Context: "ci", State: "success"})
	// In one second, whose order Gitea's list does not tell.
	want := map[string]forge.Status{"ci": {Context: "ci", State: forge.Success}}
	for _, s := range []forge.Status{
		{Context: "pacer/shop", State: forge.Pending, Description: "0 of 2 healthy"},
		{Context: "pacer/shop", State: forge.Failure, Description: "cannot start: ünknown"},
		{Context: "pacer/shop", State: forge.Stopped, Description: "superseded"},
		{Context: "pacer/shop", State: forge.Success, Description: "healthy after 42 s", URL: "https://pacer.example.com/syncs/shop"},
	} {
		if err := f.SetStatus(t.Context(), commit, s); err != nil {
			t.Fatal(err)
		}
		if got := r.Statuses(commit)["pacer/shop"]; got.State != string(s.State) || got.Description != s.Description || got.URL != s.URL || got.Creator != giteatest.Bot {
			t.Errorf("set %+v, Gitea has %+v", s, got)
		}
		want["pacer/shop"] = s
	}
	for i := range 2 * giteatest.Page {
		s := forge.Status{Context: fmt.Sprintf("pacer/sync-%d/plan", i), State: forge.Success, Description: "no change"}
		if err := f.SetStatus(t.Context(), commit, s); err != nil {
			t.Fatal(err)
		}
		want[s.Context] = s
	}
	all, err := f.Statuses(t.Context(), commit)
	if err != nil || len(all) != len(want) {
		t.Fatalf("got %d statuses, want %d; %v", len(all), len(want), err)
	}
	for _, s := range all {
		if s != want[s.Context] {
			t.Errorf("got %+v, want %+v", s, want[s.Context])
		}
	}
	if err := f.SetStatus(t.Context(), commit, forge.Status{Context: "pacer/long", State: forge.Failure, Description: strings.Repeat("ü", 1000)}); err != nil {
		t.Error(err)
	}
	if got := r.Statuses(commit)["pacer/long"].Description; len(got) > 300 || !strings.HasPrefix(got, "üüü") {
		t.Errorf("a long description: %q", got)
	}
	none := strings.Repeat("1", 40)
	if err := f.SetStatus(t.Context(), none, want["ci"]); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("of no commit: %v", err)
	}
	if _, err := f.Statuses(t.Context(), none); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("statuses of no commit: %v", err)
	}
}

func TestGiteaLabelIsTakenOff(t *testing.T) {
	r, f := atGitea(t)
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{}\n"}, Labels: []string{"pacer/plan", "bug"}})
	for range 2 { // the second time it is not there
		if err := f.RemoveLabel(t.Context(), n, "pacer/plan"); err != nil {
			t.Fatal(err)
		}
		if got := r.Pull(n).Labels; !slices.Equal(got, []string{"bug"}) {
			t.Errorf("labels %q", got)
		}
	}
	if err := f.RemoveLabel(t.Context(), n+1, "bug"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("at no pull request: %v", err)
	}
}

// The links lead to what Gitea's own pages show.
func TestGiteaPagesOfFiles(t *testing.T) {
	r, f := atGitea(t)
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{\n  \"id\": \"/other\"\n}\n", "apps/a b.json": "{\n}\n"}})
	p, err := f.Pull(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"apps/shop.json", "apps/a b.json"} {
		for line := range 2 {
			at := f.FileURL(p, file, line)
			page, anchor, _ := strings.Cut(at, "#")
			if text := r.Page(page); !strings.Contains(text, `id="`+anchor+`"`) {
				t.Errorf("%s leads nowhere", at)
			}
		}
	}
}

func TestGiteaNamesTheRightsThatATokenLacks(t *testing.T) {
	r, _ := atGitea(t)
	s := r.Server
	check := func(user string, scopes ...string) string {
		t.Helper()
		lacking, err := openGitea(t, r, s.Token(t, user, scopes...)).Check(t.Context())
		if err != nil {
			t.Errorf("%s with %q: %v", user, scopes, err)
		}
		return strings.Join(lacking, "\n")
	}
	if lacking := check(giteatest.Bot, rights...); lacking != "" {
		t.Errorf("with all of them: %s", lacking)
	}
	for _, c := range []struct {
		user    string
		scopes  []string
		lacking []string
	}{
		{giteatest.Bot, []string{"write:issue", "write:repository"}, []string{`"user" must be "Read"`}},
		{giteatest.Bot, []string{"read:user", "write:repository"}, []string{`"issue" must be "Read and Write"`}},
		{giteatest.Bot, []string{"read:user", "read:issue", "write:repository"}, []string{`"issue" must be "Read and Write"`}},
		{giteatest.Bot, []string{"read:user", "write:issue", "read:repository"}, []string{`"repository" must be "Read and Write"`}},
		{giteatest.Bot, []string{"read:user", "write:issue"}, []string{`"repository" must be "Read and Write"`}},
		{giteatest.Bot, []string{"read:misc"}, []string{`"user" must be "Read"`, `"repository" must be`, `"issue" must be`}},
		{giteatest.Bot, append([]string{"public-only"}, rights...), []string{"only public repositories"}},
		{"stranger", rights, []string{"user stranger may not see it"}},
	} {
		lacking := check(c.user, c.scopes...)
		if got := strings.Count(lacking, "\n") + 1; lacking == "" || got != len(c.lacking) {
			t.Errorf("%s with %q lacks %d rights, want %d:\n%s", c.user, c.scopes, got, len(c.lacking), lacking)
		}
		for _, want := range c.lacking {
			if !strings.Contains(lacking, want) {
				t.Errorf("%s with %q: want %q in\n%s", c.user, c.scopes, want, lacking)
			}
		}
	}
	r.Collaborator("reader", "read")
	if lacking := check("reader", rights...); !strings.Contains(lacking, "user reader may only read the repository") || strings.Contains(lacking, "\n") {
		t.Errorf("a reader: %s", lacking)
	}
	if lacking, err := openGitea(t, r, "0123456789012345678901234567890123456789").Check(t.Context()); err != nil || len(lacking) != 1 || !strings.Contains(lacking[0], "not valid") {
		t.Errorf("no token of this server: %q, %v", lacking, err)
	}
	r.Archive()
	if lacking := check(giteatest.Bot, rights...); !strings.Contains(lacking, "archived") || strings.Contains(lacking, "\n") {
		t.Errorf("archived: %s", lacking)
	}
}

// What Check finds is what the calls meet.
func TestGiteaDeniesWhatATokenMayNot(t *testing.T) {
	r, _ := atGitea(t)
	n := r.Open(forgetest.Opening{Files: map[string]string{"apps/shop.json": "{}\n"}, Labels: []string{"bug"}})
	commit := r.Pull(n).HeadCommit
	r.Collaborator("reader", "read")
	status := forge.Status{Context: "pacer/shop", State: forge.Success}
	for name, c := range map[string]struct {
		token string
		call  func(f forge.Forge) error
	}{
		"status, may only read": {r.Server.Token(t, "reader", rights...), func(f forge.Forge) error { return f.SetStatus(t.Context(), commit, status) }},
		"label, may only read":  {r.Server.Token(t, "reader", rights...), func(f forge.Forge) error { return f.RemoveLabel(t.Context(), n, "bug") }},
		"status, no scope":      {r.Server.Token(t, giteatest.Bot, "read:repository"), func(f forge.Forge) error { return f.SetStatus(t.Context(), commit, status) }},
		"comment, no scope":     {r.Server.Token(t, giteatest.Bot, "read:issue"), func(f forge.Forge) error { _, err := f.CreateComment(t.Context(), n, "x"); return err }},
		"find, no user":         {r.Server.Token(t, giteatest.Bot, "read:issue"), func(f forge.Forge) error { _, err := f.FindComment(t.Context(), n, "x"); return err }},
		"list, no scope":        {r.Server.Token(t, giteatest.Bot, "read:issue"), func(f forge.Forge) error { _, _, err := f.Pulls(t.Context()); return err }},
		"list, no token":        {"0123456789012345678901234567890123456789", func(f forge.Forge) error { _, _, err := f.Pulls(t.Context()); return err }},
	} {
		err := c.call(openGitea(t, r, c.token))
		if !errors.Is(err, forge.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), c.token) {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
	}
}

// A new token is used at once, and a server that is down is no error of opening.
func TestGiteaThatIsDown(t *testing.T) {
	r, _ := atGitea(t)
	token := r.Server.Token(t, giteatest.Bot, rights...)
	var asked []string
	f, err := forge.Open(forge.Options{
		Type: "gitea", URL: "http://127.0.0.1:1/api/v1/", Repository: "ssh://git@git.example.com:2222/acme/apps.git", Token: secret.Value(token),
		Wrap: func(next http.RoundTripper) http.RoundTripper { return asks{next, &asked} },
	})
	if err != nil || len(asked) > 0 {
		t.Fatalf("opening asks %q: %v", asked, err)
	}
	if f.String() != "http://127.0.0.1:1/acme/apps" {
		t.Errorf("its address: %s", f)
	}
	if _, _, err := f.Pulls(t.Context()); err == nil || strings.Contains(err.Error(), token) || errors.Is(err, forge.ErrDenied) || errors.Is(err, forge.ErrNotFound) {
		t.Errorf("asked of nobody: %v", err)
	}
	if _, err := f.Check(t.Context()); err == nil {
		t.Error("the rights of a token are known to nobody")
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[0], "GET /api/v1/repos/acme/apps/pulls?") {
		t.Errorf("asked %q", asked)
	}
}

type asks struct {
	next  http.RoundTripper
	asked *[]string
}

func (a asks) RoundTrip(r *http.Request) (*http.Response, error) {
	*a.asked = append(*a.asked, r.Method+" "+r.URL.RequestURI())
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return a.next.RoundTrip(r)
}

func TestGiteaBelowAFolder(t *testing.T) {
	for repository, want := range map[string]string{
		"https://git.example.com/acme/apps.git":            "https://git.example.com/acme/apps",
		"https://git.example.com:3000/code/git/acme/apps/": "https://git.example.com:3000/code/git/acme/apps",
		"git@codeberg.org:acme/apps.git":                   "https://codeberg.org/acme/apps",
	} {
		f, err := forge.Open(forge.Options{Type: "gitea", Repository: repository, Token: secret.Value("t")})
		if err != nil || f.String() != want {
			t.Errorf("%s: %v, %v, want %s", repository, f, err, want)
		}
	}
	if f, err := forge.Open(forge.Options{Type: "gitea", Repository: "https://git.example.com/apps.git", Token: secret.Value("t")}); err == nil {
		t.Errorf("without an owner: %v", f)
	}
	for _, repository := range []string{"https://codeberg.org/acme/apps.git", "ssh://git@gitea.com/acme/apps.git"} {
		if got := forge.TypeOf(repository); got != "gitea" {
			t.Errorf("%s is of type %q", repository, got)
		}
	}
}
