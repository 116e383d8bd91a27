package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// The colours of text, as ANSI escape sequences.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

var colours = map[Action]string{Create: green, Update: yellow, Scale: cyan, Delete: red}

func (r Printer) paint(colour, s string) string {
	if !r.Colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func (r Printer) text(p Plan) []byte {
	var b strings.Builder
	if p.Marathon != "" {
		fmt.Fprintf(&b, "Marathon %s\n", visible.Line(p.Marathon))
	}
	for _, problem := range p.Problems {
		colour := red
		if problem.Severity == manifests.SeverityWarning {
			colour = yellow
		}
		b.WriteString(r.paint(colour, "! "+visible.Line(problem.String())) + "\n")
	}
	of, others := r.split(p)
	for _, c := range p.Changes {
		r.textChange(&b, c, of[outcomeKey{c.Kind, c.ID}])
	}
	for _, o := range others {
		fmt.Fprintf(&b, "%s: %s\n", visible.Line(o.ID), visible.Line(outcomeWords(o)))
	}
	textNotManaged(&b, p.NotManaged)
	if len(p.Problems)+len(p.Changes)+len(others)+len(p.NotManaged) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(total(p) + "\n")
	if len(r.Outcomes) > 0 {
		b.WriteString(totalOutcomes(r.Outcomes) + "\n")
	}
	return []byte(b.String())
}

// mostNotManaged is how many ids of what is not managed text and markdown list: a
// scope may be shared with many.
const mostNotManaged = 20

const notManagedWords = "live in the scope, and neither defined in git nor known to be applied by this sync: not changed"

func textNotManaged(b *strings.Builder, all []NotManaged) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "not managed (%s):\n", notManagedWords)
	for i, n := range all {
		if i == mostNotManaged {
			fmt.Fprintf(b, "    and %d more, listed by -o json\n", len(all)-i)
			break
		}
		b.WriteString("    " + visible.Line(n.words()) + "\n")
	}
}

// words is the id, after its kind where that is no app.
func (n NotManaged) words() string {
	if n.Kind == manifests.KindApp {
		return n.ID
	}
	return string(n.Kind) + " " + n.ID
}

func (r Printer) textChange(b *strings.Builder, c Change, o *Outcome) {
	b.WriteString(r.paint(colours[c.Action], visible.Line(headline(c))))
	if c.File != "" {
		b.WriteString("  " + visible.Line(c.File))
	}
	fmt.Fprintf(b, "\n    %s\n", visible.Line(c.Reason))
	for _, f := range c.Fields {
		live, desired := values(f)
		if c.Action == Create {
			fmt.Fprintf(b, "    %s: %s\n", visible.Line(f.Path), desired)
			continue
		}
		fmt.Fprintf(b, "    %s: %s → %s\n", visible.Line(f.Path), sideOr(f.Live, live), sideOr(f.Desired, desired))
	}
	if c.Blocked != nil {
		b.WriteString(r.paint(yellow, "    ! "+visible.Line(*c.Blocked)) + "\n")
	}
	if o != nil {
		b.WriteString("    = " + visible.Line(outcomeWords(*o)) + "\n")
	}
}

// headline names a change: "~ update /shop/web (tasks will be replaced)".
func headline(c Change) string {
	line := signs[c.Action] + " " + string(c.Action) + " "
	if c.Kind != manifests.KindApp {
		line += string(c.Kind) + " "
	}
	line += c.ID
	if c.Restart {
		line += " (tasks will be replaced)"
	}
	return line
}

func sideOr(v any, s string) string {
	if v == nil {
		return "(none)"
	}
	return s
}

func outcomeWords(o Outcome) string {
	words := o.Result
	if o.Seconds > 0 {
		words += " after " + strconv.FormatFloat(o.Seconds, 'f', 1, 64) + " s"
	}
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	return words
}
