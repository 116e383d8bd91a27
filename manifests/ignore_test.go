package manifests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests/syntax"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// ignorePatterns are .gitignore files of one or more lines.
var ignorePatterns = []string{
	"a.json", "/a.json", "b", "b/", "/b/", "b/c", "b/*", "*", "*.json", "**", "**/c", "**/c/", "b/**", "b/**/a.json", "/**/a.json", "b/**/",
	"a**.json", "**.json", "b**/c", "?.json", "[ab].json", "[!a].json", "[^a].json", "[a-b].json", "[]a].json", "[[:alpha:]].json", `\a.json`, `[\a].json`,
	"*\n!a.json", "b/\n!b/c", "b/*\n!b/c/", "*\n!*/\n!a.json", "#a.json\n", `\#x.json`, "!a.json", `\!y.json`, "a.json ", `z.json\ `, "  a.json", "b//c", "c/", "b/c/a.json",
	"é.json", "[é].json", "?.json\n!é.json", "*.JSON", "b/?/a.json", "b/[a-z]/*", "b*c", "b/c*", "*/c", "*/*/a.json", "./a.json", "a.json\r", "/", "//", "!", "b/c/**",
}

var ignorePaths = []string{
	"a.json", "b.json", "b/a.json", "b/c/a.json", "b/c/d/a.json", "c/a.json", "c/b/a.json", "#x.json", "!y.json", "z.json ", "z.json", "é.json", "].json", "b/cx/a.json", "bxc/a.json",
}

// bytewise are the patterns for which git looks at the two bytes of é as two
// characters and this reader does not.
var bytewise = []string{"?.json", "[!a].json", "[^a].json", "[é].json"}

// TestIgnoreAsGit compares with what git itself ignores.
func TestIgnoreAsGit(t *testing.T) {
	root := t.TempDir()
	git(t, root, "", "init", "-q")
	var asked strings.Builder
	for i, pattern := range ignorePatterns {
		folder := fmt.Sprintf("p%d", i)
		for _, p := range ignorePaths {
			name := filepath.Join(root, folder, p)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			asked.WriteString(folder + "/" + p + "\x00")
		}
		if err := os.WriteFile(filepath.Join(root, folder, ".gitignore"), []byte(pattern), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	byGit := strings.Split(git(t, root, asked.String(), "check-ignore", "--no-index", "--stdin", "-z"), "\x00")
	for i, pattern := range ignorePatterns {
		folder := fmt.Sprintf("p%d", i)
		rules, faults := readIgnore([]byte(pattern), folder)
		if len(faults) > 0 {
			t.Errorf("%q: %v", pattern, faults)
		}
		for _, p := range ignorePaths {
			path := folder + "/" + p
			want, got := slices.Contains(byGit, path), ignoredWithParents(rules, path)
			if p == "é.json" && slices.Contains(bytewise, pattern) {
				want = !want
			}
			if want != got {
				t.Errorf("pattern %q, path %q: git says %t, this says %t", pattern, p, want, got)
			}
		}
	}
	if len(byGit) < 100 {
		t.Errorf("git ignores only %d paths: the comparison is empty", len(byGit))
	}
}

func git(t *testing.T, root, stdin string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = root
	c.Env = append(testenv.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	c.Stdin = strings.NewReader(stdin)
	out, err := c.Output()
	// check-ignore exits 1 where nothing is ignored.
	if e := new(exec.ExitError); err != nil && !(errors.As(err, &e) && e.ExitCode() == 1 && args[0] == "check-ignore") {
		t.Fatalf("git %q: %v", args, err)
	}
	return string(out)
}

// ignoredWithParents is what the walk makes of the rules: what is in an ignored
// folder is never looked at.
func ignoredWithParents(rules []ignoreRule, path string) bool {
	for i, c := range path {
		if c == '/' && strings.Contains(path[:i], "/") && ignored(rules, path[:i], true) {
			return true
		}
	}
	return ignored(rules, path, false)
}

func TestWrongIgnoreRules(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"[a", `"[" is not closed: write "\[" for a bracket, or add "]"`},
		{`a\`, `a backslash at the end escapes nothing: write "\\" for a backslash`},
		{"[z-a]", "is not a .gitignore pattern: check the brackets"},
		{"[[:none:]]", "is not a .gitignore pattern: check the brackets"},
		{strings.Repeat("a", 1001), "the pattern is longer than 1000 bytes: shorten it"},
	} {
		rules, faults := readIgnore([]byte("fine\n"+c.line+"\nfine\n"), ".")
		if len(faults) != 1 || faults[0].Message != c.want || faults[0].Place != (syntax.Place{Line: 2, Column: 1}) || len(rules) != 2 {
			t.Errorf("%.20q: %v, %d rules", c.line, faults, len(rules))
		}
	}
	if _, faults := readIgnore([]byte(strings.Repeat("a\n", 2000)), "."); len(faults) != 1 || faults[0].Place.Line != 502 {
		t.Errorf("2,000 lines: %v", faults)
	}
}
