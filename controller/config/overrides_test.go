package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOverridesAreNoted(t *testing.T) {
	const text = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs:\n  a: {source: a, scope: /a, prune: on}\n  b: {source: a, scope: /b}\n"
	env := func(key, variable, value string) Given {
		return Given{Key: key, Value: value, Origin: "environment variable " + variable}
	}
	for name, c := range map[string]struct {
		given Given
		want  []string
	}{
		"another Marathon": {env("marathon.url", "PACER_MARATHON", "http://hunter2:8080"),
			[]string{"environment variable PACER_MARATHON overrides marathon.url (pacer.yaml:1:17): unset the variable to use the configuration's value"}},
		"the same Marathon": {env("marathon.url", "PACER_MARATHON", "http://m:8080"), nil},
		"prune of the syncs that have it, and of the others": {env("syncs.NAME.prune", "PACER_PRUNE", "off"),
			[]string{"environment variable PACER_PRUNE overrides syncs.*.prune of every sync (pacer.yaml:4:36): unset the variable to use the configuration's value"}},
		"what no sync has": {env("syncs.NAME.deadline", "PACER_DEADLINE", "1m"),
			[]string{"environment variable PACER_DEADLINE overrides syncs.*.deadline of every sync: unset the variable to use the configuration's value"}},
		"the default":                      {env("syncs.NAME.deadline", "PACER_DEADLINE", "10m"), nil},
		"what the environment is to give":  {env("listen", "PACER_LISTEN", "127.0.0.1:1"), nil},
		"a flag, which is seen":            {Given{Key: "syncs.NAME.prune", Value: "off", Origin: "flag --prune"}, nil},
		"a default that is of this system": {Given{Key: "stateDir", Value: "/x", Origin: "environment variable STATE_DIRECTORY", Default: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pacer.yaml")
			write(t, file, text)
			_, got, err := LoadNoting(file, c.given)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], filepath.Dir(file)+"/", "")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAddressShowsNoSecret(t *testing.T) {
	m := Marathon{URL: List{"http://m1:8080", "https://user:hunter2@m2/marathon?token=hunter2#hunter2"}}
	if got, want := m.Address(), "http://m1:8080, https://m2/marathon"; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
}
