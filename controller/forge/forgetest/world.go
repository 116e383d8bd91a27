// Package forgetest stands in for forges in tests: HTTP servers that speak the documented
// APIs of GitHub, GitLab and Bitbucket, over the repository of a real git server
// (sources/gittest). A World is what such a forge holds and what people do there; each
// type of forge is a file that shows it by that forge's API.
//
// Of what is not documented, or not needed by Pacer, it answers 404 or 400, never with a
// guess. It imports nothing of controller/forge: it judges that package.
package forgetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

// World is one repository at a forge: its pull requests, what is said about them, and
// the statuses of its commits. Methods without "locked" in their comment take its lock;
// those which change something are what people do at the forge.
type World struct {
	t     testing.TB
	Repo  *gittest.Repo
	Owner string // whom the repository belongs to: an organisation, group or workspace
	Name  string
	// HeadRef and MergeRef name the refs that the forge keeps for a pull request, of which
	// %d is the number; empty: it keeps none. Set before the first pull request.
	HeadRef, MergeRef string

	tree string // a work tree of the bare repository, never on a branch
	mu   sync.Mutex
	// clock is moved by Advance, and by a millisecond by each change, so that an order by
	// time is never a matter of chance.
	clock       time.Time
	pulls       []*Pull
	statuses    []Status
	checks      []*Check
	users       map[string]int64
	lastID      int64
	mergeFrozen bool
}

// Pull is a pull request.
type Pull struct {
	Number              int
	Title, Body, Author string
	State               string // open, closed, merged
	Draft               bool
	Labels              []string
	Created, Updated    time.Time

	Base, Head string // branches
	// Fork is the owner of the repository that Head is in; empty: the World's.
	Fork string
	// The commits as they are now, or were when it was closed or merged.
	BaseCommit, HeadCommit, MergeBase string
	Conflicts                         bool
	MergeCommit                       string // what MergeRef is at; empty: there is none
	MergedAs                          string
	MergedBy                          string
	MergedAt                          time.Time

	Comments []Comment
	Reviews  []Review

	mergeOf string // the base and head that MergeCommit and Conflicts are of
}

// Comment is a comment of a pull request's discussion.
type Comment struct {
	ID               int64
	Author, Body     string
	Created, Updated time.Time
}

// Review is a comment at a line of a pull request's diff.
type Review struct {
	Comment
	File   string
	Line   int
	Commit string
}

// Status is a commit status, in the words of the forge.
type Status struct {
	ID                               int64
	Commit, Context                  string
	State, Description, URL, Creator string
	Created                          time.Time
}

// Check is a check run of a commit, or another kind of report about it.
type Check struct {
	ID                 int64
	App                string // who has written it
	Name, Commit       string
	ExternalID         string
	Status, Conclusion string
	Title, Summary     string
	Annotations        []Annotation
	Created            time.Time
}

// Annotation is a line of a Check, in the words of the forge.
type Annotation struct {
	File         string
	Line, Column int
	Level, Text  string
}

// NewWorld shows a repository, whose branches are there already, at a forge.
func NewWorld(t testing.TB, repo *gittest.Repo, owner, name string) *World {
	t.Helper()
	return &World{
		t: t, Repo: repo, Owner: owner, Name: name, clock: time.Now().UTC(), users: map[string]int64{}, lastID: 1000,
		tree: filepath.Join(t.TempDir(), "tree"),
	}
}

// Opening is a pull request that somebody opens. What is empty is filled in.
type Opening struct {
	Title  string // "Change shop"
	Body   string
	Author string // ada
	Base   string // main
	// Head is the branch; it is made from Base where it is not there yet: topic-N.
	Head   string
	Files  map[string]string // committed to Head, if any
	Delete []string          // deleted by that commit
	Fork   string            // owner of the repository of Head
	Draft  bool
	Labels []string
}

