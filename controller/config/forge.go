package config

import (
	"net/url"
	"strings"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/forge"
)

// Forge is the forge that hosts a git repository: where Pacer comments on pull requests,
// and sets the statuses of commits. Without credentials it does neither.
type Forge struct {
	Type               string   `yaml:"type" jsonschema:"enum=github,enum=gitlab,enum=gitea,enum=bitbucket,enum=bitbucket-server" jsonschema_description:"kind of forge, Forgejo being gitea and Bitbucket Data Center bitbucket-server; empty: recognised by the host of the repository (github.com, gitlab.com, gitea.com, codeberg.org, bitbucket.org)"`
	URL                string   `yaml:"url" jsonschema_description:"https URL of the forge's API, such as https://git.example.com/api/v3; empty: that of the repository's host"`
	Token              Secret   `yaml:"token" jsonschema_description:"access token with the rights to comment on pull requests and to set commit statuses; for Bitbucket also EMAIL:TOKEN of an API token, or USER:PASSWORD"`
	App                ForgeApp `yaml:"app" jsonschema_description:"GitHub App as which Pacer acts, instead of token"`
	Comments           string   `yaml:"comments" jsonschema:"enum=edit,enum=off,default=edit" jsonschema_description:"plan of each pull request as one comment, which is edited when the plan changes (edit), or no comments (off)"`
	Statuses           string   `yaml:"statuses" jsonschema:"enum=on,enum=off,default=on" jsonschema_description:"commit statuses: the plan on the head of each pull request, the rollout on the commits of the branch"`
	Forks              string   `yaml:"forks" jsonschema:"enum=off,enum=labelled,default=off" jsonschema_description:"pull requests from forks: never planned (off), or once a maintainer has set the label (labelled); a plan can show values of running apps; Bitbucket has no labels, so that they are never planned there"`
	Label              string   `yaml:"label" jsonschema:"default=pacer/plan" jsonschema_description:"label that lets pull requests from forks be planned; Pacer removes it after new commits"`
	CAFile             string   `yaml:"caFile" kind:"path" jsonschema_description:"PEM file of the CAs that the forge is verified with; empty: the system's"`
	InsecureSkipVerify bool     `yaml:"insecureSkipVerify" jsonschema:"default=false" jsonschema_description:"accept any certificate of the forge; insecure: anyone in between can read the token"`
}

// ForgeApp is a GitHub App that is installed for the repository.
type ForgeApp struct {
	ID           int    `yaml:"id" jsonschema_description:"App ID, from the App's settings"`
	Installation int    `yaml:"installation" jsonschema_description:"installation ID, the number at the end of the URL of the installation's settings"`
	Key          Secret `yaml:"key" jsonschema_description:"private key of the App, in PEM"`
}

// IsSet reports whether Pacer has credentials for the forge.
func (f Forge) IsSet() bool { return f.Token.IsSet() || f.App != ForgeApp{} }

// check reports what decoding cannot find; key is that of the forge.
func (f Forge) check(d *decoder, key string, g *Git) {
	if !f.IsSet() {
		if f.Type != "" || f.URL != "" {
			d.failAt(key, "it has no credentials: set token, such as {env: FORGE_TOKEN}, or app")
		}
		return
	}
	f.checkCredentials(d, key)
	f.checkURL(d, key+".url", g.AllowHTTP)
	if f.Label == "" {
		d.failAt(key+".label", "a label has a name")
	}
	if f.Type == "" && forge.TypeOf(g.URL) == "" {
		d.failAt(key+".type", "missing: the host of the repository does not say what kind of forge it is; set one of %s", strings.Join(forge.Types(), ", "))
	}
}

func (f Forge) checkCredentials(d *decoder, key string) {
	if f.App == (ForgeApp{}) {
		return
	}
	switch {
	case f.Token.IsSet():
		d.failAt(key, "token and app are mutually exclusive: keep one")
	case f.App.ID <= 0 || f.App.Installation <= 0 || !f.App.Key.IsSet():
		d.failAt(key+".app", "id, installation and key are all required")
	case f.Type != "" && f.Type != "github":
		d.failAt(key+".app", "only github has Apps: set token instead")
	}
}

func (f Forge) checkURL(d *decoder, key string, allowHTTP bool) {
	if f.URL == "" {
		return
	}
	u, err := url.Parse(f.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.failAt(key, "expected an https URL such as https://git.example.com/api/v3")
	case u.User != nil:
		d.failAt(key, "the URL of %s contains a user or password: move them to token", u.Host)
	case u.Scheme == "http" && !allowHTTP:
		d.failAt(key, "http can be read in transit, and the token with it: use https, or set allowHTTP: true of the source")
	case u.RawQuery != "" || u.Fragment != "":
		d.failAt(key, "the URL of %s has a part after ? or #: leave it out", u.Host)
	}
}

// Options are those that the client of the forge is made with.
func (f Forge) Options(repository string) forge.Options {
	o := forge.Options{
		Type: f.Type, URL: f.URL, Repository: repository, Token: f.Token,
		TLS: clienttls.Files{CAFile: f.CAFile, Insecure: f.InsecureSkipVerify},
	}
	if o.Type == "" {
		o.Type = forge.TypeOf(repository)
	}
	if f.App != (ForgeApp{}) {
		o.App = forge.App{ID: int64(f.App.ID), Installation: int64(f.App.Installation), Key: f.App.Key}
	}
	return o
}
