package executor

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestFilesAreServedAsByAMesosAgent(t *testing.T) {
	w := open(t, Options{})
	w.launch(Task{ID: "one", App: "/shop", Cmd: "printf 'aé\\n'; mkdir logs; echo more > logs/more; ln -s / out; ln -s ../../../owner peek; mkfifo pipe; chmod 600 stderr"})
	if end := w.awaitEnd("one"); end.State != Finished {
		t.Fatalf("%+v", end)
	}
	sandbox := w.Sandbox("one")
	if err := os.WriteFile(filepath.Join(sandbox, "big"), make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	get := func(verb string, parameters ...string) (int, string, http.Header) {
		q := url.Values{}
		for i := 0; i < len(parameters); i += 2 {
			q.Set(parameters[i], parameters[i+1])
		}
		r := httptest.NewRecorder()
		w.Files().ServeHTTP(r, httptest.NewRequest("GET", "/files/"+verb+"?"+q.Encode(), nil))
		return r.Code, strings.TrimSpace(r.Body.String()), r.Header()
	}
	stdout := sandbox + "/stdout"
	for _, tt := range []struct {
		verb   string
		query  []string
		status int
		body   string
	}{
		{"read", []string{"path", stdout, "offset", "0"}, 200, `{"data":"aé\n","offset":0}`},
		{"read", []string{"path", "shop/one/stdout", "offset", "1", "length", "2"}, 200, `{"data":"é","offset":1}`},
		{"read", []string{"path", stdout, "offset", "0", "length", "2"}, 200, `{"data":"a","offset":0}`},
		{"read", []string{"path", stdout}, 200, `{"data":"","offset":4}`},
		{"read", []string{"path", stdout, "offset", "-1"}, 200, `{"data":"","offset":4}`},
		{"read", []string{"path", stdout, "offset", "400"}, 200, `{"data":"","offset":400}`},
		{"read", nil, 400, "Expecting 'path=value' in query."},
		{"read", []string{"path", sandbox}, 400, "Cannot read a directory."},
		{"read", []string{"path", stdout, "offset", "x"}, 400, "Failed to parse offset: it has to be a number from 0, or -1."},
		{"read", []string{"path", stdout, "length", "-5"}, 400, "Failed to parse length: it has to be a number from 0, or -1."},
		{"read", []string{"path", sandbox + "/none"}, 404, "404 page not found"},
		{"read", []string{"path", sandbox + "/pipe"}, 404, "404 page not found"},
		{"read", []string{"path", sandbox + "/peek", "offset", "0"}, 404, "404 page not found"},
		{"read", []string{"path", sandbox + "/out/etc/passwd", "offset", "0"}, 404, "404 page not found"},
		{"read", []string{"path", "/etc/passwd", "offset", "0"}, 404, "404 page not found"},
		{"read", []string{"path", sandbox + "/../../../owner", "offset", "0"}, 404, "404 page not found"},
		{"download", []string{"path", "../owner"}, 404, "404 page not found"},
		{"download", []string{"path", sandbox + "/out/etc/passwd"}, 404, "404 page not found"},
		{"download", []string{"path", stdout}, 200, "aé"},
		{"download", []string{"path", sandbox}, 400, "Cannot download a directory."},
		{"browse", []string{"path", sandbox + "/out"}, 404, "404 page not found"},
		{"browse", []string{"path", "/"}, 404, "404 page not found"},
		{"browse", []string{"path", stdout}, 400, "Cannot browse a file."},
	} {
		status, body, _ := get(tt.verb, tt.query...)
		if status != tt.status || body != tt.body {
			t.Errorf("%s %q: %d %q, want %d %q", tt.verb, tt.query, status, body, tt.status, tt.body)
		}
	}
	var piece struct{ Data string }
	_, body, _ := get("read", "path", sandbox+"/big", "offset", "0", "length", "90000")
	if err := json.Unmarshal([]byte(body), &piece); err != nil || len(piece.Data) != 65536 {
		t.Errorf("at most 16 pages at once: %d, %v", len(piece.Data), err)
	}
	if _, _, h := get("download", "path", stdout); h.Get("Content-Disposition") != "attachment; filename=stdout" || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v", h)
	}
	var list []fileInfo
	_, body, _ = get("browse", "path", sandbox)
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range list {
		if f.MTime < 1e9 || f.UID == "" || f.GID == "" || f.NLink < 1 {
			t.Errorf("%+v", f)
		}
		got[strings.TrimPrefix(f.Path, sandbox+"/")] = f.Mode[:1] + " " + strconv.FormatInt(f.Size, 10)
	}
	for name, want := range map[string]string{"stdout": "- 4", "big": "- 100000", "pipe": "p 0", "peek": "l 14"} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasPrefix(got["logs"], "d ") {
		t.Errorf("logs: %q", got["logs"])
	}
}

func TestAnUnreadableFileIsNotAnEmptyOne(t *testing.T) {
	if syscall.Getuid() == 0 {
		return // root reads everything
	}
	w := open(t, Options{})
	w.launch(Task{ID: "one", Cmd: "chmod 0 stderr"})
	w.awaitEnd("one")
	r := httptest.NewRecorder()
	w.Files().ServeHTTP(r, httptest.NewRequest("GET", "/files/read?path=_/one/stderr", nil))
	if r.Code != http.StatusForbidden {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}
