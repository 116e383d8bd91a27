// Package comment says what a plan of a pull request comes to: the one comment on it,
// in Markdown.
//
// It is pure: values in, text out. When what is said, and where, is package report's; how
// a plan looks in Markdown is package plan's.
package comment

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// Comment is all that a comment on a pull request says.
type Comment struct {
	Name       string // of the source: by it the comment is found again
	Base, Head Side
	Merge      Merge
	Behind     int      // how many commits of Base the head lacks, where it is planned alone; 0: not known
	Conflicts  []string // files, where Base and Head cannot be merged
	Waits      string   // what a plan waits for, as a sentence in Markdown's words; empty: nothing
	Parts      []Part   // one for each sync that is touched
	Outcomes   []Outcome
	Memory     Memory
	// FileURL is where a line of a file is shown in the pull request; line 0: the file.
	FileURL func(file string, line int) string
	URL     string // where the whole plan is shown; empty: nowhere
}

// Side is a branch, and the commit that it was at.
type Side struct{ Branch, Commit string }

// Merge is what was planned.
type Merge string

// What may be planned.
const (
	ByForge  Merge = "forge" // the merge that the forge keeps
	ByPacer  Merge = "here"  // a merge made by Pacer
	HeadOnly Merge = "head"  // the head alone
)

// Part is the plan for one sync.
type Part struct {
	Sync     string
	Marathon string // name of its cluster; empty: there is one
	URL      string // where its plan is shown; empty: nowhere
	Plan     plan.Plan
	Error    string // why there is none; empty: there is one
	// Notes are what else to know of the sync, such as that it is suspended: sentences.
	Notes []string
}

// Outcome is what became of a pull request that was merged, for one sync.
type Outcome struct {
	Sync string
	// Verdict is in a word what became of it: applied, failed, reverted, superseded, waits.
	Verdict string
	// Detail is a clause that follows it: "healthy after 42 s".
	Detail string
	URL    string
}

// Memory is what the next one who writes the comment has to know. It stands in the
// comment, hidden, since nothing else outlives a leader everywhere.
type Memory struct {
	// Labelled is the head at which the label was seen that lets a fork be planned.
	Labelled string `json:"labelled,omitempty"`
	// Seen is the head that was seen without it last.
	Seen string `json:"seen,omitempty"`
	// Finished: the pull request was merged, and its outcome is told.
	Finished bool `json:"finished,omitempty"`
}

// Marker is what every comment of a source contains, and no other.
func Marker(name string) string { return "<!-- pacer " + encode(name) + " " }

