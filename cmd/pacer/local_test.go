package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pacer-gitops/pacer/controller/web/browsertest"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/lifecycle"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// localAt starts a local Marathon and returns where it listens.
func localAt(t *testing.T, o localOptions) string {
	t.Helper()
	var l lifecycle.Lifecycle
	o.log, o.sandboxes = slog.New(slog.DiscardHandler), t.TempDir()
	addr, err := startLocal(&l, o, func(err error) { t.Error(err) })
	t.Cleanup(func() {
		if err := l.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// running is what ids of apps a local Marathon has.
func running(t *testing.T, addr string) (ids []string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/v2/apps")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct{ Apps []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all.Apps {
		ids = append(ids, a.ID)
	}
	return ids
}

// outside is an address of this machine that is no loopback.
func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	testenv.Lacks(t, "this machine has only loopback addresses")
	return ""
}

// By which names and from which pages a command can be started, in both modes.
func TestTheLocalMarathonTakesNoCommandFromAPage(t *testing.T) {
	own := localAt(t, localOptions{listen: "127.0.0.1:0", hosts: []string{"box"}})
	exposed := localAt(t, localOptions{listen: "0.0.0.0:0", exposed: true, hosts: []string{"box.example"}})
	_, port, _ := net.SplitHostPort(exposed)
	at, loopback := net.JoinHostPort(outside(t), port), net.JoinHostPort("127.0.0.1", port)
	for i, c := range []struct {
		at, host, origin, site string
		want                   int
	}{
		{own, own, "", "", 201},
		{own, "localhost", "", "", 201},
		{own, "box:8080", "", "", 201},
		{own, own, "http://" + own, "same-origin", 201},
		{own, "kiosk", "http://kiosk", "same-origin", 421},
		{own, "marathon:8080", "", "", 421},
		{own, "evil.example", "", "", 421},
		{own, at, "", "", 421},
		{own, own, "https://evil.example", "", 403},
		{own, own, "", "cross-site", 403},
		{own, own, "http://localhost:1", "same-site", 403},
		{at, at, "", "", 201},
		{loopback, loopback, "", "", 201},
		{at, "box.example", "", "", 201},
		{at, "evil.example", "", "", 421},
		{loopback, "kiosk:" + port, "", "", 421},
		{loopback, at, "", "", 421},
		{at, at, "https://evil.example", "", 403},
		{at, "box.example", "https://evil.example", "cross-site", 403},
	} {
		id := fmt.Sprintf("/app-%d", i)
		r, err := http.NewRequest("POST", "http://"+c.at+"/v2/apps", strings.NewReader(`{"id": "`+id+`", "cmd": "sleep 1", "instances": 0}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		for header, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if value != "" {
				r.Header.Set(header, value)
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		server := own
		if c.at != own {
			server = loopback
		}
		there := strings.Contains(strings.Join(running(t, server), " ")+" ", id+" ")
		if resp.StatusCode != c.want || there != (c.want == 201) {
			t.Errorf("%+v: %d, made: %v: %s", c, resp.StatusCode, there, said)
		}
	}
}

func TestALocalMarathonIsNamedByNames(t *testing.T) {
	_, err := startLocal(&lifecycle.Lifecycle{}, localOptions{listen: "127.0.0.1:0", hosts: []string{"http://kiosk:8080"}}, nil)
	if err == nil || !strings.Contains(err.Error(), `--host: host "http://kiosk:8080"`) {
		t.Errorf("%v", err)
	}
}

// attack is what a page sends to start a command here. Before a POST without a
// Content-Type no browser asks the server whether it may.
const attack = `(async () => {
	const said = await fetch(%q, {method: "POST", mode: "no-cors", body: new Blob([JSON.stringify({id: "/owned", cmd: %q})])})
	return said.type + " " + said.status
})()`

// A real browser has a page open whose name comes to mean this machine, and one
// of another port. Neither can start a command.
func TestBrowserPagesStartNoCommand(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for name, host := range map[string]string{"DNS rebinding": "kiosk", "another port": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			ctx, _ := browsertest.Start(t, chromedp.Flag("host-resolver-rules", "MAP kiosk 127.0.0.1"))
			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, "<!doctype html><title>Kiosk</title>")
			}))
			defer evil.Close()
			_, port, _ := net.SplitHostPort(evil.Listener.Addr().String())
			browsertest.Must(t, ctx, chromedp.Navigate("http://"+net.JoinHostPort(host, port)+"/"))
			at, target := "127.0.0.1:0", ""
			if host == "kiosk" { // from now on the name and port are the local Marathon's
				evil.CloseClientConnections()
				evil.Close()
				at, target = "127.0.0.1:"+port, "/v2/apps"
			}
			addr := localAt(t, localOptions{listen: at})
			if target == "" {
				target = "http://" + addr + "/v2/apps"
			}
			mark := filepath.Join(t.TempDir(), "owned")
			said := browsertest.Script[string](t, ctx, fmt.Sprintf(attack, target, "touch "+mark))
			if ids := running(t, addr); len(ids) > 0 {
				t.Errorf("the page was answered %q, and there are %v", said, ids)
			}

			// The same by a program starts the command, so the page was refused for what it is.
			resp, err := http.Post("http://"+addr+"/v2/apps", "application/json", strings.NewReader(fmt.Sprintf(`{"id": "/mine", "cmd": "touch %s"}`, mark)))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			zktest.Await(t, "the command of a program, which was answered "+resp.Status, func() bool {
				_, err := os.Stat(mark)
				return err == nil
			})
		})
	}
}
