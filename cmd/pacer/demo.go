package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// demoScope is the group in Marathon that the demo owns.
const demoScope = "/demo"

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a complete demo on this machine: git repository, local Marathon, controller, page",
		Example: `  pacer demo
  pacer demo --play
  pacer demo --folder ./demo --listen 127.0.0.1:9090`,
		Long: "It requires only git; one more app runs where a Docker engine answers. Ctrl-C leaves no process and no\n" +
			"file behind except the folder that it names.\n" +
			"With --play it plays its three stories by itself and exits 0 only if each of them succeeded.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, end := attended(cmd.Context())
			defer end()
			o.out = watched{cmd.OutOrStdout(), end}
			return runDemo(ctx, o)
		},
	}
	cmd.Flags().StringVar(&o.folder, "folder", "", "`FOLDER` of repository, configuration and state: new, empty, or that of an earlier demo; default: a temporary one")
	cmd.Flags().StringVar(&o.page, "listen", "127.0.0.1:9090", "listen `ADDRESS` of the page; another port is used if this one is taken")
	cmd.Flags().StringVar(&o.marathon, "marathon-listen", "127.0.0.1:8080", "listen `ADDRESS` of the local Marathon; another port is used if this one is taken")
	cmd.Flags().BoolVar(&o.play, "play", false, "play the three stories and exit")
	return cmd
}

type demoOptions struct {
	folder, page, marathon string
	play                   bool
	out                    io.Writer
}

// runDemo starts everything, shows what happens, and stops in good order.
func runDemo(ctx context.Context, o demoOptions) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d, err := startDemo(ctx, o, fail)
	if err == nil {
		err = d.show(ctx, o.play)
	}
	cause := context.Cause(ctx)
	if d != nil {
		err = errors.Join(err, d.stop(ctx))
		fmt.Fprintf(o.out, "\nStopped. The folder of the demo remains: %s\n", d.folder)
	}
	if cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	} else if cause != nil && o.play {
		err = errors.Join(err, errors.New("interrupted before the stories were played"))
	}
	return err
}

// demo is a running demo.
type demo struct {
	lifecycle
	folder  string
	repo    *demoRepo
	lacks   string // why an app of the demo cannot run here; "": all can
	api     string // URL of the local Marathon
	program *program
	out     io.Writer
}

func startDemo(ctx context.Context, o demoOptions, fail func(error)) (*demo, error) {
	d := &demo{out: o.out}
	if err := d.makeFolder(ctx, o.folder); err != nil {
		return nil, err
	}
	log, err := d.openLog()
	if err != nil {
		return d, err
	}
	addr, err := startLocal(&d.lifecycle, localOptions{
		listen: freeAddress(o.marathon), option: "--marathon-listen", sandboxes: filepath.Join(d.folder, "sandboxes"), log: log,
	}, fail)
	if err != nil {
		return d, err
	}
	d.api = "http://" + addr.String()
	file, err := d.writeConfig(freeAddress(o.page))
	if err != nil {
		return d, err
	}
	c, err := config.Load(file)
	if err != nil {
		return d, err
	}
	if d.program, err = startProgram(ctx, c, false, log, fail); err != nil {
		return d, err
	}
	d.takeOver(&d.program.lifecycle)
	return d, nil
}

func (d *demo) makeFolder(ctx context.Context, folder string) (err error) {
	if folder == "" {
		folder, err = os.MkdirTemp("", "pacer-demo-")
	} else if folder, err = filepath.Abs(folder); err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = claimFolder(folder)
	}
	if err != nil {
		return fmt.Errorf("the demo requires its own folder: %w", err)
	}
	d.folder = folder
	address, docker := executor.EngineAnswers(ctx)
	if d.repo, err = newDemoRepo(ctx, filepath.Join(folder, "repo"), docker); err != nil || docker {
		return err
	}
	d.lacks = "no Docker engine answers at " + address + ": skipping the demo's app that needs one"
	if d.repo.has(dockerApp) { // of an earlier demo
		d.lacks = "no Docker engine answers at " + address + ": " + dockerApp + " of the repository waits for one"
	}
	return nil
}

