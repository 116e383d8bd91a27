package marathon

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/secret"
)

// agent serves one file as a Mesos agent does.
func agent(t *testing.T, path, content string) (host string, port int) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a credential was sent to an agent")
		}
		q := r.URL.Query()
		switch {
		case r.URL.Path != "/files/read" || q.Get("path") != path:
			http.NotFound(w, r)
		case q.Get("offset") == "-1":
			_ = json.NewEncoder(w).Encode(map[string]any{"data": "", "offset": len(content)})
		default:
			from, _ := strconv.Atoi(q.Get("offset"))
			n, _ := strconv.Atoi(q.Get("length"))
			_ = json.NewEncoder(w).Encode(map[string]any{"data": content[from:min(len(content), from+n)], "offset": from})
		}
	}))
	t.Cleanup(s.Close)
	host, p, _ := net.SplitHostPort(s.Listener.Addr().String())
	port, _ = strconv.Atoi(p)
	return host, port
}

func TestStderrOfATask(t *testing.T) {
	t.Parallel()
	master := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"frameworkId": "fw-0000", "buildref": "1.11"}`))
	}))
	t.Cleanup(master.Close)
	host, port := agent(t, "/frameworks/fw-0000/executors/web.1/runs/latest/stderr", strings.Repeat("x", 9000)+"end")
	client := func(port int) *Client {
		c, err := New(Options{URLs: []string{master.URL}, AgentPort: port, Auth: Auth{Bearer: secret.Value("hunter2")}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	text, err := client(port).Stderr(t.Context(), TaskFailure{TaskID: "web.1", Host: host})
	if err != nil || len(text) != tailBytes || !strings.HasSuffix(text, "xend") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	for name, f := range map[string]TaskFailure{
		"no task": {Host: host}, "no host": {TaskID: "web.1"}, "no such task": {TaskID: "web.2", Host: host}, "no such host": {TaskID: "web.1", Host: "host.invalid"},
	} {
		if text, err := client(port).Stderr(t.Context(), f); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
	if text, err := client(-1).Stderr(t.Context(), TaskFailure{TaskID: "web.1", Host: host}); err == nil {
		t.Errorf("agents are not to be asked: %q", text)
	}
}
