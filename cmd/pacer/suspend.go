package main

import "github.com/spf13/cobra"

func newSuspend() *cobra.Command {
	return newAction("suspend", "Have a running Pacer change nothing for syncs until they are resumed")
}
