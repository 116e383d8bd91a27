package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
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
		ok, err := t.apply(ctx, cmd, marathons.of(t), ears[t.sync.Marathon], output)
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

// apply carries out one target's plan, telling the progress on standard error,
// and prints the plan with what became of it. It tells whether all went well.
func (t target) apply(ctx context.Context, cmd *cobra.Command, client *marathon.Client, ear *marathon.Ear, output string) (bool, error) {
	p, state, err := t.plan(ctx, client)
	if err != nil {
		return false, err
	}
	began, memory := time.Now(), openBegun(t.marathon.URL)
	applier := apply.New(client, apply.Options{Deadline: time.Duration(t.sync.Deadline)})
	request := apply.Request{
		Cluster: state.Cluster, Groups: state.Groups, Running: state.Deployments, Apps: len(state.Apps), Settle: time.Duration(t.sync.Settle),
		Events: ear.News(), Hears: ear.Hears,
		Progress: func(o apply.Outcome) {
			memory.note(o)
			printProgress(cmd.ErrOrStderr(), began, o)
		},
	}
	request.Rollouts, request.Deployments = notUp(state, p.Owned), memory.running(state.Deployments)
	outcomes := applier.Apply(ctx, p, request)
	if policyOf(t.sync).Revert {
		t.revert(ctx, client, applier, request, p, state, outcomes)
	}
	if note := memory.told(); note != "" {
		printLine(cmd.ErrOrStderr(), "%s", note)
	}
	if err := t.show(cmd, p, output, outcomesOf(outcomes)...); err != nil {
		return false, err
	}
	for _, o := range outcomes {
		if o.Result != apply.Applied {
			return false, nil
		}
	}
	return !hasErrors(p.Problems), nil
}

// revert puts back what ran well before a change that has failed, and says so in
// the outcome of that.
func (t target) revert(ctx context.Context, client *marathon.Client, a *apply.Applier, r apply.Request, p plan.Plan, before marathon.State, outcomes []apply.Outcome) {
	failed := map[string]plan.Failure{}
	for _, o := range outcomes {
		if o.Result == apply.Failed && !o.Transient && o.Hash != "" {
			failed[o.ID] = plan.Failure{Hash: o.Hash, Reason: o.Reason, Deployment: o.Deployment}
		}
	}
	if len(failed) == 0 || ctx.Err() != nil {
		return
	}
	t.failed, t.healthy = failed, controller.HealthyOf(p, before)
	for id, f := range failed {
		_, known := t.healthy[id]
		f.NoHealthy = !known
		failed[id] = f
	}
	again, now, err := t.plan(ctx, client)
	unrestored := ""
	if err != nil {
		unrestored = err.Error()
	}
	again.Changes = slices.DeleteFunc(again.Changes, func(c plan.Change) bool { return !c.Revert || c.Blocked != nil })
	r.Rollouts, r.Deployments, r.Running = nil, nil, now.Deployments // what failed is known to this applier
	for _, o := range a.Apply(ctx, again, r) {
		f := failed[o.ID]
		f.Restored = o.Result == apply.Applied
		if !f.Restored {
			f.Unrestored = o.Reason
		}
		failed[o.ID] = f
	}
	for i := range outcomes {
		if f, is := failed[outcomes[i].ID]; is {
			f.Unrestored = cmp.Or(f.Unrestored, unrestored)
			outcomes[i].Reason = f.Words()
		}
	}
}

func outcomesOf(outcomes []apply.Outcome) []plan.Outcome {
	var all []plan.Outcome
	for _, o := range outcomes {
		seconds := 0.0
		if !o.Began.IsZero() {
			seconds = o.Ended.Sub(o.Began).Round(time.Millisecond).Seconds()
		}
		all = append(all, plan.Outcome{ID: o.ID, Kind: o.Kind, Result: string(o.Result), Reason: o.Reason, Seconds: seconds})
	}
	return all
}

// printProgress writes one line for what began, hangs or ended.
func printProgress(w io.Writer, began time.Time, o apply.Outcome) {
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
	line := fmt.Sprintf("%5.1fs  %-10s %s %s", time.Since(began).Seconds(), word, what, o.ID)
	if o.Reason != "" {
		line += ": " + o.Reason
	}
	printLine(w, "%s", line)
}
