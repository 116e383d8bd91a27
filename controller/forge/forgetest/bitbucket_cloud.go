package forgetest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// BitbucketCloud shows a World by the REST API 2.0 of Bitbucket Cloud. Fields that Pacer
// does not read are left out. Source: Atlassian, "The Bitbucket Cloud REST API".
type BitbucketCloud struct {
	plainForge

	// Scopes are those that are told of the tokens; empty: none are. Denied are the paths,
	// below /2.0, that are refused for lack of a right. Set before the first request.
	Scopes string
	Denied []string

	keys map[string]string // name of a build status → key
}

// BitbucketToken is a token of the user pacer, at Bitbucket Cloud and at Data Center.
const BitbucketToken = "ATCTT3ofTheUserPacer0123456789"

// NewBitbucketCloud starts a server that ends with the test, and which knows
// BitbucketToken.
func NewBitbucketCloud(t testing.TB, w *World) *BitbucketCloud {
	t.Helper()
	w.HeadRef, w.MergeRef = "", ""
	b := &BitbucketCloud{plainForge: plainForge{World: w, tokens: map[string]string{}}, keys: map[string]string{}}
	b.SetToken("Bearer "+BitbucketToken, "pacer")
	const repository = "/repositories/{workspace}/{repo}"
	routes := map[string]func(*call) answer{}
	for pattern, h := range map[string]func(*call) answer{
		"GET /user":                                                func(q *call) answer { return ok(b.user(q.user)) },
		"GET " + repository:                                        func(*call) answer { return ok(map[string]any{"full_name": b.name()}) },
		"GET " + repository + "/pullrequests":                      b.list,
		"GET " + repository + "/pullrequests/{id}":                 b.ofPull(func(_ *call, p *Pull) answer { return ok(b.show(p)) }),
		"GET " + repository + "/pullrequests/{id}/commits":         b.ofPull(b.commits),
		"GET " + repository + "/pullrequests/{id}/comments":        b.ofPull(b.comments),
		"POST " + repository + "/pullrequests/{id}/comments":       b.ofPull(b.comment),
		"PUT " + repository + "/pullrequests/{id}/comments/{note}": b.ofPull(b.edit),
		"GET " + repository + "/merge-base/{range}":                b.mergeBase,
		"GET " + repository + "/commit/{sha}":                      b.commit,
		"GET " + repository + "/commit/{sha}/statuses":             b.statuses,
		"POST " + repository + "/commit/{sha}/statuses/build":      b.setStatus,
		"DELETE " + repository + "/commit/{sha}/reports/{key}":     w.deleteReport,
		"PUT " + repository + "/commit/{sha}/reports/{key}":        w.putReport("PASSED", "FAILED"),
		"POST " + repository + "/commit/{sha}/reports/{key}/annotations": func(q *call) answer {
			var in []bitbucketAnnotation
			return w.annotate(q, &in, &in)
		},
	} {
		method, path, _ := strings.Cut(pattern, " ")
		routes[method+" /2.0"+path] = func(q *call) answer {
			if repo := q.PathValue("repo"); repo != "" && q.PathValue("workspace")+"/"+repo != b.name() {
				return answer{status: http.StatusNotFound, value: "Repository " + repo + " not found"}
			}
			if slices.Contains(b.Denied, strings.TrimPrefix(q.URL.Path, "/2.0")) {
				return answer{status: http.StatusForbidden, value: "Your credentials lack one or more required privilege scopes."}
			}
			if b.Scopes != "" {
				q.out.Set("X-OAuth-Scopes", b.Scopes)
			}
			return h(q)
		}
	}
	b.start(t, routes, func(_ int, message string) any {
		return map[string]any{"type": "error", "error": map[string]string{"message": message}}
	})
	return b
}

// Options are what a configuration says of it.
func (b *BitbucketCloud) Options() Options {
	return Options{Type: "bitbucket", URL: b.URL, Repository: "https://bitbucket.org/" + b.name() + ".git", Token: BitbucketToken}
}

