package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/oneshot"
	"github.com/pacer-gitops/pacer/controller/plan"
)

// This file is what the one-shot verbs share: their flags, and which syncs are meant.

// target is one sync that a one-shot verb is about.
type target struct {
	oneshot.Sync
	shown    *int   // how many plans the verb has printed; nil: it is about one sync only
	at       string // name of the Marathon in the configuration; empty: the one without a name
	marathon config.Marathon
}

// newTarget is a sync of a configuration.
func newTarget(c *config.Config, name string) target {
	s := c.Syncs[name]
	return target{
		Sync: oneshot.Sync{
			Name: name, Marathon: c.MarathonOf(s).Address(), Source: c.Sources[s.Source].Options(), State: c.StateDir,
			Path: s.Path, Substitute: s.Substitute, Policy: policyOf(s), Deadline: time.Duration(s.Deadline), Settle: time.Duration(s.Settle),
		},
		at: s.Marathon, marathon: c.MarathonOf(s),
	}
}

// eachSync does the work of every target, also where that of another one fails,
// and returns its errors and exit code as one error. An error outweighs changes
// that are pending.
func eachSync(ctx context.Context, targets []target, work func(target) (code int, err error)) error {
	code := exitOK
	var failed []error
	for _, t := range targets {
		c, err := work(t)
		if err != nil && len(targets) > 1 {
			err = fmt.Errorf("sync %s: %w", t.Name, err)
		}
		failed = append(failed, err)
		if c == exitError || code == exitOK {
			code = c
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return exitWith(code)
}

// atMostOneSource and oneSource are the arguments of the verbs that take SOURCE.
func atMostOneSource(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return nil
	}
	message := "expected one SOURCE, found " + strings.Join(args, " and ")
	if prune := cmd.Flags().Lookup("prune"); prune != nil && prune.Changed {
		message += "; write the value of --prune with =, as in --prune=on"
	}
	return errors.New(message)
}

func oneSource(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("SOURCE is missing: a directory or a git URL, as in: %s ./apps", cmd.CommandPath())
	}
	return atMostOneSource(cmd, args)
}

const timeoutUsage = "overall timeout, with exit code 3; 0: no limit"

// oneShot is the flags of the verbs that take SOURCE or --config.
type oneShot struct {
	configFile string
	sync       string
	timeout    time.Duration
	approve    []string
}

func (o *oneShot) addFlags(cmd *cobra.Command, timeout time.Duration) {
	cmd.Flags().StringVar(&o.configFile, "config", "", "configuration `FILE`, instead of SOURCE")
	cmd.Flags().StringVar(&o.sync, "sync", "", "`NAME` of one sync of the configuration; empty: all")
	cmd.Flags().DurationVar(&o.timeout, "timeout", timeout, timeoutUsage)
	addOptions(cmd, withSync)
}

// addApprove adds the flag by which a person lets through what asks first. It
// holds for this run alone.
func (o *oneShot) addApprove(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.approve, "approve", nil,
		"`ID,…` of changes to approve (such as more deletions than maxDeletes, or persistent volumes); all: every change")
}

// load is the configuration that is meant, and its targets by name.
func (o *oneShot) load(cmd *cobra.Command, args []string) (*config.Config, []target, error) {
	c, err := o.config(cmd, args)
	if err != nil {
		return nil, nil, err
	}
	names := slices.Sorted(maps.Keys(c.Syncs))
	if o.sync != "" {
		if _, known := c.Syncs[o.sync]; !known {
			return nil, nil, fmt.Errorf("flag --sync: %q: expected one of %s", o.sync, strings.Join(names, ", "))
		}
		names = []string{o.sync}
	}
	var targets []target
	var shown *int
	if len(names) > 1 {
		shown = new(int)
	}
	for _, name := range names {
		t := newTarget(c, name)
		t.shown, t.Approve = shown, o.approve
		targets = append(targets, t)
	}
	return c, targets, nil
}

