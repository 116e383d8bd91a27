package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/web/client"
	"github.com/pacer-gitops/pacer/visible"
)

// server is a running Pacer, as the verbs that call it see it.
type server struct {
	client.Client
	timeout time.Duration // of one answer; 0: none but the context's
}

// addFlags adds what every verb that talks to a running Pacer takes.
func (s *server) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.URL, "server", "", "`URL` of the running Pacer (environment: PACER_SERVER)")
	cmd.Flags().Lookup("server").DefValue = client.Default
	cmd.Flags().StringVar(&s.TokenFile, "token-file", "", "`FILE` with the token of the running Pacer (the token itself: PACER_TOKEN)")
	if cmd.Flags().Lookup("timeout") == nil { // wait has another one
		cmd.Flags().DurationVar(&s.timeout, "timeout", time.Minute, "timeout of a request, with exit code 3; 0: no limit")
	}
}

// status is the status of the named syncs; of all where none is named.
func (s *server) status(ctx context.Context, names []string) (st status.Status, err error) {
	err = within(ctx, s.timeout, func(ctx context.Context) error {
		st, err = s.Status(ctx, names)
		return err
	})
	return st, err
}

// act requests an action and prints the message of the answer.
func (s *server) act(cmd *cobra.Command, sync, verb string, body any) error {
	return within(cmd.Context(), s.timeout, func(ctx context.Context) error {
		message, err := s.Act(ctx, sync, verb, body)
		if err == nil {
			printLine(cmd.OutOrStdout(), "%s", message)
		}
		return err
	})
}

// newAction is a verb that asks the same of each named sync, and says why.
func newAction(verb, short, long, example string) *cobra.Command {
	var s server
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " SYNC…",
		Short:   short,
		Long:    long,
		Example: example,
		Args:    syncArgument(0, verb+" shop"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if err := s.act(cmd, name, verb, map[string]any{"reason": reason}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	s.addFlags(cmd)
	reasonFlag(cmd, &reason)
	return cmd
}

// reasonFlag adds a flag that says why a person acts.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "reason, for the status and the history")
}

// printJSON writes a value as JSON that can be seen whole.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(visible.JSON(b.Bytes()))
	return err
}

// printLine writes one line, of text that may come from outside.
func printLine(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, visible.Line(fmt.Sprintf(format, args...)))
}
