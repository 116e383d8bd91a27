// Package demo is pacer demo: a git repository, a local Marathon and a Pacer on this
// machine, what changes printed as it happens, and three stories that play what the
// README promises and check it.
//
// It starts Pacer and the local Marathon by functions that it is given, and looks at
// them from outside: at the status, and at Marathon's API.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/internal/lifecycle"
)

// scope is the group in Marathon that the demo owns.
const scope = "/demo"

// Options are what the demo is started with.
type Options struct {
	Folder   string // of repository, configuration and state; empty: a temporary one
	Page     string // address of the page; another port is used if this one is taken
	Marathon string // address of the local Marathon; the same holds
	Play     bool   // play the three stories and end
	Out      io.Writer
	Program  Program
}

// Program starts the parts that the demo shows. What they start stops with stops;
// fail receives the error of one that ends by itself.
type Program struct {
	// Log makes a log that is written to w.
	Log func(w io.Writer) *slog.Logger
	// Marathon starts a local Marathon and returns its address.
	Marathon func(m Marathon, stops *lifecycle.Lifecycle, fail func(error)) (net.Addr, error)
	// Pacer starts Pacer with a configuration file.
	Pacer func(ctx context.Context, file string, log *slog.Logger, stops *lifecycle.Lifecycle, fail func(error)) (Pacer, error)
}

// Marathon is what the local Marathon of the demo is started with.
type Marathon struct {
	Listen    string // address
	Option    string // by which a person can choose another one
	Sandboxes string // folder of the tasks' sandboxes
	Log       *slog.Logger
}

// Pacer is the running Pacer of the demo.
type Pacer struct {
	Page   net.Addr
	Status func() status.Status
}

// Run starts everything, prints what happens, and stops in good order. With Play it
// ends after the stories, with an error unless each of them succeeded.
func Run(ctx context.Context, o Options) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d, err := start(ctx, o, fail)
	if err == nil {
		err = d.show(ctx, o.Play)
	}
	cause := context.Cause(ctx)
	if d != nil {
		err = errors.Join(err, d.Stop(ctx))
		fmt.Fprintf(o.Out, "\nStopped. The folder of the demo remains: %s\n", d.folder)
	}
	if cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	} else if cause != nil && o.Play {
		err = errors.Join(err, errors.New("interrupted before the stories were played"))
	}
	return err
}

// demo is a running demo.
type demo struct {
	lifecycle.Lifecycle
	folder string
	repo   *repository
	lacks  string // why an app of the demo cannot run here; "": all can
	api    string // URL of the local Marathon
	pacer  Pacer
	out    io.Writer
}

func start(ctx context.Context, o Options, fail func(error)) (*demo, error) {
	d := &demo{out: o.Out}
	if err := d.makeFolder(ctx, o.Folder); err != nil {
		return nil, err
	}
	log, err := d.openLog(o.Program.Log)
	if err != nil {
		return d, err
	}
	addr, err := o.Program.Marathon(Marathon{
		Listen: freeAddress(o.Marathon), Option: "--marathon-listen", Sandboxes: filepath.Join(d.folder, "sandboxes"), Log: log,
	}, &d.Lifecycle, fail)
	if err != nil {
		return d, err
	}
	d.api = "http://" + addr.String()
	file, err := d.writeConfig(freeAddress(o.Page))
	if err != nil {
		return d, err
	}
	d.pacer, err = o.Program.Pacer(ctx, file, log, &d.Lifecycle, fail)
	return d, err
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
	if d.repo, err = newRepository(ctx, filepath.Join(folder, "repo"), docker); err != nil || docker {
		return err
	}
	d.lacks = "no Docker engine answers at " + address + ": skipping the demo's app that needs one"
	if d.repo.has(dockerApp) { // of an earlier demo
		d.lacks = "no Docker engine answers at " + address + ": " + dockerApp + " of the repository waits for one"
	}
	return nil
}

// mark begins the configuration of a demo, by which its folder is known.
const mark = "# The configuration of the demo: what pacer run --config would read."

// claimFolder makes a folder the demo's: an empty one, or that of an earlier demo.
// In any other nothing is overwritten, and no repository there is deployed.
func claimFolder(folder string) error {
	file := filepath.Join(folder, "pacer.yaml")
	there, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if len(there) == 0 {
		return os.WriteFile(file, []byte(mark+"\n"), 0o644)
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !strings.HasPrefix(string(content), mark) {
		return fmt.Errorf("%s is not empty, and not from an earlier demo: set --folder to a new or empty folder, or omit it for a temporary one", folder)
	}
	return nil
}

// openLog keeps the log out of the terminal, which shows the story.
func (d *demo) openLog(log func(io.Writer) *slog.Logger) (*slog.Logger, error) {
	f, err := os.OpenFile(filepath.Join(d.folder, "pacer.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	d.OnStop("the log", func(context.Context) error { return f.Close() })
	return log(f), nil
}

const configuration = mark + `
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
	text := fmt.Sprintf(configuration, d.api, page, filepath.Join(d.folder, "state"), "file://"+d.repo.dir, scope, self)
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
	fmt.Fprintf(d.out, "Pacer demo\n\n  page      http://%s/\n  Marathon  %s\n  folder    %s\n", d.pacer.Page, d.api, d.folder)
	if d.lacks != "" {
		fmt.Fprintf(d.out, "  Docker    %s\n", d.lacks)
	}
	fmt.Fprintln(d.out)
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		printer{out: d.out, hints: !play, repo: d.repo.dir}.watch(ctx, d.pacer.Status)
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
	for _, s := range d.pacer.Status().Syncs {
		for _, a := range s.Apps {
			if a.ID == id {
				return a.Reason
			}
		}
	}
	return ""
}
