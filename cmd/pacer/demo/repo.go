package demo

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed manifests
var initial embed.FS

// repository is the git repository of the demo, with a work tree that people edit.
type repository struct {
	dir string
}

// dockerApp is the file of the demo's app that needs a Docker engine.
const dockerApp = "demoapp.json"

// newRepository makes the repository with one commit that holds the demo's apps, the
// one for a Docker engine among them only with docker: without, its rollout would
// hang, and be superseded by each commit.
func newRepository(ctx context.Context, dir string, docker bool) (*repository, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("the demo requires git: install it (apt-get install git) and start again: %w", err)
	}
	repo := &repository{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		return repo, nil // a demo that goes on in the folder of an earlier one
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	files, err := fs.Sub(initial, "manifests")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return nil, fmt.Errorf("write the demo's manifests: %w", err)
	}
	message := "Run the echo app, a web app and a Docker app"
	if !docker {
		message = "Run the echo app and a web app"
		if err := os.Remove(filepath.Join(dir, dockerApp)); err != nil {
			return nil, err
		}
	}
	if err := repo.git(ctx, "init", "--quiet", "--initial-branch=main"); err != nil {
		return nil, err
	}
	if err := repo.identify(ctx); err != nil {
		return nil, err
	}
	return repo, repo.commit(ctx, message)
}

// identify gives the repository an author of its own, so that a commit works on
// a machine where git was never configured.
func (r *repository) identify(ctx context.Context) error {
	if err := r.git(ctx, "config", "user.name", "Pacer demo"); err != nil {
		return err
	}
	if err := r.git(ctx, "config", "user.email", "demo@pacer.invalid"); err != nil {
		return err
	}
	return r.git(ctx, "config", "commit.gpgsign", "false")
}

func (r *repository) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	// Neither the user's hooks, signatures and kinds of merge, nor the repository
	// of a hook or script that the demo is started from.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_EDITOR=true", "GIT_TERMINAL_PROMPT=0")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s in %s: %w: %s", strings.Join(args, " "), r.dir, err, strings.TrimSpace(output.String()))
	}
	return nil
}

// has reports whether a file is in the work tree.
func (r *repository) has(file string) bool {
	_, err := os.Stat(filepath.Join(r.dir, file))
	return err == nil
}

func (r *repository) commit(ctx context.Context, message string) error {
	if err := r.git(ctx, "add", "--all"); err != nil {
		return err
	}
	return r.git(ctx, "commit", "--quiet", "--message", message)
}

// replace changes text in one file of the work tree; a text that is not there
// is an error, since the commit that follows would be empty.
func (r *repository) replace(file, old, with string) error {
	path := filepath.Join(r.dir, file)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), old) {
		return fmt.Errorf("%s: %q is not there to be replaced", path, old)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(content), old, with, 1)), 0o644)
}

func (r *repository) write(file, content string) error {
	return os.WriteFile(filepath.Join(r.dir, file), []byte(content), 0o644)
}
