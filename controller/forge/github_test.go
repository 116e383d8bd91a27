package forge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// gitHubWorld is a repository at a stand-in for GitHub, whose pages are small.
func gitHubWorld(t *testing.T) (*forgetest.World, *forgetest.GitHub) {
	t.Helper()
	repo := gittest.New(t)
	repo.Commit("Begin", map[string]string{"shop.json": "{\n  \"id\": \"/shop\"\n}\n", "long.json": strings.Repeat("\n", 40)})
	w := forgetest.NewWorld(t, repo, "acme", "apps")
	g := forgetest.NewGitHub(t, w)
	g.PageSize = 2
	return w, g
}

// openAs opens the repository with what a change does to the options.
func openAs(t *testing.T, g *forgetest.GitHub, change func(o *Options)) Forge {
	t.Helper()
	o := Options{Type: "github", URL: g.URL, Repository: "https://github.test/acme/apps.git", Token: secret.Value(forgetest.GitHubToken)}
	if change != nil {
		change(&o)
	}
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// openApp opens the repository as a new GitHub App.
func openApp(t *testing.T, g *forgetest.GitHub, slug string) Forge {
	t.Helper()
	id, installation, key := g.NewApp(slug, forgetest.AppPermissions)
	return openAs(t, g, func(o *Options) {
		o.Token, o.App = secret.Ref{}, App{ID: id, Installation: installation, Key: secret.Value(key)}
	})
}

func numbers(pulls []Pull) string {
	var all []string
	for _, p := range pulls {
		all = append(all, fmt.Sprint(p.Number))
	}
	return strings.Join(all, " ")
}

func change(i int) map[string]string {
	return map[string]string{fmt.Sprintf("app-%d.json", i): "{}\n"}
}

func TestGitHubAddresses(t *testing.T) {
	for _, c := range []struct{ given, repository, api, page string }{
		{"", "https://github.com/acme/apps.git", "https://api.github.com/", "https://github.com/acme/apps"},
		{"", "git@github.com:acme/apps.git", "https://api.github.com/", "https://github.com/acme/apps"},
		{"", "ssh://git@ssh.github.com:443/acme/apps.git", "https://api.github.com/", "https://github.com/acme/apps"},
		{"https://github.com", "https://github.com/acme/apps", "https://api.github.com/", "https://github.com/acme/apps"},
		{"https://api.github.com", "https://github.com/acme/apps", "https://api.github.com/", "https://github.com/acme/apps"},
		{"", "https://git.example.com/acme/apps", "https://git.example.com/api/v3/", "https://git.example.com/acme/apps"},
		{"", "ssh://git@git.example.com:2222/acme/apps", "https://git.example.com/api/v3/", "https://git.example.com/acme/apps"},
		{"https://git.example.com:8443", "https://git.example.com/acme/apps", "https://git.example.com:8443/api/v3/", "https://git.example.com/acme/apps"},
		{"https://git.example.com/api/v3/", "https://git.example.com/acme/apps", "https://git.example.com/api/v3/", "https://git.example.com/acme/apps"},
		{"", "https://acme.ghe.com/acme/apps", "https://api.acme.ghe.com/", "https://acme.ghe.com/acme/apps"},
		{"https://api.acme.ghe.com", "https://acme.ghe.com/acme/apps", "https://api.acme.ghe.com/", "https://acme.ghe.com/acme/apps"},
	} {
		f, err := Open(Options{Type: "github", URL: c.given, Repository: c.repository, Token: secret.Value(canary)})
		if err != nil {
			t.Errorf("%s %s: %v", c.given, c.repository, err)
			continue
		}
		if api := f.(*gitHub).client.BaseURL(); api != c.api || f.String() != c.page {
			t.Errorf("%s %s: API %s, page %s; expected %s, %s", c.given, c.repository, api, f, c.api, c.page)
		}
	}
	for want, o := range map[string]Options{
		"OWNER/NAME":                      {Repository: "https://github.com/acme"},
		`"acme/team/apps"`:                {Repository: "https://github.com/acme/team/apps"},
		"forge.url must be":               {Repository: "https://github.com/acme/apps", URL: "https://me:pw@github.com"},
		"without a user":                  {Repository: "https://github.com/acme/apps", URL: "git.example.com"},
		"all of id, installation and key": {Repository: "https://github.com/acme/apps", App: App{ID: 1, Installation: 2}},
		"CA file":                         {Repository: "https://github.com/acme/apps", TLS: missingCA()},
	} {
		o.Type = "github"
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%+v: %v, expected %s", o, err, want)
		}
	}
	for url, want := range map[string]string{"git@github.com:a/b": "github", "https://GitHub.com/a/b": "github", "https://git.example.com/a/b": "", "/srv/git": ""} {
		if got := TypeOf(url); got != want {
			t.Errorf("%s is of type %q, expected %q", url, got, want)
		}
	}
}

