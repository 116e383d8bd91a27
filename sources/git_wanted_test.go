package sources

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

func TestGitDefaultBranch(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		head := repo.Commit("begin", nil)
		wantRevision(t, snapshot(t, openGit(t, o)), head, "main")
	})
}

func TestGitTagsAndVersions(t *testing.T) {
	testenv.Long(t)
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		commits := map[string]string{}
		for i, tag := range []string{"v1.0.0", "1.2.0", "v1.10.0", "v2.0.0-rc.1", "nightly"} {
			commits[tag] = repo.Commit(tag, map[string]string{"version": tag})
			repo.Tag(tag, i%2 == 0)
		}
		at := func(set func(*GitOptions)) *Git {
			p := o
			p.Dir = filepath.Join(t.TempDir(), "clone")
			set(&p)
			return openGit(t, p)
		}
		wantRevision(t, snapshot(t, at(func(o *GitOptions) { o.Tag = "v1.0.0" })), commits["v1.0.0"], "v1.0.0")
		wantRevision(t, snapshot(t, at(func(o *GitOptions) { o.Tag = "nightly" })), commits["nightly"], "nightly")
		wantRevision(t, snapshot(t, at(func(o *GitOptions) { o.Ref = "1.2.0" })), commits["1.2.0"], "1.2.0")
		fails(t, at(func(o *GitOptions) { o.Tag = "v9" }), ErrNoRef)
		fails(t, at(func(o *GitOptions) { o.Semver = ">=3" }), ErrNoRef)

		g := at(func(o *GitOptions) { o.Semver = "^1.0" })
		wantRevision(t, snapshot(t, g), commits["v1.10.0"], "v1.10.0")
		head := repo.Commit("1.11", map[string]string{"version": "1.11"})
		repo.Tag("v1.11.0", true)
		s := snapshot(t, g)
		wantRevision(t, s, head, "v1.11.0")
		wantFile(t, s, "version", "1.11")
		moved := repo.Commit("1.11 again", map[string]string{"version": "1.11+"})
		repo.Tag("v1.11.0", true)
		wantRevision(t, snapshot(t, g), moved, "v1.11.0")
		wantRevision(t, snapshot(t, at(func(o *GitOptions) { o.Semver = ">=2.0.0-0" })), commits["v2.0.0-rc.1"], "v2.0.0-rc.1")
	})
}

func TestGitRefThatIsBranchAndTag(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	tagged := repo.Commit("begin", nil)
	repo.Git("tag", "both")
	repo.Git("push", "--quiet", "origin", "refs/tags/both")
	repo.Git("switch", "--quiet", "--create", "both")
	repo.Git("commit", "--quiet", "--allow-empty", "--message", "two")
	repo.Git("push", "--quiet", "origin", "refs/heads/both")
	o := GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Ref: "both"}
	if _, err := openGit(t, o).Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "refs/tags/both") {
		t.Errorf("got %v", err)
	}
	o.Ref = "refs/tags/both"
	wantRevision(t, snapshot(t, openGit(t, o)), tagged, "both")
	o.Ref = "refs/heads/both"
	wantRevision(t, snapshot(t, openGit(t, o)), repo.Head(), "both")
}

func TestGitPinnedCommitNeedsNoNetworkOnceHere(t *testing.T) {
	testenv.Long(t)
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		repo.Commit("begin", map[string]string{"a": "1"})
		pinned := repo.Commit("two", map[string]string{"a": "2"})
		repo.Commit("three", map[string]string{"a": "3"})
		o.Commit = pinned
		g := openGit(t, o)
		s := snapshot(t, g)
		wantRevision(t, s, pinned, "")
		wantFile(t, s, "a", "2")
		g.Close() //nolint:errcheck // reopened below
		repo.Empty()
		again := openGit(t, o)
		s = snapshot(t, again)
		wantRevision(t, s, pinned, "")
		wantFile(t, s, "a", "2")
	})
}

func TestGitPinnedCommitWhereTheServerGivesCommitsByHash(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.BareGit("config", "uploadpack.allowReachableSHA1InWant", "true")
	pinned := repo.Commit("begin", map[string]string{"a": "1"})
	repo.Commit("two", map[string]string{"a": "2"})
	o := GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Commit: pinned, Dir: t.TempDir()}
	g := openGit(t, o)
	wantFile(t, snapshot(t, g), "a", "1")
	if len(g.clone.current.state.Packs) != 1 || g.has(toHash(repo.Head())) {
		t.Error("more was fetched than the commit")
	}
	o.Commit, o.Dir = strings.Repeat("12", 20), t.TempDir()
	fails(t, openGit(t, o), ErrNoRef)
}

func TestGitPinnedCommitThatIsNotThere(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		repo.Commit("begin", nil)
		o.Ref = strings.Repeat("ab", 20)
		fails(t, openGit(t, o), ErrNoRef)
	})
}

func TestGitLookIsCheapWhileNothingMoved(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{})
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Branch: "main"})
	snapshot(t, g)
	server.Requests()
	snapshot(t, g)
	repo.Tag("elsewhere", true)
	snapshot(t, g)
	for _, r := range server.Requests() {
		if !strings.HasPrefix(r, http.MethodGet+" /repo.git/info/refs?") {
			t.Errorf("a look where the branch did not move asked %s", r)
		}
	}
}

func TestGitFetchesOneCommitWithoutHistory(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	old := repo.Commit("begin", map[string]string{"a": "old"})
	repo.Commit("two", map[string]string{"a": "new"})
	g := openGit(t, GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Branch: "main", Dir: t.TempDir()})
	snapshot(t, g)
	if g.has(toHash(old)) {
		t.Error("the history was fetched too")
	}
	if len(g.clone.current.state.Shallow) != 1 {
		t.Errorf("shallow commits are %v, want the one fetched", g.clone.current.state.Shallow)
	}
}

func TestGitOptionsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]GitOptions{
		"allow http explicitly":                {URL: "http://host/repo"},
		"allowed explicitly":                   {URL: "file:///repo"},
		"are mutually exclusive":               {URL: "https://host/repo", Branch: "main", Tag: "v1"},
		"all 40 hexadecimal":                   {URL: "https://host/repo", Commit: "abc"},
		"is not a range":                       {URL: "https://host/repo", Semver: "newest"},
		"not a valid git name":                 {URL: "https://host/repo", Branch: "a..b"},
		"without //path":                       {URL: "https://host/repo//sub"},
		"works with ssh URLs":                  {URL: "https://host/repo", Auth: Auth{Key: secret.Ref{File: "k"}}},
		"does not work over ssh":               {URL: "ssh://git@host/repo", Auth: Auth{Password: secret.Ref{File: "k"}}},
		"user is part of the URL":              {URL: "git@host:repo", Auth: Auth{Username: "ada"}},
		"not supported for a local repository": {URL: "file:///repo", AllowLocal: true, Auth: Auth{Username: "ada", Password: secret.Ref{File: "k"}}},
		"contains a password":                  {URL: "https://ada:" + canary + "@host/repo"},
		"URL of a repository":                  {URL: "./dir"},
	} {
		g, err := NewGit(o)
		if err == nil {
			t.Errorf("%+v is taken", o)
			g.Close() //nolint:errcheck
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("want an error with %q: %v", want, err)
		}
	}
}
