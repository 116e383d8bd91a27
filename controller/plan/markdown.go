package plan

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// Markdown is how a plan is printed where forges show it. Whatever comes from a
// repository is words, or code: neither markup nor a link or a mention of a person can be
// made of it.
type Markdown struct {
	// FileURL is where a line of a file is shown; line 0: the file. Nil, or empty: nowhere.
	FileURL  func(file string, line int) string
	Outcomes []Outcome
	// MaxBytes bounds the text; zero: 50,000, of the 65,536 that a comment may have.
	MaxBytes int
}

// defaultMarkdown leaves room in a comment for what stands around a plan.
const defaultMarkdown = 50_000

// Render prints problems, changes and what is not managed. isWhole is false where
// something had to be left out, which the text says.
func (m Markdown) Render(p Plan) (text string, isWhole bool) {
	w := markdownWriter{Markdown: m, most: cmp.Or(m.MaxBytes, defaultMarkdown), whole: true}
	w.problems(p.Problems)
	w.changes(p)
	w.notManaged(p.NotManaged)
	return w.String(), w.whole
}

// Verdict says in one line what plans come to:
//
//	3 errors in manifests · 1 create, 2 restart, 1 update, 1 scale, 1 delete · 1 needs approval · 2 blocked · 118 unchanged
//
// without what there is none of; an update that keeps all tasks is update, one that
// replaces them restart.
func Verdict(plans ...Plan) string {
	var sum Summary
	var restarts, approvable, blocked, errors int
	for _, p := range plans {
		sum.Create, sum.Update, sum.Scale, sum.Delete, sum.None = sum.Create+p.Summary.Create, sum.Update+p.Summary.Update, sum.Scale+p.Summary.Scale, sum.Delete+p.Summary.Delete, sum.None+p.Summary.None
		n, _ := manifests.CountProblems(p.Problems)
		errors += n
		for _, c := range p.Changes {
			if c.Action == Update && c.Restart {
				restarts++
			}
			switch {
			case c.Blocked == nil:
			case c.Approvable:
				approvable++
			default:
				blocked++
			}
		}
	}
	changes := counted(", ", count{sum.Create, "create", ""}, count{restarts, "restart", ""}, count{sum.Update - restarts, "update", ""}, count{sum.Scale, "scale", ""}, count{sum.Delete, "delete", ""})
	return counted(" · ", count{errors, "error in manifests", "errors in manifests"}, count{-1, cmp.Or(changes, "no changes"), ""},
		count{approvable, "needs approval", "need approval"}, count{blocked, "blocked", ""}, count{sum.None, "unchanged", ""})
}

// count is a number and what it counts; negative: words without a number.
type count struct {
	n         int
	one, many string // many: empty where it is the same
}

// counted joins what there is any of.
func counted(between string, all ...count) string {
	var parts []string
	for _, c := range all {
		switch {
		case c.n < 0:
			parts = append(parts, c.one)
		case c.n == 1:
			parts = append(parts, "1 "+c.one)
		case c.n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", c.n, cmp.Or(c.many, c.one)))
		}
	}
	return strings.Join(parts, between)
}

// markdown prints a plan by itself: what it is about, the verdict, and the plan.
func (r Printer) markdown(p Plan) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n", Verdict(p))
	if len(r.Outcomes) > 0 {
		fmt.Fprintf(&b, "\n**%s**\n", totalOutcomes(r.Outcomes))
	}
	var about []string
	for _, a := range []struct{ what, value string }{{"Sync", p.Sync}, {"at", ShortRevision(p.Revision)}, {"on Marathon", p.Marathon}} {
		if a.value != "" {
			about = append(about, a.what+" "+visible.MarkdownCode(a.value))
		}
	}
	if len(about) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(about, " "))
	}
	text, _ := Markdown{Outcomes: r.Outcomes}.Render(p)
	b.WriteString(text)
	return []byte(b.String())
}

// markdownWriter is a text that grows up to a bound.
type markdownWriter struct {
	Markdown
	strings.Builder
	most  int
	whole bool
}

// fits reports whether so much more leaves a share of the room for what comes later.
func (w *markdownWriter) fits(text string, share int) bool {
	return w.Len()+len(text) <= w.most*share/100
}

// problems lists errors and then warnings, with a link to each.
func (w *markdownWriter) problems(all []manifests.Problem) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b manifests.Problem) int { return cmp.Compare(severity(a), severity(b)) })
	for i, p := range all {
		line := fmt.Sprintf("- **%s** %s%s\n", p.Severity, w.place(p), visible.Markdown(problemText(p)))
		if i == 0 {
			line = "\n" + line
		}
		if !w.fits(line, 50) {
			fmt.Fprintf(w, "- and %s\n", manifests.ProblemWords(all[i:]))
			w.whole = false
			return
		}
		w.WriteString(line)
	}
}

func severity(p manifests.Problem) int {
	if p.Severity == manifests.SeverityWarning {
		return 1
	}
	return 0
}

func problemText(p manifests.Problem) string {
	if p.ID == "" {
		return visible.Words(p.Message)
	}
	return visible.Words(p.ID + ": " + p.Message)
}

