package main

import "github.com/spf13/cobra"

func newSuspend() *cobra.Command {
	return newAction("suspend", "Suspend syncs",
		"A suspended sync changes nothing until it is resumed. Its status and history show who suspended it, when and why (--reason).\n"+
			"Rollouts in progress continue in Marathon.",
		`  pacer suspend shop --reason 'database migration'
  pacer suspend shop search`)
}
