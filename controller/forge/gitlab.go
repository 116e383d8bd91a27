package forge

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // GitLab names the files of a diff by it
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/time/rate"

	"github.com/pacer-gitops/pacer/visible"
)

const (
	// gitLabComment: a note has at most 1,000,000 characters.
	gitLabComment = 900 << 10
	// gitLabText is how many characters a status's description and link may have.
	gitLabText = 255
	// gitLabPage is how many items a page has at most.
	gitLabPage = 100
	// gitLabPages bounds how many pages of a list are read.
	gitLabPages = 100
)

// gitLabHosts are the names of gitlab.com, the last of them for ssh by port 443.
var gitLabHosts = []string{"gitlab.com", "altssh.gitlab.com"}

// gitLab is a project at gitlab.com or another GitLab. Its merge requests are the pull
// requests. Sources: GitLab's REST API for merge requests, notes, commits, members and
// personal access tokens.
type gitLab struct {
	client  *gitlab.Client
	project string // with its groups
	page    string // of the project
	me      owner
}

func openGitLab(o Options, r repository) (Forge, error) {
	if slices.Contains(gitLabHosts, r.hostname) {
		r.site = "https://gitlab.com"
	}
	base, err := apiURL(cmp.Or(o.URL, r.site), "/api/v4")
	if err != nil {
		return nil, err
	}
	// A GitLab below a folder of its host has that before its groups.
	project := r.path
	if u, err := url.Parse(base); err == nil {
		project = strings.TrimPrefix(project, strings.Trim(u.Path, "/")+"/")
	}
	if parts := strings.Split(project, "/"); len(parts) < 2 || slices.Contains(parts, "") {
		return nil, fmt.Errorf("repository %q: GitLab's have the form GROUP/PROJECT, or more groups before", r.path)
	}
	c, err := newHTTPClient(o, bearerOf(o))
	if err != nil {
		return nil, err
	}
	g := &gitLab{project: project, page: r.site + "/" + r.path, me: owner{token: o.Token}}
	// The token and waiting for limits are the transport's, not the library's.
	g.client, err = gitlab.NewAuthSourceClient(gitlab.Unauthenticated{}, gitlab.WithBaseURL(base), gitlab.WithHTTPClient(c),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(rate.NewLimiter(rate.Inf, 0)))
	return g, err
}

func (g *gitLab) String() string { return g.page }

func (g *gitLab) MaxComment() int { return gitLabComment }

// gitLabEach calls do for the items of a list until it returns false.
func gitLabEach[T any](list func(gitlab.ListOptions) ([]T, *gitlab.Response, error), do func(T) (more bool)) error {
	page := gitlab.ListOptions{PerPage: gitLabPage, Page: 1}
	for range gitLabPages {
		items, resp, err := list(page)
		if err != nil {
			return plain(err)
		}
		for _, item := range items {
			if !do(item) {
				return nil
			}
		}
		if page.Page = resp.NextPage; page.Page == 0 {
			return nil
		}
	}
	return fmt.Errorf("list has more than %d pages", gitLabPages)
}

func (g *gitLab) Pulls(ctx context.Context) (pulls []Pull, more bool, err error) {
	pulls, more, err = g.list(ctx, gitlab.ListProjectMergeRequestsOptions{State: new("opened")})
	if err != nil {
		return nil, false, fmt.Errorf("list merge requests of %s: %w", g, err)
	}
	return pulls, more, nil
}

func (g *gitLab) MergedSince(ctx context.Context, since time.Time) ([]Pull, error) {
	pulls, _, err := g.list(ctx, gitlab.ListProjectMergeRequestsOptions{State: new("merged"), UpdatedAfter: new(since.Add(-time.Second))})
	if err != nil {
		return nil, fmt.Errorf("list merged merge requests of %s: %w", g, err)
	}
	return slices.DeleteFunc(pulls, func(p Pull) bool { return p.State != PullMerged || p.MergedAt.Before(since) }), nil
}

