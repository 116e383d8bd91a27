package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/controller/plan"
)

func newApply() *cobra.Command {
	var o oneShot
	var output string
	cmd := &cobra.Command{
		Use:   "apply SOURCE | --config FILE",
		Short: "Apply the plan once and wait until all rollouts have converged",
		Example: `  pacer apply ./apps --marathon http://marathon:8080 --scope /shop
  pacer apply https://git.example.com/team/repo.git//prod?ref=main --scope /shop --timeout 10m
  pacer apply --config pacer.yaml --sync shop --approve /shop/legacy`,
		Long: sourceLong + severalLong + interruptedLong,
		Args: atMostOneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.within(cmd.Context(), func(ctx context.Context) error {
				return runApply(ctx, cmd, &o, args, output)
			})
		},
	}
	o.addFlags(cmd, 30*time.Minute)
	o.addApprove(cmd)
	outputFlag(cmd, &output, plan.Formats()...)
	return cmd
}

const interruptedLong = `

Ctrl-C (exit code 1) and --timeout (exit code 3) end the wait, not the rollouts, which continue in Marathon: each
unfinished change is listed with its last known reason. The next pacer apply continues with them.`

func runApply(ctx context.Context, cmd *cobra.Command, o *oneShot, args []string, output string) error {
	marathons, targets, err := o.connect(cmd, args)
	if err != nil {
		return err
	}
	defer marathons.Close()
	ears, deafen := marathons.listen(ctx)
	defer deafen()
	err = eachSync(ctx, targets, func(t target) (int, error) {
		ok, err := t.apply(ctx, cmd, marathons.of(t), ears[t.at], output)
		if err != nil || !ok {
			return exitError, err
		}
		return exitOK, nil
	})
	if coded, ok := errors.AsType[*codedError](err); ok && coded.err == nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != context.Canceled {
			return fmt.Errorf("stopped before all rollouts finished: %w", cause)
		}
		return errors.New("interrupted: stopped before all rollouts finished")
	}
	return err
}

// apply applies one target's plan, with its progress on standard error, and prints
// the plan with its outcomes. It reports whether all succeeded.
func (t target) apply(ctx context.Context, cmd *cobra.Command, client *marathon.Client, ear *marathon.Ear, output string) (bool, error) {
	journal := oneshot.OpenJournal(t.marathon.URL)
	result, err := oneshot.Apply(ctx, t.Sync, oneshot.Options{
		Client: client, Events: ear, Journal: journal,
		Progress: func(elapsed time.Duration, o apply.Outcome) { printProgress(cmd.ErrOrStderr(), elapsed, o) },
	})
	if err != nil {
		return false, err
	}
	if warning := journal.Warning(); warning != "" {
		printLine(cmd.ErrOrStderr(), "%s", warning)
	}
	if err := t.show(cmd, result.Plan, output, result.Outcomes...); err != nil {
		return false, err
	}
	return result.Succeeded, nil
}

// printProgress writes one line for a rollout that started, hangs or ended.
func printProgress(w io.Writer, elapsed time.Duration, o apply.Outcome) {
	word := string(o.Result)
	if word == "" {
		word = "rollout"
	}
	what := string(o.Action)
	switch {
	case o.Revert:
		what = "revert"
	case o.Action == plan.None:
		what = "wait for"
	}
	line := fmt.Sprintf("%5.1fs  %-10s %s %s", elapsed.Seconds(), word, what, o.ID)
	if o.Reason != "" {
		line += ": " + o.Reason
	}
	printLine(w, "%s", line)
}