// Open opens a pull request and returns its number.
func (w *World) Open(o Opening) int {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.pulls) + 1
	now := w.tick()
	p := &Pull{
		Number: n, Title: cmp.Or(o.Title, "Change shop"), Body: o.Body, Author: cmp.Or(o.Author, "ada"), State: "open", Draft: o.Draft,
		Labels: slices.Clone(o.Labels), Created: now, Updated: now, Base: cmp.Or(o.Base, "main"), Head: cmp.Or(o.Head, "topic-"+strconv.Itoa(n)), Fork: o.Fork,
	}
	w.user(p.Author)
	p.HeadCommit = w.must("rev-parse", "refs/heads/"+p.Base)
	if at, err := w.git("rev-parse", "--verify", "--quiet", "refs/heads/"+p.Head); err == nil && p.Fork == "" {
		p.HeadCommit = at
	}
	w.pulls = append(w.pulls, p)
	if len(o.Files)+len(o.Delete) > 0 {
		w.commit(p, p.HeadCommit, p.Title, o.Files, o.Delete)
	} else {
		w.moveHead(p, p.HeadCommit)
	}
	w.refresh()
	return n
}

// Push commits files to the head of a pull request and returns the new head.
func (w *World) Push(number int, message string, files map[string]string) string {
	w.t.Helper()
	return w.change(number, func(p *Pull) { w.commit(p, p.HeadCommit, message, files, nil) }).HeadCommit
}

// ForcePush replaces all that a pull request has by one commit on its base's tip, and
// returns the new head.
func (w *World) ForcePush(number int, message string, files map[string]string) string {
	w.t.Helper()
	return w.change(number, func(p *Pull) {
		w.commit(p, w.must("rev-parse", "refs/heads/"+p.Base), message, files, nil)
	}).HeadCommit
}

// Merge merges a pull request by a merge commit, whose hash it returns.
func (w *World) Merge(number int) string {
	w.t.Helper()
	return w.merge(number, func(p *Pull, tree string) string {
		return w.must("commit-tree", tree, "-p", p.BaseCommit, "-p", p.HeadCommit, "-m", fmt.Sprintf("Merge pull request #%d from %s\n\n%s", p.Number, p.Head, p.Title))
	})
}

// Squash merges a pull request as one commit, whose hash it returns.
func (w *World) Squash(number int) string {
	w.t.Helper()
	return w.merge(number, func(p *Pull, tree string) string {
		return w.must("commit-tree", tree, "-p", p.BaseCommit, "-m", fmt.Sprintf("%s (#%d)", p.Title, p.Number))
	})
}

func (w *World) merge(number int, commit func(p *Pull, tree string) string) string {
	w.t.Helper()
	return w.change(number, func(p *Pull) {
		tree, conflicts, err := w.mergeTree(p.BaseCommit, p.HeadCommit)
		if err != nil || conflicts || p.State != "open" {
			w.t.Fatalf("pull request %d is %s and cannot be merged: conflicts %t, %v", number, p.State, conflicts, err)
		}
		p.MergedAs = commit(p, tree)
		w.must("update-ref", "refs/heads/"+p.Base, p.MergedAs)
		p.State, p.MergedAt, p.MergedBy = "merged", w.clock, "grace"
		w.user("grace")
	}).MergedAs
}

// Close closes a pull request without merging it.
func (w *World) Close(number int) {
	w.t.Helper()
	w.change(number, func(p *Pull) { p.State = "closed" })
}

// Reopen opens a closed pull request again.
func (w *World) Reopen(number int) {
	w.t.Helper()
	w.change(number, func(p *Pull) { p.State = "open" })
}

// SetDraft says whether a pull request is a draft.
func (w *World) SetDraft(number int, draft bool) {
	w.t.Helper()
	w.change(number, func(p *Pull) { p.Draft = draft })
}

// Label sets a label.
func (w *World) Label(number int, label string) {
	w.t.Helper()
	w.change(number, func(p *Pull) {
		if !slices.Contains(p.Labels, label) {
			p.Labels = append(p.Labels, label)
		}
	})
}

// Unlabel takes a label off.
func (w *World) Unlabel(number int, label string) {
	w.t.Helper()
	w.change(number, func(p *Pull) {
		p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return l == label })
	})
}

// Comment adds a comment of somebody to the discussion, and returns its number.
func (w *World) Comment(number int, author, body string) int64 {
	w.t.Helper()
	p := w.change(number, func(p *Pull) {
		w.user(author)
		p.Comments = append(p.Comments, Comment{ID: w.nextID(), Author: author, Body: body, Created: w.clock, Updated: w.clock})
	})
	return p.Comments[len(p.Comments)-1].ID
}

