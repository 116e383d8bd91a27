package forge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
)

// numbered is a file of so many lines, of which some are different.
func numbered(lines int, different ...int) string {
	var b strings.Builder
	for i := 1; i <= lines; i++ {
		text := fmt.Sprint("line ", i)
		if slices.Contains(different, i) {
			text += " changed"
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

func TestGitHubAnnotatesByCheck(t *testing.T) {
	w, g := gitHubWorld(t)
	f := openApp(t, g, "pacer")
	other := openApp(t, g, "another")
	n := w.Open(forgetest.Opening{Files: change(1)})
	p, err := f.Pull(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	annotate := func(f Forge, wantShown bool, all ...Annotation) {
		t.Helper()
		shown, err := f.Annotate(t.Context(), p, "pacer/shop", all)
		if shown != wantShown || err != nil {
			t.Fatalf("shown %t, %v", shown, err)
		}
	}
	// The newest check of the name is what GitHub shows.
	newest := func() forgetest.Check {
		t.Helper()
		checks := slices.DeleteFunc(w.Checks(p.HeadCommit), func(c forgetest.Check) bool { return c.App != "pacer" })
		if len(checks) == 0 {
			t.Fatal("there is no check")
		}
		return checks[len(checks)-1]
	}
	annotate(f, true)
	if all := w.Checks(p.HeadCommit); len(all) != 0 {
		t.Errorf("a check without a problem: %+v", all)
	}
	failing := Annotation{File: "app-1.json", Line: 1, Column: 2, Message: "id is missing"}
	warning := Annotation{File: "other.json", Line: 7, Warning: true, Message: "unknown <field>"}
	annotate(other, true, warning)
	annotate(f, true, failing, warning)
	c := newest()
	if c.Name != "pacer/shop" || c.Status != "completed" || c.Conclusion != "failure" || c.Title != "errors: 1, warnings: 1" || len(c.Annotations) != 2 ||
		c.Annotations[0] != (forgetest.Annotation{File: "app-1.json", Line: 1, Column: 2, Level: "failure", Text: "id is missing"}) || c.Annotations[1].Level != "warning" || c.Annotations[1].Column != 0 {
		t.Errorf("%+v", c)
	}
	before := len(w.Checks(p.HeadCommit))
	annotate(f, true, failing, warning)
	if after := len(w.Checks(p.HeadCommit)); after != before {
		t.Errorf("the same annotations made %d checks", after-before)
	}
	annotate(f, true, warning)
	if c := newest(); c.Conclusion != "neutral" || len(c.Annotations) != 1 {
		t.Errorf("%+v", c)
	}
	annotate(f, true)
	if c := newest(); c.Conclusion != "success" || len(c.Annotations) != 0 || c.Title != "no problems" {
		t.Errorf("%+v", c)
	}

	many := make([]Annotation, gitHubAnnotations+1)
	for i := range many {
		many[i] = Annotation{File: "app-1.json", Line: i + 1, Message: fmt.Sprint("problem ", i)}
	}
	g.Break(forgetest.Fault{Method: "PATCH", Path: "/check-runs/", Times: 1, Status: 502})
	if shown, err := f.Annotate(t.Context(), p, "pacer/shop", many[:120]); shown || err == nil {
		t.Errorf("with a fault: %t, %v", shown, err)
	}
	if c := newest(); c.Status != "in_progress" || c.Conclusion != "" {
		t.Errorf("a check whose annotations are not all there is %s: %s", c.Status, c.Conclusion)
	}
	annotate(f, true, many[:120]...)
	if c := newest(); c.Status != "completed" || len(c.Annotations) != 120 || c.Annotations[119].Text != "problem 119" || c.Annotations[50].Text != "problem 50" {
		t.Errorf("%d annotations, %s", len(c.Annotations), c.Status)
	}
	annotate(f, true, many[:100]...)
	if c := newest(); c.Status != "completed" || len(c.Annotations) != 100 {
		t.Errorf("%d annotations, %s", len(c.Annotations), c.Status)
	}
	annotate(f, false, many...)
	if c := newest(); c.Status != "completed" || len(c.Annotations) != gitHubAnnotations {
		t.Errorf("%d annotations, %s", len(c.Annotations), c.Status)
	}
	for _, c := range w.Checks(p.HeadCommit) {
		if c.App == "another" && len(c.Annotations) != 1 {
			t.Errorf("another App's check was changed: %+v", c)
		}
	}
}

func TestGitHubAnnotatesByReview(t *testing.T) {
	w, g := gitHubWorld(t)
	w.Repo.Commit("Long", map[string]string{"long.json": numbered(40)})
	f := openAs(t, g, nil)
	n := w.Open(forgetest.Opening{Files: map[string]string{"long.json": numbered(40, 20), "new.json": numbered(3), "a/b c.json": "{}\n"}})
	pull := func() Pull {
		t.Helper()
		p, err := f.Pull(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	annotate := func(name string, wantShown bool, all ...Annotation) {
		t.Helper()
		shown, err := f.Annotate(t.Context(), pull(), name, all)
		if shown != wantShown || err != nil {
			t.Fatalf("shown %t, %v", shown, err)
		}
	}
	places := func(author string) string {
		var out []string
		for _, r := range w.Pull(n).Reviews {
			if r.Author == author {
				out = append(out, fmt.Sprintf("%s:%d", r.File, r.Line))
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	at := func(file string, line int) Annotation { return Annotation{File: file, Line: line, Message: "bad"} }
	marker := "<!-- pacer-annotation pacer%2Fshop -->"
	w.Review(n, "mallory", "new.json", 1, "not Pacer's "+marker)
	w.Review(n, "pacer", "new.json", 1, "Pacer's, of another name <!-- pacer-annotation pacer%2Fshop2 -->")
	others := "new.json:1"

	annotate("pacer/shop", true)
	// Three lines around line 20 are in the diff.
	annotate("pacer/shop", true, at("long.json", 17), at("long.json", 23), at("new.json", 3), at("a/b c.json", 1))
	if got := places("pacer"); got != "a/b c.json:1 long.json:17 long.json:23 "+others+" new.json:3" {
		t.Errorf("review comments: %s", got)
	}
	annotate("pacer/shop", false, at("long.json", 16), at("long.json", 20), at("long.json", 24), at("unchanged.json", 1))
	if got := places("pacer"); got != "long.json:20 "+others {
		t.Errorf("review comments: %s", got)
	}
	id := w.Pull(n).Reviews[2].ID
	annotate("pacer/shop", true, at("long.json", 20))
	if r := w.Pull(n).Reviews; len(r) != 3 || r[2].ID != id {
		t.Errorf("a review comment that is still right was replaced: %+v", r)
	}
	annotate("pacer/shop", true, Annotation{File: "long.json", Line: 20, Warning: true, Message: "```\n@ada <!-- \x1b[31m"})
	last := w.Pull(n).Reviews[2]
	if want := "**Warning**\n\n````text\n```\n@ada <!-- \\x1b[31m\n````\n\n" + marker; last.Body != want {
		t.Errorf("%q, expected %q", last.Body, want)
	}

	// An answer that is lost is no second comment.
	g.Break(forgetest.Fault{Method: "POST", Path: "/comments", Times: 1, Late: true, Status: 502})
	if shown, err := f.Annotate(t.Context(), pull(), "pacer/shop", []Annotation{at("new.json", 2)}); shown || err == nil {
		t.Errorf("with a fault: %t, %v", shown, err)
	}
	annotate("pacer/shop", true, at("new.json", 2))
	if got := places("pacer"); got != others+" new.json:2" {
		t.Errorf("review comments: %s", got)
	}

	// A push moves on: what is outdated is made anew at the present head.
	old := pull()
	w.Push(n, "More", map[string]string{"new.json": numbered(3, 1)})
	if shown, err := f.Annotate(t.Context(), old, "pacer/shop", []Annotation{at("new.json", 3)}); shown || err != nil {
		t.Errorf("for a head that is no longer: %t, %v", shown, err)
	}
	annotate("pacer/shop", true, at("new.json", 2))
	if r := w.Pull(n).Reviews; len(r) != 3 || r[2].Commit != w.Pull(n).HeadCommit || r[2].Line != 2 {
		t.Errorf("after a push: %+v", r)
	}
	annotate("pacer/shop", true)
	if got := places("pacer"); got != others || places("mallory") != "new.json:1" {
		t.Errorf("at last: %s; %s", got, places("mallory"))
	}

	w.Push(n, "Many", map[string]string{"many.json": numbered(gitHubReviews + 5)})
	var many []Annotation
	for i := range gitHubReviews + 1 {
		many = append(many, at("many.json", i+1))
	}
	annotate("pacer/shop", false, many...)
	if got := len(w.Pull(n).Reviews) - 2; got != gitHubReviews {
		t.Errorf("%d review comments", got)
	}
}

func TestLinesOfADiff(t *testing.T) {
	for patch, want := range map[string]string{
		"@@ -1,2 +3,4 @@ func\n a\n+b\n":                       "[{3 6}]",
		"@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file":    "[{1 1}]",
		"@@ -0,0 +1,3 @@\n+@@ -1 +9 @@\n+b\n+c":                "[{1 3}]",
		"@@ -1,3 +0,0 @@\n-a\n-b\n-c":                          "[]",
		"@@ -1,2 +3,4 @@\n a\n@@ -10,2 +12,1 @@\n b\n":         "[{3 6} {12 12}]",
		"@@ -1 +99999999999999999999 @@\n@@ -1 +1,99999999999": "[]",
		"": "[]",
	} {
		if got := fmt.Sprint(hunks(patch)); got != want {
			t.Errorf("%q: %s, expected %s", patch, got, want)
		}
	}
}

func FuzzLinesOfADiff(f *testing.F) {
	f.Add("@@ -1,2 +3,4 @@ func\n a\n+b\n")
	f.Add("@@ -1,2 +2147483647,2147483647 @@")
	f.Fuzz(func(t *testing.T, patch string) {
		all := hunks(patch)
		if len(all) > strings.Count(patch, "@@ -") {
			t.Errorf("%d hunks", len(all))
		}
		for _, l := range all {
			if l.last < l.first || l.first < 0 {
				t.Errorf("%+v", l)
			}
		}
	})
}
