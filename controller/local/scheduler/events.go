package scheduler

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// Events hands events to those who follow /v2/events. It is used under the lock,
// so the order of events is that of what happened.
type Events struct {
	streams map[*Stream]bool
	log     *slog.Logger
}

// Stream is one client of /v2/events.
type Stream struct {
	Events chan []byte   // as they are sent
	Lost   chan struct{} // closed when the client is dropped
	types  []string      // none: all
}

// streamBuffer is --event_stream_max_outstanding_messages: a client that is
// further behind is dropped.
const streamBuffer = 1024

// Subscribe begins a stream of events of some types; none: all.
func (e *Events) Subscribe(types []string) *Stream {
	s := &Stream{types: types, Events: make(chan []byte, streamBuffer), Lost: make(chan struct{})}
	e.streams[s] = true
	return s
}

// Drop ends a stream.
func (e *Events) Drop(s *Stream) {
	if e.streams[s] {
		delete(e.streams, s)
		close(s.Lost)
	}
}

// DropAll ends all streams.
func (e *Events) DropAll() {
	for s := range e.streams {
		e.Drop(s)
	}
}

// Publish hands an event to the streams that follow its type. The payload is made
// only then.
func (e *Events) Publish(event string, payload func() map[string]any) {
	var text []byte
	for s := range e.streams {
		if len(s.types) > 0 && !slices.Contains(s.types, event) {
			continue
		}
		if text == nil {
			p := payload()
			p["eventType"] = event
			p["timestamp"] = state.At(time.Now())
			data, err := state.Encode(p)
			if err != nil {
				e.log.Error("an event could not be written", "type", event, "error", err)
				return
			}
			text = fmt.Appendf(nil, "event: %s\r\ndata: %s\r\n\r\n", event, data)
		}
		select {
		case s.Events <- text:
		default:
			e.Drop(s)
		}
	}
}
