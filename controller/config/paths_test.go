package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// everyPath has each kind of path of this machine, none of them absolute.
const everyPath = `
marathon:
  url: http://m1:8080
  auth: {user: pacer, password: {file: secrets/marathon}}
  tls: {caFile: tls/ca.pem, certFile: tls/cert.pem, keyFile: tls/key.pem}
marathons:
  berlin: {url: http://b1:8080, auth: {bearer: "file:secrets/berlin"}, tls: {caFile: tls/berlin.pem}}
  dublin: {url: http://d1:8080, auth: {token: {file: secrets/dublin}}}
stateDir: state
web: {tokens: {read: {file: secrets/read}, act: {file: secrets/act}}}
zookeeper:
  servers: [zk1:2181]
  auth: {user: pacer, password: {file: secrets/zookeeper}}
  tls: {enabled: true, caFile: tls/zk.pem, certFile: tls/zkcert.pem, keyFile: tls/zkkey.pem}
sources:
  shop:
    git:
      url: https://git.example.com/shop.git
      webhook: {secret: {file: secrets/webhook}}
      auth: {password: {file: secrets/git}, key: {file: secrets/key}, passphrase: {file: secrets/passphrase}, knownHosts: known_hosts, caFile: tls/git.pem}
  local: {directory: {path: apps}}
syncs:
  shop: {source: shop, path: prod, scope: /shop}
`

// pathsOf are the paths of this machine in a configuration.
func pathsOf(c *Config) map[string]string {
	m, b, zk, web, git := c.Marathon, c.Marathons["berlin"], c.ZooKeeper, c.Web.Tokens, c.Sources["shop"].Git
	return map[string]string{
		"secrets/marathon": m.Auth.Password.File, "tls/ca.pem": m.TLS.CAFile, "tls/cert.pem": m.TLS.CertFile, "tls/key.pem": m.TLS.KeyFile,
		"secrets/berlin": b.Auth.Bearer.File, "tls/berlin.pem": b.TLS.CAFile, "secrets/dublin": c.Marathons["dublin"].Auth.Token.File,
		"state": c.StateDir, "secrets/read": web.Read.File, "secrets/act": web.Act.File,
		"secrets/zookeeper": zk.Auth.Password.File, "tls/zk.pem": zk.TLS.CAFile, "tls/zkcert.pem": zk.TLS.CertFile, "tls/zkkey.pem": zk.TLS.KeyFile,
		"secrets/webhook": git.Webhook.Secret.File, "secrets/git": git.Auth.Password.File, "secrets/key": git.Auth.Key.File,
		"secrets/passphrase": git.Auth.Passphrase.File, "known_hosts": git.Auth.KnownHosts, "tls/git.pem": git.Auth.CAFile,
		"apps": c.Sources["local"].Directory.Path,
	}
}

func TestPathsOfTheFileStartAtItsFolder(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "pacer.yaml")
	write(t, file, everyPath)
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(wd, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{file, relative} {
		c, err := Load(named)
		if err != nil {
			t.Fatal(err)
		}
		for written, got := range pathsOf(c) {
			if want := filepath.Join(folder, written); got != want {
				t.Errorf("%s, named %s: %s became %q, expected %s", file, named, written, got, want)
			}
		}
		if c.Syncs["shop"].Path != "prod" {
			t.Errorf("the path in a source became %q", c.Syncs["shop"].Path)
		}
	}
}

func TestPathsThatAreAbsoluteStay(t *testing.T) {
	c, err := load(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if c.Marathon.TLS.CAFile != "/etc/ca.pem" || c.ZooKeeper.Auth.Password.File != "/run/zookeeper" || c.Marathon.TLS.CertFile != "" {
		t.Errorf("%+v %+v", c.Marathon, c.ZooKeeper)
	}
}

// TestPathsFromOutsideTheFile: who types a path at a prompt means the folder of
// the prompt.
func TestPathsFromOutsideTheFile(t *testing.T) {
	c, err := load(t, everyPath,
		Given{Key: "stateDir", Value: "here", Origin: "flag --state-dir"},
		Given{Key: "marathon.tls.caFile", Value: "ca.pem", Origin: "environment variable PACER_CA_FILE"},
		Given{Key: "sources.NAME.git.auth.password", Value: "file:password", Origin: "flag --git-password"})
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != "here" || c.Marathon.TLS.CAFile != "ca.pem" || c.Sources["shop"].Git.Auth.Password.File != "password" {
		t.Errorf("stateDir %q, caFile %q, password %q", c.StateDir, c.Marathon.TLS.CAFile, c.Sources["shop"].Git.Auth.Password.File)
	}
	if !filepath.IsAbs(c.Marathon.TLS.CertFile) {
		t.Errorf("certFile %q, which is from the file, does not start at its folder", c.Marathon.TLS.CertFile)
	}
}

// TestStateDirByDefault: the default lies at the file too, but where the system
// gives a folder for state, which only the file's own stateDir goes before.
func TestStateDirByDefault(t *testing.T) {
	const least = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}\n"
	system := Given{Key: "stateDir", Value: "/var/lib/pacer/pacer-state", Origin: "environment variable STATE_DIRECTORY", Default: true}
	for text, want := range map[string]string{"": system.Value, "stateDir: /data": "/data"} {
		c, err := load(t, least+text, system)
		if err != nil || c.StateDir != want {
			t.Errorf("%q: stateDir %q, %v, expected %s", text, c.StateDir, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "pacer.yaml")
	write(t, file, least)
	c, err := Load(file)
	if want := filepath.Join(filepath.Dir(file), "pacer-state"); err != nil || c.StateDir != want {
		t.Errorf("stateDir %q, %v, expected %s", c.StateDir, err, want)
	}
}

// TestEveryPathIsMarked: an option that looks like a path of this machine is one.
func TestEveryPathIsMarked(t *testing.T) {
	looks := regexp.MustCompile(`(File|Dir|Hosts|directory\.path)$`)
	found := 0
	for _, o := range Options() {
		if looks.MatchString(o.Key) != (o.Type == TypePath) {
			t.Errorf("%s has the type %s", o.Key, o.Type)
		}
		if o.Type == TypePath {
			found++
		}
	}
	if found < 10 {
		t.Errorf("%d paths", found)
	}
}
