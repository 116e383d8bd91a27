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
	"time"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/plan"
)

// Config is one Pacer. The tags of its members are the table of options: yaml
// is the key, jsonschema holds default and enum, jsonschema_description the
// meaning; kind says what a text is; flag and env name the other ways to give it;
// reload:"restart" marks what a running process does not take up (Reloaded).
type Config struct {
	Marathon  Marathon            `yaml:"marathon" reload:"restart" jsonschema_description:"the Marathon that syncs without marathon write to"`
	Marathons map[string]Marathon `yaml:"marathons" reload:"restart" jsonschema_description:"further Marathons by name; each has its own connections, live state, limits and back-off"`
	Listen    string              `yaml:"listen" reload:"restart" flag:"listen" env:"PACER_LISTEN" jsonschema:"default=127.0.0.1:9090" jsonschema_description:"listen address of the page, the API, health and metrics; empty: none; an address that other machines can reach requires web.tokens"`
	Advertise string              `yaml:"advertise" reload:"restart" flag:"advertise" env:"PACER_ADVERTISE" jsonschema_description:"URL at which other replicas reach this replica; empty: http and listen, with this machine's name for an address such as :9090, or HOST and PORT0 where Pacer is a task of Marathon"`
	ZooKeeper ZooKeeper           `yaml:"zookeeper" reload:"restart" jsonschema_description:"election of a leader among several replicas; without servers there is one replica"`
	Web       Web                 `yaml:"web" reload:"restart" jsonschema_description:"who may use the page and the API"`
	StateDir  string              `yaml:"stateDir" reload:"restart" kind:"path" flag:"state-dir" env:"PACER_STATE_DIR" jsonschema:"default=pacer-state" jsonschema_description:"folder of the stored state: clones of repositories and, without zookeeper, inventory and history; default: next to the configuration file, or in STATE_DIRECTORY"`
	Log       Log                 `yaml:"log" reload:"restart" jsonschema_description:"logging, to standard error"`
	Sources   map[string]Source   `yaml:"sources" jsonschema:"required" jsonschema_description:"sources of manifests, by name"`
	Syncs     map[string]Sync     `yaml:"syncs" jsonschema:"required" jsonschema_description:"syncs, by name"`
}

// MarathonOf is the Marathon that a sync writes to.
func (c *Config) MarathonOf(s Sync) Marathon {
	if s.Marathon != "" {
		return c.Marathons[s.Marathon]
	}
	return c.Marathon
}

// RequestTimeout is how long a request to any of the Marathons may take.
func (c *Config) RequestTimeout() time.Duration {
	most := time.Duration(c.Marathon.Timeout)
	for _, m := range c.Marathons {
		most = max(most, time.Duration(m.Timeout))
	}
	return most
}

// Web is who may use the page and the API.
type Web struct {
	URL    string    `yaml:"url" jsonschema_description:"URL at which people reach this page, such as https://pacer.example.com: where comments on pull requests and commit statuses link to; empty: they have no links"`
	Hosts  List      `yaml:"hosts" jsonschema_description:"further host names, without port, that requests without a token may use; loopback, the address itself and the host of advertise are always allowed"`
	Tokens WebTokens `yaml:"tokens" jsonschema_description:"tokens for access; without any, everyone who can reach the address may read and act: then listen must be a loopback address, behind an authenticating proxy if others need access"`
}

// WebTokens are bearer tokens, which browsers give as the password of any user.
type WebTokens struct {
	Read Secret `yaml:"read" jsonschema_description:"token for reading the page, API and metrics; without it, reading is open on a loopback address, and elsewhere requires the act token"`
	Act  Secret `yaml:"act" jsonschema_description:"token for actions (sync, suspend, resume, approve, rollback), and for reading; without it, everyone who may read may act"`
}

