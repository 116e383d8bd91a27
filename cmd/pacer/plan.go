package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/cmd/pacer/ci"
	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report/comment"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

const sourceLong = `SOURCE is a directory, or a git URL (https, ssh, file) with the folder after // and
the branch, tag or commit after ?ref=: https://host/team/repo.git//prod?ref=main`

const severalLong = `

With a configuration of several syncs each is printed separately, in -o json as consecutive objects, in -o yaml
as one document per sync. A failed sync does not stop the others.`

const ciLong = `

For pipelines that check pull requests: -o github annotates problems at their lines (GitHub, Gitea and Forgejo
Actions) and adds the plan to the step summary, -o gitlab is a Code Quality report, -o sarif one that code scanning
takes. --comment-file writes what a job may post as a comment. deploy/ci has examples.`

func newPlan() *cobra.Command {
	var o oneShot
	var output, file string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan SOURCE | --config FILE",
		Short: "Show what would change in Marathon",
		Example: `  pacer plan ./apps --marathon http://marathon:8080 --scope /shop
  pacer plan https://git.example.com/team/repo.git//prod?ref=main --scope /shop -o markdown
  pacer plan --config pacer.yaml --detailed-exitcode`,
		Long: sourceLong + severalLong + ciLong,
		Args: atMostOneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.within(cmd.Context(), func(ctx context.Context) error {
				return runPlan(ctx, cmd, &o, args, output, file, detailed)
			})
		},
	}
	o.addFlags(cmd, 2*time.Minute)
	o.addApprove(cmd)
	outputFlag(cmd, &output, slices.Concat(plan.Formats(), ci.Formats())...)
	cmd.Flags().StringVar(&file, "comment-file", "", "also write the plan to `FILE`, as a comment on a pull request")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit code 2 if git and Marathon differ, blocked changes included")
	return cmd
}

func runPlan(ctx context.Context, cmd *cobra.Command, o *oneShot, args []string, output, file string, detailed bool) error {
	marathons, targets, err := o.connect(cmd, args)
	if err != nil {
		return err
	}
	defer marathons.Close()
	annotations, parts := annotations{format: output}, []comment.Part(nil)
	err = eachSync(ctx, targets, func(t target) (int, error) {
		p, err := oneshot.Plan(ctx, t.Sync, marathons.of(t))
		if err != nil {
			parts = append(parts, comment.Part{Sync: t.Name, Marathon: t.at, Error: err.Error()})
			return exitError, err
		}
		annotations.add(t.Source, p.Problems)
		parts = append(parts, comment.Part{Sync: t.Name, Marathon: t.at, Plan: inRepository(p, folderOf(t.Source))})
		if err := t.show(cmd, p, output); err != nil {
			return exitError, err
		}
		switch {
		case hasErrors(p.Problems):
			return exitError, nil
		case detailed && len(p.Changes) > 0:
			return exitPending, nil
		}
		return exitOK, nil
	})
	if file != "" {
		if e := writeComment(file, parts); e != nil {
			err = errors.Join(err, e)
		}
	}
	if isCI(output) {
		if e := annotations.write(cmd.OutOrStdout()); e != nil {
			return errors.Join(err, e)
		}
	}
	return err
}

// show prints a plan, with what became of it if that is known, and says beside
// it how what asks for an approval gets one.
func (t target) show(cmd *cobra.Command, p plan.Plan, format string, outcomes ...plan.Outcome) error {
	switch format {
	case ci.GitHub:
		return errors.Join(stepSummary(inRepository(p, folderOf(t.Source))), logInGitHub(cmd.OutOrStdout(), func() error { return t.show(cmd, p, "text", outcomes...) }))
	case ci.GitLab, ci.SARIF:
		return nil // a file that nothing but problems is in
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), t.heading(format)); err != nil {
		return err
	}
	printer := plan.Printer{Colour: isTerminal(cmd.OutOrStdout()), Outcomes: outcomes}
	if err := printer.Write(cmd.OutOrStdout(), p, format); err != nil {
		return err
	}
	t.noteNotManaged(cmd, p)
	if slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Approvable && c.Blocked != nil }) {
		fmt.Fprintln(cmd.ErrOrStderr(), "To include changes that need approval: pacer apply --approve ID[,ID…], or --approve all.")
	}
	return nil
}

// noteNotManaged says what a running Pacer may do that this verb does not.
func (t target) noteNotManaged(cmd *cobra.Command, p plan.Plan) {
	if len(p.NotManaged) > 0 && t.Policy.Prune != plan.PruneOff {
		fmt.Fprintln(cmd.ErrOrStderr(), "Apps that are not managed are not changed here. A running Pacer (pacer run) prunes those that it applied before, and keeps the rest.")
	}
}

// heading sets what is printed of one of several syncs apart from the others.
func (t target) heading(format string) string {
	if t.shown == nil {
		return ""
	}
	*t.shown++
	gap := ""
	if *t.shown > 1 {
		gap = "\n"
	}
	switch format {
	case "text":
		return gap + "Sync " + visible.Line(t.Name) + ":\n"
	case "markdown":
		return gap
	case "yaml":
		return "---\n"
	}
	return ""
}

// exitWith is nil for success, else an exit code of which everything is said.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return &codedError{code: code}
}

func hasErrors(problems []manifests.Problem) bool {
	for _, p := range problems {
		if p.Severity == manifests.SeverityError {
			return true
		}
	}
	return false
}

// isTerminal tells whether colours are welcome: https://no-color.org.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printProblems writes problems one a line, and how many there are.
func printProblems(w io.Writer, problems []manifests.Problem) {
	for _, p := range problems {
		printLine(w, "%s", p)
	}
}
