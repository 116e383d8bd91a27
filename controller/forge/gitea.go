package forge

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // Gitea names the anchors of a diff by it
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"

	"github.com/pacer-gitops/pacer/visible"
)

const (
	// giteaPage is how many items a page has: the most that Gitea gives as it comes
	// ([api] MAX_RESPONSE_ITEMS).
	giteaPage = 50
	// giteaMaxComment: Gitea has no limit of its own, and its database one of 4 GB. A
	// comment is as long as GitHub's.
	giteaMaxComment = 65536
	// giteaMaxStatus is how many bytes of a description are sent: Gitea takes 64 KiB,
	// and shows a line.
	giteaMaxStatus = 255
	// giteaMaxPages bounds how many pages of a list are read.
	giteaMaxPages = 100
)

// giteaHosts are those that are surely a Gitea or Forgejo.
var giteaHosts = []string{"gitea.com", "codeberg.org"}

// giteaForge is a repository at a Gitea or Forgejo.
//
// The SDK asks for the server's version before it does anything else, to refuse what an
// old server does not know, and Forgejo's numbers are not Gitea's. Nothing here needs
// more than Gitea 1.18 has, so it is told not to ask: what an old server does not know
// is its answer.
type giteaForge struct {
	rest *rest  // below /api/v1/repos/OWNER/NAME
	url  string // of the server, without a slash at the end
	// owner and name are the last two parts of the path: a server may have its pages
	// below a folder, and has no groups in groups.
	owner, name string
	me          owner
}

func openGitea(o Options, r repository) (Forge, error) {
	folder, user, name, err := splitGitea(r.path)
	if err != nil {
		return nil, err
	}
	base, err := apiURL(cmp.Or(o.URL, r.site+folder), "/api/v1")
	if err != nil {
		return nil, err
	}
	c, err := newHTTPClient(o, bearerOf(o))
	if err != nil {
		return nil, err
	}
	api := base + "/api/v1/repos/" + url.PathEscape(user) + "/" + url.PathEscape(name)
	return &giteaForge{rest: &rest{http: c, base: api}, url: base, owner: user, name: name, me: owner{token: o.Token}}, nil
}

// splitGitea takes the path of a repository apart. The folder, of a server whose pages
// are not at the root of its host, begins with a slash or is empty.
func splitGitea(path string) (folder, owner, name string, err error) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 || slices.Contains(parts, "") {
		return "", "", "", fmt.Errorf("expected OWNER/REPOSITORY at the end of the repository's URL, found %q", path)
	}
	n := len(parts) - 2
	for _, part := range parts[:n] {
		folder += "/" + part
	}
	return folder, parts[n], parts[n+1], nil
}

func (f *giteaForge) String() string { return f.url + "/" + f.owner + "/" + f.name }

func (f *giteaForge) MaxComment() int { return giteaMaxComment }

// client is the SDK's client for one call: it holds a context for all of its requests.
func (f *giteaForge) client(ctx context.Context) *gitea.Client {
	c, err := gitea.NewClient(f.url, gitea.SetGiteaVersion(""), gitea.SetHTTPClient(f.rest.http), gitea.SetContext(ctx))
	if err != nil { // only the version could be one
		panic(err)
	}
	return c
}

// Pulls lists the open pull requests. Between two pages one may move to another: it
// comes once.
func (f *giteaForge) Pulls(ctx context.Context) (pulls []Pull, more bool, err error) {
	return f.list(ctx, gitea.StateOpen, func(*gitea.PullRequest) bool { return true })
}

// MergedSince reads the closed ones from the newest change on, which is not before the
// merge, until one is older.
func (f *giteaForge) MergedSince(ctx context.Context, since time.Time) ([]Pull, error) {
	pulls, _, err := f.list(ctx, gitea.StateClosed, func(p *gitea.PullRequest) bool { return !giteaTime(p.Updated).Before(since) })
	return slices.DeleteFunc(pulls, func(p Pull) bool { return p.State != PullMerged || p.MergedAt.Before(since) }), err
}

