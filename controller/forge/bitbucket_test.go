package forge

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

func bitbucketWorld(t *testing.T) *forgetest.World {
	t.Helper()
	repo := gittest.New(t)
	repo.Commit("Begin", map[string]string{"shop.json": "{}\n"})
	return forgetest.NewWorld(t, repo, "acme", "apps")
}

func TestBitbucketAddresses(t *testing.T) {
	for _, c := range []struct{ typ, given, repository, api, path, page string }{
		{"bitbucket", "", "https://bitbucket.org/acme/apps.git", "https://api.bitbucket.org/2.0", "/repositories/acme/apps", "https://bitbucket.org/acme/apps"},
		{"bitbucket", "https://api.bitbucket.org/2.0/", "git@bitbucket.org:acme/apps.git", "https://api.bitbucket.org/2.0", "/repositories/acme/apps", "https://bitbucket.org/acme/apps"},
		{"bitbucket-server", "", "https://git.example.com/scm/SHOP/apps.git", "https://git.example.com", "/rest/api/1.0/projects/SHOP/repos/apps", "https://git.example.com/projects/SHOP/repos/apps"},
		{"bitbucket-server", "", "https://git.example.com/scm/~ada/apps.git", "https://git.example.com", "/rest/api/1.0/projects/~ada/repos/apps", "https://git.example.com/projects/~ada/repos/apps"},
		{"bitbucket-server", "", "https://example.com/bitbucket/scm/SHOP/apps.git", "https://example.com/bitbucket", "/rest/api/1.0/projects/SHOP/repos/apps", "https://example.com/bitbucket/projects/SHOP/repos/apps"},
		{"bitbucket-server", "https://git.example.com:8443/rest/api/1.0", "ssh://git@git.example.com:7999/SHOP/apps.git", "https://git.example.com:8443", "/rest/api/1.0/projects/SHOP/repos/apps", "https://git.example.com:8443/projects/SHOP/repos/apps"},
		{"bitbucket-server", "", "ssh://git@git.example.com:7999/SHOP/apps.git", "https://git.example.com", "/rest/api/1.0/projects/SHOP/repos/apps", "https://git.example.com/projects/SHOP/repos/apps"},
	} {
		f, err := Open(Options{Type: c.typ, URL: c.given, Repository: c.repository, Token: secret.Value("x")})
		if err != nil {
			t.Fatalf("%s: %v", c.repository, err)
		}
		var api, path string
		switch f := f.(type) {
		case *cloud:
			api, path = f.api.base, f.path
		case *server:
			api, path = f.api.base, f.path("api")
		}
		if api != c.api || path != c.path || f.String() != c.page {
			t.Errorf("%s, %s: %s, %s, %s", c.given, c.repository, api, path, f)
		}
	}
	for _, o := range []Options{
		{Type: "bitbucket", Repository: "https://bitbucket.org/apps"}, {Type: "bitbucket", Repository: "https://bitbucket.org/a/b/c"}, {Type: "bitbucket", Repository: "https://git.example.com/a/b"}, {Type: "bitbucket", Repository: "https://bitbucket.org/a/b", URL: "https://u:" + canary + "@api.bitbucket.org"},
		{Type: "bitbucket-server", Repository: "https://git.example.com/apps"}, {Type: "bitbucket-server", Repository: "https://git.example.com/a/b/c"}, {Type: "bitbucket-server", Repository: "https://git.example.com/scm/a/b", URL: "ftp://a"},
	} {
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if got := TypeOf("git@bitbucket.org:acme/apps.git"); got != "bitbucket" {
		t.Errorf("bitbucket.org is of type %q", got)
	}
}

// What is hidden elsewhere is hidden in Bitbucket, too, whose Markdown has no HTML.
func TestBitbucketCommentsHaveNoHTML(t *testing.T) {
	body := "**1 restart** a\n\n| a | b |\n|---|---|\n| x<br>y | z |\n\n<details><summary>fields of <code>/shop</code></summary>\n\nmore\n\n</details>\n\n<!-- pacer c2hvcA eyJhIjoxfQ -->"
	sent := toBitbucket(body)
	if strings.ContainsAny(sent, "<>") || !strings.HasSuffix(sent, "\n\n[//]: # (pacer c2hvcA eyJhIjoxfQ)") || !strings.Contains(sent, "**fields of") {
		t.Errorf("sent %q", sent)
	}
	for _, back := range []string{sent, strings.ReplaceAll(sent, "\n", "\r\n")} {
		if got := fromBitbucket(back); got != body {
			t.Errorf("read %q", got)
		}
	}
	if len(sent) > len(body)+10 {
		t.Errorf("%d bytes became %d", len(body), len(sent))
	}
}

func FuzzBitbucketComments(f *testing.F) {
	f.Add("a\n\n<details><summary><code>x</code></summary>\n\n</details>\n<!-- pacer a b -->")
	f.Add("<!-- a --><!-- pacer a b --> c -->")
	f.Add("\n[//]: # (a) <!-- b -->")
	f.Fuzz(func(t *testing.T, body string) {
		if strings.ContainsAny(body, "\r\u2060\u2061\u2062\u2063\u2064\u206a\u206b") || !utf8.ValidString(body) || strings.Contains(body, definitionBegin) {
			return // no comment of Pacer's has these
		}
		if got := fromBitbucket(toBitbucket(body)); got != body {
			t.Errorf("%q became %q", body, got)
		}
	})
}

func FuzzBitbucketKeys(f *testing.F) {
	f.Add("pacer/shop", "pacer/shop/plan")
	f.Add(strings.Repeat("é", 30), strings.Repeat("é", 31))
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := bitbucketKey(a), bitbucketKey(b)
		if len(x) > bitbucketKeyLength || a != "" && x == "" || bitbucketKey(a) != x || a != b && x == y && max(len(a), len(b)) > bitbucketKeyLength {
			t.Errorf("%q: %q, %q: %q", a, x, b, y)
		}
	})
}