func TestGitHubPulls(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openAs(t, g, nil)
	if pulls, more, err := f.Pulls(t.Context()); len(pulls) != 0 || more || err != nil {
		t.Fatalf("of none: %v %t %v", pulls, more, err)
	}
	begin := w.Repo.Head()
	for i := range 5 {
		w.Open(forgetest.Opening{Files: change(i), Author: "ada", Title: "Change", Body: "Why.", Labels: []string{"a", "pacer/plan"}, Draft: i == 0})
	}
	w.Open(forgetest.Opening{Files: change(6), Fork: "mallory", Author: "mallory", Head: "patch"})
	w.Close(3)
	w.Advance(time.Second)
	w.Comment(1, "ada", "Look!")
	main := w.Repo.Commit("Another", map[string]string{"other.json": "{}\n"})

	pulls, more, err := f.Pulls(t.Context())
	if numbers(pulls) != "1 6 5 4 2" || more || err != nil {
		t.Fatalf("open are %s, %t, %v", numbers(pulls), more, err)
	}
	is := w.Pull(1)
	want := Pull{
		Number: 1, Title: "Change", Body: "Why.", Author: "ada", URL: g.Page(1), State: PullOpen, Draft: true, Labels: []string{"a", "pacer/plan"},
		Updated: is.Updated.Truncate(time.Second), Base: "main", Head: "topic-1", HeadCommit: is.HeadCommit, HeadRef: "refs/pull/1/head", MergeRef: "refs/pull/1/merge",
	}
	if got := pulls[0]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("listed: %+v\nexpected %+v", got, want)
	}
	want.BaseCommit, want.MergeBase = main, begin
	if got, err := f.Pull(t.Context(), 1); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || err != nil {
		t.Errorf("read: %+v, %v\nexpected %+v", got, err, want)
	}
	for _, gone := range []bool{false, true} {
		g.ForksGone = gone
		got, err := f.Pull(t.Context(), 6)
		if !got.Fork || got.Head != "patch" || got.HeadCommit != w.Pull(6).HeadCommit || got.MergeBase != begin || err != nil {
			t.Errorf("of a fork, which is gone: %t: %+v, %v", gone, got, err)
		}
	}
	if got, err := f.Pull(t.Context(), 3); got.State != PullClosed || got.MergeRef != "" || err != nil {
		t.Errorf("closed: %+v, %v", got, err)
	}
	if _, err := f.Pull(t.Context(), 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	w.Push(1, "Conflict", map[string]string{"other.json": "[]\n"})
	if got, err := f.Pull(t.Context(), 1); !got.Conflicts || err != nil {
		t.Errorf("with conflicts: %+v, %v", got, err)
	}
	w.FreezeMergeRefs(true)
	w.Push(1, "Perhaps", map[string]string{"other.json": "{}\n"})
	if got, err := f.Pull(t.Context(), 1); got.Conflicts || err != nil {
		t.Errorf("not known yet: %+v, %v", got, err)
	}
	g.Break(forgetest.Fault{Path: "/compare/", Times: 1, Status: 403})
	if got, err := f.Pull(t.Context(), 1); got.MergeBase != "" || got.BaseCommit != "" || got.HeadCommit == "" || err != nil {
		t.Errorf("without the right to compare: %+v, %v", got, err)
	}
	g.Break(forgetest.Fault{Path: "/compare/", Times: 1, Status: 500})
	if _, err := f.Pull(t.Context(), 1); err == nil {
		t.Error("a comparison that failed is no error")
	}
	w.Repo.Git("switch", "--quiet", "--orphan", "alone")
	w.Repo.Commit("Alone", nil)
	alone := w.Open(forgetest.Opening{Head: "alone"})
	if got, err := f.Pull(t.Context(), alone); got.MergeBase != "" || got.HeadCommit == "" || err != nil {
		t.Errorf("unrelated histories: %+v, %v", got, err)
	}
}

