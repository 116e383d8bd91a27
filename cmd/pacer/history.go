package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

func newHistory() *cobra.Command {
	var s server
	var output string
	cmd := &cobra.Command{
		Use:   "history SYNC",
		Short: "Show the history of a sync: changes and their triggers, newest first",
		Example: `  pacer history shop
  pacer history shop -o json`,
		Args: syncArgument(1, "history shop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := s.status(cmd.Context(), args)
			if err != nil {
				return err
			}
			entries := st.Syncs[0].History
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			printHistory(cmd.OutOrStdout(), st.Syncs[0])
			return nil
		},
	}
	s.addFlags(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// printHistory writes what is in progress, by when it began, and what has ended.
func printHistory(w io.Writer, y status.Sync) {
	if now := y.Current; now != nil {
		printEntry(w, store.Entry{Result: string(status.ResultProgressing), Ended: now.Began, Revision: now.Revision,
			Author: now.Author, Subject: now.Subject, Asked: now.Asked})
	}
	for _, e := range y.History {
		printEntry(w, e)
	}
}

// printEntry writes one reconciliation, and a line for each change of it.
func printEntry(w io.Writer, e store.Entry) {
	line := func(format string, args ...any) { printLine(w, format, args...) }
	head := fmt.Sprintf("%s  %-10s %s", e.Ended.UTC().Format(time.RFC3339), e.Result, plan.ShortRevision(e.Revision))
	if e.Commit != "" && e.Commit != e.Revision {
		head += ", last change " + plan.ShortRevision(e.Commit)
	}
	if e.Subject != "" {
		head += " " + e.Subject
	}
	if about := entryNotes(e); len(about) > 0 {
		head += " (" + strings.Join(about, ", ") + ")"
	}
	line("%s", head)
	if e.Asked.By != "" {
		line("    triggered by %s", e.Asked)
	}
	if e.Message != "" {
		line("    %s", e.Message)
	}
	for _, d := range e.Changes {
		said := fmt.Sprintf("    %s %s  %s", d.Action, d.ID, d.Outcome)
		if d.Reason != "" {
			said += ": " + d.Reason
		}
		if d.Seconds > 0 && len(e.Changes) > 1 {
			said += fmt.Sprintf(" (%s)", seconds(d.Seconds))
		}
		line("%s", said)
	}
	if e.More > 0 {
		line("    and %d more", e.More)
	}
}

// entryNotes are who is behind an entry, and how long it lasted.
func entryNotes(e store.Entry) []string {
	var notes []string
	switch {
	case e.Author == "":
	case e.Commit == "": // which may have changed something else
		notes = append(notes, "revision by "+e.Author)
	default:
		notes = append(notes, e.Author)
	}
	switch word := e.Lasted(); {
	case word == "since":
		notes = append(notes, "since "+e.Began.UTC().Format(time.RFC3339))
		if e.Repeated > 0 {
			notes = append(notes, fmt.Sprintf("%d times", e.Repeated+1))
		}
	case word != "":
		notes = append(notes, word+" "+seconds(e.Ended.Sub(e.Began).Seconds()))
	}
	return notes
}

// seconds prints a duration to a tenth of a second.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}
