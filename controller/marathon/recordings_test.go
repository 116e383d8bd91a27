package marathon

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// step is one step of a recorded conversation with a real Marathon.
type step struct {
	Request struct {
		Method, Path string
		Body         json.RawMessage
	}
	Status  int
	Headers map[string]string
	Body    json.RawMessage
	Events  []struct {
		Event string
		Data  json.RawMessage
	}
}

var placeholder = regexp.MustCompile(`<time-(\d+)>`)

// at is the time that stands for <time-n>.
func at(n int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)
}

// recording reads a conversation, with times in the place of their numbers.
func recording(t testing.TB, name string) []step {
	t.Helper()
	b, err := os.ReadFile("../../testdata/conformance/api/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	b = placeholder.ReplaceAllFunc(b, func(m []byte) []byte {
		n, _ := strconv.Atoi(string(placeholder.FindSubmatch(m)[1]))
		return []byte(at(n).Format("2006-01-02T15:04:05.000Z"))
	})
	var r struct{ Steps []step }
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r.Steps
}

// served is what a fake Marathon was asked.
type served struct {
	Method, URI, Body, Length, ContentType, Authorization string
}

// fake answers by a function and remembers what it was asked.
type fake struct {
	*httptest.Server
	mu   sync.Mutex
	seen []served
}

func (f *fake) requests() []served {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]served(nil), f.seen...)
}

func newFake(t testing.TB, h http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" { // asked where a machine is busy for so long that it might be away
			fmt.Fprint(w, "pong")
			return
		}
		b, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.seen = append(f.seen, served{r.Method, r.URL.RequestURI(), string(b), r.Header.Get("Content-Length"),
			r.Header.Get("Content-Type"), r.Header.Get("Authorization")})
		if r.ContentLength >= 0 {
			f.seen[len(f.seen)-1].Length = strconv.FormatInt(r.ContentLength, 10)
		}
		f.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(f.Server.Close)
	return f
}

// answers serves recorded steps by "METHOD /path", without query.
func answers(t testing.TB, table map[string]step) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := table[r.Method+" "+r.URL.Path]
		if !ok {
			t.Errorf("unexpected request: %s %s", r.Method, r.URL.Path)
			http.Error(w, "unexpected", http.StatusTeapot)
			return
		}
		for k, v := range s.Headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(s.Status)
		if string(s.Body) != "null" {
			_, _ = w.Write(s.Body)
		}
	}
}

// says is a step that was not recorded.
func says(status int, body string) step {
	return step{Status: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: json.RawMessage(body)}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func clientOf(t testing.TB, table map[string]step) *Client {
	return newClient(t, Options{URLs: []string{newFake(t, answers(t, table)).URL}})
}

func appNamed(id string) *manifests.App {
	return &manifests.App{ID: id, Cmd: new("sleep 1000"), Instances: new(1)}
}

// find returns the first step that asks so.
func find(t testing.TB, steps []step, method, path string, status int) step {
	t.Helper()
	for _, s := range steps {
		if s.Request.Method == method && strings.HasPrefix(s.Request.Path, path) && s.Status == status {
			return s
		}
	}
	t.Fatal(fmt.Sprint("no recorded step ", method, " ", path, " ", status))
	return step{}
}
