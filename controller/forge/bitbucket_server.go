package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/visible"
)

const (
	// serverPage is how many items a page has at most, and serverPages bounds how many
	// pages of a list are read.
	serverPage, serverPages = 100, 100
	// serverStopped begins the description of a build that is stopped, where a server
	// has no word for that.
	serverStopped = "stopped: "
)

// server is a repository at a Bitbucket Data Center, or Bitbucket Server, from version 7
// on. Source: Atlassian, "Bitbucket Data Center REST API". It has no labels.
type server struct {
	api           rest
	project, repo string
	page          string // of the repository
	me            owner
}

type serverUser struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

type serverEnd struct {
	ID         string `json:"id"`
	DisplayID  string `json:"displayId"`
	Commit     string `json:"latestCommit"`
	Repository struct {
		ID int64 `json:"id"`
	} `json:"repository"`
}

type serverPull struct {
	ID          int                                    `json:"id"`
	Title       string                                 `json:"title"`
	Description string                                 `json:"description"`
	State       string                                 `json:"state"`
	Draft       bool                                   `json:"draft"`
	Author      struct{ User serverUser }              `json:"author"`
	From        serverEnd                              `json:"fromRef"`
	To          serverEnd                              `json:"toRef"`
	Updated     int64                                  `json:"updatedDate"` // ms
	Closed      int64                                  `json:"closedDate"`  // ms
	Links       struct{ Self []struct{ Href string } } `json:"links"`
	Properties  struct {
		MergeCommit struct{ ID string } `json:"mergeCommit"`
	} `json:"properties"`
}

type serverComment struct {
	ID      int64      `json:"id"`
	Version int        `json:"version"`
	Text    string     `json:"text"`
	Author  serverUser `json:"author"`
}

func openBitbucketServer(o Options, r repository) (Forge, error) {
	folder, project, repo, err := splitServer(r.path)
	if err != nil {
		return nil, err
	}
	given := o.URL
	if given == "" {
		given = strings.TrimRight(r.site+"/"+folder, "/")
	}
	base, err := apiURL(given, "/rest/api/1.0")
	if err != nil {
		return nil, err
	}
	base = strings.TrimSuffix(base, "/rest/api/latest")
	c, err := newHTTPClient(o, basicOrBearerOf(o))
	if err != nil {
		return nil, err
	}
	f := &server{api: rest{c, base}, project: project, repo: repo}
	f.page = base + "/projects/" + url.PathEscape(project) + "/repos/" + url.PathEscape(repo)
	f.me.token = o.Token
	return f, nil
}

// splitServer takes the path of a clone URL apart: scm/KEY/REPOSITORY by https, after the
// folder of a server that is not at the root of its host, and KEY/REPOSITORY by ssh. The
// key of a person's project begins with a tilde.
func splitServer(path string) (folder, project, repo string, err error) {
	parts := strings.Split(path, "/")
	n := len(parts)
	if n < 2 || slices.Contains(parts, "") || n > 2 && parts[n-3] != "scm" {
		return "", "", "", fmt.Errorf("repository %q: expected scm/PROJECT/REPOSITORY, or by ssh PROJECT/REPOSITORY", path)
	}
	return strings.Join(parts[:max(n-3, 0)], "/"), parts[n-2], parts[n-1], nil
}

func (f *server) String() string { return f.page }

func (f *server) MaxComment() int { return bitbucketComment }

// path is a path of one of the APIs, below the repository.
func (f *server) path(api string, parts ...string) string {
	out := "/rest/" + api + "/1.0/projects/" + url.PathEscape(f.project) + "/repos/" + url.PathEscape(f.repo)
	for _, part := range parts {
		out += "/" + url.PathEscape(part)
	}
	return out
}

func (f *server) pathOf(number int, parts ...string) string {
	return f.path("api", append([]string{"pull-requests", strconv.Itoa(number)}, parts...)...)
}

