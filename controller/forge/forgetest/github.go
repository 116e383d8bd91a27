package forgetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// GitHub shows a World by GitHub's REST API, version 2022-11-28, at the paths of github.com
// and, below /api/v3, of GitHub Enterprise Server. Fields that Pacer does not read are left
// out. Source: GitHub, "REST API endpoints".
type GitHub struct {
	*Server
	World *World
	// PageSize is how many items a page has at most; 0: 100, as GitHub.
	PageSize int
	Private  bool // the repository may be seen by few; set before the first request
	Archived bool
	// ForksGone: the repositories of forks are deleted.
	ForksGone bool
	// TokenLife is how long the token of an installation lasts; 0: an hour, as GitHub's.
	TokenLife time.Duration

	// What follows is under the World's lock.
	tokens    map[string]*Token
	apps      []*gitHubApp
	remaining int // requests until Reset; -1: not counted
	reset     time.Time
	baseOf    map[string]string // number and head of a pull request → base when it was pushed
	made      int               // tokens of installations
}

// Token is what a token of GitHub may do.
type Token struct {
	User string // empty: it is the token of an App's installation
	// Scopes are those of a classic token; nil: it is a fine-grained one, or an App's, and
	// has Permissions, such as "pull_requests": "write".
	Scopes      []string
	Permissions map[string]string
	// ReadOnly: the user has not the role Write in the repository.
	ReadOnly bool
	// Blind: the repository is not among those which the token may see.
	Blind bool

	app     *gitHubApp // of an installation
	expires time.Time
}

// GitHubToken is a classic token with all that Pacer needs, of the user pacer.
const GitHubToken = "ghp_ofTheUserPacer0123456789"

// NewGitHub starts a server that ends with the test, and which knows GitHubToken.
func NewGitHub(t testing.TB, w *World) *GitHub {
	t.Helper()
	w.HeadRef, w.MergeRef = "refs/pull/%d/head", "refs/pull/%d/merge"
	g := &GitHub{World: w, tokens: map[string]*Token{}, remaining: -1, baseOf: map[string]string{}}
	g.SetToken(GitHubToken, &Token{User: "pacer", Scopes: []string{"repo"}})
	mux := http.NewServeMux()
	for pattern, h := range gitHubRoutes {
		mux.Handle(pattern, g.handler(h))
	}
	mux.Handle("/", g.handler(func(*GitHub, *ask) (any, error) { return nil, notFound }))
	both := http.NewServeMux()
	both.Handle("/", mux)
	both.Handle("/api/v3/", http.StripPrefix("/api/v3", mux))
	g.Server = serve(t, both)
	return g
}

// SetToken has a token be known, or, for nil, revoked.
func (g *GitHub) SetToken(token string, rights *Token) {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	if rights == nil {
		delete(g.tokens, token)
		return
	}
	g.World.user(rights.User)
	g.tokens[token] = rights
}

// Limit has so many requests be answered until a time, and no more; less than 0: all.
func (g *GitHub) Limit(remaining int, reset time.Time) {
	g.World.mu.Lock()
	defer g.World.mu.Unlock()
	g.remaining, g.reset = remaining, reset
}

// SecondaryLimit has requests refused as GitHub does those that come too fast. after is
// the header Retry-After; empty: there is none.
func (g *GitHub) SecondaryLimit(after string) {
	h := http.Header{"Content-Type": {"application/json"}}
	if after != "" {
		h.Set("Retry-After", after)
	}
	g.Break(Fault{Status: http.StatusForbidden, Header: h, Body: `{"documentation_url": "https://docs.github.com/rest", "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`})
}

// Page is the address of a pull request for people.
func (g *GitHub) Page(number int) string {
	return fmt.Sprintf("https://github.test/%s/%s/pull/%d", g.World.Owner, g.World.Name, number)
}

// ask is one request. It is answered under the World's lock.
type ask struct {
	*http.Request
	token  *Token
	body   []byte
	header http.Header // of the answer
}

// refusal is an answer that is an error.
type refusal struct {
	status  int
	message string
	errors  []map[string]string
}

