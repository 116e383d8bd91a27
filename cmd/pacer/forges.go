package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/sources"
)

// This file wires the forges of sources to the reporter.

// reported is a source whose repository is at a forge that Pacer has credentials for.
type reported struct {
	report.Source
	of      config.Source // what it was made of
	commits *sources.Commits
}

// openForges opens the forges of c. What kept has goes on: one that is the same as it is,
// and the clone of one whose repository is the same. It asks no forge anything.
func (p *program) openForges(c *config.Config, kept map[string]*reported) (opened map[string]*reported, err error) {
	opened = map[string]*reported{}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeForges(withoutForges(opened, kept)))
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		switch before := kept[name]; {
		case s.Forge() == nil:
		case before != nil && reflect.DeepEqual(before.of, s):
			opened[name] = before
		default:
			var clone *sources.Commits
			if before != nil && reflect.DeepEqual(before.of.Content(), s.Content()) {
				clone = before.commits // its folder is locked
			}
			if opened[name], err = p.openForge(c, name, clone); err != nil {
				delete(opened, name)
				return opened, fmt.Errorf("forge of source %s: %w", name, err)
			}
		}
	}
	return opened, nil
}

// openForge opens the forge of a source, with a clone that is open already, or a new one.
func (p *program) openForge(c *config.Config, name string, commits *sources.Commits) (*reported, error) {
	s := c.Sources[name]
	f := s.Forge()
	o := f.Options(s.Git.URL)
	o.UserAgent, o.Log = "pacer/"+versionString(), p.log
	client, err := forge.Open(o)
	if err != nil {
		return nil, err
	}
	git, isGit := s.Options().(sources.GitOptions)
	if !isGit {
		return nil, errors.New("only git sources have one")
	}
	follows := git.Branch
	pinned := git.Tag != "" || git.Commit != "" || git.Semver != ""
	git.Branch, git.Tag, git.Commit, git.Semver, git.Ref = "", "", "", "", ""
	if commits == nil {
		if commits, err = sources.OpenCommits(git, sources.Environment{Clone: c.PullsFolder(name), Log: p.log}); err != nil {
			return nil, err
		}
	}
	return &reported{of: s, commits: commits, Source: report.Source{
		Forge: client, Commits: commits, Merge: sources.Merge, Interval: s.PollInterval(),
		Branch: func() string {
			if follows != "" || pinned {
				return follows
			}
			return p.controller.Revision(name).Ref // the repository's default branch
		},
		Comments: f.Comments == "edit", Statuses: f.Statuses == "on", Forks: f.Forks == "labelled", Label: f.Label,
	}}, nil
}

func closeForges(all map[string]*reported) error {
	var errs []error
	for _, r := range all {
		errs = append(errs, r.commits.Close())
	}
	return errors.Join(errs...)
}

// withoutForges are those of all whose clone some does not use.
func withoutForges(all, some map[string]*reported) map[string]*reported {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(name string, r *reported) bool { return some[name] != nil && some[name].commits == r.commits })
	return rest
}

// reportOptions is what the reporter is told of a configuration.
func (p *program) reportOptions(c *config.Config, opened map[string]*reported) report.Options {
	o := report.Options{Sources: map[string]*report.Source{}, Planner: planner{p}, URL: strings.TrimRight(c.Web.URL, "/"), Log: p.log}
	for name, r := range opened {
		o.Sources[name] = &r.Source
	}
	for _, name := range slices.Sorted(maps.Keys(c.Syncs)) {
		s := c.Syncs[name]
		o.Syncs = append(o.Syncs, report.Sync{Name: name, Source: s.Source, Path: s.Path, Marathon: s.Marathon})
	}
	return o
}

// planner is the controller, which is made after the reporter.
type planner struct{ *program }

// Preview implements report.Planner.
func (p planner) Preview(ctx context.Context, sync string, s *sources.Snapshot) (plan.Plan, error) {
	return p.controller.Preview(ctx, sync, s)
}

// startForges opens the forges and makes the reporter, which reports as long as this
// replica leads.
func (p *program) startForges(ctx context.Context, c *config.Config) (err error) {
	p.OnStop("the forges", func(context.Context) error { return closeForges(p.forges) })
	if p.forges, err = p.openForges(c, nil); err != nil {
		return err
	}
	p.reporter = report.New(p.reportOptions(c, p.forges))
	p.checkForges(ctx, p.forges)
	return nil
}

// forgePatience is how long a forge may take to say which rights a token has.
const forgePatience = time.Minute

// checkForges logs which rights the tokens of forges lack: else that is found at the first
// pull request. Nobody waits for it.
func (p *program) checkForges(ctx context.Context, all map[string]*reported) {
	for name, r := range all {
		p.Background(ctx, "checking the rights at the forge of source "+name, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, forgePatience)
			defer cancel()
			lacking, err := r.Forge.Check(ctx)
			if err != nil && ctx.Err() == nil {
				p.log.Warn("cannot find out which rights the token of a forge has", "source", name, "forge", r.Forge.String(), "error", err)
			}
			for _, l := range lacking {
				p.log.Warn("the token of a forge lacks a right", "source", name, "forge", r.Forge.String(), "right", l)
			}
		})
	}
}

// replaceForges puts the forges of a changed configuration in force.
func (p *program) replaceForges(c *config.Config, opened map[string]*reported) {
	before := p.forges
	p.forges = opened
	p.reporter.Reload(p.reportOptions(c, opened))
	changed := maps.Clone(opened)
	maps.DeleteFunc(changed, func(name string, r *reported) bool { return before[name] == r })
	p.checkForges(context.Background(), changed) // until the program stops
	if err := closeForges(withoutForges(before, opened)); err != nil {
		p.log.Warn("cannot close the clone of a forge that is no longer used", "error", err)
	}
}

// status is that of the controller, with how reporting goes.
func (p *program) status() status.Status {
	s := p.controller.Status()
	s.Forges = p.reporter.Status()
	return s
}
