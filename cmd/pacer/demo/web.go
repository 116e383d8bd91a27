package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// identity is what the demo's web app answers at /whoami: enough to tell one
// task, and one process, from another.
type identity struct {
	App      string `json:"app"`
	Task     string `json:"task"`
	PID      int    `json:"pid"`
	Greeting string `json:"greeting"`
}

// ServeWeb serves the small web app of the demo until ctx ends, and prints its URL.
func ServeWeb(ctx context.Context, listen string, out io.Writer) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("demo web app: %w", err)
	}
	fmt.Fprintf(out, "serving at http://%s/\n", ln.Addr())
	server := &http.Server{Handler: webHandler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(drain)
	})
	defer stop()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo web app: %w", err)
	}
	return nil
}

func webHandler() http.Handler {
	me := identity{
		App:      os.Getenv("MARATHON_APP_ID"),
		Task:     os.Getenv("MESOS_TASK_ID"),
		PID:      os.Getpid(),
		Greeting: os.Getenv("GREETING"),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(me)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>%[1]s</title><h1>%[1]s</h1><p>%s, task %s, process %d</p>\n",
			html.EscapeString(me.Greeting), html.EscapeString(me.App), html.EscapeString(me.Task), me.PID)
	})
	return mux
}
