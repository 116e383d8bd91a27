package giteatest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// Repository is one repository at a Gitea. Its methods are what people do there, and mean
// what those of forgetest.World mean; those which change something return when Gitea
// shows it.
type Repository struct {
	t      testing.TB
	Server *Server
	// Repo is a work tree that pushes to the repository. Its bare repository is empty:
	// Gitea has it.
	Repo        *gittest.Repo
	Owner, Name string
	URL         string // by which it is cloned, without a password

	pulls int // how many were opened
}

// Who does what a test does: owner has the repository, ada writes changes and grace merges
// them. Bot is whom Pacer's token is of.
const (
	owner = "acme"
	ada   = "ada"
	grace = "grace"
	Bot   = "pacer"
)

// NewRepository makes a private repository with a branch main of the files given, in
// which Bot may write.
func (s *Server) NewRepository(t testing.TB, files map[string]string) *Repository {
	t.Helper()
	r := &Repository{t: t, Server: s, Repo: gittest.New(t), Owner: owner, Name: s.name("apps")}
	s.do(t, owner, "POST", "/user/repos", map[string]any{"name": r.Name, "private": true, "default_branch": "main"}, nil)
	r.URL = fmt.Sprintf("%s/%s/%s.git", s.URL, r.Owner, r.Name)
	for _, user := range []string{ada, grace, Bot} {
		r.Collaborator(user, "write")
	}
	r.Repo.Git("remote", "set-url", "origin", r.as(ada, r.Owner))
	r.Repo.Commit("Add the apps", files)
	Await(t, "the first push, before which there are no pull requests", func() (bool, string) {
		code, answer := s.ask(t, owner, "GET", "/repos/"+r.Owner+"/"+r.Name+"/pulls", nil, nil)
		return code == http.StatusOK, answer
	})
	return r
}

// as is the URL by which a user pushes to the repository, or to a fork.
func (r *Repository) as(user, owner string) string {
	u, err := url.Parse(fmt.Sprintf("%s/%s/%s.git", r.Server.URL, owner, r.Name))
	if err != nil {
		r.t.Fatal(err)
	}
	u.User = url.UserPassword(user, password(user))
	return u.String()
}

// do asks the API below the repository as a user for what must succeed.
func (r *Repository) do(user, method, path string, in, out any) {
	r.t.Helper()
	r.Server.do(r.t, user, method, "/repos/"+r.Owner+"/"+r.Name+path, in, out)
}

// Open opens a pull request and returns its number. The work tree stays on main.
func (r *Repository) Open(o forgetest.Opening) int {
	r.t.Helper()
	r.pulls++
	author := cmp.Or(o.Author, o.Fork, ada)
	head := cmp.Or(o.Head, "topic-"+strconv.Itoa(r.pulls))
	base := cmp.Or(o.Base, "main")
	title := cmp.Or(o.Title, "Change shop")
	if o.Fork != "" {
		r.fork(o.Fork)
	} else if author != ada {
		r.Collaborator(author, "write")
	}
	r.commit(author, cmp.Or(o.Fork, r.Owner), head, "origin/"+base, title, o.Files, o.Delete)
	if o.Draft {
		title = "WIP: " + title
	}
	if o.Fork != "" {
		head = o.Fork + ":" + head
	}
	var made struct{ Number int }
	r.do(author, "POST", "/pulls", map[string]any{"title": title, "body": o.Body, "base": base, "head": head}, &made)
	for _, l := range o.Labels {
		r.Label(made.Number, l)
	}
	return made.Number
}

