package api

import (
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/controller/local/state"
)

// keepAlive is how often an idle stream gets an empty line.
const keepAlive = 10 * time.Second

// stream is GET /v2/events.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	// Marathon's servlet wants just this, and no list of types.
	if !slices.Contains(r.Header["Accept"], "text/event-stream") {
		answer(w, r, nil, state.Refuse(http.StatusMethodNotAllowed, "Method Not Allowed"))
		return
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	publish := func(event string) {
		a.scheduler.Events.Publish(event, func() map[string]any { return map[string]any{"remoteAddress": host} })
	}
	w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(http.StatusOK)
	var s *scheduler.Stream
	a.scheduler.Do(func() {
		s = a.scheduler.Events.Subscribe(r.URL.Query()["event_type"])
		publish("event_stream_attached")
	})
	a.follow(w, r, s)
	a.scheduler.Do(func() {
		a.scheduler.Events.Drop(s)
		publish("event_stream_detached")
	})
}

// follow writes what comes until the client, the stream or Marathon ends.
func (a *API) follow(w http.ResponseWriter, r *http.Request, s *scheduler.Stream) {
	out := http.NewResponseController(w)
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for out.Flush() == nil {
		text := []byte("\r\n")
		select {
		case text = <-s.Events:
		case <-beat.C:
		case <-s.Lost:
			return
		case <-a.scheduler.Done():
			return
		case <-r.Context().Done():
			return
		}
		if _, err := w.Write(text); err != nil {
			return
		}
	}
}
