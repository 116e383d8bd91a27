package main

import "github.com/spf13/cobra"

func newResume() *cobra.Command {
	return newAction("resume", "End a suspend, or that a sync only reports since its state was lost", "")
}