// list lists merge requests, newest change first. One that changes meanwhile is on two
// pages, and comes once.
func (g *gitLab) list(ctx context.Context, o gitlab.ListProjectMergeRequestsOptions) (pulls []Pull, more bool, err error) {
	seen := map[int64]bool{}
	err = gitLabEach(func(page gitlab.ListOptions) ([]*gitlab.BasicMergeRequest, *gitlab.Response, error) {
		o.ListOptions, o.OrderBy, o.Sort = page, new("updated_at"), new("desc")
		return g.client.MergeRequests.ListProjectMergeRequests(g.project, &o, gitlab.WithContext(ctx))
	}, func(m *gitlab.BasicMergeRequest) bool {
		switch {
		case seen[m.IID]:
		case len(pulls) == MaxPulls:
			more = true
		default:
			seen[m.IID] = true
			pulls = append(pulls, gitLabPull(m))
		}
		return !more
	})
	return pulls, more, err
}

// Pull reads a merge request, and has GitLab bring its merge ref up to date, which it
// does only when it is asked to.
func (g *gitLab) Pull(ctx context.Context, number int) (Pull, error) {
	m, _, err := g.client.MergeRequests.GetMergeRequest(g.project, int64(number), nil, gitlab.WithContext(ctx))
	if err == nil && m == nil {
		err = errors.New("answer is empty")
	}
	if err != nil {
		return Pull{}, fmt.Errorf("read merge request %d of %s: %w", number, g, plain(err))
	}
	p := gitLabPull(&m.BasicMergeRequest)
	p.MergeBase = m.DiffRefs.BaseSha
	if p.State != PullOpen || p.Conflicts {
		return p, nil
	}
	kept, err := g.mergeRef(ctx, number)
	if err != nil {
		return Pull{}, fmt.Errorf("read the merge ref of merge request %d of %s: %w", number, g, err)
	}
	if kept {
		p.MergeRef = fmt.Sprintf("refs/merge-requests/%d/merge", number)
	}
	return p, nil
}

