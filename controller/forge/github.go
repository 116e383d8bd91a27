package forge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v89/github"

	"github.com/pacer-gitops/pacer/secret"
)

const (
	// gitHubComment is how many characters a comment may have, and so at least as many
	// bytes: GitHub refuses more with 422, "Body is too long".
	gitHubComment = 65536
	// gitHubDescription is how many characters a status's description may have.
	gitHubDescription = 140
	// gitHubPage is how many items a page of a list has at most.
	gitHubPage = 100
	// gitHubPages bounds how many pages of a list are read.
	gitHubPages = 100
)

// gitHub is a repository at github.com or a GitHub Enterprise Server. Sources: GitHub's
// "REST API endpoints" for pull requests, issues, commit statuses, checks and apps.
type gitHub struct {
	client      *github.Client
	owner, name string
	page        string // of the repository
	token       secret.Ref
	app         *gitHubApp // nil: by token

	mu sync.Mutex
	me gitHubUser
}

// gitHubUser is who writes with a token.
type gitHubUser struct {
	token string // which it was asked with
	login string
	id    int64 // 0: of an App, which is known by its login
}

func openGitHub(o Options, r repository) (Forge, error) {
	owner, name, ok := strings.Cut(r.path, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q: GitHub's have the form OWNER/NAME", r.path)
	}
	api, err := gitHubAPI(o.URL, r)
	if err != nil {
		return nil, err
	}
	if isGitHubCom(r.hostname) {
		r.site = "https://github.com"
	}
	g := &gitHub{owner: owner, name: name, page: r.site + "/" + r.path, token: o.Token}
	authorize := func(r *http.Request) ([]string, error) {
		token, err := o.Token.Read()
		return sign(r, token), err
	}
	if o.App != (App{}) {
		if g.app, err = newGitHubApp(o, api); err != nil {
			return nil, err
		}
		authorize = g.app.authorize
	}
	c, err := newHTTPClient(o, authorize)
	if err != nil {
		return nil, err
	}
	if g.app != nil {
		c.Transport = &renewing{next: c.Transport, app: g.app}
	}
	g.client, err = newGitHubClient(c, api)
	return g, err
}

// newGitHubClient makes a client without its own judgement of rate limits: that is the
// transport's.
func newGitHubClient(c *http.Client, api string) (*github.Client, error) {
	return github.NewClient(github.WithHTTPClient(c), github.WithURLs(&api, nil), github.WithDisableRateLimitCheck())
}

// sign gives a request a token.
func sign(r *http.Request, token string) (secrets []string) {
	r.Header.Set("Authorization", "Bearer "+token)
	return []string{token}
}

func isGitHubCom(hostname string) bool { return slices.Contains(gitHubHosts, hostname) }

// gitHubHosts are the names of github.com, the last of them for ssh by port 443.
var gitHubHosts = []string{"github.com", "www.github.com", "ssh.github.com"}

