// Package localtest serves a Marathon to tests and benchmarks: the local one,
// over tasks that are only accounted, so that tens of thousands of them run on
// any machine. On demand each request also costs what was measured on a real
// Marathon. It counts what it is asked.
//
// It is no product code, and it runs nothing: for real tasks there is
// controller/local/executor.
package localtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/local"
	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/manifests"
)

// Options say what a Server is like. The zero value will do.
type Options struct {
	// Costs makes each request take as long as it took a real Marathon that
	// holds as many apps; see Cost.
	Costs bool
	// Start is how long a task takes to run; zero: it runs at once.
	Start time.Duration
	// Wrap stands between the Marathon and who asks it; nil: nothing does.
	Wrap func(http.Handler) http.Handler
	Log  *slog.Logger // nil: nothing is logged
}

// Server is a Marathon that listens on 127.0.0.1.
type Server struct {
	*httptest.Server
	Marathon *local.Marathon
	options  Options
	answers  http.Handler

	writing sync.Mutex // Marathon serialises writes
	mu      sync.Mutex
	counts  map[string]int
	apps    int
	heard   []func(*http.Request)
}

// NewMarathon returns a Marathon that nothing serves yet. The caller closes it.
func NewMarathon(t testing.TB, o Options) *local.Marathon {
	t.Helper()
	m, err := local.New(local.Options{
		Log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return newAccounted(report, o.Start), nil
		},
		Agent:                 local.Agent{CPUs: 1e6, Mem: 1e9, Disk: 1e9, PortMin: 1024, PortMax: 65535},
		MaxRunningDeployments: 10_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// New serves a Marathon until the test ends.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	m := NewMarathon(t, o)
	s := &Server{Marathon: m, options: o, answers: m.Handler(), counts: map[string]int{}}
	if o.Wrap != nil {
		s.answers = o.Wrap(s.answers)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("local Marathon: %v", err)
		}
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	s.mu.Lock()
	s.counts[kind]++
	cost := s.cost(kind, r)
	heard := s.heard
	s.mu.Unlock()
	for _, f := range heard {
		f(r)
	}
	if cost > 0 {
		if r.Method != http.MethodGet {
			s.writing.Lock()
			defer s.writing.Unlock()
		}
		time.Sleep(cost)
	}
	s.answers.ServeHTTP(w, r)
}

// cost is what a request is to take before it is served. Called with mu held.
func (s *Server) cost(kind string, r *http.Request) time.Duration {
	if !s.options.Costs {
		return 0
	}
	if kind != "PUT /v2/apps" {
		return Cost(kind, s.apps)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0 // the Marathon behind meets the same end
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return ArrayCost(bytes.Count(body, []byte(`"id":`)))
}

// kindOf names what is asked for: method and path, with ID for the id of an app
// or a group.
func kindOf(r *http.Request) string {
	path := strings.TrimRight(r.URL.Path, "/")
	for _, prefix := range []string{"/v2/apps", "/v2/pods", "/v2/groups"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest != "" && rest != "/::status" {
			path = prefix + "/ID"
		}
	}
	if embed := r.URL.Query()["embed"]; path == "/v2/groups" && !slices.Contains(embed, "group.apps") && len(embed) > 0 {
		path += "?skeleton"
	}
	return r.Method + " " + path
}

// Cost is what a request took a real Marathon 1.11.26 that holds so many apps:
// testdata/conformance/README.md. A single write that changes an app costs in
// proportion to all there are, an array as in ArrayCost. What was not measured
// costs nothing here.
func Cost(kind string, apps int) time.Duration {
	n := time.Duration(apps)
	switch kind {
	case "GET /v2/apps":
		return 78*time.Millisecond + n*23*time.Microsecond
	case "GET /v2/groups": // the tree with its apps: a fifth more than their list
		return 94*time.Millisecond + n*28*time.Microsecond
	case "GET /v2/apps/ID", "GET /v2/pods/ID":
		return 10 * time.Millisecond
	case "GET /v2/groups?skeleton":
		return 9 * time.Millisecond
	case "PUT /v2/apps/ID", "POST /v2/apps", "DELETE /v2/apps/ID", "POST /v2/apps/ID":
		return 130*time.Millisecond + n*37*time.Microsecond
	}
	return 0
}

// ArrayCost is what creating so many apps by one array took.
func ArrayCost(apps int) time.Duration {
	return 1750*time.Millisecond + time.Duration(apps)*550*time.Microsecond
}

// Hear has f told of each request before it is served.
func (s *Server) Hear(f func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, f)
}

// Requests tells how often what was asked, by "GET /v2/apps/ID", since the last
// Forget.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Forget begins the counts anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
}

// SetCosts begins or ends what Options.Costs says.
func (s *Server) SetCosts(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Costs = on
}

// Fill puts the first n of App into the Marathon, and waits for them to run.
func (s *Server) Fill(t testing.TB, n, instances int) {
	t.Helper()
	var apps []*manifests.App
	for i := range n {
		apps = append(apps, App(i, instances))
	}
	body, err := json.Marshal(apps)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPut, "/v2/apps?partialUpdate=false", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	s.Marathon.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("filling the Marathon: %d: %s", w.Code, w.Body)
	}
	s.Holds(n)
	s.Settled()
}

// Settled waits until no deployment is under way.
func (s *Server) Settled() {
	for strings.TrimSpace(s.get("/v2/deployments").Body.String()) != "[]" {
		time.Sleep(5 * time.Millisecond)
	}
}

// Runs waits until the Marathon has an app and no deployment is under way, or
// until ctx ends.
func (s *Server) Runs(ctx context.Context, id string) {
	for s.get("/v2/apps"+id).Code != http.StatusOK && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	s.Settled()
}

// Instances are the counts of all apps, by id, past what requests cost and whoever
// stands between.
func (s *Server) Instances() map[string]int {
	var list struct {
		Apps []struct {
			ID        string `json:"id"`
			Instances int    `json:"instances"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(s.get("/v2/apps").Body.Bytes(), &list); err != nil {
		panic("localtest: the Marathon answers no list of apps: " + err.Error())
	}
	counts := map[string]int{}
	for _, a := range list.Apps {
		counts[a.ID] = a.Instances
	}
	return counts
}

// get asks past what requests cost and what is counted of them.
func (s *Server) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Marathon.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// Holds tells the Server how many apps its Marathon holds now, for their costs.
func (s *Server) Holds(apps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = apps
}

// App is the i-th of many apps that are much like those of a company: in
// hundred groups, with a command, an image, an environment, labels and a
// health check by command. No two have the same definition.
func App(i, instances int) *manifests.App {
	id := fmt.Sprintf("/g%02d/app%05d", i%100, i)
	return &manifests.App{
		ID: id, Cmd: new(fmt.Sprintf("./serve --shard %d", i)), CPUs: new(0.1), Mem: new(64.0), Instances: new(instances),
		Env: map[string]manifests.EnvValue{
			"APP":   {Value: id},
			"STAGE": {Value: "production"},
			"URL":   {Value: fmt.Sprintf("https://app%05d.example.com/", i)},
		},
		Labels:          map[string]string{"team": fmt.Sprintf("team%02d", i%100), "owner": "platform"},
		PortDefinitions: []manifests.PortDefinition{},
	}
}
