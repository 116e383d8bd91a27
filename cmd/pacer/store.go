package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// The places of a configuration where states are kept.
const (
	inFolder    = "file"
	inZooKeeper = "zookeeper"
)

func newStore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Inspect and migrate the stored state",
		Example: `  pacer store show --config pacer.yaml
  pacer store copy --config pacer.yaml --from file --to zookeeper`,
		Long: "The state is stored in one of two places of the configuration: file, which is the folder stateDir, or zookeeper,\n" +
			"which is the ensemble and the root under that key.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // without, a command that it lacks were no error
	}
	cmd.AddCommand(newStoreShow(), newStoreCopy())
	return cmd
}

// storing is what the verbs of the store share.
type storing struct {
	file string // of the configuration
}

func (s *storing) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.file, "config", "", "configuration `FILE`")
	requireFlag(cmd, "config", "store "+cmd.Name()+" --config pacer.yaml")
	addOptions(cmd, func(config.Option) bool { return true })
}

func (s *storing) load(cmd *cobra.Command) (*config.Config, *slog.Logger, error) {
	c, err := loadNoting(cmd, s.file)
	if err != nil {
		return nil, nil, err
	}
	if c.Log.Level == "info" {
		c.Log.Level = "warn" // nobody asked for how it goes
	}
	return c, newLog(c.Log, cmd.ErrOrStderr()), nil
}

func newStoreShow() *cobra.Command {
	var s storing
	var in, output string
	cmd := &cobra.Command{
		Use:   "show --config FILE [SYNC…]",
		Short: "Show the stored state of each sync",
		Example: `  pacer store show --config pacer.yaml
  pacer store show --config pacer.yaml shop --in zookeeper -o json`,
		Long: "It creates and changes nothing, even where the state cannot be parsed; a place that does not exist is an\n" +
			"error. A folder is not shown while a Pacer uses it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, log, err := s.load(cmd)
			if err != nil {
				return err
			}
			if in == "" {
				in = placeOf(c)
			}
			records, err := openRecords(cmd.Context(), c, in, toRead, log)
			if err != nil {
				return err
			}
			return errors.Join(showRecords(cmd.Context(), cmd.OutOrStdout(), records, args, output), records.Close())
		},
	}
	s.addFlags(cmd)
	cmd.Flags().StringVar(&in, "in", "", "`PLACE`: file or zookeeper; default: zookeeper where that is configured, else file")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// placeOf is where a Pacer of a configuration keeps its states.
func placeOf(c *config.Config) string {
	if c.ZooKeeper.IsSet() {
		return inZooKeeper
	}
	return inFolder
}

func newStoreCopy() *cobra.Command {
	var s storing
	var from, to string
	var force bool
	cmd := &cobra.Command{
		Use:   "copy --config FILE --from PLACE --to PLACE",
		Short: "Copy the stored state of all syncs from file to zookeeper, or back",
		Example: `  pacer store copy --config pacer.yaml --from file --to zookeeper
  pacer store copy --config pacer.yaml --from zookeeper --to file --force`,
		Long: "Stop Pacer first: the copy is refused while one uses either place. The source of the copy is not changed. The copy is\n" +
			"refused where the target already has a state, unless --force is set; then the states of the same\n" +
			"syncs are replaced, and others are kept. Nothing is copied where one of the states cannot be read.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := s.load(cmd)
			if err != nil {
				return err
			}
			syncs, err := copyRecords(cmd.Context(), c, from, to, force, log)
			if len(syncs) > 0 || err == nil {
				printLine(cmd.OutOrStdout(), "copied from %s to %s: %s", from, to, namesOrNone(syncs))
			}
			return err
		},
	}
	s.addFlags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "`PLACE` to copy from: file or zookeeper")
	cmd.Flags().StringVar(&to, "to", "", "`PLACE` to copy to: file or zookeeper")
	cmd.Flags().BoolVar(&force, "force", false, "replace the states of the same syncs in the target")
	requireFlag(cmd, "from", "store copy --config pacer.yaml --from file --to zookeeper")
	requireFlag(cmd, "to", "store copy --config pacer.yaml --from file --to zookeeper")
	return cmd
}

func namesOrNone(names []string) string {
	if len(names) == 0 {
		return "nothing, because no state is stored there"
	}
	return strings.Join(names, ", ")
}

func copyRecords(ctx context.Context, c *config.Config, from, to string, force bool, log *slog.Logger) ([]string, error) {
	if from == to {
		return nil, fmt.Errorf("flags --from and --to are both %s: expected one of each", from)
	}
	source, err := openUnused(ctx, c, from, toRead, log)
	if err != nil {
		return nil, err
	}
	target, err := openUnused(ctx, c, to, toWrite, log)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	syncs, err := store.Copy(ctx, source, target, force)
	if errors.Is(err, store.ErrOccupied) {
		err = fmt.Errorf("%s: %w: inspect it with pacer store show --in %s; --force replaces those of the same name", to, err, to)
	}
	return syncs, errors.Join(err, target.Close(), source.Close())
}

