// Package config holds Pacer's configuration: one strict file, flags and
// environment variables, all of which are read into the same tree, checked by
// the same code, and listed by one table, which is the tags of the types here.
//
// It reads and checks; it opens no connection and starts nothing. What a
// secret is is never in it, only where it stands.
package config

import (
	"net/url"
	"strings"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// Config is one Pacer. The tags of its members are the table of options: yaml
// is the key, jsonschema holds default and enum, jsonschema_description the
// meaning; kind says what a text is; flag and env name the other ways to give it;
// reload:"restart" marks what a running process does not take up (Reloaded).
type Config struct {
	Marathon  Marathon            `yaml:"marathon" reload:"restart" jsonschema_description:"the Marathon that is written to"`
	Marathons map[string]Marathon `yaml:"marathons" reload:"restart" jsonschema_description:"further Marathons by name, or all of several; each is read, limited and waited for by itself"`
	Listen    string              `yaml:"listen" reload:"restart" flag:"listen" env:"PACER_LISTEN" jsonschema:"default=127.0.0.1:9090" jsonschema_description:"address of the page, the API, health and metrics; empty: none; one that other machines reach needs web.tokens"`
	Advertise string              `yaml:"advertise" reload:"restart" flag:"advertise" env:"PACER_ADVERTISE" jsonschema_description:"URL at which other replicas reach this one's page; empty: http, this machine's name and the port of listen"`
	ZooKeeper ZooKeeper           `yaml:"zookeeper" reload:"restart" jsonschema_description:"several replicas, of which one writes; without servers there is one replica"`
	Web       Web                 `yaml:"web" reload:"restart" jsonschema_description:"who may use the page and the API"`
	StateDir  string              `yaml:"stateDir" reload:"restart" kind:"path" flag:"state-dir" env:"PACER_STATE_DIR" jsonschema:"default=pacer-state" jsonschema_description:"folder of what outlives the process: clones of repositories and, without zookeeper, inventory and history; by default beside the file, or in STATE_DIRECTORY"`
	Log       Log                 `yaml:"log" reload:"restart" jsonschema_description:"what is logged, to standard error"`
	Sources   map[string]Source   `yaml:"sources" jsonschema:"required" jsonschema_description:"where manifests come from, by name"`
	Syncs     map[string]Sync     `yaml:"syncs" jsonschema:"required" jsonschema_description:"what is kept the same, by name"`
}

// MarathonOf is the Marathon that a sync writes to.
func (c *Config) MarathonOf(s Sync) Marathon {
	if s.Marathon != "" {
		return c.Marathons[s.Marathon]
	}
	return c.Marathon
}

// Web is who may use the page and the API.
type Web struct {
	Hosts  List      `yaml:"hosts" jsonschema_description:"further host names, without port, by which what no token guards may be asked: loopback, the address itself and the host of advertise may be anyway"`
	Tokens WebTokens `yaml:"tokens" jsonschema_description:"without any, whoever reaches the address may see and act: then listen must be on this machine alone, behind a proxy that asks who it is if others are to reach it"`
}

// WebTokens are bearer tokens, which browsers give as the password of any user.
type WebTokens struct {
	Read Secret `yaml:"read" jsonschema_description:"lets see: page, API, metrics; without, who reaches a listen on this machine alone may see, and elsewhere who may act"`
	Act  Secret `yaml:"act" jsonschema_description:"lets see and act: sync, suspend, resume, approve; without, who may see may act"`
}

// Marathon is one Marathon cluster.
type Marathon struct {
	URL       List         `yaml:"url" flag:"marathon" env:"PACER_MARATHON" jsonschema:"required" jsonschema_description:"URLs of the Marathons of one cluster: any will do, the next is asked where one fails"`
	Auth      MarathonAuth `yaml:"auth" jsonschema_description:"how Pacer proves who it is: user and password, bearer, or token"`
	TLS       TLS          `yaml:"tls" jsonschema_description:"how https is spoken"`
	Timeout   Duration     `yaml:"timeout" jsonschema:"default=1m" jsonschema_description:"of one request with its answer"`
	Resync    Duration     `yaml:"resync" jsonschema:"default=5m" jsonschema_description:"how often all of it is read though its events told of no change; between, Pacer goes by them"`
	AgentPort int          `yaml:"agentPort" jsonschema:"default=5051,minimum=0,maximum=65535" jsonschema_description:"port of the Mesos agents, which are asked, without credentials, for the last lines of what a failed task wrote; 0: they are not asked"`
}

// Address is the URLs, for people: without what may be a secret in them.
func (m Marathon) Address() string {
	var shown []string
	for _, raw := range m.URL {
		u, err := url.Parse(raw)
		if err != nil {
			continue // which check refuses
		}
		shown = append(shown, (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
	}
	return strings.Join(shown, ", ")
}

// MarathonAuth is one of basic authentication, a bearer token or a DC/OS token.
type MarathonAuth struct {
	User     string `yaml:"user" flag:"marathon-user" env:"PACER_MARATHON_USER" jsonschema_description:"user of basic authentication"`
	Password Secret `yaml:"password" flag:"marathon-password" env:"PACER_MARATHON_PASSWORD_FROM" jsonschema_description:"password of basic authentication"`
	Bearer   Secret `yaml:"bearer" flag:"marathon-bearer" env:"PACER_MARATHON_BEARER_FROM" jsonschema_description:"bearer token"`
	Token    Secret `yaml:"token" flag:"marathon-token" env:"PACER_MARATHON_TOKEN_FROM" jsonschema_description:"DC/OS token (Authorization: token=…)"`
}

// TLS is how https is spoken to Marathon.
type TLS struct {
	CAFile             string `yaml:"caFile" kind:"path" flag:"ca-file" env:"PACER_CA_FILE" jsonschema_description:"PEM certificates that Marathon's is checked against; empty: the system's"`
	CertFile           string `yaml:"certFile" kind:"path" jsonschema_description:"PEM certificate of Pacer"`
	KeyFile            string `yaml:"keyFile" kind:"path" jsonschema_description:"PEM key of certFile"`
	ServerName         string `yaml:"serverName" jsonschema_description:"name expected in Marathon's certificate; empty: the host of the URL"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify" jsonschema:"default=false" jsonschema_description:"take any certificate: whoever is on the way can read and change everything"`
}

// Log is what is logged.
type Log struct {
	Level  string `yaml:"level" flag:"log-level" env:"PACER_LOG_LEVEL" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info" jsonschema_description:"the least that is logged"`
	Format string `yaml:"format" flag:"log-format" env:"PACER_LOG_FORMAT" jsonschema:"enum=text,enum=json,default=text" jsonschema_description:"form of a log line"`
}

// Source is a git repository or a directory: exactly one of the members.
type Source struct {
	Git       *Git       `yaml:"git" jsonschema_description:"a git repository"`
	Directory *Directory `yaml:"directory" jsonschema_description:"a directory of this machine"`
}

// Git is a git repository and what of it is wanted: at most one of Branch, Tag,
// Commit, Semver and Ref.
type Git struct {
	URL       string   `yaml:"url" jsonschema:"required" jsonschema_description:"https, ssh (ssh://git@host/path or git@host:path) or file URL; no user or password in https URLs"`
	Branch    string   `yaml:"branch" jsonschema_description:"follow this branch; without any of branch, tag, commit and semver: the repository's default branch"`
	Tag       string   `yaml:"tag" jsonschema_description:"follow this tag"`
	Commit    string   `yaml:"commit" jsonschema_description:"stay at this commit (40 hexadecimal digits)"`
	Semver    string   `yaml:"semver" jsonschema_description:"follow the highest tag in this range of versions, such as ~1.4"`
	Ref       string   `yaml:"ref" jsonschema_description:"any of these by name: a commit, a full refs/… name, or a branch or tag"`
	Interval  Duration `yaml:"interval" flag:"interval" env:"PACER_INTERVAL" jsonschema:"default=30s" jsonschema_description:"how often the remote's refs are looked at"`
	Auth      GitAuth  `yaml:"auth" jsonschema_description:"how Pacer proves who it is"`
	Webhook   Webhook  `yaml:"webhook" jsonschema_description:"a forge that tells of each push: POST /webhooks/NAME of the source"`
	AllowHTTP bool     `yaml:"allowHTTP" flag:"allow-http" env:"PACER_ALLOW_HTTP" jsonschema:"default=false" jsonschema_description:"allow http URLs: whoever is on the way can change what is deployed"`
	Verify    string   `yaml:"verify" jsonschema_description:"signatures of commits: not supported yet, refused"`
}

// Webhook is how a forge tells that its repository has moved.
type Webhook struct {
	Secret Secret `yaml:"secret" jsonschema_description:"what the forge signs its webhooks with (GitHub, Gitea, Forgejo, Bitbucket: HMAC-SHA-256) or sends along (GitLab); without: there is no webhook"`
}

// GitAuth is how Pacer proves who it is to a git server, and checks the server.
type GitAuth struct {
	Username           string `yaml:"username" flag:"git-username" env:"PACER_GIT_USERNAME" jsonschema_description:"user for https; empty: git, which the forges take beside a token"`
	Password           Secret `yaml:"password" flag:"git-password" env:"PACER_GIT_PASSWORD_FROM" jsonschema_description:"password or token for https"`
	Bearer             bool   `yaml:"bearer" jsonschema:"default=false" jsonschema_description:"send the password as a bearer token"`
	Key                Secret `yaml:"key" flag:"git-key" env:"PACER_GIT_KEY_FROM" jsonschema_description:"private key for ssh; without: the agent at SSH_AUTH_SOCK"`
	Passphrase         Secret `yaml:"passphrase" flag:"git-passphrase" env:"PACER_GIT_PASSPHRASE_FROM" jsonschema_description:"passphrase of the key"`
	KnownHosts         string `yaml:"knownHosts" kind:"path" flag:"git-known-hosts" env:"PACER_GIT_KNOWN_HOSTS" jsonschema_description:"known_hosts file that must know the ssh server; empty: those of the user and the system"`
	CAFile             string `yaml:"caFile" kind:"path" flag:"git-ca-file" env:"PACER_GIT_CA_FILE" jsonschema_description:"PEM certificates that https servers are checked against; empty: the system's"`
	InsecureSkipVerify bool   `yaml:"insecureSkipVerify" jsonschema:"default=false" jsonschema_description:"take any server for the right one: whoever is on the way can deploy what they like"`
}

// Directory is a directory of this machine.
type Directory struct {
	Path     string   `yaml:"path" kind:"path" jsonschema:"required" jsonschema_description:"the directory"`
	Interval Duration `yaml:"interval" jsonschema:"default=30s" jsonschema_description:"how often it is looked at though the system told of no change"`
}

// Sync is one unit of reconciliation.
type Sync struct {
	Marathon   string            `yaml:"marathon" jsonschema_description:"name of one of marathons; empty: marathon"`
	Source     string            `yaml:"source" jsonschema:"required" jsonschema_description:"name of the source"`
	Path       string            `yaml:"path" flag:"path" env:"PACER_PATH" jsonschema_description:"folder in the source; empty: all of it"`
	Scope      string            `yaml:"scope" flag:"scope" env:"PACER_SCOPE" jsonschema:"default=/" jsonschema_description:"group in Marathon: relative ids resolve against it, and no id outside it is ever touched"`
	Prune      plan.Prune        `yaml:"prune" flag:"prune" env:"PACER_PRUNE" jsonschema:"enum=off,enum=confirm,enum=on,default=confirm" jsonschema_description:"what becomes of what this sync has applied and git no longer has: left (off), deleted when approved (confirm), deleted (on)"`
	Exclusive  bool              `yaml:"exclusive" flag:"exclusive" env:"PACER_EXCLUSIVE" jsonschema:"default=false" jsonschema_description:"the scope holds nothing but what git describes: what this sync has never applied is deleted too, as prune and maxDeletes say; only with a scope narrower than / and prune on or confirm"`
	MaxDeletes MaxDeletes        `yaml:"maxDeletes" jsonschema_description:"more deletions than this in one pass wait for an approval"`
	Drift      string            `yaml:"drift" jsonschema:"enum=heal,enum=report,default=heal" jsonschema_description:"what becomes of a difference that no new revision brought: undone (heal) or only shown (report)"`
	Adopt      bool              `yaml:"adopt" jsonschema:"default=false" jsonschema_description:"change apps that Marathon already had and that differ from their manifest"`
	Instances  Instances         `yaml:"instances" jsonschema:"default=git" jsonschema_description:"who owns the count of instances: git, live (an autoscaler), or {min, max}"`
	Ignore     []Ignore          `yaml:"ignore" jsonschema_description:"what is neither compared nor reset"`
	Deadline   Duration          `yaml:"deadline" flag:"deadline" env:"PACER_DEADLINE" jsonschema:"default=10m" jsonschema_description:"a rollout that is not healthy by then has failed"`
	Settle     Duration          `yaml:"settle" flag:"settle" env:"PACER_SETTLE" jsonschema_description:"settling time: a rollout is done when all its tasks have stayed up this long; less than deadline; empty: 2s where health checks pass, 5s where there are none; after a failed task also at least Marathon's back-off"`
	OnFailure  string            `yaml:"onFailure" jsonschema:"enum=report,enum=revert,default=report" jsonschema_description:"what a failed rollout leads to: it is only told (report), or what ran before is put back as well (revert)"`
	OnLoss     string            `yaml:"onStateLoss" jsonschema:"enum=report,enum=resume,default=report" jsonschema_description:"what a known loss of the stored state leads to: the sync only reports until a person resumes it (report), or it is resumed at once, also where it was suspended or rolled back (resume)"`
	Substitute map[string]string `yaml:"substitute" flag:"substitute" env:"PACER_SUBSTITUTE" jsonschema_description:"names that are filled in for ${NAME} in manifests"`
}

// MaxDeletes bounds the deletions of one pass.
type MaxDeletes struct {
	Count   int `yaml:"count" jsonschema:"default=5,minimum=0" jsonschema_description:"at most so many; 0: no bound"`
	Percent int `yaml:"percent" jsonschema:"default=20,minimum=0,maximum=100" jsonschema_description:"at most this share of the inventory; 0: no bound"`
}

// Ignore leaves paths of matching ids alone.
type Ignore struct {
	ID    string   `yaml:"id" jsonschema:"required" jsonschema_description:"an id, or a pattern such as /shop/*"`
	Paths []string `yaml:"paths" jsonschema:"required" jsonschema_description:"JSON pointers such as /env/BUILD"`
}
