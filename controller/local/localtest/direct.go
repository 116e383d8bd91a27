package localtest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// Direct leads to Marathons without a network, so that tests reach them on a virtual
// clock. It is for the Wrap of a client. A host that is frozen takes what it is asked,
// as a stopped process does whose kernel takes calls, and answers nothing, nor says
// anything on what is open.
type Direct struct {
	hosts map[string]http.Handler

	mu     sync.Mutex
	frozen map[string]chan struct{} // closed when the host thaws
	counts map[string]int
}

// NewDirect leads to handlers by host and port.
func NewDirect(hosts map[string]http.Handler) *Direct {
	return &Direct{hosts: hosts, frozen: map[string]chan struct{}{}, counts: map[string]int{}}
}

// Freeze has a host answer nothing until Thaw.
func (d *Direct) Freeze(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen[host] = make(chan struct{})
}

// Thaw ends Freeze: what was asked meanwhile is answered.
func (d *Direct) Thaw(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.frozen[host])
	delete(d.frozen, host)
}

// Requests is how often what was asked, by "HOST GET /v2/apps/ID", since the last
// Forget.
func (d *Direct) Requests() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := map[string]int{}
	for kind, n := range d.counts {
		counts[kind] = n
	}
	return counts
}

// Forget restarts the counts.
func (d *Direct) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.counts)
}

// thawed waits until a host is not frozen, or until ctx ends.
func (d *Direct) thawed(ctx context.Context, host string) error {
	d.mu.Lock()
	thaws := d.frozen[host]
	d.mu.Unlock()
	if thaws == nil {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-thaws:
		return nil
	}
}

// RoundTrip sends one request.
func (d *Direct) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, host := r.Context(), r.URL.Host
	d.mu.Lock()
	d.counts[host+" "+kindOf(r)]++
	d.mu.Unlock()
	served := r.Clone(ctx)
	served.RequestURI, served.RemoteAddr, served.Host = r.URL.RequestURI(), "127.0.0.1:1", host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	out, in := io.Pipe()
	w := &directWriter{d: d, ctx: ctx, host: host, in: in, header: http.Header{}, begun: make(chan struct{})}
	go func() {
		if d.thawed(ctx, host) == nil {
			d.hosts[host].ServeHTTP(w, served)
		}
		w.WriteHeader(http.StatusOK)
		_ = in.CloseWithError(io.EOF)
	}()
	select {
	case <-ctx.Done():
		_ = out.CloseWithError(ctx.Err())
		return nil, ctx.Err()
	case <-w.begun:
	}
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) })
	return &http.Response{StatusCode: w.code, Header: w.sent, Body: out, Request: r, ContentLength: -1, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// directWriter is the answer to one request.
type directWriter struct {
	d      *Direct
	ctx    context.Context
	host   string
	in     *io.PipeWriter
	header http.Header
	once   sync.Once
	begun  chan struct{} // closed when code and sent are set
	code   int
	sent   http.Header
}

func (w *directWriter) Header() http.Header { return w.header }

func (w *directWriter) WriteHeader(code int) {
	w.once.Do(func() {
		w.code, w.sent = code, w.header.Clone()
		close(w.begun)
	})
}

func (w *directWriter) Write(p []byte) (int, error) {
	if err := w.d.thawed(w.ctx, w.host); err != nil {
		return 0, err
	}
	w.WriteHeader(http.StatusOK)
	return w.in.Write(p)
}

// Flush sends the header of what has no content yet.
func (w *directWriter) Flush() { w.WriteHeader(http.StatusOK) }
