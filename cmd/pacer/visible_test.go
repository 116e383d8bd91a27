package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/visible"
)

// hostile is what a server or a repository may say: to a terminal, it clears the
// screen, rings, turns text round, and sets a title by a C1 control.
const hostile = "\x1b[31mevil\a text\x1b[2J \u009b2J \u202etxt.exe \x9b \r\x00 end"

// evilServer says hostile things as a git server, as a Marathon, and as a Pacer.
func evilServer(t *testing.T, raw bool) string {
	t.Helper()
	said := hostile
	if !raw {
		said = strings.NewReplacer("\x1b", `\u001b`, "\a", `\u0007`, "\r", `\r`, "\x00", `\u0000`, "\x9b ", `\u009b`).Replace(hostile)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/info/refs") {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			line := "ERR " + hostile + "\n"
			fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s", len(line)+4, line)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"message": "%s", "details": [{"path": "%[1]s", "errors": ["%[1]s"]}]}`, said)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestNothingFromOutsideReachesTheTerminalRaw runs each verb against servers and
// repositories that say hostile things, and finds nothing on either output that
// a terminal would obey.
func TestNothingFromOutsideReachesTheTerminalRaw(t *testing.T) {
	t.Parallel()
	good := t.TempDir()
	if err := os.WriteFile(filepath.Join(good, "a.json"), []byte(`{"id": "/a", "cmd": "sleep 9"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := t.TempDir()
	manifest := `{"id": "/a", "cmd": "sleep 9", "labels": {"a\u001b\u009b": "x\u202e\u001b\u009b\u0007"}, "bad` + "\u202e\u009b" + `\u001b": 1}`
	if err := os.WriteFile(filepath.Join(bad, "a.json"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	fine := strings.Replace(manifest, `, "bad`+"\u202e\u009b"+`\u001b": 1`, "", 1)
	odd := t.TempDir()
	if err := os.WriteFile(filepath.Join(odd, "a.json"), []byte(fine), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []bool{true, false} {
		evil := evilServer(t, raw)
		git := []string{evil + "/x.git", "--allow-http"}
		commands := [][]string{{"validate", git[0], git[1]}, {"render", git[0], git[1]}}
		for _, format := range []string{"text", "json", "yaml", "markdown"} {
			for _, verb := range []string{"plan", "apply"} {
				commands = append(commands,
					[]string{verb, git[0], git[1], "--marathon", evil, "-o", format},
					[]string{verb, good, "--marathon", evil, "-o", format},
					[]string{verb, bad, "--marathon", evil, "-o", format})
			}
		}
		for _, format := range []string{"text", "json", "yaml"} {
			commands = append(commands, []string{"validate", bad, "-o", format}, []string{"validate", odd, "-o", format})
		}
		for _, format := range []string{"json", "yaml"} {
			commands = append(commands, []string{"render", bad, "-o", format}, []string{"render", odd, "-o", format})
		}
		commands = append(commands, []string{"export", "--out", t.TempDir(), "--marathon", evil}, []string{"explain", hostile}, []string{hostile}, []string{"status", "--" + hostile})
		for _, verb := range []string{"status", "history", "diff", "wait", "sync", "suspend", "resume", "rollback", "approve"} {
			args := []string{verb, "x", "--server", evil}
			if verb == "rollback" || verb == "approve" {
				args = append(args, "y")
			}
			commands = append(commands, args)
		}
		for _, args := range commands {
			var out, err bytes.Buffer
			run(t.Context(), args, strings.NewReader(""), &out, &err)
			for name, b := range map[string][]byte{"standard output": out.Bytes(), "standard error": err.Bytes()} {
				if !visible.Whole(b) {
					t.Errorf("pacer %q writes to %s: %q", args, name, b)
				}
			}
			if out.Len()+err.Len() == 0 {
				t.Errorf("pacer %q says nothing", args)
			}
		}
	}
}

// TestLogsAreVisible: of JSON too, which escapes no C1 control by itself.
func TestLogsAreVisible(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		newLog(config.Log{Level: "info", Format: format}, &out).Error(hostile, "error", hostile, hostile, 1)
		if !visible.Whole(out.Bytes()) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %q", format, out.Bytes())
		}
	}
}
