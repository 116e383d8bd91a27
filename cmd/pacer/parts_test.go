package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
)

// TestLogIsAsConfigured: nothing below the level, and each line in the format.
func TestLogIsAsConfigured(t *testing.T) {
	levels := []string{"debug", "info", "warn", "error"}
	for from, level := range levels {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			log := newLog(config.Log{Level: level, Format: format}, &out)
			for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				log.Log(t.Context(), l, "said")
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != len(levels)-from {
				t.Errorf("level %s: %q", level, lines)
			}
			for i, line := range lines {
				want := strings.ToUpper(levels[from+i])
				var entry struct{ Level, Msg string }
				switch err := json.Unmarshal([]byte(line), &entry); {
				case format == "json" && (err != nil || entry.Level != want || entry.Msg != "said"):
					t.Errorf("level %s, %s: %q: %v", level, format, line, err)
				case format == "text" && !strings.Contains(line, "level="+want+" msg=said"):
					t.Errorf("level %s, %s: %q", level, format, line)
				}
			}
		}
	}
}

// TestAgentPortZeroAsksNoAgent: agentPort: 0 is no default of 5051, from the file to
// the request.
func TestAgentPortZeroAsksNoAgent(t *testing.T) {
	m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"frameworkId": "fw-0000"}`))
	}))
	t.Cleanup(m.Close)
	file := filepath.Join(t.TempDir(), "pacer.yaml")
	text := "marathon: {url: " + m.URL + ", agentPort: 0}\nsources: {a: {directory: {path: .}}}\nsyncs: {a: {source: a}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newMarathon(c.Marathon, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if text, err := client.Stderr(t.Context(), marathon.TaskFailure{TaskID: "web.1", Host: "127.0.0.1"}); err == nil || !strings.Contains(err.Error(), "no agent to read from") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestDocumentedPrograms: the version of Go that the README names builds Pacer.
func TestDocumentedPrograms(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module); m == nil || !strings.Contains(string(readme), "With Go "+string(m[1])+" and git") {
		t.Errorf("README.md names another version of Go than go.mod: %q", m)
	}
}
