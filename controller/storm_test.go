package controller

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
)

// blow is one thing that happens in a storm.
type blow struct {
	Kind string
	On   int // whom it hits, or how hard
	N    int
}

var blows = []string{
	"commit", "commit", "commit quietly", "faults", "faults", "time", "time", "long time",
	"scale", "delete", "edit", "force", "cancel", "roll back", "restart", "kill a task", "create", "foreign deployment",
	"streams drop", "leader changes", "Marathon away", "Marathon back", "controller restarts", "controller killed",
}

// wish is what git says of one id.
type wish struct {
	Cmd       string
	Instances int
	Check     bool
	Ports     int // 0: none, 1: one to be assigned, 2: the default
	On        string
	Salt      int // a label: a difference of no other meaning
}

var (
	stormApps = []string{"/a", "/b", "/c", "/d", "/g/e", "/g/f"}
	stormPods = []string{"/p", "/g/q"}
	stormCmds = []string{cmdRuns, cmdRuns, cmdRuns, cmdRuns, cmdSlow, cmdFails + " 127", cmdSick}
)

const steadyID, strangerID = "/steady", "/stranger"

func drawRevision(t *rapid.T) map[string]wish {
	all := map[string]wish{}
	for i, id := range slices.Concat(stormApps, stormPods) {
		if rapid.IntRange(0, 3).Draw(t, "in git") == 0 {
			continue
		}
		w := wish{
			Cmd:       rapid.SampledFrom(stormCmds).Draw(t, "cmd"),
			Instances: rapid.IntRange(0, 3).Draw(t, "instances"),
			Check:     rapid.Bool().Draw(t, "check"),
			Ports:     rapid.IntRange(0, 2).Draw(t, "ports"),
			Salt:      rapid.IntRange(0, 2).Draw(t, "salt"),
		}
		if on := rapid.IntRange(-4, max(0, min(i, len(stormApps))-1)).Draw(t, "on"); on >= 0 && on < i && i < len(stormApps) {
			w.On = stormApps[on]
		}
		all[id] = w
	}
	return all
}

func isPod(id string) bool { return slices.Contains(stormPods, id) }

// hopeless tells whether it can never be up.
func (w wish) hopeless() bool {
	return w.Instances > 0 && (strings.HasPrefix(w.Cmd, cmdFails) || w.Cmd == cmdSick && w.Check)
}

func (w wish) manifest(id string) string {
	def := map[string]any{"id": id}
	if isPod(id) {
		container := map[string]any{"name": "c", "resources": map[string]any{"cpus": 0.1, "mem": 16}, "exec": map[string]any{"command": map[string]any{"shell": w.Cmd}}}
		if w.Check {
			container["healthCheck"] = map[string]any{"exec": map[string]any{"command": map[string]any{"shell": "check"}}, "gracePeriodSeconds": 300, "intervalSeconds": 20, "timeoutSeconds": 1, "delaySeconds": 1}
		}
		def["containers"] = []any{container}
		def["scaling"] = map[string]any{"kind": "fixed", "instances": w.Instances}
		def["labels"] = map[string]string{"salt": fmt.Sprint(w.Salt)}
	} else {
		def["cmd"], def["instances"], def["cpus"], def["mem"] = w.Cmd, w.Instances, 0.1, 16
		def["labels"] = map[string]string{"salt": fmt.Sprint(w.Salt)}
		def["backoffSeconds"], def["maxLaunchDelaySeconds"] = 1, 60
		switch w.Ports {
		case 0:
			def["portDefinitions"] = []any{}
		case 1:
			def["portDefinitions"] = []any{map[string]any{"port": 0, "name": "web"}}
		}
		if w.Check {
			def["healthChecks"] = []any{map[string]any{"protocol": "COMMAND", "command": map[string]any{"value": "check"}, "gracePeriodSeconds": 300, "intervalSeconds": 20, "timeoutSeconds": 1, "delaySeconds": 1}}
		}
		if w.On != "" {
			def["dependencies"] = []string{w.On}
		}
	}
	text, err := json.Marshal(def)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func tree(wishes map[string]wish) map[string]string {
	files := map[string]string{"steady.json": wish{Cmd: cmdRuns, Instances: 1, Check: true}.manifest(steadyID)}
	for id, w := range wishes {
		files[strings.ReplaceAll(id[1:], "/", "-")+".json"] = w.manifest(id)
	}
	return files
}

// TestStorm: random manifests, interference, faults of the network and of
// Marathon, and deaths of the controller at any of its writes, over the local
// Marathon and all of the controller. What must hold at every moment, and in
// the end, stands at the checks below. More of it: -rapid.checks=2000.
func TestStorm(t *testing.T) {
	fewer(t, 12)
	rapid.Check(t, func(rt *rapid.T) {
		revisions := rapid.SliceOfN(rapid.Custom(drawRevision), 1, 4).Draw(rt, "revisions")
		script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) blow {
			return blow{rapid.SampledFrom(blows).Draw(t, "kind"), rapid.IntRange(0, 9).Draw(t, "on"), rapid.IntRange(0, 99).Draw(t, "n")}
		}), 1, 30).Draw(rt, "script")
		flawed := rapid.SliceOfN(rapid.IntRange(0, 2*int(flaws)), 40, 40).Draw(rt, "faults")
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = weather(t, revisions, script, flawed) })
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// fewer lets a property that takes long be checked less often than others, where
// nobody asks for more.
func fewer(t *testing.T, checks int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f == nil || f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(strconv.Itoa(checks)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(f.DefValue); err != nil {
			t.Error(err)
		}
	})
}

