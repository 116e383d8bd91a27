package main

import "github.com/spf13/cobra"

func newApprove() *cobra.Command {
	var s server
	var revision string
	cmd := &cobra.Command{
		Use:   "approve SYNC [ID…]",
		Short: "Let changes of a running Pacer through that wait for an approval",
		Long: "Without ids all changes that wait are meant: pacer status lists them. An approval is for one change of one\n" +
			"revision; with --revision it is refused if another one is in force by now.\n\n" +
			"A sync that is held, since its source answers with a revision older than the one that was applied, or superseded by it, follows\n" +
			"it back when that REVISION is approved, without ids.",
		Args: syncArgument(0, "approve shop /shop/cart"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.act(cmd, args[0], "approve", map[string]any{"ids": args[1:], "revision": revision})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().StringVar(&revision, "revision", "", "the `REVISION` that was looked at, or its beginning")
	return cmd
}
