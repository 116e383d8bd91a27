package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/visible"
)

func newCheck() *cobra.Command {
	var file, output string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration and all that it names",
		Example: `  pacer check --config pacer.yaml
  pacer check --config pacer.yaml -o json`,
		Long: "It reads the configuration and its secrets, fetches each source, reads each Marathon, connects to ZooKeeper, and asks\n" +
			"each forge which rights the token lacks. It changes nothing, and may be called while Pacer runs. The exit code is 1\n" +
			"if anything is wrong.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadNoting(cmd, file)
			if err != nil {
				return err
			}
			return within(cmd.Context(), timeout, func(ctx context.Context) error {
				all := runChecks(ctx, checksOf(c))
				if err := printChecks(cmd.OutOrStdout(), all, output); err != nil {
					return err
				}
				if slices.ContainsFunc(all, func(c checked) bool { return !c.OK }) {
					return exitWith(exitError)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	requireFlag(cmd, "config", "check --config pacer.yaml")
	addOptions(cmd, func(config.Option) bool { return true })
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, timeoutUsage)
	return cmd
}

// checked is what became of one check.
type checked struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Says string `json:"says"` // what was found, or what is wrong and what to do
}

// check is one thing to be checked: what finds something, or an error, or several.
type check struct {
	what string
	run  func(ctx context.Context) (found string, err error)
}

// checksOf lists the checks of a configuration, in the order of its keys.
func checksOf(c *config.Config) []check {
	all := []check{{"secrets of callers", func(context.Context) (string, error) {
		return "readable", config.CheckReadable(c.CallersSecrets(), nil)
	}}}
	if len(c.Marathon.URL) > 0 {
		all = append(all, check{"marathon", func(ctx context.Context) (string, error) { return checkMarathon(ctx, c.Marathon) }})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Marathons)) {
		all = append(all, check{"marathon " + name, func(ctx context.Context) (string, error) { return checkMarathon(ctx, c.Marathons[name]) }})
	}
	if c.ZooKeeper.IsSet() {
		all = append(all, check{"zookeeper", func(ctx context.Context) (string, error) { return checkZooKeeper(ctx, c.ZooKeeper) }})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		all = append(all, check{"source " + name, func(ctx context.Context) (string, error) { return checkSource(ctx, c, name) }})
		if f := c.Sources[name].Forge(); f != nil {
			all = append(all, check{"forge of source " + name, func(ctx context.Context) (string, error) { return checkForge(ctx, c.Sources[name]) }})
		}
	}
	return all
}

// runChecks runs all side by side: one that hangs does not hide what the others find.
func runChecks(ctx context.Context, all []check) []checked {
	found := make([]checked, len(all))
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			says, err := c.run(ctx)
			if err != nil {
				says = err.Error()
			}
			found[i] = checked{c.what, err == nil, says}
		})
	}
	group.Wait()
	return found
}

func printChecks(w io.Writer, all []checked, output string) error {
	if output == "json" {
		return printJSON(w, all)
	}
	widest := 0
	for _, c := range all {
		widest = max(widest, len(c.What))
	}
	for _, c := range all {
		sign := "ok  "
		if !c.OK {
			sign = "FAIL"
		}
		for line := range strings.Lines(c.Says) {
			printLine(w, "%s  %-*s  %s", sign, widest, c.What, strings.TrimSpace(line))
		}
	}
	return nil
}

func checkMarathon(ctx context.Context, m config.Marathon) (string, error) {
	client, err := newMarathon(m, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		return "", err
	}
	defer client.Close()
	cluster, err := client.Info(ctx)
	if err != nil {
		return "", err
	}
	apps, err := client.Apps(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("version %s, %d apps", cluster.Version, len(apps)), nil
}

func checkZooKeeper(ctx context.Context, z config.ZooKeeper) (string, error) {
	connection := zookeeperConfig(z, slog.New(slog.DiscardHandler))
	connection.Existing = true
	conn, err := zookeeper.Dial(ctx, connection)
	if errors.Is(err, zookeeper.ErrNoRoot) {
		return "reachable; the root does not exist and is created at the first start", nil
	}
	if err != nil {
		return "", err
	}
	return "reachable", conn.Close()
}

// checkSource fetches a source to a folder of its own, and looks whether it has the paths
// of the syncs that read it.
func checkSource(ctx context.Context, c *config.Config, name string) (string, error) {
	source, err := c.Sources[name].Options().Open(sources.Environment{State: c.StateDir})
	if err != nil {
		return "", err
	}
	s, err := source.Snapshot(ctx)
	if err != nil {
		return "", errors.Join(err, source.Close())
	}
	var errs []error
	for _, sync := range slices.Sorted(maps.Keys(c.Syncs)) {
		y := c.Syncs[sync]
		if y.Source != name || y.Path == "" {
			continue
		}
		if _, err := fs.Stat(s.FS, y.Path); err != nil {
			errs = append(errs, fmt.Errorf("sync %s: path %s cannot be read at %s: %w", sync, y.Path, plan.ShortRevision(s.Revision.ID), err))
		}
	}
	found := plan.ShortRevision(s.Revision.ID)
	if s.Revision.Ref != "" {
		found = s.Revision.Ref + " at " + found
	}
	return found, errors.Join(append(errs, source.Close())...)
}

// checkForge asks a forge which rights its token lacks.
func checkForge(ctx context.Context, s config.Source) (string, error) {
	f, err := forge.Open(s.Forge().Options(s.Git.URL))
	if err != nil {
		return "", err
	}
	lacking, err := f.Check(ctx)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, l := range lacking {
		errs = append(errs, errors.New(visible.Line(l)))
	}
	return f.String(), errors.Join(errs...)
}