// connect is what is meant, with a client of each Marathon that it is about.
func (o *oneShot) connect(cmd *cobra.Command, args []string) (clients, []target, error) {
	c, targets, err := o.load(cmd, args)
	if err != nil {
		return nil, nil, err
	}
	notePrune(cmd, targets)
	all := clients{}
	for _, t := range targets {
		if all[t.at] != nil {
			continue
		}
		if all[t.at], err = newMarathon(t.marathon, newLog(c.Log, cmd.ErrOrStderr()), nil, nil); err != nil {
			delete(all, t.at)
			all.Close()
			return nil, nil, err
		}
	}
	return all, targets, nil
}

// notePrune says why a prune that was asked for by flag deletes nothing.
func notePrune(cmd *cobra.Command, targets []target) {
	if prune := cmd.Flags().Lookup("prune"); prune == nil || !prune.Changed {
		return
	}
	for _, t := range targets {
		if t.Policy.Prune != plan.PruneOff && !t.Policy.Exclusive {
			fmt.Fprintln(cmd.ErrOrStderr(), "--prune deletes nothing here: only pacer run knows what Pacer applied before. "+
				"--exclusive, with a --scope narrower than /, deletes everything in the scope that the source does not define.")
			return
		}
	}
}

// clients are those of several Marathons, by the name that syncs call them.
type clients map[string]*marathon.Client

func (c clients) of(t target) *marathon.Client { return c[t.at] }

// listen hears the events of all Marathons until it is told to end.
func (c clients) listen(ctx context.Context) (ears map[string]*marathon.Ear, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	ears = map[string]*marathon.Ear{}
	for name, client := range c {
		ear := marathon.NewEar(client)
		ears[name] = ear
		group.Go(func() { ear.Listen(ctx) })
	}
	return ears, func() { cancel(); group.Wait() }
}

// Close lets their connections go.
func (c clients) Close() {
	for _, client := range c {
		client.Close()
	}
}

func (o *oneShot) config(cmd *cobra.Command, args []string) (*config.Config, error) {
	given := givenOptions(cmd)
	switch {
	case o.configFile != "" && len(args) > 0:
		return nil, fmt.Errorf("SOURCE and --config are mutually exclusive")
	case o.configFile != "":
		return loadNoting(cmd, o.configFile)
	case len(args) == 0:
		return nil, fmt.Errorf("SOURCE is missing: a directory or a git URL, as in: %[1]s ./apps; or, for the syncs of a configuration: %[1]s --config pacer.yaml", cmd.CommandPath())
	}
	source, path, err := config.ParseSource(args[0])
	if err != nil {
		return nil, err
	}
	if path != "" {
		given = append(given, config.Given{Key: "syncs.NAME.path", Value: path, Origin: "SOURCE"})
	}
	return config.One(nameOf(args[0]), source, given...)
}

// nameOf names the sync of a SOURCE: its last part.
func nameOf(arg string) string {
	arg, _, _ = strings.Cut(arg, "?")
	name := strings.TrimSuffix(filepath.Base(arg), ".git")
	if name == "." || name == "/" || name == ".." {
		return "default"
	}
	return name
}

// within bounds the work by --timeout and tells by the exit code if it was that.
func (o *oneShot) within(ctx context.Context, work func(context.Context) error) error {
	if os.Getenv("GOGC") == "" {
		// A verb reads all once and ends, and has little to collect: to look for it
		// more often takes a sixth of its time and saves a seventh of its memory.
		debug.SetGCPercent(400)
	}
	return within(ctx, o.timeout, work)
}

func within(ctx context.Context, timeout time.Duration, work func(context.Context) error) error {
	switch {
	case timeout < 0:
		return fmt.Errorf("flag --timeout: %s: expected a duration above zero, such as 30s, or 0 for no limit", timeout)
	case timeout == 0:
		return work(ctx)
	}
	late := &codedError{code: exitTimeout, err: fmt.Errorf("timed out after %s (flag --timeout)", timeout)}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	err := work(ctx)
	if err == nil || context.Cause(ctx) != error(late) {
		return err
	}
	if strings.Contains(err.Error(), late.err.Error()) { // it tells the cause itself
		return &codedError{code: exitTimeout, err: err}
	}
	return &codedError{code: exitTimeout, err: fmt.Errorf("%w: %w", late.err, err)}
}
