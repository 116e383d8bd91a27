package marathon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/secret"
)

func TestEventsOfRecordings(t *testing.T) {
	t.Parallel()
	recorded := recording(t, "events")[0].Events
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range recorded {
			fmt.Fprintf(w, "event: %s\r\ndata: %s\r\n\r\n", e.Event, compact(t, e.Data))
			fmt.Fprint(w, "\r")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "\n") // the keep-alive, in two chunks
		}
	})
	s, err := newClient(t, Options{URLs: []string{f.URL}}).Events(t.Context(), "deployment_success", "deployment_failed")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if uri := f.requests()[0].URI; uri != "/v2/events?event_type=deployment_success&event_type=deployment_failed&plan-format=light" {
		t.Errorf("asked %s", uri)
	}
	for i, want := range recorded {
		e, err := s.Next()
		if err != nil || e.Type != want.Event || string(e.Data) != compact(t, want.Data) {
			t.Fatalf("event %d: got %s %s, %v\nwant %s %s", i, e.Type, e.Data, err, want.Event, want.Data)
		}
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func compact(t *testing.T, b []byte) string {
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	for _, e := range recording(t, "events")[0].Events {
		ids := Event{Type: e.Event, Data: e.Data}.IDs()
		switch e.Event {
		case "deployment_info", "instance_changed_event", "status_update_event", "app_terminated_event":
			if !slices.Contains(ids, "/ev/a") {
				t.Errorf("%s: ids %v", e.Event, ids)
			}
		case "event_stream_attached":
			if ids != nil {
				t.Errorf("%s: ids %v", e.Event, ids)
			}
		}
	}
}

func TestSilentStreamEnds(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: a\ndata: {}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s, err := newClient(t, Options{URLs: []string{f.URL}, Silence: 150 * time.Millisecond}).Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if e, err := s.Next(); err != nil || e.Type != "a" {
		t.Fatalf("got %+v, %v", e, err)
	}
	if _, err := s.Next(); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v, want %v", err, ErrSilent)
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newClient(t, Options{URLs: []string{f.URL}}).Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEventsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"html":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"not allowed": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"other leader": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://198.51.100.1/v2/events", http.StatusFound)
		},
	} {
		if s, err := newClient(t, Options{URLs: []string{newFake(t, h).URL}}).Events(t.Context()); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEventsFollowToAConfiguredLeader(t *testing.T) {
	t.Parallel()
	leader := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: a\ndata: {}\n\n")
	})
	standby := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, leader.URL+r.URL.RequestURI(), http.StatusFound)
	})
	s, err := newClient(t, Options{URLs: []string{standby.URL, leader.URL}, Auth: Auth{Bearer: secret.Value("b")}}).Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if e, err := s.Next(); err != nil || e.Type != "a" {
		t.Errorf("got %+v, %v", e, err)
	}
	if got := leader.requests()[0].Authorization; got != "Bearer b" {
		t.Errorf("the leader was told %q", got)
	}
}

func TestEventParser(t *testing.T) {
	t.Parallel()
	type events []Event
	for name, c := range map[string]struct {
		in   string
		want events
		err  bool
	}{
		"plain":              {"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", events{{Type: "a", Data: []byte("1")}, {Type: "b", Data: []byte("2")}}, false},
		"crlf":               {"event: a\r\ndata: 1\r\n\r\n", events{{Type: "a", Data: []byte("1")}}, false},
		"cr":                 {"event: a\rdata: 1\r\r", events{{Type: "a", Data: []byte("1")}}, false},
		"keep-alives":        {"\r\n\r\nevent: a\n\r\n\ndata: 1\n\n", events{{Type: "message", Data: []byte("1")}}, false},
		"lines of data":      {"data: 1\ndata: 2\n\n", events{{Type: "message", Data: []byte("1\n2")}}, false},
		"comment, id, retry": {": hi\nid: 7\nretry: 5\nevent:a\ndata:1\n\n", events{{Type: "a", Data: []byte("1")}}, false},
		"half an event":      {"event: a\ndata: 1\n", nil, false},
		"too long":           {"data: " + strings.Repeat("x", 200) + "\n\n", nil, true},
		"too many lines":     {strings.Repeat("data: xxxxxxxx\n", 20) + "\n", nil, true},
	} {
		for _, slow := range []bool{false, true} {
			var r io.Reader = strings.NewReader(c.in)
			if slow {
				r = iotest.OneByteReader(r)
			}
			p := newEventParser(r, 100)
			var got events
			var err error
			for err == nil {
				var e Event
				if e, err = p.next(); err == nil {
					got = append(got, e)
				}
			}
			if !cmp.Equal(got, c.want, cmp.AllowUnexported(Event{})) || (err != io.EOF) != c.err {
				t.Errorf("%s: got %s, %v", name, got, err)
			}
		}
	}
}

// Whatever comes, the parser ends, keeps within its limit, and reads back what
// it is given in any chunks.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: a\r\ndata: {}\r\n\r\n"))
	f.Add([]byte("\r\n: x\ndata\ndata:\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := readEvents(bytes.NewReader(b))
		bytewise := readEvents(iotest.OneByteReader(bytes.NewReader(b)))
		if !cmp.Equal(whole, bytewise, cmp.AllowUnexported(Event{})) {
			t.Errorf("in one: %v\nby bytes: %v", whole, bytewise)
		}
		for _, e := range whole {
			if len(e.Data) > 64 || len(e.Type) > 64 {
				t.Errorf("an event of %d bytes passed a limit of 64", len(e.Data))
			}
			if again := readEvents(strings.NewReader("event: " + e.Type + "\ndata: " + strings.ReplaceAll(string(e.Data), "\n", "\ndata: ") + "\n\n")); len(again) == 1 && !bytes.Equal(again[0].Data, e.Data) {
				t.Errorf("written again: %q, was %q", again[0].Data, e.Data)
			}
		}
	})
}

func readEvents(r io.Reader) []Event {
	p := newEventParser(r, 64)
	var all []Event
	for {
		e, err := p.next()
		if err != nil {
			return all
		}
		all = append(all, e)
	}
}
