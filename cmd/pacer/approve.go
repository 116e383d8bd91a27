package main

import "github.com/spf13/cobra"

func newApprove() *cobra.Command {
	var s server
	var revision string
	cmd := &cobra.Command{
		Use:   "approve SYNC [ID…]",
		Short: "Approve pending changes",
		Example: `  pacer approve shop                            # all changes that need approval
  pacer approve shop /shop/legacy --revision 3f9c2a71`,
		Long: "Without ids, all changes that need approval are approved: pacer status lists them. An approval is for one change of one\n" +
			"revision; with --revision it is refused if another revision was planned since.\n\n" +
			"A sync that is held, because its source answers with a revision older than the applied one, or superseded by it, follows\n" +
			"the source back when that REVISION is approved, without ids.",
		Args: syncArgument(0, "approve shop /shop/cart"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.act(cmd, args[0], "approve", map[string]any{"ids": args[1:], "revision": revision})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().StringVar(&revision, "revision", "", "the reviewed `REVISION`, or its prefix")
	return cmd
}