func (r *refusal) Error() string { return r.message }

var notFound = &refusal{status: http.StatusNotFound, message: "Not Found"}

func invalid(format string, args ...any) *refusal {
	return &refusal{status: http.StatusUnprocessableEntity, message: "Validation Failed", errors: []map[string]string{{"code": "custom", "message": fmt.Sprintf(format, args...)}}}
}

// gitHubRoutes answer requests. A nil answer is 204, that of a POST 201, else 200.
var gitHubRoutes = map[string]func(*GitHub, *ask) (any, error){
	"GET /user": (*GitHub).getUser,
	"GET /app":  (*GitHub).getApp,
	"POST /app/installations/{id}/access_tokens":                 (*GitHub).createToken,
	"GET /repos/{owner}/{repo}":                                  (*GitHub).getRepository,
	"GET /repos/{owner}/{repo}/commits":                          (*GitHub).listCommits,
	"GET /repos/{owner}/{repo}/commits/{rest...}":                (*GitHub).ofCommit,
	"GET /repos/{owner}/{repo}/compare/{basehead}":               (*GitHub).compare,
	"POST /repos/{owner}/{repo}/statuses/{sha}":                  (*GitHub).createStatus,
	"GET /repos/{owner}/{repo}/pulls":                            (*GitHub).listPulls,
	"GET /repos/{owner}/{repo}/pulls/{number}":                   (*GitHub).getPull,
	"GET /repos/{owner}/{repo}/pulls/{number}/files":             (*GitHub).listFiles,
	"GET /repos/{owner}/{repo}/pulls/{number}/comments":          (*GitHub).listReviews,
	"POST /repos/{owner}/{repo}/pulls/{number}/comments":         (*GitHub).createReview,
	"DELETE /repos/{owner}/{repo}/pulls/comments/{id}":           (*GitHub).deleteReview,
	"GET /repos/{owner}/{repo}/issues/{number}/comments":         (*GitHub).listComments,
	"POST /repos/{owner}/{repo}/issues/{number}/comments":        (*GitHub).createComment,
	"PATCH /repos/{owner}/{repo}/issues/comments/{id}":           (*GitHub).editComment,
	"DELETE /repos/{owner}/{repo}/issues/{number}/labels/{name}": (*GitHub).removeLabel,
	"POST /repos/{owner}/{repo}/check-runs":                      (*GitHub).createCheck,
	"PATCH /repos/{owner}/{repo}/check-runs/{id}":                (*GitHub).updateCheck,
}

// handler does what all requests have in common: token, repository, limit, ETag.
func (g *GitHub) handler(h func(*GitHub, *ask) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asks is gone
		}
		g.World.mu.Lock()
		defer g.World.mu.Unlock()
		q := &ask{Request: r, body: body, header: w.Header()}
		var answer any
		if err := g.admit(q); err != nil {
			g.send(w, q, nil, err)
			return
		}
		answer, err = h(g, q)
		g.send(w, q, answer, err)
	})
}

// admit finds the token of a request, and counts it.
func (g *GitHub) admit(q *ask) error {
	text, _ := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if strings.HasPrefix(q.URL.Path, "/app") {
		app, err := g.appOf(text)
		q.token = &Token{app: app}
		return err
	}
	q.token = g.tokens[text]
	if q.token == nil || !q.token.expires.IsZero() && !g.World.clock.Before(q.token.expires) {
		return &refusal{status: http.StatusUnauthorized, message: "Bad credentials"}
	}
	if q.token.Scopes != nil {
		q.header.Set("X-OAuth-Scopes", strings.Join(q.token.Scopes, ", "))
	}
	if g.remaining == 0 && g.World.clock.Before(g.reset) {
		return &refusal{status: http.StatusForbidden, message: "API rate limit exceeded for user ID 1."}
	}
	owner := q.PathValue("owner")
	seen := strings.EqualFold(owner, g.World.Owner) && strings.EqualFold(q.PathValue("repo"), g.World.Name)
	if owner != "" && (!seen || q.token.Blind || g.Private && q.token.Scopes != nil && !slices.Contains(q.token.Scopes, "repo")) {
		return notFound
	}
	g.World.refresh()
	return nil
}

