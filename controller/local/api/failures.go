package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// FailuresPath is where tests ask for failures of the API itself.
//
//	POST   /local/failures          a failure for the next request that fits
//	DELETE /local/failures          no more of them
//	POST   /local/failures/streams  all event streams are dropped
//	POST   /local/failures/lock     {"id": "/app"}: another client's deployment locks the app
//	DELETE /local/failures/lock     it is over
const FailuresPath = "/local/failures"

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

// takeFailure is the failure of a request; nil: it has none.
func (a *API) takeFailure(r *http.Request) *failure {
	n := slices.IndexFunc(a.failures, func(one failure) bool {
		return (one.Method == "" || one.Method == r.Method) && strings.HasPrefix(r.URL.Path, one.Path)
	})
	if n < 0 {
		return nil
	}
	one := a.failures[n]
	if a.failures[n].Times--; a.failures[n].Times <= 0 {
		a.failures = slices.Delete(a.failures, n, n+1)
	}
	return &one
}

// fails serves FailuresPath and does to other requests what was asked for there.
// It reports whether the request is answered.
func (a *API) fails(w http.ResponseWriter, r *http.Request) bool {
	if rest, own := strings.CutPrefix(r.URL.Path, FailuresPath); own {
		out, err := a.call(w, r, failuresEndpoint(r, rest))
		answer(w, r, out, err)
		return true
	}
	var f *failure
	a.scheduler.Do(func() { f = a.takeFailure(r) })
	if f == nil {
		return false
	}
	select {
	case <-time.After(time.Duration(f.Delay * float64(time.Second))):
	case <-r.Context().Done():
		return true
	case <-a.scheduler.Done():
		return true
	}
	switch {
	case f.Half:
		half := &halfWriter{ResponseWriter: w}
		a.serve(half, r)
		half.cut()
	case f.Status != 0:
		answer(w, r, nil, state.Refuse(f.Status, "%s", f.Message))
	default:
		return false
	}
	return true
}

func failuresEndpoint(r *http.Request, rest string) endpoint {
	done := func(do func(c *call)) endpoint {
		return on(func(c *call) (*reply, error) {
			do(c)
			return &reply{status: http.StatusNoContent}, nil
		})
	}
	switch rest {
	case "":
		return methods{http.MethodPost: withBody(addFailure), http.MethodDelete: done(func(c *call) { c.api.failures = nil })}.of(r)
	case "/streams":
		return methods{http.MethodPost: done(func(c *call) { c.Events.DropAll() })}.of(r)
	case "/lock":
		return methods{http.MethodPost: withBody(addLock), http.MethodDelete: done(dropLocks)}.of(r)
	}
	return methods{}.of(r)
}

// addFailure takes what a test asks for. What it has got wrong would else look
// like a failure that does not come.
func addFailure(c *call) (*reply, error) {
	var f failure
	d := json.NewDecoder(bytes.NewReader(c.body.raw))
	d.DisallowUnknownFields()
	bad := func(format string, args ...any) (*reply, error) {
		return nil, state.Refuse(http.StatusBadRequest, format, args...)
	}
	if err := d.Decode(&f); err != nil {
		return bad("%s takes an object of method, path, status, message, delay, half and times: %v", FailuresPath, err)
	}
	const day = 24 * 60 * 60
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return bad("expected a status from 200 to 599, or 0 for the request's own, found %d", f.Status)
	case f.Status != 0 && f.Half:
		return bad("half and status are mutually exclusive: half is of the request's own answer")
	case f.Delay < 0 || f.Delay > day:
		return bad("expected a delay of 0 to %d seconds, found %v", day, f.Delay)
	case f.Times < 0:
		return bad("expected times from 0, which means once, found %d", f.Times)
	}
	c.api.failures = append(c.api.failures, f)
	return &reply{status: http.StatusNoContent}, nil
}

func addLock(c *call) (*reply, error) {
	name, _ := c.body.object()["id"].(string)
	id := manifests.AbsoluteID("/", name)
	s := c.Versions.Root.Specs[id]
	if s == nil {
		return nil, noApp(id)
	}
	return &reply{status: http.StatusCreated, body: state.Ref{ID: c.Deployments.LockForeign(s).ID}}, nil
}

func dropLocks(c *call) {
	for _, dep := range slices.Clone(c.Deployments.Active()) {
		if dep.Foreign {
			c.Deployments.Cancel(dep)
		}
	}
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
