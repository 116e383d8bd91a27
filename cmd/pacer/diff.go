package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/plan"
)

func newDiff() *cobra.Command {
	var s server
	var output string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "diff SYNC [ID…]",
		Short: "Show what differs now between what a running Pacer wants and what Marathon holds",
		Long: "It is the plan of the sync, field by field, on what Pacer read last of the source (or is rolled back to) and on what\n" +
			"Marathon answers now; secrets do not show. With ids only these are told.",
		Args: syncArgument(0, "diff shop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := s.status(cmd.Context(), args[:1]); err != nil {
				return err // it names the syncs that there are
			}
			var p plan.Plan
			query := url.Values{"id": args[1:]}
			if err := s.do(cmd.Context(), http.MethodGet, "/api/v1/syncs/"+url.PathEscape(args[0])+"/diff?"+query.Encode(), nil, &p); err != nil {
				return err
			}
			printer := plan.Printer{Colour: isTerminal(cmd.OutOrStdout())}
			if err := printer.Write(cmd.OutOrStdout(), p, output); err != nil {
				return err
			}
			if detailed && len(p.Changes) > 0 {
				return exitWith(exitPending)
			}
			return nil
		},
	}
	s.addFlags(cmd)
	outputFlag(cmd, &output, plan.Formats()...)
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit code 2 if something differs, also where a change is held back")
	return cmd
}
