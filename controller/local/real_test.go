package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// serveVariable makes the test binary a small web server: the app of the tests
// that run real processes.
const serveVariable = "PACER_LOCAL_TEST_SERVE"

func TestMain(m *testing.M) {
	if says := os.Getenv(serveVariable); says != "" {
		fmt.Fprintln(os.Stderr, serve(says))
		os.Exit(3)
	}
	if data := os.Getenv(victimVariable); data != "" {
		fmt.Fprintln(os.Stderr, beVictim(data))
		os.Exit(4)
	}
	go tellRealMoments() // until the process ends
	os.Exit(m.Run())
}

// victimVariable makes the test binary a Marathon on that data folder, to be
// killed.
const victimVariable = "PACER_LOCAL_TEST_VICTIM"

func onFolder(data string) Options {
	return Options{Data: data, Executor: func(report func(executor.Update)) (executor.Executor, error) {
		return executor.New(executor.Options{Dir: filepath.Join(data, "tasks"), Update: report})
	}}
}

// escaping starts processes that try to outlive their task, of which each writes
// its number into the file pids of the sandbox.
const escaping = `exec 3>pids
	(setsid sh -c 'trap "" TERM HUP; echo $$ >&3; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &)
	(setsid sh -c 'echo $$ >&3; exec 3>&-; exec env -i "$(command -v sleep)" 1000' &)
	(set -m; sh -c 'echo $$ >&3; exec sleep 1000' & wait) &
	echo $$ >&3; trap '' TERM; while :; do sleep 1; done`

func beVictim(data string) error {
	m, err := New(onFolder(data))
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"id": "/v", "cmd": escaping, "cpus": 0.1, "mem": 16, "instances": 2})
	if err != nil {
		return err
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/v2/apps", bytes.NewReader(body)))
	fmt.Println(w.Code)
	select {} // until it is killed
}

// TestAKilledMarathonLeavesNothingToTheNext: kill -9, and then a start on its
// folder, which ends what was left and runs each app once.
func TestAKilledMarathonLeavesNothingToTheNext(t *testing.T) {
	testenv.Long(t)
	data := t.TempDir()
	leavesNothing(t, data)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self)
	victim.Env = append(os.Environ(), victimVariable+"="+data)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t}
	wrote := func() (pids []int) {
		files, err := filepath.Glob(filepath.Join(data, "tasks", "sandboxes", "v", "*", "pids"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for word := range strings.FieldsSeq(string(text)) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
		}
		return pids
	}
	r.await("four processes of each of two tasks", func() bool { return len(wrote()) == 8 })
	left := wrote()
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed
	for _, pid := range left {
		if !alive(pid) {
			t.Errorf("process %d did not outlive the kill: nothing is tested", pid)
		}
	}
	if r.m, err = New(onFolder(data)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.m.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, pid := range left {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	r.await("the app to run again", func() bool { return r.app("/v")["tasksRunning"] == 2.0 })
	if now := r.pids("/v"); len(now) != 2 || slices.Contains(left, now[0]) || slices.Contains(left, now[1]) {
		t.Errorf("processes %v, before %v", now, left)
	}
	r.call(200, "DELETE", "/v2/apps//v", "")
	r.settled()
}

// serve answers every path on PORT0, and by TLS on PORT1 if there is one; only
// /sick is refused.
func serve(says string) error {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, says)
	})
	if port := os.Getenv("PORT1"); port != "" {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		secure := httptest.NewUnstartedServer(h)
		secure.Listener = l
		secure.StartTLS()
	}
	return http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT0"), h)
}

// realRig is a rig over real processes.
func realRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t}
	dir := t.TempDir()
	leavesNothing(t, dir)
	o := Options{Executor: func(report func(executor.Update)) (executor.Executor, error) {
		return executor.New(executor.Options{Dir: dir, Update: report})
	}}
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// pids are the processes of an app's tasks.
func (r *rig) pids(id string) []int {
	var pids []int
	r.m.scheduler.Do(func() {
		for _, i := range r.m.scheduler.Instances.Of(id) {
			for _, t := range i.Tasks {
				if !t.Over() && t.PID != 0 {
					pids = append(pids, t.PID)
				}
			}
		}
	})
	slices.Sort(pids)
	return pids
}

