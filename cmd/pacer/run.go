package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/controller/web"
	"github.com/pacer-gitops/pacer/internal/lifecycle"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources"
)

func newRun() *cobra.Command {
	var file string
	var insecureOpen bool
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the controller: keep Marathon in sync with git",
		Example: `  pacer run --config pacer.yaml
  pacer run --config pacer.yaml --listen 127.0.0.1:9090 --log-level debug`,
		Long: "The configuration is reloaded when its file changes and on SIGHUP; an invalid one leaves the\n" +
			"previous one active. SIGTERM and SIGINT stop gracefully.\n\n" +
			"A page that other machines can reach requires a token (web.tokens), and a ZooKeeper on other machines a\n" +
			"credential (zookeeper.auth): Pacer does not start without them.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, overridden, err := config.LoadNoting(file, givenOptions(cmd)...)
			if err != nil {
				return err
			}
			log := newLog(c.Log, cmd.ErrOrStderr())
			warn := func(overridden []string) {
				for _, o := range overridden {
					log.Warn("the environment overrides the configuration", "override", o)
				}
			}
			warn(overridden)
			load := func() (*config.Config, error) {
				c, overridden, err := config.LoadNoting(file, givenOptions(cmd)...)
				warn(overridden)
				return c, err
			}
			return runProgram(cmd.Context(), c, insecureOpen, log, file, load)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE`")
	requireFlag(cmd, "config", "run --config pacer.yaml")
	cmd.Flags().BoolVar(&insecureOpen, "insecure-open", false, "start even without tokens or ZooKeeper's credential: everyone on the network may act as you")
	addOptions(cmd, func(config.Option) bool { return true })
	return cmd
}

// runProgram runs until ctx ends, taking up changes of the configuration.
func runProgram(ctx context.Context, c *config.Config, insecureOpen bool, log *slog.Logger, file string, load func() (*config.Config, error)) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	p, err := startProgram(ctx, c, insecureOpen, log, fail)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	p.follow(ctx, file, hangups, load)
	cause := context.Cause(ctx)
	err = p.Stop(ctx)
	if !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// program is a running Pacer.
type program struct {
	lifecycle.Lifecycle
	log        *slog.Logger
	mu         sync.Mutex // of config, where it is read beside the one goroutine that replaces it
	config     *config.Config
	controller *controller.Controller
	clusters   map[string]controller.Cluster
	replicas   *replicas // nil: this is the only one
	store      store.Records
	metrics    *prometheus.Registry
	sources    map[string]sources.Source
	forges     map[string]*reported
	reporter   *report.Reporter
	addr       net.Addr // of the page; nil where none is served

	insecureOpen bool // strangers may act where the configuration lets them
}

// startProgram starts everything, or nothing. fail receives the error of a part
// that ends by itself.
func startProgram(ctx context.Context, c *config.Config, insecureOpen bool, log *slog.Logger, fail func(error)) (p *program, err error) {
	p = &program{log: log, config: c, insecureOpen: insecureOpen, metrics: prometheus.NewRegistry(), sources: map[string]sources.Source{}, clusters: map[string]controller.Cluster{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop(ctx))
			p = nil
		}
	}()
	if err := errors.Join(p.admit(c), config.CheckReadable(c.CallersSecrets(), nil)); err != nil {
		return p, err
	}
	ln, err := p.listenForPage(c) // before anything is locked, read or changed
	if err != nil {
		return p, err
	}
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	file, err := store.OpenFile(c.StateDir)
	if err != nil {
		return p, err
	}
	p.OnStop("the state folder", func(context.Context) error { return file.Close() })
	tellFolder(log, file, c.ZooKeeper.IsSet())
	ledger, err := p.openLedger(c.StateDir)
	if err != nil {
		return p, err
	}
	p.store = store.Remember(file, ledger, log)
	if c.ZooKeeper.IsSet() {
		if err := p.joinReplicas(ctx, c, ledger); err != nil {
			return p, err
		}
	}
	if err := sources.RemoveClones(c.CloneFolders()); err != nil {
		return p, err
	}
	requests, err := controller.NewRequests(p.metrics)
	if err != nil {
		return p, err
	}
	if err := p.openMarathons(ctx, c, requests.Wrap); err != nil {
		return p, err
	}
	p.OnStop("the sources", func(context.Context) error { return closeSources(p.sources) })
	if err := p.openSources(c, p.sources); err != nil {
		return p, err
	}
	if err := p.startForges(ctx, c); err != nil {
		return p, err
	}
	if p.controller, err = controller.New(p.controllerOptions(c, p.sources)); err != nil {
		return p, err
	}
	if err := p.runController(ctx); err != nil {
		return p, err
	}
	p.servePage(c, ln, fail)
	p.lead(ctx, fail)
	return p, nil
}

// admit refuses a configuration that lets strangers act, at the start and where it
// has changed. With --insecure-open it is logged each time.
func (p *program) admit(c *config.Config) error {
	err := c.CheckOpen()
	if err == nil || !p.insecureOpen {
		return err
	}
	p.log.Warn("OPEN TO EVERYONE on the network, as --insecure-open allows", "why", err)
	return nil
}

// tellFolder logs where the state folder is. A new one is nothing to wonder at the
// first time; later it says that state is elsewhere, or lost. What several replicas
// share is not in it.
func tellFolder(log *slog.Logger, file *store.File, shared bool) {
	log.Info("state folder", "path", file.Folder())
	switch {
	case !file.IsNew():
	case shared:
		log.Info("the state folder is new and empty: an earlier loss of state in ZooKeeper cannot be detected", "path", file.Folder())
	default:
		log.Warn("the state folder is new and empty: no inventory, suspensions, rollbacks or history; if this is not the first start here, check stateDir", "path", file.Folder())
	}
}

// openLedger opens what the state folder remembers of the syncs that had state.
func (p *program) openLedger(folder string) (*store.Ledger, error) {
	ledger, err := store.OpenLedger(folder)
	if err == nil && ledger.Doubt() != "" {
		p.log.Error("a sync without stored state is treated as one whose state was lost", "reason", ledger.Doubt())
	}
	return ledger, err
}

// openMarathons makes a cluster of each Marathon of the configuration, each with
// connections and a live copy of its own.
func (p *program) openMarathons(ctx context.Context, c *config.Config, wrap func(http.RoundTripper) http.RoundTripper) error {
	all := maps.Clone(c.Marathons)
	if len(c.Marathon.URL) > 0 {
		if all == nil {
			all = map[string]config.Marathon{}
		}
		all[""] = c.Marathon
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		client, err := newMarathon(all[name], p.log, wrap, p.replicas.lease())
		if err != nil {
			return fmt.Errorf("%s: %w", cmp.Or(name, "marathon"), err)
		}
		p.OnStop("the connections to Marathon "+name, func(context.Context) error { client.Close(); return nil })
		p.log.Info("Marathon", "name", name, "url", all[name].Address())
		live := p.keepLive(ctx, name, client, time.Duration(all[name].Resync))
		p.clusters[name] = controller.Cluster{
			Marathon: live, Address: all[name].Address(), Applier: apply.New(client, apply.Options{Log: p.log}),
			Events: func(ctx context.Context) (controller.EventStream, error) {
				changes, err := live.Changes(ctx)
				if err != nil {
					return nil, err // and no stream that is nil and does not look so
				}
				return changes, nil
			},
		}
	}
	return nil
}

// keepLive keeps a live copy of a Marathon until the program stops.
func (p *program) keepLive(ctx context.Context, name string, client *marathon.Client, resync time.Duration) *cache.Cache {
	live := cache.New(client, cache.Options{Resync: resync, Log: p.log})
	p.Background(ctx, "the live copy of Marathon "+name, func(ctx context.Context) { _ = live.Run(ctx) }) // its only error is a second call
	return live
}

// runController runs the loop until the program stops. It has begun before anybody
// can ask the page for an action.
func (p *program) runController(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	wait, err := p.controller.Start(ctx)
	if err != nil {
		cancel()
		return err
	}
	p.OnStop("the controller", func(context.Context) error {
		cancel()
		wait()
		return nil
	})
	return nil
}

// listenForPage binds the address of the page; nil: none is served.
func (p *program) listenForPage(c *config.Config) (net.Listener, error) {
	if c.Listen == "" {
		return nil, nil
	}
	return p.Listen("the page", c.Listen, "listen, --listen or PACER_LISTEN")
}

func (p *program) servePage(c *config.Config, ln net.Listener, fail func(error)) {
	if ln == nil {
		return
	}
	o := web.Options{
		Status: p.status, Diff: p.controller.Diff, Trigger: p.controller.Trigger,
		Suspend: p.controller.Suspend, Resume: p.controller.Resume, Approve: p.controller.Approve,
		Rollback: p.controller.Rollback, Release: p.controller.Release,
		Hosts:    c.PageNames(),
		Tokens:   web.Tokens(c.PageTokens(p.insecureOpen)),
		Webhooks: web.Webhooks{Secret: p.webhookSecret, Look: p.look}, Pull: p.reporter.PullPlan,
		Metrics: p.metrics, Log: p.log, Version: versionString(),
	}
	p.replicas.addTo(&o)
	p.Serve("the page", ln, web.Server(web.New(o), c.Listen), fail)
	p.addr = ln.Addr()
	p.log.Info("serving the page", "address", p.addr.String())
}

// webhookSecret is where the secret of a source's webhook stands now; nil: it has
// none.
func (p *program) webhookSecret(source string) secret.Ref {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, signed := p.config.Sources[source].WebhookSecret()
	return signed
}

// look has a source fetched, and its forge asked: a webhook tells of either.
func (p *program) look(source string, by store.Asked) error {
	p.reporter.Request(source)
	return p.controller.Look(source, by)
}

// openSources opens the sources of c that are not yet in opened.
func (p *program) openSources(c *config.Config, opened map[string]sources.Source) error {
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if opened[name] != nil {
			continue
		}
		s, err := c.Sources[name].Options().Open(sources.Environment{Clone: c.CloneFolder(name), State: c.StateDir, Log: p.log})
		if err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
		opened[name] = s
	}
	return nil
}

func closeSources(all map[string]sources.Source) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (p *program) controllerOptions(c *config.Config, opened map[string]sources.Source) controller.Options {
	o := controller.Options{
		Sources: map[string]schedule.Source{}, Clusters: p.clusters, Store: p.store, Archive: p.store,
		RequestTimeout: c.RequestTimeout(),
		Log:            p.log, Metrics: p.metrics, Observers: []reconcile.Observer{p.reporter},
	}
	if p.replicas != nil {
		o.Follow, o.Leadership, o.Peers = true, p.replicas.candidate.Status, p.replicas.candidate
	}
	for name, s := range opened {
		o.Sources[name] = schedule.Source{Source: s, Interval: c.Sources[name].PollInterval()}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Syncs)) {
		s := c.Syncs[name]
		o.Syncs = append(o.Syncs, reconcile.Sync{
			Name: name, Marathon: s.Marathon, Source: s.Source, Path: s.Path, Policy: policyOf(s),
			Deadline: time.Duration(s.Deadline), Settle: time.Duration(s.Settle), Substitute: s.Substitute,
			ResumeAfterLoss: s.OnLoss == "resume",
		})
	}
	return o
}

// configPoll is how often the configuration file is looked at. It is small and
// local; polling sees every way of replacing a file, symlinks included.
const configPoll = time.Second

// follow takes up changes of the configuration until ctx ends. Without a file
// there is nothing to follow but the signal, which also asks for a look at
// every source.
func (p *program) follow(ctx context.Context, file string, hangups <-chan os.Signal, load func() (*config.Config, error)) {
	tick := time.NewTicker(configPoll)
	defer tick.Stop()
	last, _ := os.ReadFile(file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			p.reload(load)
			p.controller.TriggerAll(store.Asked{By: store.AskedByConfig})
		case <-tick.C:
			now, err := os.ReadFile(file)
			if err == nil && !bytes.Equal(now, last) {
				last = now
				p.reload(load)
			}
		}
	}
}

// reload puts a changed configuration in force, or leaves the old one and says
// why.
func (p *program) reload(load func() (*config.Config, error)) {
	c, err := load()
	if err == nil {
		err = p.replace(c)
	}
	if err != nil {
		p.log.Error("configuration reload failed; the previous one stays active", "error", err)
		p.controller.Reject(err)
		return
	}
	p.log.Info("configuration reloaded", "syncs", len(c.Syncs))
}

// replace swaps sources and syncs, and keeps what cannot be replaced. What is the
// same in both configurations goes on undisturbed.
func (p *program) replace(next *config.Config) error {
	if err := p.admit(next); err != nil {
		return err
	}
	c, restart := p.config.Reloaded(next)
	if err := errors.Join(c.CheckMarathons(next), config.CheckReadable(c.WebhookSecrets(), p.config.WebhookSecrets())); err != nil {
		return err
	}
	if len(restart) > 0 {
		p.log.Warn("some changes of the configuration need a restart: until then their previous values stay active", "keys", strings.Join(restart, ", "))
	}
	kept, dropped := map[string]sources.Source{}, map[string]sources.Source{}
	for name, s := range p.sources {
		if reflect.DeepEqual(c.Sources[name].Content(), p.config.Sources[name].Content()) {
			kept[name] = s
		} else {
			dropped[name] = s
		}
	}
	opened := maps.Clone(kept)
	if err := p.openChanged(c, opened, kept); err != nil {
		return err
	}
	forges, err := p.openForges(c, p.forges)
	if err != nil {
		return errors.Join(err, closeSources(without(opened, kept)))
	}
	o := p.controllerOptions(c, opened)
	o.RestartNeeded = restart
	if err := p.controller.Reload(o); err != nil {
		return errors.Join(err, closeSources(without(opened, kept)), closeForges(withoutForges(forges, p.forges)))
	}
	p.replaceForges(c, forges)
	p.mu.Lock()
	p.config, p.sources = c, opened
	p.mu.Unlock()
	if err := closeSources(dropped); err != nil {
		p.log.Warn("cannot close a source that is no longer used", "error", err)
	}
	return nil
}

// openChanged opens what kept has not; if one fails, none is left open.
func (p *program) openChanged(c *config.Config, opened, kept map[string]sources.Source) error {
	if err := p.openSources(c, opened); err != nil {
		return errors.Join(err, closeSources(without(opened, kept)))
	}
	return nil
}

func without(all, some map[string]sources.Source) map[string]sources.Source {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(name string, _ sources.Source) bool { return some[name] != nil })
	return rest
}
