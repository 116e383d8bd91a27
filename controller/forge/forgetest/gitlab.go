package forgetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// GitLab shows a World by GitLab's REST API, version 4. Fields that Pacer does not read
// are left out. Source: GitLab, "REST API resources".
type GitLab struct {
	plainForge

	// What follows is set before the first request.
	Scopes []string       // of the tokens; nil: they are no access tokens
	Levels map[string]int // user → access level; pacer's is 30, Developer
	Admin  bool           // the users are administrators
}

// GitLabToken is a token of the user pacer.
const GitLabToken = "glpat-ofTheUserPacer0123456789"

// NewGitLab starts a server that ends with the test, and which knows GitLabToken.
func NewGitLab(t testing.TB, w *World) *GitLab {
	t.Helper()
	w.HeadRef, w.MergeRef = "refs/merge-requests/%d/head", "refs/merge-requests/%d/merge"
	g := &GitLab{plainForge: plainForge{World: w, tokens: map[string]string{}}, Scopes: []string{"api"}, Levels: map[string]int{"pacer": 30}}
	g.SetToken("Bearer "+GitLabToken, "pacer")
	routes := map[string]func(*call) answer{}
	for pattern, h := range map[string]func(*call) answer{
		"GET /user": func(q *call) answer {
			return ok(map[string]any{"id": w.user(q.user), "username": q.user, "is_admin": g.Admin})
		},
		"GET /personal_access_tokens/self":                           g.token,
		"GET /projects/{id}":                                         func(*call) answer { return ok(map[string]any{"id": 1, "archived": false}) },
		"GET /projects/{id}/members/all/{user}":                      g.member,
		"GET /projects/{id}/merge_requests":                          g.list,
		"GET /projects/{id}/merge_requests/{iid}":                    g.ofPull(g.read),
		"PUT /projects/{id}/merge_requests/{iid}":                    g.ofPull(g.update),
		"GET /projects/{id}/merge_requests/{iid}/merge_ref":          g.ofPull(g.mergeRef),
		"GET /projects/{id}/merge_requests/{iid}/notes":              g.ofPull(g.notes),
		"POST /projects/{id}/merge_requests/{iid}/notes":             g.ofPull(g.note),
		"PUT /projects/{id}/merge_requests/{iid}/notes/{note}":       g.ofPull(g.edit),
		"GET /projects/{id}/repository/commits/{sha}/statuses":       g.statuses,
		"POST /projects/{id}/statuses/{sha}":                         g.setStatus,
		"GET /projects/{id}/repository/commits/{sha}/merge_requests": g.byCommit,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		routes[method+" /api/v4"+path] = func(q *call) answer {
			if id := q.PathValue("id"); id != "" && id != w.Owner+"/"+w.Name {
				return answer{status: http.StatusNotFound, value: "404 Project Not Found"}
			}
			q.out.Set("RateLimit-Limit", "2000")
			q.out.Set("RateLimit-Remaining", "1999")
			q.out.Set("RateLimit-Reset", strconv.FormatInt(w.clock.Add(time.Minute).Unix(), 10))
			return h(q)
		}
	}
	g.start(t, routes, func(_ int, message string) any { return map[string]string{"message": message} })
	return g
}

// Options are what a configuration says of it.
func (g *GitLab) Options() Options {
	return Options{Type: "gitlab", URL: g.URL, Repository: "https://gitlab.test/" + g.World.Owner + "/" + g.World.Name + ".git", Token: GitLabToken, Labels: true}
}