// list lists pull requests, newest change first, as long as they are wanted.
func (f *giteaForge) list(ctx context.Context, state gitea.StateType, wanted func(*gitea.PullRequest) bool) (pulls []Pull, more bool, err error) {
	c, seen := f.client(ctx), map[int]bool{}
	for page := 1; page != 0 && page <= giteaMaxPages; {
		found, resp, err := c.ListRepoPullRequests(f.owner, f.name, gitea.ListPullRequestsOptions{
			State: state, Sort: "recentupdate", ListOptions: gitea.ListOptions{Page: page, PageSize: giteaPage},
		})
		if err != nil {
			return nil, false, fmt.Errorf("list pull requests of %s: %w", f, plain(err))
		}
		for _, p := range found {
			if !wanted(p) {
				return pulls, false, nil
			}
			if pull := giteaPull(p); !seen[pull.Number] {
				if len(pulls) == MaxPulls {
					return pulls, true, nil
				}
				seen[pull.Number] = true
				pulls = append(pulls, pull)
			}
		}
		page = resp.NextPage
	}
	return pulls, false, nil
}

func (f *giteaForge) Pull(ctx context.Context, number int) (Pull, error) {
	p, _, err := f.client(ctx).GetPullRequest(f.owner, f.name, int64(number))
	if err != nil {
		return Pull{}, fmt.Errorf("read pull request %d of %s: %w", number, f, plain(err))
	}
	return giteaPull(p), nil
}

// giteaPull says what Gitea says of a pull request.
//
// It keeps no ref of the merge. Its field mergeable is false also of drafts and while it
// is being found out, so that nothing follows from it about conflicts.
func giteaPull(p *gitea.PullRequest) Pull {
	out := Pull{
		Number: int(p.Index), Title: p.Title, Body: p.Body, URL: p.HTMLURL, Draft: p.Draft, State: PullOpen,
		MergeBase: p.MergeBase, HeadRef: fmt.Sprintf("refs/pull/%d/head", p.Index), Updated: giteaTime(p.Updated),
	}
	if p.Poster != nil {
		out.Author = p.Poster.UserName
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	base, head := cmp.Or(p.Base, &gitea.PRBranchInfo{}), cmp.Or(p.Head, &gitea.PRBranchInfo{})
	out.Base, out.BaseCommit = base.Ref, base.Sha
	out.Head, out.HeadCommit = cmp.Or(head.Name, head.Ref), head.Sha
	// Whoever may read a repository may push to its refs/for (AGit), which makes a pull
	// request without a branch: its commits are in this repository, and are as little
	// trusted as those of a fork. It has no label. A fork that is deleted has the id -1.
	out.Fork = head.RepoID != base.RepoID || head.Name == ""
	switch {
	case p.HasMerged:
		out.State, out.MergedAt = PullMerged, giteaTime(p.Merged)
		if p.MergedCommitID != nil {
			out.MergedAs = *p.MergedCommitID
		}
	case p.State == gitea.StateClosed:
		out.State = PullClosed
	}
	return out
}

func giteaTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// RemoveLabel finds the label's number among those of the pull request: another with its
// name may be the organization's.
func (f *giteaForge) RemoveLabel(ctx context.Context, number int, label string) error {
	c := f.client(ctx)
	p, _, err := c.GetPullRequest(f.owner, f.name, int64(number))
	if err != nil {
		return fmt.Errorf("read the labels of pull request %d of %s: %w", number, f, plain(err))
	}
	for _, l := range p.Labels {
		if l.Name != label {
			continue
		}
		if _, err := c.DeleteIssueLabel(f.owner, f.name, int64(number), l.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("remove label %s from pull request %d of %s: %w", visible.Words(label), number, f, plain(err))
		}
	}
	return nil
}

// FindComment reads all comments, which come oldest first.
func (f *giteaForge) FindComment(ctx context.Context, number int, marker string) (*Comment, error) {
	c := f.client(ctx)
	me, err := f.me.ask(func() (string, error) {
		u, _, err := c.GetMyUserInfo()
		if err != nil {
			return "", plain(err)
		}
		return strconv.FormatInt(u.ID, 10), nil
	})
	if err != nil {
		return nil, fmt.Errorf("find a comment of pull request %d of %s: %w", number, f, err)
	}
	for page := 1; page != 0 && page <= giteaMaxPages; {
		found, resp, err := c.ListIssueComments(f.owner, f.name, int64(number), gitea.ListIssueCommentOptions{
			ListOptions: gitea.ListOptions{Page: page, PageSize: giteaPage},
		})
		if err != nil {
			return nil, fmt.Errorf("list the comments of pull request %d of %s: %w", number, f, plain(err))
		}
		for _, comment := range found {
			if comment.Poster != nil && strconv.FormatInt(comment.Poster.ID, 10) == me && strings.Contains(comment.Body, marker) {
				out := giteaComment(comment)
				return &out, nil
			}
		}
		page = resp.NextPage
	}
	return nil, nil
}

func (f *giteaForge) CreateComment(ctx context.Context, number int, body string) (Comment, error) {
	c := f.client(ctx)
	made, _, err := c.CreateIssueComment(f.owner, f.name, int64(number), gitea.CreateIssueCommentOption{Body: body})
	err = giteaMissing(err, func() error { _, _, err := c.GetPullRequest(f.owner, f.name, int64(number)); return err })
	if err != nil {
		return Comment{}, fmt.Errorf("comment on pull request %d of %s: %w", number, f, err)
	}
	return giteaComment(made), nil
}

func (f *giteaForge) EditComment(ctx context.Context, number int, id, body string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fmt.Errorf("edit comment %q of pull request %d of %s: %w", id, number, f, ErrNotFound)
	}
	if _, _, err = f.client(ctx).EditIssueComment(f.owner, f.name, n, gitea.EditIssueCommentOption{Body: body}); err != nil {
		return fmt.Errorf("edit comment %s of pull request %d of %s: %w", id, number, f, plain(err))
	}
	return nil
}

