package forge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-github/v89/github"

	"github.com/pacer-gitops/pacer/visible"
)

const (
	// gitHubBatch is how many annotations one request takes.
	gitHubBatch = 50
	// gitHubAnnotations and gitHubReviews bound how many are shown; each of the latter is a
	// request, and a message to those who follow the pull request.
	gitHubAnnotations = 500
	gitHubReviews     = 30
	// gitHubMessage is how many bytes of a message are shown; GitHub takes 64 KB.
	gitHubMessage = 4 << 10
)

// Annotate makes a check run as an App, which alone may do so, and else review comments.
func (g *gitHub) Annotate(ctx context.Context, p Pull, name string, all []Annotation) (shown bool, err error) {
	if g.app != nil {
		shown, err = g.annotateByCheck(ctx, p, name, all)
	} else {
		shown, err = g.annotateByReview(ctx, p, name, all)
	}
	if err != nil {
		return false, fmt.Errorf("annotate pull request %d of %s: %w", p.Number, g, plain(err))
	}
	return shown, nil
}

// annotateByCheck makes a check run. An update appends annotations and cannot remove any, so
// other ones are a new run of the same name, which GitHub shows instead of the older.
// The run that is there is the wanted one if it is complete and its external id is the
// digest of the same annotations.
func (g *gitHub) annotateByCheck(ctx context.Context, p Pull, name string, all []Annotation) (shown bool, err error) {
	shown = len(all) <= gitHubAnnotations
	all = all[:min(len(all), gitHubAnnotations)]
	text, err := json.Marshal(all)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	before, err := g.check(ctx, p.HeadCommit, name)
	if err != nil {
		return false, err
	}
	if before == nil && len(all) == 0 || before != nil && before.GetStatus() == "completed" && before.GetExternalID() == digest {
		return shown, nil
	}
	return shown, g.createCheck(ctx, p.HeadCommit, name, digest, all)
}

// check is the newest check run of a name that this App made; nil: there is none.
func (g *gitHub) check(ctx context.Context, commit, name string) (newest *github.CheckRun, err error) {
	options := &github.ListCheckRunsOptions{CheckName: &name, AppID: &g.app.id}
	err = each(func(page github.ListOptions) ([]*github.CheckRun, *github.Response, error) {
		options.ListOptions = page
		runs, resp, err := g.client.Checks.ListCheckRunsForRef(ctx, g.owner, g.name, commit, options)
		if err != nil {
			return nil, resp, err
		}
		if runs == nil {
			runs = &github.ListCheckRunsResults{}
		}
		return runs.CheckRuns, resp, nil
	}, func(run *github.CheckRun) bool {
		if newest == nil || run.GetID() > newest.GetID() {
			newest = run
		}
		return true
	})
	return newest, err
}

// createCheck makes a check run, which is complete with its last annotations.
func (g *gitHub) createCheck(ctx context.Context, commit, name, digest string, all []Annotation) error {
	title, conclusion := verdict(all)
	output := func(batch []Annotation) *github.CheckRunOutput {
		return &github.CheckRunOutput{Title: &title, Summary: new("Problems of manifests, as Pacer reads them for " + name + "."), Annotations: checkAnnotations(batch)}
	}
	batches := slices.Collect(slices.Chunk(all, gitHubBatch))
	if len(batches) == 0 {
		batches = [][]Annotation{nil}
	}
	begin := github.CreateCheckRunOptions{Name: name, HeadSHA: commit, ExternalID: &digest, Status: new("completed"), Conclusion: &conclusion, Output: output(batches[0])}
	if len(batches) > 1 {
		begin.Status, begin.Conclusion = new("in_progress"), nil
	}
	run, _, err := g.client.Checks.CreateCheckRun(ctx, g.owner, g.name, begin)
	if err != nil {
		return err
	}
	for i, batch := range batches[1:] {
		more := github.UpdateCheckRunOptions{Name: name, Output: output(batch)}
		if i == len(batches)-2 {
			more.Status, more.Conclusion = new("completed"), &conclusion
		}
		if _, _, err := g.client.Checks.UpdateCheckRun(ctx, g.owner, g.name, run.GetID(), more); err != nil {
			return err
		}
	}
	return nil
}

// verdict is what a check run says of annotations, and its conclusion.
//
//	an error            failure
//	warnings only       neutral
//	nothing             success
func verdict(all []Annotation) (title, conclusion string) {
	warnings := 0
	for _, a := range all {
		if a.Warning {
			warnings++
		}
	}
	errors := len(all) - warnings
	switch {
	case errors > 0:
		return fmt.Sprintf("errors: %d, warnings: %d", errors, warnings), "failure"
	case warnings > 0:
		return fmt.Sprintf("warnings: %d", warnings), "neutral"
	}
	return "no problems", "success"
}

