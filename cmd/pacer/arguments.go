package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// What is said of a command line that is not right is a sentence for people who call
// the verb for the first time: what is missing, and an example that works. Cobra's own
// words ("requires at least 1 arg(s), only received 0") name neither.

// noArguments is for verbs that take flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasAvailableSubCommands():
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return fmt.Errorf("%s has no command %q; it has: %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return fmt.Errorf("%s takes no arguments, found %s: see %s --help", cmd.CommandPath(), quotedList(args), cmd.CommandPath())
}

// syncArgument is for verbs whose first argument is the name of a sync. Most is how
// many arguments there may be in all, 0 for any number; example is what follows pacer.
func syncArgument(most int, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("the name of a SYNC is missing, as in: pacer %s (pacer status lists the syncs)", example)
		}
		return atMost(most, example)(cmd, args)
	}
}

// atMost is for verbs that take fewer arguments than were given.
func atMost(most int, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if most == 0 || len(args) <= most {
			return nil
		}
		return fmt.Errorf("%s takes at most %d of the arguments %s, as in: pacer %s", cmd.CommandPath(), most, quotedList(args), example)
	}
}

func quotedList(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(quoted, " ")
}

// requireFlag is for flags without which a verb can do nothing.
func requireFlag(cmd *cobra.Command, name, example string) {
	check := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if check != nil {
			if err := check(c, args); err != nil {
				return err
			}
		}
		if flag := c.Flags().Lookup(name); flag.Value.String() == "" {
			return fmt.Errorf("--%s is missing, as in: pacer %s", name, example)
		}
		return nil
	}
}

// flagError says where the flags of a verb are described.
func flagError(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
}