// Marathon is one Marathon cluster.
type Marathon struct {
	URL       List            `yaml:"url" flag:"marathon" env:"PACER_MARATHON" jsonschema:"required" jsonschema_description:"URLs of the Marathon instances of one cluster; the next one is used where one fails"`
	Auth      MarathonAuth    `yaml:"auth" jsonschema_description:"Pacer's credentials: user and password, bearer, or token"`
	TLS       clienttls.Files `yaml:"tls" jsonschema_description:"settings for https"`
	Timeout   Duration        `yaml:"timeout" jsonschema:"default=1m" jsonschema_description:"timeout of one request, including its answer"`
	Resync    Duration        `yaml:"resync" jsonschema:"default=5m" jsonschema_description:"interval of the full read; between two, Pacer relies on Marathon's events"`
	AgentPort int             `yaml:"agentPort" jsonschema:"default=5051,minimum=0,maximum=65535" jsonschema_description:"port of the Mesos agents, from which Pacer reads the last output lines of a failed task, without credentials; 0: never"`
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

// Log is what is logged.
type Log struct {
	Level  string `yaml:"level" flag:"log-level" env:"PACER_LOG_LEVEL" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info" jsonschema_description:"lowest level that is logged"`
	Format string `yaml:"format" flag:"log-format" env:"PACER_LOG_FORMAT" jsonschema:"enum=text,enum=json,default=text" jsonschema_description:"format of log lines"`
}

// Sync is one unit of reconciliation.
type Sync struct {
	Marathon   string            `yaml:"marathon" jsonschema_description:"name of an entry of marathons; empty: marathon"`
	Source     string            `yaml:"source" jsonschema:"required" jsonschema_description:"name of the source"`
	Path       string            `yaml:"path" flag:"path" env:"PACER_PATH" jsonschema_description:"folder in the source; empty: all of it"`
	Scope      string            `yaml:"scope" flag:"scope" env:"PACER_SCOPE" jsonschema:"default=/" jsonschema_description:"group in Marathon that the sync manages: relative ids resolve against it, and no id outside it is ever changed"`
	Prune      plan.Prune        `yaml:"prune" flag:"prune" env:"PACER_PRUNE" jsonschema:"enum=off,enum=confirm,enum=on,default=confirm" jsonschema_description:"what happens to apps that this sync applied and git no longer defines: kept (off), deleted after approval (confirm), deleted (on)"`
	Exclusive  bool              `yaml:"exclusive" flag:"exclusive" env:"PACER_EXCLUSIVE" jsonschema:"default=false" jsonschema_description:"the scope contains only what git defines: apps that this sync never applied are deleted too, subject to prune and maxDeletes; requires a scope narrower than / and prune on or confirm"`
	MaxDeletes MaxDeletes        `yaml:"maxDeletes" jsonschema_description:"limit of deletions per reconciliation; more require approval"`
	Drift      string            `yaml:"drift" jsonschema:"enum=heal,enum=report,default=heal" jsonschema_description:"what happens to drift: it is healed (heal) or only reported (report)"`
	Adopt      bool              `yaml:"adopt" jsonschema:"default=false" jsonschema_description:"change apps that already exist in Marathon and differ from their manifest"`
	Instances  Instances         `yaml:"instances" jsonschema:"default=git" jsonschema_description:"owner of the instance count: git, live (an autoscaler), or {min, max}"`
	Ignore     []Ignore          `yaml:"ignore" jsonschema_description:"fields that are neither compared nor changed"`
	Deadline   Duration          `yaml:"deadline" flag:"deadline" env:"PACER_DEADLINE" jsonschema:"default=10m" jsonschema_description:"overall timeout of a rollout; one that has not converged by then has failed"`
	Settle     Duration          `yaml:"settle" flag:"settle" env:"PACER_SETTLE" jsonschema_description:"settling time: a rollout has converged when all its tasks have been running this long; less than deadline; empty: 2s with health checks, 5s without; after a failed task at least Marathon's back-off"`
	OnFailure  string            `yaml:"onFailure" jsonschema:"enum=report,enum=revert,default=report" jsonschema_description:"what happens after a failed rollout: it is only reported (report), or the last healthy definition is applied again, too (revert)"`
	OnLoss     string            `yaml:"onStateLoss" jsonschema:"enum=report,enum=resume,default=report" jsonschema_description:"what happens after a known loss of the stored state: the sync only reports until a user resumes it (report), or it resumes at once, even if it was suspended or rolled back (resume)"`
	Substitute map[string]string `yaml:"substitute" flag:"substitute" env:"PACER_SUBSTITUTE" jsonschema_description:"values for ${NAME} in manifests"`
}

// Policy is what the sync may do, as the plan reads it. Which app is Pacer itself is
// not configured.
func (s Sync) Policy() plan.Policy {
	p := plan.Policy{
		Scope: s.Scope, Prune: s.Prune, Exclusive: s.Exclusive,
		MaxDeletes:  plan.MaxDeletes{Count: s.MaxDeletes.Count, Percent: s.MaxDeletes.Percent},
		Instances:   plan.Instances(s.Instances),
		Adopt:       s.Adopt,
		ReportDrift: s.Drift == "report",
		Revert:      s.OnFailure == "revert",
	}
	for _, i := range s.Ignore {
		p.Ignore = append(p.Ignore, plan.Ignore{ID: i.ID, Paths: i.Paths})
	}
	return p
}

// MaxDeletes bounds the deletions of one reconciliation.
type MaxDeletes struct {
	Count   int `yaml:"count" jsonschema:"default=5,minimum=0" jsonschema_description:"maximum number of deletions; 0: no limit"`
	Percent int `yaml:"percent" jsonschema:"default=20,minimum=0,maximum=100" jsonschema_description:"maximum share of the inventory; 0: no limit"`
}

// Ignore leaves paths of matching ids alone.
type Ignore struct {
	ID    string   `yaml:"id" jsonschema:"required" jsonschema_description:"an id, or a pattern such as /shop/*"`
	Paths []string `yaml:"paths" jsonschema:"required" jsonschema_description:"JSON pointers such as /env/BUILD"`
}
