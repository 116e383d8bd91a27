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
		Short: "Hold a sync of a running Pacer at an earlier revision, until it is released",
		Long: "Without REVISION (or its beginning) and --back the sync goes one revision back, from the one in force to the last\n" +
			"one before it that asked for something else; again, and it goes one further. What the source says meanwhile is not\n" +
			"followed, also after a restart of Pacer, until --release; pacer status shows it.\n\n" +
			"It needs no git: of each sync the last ten different revisions that came about are kept beside Pacer's state, as\n" +
			"they were read, from repositories and directories alike. One that is not kept is refused, and those that are are\n" +
			"named. What the earlier revision did not have is deleted as the sync's prune policy says, so it may wait for\n" +
			"pacer approve. A sync that is suspended too changes nothing until pacer resume.",
		Args: syncArgument(2, "rollback shop 3f9c2a71"),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision := slices.Concat(args[1:], []string{""})[0]
			given := cmd.Flags().Changed("back")
			switch {
			case release && (revision != "" || given):
				return errors.New("--release ends a rollback: give neither REVISION nor --back with it")
			case revision != "" && given:
				return errors.New("give REVISION or --back, not both")
			case given && back < 1:
				return errors.New("--back: want 1 or more")
			case given:
			default:
				back = 0
			}
			return s.act(cmd, args[0], "rollback", map[string]any{"revision": revision, "back": back, "release": release, "reason": reason})
		},
	}
	s.addFlags(cmd)
	cmd.Flags().IntVar(&back, "back", 1, "so many revisions back from the one in force")
	cmd.Flags().BoolVar(&release, "release", false, "end the rollback: follow the source again")
	reasonFlag(cmd, &reason)
	return cmd
}
