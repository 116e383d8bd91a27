package gittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Git runs hooks, and what git bisect run runs, with GIT_DIR set.
func TestARepositoryOfTheEnvironmentIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "theirs")
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	config := filepath.Join(dir, ".git", "config")
	before, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_DIR", filepath.Join(dir, ".git"))
	r := New(t)
	r.Write(map[string]string{"a.json": "{}"})
	r.Git("add", "--all")
	r.Git("commit", "-qm", "one")
	after, err := os.ReadFile(config)
	if err != nil || string(after) != string(before) {
		t.Errorf("the configuration of the repository in GIT_DIR is now %s (%v), and was %s", after, err, before)
	}
	if refs, err := os.ReadDir(filepath.Join(dir, ".git", "refs", "heads")); err != nil || len(refs) > 0 {
		t.Errorf("the repository in GIT_DIR has new branches: %v %v", refs, err)
	}
}
