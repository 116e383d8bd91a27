package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// runsIn waits for an app of a Marathon to have a command.
func runsIn(t *testing.T, s *localtest.Server, id, cmd string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(testenv.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(s.URL + "/v2/apps" + id)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if last = string(body); strings.Contains(last, fmt.Sprintf(`"cmd":%q`, cmd)) {
			return
		}
	}
	t.Fatalf("%s does not run %q: %s", id, cmd, last)
}

// The same scope of two Marathons, by the one-shot verbs and by pacer run: each
// sync reads and writes the one that it names.
func TestSeveralMarathons(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	berlin, dublin := localtest.New(t, localtest.Options{}), localtest.New(t, localtest.Options{})
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put := func(place, cmd string) {
		t.Helper()
		write("apps/"+place+"/web.json", fmt.Sprintf(`{"id": "/shop/web", "cmd": %q, "cpus": 0.1, "mem": 32}`, cmd))
	}
	put("b", "in berlin")
	put("d", "in dublin")
	write("pacer.yaml", fmt.Sprintf(`marathons: {berlin: {url: %s, agentPort: 0}, dublin: {url: %s, agentPort: 0}}
listen: 127.0.0.1:0
stateDir: %s
sources: {apps: {directory: {path: %s, interval: 1s}}}
syncs:
  b: {marathon: berlin, source: apps, path: b, scope: /shop, adopt: true}
  d: {marathon: dublin, source: apps, path: d, scope: /shop, adopt: true}
`, berlin.URL, dublin.URL, filepath.Join(dir, "state"), filepath.Join(dir, "apps")))
	config := filepath.Join(dir, "pacer.yaml")

	if out, err := exec.Command("pacer", "apply", "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("pacer apply: %v: %s", err, out)
	}
	runsIn(t, berlin, "/shop/web", "in berlin")
	runsIn(t, dublin, "/shop/web", "in dublin")
	if out, err := exec.Command("pacer", "plan", "--config", config, "--detailed-exitcode").CombinedOutput(); err != nil {
		t.Errorf("pacer plan after it: %v: %s", err, out)
	}

	pacer := exec.Command("pacer", "run", "--config", config)
	pacer.Stderr = t.Output()
	if err := pacer.Start(); err != nil {
		t.Fatal(err)
	}
	put("d", "still in dublin")
	runsIn(t, dublin, "/shop/web", "still in dublin")
	runsIn(t, berlin, "/shop/web", "in berlin")
	if err := pacer.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := pacer.Wait(); err != nil {
		t.Errorf("pacer run: %v", err)
	}
}
