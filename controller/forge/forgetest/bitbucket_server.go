package forgetest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// BitbucketServer shows a World by the REST API 1.0 of Bitbucket Data Center. Fields that
// Pacer does not read are left out. Source: Atlassian, "Bitbucket Data Center REST API".
type BitbucketServer struct {
	plainForge

	// Old: it is version 7, which neither knows the merge base of a pull request nor a
	// build that is cancelled. Set before the first request.
	Old bool

	keys     map[string]string // name of a build status → key
	versions map[int64]int     // of comments
}

// NewBitbucketServer starts a server that ends with the test, and which knows
// BitbucketToken. The World's owner is the key of the project.
func NewBitbucketServer(t testing.TB, w *World) *BitbucketServer {
	t.Helper()
	w.HeadRef, w.MergeRef = "refs/pull-requests/%d/from", "refs/pull-requests/%d/merge"
	b := &BitbucketServer{plainForge: plainForge{World: w, tokens: map[string]string{}}, keys: map[string]string{}, versions: map[int64]int{}}
	b.SetToken("Bearer "+BitbucketToken, "pacer")
	const repository = "/1.0/projects/{project}/repos/{repo}"
	routes := map[string]func(*call) answer{}
	for pattern, h := range map[string]func(*call) answer{
		"GET /api" + repository:                                          func(*call) answer { return ok(map[string]any{"slug": w.Name}) },
		"GET /api" + repository + "/pull-requests":                       b.list,
		"GET /api" + repository + "/pull-requests/{id}":                  b.ofPull(func(_ *call, p *Pull) answer { return ok(b.show(p)) }),
		"GET /api" + repository + "/pull-requests/{id}/merge":            b.ofPull(b.merge),
		"GET /api" + repository + "/pull-requests/{id}/merge-base":       b.ofPull(b.mergeBase),
		"GET /api" + repository + "/pull-requests/{id}/activities":       b.ofPull(b.activities),
		"POST /api" + repository + "/pull-requests/{id}/comments":        b.ofPull(b.comment),
		"GET /api" + repository + "/pull-requests/{id}/comments/{note}":  b.ofPull(b.read),
		"PUT /api" + repository + "/pull-requests/{id}/comments/{note}":  b.ofPull(b.edit),
		"GET /api" + repository + "/commits/{sha}":                       b.commit,
		"GET /build-status/1.0/commits/{sha}":                            b.statuses,
		"POST /build-status/1.0/commits/{sha}":                           b.setStatus,
		"DELETE /insights" + repository + "/commits/{sha}/reports/{key}": w.deleteReport,
		"PUT /insights" + repository + "/commits/{sha}/reports/{key}":    w.putReport("PASS", "FAIL"),
		"POST /insights" + repository + "/commits/{sha}/reports/{key}/annotations": func(q *call) answer {
			var in struct{ Annotations []bitbucketAnnotation }
			return w.annotate(q, &in, &in.Annotations)
		},
	} {
		method, path, _ := strings.Cut(pattern, " ")
		routes[method+" /rest"+path] = func(q *call) answer {
			if repo := q.PathValue("repo"); repo != "" && (repo != w.Name || q.PathValue("project") != w.Owner) {
				return answer{status: http.StatusNotFound, value: "Repository " + repo + " does not exist."}
			}
			q.out.Set("X-AUSERNAME", q.user)
			return h(q)
		}
	}
	b.start(t, routes, func(_ int, message string) any {
		return map[string]any{"errors": []any{map[string]any{"context": nil, "message": message, "exceptionName": nil}}}
	})
	return b
}

// Options are what a configuration says of it.
func (b *BitbucketServer) Options() Options {
	return Options{Type: "bitbucket-server", URL: b.URL, Repository: "https://bitbucket.test/scm/" + b.World.Owner + "/" + b.World.Name + ".git", Token: BitbucketToken}
}

// ofPull finds the pull request of a request.
func (b *BitbucketServer) ofPull(h func(q *call, p *Pull) answer) func(*call) answer {
	return func(q *call) answer {
		p := b.World.lookup(q.number("id"))
		if p == nil {
			return answer{status: http.StatusNotFound, value: "Pull request does not exist."}
		}
		return h(q, p)
	}
}

// serverList answers with a page, and says where the next begins.
func serverList[T any](q *call, all []T, show func(T) any) answer {
	start, size := q.number("start"), q.most("limit", 1000)
	items, more := part(all, start, size)
	values := []any{}
	for _, one := range items {
		values = append(values, show(one))
	}
	out := map[string]any{"start": start, "limit": size, "size": len(values), "values": values, "isLastPage": !more, "nextPageStart": nil}
	if more {
		out["nextPageStart"] = start + size
	}
	return ok(out)
}

// list has the newest first, whenever it was changed.
func (b *BitbucketServer) list(q *call) answer {
	state, known := map[string]string{"": "open", "OPEN": "open", "MERGED": "merged", "DECLINED": "closed", "ALL": ""}[q.URL.Query().Get("state")]
	if !known {
		return answer{status: http.StatusBadRequest, value: "state is not valid"}
	}
	all := b.World.selected(state)
	slices.SortFunc(all, func(x, y *Pull) int { return y.Number - x.Number })
	if q.URL.Query().Get("order") == "CLOSED_DATE" && !b.Old {
		slices.SortStableFunc(all, func(x, y *Pull) int { return y.MergedAt.Compare(x.MergedAt) })
	}
	return serverList(q, all, func(p *Pull) any { return b.show(p) })
}

