package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/state"
	"github.com/pacer-gitops/pacer/manifests"
)

// conversation is a recording of what a real Marathon answered.
type conversation struct {
	Name  string         `json:"name"`
	Steps []recordedStep `json:"steps"`
}

type recordedStep struct {
	Request *struct {
		Method string          `json:"method"`
		Path   string          `json:"path"`
		Body   json.RawMessage `json:"body"`
		Raw    *string         `json:"raw"`
	} `json:"request"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
	Note    string            `json:"note"`
	Wait    string            `json:"wait"`
	Stream  string            `json:"stream"`
	Events  []event           `json:"events"`
}

// difference is an answer that is knowingly not Marathon's.
type difference struct {
	Conversation string `json:"conversation"`
	Step         int    `json:"step"`
	Path         string `json:"path"`   // what the first mismatch begins with
	Reason       string `json:"reason"` // for docs/local.md and for whoever asks why
	used         bool
}

func differences(t *testing.T) []*difference {
	var ds []*difference
	readJSON(t, filepath.Join("testdata", "differences.json"), &ds)
	return ds
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = decodeExact(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// decodeExact keeps numbers as they are written: Marathon prints doubles as 1.0.
func decodeExact(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

const conformance = "../../testdata/conformance"

// amongMany has constraints count as met: fifty agents were there.
func amongMany(o *Options) { o.Agent.Unconstrained = true }

// before is what stood in the recorded Marathon when a conversation began.
var before = map[string][]string{
	"groups": {"/x"}, "events": {"/x"}, "misc": {"/x"}, "locks": {"/x"}, "pods": {"/x", "/q/min/a", "/q/full/a", "/crud/a"},
}

func TestConversationsAreReplayed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(conformance, "api", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	known := differences(t)
	for _, file := range files {
		var c conversation
		readJSON(t, file, &c)
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replay(t, c, known) })
		})
	}
	for _, d := range known {
		if !d.used {
			t.Errorf("%s step %d %s: the table says it differs, but it does not", d.Conversation, d.Step, d.Path)
		}
	}
}

func replay(t *testing.T, c conversation, known []*difference) {
	r := newRig(t, amongMany)
	for _, id := range before[c.Name] {
		r.call(201, "PUT", "/v2/apps/"+id, `{"cmd":"sleep 1000","cpus":0.01,"mem":8}`)
		r.settled()
		if id != "/x" {
			r.call(200, "DELETE", "/v2/apps/"+id, "")
			r.settled()
		}
	}
	b := bindings{}
	for n, s := range c.Steps {
		var wrong string
		switch {
		case s.Wait != "":
			r.fake.slow(atOnce[c.Name][n+1])
			r.fake.gate(false)
			r.settled()
			synctest.Wait()
			r.fake.gate(true)
			cleanUp(r, c.Name, n)
		case s.Stream != "":
			r.fake.gate(false)
			wrong = replayStream(r, s)
		default:
			rested := restful(s) && atOnce[c.Name][n] == ""
			r.fake.gate(!rested)
			if rested {
				time.Sleep(20 * time.Second) // health checks that Mesos runs wait 15 s
			}
			synctest.Wait()
			wrong = replayStep(r, s, b)
			r.fake.slow("")
		}
		time.Sleep(10 * time.Millisecond) // the next moment
		if wrong != "" && !knownDifference(known, c.Name, n, wrong) {
			t.Errorf("step %d (%s): %s", n, s.Note, wrong)
		}
	}
}

// unrecorded are the deletions that were made between two steps and not written
// down: later answers do not show the apps.
var unrecorded = map[string]map[int]string{"errors": {19: "/e/x", 27: "/e/y"}}

func cleanUp(r *rig, name string, step int) {
	if id := unrecorded[name][step]; id != "" {
		r.fake.gate(false)
		r.call(200, "DELETE", "/v2/apps/"+id, "")
		r.settled()
	}
}

// restful says whether a step reads what has come to rest, as the recording did
// without saying so; reads of deployments and the queue catch them at work.
func restful(s recordedStep) bool {
	return s.Request.Method == "GET" && !strings.HasPrefix(s.Request.Path, "/v2/deployments") && !strings.HasPrefix(s.Request.Path, "/v2/queue")
}

// atOnce are the steps that were read before all had come to rest, and the app
// that had not: after a forced cancel the deployment ends though its task starts.
var atOnce = map[string]map[int]string{"locks": {14: "/lock/a"}}

func knownDifference(known []*difference, name string, step int, wrong string) bool {
	for _, d := range known {
		if d.Conversation == name && d.Step == step && strings.HasPrefix(wrong, d.Path) {
			d.used = true
			return true
		}
	}
	return false
}

func replayStep(r *rig, s recordedStep, b bindings) string {
	text := string(s.Request.Body)
	if s.Request.Raw != nil {
		text = *s.Request.Raw
	}
	q := httptest.NewRequest(s.Request.Method, strings.ReplaceAll(b.fill(s.Request.Path), " ", "%20"), strings.NewReader(b.fill(text)))
	q.Host = "marathon"
	q.RemoteAddr = "127.0.0.1:4711"
	if text != "" || s.Request.Raw != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	q.Header.Set("Accept", "application/json")
	if s.Note == "plain" {
		q.Header.Set("Accept", "text/plain")
	}
	if s.Note == "wrong content type" {
		q.Header.Set("Content-Type", "text/plain")
	}
	w := httptest.NewRecorder()
	r.m.Handler().ServeHTTP(w, q)
	if w.Code != s.Status {
		return fmt.Sprintf("status %d, want %d: %s", w.Code, s.Status, w.Body)
	}
	for name, want := range s.Headers {
		if wrong := b.match("header "+name, want, w.Header().Get(name)); wrong != "" {
			return wrong
		}
	}
	var got any = w.Body.String()
	if decodeExact(w.Body.Bytes(), &got) != nil && w.Body.Len() == 0 {
		got = nil
	}
	return b.match("", s.Body, got)
}

// bindings are the values that placeholders have got: <time-1> and such.
type bindings map[string]string

var placeholder = regexp.MustCompile(`<(time|uuid|task)-\d+>`)

func (b bindings) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if v, bound := b[p]; bound {
			return v
		}
		return strings.Trim(p, "<>")
	})
}

// ours are the members whose values are this machine's own or chance: only
// their kind is compared.
var ours = map[string]bool{
	"host": true, "ipAddress": true, "ports": true, "slaveId": true, "agentId": true, "agentHostname": true, "addresses": true,
	"allocatedHostPort": true, "averageSeconds": true, "medianSeconds": true,
	"processedOffersCount": true, "unusedOffersCount": true, "declined": true, "processed": true,
	"leader": true, "buildref": true, "hostname": true, "master": true, "mesos_leader_ui_url": true, "zk": true, "http_port": true,
}

// unordered are the lists whose order means nothing.
var unordered = map[string]bool{
	"apps": true, "*": true, "pods": true, "groups": true, "versions": true, "actions": true, "tasks": true, "details": true,
	"affectedApps": true, "affectedPods": true, "currentActions": true, "deployments": true, "instances": true, "": true, "errors": true,
}

// match compares an answer with its recording; it returns the first mismatch.
func (b bindings) match(path string, want, got any) string {
	key := path[strings.LastIndexByte(path, '/')+1:]
	switch w := want.(type) {
	case map[string]any:
		g, isObject := got.(map[string]any)
		if !isObject {
			return fmt.Sprintf("%s: %v, want an object", path, got)
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			v, there := g[k]
			if !there {
				return fmt.Sprintf("%s/%s: missing, want %v", path, k, w[k])
			}
			if wrong := b.match(path+"/"+k, w[k], v); wrong != "" {
				return wrong
			}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[k]; !there {
				return fmt.Sprintf("%s/%s: %v, want none", path, k, g[k])
			}
		}
		return ""
	case []any:
		return b.matchList(path, key, w, got)
	case string:
		return b.matchString(path, key, w, got)
	}
	if ours[key] && fmt.Sprintf("%T", want) == fmt.Sprintf("%T", got) || want == got {
		return ""
	}
	return fmt.Sprintf("%s: %v, want %v", path, got, want)
}

func (b bindings) matchList(path, key string, want []any, got any) string {
	g, isList := got.([]any)
	if !isList || len(g) != len(want) {
		return fmt.Sprintf("%s: %v, want %d members: %v", path, got, len(want), want)
	}
	if ours[key] {
		return ""
	}
	g = slices.Clone(g)
	for n, w := range want {
		first := ""
		found := -1
		for m, v := range g {
			trial := maps.Clone(b)
			wrong := trial.match(path+"/", w, v)
			if wrong == "" {
				found = m
				maps.Copy(b, trial)
				break
			}
			if m == 0 {
				first = wrong
			}
			if !unordered[key] {
				break
			}
		}
		if found < 0 {
			return fmt.Sprintf("%s (member %d)", first, n)
		}
		g = slices.Delete(g, found, found+1)
	}
	return ""
}

func (b bindings) matchString(path, key, want string, got any) string {
	g, isText := got.(string)
	wrong := fmt.Sprintf("%s: %v, want %s", path, got, want)
	if !isText {
		if ours[key] && got == nil {
			return ""
		}
		return wrong
	}
	if ours[key] || g == want {
		return ""
	}
	names := placeholder.FindAllString(want, -1)
	if names == nil {
		return wrong
	}
	pattern := regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(want), `(.+)`) + "$")
	values := pattern.FindStringSubmatch(g)
	if values == nil {
		return wrong
	}
	for n, name := range names {
		v := values[n+1]
		if _, err := time.Parse(time.RFC3339Nano, v); strings.HasPrefix(name, "<time") && err != nil {
			return wrong
		}
		if was, bound := b[name]; bound && was != v {
			return fmt.Sprintf("%s: %s, but %s was %s before", path, v, name, was)
		}
		b[name] = v
	}
	return ""
}

// replayStream plays the life that the event streams were recorded of.
func replayStream(r *rig, s recordedStep) string {
	_, query, _ := strings.Cut(s.Stream, "?")
	if query != "" {
		query = "?" + query
	}
	rec := r.events(query)
	const path = "/v2/apps//ev/a?partialUpdate=false"
	const app = `{"id":"/ev/a","cmd":"sleep 1000","cpus":0.01,"mem":8,"instances":%d%s}`
	r.call(201, "PUT", path, fmt.Sprintf(app, 1, ""))
	r.settled()
	r.call(200, "PUT", path, fmt.Sprintf(app, 2, ""))
	r.settled()
	r.call(200, "PUT", path, fmt.Sprintf(app, 2, `,"env":{"A":"1"}`))
	r.settled()
	r.call(200, "DELETE", "/v2/apps//ev/a", "")
	r.settled()
	synctest.Wait()
	rec.stop()
	got, want := sequences(rec.all()), sequences(s.Events)
	for k, n := range want {
		if got[k] != n {
			return fmt.Sprintf("/events: %d times, want %d:\n%s\ngot: %s", got[k], n, k, strings.Join(slices.Sorted(maps.Keys(got)), "\n---\n"))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("/events: %d kinds of sequence, want %d", len(got), len(want))
	}
	return ""
}

var volatileText = regexp.MustCompile(`<(time|uuid|task)-\d+>(-S\d+)?|\d{4}-\d\d-\d\dT[\d:.]+Z|(ev_a\.instance-)?[0-9a-f]{8}-[0-9a-f-]{27}(-S\d+|\._app\.\d+)?`)

// sequences counts what happened to each thing, in its order, with the names of
// the things left out. Across things the order of events means nothing.
func sequences(es []event) map[string]int {
	byThing := map[string][]string{}
	for _, e := range es {
		if e.Event == "event_stream_detached" || e.Event == "event_stream_attached" {
			continue // of which streams were recorded side by side
		}
		thing := e.Event // api_post_event and group_change_success among themselves
		d := e.Data
		if id, _ := d["instanceId"].(string); id != "" {
			thing = id
		} else if id, _ := d["taskId"].(string); id != "" {
			thing = id
		} else if strings.HasPrefix(e.Event, "deployment") {
			thing = "deployments"
		}
		for k := range ours {
			if _, there := d[k]; there && d[k] != nil {
				d[k] = "ours"
			}
		}
		delete(d, "ipAddresses")
		text, _ := state.Encode(d)
		byThing[thing] = append(byThing[thing], volatileText.ReplaceAllString(string(text), "*"))
	}
	all := map[string]int{}
	for _, s := range byThing {
		all[strings.Join(s, "\n")]++
	}
	return all
}

// transition is one recorded change of one app or pod.
type transition struct {
	Name       string          `json:"name"`
	Before     json.RawMessage `json:"before"`
	After      json.RawMessage `json:"after"`
	LiveBefore map[string]any  `json:"liveBefore"`
	LiveAfter  map[string]any  `json:"liveAfter"`
	Status     int             `json:"status"`
	Error      any             `json:"error"`
	Deployment [][]string      `json:"deployment"`
	Tasks      *fates          `json:"tasks"`
	Instances  *fates          `json:"instances"`
}

type fates struct{ Kept, Gone, New int }

func TestAppTransitions(t *testing.T) {
	transitions(t, "app-transitions.json", "app", func(id string) (string, string) {
		return "/v2/apps/" + id + "?partialUpdate=false", "/v2/apps/" + id
	})
}

func TestPodTransitions(t *testing.T) {
	transitions(t, "pod-transitions.json", "", func(id string) (string, string) {
		return "/v2/pods/" + id, "/v2/pods/" + id
	})
}

func transitions(t *testing.T, file, member string, paths func(string) (put, get string)) {
	var all []transition
	readJSON(t, filepath.Join(conformance, file), &all)
	known := differences(t)
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wrong := transit(t, c, member, paths)
				if wrong != "" && !knownDifference(known, file+" "+c.Name, 0, wrong) {
					t.Error(wrong)
				}
			})
		})
	}
	for _, d := range known {
		if strings.HasPrefix(d.Conversation, file) && !d.used {
			t.Errorf("%s %s: the table says it differs, but it does not", d.Conversation, d.Path)
		}
	}
}

func transit(t *testing.T, c transition, member string, paths func(string) (string, string)) string {
	id, _ := c.LiveBefore["id"].(string)
	put, get := paths(id)
	r := newRig(t, func(o *Options) {
		o.Cluster = manifests.DefaultCluster()
		o.Cluster.DefaultNetworkName = ""
	}, amongMany)
	if w := r.raw("PUT", put, string(c.Before)); w.Code/100 != 2 && member == "app" {
		return fmt.Sprintf("before: %d %s", w.Code, w.Body)
	} else if w.Code == http.StatusNotFound {
		r.call(201, "POST", "/v2/pods", string(c.Before))
	}
	r.settled()
	if wrong := sameDefinition(r, "before", get, member, c.LiveBefore); wrong != "" {
		return wrong
	}
	old := r.fake.running(id)
	r.fake.gate(true)
	w := r.raw("PUT", put, string(c.After))
	if w.Code != c.Status {
		return fmt.Sprintf("status %d, want %d: %s", w.Code, c.Status, w.Body)
	}
	if c.Status != http.StatusOK {
		var got any
		if err := decodeExact(w.Body.Bytes(), &got); err != nil {
			return err.Error()
		}
		return bindings{}.match("error", c.Error, got)
	}
	synctest.Wait()
	if wrong := sameSteps(r, c.Deployment); wrong != "" {
		return wrong
	}
	r.fake.gate(false)
	r.settled()
	if wrong := sameDefinition(r, "after", get, member, c.LiveAfter); wrong != "" {
		return wrong
	}
	return sameFates(c, old, r.fake.running(id))
}

func sameSteps(r *rig, want [][]string) string {
	got := [][]string{}
	ds, _ := r.call(200, "GET", "/v2/deployments", "")[""].([]any)
	for _, d := range ds {
		for _, s := range d.(map[string]any)["steps"].([]any) {
			var actions []string
			for _, a := range s.(map[string]any)["actions"].([]any) {
				actions = append(actions, a.(map[string]any)["action"].(string))
			}
			got = append(got, actions)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) && len(want)+len(got) > 0 {
		return fmt.Sprintf("steps %v, want %v", got, want)
	}
	return ""
}

func sameFates(c transition, old, now []string) string {
	var got fates
	for _, id := range now {
		if slices.Contains(old, id) {
			got.Kept++
		} else {
			got.New++
		}
	}
	got.Gone = len(old) - got.Kept
	want := c.Tasks
	if c.Instances != nil {
		want = c.Instances
		var pod struct {
			Containers []any `json:"containers"`
		}
		if json.Unmarshal(c.After, &pod) == nil { // the fake counts tasks
			n := max(1, len(pod.Containers))
			gone := 0
			if got.Gone > 0 {
				gone = want.Gone
			}
			got = fates{got.Kept / n, gone, got.New / n}
		}
	}
	if want != nil && *want != got {
		return fmt.Sprintf("tasks %+v, want %+v", got, *want)
	}
	return ""
}

var runFields = []string{"version", "versionInfo", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "deployments", "tasks", "lastTaskFailure"}

// sameDefinition compares a live definition with a recorded one. Assigned
// service ports are compared by their order.
func sameDefinition(r *rig, when, get, member string, want map[string]any) string {
	if want == nil {
		return ""
	}
	var got map[string]any
	if err := decodeExact(r.raw("GET", get, "").Body.Bytes(), &got); err != nil {
		return err.Error()
	}
	if member != "" {
		got, _ = got[member].(map[string]any)
	}
	for _, f := range runFields {
		delete(got, f)
	}
	return bindings{}.match(when, ranked(want, map[json.Number]int{}), ranked(got, map[json.Number]int{}))
}

func ranked(v any, seen map[json.Number]int) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if p, isNumber := v[k].(json.Number); isNumber && (k == "port" || k == "servicePort") && len(p) == 5 && p[0] == '1' {
				if _, known := seen[p]; !known {
					seen[p] = len(seen)
				}
				out[k] = seen[p]
				continue
			}
			out[k] = ranked(v[k], seen)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n := range v {
			out[n] = ranked(v[n], seen)
		}
		return out
	}
	return v
}

// TestTheTableOfDifferencesGivesReasons keeps the table honest: an entry without
// a reason is a bug that somebody hid.
func TestTheTableOfDifferencesGivesReasons(t *testing.T) {
	for _, d := range differences(t) {
		if len(d.Reason) < 40 || d.Path == "" || d.Conversation == "" {
			t.Errorf("%s step %d: %q at %q", d.Conversation, d.Step, d.Reason, d.Path)
		}
	}
}