func (b *BitbucketCloud) name() string { return b.World.Owner + "/" + b.World.Name }

func (b *BitbucketCloud) user(login string) map[string]any {
	return map[string]any{"uuid": "{" + strconv.FormatInt(b.World.user(login), 10) + "}", "nickname": login, "display_name": strings.ToUpper(login)}
}

// ofPull finds the pull request of a request.
func (b *BitbucketCloud) ofPull(h func(q *call, p *Pull) answer) func(*call) answer {
	return func(q *call) answer {
		p := b.World.lookup(q.number("id"))
		if p == nil {
			return answer{status: http.StatusNotFound}
		}
		return h(q, p)
	}
}

// cloudList answers with a page, and the address of the next.
func cloudList[T any](b *BitbucketCloud, q *call, all []T, limit int, show func(T) any) answer {
	page, size := max(q.number("page"), 1), q.most("pagelen", limit)
	items, more := part(all, (page-1)*size, size)
	values := []any{}
	for _, one := range items {
		values = append(values, show(one))
	}
	out := map[string]any{"pagelen": size, "page": page, "values": values}
	if more {
		v := q.URL.Query()
		v.Set("page", strconv.Itoa(page+1))
		next := url.URL{Path: q.URL.Path, RawPath: q.URL.RawPath, RawQuery: v.Encode()}
		out["next"] = b.URL + next.String()
	}
	return ok(out)
}

func (b *BitbucketCloud) list(q *call) answer {
	states := map[string]string{"": "open", "OPEN": "open", "MERGED": "merged", "DECLINED": "closed"}
	v := q.URL.Query()
	state, known := states[v.Get("state")]
	if !known || q.number("pagelen") > 50 {
		return answer{status: http.StatusBadRequest, value: "Invalid state or pagelen"}
	}
	all := b.World.selected(state)
	if v.Get("sort") != "-updated_on" {
		slices.SortFunc(all, func(x, y *Pull) int { return y.Number - x.Number })
	}
	if where := v.Get("q"); where != "" {
		text, isSince := strings.CutPrefix(where, "updated_on >= ")
		since, err := time.Parse("2006-01-02T15:04:05.000000-07:00", text)
		if !isSince || err != nil {
			return answer{status: http.StatusBadRequest, value: "Invalid query"}
		}
		all = slices.DeleteFunc(all, func(p *Pull) bool { return p.Updated.Before(since) })
	}
	return cloudList(b, q, all, 50, func(p *Pull) any { return b.show(p) })
}

func (b *BitbucketCloud) show(p *Pull) map[string]any {
	end := func(branch, commit, repository string) map[string]any {
		return map[string]any{"branch": map[string]any{"name": branch}, "commit": map[string]any{"hash": commit[:12]}, "repository": map[string]any{"full_name": repository}}
	}
	source := b.name()
	if p.Fork != "" {
		source = p.Fork + "/" + b.World.Name
	}
	m := map[string]any{
		"id": p.Number, "title": p.Title, "description": p.Body, "draft": p.Draft, "author": b.user(p.Author), "updated_on": p.Updated.Format(time.RFC3339Nano),
		"state":  map[string]string{"open": "OPEN", "merged": "MERGED", "closed": "DECLINED"}[p.State],
		"source": end(p.Head, p.HeadCommit, source), "destination": end(p.Base, p.BaseCommit, b.name()), "merge_commit": nil,
		"links": map[string]any{"html": map[string]string{"href": "https://bitbucket.org/" + b.name() + "/pull-requests/" + strconv.Itoa(p.Number)}},
	}
	if p.State == "merged" {
		m["merge_commit"] = map[string]any{"hash": p.MergedAs[:12]}
	}
	return m
}

// commits lists those of a pull request, newest first.
func (b *BitbucketCloud) commits(q *call, p *Pull) answer {
	out, err := b.World.git("rev-list", p.MergeBase+".."+p.HeadCommit)
	if err != nil || out == "" {
		out = p.HeadCommit
	}
	return cloudList(b, q, strings.Fields(out), 100, func(hash string) any { return map[string]any{"hash": hash} })
}

