package testenv

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said is a test that remembers how it was ended.
type said string

func (s *said) Skip(args ...any)  { *s += said("skip: " + fmt.Sprint(args...)) }
func (s *said) Fatal(args ...any) { *s += said("fatal: " + fmt.Sprint(args...)) }

func TestWhatIsMissingIsSkippedWithItsReasonOrFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for noSkip, how := range map[string]string{"": "skip: ", "0": "skip: ", "1": "fatal: "} {
		t.Setenv(NoSkip, noSkip)
		for name, c := range map[string]struct {
			end  func(Test)
			want []string
		}{
			"program": {func(t Test) { Program(t, "chromium", "no-other-name") }, []string{"chromium is missing", "Debian: chromium"}},
			"file":    {func(t Test) { File(t, filepath.Join("/no/such", "file.jar")) }, []string{"/no/such/file.jar", "no such file"}},
			"lacks":   {func(t Test) { Lacks(t, "no %s", "root") }, []string{"no root"}},
		} {
			var s said
			c.end(&s)
			for _, want := range append(c.want, how) {
				if !strings.Contains(string(s), want) {
					t.Errorf("%s with %s=%q: %q, want %q", name, NoSkip, noSkip, s, want)
				}
			}
		}
	}
}

func TestAProgramIsFoundByEachOfItsNames(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	want := filepath.Join(folder, "google-chrome")
	if err := os.WriteFile(want, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	var s said
	if got := Program(&s, "chromium", "google-chrome"); got != want || s != "" {
		t.Errorf("found %q, %q", got, s)
	}
}

// test.sh installs whatever a test may lack.
func TestTestScriptInstallsWhatTestsNeed(t *testing.T) {
	script, err := os.ReadFile("../../test.sh")
	if err != nil {
		t.Fatal(err)
	}
	for what, pkg := range packages {
		if !regexp.MustCompile(`[( \n]` + regexp.QuoteMeta(what+":"+pkg) + `[) \n]`).Match(script) {
			t.Errorf("test.sh does not install %s from %s", what, pkg)
		}
	}
	if !strings.Contains(string(script), "export "+NoSkip) {
		t.Errorf("test.sh does not set %s", NoSkip)
	}
}

// A test that skips itself would be green for ever where it never runs.
func TestNoTestIsSkippedElsewhere(t *testing.T) {
	skips := regexp.MustCompile(`\.Skip(f|Now)?\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testenv" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if at := skips.FindIndex(text); at != nil && strings.Contains(string(text), `"testing"`) {
			t.Errorf("%s:%d skips a test: testenv.Lacks and Long do", path, 1+strings.Count(string(text[:at[0]]), "\n"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