// demoMark begins the configuration of a demo, by which its folder is known.
const demoMark = "# The configuration of the demo: what pacer run --config would read."

// claimFolder makes a folder the demo's: an empty one, or that of an earlier demo.
// In any other nothing is overwritten, and no repository there is deployed.
func claimFolder(folder string) error {
	file := filepath.Join(folder, "pacer.yaml")
	there, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if len(there) == 0 {
		return os.WriteFile(file, []byte(demoMark+"\n"), 0o644)
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !strings.HasPrefix(string(content), demoMark) {
		return fmt.Errorf("%s is not empty, and not from an earlier demo: set --folder to a new or empty folder, or omit it for a temporary one", folder)
	}
	return nil
}

// openLog keeps the log out of the terminal, which tells the story.
func (d *demo) openLog() (*slog.Logger, error) {
	f, err := os.OpenFile(filepath.Join(d.folder, "pacer.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	d.onStop("the log", func(context.Context) error { return f.Close() })
	return newLog(config.Log{Level: "info"}, f), nil
}

const demoConfig = demoMark + `
# Rewritten at each start of the demo.
marathon: {url: %q}
listen: %q
stateDir: %q
sources:
  demo: {git: {url: %q, branch: main, interval: 500ms}}
syncs:
  demo:
    source: demo
    scope: %s
    prune: on
    # The demo's Marathon is empty at each start: more apps missing at once than this require approval.
    maxDeletes: {count: 10, percent: 0}
    substitute: {PACER: %q}
`

func (d *demo) writeConfig(page string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find this binary, which is the demo's web app: %w", err)
	}
	file := filepath.Join(d.folder, "pacer.yaml")
	text := fmt.Sprintf(demoConfig, d.api, page, filepath.Join(d.folder, "state"), "file://"+d.repo.dir, demoScope, self)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// freeAddress is addr if nobody listens there, else the same with any free port.
func freeAddress(addr string) string {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		_ = ln.Close()
		return addr
	}
	host, _, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, "0")
}

// show tells what happens until the end of ctx, or of the stories.
func (d *demo) show(ctx context.Context, play bool) error {
	fmt.Fprintf(d.out, "Pacer demo\n\n  page      http://%s/\n  Marathon  %s\n  folder    %s\n", d.program.addr, d.api, d.folder)
	if d.lacks != "" {
		fmt.Fprintf(d.out, "  Docker    %s\n", d.lacks)
	}
	fmt.Fprintln(d.out)
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		teller{out: d.out, hints: !play, repo: d.repo.dir}.tell(ctx, d.program.controller.Status)
	}()
	defer func() { cancel(); <-told }()
	if !play {
		<-ctx.Done()
		return nil
	}
	return playStories(ctx, &stage{repo: d.repo, marathon: d.api, reason: d.reason, out: d.out})
}

// reason is what Pacer says of an app.
func (d *demo) reason(id string) string {
	for _, s := range d.program.controller.Status().Syncs {
		for _, a := range s.Apps {
			if a.ID == id {
				return a.Reason
			}
		}
	}
	return ""
}

// teller prints what changes in a status, one line an event.
type teller struct {
	out   io.Writer
	hints bool
	repo  string
}

// tellEvery is how often the status is looked at: often enough to seem at once.
const tellEvery = 100 * time.Millisecond

