package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// withForge is a configuration of a repository whose forge is given.
func withForge(repository, forge string) string {
	return "marathon: {url: http://m:8080}\nsources:\n  shop:\n    git:\n      url: " + repository + "\n      " + forge + "\nsyncs: {shop: {source: shop}}\n"
}

func TestForge(t *testing.T) {
	c, err := load(t, withForge("git@git.example.com:team/shop.git", "forge: {type: gitea, url: https://git.example.com:3000, token: {env: FORGE_TOKEN}, forks: labelled, caFile: ca.pem}"))
	if err != nil {
		t.Fatal(err)
	}
	f := c.Sources["shop"].Forge()
	want := &Forge{Type: "gitea", URL: "https://git.example.com:3000", Token: Secret{Env: "FORGE_TOKEN"}, Comments: "edit", Statuses: "on",
		Forks: "labelled", Label: "pacer/plan", CAFile: f.CAFile}
	if diff := cmp.Diff(want, f, cmpopts.EquateComparable(Secret{})); diff != "" || !strings.HasSuffix(f.CAFile, "/ca.pem") {
		t.Errorf("CA file %s\n%s", f.CAFile, diff)
	}
	if o := f.Options("git@git.example.com:team/shop.git"); o.Type != "gitea" || o.TLS.CAFile != f.CAFile || o.Token != f.Token {
		t.Errorf("options %+v", o)
	}
	if _, used := c.CloneFolders(); len(used) != 2 || used[1] != used[0]+"-pulls" {
		t.Errorf("folders of clones: %q", used)
	}
}

// Without credentials nothing is told to anybody.
func TestNoForgeByDefault(t *testing.T) {
	c, err := load(t, withForge("https://github.com/team/shop.git", "branch: main"))
	if err != nil {
		t.Fatal(err)
	}
	if f := c.Sources["shop"].Forge(); f != nil {
		t.Errorf("forge %+v", f)
	}
	if _, used := c.CloneFolders(); len(used) != 1 {
		t.Errorf("folders of clones: %q", used)
	}
}

// What is told to a forge has no part in what is read: a change of it fetches nothing
// again.
func TestForgeIsNoContent(t *testing.T) {
	bare, err := load(t, withForge("https://git.example.com/shop.git", "branch: main"))
	if err != nil {
		t.Fatal(err)
	}
	told, err := load(t, withForge("https://git.example.com/shop.git", "branch: main\n      forge: {type: gitea, token: {env: FORGE_TOKEN}}"))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := filepath.Base(bare.CloneFolder("shop")), filepath.Base(told.CloneFolder("shop")); a != b {
		t.Errorf("folders %s and %s", a, b)
	}
	if told.Sources["shop"].Forge() == nil {
		t.Error("the fingerprint took the forge away")
	}
}

func TestForgeTellsWhatIsWrong(t *testing.T) {
	const example, site = "https://git.example.com/shop.git", "https://github.com/team/shop.git"
	for name, c := range map[string]struct{ repository, forge, want string }{
		"no credentials":  {example, "forge: {type: gitea}", "pacer.yaml:6:14: sources.shop.git.forge: it has no credentials: set token, such as {env: FORGE_TOKEN}, or app"},
		"unknown type":    {example, "forge: {type: gittea, token: {env: T}}", `pacer.yaml:6:21: sources.shop.git.forge.type: "gittea": expected one of github, gitlab, gitea, bitbucket, bitbucket-server`},
		"no type":         {example, "forge: {token: {env: T}}", "sources.shop.git.forge.type: missing: the host of the repository does not say what kind of forge it is"},
		"token and app":   {site, "forge: {type: github, token: {env: T}, app: {id: 1, installation: 2, key: {file: k}}}", "sources.shop.git.forge: token and app are mutually exclusive: keep one"},
		"half an app":     {site, "forge: {type: github, app: {id: 1}}", "sources.shop.git.forge.app: id, installation and key are all required"},
		"app elsewhere":   {example, "forge: {type: gitea, app: {id: 1, installation: 2, key: {file: k}}}", "sources.shop.git.forge.app: only github has Apps: set token instead"},
		"password in URL": {example, "forge: {type: gitea, url: 'https://u:hunter2@git.example.com', token: {env: T}}", "sources.shop.git.forge.url: the URL of git.example.com contains a user or password: move them to token"},
		"http":            {example, "forge: {type: gitea, url: 'http://git.example.com', token: {env: T}}", "sources.shop.git.forge.url: http can be read in transit, and the token with it: use https, or set allowHTTP: true of the source"},
		"no URL":          {example, "forge: {type: gitea, url: git.example.com, token: {env: T}}", "sources.shop.git.forge.url: expected an https URL"},
		"token in file":   {example, "forge: {type: gitea, token: hunter2}", "sources.shop.git.forge.token: a secret must not be in the configuration"},
		"label":           {example, "forge: {type: gitea, token: {env: T}, label: ''}", "sources.shop.git.forge.label: a label has a name"},
		"page":            {site, "branch: main\nweb: {url: 'https://u:hunter2@pacer'}", "web.url: the URL of pacer is shown to everybody who sees a pull request"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, withForge(c.repository, c.forge))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error\n%v\nwant\n%s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the secret: %v", err)
			}
		})
	}
}