func (g *GitHub) send(w http.ResponseWriter, q *ask, answer any, err error) {
	status := http.StatusOK
	if q.Method == http.MethodPost {
		status = http.StatusCreated
	}
	if err != nil {
		failed, ok := err.(*refusal)
		if !ok {
			failed = &refusal{status: http.StatusInternalServerError, message: err.Error()}
		}
		status = failed.status
		said := map[string]any{"message": failed.message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)}
		if failed.errors != nil {
			said["errors"] = failed.errors
		}
		answer = said
	} else if answer == nil {
		status = http.StatusNoContent
	}
	body, err := json.Marshal(answer)
	if err != nil {
		g.World.t.Errorf("GitHub's answer: %v", err)
	}
	sum := sha256.Sum256(append(body, w.Header().Get("Link")...))
	etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	if q.Method == http.MethodGet && status == http.StatusOK {
		w.Header().Set("ETag", etag)
		if q.Header.Get("If-None-Match") == etag {
			status = http.StatusNotModified // which costs none of the limit
		}
	}
	if g.remaining > 0 && status != http.StatusNotModified {
		g.remaining--
	}
	if g.remaining >= 0 {
		w.Header().Set("X-RateLimit-Limit", "5000")
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(g.remaining))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(g.reset.Unix(), 10))
		w.Header().Set("X-RateLimit-Resource", "core")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if status != http.StatusNotModified && status != http.StatusNoContent {
		_, _ = w.Write(body) // who asks may be gone
	}
}

// may is an error where a token lacks a permission.
func (g *GitHub) may(q *ask, permission, access string) error {
	if q.token.Scopes != nil {
		scoped := slices.Contains(q.token.Scopes, "repo") || !g.Private && slices.Contains(q.token.Scopes, "public_repo")
		if access == "write" && !scoped {
			return notFound // GitHub does not say what is lacking
		}
	} else if has := q.token.Permissions[permission]; has != "write" && has != access {
		if q.token.app != nil {
			return &refusal{status: http.StatusForbidden, message: "Resource not accessible by integration"}
		}
		return &refusal{status: http.StatusForbidden, message: "Resource not accessible by personal access token"}
	}
	if access == "write" && g.Archived {
		return &refusal{status: http.StatusForbidden, message: "Repository was archived so is read-only."}
	}
	return nil
}

// author is who writes with a token.
func (t *Token) author() string {
	if t.app != nil {
		return t.app.slug + "[bot]"
	}
	return t.User
}

// number is the pull request that a path names.
func (g *GitHub) number(q *ask) (*Pull, error) {
	n, err := strconv.Atoi(q.PathValue("number"))
	if p := g.World.lookup(n); err == nil && p != nil {
		return p, nil
	}
	return nil, notFound
}

// page is the part of a list that is asked for, and sets the header Link.
func page[T any](g *GitHub, q *ask, all []T) []T {
	size, err := strconv.Atoi(q.URL.Query().Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, cmp.Or(g.PageSize, 100), 100)
	n, err := strconv.Atoi(q.URL.Query().Get("page"))
	if err != nil || n < 1 {
		n = 1
	}
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(n int, rel string) {
		u := url.URL{Scheme: "http", Host: q.Host, Path: q.URL.Path}
		values := q.URL.Query()
		values.Set("page", strconv.Itoa(n))
		u.RawQuery = values.Encode()
		links = append(links, fmt.Sprintf("<%s>; rel=%q", u.String(), rel))
	}
	if n > 1 {
		link(n-1, "prev")
		link(1, "first")
	}
	if n < last {
		link(n+1, "next")
		link(last, "last")
	}
	if len(links) > 0 {
		q.header.Set("Link", strings.Join(links, ", "))
	}
	from := min((n-1)*size, len(all))
	return append([]T{}, all[from:min(from+size, len(all))]...)
}

func (g *GitHub) userJSON(login string) map[string]any {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	return map[string]any{"login": login, "id": g.World.user(login), "type": kind}
}

