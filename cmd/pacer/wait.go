package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/visible"
)

func newWait() *cobra.Command {
	var s server
	var revision string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait [SYNC…]",
		Short: "Wait until syncs are synced and healthy",
		Example: `  pacer wait shop
  pacer wait shop --revision 3f9c2a71 --timeout 5m`,
		Long: "Exit code 1 as soon as a change has failed or a manifest is broken, 3 after --timeout. After a push set\n" +
			"--revision, because the revision before it may be synced already. A sync that is rolled back is checked\n" +
			"at the revision that it is pinned to. It ends after the reconciliation, so that pacer history has its entry.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return s.wait(ctx, cmd, args, revision)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "overall timeout, with exit code 3")
	s.addFlags(cmd)
	cmd.Flags().StringVar(&revision, "revision", "", "the `REVISION` to wait for, or its prefix")
	return cmd
}

// waitEvery is how often the status is asked for.
const waitEvery = 500 * time.Millisecond

// wait asks until all is done or one has failed. That Pacer does not answer at
// all is an error at first, and waited out later: it may be restarted.
func (s *server) wait(ctx context.Context, cmd *cobra.Command, names []string, revision string) error {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	answered := false
	missing := "no answer"
	for {
		st, err := s.status(ctx, names)
		switch {
		case ctx.Err() != nil:
		case err != nil && !answered:
			return err
		case err != nil:
			missing = err.Error()
		default:
			answered = true
			var failed string
			if missing, failed = st.Unmet(revision); failed != "" {
				return errors.New(visible.Line(failed))
			}
			if missing == "" {
				fmt.Fprintln(cmd.OutOrStdout(), "everything is synced and healthy")
				return nil
			}
		}
		select {
		case <-ctx.Done():
			if cmd.Context().Err() != nil {
				return fmt.Errorf("interrupted; not done yet: %s", visible.Line(missing))
			}
			return &codedError{exitTimeout, fmt.Errorf("not done in time: %s", visible.Line(missing))}
		case <-tick.C:
		}
	}
}