func (t teller) tell(ctx context.Context, status func() status.Status) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	var revision string
	last, problems := map[string]toldApp{}, map[string]bool{}
	hinted := !t.hints
	for {
		for _, s := range status().Syncs {
			revision = t.tellRevision(s, revision)
			t.tellApps(s, last)
			problems = t.tellProblems(s, problems)
			if !hinted && healthy(s) > 1 {
				hinted = true
				t.hint()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// healthy counts the apps that run.
func healthy(s status.Sync) int {
	n := 0
	for _, a := range s.Apps {
		if a.Condition == "" && a.Health == status.HealthHealthy {
			n++
		}
	}
	return n
}

func (t teller) line(format string, args ...any) {
	fmt.Fprintf(t.out, "%s  %s\n", time.Now().Format("15:04:05"), visible.Line(fmt.Sprintf(format, args...)))
}

func (t teller) tellRevision(s status.Sync, last string) string {
	if s.Revision.ID != last && s.Revision.ID != "" {
		t.line("● %s  %s", plan.ShortRevision(s.Revision.ID), s.Revision.Subject)
	}
	return s.Revision.ID
}

// sign is the mark of how an app stands, so that it can be told without colour.
func sign(a status.App) string {
	marks := map[status.Condition]string{
		status.InRollout: "…", status.Failed: "✘", status.Blocked: "!", status.Broken: "!",
	}
	if mark := marks[a.Condition]; mark != "" {
		return mark
	}
	if a.State == status.Synced && notUpYet(a) {
		return "…"
	}
	return map[status.State]string{status.Synced: "✔", status.OutOfSync: "~", status.Unknown: "?"}[a.State]
}

// notUpYet says whether an app is as git wants it and does not run as wanted all
// the same: between two passes over one rollout it stands so.
func notUpYet(a status.App) bool {
	switch a.Health {
	case status.HealthProgressing, status.HealthDegraded, status.HealthMissing:
		return true
	}
	return false
}

// toldApp is what was told of an app.
type toldApp struct {
	said  string
	lived bool // Marathon had it
}

func (t teller) tellApps(s status.Sync, last map[string]toldApp) {
	now := map[string]bool{}
	for _, a := range s.Apps {
		now[a.ID] = true
		said := fmt.Sprintf("%s %s  %s: %s", sign(a), a.ID, stands(a), fares(a))
		if last[a.ID].said != said {
			t.line("  %s", said)
		}
		last[a.ID] = toldApp{said, last[a.ID].lived || lives(a)}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		if now[id] {
			continue
		}
		if last[id].lived {
			t.line("  - %s  deleted", id)
		} else {
			t.line("  - %s  no longer defined; it was never created", id)
		}
		delete(last, id)
	}
}

// lives reports whether Marathon has an app or group.
func lives(a status.App) bool {
	if a.Kind == manifests.KindGroup {
		return a.Action != plan.Create
	}
	if a.LastKnown != nil {
		return a.LastKnown.Health != status.HealthMissing
	}
	return a.Health != "" && a.Health != status.HealthMissing
}

// tellProblems tells the problems in manifests that are new, and returns all.
func (t teller) tellProblems(s status.Sync, told map[string]bool) map[string]bool {
	now := map[string]bool{}
	for _, p := range s.Problems {
		said := p.String()
		if !told[said] {
			t.line("  ! %s", said)
		}
		now[said] = true
	}
	return now
}

// stands is how an app stands, in a word or two.
func stands(a status.App) string {
	if a.Condition == "" && a.State == status.Synced && notUpYet(a) {
		return string(a.Health)
	}
	return cmp.Or(string(a.Condition), string(a.State))
}

// fares is how an app fares: why, where there is something to say, else counts.
func fares(a status.App) string {
	if a.Reason != "" && (a.State != status.Synced || a.Condition != "" || notUpYet(a)) {
		return a.Reason
	}
	return cmp.Or(a.WasKnown(), a.Counts())
}

func (t teller) hint() {
	fmt.Fprintf(t.out, `
Try, in another terminal:
  cd %s
  # scale: the first task is kept
  sed -i.bak 's/instances: 1/instances: 3/' web.yaml && git commit -am 'Run three'
  # restart: new tasks start, and when they are healthy the old ones stop
  sed -i.bak 's/Hello from git/Good morning/' web.yaml && git commit -am 'Be polite'
  # roll back
  git revert --no-edit HEAD
Ctrl-C ends it.

`, t.repo)
}
