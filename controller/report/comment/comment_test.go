package comment

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func fileURL(file string, line int) string {
	return fmt.Sprintf("https://git.example.com/pulls/7/files?file=%x&line=%d", file, line)
}

func scale(id string, from, to float64) plan.Change {
	return plan.Change{ID: id, Kind: manifests.KindApp, Action: plan.Scale, File: id[1:] + ".json", Reason: "only instances differ: tasks are kept",
		Fields: []manifests.FieldDiff{{Path: "/instances", Live: from, Desired: to}}}
}

// sample is the plan of the issue that asks for this.
func sample() plan.Plan {
	p := plan.Plan{Sync: "shop", Summary: plan.Summary{Update: 2, Scale: 1, Delete: 1, None: 118}}
	p.Changes = []plan.Change{
		scale("/shop/cart", 3, 5),
		{ID: "/shop/web", Kind: manifests.KindApp, Action: plan.Update, Restart: true, File: "web.json", Reason: "cmd differs: every task is replaced",
			Fields: []manifests.FieldDiff{{Path: "/cmd", Live: "./serve", Desired: "./serve --new"}}},
		{ID: "/shop/api", Kind: manifests.KindApp, Action: plan.Update, Restart: true, File: "api.json", Reason: "env differs: every task is replaced",
			Fields: []manifests.FieldDiff{{Path: "/env/MODE", Desired: "fast"}}},
		{ID: "/shop/old", Kind: manifests.KindApp, Action: plan.Delete, Reason: "no longer defined in git", Approvable: true, Blocked: new("prune is confirm: run pacer approve shop /shop/old")},
	}
	return p
}

func comments() map[string]Comment {
	base, head := Side{"main", "4a1b2c3d4e5f60718293a4b5c6d7e8f901234567"}, Side{"more-carts", "89abcdef0123456789abcdef0123456789abcdef"}
	one := Comment{Name: "shop", Base: base, Head: head, Merge: ByPacer, FileURL: fileURL, URL: "https://pacer.example.com/pulls/shop/7", Parts: []Part{{Sync: "shop", Plan: sample()}}}
	two := one
	broken := plan.Plan{Summary: plan.Summary{None: 3}, Problems: []manifests.Problem{
		{File: "prod/web.json", Line: 4, Column: 3, ID: "/shop/web", Severity: manifests.SeverityError, Message: `cpus is "1", a string: write the number 1 without quotes`},
		{File: "prod/old.yaml", Line: 1, Column: 1, Severity: manifests.SeverityWarning, Message: "no app is defined here"},
	}}
	two.Parts = []Part{{Sync: "berlin", Marathon: "berlin", Plan: plan.Plan{Summary: plan.Summary{Scale: 1, None: 2}, Changes: []plan.Change{scale("/shop/cart", 3, 5)}}}, {Sync: "dublin", Marathon: "dublin", Plan: broken, Notes: []string{"This sync is suspended: after the merge nothing is changed until it is resumed."}}}
	none, waits, conflicts, headOnly, failed, merged := one, one, one, one, one, one
	none.Parts = nil
	waits.Waits = "It comes from a fork: it is planned once a maintainer sets the label pacer/plan."
	waits.Memory.Seen = head.Commit
	conflicts.Conflicts = []string{"web.json", "a b/`c`.json"}
	headOnly.Merge = HeadOnly
	behind := headOnly
	behind.Behind = 4
	failed.Parts = []Part{{Sync: "shop", Error: "cannot read Marathon: no answer from http://m1:8080"}}
	merged.Outcomes = []Outcome{{Sync: "shop", Verdict: "applied", Detail: "healthy after 42 s", URL: "https://pacer.example.com/?sync=shop"}}
	merged.Memory.Finished = true
	return map[string]Comment{"one": one, "two": two, "none": none, "waits": waits, "conflicts": conflicts, "head": headOnly, "behind": behind, "failed": failed, "merged": merged}
}

