package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/secret"
)

const (
	deployFolder = "../../deploy"
	volume       = "/var/lib/pacer" // of the image, and the folder that systemd makes for the unit
)

// TestDeployStateFolder: the default stateDir lies where the image and the unit can
// write and what is written stays, whatever the working directory is, and a
// stateDir of the configuration goes before.
func TestDeployStateFolder(t *testing.T) {
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`(?m)^ENV STATE_DIRECTORY=(.*)$`).FindStringSubmatch(string(image))
	if set == nil || set[1] != volume || !strings.Contains(string(image), "\nVOLUME "+volume+"\n") {
		t.Fatalf("the image says %q of its state, expected the volume %s", set, volume)
	}
	t.Setenv("STATE_DIRECTORY", set[1])
	file := filepath.Join(t.TempDir(), "pacer.yaml")
	const least = "marathon: {url: http://m:8080}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a, scope: /a}}\n"
	for text, want := range map[string]string{"": volume + "/pacer-state", "stateDir: /data\n": "/data"} {
		if err := os.WriteFile(file, []byte(least+text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file, givenOptions(newRun())...)
		if err != nil || c.StateDir != want {
			t.Errorf("%q: stateDir %s, %v, expected %s", text, c.StateDir, err, want)
		}
	}
}

// TestDeployManifest holds the app by which Marathon runs Pacer to what Pacer
// itself would take.
func TestDeployManifest(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(deployFolder, "pacer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pacer.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"validate", dir}, nil, &out, &errs); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	holdEnvironment(t, string(text))
}

// TestDeployCompose reads the configuration that the Compose file holds, with
// the environment that it gives.
func TestDeployCompose(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployFolder, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
		}
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pacer.yaml")
	if err := os.WriteFile(file, []byte(compose.Configs["pacer"].Content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pacer1", "pacer2", "pacer3"} {
		for key, value := range compose.Services[name].Environment {
			if strings.HasPrefix(value, "${") {
				value = "http://marathon:8080"
			}
			t.Setenv(key, value)
		}
		c, err := config.Load(file, givenOptions(newRun())...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CheckOpen(); err != nil {
			t.Errorf("%s would not start: %v", name, err)
		}
		if c.StateDir != volume {
			t.Errorf("%s keeps its state in %s, which is not the volume", name, c.StateDir)
		}
		if len(c.ZooKeeper.Servers) != 3 || c.Advertised() != "http://"+name+":9090" {
			t.Errorf("%s: servers %v, advertised %s", name, c.ZooKeeper.Servers, c.Advertised())
		}
	}
	holdEnvironment(t, string(text))
}

// TestDeployConfiguration holds the configuration that pacer.json and pacer.service
// run with, each in the environment that it gives.
func TestDeployConfiguration(t *testing.T) {
	t.Setenv("PACER_MARATHON", "http://marathon:8080")
	t.Setenv("PACER_ZOOKEEPER", "zk1:2181,zk2:2181,zk3:2181")
	c, err := config.Load(filepath.Join(deployFolder, "pacer.yaml"), givenOptions(newRun())...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckOpen(); err != nil {
		t.Errorf("it would not start: %v", err)
	}
	if c.StateDir != volume {
		t.Errorf("the state is in %s, which is not %s", c.StateDir, volume)
	}
	if !c.ListensElsewhere() {
		t.Errorf("at %s nobody reaches the page", c.Listen)
	}
	unit, err := os.ReadFile(filepath.Join(deployFolder, "pacer.service"))
	if err != nil {
		t.Fatal(err)
	}
	app, err := os.ReadFile(filepath.Join(deployFolder, "pacer.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []secret.Ref{c.ZooKeeper.Auth.Password, c.Web.Tokens.Read, c.Web.Tokens.Act} {
		folder, name := filepath.Split(ref.File)
		if !strings.Contains(string(unit), "\nLoadCredential="+name+":") {
			t.Errorf("pacer.service gives no file %s", ref.File)
		}
		if !strings.Contains(string(app), `"`+filepath.Clean(folder)+`"`) {
			t.Errorf("pacer.json gives no folder %s", folder)
		}
	}
	holdEnvironment(t, string(unit))
}

// TestExamplesInDocsWouldStart loads each configuration in the documentation, and
// each part of one with what it lacks, as pacer run does.
func TestExamplesInDocsWouldStart(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, o := range config.Options() {
		keys[o.Key] = true
	}
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range codeBlock.FindAllString(string(text), -1) {
			var example map[string]any
			if yaml.Unmarshal([]byte(block), &example) != nil || len(example) == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(example)), func(key string) bool { return !keys[key] }) {
				continue // no configuration
			}
			found++
			for key, missing := range map[string]any{
				"marathon": map[string]any{"url": "http://marathon:8080"},
				"sources":  map[string]any{"shop": map[string]any{"directory": map[string]any{"path": "."}}},
				"syncs":    map[string]any{"shop": map[string]any{"source": "shop", "scope": "/other"}},
			} {
				if example[key] == nil {
					example[key] = missing
				}
			}
			whole, err := yaml.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "pacer.yaml")
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(file)
			if err == nil {
				err = c.CheckOpen()
			}
			if err != nil {
				t.Errorf("%s:\n%s%v", page, block, err)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d configurations were found", found)
	}
}

// codeBlock matches lines of code that follow each other.
var codeBlock = regexp.MustCompile(`(?m)(?:^    .*\n)+`)

// holdEnvironment holds the variables in a text to those that there are.
func holdEnvironment(t *testing.T, text string) {
	t.Helper()
	known := map[string]bool{}
	for _, o := range config.Options() {
		known[o.Env] = true
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		if strings.HasPrefix(word, "PACER_") && !known[word] {
			t.Errorf("there is no variable %s", word)
		}
	}
}
