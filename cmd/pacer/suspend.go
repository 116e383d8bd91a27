package main

import "github.com/spf13/cobra"

func newSuspend() *cobra.Command {
	return newAction("suspend", "Have a running Pacer change nothing for syncs until they are resumed",
		"Who suspended a sync, when and why is in its status and history until it is resumed; see --reason.\n"+
			"What is in progress in Marathon continues there.")
}