func TestRender(t *testing.T) {
	for name, c := range comments() {
		got, file := c.Render(65536), filepath.Join("testdata", name+".md")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if diff := cmp.Diff(string(want), got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		if m, ok := ParseMemory(got); !ok || m != c.Memory {
			t.Errorf("%s: remembers %+v, %v; want %+v", name, m, ok, c.Memory)
		}
	}
}

// What reviewers look for first is the first line.
func TestTheFirstLineIsTheVerdict(t *testing.T) {
	for name, want := range map[string]string{
		"one":       "**2 restart, 1 scale, 1 delete · 1 needs approval · 118 unchanged**",
		"none":      "**No sync is touched.**",
		"conflicts": "**Conflicts with `main`** in `web.json`, ``a b/`c`.json``: resolve them, and the merge is planned.",
		"failed":    "**Cannot be planned**",
	} {
		if got, _, _ := strings.Cut(comments()[name].Render(65536), "\n"); got != want {
			t.Errorf("%s begins with %q, want %q", name, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for want, plans := range map[string][]plan.Plan{
		"no changes":                       {{}},
		"no changes · 7 unchanged":         {{Summary: plan.Summary{None: 7}}},
		"1 update · 1 blocked":             {{Summary: plan.Summary{Update: 1}, Changes: []plan.Change{{Action: plan.Update, Blocked: new("x")}}}},
		"2 errors in manifests · 1 create": {{Summary: plan.Summary{Create: 1}, Problems: []manifests.Problem{{Severity: manifests.SeverityError, More: 2}, {Severity: manifests.SeverityWarning}}}},
		"4 restart, 2 scale, 2 delete · 2 need approval · 236 unchanged": {sample(), sample()},
	} {
		if got := plan.Verdict(plans...); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStatusText(t *testing.T) {
	at := func(file string, line int, s manifests.Severity) manifests.Problem {
		return manifests.Problem{File: file, Line: line, Severity: s, Message: "x"}
	}
	long := strings.Repeat("é", 200) + ".json"
	for want, problems := range map[string][]manifests.Problem{
		"2 restart, 1 scale, 1 delete · 1 needs approval · 118 unchanged": {at("a.json", 1, manifests.SeverityWarning)},
		"1 error in manifests: shop.json:4":                               {at("a.json", 1, manifests.SeverityWarning), at("shop.json", 4, manifests.SeverityError)},
		"2 errors in manifests: shop.json:4…":                             {at("shop.json", 4, manifests.SeverityError), at("b.json", 1, manifests.SeverityError)},
		"1 error in manifests":                                            {at(".", 0, manifests.SeverityError)},
		`1 error in manifests: a\nb.json`:                                 {at("a\nb.json", 0, manifests.SeverityError)},
		"1 error in manifests: " + strings.Repeat("é", 117) + "…":         {at(long, 1, manifests.SeverityError)},
	} {
		p := sample()
		p.Problems = problems
		if got := StatusText(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := ConflictsText("main", []string{"shop.json", "web.json"}), "conflicts with main: shop.json, web.json"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ConflictsText("main", []string{long}); utf8.RuneCountInString(got) != maxStatus || !strings.HasSuffix(got, "…") {
		t.Errorf("got %q", got)
	}
}

// A comment is as long as it may be, remembers all that it should, and says that
// something is missing and where it is.
func TestLongPlansAreCut(t *testing.T) {
	c := comments()["two"]
	for i := range c.Parts {
		for n := range 3000 {
			c.Parts[i].Plan.Changes = append(c.Parts[i].Plan.Changes, scale(fmt.Sprintf("/shop/app%d", n), 3, 5))
			c.Parts[i].Plan.Problems = append(c.Parts[i].Plan.Problems, manifests.Problem{File: "a.json", Severity: manifests.SeverityError, Message: "x"})
		}
	}
	c.Memory = Memory{Labelled: "x", Finished: true}
	for _, most := range []int{2000, 5000, 65536, 8 << 20} {
		text := c.Render(most)
		if m, ok := ParseMemory(text); len(text) > most || !ok || m != c.Memory {
			t.Errorf("%d of %d bytes, remembers %+v %v", len(text), most, m, ok)
		}
		if isCut := strings.Contains(text, "[the whole plan](https://pacer.example.com/pulls/shop/7)"); isCut != (most < 8<<20) {
			t.Errorf("%d bytes: says that it is cut: %v", most, isCut)
		}
		if most >= 65536 && (!strings.Contains(text, "`dublin`") || !strings.Contains(text, "more")) {
			t.Errorf("%d bytes: the second sync has no room", most)
		}
	}
}

func TestMemoryIsReadFromNothingElse(t *testing.T) {
	for _, body := range []string{"", "<!-- pacer ", "<!-- pacer a b", "<!-- pacer a !!! -->", "<!-- pacer a " + strings.Repeat("A", 1<<20) + " -->", "<!-- pacer a bm8 -->"} {
		if m, ok := ParseMemory(body); ok {
			t.Errorf("%.40q: %+v", body, m)
		}
	}
	if Marker("a") == Marker("b") || strings.HasPrefix(Marker("ab"), strings.TrimSpace(Marker("a"))+" ") {
		t.Error("two sources have one marker")
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add(comments()["merged"].Render(65536))
	f.Fuzz(func(t *testing.T, body string) {
		if m, ok := ParseMemory(body); ok {
			c := Comment{Name: "x", Memory: m}
			if again, ok := ParseMemory(c.Render(65536)); !ok || again.Finished != m.Finished {
				t.Errorf("%+v is read again as %+v %v", m, again, ok)
			}
		}
	})
}

// What acts in Markdown as forges read it.
var hostile = []string{
	"@team", "#12", "!12", "GH-12", "shop/web#3", "https://evil.example", "www.evil.example", "a@b.example", "[x](http://y)", "![x](http://y)", "<script>", "</details>",
	"-->", "<!-- pacer", "`", "``", "|", "\\", "\\|", "*", "_", "~~", "\n", "\n\n# x", "\n```\n", "- ", "> ", "&lt;", "&#64;", "deadbeef00", ":tada:", "\u202e", "1. ", " ", "word", "$x$", "[ ]", "\t",
}

// command is a quick action of GitLab, and what bots take for one, such as "/approve".
var command = regexp.MustCompile(`(?m)^\s*/`)

var ours = regexp.MustCompile(`^<(br|/?details|/?summary|/?code)>$`)

// Whatever stands in a repository, in Marathon and in the names of branches, nothing of
// it acts in a comment: it shows as what it is.
func TestNothingOfAStrangerActs(t *testing.T) {
	word := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(hostile), 1, 6).Draw(t, "word"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		say := func(what string) string { return word.Draw(t, what) }
		p := plan.Plan{Summary: plan.Summary{Update: 1, Delete: 1}, Changes: []plan.Change{
			{ID: say("id"), Kind: manifests.KindApp, Action: plan.Update, File: say("file"), Reason: say("reason"), Fields: []manifests.FieldDiff{{Path: say("path"), Live: say("live"), Desired: say("desired")}}},
			{ID: say("id"), Kind: manifests.KindPod, Action: plan.Delete, Reason: say("reason"), Blocked: new(say("blocked"))},
			{ID: say("id"), Kind: manifests.KindApp, Action: plan.Scale, Fields: []manifests.FieldDiff{{Path: "/instances", Live: say("live"), Desired: say("desired")}}},
		}, Problems: []manifests.Problem{{File: say("file"), Line: 3, ID: say("id"), Severity: manifests.SeverityError, Message: say("message")}},
			NotManaged: []plan.NotManaged{{ID: say("id"), Kind: manifests.KindApp}}}
		c := Comment{Name: say("name"), Base: Side{say("branch"), "abc"}, Head: Side{say("branch"), "def"}, FileURL: fileURL,
			Parts: []Part{{Sync: "a", Plan: p, Notes: []string{say("note")}}, {Sync: "b", Error: say("error")}}, Outcomes: []Outcome{{Sync: "a", Verdict: "failed", Detail: say("detail")}}}
		if rapid.Bool().Draw(t, "conflicts") {
			c.Conflicts = []string{say("file")}
		}
		body := c.Render(65536)
		if n := strings.Count(body, "<!--"); n != 1 || strings.Count(body, Marker(c.Name)) != 1 {
			t.Fatalf("%d markers:\n%s", n, body)
		}
		if what := acting(body); what != "" {
			t.Fatalf("%s:\n%s", what, body)
		}
		if command.MatchString(body) {
			t.Fatalf("a line is a command to a forge or a bot:\n%s", body)
		}
	})
}

// FuzzMarkdown is the same for one text in every place of a printed plan.
func FuzzMarkdown(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add("a www.example.com")
	f.Fuzz(func(t *testing.T, s string) {
		p := plan.Plan{
			Sync: s, Marathon: s, Revision: s,
			Changes:    []plan.Change{{ID: s, Kind: manifests.KindApp, Action: plan.Update, File: s, Reason: s, Blocked: &s, Fields: []manifests.FieldDiff{{Path: s, Live: s, Desired: s}}}},
			Problems:   []manifests.Problem{{File: s, Message: s}},
			NotManaged: []plan.NotManaged{{ID: s, Kind: manifests.KindApp}},
		}
		var b strings.Builder
		if err := plan.Write(&b, p, "markdown"); err != nil {
			t.Fatal(err)
		}
		if what := acting(b.String()); what != "" {
			t.Errorf("%q: %s:\n%s", s, what, b.String())
		}
	})
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()

// acting finds what acts in Markdown beside what is ours; empty: nothing does.
func acting(body string) (what string) {
	source := []byte(body)
	found := func(format string, args ...any) (ast.WalkStatus, error) {
		what = fmt.Sprintf(format, args...)
		return ast.WalkStop, nil
	}
	details := 0
	_ = ast.Walk(markdown.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan, *ast.FencedCodeBlock:
			return ast.WalkSkipChildren, nil
		case *ast.Link:
			if !strings.HasPrefix(string(n.Destination), "https://git.example.com/pulls/7/files?file=") {
				return found("a link to %s", n.Destination)
			}
		case *ast.AutoLink, *ast.Image, *ast.CodeBlock:
			return found("a %s", n.Kind())
		case *ast.RawHTML:
			for i := range n.Segments.Len() {
				at := n.Segments.At(i)
				if tag := string(at.Value(source)); !ours.MatchString(tag) {
					return found("the tag %s", tag)
				}
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				at := n.Lines().At(i)
				line := string(at.Value(source))
				details += strings.Count(line, "<details>") - strings.Count(line, "</details>")
				if plain := ourBlocks.ReplaceAllString(line, ""); strings.Contains(plain, "<") {
					return found("HTML %q", line)
				}
			}
		case *ast.Text:
			at := n.Segment
			if s := string(at.Value(source)); strings.ContainsAny(s, "@#!<>`") || references.MatchString(s) {
				return found("the text %q", s)
			}
		}
		return ast.WalkContinue, nil
	})
	if what == "" && details != 0 {
		what = fmt.Sprintf("%d details stay open", details)
	}
	return what
}

// references are what forges link though it is no markup.
var references = regexp.MustCompile(`(?i)\bGH-[0-9]|\b[0-9a-f]{7,}\b|\b[a-z]+-[0-9]+\b|://|\bwww\.`)

var ourBlocks = regexp.MustCompile(`<(/?details|/?summary|/?code)>|<!-- pacer \S+ \S+ -->`)