// DeleteComment deletes a comment.
func (w *World) DeleteComment(id int64) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pulls {
		before := len(p.Comments)
		p.Comments = slices.DeleteFunc(p.Comments, func(c Comment) bool { return c.ID == id })
		if len(p.Comments) < before {
			p.Updated = w.tick()
			return
		}
	}
	w.t.Fatalf("no comment %d to delete", id)
}

// FreezeMergeRefs stops, or starts again, the moving of merge refs, which a busy forge
// lets lag behind. Whether there are conflicts is not known meanwhile.
func (w *World) FreezeMergeRefs(frozen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mergeFrozen = frozen
}

// Advance moves the forge's clock.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// Now is the forge's time.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// Pull is a pull request as it is now.
func (w *World) Pull(number int) Pull {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh()
	return *w.find(number).copy()
}

// Comments are the comments of a pull request that an author has written.
func (w *World) Comments(number int, author string) []Comment {
	w.t.Helper()
	return slices.DeleteFunc(w.Pull(number).Comments, func(c Comment) bool { return c.Author != author })
}

// Statuses are the newest statuses of a commit, by context.
func (w *World) Statuses(commit string) map[string]Status {
	newest := map[string]Status{}
	for _, s := range w.AllStatuses(commit) {
		newest[s.Context] = s
	}
	return newest
}

// AllStatuses are all statuses that a commit ever had, oldest first.
func (w *World) AllStatuses(commit string) []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.statuses), func(s Status) bool { return s.Commit != commit })
}

// SetStatus sets a status as somebody else does.
func (w *World) SetStatus(s Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addStatus(s)
}

// Checks are the checks of a commit, oldest first.
func (w *World) Checks(commit string) []Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Check
	for _, c := range w.checks {
		if c.Commit == commit {
			copied := *c
			copied.Annotations = slices.Clone(c.Annotations)
			all = append(all, copied)
		}
	}
	return all
}

// change does something to a pull request and returns it as it is afterwards.
func (w *World) change(number int, do func(p *Pull)) Pull {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh()
	p := w.find(number)
	p.Updated = w.tick()
	do(p)
	w.refresh()
	return *p.copy()
}

func (p *Pull) copy() *Pull {
	c := *p
	c.Labels, c.Comments, c.Reviews = slices.Clone(p.Labels), slices.Clone(p.Comments), slices.Clone(p.Reviews)
	return &c
}

func (w *World) find(number int) *Pull {
	w.t.Helper()
	if p := w.lookup(number); p != nil {
		return p
	}
	w.t.Fatalf("no pull request %d", number)
	return nil
}

// lookup is called locked; nil: there is none.
func (w *World) lookup(number int) *Pull {
	if number < 1 || number > len(w.pulls) {
		return nil
	}
	return w.pulls[number-1]
}

// refresh is called locked. It does what a forge does by itself: open pull requests follow
// their branches, their merge refs are made, and those whose commits have reached the base
// are merged.
func (w *World) refresh() {
	branches, err := w.branches()
	if err != nil {
		w.t.Errorf("branches: %v", err)
		return
	}
	for _, p := range w.pulls {
		if p.State != "open" {
			continue
		}
		if err := w.follow(p, branches); err != nil {
			w.t.Errorf("pull request %d: %v", p.Number, err)
		}
	}
}

// branches are the commits that the branches are at.
func (w *World) branches() (map[string]string, error) {
	out, err := w.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/")
	at := map[string]string{}
	for line := range strings.Lines(out) {
		commit, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at[name] = commit
	}
	return at, err
}

func (w *World) follow(p *Pull, branches map[string]string) (err error) {
	base, head := branches[p.Base], p.HeadCommit
	if base == "" {
		return fmt.Errorf("its base %s is gone", p.Base)
	}
	if at := branches[p.Head]; at != "" && p.Fork == "" {
		head = at
	}
	if p.mergeOf == base+head {
		return nil
	}
	if head != p.HeadCommit {
		p.Updated = w.tick()
		w.moveHead(p, head)
	}
	p.BaseCommit = base
	p.MergeBase, _ = w.git("merge-base", base, head) // none: the histories are unrelated
	if p.MergeBase == head && head != base {
		return w.merged(p)
	}
	if w.mergeFrozen {
		p.MergeCommit, p.Conflicts, p.mergeOf = "", false, ""
		return nil
	}
	p.mergeOf = base + head
	return w.moveMerge(p)
}

