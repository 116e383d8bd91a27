package demo

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/local/executor"
)

// TestDemoLeavesOutWhatNeedsDocker: the app that needs an engine is in the demo's
// repository where one answers, and nowhere else.
func TestDemoLeavesOutWhatNeedsDocker(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.50")
	}))
	defer engine.Close()
	for address, want := range map[string]bool{
		"tcp://" + strings.TrimPrefix(engine.URL, "http://"): true,
		"unix:///nonexistent.sock":                           false,
		"no address":                                         false,
	} {
		t.Setenv("DOCKER_HOST", address)
		asked, answers := executor.EngineAnswers(t.Context())
		if asked != address || answers != want {
			t.Errorf("%s: asked %s, which answers: %v", address, asked, answers)
		}
		d := &demo{}
		folder := filepath.Join(t.TempDir(), "demo")
		if err := d.makeFolder(t.Context(), folder); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(folder, "repo", dockerApp))
		if has := err == nil; has != want || want != (d.lacks == "") {
			t.Errorf("%s: the repository has the app: %v; the demo says %q", address, has, d.lacks)
		}
		if want { // the folder is used again, without an engine
			t.Setenv("DOCKER_HOST", "unix:///nonexistent.sock")
			if err := d.makeFolder(t.Context(), folder); err != nil || !strings.Contains(d.lacks, dockerApp+" of the repository waits for one") {
				t.Errorf("used again without an engine: %v, %q", err, d.lacks)
			}
		}
	}
}

// TestDemoTakesNoForeignFolder: of what is not a demo's nothing is read or written.
func TestDemoTakesNoForeignFolder(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		refused bool
	}{
		"empty":                   {nil, false},
		"of an earlier demo":      {map[string]string{"pacer.yaml": mark + "\nlisten: x\n", "pacer.log": ""}, false},
		"somebody's Pacer":        {map[string]string{"pacer.yaml": "marathon: {url: http://production:8080}\n"}, true},
		"somebody's repository":   {map[string]string{"repo/.git/HEAD": "ref: refs/heads/main\n"}, true},
		"a configuration of none": {map[string]string{"pacer.yaml": ""}, true},
	} {
		dir := t.TempDir()
		for file, content := range test.files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := (&demo{}).makeFolder(t.Context(), dir)
		if refused := err != nil; refused != test.refused {
			t.Errorf("%s: %v", name, err)
		}
		if test.refused && !strings.Contains(err.Error(), dir+" is not empty, and not from an earlier demo: set --folder") {
			t.Errorf("%s: %v", name, err)
		}
		for file, content := range test.files {
			if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != content {
				t.Errorf("%s: %s is now %q, %v", name, file, got, err)
			}
		}
	}
}
