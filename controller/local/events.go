package local

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// stream is one client of /v2/events.
type stream struct {
	types  []string // none: all
	events chan []byte
	lost   chan struct{} // closed when the client is to be dropped
}

// streamBuffer is --event_stream_max_outstanding_messages: a client that is
// further behind is dropped.
const streamBuffer = 1024

// keepAlive is how often an idle stream gets an empty line.
const keepAlive = 10 * time.Second

// publish tells an event to the streams that want it. What it says is made only
// then. The caller holds the lock, so the order of events is that of what
// happened.
func (m *Marathon) publish(event string, payload func() map[string]any) {
	var text []byte
	for s := range m.streams {
		if len(s.types) > 0 && !slices.Contains(s.types, event) {
			continue
		}
		if text == nil {
			p := payload()
			p["eventType"] = event
			p["timestamp"] = m.stampNow()
			data, err := encode(p)
			if err != nil {
				m.options.Log.Error("an event could not be written", "type", event, "error", err)
				return
			}
			text = fmt.Appendf(nil, "event: %s\r\ndata: %s\r\n\r\n", event, data)
		}
		select {
		case s.events <- text:
		default:
			m.dropStream(s)
		}
	}
}

func (m *Marathon) dropStream(s *stream) {
	if m.streams[s] {
		delete(m.streams, s)
		close(s.lost)
	}
}

// serveEvents is GET /v2/events.
func (m *Marathon) serveEvents(w http.ResponseWriter, r *http.Request) error {
	// Marathon's servlet wants just this, and no list of types.
	if !slices.Contains(r.Header["Accept"], "text/event-stream") {
		return fail(http.StatusMethodNotAllowed, "Method Not Allowed")
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	who := func() map[string]any { return map[string]any{"remoteAddress": host} }
	s := &stream{types: r.URL.Query()["event_type"], events: make(chan []byte, streamBuffer), lost: make(chan struct{})}
	w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(http.StatusOK)
	m.mu.Lock()
	m.streams[s] = true
	m.publish("event_stream_attached", who)
	m.mu.Unlock()
	m.follow(w, r, s)
	m.mu.Lock()
	m.dropStream(s)
	m.publish("event_stream_detached", who)
	m.mu.Unlock()
	return nil
}

// follow writes what comes until the client, the stream or Marathon ends.
func (m *Marathon) follow(w http.ResponseWriter, r *http.Request, s *stream) {
	out := http.NewResponseController(w)
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for out.Flush() == nil {
		text := []byte("\r\n")
		select {
		case text = <-s.events:
		case <-beat.C:
		case <-s.lost:
			return
		case <-m.closing:
			return
		case <-r.Context().Done():
			return
		}
		if _, err := w.Write(text); err != nil {
			return
		}
	}
}
