package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

const exportLong = `Writes one YAML file per app, pod or group, in folders like the groups below --scope:
/shop/team/cart of --scope /shop becomes team/cart.yaml, and a group's own fields
(dependencies, enforceRole) _group.yaml in its folder. Values that Marathon fills
in by itself are omitted. Ids are absolute: the files plan to no change with the
same --scope, and with every wider one.

Nothing is deleted, and no file that differs is replaced without --force. At the
end the folder is planned: if anything would change, or an existing file
has errors, that is reported and the exit code is 1; likewise where Marathon has
a definition that validate refuses, which is not written.

Values that look like secrets are written as Marathon returns them, and listed on
standard error.`

// exporting is the flags of export.
type exporting struct {
	oneShot
	out       string
	force     bool
	keepPorts bool
}

func newExport() *cobra.Command {
	var e exporting
	cmd := &cobra.Command{
		Use:   "export --out DIR",
		Short: "Export live apps as manifests",
		Example: `  pacer export --out ./apps --marathon http://marathon:8080 --scope /shop
  pacer export --out ./apps --scope /shop --force --keep-service-ports`,
		Long: exportLong,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.within(cmd.Context(), func(ctx context.Context) error { return runExport(ctx, cmd, &e) })
		},
	}
	cmd.Flags().StringVar(&e.out, "out", "", "`DIR` to write to, created if missing")
	cmd.Flags().BoolVar(&e.force, "force", false, "replace files that differ")
	cmd.Flags().BoolVar(&e.keepPorts, "keep-service-ports", false, "also write service ports that Marathon may have assigned, so that another Marathon uses the same ones")
	cmd.Flags().DurationVar(&e.timeout, "timeout", 2*time.Minute, timeoutUsage)
	addOptions(cmd, func(o config.Option) bool { return o.Flag == "scope" || strings.HasPrefix(o.Key, "marathon.") })
	requireFlag(cmd, "out", "export --out apps --scope /shop")
	return cmd
}

func runExport(ctx context.Context, cmd *cobra.Command, e *exporting) error {
	const name = "export"
	c, err := config.One(name, config.Source{Directory: &config.Directory{Path: e.out}}, givenOptions(cmd)...)
	if err != nil {
		return err
	}
	client, err := newMarathon(c.Marathon, newLog(c.Log, cmd.ErrOrStderr()), nil, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	state, err := client.State(ctx)
	if err != nil {
		return err
	}
	scope := c.Syncs[name].Scope
	files, err := manifests.Export(oneshot.LiveItems(state), manifests.ExportOptions{Scope: scope, Cluster: state.Cluster, KeepServicePorts: e.keepPorts})
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("Marathon has no apps, pods or groups to export in %s: check --scope", scope)
	}
	files, refused := withoutRefused(cmd.ErrOrStderr(), files)
	written, err := oneshot.WriteExport(ctx, e.out, files, e.force)
	if err != nil {
		return err
	}
	warnOfSecrets(cmd.ErrOrStderr(), files)
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s; %d files written, %d unchanged\n", e.out, counted(files), written, len(files)-written)
	folder := newTarget(c, name).Sync
	folder.Marathon = "" // it is compared with a state that was read before
	err = checkExport(ctx, cmd, folder, state)
	if err == nil && refused {
		return exitWith(exitError)
	}
	return err
}

// withoutRefused leaves out, and tells, what Marathon has and no manifest may say.
func withoutRefused(w io.Writer, files []manifests.ExportedFile) (kept []manifests.ExportedFile, refused bool) {
	for _, f := range files {
		if len(f.Refused) == 0 {
			kept = append(kept, f)
		}
		for _, p := range f.Refused {
			printLine(w, "not written, because validate refuses it: %s", p)
		}
	}
	return kept, len(kept) < len(files)
}

// counted says how many of what there are.
func counted(files []manifests.ExportedFile) string {
	n := map[manifests.Kind]int{}
	for _, f := range files {
		n[f.Item.Kind]++
	}
	return fmt.Sprintf("%d apps, %d pods, %d groups", n[manifests.KindApp], n[manifests.KindPod], n[manifests.KindGroup])
}

// warnOfSecrets names, without values, what looks like a secret in the files.
func warnOfSecrets(w io.Writer, files []manifests.ExportedFile) {
	for _, f := range files {
		var paths []string
		switch f.Item.Kind {
		case manifests.KindApp:
			paths = plan.Confidential(f.Item.App)
		case manifests.KindPod:
			paths = plan.Confidential(f.Item.Pod)
		}
		if len(paths) > 0 {
			printLine(w, "warning: %s: possible secret in plain text: %s", f.Name, strings.Join(paths, ", "))
		}
	}
}

// checkExport plans the folder, with all that it held before, against the state
// that was exported, and tells what is not as it should be.
func checkExport(ctx context.Context, cmd *cobra.Command, s oneshot.Sync, state marathon.State) error {
	p, err := oneshot.PlanAgainst(ctx, s, state)
	if err != nil {
		return err
	}
	if !hasErrors(p.Problems) && len(p.Changes) == 0 {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "The folder does not plan to no change:")
	if err := (plan.Printer{}).Write(cmd.ErrOrStderr(), p, "text"); err != nil {
		return err
	}
	return exitWith(exitError)
}