func giteaComment(c *gitea.Comment) Comment {
	return Comment{ID: strconv.FormatInt(c.ID, 10), Body: c.Body, URL: c.HTMLURL}
}

// Statuses asks for the combined status, which has the newest of each context. The list
// of all, which the SDK has by pages, has those of one second in any order.
func (f *giteaForge) Statuses(ctx context.Context, commit string) ([]Status, error) {
	var out []Status
	for page := 1; page <= giteaMaxPages; page++ {
		var combined gitea.CombinedStatus
		header, err := f.rest.do(ctx, http.MethodGet, fmt.Sprintf("/commits/%s/status?page=%d&limit=%d", url.PathEscape(commit), page, giteaPage), nil, &combined)
		if err != nil {
			return nil, fmt.Errorf("read the statuses of commit %s of %s: %w", commit, f, err)
		}
		for _, s := range combined.Statuses {
			out = append(out, Status{Context: s.Context, State: State(s.State), Description: s.Description, URL: s.TargetURL})
		}
		total, err := strconv.Atoi(header.Get("X-Total-Count"))
		if len(combined.Statuses) == 0 || err == nil && len(out) >= total {
			return out, nil
		}
	}
	return nil, fmt.Errorf("read the statuses of commit %s of %s: more than %d pages", commit, f, giteaMaxPages)
}

// SetStatus adds a status: Gitea keeps those before.
func (f *giteaForge) SetStatus(ctx context.Context, commit string, s Status) error {
	c := f.client(ctx)
	_, _, err := c.CreateStatus(f.owner, f.name, commit, gitea.CreateStatusOption{
		State: gitea.StatusState(s.State), Context: s.Context, TargetURL: s.URL, Description: visible.Cut(s.Description, giteaMaxStatus),
	})
	err = giteaMissing(err, func() error { _, _, err := c.GetSingleCommit(f.owner, f.name, commit); return err })
	if err != nil {
		return fmt.Errorf("set status %s of commit %s of %s: %w", s.Context, commit, f, err)
	}
	return nil
}

// giteaMissing is the error of a call without what is around it. Gitea answers 500 where
// what is to be written to is not there, which trying again would not change: it is asked
// for then.
func giteaMissing(err error, look func() error) error {
	if failed, ok := errors.AsType[*StatusError](err); ok && failed.Code == http.StatusInternalServerError {
		if missing := look(); errors.Is(missing, ErrNotFound) {
			err = missing
		}
	}
	return plain(err)
}

// Annotate does nothing: a review's comments would each be mailed to all who follow the
// pull request, again with each push.
func (f *giteaForge) Annotate(context.Context, Pull, string, []Annotation) (bool, error) {
	return false, nil
}

// FileURL is the file in the diff; of a line it is that line of the file as the head has
// it. In Gitea's diff only files have an anchor: what its templates write at a line
// (rel="diff-HASHR7", templates/repo/diff/section_*.tmpl) is no id, and leads nowhere.
func (f *giteaForge) FileURL(p Pull, file string, line int) string {
	if line > 0 && p.HeadCommit != "" {
		return fmt.Sprintf("%s/src/commit/%s/%s#L%d", f, p.HeadCommit, escapedPath(file), line)
	}
	hash := sha1.Sum([]byte(file)) //nolint:gosec // no secret depends on it
	return p.URL + "/files#diff-" + hex.EncodeToString(hash[:])
}
