package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "dbPassword": true, "PASS_WORD": true, "PGPASS": true, "MYSQL_PWD": true, "API_KEY": true, "apiKey": true,
		"ACCESS_KEYS": true, "AWS_SECRET_ACCESS_KEY": true, "GITHUB_TOKEN": true, "CREDENTIALS": true, "SSH_PRIVATE": true,
		"HAPROXY_0_AUTH": true, "PASSPHRASE": true,
		"BUILD": false, "AUTHOR": false, "KEYBOARD": false, "PASSENGERS": false, "LOG_LEVEL": false, "": false, "PORT": false,
	} {
		if got := secretName(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestConfidential(t *testing.T) {
	cmd := "run --password x"
	app := &manifests.App{
		ID: "/shop/token", Cmd: &cmd, Args: []string{"--ok", "y", "--api-key", "x"},
		Env: map[string]manifests.EnvValue{
			"DB_PASSWORD": {Value: "x"}, "A/SECRET": {Value: "x"}, "DB": {Value: "postgres://u:x@db"},
			"MODE": {Value: "fast"}, "REFERENCE_KEY": {Secret: "db"},
		},
		Labels: map[string]string{"team": "red", "traefik.auth": "x"},
	}
	want := []string{"/args/3", "/cmd", "/env/A~1SECRET", "/env/DB", "/env/DB_PASSWORD", "/labels/traefik.auth"}
	if got := Confidential(app); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Confidential(&manifests.App{ID: "/shop/web", Env: map[string]manifests.EnvValue{"MODE": {Value: "fast"}}}); len(got) > 0 {
		t.Errorf("got %q, want none", got)
	}
}

func TestNoSecretIsLeftInFields(t *testing.T) {
	const canary = "c4n4ry"
	for path, v := range map[string]any{
		"/env/DB_PASSWORD":            canary,
		"/env/A":                      "postgres://user:" + canary + "@db/shop",
		"/env/B":                      "https://" + canary + "@git.example.com/x.git",
		"/env/C":                      "-----BEGIN RSA PRIVATE KEY-----\n" + canary + "\n-----END RSA PRIVATE KEY-----",
		"/env/D":                      "-----BEGIN PRIVATE KEY-----\n" + canary,
		"/env":                        map[string]any{"API_TOKEN": canary, "OK": "fine"},
		"/labels/traefik.auth":        canary,
		"/env/E":                      "https://host/hook?token=" + canary + "&room=1",
		"/env/F":                      "-Durl=jdbc:pg://db/x?user=a&password=" + canary,
		"/cmd":                        "DB_PASSWORD=" + canary + " ./run --token " + canary + " --api-key='" + canary + " x' -v",
		"/args":                       []any{"run", "--password", canary, "--secret=" + canary},
		"/healthChecks/0/command":     map[string]any{"value": "curl -H 'Authorization: Bearer " + canary + "' localhost"},
		"/container/docker":           map[string]any{"image": "x", "parameters": []any{map[string]any{"key": "env", "value": "SECRET=" + canary}, map[string]any{"key": "password", "value": canary}}},
		"/fetch":                      []any{map[string]any{"uri": "https://u:" + canary + "@host/f.tgz"}},
		"/containers/0/environment":   map[string]manifests.EnvValue{"MY_KEY": {Value: canary}},
		"/containers/0/environment/X": manifests.EnvValue{Value: "token: " + canary},
		"/container/volumes":          []any{map[string]any{"external": map[string]any{"options": map[string]any{"dvdi/secret": canary}}}},
		"/env/A_SECRET":               manifests.EnvValue{Value: canary},
		"/env/KEYS":                   map[string]any{"secret": "db", "more": canary},
	} {
		fields := masked([]manifests.FieldDiff{{Path: path, Live: v}, {Path: path, Desired: v}})
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), canary) {
			t.Errorf("%s: %s", path, b)
		}
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for path, v := range map[string]any{
		"/cmd":                            "sleep 100 # key of the house: --keyboard us",
		"/env/MODE":                       "fast",
		"/env/DB_PASSWORD/secret":         "db",
		"/env/DB_PASSWORD":                map[string]any{"secret": "db"},
		"/secrets/db/source":              "/shop/db",
		"/container/docker/pullConfig":    map[string]any{"secret": "registry"},
		"/container/docker/image":         "registry.example.com:5000/team/image:1",
		"/fetch":                          []any{map[string]any{"uri": "https://host/f.tgz"}},
		"/instances":                      3,
		"/healthChecks":                   []any{map[string]any{"path": "/token"}},
		"/constraints":                    []any{[]any{"hostname", "UNIQUE"}},
		"/taskKillGracePeriodSeconds":     nil,
		"/portDefinitions/0/labels/VIP_0": "/shop:80",
	} {
		want, _ := json.Marshal(v)
		got, _ := json.Marshal(masked([]manifests.FieldDiff{{Path: path, Live: v}})[0].Live)
		if string(got) != string(want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