func (g *GitHub) getUser(q *ask) (any, error) {
	if q.token.User == "" {
		return nil, &refusal{status: http.StatusForbidden, message: "Resource not accessible by integration"}
	}
	return g.userJSON(q.token.User), nil
}

func (g *GitHub) getRepository(q *ask) (any, error) {
	r := g.repositoryJSON(g.World.Owner)
	r["archived"], r["private"], r["default_branch"] = g.Archived, g.Private, "main"
	if q.token.app == nil {
		r["permissions"] = map[string]bool{"pull": true, "push": !q.token.ReadOnly, "triage": !q.token.ReadOnly, "admin": false, "maintain": false}
	}
	return r, nil
}

func (g *GitHub) repositoryJSON(owner string) map[string]any {
	full := owner + "/" + g.World.Name
	return map[string]any{"id": g.World.user("repository " + full), "name": g.World.Name, "full_name": full, "owner": g.userJSON(owner), "fork": owner != g.World.Owner}
}

// stamp is a time as GitHub writes it: in whole seconds.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// pullJSON is a pull request as lists have it.
func (g *GitHub) pullJSON(p *Pull) map[string]any {
	key := strconv.Itoa(p.Number) + p.HeadCommit
	if g.baseOf[key] == "" {
		g.baseOf[key] = p.BaseCommit
	}
	labels := []map[string]any{}
	for _, l := range p.Labels {
		labels = append(labels, map[string]any{"name": l})
	}
	headOwner := cmp.Or(p.Fork, g.World.Owner)
	head := map[string]any{"ref": p.Head, "sha": p.HeadCommit, "label": headOwner + ":" + p.Head, "repo": g.repositoryJSON(headOwner)}
	if p.Fork != "" && g.ForksGone {
		head["repo"] = nil
	}
	out := map[string]any{
		"id": p.Number + 5000, "number": p.Number, "state": "open", "title": p.Title, "body": orNull(p.Body), "user": g.userJSON(p.Author), "labels": labels, "draft": p.Draft,
		"html_url": g.Page(p.Number), "created_at": stamp(p.Created), "updated_at": stamp(p.Updated), "closed_at": nil, "merged_at": stamp(p.MergedAt), "merge_commit_sha": orNull(cmp.Or(p.MergedAs, p.MergeCommit)),
		"head": head,
		"base": map[string]any{"ref": p.Base, "sha": g.baseOf[key], "label": g.World.Owner + ":" + p.Base, "repo": g.repositoryJSON(g.World.Owner)},
	}
	if p.State != "open" {
		out["state"], out["closed_at"] = "closed", stamp(p.Updated)
	}
	return out
}

func (g *GitHub) listPulls(q *ask) (any, error) {
	if err := g.may(q, "pull_requests", "read"); err != nil {
		return nil, err
	}
	query := q.URL.Query()
	state := cmp.Or(query.Get("state"), "open")
	var all []*Pull
	for _, p := range g.World.pulls {
		if (state == "all" || (p.State == "open") == (state == "open")) && (query.Get("base") == "" || query.Get("base") == p.Base) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Pull) int {
		if query.Get("sort") == "updated" {
			return a.Updated.Compare(b.Updated)
		}
		return a.Created.Compare(b.Created)
	})
	if d := query.Get("direction"); d == "desc" || d == "" && query.Get("sort") == "" {
		slices.Reverse(all)
	}
	out := []map[string]any{}
	for _, p := range page(g, q, all) {
		out = append(out, g.pullJSON(p))
	}
	return out, nil
}

func (g *GitHub) getPull(q *ask) (any, error) {
	if err := g.may(q, "pull_requests", "read"); err != nil {
		return nil, err
	}
	p, err := g.number(q)
	if err != nil {
		return nil, err
	}
	out := g.pullJSON(p)
	out["merged"] = p.State == "merged"
	out["mergeable"], out["mergeable_state"] = nil, "unknown"
	switch {
	case p.State != "open":
	case p.Conflicts:
		out["mergeable"], out["mergeable_state"] = false, "dirty"
	case p.MergeCommit != "":
		out["mergeable"], out["mergeable_state"] = true, "clean"
	}
	return out, nil
}