// storm is a site, what git says of it, and one life of a controller after the
// other.
type storm struct {
	t      *testing.T
	site   *site
	repo   *repo
	shelf  *shelf
	git    map[string]wish
	theirs []string        // deployments of somebody else, ever
	sent   map[string]bool // what Pacer wrote, ever
	ours   map[string]bool // deployments of Pacer, ever
	doubts map[string]bool // ids of writes of which Pacer knows no answer

	still  map[string]string        // the tasks that nothing may restart
	plot   func(*http.Request) flaw // not nil: decides instead of flaws
	adjust func(*reconcile.Sync)    // not nil: changes the sync of processes that begin

	mu     sync.Mutex
	wrong  []string
	flaws  []flaw // of the next requests
	writes []string
	log    []string

	life *life
}

// untold lists the entries of the history that do not say what triggered them, or end
// after those above them.
func untold(s status.Status) []string {
	var wrong []string
	for _, y := range s.Syncs {
		for i, e := range y.History {
			if e.Asked.By == "" {
				wrong = append(wrong, fmt.Sprintf("entry %d of the history does not say what triggered it: %+v", i, e))
			}
			if i > 0 && e.Ended.After(y.History[i-1].Ended) || e.Began.After(e.Ended) {
				wrong = append(wrong, fmt.Sprintf("entry %d of the history has times out of order: %s to %s", i, e.Began, e.Ended))
			}
		}
	}
	return wrong
}

