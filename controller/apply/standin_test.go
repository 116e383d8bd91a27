package apply_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

// standIn is a Marathon that does nothing but keep definitions, and takes as long
// as a real one did (testdata/conformance/README.md): real requests over real
// HTTP, and a sleep for each. Writes go one after the other, as Marathon's do.
type standIn struct {
	free  bool // of cost
	write sync.Mutex

	mu      sync.Mutex
	apps    map[string]json.RawMessage
	version int
	asked   []string // what was asked, and how many apps a write changed
}

// The table that was measured, by how many apps there are.
var (
	tableApps   = []int{0, 100, 1000, 5000, 10_000}
	tableChange = []time.Duration{122 * time.Millisecond, 133 * time.Millisecond, 228 * time.Millisecond, 342 * time.Millisecond, 494 * time.Millisecond}
	tableSame   = []time.Duration{62 * time.Millisecond, 72 * time.Millisecond, 164 * time.Millisecond, 267 * time.Millisecond, 428 * time.Millisecond}
	tableList   = []time.Duration{75 * time.Millisecond, 78 * time.Millisecond, 104 * time.Millisecond, 315 * time.Millisecond, 300 * time.Millisecond}
	// By how many a write creates, up to half of what there is then.
	tableMany  = []int{1, 100, 900, 4000, 5000}
	tableArray = []time.Duration{133 * time.Millisecond, 1800 * time.Millisecond, 2200 * time.Millisecond, 4900 * time.Millisecond, 4400 * time.Millisecond}
)

// between reads a table, in straight lines between its rows.
func between(at []int, cost []time.Duration, n int) time.Duration {
	i, exact := slices.BinarySearch(at, n)
	switch {
	case exact:
		return cost[i]
	case i == len(at):
		i--
	}
	share := float64(n-at[i-1]) / float64(at[i]-at[i-1])
	return cost[i-1] + time.Duration(share*float64(cost[i]-cost[i-1]))
}

func (s *standIn) costs(d time.Duration) {
	if !s.free {
		time.Sleep(d)
	}
}

func (s *standIn) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch id, one := strings.CutPrefix(r.URL.Path, "/v2/apps/"); {
	case r.Method != http.MethodGet:
		s.put(w, r, strings.TrimPrefix(id, "/"), one, body)
	case one:
		s.mu.Lock()
		app := s.apps["/"+strings.TrimPrefix(id, "/")]
		s.mu.Unlock()
		s.note("one app")
		if app == nil {
			w.WriteHeader(http.StatusNotFound)
			app = json.RawMessage("{}")
		}
		fmt.Fprintf(w, `{"app":{"tasks":[],%s}`, app[1:]) // which a list has not
	case r.URL.Path == "/v2/apps":
		s.list(w)
	case r.URL.Path == "/v2/info":
		_, _ = io.WriteString(w, `{"version":"1.11.26","marathon_config":{"mesos_role":"*","local_port_min":10000,"local_port_max":20000}}`)
	case r.URL.Path == "/v2/groups":
		_, _ = io.WriteString(w, `{"id":"/","groups":[],"apps":[],"pods":[],"dependencies":[]}`)
	case r.URL.Path == "/v2/queue":
		_, _ = io.WriteString(w, `{"queue":[]}`)
	default: // deployments, which have ended, and pods, of which there are none
		_, _ = io.WriteString(w, `[]`)
	}
}

func (s *standIn) list(w http.ResponseWriter) {
	s.mu.Lock()
	all := make([]json.RawMessage, 0, len(s.apps))
	for _, a := range s.apps {
		all = append(all, a)
	}
	s.mu.Unlock()
	s.note("all apps")
	s.costs(between(tableApps, tableList, len(all)))
	_ = json.NewEncoder(w).Encode(map[string]any{"apps": all})
}

