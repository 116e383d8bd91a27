package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/pacer-gitops/pacer/controller/local/executor/enginetest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

const testImage = "pacer-test/sh:1"

// TestContainers runs all that needs an engine, in one engine.
func TestContainers(t *testing.T) {
	testenv.Long(t)
	engine := enginetest.Start(t)
	enginetest.Image(t, engine, testImage)
	for name, test := range map[string]func(*testing.T, enginetest.Engine){
		"how it ends":           testContainerEnds,
		"surroundings":          testContainerSurroundings,
		"kill":                  testContainerKill,
		"exec":                  testContainerExec,
		"limits and parameters": testContainerLimits,
		"out of memory":         testContainerMemory,
		"pull":                  testContainerPull,
		"ports":                 testContainerPorts,
		"orphans":               testContainerOrphans,
		"removed by others":     testContainerRemoved,
	} {
		t.Run(name, func(t *testing.T) { test(t, engine) })
	}
	list, err := enginetest.Client(t, engine.Address).ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", ownerLabel)})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("containers are left: %v %v", list.Items, err)
	}
}

// inImage is a task in the test's image. Its network is the host's, which every
// engine has.
func inImage(id, cmd string) Task {
	return Task{ID: id, Cmd: cmd, CPUs: 0.1, Mem: 32, KillGrace: testenv.Patience, Container: &Container{Image: testImage, HostNetwork: true}}
}

func testContainerEnds(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	for id, tt := range map[string]struct {
		cmd, message string
		state        State
	}{
		"finished":   {"exit 0", "Command exited with status 0", Finished},
		"failed":     {"echo so >&2; exit 3", "Command exited with status 3", Failed},
		"no-program": {"no-such-program", "Command exited with status 127", Failed},
		"signal":     {"sh -c 'kill -9 $$'; exit $?", "Command terminated with signal Killed", Failed},
	} {
		w.launch(inImage(id, tt.cmd))
		if end := w.awaitEnd(id); end.State != tt.state || end.Message != tt.message {
			t.Errorf("%s: %+v", id, end)
		}
	}
	diff(t, "stderr", "so\n", w.read("failed", "stderr"))
	diff(t, "states", []State{Staging, Starting, Running, Finished}, w.states("finished"))
	for id, tt := range map[string]struct {
		change func(*Task)
		want   string
	}{
		"no-entry":  {func(t *Task) { t.Cmd, t.Args = "", []string{"/no/such"} }, "Failed to start the container: "},
		"no-user":   {func(t *Task) { t.User = "nobody-there" }, "nobody-there"},
		"no-option": {func(t *Task) { t.Container.Parameters = [][2]string{{"gpus", "all"}} }, "Docker parameter 'gpus' is not supported: supported are add-host, "},
		"bad-value": {func(t *Task) { t.Container.Parameters = [][2]string{{"memory", "much"}} }, "Docker parameter 'memory' has a value"},
		"own-label": {func(t *Task) { t.Container.Parameters = [][2]string{{"label", ownerLabel + "=x"}} }, "is Pacer's own"},
		"volume":    {func(t *Task) { t.Volumes = []Volume{{Host: "x", Container: "/x"}} }, "Failed to mount the volume '/x'"},
	} {
		task := inImage(id, "true")
		tt.change(&task)
		w.launch(task)
		if end := w.awaitEnd(id); end.State != Failed || !strings.Contains(end.Message, tt.want) {
			t.Errorf("%s: %+v, want %q", id, end, tt.want)
		}
	}
}

