package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
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
			"at the revision that it is pinned to.",
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
			if missing, failed = unmet(st, revision); failed != "" {
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

// unmet tells the first thing that is still missing, and the first that failed
// and will not mend itself.
func unmet(st status.Status, revision string) (missing, failed string) {
	for _, y := range st.Syncs {
		m, f := unmetSync(st, y, revision)
		if missing == "" {
			missing = m
		}
		if f != "" {
			return missing, f
		}
	}
	return missing, ""
}

func unmetSync(st status.Status, y status.Sync, revision string) (missing, failed string) {
	say := func(format string, args ...any) string { return y.Name + ": " + fmt.Sprintf(format, args...) }
	switch {
	case st.MarathonOf(y).Error != "":
		return say("Marathon cannot be read: %s", st.MarathonOf(y).Error), ""
	case y.Stale != nil:
		return say("unknown since %s: %s", y.Stale.Since.UTC().Format(time.RFC3339), y.Stale.Reason), ""
	case y.PlannedRevision == "" && y.Last != nil && y.Last.Error != "":
		return say("%s", y.Last.Error), ""
	case y.Planned.IsZero():
		return say("%s", cmp.Or(st.SourceWaits(y), "git and Marathon have not been compared yet")), ""
	case y.RolledBack != nil && !plan.IsRevision(y.PlannedRevision, revision):
		return say("it is rolled back to %s until it is released", plan.ShortRevision(y.RolledBack.ID)), ""
	case y.Hold != nil:
		return say("it is held at %s: %s", plan.ShortRevision(y.Hold.Revision), y.Hold.Reason), ""
	case y.PlannedRevision != inForce(y) || !plan.IsRevision(y.PlannedRevision, revision):
		return say("it is at %s", plan.ShortRevision(y.PlannedRevision)), ""
	case y.SourceError != "" && y.RolledBack == nil:
		missing = say("the source cannot be read: %s", y.SourceError)
	case y.StateLost != nil:
		missing = say("its state was lost at %s, and it only reports until pacer resume %s", y.StateLost.At.UTC().Format(time.RFC3339), y.Name)
	case y.Suspended:
		missing = say("it is suspended%s", suspension(y.Suspension))
	}
	for _, a := range y.Apps {
		said := say("%s %s: %s", a.ID, strings.Join(appWords(a), ", "), a.Reason)
		if a.Condition == status.Failed || a.Condition == status.Broken {
			return missing, said
		}
		if missing == "" && !done(a) {
			missing = said
		}
	}
	for _, p := range y.Problems {
		if p.Severity != manifests.SeverityWarning {
			return missing, say("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
		}
	}
	return missing, ""
}

// inForce is the revision that a sync is to be at.
func inForce(y status.Sync) string {
	if y.RolledBack != nil {
		return y.RolledBack.ID
	}
	return y.Revision.ID
}

// done tells whether an app is as it should be.
func done(a status.App) bool {
	return a.State == status.Synced && a.Condition == "" &&
		(a.Kind == manifests.KindGroup || a.Health == status.HealthHealthy || a.Health == status.HealthSuspended)
}