// RateLimit has all requests refused as GitLab does those of one who sends too many.
func (g *GitLab) RateLimit(until time.Time) {
	g.Break(Fault{Status: http.StatusTooManyRequests, Body: "Retry later\n", Header: http.Header{
		"Ratelimit-Limit": {"2000"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {strconv.FormatInt(until.Unix(), 10)},
	}})
}

func (g *GitLab) token(*call) answer {
	switch {
	case g.Scopes == nil:
		return answer{status: http.StatusNotFound}
	case !slices.Contains(g.Scopes, "api") && !slices.Contains(g.Scopes, "read_api"):
		return answer{status: http.StatusForbidden, value: "insufficient_scope"}
	}
	return ok(map[string]any{"id": 7, "active": true, "scopes": g.Scopes})
}

func (g *GitLab) member(q *call) answer {
	for user, level := range g.Levels {
		if g.World.user(user) == int64(q.number("user")) && level > 0 {
			return ok(map[string]any{"id": g.World.user(user), "username": user, "access_level": level})
		}
	}
	return answer{status: http.StatusNotFound}
}

// ofPull finds the merge request of a request.
func (g *GitLab) ofPull(h func(q *call, p *Pull) answer) func(*call) answer {
	return func(q *call) answer {
		p := g.World.lookup(q.number("iid"))
		if p == nil {
			return answer{status: http.StatusNotFound}
		}
		return h(q, p)
	}
}

// gitLabList answers with a page, and names the next in its header.
func gitLabList[T any](q *call, all []T, show func(T) any) answer {
	page, size := max(q.number("page"), 1), q.most("per_page", 100)
	items, more := part(all, (page-1)*size, size)
	if more {
		q.out.Set("X-Next-Page", strconv.Itoa(page+1))
	}
	shown := []any{}
	for _, one := range items {
		shown = append(shown, show(one))
	}
	return ok(shown)
}

func (g *GitLab) list(q *call) answer {
	states := map[string]string{"opened": "open", "merged": "merged", "closed": "closed"}
	v := q.URL.Query()
	state, known := states[v.Get("state")]
	if !known || v.Get("order_by") != "updated_at" || v.Get("sort") != "desc" {
		return answer{status: http.StatusBadRequest, value: "state, order_by or sort does not have a valid value"}
	}
	all := g.World.selected(state)
	if text := v.Get("updated_after"); text != "" {
		after, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return answer{status: http.StatusBadRequest, value: "updated_after is invalid"}
		}
		all = slices.DeleteFunc(all, func(p *Pull) bool { return !p.Updated.After(after) })
	}
	return gitLabList(q, all, func(p *Pull) any { return g.show(p) })
}

func (g *GitLab) show(p *Pull) map[string]any {
	w := g.World
	states := map[string]string{"open": "opened", "merged": "merged", "closed": "closed"}
	m := map[string]any{
		"id": 1000 + p.Number, "iid": p.Number, "project_id": 1, "title": p.Title, "description": p.Body, "state": states[p.State], "draft": p.Draft,
		"author": map[string]any{"id": w.user(p.Author), "username": p.Author}, "labels": append([]string{}, p.Labels...),
		"source_branch": p.Head, "target_branch": p.Base, "source_project_id": 1, "target_project_id": 1, "sha": p.HeadCommit,
		"updated_at": zulu(p.Updated), "merged_at": zulu(p.MergedAt), "has_conflicts": p.Conflicts, "merge_commit_sha": nil, "squash_commit_sha": nil,
		"web_url": "https://gitlab.test/" + w.Owner + "/" + w.Name + "/-/merge_requests/" + strconv.Itoa(p.Number),
	}
	if p.Fork != "" {
		m["source_project_id"] = 2
	}
	switch {
	case p.State != "merged" || p.MergedAs == p.HeadCommit:
	case w.parents(p.MergedAs) > 1:
		m["merge_commit_sha"] = p.MergedAs
	default:
		m["squash_commit_sha"] = p.MergedAs
	}
	return m
}

func (g *GitLab) read(_ *call, p *Pull) answer {
	m := g.show(p)
	m["diff_refs"] = map[string]any{"base_sha": p.MergeBase, "head_sha": p.HeadCommit, "start_sha": p.BaseCommit}
	return ok(m)
}

func (g *GitLab) update(q *call, p *Pull) answer {
	var in struct {
		Remove *string `json:"remove_labels"`
	}
	if !q.decode(&in) || in.Remove == nil {
		return answer{status: http.StatusBadRequest, value: "nothing to update"}
	}
	before := len(p.Labels)
	p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return slices.Contains(strings.Split(*in.Remove, ","), l) })
	if len(p.Labels) != before {
		p.Updated = g.World.tick()
	}
	return ok(g.show(p))
}

func (g *GitLab) mergeRef(_ *call, p *Pull) answer {
	if p.MergeCommit == "" {
		return answer{status: http.StatusBadRequest, value: "Merge request is not mergeable"}
	}
	return ok(map[string]string{"commit_id": p.MergeCommit})
}

