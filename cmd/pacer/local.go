package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/internal/lifecycle"
)

func newLocal() *cobra.Command {
	var o localOptions
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the local Marathon: Marathon's HTTP API with processes of this machine",
		Example: `  pacer local
  pacer local --listen 127.0.0.1:8081 --data ./marathon --cpus 4`,
		Long: "It listens on loopback only, because everyone who can reach it can run commands as you. An address that others can\n" +
			"reach is refused without --exposed. Requests by web pages of other sites are always refused, and so are requests with a\n" +
			"Host other than localhost, a loopback address, the local address of the connection, and those of --host.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, end := lifecycle.Attended(cmd.Context())
			defer end()
			o.option = "--listen"
			o.log = newLog(config.Log{Level: "info"}, lifecycle.Watched{Writer: cmd.ErrOrStderr(), End: end})
			return runLocal(ctx, o, lifecycle.Watched{Writer: cmd.OutOrStdout(), End: end})
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "listen `ADDRESS`")
	cmd.Flags().BoolVar(&o.exposed, "exposed", false, "allow a --listen that is not on loopback: everyone who can reach it can run commands here")
	cmd.Flags().StringArrayVar((*[]string)(&o.hosts), "host", nil, "further host `NAME` or address that requests may use; repeatable")
	cmd.Flags().StringVar(&o.data, "data", "", "`FOLDER` that keeps apps, volumes and sandboxes across restarts; empty: nothing is kept")
	cmd.Flags().Float64Var(&o.agent.CPUs, "cpus", 0, "CPUs that the one agent offers; 0: 64")
	cmd.Flags().Float64Var(&o.agent.Mem, "mem", 0, "memory that the one agent offers, in `MiB`; 0: 262144")
	cmd.Flags().BoolVar(&o.failures, "failures", false, "serve /local/failures, with which tests request failures of the API")
	return cmd
}

// localOptions is what the local Marathon of this binary is made of.
type localOptions struct {
	listen, data string
	option       string // where listen was given, for people
	exposed      bool   // listen may be on another interface than loopback
	hosts        origin.Names
	sandboxes    string // folder of the tasks' sandboxes; empty: in data, else a temporary one
	agent        local.Agent
	failures     bool
	log          *slog.Logger
	out          io.Writer // is told what is enforced; nil: nobody is
}

func runLocal(ctx context.Context, o localOptions, out io.Writer) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var l lifecycle.Lifecycle
	o.out = out
	addr, err := startLocal(&l, o, fail)
	if err != nil {
		return errors.Join(err, l.Stop(ctx))
	}
	fmt.Fprintf(out, "The local Marathon listens at http://%s\n", addr)
	if o.exposed && !origin.Loopback(addr.String()) {
		fmt.Fprintln(out, "WARNING: exposed: everyone who can reach that address can run commands on this machine, without a password.")
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	err = l.Stop(ctx)
	if !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// startLocal starts a local Marathon that stops with l.
func startLocal(l *lifecycle.Lifecycle, o localOptions, fail func(error)) (net.Addr, error) {
	if !o.exposed && !origin.Loopback(o.listen) {
		return nil, fmt.Errorf("the local Marathon runs commands for everyone who can reach it, and others can reach %s: "+
			"listen at 127.0.0.1, or set --exposed if that is intended", o.listen)
	}
	for _, name := range o.hosts {
		if err := origin.CheckName(name); err != nil {
			return nil, fmt.Errorf("--host: %w", err)
		}
	}
	ln, err := l.Listen("the local Marathon", o.listen, o.option)
	if err != nil {
		return nil, err // and no task was started again for nothing
	}
	if o.sandboxes == "" && o.data != "" {
		// Beside the state: the next start on the folder finds what this one left running.
		o.sandboxes = filepath.Join(o.data, "tasks")
	}
	m, err := local.New(local.Options{
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Dir: o.sandboxes, Update: report, Log: o.log})
		},
		Data: o.data, Agent: o.agent, Failures: o.failures, Log: o.log,
	})
	if err != nil {
		return nil, err
	}
	l.OnStop("the local Marathon", func(context.Context) error { return m.Close() })
	if o.out != nil {
		fmt.Fprintf(o.out, "On this machine %s\n", m.Enforcement())
	}
	server := &http.Server{Handler: guardLocal(o.hosts, m.Handler()), ReadHeaderTimeout: 10 * time.Second}
	l.Serve("the local Marathon", ln, server, fail)
	return ln.Addr(), nil
}

// guardLocal keeps web pages out that a person of this machine has open: whatever
// is asked, and wherever it listens, since what answers runs commands.
func guardLocal(names origin.Names, h http.Handler) http.Handler {
	return names.Require("use 127.0.0.1 or localhost, or start it with --host and the name", origin.SameOrigin(origin.NoLinks, h))
}
