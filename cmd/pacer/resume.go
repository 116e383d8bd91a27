package main

import "github.com/spf13/cobra"

func newResume() *cobra.Command {
	return newAction("resume", "Resume syncs that are suspended, or only report because their state was lost", "",
		`  pacer resume shop
  pacer resume shop --reason 'migration done'`)
}
