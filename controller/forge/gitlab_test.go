package forge

import (
	"crypto/sha1" //nolint:gosec // as GitLab
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

func gitLabWorld(t *testing.T) (*forgetest.World, *forgetest.GitLab) {
	t.Helper()
	repo := gittest.New(t)
	repo.Commit("Begin", map[string]string{"shop.json": "{}\n"})
	w := forgetest.NewWorld(t, repo, "acme/team", "apps")
	return w, forgetest.NewGitLab(t, w)
}

func TestGitLabAddresses(t *testing.T) {
	for _, c := range []struct{ given, repository, api, project, page string }{
		{"", "https://gitlab.com/acme/team/apps.git", "https://gitlab.com/api/v4/", "acme/team/apps", "https://gitlab.com/acme/team/apps"},
		{"", "git@gitlab.com:acme/apps.git", "https://gitlab.com/api/v4/", "acme/apps", "https://gitlab.com/acme/apps"},
		{"", "ssh://git@altssh.gitlab.com:443/acme/apps.git", "https://gitlab.com/api/v4/", "acme/apps", "https://gitlab.com/acme/apps"},
		{"", "ssh://git@git.example.com:2222/acme/apps.git", "https://git.example.com/api/v4/", "acme/apps", "https://git.example.com/acme/apps"},
		{"https://git.example.com:8443/api/v4/", "https://git.example.com:8443/acme/apps", "https://git.example.com:8443/api/v4/", "acme/apps", "https://git.example.com:8443/acme/apps"},
		{"https://git.example.com/gitlab", "https://git.example.com/gitlab/acme/apps", "https://git.example.com/gitlab/api/v4/", "acme/apps", "https://git.example.com/gitlab/acme/apps"},
	} {
		f, err := Open(Options{Type: "gitlab", URL: c.given, Repository: c.repository, Token: secret.Value("x")})
		if err != nil {
			t.Fatal(err)
		}
		g := f.(*gitLab)
		if api := g.client.BaseURL().String(); api != c.api || g.project != c.project || g.String() != c.page {
			t.Errorf("%s, %s: %s, %s, %s", c.given, c.repository, api, g.project, g)
		}
	}
	for _, o := range []Options{{Repository: "https://gitlab.com/apps"}, {Repository: "https://gitlab.com/acme//apps"}, {Repository: "https://gitlab.com/a/b", URL: "gitlab.com"}, {Repository: "https://gitlab.com/a/b", URL: "https://u:" + canary + "@gitlab.com"}} {
		o.Type = "gitlab"
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestGitLabMergedByFastForward(t *testing.T) {
	w, g := gitLabWorld(t)
	f := openStandIn(t, g, nil)
	n := w.Open(forgetest.Opening{Files: change(1)})
	head := w.Pull(n).HeadCommit
	w.Repo.BareGit("update-ref", "refs/heads/main", head)
	w.Repo.Git("pull", "--quiet", "origin", "main")
	w.Repo.Commit("Later", nil)
	if p, err := f.Pull(t.Context(), n); err != nil || p.State != PullMerged || p.MergedAs != head {
		t.Errorf("%+v, %v, expected to be merged as %s", p, err, head)
	}
}

func TestGitLabMergeRefThatCannotBeMade(t *testing.T) {
	w, g := gitLabWorld(t)
	f := openStandIn(t, g, nil)
	w.FreezeMergeRefs(true)
	n := w.Open(forgetest.Opening{Files: change(1)})
	if p, err := f.Pull(t.Context(), n); err != nil || p.MergeRef != "" || p.Conflicts {
		t.Errorf("%+v, %v", p, err)
	}
	w.FreezeMergeRefs(false)
	if p, err := f.Pull(t.Context(), n); err != nil || p.MergeRef != "refs/merge-requests/1/merge" {
		t.Errorf("%+v, %v", p, err)
	}
	g.Break(forgetest.Fault{Path: "/merge_ref"})
	if _, err := f.Pull(t.Context(), n); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("a failure is not told: %v", err)
	}
}

// GitLab's limit is told by headers of its own, and nothing waits for it.
func TestGitLabRateLimit(t *testing.T) {
	_, g := gitLabWorld(t)
	f := openStandIn(t, g, nil)
	until := time.Now().Add(time.Minute).Truncate(time.Second)
	g.RateLimit(until)
	for method, err := range everything(t, f) {
		if limit, ok := errors.AsType[*RateLimitError](err); !ok || !limit.Until.Equal(until) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestGitLabStatusesAreNotCanceledWithoutNeed(t *testing.T) {
	w, g := gitLabWorld(t)
	f, commit := openStandIn(t, g, nil), w.Repo.Head()
	var words []string
	for _, s := range []Status{{State: Pending, Description: "1"}, {State: Pending, Description: "1"}, {State: Pending, Description: "2"}, {State: Pending, Description: "2"}, {State: Pending, Description: "3"}, {State: Success}, {State: Success}} {
		s.Context = "pacer/shop"
		if err := f.SetStatus(t.Context(), commit, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range w.AllStatuses(commit) {
		words = append(words, s.State+" "+s.Description)
	}
	if got, want := strings.Join(words, ", "), "pending 1, running 2, canceled 3, pending 3, success , success "; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	g.Break(forgetest.Fault{Method: "POST", Status: 400, Body: `{"message": "Cannot transition status via :drop from :failed"}`})
	if err := f.SetStatus(t.Context(), commit, Status{Context: "pacer/shop", State: Failure}); err == nil || !strings.Contains(err.Error(), "Cannot transition") {
		t.Errorf("another refusal: %v", err)
	}
}

func TestGitLabPagesOfFiles(t *testing.T) {
	_, g := gitLabWorld(t)
	f := openStandIn(t, g, nil)
	p := Pull{Number: 7, HeadCommit: "abc"}
	for _, c := range []struct {
		file string
		line int
		want string
	}{
		{"a b/c#.json", 12, "https://gitlab.test/acme/team/apps/-/blob/abc/a%20b/c%23.json#L12"},
		{"a:b.json", 1, "https://gitlab.test/acme/team/apps/-/blob/abc/a:b.json#L1"},
		{"shop.json", 0, fmt.Sprintf("https://gitlab.test/acme/team/apps/-/merge_requests/7/diffs#%x", sha1.Sum([]byte("shop.json")))}, //nolint:gosec // as GitLab
	} {
		if got := f.FileURL(p, c.file, c.line); got != c.want {
			t.Errorf("%s, expected %s", got, c.want)
		}
	}
	if shown, err := f.Annotate(t.Context(), p, "pacer/shop", []Annotation{{File: "shop.json", Line: 1}}); shown || err != nil {
		t.Errorf("annotated: %t, %v", shown, err)
	}
}

func TestGitLabRights(t *testing.T) {
	const api, reporter, developer = `the scope "api"`, `the role "Reporter"`, `the role "Developer"`
	for name, c := range map[string]struct {
		scopes []string
		level  int
		admin  bool
		want   []string
	}{
		"all":           {[]string{"api"}, 30, false, nil},
		"maintainer":    {[]string{"read_repository", "api"}, 40, false, nil},
		"read_api":      {[]string{"read_api"}, 30, false, []string{api}},
		"other scopes":  {[]string{"read_repository"}, 30, false, []string{api}},
		"reporter":      {[]string{"api"}, 20, false, []string{developer}},
		"guest":         {[]string{"api"}, 10, false, []string{reporter, developer}},
		"not a member":  {[]string{"api"}, 0, false, []string{reporter, developer}},
		"administrator": {[]string{"api"}, 0, true, nil},
		"OAuth":         {nil, 30, false, nil},
	} {
		_, g := gitLabWorld(t)
		g.Scopes, g.Levels["pacer"], g.Admin = c.scopes, c.level, c.admin
		lacking, err := openStandIn(t, g, nil).Check(t.Context())
		if err != nil || !slices.EqualFunc(lacking, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, %v, expected %q", name, lacking, err, c.want)
		}
	}
	_, g := gitLabWorld(t)
	lacking, err := openStandIn(t, g, func(o *Options) { o.Repository = "https://gitlab.test/acme/other" }).Check(t.Context())
	if err != nil || len(lacking) != 1 || !strings.HasPrefix(lacking[0], "access to https://gitlab.test/acme/other: ") {
		t.Errorf("a project that is not seen: %q, %v", lacking, err)
	}
}
