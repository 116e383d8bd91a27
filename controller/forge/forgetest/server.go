package forgetest

import (
	"cmp"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Server is the HTTP server of a forge, with the means to break it.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	faults   []*Fault
	hanging  []*Fault // of them, and of those that are used up
	requests []string
}

// Fault is what happens to requests instead of, or after, what they ask for. The zero
// value is an answer 500 to all of them until Heal.
type Fault struct {
	Method string // empty: any
	Path   string // a part of the path and query, such as /comments; empty: any
	Times  int    // how many requests have the fault; 0: all until Heal

	Status int // of the answer; 0: 500
	Header http.Header
	Body   string
	// Late: the request takes effect, and then its answer is replaced by this one.
	Late bool
	// Cut: the connection is closed without an answer.
	Cut bool
	// Hang: there is no answer until Heal, or until who asks gives up.
	Hang bool

	healed chan struct{}
}

// serve starts a server that ends with the test.
func serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := s.admit(r)
		if f == nil {
			h.ServeHTTP(w, r)
			return
		}
		f.answer(w, r, h)
	}))
	s.Config.ErrorLog = log.New(t.Output(), "forge: ", 0)
	s.Start()
	t.Cleanup(func() {
		s.Heal() // what hangs would keep Close waiting
		s.Close()
	})
	return s
}

// admit notes a request, and finds its fault.
func (s *Server) admit(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	i := slices.IndexFunc(s.faults, func(f *Fault) bool {
		return (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.RequestURI(), f.Path)
	})
	if i < 0 {
		return nil
	}
	f := s.faults[i]
	if f.Times--; f.Times == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return f
}

func (f *Fault) answer(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if f.Late {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if f.Hang {
		select {
		case <-f.healed:
		case <-r.Context().Done():
		}
	}
	if f.Cut || f.Hang {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(cmp.Or(f.Status, http.StatusInternalServerError))
	_, _ = w.Write([]byte(f.Body)) // who asks may be gone
}

// Break has requests from now on meet a fault. Of several that fit, the oldest counts.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.healed = make(chan struct{})
	s.faults = append(s.faults, &f)
	if f.Hang {
		s.hanging = append(s.hanging, &f)
	}
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.hanging {
		close(f.healed)
	}
	s.faults, s.hanging = nil, nil
}

// Requests returns the requests since the last call, as "METHOD URI".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}
