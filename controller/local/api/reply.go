package api

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// reply is a success.
type reply struct {
	status   int
	body     any // json.RawMessage is written as it is; nil: none
	location string
	deployed string // id of the deployment
}

func ok(body any) (*reply, error) { return &reply{status: http.StatusOK, body: body}, nil }

// answer writes what a handler returned.
func answer(w http.ResponseWriter, r *http.Request, out *reply, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	if err != nil {
		refused := (*state.Refusal)(nil)
		if !errors.As(err, &refused) {
			refused = state.Refuse(http.StatusInternalServerError, "%v", err)
		}
		out = &reply{status: refused.Status, body: refused}
	}
	if out.location != "" {
		h.Set("Location", out.location)
	}
	if out.deployed != "" {
		h.Set("Marathon-Deployment-Id", out.deployed)
	}
	h.Set("Content-Type", "application/json")
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	status := out.status
	text, ready := out.body.(json.RawMessage)
	if !ready {
		if text, err = state.Encode(out.body); err != nil {
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

func acceptsJSON(r *http.Request) bool {
	return r.Header.Get("Accept") == "" || accepts(r, "application/json")
}

// accepts reports whether a client takes a media type.
func accepts(r *http.Request, kind string) bool {
	major, _, _ := strings.Cut(kind, "/")
	for one := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		media, parameters, err := mime.ParseMediaType(one)
		if weight, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64); err != nil || weight == 0 {
			continue
		}
		if err == nil && (media == kind || media == major+"/*" || media == "*/*") {
			return true
		}
	}
	return false
}

// list is an object with one list of what is text already, joined without
// looking at it again: ten thousand apps are megabytes.
func list(name string, items []json.RawMessage) json.RawMessage {
	size := len(name) + 8
	for _, i := range items {
		size += len(i) + 1
	}
	text := fmt.Appendf(make([]byte, 0, size), "{%q:[", name)
	for n, i := range items {
		if n > 0 {
			text = append(text, ',')
		}
		text = append(text, i...)
	}
	return append(text, "]}"...)
}

// extend adds members to an object that is already text.
func extend(object json.RawMessage, members any) json.RawMessage {
	more, err := state.Encode(members)
	if err != nil || len(more) <= 2 {
		return object
	}
	text := make(json.RawMessage, 0, len(object)+len(more))
	return append(append(append(text, object[:len(object)-1]...), ','), more[1:]...)
}

// inDoubles is an answer whose doubles are printed as Marathon does; what cannot
// be encoded is left to answer, which says so.
func inDoubles(v any) any {
	text, err := state.Encode(v)
	if err != nil {
		return v
	}
	return state.WithDoubles(text)
}

// missing is a 404 with the empty details that Marathon adds in most places.
func missing(format string, args ...any) error {
	r := state.Refuse(http.StatusNotFound, format, args...)
	r.Details = []state.Detail{}
	return r
}

func noApp(id string) error   { return missing("App '%s' does not exist", id) }
func noPod(id string) error   { return missing("Pod '%s' does not exist", id) }
func noGroup(id string) error { return missing("Group '%s' does not exist", id) }

// noAppToWrite is the 404 of writes, which lacks the details of reads.
func noAppToWrite(id string) error {
	return state.Refuse(http.StatusNotFound, "App '%s' does not exist", id)
}

// noPath is the 404 of kills in what does not exist, or has no tasks.
func noPath(id string) error {
	return state.Refuse(http.StatusNotFound, "Path '%s' does not exist", id)
}

// invalidJSONAt is the answer to one member of the wrong shape.
func invalidJSONAt(path, format string, args ...any) *state.Refusal {
	return state.InvalidJSON(state.Detail{Path: path, Errors: []string{fmt.Sprintf(format, args...)}})
}
