package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/clienttls"
)

// Whatever a configuration changes, what is in force afterwards is the new value
// where it can be taken up, and else the old one, with its key named.
func TestReloadedKeepsWhatNeedsARestart(t *testing.T) {
	const base = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}\n"
	for _, c := range []struct {
		text string
		keys []string
	}{
		{"", nil},
		{"stateDir: elsewhere", []string{"stateDir"}},
		{"listen: 127.0.0.1:1\nlog: {level: debug}", []string{"listen", "log.level"}},
		{"marathons: {berlin: {url: http://b}}", []string{"marathons.berlin"}},
		{"web: {hosts: [kiosk], tokens: {act: {env: A}}}", []string{"web.hosts", "web.tokens.act"}},
		{"advertise: http://me:1\nzookeeper: {servers: [127.0.0.1:1], root: /p}", []string{"advertise", "zookeeper.root", "zookeeper.servers"}},
	} {
		old, err := load(t, base)
		if err != nil {
			t.Fatal(err)
		}
		next, err := load(t, base+c.text)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(c.text, "stateDir") { // its default lies beside each file
			next.StateDir = old.StateDir
		}
		next.Syncs = map[string]Sync{"b": {Source: "a"}}
		inForce, keys := old.Reloaded(next)
		if !slices.Equal(keys, c.keys) {
			t.Errorf("%s: %q need a restart, want %q", c.text, keys, c.keys)
		}
		want := *old
		want.Syncs, want.Sources = next.Syncs, next.Sources
		if !reflect.DeepEqual(*inForce, want) {
			t.Errorf("%s: in force is\n%+v, want\n%+v", c.text, *inForce, want)
		}
	}
	a := Marathon{URL: List{"http://a"}, TLS: clienttls.Files{CAFile: "/a"}}
	b := Marathon{URL: List{"http://a"}, TLS: clienttls.Files{CAFile: "/b"}, Timeout: 1}
	_, keys := (&Config{Marathons: map[string]Marathon{"x": a, "gone": a}}).Reloaded(&Config{Marathons: map[string]Marathon{"x": b}})
	if want := []string{"marathons.gone", "marathons.x.timeout", "marathons.x.tls.caFile"}; !slices.Equal(keys, want) {
		t.Errorf("%q, want %q", keys, want)
	}
}

// What is neither taken up nor named would be forgotten: each key is one or the
// other, and the page of the configuration lists those that need a restart.
func TestEveryKeyIsReloadedOrNeedsARestart(t *testing.T) {
	taken := []string{"sources", "syncs"}
	if all := keysOf(reflect.TypeFor[Config]()); !slices.Equal(slices.Sorted(slices.Values(slices.Concat(RestartKeys(), taken))), slices.Sorted(slices.Values(all))) {
		t.Errorf("%v need a restart and %v are taken up: together they must be %v", RestartKeys(), taken, all)
	}
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if sentence := "`" + strings.Join(RestartKeys(), "`, `") + "` need a restart"; !strings.Contains(string(doc), sentence) {
		t.Errorf("docs/configuration.md does not say: %s", sentence)
	}
}
