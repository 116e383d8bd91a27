package forgetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// diff is the difference that a pull request makes in a file, without git's header.
func (w *World) diff(p *Pull, file string) (string, error) {
	out, err := w.git("diff", "--no-color", "--no-ext-diff", "--unified=3", p.MergeBase, p.HeadCommit, "--", file)
	if i := strings.Index(out, "\n@@ "); i >= 0 {
		return out[i+1:], err
	}
	return "", err
}

// inDiff reports whether a line of the new file is one that a diff shows. It counts the
// lines.
func inDiff(diff string, wanted int) bool {
	at := 0
	for text := range strings.SplitSeq(diff, "\n") {
		switch {
		case strings.HasPrefix(text, "@@ "):
			_, plus, _ := strings.Cut(text, " +")
			first, _, _ := strings.Cut(strings.Fields(plus)[0], ",")
			at, _ = strconv.Atoi(first)
		case strings.HasPrefix(text, " "), strings.HasPrefix(text, "+"):
			if at == wanted {
				return true
			}
			at++
		}
	}
	return false
}

func (g *GitHub) listFiles(q *ask) (any, error) {
	if err := g.may(q, "pull_requests", "read"); err != nil {
		return nil, err
	}
	p, err := g.number(q)
	if err != nil {
		return nil, err
	}
	names, err := g.World.git("diff", "--name-only", "--no-renames", "-z", p.MergeBase, p.HeadCommit)
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range strings.SplitSeq(names, "\x00") {
		if name != "" {
			files = append(files, name)
		}
	}
	out := []map[string]any{}
	for _, name := range page(g, q, files) {
		patch, err := g.World.diff(p, name)
		if err != nil {
			return nil, err
		}
		file := map[string]any{"filename": name, "status": "modified"}
		if patch != "" { // of a binary file GitHub has none
			file["patch"] = patch
		}
		out = append(out, file)
	}
	return out, nil
}

// reviewJSON is a review comment. It is outdated, and has no line, where its file has
// changed since; GitHub finds the line again where it can, which is left out here.
func (g *GitHub) reviewJSON(p *Pull, r Review) map[string]any {
	out := map[string]any{"id": r.ID, "body": r.Body, "user": g.userJSON(r.Author), "path": r.File, "commit_id": p.HeadCommit, "original_commit_id": r.Commit, "original_line": r.Line, "line": nil, "side": "RIGHT", "created_at": stamp(r.Created), "updated_at": stamp(r.Updated)}
	if _, err := g.World.git("diff", "--quiet", r.Commit, p.HeadCommit, "--", r.File); err == nil {
		out["line"] = r.Line
	}
	return out
}

func (g *GitHub) listReviews(q *ask) (any, error) {
	if err := g.may(q, "pull_requests", "read"); err != nil {
		return nil, err
	}
	p, err := g.number(q)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, r := range page(g, q, p.Reviews) {
		out = append(out, g.reviewJSON(p, r))
	}
	return out, nil
}

func (g *GitHub) createReview(q *ask) (any, error) {
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
	var r struct {
		Path     string `json:"path"`
		Line     int    `json:"line"`
		Side     string `json:"side"`
		CommitID string `json:"commit_id"`
	}
	if json.Unmarshal(q.body, &r) != nil {
		return nil, &refusal{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	diff, err := g.World.diff(p, r.Path)
	if err != nil || r.CommitID != p.HeadCommit || r.Side != "RIGHT" || !inDiff(diff, r.Line) {
		return nil, invalid("pull_request_review_thread.line must be part of the diff")
	}
	now := g.World.tick()
	made := Review{Comment: Comment{ID: g.World.nextID(), Author: q.token.author(), Body: body, Created: now, Updated: now}, File: r.Path, Line: r.Line, Commit: r.CommitID}
	p.Reviews, p.Updated = append(p.Reviews, made), now
	return g.reviewJSON(p, made), nil
}

func (g *GitHub) deleteReview(q *ask) (any, error) {
	for _, p := range g.World.pulls {
		i := slices.IndexFunc(p.Reviews, func(r Review) bool { return strconv.FormatInt(r.ID, 10) == q.PathValue("id") })
		if i < 0 {
			continue
		}
		if err := g.may(q, "pull_requests", "write"); err != nil {
			return nil, err
		}
		p.Reviews, p.Updated = slices.Delete(p.Reviews, i, i+1), g.World.tick()
		return nil, nil
	}
	return nil, notFound
}

// Review adds a review comment of somebody at a line.
func (w *World) Review(number int, author, file string, line int, body string) int64 {
	w.t.Helper()
	p := w.change(number, func(p *Pull) {
		w.user(author)
		p.Reviews = append(p.Reviews, Review{Comment: Comment{ID: w.nextID(), Author: author, Body: body, Created: w.clock, Updated: w.clock}, File: file, Line: line, Commit: p.HeadCommit})
	})
	return p.Reviews[len(p.Reviews)-1].ID
}
