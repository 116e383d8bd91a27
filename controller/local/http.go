package local

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Handler is Marathon's HTTP API.
func (m *Marathon) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.ctx.Err() != nil {
			answer(w, r, fail(http.StatusServiceUnavailable, "the local Marathon is closed"))
			return
		}
		if m.inject(w, r) {
			return
		}
		answer(w, r, m.route(w, r))
	})
}

// reply is a success.
type reply struct {
	status   int
	body     any // json.RawMessage is written as it is; nil: none
	location string
	deployed string // id of the deployment
}

// Error lets handlers return a reply as they return an error: one way out.
func (r *reply) Error() string { return http.StatusText(r.status) }

func ok(body any) *reply { return &reply{status: http.StatusOK, body: body} }

// deployed is the usual answer of a write.
func deployed(status int, dep *deployment) *reply {
	return &reply{status: status, deployed: dep.id, body: map[string]any{"deploymentId": dep.id, "version": dep.version}}
}

// answer writes what a handler returned; nil: it has answered itself.
func answer(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	status, body := http.StatusInternalServerError, any(message{Message: err.Error()})
	var done *reply
	var e *apiError
	switch {
	case errors.As(err, &done):
		status, body = done.status, done.body
		if done.location != "" {
			h.Set("Location", done.location)
		}
		if done.deployed != "" {
			h.Set("Marathon-Deployment-Id", done.deployed)
		}
	case errors.As(err, &e):
		status, body = e.status, e.body
	}
	h.Set("Content-Type", "application/json")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, ready := body.(json.RawMessage)
	if !ready {
		if text, err = encode(body); err != nil {
			status, text = http.StatusInternalServerError, []byte(`{"message":"the answer could not be written"}`)
		}
	}
	if len(text) >= worthPacking && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Set("Vary", "Accept-Encoding")
		w.WriteHeader(status)
		pack(w, text)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone needs no answer
}

// worthPacking is the size in bytes from which an answer is compressed.
const worthPacking = 1024

func acceptsGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, _ := strings.Cut(one, ";")
		if strings.TrimSpace(name) == "gzip" {
			weight, weighed := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
			return !weighed || strings.Trim(weight, "0.") != ""
		}
	}
	return false
}

// packers are kept: each has tables of a megabyte.
var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	return z
}}

func pack(w io.Writer, text []byte) {
	z, _ := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(w)
	if _, err := z.Write(text); err == nil {
		_ = z.Close() // a client that has gone needs no answer
	}
}

// encode is JSON as Marathon writes it: < > & stand as they are.
func encode(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

var errMethod = fail(http.StatusMethodNotAllowed, "Method Not Allowed")

// route finds what a request asks for. Marathon's paths hold ids with and
// without a second slash (/v2/apps//a/b), which is why no ServeMux is used.
func (m *Marathon) route(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.Path
	if r.Method == http.MethodHead && path != "/v2/pods" && path != "/v2/events" {
		r = r.Clone(r.Context()) // what is read by GET is asked for by HEAD, too
		r.Method = http.MethodGet
	}
	if strings.HasPrefix(path, "/v2/") && path != "/v2/events" && !acceptsJSON(r) {
		return fail(http.StatusNotAcceptable, "Not Acceptable")
	}
	for _, p := range []struct {
		prefix string
		serve  func(http.ResponseWriter, *http.Request, string) error
	}{
		{"/v2/apps", m.serveApps}, {"/v2/groups", m.serveGroups}, {"/v2/pods", m.servePods},
		{"/v2/deployments", m.serveDeployments}, {"/v2/queue", m.serveQueue}, {"/v2/tasks", m.serveTasks},
		{"/files", m.serveFiles},
	} {
		if rest, found := strings.CutPrefix(path, p.prefix); found && (rest == "" || rest[0] == '/') {
			return p.serve(w, r, rest)
		}
	}
	small, found := map[string]func(http.ResponseWriter, *http.Request) error{
		"/v2/info": m.serveInfo, "/v2/leader": m.serveLeader, "/ping": m.servePing, "/metrics": m.serveMetrics, "/v2/events": m.serveEvents,
		"/v2/plugins": m.servePlugins,
	}[strings.TrimSuffix(path, "/")]
	if !found {
		return fail(http.StatusInternalServerError, "URI not found")
	}
	if r.Method != http.MethodGet {
		return errMethod
	}
	return small(w, r)
}

func acceptsJSON(r *http.Request) bool {
	accepted := accepts(r, "application/json")
	return len(r.Header["Accept"]) == 0 || r.Header.Get("Accept") == "" || accepted
}

// accepts says whether a client takes a media type.
func accepts(r *http.Request, kind string) bool {
	major, _, _ := strings.Cut(kind, "/")
	for one := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		media, parameters, err := mime.ParseMediaType(one)
		if weight, err := strconv.ParseFloat(cmpString(parameters["q"], "1"), 64); err != nil || weight == 0 {
			continue
		}
		if err == nil && (media == kind || media == major+"/*" || media == "*/*") {
			return true
		}
	}
	return false
}

// flag is a query parameter that is true or false; as in Java all but true is
// false.
func flag(r *http.Request, name string, otherwise bool) bool {
	v := r.URL.Query().Get(name)
	if v == "" {
		return otherwise
	}
	return strings.EqualFold(v, "true")
}

// location is where a new definition is, by Marathon's own (wrong) account.
func location(r *http.Request, id string) string { return "http://" + r.Host + id }

// clientIP is the other end of a request.
func clientIP(r *http.Request) string {
	i := strings.LastIndexByte(r.RemoteAddr, ':')
	return strings.Trim(r.RemoteAddr[:max(i, 0)], "[]")
}
