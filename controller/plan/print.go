package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// Formats lists what Write can write.
func Formats() []string { return []string{"text", "json", "yaml", "markdown"} }

// Outcome is what became of one change, as it is printed. Package apply knows
// more of it.
type Outcome struct {
	ID      string         `json:"-"`
	Kind    manifests.Kind `json:"-"`
	Result  string         `json:"result"` // applied, failed, blocked, superseded, unknown
	Reason  string         `json:"reason,omitempty"`
	Seconds float64        `json:"seconds"` // from begin to end; 0 where it never began
}

// Write prints a plan in one of Formats, with what became of its changes if
// that is known. An unknown format is an error that names the known ones.
func Write(w io.Writer, p Plan, format string, outcomes ...Outcome) error {
	return Printer{Outcomes: outcomes}.Write(w, p, format)
}

// Printer prints plans. The zero value prints what Write does.
type Printer struct {
	Colour   bool // of text, by ANSI escape sequences
	Outcomes []Outcome
}

// Write prints a plan in one of Formats. The same plan gives the same bytes.
func (r Printer) Write(w io.Writer, p Plan, format string) error {
	var b []byte
	var err error
	switch format {
	case "", "text":
		b = r.text(p)
	case "json":
		b, err = r.json(p)
	case "yaml":
		b, err = r.yaml(p)
	case "markdown":
		b = r.markdown(p)
	default:
		return fmt.Errorf("output format %q: expected one of %s", format, strings.Join(Formats(), ", "))
	}
	if err != nil {
		return fmt.Errorf("print plan as %s: %w", format, err)
	}
	_, err = w.Write(b)
	return err
}

// printedPlan is the printed form of a Plan: the contract of DESIGN's command
// line.
type printedPlan struct {
	Revision string              `json:"revision"`
	Sync     string              `json:"sync"`
	Marathon string              `json:"marathon"`
	Summary  Summary             `json:"summary"`
	Changes  []printedChange     `json:"changes"`
	Problems []manifests.Problem `json:"problems"`
	// NotManaged is counted in no summary: nothing becomes of it.
	NotManaged []NotManaged `json:"notManaged"`
	// Rollouts are outcomes of what is no change of this plan but was under
	// way before it.
	Rollouts []printedRollout `json:"rollouts,omitempty"`
}

type printedChange struct {
	Change
	Outcome *Outcome `json:"outcome,omitempty"`
}

type printedRollout struct {
	ID   string         `json:"id"`
	Kind manifests.Kind `json:"kind"`
	Outcome
}

type outcomeKey struct {
	kind manifests.Kind
	id   string
}

// split finds the outcome of each change, and what is of none.
func (r Printer) split(p Plan) (map[outcomeKey]*Outcome, []Outcome) {
	changes := make(map[outcomeKey]bool, len(p.Changes))
	for _, c := range p.Changes {
		changes[outcomeKey{c.Kind, c.ID}] = true
	}
	of := make(map[outcomeKey]*Outcome, len(r.Outcomes))
	var others []Outcome
	for _, o := range r.Outcomes {
		if key := (outcomeKey{o.Kind, o.ID}); changes[key] {
			of[key] = &o
		} else {
			others = append(others, o)
		}
	}
	return of, others
}

func (r Printer) json(p Plan) ([]byte, error) {
	of, others := r.split(p)
	view := printedPlan{
		Revision: p.Revision, Sync: p.Sync, Marathon: p.Marathon, Summary: p.Summary,
		Changes:    []printedChange{},
		Problems:   append([]manifests.Problem{}, p.Problems...),
		NotManaged: append([]NotManaged{}, p.NotManaged...),
	}
	for _, c := range p.Changes {
		if c.Fields == nil {
			c.Fields = []manifests.FieldDiff{}
		}
		view.Changes = append(view.Changes, printedChange{c, of[outcomeKey{c.Kind, c.ID}]})
	}
	for _, o := range others {
		view.Rollouts = append(view.Rollouts, printedRollout{o.ID, o.Kind, o})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(view)
	return visible.JSON(b.Bytes()), err
}

// yaml is JSON as YAML, but for a plan with text that YAML cannot escape in the
// form of its encoder: that stays JSON, which is YAML too.
func (r Printer) yaml(p Plan) ([]byte, error) {
	text, err := r.json(p)
	if err != nil {
		return nil, err
	}
	b, err := yaml.JSONToYAML(text)
	if err == nil && !visible.Whole(b) {
		b = visible.YAML(text)
	}
	return b, err
}

// signs are how text marks the actions.
var signs = map[Action]string{Create: "+", Update: "~", Scale: "↕", Delete: "-"}

// total is the last line: what the plan comes to.
func total(p Plan) string {
	s := p.Summary
	line := fmt.Sprintf("Plan: %d to create, %d to update, %d to scale, %d to delete, %d unchanged", s.Create, s.Update, s.Scale, s.Delete, s.None)
	if held := len(p.Changes) - p.Pending(); held > 0 {
		line += fmt.Sprintf("; %d blocked", held)
	}
	if n := len(p.NotManaged); n > 0 {
		line += fmt.Sprintf("; %d not managed", n)
	}
	if words := manifests.ProblemWords(p.Problems); words != "" {
		line += "; " + words
	}
	return line
}

// totalOutcomes counts the outcomes by result, the usual ones first.
func totalOutcomes(outcomes []Outcome) string {
	counts := map[string]int{}
	for _, o := range outcomes {
		counts[o.Result]++
	}
	var parts []string
	add := func(result string) {
		if n := counts[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
		delete(counts, result)
	}
	for _, result := range []string{"applied", "failed", "blocked", "superseded", "unknown"} {
		add(result)
	}
	for _, result := range sortedKeys(counts) {
		add(result)
	}
	return "Apply: " + strings.Join(parts, ", ")
}

// longest is how many characters of a value text and markdown show.
const longest = 200

// values prints the two sides of a field, long ones from where they begin to
// differ.
func values(f manifests.FieldDiff) (live, desired string) {
	live, desired = value(f.Live), value(f.Desired)
	a, b := []rune(live), []rune(desired)
	if len(a) <= longest && len(b) <= longest {
		return live, desired
	}
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	start := max(0, same-longest/4)
	return excerpt(a, start), excerpt(b, start)
}

func excerpt(r []rune, start int) string {
	if len(r) <= longest {
		return string(r)
	}
	start = min(start, len(r))
	end := min(len(r), start+longest)
	s := string(r[start:end])
	if start > 0 {
		s = "…" + s
	}
	if end < len(r) {
		s += fmt.Sprintf("… (%d characters)", len(r))
	}
	return s
}

// value prints a value on one line.
func value(v any) string {
	if v == hidden {
		return hidden
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return visible.Line(fmt.Sprint(v))
	}
	return visible.Line(strings.TrimSuffix(b.String(), "\n"))
}