func TestGitHubListsAreBounded(t *testing.T) {
	pages := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages++
		size := 100
		if strings.Contains(r.URL.Path, "/issues/") || strings.HasSuffix(r.URL.Path, "/user") {
			size = 0
		}
		if strings.HasSuffix(r.URL.Path, "/user") {
			fmt.Fprint(w, `{"id": 1, "login": "pacer"}`)
			return
		}
		w.Header().Set("Link", fmt.Sprintf(`<http://%s/x?page=%d>; rel="next"`, r.Host, pages+1)) // for ever
		items := []string{}
		for i := range size {
			items = append(items, fmt.Sprintf(`{"number": %d, "updated_at": "2026-01-01T00:00:00Z", "merged_at": "2026-01-01T00:00:00Z"}`, (pages-1)*99+i))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(items, ","))
	}))
	defer server.Close()
	f := openAs(t, &forgetest.GitHub{Server: &forgetest.Server{Server: server}}, nil)
	pulls, more, err := f.Pulls(t.Context())
	if len(pulls) != MaxPulls || !more || err != nil || pages > 7 {
		t.Errorf("%d pull requests, %t, %v, of %d pages", len(pulls), more, err, pages)
	}
	seen := map[int]bool{}
	for _, p := range pulls {
		if seen[p.Number] {
			t.Errorf("pull request %d, which is on two pages, is listed twice", p.Number)
		}
		seen[p.Number] = true
	}
	pages = 0
	if pulls, err := f.MergedSince(t.Context(), time.Time{}); len(pulls) != MaxPulls || err != nil || pages > 7 {
		t.Errorf("%d merged, %v, of %d pages", len(pulls), err, pages)
	}
	pages = 0
	if _, err := f.FindComment(t.Context(), 1, "x"); err == nil || !strings.Contains(err.Error(), "more than 100 pages") || pages > 101 {
		t.Errorf("a list without end: %v, of %d pages", err, pages)
	}
}

func TestGitHubMergedSince(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openAs(t, g, nil)
	for i := range 9 {
		w.Open(forgetest.Opening{Files: change(i)})
	}
	for i := range 4 {
		w.Merge(i + 1)
		w.Advance(time.Minute)
	}
	since := w.Now().Truncate(time.Second)
	merge := w.Merge(5)
	squash := w.Squash(6)
	w.Advance(time.Minute)
	w.Close(7)
	w.Comment(1, "ada", "Thanks!") // an old one that was touched
	g.Requests()
	pulls, err := f.MergedSince(t.Context(), w.Pull(5).MergedAt.Truncate(time.Second).Add(999*time.Millisecond))
	if numbers(pulls) != "6 5" || err != nil {
		t.Fatalf("merged are %s, %v", numbers(pulls), err)
	}
	if requests := g.Requests(); len(requests) != 3 {
		t.Errorf("%d pages were read, though the third begins with an older one: %q", len(requests), requests)
	}
	for i, want := range []string{squash, merge} {
		if p := pulls[i]; p.MergedAs != want || p.State != PullMerged || p.MergeRef != "" || p.MergedAt.Before(since) {
			t.Errorf("%+v, expected %s", p, want)
		}
	}
	if p, err := f.Pull(t.Context(), 5); p.MergedAs != merge || p.State != PullMerged || err != nil {
		t.Errorf("read: %+v, %v", p, err)
	}
}

func TestGitHubLabels(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openAs(t, g, nil)
	n := w.Open(forgetest.Opening{Files: change(1), Labels: []string{"a b", "pacer/plan"}})
	for range 2 { // the second time it is not there
		if err := f.RemoveLabel(t.Context(), n, "pacer/plan"); err != nil {
			t.Fatal(err)
		}
		if got := w.Pull(n).Labels; len(got) != 1 || got[0] != "a b" {
			t.Errorf("labels: %q", got)
		}
	}
	if err := f.RemoveLabel(t.Context(), n, "a b"); err != nil || len(w.Pull(n).Labels) != 0 {
		t.Errorf("%q, %v", w.Pull(n).Labels, err)
	}
	if err := f.RemoveLabel(t.Context(), 99, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a pull request that is not there: %v", err)
	}
}