// openUnused opens a place that no Pacer uses.
func openUnused(ctx context.Context, c *config.Config, place string, use use, log *slog.Logger) (store.Records, error) {
	records, err := openRecords(ctx, c, place, use, log)
	z, several := records.(*store.ZooKeeper)
	if err != nil || !several { // a folder is locked by who opens it
		return records, err
	}
	if err := z.CheckUnused(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("zookeeper: %w", err), z.Close())
	}
	return z, nil
}

// zookeeperPatience is how long a start waits for ZooKeeper.
const zookeeperPatience = 30 * time.Second

// use is what a place is opened for.
type use bool

const (
	toRead  use = false // nothing is made or changed; what is not there is an error
	toWrite use = true  // what is missing is made
)

func openRecords(ctx context.Context, c *config.Config, place string, use use, log *slog.Logger) (store.Records, error) {
	switch {
	case place == inFolder:
		return openFolder(c.StateDir, use)
	case place != inZooKeeper:
		return nil, fmt.Errorf("%q: expected %s or %s", place, inFolder, inZooKeeper)
	case !c.ZooKeeper.IsSet():
		return nil, errors.New("zookeeper is not configured: set zookeeper.servers (flag --zookeeper, environment variable PACER_ZOOKEEPER)")
	}
	ctx, cancel := context.WithTimeout(ctx, zookeeperPatience)
	defer cancel()
	connection := zookeeperConfig(c.ZooKeeper, log)
	connection.Existing = use == toRead
	z, err := store.OpenZooKeeper(ctx, store.ZooKeeperOptions{Connection: connection, Log: log})
	if err != nil {
		return nil, err // and no records that are nil and do not look so
	}
	return z, nil
}

func openFolder(folder string, use use) (store.Records, error) {
	open := store.OpenExisting
	if use == toWrite {
		open = store.OpenFile
	}
	f, err := open(folder)
	if err != nil {
		return nil, err // as above
	}
	return f, nil
}

func zookeeperConfig(c config.ZooKeeper, log *slog.Logger) zookeeper.Config {
	return zookeeper.Config{
		Servers: c.Servers, Root: c.Root, SessionTimeout: time.Duration(c.SessionTimeout),
		Auth: zookeeper.Auth(c.Auth),
		TLS:  c.TLS,
		Log:  log,
	}
}

// showRecords writes what is kept; no syncs: of all. One that cannot be read does
// not hide the others.
func showRecords(ctx context.Context, w io.Writer, records store.Records, syncs []string, output string) error {
	known, err := records.Syncs(ctx)
	if err != nil {
		return err
	}
	if len(syncs) == 0 {
		syncs = known
	}
	states := map[string]store.State{}
	var errs []error
	for _, sync := range syncs {
		if !slices.Contains(known, sync) {
			errs = append(errs, fmt.Errorf("no stored state of a sync %q; available: %s", sync, namesOrNone(known)))
			continue
		}
		s, err := records.Peek(ctx, sync)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		states[sync] = s.WithoutDefinitions()
	}
	if output == "json" {
		return errors.Join(append(errs, printJSON(w, states))...)
	}
	for _, sync := range slices.Sorted(maps.Keys(states)) {
		printState(w, sync, states[sync])
	}
	return errors.Join(errs...)
}

// printState writes what a person who moves or mends a state wants to know.
func printState(w io.Writer, sync string, s store.State) {
	line := func(format string, args ...any) { printLine(w, format, args...) }
	inventory := "not known"
	if s.Inventory != nil {
		inventory = fmt.Sprintf("%d ids", len(s.Inventory))
	}
	line("%s: inventory %s, history %d entries", sync, inventory, len(s.History))
	if s.Suspended {
		line("  suspended%s", s.Suspension.Words())
	}
	if s.Loss.Reports() {
		line("  only reports, because its state was lost at %s: %s", s.Loss.At.UTC().Format(time.RFC3339), s.Loss.Why)
	}
	if s.Pin != nil {
		line("  rolled back to %s", plan.ShortRevision(s.Pin.ID))
	}
	if s.Newest != nil {
		line("  newest applied revision: %s", strings.TrimSpace(plan.ShortRevision(s.Newest.ID)+" "+s.Newest.Subject))
	}
	for _, id := range slices.Sorted(maps.Keys(s.Approved)) {
		line("  approved: %s, for revision %s", id, plan.ShortRevision(s.Approved[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(s.Rollouts)) {
		line("  rollout: %s, deployment %s of revision %s", id, s.Rollouts[id].Deployment, plan.ShortRevision(s.Rollouts[id].Revision))
	}
	for _, id := range slices.Sorted(maps.Keys(s.Failed)) {
		line("  failed: %s: %s", id, s.Failed[id].Reason)
	}
	if len(s.History) > 0 {
		last := s.History[0]
		line("  last: %s %s, revision %s", last.Ended.UTC().Format(time.RFC3339), last.Result, plan.ShortRevision(last.Revision))
	}
}
