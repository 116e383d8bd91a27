package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/store"
)

func newHistory() *cobra.Command {
	var s server
	var output string
	cmd := &cobra.Command{
		Use:   "history SYNC",
		Short: "Show what a running Pacer changed for a sync, newest first, and who asked for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := s.status(cmd.Context(), args)
			if err != nil {
				return err
			}
			entries := st.Syncs[0].History
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			for _, e := range entries {
				printEntry(cmd.OutOrStdout(), e)
			}
			return nil
		},
	}
	s.addFlags(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// printEntry writes one pass, and a line for each change of it.
func printEntry(w io.Writer, e store.Entry) {
	line := func(format string, args ...any) { printLine(w, format, args...) }
	line("%s  %-10s %s %s (%s, took %s)", e.Began.UTC().Format(time.RFC3339), e.Result, controller.ShortRevision(e.Revision), e.Subject, e.Author,
		e.Ended.Sub(e.Began).Round(100*time.Millisecond))
	if e.Asked.By != "" {
		line("    asked for by %s", e.Asked)
	}
	if e.Message != "" {
		line("    %s", e.Message)
	}
	for _, d := range e.Changes {
		said := fmt.Sprintf("    %s %s  %s", d.Action, d.ID, d.Outcome)
		if d.Reason != "" {
			said += ": " + d.Reason
		}
		line("%s", said)
	}
	if e.More > 0 {
		line("    and %d more", e.More)
	}
}