func checkAnnotations(all []Annotation) []*github.CheckRunAnnotation {
	var out []*github.CheckRunAnnotation
	for _, a := range all {
		line := max(a.Line, 1)
		one := &github.CheckRunAnnotation{Path: &a.File, StartLine: &line, EndLine: &line, AnnotationLevel: new("failure"), Message: new(visible.Cut(a.Message, gitHubMessage))}
		if a.Warning {
			one.AnnotationLevel = new("warning")
		}
		if a.Column > 0 {
			one.StartColumn, one.EndColumn = &a.Column, &a.Column
		}
		out = append(out, one)
	}
	return out
}

// review is a review comment: what tells whether it is there already.
type review struct {
	file, body string
	line       int
}

// annotateByReview makes review comments, which GitHub takes at lines of the diff only. Those
// that are there are known by a hidden marker with the name; what is no longer so is
// deleted.
func (g *gitHub) annotateByReview(ctx context.Context, p Pull, name string, all []Annotation) (shown bool, err error) {
	marker := "<!-- pacer-annotation " + url.QueryEscape(name) + " -->" // escaped, since > would end it
	there, err := g.reviews(ctx, p.Number, marker)
	if err != nil {
		return false, err
	}
	wanted, shown, err := g.wantedReviews(ctx, p, marker, all)
	if err != nil {
		return false, err
	}
	for _, r := range wanted {
		if ids := there[r]; len(ids) > 0 {
			there[r] = ids[1:]
			continue
		}
		_, _, err := g.client.PullRequests.CreateComment(ctx, g.owner, g.name, p.Number, &github.PullRequestComment{Body: &r.body, CommitID: &p.HeadCommit, Path: &r.file, Line: &r.line, Side: new("RIGHT")})
		if failed, ok := errors.AsType[*StatusError](err); ok && failed.Code == http.StatusUnprocessableEntity {
			shown = false // the head is another one by now, and its diff without the line
			continue
		}
		if err != nil {
			return false, err
		}
	}
	for _, ids := range there {
		for _, id := range ids {
			if _, err := g.client.PullRequests.DeleteComment(ctx, g.owner, g.name, id); err != nil && !errors.Is(err, ErrNotFound) {
				return false, err
			}
		}
	}
	return shown, nil
}

// reviews are the review comments with a marker that this user has written, with their ids,
// oldest first. One whose line the head no longer has is of line 0.
func (g *gitHub) reviews(ctx context.Context, number int, marker string) (map[review][]int64, error) {
	me, err := g.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	there := map[review][]int64{}
	err = each(func(page github.ListOptions) ([]*github.PullRequestComment, *github.Response, error) {
		return g.client.PullRequests.ListComments(ctx, g.owner, g.name, number, &github.PullRequestListCommentsOptions{ListOptions: page})
	}, func(c *github.PullRequestComment) bool {
		if me.is(c.User) && strings.Contains(c.GetBody(), marker) {
			r := review{c.GetPath(), c.GetBody(), c.GetLine()}
			there[r] = append(there[r], c.GetID())
		}
		return true
	})
	return there, err
}

// wantedReviews are the review comments of annotations at lines of the diff; all: there are
// no others.
func (g *gitHub) wantedReviews(ctx context.Context, p Pull, marker string, annotations []Annotation) (wanted []review, all bool, err error) {
	if len(annotations) == 0 {
		return nil, true, nil
	}
	diff := map[string][]lines{}
	err = each(func(page github.ListOptions) ([]*github.CommitFile, *github.Response, error) {
		return g.client.PullRequests.ListFiles(ctx, g.owner, g.name, p.Number, &page)
	}, func(f *github.CommitFile) bool {
		diff[f.GetFilename()] = hunks(f.GetPatch())
		return true
	})
	if err != nil {
		return nil, false, err
	}
	all = true
	for _, a := range annotations {
		inDiff := slices.ContainsFunc(diff[a.File], func(l lines) bool { return l.first <= a.Line && a.Line <= l.last })
		if !inDiff || len(wanted) == gitHubReviews {
			all = false
			continue
		}
		wanted = append(wanted, review{a.File, reviewBody(a) + "\n" + marker, a.Line})
	}
	return wanted, all, nil
}

// reviewBody is the text of a review comment. The message may quote what somebody wrote in
// a manifest, so it is code, in which nothing is Markdown or a mention.
func reviewBody(a Annotation) string {
	kind := "Error"
	if a.Warning {
		kind = "Warning"
	}
	text := visible.Text(visible.Cut(a.Message, gitHubMessage))
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fmt.Sprintf("**%s**\n\n%stext\n%s\n%s\n", kind, fence, text, fence)
}

// lines are lines of a file, from 1, both included.
type lines struct{ first, last int }

var hunkHeader = regexp.MustCompile(`^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@`)

// hunks are the lines of the new file that a diff in the unified format shows, changed or
// not. All lines between headers begin with a blank, +, - or \.
func hunks(patch string) []lines {
	var all []lines
	for line := range strings.Lines(patch) {
		m := hunkHeader.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		first, err := strconv.ParseInt(m[1], 10, 32)
		count := int64(1)
		if err == nil && m[2] != "" {
			count, err = strconv.ParseInt(m[2], 10, 32)
		}
		if err == nil && count > 0 {
			all = append(all, lines{int(first), int(first + count - 1)})
		}
	}
	return all
}
