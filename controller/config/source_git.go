package config

import (
	"regexp"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/sources"
)

// Git is a git repository and what of it is wanted: at most one of Branch, Tag,
// Commit, Semver and Ref.
type Git struct {
	URL       string   `yaml:"url" jsonschema:"required" jsonschema_description:"https, ssh (ssh://git@host/path or git@host:path) or file URL; no user or password in https URLs"`
	Branch    string   `yaml:"branch" jsonschema_description:"follow this branch; without any of branch, tag, commit and semver: the repository's default branch"`
	Tag       string   `yaml:"tag" jsonschema_description:"follow this tag"`
	Commit    string   `yaml:"commit" jsonschema_description:"stay at this commit (40 hexadecimal digits)"`
	Semver    string   `yaml:"semver" jsonschema_description:"follow the highest tag in this version range, such as ~1.4"`
	Ref       string   `yaml:"ref" jsonschema_description:"any of these by name: a commit, a full refs/… name, or a branch or tag"`
	Interval  Duration `yaml:"interval" flag:"interval" env:"PACER_INTERVAL" jsonschema:"default=30s" jsonschema_description:"poll interval: how often the refs of the repository are fetched"`
	Auth      GitAuth  `yaml:"auth" jsonschema_description:"Pacer's credentials"`
	Webhook   Webhook  `yaml:"webhook" jsonschema_description:"webhook of the forge, called on each push: POST /webhooks/NAME of the source"`
	Forge     Forge    `yaml:"forge" jsonschema_description:"the forge that hosts the repository: plans as comments on pull requests, and commit statuses"`
	AllowHTTP bool     `yaml:"allowHTTP" flag:"allow-http" env:"PACER_ALLOW_HTTP" jsonschema:"default=false" jsonschema_description:"allow http URLs; insecure: anyone in between can change what is deployed"`
	Verify    string   `yaml:"verify" jsonschema_description:"commit signatures: not supported yet, refused"`
}

// GitAuth is how Pacer proves who it is to a git server, and checks the server.
type GitAuth struct {
	Username           string `yaml:"username" flag:"git-username" env:"PACER_GIT_USERNAME" jsonschema_description:"user for https; empty: git, which forges accept with a token"`
	Password           Secret `yaml:"password" flag:"git-password" env:"PACER_GIT_PASSWORD_FROM" jsonschema_description:"password or token for https"`
	Bearer             bool   `yaml:"bearer" jsonschema:"default=false" jsonschema_description:"send the password as a bearer token"`
	Key                Secret `yaml:"key" flag:"git-key" env:"PACER_GIT_KEY_FROM" jsonschema_description:"private key for ssh; empty: the agent at SSH_AUTH_SOCK"`
	Passphrase         Secret `yaml:"passphrase" flag:"git-passphrase" env:"PACER_GIT_PASSPHRASE_FROM" jsonschema_description:"passphrase of the key"`
	KnownHosts         string `yaml:"knownHosts" kind:"path" flag:"git-known-hosts" env:"PACER_GIT_KNOWN_HOSTS" jsonschema_description:"known_hosts file that must contain the ssh server; empty: those of the user and the system"`
	CAFile             string `yaml:"caFile" kind:"path" flag:"git-ca-file" env:"PACER_GIT_CA_FILE" jsonschema_description:"PEM file of the CAs that https servers are verified with; empty: the system's"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify" jsonschema:"default=false" jsonschema_description:"accept any certificate of an https server, but no unknown ssh host key; insecure: anyone in between can deploy anything"`
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (g *Git) check(d *decoder, key string) {
	g.checkURL(d, key+".url")
	g.Forge.check(d, key+".forge", g)
	wanted := 0
	for _, ref := range []string{g.Branch, g.Tag, g.Commit, g.Semver, g.Ref} {
		if ref != "" {
			wanted++
		}
	}
	if wanted > 1 {
		d.failAt(key, "branch, tag, commit, semver and ref are mutually exclusive: keep one")
	}
	if g.Commit != "" && !commitPattern.MatchString(g.Commit) {
		d.failAt(key+".commit", "expected all 40 hexadecimal digits of the commit")
	}
	if g.Verify != "" {
		d.failAt(key+".verify", "commit signatures are not supported yet: remove the key")
	}
}

func (g *Git) checkURL(d *decoder, key string) {
	if g.URL == "" {
		d.failAt(key, "missing: set the repository's URL")
		return
	}
	location, err := sources.Parse(g.URL)
	switch {
	case err != nil:
		d.failAt(key, "%v", err)
	case location.Dir != "":
		d.failAt(key, "%q is a path: for a repository on this machine write file:///path/of/repository; for a directory of manifests, use directory: {path: …} instead of git", g.URL)
	case location.URL == "" || location.Path != "" || location.Ref != "":
		d.failAt(key, "expected the URL of a repository, without //path and ?ref=: they have their own keys")
	case strings.HasPrefix(location.URL, "http:") && !g.AllowHTTP:
		d.failAt(key, "http can be read and changed in transit: use https, or set allowHTTP: true (--allow-http)")
	}
}

func (g *Git) options() sources.Options {
	return sources.GitOptions{
		URL: g.URL, Branch: g.Branch, Tag: g.Tag, Commit: g.Commit, Semver: g.Semver, Ref: g.Ref,
		Auth:      sources.Auth(g.Auth),
		AllowHTTP: g.AllowHTTP,
		// A file URL in a configuration is an explicit wish.
		AllowLocal: strings.HasPrefix(g.URL, "file:"),
	}
}

func (g *Git) poll() time.Duration { return time.Duration(g.Interval) }

func (g *Git) reporting() (*Webhook, *Forge) { return &g.Webhook, &g.Forge }
