package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

// tone is the colour class of a state; the state's word always stands beside it.
type tone string

const (
	toneGood tone = "good"
	toneBusy tone = "busy"
	toneWarn tone = "warn"
	toneBad  tone = "bad"
	toneIdle tone = "idle"
)

// chip is a state as the page shows it.
type chip struct {
	Word string
	Tone tone
}

type pageView struct {
	status.Status
	Version  string
	Headline chip
	Total    string
	Views    []syncView
}

type syncView struct {
	status.Sync
	Now      time.Time
	State    chip
	Pinned   *chip        // of a sync that is rolled back, where State says something else
	At, Head revisionView // what it goes by, and what its source is at
	Rows     []appView
	Hidden   int // rows that are left out
	Unshown  int // rows that would need attention, and are too many to be shown
	Problems []problemView
	// MoreProblems are those that are left out.
	MoreProblems int
	Recent       []entryView
	Older        []entryView
	Empty        string // what to do, where there are no rows
	WhyStale     string // see controller.Status.WhyStale
	SourceWaits  string // see controller.Status.SourceWaits
	NoHistory    string // what to expect, where there are no entries
}

type revisionView struct {
	ID, Subject, Author string
	Time, Now           time.Time
}

type appView struct {
	status.App
	Sync, Planned                        string // its sync, and the revision that an approval is of
	Now                                  time.Time
	StateChip, HealthChip, ConditionChip chip
	Count                                string
	calm                                 bool // needs nobody's attention
}

type problemView struct {
	manifests.Problem
	Where string
	Chip  chip
}

type entryView struct {
	store.Entry
	Sync    string
	Now     time.Time
	Chip    chip
	Changes []doneView
	Counts  string
	More    int  // changes that are left out
	WayBack bool // a rollback can go to its revision
}

type doneView struct {
	store.Done
	Sign string
	Chip chip
}

// The page shows so much of what can be long.
const (
	maxProblems = 200
	maxLoud     = 1_000  // rows that need attention
	maxRows     = 10_000 // rows where all are asked for
	maxRecent   = 5
	maxDone     = 20
)

func newPageView(s status.Status, version string, maxCalm int) pageView {
	v := pageView{Status: s, Version: version}
	apps := 0
	for _, y := range s.Syncs {
		view := newSyncView(y, s.Now, maxCalm)
		view.WhyStale, view.SourceWaits = s.WhyStale(y), s.SourceWaits(y)
		v.Views = append(v.Views, view)
		apps += len(y.Apps)
	}
	v.Total = count(len(s.Syncs), "sync") + ", " + count(apps, "app")
	v.Headline = headline(s, v.Views)
	return v
}

// headline says in a few words whether somebody has to look.
func headline(s status.Status, views []syncView) chip {
	tones := map[tone]int{}
	for _, v := range views {
		tones[v.State.Tone]++
	}
	need := tones[toneBad] + tones[toneWarn]
	switch {
	case len(s.Away()) > 0:
		return chip{"Marathon cannot be read", toneBad}
	case len(views) == 0:
		return chip{"nothing to do yet", toneIdle}
	case need > 0:
		verb, worst := "need", toneWarn
		if need == 1 {
			verb = "needs"
		}
		if tones[toneBad] > 0 {
			worst = toneBad
		}
		return chip{fmt.Sprintf("%d of %s %s attention", need, count(len(views), "sync"), verb), worst}
	case tones[toneBusy] > 0:
		return chip{"working", toneBusy}
	default:
		return chip{"all synced", toneGood}
	}
}

func newSyncView(s status.Sync, now time.Time, maxCalm int) syncView {
	v := syncView{Sync: s, Now: now, Empty: emptyHint(s), NoHistory: historyHint(s)}
	v.At = revisionView{s.InForce.ID, s.InForce.Subject, s.InForce.Author, s.InForce.Time, now}
	v.Head = revisionView{s.Revision.ID, s.Revision.Subject, s.Revision.Author, s.Revision.Time, now}
	for _, a := range s.Apps {
		row := newAppView(a, now)
		row.Sync, row.Planned = s.Name, s.PlannedRevision
		v.Rows = append(v.Rows, row)
	}
	if v.State = overall(s, v.Rows); s.RolledBack != nil && v.State != rolledBack {
		v.Pinned = &rolledBack
	}
	slices.SortStableFunc(v.Rows, func(a, b appView) int {
		return cmp.Compare(rank(a.calm), rank(b.calm))
	})
	v.cutRows(maxCalm)
	shown := s.Problems[:min(len(s.Problems), maxProblems)]
	for _, p := range shown {
		v.Problems = append(v.Problems, newProblemView(p))
	}
	errors, warnings := manifests.CountProblems(s.Problems[len(shown):])
	v.MoreProblems = errors + warnings
	back := waysBack(s)
	for i, e := range s.History {
		entry := newEntryView(e, now)
		entry.Sync, entry.WayBack = s.Name, back[i]
		if i < maxRecent {
			v.Recent = append(v.Recent, entry)
		} else {
			v.Older = append(v.Older, entry)
		}
	}
	return v
}