// encode keeps a name from ending the HTML comment that it stands in.
func encode(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// maxMemory bounds what is read of a comment, which others can edit on some forges.
const maxMemory = 4 << 10

// ParseMemory reads what a comment remembers; false: it remembers nothing.
func ParseMemory(body string) (m Memory, ok bool) {
	last := strings.LastIndex(body, "<!-- pacer ")
	if last < 0 {
		return Memory{}, false
	}
	_, rest, _ := strings.Cut(body[last+len("<!-- pacer "):], " ")
	text, _, closed := strings.Cut(rest, " -->")
	if !closed || len(text) > maxMemory {
		return Memory{}, false
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(plain, &m) != nil {
		return Memory{}, false
	}
	return m, true
}

// hidden is the end of every comment.
func (c Comment) hidden() string {
	text, _ := json.Marshal(c.Memory) // it has strings and booleans only
	return Marker(c.Name) + base64.RawURLEncoding.EncodeToString(text) + " -->\n"
}

// Render is the text of the comment, of at most so many bytes. The first line is the
// outcome, or else the verdict, since mails and lists show no more.
func (c Comment) Render(maxBytes int) string {
	var head strings.Builder
	c.writeOutcomes(&head)
	for _, line := range c.verdicts() {
		head.WriteString(line + "\n")
	}
	if about := c.about(); about != "" {
		fmt.Fprintf(&head, "\n%s\n", about)
	}
	foot := c.hidden()
	more := c.more()
	room := maxBytes - head.Len() - len(foot) - len(more) - len(c.Parts)*maxHeading
	var body strings.Builder
	whole := true
	for i, p := range c.Parts {
		if c.isPlanned() {
			whole = c.writePart(&body, p, max(0, room-body.Len())/(len(c.Parts)-i)) && whole
		}
	}
	text := head.String() + body.String()
	if !whole {
		text += more
	}
	if len(text)+strings.Count(text, "<!--")*2+len("\n")+len(foot) > maxBytes {
		text = visible.Cut(head.String(), max(0, maxBytes-len(foot)-len(more)-len("…\n"))) + more
	}
	// What a stranger has put in a manifest is no marker, neither of this source nor of
	// another one that comments on the same pull request.
	return strings.ReplaceAll(text, "<!--", "<!‑-") + "\n" + foot
}

// maxHeading is what stands around the plan of one sync.
const maxHeading = 1 << 10

// isPlanned reports whether there are plans.
func (c Comment) isPlanned() bool { return c.Waits == "" && len(c.Conflicts) == 0 }

// verdicts are the first lines, one for each sync.
func (c Comment) verdicts() []string {
	switch {
	case len(c.Parts) == 0:
		return []string{"**No sync is touched.**"}
	case c.Waits != "":
		return []string{"**Not planned yet.** " + c.Waits}
	case len(c.Conflicts) > 0:
		return []string{"**Conflicts with " + visible.MarkdownCode(c.Base.Branch) + "** in " + listed(c.Conflicts) + ": resolve them, and the merge is planned."}
	case len(c.Parts) == 1:
		return []string{"**" + c.Parts[0].verdict() + "**"}
	}
	var lines []string
	for _, p := range c.Parts {
		lines = append(lines, fmt.Sprintf("- %s: **%s**", p.name(), p.verdict()))
	}
	return lines
}

// mostListed is how many files are named in a sentence.
const mostListed = 10

func listed(files []string) string {
	var names []string
	for i, f := range files {
		if i == mostListed {
			names = append(names, fmt.Sprintf("%d more", len(files)-i))
			break
		}
		names = append(names, visible.MarkdownCode(visible.Cut(f, 200)))
	}
	return strings.Join(names, ", ")
}

func (p Part) verdict() string {
	if p.Error != "" {
		return "Cannot be planned"
	}
	return plan.Verdict(p.Plan)
}

// name is the sync, with its cluster where that has a name.
func (p Part) name() string {
	name := "sync " + visible.MarkdownCode(p.Sync)
	if p.Marathon != "" {
		name += " on Marathon " + visible.MarkdownCode(p.Marathon)
	}
	if p.URL != "" {
		name = "[" + name + "](" + p.URL + ")"
	}
	return name
}

// about says for which commits the plan holds; empty: nothing is planned, or that is not
// known.
func (c Comment) about() string {
	if len(c.Parts) == 0 || c.Head.Branch == "" {
		return ""
	}
	side := func(s Side) string {
		if s.Commit == "" {
			return visible.MarkdownCode(s.Branch)
		}
		return visible.MarkdownCode(s.Branch) + " at " + visible.MarkdownCode(plan.ShortRevision(s.Commit))
	}
	var syncs string
	if len(c.Parts) == 1 || !c.isPlanned() { // else each has a heading
		var names []string
		for _, p := range c.Parts {
			names = append(names, p.name())
		}
		syncs = " for " + strings.Join(names, ", ")
	}
	if c.Merge == HeadOnly {
		why := "the commit that it shares with " + side(c.Base) + " is not known"
		if c.Behind > 0 {
			why = fmt.Sprintf("it lacks the %d newest commits of %s", c.Behind, side(c.Base))
			if c.Behind == 1 {
				why = "it lacks the newest commit of " + side(c.Base)
			}
		}
		return fmt.Sprintf("Plan of %s alone%s: %s, so what changed there since is shown as if it went back.", side(c.Head), syncs, why)
	}
	if !c.isPlanned() {
		return fmt.Sprintf("This is about merging %s into %s%s.", side(c.Head), side(c.Base), syncs)
	}
	by := ""
	switch c.Merge {
	case ByForge:
		by = ", as the forge merges them"
	case ByPacer:
		by = ", merged by Pacer"
	}
	return fmt.Sprintf("Plan of merging %s into %s%s%s.", side(c.Head), side(c.Base), syncs, by)
}

// writePart writes the plan for one sync, and reports whether that is all of it.
func (c Comment) writePart(b *strings.Builder, p Part, room int) (whole bool) {
	if len(c.Parts) > 1 {
		fmt.Fprintf(b, "\n#### %s\n", p.name())
	}
	for _, note := range p.Notes {
		fmt.Fprintf(b, "\n> %s\n", visible.Markdown(visible.Cut(note, maxHeading/2)))
	}
	if p.Error != "" {
		fmt.Fprintf(b, "\n%s\n", visible.MarkdownCode(visible.Cut(p.Error, maxHeading/2)))
		return true
	}
	text, whole := plan.Markdown{FileURL: c.FileURL, MaxBytes: max(1, room)}.Render(p.Plan)
	b.WriteString(text)
	return whole
}

// more says where the rest of a plan is that does not fit.
func (c Comment) more() string {
	if c.URL == "" {
		return "\nThe plan is longer than a comment may be; `pacer plan` of the branch prints all of it.\n"
	}
	return "\nThe plan is longer than a comment may be: [the whole plan](" + c.URL + ").\n"
}

// writeOutcomes says what became of a pull request that was merged.
func (c Comment) writeOutcomes(b *strings.Builder) {
	for _, o := range c.Outcomes {
		line := "Merged: **" + o.Verdict + "**"
		if o.Detail != "" {
			line += ", " + visible.Markdown(visible.Cut(o.Detail, maxHeading/2))
		}
		if len(c.Outcomes) > 1 {
			line += " (sync " + visible.MarkdownCode(o.Sync) + ")"
		}
		if o.URL != "" {
			line += " · [details](" + o.URL + ")"
		}
		fmt.Fprintf(b, "%s\n\n", line)
	}
}

// maxStatus is how many characters a status of a commit may have: GitHub takes 140.
const maxStatus = 140

// StatusText is what the status of a commit says of a plan, in at most 140 characters:
// the verdict, or how many errors there are and where the first is. It is no Markdown.
func StatusText(p plan.Plan) string {
	errors, _ := manifests.CountProblems(p.Problems)
	if errors == 0 {
		return cutStatus(plan.Verdict(p))
	}
	text := fmt.Sprintf("%d errors in manifests", errors)
	if errors == 1 {
		text = "1 error in manifests"
	}
	for _, e := range p.Problems {
		if e.Severity != manifests.SeverityError || e.File == "" || e.File == "." {
			continue
		}
		text += ": " + visible.Line(e.File)
		if e.Line > 0 {
			text += ":" + strconv.Itoa(e.Line)
		}
		if errors > 1 {
			text += "…"
		}
		break
	}
	return cutStatus(text)
}

// ConflictsText is what the status of a commit says where it cannot be merged, in at most
// 140 characters.
func ConflictsText(base string, files []string) string {
	return cutStatus(visible.Line("conflicts with " + base + ": " + strings.Join(files, ", ")))
}

// cutStatus cuts by characters, as forges count them.
func cutStatus(s string) string {
	if utf8.RuneCountInString(s) <= maxStatus {
		return s
	}
	return string([]rune(s)[:maxStatus-1]) + "…"
}