func TestGitHubComments(t *testing.T) {
	for _, kind := range []string{"token", "app"} {
		t.Run(kind, func(t *testing.T) {
			w, g := gitHubWorld(t)
			f, author := openAs(t, g, nil), "pacer"
			if kind == "app" {
				f, author = openApp(t, g, "pacer-of-acme"), "pacer-of-acme[bot]"
			}
			n := w.Open(forgetest.Opening{Files: change(1)})
			marker := "<!-- pacer shop -->"
			for range 3 {
				w.Comment(n, "mallory", "A forged one "+marker)
			}
			w.Comment(n, author, "Another of mine")
			if c, err := f.FindComment(t.Context(), n, marker); c != nil || err != nil {
				t.Fatalf("before there is one: %+v, %v", c, err)
			}
			made, err := f.CreateComment(t.Context(), n, "1 scale "+marker)
			if err != nil {
				t.Fatal(err)
			}
			w.Comment(n, author, "A second one, by mistake "+marker)
			found, err := f.FindComment(t.Context(), n, marker)
			if err != nil || found == nil || *found != made || !strings.HasPrefix(made.URL, g.Page(n)+"#") {
				t.Fatalf("found %+v, %v; made %+v", found, err, made)
			}
			if err := f.EditComment(t.Context(), n, made.ID, "2 scale "+marker); err != nil {
				t.Fatal(err)
			}
			if mine := w.Comments(n, author); len(mine) != 3 || mine[1].Body != "2 scale "+marker {
				t.Errorf("comments: %+v", mine)
			}
			longest := strings.Repeat("x", f.MaxComment()-len(marker)) + marker
			if err := f.EditComment(t.Context(), n, made.ID, longest); err != nil {
				t.Errorf("a comment of MaxComment bytes: %v", err)
			}
			if err := f.EditComment(t.Context(), n, made.ID, longest+"x"); err == nil || !strings.Contains(err.Error(), "422 Unprocessable Entity: Validation Failed: Body is too long") {
				t.Errorf("a longer comment: %v", err)
			}
			w.DeleteComment(w.Comments(n, author)[1].ID)
			if err := f.EditComment(t.Context(), n, made.ID, "3"); !errors.Is(err, ErrNotFound) {
				t.Errorf("editing a deleted comment: %v", err)
			}
			if err := f.EditComment(t.Context(), n, "../7", "3"); err == nil {
				t.Error("an id that is no number is taken")
			}
			if _, err := f.FindComment(t.Context(), 99, marker); !errors.Is(err, ErrNotFound) {
				t.Errorf("of no pull request: %v", err)
			}
			asked := 0
			for _, r := range g.Requests() {
				if r == "GET /user" || r == "GET /app" {
					asked++
				}
			}
			if asked > 1 {
				t.Errorf("who it is was asked %d times", asked)
			}
		})
	}
}

