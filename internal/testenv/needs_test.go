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
			"gitea":   {func(t Test) { giteaIn(t, "/no/such") }, []string{"/no/such/pacer-test/gitea-v", "no such file", "./forge.sh build"}},
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

// forge.sh builds the Gitea that Gitea looks for, and test.sh has it built.
func TestScriptsBuildGitea(t *testing.T) {
	for name, want := range map[string]string{"forge.sh": "\nversion=" + giteaVersion + "\n", "test.sh": "\n./forge.sh build\n"} {
		script, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(script), want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

// test.sh names the tests that run without the race detector: one that is renamed is to
// be renamed there.
func TestTestScriptNamesTestsThatAreThere(t *testing.T) {
	script, err := os.ReadFile("../../test.sh")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^plain\+?='(.*)'$`).FindAllStringSubmatch(string(script), -1) {
		for name := range strings.SplitSeq(strings.TrimPrefix(line[1], "|"), "|") {
			named[name] = true
		}
	}
	if len(named) == 0 {
		t.Error("test.sh names none")
	}
	each(t, func(_, text string) {
		for _, name := range regexp.MustCompile(`(?m)^func (Test\w*)\(`).FindAllStringSubmatch(text, -1) {
			delete(named, name[1])
		}
	})
	for name := range named {
		t.Errorf("test.sh names %s, which is no test", name)
	}
}

// A test that skips itself would be green for ever where it never runs.
func TestNoTestIsSkippedElsewhere(t *testing.T) {
	skips := regexp.MustCompile(`\.Skip(f|Now)?\(`)
	each(t, func(path, text string) {
		at := skips.FindStringIndex(text)
		if at != nil && !strings.Contains(path, "/testenv/") && strings.Contains(text, `"testing"`) {
			t.Errorf("%s:%d skips a test: testenv.Lacks and Long do", path, 1+strings.Count(text[:at[0]], "\n"))
		}
	})
}

// each calls f with each Go file of the repository.
func each(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		f(filepath.ToSlash(path), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
