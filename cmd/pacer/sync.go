package main

import "github.com/spf13/cobra"

func newSync() *cobra.Command {
	return newAction("sync", "Fetch and reconcile syncs now", "",
		`  pacer sync shop
  pacer sync shop search`)
}
