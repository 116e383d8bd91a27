package marathon

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacer-gitops/pacer/internal/wait"
	"github.com/pacer-gitops/pacer/meter"
)

// Event is one event of Marathon's. It says that something happened and where
// to look; it is never state by itself, since events are lost and come in any
// order. Source: Marathon's event-bus documentation, and
// testdata/conformance/api/events.json.
type Event struct {
	Type string // deployment_success, instance_changed_event …
	Data json.RawMessage
	ids  []string // of an event of Changes, which has no Data
}

// The types of the events of a live copy, besides those of Marathon.
const (
	// TypeChanged: definitions, deployments or what is there.
	TypeChanged = "changed"
	// TypeFares: only counts, or how tasks ended. It is one of Marathon's types,
	// so that who follows Marathon itself understands it.
	TypeFares = "instance_changed_event"
)

// NewEvent returns an event that is about ids, and not of Marathon's stream.
func NewEvent(kind string, ids []string) Event { return Event{Type: kind, ids: ids} }

// IDs lists the apps, pods and groups that the event is about, as far as it
// says so.
func (e Event) IDs() []string {
	if e.ids != nil {
		return e.ids
	}
	var w struct {
		AppID     string `json:"appId"`
		RunSpecID string `json:"runSpecId"`
		GroupID   string `json:"groupId"`
		Plan      struct {
			Steps []struct {
				Actions []Action `json:"actions"`
			} `json:"steps"`
		} `json:"plan"`
	}
	if json.Unmarshal(e.Data, &w) != nil {
		return nil
	}
	var ids []string
	add := func(id string) {
		if id != "" {
			ids = append(ids, id)
		}
	}
	add(w.AppID)
	add(w.RunSpecID)
	add(w.GroupID)
	for _, s := range w.Plan.Steps {
		for _, a := range s.Actions {
			add(a.ID())
		}
	}
	return ids
}

// Written says from where an app or a pod was written.
type Written struct {
	ID   string
	From string // the address of the client, or of a proxy before Marathon
}

// Written tells of an event that says who wrote what: Marathon sends one for a
// write of a single app or pod, none for a group, a list or a delete of an app
// (testdata/conformance/api/events.json).
func (e Event) Written() (w Written, ok bool) {
	if !slices.Contains(AuthorEvents(), e.Type) {
		return Written{}, false
	}
	var told struct {
		From string `json:"clientIp"`
		URI  string `json:"uri"`
		App  struct {
			ID string `json:"id"`
		} `json:"appDefinition"`
	}
	if json.Unmarshal(e.Data, &told) != nil {
		return Written{}, true
	}
	w = Written{ID: told.App.ID, From: told.From}
	if w.ID == "" {
		_, w.ID, _ = strings.Cut(told.URI, "/v2/pods/")
		w.ID = "/" + strings.Trim(w.ID, "/")
	}
	return w, true
}

// AuthorEvents are the types of which Event.Written tells.
func AuthorEvents() []string {
	return []string{"api_post_event", "pod_created_event", "pod_updated_event"}
}

// TriggerEvents are the types that say that a definition, a deployment or the
// count or health of instances may have changed, and no more than that.
func TriggerEvents() []string {
	return []string{
		"group_change_success", "deployment_info", "deployment_step_success", "deployment_success", "deployment_failed",
		"app_terminated_event", "instance_changed_event", "instance_health_changed_event",
		"unknown_instance_terminated_event", "scheduler_registered_event", "scheduler_reregistered_event",
	}
}

// ErrSilent ends a stream on which nothing came for longer than Marathon's
// keep-alives allow, though Marathon is there: the connection is dead though nobody
// said so.
var ErrSilent = errors.New("the event stream is silent")

// Stream is an open event stream.
type Stream struct {
	parser  *eventParser
	body    io.Closer
	cancel  context.CancelCauseFunc
	ctx     context.Context
	all     *pulses
	pulse   atomic.Pointer[pulse] // of the Marathon that it comes from
	silence time.Duration
	last    atomic.Int64 // when something last came by it, in ns since all.born
	timer   *time.Timer
}

