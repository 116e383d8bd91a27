package main

import (
	"cmp"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/visible"
)

// This file makes the parts of Pacer from their configuration.

func newLog(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration allows only its words
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(visibleJSON{w}, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// visibleJSON writes JSON, of which a write is a whole line, so that it can be
// seen whole: the handler of text escapes all by itself, that of JSON does not.
type visibleJSON struct{ io.Writer }

func (w visibleJSON) Write(line []byte) (int, error) {
	if _, err := w.Writer.Write(visible.JSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// newMarathon makes the client; wrap sees each request, nil: nobody does. Writes
// need a lease; nil: they are always allowed.
func newMarathon(c config.Marathon, log *slog.Logger, wrap func(http.RoundTripper) http.RoundTripper, lease func() (marathon.Lease, error)) (*marathon.Client, error) {
	return marathon.New(marathon.Options{
		URLs:      c.URL,
		Auth:      marathon.Auth(c.Auth),
		TLS:       c.TLS,
		Timeout:   time.Duration(c.Timeout),
		AgentPort: cmp.Or(c.AgentPort, -1),
		UserAgent: "pacer/" + versionString(),
		Wrap:      wrap,
		Lease:     lease,
		Log:       log,
	})
}

// policyOf is the policy of a sync. Marathon names to each task the app that it is
// of, which is Pacer itself.
func policyOf(s config.Sync) plan.Policy {
	p := s.Policy()
	p.Self = os.Getenv("MARATHON_APP_ID")
	return p
}
