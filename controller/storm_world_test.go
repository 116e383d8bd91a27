package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Commands of tasks, by their first word: how a machine runs them.
const (
	cmdRuns  = "run"  // after a second
	cmdSlow  = "slow" // after twenty
	cmdFails = "exit" // ends at once, with the code that follows
	cmdSick  = "sick" // runs, and its checks fail
)

// machine runs tasks in name only, on the clock of the test.
type machine struct {
	mu      sync.Mutex
	report  func(executor.Update)
	tasks   map[string]executor.Task // alive
	timers  map[string]*time.Timer
	started map[string]time.Time
	closed  bool
}

func newMachine(report func(executor.Update)) (executor.Executor, error) {
	return &machine{report: report, tasks: map[string]executor.Task{}, timers: map[string]*time.Timer{}, started: map[string]time.Time{}}, nil
}

func (m *machine) Launch(t executor.Task) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errors.New("closed")
	}
	word, code, _ := strings.Cut(t.Cmd, " ")
	m.tasks[t.ID] = t
	wait := time.Second
	if word == cmdSlow {
		wait = 20 * time.Second
	}
	m.timers[t.ID] = time.AfterFunc(wait, func() {
		if word == cmdFails {
			m.end(t.ID, executor.Failed, "Command exited with status "+code)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, alive := m.tasks[t.ID]; alive {
			m.started[t.ID] = time.Now()
			m.report(executor.Update{TaskID: t.ID, State: executor.Running, Timestamp: time.Now(), IPs: []string{"127.0.0.1"}})
		}
	})
	m.report(executor.Update{TaskID: t.ID, State: executor.Staging, Timestamp: time.Now()})
	return nil
}

func (m *machine) end(id string, s executor.State, message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, alive := m.tasks[id]; alive {
		m.timers[id].Stop()
		delete(m.tasks, id)
		m.report(executor.Update{TaskID: id, State: s, Message: message, Timestamp: time.Now()})
	}
}

func (m *machine) Kill(id string) {
	time.AfterFunc(time.Second, func() { m.end(id, executor.Killed, "killed") })
}

func (m *machine) Exec(_ context.Context, id, _ string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, alive := m.tasks[id]
	switch {
	case !alive:
		return 0, errors.New("it does not run")
	case strings.HasPrefix(t.Cmd, cmdSick):
		return 1, nil
	}
	return 0, nil
}

func (m *machine) Sandbox(string) string     { return "" }
func (m *machine) Ready(executor.Task) error { return nil }
func (m *machine) Enforcement() string       { return "nothing is enforced" }
func (m *machine) Files() http.Handler       { return http.NotFoundHandler() }

func (m *machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for id := range m.tasks {
		m.timers[id].Stop()
	}
	clear(m.tasks)
	return nil
}

// running lists the tasks of an id that have started, by task id, with their commands.
func (m *machine) running(id string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]string{}
	for _, t := range m.tasks {
		if _, started := m.started[t.ID]; started && t.App == id {
			found[t.ID] = t.Cmd
		}
	}
	return found
}

// site is the local Marathon, which can be asked by hand, without a network.
type site struct {
	*local.Marathon
	machine *machine
}

func newSite() (*site, error) {
	s := &site{}
	m, err := local.New(local.Options{
		Failures: true, Log: slog.New(slog.DiscardHandler),
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			e, err := newMachine(report)
			s.machine = e.(*machine)
			return e, err
		},
	})
	s.Marathon = m
	return s, err
}

// ask is a request by somebody who is not Pacer.
func (s *site) ask(method, path, body string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// app reads an app; nil: there is none.
func (s *site) app(id string) map[string]any {
	code, text := s.ask("GET", "/v2/apps/"+id, "")
	var v struct{ App map[string]any }
	if code != http.StatusOK || json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v.App
}

// deployments are those that run.
func (s *site) deployments() []marathon.Deployment {
	_, text := s.ask("GET", "/v2/deployments", "")
	var all []marathon.Deployment
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		panic(err)
	}
	return all
}

// flaw is what happens to one request of Pacer's.
type flaw int

const (
	sound      flaw = iota
	refused         // 409, locked by nobody knows whom
	tooMany         // 403
	broken          // 500, not taken
	brokenDone      // 502, though taken
	cutBefore       // the connection ends, not taken
	cutAfter        // it ends before the answer, taken
	half            // it ends in the middle of the answer, taken
	silent          // no answer ever, taken
	late            // taken after 5 s
	slow            // answered 5 s after it was taken
	killBefore      // the controller dies, not taken
	killAfter       // the controller dies, taken
	flaws
)