// Events opens the event stream, of the given types or of all. It ends when the
// leader changes, the connection dies or ctx ends. Reconnecting is the
// caller's, who must then read everything: nothing is replayed.
//
// Plans are asked for in their light form, which Marathon 1.6 and 1.7 give only
// then and later ones always: nobody needs all definitions in each event.
func (c *Client) Events(ctx context.Context, types ...string) (*Stream, error) {
	path := "/v2/events?" + url.Values{"event_type": types, "plan-format": {"light"}}.Encode()
	first := int(c.current.Load())
	var failed []error
	for i := range c.bases {
		s, err := c.stream(ctx, c.bases[(first+i)%len(c.bases)], path)
		if err == nil {
			return s, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, joined(failed)
}

// lasting is how long a stream must have lived for the next one to be opened soon.
const lasting = 10 * time.Second

// streamBackoff is that of opening a stream of events again.
var streamBackoff = wait.Backoff{Min: 250 * time.Millisecond, Max: 15 * time.Second}

// Follow holds an event stream open until ctx ends: follow opens one, reads it to
// its end and reports whether it was opened, and is called again after a back-off,
// which is longer the more streams in a row did not last. lost is called at the end
// of each, with how many did not last.
func Follow(ctx context.Context, follow func(context.Context) (opened bool, err error), lost func(failures int, err error)) {
	for failures := 0; ; {
		began := time.Now()
		opened, err := follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if failures++; time.Since(began) >= lasting {
			failures = 1
		}
		lost(failures, err)
		pause := wait.Jitter(streamBackoff.After(failures))
		if !opened { // what the attempt took has been waited already
			pause -= time.Since(began)
		}
		if wait.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (c *Client) stream(ctx context.Context, base *url.URL, path string) (*Stream, error) {
	failure := &Error{Method: http.MethodGet, URL: base.String() + path}
	p := c.pulses.at(base)
	if failure.Cause = p.there(ctx); failure.Cause != nil {
		return nil, failure
	}
	c.pulses.use()
	s := newStream(ctx, p, c.options.Silence)
	fail := func(cause error) (*Stream, error) {
		s.end(nil)
		failure.Cause = cause
		return nil, failure
	}
	req, err := c.newRequest(s.ctx, base, request{method: http.MethodGet, path: path}, nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Accept", "text/event-stream") // anything else is a 405: measured
	req.Header.Del("Accept-Encoding")
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(cmp.Or(context.Cause(s.ctx), unwrapURL(err)))
	}
	if resp.StatusCode != http.StatusOK || !bytes.HasPrefix([]byte(resp.Header.Get("Content-Type")), []byte("text/event-stream")) {
		body := c.words(resp)
		resp.Body.Close()
		failure.Sent, failure.Status = true, resp.StatusCode
		failure.read(resp.Header, body, cleanser{})
		if resp.StatusCode == http.StatusOK {
			failure.Status = 0
			return fail(fmt.Errorf("its answer is %q and not an event stream", oneLine(resp.Header.Get("Content-Type"))))
		}
		return fail(nil)
	}
	if leads := c.pulses.at(resp.Request.URL); leads != nil { // a standby has sent it on to the leader
		s.pulse.Store(leads)
	}
	s.hear()
	s.body = resp.Body
	s.parser = newEventParser(heardStream{resp.Body, s}, c.options.MaxEvent)
	return s, nil
}

// newStream is a stream that is being opened: it ends where its Marathon is not there
// (see pulse), and where nothing comes by it.
func newStream(ctx context.Context, p *pulse, silence time.Duration) *Stream {
	s := &Stream{all: p.all, silence: silence}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.pulse.Store(p)
	p.note()
	s.last.Store(p.all.now())
	s.timer = time.AfterFunc(time.Hour, s.look)
	s.timer.Reset(min(busyQuiet, silence)) // once the timer is set
	return s
}

// look looks whether the stream and its Marathon are still there.
func (s *Stream) look() {
	p, last, allowed := s.pulse.Load(), s.last.Load(), s.all.quiet()
	quiet := p.silent(last)
	switch {
	case s.ctx.Err() != nil:
		return
	case s.all.since(last) >= s.silence:
		s.cancel(ErrSilent)
		return
	case quiet >= allowed:
		if err := p.ask(s.ctx); err != nil {
			s.cancel(err)
			return
		}
		quiet = 0
	}
	next := min(busyQuiet, allowed-quiet) // by then less may be allowed
	s.timer.Reset(max(min(next, s.silence-s.all.since(s.last.Load())), time.Millisecond))
}

// hear notes that something came by the stream.
func (s *Stream) hear() {
	s.last.Store(s.all.now())
	s.pulse.Load().hear()
}

// heardStream is a stream that notes what comes.
type heardStream struct {
	r io.Reader
	s *Stream
}

func (h heardStream) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.s.hear()
	}
	return n, err
}

// Next waits for the next event. It returns io.EOF when Marathon ends the
// stream, and ErrSilent when nothing came.
func (s *Stream) Next() (Event, error) {
	e, err := s.parser.next()
	if err == nil {
		return e, nil
	}
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	return Event{}, err
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.end(context.Canceled)
	return s.body.Close()
}

func (s *Stream) end(cause error) {
	s.timer.Stop()
	s.cancel(cause)
}

// eventParser reads Server-Sent Events (WHATWG HTML, 9.2.6), of which Marathon
// uses event, data and empty lines as keep-alives.
type eventParser struct {
	lines   *bufio.Reader
	limit   int  // bytes of one event
	afterCR bool // the last byte was a CR
}

func newEventParser(r io.Reader, limit int) *eventParser {
	return &eventParser{lines: bufio.NewReader(r), limit: limit}
}

// next returns the next event that has data. What stands before the end of the
// stream without an empty line after it is half an event, and dropped.
func (p *eventParser) next() (Event, error) {
	var (
		e    Event
		data []byte
		size int
		seen bool
	)
	for {
		line, err := p.line(p.limit - size)
		if err != nil {
			return Event{}, err
		}
		if size += len(line); size > p.limit {
			return Event{}, p.tooLong()
		}
		if len(line) == 0 {
			if !seen {
				e = Event{}
				size = 0
				continue
			}
			if err := meter.Check(data, int64(p.limit), 0); err != nil {
				return Event{}, fmt.Errorf("an event: %w", err)
			}
			e.Data = data
			if e.Type == "" {
				e.Type = "message"
			}
			return e, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			e.Type = string(value)
		case "data":
			if seen {
				data = append(data, '\n')
			}
			data, seen = append(data, value...), true
		}
	}
}

func (p *eventParser) tooLong() error {
	return fmt.Errorf("an event is longer than %d bytes", p.limit)
}

// line reads up to LF, CR or CR LF, which is not part of the result.
func (p *eventParser) line(limit int) ([]byte, error) {
	var line []byte
	for {
		b, err := p.lines.ReadByte()
		if err != nil {
			return nil, err
		}
		afterCR := p.afterCR
		p.afterCR = false
		switch b {
		case '\n':
			if afterCR {
				continue
			}
			return line, nil
		case '\r':
			p.afterCR = true // an LF that follows, perhaps much later, belongs to it
			return line, nil
		}
		if len(line) >= limit {
			return nil, p.tooLong()
		}
		line = append(line, b)
	}
}
