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
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/visible"
)

const (
	// cloudPulls and cloudPage are how many pull requests, and other items, a page has at
	// most.
	cloudPulls, cloudPage = 50, 100
	// cloudPages bounds how many pages of a list are read.
	cloudPages = 100
)

var cloudHosts = []string{"bitbucket.org", "altssh.bitbucket.org"}

// cloud is a repository at Bitbucket Cloud. Source: Atlassian, "The Bitbucket Cloud REST
// API", version 2.0. It keeps no refs for pull requests, does not say whether there are
// conflicts, and has no labels.
type cloud struct {
	api  rest
	path string // of the repository, below the API
	page string // of the repository
	name string // WORKSPACE/REPOSITORY
	me   owner

	mu    sync.Mutex
	known map[string]cloudCommit // by the short hash, or number of the pull request and short hash
}

// cloudCommit is a commit. Those in a pull request have the first 12 digits.
type cloudCommit struct {
	Hash string    `json:"hash"`
	Date time.Time `json:"date"`
}

type cloudEnd struct {
	Branch     struct{ Name string } `json:"branch"`
	Commit     cloudCommit           `json:"commit"`
	Repository *struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

type cloudPull struct {
	ID          int          `json:"id"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	State       string       `json:"state"`
	Draft       bool         `json:"draft"`
	Author      cloudUser    `json:"author"`
	Source      cloudEnd     `json:"source"`
	Destination cloudEnd     `json:"destination"`
	MergeCommit *cloudCommit `json:"merge_commit"`
	Updated     time.Time    `json:"updated_on"`
	Links       cloudLinks   `json:"links"`
}

type cloudUser struct {
	UUID        string `json:"uuid"`
	Nickname    string `json:"nickname"`
	DisplayName string `json:"display_name"`
}

type cloudLinks struct {
	HTML struct{ Href string } `json:"html"`
}

type cloudComment struct {
	ID      int64 `json:"id"`
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
	User    cloudUser  `json:"user"`
	Deleted bool       `json:"deleted"`
	Links   cloudLinks `json:"links"`
}

func openBitbucketCloud(o Options, r repository) (Forge, error) {
	owner, name, ok := strings.Cut(r.path, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q: Bitbucket's have the form WORKSPACE/REPOSITORY", r.path)
	}
	if slices.Contains(cloudHosts, r.hostname) {
		r.site = "https://bitbucket.org"
	} else if o.URL == "" { // a token of theirs must not be sent to Bitbucket Cloud
		return nil, fmt.Errorf("repository at %s: those of Bitbucket Cloud are at bitbucket.org; set forge.type to bitbucket-server for Data Center, or else forge.url", r.hostname)
	}
	base, err := apiURL(cmp.Or(o.URL, "https://api.bitbucket.org"), "/2.0")
	if err != nil {
		return nil, err
	}
	c, err := newHTTPClient(o, basicOrBearerOf(o))
	if err != nil {
		return nil, err
	}
	f := &cloud{api: rest{c, base + "/2.0"}, name: r.path, path: "/repositories/" + url.PathEscape(owner) + "/" + url.PathEscape(name), page: r.site + "/" + r.path, known: map[string]cloudCommit{}}
	f.me.token = o.Token
	return f, nil
}

func (f *cloud) String() string { return f.page }

func (f *cloud) MaxComment() int { return bitbucketComment }

// cloudEach calls do for the items of a list until it returns false.
func cloudEach[T any](ctx context.Context, f *cloud, path string, do func(T) (more bool)) error {
	for range cloudPages {
		var page struct {
			Values []T    `json:"values"`
			Next   string `json:"next"`
		}
		if _, err := f.api.do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		for _, item := range page.Values {
			if !do(item) {
				return nil
			}
		}
		if path = page.Next; path == "" {
			return nil
		}
	}
	return fmt.Errorf("list has more than %d pages", cloudPages)
}

func (f *cloud) Pulls(ctx context.Context) (pulls []Pull, more bool, err error) {
	pulls, more, err = f.list(ctx, "OPEN", "")
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of %s: %w", f, err)
	}
	return pulls, more, nil
}

// MergedSince asks for what was changed since then. The time of a merge is that of its
// commit, which for a fast-forward was made before.
func (f *cloud) MergedSince(ctx context.Context, since time.Time) ([]Pull, error) {
	pulls, _, err := f.list(ctx, "MERGED", "updated_on >= "+since.UTC().Format("2006-01-02T15:04:05.000000-07:00"))
	if err != nil {
		return nil, fmt.Errorf("list merged pull requests of %s: %w", f, err)
	}
	return slices.DeleteFunc(pulls, func(p Pull) bool { return p.MergedAt.Before(since.Truncate(time.Second)) && p.MergedAs != p.HeadCommit }), nil
}

func (f *cloud) list(ctx context.Context, state, where string) (pulls []Pull, more bool, err error) {
	v := url.Values{"state": {state}, "sort": {"-updated_on"}, "pagelen": {strconv.Itoa(cloudPulls)}}
	if where != "" {
		v.Set("q", where)
	}
	var all []cloudPull
	seen := map[int]bool{} // one that changes meanwhile is on two pages
	err = cloudEach(ctx, f, f.path+"/pullrequests?"+v.Encode(), func(p cloudPull) bool {
		switch {
		case seen[p.ID]:
		case len(all) == MaxPulls:
			more = true
		default:
			seen[p.ID] = true
			all = append(all, p)
		}
		return !more
	})
	for _, p := range all {
		if err != nil {
			break
		}
		var one Pull
		one, err = f.pull(ctx, p)
		pulls = append(pulls, one)
	}
	return pulls, more, err
}

func (f *cloud) Pull(ctx context.Context, number int) (Pull, error) {
	var got cloudPull
	_, err := f.api.do(ctx, http.MethodGet, f.pathOf(number), nil, &got)
	var p Pull
	if err == nil {
		p, err = f.pull(ctx, got)
	}
	if err == nil && p.State == PullOpen && !p.Fork {
		p.MergeBase, err = f.mergeBase(ctx, got)
	}
	if err != nil {
		return Pull{}, fmt.Errorf("read pull request %d of %s: %w", number, f, err)
	}
	return p, nil
}

func (f *cloud) pathOf(number int) string { return f.path + "/pullrequests/" + strconv.Itoa(number) }

func (f *cloud) mergeBase(ctx context.Context, p cloudPull) (string, error) {
	var base cloudCommit
	_, err := f.api.do(ctx, http.MethodGet, f.path+"/merge-base/"+url.PathEscape(p.Destination.Commit.Hash+".."+p.Source.Commit.Hash), nil, &base)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return base.Hash, err
}

// pull takes over what is said of a pull request, with whole hashes.
func (f *cloud) pull(ctx context.Context, p cloudPull) (Pull, error) {
	out := Pull{
		Number: p.ID, Title: p.Title, Body: p.Description, Author: cmp.Or(p.Author.Nickname, p.Author.DisplayName), URL: p.Links.HTML.Href, State: PullClosed, Draft: p.Draft, Updated: p.Updated,
		// A fork that is deleted has no repository.
		Fork: p.Source.Repository == nil || !strings.EqualFold(p.Source.Repository.FullName, f.name),
		Base: p.Destination.Branch.Name, Head: p.Source.Branch.Name,
	}
	head, err := f.head(ctx, p)
	if err != nil {
		return Pull{}, err
	}
	out.HeadCommit = head
	switch {
	case p.State == "OPEN":
		out.State = PullOpen
	case p.State == "MERGED" && p.MergeCommit != nil:
		merge, err := f.commit(ctx, p.MergeCommit.Hash)
		if err != nil {
			return Pull{}, err
		}
		out.State, out.MergedAs, out.MergedAt = PullMerged, merge.Hash, merge.Date
	}
	if !out.Fork && out.State == PullOpen {
		out.HeadRef = "refs/heads/" + out.Head
	}
	return out, nil
}

// head is the whole hash of a pull request's newest commit, which may be newer than the
// one that the pull request was said to have. Of one whose source is gone, it is what the
// pull request says.
func (f *cloud) head(ctx context.Context, p cloudPull) (string, error) {
	short := p.Source.Commit.Hash
	c, err := f.remember(strconv.Itoa(p.ID)+" "+short, short, func() (c cloudCommit, err error) {
		err = cloudEach(ctx, f, f.pathOf(p.ID)+"/commits?pagelen=1", func(first cloudCommit) bool {
			c = first
			return false
		})
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return c, err
	})
	return cmp.Or(c.Hash, short), err
}

func (f *cloud) commit(ctx context.Context, hash string) (cloudCommit, error) {
	return f.remember(hash, hash, func() (c cloudCommit, err error) {
		_, err = f.api.do(ctx, http.MethodGet, f.path+"/commit/"+url.PathEscape(hash), nil, &c)
		return c, err
	})
}

// remember asks once for a commit whose hash begins with short.
func (f *cloud) remember(key, short string, ask func() (cloudCommit, error)) (cloudCommit, error) {
	f.mu.Lock()
	c, ok := f.known[key]
	f.mu.Unlock()
	if ok {
		return c, nil
	}
	c, err := ask()
	if err != nil {
		return c, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= 4*MaxPulls {
		clear(f.known)
	}
	if len(c.Hash) >= 40 && strings.HasPrefix(c.Hash, short) {
		f.known[key] = c
	}
	return c, nil
}

// RemoveLabel does nothing: there are none.
func (f *cloud) RemoveLabel(context.Context, int, string) error { return nil }

func (f *cloud) whoAmI(ctx context.Context) (string, error) {
	return f.me.ask(func() (string, error) {
		var u cloudUser
		_, err := f.api.do(ctx, http.MethodGet, "/user", nil, &u)
		return u.UUID, err
	})
}

func (f *cloud) FindComment(ctx context.Context, number int, marker string) (*Comment, error) {
	me, err := f.whoAmI(ctx)
	var found *Comment
	if err == nil {
		err = cloudEach(ctx, f, f.pathOf(number)+"/comments?sort=created_on&pagelen="+strconv.Itoa(cloudPage), func(c cloudComment) bool {
			if !c.Deleted && c.User.UUID == me && strings.Contains(fromBitbucket(c.Content.Raw), marker) {
				found = c.comment()
			}
			return found == nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("find a comment of pull request %d of %s: %w", number, f, err)
	}
	return found, nil
}

func (c *cloudComment) comment() *Comment {
	return &Comment{ID: strconv.FormatInt(c.ID, 10), Body: fromBitbucket(c.Content.Raw), URL: c.Links.HTML.Href}
}

func (f *cloud) CreateComment(ctx context.Context, number int, body string) (Comment, error) {
	var made cloudComment
	if _, err := f.api.do(ctx, http.MethodPost, f.pathOf(number)+"/comments", cloudText(body), &made); err != nil {
		return Comment{}, fmt.Errorf("comment on pull request %d of %s: %w", number, f, err)
	}
	return *made.comment(), nil
}

func (f *cloud) EditComment(ctx context.Context, number int, id, body string) error {
	_, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		err = ErrNotFound
	} else {
		_, err = f.api.do(ctx, http.MethodPut, f.pathOf(number)+"/comments/"+id, cloudText(body), nil)
	}
	if err != nil {
		return fmt.Errorf("edit comment %s of pull request %d of %s: %w", visible.Words(id), number, f, err)
	}
	return nil
}

func cloudText(body string) any {
	return map[string]any{"content": map[string]string{"raw": toBitbucket(body)}}
}

func (f *cloud) pageOf(commit string) string { return f.page + "/commits/" + commit }

func (f *cloud) Statuses(ctx context.Context, commit string) (all []Status, err error) {
	err = cloudEach(ctx, f, f.path+"/commit/"+url.PathEscape(commit)+"/statuses?pagelen="+strconv.Itoa(cloudPage), func(b bitbucketBuild) bool {
		all = append(all, b.status(f.pageOf(commit)))
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read the statuses of commit %s of %s: %w", commit, f, err)
	}
	return all, nil
}

func (f *cloud) SetStatus(ctx context.Context, commit string, s Status) error {
	_, err := f.api.do(ctx, http.MethodPost, f.path+"/commit/"+url.PathEscape(commit)+"/statuses/build", newBitbucketBuild(s, f.pageOf(commit)), nil)
	if err != nil {
		return fmt.Errorf("set status %s of commit %s of %s: %w", visible.Words(s.Context), commit, f, err)
	}
	return nil
}

// Annotate writes a report of Code Insights, in place of the one that name had.
func (f *cloud) Annotate(ctx context.Context, p Pull, name string, all []Annotation) (bool, error) {
	at := f.path + "/commit/" + url.PathEscape(p.HeadCommit) + "/reports/" + url.PathEscape(bitbucketReport(name))
	err := f.annotate(ctx, at, name, all)
	if err != nil {
		return false, fmt.Errorf("annotate commit %s of %s: %w", p.HeadCommit, f, err)
	}
	return true, nil
}

func (f *cloud) annotate(ctx context.Context, at, name string, all []Annotation) error {
	if _, err := f.api.do(ctx, http.MethodDelete, at, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	result := "PASSED"
	if anyError(all) {
		result = "FAILED"
	}
	report := map[string]string{"title": name, "reporter": "Pacer", "report_type": "BUG", "result": result, "details": fmt.Sprintf("%d problems in manifests", len(all))}
	if _, err := f.api.do(ctx, http.MethodPut, at, report, nil); err != nil {
		return err
	}
	for i, batch := range slices.Collect(slices.Chunk(all[:min(len(all), bitbucketAnnotations)], bitbucketBatch)) {
		var send []map[string]any
		for j, a := range batch {
			severity := "HIGH"
			if a.Warning {
				severity = "LOW"
			}
			send = append(send, map[string]any{"external_id": fmt.Sprintf("pacer-%d", i*bitbucketBatch+j), "annotation_type": "BUG", "path": a.File, "line": a.Line, "severity": severity, "summary": cutCharacters(a.Message, bitbucketMessage)})
		}
		if _, err := f.api.do(ctx, http.MethodPost, at+"/annotations", send, nil); err != nil {
			return err
		}
	}
	return nil
}

func (f *cloud) FileURL(p Pull, file string, line int) string {
	at := f.page + "/pull-requests/" + strconv.Itoa(p.Number) + "/diff#"
	if line > 0 {
		return at + "L" + escapedPath(file) + "T" + strconv.Itoa(line)
	}
	return at + "chg-" + escapedPath(file)
}

// cloudRights are what Pacer needs, as the settings of tokens name it, with the scopes of
// which each is enough. Source: Atlassian, "Bitbucket OAuth 2.0 scopes" and "API token
// permissions"; pullrequest:write has pullrequest and repository:write in it.
var cloudRights = []struct {
	scopes []string
	name   string
}{
	{[]string{"account", "account:write", "read:user:bitbucket"}, `the permission "Account: Read" (read:user:bitbucket), to know its own comments`},
	{[]string{"pullrequest:write", "write:pullrequest:bitbucket"}, `the permission "Pull requests: Write" (read:pullrequest:bitbucket and write:pullrequest:bitbucket), to comment on pull requests`},
	{[]string{"repository", "repository:write", "repository:admin", "pullrequest", "pullrequest:write", "read:repository:bitbucket", "write:repository:bitbucket"}, `the permission "Repositories: Read" (read:repository:bitbucket), to read commits and to set their status`},
}

// Check reads the scopes that Bitbucket says the token has. Without them what can be
// read shows what is lacking.
func (f *cloud) Check(ctx context.Context) (lacking []string, err error) {
	fail := func(err error) ([]string, error) { return nil, fmt.Errorf("check the rights at %s: %w", f, err) }
	var header http.Header
	for i, path := range []string{"/user", f.path + "/pullrequests?pagelen=1", f.path} {
		h, err := f.api.do(ctx, http.MethodGet, path, nil, nil)
		failed, answered := errors.AsType[*StatusError](err)
		switch {
		case answered && failed.Code == http.StatusForbidden && !failed.limited:
			lacking = append(lacking, cloudRights[i].name)
		case errors.Is(err, ErrNotFound):
			return []string{fmt.Sprintf("access to %s: give the token's user access under \"Repository permissions\", or correct the repository's URL", f)}, nil
		case err != nil:
			return fail(err)
		default:
			header = h
		}
	}
	has := strings.FieldsFunc(header.Get("X-OAuth-Scopes"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(has) == 0 {
		return lacking, nil
	}
	lacking = nil
	for _, right := range cloudRights {
		if !slices.ContainsFunc(right.scopes, func(s string) bool { return slices.Contains(has, s) }) {
			lacking = append(lacking, right.name)
		}
	}
	return lacking, nil
}
