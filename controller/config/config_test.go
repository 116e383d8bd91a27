package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pacer-gitops/pacer/clienttls"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

var update = flag.Bool("update", false, "rewrite the generated docs")

func load(t *testing.T, text string, given ...Given) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pacer.yaml")
	write(t, path, text)
	c, err := Load(path, given...)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""))
	}
	return c, err
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const whole = `
marathon:
  url: [http://m1:8080, http://m2:8080]
  auth: {user: pacer, password: {env: MARATHON_PASSWORD}}
  tls: {caFile: /etc/ca.pem}
listen: 127.0.0.1:9999
zookeeper:
  servers: [zk1:2181, zk2:2181, zk3]
  root: /teams/pacer
  sessionTimeout: 6s
  auth: {user: pacer, password: {file: /run/zookeeper}}
  tls: {enabled: true, caFile: /etc/zk.pem}
sources:
  shop:
    git: {url: "https://git.example.com/shop.git", branch: main, interval: 5s, auth: {password: {file: /run/token}}}
  local:
    directory: {path: apps}
syncs:
  shop:
    source: shop
    path: prod
    scope: /shop
    prune: on
    exclusive: true
    maxDeletes: {count: 0, percent: 50}
    drift: report
    instances: {min: 2, max: 10}
    ignore: [{id: "/shop/*", paths: [/env/BUILD]}]
    deadline: 5m
    substitute: {ENV: prod}
  local: {source: local, scope: /local}
`

