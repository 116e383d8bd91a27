package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
)

func newStatus() *cobra.Command {
	var s server
	var output string
	cmd := &cobra.Command{
		Use:   "status [SYNC…]",
		Short: "Show the state of syncs and their apps",
		Example: `  pacer status
  pacer status shop --server http://pacer:9090 --token-file ./token
  pacer status -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := s.status(cmd.Context(), args)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), st)
			}
			printStatus(cmd.OutOrStdout(), st)
			return nil
		},
	}
	s.addFlags(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// printStatus writes a status for people: one line an app.
func printStatus(w io.Writer, st status.Status) {
	for _, away := range st.Away() {
		printLine(w, "%s. Nothing is changed, and the state of its apps is what was last known.", away)
	}
	if st.Reload != "" {
		printLine(w, "Configuration reload failed; the previous one stays active: %s", st.Reload)
	}
	if len(st.RestartNeeded) > 0 {
		printLine(w, "These changed keys of the configuration need a restart: %s", strings.Join(st.RestartNeeded, ", "))
	}
	if l := st.Leader; l != nil {
		printLine(w, "%s", leaderWords(*l))
	}
	for _, y := range st.Syncs {
		printSync(w, st, y)
	}
	if len(st.Syncs) == 0 {
		fmt.Fprintln(w, "No sync is configured.")
	}
}

// leaderWords says who leads.
func leaderWords(l leader.Status) string {
	switch {
	case l.NotReady() != "":
		return "This replica cannot become the leader: " + l.NotReady()
	case l.Leading:
		return fmt.Sprintf("This replica is the leader, epoch %d, candidates: %d", l.Epoch, l.Candidates)
	case l.Leader == "":
		return fmt.Sprintf("This replica is a follower (%s); no leader is known", l.State)
	}
	at := l.Leader
	if l.LeaderUnproved {
		at += " (address not authenticated)"
	}
	return fmt.Sprintf("This replica is a follower; the leader is %s, epoch %d, candidates: %d", at, l.Epoch, l.Candidates)
}

func printSync(w io.Writer, st status.Status, y status.Sync) {
	line := func(format string, args ...any) { printLine(w, format, args...) }
	line("%s: %s", y.Name, strings.Join(syncWords(y), ", "))
	if at := revisionWords(y); at != "" {
		line("  at %s", at)
	}
	if pin := y.RolledBack; pin != nil {
		line("  rolled back at %s by %s; pacer rollback %s --release ends it", pin.At.UTC().Format(time.RFC3339), pin.By, y.Name)
	}
	if y.Suspended && y.StateLost == nil {
		line("  suspended%s; pacer resume %s ends it", y.Suspension.Words(), y.Name)
	}
	if h := y.Hold; h != nil {
		line("  held at %s %s since %s", plan.ShortRevision(h.Revision), h.Subject, h.Since.UTC().Format(time.RFC3339))
		line("      %s", h.Reason)
	}
	if y.SourceError != "" {
		line("  the source cannot be read: %s", y.SourceError)
	}
	if waits := st.SourceWaits(y); waits != "" {
		line("  the source is being fetched: %s", waits)
	}
	if y.Stale != nil {
		why := st.WhyStale(y)
		if why != "" {
			why = ": " + why
		}
		line("  unknown since %s%s", y.Stale.Since.UTC().Format(time.RFC3339), why)
	}
	if err := y.LastError(); err != "" {
		line("  the last reconciliation failed: %s", err)
	}
	for _, note := range y.Notes {
		line("  %s", note)
	}
	for _, a := range y.Apps {
		line("  %s %s  %s%s", a.Mark(), a.ID, strings.Join(a.Words(), ", "), lasting(st.Now, a))
		if a.Reason != "" {
			line("      %s", a.Reason)
		}
		if a.Approvable {
			line("      pacer approve %s %s", y.Name, a.ID)
		}
	}
	for _, p := range y.Problems {
		line("  %s", p)
	}
}

// revisionWords name the revision that a sync goes by, and what its source is at
// where that is another one; empty: none is known yet.
func revisionWords(y status.Sync) string {
	name := func(id, subject string) string {
		return strings.TrimSpace(plan.ShortRevision(id) + " " + subject)
	}
	var notes []string
	if y.RolledBack != nil {
		notes = append(notes, "rolled back")
	}
	switch {
	case y.InForce.ID == "" && y.Revision.ID == "":
		return ""
	case y.InForce.ID == "":
		return name(y.Revision.ID, y.Revision.Subject) + " (not compared yet)"
	case y.Revision.ID == "":
		notes = append(notes, "the source has not been fetched yet")
	case y.Revision.ID != y.InForce.ID:
		notes = append(notes, "the source is at "+name(y.Revision.ID, y.Revision.Subject))
	}
	at := name(y.InForce.ID, y.InForce.Subject)
	if len(notes) > 0 {
		at += " (" + strings.Join(notes, "; ") + ")"
	}
	return at
}

// lasting tells for how long an app stands so, and at which revision.
func lasting(now time.Time, a status.App) string {
	var said string
	if !a.Since.IsZero() {
		said = ", for " + max(now.Sub(a.Since), 0).Round(time.Second).String()
	}
	if a.Revision != "" {
		said += ", at " + plan.ShortRevision(a.Revision)
	}
	return said
}

// syncWords sum a sync up.
func syncWords(y status.Sync) []string {
	var words []string
	switch {
	case y.StateLost != nil:
		words = append(words, "state lost: only reports")
	case y.Suspended:
		words = append(words, "suspended")
	}
	if y.RolledBack != nil {
		words = append(words, "rolled back")
	}
	if y.Hold != nil {
		words = append(words, "held")
	}
	if counts := y.Counts(); counts != "" {
		words = append(words, counts)
	}
	if y.Planned.IsZero() {
		words = append(words, "not compared yet")
	} else if len(y.Apps) == 0 {
		words = append(words, "no apps")
	}
	return words
}