func TestBitbucketTokensOfAUser(t *testing.T) {
	password := "ATATT3canaryOfAPasswordThatIsNeverTold"
	encoded := base64.StdEncoding.EncodeToString([]byte("ada@example.com:" + password))
	for _, typ := range []string{"bitbucket", "bitbucket-server"} {
		w := bitbucketWorld(t)
		s := standIns[typ](t, w)
		s.(interface {
			SetToken(authorization, user string)
		}).SetToken("Basic "+encoded, "ada")
		f := openStandIn(t, s, func(o *Options) { o.Token = secret.Value("ada@example.com:" + password) })
		n := w.Open(forgetest.Opening{Files: change(1)})
		if _, err := f.CreateComment(t.Context(), n, "x"); err != nil || len(w.Comments(n, "ada")) != 1 {
			t.Errorf("%s: %v, comments %+v", typ, err, w.Pull(n).Comments)
		}
		s.Breakable().Break(forgetest.Fault{Status: 400, Body: fmt.Sprintf(`{"error": {"message": "bad %s %s"}}`, encoded, password)})
		if _, err := f.CreateComment(t.Context(), n, "x"); err == nil || strings.Contains(err.Error(), encoded[30:]) || strings.Contains(err.Error(), password[:20]) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestBitbucketAnnotations(t *testing.T) {
	for _, typ := range []string{"bitbucket", "bitbucket-server"} {
		w := bitbucketWorld(t)
		f, ctx := openStandIn(t, standIns[typ](t, w), nil), t.Context()
		p, err := f.Pull(ctx, w.Open(forgetest.Opening{Files: change(1)}))
		if err != nil {
			t.Fatal(err)
		}
		show := func(all ...Annotation) []forgetest.Check {
			t.Helper()
			if shown, err := f.Annotate(ctx, p, "pacer/shop", all); err != nil || !shown {
				t.Fatalf("%s: %t, %v", typ, shown, err)
			}
			return w.Checks(p.HeadCommit)
		}
		if checks := show(); len(checks) != 0 {
			t.Errorf("%s: none: %+v", typ, checks)
		}
		var many []Annotation
		for i := range 1001 {
			many = append(many, Annotation{File: "shop.json", Line: i + 1, Message: strings.Repeat("é", 400)})
		}
		if checks := show(many...); len(checks) != 1 || len(checks[0].Annotations) != 1000 || checks[0].Annotations[999].Line != 1000 {
			t.Errorf("%s: many: %d reports", typ, len(checks))
		}
		checks := show(Annotation{File: "shop.json", Line: 3, Message: "no cmd"}, Annotation{File: "a.json", Line: 1, Warning: true, Message: "odd"})
		want := []forgetest.Annotation{{File: "shop.json", Line: 3, Level: "HIGH", Text: "no cmd"}, {File: "a.json", Line: 1, Level: "LOW", Text: "odd"}}
		if len(checks) != 1 || !strings.HasPrefix(checks[0].Conclusion, "FAIL") || !slices.Equal(checks[0].Annotations, want) {
			t.Errorf("%s: %+v", typ, checks)
		}
		if checks := show(Annotation{File: "a.json", Line: 1, Warning: true, Message: "odd"}); len(checks) != 1 || !strings.HasPrefix(checks[0].Conclusion, "PASS") || len(checks[0].Annotations) != 1 {
			t.Errorf("%s: warnings: %+v", typ, checks)
		}
		if checks := show(); len(checks) != 0 {
			t.Errorf("%s: none any more: %+v", typ, checks)
		}
	}
}

func TestBitbucketPagesOfFiles(t *testing.T) {
	w := bitbucketWorld(t)
	for _, c := range []struct {
		typ  string
		line int
		want string
	}{
		{"bitbucket", 12, "https://bitbucket.org/acme/apps/pull-requests/7/diff#La%20b/c%23.jsonT12"},
		{"bitbucket", 0, "https://bitbucket.org/acme/apps/pull-requests/7/diff#chg-a%20b/c%23.json"},
		{"bitbucket-server", 12, "/projects/acme/repos/apps/pull-requests/7/diff#a%20b/c%23.json?t=12"},
		{"bitbucket-server", 0, "/projects/acme/repos/apps/pull-requests/7/diff#a%20b/c%23.json"},
	} {
		f := openStandIn(t, standIns[c.typ](t, w), nil)
		if got := f.FileURL(Pull{Number: 7}, "a b/c#.json", c.line); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s, expected %s", got, c.want)
		}
	}
}

func TestBitbucketCloudRights(t *testing.T) {
	const account, pulls, repositories = `the permission "Account: Read"`, `the permission "Pull requests: Write"`, `the permission "Repositories: Read"`
	for name, c := range map[string]struct {
		scopes string
		denied []string
		want   []string
	}{
		"classic":              {scopes: "pullrequest:write, account"},
		"granular":             {scopes: "read:user:bitbucket, read:pullrequest:bitbucket, write:pullrequest:bitbucket, read:repository:bitbucket"},
		"read only":            {scopes: "repository, pullrequest, account", want: []string{pulls}},
		"only pull requests":   {scopes: "write:pullrequest:bitbucket", denied: []string{"/user", "/repositories/acme/apps"}, want: []string{account, repositories}},
		"unknown":              {},
		"unknown, not allowed": {denied: []string{"/user", "/repositories/acme/apps/pullrequests"}, want: []string{account, pulls}},
	} {
		b := forgetest.NewBitbucketCloud(t, bitbucketWorld(t))
		b.Scopes, b.Denied = c.scopes, c.denied
		lacking, err := openStandIn(t, b, nil).Check(t.Context())
		if err != nil || !slices.EqualFunc(lacking, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, %v, expected %q", name, lacking, err, c.want)
		}
	}
	b := forgetest.NewBitbucketCloud(t, bitbucketWorld(t))
	lacking, err := openStandIn(t, b, func(o *Options) { o.Repository = "https://bitbucket.org/acme/other" }).Check(t.Context())
	if err != nil || len(lacking) != 1 || !strings.HasPrefix(lacking[0], "access to https://bitbucket.org/acme/other: ") {
		t.Errorf("a repository that is not seen: %q, %v", lacking, err)
	}
}

func TestBitbucketServerRights(t *testing.T) {
	b := forgetest.NewBitbucketServer(t, bitbucketWorld(t))
	if lacking, err := openStandIn(t, b, nil).Check(t.Context()); err != nil || len(lacking) != 0 {
		t.Errorf("%q, %v", lacking, err)
	}
	b.Break(forgetest.Fault{Path: "/pull-requests", Status: http.StatusForbidden, Times: 1})
	for _, repository := range []string{"https://bitbucket.test/scm/acme/apps", "https://bitbucket.test/scm/acme/other"} {
		lacking, err := openStandIn(t, b, func(o *Options) { o.Repository = repository }).Check(t.Context())
		if err != nil || len(lacking) != 1 || !strings.HasPrefix(lacking[0], `the permission "Repository read"`) {
			t.Errorf("%s: %q, %v", repository, lacking, err)
		}
	}
}

func TestBitbucketCloudAsksForAWholeHashOnce(t *testing.T) {
	w := bitbucketWorld(t)
	b := forgetest.NewBitbucketCloud(t, w)
	f, ctx := openStandIn(t, b, nil), t.Context()
	for i := range 3 {
		w.Open(forgetest.Opening{Files: change(i)})
	}
	for i, want := range []int{1 + 3, 1, 1 + 1} {
		if i == 2 {
			w.Push(2, "More", change(10))
		}
		b.Requests()
		pulls, _, err := f.Pulls(ctx)
		if asked := b.Requests(); err != nil || len(asked) != want || len(pulls) != 3 {
			t.Errorf("%d: %d requests, expected %d: %q, %v", i, len(asked), want, asked, err)
		}
		for _, p := range pulls {
			if p.HeadCommit != w.Pull(p.Number).HeadCommit {
				t.Errorf("%d: %d is at %s", i, p.Number, p.HeadCommit)
			}
		}
	}
}

// A push between two requests is not taken for the commit before it.
func TestBitbucketCloudHeadThatMoves(t *testing.T) {
	w := bitbucketWorld(t)
	b := forgetest.NewBitbucketCloud(t, w)
	f := openStandIn(t, b, nil)
	n := w.Open(forgetest.Opening{Files: change(1)})
	newer := strings.Repeat("ab", 20)
	b.Break(forgetest.Fault{Path: "/commits?", Status: 200, Body: fmt.Sprintf(`{"values": [{"hash": %q}]}`, newer), Times: 1})
	for i, want := range []string{newer, w.Pull(n).HeadCommit} {
		if p, err := f.Pull(t.Context(), n); err != nil || p.HeadCommit != want {
			t.Errorf("%d: %s, %v, expected %s", i, p.HeadCommit, err, want)
		}
	}
	b.Break(forgetest.Fault{Path: "/commits?", Status: 404})
	w.Push(n, "More", change(2))
	if p, err := f.Pull(t.Context(), n); err != nil || p.HeadCommit != w.Pull(n).HeadCommit[:12] {
		t.Errorf("a source that is gone: %s, %v", p.HeadCommit, err)
	}
}

func TestBitbucketCloudFollowsNoPageElsewhere(t *testing.T) {
	b := forgetest.NewBitbucketCloud(t, bitbucketWorld(t))
	f := openStandIn(t, b, nil)
	for _, next := range []string{"https://evil.example/2.0/x", b.URL + ".evil.example/2.0/x", b.URL + "@evil.example/2.0/"} {
		b.Break(forgetest.Fault{Path: "/statuses", Status: 200, Body: fmt.Sprintf(`{"values": [], "next": %q}`, next), Times: 1})
		if _, err := f.Statuses(t.Context(), "abc"); err == nil || !strings.Contains(err.Error(), "the token must not be sent") {
			t.Errorf("%s: %v", next, err)
		}
	}
}

func TestBitbucketServerEditsTheNewestVersion(t *testing.T) {
	w := bitbucketWorld(t)
	b := forgetest.NewBitbucketServer(t, w)
	f, ctx := openStandIn(t, b, nil), t.Context()
	n := w.Open(forgetest.Opening{Files: change(1)})
	made, err := f.CreateComment(ctx, n, "one")
	if err != nil {
		t.Fatal(err)
	}
	b.Break(forgetest.Fault{Method: "PUT", Status: http.StatusConflict, Body: `{"errors": [{"message": "out-of-date"}]}`, Late: true, Times: 1})
	if err := f.EditComment(ctx, n, made.ID, "two"); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "out-of-date") {
		t.Errorf("an edit that another was before: %v", err)
	}
	if err := f.EditComment(ctx, n, made.ID, "three"); err != nil || w.Comments(n, "pacer")[0].Body != "three" {
		t.Errorf("%v, %+v", err, w.Comments(n, "pacer"))
	}
}

func TestBitbucketWordsOfStates(t *testing.T) {
	for typ, want := range map[string]string{"bitbucket": "STOPPED", "bitbucket-server": "CANCELLED", "bitbucket-server 7": "FAILED"} {
		w := bitbucketWorld(t)
		f, commit := openStandIn(t, standIns[typ](t, w), nil), w.Repo.Head()
		if err := f.SetStatus(t.Context(), commit, Status{Context: "pacer/shop", State: Stopped, Description: "superseded by abc"}); err != nil {
			t.Fatal(err)
		}
		if got := w.Statuses(commit)["pacer/shop"]; got.State != want || !strings.HasSuffix(got.Description, "superseded by abc") || !strings.HasSuffix(got.URL, "/commits/"+commit) {
			t.Errorf("%s: %+v", typ, got)
		}
	}
}