// put stores what is new or differs, at the price of it.
func (s *standIn) put(w http.ResponseWriter, r *http.Request, id string, one bool, body []byte) {
	s.write.Lock()
	defer s.write.Unlock()
	defs := []map[string]any{{}}
	target := any(&defs[0])
	if !one && r.Method == http.MethodPut {
		target = &defs
	}
	if err := json.Unmarshal(body, target); err != nil {
		http.Error(w, `{"message":"Invalid JSON"}`, http.StatusBadRequest)
		return
	}
	if one {
		defs[0]["id"] = "/" + id
	}
	s.mu.Lock()
	there, changed := len(s.apps), 0
	version := fmt.Sprintf("2026-01-01T00:00:00.%03dZ", s.version%1000)
	for _, d := range defs {
		d["version"], d["deployments"], d["tasksRunning"], d["tasksStaged"] = version, []any{}, 0, 0
		d["versionInfo"] = map[string]string{"lastConfigChangeAt": version, "lastScalingAt": version}
		if text, err := json.Marshal(d); err == nil && string(s.apps[d["id"].(string)]) != string(text) {
			s.apps[d["id"].(string)] = text
			changed++
		}
	}
	s.version++
	s.mu.Unlock()
	s.note(fmt.Sprintf("write of %d", changed))
	switch {
	case len(defs) > 1:
		s.costs(between(tableMany, tableArray, changed))
	case changed == 0:
		s.costs(between(tableApps, tableSame, there))
	default:
		s.costs(between(tableApps, tableChange, there))
	}
	status := http.StatusOK
	if len(s.apps) > there {
		status = http.StatusCreated
	}
	w.Header().Set("Marathon-Deployment-Id", "d")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"deploymentId":"d","version":%q}`, version)
}

func (s *standIn) writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var writes []string
	for _, a := range s.asked {
		if strings.HasPrefix(a, "write") {
			writes = append(writes, a)
		}
	}
	return writes
}

// pass does what a one-shot apply does: it reads everything, plans, and carries
// the plan out.
func (s *standIn) pass(tb testing.TB, c *marathon.Client, desired []*manifests.App) {
	tb.Helper()
	state, err := c.State(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	in := plan.Input{Cluster: state.Cluster, Policy: plan.Policy{Scope: "/", Prune: plan.PruneOn, Adopt: true},
		Live: plan.Live{Apps: map[string]*manifests.App{}, Groups: state.Groups}, Inventory: map[string]plan.Owned{}}
	for id, a := range state.Apps {
		in.Live.Apps[id] = a.Definition
	}
	for _, a := range desired {
		in.Desired.Items = append(in.Desired.Items, manifests.Item{ID: a.ID, Kind: manifests.KindApp, File: a.ID, App: a})
	}
	for _, o := range apply.New(c, apply.Options{Deadline: time.Minute}).Apply(tb.Context(), plan.Compute(in), apply.Request{Cluster: state.Cluster, Groups: state.Groups}) {
		if o.Result != apply.Applied {
			tb.Fatalf("%+v", o)
		}
	}
}

func idle(n int) []*manifests.App {
	apps := make([]*manifests.App, n)
	for i := range apps {
		apps[i] = app(fmt.Sprintf("/g%d/a%d", i%100, i), "sleep 1000", 0)
	}
	return apps
}

func newStandIn(tb testing.TB, free bool) (*standIn, *marathon.Client) {
	s := &standIn{free: free, apps: map[string]json.RawMessage{}}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	c, err := marathon.New(marathon.Options{URLs: []string{server.URL}, AgentPort: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return s, c
}

// BenchmarkTenThousandNewApps is from nothing to 10,000 apps of 0 instances: all
// that is read, the plan, the arrays and the wait for them. "of-ideal" is how many
// times as long it takes as the two arrays of 5,000 alone.
func BenchmarkTenThousandNewApps(b *testing.B) {
	const n = 10_000
	ideal := 2 * between(tableMany, tableArray, n/2)
	for b.Loop() {
		b.StopTimer()
		s, c := newStandIn(b, false)
		desired := idle(n)
		b.StartTimer()
		s.pass(b, c, desired)
		if w := s.writes(); len(w) != 2 || len(s.apps) != n {
			b.Fatalf("%v, %d apps", w, len(s.apps))
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/ideal.Seconds(), "of-ideal")
}

// BenchmarkOneChangeAmongTenThousand carries out a plan of one change, which a
// controller has at hand. "of-ideal" is how many times as long it takes as the one
// PUT, without the settling time, which is not spent but waited.
func BenchmarkOneChangeAmongTenThousand(b *testing.B) {
	const n = 10_000
	s, c := newStandIn(b, true)
	desired := idle(n)
	s.pass(b, c, desired)
	s.free = false
	a := apply.New(c, apply.Options{Settle: -1})
	cluster := manifests.DefaultCluster()
	for b.Loop() {
		next := manifests.NormaliseApp(app(desired[0].ID, fmt.Sprintf("sleep %d", 2000+s.version), 0), nil, &cluster)
		one := plan.Plan{Changes: []plan.Change{{ID: next.ID, Kind: manifests.KindApp, Action: plan.Update, App: next}}}
		for _, o := range a.Apply(b.Context(), one, apply.Request{Cluster: cluster}) {
			if o.Result != apply.Applied {
				b.Fatalf("%+v", o)
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/between(tableApps, tableChange, n).Seconds(), "of-ideal")
}

// What is asked of Marathon is what costs: as few writes as can be, nothing for
// what is there already, and no more reads of everything than a handful.
func TestWhatIsAskedOfMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s, c := newStandIn(t, true)
	desired := idle(7_000)
	s.pass(t, c, desired)
	if w := s.writes(); !slices.Equal(w, []string{"write of 5000", "write of 2000"}) {
		t.Errorf("from nothing: %v", w)
	}
	lists := 0
	for _, a := range s.asked {
		if a == "all apps" {
			lists++
		}
	}
	if lists > 8 {
		t.Errorf("all apps were read %d times", lists)
	}
	before := len(s.asked)
	desired[17] = app(desired[17].ID, "sleep 2000", 0)
	s.pass(t, c, desired)
	if w := s.writes()[2:]; !slices.Equal(w, []string{"write of 1"}) {
		t.Errorf("one change: %v", w)
	}
	if n := len(s.asked) - before; n > 12 {
		t.Errorf("one change took %d requests: %v", n, s.asked[before:])
	}
	before = len(s.asked)
	s.pass(t, c, desired)
	if asked := s.asked[before:]; !slices.Equal(asked, []string{"all apps"}) {
		t.Errorf("at rest: %v", asked)
	}
}