func TestGitHubUserFollowsTheToken(t *testing.T) {
	w, g := gitHubWorld(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(forgetest.GitHubToken)
	f := openAs(t, g, func(o *Options) { o.Token = secret.Ref{File: file} })
	n := w.Open(forgetest.Opening{Files: change(1)})
	w.Comment(n, "pacer", "<m>")
	w.Comment(n, "robot", "<m> of robot")
	g.SetToken("ghp_another", &forgetest.Token{User: "robot", Scopes: []string{"repo"}})
	for token, want := range map[string]string{forgetest.GitHubToken: "<m>", "ghp_another": "<m> of robot"} {
		write(token)
		if c, err := f.FindComment(t.Context(), n, "<m>"); err != nil || c == nil || c.Body != want {
			t.Errorf("%+v, %v, expected %q", c, err, want)
		}
	}
	write("")
	if _, err := f.FindComment(t.Context(), n, "<m>"); err == nil || !strings.Contains(err.Error(), "is empty: write the secret to it") {
		t.Errorf("without a token: %v", err)
	}
}

func TestGitHubStatuses(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openAs(t, g, nil)
	commit := w.Repo.Head()
	if all, err := f.Statuses(t.Context(), commit); len(all) != 0 || err != nil {
		t.Fatalf("of none: %+v, %v", all, err)
	}
	set := []Status{
		{"pacer/shop", Pending, "2 of 3 changes", "https://pacer.example/a"}, {"pacer/a", Success, "", ""}, {"pacer/b", Failure, "bad", ""},
		{"pacer/c", Stopped, "superseded", ""}, {"pacer/shop", Success, "healthy after 42 s", "https://pacer.example/b"},
	}
	for _, s := range set {
		if err := f.SetStatus(t.Context(), commit, s); err != nil {
			t.Fatal(err)
		}
	}
	w.SetStatus(forgetest.Status{Commit: commit, Context: "ci", State: "success", Creator: "grace"})
	all, err := f.Statuses(t.Context(), commit)
	got := map[string]Status{}
	for _, s := range all {
		got[s.Context] = s
	}
	if err != nil || len(all) != 5 || got["ci"].State != Success || got["pacer/shop"] != set[4] || got["pacer/a"] != set[1] || got["pacer/b"] != set[2] || got["pacer/c"] != set[3] {
		t.Errorf("%+v, %v", all, err)
	}
	long := Status{Context: "pacer/long", State: Failure, Description: strings.Repeat("ü", 141)}
	if err := f.SetStatus(t.Context(), commit, long); err != nil {
		t.Fatal(err)
	}
	if s := w.Statuses(commit)["pacer/long"]; s.Description != strings.Repeat("ü", 139)+"…" || s.Creator != "pacer" {
		t.Errorf("%+v", s)
	}
	long.Description = strings.Repeat("ü", 140)
	if err := f.SetStatus(t.Context(), commit, long); err != nil || w.Statuses(commit)["pacer/long"].Description != long.Description {
		t.Errorf("one that just fits: %+v, %v", w.Statuses(commit)["pacer/long"], err)
	}
	none := strings.Repeat("a", 40)
	if _, err := f.Statuses(t.Context(), none); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no commit: %v", err)
	}
	if err := f.SetStatus(t.Context(), none, long); err == nil || !strings.Contains(err.Error(), "No commit found") {
		t.Errorf("of no commit: %v", err)
	}
}

func TestGitHubFileURL(t *testing.T) {
	f := openAs(t, &forgetest.GitHub{Server: &forgetest.Server{Server: &httptest.Server{URL: "https://api.github.test"}}}, nil)
	got := f.FileURL(Pull{Number: 7, URL: "https://github.test/acme/apps/pull/7"}, "README.md", 12)
	// sha256 of README.md, as GitHub's own links have it.
	if want := "https://github.test/acme/apps/pull/7/files#diff-b335630551682c19a781afebcf4d07bf978fb1f8ac04c6bf87428ed5106870f5R12"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if got := f.FileURL(Pull{Number: 7}, "README.md", 0); !strings.HasPrefix(got, "https://github.test/acme/apps/pull/7/files#diff-b335") || strings.Contains(got, "R") {
		t.Errorf("%s", got)
	}
}