// serverEach calls do for the items of a list until it returns false.
func serverEach[T any](ctx context.Context, f *server, path string, v url.Values, do func(T) (more bool)) error {
	start := 0
	for range serverPages {
		at := url.Values{"limit": {strconv.Itoa(serverPage)}, "start": {strconv.Itoa(start)}}
		for key, values := range v {
			at[key] = values
		}
		var page struct {
			Values []T  `json:"values"`
			Last   bool `json:"isLastPage"`
			Next   int  `json:"nextPageStart"`
		}
		if _, err := f.api.do(ctx, http.MethodGet, path+"?"+at.Encode(), nil, &page); err != nil {
			return err
		}
		for _, item := range page.Values {
			if !do(item) {
				return nil
			}
		}
		if page.Last || page.Next <= start {
			return nil
		}
		start = page.Next
	}
	return fmt.Errorf("list has more than %d pages", serverPages)
}

func (f *server) Pulls(ctx context.Context) (pulls []Pull, more bool, err error) {
	pulls, more, err = f.list(ctx, "OPEN", "NEWEST")
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of %s: %w", f, err)
	}
	// The server's order is that of creation.
	slices.SortStableFunc(pulls, func(a, b Pull) int { return b.Updated.Compare(a.Updated) })
	return pulls, more, nil
}

// MergedSince reads the newest MaxPulls: servers before 8 do not order by closing.
func (f *server) MergedSince(ctx context.Context, since time.Time) ([]Pull, error) {
	pulls, _, err := f.list(ctx, "MERGED", "CLOSED_DATE")
	if err != nil {
		return nil, fmt.Errorf("list merged pull requests of %s: %w", f, err)
	}
	since = since.Truncate(time.Millisecond)
	return slices.DeleteFunc(pulls, func(p Pull) bool { return p.State != PullMerged || p.MergedAt.Before(since) }), nil
}

func (f *server) list(ctx context.Context, state, order string) (pulls []Pull, more bool, err error) {
	seen := map[int]bool{} // one that changes meanwhile is on two pages
	err = serverEach(ctx, f, f.path("api", "pull-requests"), url.Values{"state": {state}, "order": {order}}, func(p serverPull) bool {
		switch {
		case seen[p.ID]:
		case len(pulls) == MaxPulls:
			more = true
		default:
			seen[p.ID] = true
			pulls = append(pulls, p.pull())
		}
		return !more
	})
	return pulls, more, err
}

func (f *server) Pull(ctx context.Context, number int) (Pull, error) {
	var got serverPull
	_, err := f.api.do(ctx, http.MethodGet, f.pathOf(number), nil, &got)
	p := got.pull()
	if err == nil && p.State == PullOpen {
		err = f.merge(ctx, &p)
	}
	if err != nil {
		return Pull{}, fmt.Errorf("read pull request %d of %s: %w", number, f, err)
	}
	return p, nil
}

// merge asks whether a pull request can be merged, which has the server bring its merge
// ref up to date, and for the merge base, which servers before 8 do not know.
func (f *server) merge(ctx context.Context, p *Pull) error {
	var m struct {
		Conflicted bool   `json:"conflicted"`
		Outcome    string `json:"outcome"`
	}
	if _, err := f.api.do(ctx, http.MethodGet, f.pathOf(p.Number, "merge"), nil, &m); err != nil {
		return err
	}
	p.Conflicts = m.Conflicted
	if !m.Conflicted && (m.Outcome == "" || m.Outcome == "CLEAN") {
		p.MergeRef = fmt.Sprintf("refs/pull-requests/%d/merge", p.Number)
	}
	var base struct{ ID string }
	_, err := f.api.do(ctx, http.MethodGet, f.pathOf(p.Number, "merge-base"), nil, &base)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	p.MergeBase = base.ID
	return err
}

