package forge

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
)

// without are the permissions but for some, which are left out or replaced.
func without(changes ...string) map[string]string {
	p := maps.Clone(forgetest.AppPermissions)
	delete(p, "checks") // a token has no use for it
	for _, c := range changes {
		name, access, _ := strings.Cut(c, "=")
		p[name] = access
	}
	return p
}

func TestGitHubChecksTokens(t *testing.T) {
	for name, c := range map[string]struct {
		token   *forgetest.Token
		private bool
		pulls   bool // there are pull requests to try with
		want    []string
	}{
		"classic":                          {token: &forgetest.Token{Scopes: []string{"repo"}}, private: true},
		"classic of a public repository":   {token: &forgetest.Token{Scopes: []string{"gist", "public_repo"}}},
		"classic with too little":          {token: &forgetest.Token{Scopes: []string{"gist"}}, want: []string{`scope "public_repo"`}},
		"classic without scopes":           {token: &forgetest.Token{Scopes: []string{}}, want: []string{`scope "public_repo"`}},
		"classic that does not see it":     {token: &forgetest.Token{Scopes: []string{"public_repo"}}, private: true, want: []string{`scope "repo" (classic)`}},
		"classic of one who may not write": {token: &forgetest.Token{Scopes: []string{"repo"}, ReadOnly: true}, want: []string{`role "Write"`}},
		"fine":                             {token: &forgetest.Token{Permissions: without()}, pulls: true},
		"fine without pull requests":       {token: &forgetest.Token{Permissions: without()}},
		"fine that does not see it":        {token: &forgetest.Token{Permissions: without(), Blind: true}, want: []string{`"Repository access" (fine-grained)`}},
		"fine without contents":            {token: &forgetest.Token{Permissions: without("contents=")}, pulls: true, want: []string{`"Contents: Read-only"`}},
		"fine without reading pulls":       {token: &forgetest.Token{Permissions: without("pull_requests=")}, want: []string{`"Pull requests: Read and write"`}},
		"fine without writing pulls":       {token: &forgetest.Token{Permissions: without("pull_requests=read")}, pulls: true, want: []string{`"Pull requests: Read and write"`}},
		"fine without reading statuses":    {token: &forgetest.Token{Permissions: without("statuses=")}, want: []string{`"Commit statuses: Read and write"`}},
		"fine without writing statuses":    {token: &forgetest.Token{Permissions: without("statuses=read")}, want: []string{`"Commit statuses: Read and write"`}},
		"of an App":                        {token: &forgetest.Token{Permissions: without()}, want: []string{"app instead of the token of an App"}},
		"fine with nothing": {token: &forgetest.Token{Permissions: map[string]string{}, ReadOnly: true}, pulls: true, want: []string{
			`"Contents: Read-only"`, `"Pull requests: Read and write"`, `"Commit statuses: Read and write"`, `role "Write"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := gitHubWorld(t)
			g.Private = c.private
			if name != "of an App" {
				c.token.User = "robot"
			}
			g.SetToken(forgetest.GitHubToken, c.token)
			if c.pulls {
				w.Open(forgetest.Opening{Files: change(1), Labels: []string{"pacer/plan"}})
			}
			lacking, err := openAs(t, g, nil).Check(t.Context())
			expectLacking(t, lacking, err, c.want)
			if len(w.AllStatuses(w.Repo.Head())) != 0 || c.pulls && (len(w.Pull(1).Labels) != 1 || len(w.Pull(1).Comments) != 0) {
				t.Error("the check changed something")
			}
		})
	}
}

func expectLacking(t *testing.T, lacking []string, err error, want []string) {
	t.Helper()
	if err != nil || len(lacking) != len(want) {
		t.Fatalf("lacking %q, %v; expected %q", lacking, err, want)
	}
	for i := range want {
		if !strings.Contains(lacking[i], want[i]) {
			t.Errorf("lacking %q, expected %q", lacking[i], want[i])
		}
	}
}

func TestGitHubChecksApps(t *testing.T) {
	_, g := gitHubWorld(t)
	f := openApp(t, g, "pacer")
	check := func(want ...string) {
		t.Helper()
		lacking, err := f.Check(t.Context())
		expectLacking(t, lacking, err, want)
	}
	check()
	rights := []struct{ key, least, name string }{
		{"contents", "read", `"Contents: Read-only"`}, {"pull_requests", "write", `"Pull requests: Read and write"`},
		{"statuses", "write", `"Commit statuses: Read and write"`}, {"checks", "write", `"Checks: Read and write"`},
	}
	for _, r := range rights {
		p := maps.Clone(forgetest.AppPermissions)
		for _, access := range []string{"", "read", "write"} {
			p[r.key] = access
			g.SetAppPermissions(maps.Clone(p))
			if access == "write" || access == r.least {
				check()
			} else {
				check(r.name)
			}
		}
	}
	g.SetAppPermissions(map[string]string{"metadata": "read"})
	var all []string
	for _, r := range rights {
		all = append(all, r.name)
	}
	check(all...)
	g.SetAppPermissions(forgetest.AppPermissions)
	g.HideFromApps(true)
	check(`"Repository access" of installation`)
}

func TestGitHubCheckFails(t *testing.T) {
	for _, c := range []struct {
		fault forgetest.Fault
		is    error
	}{
		{forgetest.Fault{Status: 401}, ErrDenied}, {forgetest.Fault{Status: 500}, nil}, {forgetest.Fault{Cut: true}, nil},
		{forgetest.Fault{Path: "/pulls", Status: 500}, nil}, {forgetest.Fault{Path: "/status", Status: 429}, nil},
		{forgetest.Fault{Path: "/pulls", Status: 403, Header: map[string][]string{"Retry-After": {"9"}}}, nil},
	} {
		_, g := gitHubWorld(t)
		g.SetToken(forgetest.GitHubToken, &forgetest.Token{User: "robot", Permissions: without()})
		g.Break(c.fault)
		lacking, err := openAs(t, g, nil).Check(t.Context())
		if err == nil || lacking != nil || c.is != nil && !errors.Is(err, c.is) || c.is == nil && errors.Is(err, ErrDenied) {
			t.Errorf("%+v: %q, %v", c.fault, lacking, err)
		}
	}
}

func TestGitHubArchived(t *testing.T) {
	_, g := gitHubWorld(t)
	g.Archived = true
	for _, token := range []*forgetest.Token{{Scopes: []string{"repo"}}, {Permissions: without()}} {
		g.SetToken(forgetest.GitHubToken, token)
		lacking, err := openAs(t, g, nil).Check(t.Context())
		expectLacking(t, lacking, err, []string{"is archived"})
	}
}
