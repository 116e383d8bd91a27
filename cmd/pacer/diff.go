package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/plan"
)

func newDiff() *cobra.Command {
	var s server
	var output string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "diff SYNC [ID…]",
		Short: "Show the differences between git and Marathon",
		Example: `  pacer diff shop
  pacer diff shop /shop/cart --detailed-exitcode`,
		Long: "The plan of the sync, field by field, for the revision that the sync is at and the current\n" +
			"state of Marathon; secrets are hidden. With ids, only these apps are shown.",
		Args: syncArgument(0, "diff shop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := s.status(cmd.Context(), args[:1]); err != nil {
				return err // it names the syncs that there are
			}
			var p plan.Plan
			err := within(cmd.Context(), s.timeout, func(ctx context.Context) (err error) {
				p, err = s.Diff(ctx, args[0], args[1:])
				return err
			})
			if err != nil {
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
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit code 2 if there are differences, blocked changes included")
	return cmd
}