// alive says whether a process runs: a dead one that nobody waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func server(t testing.TB, says string, instances int, more string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"id":"/web","cmd":"exec %s","cpus":0.1,"mem":64,"instances":%d,"env":{"%s":"%s"},
		"healthChecks":[{"protocol":"HTTP","path":"/","portIndex":0,"gracePeriodSeconds":60,"intervalSeconds":1}]%s}`, self, instances, serveVariable, says, more)
}

func TestARealAppIsRolledOutScaledAndKilled(t *testing.T) {
	r := realRig(t)
	r.call(201, "POST", "/v2/apps", server(t, "one", 1, ""))
	r.settled()
	first := r.pids("/web")
	if len(first) != 1 || !alive(first[0]) {
		t.Fatalf("processes %v", first)
	}
	said := func() string {
		t.Helper()
		task := r.app("/web")["tasks"].([]any)[0].(map[string]any)
		a, err := http.Get(fmt.Sprintf("http://%s:%v/", task["host"], task["ports"].([]any)[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := said(); got != "one" {
		t.Errorf("it says %q", got)
	}
	r.call(200, "PUT", "/v2/apps//web", `{"instances":3}`)
	r.settled()
	if three := r.pids("/web"); len(three) != 3 || !slices.Contains(three, first[0]) {
		t.Errorf("scaling did not keep %v: %v", first, three)
	}
	r.call(200, "PUT", "/v2/apps//web?partialUpdate=false", server(t, "two", 1, ""))
	r.settled()
	if got := said(); got != "two" || alive(first[0]) {
		t.Errorf("after the change it says %q; the first is alive: %v", got, alive(first[0]))
	}
	pid := r.pids("/web")[0]
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("a new process", func() bool { now := r.pids("/web"); return len(now) == 1 && now[0] != pid })
	if f, _ := r.app("/web")["lastTaskFailure"].(map[string]any); f["state"] != "TASK_FAILED" {
		t.Errorf("lastTaskFailure %v", f)
	}
	last := r.pids("/web")
	r.call(200, "DELETE", "/v2/apps//web", "")
	r.settled()
	r.await("the end of the process", func() bool { return !alive(last[0]) })
}

// A task counts as up as soon as it runs, unless it has a health check: only
// then a command that ends at once leaves the old tasks alone, as in Marathon.
func TestABrokenCommandIsExplainedAndReverted(t *testing.T) {
	r := realRig(t)
	r.call(201, "POST", "/v2/apps", server(t, "x", 1, ""))
	r.settled()
	kept := r.pids("/web")
	stuck := r.call(200, "PUT", "/v2/apps//web", `{"cmd":"no-such-command-anywhere"}`)["deploymentId"].(string)
	r.await("the failure", func() bool { return r.app("/web")["lastTaskFailure"] != nil })
	if f := r.app("/web")["lastTaskFailure"].(map[string]any); !strings.Contains(f["message"].(string), "127") {
		t.Errorf("failure %v", f)
	}
	if now := r.pids("/web"); !slices.Contains(now, kept[0]) || !alive(kept[0]) {
		t.Errorf("the old process %v did not stay: %v", kept, now)
	}
	r.call(200, "DELETE", "/v2/deployments/"+stuck, "")
	r.settled()
	if now := r.pids("/web"); len(now) != 1 || !alive(now[0]) {
		t.Errorf("after the rollback: %v", now)
	}
}

func TestASandboxIsReadByHTTPAndACommandChecksHealth(t *testing.T) {
	testenv.Long(t)
	r := realRig(t)
	r.call(201, "POST", "/v2/apps", `{"id":"/s","cmd":"echo $MESOS_TASK_ID; touch well; exec sleep 1000","cpus":0.1,"mem":16,
		"healthChecks":[{"protocol":"COMMAND","command":{"value":"test -f well"},"delaySeconds":0,"intervalSeconds":1}]}`)
	r.settled()
	task := r.app("/s")["tasks"].([]any)[0].(map[string]any)
	id := task["id"].(string)
	out := filepath.Join(r.m.scheduler.Executor.Sandbox(id), "stdout")
	r.await("the output", func() bool {
		w := r.raw("GET", "/files/read?offset=0&length=1000&path="+out, "")
		return w.Code == 200 && strings.Contains(w.Body.String(), id)
	})
	if err := os.Remove(filepath.Join(r.m.scheduler.Executor.Sandbox(id), "well")); err != nil {
		t.Fatal(err)
	}
	r.await("a new task", func() bool {
		ts, _ := r.app("/s")["tasks"].([]any)
		return len(ts) == 1 && ts[0].(map[string]any)["id"] != id && r.app("/s")["tasksHealthy"] == 1.0
	})
}

// TestATaskGetsWhatItAsksFor: its artifact, its volume and its ports, also as
// another user, who must be able to pass through our folders.
func TestATaskGetsWhatItAsksFor(t *testing.T) {
	data, err := os.MkdirTemp("", "local-") // t.TempDir lets nobody else pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	artifact := filepath.Join(data, "artifact.txt")
	if err := os.WriteFile(artifact, []byte("fetched\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Getuid() == 0 {
		user = `"user":"nobody",`
	}
	r := realRig(t, func(o *Options) {
		o.Data, o.Cluster.MesosRole = filepath.Join(data, "new"), "dev"
		o.Executor = func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Dir: filepath.Join(data, "new", "tasks"), Update: report})
		}
	})
	r.call(201, "POST", "/v2/apps", `{"id":"/w","cpus":0.1,"mem":16,`+user+`
		"cmd":"cat artifact.txt > vol/out; id -un > vol/user; echo $PORTS $PORT_ADMIN > vol/ports; exec sleep 1000",
		"fetch":[{"uri":"`+artifact+`"}],"portDefinitions":[{"port":0},{"port":0,"name":"admin"}],
		"container":{"type":"MESOS","volumes":[{"containerPath":"vol","mode":"RW","persistent":{"size":1}}]}}`)
	r.settled()
	task := r.app("/w")["tasks"].([]any)[0].(map[string]any)
	ports := task["ports"].([]any)
	who := "nobody\n"
	if user == "" {
		who = ""
	}
	for file, want := range map[string]string{"out": "fetched\n", "user": who, "ports": fmt.Sprintf("%v,%v %v\n", ports[0], ports[1], ports[1])} {
		r.await(file+" to be written", func() bool {
			found, err := filepath.Glob(filepath.Join(data, "new", "volumes", "*", file))
			if err != nil || len(found) != 1 {
				return false
			}
			text, err := os.ReadFile(found[0])
			return err == nil && (string(text) == want || file == "user" && want == "")
		})
	}
	r.call(200, "DELETE", "/v2/apps//w", "")
	r.settled()
	if left, err := filepath.Glob(filepath.Join(data, "new", "volumes", "*")); err != nil || len(left) != 0 {
		t.Errorf("volumes are left: %v %v", left, err)
	}
}

// TestHealthIsCheckedByEachProtocol starts, for each, a task that is well and one
// that is sick, which is killed when its grace period is over.
func TestHealthIsCheckedByEachProtocol(t *testing.T) {
	r := realRig(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string][2]string{ // well, sick
		"HTTP":        {`"path":"/","portIndex":0`, `"path":"/sick","portIndex":0`},
		"HTTPS":       {`"path":"/","portIndex":1`, `"path":"/sick","portIndex":1`},
		"TCP":         {`"portIndex":1`, `"portIndex":2`}, // where nobody listens
		"MESOS_HTTP":  {`"path":"/","portIndex":0,"delaySeconds":0`, `"path":"/sick","portIndex":0,"delaySeconds":0`},
		"MESOS_HTTPS": {`"path":"/","portIndex":1,"delaySeconds":0`, `"path":"/sick","portIndex":1,"delaySeconds":0`},
		"MESOS_TCP":   {`"portIndex":0,"delaySeconds":0`, `"portIndex":2,"delaySeconds":0`},
		"COMMAND":     {`"command":{"value":"test -e stdout"},"delaySeconds":0`, `"command":{"value":"test -e nothing"},"delaySeconds":0`},
	}
	id := func(protocol string, sick int) string {
		return fmt.Sprintf("/%s-%d", strings.ToLower(strings.ReplaceAll(protocol, "_", "-")), sick)
	}
	for protocol, both := range checks {
		for sick, check := range both {
			grace := 60
			if sick == 1 {
				grace = 1
			}
			r.call(201, "POST", "/v2/apps", fmt.Sprintf(`{"id":"%s","cmd":"exec %s","cpus":0.1,"mem":32,"env":{"%s":"x"},
				"portDefinitions":[{"port":0},{"port":0},{"port":0}],"healthChecks":[{"protocol":"%s",%s,
				"gracePeriodSeconds":%d,"intervalSeconds":1,"timeoutSeconds":1,"maxConsecutiveFailures":1}]}`, id(protocol, sick), self, serveVariable, protocol, check, grace))
		}
	}
	for protocol := range checks {
		r.await(protocol+" to find a task well", func() bool { return r.app(id(protocol, 0))["tasksHealthy"] == 1.0 })
		r.await(protocol+" to end a sick task", func() bool {
			ts, _ := r.app(id(protocol, 1))["tasks"].([]any)
			return len(ts) == 1 && !strings.HasSuffix(ts[0].(map[string]any)["id"].(string), "._app.1")
		})
		if app := r.app(id(protocol, 1)); app["tasksHealthy"] != 0.0 {
			t.Errorf("%s: a sick task counts as healthy: %v", protocol, app)
		}
		if ts := r.app(id(protocol, 0))["tasks"].([]any); !strings.HasSuffix(ts[0].(map[string]any)["id"].(string), "._app.1") {
			t.Errorf("%s: the one that is well was replaced: %v", protocol, ts)
		}
	}
}

func TestManyRealProcesses(t *testing.T) {
	r := realRig(t)
	const n = 40
	at := time.Now()
	r.call(201, "POST", "/v2/apps", server(t, "x", n, ""))
	r.settled()
	t.Logf("%d processes were healthy after %v", n, time.Since(at))
	if app := r.app("/web"); app["tasksHealthy"] != float64(n) {
		t.Errorf("healthy %v", app["tasksHealthy"])
	}
}

// BenchmarkTwoHundredProcesses measures what the local Marathon promises: 200
// processes started and healthy in less than 20 s on two cores.
func BenchmarkTwoHundredProcesses(b *testing.B) {
	const n = 200
	for b.Loop() {
		m, err := New(Options{Executor: func(report func(executor.Update)) (executor.Executor, error) {
			return executor.New(executor.Options{Dir: b.TempDir(), Update: report})
		}})
		if err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/v2/apps", strings.NewReader(server(b, "x", n, ""))))
		healthy := func() (n int) {
			m.scheduler.Do(func() {
				for _, i := range m.scheduler.Instances.Of("/web") {
					if h := i.Health(); h != nil && *h {
						n++
					}
				}
			})
			return n
		}
		for healthy() < n {
			if time.Since(at) > time.Minute {
				b.Fatalf("%d of %d are healthy; %s", healthy(), n, w.Body)
			}
			time.Sleep(10 * time.Millisecond) // between two looks
		}
		b.ReportMetric(time.Since(at).Seconds(), "healthy-s")
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCloseLeavesNothing: with a stream open and tasks running. What is left is
// counted by the rig.
func TestCloseLeavesNothing(t *testing.T) {
	data := t.TempDir()
	r := realRig(t, func(o *Options) { o.Data = data })
	web := httptest.NewServer(r.m.Handler())
	defer web.Close()
	q, err := http.NewRequestWithContext(t.Context(), "GET", web.URL+"/v2/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", "text/event-stream")
	a, err := web.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	r.call(201, "POST", "/v2/apps", server(t, "x", 2, ""))
	r.settled()
	pids := r.pids("/web")
	if err := r.m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}
