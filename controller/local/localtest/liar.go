package localtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Liar stands in front of a Marathon and leaves apps, pods and groups out of its
// lists, as a proxy with an old answer or a Marathon in the midst of a fail-over
// does. Its zero value hides nothing.
type Liar struct {
	// Trees: the tree of groups lacks the same as the lists.
	Trees bool
	// Singles: what is hidden is answered 404 also where it is read alone.
	Singles bool

	mu   sync.Mutex
	hide func(id string) bool
}

// Hide has ids left out of lists from now on; nil: none.
func (l *Liar) Hide(ids func(id string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hide = ids
}

// Wrap is for Options.Wrap.
func (l *Liar) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		hide := l.hide
		l.mu.Unlock()
		path := strings.TrimRight(r.URL.Path, "/")
		switch {
		case hide == nil || r.Method != http.MethodGet:
		case path == "/v2/apps", path == "/v2/pods", path == "/v2/pods/::status", path == "/v2/groups" && l.Trees:
			truth, plain := httptest.NewRecorder(), r.Clone(r.Context())
			plain.Header.Del("Accept-Encoding")
			next.ServeHTTP(truth, plain)
			lie(w, truth, hide)
			return
		case l.Singles && single(path) != "" && hide(single(path)):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"it does not exist"}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// single is the id of the app or pod that is asked for alone; empty: none is.
func single(path string) string {
	for _, list := range []string{"/v2/apps", "/v2/pods"} {
		if id, ok := strings.CutPrefix(path, list); ok {
			return id
		}
	}
	return ""
}

// lie answers the truth without what is hidden.
func lie(w http.ResponseWriter, truth *httptest.ResponseRecorder, hide func(string) bool) {
	var told any
	if err := json.Unmarshal(truth.Body.Bytes(), &told); err != nil {
		panic("localtest: the Marathon answers no JSON: " + err.Error())
	}
	body, err := json.Marshal(without(told, hide))
	if err != nil {
		panic("localtest: what was JSON is none any more: " + err.Error())
	}
	w.Header().Set("Content-Type", truth.Header().Get("Content-Type"))
	w.WriteHeader(truth.Code)
	_, _ = w.Write(body)
}

// without drops the members of lists that are hidden, at any depth.
func without(v any, hide func(string) bool) any {
	switch v := v.(type) {
	case []any:
		kept := make([]any, 0, len(v))
		for _, member := range v {
			o, _ := member.(map[string]any)
			if id, _ := o["id"].(string); !strings.HasPrefix(id, "/") || !hide(id) {
				kept = append(kept, without(member, hide))
			}
		}
		return kept
	case map[string]any:
		for key, member := range v {
			v[key] = without(member, hide)
		}
	}
	return v
}