// merged notes that somebody has pushed a pull request's commits to its base.
func (w *World) merged(p *Pull) error {
	brought, err := w.git("rev-list", "--first-parent", "--ancestry-path", p.HeadCommit+".."+p.BaseCommit)
	if err != nil {
		return err
	}
	p.MergedAs = p.HeadCommit
	if commits := strings.Fields(brought); len(commits) > 0 {
		if first := commits[len(commits)-1]; strings.Contains(w.must("rev-parse", first+"^@"), "\n") {
			p.MergedAs = first
		}
	}
	p.State, p.MergedAt, p.MergedBy = "merged", w.tick(), "grace"
	p.Updated = p.MergedAt
	w.user("grace")
	return nil
}

func (w *World) moveMerge(p *Pull) error {
	tree, conflicts, err := w.mergeTree(p.BaseCommit, p.HeadCommit)
	if err != nil {
		return err
	}
	p.Conflicts = conflicts
	if conflicts {
		p.MergeCommit = "" // the ref stays at what it was, as GitHub's does
		return nil
	}
	p.MergeCommit, err = w.git("commit-tree", tree, "-p", p.BaseCommit, "-p", p.HeadCommit, "-m", fmt.Sprintf("Merge %s into %s", p.HeadCommit, p.BaseCommit))
	if err != nil || w.MergeRef == "" {
		return err
	}
	_, err = w.git("update-ref", fmt.Sprintf(w.MergeRef, p.Number), p.MergeCommit)
	return err
}

// mergeTree merges two commits; the tree is empty where there are conflicts.
func (w *World) mergeTree(base, head string) (tree string, conflicts bool, err error) {
	tree, err = w.git("merge-tree", "--write-tree", "--name-only", "--no-messages", base, head)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.ExitCode() == 1 {
		return "", true, nil
	}
	return tree, false, err
}

// moveHead moves the refs of a pull request's head.
func (w *World) moveHead(p *Pull, commit string) {
	p.HeadCommit = commit
	if p.Fork == "" {
		w.must("update-ref", "refs/heads/"+p.Head, commit)
	}
	if w.HeadRef != "" {
		w.must("update-ref", fmt.Sprintf(w.HeadRef, p.Number), commit)
	}
}

// commit makes a commit of files on top of a parent and moves the head to it.
func (w *World) commit(p *Pull, parent, message string, files map[string]string, deleted []string) {
	w.t.Helper()
	if _, err := os.Stat(w.tree); err != nil {
		w.must("worktree", "add", "--quiet", "--detach", w.tree, parent)
	}
	w.inTree("checkout", "--quiet", "--force", "--detach", parent)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(w.tree, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range deleted {
		if err := os.Remove(filepath.Join(w.tree, filepath.FromSlash(name))); err != nil {
			w.t.Fatal(err)
		}
	}
	w.inTree("add", "--all")
	w.inTree("commit", "--quiet", "--allow-empty", "--message", message)
	w.moveHead(p, w.inTree("rev-parse", "HEAD"))
}

// addStatus is called locked.
func (w *World) addStatus(s Status) Status {
	s.ID, s.Created = w.nextID(), w.tick()
	w.user(s.Creator)
	w.statuses = append(w.statuses, s)
	return s
}

// user is called locked. It is the number of a user, who is there from now on.
func (w *World) user(login string) int64 {
	if w.users[login] == 0 {
		w.users[login] = w.nextID()
	}
	return w.users[login]
}

func (w *World) nextID() int64 {
	w.lastID++
	return w.lastID
}

// tick is called locked.
func (w *World) tick() time.Time {
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

func (w *World) inTree(args ...string) string {
	w.t.Helper()
	return w.must(append([]string{"-C", w.tree}, args...)...)
}

func (w *World) must(args ...string) string {
	w.t.Helper()
	out, err := w.git(args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// git runs git in the bare repository. Unlike gittest's it may be called by the goroutine
// that answers a request.
func (w *World) git(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = w.Repo.Bare
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada Lovelace", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada Lovelace", "GIT_COMMITTER_EMAIL=ada@example.com")
	if w.Repo.Date != "" {
		cmd.Env = append(cmd.Env, "GIT_COMMITTER_DATE="+w.Repo.Date)
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, stderrOf(err))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

func stderrOf(err error) string {
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return strings.TrimSpace(string(failed.Stderr))
	}
	return ""
}