func testContainerSurroundings(t *testing.T, e enginetest.Engine) {
	host := reachable(t)
	url := serve(t, map[string][]byte{"/greeting": []byte("fetched\n")})
	task := inImage("env", `echo $MESOS_TASK_ID $MESOS_SANDBOX $GREETING; cat $MESOS_SANDBOX/greeting; echo kept > /data/kept; echo too > $MESOS_SANDBOX/rel/too; echo x > /ro/x; pwd; id -u`)
	task.Env = map[string]string{"GREETING": "hello there"}
	task.Fetch = []Fetch{{URI: url + "/greeting"}}
	task.Volumes = []Volume{{Host: host, Container: "/data"}, {Host: host, Container: "rel"}, {Host: host, Container: "/ro", ReadOnly: true}}
	task.Container.Parameters = [][2]string{{"workdir", "/data"}, {"user", "65534"}, {"env", "MORE=1"}, {"cap-drop", "all"}, {"hostname", "ignored"}}
	task.Container.HostNetwork, task.Container.Network = false, "none"
	if err := os.Chmod(host, 0o777); err != nil {
		t.Fatal(err)
	}
	w := open(t, Options{Docker: e.Address})
	w.launch(task)
	if end := w.awaitEnd("env"); end.State != Finished {
		t.Errorf("%+v %s", end, w.read("env", "stderr"))
	}
	diff(t, "stdout", "env /mnt/mesos/sandbox hello there\nfetched\n/data\n65534\n", w.read("env", "stdout"))
	if !strings.Contains(w.read("env", "stderr"), "Read-only file system") {
		t.Errorf("a read-only volume is written: %s", w.read("env", "stderr"))
	}
	for _, name := range []string{"kept", "too"} {
		if _, err := os.Stat(filepath.Join(host, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(host, "x")); err == nil {
		t.Error("a read-only volume is written")
	}
}

func testContainerKill(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	w.launch(inImage("polite", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"))
	deaf := inImage("deaf", "trap '' TERM; echo up; while :; do sleep 0.1; done")
	deaf.KillGrace = time.Second
	w.launch(deaf)
	for _, id := range []string{"polite", "deaf"} {
		w.awaitFile(id, "stdout")
		pid := w.await(id, Running).PID
		w.Kill(id)
		end := w.awaitEnd(id)
		want := map[string]string{"polite": "Command exited with status 0", "deaf": "Command terminated with signal Killed"}[id]
		if end.State != Killed || end.Message != want {
			t.Errorf("%+v", end)
		}
		if alive(pid) {
			t.Errorf("%s is alive after its end", id)
		}
	}
	diff(t, "what polite said", "up\nbye\n", w.read("polite", "stdout"))
}

func testContainerExec(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	task := inImage("web", "while :; do sleep 0.1; done")
	task.KillGrace = 0
	task.Env = map[string]string{"PORT0": "31005"}
	w.launch(task)
	w.await("web", Running)
	for command, want := range map[string]int{`test "$PORT0" = 31005`: 0, "exit 7": 7, "no-such-program": 127} {
		if code, err := w.Exec(t.Context(), "web", command); err != nil || code != want {
			t.Errorf("%s: %d, %v; want %d", command, code, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		w.awaitFile("web", "check.up")
	}()
	if _, err := w.Exec(ctx, "web", "echo up > $MESOS_SANDBOX/check.up; sleep 1000"); !errors.Is(err, context.Canceled) {
		t.Errorf("a check that took too long: %v", err)
	}
	// Where the engine's processes can be seen, as those of one on this machine by
	// root, the check is ended; else it ends with its container.
	for _, pid := range (family{mark: markOf(w.machine().options.Owner, "web")}).members() {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), "1000") {
			t.Errorf("the check's process %d is there: %q", pid, line)
		}
	}
}

func testContainerLimits(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	task := inImage("limits", "while :; do sleep 0.1; done")
	task.CPUs, task.Mem, task.CPULimit, task.KillGrace = 0.5, 64, 0.75, 0
	task.Container.Parameters = [][2]string{
		{"label", "team=shop"}, {"add-host", "db:10.0.0.1"}, {"cap-add", "NET_ADMIN"}, {"ulimit", "nofile=512:1024"},
		{"tmpfs", "/scratch:rw"}, {"shm-size", "16m"}, {"volume", "/anonymous"}, {"stop-signal", "SIGKILL"},
	}
	w.launch(task)
	w.await("limits", Running)
	c := enginetest.Client(t, e.Address)
	list, err := c.ContainerList(t.Context(), client.ContainerListOptions{Filters: make(client.Filters).Add("label", "MESOS_TASK_ID=limits")})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list.Items, err)
	}
	got, err := c.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	host, config := got.Container.HostConfig, got.Container.Config
	diff(t, "resources", []int64{512, 750_000_000, 64 << 20, 16 << 20}, []int64{host.CPUShares, host.NanoCPUs, host.Memory, host.ShmSize})
	diff(t, "the rest", []any{"shop", w.machine().options.Owner, "/pacer-limits", []string{"db:10.0.0.1"}, []string{"CAP_NET_ADMIN"}, int64(512)},
		[]any{config.Labels["team"], config.Labels[ownerLabel], got.Container.Name, host.ExtraHosts, host.CapAdd, host.Ulimits[0].Soft})
	w.Kill("limits")
	w.awaitEnd("limits")
	if _, err := c.ContainerInspect(t.Context(), list.Items[0].ID, client.ContainerInspectOptions{}); !isNotFound(err) {
		t.Errorf("the container is left: %v", err)
	}
}

func testContainerMemory(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	w.launch(inImage("greedy", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"))
	if end := w.awaitEnd("greedy"); end.State != Failed || end.Message != "Memory limit exceeded" {
		t.Errorf("%+v", end)
	}
}

func testContainerPull(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	missing := inImage("missing", "true")
	missing.Container.Image = "127.0.0.1:1/none:1"
	w.launch(missing)
	if end := w.awaitEnd("missing"); end.State != Failed || !strings.HasPrefix(end.Message, "Failed to pull image '127.0.0.1:1/none:1': ") || !strings.Contains(end.Message, "refused") {
		t.Errorf("%+v", end)
	}
	malformed := inImage("malformed", "true")
	malformed.Container.Image = "UPPER/case:1"
	w.launch(malformed)
	if end := w.awaitEnd("malformed"); end.State != Failed || !strings.HasPrefix(end.Message, "Failed to pull image 'UPPER/case:1': ") {
		t.Errorf("%+v", end)
	}
	reference := enginetest.Registry(t, "shop/web")
	enginetest.Remove(t, e, reference)
	for _, force := range []bool{false, true} {
		task := inImage(fmt.Sprint("pulled-", force), "echo ran")
		task.Container.Image, task.Container.ForcePull = reference, force
		w.launch(task)
		if end := w.awaitEnd(task.ID); end.State != Finished {
			t.Errorf("%+v", end)
		}
		diff(t, task.ID, "ran\n", w.read(task.ID, "stdout"))
	}
}

func testContainerPorts(t *testing.T, e enginetest.Engine) {
	if !e.Bridge {
		t.Log("NOT TESTED: this engine has no bridge network")
		return
	}
	port := testenv.FreePort(t).Number
	task := Task{ID: "web", Args: []string{"/web", ":80"}, Env: map[string]string{"GREETING": "hi"}, Ports: []Port{{Host: port, Container: 80}}, Container: &Container{Image: testImage}}
	w := open(t, Options{Docker: e.Address})
	w.launch(task)
	running := w.await("web", Running)
	if len(running.IPs) != 1 || strings.HasPrefix(running.IPs[0], "127.") {
		t.Errorf("IPs %v", running.IPs)
	}
	// Connections of our own, which are not counted as the executor's.
	http := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	var env []string
	eventually(t, "the container to answer", func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&env) == nil
	})
	if !slices.Contains(env, "GREETING=hi") {
		t.Errorf("it answers %q", env)
	}
	// The same port again: the engine's words.
	task.ID = "second"
	w.launch(task)
	if end := w.awaitEnd("second"); end.State != Failed || !strings.Contains(end.Message, fmt.Sprint(port)) {
		t.Errorf("%+v", end)
	}
}

func testContainerOrphans(t *testing.T, e enginetest.Engine) {
	o := Options{Dir: filepath.Join(reachable(t), "tasks"), Docker: e.Address}
	killVictim(t, o.Dir, "EXECUTOR_TEST_DOCKER="+e.Address, "EXECUTOR_TEST_IMAGE="+testImage)
	owner, err := os.ReadFile(filepath.Join(o.Dir, "owner"))
	if err != nil {
		t.Fatal(err)
	}
	left := func() []container.Summary {
		list, err := enginetest.Client(t, e.Address).ContainerList(t.Context(), client.ContainerListOptions{
			All: true, Filters: make(client.Filters).Add("label", ownerLabel+"="+strings.TrimSpace(string(owner)))})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	if n := len(left()); n != 1 {
		t.Fatalf("%d orphans", n)
	}
	open(t, o)
	if n := len(left()); n != 0 {
		t.Errorf("%d orphans are left", n)
	}
}

func testContainerRemoved(t *testing.T, e enginetest.Engine) {
	w := open(t, Options{Docker: e.Address})
	w.launch(inImage("taken", "while :; do sleep 0.1; done"))
	w.await("taken", Running)
	c := enginetest.Client(t, e.Address)
	if _, err := c.ContainerRemove(t.Context(), "pacer-taken", client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if end := w.awaitEnd("taken"); end.State != Failed {
		t.Errorf("%+v", end)
	}
}

func TestWithoutAnEngine(t *testing.T) {
	address := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	w := open(t, Options{Docker: address})
	if err := w.Ready(Task{Cmd: "true"}); err != nil {
		t.Errorf("a process needs an engine: %v", err)
	}
	want := "no Docker engine answers at " + address + ": start one (dockerd), the app waits"
	task := inImage("web", "true")
	if err := w.Ready(task); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Ready: %v", err)
	}
	w.launch(task)
	if end := w.awaitEnd("web"); end.State != Failed || !strings.HasPrefix(end.Message, sentence(want)) {
		t.Errorf("%+v", end)
	}
	bad := open(t, Options{Docker: "nonsense"})
	if err := bad.Ready(task); err == nil || !strings.Contains(err.Error(), `address "nonsense"`) {
		t.Errorf("Ready: %v", err)
	}
}

// TestAnEngineIsAskedSeldom: a scheduler asks for each task at each look.
func TestAnEngineIsAskedSeldom(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			_, _ = w.Write([]byte("[]"))
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { server.Close(); <-served }()
	e := newEngine("unix://"+socket, "owner", testLogger(t))
	defer e.close()
	for range 100 {
		if err := e.ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(asked); n != 2 {
		t.Errorf("asked %d times, want a ping and a look for orphans", n)
	}
	e.mu.Lock()
	e.checked = e.checked.Add(-recheck)
	e.mu.Unlock()
	if err := e.ready(t.Context()); err != nil || len(asked) != 3 {
		t.Errorf("asked %d times after a while: %v", len(asked), err)
	}
}

// shortDir is a temporary folder whose name leaves room for a socket's.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