// place is file:line:column, as a link where there is a page of it.
func (w *markdownWriter) place(p manifests.Problem) string {
	if p.File == "" {
		return ""
	}
	place := p.File
	if p.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return w.link(visible.MarkdownCode(place), p.File, p.Line) + " "
}

func (w *markdownWriter) link(text, file string, line int) string {
	if w.FileURL == nil || file == "" {
		return text
	}
	url := w.FileURL(file, line)
	if url == "" || strings.ContainsAny(url, " <>()\n\\") || strings.ContainsAny(text, "[]") {
		return text
	}
	return "[" + text + "](" + url + ")"
}

// changes is a table, with what removes or restarts tasks first, and below it the fields
// of each change, folded.
func (w *markdownWriter) changes(p Plan) {
	if len(p.Changes) == 0 {
		return
	}
	all := slices.Clone(p.Changes)
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(danger(a), danger(b)) })
	of, _ := Printer{Outcomes: w.Outcomes}.split(p)
	w.WriteString("\n| change | of | why |\n|---|---|---|\n")
	shown := 0
	for _, c := range all {
		line := w.row(c, of[outcomeKey{c.Kind, c.ID}])
		if !w.fits(line, 75) {
			fmt.Fprintf(w, "| … | and %d more | |\n", len(all)-shown)
			w.whole = false
			break
		}
		w.WriteString(line)
		shown++
	}
	w.fields(all[:shown])
}

// danger sorts changes by what they do to tasks that run.
func danger(c Change) int {
	switch {
	case c.Action == Delete:
		return 0
	case c.Action == Update && c.Restart:
		return 1
	case c.Action == Update:
		return 2
	case c.Action == Scale:
		return 3
	}
	return 4
}

func (w *markdownWriter) row(c Change, o *Outcome) string {
	why := []string{visible.Markdown(c.Reason)}
	if c.Blocked != nil {
		words := "blocked"
		if c.Approvable {
			words = "needs approval"
		}
		why = append(why, "**"+words+"**: "+visible.Markdown(*c.Blocked))
	}
	if o != nil {
		why = append(why, visible.Markdown(outcomeWords(*o)))
	}
	name := visible.MarkdownCode(c.ID)
	if c.Kind != manifests.KindApp {
		name = string(c.Kind) + " " + name
	}
	return fmt.Sprintf("| %s | %s | %s |\n", effect(c), visible.Cell(w.link(name, c.File, 0)), visible.Cell(strings.Join(why, "<br>")))
}

// effect says what a change does to tasks.
func effect(c Change) string {
	switch {
	case c.Action == Update && c.Restart:
		return "**restart**"
	case c.Action == Update:
		return "update, no task restarts"
	case c.Action == Delete:
		return "**delete**"
	case c.Action == Scale:
		for _, f := range c.Fields {
			if f.Path == "/instances" || f.Path == "/scaling/instances" {
				live, desired := values(f)
				return visible.Cell(fmt.Sprintf("scale: %s → %s, no task restarts", visible.Markdown(sideOr(f.Live, live)), visible.Markdown(sideOr(f.Desired, desired))))
			}
		}
		return "scale, no task restarts"
	}
	return string(c.Action)
}

// fields shows what differs, as a diff.
func (w *markdownWriter) fields(all []Change) {
	for i, c := range all {
		if len(c.Fields) == 0 {
			continue
		}
		var diff strings.Builder
		for _, f := range c.Fields {
			live, desired := values(f)
			if f.Live != nil {
				fmt.Fprintf(&diff, "- %s: %s\n", visible.Line(f.Path), visible.Line(live))
			}
			if f.Desired != nil {
				fmt.Fprintf(&diff, "+ %s: %s\n", visible.Line(f.Path), visible.Line(desired))
			}
		}
		details := fmt.Sprintf("\n<details><summary><code>%s</code></summary>\n\n%s\n</details>\n", html.EscapeString(visible.Line(c.ID)), visible.MarkdownBlock("diff", diff.String()))
		if !w.fits(details, 90) {
			fmt.Fprintf(w, "\nThe fields of %d more changes are not shown.\n", len(all)-i)
			w.whole = false
			return
		}
		w.WriteString(details)
	}
}

func (w *markdownWriter) notManaged(all []NotManaged) {
	if len(all) == 0 {
		return
	}
	var list strings.Builder
	fmt.Fprintf(&list, "\n<details><summary>%d not managed</summary>\n\nThese are %s.\n\n", len(all), notManagedWords)
	for i, n := range all {
		if i == mostNotManaged {
			fmt.Fprintf(&list, "- and %d more\n", len(all)-i)
			break
		}
		fmt.Fprintf(&list, "- %s\n", visible.MarkdownCode(n.words()))
	}
	list.WriteString("\n</details>\n")
	if !w.fits(list.String(), 100) {
		fmt.Fprintf(w, "\n%d more are not managed.\n", len(all))
		w.whole = false
		return
	}
	w.WriteString(list.String())
}