// OpenWithoutBranch opens a pull request as those do who may only read: by a push to
// refs/for/main (AGit).
func (r *Repository) OpenWithoutBranch(author string, files map[string]string) int {
	r.t.Helper()
	r.pulls++
	r.Collaborator(author, "read")
	before := r.numbers()
	r.detached("origin/main", "Change shop", files, nil)
	r.Repo.Git("push", "--quiet", r.as(author, r.Owner), "HEAD:refs/for/main", "-o", fmt.Sprintf("topic=topic-%d", r.pulls))
	r.Repo.Git("switch", "--quiet", "main")
	made := slices.DeleteFunc(r.numbers(), func(n int) bool { return slices.Contains(before, n) })
	if len(made) != 1 {
		r.t.Fatalf("expected one pull request more than %v, found %v", before, made)
	}
	return made[0]
}

func (r *Repository) numbers() []int {
	r.t.Helper()
	var pulls []struct{ Number int }
	r.do(owner, "GET", "/pulls?state=all&sort=recentupdate", nil, &pulls)
	var numbers []int
	for _, p := range pulls {
		numbers = append(numbers, p.Number)
	}
	return numbers
}

func (r *Repository) fork(user string) {
	r.t.Helper()
	r.Collaborator(user, "read")
	code, answer := r.Server.ask(r.t, user, "POST", "/repos/"+r.Owner+"/"+r.Name+"/forks", map[string]any{}, nil)
	if code != http.StatusAccepted && code != http.StatusConflict {
		r.t.Fatalf("fork: %d %s", code, answer)
	}
}

// DeleteFork deletes a user's fork.
func (r *Repository) DeleteFork(user string) {
	r.t.Helper()
	r.Server.do(r.t, user, "DELETE", "/repos/"+user+"/"+r.Name, nil, nil)
}

// Collaborator gives a user a right in the repository: read, write or admin.
func (r *Repository) Collaborator(user, right string) {
	r.t.Helper()
	r.Server.User(r.t, user)
	r.do(owner, "PUT", "/collaborators/"+user, map[string]any{"permission": right}, nil)
}

// Archive makes the repository one that nobody may write to.
func (r *Repository) Archive() {
	r.t.Helper()
	r.do(owner, "PATCH", "", map[string]any{"archived": true}, nil)
}

// Page is the HTML of a page of Gitea, as the owner of the repository sees it.
func (r *Repository) Page(at string) string {
	r.t.Helper()
	req, err := http.NewRequest("GET", at, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.Server.signIn(r.t, owner).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s, %v", at, resp.Status, err)
	}
	return string(text)
}

// commit commits files on top of a commit and pushes that to a branch, of the repository
// or of a fork.
func (r *Repository) commit(author, owner, branch, on, message string, files map[string]string, deleted []string, options ...string) string {
	r.t.Helper()
	made := r.detached(on, message, files, deleted)
	args := append([]string{"push", "--quiet"}, options...)
	r.Repo.Git(append(args, r.as(author, owner), "HEAD:refs/heads/"+branch)...)
	r.Repo.Git("switch", "--quiet", "main")
	return made
}

