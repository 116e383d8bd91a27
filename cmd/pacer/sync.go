package main

import "github.com/spf13/cobra"

func newSync() *cobra.Command {
	return newAction("sync", "Have a running Pacer look at the sources of syncs now", "")
}
