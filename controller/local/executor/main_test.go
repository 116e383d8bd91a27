package executor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// TestMain lets the test binary be a second program: one that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EXECUTOR_TEST_VICTIM"); dir != "" {
		beVictim(dir)
		return
	}
	os.Exit(m.Run())
}

// observed is an executor whose updates are remembered.
type observed struct {
	Executor
	t       testing.TB
	options Options

	mu      sync.Mutex
	updates map[string][]Update
	changed chan struct{} // closed and replaced at each update
}

// open starts an executor on a folder of the test and closes it at its end, when
// nothing of it may be left.
func open(t testing.TB, o Options) *observed {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(reachable(t), "tasks")
	}
	if o.Docker == "" {
		o.Docker = "unix://" + filepath.Join(t.TempDir(), "no-engine.sock")
	}
	o.Log = testLogger(t)
	w := &observed{t: t, options: o, updates: map[string][]Update{}, changed: make(chan struct{})}
	o.Update = w.note
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	var err error
	if w.Executor, err = New(o); err != nil {
		t.Fatal(err)
	}
	owner := w.machine().options.Owner
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if left := (family{mark: owner + "/"}).members(); len(left) > 0 {
			t.Errorf("Close left the processes %v", left)
		}
		if g := w.machine().groups; g.folder != "" {
			if _, err := os.Stat(g.folder); err == nil {
				t.Errorf("Close left the cgroup %s", g.folder)
			}
		}
		settles(t, "goroutines", goroutines, runtime.NumGoroutine)
		settles(t, "descriptors", descriptors, func() int { return openDescriptors(t) })
	})
	return w
}

// settles fails the test if a count does not come down to what it was.
func settles(t testing.TB, what string, before int, now func() int) {
	t.Helper()
	for end := time.Now().Add(testenv.Patience); now() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d %s before, %d after Close\n%s", before, what, now(), stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

// openDescriptors counts those of files, pipes and sockets; the runtime's own
// (epoll, eventfd) come and stay.
func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "anon_inode:") {
			n++
		}
	}
	return n
}

// reachable is a temporary folder that other users can pass through.
func reachable(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func testLogger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(testLog{t}, nil)) }

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("log: %s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func (w *observed) machine() *machine { return w.Executor.(*machine) }

func (w *observed) note(u Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates[u.TaskID] = append(w.updates[u.TaskID], u)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *observed) launch(t Task) {
	w.t.Helper()
	if err := w.Launch(t); err != nil {
		w.t.Fatal(err)
	}
}

// await waits until a task has been in a state and returns its update.
func (w *observed) await(id string, states ...State) Update {
	w.t.Helper()
	late := time.After(testenv.Patience)
	for {
		w.mu.Lock()
		all, changed := slices.Clone(w.updates[id]), w.changed
		w.mu.Unlock()
		for _, u := range all {
			if slices.Contains(states, u.State) {
				return u
			}
		}
		if n := len(all); n > 0 && all[n-1].State.Terminal() {
			w.t.Fatalf("task %s was to be %v and ended: %+v\nstderr: %s", id, states, all[n-1], w.read(id, "stderr"))
		}
		select {
		case <-changed:
		case <-late:
			w.t.Fatalf("task %s is not %v: %+v", id, states, all)
		}
	}
}

func (w *observed) awaitEnd(id string) Update {
	w.t.Helper()
	return w.await(id, Finished, Failed, Killed, Lost)
}

// states are all that a task has been in.
func (w *observed) states(id string) []State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []State
	for _, u := range w.updates[id] {
		all = append(all, u.State)
	}
	return all
}

// read reads a file of a sandbox.
func (w *observed) read(id, name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.Sandbox(id), name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// awaitFile waits until a file of a task's sandbox holds something, and a line of it.
func (w *observed) awaitFile(id, name string) string {
	w.t.Helper()
	var content string
	eventually(w.t, name+" of "+id+" to be written", func() bool {
		data, _ := os.ReadFile(filepath.Join(w.Sandbox(id), name))
		content = string(data)
		return strings.HasSuffix(content, "\n")
	})
	return strings.TrimSpace(content)
}

// eventually waits for a condition of the world that nobody announces.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(testenv.Patience)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func alive(pid int) bool {
	p, err := readProcess(pid)
	return err == nil && p.alive()
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// ways are the two ways in which a task's processes are held together.
func ways(t *testing.T, run func(t *testing.T, o Options)) {
	for name, root := range map[string]string{"cgroup": "", "proc": "none"} {
		t.Run(name, func(t *testing.T) {
			if root == "" {
				if g := findCgroups("", "probe"); g.folder == "" {
					t.Logf("NOT BY CGROUP on this machine: %s", g)
				} else {
					g.close()
				}
			}
			run(t, Options{CgroupRoot: root})
		})
	}
}

// beVictim runs tasks until it is killed.
func beVictim(dir string) {
	running := make(chan struct{}, 10)
	x, err := New(Options{Dir: dir, CgroupRoot: os.Getenv("EXECUTOR_TEST_CGROUP"), Docker: os.Getenv("EXECUTOR_TEST_DOCKER"), Update: func(u Update) {
		if u.State == Running {
			running <- struct{}{}
		}
		if u.State.Terminal() {
			fmt.Fprintln(os.Stderr, u)
			os.Exit(3)
		}
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	tasks := []Task{
		{ID: "plain", Cmd: "echo $$ > pid; trap '' TERM; while :; do sleep 1; done"},
		{ID: "escapee", Cmd: "setsid sh -c 'echo $$ > pid; exec sleep 1000' & sleep 1000"},
	}
	if image := os.Getenv("EXECUTOR_TEST_IMAGE"); image != "" {
		tasks = append(tasks, Task{ID: "contained", Cmd: "trap '' TERM; while :; do sleep 1; done", Container: &Container{Image: image}})
	}
	for _, t := range tasks {
		if err := x.Launch(t); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		<-running
	}
	fmt.Println("running")
	select {}
}

// killVictim starts a victim and kills it when its tasks run.
func killVictim(t *testing.T, dir string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), "EXECUTOR_TEST_VICTIM="+dir), env...)
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("running\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the victim ran no tasks: %v\n%s", err, words.String())
	}
	for _, id := range []string{"plain", "escapee"} {
		eventually(t, id+" to tell its PID", func() bool {
			data, _ := os.ReadFile(victimPID(dir, id))
			return strings.HasSuffix(string(data), "\n")
		})
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func victimPID(dir, id string) string { return filepath.Join(dir, "sandboxes", "_", id, "pid") }