func TestGitHubFaults(t *testing.T) {
	w, g := gitHubWorld(t)
	var log bytes.Buffer
	f := openAs(t, g, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	n := w.Open(forgetest.Opening{Files: change(1)})
	reset := w.Now().Add(20 * time.Minute).Truncate(time.Second)
	for name, c := range map[string]struct {
		do   func()
		want func(err error) bool
	}{
		"limit": {func() { g.Limit(0, reset) }, func(err error) bool {
			limit, ok := errors.AsType[*RateLimitError](err)
			return ok && limit.Until.Equal(reset) && !errors.Is(err, ErrDenied)
		}},
		"secondary limit": {func() { g.SecondaryLimit("600") }, func(err error) bool {
			limit, ok := errors.AsType[*RateLimitError](err)
			return ok && limit.Until.After(time.Now().Add(5*time.Minute)) && limit.Until.Before(time.Now().Add(11*time.Minute))
		}},
		"secondary limit without a time": {func() { g.SecondaryLimit("") }, func(err error) bool {
			_, ok := errors.AsType[*RateLimitError](err)
			return ok
		}},
		"down": {func() { g.Break(forgetest.Fault{Status: 503, Body: "<html>down"}) }, func(err error) bool { return strings.Contains(err.Error(), "503 Service Unavailable: <html>down") }},
		"cut":  {func() { g.Break(forgetest.Fault{Cut: true}) }, func(err error) bool { return strings.Contains(err.Error(), "EOF") }},
		"revoked": {func() { g.SetToken(forgetest.GitHubToken, nil) }, func(err error) bool {
			return errors.Is(err, ErrDenied) && strings.Contains(err.Error(), "Bad credentials")
		}},
		"empty answer": {func() { g.Break(forgetest.Fault{Status: 200}) }, func(err error) bool {
			return strings.Contains(err.Error(), "answer") && !errors.Is(err, ErrNotFound)
		}},
		"null": {func() { g.Break(forgetest.Fault{Status: 200, Body: "null"}) }, func(err error) bool { return strings.Contains(err.Error(), "answer") }},
		"elsewhere": {func() {
			g.Break(forgetest.Fault{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}})
		}, func(err error) bool { return strings.Contains(err.Error(), "set forge.url") }},
	} {
		c.do()
		_, _, pulls := f.Pulls(t.Context())
		_, pull := f.Pull(t.Context(), n)
		_, comment := f.CreateComment(t.Context(), n, "x")
		_, merged := f.MergedSince(t.Context(), time.Time{})
		_, find := f.FindComment(t.Context(), n, "x")
		_, statuses := f.Statuses(t.Context(), w.Repo.Head())
		_, annotate := f.Annotate(t.Context(), Pull{Number: n, HeadCommit: w.Repo.Head()}, "pacer/shop", nil)
		for method, err := range map[string]error{"Pulls": pulls, "Pull": pull, "CreateComment": comment, "MergedSince": merged, "FindComment": find, "Statuses": statuses, "Annotate": annotate} {
			if err == nil || !c.want(err) || strings.Contains(err.Error(), "ghp_") || !strings.Contains(err.Error(), "https://github.test/acme/apps") {
				t.Errorf("%s: %s: %v", name, method, err)
			}
		}
		g.Heal()
		g.Limit(-1, reset)
		g.SetToken(forgetest.GitHubToken, &forgetest.Token{User: "pacer", Scopes: []string{"repo"}})
		if _, _, err := f.Pulls(t.Context()); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if strings.Contains(log.String(), "ghp_") || !strings.Contains(log.String(), "status=503") {
		t.Errorf("log: %s", log.String())
	}
}

func TestGitHubAsksConditionally(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openAs(t, g, nil)
	for i := range 5 {
		w.Open(forgetest.Opening{Files: change(i)})
	}
	if _, _, err := f.Pulls(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Limit(2, w.Now().Add(time.Hour)) // requests that are not answered by 304
	for range 3 {
		if pulls, _, err := f.Pulls(t.Context()); numbers(pulls) != "5 4 3 2 1" || err != nil {
			t.Fatalf("%s, %v", numbers(pulls), err)
		}
	}
	w.Label(5, "this changes the first page only")
	if pulls, _, err := f.Pulls(t.Context()); numbers(pulls) != "5 4 3 2 1" || len(pulls[0].Labels) != 1 || err != nil {
		t.Errorf("%s, %v", numbers(pulls), err)
	}
	g.Limit(0, w.Now().Add(time.Hour))
	if _, _, err := f.Pulls(t.Context()); err == nil {
		t.Error("no request was left, and there is no error")
	}
}

func TestGitHubRedirects(t *testing.T) {
	// A repository that was renamed: GitHub redirects, for a POST by 307.
	w, g := gitHubWorld(t)
	n := w.Open(forgetest.Opening{Files: change(1)})
	for _, method := range []string{"GET", "POST"} {
		g.Break(forgetest.Fault{Method: method, Path: "/repos/acme/old/", Status: 307, Header: http.Header{"Location": {fmt.Sprintf("/repos/acme/apps/issues/%d/comments", n)}}})
	}
	f := openAs(t, g, func(o *Options) { o.Repository = "https://github.test/acme/old" })
	made, err := f.CreateComment(t.Context(), n, "<m>")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.FindComment(t.Context(), n, "<m>"); err != nil || c == nil || *c != made {
		t.Errorf("%+v, %v", c, err)
	}
}

func missingCA() (f clienttls.Files) {
	f.CAFile = "/does/not/exist"
	return f
}