// life is one process.
type life struct {
	*Controller
	line     *line
	client   *marathon.Client
	wires    *http.Transport
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

// newStorm returns a storm with what stands still in it, and a controller at rest.
func newStorm(t *testing.T) *storm {
	s := &storm{t: t, repo: &repo{changed: make(chan struct{})}, shelf: &shelf{saved: map[string][]byte{}}, sent: map[string]bool{}, ours: map[string]bool{}, doubts: map[string]bool{}}
	var err error
	if s.site, err = newSite(); err != nil {
		t.Fatal(err)
	}
	if code, text := s.site.ask("POST", "/v2/apps", `{"id":"`+strangerID+`","cmd":"run 1","cpus":0.1,"mem":16,"instances":2}`); code != http.StatusCreated {
		t.Fatal(code, text)
	}
	s.repo.commit(tree(nil))
	s.begin()
	after(30 * time.Second)
	s.still = s.stillTasks()
	return s
}

// close ends the storm and tells what went wrong in it, with all that happened.
func (s *storm) close() []string {
	if now := s.stillTasks(); len(s.still) != 3 || !maps.Equal(s.still, now) {
		s.blame("what nobody changed was restarted: %v, was %v", now, s.still)
	}
	s.end()
	for _, wrong := range untold(s.life.Status()) {
		s.blame("%s", wrong)
	}
	if err := s.site.Close(); err != nil {
		s.blame("Marathon: %v", err)
	}
	if len(s.wrong) > 0 {
		return append(s.wrong, s.log...)
	}
	return nil
}

func weather(t *testing.T, revisions []map[string]wish, script []blow, flawed []int) []string {
	s := newStorm(t)
	s.suffer(blow{Kind: "commit"}, revisions, flawed)
	after(30 * time.Second)
	for _, b := range script {
		s.say("%s %d %d", b.Kind, b.On, b.N)
		s.suffer(b, revisions, flawed)
		synctest.Wait()
	}
	s.calm()
	s.rests("as git is")
	for id, w := range s.git { // whatever was wrong with it is mended
		w.Cmd, w.Salt = cmdRuns, w.Salt+10
		s.git[id] = w
	}
	s.repo.commit(tree(s.git))
	s.rests("as git is mended")
	return s.close()
}

// stillTasks are the tasks that nothing in a storm may restart.
func (s *storm) stillTasks() map[string]string {
	still := s.site.machine.running(steadyID)
	maps.Copy(still, s.site.machine.running(strangerID))
	return still
}

func (s *storm) blame(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	s.log = append(s.log, fmt.Sprintf("%s WRONG "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...))
}

func (s *storm) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf("%s "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...))
}

// sayer puts what the controller logs among what happens.
type sayer struct{ *storm }

func (y sayer) Write(line []byte) (int, error) {
	y.say("  %s", strings.TrimSpace(string(line)))
	return len(line), nil
}

const stormDeadline = 3 * time.Minute

