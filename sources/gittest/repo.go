// Package gittest gives tests a real git repository behind real servers: git's
// own http-backend, with TLS and basic authentication, and OpenSSH's sshd. It
// is for tests only and needs git, and for ServeSSH openssh-server; a test that
// lacks one fails, naming the package to install.
package gittest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Repo is a bare repository, which is what is served, and a work tree that
// pushes to it. Its default branch is main.
type Repo struct {
	t    testing.TB
	Bare string // path of the bare repository
	Work string // path of the work tree
	home string
	// Date is when commits are made from now on, as git takes it; empty: now.
	Date string
}

// New makes an empty repository. It goes with the test.
func New(t testing.TB) *Repo {
	t.Helper()
	testenv.Program(t, "git")
	dir := t.TempDir()
	r := &Repo{t: t, Bare: filepath.Join(dir, "served", "repo.git"), Work: filepath.Join(dir, "work"), home: filepath.Join(dir, "home")}
	for _, d := range []string{filepath.Dir(r.Bare), r.Work, r.home} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.run(dir, "init", "--quiet", "--bare", "--initial-branch=main", r.Bare)
	r.run(dir, "init", "--quiet", "--initial-branch=main", r.Work)
	r.Git("remote", "add", "origin", r.Bare)
	return r
}

// Git runs git in the work tree and returns what it prints, without the last
// line break.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.run(r.Work, args...)
}

// BareGit runs git in the bare repository.
func (r *Repo) BareGit(args ...string) string {
	r.t.Helper()
	return r.run(r.Bare, args...)
}

// GitInput runs git in the bare repository with input: for plumbing that
// makes objects.
func (r *Repo) GitInput(input string, args ...string) string {
	r.t.Helper()
	return r.runInput(r.Bare, input, args...)
}

func (r *Repo) run(dir string, args ...string) string {
	r.t.Helper()
	return r.runInput(dir, "", args...)
}

func (r *Repo) runInput(dir, input string, args ...string) string {
	r.t.Helper()
	// Not the test's own context, which has ended when cleanups run.
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir = dir
	cmd.Env = r.env()
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// env keeps the configuration of whoever runs the test out of it, and the repository:
// where git runs the tests, as in a hook or in git bisect run, GIT_DIR is that one.
func (r *Repo) env() []string {
	env := testenv.Environ()
	if r.Date != "" {
		env = append(env, "GIT_COMMITTER_DATE="+r.Date)
	}
	return append(env, "HOME="+r.home, "XDG_CONFIG_HOME="+r.home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada Lovelace", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada Lovelace", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_EDITOR=true", "GIT_MERGE_AUTOEDIT=no")
}

// Write changes files of the work tree, by path relative to it, without
// committing. Folders are made.
func (r *Repo) Write(files map[string]string) {
	r.t.Helper()
	for name, content := range files {
		path := filepath.Join(r.Work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// Commit writes files, commits all of the work tree on its branch, pushes it,
// and returns the commit's hash. Without a change the commit is empty.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	r.Write(files)
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.push()
}

func (r *Repo) push(options ...string) string {
	r.t.Helper()
	r.Git(append(append([]string{"push", "--quiet"}, options...), "origin", "HEAD")...)
	return r.Head()
}

// Head is the hash of the work tree's commit.
func (r *Repo) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Branch makes a branch of the work tree's commit, switches to it and pushes it.
func (r *Repo) Branch(name string) {
	r.t.Helper()
	r.Git("switch", "--quiet", "--create", name)
	r.push()
}

// Switch switches the work tree to a branch that is there.
func (r *Repo) Switch(name string) {
	r.t.Helper()
	r.Git("switch", "--quiet", name)
}

// Merge merges a branch into the work tree's, with a merge commit as a pull
// request makes one, pushes, and returns the hash of the merge.
func (r *Repo) Merge(branch string) string {
	r.t.Helper()
	r.Git("merge", "--quiet", "--no-ff", "--message", fmt.Sprintf("Merge branch '%s'", branch), branch)
	return r.push()
}

// Revert undoes a commit by a new one, pushes, and returns the new hash.
func (r *Repo) Revert(commit string) string {
	r.t.Helper()
	r.Git("revert", "--no-edit", commit)
	return r.push()
}

// ForcePush puts the branch back by some commits, commits files on top in their
// place, and pushes that by force. It returns the new hash.
func (r *Repo) ForcePush(back int, message string, files map[string]string) string {
	r.t.Helper()
	r.Git("reset", "--quiet", "--hard", fmt.Sprintf("HEAD~%d", back))
	r.Write(files)
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.push("--force")
}

// Tag tags the work tree's commit, or moves the tag to it, and pushes it. An
// annotated tag is an object of its own, and has a message.
func (r *Repo) Tag(name string, annotated bool) {
	r.t.Helper()
	args := []string{"tag", "--force", name}
	if annotated {
		args = append(args, "--annotate", "--message", "Version "+name)
	}
	r.Git(args...)
	r.Git("push", "--quiet", "--force", "origin", "refs/tags/"+name)
}

// Delete deletes a full ref, such as refs/heads/main, from what is served.
func (r *Repo) Delete(ref string) {
	r.t.Helper()
	r.BareGit("update-ref", "-d", ref)
}

// Empty deletes all branches and tags from what is served.
func (r *Repo) Empty() {
	r.t.Helper()
	for ref := range strings.FieldsSeq(r.BareGit("for-each-ref", "--format=%(refname)")) {
		r.Delete(ref)
	}
}