func (p *serverPull) pull() Pull {
	out := Pull{
		Number: p.ID, Title: p.Title, Body: p.Description, Author: p.Author.User.Name, State: PullClosed, Draft: p.Draft, Updated: time.UnixMilli(p.Updated).UTC(),
		Fork: p.From.Repository.ID != p.To.Repository.ID, Base: cmp.Or(p.To.DisplayID, strings.TrimPrefix(p.To.ID, "refs/heads/")), Head: cmp.Or(p.From.DisplayID, strings.TrimPrefix(p.From.ID, "refs/heads/")),
		BaseCommit: p.To.Commit, HeadCommit: p.From.Commit, HeadRef: fmt.Sprintf("refs/pull-requests/%d/from", p.ID),
	}
	if len(p.Links.Self) > 0 {
		out.URL = p.Links.Self[0].Href
	}
	switch p.State {
	case "OPEN":
		out.State = PullOpen
	case "MERGED":
		// A fast-forward makes no commit.
		out.State, out.MergedAs, out.MergedAt = PullMerged, cmp.Or(p.Properties.MergeCommit.ID, p.From.Commit), time.UnixMilli(p.Closed).UTC()
	}
	return out
}

// RemoveLabel does nothing: there are none.
func (f *server) RemoveLabel(context.Context, int, string) error { return nil }

// whoAmI is the name that the server gives with each answer. The token of a project or
// repository has a user of its own.
func (f *server) whoAmI(ctx context.Context) (string, error) {
	return f.me.ask(func() (string, error) {
		h, err := f.api.do(ctx, http.MethodGet, f.path("api"), nil, nil)
		if err != nil {
			return "", err
		}
		name, err := url.QueryUnescape(h.Get("X-AUSERNAME"))
		if err != nil {
			return h.Get("X-AUSERNAME"), nil
		}
		return name, nil
	})
}

// FindComment reads the activities, which come newest first.
func (f *server) FindComment(ctx context.Context, number int, marker string) (*Comment, error) {
	me, err := f.whoAmI(ctx)
	var found *serverComment
	if err == nil {
		type activity struct {
			Action  string        `json:"action"`
			Comment serverComment `json:"comment"`
		}
		err = serverEach(ctx, f, f.pathOf(number, "activities"), nil, func(a activity) bool {
			c := a.Comment
			if a.Action == "COMMENTED" && c.Author.Name == me && strings.Contains(fromBitbucket(c.Text), marker) && (found == nil || c.ID < found.ID) {
				found = &c
			}
			return true
		})
	}
	if err != nil {
		return nil, fmt.Errorf("find a comment of pull request %d of %s: %w", number, f, err)
	}
	if found == nil {
		return nil, nil
	}
	return f.comment(number, found), nil
}

func (f *server) comment(number int, c *serverComment) *Comment {
	id := strconv.FormatInt(c.ID, 10)
	return &Comment{ID: id, Body: fromBitbucket(c.Text), URL: fmt.Sprintf("%s/pull-requests/%d/overview?commentId=%s", f.page, number, id)}
}

func (f *server) CreateComment(ctx context.Context, number int, body string) (Comment, error) {
	var made serverComment
	if _, err := f.api.do(ctx, http.MethodPost, f.pathOf(number, "comments"), map[string]string{"text": toBitbucket(body)}, &made); err != nil {
		return Comment{}, fmt.Errorf("comment on pull request %d of %s: %w", number, f, err)
	}
	return *f.comment(number, &made), nil
}

// EditComment reads the comment's version first, without which no edit is taken.
func (f *server) EditComment(ctx context.Context, number int, id, body string) error {
	_, err := strconv.ParseInt(id, 10, 64)
	var there serverComment
	if err != nil {
		err = ErrNotFound
	} else {
		_, err = f.api.do(ctx, http.MethodGet, f.pathOf(number, "comments", id), nil, &there)
	}
	if err == nil {
		_, err = f.api.do(ctx, http.MethodPut, f.pathOf(number, "comments", id), map[string]any{"text": toBitbucket(body), "version": there.Version}, nil)
	}
	if err != nil {
		return fmt.Errorf("edit comment %s of pull request %d of %s: %w", visible.Words(id), number, f, err)
	}
	return nil
}

func (f *server) pageOf(commit string) string { return f.page + "/commits/" + commit }

func serverBuilds(commit string) string {
	return "/rest/build-status/1.0/commits/" + url.PathEscape(commit)
}