// begin starts a process.
func (s *storm) begin() {
	l := &life{line: newLine(s.site), done: make(chan error, 1), registry: prometheus.NewRegistry()}
	dead := make(chan struct{})
	var once sync.Once
	l.line.spoil, l.line.written, l.line.doubted = s.spoil, s.written, s.doubt
	l.line.died = func() {
		once.Do(func() {
			s.say("the controller dies")
			l.line.setDown(true)
			close(dead)
		})
	}
	var err error
	if l.client, l.wires, err = l.line.client(); err != nil {
		s.t.Fatal(err)
	}
	isDead := func() bool {
		select {
		case <-dead:
			return true
		default:
			return false
		}
	}
	log := slog.New(slog.NewTextHandler(sayer{s}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	sync := reconcile.Sync{Name: "all", Source: "git", Deadline: stormDeadline, Policy: plan.Policy{Scope: "/", Prune: plan.PruneOn, Adopt: true}}
	if s.adjust != nil {
		s.adjust(&sync)
	}
	l.Controller, err = New(Options{
		Log:      log,
		Sources:  map[string]schedule.Source{"git": {Source: s.repo, Interval: testInterval}},
		Syncs:    []reconcile.Sync{sync},
		Clusters: map[string]Cluster{"": {Marathon: l.client, Applier: apply.New(l.client, apply.Options{MaxInFlight: 3, Log: log}), Events: eventsOf(l.client)}}, Store: mortal{s.shelf, isDead}, Resync: testResync,
		Metrics: l.registry,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.done <- l.Run(ctx) }()
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	s.life = l
}

// app is what the process says of an app.
func (l *life) app(id string) status.App {
	for _, a := range l.Status().Syncs[0].Apps {
		if a.ID == id {
			return a
		}
	}
	return status.App{}
}

// end stops the process, in good order if it lives.
func (s *storm) end() {
	s.life.cancel()
	if err := <-s.life.done; err != nil {
		s.blame("Run: %v", err)
	}
	s.life.line.cut()
	s.life.client.Close()
	s.life.wires.CloseIdleConnections()
	s.life.line.calls.Wait()
}

// alive starts a new process if the last one was killed.
func (s *storm) alive() {
	if s.life.line.isDown() {
		s.again()
	}
}

func (s *storm) again() {
	s.end()
	s.begin()
}

func (s *storm) spoil(r *http.Request) flaw {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plot != nil {
		return s.plot(r)
	}
	if len(s.flaws) == 0 {
		return sound
	}
	f := s.flaws[0]
	s.flaws = s.flaws[1:]
	if r.Method == http.MethodGet && (f == refused || f == tooMany) {
		f = sound
	}
	if f != sound {
		s.log = append(s.log, fmt.Sprintf("%s flaw %d of %s %s", time.Now().Format("15:04:05.000"), f, r.Method, r.URL.Path))
	}
	return f
}

// written watches over each write of Pacer's.
func (s *storm) written(r *http.Request, body []byte) func(int) {
	ids := idsOf(r, body)
	before := map[string]map[string]any{}
	running, wipe := s.site.deployments(), r.URL.Query().Get("wipe") == "true"
	for _, id := range ids {
		before[id] = s.site.app(id)
		if wipe {
			s.mayWipe(id, body)
		} else if r.Method == http.MethodDelete {
			s.mayDelete(id, r.URL.Path)
		}
		if wipe || r.URL.Query().Get("force") == "true" {
			s.mayForce(id, running)
		}
	}
	return func(status int) {
		s.mu.Lock()
		for _, id := range ids {
			s.sent[id] = s.sent[id] || !wipe
		}
		s.writes = append(s.writes, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		s.say("%s %s %v → %d", r.Method, r.URL.RequestURI(), ids, status)
		for _, id := range ids {
			if status < 300 {
				s.idle(r, id, before[id])
			}
		}
		for _, d := range s.site.deployments() {
			if slices.ContainsFunc(running, func(b marathon.Deployment) bool { return b.ID == d.ID }) {
				continue
			}
			for _, id := range ids {
				if status < 300 && slices.Contains(d.Affected(), id) {
					s.ours[d.ID] = true
					s.needless(r, id, before[id], d)
					s.outOfTurn(id, before[id])
				}
			}
		}
	}
}

// idle blames a write of what is as it is already.
func (s *storm) idle(r *http.Request, id string, before map[string]any) {
	now := s.site.app(id)
	if r.Method == http.MethodPut && before != nil && now != nil && before["version"] == now["version"] {
		s.blame("%s %s changes nothing in %s", r.Method, r.URL.RequestURI(), id)
	}
}

// doubt notes of what Pacer does not know whether its write was taken. If it then
// finds what it sent, it takes it for its own, though somebody else may have put
// the very same there meanwhile.
func (s *storm) doubt(r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range idsOf(r, body) {
		s.doubts[id] = true
	}
}

// mayForce blames a forced write over what somebody else began.
func (s *storm) mayForce(id string, running []marathon.Deployment) {
	s.mu.Lock()
	doubt := s.doubts[id]
	s.mu.Unlock()
	for _, d := range running {
		if slices.Contains(d.Affected(), id) && !s.ours[d.ID] && !doubt {
			s.blame("%s is forced over deployment %s, which somebody else began", id, d.ID)
		}
	}
}

// mayWipe blames the end of a task that runs well.
func (s *storm) mayWipe(id string, body []byte) {
	var pod struct {
		Instances []struct{ ID, Status string }
	}
	_, text := s.site.ask("GET", "/v2/pods/"+id+"::status", "")
	_ = json.Unmarshal([]byte(text), &pod) // an app has none
	for _, i := range pod.Instances {
		if i.Status == "STABLE" && strings.Contains(string(body), `"`+i.ID+`"`) {
			s.blame("%s of %s is ended though it runs well", i.ID, id)
		}
	}
	app := s.site.app(id)
	checks, _ := app["healthChecks"].([]any)
	tasks, _ := app["tasks"].([]any)
	for _, v := range tasks {
		t := v.(map[string]any)
		results, _ := t["healthCheckResults"].([]any)
		well := t["state"] == "TASK_RUNNING" && len(results) >= len(checks)
		for _, h := range results {
			well = well && h.(map[string]any)["alive"] == true
		}
		if well && strings.Contains(string(body), `"`+t["id"].(string)+`"`) {
			s.blame("%s of %s is ended though it runs well", t["id"], id)
		}
	}
}

// outOfTurn blames a change of what depends on something that cannot be up.
func (s *storm) outOfTurn(id string, before map[string]any) {
	s.repo.mu.Lock()
	defer s.repo.mu.Unlock()
	now := s.site.app(id)
	on, _ := now["dependencies"].([]any)
	if now == nil || before != nil && fmt.Sprint(before["cmd"], before["labels"]) == fmt.Sprint(now["cmd"], now["labels"]) {
		return
	}
	for _, file := range s.repo.read {
		var def struct {
			ID, Cmd      string
			Instances    int
			HealthChecks []any
		}
		if json.Unmarshal(file.Data, &def) != nil || !slices.Contains(on, any(def.ID)) {
			continue
		}
		if w := (wish{Cmd: def.Cmd, Instances: def.Instances, Check: len(def.HealthChecks) > 0}); w.hopeless() {
			s.blame("%s is changed though it depends on %s, which cannot be up: %s", id, def.ID, def.Cmd)
		}
	}
}

// needless blames a write that restarts what was as it should be.
func (s *storm) needless(r *http.Request, id string, before map[string]any, d marathon.Deployment) {
	restarts := slices.ContainsFunc(d.CurrentActions, func(a marathon.Action) bool { return a.ID() == id && strings.HasPrefix(a.Action, "Restart") })
	if !restarts || before == nil || r.Method != http.MethodPut {
		return
	}
	now := s.site.app(id)
	if now == nil {
		return
	}
	for _, field := range []string{"cmd", "labels", "healthChecks", "dependencies", "portDefinitions"} {
		if fmt.Sprint(before[field]) != fmt.Sprint(now[field]) {
			return
		}
	}
	s.blame("%s %s restarts %s though nothing in it changed", r.Method, r.URL.RequestURI(), id)
}

// mayDelete blames a delete of what is not Pacer's or what git has.
func (s *storm) mayDelete(id, path string) {
	s.repo.mu.Lock()
	defer s.repo.mu.Unlock()
	for name, file := range s.repo.read {
		if strings.Contains(string(file.Data), `"id":"`+id+`"`) {
			s.blame("%s is deleted though %s has it", id, name)
		}
	}
	s.mu.Lock()
	ours := s.sent[id] || strings.HasPrefix(path, "/v2/groups")
	s.mu.Unlock()
	if !ours {
		s.blame("%s is deleted though Pacer never sent it", id)
	}
}

// idsOf lists what a write is about.
func idsOf(r *http.Request, body []byte) []string {
	for _, prefix := range []string{"/v2/apps/", "/v2/pods/", "/v2/groups/"} {
		if id, found := strings.CutPrefix(r.URL.Path, prefix); found {
			return []string{"/" + strings.Trim(strings.TrimSuffix(strings.TrimSuffix(id, "::instances"), "/restart"), "/")}
		}
	}
	if wiped := (struct{ IDs []string }{}); r.URL.Path == "/v2/tasks/delete" && json.Unmarshal(body, &wiped) == nil && len(wiped.IDs) > 0 {
		name, _, _ := strings.Cut(wiped.IDs[0], ".instance-")
		return []string{"/" + strings.ReplaceAll(name, "_", "/")}
	}
	type named struct{ ID string }
	var one named
	var many []named
	if json.Unmarshal(body, &one) == nil {
		many = []named{one}
	} else if json.Unmarshal(body, &many) != nil {
		return nil
	}
	var ids []string
	for _, n := range many {
		ids = append(ids, n.ID)
	}
	return ids
}

func (s *storm) suffer(b blow, revisions []map[string]wish, flawed []int) {
	id := slices.Concat(stormApps, stormPods)[b.On%(len(stormApps)+len(stormPods))]
	app := s.site.app(id)
	path := "/v2/apps/" + id
	switch b.Kind {
	case "commit", "commit quietly":
		s.git = maps.Clone(revisions[b.N%len(revisions)])
		s.repo.commit(tree(s.git))
		if b.Kind == "commit" {
			select {
			case s.repo.changed <- struct{}{}:
			case <-time.After(time.Second):
			}
		}
	case "faults":
		s.mu.Lock()
		for i := range 1 + b.On {
			f := flaw(flawed[(b.N+i)%len(flawed)])
			if f >= flaws {
				f = sound
			}
			s.flaws = append(s.flaws, f)
		}
		s.mu.Unlock()
	case "time":
		after(time.Duration(b.N) * 100 * time.Millisecond)
	case "long time":
		after(time.Duration(b.N) * 3 * time.Second)
	case "streams drop":
		s.site.ask("POST", "/local/failures/streams", "")
	case "leader changes": // health-gated deployments vanish as if done
		s.alive()
		s.life.line.setDown(true)
		s.site.ask("POST", "/local/failures/streams", "")
		for _, d := range s.site.deployments() {
			s.site.ask("DELETE", "/v2/deployments/"+d.ID+"?force=true", "")
		}
		after(time.Duration(b.On) * time.Second)
		s.life.line.setDown(false)
	case "Marathon away":
		s.life.line.setDown(true)
		after(time.Duration(b.N) * time.Second)
		s.life.line.setDown(false)
	case "controller restarts":
		s.again()
	case "controller killed":
		s.life.line.died()
		after(time.Duration(b.On) * time.Second)
		s.again()
	case "foreign deployment":
		s.hand("POST", "/local/failures/lock", `{"id":"`+id+`"}`)
		time.AfterFunc(time.Duration(b.N)*time.Second, func() { s.site.ask("DELETE", "/local/failures/lock", "") })
	case "cancel", "roll back":
		all := s.site.deployments()
		if len(all) > 0 {
			s.hand("DELETE", fmt.Sprintf("/v2/deployments/%s?force=%v", all[b.On%len(all)].ID, b.Kind == "cancel"), "")
		}
	case "create":
		if isPod(id) {
			return
		}
		s.hand("POST", "/v2/apps", `{"id":"`+id+`","cmd":"run theirs","cpus":0.1,"mem":16,"instances":1}`)
	case "delete":
		if isPod(id) {
			path = "/v2/pods/" + id
		}
		s.hand("DELETE", path+"?force="+fmt.Sprint(b.N%2 == 0), "")
	}
	if app == nil {
		return
	}
	switch b.Kind {
	case "scale":
		s.hand("PUT", path, fmt.Sprintf(`{"instances":%d}`, b.N%4))
	case "edit":
		s.hand("PUT", path, `{"cmd":"run theirs"}`)
	case "force":
		s.hand("PUT", path+"?force=true", `{"labels":{"theirs":"yes"}}`)
	case "restart":
		s.hand("POST", path+"/restart?force="+fmt.Sprint(b.N%2 == 0), "")
	case "kill a task":
		s.hand("DELETE", path+"/tasks", "")
	}
}

// hand is what somebody else does.
func (s *storm) hand(method, path, body string) {
	before := s.site.deployments()
	code, _ := s.site.ask(method, path, body)
	s.say("somebody: %s %s %s → %d", method, path, body, code)
	for _, d := range s.site.deployments() {
		if !slices.ContainsFunc(before, func(b marathon.Deployment) bool { return b.ID == d.ID }) {
			s.theirs = append(s.theirs, d.ID)
		}
	}
}

// calm ends the storm: nothing goes wrong any more, and nobody interferes.
func (s *storm) calm() {
	s.mu.Lock()
	s.flaws = nil
	s.mu.Unlock()
	after(100 * time.Second)      // what somebody began is over
	for _, id := range s.theirs { // who began something that hangs has ended it
		s.site.ask("DELETE", "/v2/deployments/"+id+"?force=true", "")
	}
	s.life.line.setDown(false)
	s.again()
	s.say("calm")
}

// rests waits until everything is as it should be, and checks that it stays so
// with nothing written.
func (s *storm) rests(when string) {
	const most = time.Hour
	began := time.Now()
	var wrong []string
	for good := 0; good < 6 && time.Since(began) < most; good++ { // for a resync or two, that is
		after(20 * time.Second)
		if wrong = s.amiss(); len(wrong) > 0 {
			good = -1
		}
	}
	if len(wrong) > 0 {
		s.blame("%s, after %s it is not at rest: %s", when, most, strings.Join(wrong, "; "))
		return
	}
	s.mu.Lock()
	writes := len(s.writes)
	s.mu.Unlock()
	after(6 * time.Minute) // longer than the longest back-off
	s.mu.Lock()
	more := slices.Clone(s.writes[writes:])
	s.mu.Unlock()
	if len(more) > 0 {
		s.blame("%s, at rest it wrote: %v", when, more)
	}
	if wrong := s.amiss(); len(wrong) > 0 {
		s.blame("%s, it did not stay at rest: %s", when, strings.Join(wrong, "; "))
	}
}

// amiss tells what is not as git wants it. What cannot come up must be told as
// failed with the cause, and what depends on that is held back.
func (s *storm) amiss() []string {
	var wrong []string
	sync := s.life.Status().Syncs[0]
	if head := fmt.Sprintf("commit-%d", s.repo.n); sync.Running || sync.PlannedRevision != head {
		wrong = append(wrong, "a pass is under way, or due for "+head)
	}
	states := map[string]status.App{}
	for _, a := range sync.Apps {
		states[a.ID] = a
	}
	kept := func(id string) bool { // what is new may take its place, and does not come up
		return states[id].Condition == status.Blocked && strings.Contains(states[id].Reason, "may replace it") && slices.ContainsFunc(sortedIDs(s.git), s.hopeless)
	}
	for _, id := range sortedIDs(s.git) {
		w, state := s.git[id], states[id]
		switch {
		case s.hopeless(id):
			wrong = append(wrong, s.badly(id, w, state)...)
			continue
		case state.State != status.Synced || state.Condition != "" || state.Health != status.HealthHealthy && state.Health != status.HealthSuspended:
			wrong = append(wrong, fmt.Sprintf("%s is %s, %s, %s: %s", id, state.State, state.Health, state.Condition, state.Reason))
		}
		running := s.site.machine.running(id)
		for _, cmd := range running {
			if cmd != w.Cmd {
				wrong = append(wrong, fmt.Sprintf("%s runs %q, want %q", id, cmd, w.Cmd))
			}
		}
		if len(running) != w.Instances {
			wrong = append(wrong, fmt.Sprintf("%s has %d tasks, want %d", id, len(running), w.Instances))
		}
	}
	for _, id := range slices.Concat(stormApps, stormPods) {
		if _, wanted := s.git[id]; !wanted && !kept(id) && states[id].ID != "" && states[id].Health != status.HealthMissing {
			wrong = append(wrong, fmt.Sprintf("%s is gone from git and still there: %+v", id, states[id]))
		}
	}
	for _, d := range s.site.deployments() {
		if !slices.ContainsFunc(d.Affected(), func(id string) bool { return s.hopeless(id) || kept(id) }) {
			wrong = append(wrong, fmt.Sprintf("deployment %s of %v is under way", d.ID, d.Affected()))
		}
	}
	return wrong
}

// hopeless tells whether an id cannot be up, or depends on one that cannot.
func (s *storm) hopeless(id string) bool {
	w, wanted := s.git[id]
	return wanted && (w.hopeless() || w.On != "" && s.hopeless(w.On))
}

// badly tells what is wrong with the status of what cannot come up.
func (s *storm) badly(id string, w wish, state status.App) []string {
	if !w.hopeless() {
		return nil
	}
	words := "exit code 127: the command is not found"
	if w.Cmd == cmdSick {
		words = "of " // so many run
	}
	theirs := state.State == status.Synced && state.Condition == "" && state.Health == status.HealthDegraded // somebody else put git's definition there
	if state.Condition == status.Blocked && w.On != "" && s.hopeless(w.On) {
		return nil
	}
	if !theirs && (state.Condition != status.Failed || !strings.Contains(state.Reason, words)) {
		return []string{fmt.Sprintf("%s cannot come up, and is told as %s, %s: %s", id, state.State, state.Health, state.Reason)}
	}
	return nil
}