// notes has a system note before each comment, as GitLab notes what people do.
func (g *GitLab) notes(q *call, p *Pull) answer {
	var all []map[string]any
	for _, c := range p.Comments {
		all = append(all, map[string]any{"id": c.ID + 100000, "system": true, "body": c.Body, "author": map[string]any{"id": g.World.user(c.Author)}}, g.showNote(&c))
	}
	if q.URL.Query().Get("sort") != "asc" { // newest first is GitLab's order
		slices.Reverse(all)
	}
	return gitLabList(q, all, func(m map[string]any) any { return m })
}

func (g *GitLab) showNote(c *Comment) map[string]any {
	return map[string]any{"id": c.ID, "system": false, "body": c.Body, "author": map[string]any{"id": g.World.user(c.Author), "username": c.Author}}
}

// gitLabNote reads the text of a note; 0: it is as GitLab takes it.
func gitLabNote(q *call) (string, int) {
	var in struct{ Body string }
	if !q.decode(&in) || in.Body == "" || utf8.RuneCountInString(in.Body) > 1_000_000 {
		return "", http.StatusBadRequest
	}
	return in.Body, 0
}

func (g *GitLab) note(q *call, p *Pull) answer {
	body, status := gitLabNote(q)
	if status != 0 {
		return answer{status: status, value: "note is missing or too long (maximum is 1000000 characters)"}
	}
	return answer{http.StatusCreated, g.showNote(g.World.say(p, q.user, body))}
}

func (g *GitLab) edit(q *call, p *Pull) answer {
	c := p.comment(q.number("note"))
	body, status := gitLabNote(q)
	switch {
	case c == nil:
		return answer{status: http.StatusNotFound}
	case c.Author != q.user:
		return answer{status: http.StatusForbidden}
	case status != 0:
		return answer{status: status}
	}
	c.Body, c.Updated = body, g.World.tick()
	p.Updated = c.Updated
	return ok(g.showNote(c))
}

func (g *GitLab) statuses(q *call) answer {
	if is, _ := g.World.has(q.PathValue("sha")); !is {
		return answer{status: http.StatusNotFound, value: "404 Commit Not Found"}
	}
	return gitLabList(q, g.World.newest(q.PathValue("sha")), func(s Status) any { return showGitLabStatus(s) })
}

func showGitLabStatus(s Status) map[string]any {
	return map[string]any{"id": s.ID, "sha": s.Commit, "status": s.State, "name": s.Context, "description": s.Description, "target_url": s.URL}
}

// setStatus has the state machine of GitLab: what is pending cannot be enqueued again, and
// what runs cannot be run again.
func (g *GitLab) setStatus(q *call) answer {
	w, commit := g.World, q.PathValue("sha")
	var in struct {
		State, Name, Description, Ref string
		URL                           string `json:"target_url"`
	}
	is, branch := w.has(commit)
	switch {
	case !q.decode(&in) || !slices.Contains([]string{"pending", "running", "success", "failed", "canceled"}, in.State):
		return answer{status: http.StatusBadRequest, value: "state does not have a valid value"}
	case utf8.RuneCountInString(in.Description) > 255 || len(in.URL) > 255:
		return answer{status: http.StatusBadRequest, value: "description is too long (maximum is 255 characters)"}
	case g.Levels[q.user] < 30 && !g.Admin:
		return answer{status: http.StatusForbidden}
	case !is:
		return answer{status: http.StatusNotFound, value: "404 Commit Not Found"}
	case !branch && in.Ref == "":
		return answer{status: http.StatusNotFound, value: "404 References for commit Not Found"}
	}
	for _, there := range w.newest(commit) {
		if there.Context != in.Name {
			continue
		}
		event := map[string]string{"pending": "enqueue", "running": "run"}[in.State]
		if there.State == in.State && event != "" || there.State == "running" && in.State == "pending" {
			return answer{status: http.StatusBadRequest, value: "Cannot transition status via :" + event + " from :" + there.State + ` (Reason(s): Status cannot transition via "` + event + `")`}
		}
	}
	return answer{http.StatusCreated, showGitLabStatus(w.addStatus(Status{Commit: commit, Context: in.Name, State: in.State, Description: in.Description, URL: in.URL, Creator: q.user}))}
}

func (g *GitLab) byCommit(q *call) answer {
	all := slices.DeleteFunc(g.World.selected(""), func(p *Pull) bool { return p.HeadCommit != q.PathValue("sha") })
	return gitLabList(q, all, func(p *Pull) any { return g.show(p) })
}