func (b *BitbucketCloud) mergeBase(q *call) answer {
	one, other, _ := strings.Cut(q.PathValue("range"), "..")
	if _, branch := b.World.has(one); !branch {
		return answer{status: http.StatusNotFound, value: "Commit not found"}
	}
	hash, err := b.World.git("merge-base", "--", one, other)
	if err != nil {
		return answer{status: http.StatusNotFound, value: "Commit not found"}
	}
	return ok(map[string]any{"hash": hash})
}

// commit is found if a branch has it: commits of forks are in their own repositories.
func (b *BitbucketCloud) commit(q *call) answer {
	w := b.World
	if _, branch := w.has(q.PathValue("sha")); !branch {
		return answer{status: http.StatusNotFound, value: "Commit not found"}
	}
	hash, _ := w.git("rev-parse", q.PathValue("sha")+"^{commit}")
	date, _ := w.git("show", "-s", "--format=%cI", hash)
	for _, p := range w.pulls {
		if p.MergedAs == hash && p.MergedAs != p.HeadCommit {
			date = p.MergedAt.Format(time.RFC3339Nano)
		}
	}
	return ok(map[string]any{"hash": hash, "date": date})
}

// comments has a deleted comment first, as Bitbucket keeps a place for those.
func (b *BitbucketCloud) comments(q *call, p *Pull) answer {
	all := []map[string]any{{"id": 1, "deleted": true, "content": map[string]any{"raw": ""}, "user": b.user("pacer")}}
	for _, c := range p.Comments {
		all = append(all, b.showComment(p, &c))
	}
	return cloudList(b, q, all, 100, func(m map[string]any) any { return m })
}

func (b *BitbucketCloud) showComment(p *Pull, c *Comment) map[string]any {
	href := "https://bitbucket.org/" + b.name() + "/pull-requests/" + strconv.Itoa(p.Number) + "#comment-" + strconv.FormatInt(c.ID, 10)
	return map[string]any{"id": c.ID, "deleted": false, "content": map[string]any{"raw": c.Body}, "user": b.user(c.Author), "links": map[string]any{"html": map[string]string{"href": href}}}
}

// cloudRaw reads the text of a comment; false: it is not as Bitbucket takes it.
func cloudRaw(q *call) (string, bool) {
	var in struct{ Content struct{ Raw string } }
	valid := q.decode(&in)
	return in.Content.Raw, valid && in.Content.Raw != "" && utf8.RuneCountInString(in.Content.Raw) <= 32768
}

func (b *BitbucketCloud) comment(q *call, p *Pull) answer {
	raw, valid := cloudRaw(q)
	if !valid {
		return answer{status: http.StatusBadRequest, value: "Bad request"}
	}
	return answer{http.StatusCreated, b.showComment(p, b.World.say(p, q.user, raw))}
}

func (b *BitbucketCloud) edit(q *call, p *Pull) answer {
	c := p.comment(q.number("note"))
	raw, valid := cloudRaw(q)
	switch {
	case c == nil:
		return answer{status: http.StatusNotFound}
	case c.Author != q.user:
		return answer{status: http.StatusForbidden}
	case !valid:
		return answer{status: http.StatusBadRequest, value: "Bad request"}
	}
	c.Body, c.Updated = raw, b.World.tick()
	p.Updated = c.Updated
	return ok(b.showComment(p, c))
}

func (b *BitbucketCloud) statuses(q *call) answer {
	if _, branch := b.World.has(q.PathValue("sha")); !branch {
		return answer{status: http.StatusNotFound, value: "Commit not found"}
	}
	return cloudList(b, q, b.World.newest(q.PathValue("sha")), 100, func(s Status) any { return showBuild(s, b.keys) })
}

func (b *BitbucketCloud) setStatus(q *call) answer {
	if _, branch := b.World.has(q.PathValue("sha")); !branch {
		return answer{status: http.StatusNotFound, value: "Commit not found"}
	}
	return b.World.build(q, b.keys, "INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED")
}