// gitHubAPI is the URL of the API, with a slash at its end:
//
//	given, or else the repository's site           API
//	github.com                                     https://api.github.com/
//	a host of ghe.com (GitHub Enterprise Cloud     https://api.HOST/
//	   with data residency)
//	a host that begins with api.                   as it is
//	other (GitHub Enterprise Server)               URL/api/v3/
func gitHubAPI(given string, r repository) (string, error) {
	if given == "" {
		given = r.site
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return "", errors.New("forge.url must be an http or https URL of GitHub's API, without a user and a query, such as https://api.github.com or https://HOST/api/v3")
	}
	host, path := strings.ToLower(u.Hostname()), strings.Trim(u.Path, "/")
	switch {
	case isGitHubCom(host):
		return "https://api.github.com/", nil
	case strings.HasSuffix(host, ".ghe.com") && !strings.HasPrefix(host, "api."):
		return "https://api." + host + "/", nil
	case !strings.HasPrefix(host, "api.") && path != "api/v3" && !strings.HasSuffix(path, "/api/v3"):
		u.Path = "/" + strings.TrimPrefix(path+"/api/v3", "/")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u.String(), nil
}

func (g *gitHub) String() string { return g.page }

func (g *gitHub) MaxComment() int { return gitHubComment }

// each calls do for the items of a list until it returns false.
func each[T any](list func(page github.ListOptions) ([]T, *github.Response, error), do func(T) (more bool)) error {
	page := github.ListOptions{PerPage: gitHubPage}
	for range gitHubPages {
		items, resp, err := list(page)
		if err != nil {
			return plain(err)
		}
		if items == nil {
			return errors.New("answer has no list")
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
	return fmt.Errorf("list has more than %d pages", gitHubPages)
}

func (g *gitHub) Pulls(ctx context.Context) (pulls []Pull, more bool, err error) {
	seen := map[int]bool{} // one that changes meanwhile is on two pages
	err = g.list(ctx, "open", func(p *github.PullRequest) bool {
		if seen[p.GetNumber()] {
			return true
		}
		if len(pulls) == MaxPulls {
			more = true
			return false
		}
		seen[p.GetNumber()] = true
		pulls = append(pulls, gitHubPullOf(p))
		return true
	})
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of %s: %w", g, err)
	}
	return pulls, more, nil
}

func (g *gitHub) MergedSince(ctx context.Context, since time.Time) ([]Pull, error) {
	since = since.Truncate(time.Second) // GitHub's times have whole seconds
	var pulls []Pull
	seen := map[int]bool{}
	err := g.list(ctx, "closed", func(p *github.PullRequest) bool {
		if p.GetUpdatedAt().Before(since) || len(pulls) == MaxPulls {
			return false
		}
		if !seen[p.GetNumber()] && p.MergedAt != nil && !p.GetMergedAt().Before(since) {
			seen[p.GetNumber()] = true
			pulls = append(pulls, gitHubPullOf(p))
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list merged pull requests of %s: %w", g, err)
	}
	return pulls, nil
}

// list calls do for pull requests, newest change first.
func (g *gitHub) list(ctx context.Context, state string, do func(*github.PullRequest) (more bool)) error {
	return each(func(page github.ListOptions) ([]*github.PullRequest, *github.Response, error) {
		return g.client.PullRequests.List(ctx, g.owner, g.name, &github.PullRequestListOptions{State: state, Sort: "updated", Direction: "desc", ListOptions: page})
	}, do)
}

func (g *gitHub) Pull(ctx context.Context, number int) (Pull, error) {
	got, _, err := g.client.PullRequests.Get(ctx, g.owner, g.name, number)
	if err == nil && got == nil {
		err = errors.New("answer is empty")
	}
	if err != nil {
		return Pull{}, fmt.Errorf("read pull request %d of %s: %w", number, g, plain(err))
	}
	p := gitHubPullOf(got)
	p.Conflicts = p.State == PullOpen && (got.Mergeable != nil && !got.GetMergeable() || got.GetMergeableState() == "dirty")
	if p.State != PullOpen {
		return p, nil
	}
	// The second page has no changed files, which the first lists with their diffs.
	compared, _, err := g.client.Repositories.CompareCommits(ctx, g.owner, g.name, p.Base, p.HeadCommit, &github.ListOptions{Page: 2, PerPage: 1})
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDenied) { // both of which leave them unknown
		return Pull{}, fmt.Errorf("compare the commits of pull request %d of %s: %w", number, g, plain(err))
	}
	p.BaseCommit, p.MergeBase = compared.GetBaseCommit().GetSHA(), compared.GetMergeBaseCommit().GetSHA()
	return p, nil
}

// gitHubPullOf takes over what a list says, too. GitHub's base.sha is what the base was when the
// head was pushed, hence not BaseCommit.
func gitHubPullOf(p *github.PullRequest) Pull {
	number := p.GetNumber()
	out := Pull{
		Number: number, Title: p.GetTitle(), Body: p.GetBody(), Author: p.GetUser().GetLogin(), URL: p.GetHTMLURL(), State: PullOpen, Draft: p.GetDraft(), Updated: p.GetUpdatedAt().Time,
		Base: p.GetBase().GetRef(), Head: p.GetHead().GetRef(), HeadCommit: p.GetHead().GetSHA(), HeadRef: fmt.Sprintf("refs/pull/%d/head", number),
		// A fork that is deleted has no repository, hence no id.
		Fork: p.GetHead().GetRepo().GetID() != p.GetBase().GetRepo().GetID(),
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.GetName())
	}
	switch {
	case p.MergedAt != nil:
		out.State, out.MergedAt, out.MergedAs = PullMerged, p.GetMergedAt().Time, p.GetMergeCommitSHA()
	case p.GetState() == "closed":
		out.State = PullClosed
	default:
		out.MergeRef = fmt.Sprintf("refs/pull/%d/merge", number)
	}
	return out
}

func (g *gitHub) RemoveLabel(ctx context.Context, number int, label string) error {
	_, err := g.client.Issues.RemoveLabelForIssue(ctx, g.owner, g.name, number, url.PathEscape(label))
	// A pull request that is not there is told in other words.
	if failed, ok := errors.AsType[*StatusError](err); ok && failed.Code == http.StatusNotFound && strings.Contains(failed.Reason, "Label does not exist") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove label %s of pull request %d of %s: %w", label, number, g, plain(err))
	}
	return nil
}

// whoAmI is who writes with the present token. It is asked once for each.
func (g *gitHub) whoAmI(ctx context.Context) (gitHubUser, error) {
	if g.app != nil {
		login, err := g.app.login(ctx)
		return gitHubUser{login: login}, err
	}
	token, err := g.token.Read()
	if err != nil {
		return gitHubUser{}, err
	}
	g.mu.Lock()
	me := g.me
	g.mu.Unlock()
	if me.token == token && me.id != 0 {
		return me, nil
	}
	u, _, err := g.client.Users.Get(ctx, "")
	if err == nil && u.GetID() == 0 {
		err = errors.New("answer names no user")
	}
	if err != nil {
		return gitHubUser{}, fmt.Errorf("ask who the token's user is: %w", plain(err))
	}
	me = gitHubUser{token: token, login: u.GetLogin(), id: u.GetID()}
	g.mu.Lock()
	g.me = me
	g.mu.Unlock()
	return me, nil
}

// is reports whether a user is this one.
func (u gitHubUser) is(other *github.User) bool {
	if u.id == 0 {
		return strings.EqualFold(u.login, other.GetLogin())
	}
	return u.id == other.GetID()
}

func (g *gitHub) FindComment(ctx context.Context, number int, marker string) (*Comment, error) {
	me, err := g.whoAmI(ctx)
	var found *Comment
	if err == nil {
		// Oldest first, which is GitHub's order.
		err = each(func(page github.ListOptions) ([]*github.IssueComment, *github.Response, error) {
			return g.client.Issues.ListComments(ctx, g.owner, g.name, number, &github.IssueListCommentsOptions{ListOptions: page})
		}, func(c *github.IssueComment) bool {
			if me.is(c.User) && strings.Contains(c.GetBody(), marker) {
				comment := gitHubCommentOf(c)
				found = &comment
			}
			return found == nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("find a comment of pull request %d of %s: %w", number, g, err)
	}
	return found, nil
}

func gitHubCommentOf(c *github.IssueComment) Comment {
	return Comment{ID: strconv.FormatInt(c.GetID(), 10), Body: c.GetBody(), URL: c.GetHTMLURL()}
}

func (g *gitHub) CreateComment(ctx context.Context, number int, body string) (Comment, error) {
	c, _, err := g.client.Issues.CreateComment(ctx, g.owner, g.name, number, &github.IssueComment{Body: &body})
	if err == nil && c.GetID() == 0 {
		err = errors.New("answer names no comment")
	}
	if err != nil {
		return Comment{}, fmt.Errorf("comment on pull request %d of %s: %w", number, g, plain(err))
	}
	return gitHubCommentOf(c), nil
}

func (g *gitHub) EditComment(ctx context.Context, number int, id, body string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fmt.Errorf("comment id %q: expected a number", id)
	}
	if _, _, err = g.client.Issues.EditComment(ctx, g.owner, g.name, n, &github.IssueComment{Body: &body}); err != nil {
		return fmt.Errorf("edit a comment of pull request %d of %s: %w", number, g, plain(err))
	}
	return nil
}

func (g *gitHub) Statuses(ctx context.Context, commit string) ([]Status, error) {
	var all []Status
	err := each(func(page github.ListOptions) ([]*github.RepoStatus, *github.Response, error) {
		combined, resp, err := g.client.Repositories.GetCombinedStatus(ctx, g.owner, g.name, commit, &page)
		if err != nil {
			return nil, resp, err
		}
		if combined == nil {
			combined = &github.CombinedStatus{}
		}
		return combined.Statuses, resp, nil
	}, func(s *github.RepoStatus) bool {
		all = append(all, Status{Context: s.GetContext(), State: State(s.GetState()), Description: s.GetDescription(), URL: s.GetTargetURL()})
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the statuses of commit %s of %s: %w", commit, g, err)
	}
	return all, nil
}

func (g *gitHub) SetStatus(ctx context.Context, commit string, s Status) error {
	status := github.RepoStatus{State: new(string(s.State)), Context: &s.Context, Description: new(cutCharacters(s.Description, gitHubDescription))}
	if s.URL != "" {
		status.TargetURL = &s.URL
	}
	if _, _, err := g.client.Repositories.CreateStatus(ctx, g.owner, g.name, commit, status); err != nil {
		return fmt.Errorf("set status %s of commit %s of %s: %w", s.Context, commit, g, plain(err))
	}
	return nil
}

// cutCharacters is a text of at most so many characters, the last an ellipsis where
// something is missing.
func cutCharacters(text string, most int) string {
	characters := []rune(text)
	if len(characters) <= most {
		return text
	}
	return string(characters[:most-1]) + "…"
}

// FileURL is the line in the tab "Files changed", whose anchors have the hash of the path.
func (g *gitHub) FileURL(p Pull, file string, line int) string {
	page := p.URL
	if page == "" {
		page = fmt.Sprintf("%s/pull/%d", g.page, p.Number)
	}
	hash := sha256.Sum256([]byte(file))
	anchor := "#diff-" + hex.EncodeToString(hash[:])
	if line > 0 {
		anchor += "R" + strconv.Itoa(line)
	}
	return page + "/files" + anchor
}
