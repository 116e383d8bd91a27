package plan

import (
	"fmt"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// mostMarkdown is how many bytes of changes a comment may have: the forges take
// 65,536 of it all, and the rest is in the other formats.
const mostMarkdown = 50_000

// markdown prints for a comment on a pull request: a table, and the fields of
// each change to be unfolded. Whatever comes from the repository stands in
// <code> or <pre> with all punctuation escaped: neither markup nor a mention of
// a person can be made of it.
func (r Printer) markdown(p Plan) []byte {
	var b strings.Builder
	if p.Marathon != "" {
		fmt.Fprintf(&b, "Marathon %s\n\n", code(p.Marathon))
	}
	fmt.Fprintf(&b, "**%s**\n", total(p))
	if len(r.Outcomes) > 0 {
		fmt.Fprintf(&b, "\n**%s**\n", totalOutcomes(r.Outcomes))
	}
	if p.Sync != "" || p.Revision != "" {
		fmt.Fprintf(&b, "\nSync %s at %s\n", code(p.Sync), code(ShortRevision(p.Revision)))
	}
	if len(p.Problems) > 0 {
		b.WriteString("\n| | problem |\n|---|---|\n")
		for i, problem := range p.Problems {
			if b.Len() > mostMarkdown/2 {
				errors, warnings := manifests.CountProblems(p.Problems[i:])
				fmt.Fprintf(&b, "| | and %d more |\n", errors+warnings)
				break
			}
			fmt.Fprintf(&b, "| ! | %s |\n", code(problem.String()))
		}
	}
	if len(p.Changes) > 0 {
		r.markdownChanges(&b, p)
	}
	markdownNotManaged(&b, p.NotManaged)
	return []byte(b.String())
}

func markdownNotManaged(b *strings.Builder, all []NotManaged) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\nNot managed (%s):\n\n", notManagedWords)
	for i, n := range all {
		if i == mostNotManaged {
			fmt.Fprintf(b, "- and %d more\n", len(all)-i)
			break
		}
		fmt.Fprintf(b, "- %s\n", code(n.words()))
	}
}

func (r Printer) markdownChanges(b *strings.Builder, p Plan) {
	of, _ := r.split(p)
	b.WriteString("\n| | change | why |\n|---|---|---|\n")
	shown := 0
	for _, c := range p.Changes {
		if b.Len() > mostMarkdown {
			fmt.Fprintf(b, "| | and %d more | |\n", len(p.Changes)-shown)
			break
		}
		shown++
		_, words, _ := strings.Cut(headline(c), " ")
		why := code(c.Reason)
		if c.Blocked != nil {
			why += "<br>blocked: " + code(*c.Blocked)
		}
		if o := of[outcomeKey{c.Kind, c.ID}]; o != nil {
			why += "<br>" + code(outcomeWords(*o))
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", code(signs[c.Action]), code(words), why)
	}
	for i, c := range p.Changes[:shown] {
		if len(c.Fields) == 0 {
			continue
		}
		var details strings.Builder
		fmt.Fprintf(&details, "\n<details><summary>%s</summary>\n\n<pre>\n", code(c.ID))
		for _, f := range c.Fields {
			live, desired := values(f)
			fmt.Fprintf(&details, "%s: %s → %s\n", escape(visible.Line(f.Path)), escape(sideOr(f.Live, live)), escape(sideOr(f.Desired, desired)))
		}
		details.WriteString("</pre>\n</details>\n")
		if b.Len()+details.Len() > mostMarkdown {
			fmt.Fprintf(b, "\nThe fields of %d more changes are not shown.\n", shown-i)
			return
		}
		b.WriteString(details.String())
	}
}

// code makes text of the repository a piece of code.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + escape(visible.Line(s)) + "</code>"
}

// escape turns all that Markdown, HTML or a forge give a meaning into entities.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("&<>\"'`*_[]()~#!@|\\", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