func TestLoadReadsEveryKey(t *testing.T) {
	c, err := load(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	shop := c.Syncs["shop"]
	if got, want := []string(c.Marathon.URL), []string{"http://m1:8080", "http://m2:8080"}; !cmp.Equal(got, want) {
		t.Errorf("url = %v, want %v", got, want)
	}
	if shop.MaxDeletes != (MaxDeletes{Count: 0, Percent: 50}) {
		t.Errorf("maxDeletes = %+v: a zero that was written must stay", shop.MaxDeletes)
	}
	if shop.Prune != "on" || !shop.Exclusive || shop.Drift != "report" || shop.Instances.Max != 10 || time.Duration(shop.Deadline) != 5*time.Minute {
		t.Errorf("sync shop = %+v", shop)
	}
	if c.Sources["shop"].Git.Auth.Password.File != "/run/token" || c.Marathon.Auth.Password.Env != "MARATHON_PASSWORD" {
		t.Error("places of secrets are lost")
	}
	if !filepath.IsAbs(c.Sources["local"].Directory.Path) {
		t.Error("a relative directory does not start at the configuration file")
	}
}

func TestZooKeeper(t *testing.T) {
	c, err := load(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	want := ZooKeeper{Servers: List{"zk1:2181", "zk2:2181", "zk3"}, Root: "/teams/pacer", SessionTimeout: Duration(6 * time.Second),
		Auth: ZooKeeperAuth{User: "pacer", Password: Secret{File: "/run/zookeeper"}}, TLS: zookeeper.TLS{Enabled: true, Files: clienttls.Files{CAFile: "/etc/zk.pem"}}}
	if diff := cmp.Diff(want, c.ZooKeeper, cmpopts.EquateComparable(Secret{})); diff != "" || c.ZooKeeper.IsShort() {
		t.Errorf("short: %v\n%s", c.ZooKeeper.IsShort(), diff)
	}
	const least = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}\n"
	if c, err = load(t, least); err != nil || c.ZooKeeper.IsSet() {
		t.Errorf("%+v, %v: want no ZooKeeper", c.ZooKeeper, err)
	}
	c, err = load(t, least, Given{Key: "zookeeper.servers", Value: "zk1,zk2", Origin: "flag --zookeeper"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ZooKeeper{Servers: List{"zk1", "zk2"}, Root: "/pacer", SessionTimeout: Duration(10 * time.Second)}, c.ZooKeeper, cmpopts.EquateComparable(Secret{})); diff != "" {
		t.Errorf("defaults:\n%s", diff)
	}
	if c, err = load(t, least+"zookeeper: {servers: zk1, sessionTimeout: 5s}\n"); err != nil || !c.ZooKeeper.IsShort() {
		t.Errorf("5s is not told to be short: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	c, err := load(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	want := Sync{Source: "local", Scope: "/local", Prune: "confirm", MaxDeletes: MaxDeletes{Count: 5, Percent: 20},
		Drift: "heal", Deadline: Duration(10 * time.Minute), OnFailure: "report", OnLoss: "report"}
	if diff := cmp.Diff(want, c.Syncs["local"]); diff != "" {
		t.Error(diff)
	}
	if c.Log != (Log{Level: "info", Format: "text"}) || time.Duration(c.Marathon.Timeout) != time.Minute {
		t.Errorf("defaults: %+v %v", c.Log, c.Marathon.Timeout)
	}
}

func TestLoadTellsEverythingThatIsWrong(t *testing.T) {
	const ok = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"unknown keys, nearest right one": {
			"maraton: {url: http://m:8080}\nlisten: :1\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a, scop: /a}}\n",
			"pacer.yaml:1:1: maraton: unknown key: did you mean marathon?\npacer.yaml:4:24: syncs.a.scop: unknown key: did you mean scope?"},
		"key twice":                 {ok + "syncs: {a: {source: a, scope: /a, scope: /b}}", "pacer.yaml:3:35: syncs.a.scope: duplicate key: it was first given at pacer.yaml:3:24"},
		"enum":                      {ok + "syncs: {a: {source: a, prune: yes}}", `pacer.yaml:3:31: syncs.a.prune: "yes": expected one of off, confirm, on`},
		"exclusive without a scope": {ok + "syncs: {a: {source: a, exclusive: true}}", "pacer.yaml:3:35: syncs.a.exclusive: expected a scope narrower than /, found scope /: no sync may own all of Marathon: set scope, or remove exclusive"},
		"exclusive without prune":   {ok + "syncs: {a: {source: a, scope: /a, prune: \"off\", exclusive: true}}", "pacer.yaml:3:60: syncs.a.exclusive: exclusive: true and prune: off are mutually exclusive: set prune: confirm or on, or remove exclusive"},
		"no unit":                   {ok + "syncs: {a: {source: a, deadline: 10}}", `pacer.yaml:3:34: syncs.a.deadline: "10" is not a duration: write it with its unit, such as 30s or 10m`},
		"settle beyond the deadline": {ok + "syncs: {a: {source: a, deadline: 5m, settle: 10m}}",
			"pacer.yaml:3:46: syncs.a.settle: 10m0s is not less than the deadline of 5m0s: no rollout could stay up that long in time"},
		"settle beyond the default deadline": {ok + "syncs: {a: {source: a, settle: 10m}}",
			"pacer.yaml:3:32: syncs.a.settle: 10m0s is not less than the deadline of 10m0s: no rollout could stay up that long in time"},
		"wrong type":           {ok + "syncs: {a: {source: a, adopt: maybe}}", "pacer.yaml:3:31: syncs.a.adopt: expected true or false"},
		"unknown Marathon":     {ok + "marathons: {here: {url: 'http://h'}}\nsyncs: {a: {source: a, marathon: hero}}", `pacer.yaml:4:34: syncs.a.marathon: "hero" is not among the marathons: did you mean here?`},
		"Marathon without URL": {ok + "marathons: {here: {timeout: 1m}}\nsyncs: {a: {source: a}}", "pacer.yaml:3:19: marathons.here.url: missing: set Marathon's URL, such as http://marathon:8080"},
		"unknown source":       {ok + "syncs: {a: {source: b}}", `pacer.yaml:3:21: syncs.a.source: "b" is not among the sources`},
		"secret in the file": {
			"marathon: {url: http://m:8080, auth: {user: u, password: hunter2}}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:58: marathon.auth.password: a secret must not be in the configuration: write {file: PATH} or {env: NAME} (as a flag file:PATH or env:NAME)"},
		"password in a URL": {
			"marathon: {url: http://u:hunter2@m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:17: marathon.url: the URL of m:8080 contains a user or password: move them to auth"},
		"not supported yet": {
			"marathon: {url: http://m:8080}\nsources: {a: {git: {url: https://h/r, verify: gpg}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:2:47: sources.a.git.verify: commit signatures are not supported yet: remove the key"},
		"a host that is a URL": {
			ok + "web: {hosts: [pacer.example.com, \"https://pacer:9090\"]}\nsyncs: {a: {source: a}}",
			`pacer.yaml:3:14: web.hosts: host "https://pacer:9090": expected a host name or an IP address, without scheme and port`},
		"ZooKeeper without servers": {
			ok + "zookeeper: {root: /pacer}\nsyncs: {a: {source: a}}",
			"pacer.yaml:3:12: zookeeper.servers: missing: list the servers of the ensemble, such as [zk1:2181, zk2:2181, zk3:2181]; for one replica, remove zookeeper"},
		"all that can be wrong with ZooKeeper": {
			ok + "zookeeper: {servers: [zk1:2181/pacer], root: pacer, sessionTimeout: 100ms, auth: {user: u, certificate: true}, tls: {caFile: /ca}}\nsyncs: {a: {source: a}}",
			`pacer.yaml:3:22: zookeeper.servers: zookeeper: server "zk1:2181/pacer": expected host:port; set the node to use as root` + "\n" +
				`pacer.yaml:3:46: zookeeper.root: zookeeper: root "pacer": expected an absolute path such as /pacer` + "\n" +
				"pacer.yaml:3:69: zookeeper.sessionTimeout: expected 1s to 10m: a server grants 2 to 20 of its ticks\n" +
				"pacer.yaml:3:82: zookeeper.auth: user and password, and certificate are mutually exclusive: keep one\n" +
				"pacer.yaml:3:117: zookeeper.tls: configured but not enabled: set enabled: true"},
		"half a certificate for Marathon": {
			"marathon: {url: http://m:8080, tls: {keyFile: /k}}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:37: marathon.tls: certFile and keyFile must be set together"},
		"half a credential for ZooKeeper": {
			ok + "zookeeper: {servers: zk1, auth: {user: u}, tls: {enabled: true, certFile: /c}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:3:33: zookeeper.auth: user and password must be set together\npacer.yaml:3:49: zookeeper.tls: certFile and keyFile must be set together"},
		"a certificate that is not given": {
			ok + "zookeeper: {servers: zk1, auth: {certificate: true}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:3:47: zookeeper.auth.certificate: requires certFile and keyFile of tls"},
		"ZooKeeper's password in the file": {
			ok + "zookeeper: {servers: zk1, auth: {user: u, password: hunter2}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:3:53: zookeeper.auth.password: a secret must not be in the configuration: write {file: PATH} or {env: NAME} (as a flag file:PATH or env:NAME)"},
		"no URL to ask a replica at": {
			ok + "advertise: pacer-1:9090\nsyncs: {a: {source: a}}",
			"pacer.yaml:3:12: advertise: expected an http or https URL without user, such as http://pacer-1:9090"},
		"no port": {
			"marathon: {url: http://m:8080, agentPort: 70000}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:43: marathon.agentPort: expected a port from 0 to 65535"},
		"a token in a URL": {
			"marathon: {url: http://hunter2@m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:17: marathon.url: the URL of m:8080 contains a user or password: move them to auth"},
		"two ways of proving who it is": {
			"marathon: {url: http://m:8080, auth: {user: u, bearer: {env: B}}}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:38: marathon.auth: user and password, bearer, and token are mutually exclusive: keep one"},
		"half of a way": {
			"marathon: {url: http://m:8080, auth: {user: u}}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:1:38: marathon.auth: user and password must be set together"},
		"git over http": {
			"marathon: {url: http://m:8080}\nsources: {a: {git: {url: http://h/r}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:2:26: sources.a.git.url: http can be read and changed in transit: use https, or set allowHTTP: true (--allow-http)"},
		"a repository on this machine": {
			"marathon: {url: http://m:8080}\nsources: {a: {git: {url: /srv/git/shop.git}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:2:26: sources.a.git.url: \"/srv/git/shop.git\" is a path: for a repository on this machine write file:///path/of/repository; for a directory of manifests, use directory: {path: …} instead of git"},
		"git with a path in the URL": {
			"marathon: {url: http://m:8080}\nsources: {a: {git: {url: https://h/r//prod}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:2:26: sources.a.git.url: expected the URL of a repository, without //path and ?ref=: they have their own keys"},
		"a name with a slash": {
			ok + "syncs: {a/b: {source: a}}", "pacer.yaml:3:14: syncs.a/b: a name has 1 to 60 bytes, no / and no control characters"},
		"a second document": {
			ok + "syncs: {a: {source: a}}\n---\nlisten: :1", "pacer.yaml: expected one document, found more: remove --- and what follows it"},
		"a huge file": {
			ok + "syncs: {a: {source: a}}\n#" + strings.Repeat("x", maxFile), "pacer.yaml: the file is longer than 1048576 bytes"},
		"scopes that overlap": {
			ok + "syncs: {a: {source: a, scope: /x}, b: {source: a, scope: /x/y}}",
			"pacer.yaml:3:58: syncs.b.scope: /x/y lies in /x, the scope of sync a: two syncs must not write to the same ids"},
		"scope":          {ok + "syncs: {a: {source: a, scope: shop}}", `pacer.yaml:3:31: syncs.a.scope: "shop": expected an absolute id such as /shop, or / for everything`},
		"alias":          {ok + "syncs: {a: &x {source: a}}", "pacer.yaml:3:12: syncs.a: anchors and aliases are not allowed: write the value out"},
		"empty":          {"", "pacer.yaml: the file is empty: expected at least marathon, sources and syncs"},
		"syntax":         {"marathon: {", "pacer.yaml:1:1: YAML: did not find expected node content: a value is missing"},
		"a tab":          {"marathon:\n\turl: http://m", "pacer.yaml:2:1: a tab in the indentation: YAML requires spaces"},
		"after the end":  {"listen: :1\n]", `pacer.yaml:2:1: YAML: did not find expected key: a line above is indented differently, or its text has a quote or ":" and needs quotes around all of it`},
		"no UTF-8":       {"listen: \xff", "pacer.yaml: is not valid UTF-8: save the file as UTF-8"},
		"nothing needed": {"listen: :1", "pacer.yaml: marathon.url: missing: set Marathon's URL, such as http://marathon:8080 (flag --marathon, environment variable PACER_MARATHON)\npacer.yaml: sources: missing: define at least one, such as shop: {git: {url: …}}\npacer.yaml: syncs: missing: define at least one, such as shop: {source: shop, scope: /shop}"},
		"a password in the URL of a repository": {
			"marathon: {url: http://m:8080}\nsources: {a: {git: {url: 'https://u:hunter2@h/r'}}}\nsyncs: {a: {source: a}}",
			`pacer.yaml:2:26: sources.a.git.url: source "https://***@h/r": it contains a password, which others on this machine can read: use a file or the environment (auth, or --git-username and --git-password)`},
		"git and directory": {
			"marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}, git: {url: https://h/r}}}\nsyncs: {a: {source: a}}",
			"pacer.yaml:2:14: sources.a: expected either git or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.text)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
}

func TestGivenGoesBeforeTheFile(t *testing.T) {
	c, err := load(t, whole,
		Given{Key: "listen", Value: ":1", Origin: "flag --listen"},
		Given{Key: "marathon.url", Value: "http://other:8080", Origin: "flag --marathon"},
		Given{Key: "syncs.NAME.deadline", Value: "1m", Origin: "flag --deadline"},
		Given{Key: "syncs.NAME.substitute", Value: "ENV=dev,X=1", Origin: "flag --substitute"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":1" || c.Marathon.URL[0] != "http://other:8080" || c.Syncs["local"].Deadline.String() != "1m0s" {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff(map[string]string{"ENV": "dev", "X": "1"}, c.Syncs["shop"].Substitute); diff != "" {
		t.Error(diff)
	}
	_, err = load(t, whole, Given{Key: "syncs.NAME.prune", Value: "sometimes", Origin: "flag --prune"})
	if err == nil || !strings.HasPrefix(err.Error(), "flag --prune: syncs.") {
		t.Errorf("an error of a flag names it: %v", err)
	}
}

func TestOneSyncFromFlags(t *testing.T) {
	c, err := One("shop", Source{Git: &Git{URL: "https://h/r", Branch: "main"}},
		Given{Key: "marathon.url", Value: "http://m:8080", Origin: "flag --marathon"}, Given{Key: "syncs.NAME.scope", Value: "/shop", Origin: "flag --scope"})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Syncs["shop"]; s.Scope != "/shop" || s.Source != "shop" || s.Prune != "confirm" {
		t.Errorf("%+v", s)
	}
	if g := c.Sources["shop"].Git; g.Branch != "main" || time.Duration(g.Interval) != 30*time.Second {
		t.Errorf("%+v", g)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("a: &x [*x]")
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parse("pacer.yaml", []byte(text))
		if err != nil {
			return
		}
		if c, err := decode("pacer.yaml", root, nil, func(*Config, *decoder) {}); err == nil && len(c.Syncs) == 0 {
			t.Error("a configuration without syncs was accepted")
		}
	})
}

const (
	optionsPage = "../../docs/configuration.md"
	tableBegin  = "<!-- options: made from the code by go test ./controller/config -update -->\n"
	tableEnd    = "<!-- end of options -->\n"
)

func TestOptionsPage(t *testing.T) {
	page, err := os.ReadFile(optionsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), tableBegin)
	_, after, foundEnd := strings.Cut(rest, tableEnd)
	if !found || !foundEnd {
		t.Fatalf("%s has no place for the table of options", optionsPage)
	}
	golden(t, optionsPage, before+tableBegin+optionsTable()+tableEnd+after)
}

func golden(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale: go test ./controller/config -update\n%s", file, diff)
	}
}

func optionsTable() string {
	var b strings.Builder
	b.WriteString("\n| key | type | default | flag, environment | meaning |\n|---|---|---|---|---|\n")
	for _, o := range Options() {
		var others []string
		if o.Flag != "" {
			others = append(others, "`--"+o.Flag+"`")
		}
		if o.Env != "" {
			others = append(others, "`"+o.Env+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.Key, o.Type, o.Default, strings.Join(others, " "), o.Doc)
	}
	b.WriteString("\n")
	return b.String()
}
