package marathon

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pacer-gitops/pacer/secret"
)

// TestAgentsThatAreNone: what Marathon calls the host of a task is pasted into a
// URL, so it must be the name or address of a host and nothing else.
func TestAgentsThatAreNone(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{
		"agent1": true, "agent-1.example.com": true, "AGENT.Example.COM.": true, "10.0.0.7": true, "2001:db8::7": true, "xn--bcher-kva.example": true, "1.agents": true, "under_score.example": true,
		"": false, ".": false, "a..b": false, "-a": false, "a-": false, "evil.example/": false, "evil.example/path?": false, "me@evil.example": false,
		"evil.example:80": false, "[::1]": false, "::1%lo": false, "fe80::1%25eth0": false, "a#b": false, "a?b": false, "a b": false, "a\nb": false, "a%2fb": false, `a\b`: false,
		"ä.example": false, strings.Repeat("a", 64): false, strings.Repeat("a.", 127) + "ab": false,
		"0x7f000001": false, "127.1": false, "2130706433": false, "0177.0.0.1": false, "1.2.3.4.5": false,
	} {
		if err := agentHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// TestAddressesThatNoAgentHas: a name may resolve to anything.
func TestAddressesThatNoAgentHas(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ ok, beside bool }{
		"10.0.0.7": {true, true}, "192.168.1.1": {true, true}, "198.51.100.7": {true, true}, "fd00::7": {true, true}, "2001:db8::7": {true, true}, "::ffff:10.0.0.7": {true, true},
		"127.0.0.1": {false, true}, "127.9.9.9": {false, true}, "::1": {false, true}, "::ffff:127.0.0.1": {false, true},
		"169.254.169.254": {}, "169.254.1.1": {}, "::ffff:169.254.169.254": {}, "fe80::1": {}, "64:ff9b::a9fe:a9fe": {}, "2002:a9fe:a9fe::1": {},
		"fd00:ec2::254": {}, "100.100.100.200": {}, "168.63.129.16": {}, "192.0.0.192": {},
		"0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "ff02::1": {}, "255.255.255.255": {},
		"64:ff9b::7f00:1": {false, true}, "::7f00:1": {},
	} {
		ip := netip.MustParseAddr(address)
		if err := agentAddress(ip, false); (err == nil) != want.ok {
			t.Errorf("%s: %v", address, err)
		}
		if err := agentAddress(ip, true); (err == nil) != want.beside {
			t.Errorf("%s, where Marathon is at a loopback address: %v", address, err)
		}
	}
}

// TestWhatIsAskedOfAgents: an address that no agent has is not connected to,
// however it is named; a redirect is no answer; no credential is sent.
func TestWhatIsAskedOfAgents(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var redirect atomic.Pointer[string]
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("a credential was sent to an agent")
		}
		if to := redirect.Load(); to != nil && r.URL.Path != "/secret" {
			http.Redirect(w, r, *to, http.StatusTemporaryRedirect)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": "secret", "offset": 6})
	}))
	t.Cleanup(agent.Close)
	_, p, _ := net.SplitHostPort(agent.Listener.Addr().String())
	port, _ := strconv.Atoi(p)
	client := func(urls ...string) *Client {
		c := newClient(t, Options{URLs: urls, AgentPort: port, Auth: Auth{Bearer: secret.Value("hunter2")}})
		c.home.Store(&sandboxes{framework: "fw"})
		return c
	}
	elsewhere := client("http://marathon.example.com:8080")
	elsewhere.agents.Transport.(*http.Transport).DialContext = agentDialer(elsewhere.bases, resolving(map[string]string{"marathon.example.com": "198.51.100.1"})).DialContext
	for _, host := range []string{"127.0.0.1", "localhost", "::1", "0.0.0.0", "::ffff:127.0.0.1", "localhost:" + p + "/x?", "a@localhost", "169.254.169.254"} {
		if text, err := elsewhere.Stderr(t.Context(), TaskFailure{TaskID: "a.1", Host: host}); err == nil || asked.Load() != 0 {
			t.Errorf("%s was asked: %q, %v", host, text, err)
		}
	}
	beside := client("http://localhost:8080")
	if text, err := beside.Stderr(t.Context(), TaskFailure{TaskID: "a.1", Host: "127.0.0.1"}); err != nil || text != "secret" {
		t.Errorf("beside a Marathon on this machine: %q, %v", text, err)
	}
	to := agent.URL + "/secret"
	redirect.Store(&to)
	if text, err := beside.Stderr(t.Context(), TaskFailure{TaskID: "a.1", Host: "127.0.0.1"}); err == nil || strings.Contains(text, "secret") {
		t.Errorf("a redirect of an agent was followed: %q", text)
	}
	redirect.Store(nil)
	for _, id := range []string{"../../../etc", "a/b", "..", "a\x00b"} {
		before := asked.Load()
		if _, err := beside.Stderr(t.Context(), TaskFailure{TaskID: id, Host: "127.0.0.1"}); err == nil || asked.Load() != before {
			t.Errorf("the sandbox of task %q was asked for", id)
		}
	}
}

// resolving is a resolver of these names alone.
func resolving(names map[string]string) func(context.Context, string, string) ([]netip.Addr, error) {
	return func(_ context.Context, _, host string) ([]netip.Addr, error) {
		ip, err := netip.ParseAddr(names[host])
		return []netip.Addr{ip}, err
	}
}
