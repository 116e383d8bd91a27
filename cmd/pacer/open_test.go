package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/store"
)

// started starts a Pacer with a configuration, and returns the port of its page.
func started(t *testing.T, marathon, text string, insecureOpen bool) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(startedProgram(t, marathon, text, insecureOpen).addr.String())
	return port
}

// startedProgram starts a Pacer with a configuration until the end of the test.
func startedProgram(t *testing.T, marathon, text string, insecureOpen bool) *program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pacer.yaml")
	text = fmt.Sprintf("marathon: {url: %s, agentPort: 0}\nstateDir: %s\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a, scope: /a}}\n%s", marathon, t.TempDir(), text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProgram(t.Context(), c, insecureOpen, slog.New(slog.DiscardHandler), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestWhoeverReachesThePageFindsAControllerThatRuns: as soon as the page is served an
// action is taken, and not answered with 503. With one processor a goroutine that
// began the controller would not have had its turn here.
func TestWhoeverReachesThePageFindsAControllerThatRuns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m := localtest.New(t, localtest.Options{})
	for range 20 {
		p := startedProgram(t, m.URL, "listen: 127.0.0.1:0", false)
		if err := p.controller.Trigger("a", store.Asked{By: store.AskedByPerson}); err != nil {
			t.Fatalf("the page is served at %s, and an action is refused: %v", p.addr, err)
		}
	}
}

// What a stranger on the network, and who has a token, can do by the addresses of
// this machine.
func TestWhoMayFromElsewhere(t *testing.T) {
	address := outside(t)
	m := localtest.New(t, localtest.Options{})
	t.Setenv("SEE", "may-see")
	t.Setenv("DO", "may-act")
	for _, c := range []struct {
		text                             string
		open                             bool
		seen, seenBy, done, doneBy, asNo int // a stranger sees, with the act token, acts, with it; by another name
	}{
		{"listen: 0.0.0.0:0\nweb: {tokens: {act: {env: DO}}}", false, 401, 200, 401, 202, 401},
		{"listen: 0.0.0.0:0\nweb: {tokens: {act: {env: DO}, read: {env: SEE}}}", false, 401, 200, 401, 202, 401},
		{"listen: 0.0.0.0:0\nweb: {tokens: {read: {env: DO}}}", false, 401, 200, 401, 202, 401},
		{"listen: 0.0.0.0:0\nweb: {tokens: {act: {env: DO}}}", true, 200, 200, 401, 202, 421},
		{"listen: 0.0.0.0:0", true, 200, 200, 202, 202, 421},
		{"listen: 0.0.0.0:0\nweb: {hosts: [kiosk]}", true, 200, 200, 202, 202, 200},
		{"listen: 127.0.0.1:0\nweb: {tokens: {act: {env: DO}}}", false, 0, 0, 0, 0, 0},
		{"listen: localhost:0", false, 0, 0, 0, 0, 0},
	} {
		port := started(t, m.URL, c.text, c.open)
		ask := func(method, path, token, host string) int {
			r, err := http.NewRequest(method, "http://"+net.JoinHostPort(address, port)+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return 0 // it does not listen there
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}
		const see, act = "/api/v1/status", "/api/v1/syncs/a/sync"
		got := []int{ask("GET", see, "", ""), ask("GET", see, "may-act", ""), ask("POST", act, "", ""), ask("POST", act, "may-act", ""), ask("GET", see, "", "kiosk")}
		if want := []int{c.seen, c.seenBy, c.done, c.doneBy, c.asNo}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, open %v: %v, want %v", c.text, c.open, got, want)
		}
	}
}

// Without a word in the configuration nobody but this machine reaches the page.
func TestTheDefaultIsThisMachineAlone(t *testing.T) {
	for _, o := range config.Options() {
		if host, _, err := net.SplitHostPort(o.Default); o.Key == "listen" && (err != nil || !net.ParseIP(host).IsLoopback()) {
			t.Errorf("listen is %q by default", o.Default)
		}
	}
}