// cutRows leaves as many rows as a browser can show: all that need attention, up
// to a bound, and so many of the others. A negative number asks for all.
func (v *syncView) cutRows(maxCalm int) {
	calm := calmRows(v.Rows)
	loud := len(v.Rows) - calm
	showLoud, showCalm := min(loud, maxLoud), min(calm, maxCalm)
	if maxCalm < 0 {
		showLoud = min(loud, maxRows)
		showCalm = min(calm, maxRows-showLoud)
	}
	v.Unshown, v.Hidden = loud-showLoud, calm-showCalm
	v.Rows = slices.Concat(v.Rows[:showLoud], v.Rows[loud:loud+showCalm])
}

// waysBack tells from which entries of the history a rollback can go to their
// revision: the newest of each that is kept and not in force.
func waysBack(s status.Sync) map[int]bool {
	kept, back := map[string]bool{}, map[int]bool{}
	for _, k := range s.Kept {
		kept[k.ID] = true
	}
	delete(kept, s.PlannedRevision)
	for i, e := range s.History {
		if kept[e.Revision] {
			back[i] = true
			delete(kept, e.Revision)
		}
	}
	return back
}

func rank(calm bool) int {
	if calm {
		return 1
	}
	return 0
}

func calmRows(rows []appView) int {
	n := 0
	for _, r := range rows {
		n += rank(r.calm)
	}
	return n
}

// rolledBack is what a sync shows that is held at an earlier revision.
var rolledBack = chip{"rolled back", toneWarn}

// overall tells the state of a sync in one word: what hinders it first, then
// its worst app.
func overall(s status.Sync, rows []appView) chip {
	switch {
	case s.Revision.ID == "" && s.SourceError != "":
		return chip{"source cannot be read", toneBad}
	case s.Stale != nil:
		return chip{"unknown", toneBad}
	case s.Last != nil && s.Last.Result == status.ResultFailed && s.Last.Error != "":
		return chip{"failed", toneBad}
	case s.StateLost != nil:
		return chip{"state lost", toneBad}
	case s.Suspended:
		return chip{"suspended", toneIdle}
	}
	for _, t := range []tone{toneBad, toneWarn, toneBusy} {
		for _, r := range rows {
			for _, c := range []chip{r.ConditionChip, r.StateChip, r.HealthChip} {
				if c.Tone == t {
					return c
				}
			}
		}
		switch {
		case t == toneWarn && s.RolledBack != nil:
			return rolledBack
		case t == toneWarn && s.Hold != nil:
			return chip{"held", toneWarn}
		case t == toneBad && hasErrors(s.Problems):
			return chip{"problems in manifests", toneBad}
		case t == toneWarn && s.SourceError != "":
			return chip{"source cannot be read", toneWarn}
		}
	}
	if s.Last == nil {
		return chip{"starting", toneBusy}
	}
	return chip{"synced", toneGood}
}

func hasErrors(problems []manifests.Problem) bool {
	return slices.ContainsFunc(problems, func(p manifests.Problem) bool {
		return p.Severity != manifests.SeverityWarning
	})
}

func emptyHint(s status.Sync) string {
	where := "the source"
	if s.Path != "" {
		where = s.Path + " of the source"
	}
	switch {
	case s.Revision.ID == "" && s.SourceError != "":
		return "Nothing is known yet: the source cannot be read. Nothing is changed until it can be read."
	case s.Last == nil:
		return "The first reconciliation is in progress."
	case s.Last.Result == status.ResultFailed:
		return "Nothing is known yet: the last reconciliation failed."
	default:
		return "There are no apps here yet. Put a manifest (.json, .yaml) into " + where + " and push it."
	}
}

