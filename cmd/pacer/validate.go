package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/pacer-gitops/pacer/cmd/pacer/ci"
	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// offline is the flags of the verbs that ask no Marathon.
type offline struct {
	oneShot
	output string
}

func (o *offline) addFlags(cmd *cobra.Command, formats ...string) {
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, timeoutUsage)
	addOptions(cmd, func(c config.Option) bool {
		switch c.Flag {
		case "scope", "path", "substitute", "git-username", "git-password", "git-key", "git-passphrase", "git-known-hosts", "git-ca-file", "allow-http":
			return true
		}
		return false
	})
	outputFlag(cmd, &o.output, formats...)
}

// read reads SOURCE against a Marathon of which no flag is known.
func (o *offline) read(ctx context.Context, cmd *cobra.Command, arg string) (manifests.Desired, error) {
	// The address is only there because every configuration has one.
	given := append(givenOptions(cmd), config.Given{Key: "marathon.url", Value: "http://offline.invalid", Origin: "offline"})
	source, path, err := config.ParseSource(arg)
	if err != nil {
		return manifests.Desired{}, err
	}
	if path != "" {
		given = append(given, config.Given{Key: "syncs.NAME.path", Value: path, Origin: "SOURCE"})
	}
	c, err := config.One("offline", source, given...)
	if err != nil {
		return manifests.Desired{}, err
	}
	desired, err := oneshot.Desired(ctx, newTarget(c, "offline").Sync, manifests.UnknownCluster())
	unknown := desired.UnknownDependencies(c.Syncs["offline"].Scope, nil)
	desired.Problems = slices.Concat(desired.Problems, unknown) // the reader may hold what it returned
	return desired, err
}

func newValidate() *cobra.Command {
	var o offline
	cmd := &cobra.Command{
		Use:   "validate SOURCE",
		Short: "Validate manifests offline",
		Example: `  pacer validate ./apps
  pacer validate ./apps --scope /shop -o json`,
		Long: sourceLong,
		Args: oneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.within(cmd.Context(), func(ctx context.Context) error {
				desired, err := o.read(ctx, cmd, args[0])
				if err != nil {
					return err
				}
				if isCI(o.output) {
					return annotate(cmd.OutOrStdout(), args[0], desired, o.output)
				}
				return printValidated(cmd.OutOrStdout(), desired, o.output)
			})
		},
	}
	o.addFlags(cmd, slices.Concat([]string{"text", "json", "yaml"}, ci.Formats())...)
	return cmd
}

// annotate prints what validate found for a system that checks pull requests.
func annotate(w io.Writer, source string, d manifests.Desired, format string) error {
	from, _, err := config.ParseSource(source)
	if err != nil {
		return err
	}
	a := annotations{format: format}
	a.add(from.Options(), d.Problems)
	if format == ci.GitHub {
		err = logInGitHub(w, func() error { return printFound(w, newFound(d), "text") })
	}
	if err = errors.Join(err, a.write(w)); err != nil {
		return err
	}
	return exitOf(d)
}

// found is what validate found, as it is printed.
type found struct {
	Valid    bool                `json:"valid"`
	Items    int                 `json:"items"`
	Problems []manifests.Problem `json:"problems"`
}

// printValidated prints what validate found.
func printValidated(w io.Writer, d manifests.Desired, format string) error {
	if err := printFound(w, newFound(d), format); err != nil {
		return err
	}
	return exitOf(d)
}

func newFound(d manifests.Desired) found {
	return found{!hasErrors(d.Problems), len(d.Items), append([]manifests.Problem{}, d.Problems...)}
}

func exitOf(d manifests.Desired) error {
	if hasErrors(d.Problems) {
		return exitWith(exitError)
	}
	return nil
}

func printFound(w io.Writer, f found, format string) error {
	switch format {
	case "json":
		return printJSON(w, f)
	case "yaml":
		text, err := yaml.Marshal(f)
		if err != nil {
			return err
		}
		if !visible.Whole(text) {
			return printJSON(w, f) // which is YAML too, and escapes all
		}
		_, err = w.Write(text)
		return err
	}
	printProblems(w, f.Problems)
	errors, warnings := manifests.CountProblems(f.Problems)
	line := fmt.Sprintf("Definitions: %d valid. Problems: %d.", f.Items, errors)
	if warnings > 0 {
		line += fmt.Sprintf(" Warnings: %d.", warnings)
	}
	printLine(w, "%s", line)
	return nil
}

func newRender() *cobra.Command {
	var o offline
	cmd := &cobra.Command{
		Use:   "render SOURCE",
		Short: "Print the desired definitions in normal form",
		Example: `  pacer render ./apps --scope /shop
  pacer render ./apps --substitute ENV=prod -o json`,
		Long: sourceLong + "\n\nDefinitions with errors are omitted and reported on standard error; the exit code is then 1.",
		Args: oneSource,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.within(cmd.Context(), func(ctx context.Context) error {
				desired, err := o.read(ctx, cmd, args[0])
				if err != nil {
					return err
				}
				text, err := manifests.Render(desired, manifests.UnknownCluster(), o.output)
				if err != nil {
					return err
				}
				if _, err := cmd.OutOrStdout().Write(text); err != nil {
					return err
				}
				printProblems(cmd.ErrOrStderr(), desired.Problems)
				return exitOf(desired)
			})
		},
	}
	o.addFlags(cmd, "json", "yaml")
	return cmd
}