func (f *server) Statuses(ctx context.Context, commit string) (all []Status, err error) {
	err = serverEach(ctx, f, serverBuilds(commit), nil, func(b bitbucketBuild) bool {
		s := b.status(f.pageOf(commit))
		if text, stopped := strings.CutPrefix(s.Description, serverStopped); stopped && s.State == Failure {
			s.State, s.Description = Stopped, text
		}
		all = append(all, s)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the statuses of commit %s of %s: %w", commit, f, err)
	}
	return all, nil
}

// SetStatus sets a build status. The server takes one for any hash, also of a commit that
// it has not: it is asked for first.
func (f *server) SetStatus(ctx context.Context, commit string, s Status) error {
	_, err := f.api.do(ctx, http.MethodGet, f.path("api", "commits", commit), nil, nil)
	if err == nil {
		b := newBitbucketBuild(s, f.pageOf(commit))
		if s.State == Stopped {
			b.State = "CANCELLED"
		}
		_, err = f.api.do(ctx, http.MethodPost, serverBuilds(commit), b, nil)
		if failed, ok := errors.AsType[*StatusError](err); ok && failed.Code == http.StatusBadRequest && s.State == Stopped {
			b.State, b.Description = "FAILED", cutCharacters(serverStopped+s.Description, bitbucketText)
			_, err = f.api.do(ctx, http.MethodPost, serverBuilds(commit), b, nil)
		}
	}
	if err != nil {
		return fmt.Errorf("set status %s of commit %s of %s: %w", visible.Words(s.Context), commit, f, err)
	}
	return nil
}

// Annotate writes a report of Code Insights, in place of the one that name had.
func (f *server) Annotate(ctx context.Context, p Pull, name string, all []Annotation) (bool, error) {
	err := f.annotate(ctx, f.path("insights", "commits", p.HeadCommit, "reports", bitbucketReport(name)), name, all)
	if err != nil {
		return false, fmt.Errorf("annotate commit %s of %s: %w", p.HeadCommit, f, err)
	}
	return true, nil
}

func (f *server) annotate(ctx context.Context, at, name string, all []Annotation) error {
	if _, err := f.api.do(ctx, http.MethodDelete, at, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	result := "PASS"
	if anyError(all) {
		result = "FAIL"
	}
	report := map[string]any{"title": name, "reporter": "Pacer", "result": result, "details": fmt.Sprintf("%d problems in manifests", len(all)), "data": []any{}}
	if _, err := f.api.do(ctx, http.MethodPut, at, report, nil); err != nil {
		return err
	}
	for batch := range slices.Chunk(all[:min(len(all), bitbucketAnnotations)], bitbucketBatch) {
		var send []map[string]any
		for _, a := range batch {
			severity := "HIGH"
			if a.Warning {
				severity = "LOW"
			}
			send = append(send, map[string]any{"path": a.File, "line": a.Line, "severity": severity, "type": "BUG", "message": cutCharacters(a.Message, bitbucketMessage)})
		}
		if _, err := f.api.do(ctx, http.MethodPost, at+"/annotations", map[string]any{"annotations": send}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (f *server) FileURL(p Pull, file string, line int) string {
	at := fmt.Sprintf("%s/pull-requests/%d/diff#%s", f.page, p.Number, escapedPath(file))
	if line > 0 {
		at += "?t=" + strconv.Itoa(line)
	}
	return at
}

// Check reads what Pacer reads. A token that may read a repository may also comment on
// its pull requests and set build statuses: there is no right to ask for besides that.
func (f *server) Check(ctx context.Context) (lacking []string, err error) {
	if _, err = f.whoAmI(ctx); err == nil {
		_, err = f.api.do(ctx, http.MethodGet, f.path("api", "pull-requests")+"?limit=1", nil, nil)
	}
	failed, answered := errors.AsType[*StatusError](err)
	switch {
	case errors.Is(err, ErrNotFound), answered && failed.Code == http.StatusForbidden && !failed.limited:
		return []string{fmt.Sprintf("the permission \"Repository read\" in %s, of the token and of its user, or the right URL of the repository", f)}, nil
	case err != nil:
		return nil, fmt.Errorf("check the rights at %s: %w", f, err)
	}
	return nil, nil
}
