package forgetest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// StandIn is a forge, of whatever type, by which the same stories can be told of all.
type StandIn interface {
	// Options are what a configuration says of it.
	Options() Options
	// Show is what it holds.
	Show() *World
	// Breakable is its server.
	Breakable() *Server
}

// Options are what a configuration says of a forge.
type Options struct {
	Type, URL, Repository, Token string
	// Labels: it has labels.
	Labels bool
}

// plainForge is what the stand-ins have in common that answer in plain JSON.
type plainForge struct {
	*Server
	World *World
	// PageSize is how many items a page has at most; 0: as many as are asked for.
	PageSize int

	tokens map[string]string // Authorization → user
}

func (f *plainForge) Show() *World       { return f.World }
func (f *plainForge) Breakable() *Server { return f.Server }

// SetToken has a header Authorization be that of a user; an empty one: of nobody.
func (f *plainForge) SetToken(authorization, user string) {
	f.World.mu.Lock()
	defer f.World.mu.Unlock()
	delete(f.tokens, authorization)
	if user != "" {
		f.World.user(user)
		f.tokens[authorization] = user
	}
}

// call is one request. It is answered under the World's lock.
type call struct {
	*http.Request
	user string
	page int // how many items one may have
	body []byte
	out  http.Header // of the answer
}

// answer is a status and what is sent as JSON; nil: nothing is.
type answer struct {
	status int
	value  any
}

func ok(v any) answer { return answer{http.StatusOK, v} }

// start serves routes. refuse makes the body of an error.
func (f *plainForge) start(t testing.TB, routes map[string]func(*call) answer, refuse func(status int, message string) any) {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.serveOne(w, r, h, refuse) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.serveOne(w, r, func(*call) answer { return answer{status: http.StatusNotFound} }, refuse)
	})
	f.Server = serve(t, mux)
}

func (f *plainForge) serveOne(w http.ResponseWriter, r *http.Request, h func(*call) answer, refuse func(int, string) any) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // who asks is gone
	}
	f.World.mu.Lock()
	defer f.World.mu.Unlock()
	f.World.refresh()
	q := &call{Request: r, user: f.tokens[r.Header.Get("Authorization")], page: f.PageSize, body: body, out: w.Header()}
	a := answer{status: http.StatusUnauthorized, value: "invalid token"}
	if q.user != "" {
		a = h(q)
	}
	if a.status >= http.StatusBadRequest {
		message, said := a.value.(string)
		if !said {
			message = strconv.Itoa(a.status) + " " + http.StatusText(a.status)
		}
		a.value = refuse(a.status, message)
	}
	q.out.Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	if a.value != nil {
		_ = json.NewEncoder(w).Encode(a.value) // who asks may be gone
	}
}

// number is a number of the path or the query; 0: it is none.
func (q *call) number(name string) int {
	text := q.PathValue(name)
	if text == "" {
		text = q.URL.Query().Get(name)
	}
	n, _ := strconv.Atoi(text)
	return n
}

// decode reads the body; false: it is not as expected.
func (q *call) decode(into any) bool { return json.Unmarshal(q.body, into) == nil }

// most is how many items a page has, of which as many are asked for.
func (q *call) most(asked string, limit int) int {
	n := q.number(asked)
	if n <= 0 || n > limit {
		n = limit
	}
	if q.page > 0 {
		n = min(n, q.page)
	}
	return n
}

// part is a page of a list, from an item on.
func part[T any](all []T, from, size int) (items []T, more bool) {
	from = min(max(from, 0), len(all))
	to := min(from+size, len(all))
	return append([]T{}, all[from:to]...), to < len(all)
}

// selected are the pull requests of a state, the one that changed last first. It is called
// locked.
func (w *World) selected(state string) []*Pull {
	var all []*Pull
	for _, p := range w.pulls {
		if state == "" || p.State == state {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *Pull) int { return b.Updated.Compare(a.Updated) })
	return all
}

// newest are the newest statuses of a commit, oldest first. It is called locked.
func (w *World) newest(commit string) []Status {
	var all []Status
	for _, s := range w.statuses {
		if s.Commit == commit {
			all = slices.DeleteFunc(all, func(t Status) bool { return t.Context == s.Context })
			all = append(all, s)
		}
	}
	return all
}

// has reports whether the repository has a commit, and branch whether a branch has it. It
// is called locked.
func (w *World) has(commit string) (is, branch bool) {
	if strings.HasPrefix(commit, "-") {
		return false, false
	}
	if _, err := w.git("cat-file", "-e", commit+"^{commit}"); err != nil {
		return false, false
	}
	heads, err := w.git("for-each-ref", "--contains", commit, "--format=%(refname)", "refs/heads/")
	return true, err == nil && heads != ""
}

// parents counts the parents of a commit. It is called locked.
func (w *World) parents(commit string) int {
	out, _ := w.git("rev-parse", commit+"^@")
	return len(strings.Fields(out))
}

// find looks for a comment of a pull request. It is called locked.
func (p *Pull) comment(id int) *Comment {
	for i := range p.Comments {
		if p.Comments[i].ID == int64(id) {
			return &p.Comments[i]
		}
	}
	return nil
}

// say adds a comment. It is called locked.
func (w *World) say(p *Pull, author, body string) *Comment {
	p.Updated = w.tick()
	p.Comments = append(p.Comments, Comment{ID: w.nextID(), Author: author, Body: body, Created: w.clock, Updated: w.clock})
	return &p.Comments[len(p.Comments)-1]
}

func zulu(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Options are what a configuration says of it.
func (g *GitHub) Options() Options {
	return Options{Type: "github", URL: g.URL, Repository: "https://github.test/" + g.World.Owner + "/" + g.World.Name + ".git", Token: GitHubToken, Labels: true}
}

// Show is what it holds.
func (g *GitHub) Show() *World { return g.World }

// Breakable is its server.
func (g *GitHub) Breakable() *Server { return g.Server }