// build adds a build status as both Bitbucket take it. It is called locked.
func (w *World) build(q *call, keys map[string]string, states ...string) answer {
	var in struct{ Key, Name, State, Description, URL string }
	switch {
	case !q.decode(&in) || in.Key == "" || len(in.Key) > 40:
		return answer{status: http.StatusBadRequest, value: "key: must have 1 to 40 characters"}
	case !slices.Contains(states, in.State):
		return answer{status: http.StatusBadRequest, value: "state: not a valid choice"}
	case !strings.HasPrefix(in.URL, "http"):
		return answer{status: http.StatusBadRequest, value: "url: required"}
	case utf8.RuneCountInString(in.Name) > 255 || utf8.RuneCountInString(in.Description) > 255:
		return answer{status: http.StatusBadRequest, value: "name or description: too long"}
	}
	for name, key := range keys {
		if key == in.Key && name != in.Name {
			return answer{status: http.StatusBadRequest, value: "the test has two names for the key " + key}
		}
	}
	keys[in.Name] = in.Key
	s := w.addStatus(Status{Commit: q.PathValue("sha"), Context: in.Name, State: in.State, Description: in.Description, URL: in.URL, Creator: q.user})
	return answer{http.StatusCreated, showBuild(s, keys)}
}

func showBuild(s Status, keys map[string]string) map[string]any {
	key := keys[s.Context]
	if key == "" {
		key = s.Context
	}
	return map[string]any{"key": key, "name": s.Context, "state": s.State, "description": s.Description, "url": s.URL}
}

// bitbucketAnnotation is a line of a report, in the words of Cloud or Data Center.
type bitbucketAnnotation struct {
	Path, Severity   string
	Line             int
	Summary, Message string
}

// report finds the report of a request; nil: there is none. It is called locked.
func (w *World) report(q *call) *Check {
	for _, c := range w.checks {
		if c.Commit == q.PathValue("sha") && c.Name == q.PathValue("key") {
			return c
		}
	}
	return nil
}

func (w *World) deleteReport(q *call) answer {
	report := w.report(q)
	if report == nil {
		return answer{status: http.StatusNotFound}
	}
	w.checks = slices.DeleteFunc(w.checks, func(c *Check) bool { return c == report })
	return answer{status: http.StatusNoContent}
}

func (w *World) putReport(results ...string) func(*call) answer {
	return func(q *call) answer {
		var in struct{ Title, Result, Details string }
		if !q.decode(&in) || in.Title == "" || !slices.Contains(results, in.Result) {
			return answer{status: http.StatusBadRequest, value: "invalid report"}
		}
		c := w.report(q)
		if c == nil {
			c = &Check{ID: w.nextID(), App: q.user, Name: q.PathValue("key"), Commit: q.PathValue("sha"), Created: w.tick()}
			w.checks = append(w.checks, c)
		}
		c.Title, c.Conclusion, c.Summary = in.Title, in.Result, in.Details
		return ok(map[string]any{"title": c.Title})
	}
}

// annotate adds to a report what a request has, decoded.
func (w *World) annotate(q *call, in any, all *[]bitbucketAnnotation) answer {
	c := w.report(q)
	if c == nil {
		return answer{status: http.StatusNotFound}
	}
	if !q.decode(in) || len(*all) == 0 || len(*all) > 100 || len(c.Annotations)+len(*all) > 1000 {
		return answer{status: http.StatusBadRequest, value: "invalid annotations"}
	}
	for _, a := range *all {
		if a.Path == "" || utf8.RuneCountInString(a.Summary) > 450 || a.Summary+a.Message == "" || !slices.Contains([]string{"LOW", "MEDIUM", "HIGH"}, a.Severity) {
			return answer{status: http.StatusBadRequest, value: "invalid annotation"}
		}
		c.Annotations = append(c.Annotations, Annotation{File: a.Path, Line: a.Line, Level: a.Severity, Text: a.Summary + a.Message})
	}
	return answer{status: http.StatusNoContent}
}