// line is the network between one life of a controller and a site: real HTTP
// over pipes. It spoils requests as told, and tells of writes.
type line struct {
	site    *site
	spoil   func(r *http.Request) flaw                      // asked of each request
	written func(r *http.Request, body []byte) func(ok int) // told before each write is taken, and after
	doubted func(r *http.Request, body []byte)              // told of each whose answer is not known
	died    func()                                          // told once

	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	calls  sync.WaitGroup

	mu   sync.Mutex
	down bool // nobody answers
}

func newLine(s *site) *line {
	l := &line{site: s, conns: make(chan net.Conn), closed: make(chan struct{})}
	l.server = &http.Server{Handler: l, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	l.calls.Go(func() { _ = l.server.Serve(l) })
	return l
}

// Accept, Addr and Close make it a listener.
func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *line) Addr() net.Addr { return &net.TCPAddr{} }
func (l *line) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }

func (l *line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	return nil, errors.New("connection refused")
}

// cut ends it, with all that is under way; it stays so.
func (l *line) cut() {
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	_ = l.Close()
	_ = l.server.Close()
}

func (l *line) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *line) isDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// client is a Marathon client at the end of it.
func (l *line) client() (*marathon.Client, *http.Transport, error) {
	t := &http.Transport{DialContext: l.dial, DisableCompression: true}
	c, err := marathon.New(marathon.Options{URLs: []string{"http://marathon"}, AgentPort: -1, Wrap: func(http.RoundTripper) http.RoundTripper { return t }})
	return c, t, err
}

// ServeHTTP passes a request on, or spoils it.
func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || l.isDown() {
		l.doubted(r, body)
		panic(http.ErrAbortHandler)
	}
	f := sound
	if r.URL.Path != "/v2/events" {
		f = l.spoil(r)
		r.Header.Del("Accept-Encoding") // packing takes long under the race detector, and has tests of its own
	}
	if f != sound {
		l.doubted(r, body)
	}
	if f == late {
		time.Sleep(5 * time.Second)
		if l.isDown() {
			panic(http.ErrAbortHandler)
		}
	}
	switch f {
	case refused:
		answerWith(w, http.StatusConflict, `{"message":"App is locked by one or more deployments.","deployments":[{"id":"00000000-0000-4000-8000-000000000000"}]}`)
		return
	case tooMany:
		answerWith(w, http.StatusForbidden, `{"message":"Max number (100) of running deployments is achieved. Wait for existing deployments to complete."}`)
		return
	case broken:
		answerWith(w, http.StatusInternalServerError, `{"message":"boom"}`)
		return
	case cutBefore:
		panic(http.ErrAbortHandler)
	case killBefore:
		l.died()
		panic(http.ErrAbortHandler)
	}
	if r.Method == http.MethodGet && f == sound {
		l.site.Handler().ServeHTTP(w, r)
		return
	}
	l.take(w, r, body, f)
}

// take has the site do it, and spoils the answer.
func (l *line) take(w http.ResponseWriter, r *http.Request, body []byte, f flaw) {
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	answer := httptest.NewRecorder()
	var after func(int)
	if r.Method != http.MethodGet {
		after = l.written(r, body)
	}
	l.site.Handler().ServeHTTP(answer, r)
	if after != nil {
		after(answer.Code)
	}
	text := answer.Body.Bytes()
	switch f {
	case brokenDone:
		answerWith(w, http.StatusBadGateway, "")
		return
	case cutAfter:
		panic(http.ErrAbortHandler)
	case killAfter:
		l.died()
		panic(http.ErrAbortHandler)
	case silent:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case slow:
		time.Sleep(5 * time.Second)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(answer.Code)
	if f == half {
		_, _ = w.Write(text[:len(text)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(text)
}

func answerWith(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// mortal is a store of one life of a controller: after its death nothing is
// saved any more.
type mortal struct {
	*shelf
	dead func() bool
}

func (m mortal) Save(ctx context.Context, sync string, s store.State) error {
	if m.dead() {
		return errors.New("the process is dead")
	}
	return m.shelf.Save(ctx, sync, s)
}

func (m mortal) SaveAhead(ctx context.Context, sync string, s store.State) error {
	if m.dead() {
		return errors.New("the process is dead")
	}
	return m.shelf.SaveAhead(ctx, sync, s)
}

// sortedIDs lists the keys of a map in order.
func sortedIDs[V any](m map[string]V) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