// detached commits files on top of a commit, which the work tree is at afterwards.
func (r *Repository) detached(on, message string, files map[string]string, deleted []string) string {
	r.t.Helper()
	r.Repo.Git("fetch", "--quiet", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/pull/*:refs/pull/*")
	r.Repo.Git("switch", "--quiet", "--detach", on)
	r.Repo.Write(files)
	for _, name := range slices.Sorted(slices.Values(deleted)) {
		r.Repo.Git("rm", "--quiet", name)
	}
	r.Repo.Git("add", "--all")
	r.Repo.Git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Repo.Head()
}

// Push commits files to the head of a pull request and returns the new head.
func (r *Repository) Push(number int, message string, files map[string]string) string {
	r.t.Helper()
	return r.push(number, fmt.Sprintf("refs/pull/%d/head", number), message, files)
}

// ForcePush replaces all that a pull request has by one commit on its base's tip, and
// returns the new head.
func (r *Repository) ForcePush(number int, message string, files map[string]string) string {
	r.t.Helper()
	return r.push(number, "origin/"+r.pull(number).Base.Ref, message, files, "--force")
}

func (r *Repository) push(number int, on, message string, files map[string]string, options ...string) string {
	r.t.Helper()
	p := r.pull(number)
	author := p.Head.Repo.Owner.Login
	if author == r.Owner {
		author = ada
	}
	head := r.commit(author, p.Head.Repo.Owner.Login, p.Head.Ref, on, message, files, nil, options...)
	Await(r.t, "the pull request to have the commit", func() (bool, string) {
		at := r.Repo.Git("ls-remote", "origin", fmt.Sprintf("refs/pull/%d/head", number))
		return strings.HasPrefix(at, head), at
	})
	return head
}

// Merge merges a pull request by a merge commit, whose hash it returns.
func (r *Repository) Merge(number int) string {
	r.t.Helper()
	return r.merge(number, "merge")
}

// Squash merges a pull request as one commit, whose hash it returns.
func (r *Repository) Squash(number int) string {
	r.t.Helper()
	return r.merge(number, "squash")
}

func (r *Repository) merge(number int, how string) string {
	r.t.Helper()
	Await(r.t, "the merge, before which Gitea looks for conflicts", func() (bool, string) {
		code, answer := r.Server.ask(r.t, grace, "POST", fmt.Sprintf("/repos/%s/%s/pulls/%d/merge", r.Owner, r.Name, number), map[string]any{"Do": how}, nil)
		return code == http.StatusOK, fmt.Sprint(code, " ", answer)
	})
	r.Repo.Git("pull", "--quiet", "origin", "main")
	return r.Pull(number).MergedAs
}

// Close closes a pull request without merging it.
func (r *Repository) Close(number int) { r.t.Helper(); r.edit(number, "state", "closed") }

// Reopen opens a closed pull request again.
func (r *Repository) Reopen(number int) { r.t.Helper(); r.edit(number, "state", "open") }

func (r *Repository) edit(number int, field string, value any) {
	r.t.Helper()
	r.do(grace, "PATCH", fmt.Sprintf("/pulls/%d", number), map[string]any{field: value}, nil)
}

// Label sets a label, which is made if need be.
func (r *Repository) Label(number int, label string) {
	r.t.Helper()
	var all []struct {
		ID   int64
		Name string
	}
	r.do(grace, "GET", "/labels", nil, &all)
	var id int64
	for _, l := range all {
		if l.Name == label {
			id = l.ID
		}
	}
	if id == 0 {
		var made struct{ ID int64 }
		r.do(grace, "POST", "/labels", map[string]any{"name": label, "color": "#00aabb"}, &made)
		id = made.ID
	}
	r.do(grace, "POST", fmt.Sprintf("/issues/%d/labels", number), map[string]any{"labels": []int64{id}}, nil)
}

// Comment adds a comment of somebody to the discussion, and returns its number.
func (r *Repository) Comment(number int, author, body string) int64 {
	r.t.Helper()
	var made struct{ ID int64 }
	r.do(author, "POST", fmt.Sprintf("/issues/%d/comments", number), map[string]any{"body": body}, &made)
	return made.ID
}

// DeleteComment deletes a comment.
func (r *Repository) DeleteComment(id int64) {
	r.t.Helper()
	r.do("root", "DELETE", fmt.Sprintf("/issues/comments/%d", id), nil, nil)
}

// person is a user in an answer of Gitea.
type person struct{ Login string }

// pull is a pull request in an answer of Gitea.
type pull struct {
	Number      int
	Title, Body string
	User        person
	State       string
	Draft       bool
	Labels      []struct{ Name string }
	Created     time.Time `json:"created_at"`
	Updated     time.Time `json:"updated_at"`
	Base, Head  struct {
		Ref, Sha string
		Repo     struct{ Owner person }
	}
	MergeBase string    `json:"merge_base"`
	Merged    bool      `json:"merged"`
	MergedAs  string    `json:"merge_commit_sha"`
	MergedBy  *person   `json:"merged_by"`
	MergedAt  time.Time `json:"merged_at"`
}

func (r *Repository) pull(number int) (p pull) {
	r.t.Helper()
	r.do(owner, "GET", fmt.Sprintf("/pulls/%d", number), nil, &p)
	return p
}

// Pull is a pull request as it is now.
func (r *Repository) Pull(number int) forgetest.Pull {
	r.t.Helper()
	p := r.pull(number)
	out := forgetest.Pull{
		Number: p.Number, Title: p.Title, Body: p.Body, Author: p.User.Login, State: p.State, Draft: p.Draft, Created: p.Created, Updated: p.Updated,
		Base: p.Base.Ref, Head: p.Head.Ref, BaseCommit: p.Base.Sha, HeadCommit: p.Head.Sha, MergeBase: p.MergeBase, MergedAs: p.MergedAs, MergedAt: p.MergedAt,
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	if o := p.Head.Repo.Owner.Login; o != r.Owner {
		out.Fork = o
	}
	if p.Merged {
		out.State, out.MergedBy = "merged", p.MergedBy.Login
	}
	var comments []struct {
		ID      int64
		User    person
		Body    string
		Created time.Time `json:"created_at"`
		Updated time.Time `json:"updated_at"`
	}
	r.do(owner, "GET", fmt.Sprintf("/issues/%d/comments", number), nil, &comments)
	for _, c := range comments {
		out.Comments = append(out.Comments, forgetest.Comment{ID: c.ID, Author: c.User.Login, Body: c.Body, Created: c.Created, Updated: c.Updated})
	}
	return out
}

// Comments are the comments of a pull request that an author has written.
func (r *Repository) Comments(number int, author string) []forgetest.Comment {
	r.t.Helper()
	return slices.DeleteFunc(r.Pull(number).Comments, func(c forgetest.Comment) bool { return c.Author != author })
}

// Statuses are the newest statuses of a commit, by context.
func (r *Repository) Statuses(commit string) map[string]forgetest.Status {
	r.t.Helper()
	newest := map[string]forgetest.Status{}
	for _, s := range r.AllStatuses(commit) {
		newest[s.Context] = s
	}
	return newest
}

// AllStatuses are all statuses that a commit ever had, oldest first.
func (r *Repository) AllStatuses(commit string) []forgetest.Status {
	r.t.Helper()
	all := map[int64]forgetest.Status{}
	for page := 1; ; page++ {
		var found []struct {
			ID                           int64
			Status, Context, Description string
			TargetURL                    string `json:"target_url"`
			Creator                      person
			Created                      time.Time `json:"created_at"`
		}
		r.do(owner, "GET", fmt.Sprintf("/statuses/%s?page=%d", commit, page), nil, &found)
		for _, s := range found {
			all[s.ID] = forgetest.Status{ID: s.ID, Commit: commit, Context: s.Context, State: s.Status, Description: s.Description, URL: s.TargetURL, Creator: s.Creator.Login, Created: s.Created}
		}
		if len(found) == 0 {
			break
		}
	}
	var out []forgetest.Status
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[id])
	}
	return out
}

// SetStatus sets a status as somebody else does.
func (r *Repository) SetStatus(s forgetest.Status) {
	r.t.Helper()
	r.do(cmp.Or(s.Creator, ada), "POST", "/statuses/"+s.Commit, map[string]any{"state": s.State, "context": s.Context, "description": s.Description, "target_url": s.URL}, nil)
}

// Webhook has Gitea send what happens in the repository to a URL of this machine, signed
// by a secret.
func (r *Repository) Webhook(to, secret string) {
	r.t.Helper()
	r.do(owner, "POST", "/hooks", map[string]any{
		"type": "gitea", "active": true, "config": map[string]string{"url": to, "content_type": "json", "secret": secret},
		"events": []string{"push", "pull_request", "pull_request_label", "pull_request_sync"},
	}, nil)
}
