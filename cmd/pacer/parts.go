package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/visible"
)

// This file makes the parts of Pacer from their configuration.

func newLog(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration allows only its words
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(visibleJSON{w}, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// visibleJSON writes JSON, of which a write is a whole line, so that it can be
// seen whole: the handler of text escapes all by itself, that of JSON does not.
type visibleJSON struct{ io.Writer }

func (w visibleJSON) Write(line []byte) (int, error) {
	if _, err := w.Writer.Write(visible.JSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// newMarathon makes the client; wrap sees each request, nil: nobody does. Writes
// need a lease; nil: they are always allowed.
func newMarathon(c config.Marathon, log *slog.Logger, wrap func(http.RoundTripper) http.RoundTripper, lease func() (marathon.Lease, error)) (*marathon.Client, error) {
	return marathon.New(marathon.Options{
		URLs:      c.URL,
		Auth:      marathon.Auth(c.Auth),
		TLS:       c.TLS,
		Timeout:   time.Duration(c.Timeout),
		AgentPort: cmp.Or(c.AgentPort, -1),
		UserAgent: "pacer/" + versionString(),
		Wrap:      wrap,
		Lease:     lease,
		Log:       log,
	})
}

// newSource opens a source; dir is the folder of a repository's clone, empty
// for a temporary one; state is the state folder, which is no content.
func newSource(c config.Source, dir, state string, log *slog.Logger) (sources.Source, error) {
	if c.Directory != nil {
		return sources.NewDirectory(sources.DirectoryOptions{
			Path: c.Directory.Path, Exclude: state, Poll: time.Duration(c.Directory.Interval), Log: log,
		})
	}
	return sources.NewGit(gitOptions(*c.Git, dir, log))
}

func gitOptions(g config.Git, dir string, log *slog.Logger) sources.GitOptions {
	return sources.GitOptions{
		URL: g.URL, Branch: g.Branch, Tag: g.Tag, Commit: g.Commit, Semver: g.Semver, Ref: g.Ref,
		Auth:      sources.Auth(g.Auth),
		Dir:       dir,
		AllowHTTP: g.AllowHTTP,
		// A file URL in a configuration is somebody's explicit wish.
		AllowLocal: strings.HasPrefix(g.URL, "file:"),
		Log:        log,
	}
}

// cloneDir is where the clone of a named source stands. A source that is
// configured differently has another folder, so that a reload can open the new
// one while the old one is still in use.
func cloneDir(c *config.Config, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", fetched(c.Sources[name]).Git))
	return filepath.Join(c.StateDir, clonesFolder, name+"-"+hex.EncodeToString(sum[:4]))
}

// fetched is what of a source's configuration decides what is read from it.
func fetched(s config.Source) config.Source {
	if s.Git != nil {
		git := *s.Git
		git.Webhook = config.Webhook{}
		s.Git = &git
	}
	return s
}

const clonesFolder = "git"

// sweepClones removes the clones that the configuration has no use for.
func sweepClones(c *config.Config) error {
	folder := filepath.Join(c.StateDir, clonesFolder)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clones of repositories: %w", err)
	}
	used := map[string]bool{}
	for name := range c.Sources {
		used[filepath.Base(cloneDir(c, name))] = true
	}
	var errs []error
	for _, e := range entries {
		if !used[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// interval is how often a source is looked at.
func interval(s config.Source) time.Duration {
	if s.Git != nil {
		return time.Duration(s.Git.Interval)
	}
	return time.Duration(s.Directory.Interval)
}

// policyOf is what a sync may do, as the plan reads it.
func policyOf(s config.Sync) plan.Policy {
	p := plan.Policy{
		Scope: s.Scope, Prune: s.Prune, Exclusive: s.Exclusive,
		MaxDeletes:  plan.MaxDeletes{Count: s.MaxDeletes.Count, Percent: s.MaxDeletes.Percent},
		Instances:   plan.Instances(s.Instances),
		Adopt:       s.Adopt,
		ReportDrift: s.Drift == "report",
		Revert:      s.OnFailure == "revert",
		Self:        os.Getenv("MARATHON_APP_ID"), // Marathon tells each task of which app it is
	}
	for _, i := range s.Ignore {
		p.Ignore = append(p.Ignore, plan.Ignore{ID: i.ID, Paths: i.Paths})
	}
	return p
}