func (g *GitHub) compare(q *ask) (any, error) {
	if err := g.may(q, "contents", "read"); err != nil {
		return nil, err
	}
	base, head, ok := strings.Cut(q.PathValue("basehead"), "...")
	from, err1 := g.commit(base)
	to, err2 := g.commit(head)
	if !ok || err1 != nil || err2 != nil {
		return nil, notFound
	}
	shared, err := g.World.git("merge-base", from, to)
	if err != nil {
		return nil, &refusal{status: http.StatusNotFound, message: fmt.Sprintf("No common ancestor between %s and %s.", base, head)}
	}
	ahead, err := g.World.git("rev-list", "--reverse", shared+".."+to)
	if err != nil {
		return nil, err
	}
	commits := []map[string]any{}
	for _, c := range page(g, q, strings.Fields(ahead)) {
		commits = append(commits, map[string]any{"sha": c})
	}
	return map[string]any{
		"base_commit": map[string]any{"sha": from}, "merge_base_commit": map[string]any{"sha": shared},
		"ahead_by": len(strings.Fields(ahead)), "total_commits": len(strings.Fields(ahead)), "commits": commits,
	}, nil
}

// commit is the commit that a branch, or a hash, names.
func (g *GitHub) commit(name string) (string, error) {
	if at, err := g.World.git("rev-parse", "--verify", "--quiet", "refs/heads/"+name+"^{commit}"); err == nil {
		return at, nil
	}
	if len(name) != 40 {
		return "", notFound
	}
	return g.World.git("rev-parse", "--verify", "--quiet", name+"^{commit}")
}

func (g *GitHub) listCommits(q *ask) (any, error) {
	if err := g.may(q, "contents", "read"); err != nil {
		return nil, err
	}
	all, err := g.World.git("rev-list", "refs/heads/main")
	if err != nil {
		return nil, &refusal{status: http.StatusConflict, message: "Git Repository is empty."}
	}
	out := []map[string]any{}
	for _, c := range page(g, q, strings.Fields(all)) {
		out = append(out, map[string]any{"sha": c})
	}
	return out, nil
}

// ofCommit answers what is below a commit: its statuses and checks.
func (g *GitHub) ofCommit(q *ask) (any, error) {
	ref, what := "", ""
	if i := strings.LastIndexByte(q.PathValue("rest"), '/'); i >= 0 {
		ref, what = q.PathValue("rest")[:i], q.PathValue("rest")[i+1:]
	}
	switch what {
	case "status":
		return g.combinedStatus(q, ref)
	case "check-runs":
		return g.listChecks(q, ref)
	}
	return nil, notFound
}

func (g *GitHub) combinedStatus(q *ask, ref string) (any, error) {
	if err := g.may(q, "statuses", "read"); err != nil {
		return nil, err
	}
	at, err := g.commit(ref)
	if err != nil {
		return nil, notFound
	}
	var newest []Status
	for _, s := range slices.Backward(g.World.statuses) {
		if s.Commit == at && !slices.ContainsFunc(newest, func(n Status) bool { return n.Context == s.Context }) {
			newest = append(newest, s)
		}
	}
	total := len(newest)
	out := []map[string]any{}
	for _, s := range page(g, q, newest) {
		out = append(out, statusJSON(s))
	}
	return map[string]any{"state": "pending", "sha": at, "total_count": total, "statuses": out}, nil
}

func statusJSON(s Status) map[string]any {
	return map[string]any{"id": s.ID, "context": s.Context, "state": s.State, "description": orNull(s.Description), "target_url": orNull(s.URL), "created_at": stamp(s.Created), "updated_at": stamp(s.Created)}
}