func (b *BitbucketServer) show(p *Pull) map[string]any {
	end := func(branch, commit string, repository int) map[string]any {
		return map[string]any{"id": "refs/heads/" + branch, "displayId": branch, "latestCommit": commit, "repository": map[string]any{"id": repository}}
	}
	from := 1
	if p.Fork != "" {
		from = 2
	}
	m := map[string]any{
		"id": p.Number, "version": 1, "title": p.Title, "description": p.Body, "draft": p.Draft, "author": map[string]any{"user": b.user(p.Author)}, "updatedDate": p.Updated.UnixMilli(),
		"state":   map[string]string{"open": "OPEN", "merged": "MERGED", "closed": "DECLINED"}[p.State],
		"fromRef": end(p.Head, p.HeadCommit, from), "toRef": end(p.Base, p.BaseCommit, 1),
		"links": map[string]any{"self": []any{map[string]string{"href": fmt.Sprintf("https://bitbucket.test/projects/%s/repos/%s/pull-requests/%d", b.World.Owner, b.World.Name, p.Number)}}},
	}
	if p.State == "merged" {
		m["closedDate"] = p.MergedAt.UnixMilli()
		if p.MergedAs != p.HeadCommit {
			m["properties"] = map[string]any{"mergeCommit": map[string]string{"id": p.MergedAs, "displayId": p.MergedAs[:11]}}
		}
	}
	return m
}

func (b *BitbucketServer) user(login string) map[string]any {
	return map[string]any{"name": login, "slug": login, "id": b.World.user(login)}
}

func (b *BitbucketServer) merge(_ *call, p *Pull) answer {
	if p.State != "open" {
		return answer{status: http.StatusConflict, value: "This pull request has already been closed."}
	}
	outcome := "CLEAN"
	switch {
	case p.Conflicts:
		outcome = "CONFLICTED"
	case p.MergeCommit == "":
		outcome = "UNKNOWN"
	}
	return ok(map[string]any{"canMerge": outcome == "CLEAN", "conflicted": p.Conflicts, "outcome": outcome, "vetoes": []any{}})
}

func (b *BitbucketServer) mergeBase(_ *call, p *Pull) answer {
	if b.Old {
		return answer{status: http.StatusNotFound}
	}
	return ok(map[string]string{"id": p.MergeBase})
}

// activities are newest first, with an approval beside each comment.
func (b *BitbucketServer) activities(q *call, p *Pull) answer {
	var all []map[string]any
	for _, c := range p.Comments {
		all = append(all, map[string]any{"action": "APPROVED", "user": b.user(c.Author)}, map[string]any{"action": "COMMENTED", "commentAction": "ADDED", "comment": b.showComment(&c), "user": b.user(c.Author)})
	}
	slices.Reverse(all)
	return serverList(q, all, func(m map[string]any) any { return m })
}

func (b *BitbucketServer) showComment(c *Comment) map[string]any {
	return map[string]any{"id": c.ID, "version": b.versions[c.ID], "text": c.Body, "author": b.user(c.Author)}
}

// serverText is the body of a comment, which has a version when it is edited.
type serverText struct {
	Text    string
	Version *int
}

func (s serverText) valid() bool { return s.Text != "" && utf8.RuneCountInString(s.Text) <= 32768 }

func (b *BitbucketServer) comment(q *call, p *Pull) answer {
	var in serverText
	if !q.decode(&in) || !in.valid() {
		return answer{status: http.StatusBadRequest, value: "Please enter a non-empty value less than 32768 characters"}
	}
	return answer{http.StatusCreated, b.showComment(b.World.say(p, q.user, in.Text))}
}

func (b *BitbucketServer) read(q *call, p *Pull) answer {
	c := p.comment(q.number("note"))
	if c == nil {
		return answer{status: http.StatusNotFound, value: "Comment " + strconv.Itoa(q.number("note")) + " does not exist."}
	}
	return ok(b.showComment(c))
}

func (b *BitbucketServer) edit(q *call, p *Pull) answer {
	var in serverText
	c := p.comment(q.number("note"))
	switch {
	case c == nil:
		return answer{status: http.StatusNotFound}
	case c.Author != q.user:
		return answer{status: http.StatusForbidden}
	case !q.decode(&in) || !in.valid() || in.Version == nil:
		return answer{status: http.StatusBadRequest, value: "text and version are needed"}
	case *in.Version != b.versions[c.ID]:
		return answer{status: http.StatusConflict, value: "You are attempting to modify a comment based on out-of-date information."}
	}
	c.Body, c.Updated = in.Text, b.World.tick()
	b.versions[c.ID]++
	p.Updated = c.Updated
	return ok(b.showComment(c))
}

func (b *BitbucketServer) commit(q *call) answer {
	if is, _ := b.World.has(q.PathValue("sha")); !is {
		return answer{status: http.StatusNotFound, value: "Commit does not exist."}
	}
	return ok(map[string]string{"id": q.PathValue("sha")})
}

func (b *BitbucketServer) statuses(q *call) answer {
	return serverList(q, b.World.newest(q.PathValue("sha")), func(s Status) any { return showBuild(s, b.keys) })
}

// setStatus asks for no commit: the server keeps builds by hashes.
func (b *BitbucketServer) setStatus(q *call) answer {
	states := []string{"INPROGRESS", "SUCCESSFUL", "FAILED"}
	if !b.Old {
		states = append(states, "CANCELLED")
	}
	a := b.World.build(q, b.keys, states...)
	if a.status == http.StatusCreated {
		return answer{status: http.StatusNoContent}
	}
	return a
}
