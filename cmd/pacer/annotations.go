package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/pacer-gitops/pacer/cmd/pacer/ci"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report/comment"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// This file prints problems and plans as systems that check pull requests take them.

// annotations collects the problems of one verb, of all its syncs: a report is one file.
type annotations struct {
	format   string
	problems []ci.Problem
	listed   map[ci.Problem]bool
}

// isCI reports whether a format is one of those of package ci.
func isCI(format string) bool { return slices.Contains(ci.Formats(), format) }

// add adds the problems of a source, but for those that another sync has there, too.
func (a *annotations) add(from sources.Options, problems []manifests.Problem) {
	for _, p := range ci.In(folderOf(from), problems) {
		if a.listed[p] {
			continue
		}
		if a.listed == nil {
			a.listed = map[ci.Problem]bool{}
		}
		a.listed[p] = true
		a.problems = append(a.problems, p)
	}
}

func (a *annotations) write(w io.Writer) error {
	text, err := ci.Format(a.format, a.problems, versionString())
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// folderOf is the path of a source from the root of its repository: annotations need it.
// A directory that is in no work tree counts from the working directory.
func folderOf(from sources.Options) string {
	directory, ok := from.(sources.DirectoryOptions)
	if !ok {
		return "" // a repository's files are relative to its root
	}
	whole, err := filepath.Abs(directory.Path)
	if err != nil {
		return ""
	}
	root, err := os.Getwd()
	if err != nil {
		return ""
	}
	for at := whole; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			root = at
			break
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	relative, err := filepath.Rel(root, whole)
	if err != nil || !filepath.IsLocal(relative) || relative == "." {
		return ""
	}
	return filepath.ToSlash(relative)
}

// logInGitHub prints the text of a plan in the log of a job, where no line of it is taken
// for a workflow command, whatever the repository has put there.
func logInGitHub(w io.Writer, print func() error) error {
	token := rand.Text()
	if _, err := fmt.Fprintf(w, "::stop-commands::%s\n", token); err != nil {
		return err
	}
	err := print()
	if _, e := fmt.Fprintf(w, "::%s::\n", token); err == nil {
		err = e
	}
	return err
}

// maxComment is how many bytes a comment may have on GitHub and Gitea, which take least.
const maxComment = 65_536

// writeComment writes what a job may post as a comment on a pull request. What it posted
// before it finds by the marker, which is the same each time.
func writeComment(file string, parts []comment.Part) error {
	text := comment.Comment{Name: "pacer plan", Parts: parts}.Render(maxComment)
	if err := replaceFile(file, []byte(text)); err != nil {
		return fmt.Errorf("flag --comment-file: cannot write %s: %w", file, err)
	}
	return nil
}

// replaceFile writes a file so that it has all of its new content or what it had before.
// What is no file, such as /dev/stdout, is only written to.
func replaceFile(name string, content []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, content, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// inRepository is a plan whose files are named from the root of the repository.
func inRepository(p plan.Plan, folder string) plan.Plan {
	if folder == "" {
		return p
	}
	p.Problems, p.Changes = slices.Clone(p.Problems), slices.Clone(p.Changes)
	for i, problem := range p.Problems {
		if problem.File != "" && problem.File != "." {
			p.Problems[i].File = path.Join(folder, problem.File)
		}
	}
	for i, c := range p.Changes {
		if c.File != "" {
			p.Changes[i].File = path.Join(folder, c.File)
		}
	}
	return p
}

// stepSummary adds a plan to the summary page of a job of GitHub Actions, if there is one.
func stepSummary(p plan.Plan) error {
	name := os.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("step summary: %w", err)
	}
	err = plan.Write(f, p, "markdown")
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("step summary: %w", err)
	}
	return nil
}
