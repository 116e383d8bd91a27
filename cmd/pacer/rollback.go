package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"
)

func newRollback() *cobra.Command {
	var s server
	var back int
	var release bool
	var reason string
	cmd := &cobra.Command{
		Use:   "rollback SYNC [REVISION]",
		Short: "Roll a sync back to an earlier revision, until it is released",
		Example: `  pacer rollback shop                           # one revision back
  pacer rollback shop 3f9c2a71 --reason 'checkout is broken'
  pacer rollback shop --release`,
		Long: "Without REVISION (or its prefix) and --back the sync goes one revision back, from the current one to the last\n" +
			"earlier one with different definitions; repeated, it goes one further back. New revisions of the source are not\n" +
			"followed, even after a restart of Pacer, until --release; pacer status shows it.\n\n" +
			"It works without git: Pacer stores the last ten different revisions of each sync with its state, as they were\n" +
			"rendered, for repositories and directories alike. Other revisions are refused, with a list of the available ones.\n" +
			"Apps that the earlier revision does not define are deleted according to the sync's prune policy, which may require\n" +
			"pacer approve. A sync that is also suspended changes nothing until pacer resume.",
		Args: syncArgument(2, "rollback shop 3f9c2a71"),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision := slices.Concat(args[1:], []string{""})[0]
			given := cmd.Flags().Changed("back")
			switch {
			case release && (revision != "" || given):
				return errors.New("--release is mutually exclusive with REVISION and --back")
			case revision != "" && given:
				return errors.New("REVISION and --back are mutually exclusive")
			case given && back < 1:
				return errors.New("--back: expected 1 or more")
			case given:
			default:
				back = 0
			}
			return s.act(cmd, args[0], "rollback", map[string]any{"revision": revision, "back": back, "release": release, "reason": reason})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().IntVar(&back, "back", 1, "number of revisions back from the current one")
	cmd.Flags().BoolVar(&release, "release", false, "end the rollback and follow the source again")
	reasonFlag(cmd, &reason)
	return cmd
}
