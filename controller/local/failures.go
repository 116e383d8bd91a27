package local

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// injected are the failures of the API that a test has asked for.
type injected struct{ next []failure }

// failure is what happens to one request.
type failure struct {
	Method  string  `json:"method"`  // of the request that it waits for; empty: any
	Path    string  `json:"path"`    // what that request's path begins with; empty: any
	Status  int     `json:"status"`  // answered in place of the request; 0: the request is done
	Message string  `json:"message"` // of that answer
	Delay   float64 `json:"delay"`   // seconds before anything happens
	Half    bool    `json:"half"`    // the request is done, half its answer is sent, and the connection cut
	Times   int     `json:"times"`   // how many requests; 0: one
}

const failuresPath = "/local/failures"

// inject serves /local/failures and does to other requests what was asked for
// there. It says whether the request is answered.
//
//	POST   /local/failures          a failure for the next request that fits
//	DELETE /local/failures          no more of them
//	POST   /local/failures/streams  all event streams are dropped
//	POST   /local/failures/lock     {"id": "/app"}: a deployment of somebody else locks the app
//	DELETE /local/failures/lock     it is over
func (m *Marathon) inject(w http.ResponseWriter, r *http.Request) bool {
	if !m.options.Failures {
		return false
	}
	if rest, mine := strings.CutPrefix(r.URL.Path, failuresPath); mine {
		answer(w, r, m.serveFailures(w, r, rest))
		return true
	}
	f, some := m.takeFailure(r)
	if !some {
		return false
	}
	select {
	case <-time.After(time.Duration(f.Delay * float64(time.Second))):
	case <-r.Context().Done():
		return true
	case <-m.closing:
		return true
	}
	switch {
	case f.Half:
		half := &halfWriter{ResponseWriter: w}
		answer(half, r, m.route(half, r))
		half.cut()
	case f.Status != 0:
		answer(w, r, fail(f.Status, "%s", f.Message))
	default:
		return false
	}
	return true
}

func (m *Marathon) takeFailure(r *http.Request) (failure, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, f := range m.injected.next {
		if f.Method != "" && f.Method != r.Method || !strings.HasPrefix(r.URL.Path, f.Path) {
			continue
		}
		if f.Times > 1 {
			m.injected.next[n].Times--
		} else {
			m.injected.next = append(m.injected.next[:n:n], m.injected.next[n+1:]...)
		}
		return f, true
	}
	return failure{}, false
}

// readFailure reads what a test asks for. What it has got wrong would else look
// like a failure that does not come.
func readFailure(b body) (failure, error) {
	var f failure
	d := json.NewDecoder(bytes.NewReader(b.raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fail(http.StatusBadRequest, "what %s takes is an object of method, path, status, message, delay, half and times: %v", failuresPath, err)
	}
	const day = 24 * 60 * 60
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return f, fail(http.StatusBadRequest, "status %d: want one from 200 to 599, or 0 for the request's own", f.Status)
	case f.Status != 0 && f.Half:
		return f, fail(http.StatusBadRequest, "half is of the request's own answer: leave status out")
	case f.Delay < 0 || f.Delay > day:
		return f, fail(http.StatusBadRequest, "delay %v: want seconds from 0 to %d", f.Delay, day)
	case f.Times < 0:
		return f, fail(http.StatusBadRequest, "times %d: want a number from 0, which means once", f.Times)
	}
	return f, nil
}

func (m *Marathon) serveFailures(w http.ResponseWriter, r *http.Request, rest string) error {
	b := body{}
	if r.Method == http.MethodPost && rest != "/streams" {
		var err error
		if b, err = readBody(w, r); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r.Method + rest {
	case http.MethodPost:
		f, err := readFailure(b)
		if err != nil {
			return err
		}
		m.injected.next = append(m.injected.next, f)
	case http.MethodDelete:
		m.injected.next = nil
	case http.MethodPost + "/streams":
		for s := range m.streams {
			m.dropStream(s)
		}
	case http.MethodPost + "/lock":
		id, _ := b.object()["id"].(string)
		s := m.root.specs[resolve(id, "/")]
		if s == nil {
			return noApp(resolve(id, "/"))
		}
		dep := newDeployment(uuid.NewString(), m.stamp(), []step{{[]action{s.action("Restart")}}})
		dep.current, dep.affected[s.id], dep.foreign, dep.original, dep.target = 1, true, true, m.root, m.root
		m.deployments = append(m.deployments, dep)
		return &reply{status: http.StatusCreated, body: ref{dep.id}}
	case http.MethodDelete + "/lock":
		for _, dep := range slices.Clone(m.deployments) {
			if dep.foreign {
				m.cancel(dep)
			}
		}
	default:
		return errMethod
	}
	return &reply{status: http.StatusNoContent}
}

// halfWriter keeps the answer back, to send only half of it.
type halfWriter struct {
	http.ResponseWriter
	status int
	text   []byte
}

// WriteHeader keeps the status for later.
func (h *halfWriter) WriteHeader(status int) { h.status = status }

// Write keeps the text for later.
func (h *halfWriter) Write(text []byte) (int, error) {
	h.text = append(h.text, text...)
	return len(text), nil
}

// cut sends half of the answer and breaks the connection, as a server does that
// dies while it answers.
func (h *halfWriter) cut() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	_, _ = h.ResponseWriter.Write(h.text[:len(h.text)/2]) // the connection ends anyway
	_ = http.NewResponseController(h.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
