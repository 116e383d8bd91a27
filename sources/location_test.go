package sources

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]Location{
		".":                             {Dir: "."},
		"./prod/":                       {Dir: "prod"},
		"/srv/manifests":                {Dir: "/srv/manifests"},
		"../a:b":                        {Dir: "../a:b"},
		"./-dir":                        {Dir: "-dir"},
		"github.com/team/repo":          {Dir: "github.com/team/repo"},
		"https://host/team/r.git":       {URL: "https://host/team/r.git"},
		"https://host:8443/r":           {URL: "https://host:8443/r"},
		"https://host/r.git?ref=v1.2.3": {URL: "https://host/r.git", Ref: "v1.2.3"},
		"https://host/r.git//prod/eu?ref=team/main": {URL: "https://host/r.git", Path: "prod/eu", Ref: "team/main"},
		"https://host/r.git//prod/":                 {URL: "https://host/r.git", Path: "prod"},
		"https://host/r.git?ref=a%2Fb":              {URL: "https://host/r.git", Ref: "a/b"},
		"HTTPS://host/r":                            {URL: "https://host/r"},
		"http://host/r":                             {URL: "http://host/r"},
		"ssh://git@host:2222/team/r.git//prod":      {URL: "ssh://git@host:2222/team/r.git", Path: "prod"},
		"ssh://host/r":                              {URL: "ssh://host/r"},
		"git@host:team/r.git":                       {URL: "ssh://git@host/team/r.git"},
		"git@host:team/r.git//prod?ref=main":        {URL: "ssh://git@host/team/r.git", Path: "prod", Ref: "main"},
		"git@[::1]:r.git":                           {URL: "ssh://git@[::1]/r.git"},
		"file:///srv/r.git?ref=main":                {URL: "file:///srv/r.git", Ref: "main"},
		"file:///srv/r//sub":                        {URL: "file:///srv/r", Path: "sub"},
	} {
		got, err := Parse(arg)
		if err != nil {
			t.Errorf("%s: %v", arg, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", arg, diff)
		}
		if again, err := Parse(got.String()); got.Dir != "-dir" && (err != nil || again != got) {
			t.Errorf("%s: read again from %s: %+v, %v", arg, got, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"":                                               "is empty",
		"-oProxyCommand=x":                               "begins with '-'",
		"--upload-pack=x":                                "begins with '-'",
		"ssh://-oProxyCommand=x/r":                       "begins with '-'",
		"git@-oProxyCommand=x:r":                         "begins with '-'",
		"git@host:-r":                                    "begins with '-'",
		"ssh://-l@host/r":                                "begins with '-'",
		"https://host/-r":                                "begins with '-'",
		"https://ada:" + canary + "@host/r":              "contains a password",
		"https://" + canary + "@host/r":                  "contains a user or token",
		"ssh://git:" + canary + "@host/r":                "contains a password",
		"https://ada:" + canary + "@ho st/r":             "not a URL",
		"https://ada:" + canary + "@host:x/r":            "not a URL",
		"https://ada:" + canary + "@host/\x00":           "control characters or invalid UTF-8",
		"ftp://host/r":                                   `scheme "ftp"`,
		"ext::sh -c x":                                   "user@host:path",
		"ext::sh://x":                                    "scheme",
		"ada:" + canary + "@host:r":                      "user@host:path",
		"https://a:b/" + canary + "@host/r":              "not a URL",
		"javascript://x/y":                               "scheme",
		"git://host/r":                                   `scheme "git"`,
		"file://host/r":                                  "three slashes",
		"file://":                                        "no repository",
		"https:///r":                                     "names no host",
		"https://host":                                   "names no repository",
		"https://host//prod":                             "names no repository",
		"https://host/a/../b":                            "'..'",
		"https://host/a/%2e%2e/b":                        "'..'",
		"https://host/r//../etc":                         "",
		"https://host/r//a/.git":                         "reserved for git",
		"https://host/r//a//b":                           "not a plain path",
		"https://host/r#main":                            "after ?ref=",
		"https://host/r?branch=main":                     `"branch"`,
		"https://host/r?ref=main&token=" + canary:        `"token"`,
		"https://host/r?private=" + canary + "&ref=main": `r?private=***&ref=main"`,
		"https://host/r?ref=":                            "ref is empty",
		"https://host/r?ref=a&ref=b":                     "more than once",
		"https://host/r?ref=-x":                          "not a valid git name",
		"https://host/r?ref=a..b":                        "not a valid git name",
		"https://host/r?ref=a%0ab":                       "not a valid git name",
		"https://host/r%0a":                              "control characters or invalid UTF-8",
		"./dir?ref=main":                                 "needs a git URL",
		"host:repo":                                      "user@host:path",
		"a\nb":                                           "control characters or invalid UTF-8",
		"\xff":                                           "control characters or invalid UTF-8",
	} {
		got, err := Parse(arg)
		if err == nil {
			t.Errorf("%q is taken as %+v", arg, got)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: want an error with %q: %v", arg, want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"dir", "https://host/r.git//prod?ref=v1", "git@host:r", "ssh://u@h:1/r", "file:///r", "https://a:b@h/r", "-x", "a:b@c:d", "https://h/%2f%2f?ref=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		l, err := Parse(arg)
		if err != nil {
			return
		}
		if (l.Dir == "") == (l.URL == "") {
			t.Fatalf("%q: neither or both of directory and URL: %+v", arg, l)
		}
		if l.Dir != "" {
			return
		}
		u, err := url.Parse(l.URL)
		if err != nil {
			t.Fatalf("%q: URL %q: %v", arg, l.URL, err)
		}
		if _, has := u.User.Password(); has || u.Hostname() != "" && u.Hostname()[0] == '-' || strings.Contains("/"+l.Path+"/", "/../") {
			t.Fatalf("%q: unsafe: %+v", arg, l)
		}
		again, err := Parse(l.String())
		if err != nil || again != l {
			t.Fatalf("%q: %+v prints as %q, which reads as %+v, %v", arg, l, l, again, err)
		}
	})
}

func TestLocationOpen(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"prod/a": "1"})
	for _, arg := range []string{repo.Work, "file://" + repo.Bare + "//prod?ref=main", "file://" + repo.Work} {
		l, err := Parse(arg)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Open(GitOptions{Dir: filepath.Join(t.TempDir(), "clone")})
		if err != nil {
			t.Fatal(err)
		}
		snap := snapshot(t, s)
		wantFile(t, snap, "prod/a", "1")
		if isGit := snap.Revision.ID == head; isGit != (l.URL != "") {
			t.Errorf("%s: revision is %s", arg, snap.Revision.ID)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
