package main

import (
	"context"
	"io"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/cmd/pacer/demo"
	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/internal/lifecycle"
)

func newDemo() *cobra.Command {
	var o demo.Options
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
			ctx, end := lifecycle.Attended(cmd.Context())
			defer end()
			o.Out = lifecycle.Watched{Writer: cmd.OutOrStdout(), End: end}
			o.Program = demoProgram()
			return demo.Run(ctx, o)
		},
	}
	cmd.Flags().StringVar(&o.Folder, "folder", "", "`FOLDER` of repository, configuration and state: new, empty, or that of an earlier demo; default: a temporary one")
	cmd.Flags().StringVar(&o.Page, "listen", "127.0.0.1:9090", "listen `ADDRESS` of the page; another port is used if this one is taken")
	cmd.Flags().StringVar(&o.Marathon, "marathon-listen", "127.0.0.1:8080", "listen `ADDRESS` of the local Marathon; another port is used if this one is taken")
	cmd.Flags().BoolVar(&o.Play, "play", false, "play the three stories and exit")
	return cmd
}

// demoProgram is this program, as the demo starts it.
func demoProgram() demo.Program {
	return demo.Program{
		Log: func(w io.Writer) *slog.Logger { return newLog(config.Log{Level: "info"}, w) },
		Marathon: func(m demo.Marathon, stops *lifecycle.Lifecycle, fail func(error)) (net.Addr, error) {
			return startLocal(stops, localOptions{listen: m.Listen, option: m.Option, sandboxes: m.Sandboxes, log: m.Log}, fail)
		},
		Pacer: func(ctx context.Context, file string, log *slog.Logger, stops *lifecycle.Lifecycle, fail func(error)) (demo.Pacer, error) {
			c, err := config.Load(file)
			if err != nil {
				return demo.Pacer{}, err
			}
			p, err := startProgram(ctx, c, false, log, fail)
			if err != nil {
				return demo.Pacer{}, err
			}
			stops.TakeOver(&p.Lifecycle)
			return demo.Pacer{Page: p.addr, Status: p.controller.Status}, nil
		},
	}
}

func newDemoWeb() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:    "demo-web",
		Short:  "The small web app of the demo",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.ServeWeb(cmd.Context(), listen, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to serve at")
	return cmd
}