// mergeRef reports whether GitLab could make the merge ref. 400: it cannot be merged.
// The library has no call for it.
func (g *gitLab) mergeRef(ctx context.Context, number int) (bool, error) {
	path := fmt.Sprintf("projects/%s/merge_requests/%d/merge_ref", gitlab.PathEscape(g.project), number)
	r, err := g.client.NewRequest(http.MethodGet, path, nil, []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
	if err != nil {
		return false, err
	}
	var answer struct {
		Commit string `json:"commit_id"`
	}
	_, err = g.client.Do(r, &answer)
	if failed, ok := errors.AsType[*StatusError](err); ok && (failed.Code == http.StatusBadRequest || failed.Code == http.StatusNotFound) {
		return false, nil
	}
	return answer.Commit != "", plain(err)
}

// gitLabPull takes over what a list says, too.
func gitLabPull(m *gitlab.BasicMergeRequest) Pull {
	p := Pull{
		Number: int(m.IID), Title: m.Title, Body: m.Description, URL: m.WebURL, State: PullOpen, Draft: m.Draft, Labels: m.Labels,
		// A fork that is deleted has no number.
		Fork: m.SourceProjectID != m.TargetProjectID,
		Base: m.TargetBranch, Head: m.SourceBranch, HeadCommit: m.SHA, HeadRef: fmt.Sprintf("refs/merge-requests/%d/head", m.IID),
		Conflicts: m.HasConflicts,
	}
	if m.Author != nil {
		p.Author = m.Author.Username
	}
	if m.UpdatedAt != nil {
		p.Updated = *m.UpdatedAt
	}
	switch m.State {
	case "merged":
		// A fast-forward makes no commit.
		p.State, p.MergedAs = PullMerged, cmp.Or(m.MergeCommitSHA, m.SquashCommitSHA, m.SHA)
		if m.MergedAt != nil {
			p.MergedAt = *m.MergedAt
		}
	case "closed":
		p.State = PullClosed
	}
	p.Conflicts = p.Conflicts && p.State == PullOpen
	return p
}

func (g *gitLab) RemoveLabel(ctx context.Context, number int, label string) error {
	_, _, err := g.client.MergeRequests.UpdateMergeRequest(g.project, int64(number), &gitlab.UpdateMergeRequestOptions{RemoveLabels: &gitlab.LabelOptions{label}}, gitlab.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("remove label %s of merge request %d of %s: %w", visible.Words(label), number, g, plain(err))
	}
	return nil
}

// whoAmI is the number of the user who writes with the present token; those of projects
// and groups have one, too.
func (g *gitLab) whoAmI(ctx context.Context) (string, error) {
	return g.me.ask(func() (string, error) {
		u, _, err := g.client.Users.CurrentUser(gitlab.WithContext(ctx))
		if err != nil || u == nil || u.ID == 0 {
			return "", plain(err)
		}
		return strconv.FormatInt(u.ID, 10), nil
	})
}

func (g *gitLab) FindComment(ctx context.Context, number int, marker string) (*Comment, error) {
	me, err := g.whoAmI(ctx)
	var found *Comment
	if err == nil {
		err = gitLabEach(func(page gitlab.ListOptions) ([]*gitlab.Note, *gitlab.Response, error) {
			return g.client.Notes.ListMergeRequestNotes(g.project, int64(number), &gitlab.ListMergeRequestNotesOptions{ListOptions: page, OrderBy: new("created_at"), Sort: new("asc")}, gitlab.WithContext(ctx))
		}, func(n *gitlab.Note) bool {
			if !n.System && strconv.FormatInt(n.Author.ID, 10) == me && strings.Contains(n.Body, marker) {
				found = g.comment(number, n)
			}
			return found == nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("find a comment of merge request %d of %s: %w", number, g, err)
	}
	return found, nil
}

func (g *gitLab) comment(number int, n *gitlab.Note) *Comment {
	return &Comment{ID: strconv.FormatInt(n.ID, 10), Body: n.Body, URL: fmt.Sprintf("%s/-/merge_requests/%d#note_%d", g.page, number, n.ID)}
}

func (g *gitLab) CreateComment(ctx context.Context, number int, body string) (Comment, error) {
	n, _, err := g.client.Notes.CreateMergeRequestNote(g.project, int64(number), &gitlab.CreateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	if err == nil && n == nil {
		err = errors.New("answer is empty")
	}
	if err != nil {
		return Comment{}, fmt.Errorf("comment on merge request %d of %s: %w", number, g, plain(err))
	}
	return *g.comment(number, n), nil
}

func (g *gitLab) EditComment(ctx context.Context, number int, id, body string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		err = ErrNotFound
	} else {
		_, _, err = g.client.Notes.UpdateMergeRequestNote(g.project, int64(number), n, &gitlab.UpdateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	}
	if err != nil {
		return fmt.Errorf("edit comment %s of merge request %d of %s: %w", visible.Words(id), number, g, plain(err))
	}
	return nil
}

// gitLabStates are the words of a commit status:
//
//	GitLab                                        here
//	success                                       Success
//	failed                                        Failure
//	canceled, canceling, skipped                  Stopped
//	created, pending, running, and what waits     Pending
var gitLabStates = map[string]State{"success": Success, "failed": Failure, "canceled": Stopped, "canceling": Stopped, "skipped": Stopped}

// gitLabWords is the other direction.
var gitLabWords = map[State]gitlab.BuildStateValue{Pending: gitlab.Pending, Success: gitlab.Success, Failure: gitlab.Failed, Stopped: gitlab.Canceled}

func (g *gitLab) Statuses(ctx context.Context, commit string) ([]Status, error) {
	newest, err := g.newest(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("read the statuses of commit %s of %s: %w", commit, g, err)
	}
	var all []Status
	for _, s := range newest {
		all = append(all, gitLabStatus(s))
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Context, b.Context) })
	return all, nil
}

// newest are the newest statuses of a commit by name. GitLab has one of each name for
// each of the commit's pipelines.
func (g *gitLab) newest(ctx context.Context, commit string) (map[string]*gitlab.CommitStatus, error) {
	newest := map[string]*gitlab.CommitStatus{}
	err := gitLabEach(func(page gitlab.ListOptions) ([]*gitlab.CommitStatus, *gitlab.Response, error) {
		return g.client.Commits.GetCommitStatuses(g.project, commit, &gitlab.GetCommitStatusesOptions{ListOptions: page}, gitlab.WithContext(ctx))
	}, func(s *gitlab.CommitStatus) bool {
		if known := newest[s.Name]; known == nil || known.ID < s.ID {
			newest[s.Name] = s
		}
		return true
	})
	return newest, err
}

func gitLabStatus(s *gitlab.CommitStatus) Status {
	return Status{Context: s.Name, State: cmp.Or(gitLabStates[s.Status], Pending), Description: s.Description, URL: s.TargetURL}
}

// SetStatus sets a status. GitLab has a state machine, and refuses with 400 to enqueue
// what is pending or running, although its description is another:
//
//	there      wanted            what is sent
//	any        the same          nothing, once it was refused
//	pending    another text      running
//	running    another text      canceled, then pending, which begins a new one
func (g *gitLab) SetStatus(ctx context.Context, commit string, s Status) error {
	s.Description = cutCharacters(s.Description, gitLabText)
	if len(s.URL) > gitLabText {
		s.URL = "" // it would be refused, and the status with it
	}
	err := g.post(ctx, commit, s, gitLabWords[s.State])
	if isTransition(err) {
		err = g.transit(ctx, commit, s, err)
	}
	if err != nil {
		return fmt.Errorf("set status %s of commit %s of %s: %w", visible.Words(s.Context), commit, g, err)
	}
	return nil
}

// isTransition reports whether GitLab refuses to go from one state to another.
func isTransition(err error) bool {
	failed, ok := errors.AsType[*StatusError](err)
	return ok && failed.Code == http.StatusBadRequest && strings.Contains(failed.Reason, "Cannot transition status")
}

func (g *gitLab) transit(ctx context.Context, commit string, s Status, refused error) error {
	newest, err := g.newest(ctx, commit)
	if err != nil {
		return err
	}
	there := newest[s.Context]
	switch {
	case there == nil:
		return refused
	case gitLabStatus(there) == s:
		return nil
	case s.State != Pending:
		return refused
	case there.Status == "pending":
		return g.post(ctx, commit, s, gitlab.Running)
	}
	if err := g.post(ctx, commit, s, gitlab.Canceled); err != nil {
		return err
	}
	return g.post(ctx, commit, s, gitlab.Pending)
}

// post sends a status. GitLab files it under a branch that has the commit; for a commit
// of a fork there is none ("404 References for commit Not Found"), so that the ref of
// its merge request is named.
func (g *gitLab) post(ctx context.Context, commit string, s Status, word gitlab.BuildStateValue) error {
	o := &gitlab.SetCommitStatusOptions{State: word, Name: &s.Context, Description: &s.Description}
	if s.URL != "" {
		o.TargetURL = &s.URL
	}
	_, _, err := g.client.Commits.SetCommitStatus(g.project, commit, o, gitlab.WithContext(ctx))
	if failed, ok := errors.AsType[*StatusError](err); ok && failed.Code == http.StatusNotFound && strings.Contains(failed.Reason, "References") {
		of, _, asked := g.client.Commits.ListMergeRequestsByCommit(g.project, commit, gitlab.WithContext(ctx))
		for _, m := range of {
			if asked == nil && m.SHA == commit {
				o.Ref = new(fmt.Sprintf("refs/merge-requests/%d/head", m.IID))
				_, _, err = g.client.Commits.SetCommitStatus(g.project, commit, o, gitlab.WithContext(ctx))
				break
			}
		}
	}
	return plain(err)
}

// Annotate does nothing: GitLab shows code quality only from the artifact of a CI job,
// which pacer plan -o gitlab writes.
func (g *gitLab) Annotate(context.Context, Pull, string, []Annotation) (bool, error) {
	return false, nil
}

// FileURL is the file in the diff, whose anchor is the SHA-1 of its path. The anchor of a
// line has also that line's number before the change, which only the diff tells; a line
// is shown in the file as the head has it.
func (g *gitLab) FileURL(p Pull, file string, line int) string {
	if line > 0 && p.HeadCommit != "" {
		return fmt.Sprintf("%s/-/blob/%s/%s#L%d", g.page, p.HeadCommit, escapedPath(file), line)
	}
	hash := sha1.Sum([]byte(file)) //nolint:gosec // no secret depends on it
	return fmt.Sprintf("%s/-/merge_requests/%d/diffs#%s", g.page, p.Number, hex.EncodeToString(hash[:]))
}

// Check finds the scopes of the token, and the role of its user, who is a bot for a
// token of a project or group.
func (g *gitLab) Check(ctx context.Context) (lacking []string, err error) {
	lacking, err = g.checkScopes(ctx)
	if err == nil && lacking == nil {
		lacking, err = g.checkRole(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("check the rights at %s: %w", g, plain(err))
	}
	return lacking, nil
}

// checkScopes asks for the token itself. What is no access token, as that of an OAuth
// application, is not known there, and shows what it lacks at the next request.
func (g *gitLab) checkScopes(ctx context.Context) ([]string, error) {
	lacking := []string{`the scope "api" of the token, to comment on merge requests and to set the status of commits`}
	token, _, err := g.client.PersonalAccessTokens.GetSinglePersonalAccessToken(gitlab.WithContext(ctx))
	failed, answered := errors.AsType[*StatusError](err)
	switch {
	case answered && failed.Code == http.StatusForbidden && !failed.limited:
		return lacking, nil
	case errors.Is(err, ErrNotFound), answered && failed.Code == http.StatusBadRequest:
		return nil, nil
	case err != nil:
		return nil, err
	case !slices.Contains(token.Scopes, "api"):
		return lacking, nil
	}
	return nil, nil
}

func (g *gitLab) checkRole(ctx context.Context) ([]string, error) {
	project, _, err := g.client.Projects.GetProject(g.project, nil, gitlab.WithContext(ctx))
	if errors.Is(err, ErrNotFound) {
		return []string{fmt.Sprintf("access to %s: invite the token's user under \"Members\" with the role Developer, or correct the repository's URL", g)}, nil
	}
	if err != nil {
		return nil, err
	}
	user, _, err := g.client.Users.CurrentUser(gitlab.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	var lacking []string
	if !user.IsAdmin {
		member, _, err := g.client.ProjectMembers.GetInheritedProjectMember(g.project, user.ID, gitlab.WithContext(ctx))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		level := gitlab.NoPermissions
		if member != nil {
			level = member.AccessLevel
		}
		lacking = lackingRole(level)
	}
	if project.Archived {
		lacking = append(lacking, fmt.Sprintf("a project that can be written to: %s is archived", g))
	}
	return lacking, nil
}

// lackingRole names the roles, as under "Members" of a project, that a level is below.
func lackingRole(level gitlab.AccessLevelValue) (lacking []string) {
	if level < gitlab.ReporterPermissions {
		lacking = append(lacking, `the role "Reporter" of the token's user in the project, to read and comment on merge requests and to remove their label`)
	}
	if level < gitlab.DeveloperPermissions {
		lacking = append(lacking, `the role "Developer" of the token's user in the project, to set the status of commits`)
	}
	return lacking
}
