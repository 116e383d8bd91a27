// Command pacer is GitOps for Marathon: it keeps what runs in a Marathon the
// same as what git says should run.
//
// This package wires the parts together, one file a verb; what the parts do
// lives in sources, manifests and controller.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/internal/lifecycle"
	"github.com/pacer-gitops/pacer/visible"
)

// The exit codes are a contract: scripts and pipelines branch on them.
const (
	exitOK      = 0
	exitError   = 1
	exitPending = 2 // plan --detailed-exitcode: changes are pending
	exitTimeout = 3 // timed out waiting
)

// codedError carries an exit code through cobra. A nil err means that all there
// is to say has been said on the output.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	lifecycle.EndLate(ctx, os.Stderr, os.Exit)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

// maxError is how many bytes of an error are printed: what a server has said of
// a failure may be in it.
const maxError = 64 << 10

// exitCode prints what is left to be said and picks the exit code. Every error of
// a command is printed here, and any may quote text from outside.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	code := exitError
	var coded *codedError
	if errors.As(err, &coded) {
		code, err = coded.code, coded.err
	}
	if err != nil {
		fmt.Fprintf(stderr, "pacer: %s\n", visible.Text(visible.Cut(err.Error(), maxError)))
	}
	return code
}

// helpTemplate begins with the one-line purpose, also where there are details.
const helpTemplate = `{{.Short}}.
{{with .Long}}
{{. | trimTrailingWhitespaces}}
{{end}}
{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

func init() {
	cobra.EnableCommandSorting = false // groups list what comes first at first
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "pacer",
		Short:         "GitOps for Marathon: keeps Marathon in sync with git",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(flagError)
	addGroup(root, "Start", newDemo(), newLocal())
	addGroup(root, "Manifests", newValidate(), newRender(), newExplain(), newPlan(), newApply(), newExport())
	addGroup(root, "Running server", newStatus(), newDiff(), newSync(), newWait(), newHistory(), newRollback(), newSuspend(), newResume(), newApprove())
	addGroup(root, "Operate", newRun(), newCheck(), newStore(), newVersion())
	root.SetHelpCommandGroupID("Operate")
	root.SetCompletionCommandGroupID("Operate")
	root.AddCommand(newDemoWeb())
	return root
}

// addGroup adds commands under a heading of the help.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title + ":"})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}
