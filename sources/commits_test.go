package sources

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

func openCommits(t testing.TB, o GitOptions) *Commits {
	t.Helper()
	dir := o.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	c, err := OpenCommits(o, Environment{Clone: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func fetched(t testing.TB, c *Commits, wants ...string) map[string]*Snapshot {
	t.Helper()
	got, err := c.Fetch(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// pullRequest makes a branch as a forge shows it: a ref of its own for its head.
func pullRequest(repo *gittest.Repo, files map[string]string) (base, head string) {
	base = repo.Head()
	repo.Branch("change-" + base[:4] + repo.Git("rev-list", "--all", "--count"))
	head = repo.Commit("change", files)
	repo.BareGit("update-ref", "refs/pull/7/head", head)
	repo.Switch("main")
	return base, head
}

func TestCommitsOfAPullRequest(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		if strings.HasSuffix(o.URL, repo.Work) {
			t.Log("a work tree has no refs of pull requests") // but for those of this machine
			return
		}
		repo.Commit("begin", map[string]string{"a.json": "1", "b/c.json": "2"})
		base, head := pullRequest(repo, map[string]string{"a.json": "changed"})
		onMain := repo.Commit("more\n\nThis reverts commit 1234567.", map[string]string{"b/c.json": "3"})
		c := openCommits(t, o)
		got := fetched(t, c, "refs/heads/main", "refs/pull/7/head", "refs/pull/7/merge", head, base)
		wantRevision(t, got["refs/heads/main"], onMain, "main")
		wantFile(t, got["refs/heads/main"], "b/c.json", "3")
		wantFile(t, got["refs/pull/7/head"], "a.json", "changed")
		wantFile(t, got["refs/pull/7/head"], "b/c.json", "2")
		if got[head] == nil || got[head].Revision.ID != head {
			t.Errorf("the head by its hash: %+v", got[head])
		}
		if s := got["refs/heads/main"]; s.Revision.Message != "more\n\nThis reverts commit 1234567.\n" || !slices.Equal(s.Revision.Parents, []string{base}) {
			t.Errorf("message %q, parents %q", s.Revision.Message, s.Revision.Parents)
		}
		if _, there := got["refs/pull/7/merge"]; there {
			t.Error("there is a merge that nobody made")
		}
		// Once it is here it needs no server.
		repo.Empty()
		again := fetched(t, c, head)
		wantFile(t, again[head], "a.json", "changed")
	})
}

// A hash that the server does not give, or does not have, is absent; the others are
// there all the same.
func TestHashesThatAServerDoesNotGive(t *testing.T) {
	t.Parallel()
	for name, allow := range map[string]string{"only what a ref points to": "", "what refs reach": "uploadpack.allowReachableSHA1InWant", "any": "uploadpack.allowAnySHA1InWant"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t)
			if allow != "" {
				repo.BareGit("config", allow, "true")
			}
			first := repo.Commit("begin", map[string]string{"a": "1"})
			second := repo.Commit("two", map[string]string{"a": "2"})
			head := repo.Commit("three", map[string]string{"a": "3"})
			c := openCommits(t, GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true})
			nowhere := strings.Repeat("ab", 20)
			got := fetched(t, c, "refs/heads/main", first, nowhere, head, second)
			want := []string{"refs/heads/main", head}
			if allow != "" {
				want = append(want, first, second)
				wantFile(t, got[first], "a", "1")
			}
			slices.Sort(want)
			if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
				t.Errorf("got %q, want %q", keys, want)
			}
			wantFile(t, got["refs/heads/main"], "a", "3")
		})
	}
}

// A pull request that changes one of many files brings that file.
func TestACommitOfAPullRequestIsFetchedAsWhatDiffers(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", many())
	front := serveFront(t, repo)
	c := openCommits(t, GitOptions{URL: front.Repo, AllowHTTP: true})
	fetched(t, c, "refs/heads/main")
	_, whole := front.requests()
	for i, content := range []string{"id: /shop/app-1\ncmd: other\n", "id: /shop/app-1\ncmd: another\n"} {
		_, head := pullRequest(repo, map[string]string{"apps-1/app-001.yaml": content})
		got := fetched(t, c, "refs/heads/main", "refs/pull/7/head")
		wantFile(t, got["refs/pull/7/head"], "apps-1/app-001.yaml", content)
		wantFile(t, got["refs/pull/7/head"], "apps-2/app-002.yaml", many()["apps-2/app-002.yaml"])
		if _, sent := front.requests(); sent > whole/5 || sent == 0 {
			t.Errorf("push %d of %s: %d bytes, all of it is %d", i, head, sent, whole)
		}
	}
	fetched(t, c, "refs/heads/main", "refs/pull/7/head")
	if asked, sent := front.requests(); sent != 0 {
		t.Errorf("what is here is asked for again: %d bytes, %q", sent, asked)
	}
}

func TestCommitsSurviveRestartsAndDamage(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1"})
	_, head := pullRequest(repo, map[string]string{"a": "2"})
	o := GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Dir: t.TempDir()}
	c := openCommits(t, o)
	fetched(t, c, "refs/pull/7/head")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(o.Dir, "*", packFiles, "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%q %v", packs, err)
	}
	for _, pack := range packs {
		if err := os.WriteFile(pack, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := openCommits(t, o)
	wantFile(t, fetched(t, again, "refs/pull/7/head")["refs/pull/7/head"], "a", "2")
	wantFile(t, fetched(t, again, head)[head], "a", "2")
}

func TestWantsThatAreNone(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	o := GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}
	c := openCommits(t, o)
	for _, want := range []string{"main", "", "refs/heads/../x y", "HEAD", "refs/heads/a\nb", strings.Repeat("A", 40), "--upload-pack=x"} {
		if got, err := c.Fetch(t.Context(), []string{want}); err == nil {
			t.Errorf("%q: %v", want, got)
		}
	}
	if _, err := c.Fetch(t.Context(), make([]string, maxWants+1)); err == nil {
		t.Error("there is no bound")
	}
	o.Branch = "main"
	if _, err := OpenCommits(o, Environment{Clone: t.TempDir()}); err == nil {
		t.Error("a branch is selected")
	}
}

// A hash that a server refuses says nothing of the clone: it is no reason to fetch all of
// it again.
func TestRefusedHashesKeepTheClone(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.BareGit("config", "uploadpack.allowReachableSHA1InWant", "true")
	repo.Commit("begin", map[string]string{"a": "1"})
	c, err := OpenCommits(GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}, Environment{Clone: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only read
	fetch := func(wants ...string) {
		t.Helper()
		if got, err := c.Fetch(t.Context(), wants); err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	fetch("refs/heads/main")
	fetch("refs/heads/main", strings.Repeat("ab", 20), strings.Repeat("cd", 20))
	repo.Commit("next", map[string]string{"a": "2"})
	fetch("refs/heads/main")
	if c.clone.number != 1 {
		t.Errorf("the clone was fetched whole %d times", c.clone.number)
	}
}