// historyHint says what is to come where the history is empty: a pass enters it
// when it ends, which is long after its first change where a rollout hangs.
func historyHint(s status.Sync) string {
	const rule = "Each reconciliation that changes something or fails is listed here when it ends."
	begun := 0
	for _, a := range s.Apps {
		if a.Condition == status.InRollout {
			begun++
		}
	}
	if begun > 0 {
		return count(begun, "change") + " in progress. " + rule
	}
	return "Nothing has been changed yet. " + rule
}

func newAppView(a status.App, now time.Time) appView {
	v := appView{
		App: a, Now: now, Count: cmp.Or(a.WasKnown(), a.Counts()),
		StateChip: stateChip(a.State), HealthChip: healthChip(a.Health), ConditionChip: conditionChip(a.Condition),
	}
	if a.Condition == status.InRollout { // what is not there yet is on its way
		for _, c := range []*chip{&v.StateChip, &v.HealthChip} {
			if c.Tone == toneWarn {
				c.Tone = toneBusy
			}
		}
	}
	v.calm = v.StateChip.Tone == toneGood && (v.HealthChip.Tone == toneGood || v.HealthChip.Tone == toneIdle) && a.Condition == ""
	return v
}

// Times is how often a failure came in all, if more than once.
func (v entryView) Times() int {
	if v.Repeated == 0 {
		return 0
	}
	return v.Repeated + 1
}

// Differs tells whether there is something that a diff would show.
func (v appView) Differs() bool { return v.State == status.OutOfSync }

// Deletes reports whether an approval deletes it, which is confirmed first.
func (v appView) Deletes() bool { return v.Approvable && v.Action == plan.Delete }

// Ends says what of it ends with a delete.
func (v appView) Ends() string {
	noun := "task"
	if v.Kind == manifests.KindPod {
		noun = "instance"
	}
	if v.Instances.Running == 0 {
		return "; no " + noun + " of it runs"
	}
	return ", and stops its " + count(v.Instances.Running, "running "+noun)
}

func stateChip(s status.State) chip {
	tones := map[status.State]tone{
		status.Synced: toneGood, status.OutOfSync: toneWarn, status.Unknown: toneWarn,
	}
	return chip{string(s), cmp.Or(tones[s], toneIdle)}
}

func conditionChip(c status.Condition) chip {
	tones := map[status.Condition]tone{
		status.InRollout: toneBusy, status.Failed: toneBad, status.Blocked: toneWarn, status.Broken: toneBad,
	}
	return chip{string(c), cmp.Or(tones[c], toneIdle)}
}

func healthChip(h status.Health) chip {
	tones := map[status.Health]tone{
		status.HealthHealthy: toneGood, status.HealthProgressing: toneBusy,
		status.HealthDegraded: toneBad, status.HealthMissing: toneWarn, status.HealthUnknown: toneWarn,
	}
	return chip{string(h), cmp.Or(tones[h], toneIdle)}
}

func newProblemView(p manifests.Problem) problemView {
	v := problemView{Problem: p, Where: p.File, Chip: chip{"error", toneBad}}
	if p.Severity == manifests.SeverityWarning {
		v.Chip = chip{"warning", toneWarn}
	}
	if p.Line > 0 {
		v.Where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return v
}

func newEntryView(e store.Entry, now time.Time) entryView {
	v := entryView{Entry: e, Now: now, Chip: resultChip(e.Result), Counts: summary(e.Summary)}
	done := e.Changes
	v.More = e.More
	if len(done) > maxDone {
		v.More, done = v.More+len(done)-maxDone, done[:maxDone]
	}
	for _, d := range done {
		v.Changes = append(v.Changes, doneView{Done: d, Sign: sign(d.Action), Chip: resultChip(d.Outcome)})
	}
	return v
}

func resultChip(result string) chip {
	tones := map[string]tone{
		"applied": toneGood, "failed": toneBad, "superseded": toneIdle,
		"blocked": toneWarn, "unknown": toneWarn, "stopped": toneIdle,
	}
	return chip{result, cmp.Or(tones[result], toneIdle)}
}

// sign is the mark of an action that pacer plan prints too.
func sign(a plan.Action) string {
	return map[plan.Action]string{plan.Create: "+", plan.Update: "~", plan.Scale: "↕", plan.Delete: "-"}[a]
}

func summary(s plan.Summary) string {
	var words []string
	for _, c := range []struct {
		n    int
		word string
	}{{s.Create, "created"}, {s.Update, "updated"}, {s.Scale, "scaled"}, {s.Delete, "deleted"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	return strings.Join(words, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