func (g *GitHub) createStatus(q *ask) (any, error) {
	if err := g.may(q, "statuses", "write"); err != nil {
		return nil, err
	}
	if q.token.ReadOnly {
		return nil, &refusal{status: http.StatusForbidden, message: "Must have push access to repository"}
	}
	var s struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}
	if json.Unmarshal(q.body, &s) != nil {
		return nil, &refusal{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	sha := q.PathValue("sha")
	at, err := g.commit(sha)
	switch {
	case err != nil:
		return nil, &refusal{status: http.StatusUnprocessableEntity, message: "No commit found for SHA: " + sha}
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, s.State):
		return nil, invalid("state is not included in the list")
	case utf8.RuneCountInString(s.Description) > 140:
		return nil, invalid("description is too long (maximum is 140 characters)")
	case s.TargetURL != "" && !strings.HasPrefix(s.TargetURL, "http://") && !strings.HasPrefix(s.TargetURL, "https://"):
		return nil, invalid("target_url must use http(s) scheme")
	}
	return statusJSON(g.World.addStatus(Status{Commit: at, Context: cmp.Or(s.Context, "default"), State: s.State, Description: s.Description, URL: s.TargetURL, Creator: q.token.author()})), nil
}

func (g *GitHub) commentJSON(p *Pull, c Comment) map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "user": g.userJSON(c.Author), "created_at": stamp(c.Created), "updated_at": stamp(c.Updated), "html_url": fmt.Sprintf("%s#issuecomment-%d", g.Page(p.Number), c.ID)}
}

func (g *GitHub) listComments(q *ask) (any, error) {
	if err := g.may(q, "pull_requests", "read"); err != nil {
		return nil, err
	}
	p, err := g.number(q)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, c := range page(g, q, p.Comments) {
		out = append(out, g.commentJSON(p, c))
	}
	return out, nil
}

// bodyOf is the text of a comment that is written.
func bodyOf(q *ask) (string, error) {
	var c struct {
		Body string `json:"body"`
	}
	switch {
	case json.Unmarshal(q.body, &c) != nil:
		return "", &refusal{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	case c.Body == "":
		return "", invalid("body cannot be blank")
	case utf8.RuneCountInString(c.Body) > 65536:
		return "", invalid("Body is too long (maximum is 65536 characters)")
	}
	return c.Body, nil
}

func (g *GitHub) createComment(q *ask) (any, error) {
	p, err := g.number(q)
	if err == nil {
		err = g.may(q, "pull_requests", "write")
	}
	if err != nil {
		return nil, err
	}
	body, err := bodyOf(q)
	if err != nil {
		return nil, err
	}
	now := g.World.tick()
	c := Comment{ID: g.World.nextID(), Author: q.token.author(), Body: body, Created: now, Updated: now}
	p.Comments, p.Updated = append(p.Comments, c), now
	return g.commentJSON(p, c), nil
}

func (g *GitHub) editComment(q *ask) (any, error) {
	for _, p := range g.World.pulls {
		for i, c := range p.Comments {
			if strconv.FormatInt(c.ID, 10) != q.PathValue("id") {
				continue
			}
			if err := g.may(q, "pull_requests", "write"); err != nil {
				return nil, err
			}
			if c.Author != q.token.author() && q.token.ReadOnly {
				return nil, &refusal{status: http.StatusForbidden, message: "Must have admin rights to Repository."}
			}
			body, err := bodyOf(q)
			if err != nil {
				return nil, err
			}
			p.Comments[i].Body, p.Comments[i].Updated = body, g.World.tick()
			return g.commentJSON(p, p.Comments[i]), nil
		}
	}
	return nil, notFound
}

func (g *GitHub) removeLabel(q *ask) (any, error) {
	p, err := g.number(q)
	if err == nil {
		err = g.may(q, "pull_requests", "write")
	}
	if err != nil {
		return nil, err
	}
	i := slices.Index(p.Labels, q.PathValue("name"))
	if i < 0 {
		return nil, &refusal{status: http.StatusNotFound, message: "Label does not exist"}
	}
	p.Labels, p.Updated = slices.Delete(p.Labels, i, i+1), g.World.tick()
	left := []map[string]any{}
	for _, l := range p.Labels {
		left = append(left, map[string]any{"name": l})
	}
	return left, nil
}
