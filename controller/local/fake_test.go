package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/controller/local/scheduler"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// fake runs tasks in memory. While its gate is closed, nothing starts or ends.
type fake struct {
	mu     sync.Mutex
	report func(executor.Update)
	tasks  map[string]executor.Task // alive
	closed bool                     // the gate
	deadly bool                     // kills pass the closed gate
	tardy  string                   // the app whose tasks stay TASK_STARTING
	late   []func()                 // what lets them run
	held   []func()
	ran    map[string]executor.Task // all that were ever launched
	ready  func(executor.Task) error
	exec   func(command string) (int, error)
}

func (f *fake) make(report func(executor.Update)) (executor.Executor, error) {
	f.report = report
	f.tasks, f.ran = map[string]executor.Task{}, map[string]executor.Task{}
	return f, nil
}

func (f *fake) Launch(t executor.Task) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, twice := f.ran[t.ID]; twice {
		return errors.New("launched twice: " + t.ID)
	}
	f.tasks[t.ID], f.ran[t.ID] = t, t
	f.pass(func() { f.start(t.ID) })
	return nil
}

// pass does something now, or once the gate opens. The caller holds the lock.
func (f *fake) pass(do func()) {
	if f.closed {
		f.held = append(f.held, do)
		return
	}
	do()
}

func (f *fake) start(id string) {
	if _, alive := f.tasks[id]; !alive {
		return
	}
	f.report(executor.Update{TaskID: id, State: executor.Starting, Timestamp: time.Now(), IPs: []string{"127.0.0.1"}})
	run := func() {
		if _, alive := f.tasks[id]; alive {
			f.report(executor.Update{TaskID: id, State: executor.Running, Timestamp: time.Now(), IPs: []string{"127.0.0.1"}})
		}
	}
	if f.tasks[id].App == f.tardy {
		f.late = append(f.late, run)
		return
	}
	run()
}

// slow makes tasks of an app that start from now on stay TASK_STARTING, and lets
// all run that did.
func (f *fake) slow(app string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tardy = app
	for _, run := range f.late {
		run()
	}
	f.late = nil
}

// gate closes the gate, or opens it and lets all through that wait.
func (f *fake) gate(closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = closed
	for !closed && len(f.held) > 0 {
		f.held[0]()
		f.held = f.held[1:]
	}
}

func (f *fake) end(id string, s executor.State, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := func() {
		if _, alive := f.tasks[id]; alive {
			delete(f.tasks, id)
			f.report(executor.Update{TaskID: id, State: s, Message: message, Timestamp: time.Now()})
		}
	}
	if f.deadly {
		end()
		return
	}
	f.pass(end)
}

func (f *fake) Kill(id string) {
	f.end(id, executor.Killed, "Command terminated with signal Terminated")
}

func (f *fake) Exec(_ context.Context, _, command string) (int, error) {
	f.mu.Lock()
	exec := f.exec
	f.mu.Unlock()
	if exec == nil {
		return 0, nil
	}
	return exec(command)
}

func (f *fake) Sandbox(string) string { return "" }
func (f *fake) Enforcement() string   { return "nothing is enforced" }
func (f *fake) Files() http.Handler   { return http.NotFoundHandler() }

func (f *fake) Ready(t executor.Task) error {
	if f.ready == nil {
		return nil
	}
	return f.ready(t)
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tasks = map[string]executor.Task{}
	return nil
}

// running are the ids of the tasks that the executor runs for an app.
func (f *fake) running(app string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, t := range f.tasks {
		if t.Env["MARATHON_APP_ID"] == app {
			ids = append(ids, id)
		}
	}
	return ids
}

// healthy is a prober to which every task is well, but for those of a port.
type healthy struct {
	mu   sync.Mutex
	sick error
	code int
}

func (h *healthy) Dial(context.Context, string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sick
}

func (h *healthy) Get(context.Context, string) (scheduler.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return scheduler.Response{Status: h.code, Body: "not yet", ContentType: "text/plain; charset=utf-8"}, h.sick
}

func (h *healthy) set(err error, code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sick, h.code = err, code
}

// rig is a Marathon under test, asked in process, so that it works in a bubble
// of synctest too.
type rig struct {
	*testing.T
	m      *Marathon
	fake   *fake
	prober *healthy
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	leavesNothing(t, "")
	r := &rig{T: t, fake: &fake{}, prober: &healthy{code: http.StatusOK}}
	o := Options{Executor: r.fake.make}
	for _, c := range change {
		c(&o)
	}
	m, err := newMarathon(o, r.prober)
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// call asks and wants a status; it returns the answer.
func (r *rig) call(want int, method, path, body string) map[string]any {
	r.Helper()
	w := r.raw(method, path, body)
	if w.Code != want {
		r.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
	}
	var v any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			r.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	o, isObject := v.(map[string]any)
	if !isObject {
		o = map[string]any{"": v}
	}
	return o
}

func (r *rig) raw(method, path, body string) *httptest.ResponseRecorder {
	r.Helper()
	q := httptest.NewRequest(method, path, strings.NewReader(body))
	q.RemoteAddr = "127.0.0.1:4711"
	q.Header.Set("Accept", "application/json")
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	return r.do(q)
}

func (r *rig) do(q *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.m.Handler().ServeHTTP(w, q)
	return w
}

// settled waits until no deployment runs.
func (r *rig) settled() {
	r.Helper()
	r.await("no deployments", func() bool {
		active := 0
		r.m.scheduler.Do(func() { active = len(r.m.scheduler.Deployments.Active()) })
		return active == 0
	})
}

// await waits for a condition. Within a bubble time is virtual; outside, the
// pause only bounds how often the condition is looked at.
func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	for deadline := time.Now().Add(testenv.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (r *rig) app(id string) map[string]any {
	r.Helper()
	app, _ := r.call(http.StatusOK, "GET", "/v2/apps/"+id, "")["app"].(map[string]any)
	return app
}

// events follows the stream of a rig until the test ends.
func (r *rig) events(query string) *recorder {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	rec := &recorder{header: http.Header{}, attached: make(chan struct{})}
	q := httptest.NewRequest("GET", "/v2/events"+query, nil).WithContext(ctx)
	q.Header.Set("Accept", "text/event-stream")
	q.RemoteAddr = "127.0.0.1:4711"
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.m.Handler().ServeHTTP(rec, q)
	}()
	rec.stop = func() { cancel(); <-done }
	r.Cleanup(rec.stop)
	<-rec.attached
	return rec
}

// recorder keeps what a stream sends.
type recorder struct {
	mu       sync.Mutex
	header   http.Header
	text     bytes.Buffer
	stop     func()
	once     sync.Once
	attached chan struct{} // closed at the first flush
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Flush()              { r.once.Do(func() { close(r.attached) }) }
func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

type event struct {
	Event string         `json:"event"`
	Data  map[string]any `json:"data"`
}

// all are the events so far.
func (r *recorder) all() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var es []event
	for block := range strings.SplitSeq(r.text.String(), "\r\n\r\n") {
		name, data, found := strings.Cut(strings.TrimSpace(block), "\r\ndata: ")
		if !found {
			continue
		}
		e := event{Event: strings.TrimPrefix(name, "event: ")}
		if err := decodeExact([]byte(data), &e.Data); err == nil {
			es = append(es, e)
		}
	}
	return es
}

func (r *recorder) count(name string) int {
	n := 0
	for _, e := range r.all() {
		if e.Event == name {
			n++
		}
	}
	return n
}

var _ io.Writer = (*recorder)(nil)
