package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

func TestHowACommandEndsIsToldInMesosWords(t *testing.T) {
	tests := map[string]struct {
		task    Task
		state   State
		message string
		code    int
	}{
		"finished":   {Task{Cmd: "exit 0"}, Finished, "Command exited with status 0", 0},
		"failed":     {Task{Cmd: "exit 3"}, Failed, "Command exited with status 3", 3},
		"no program": {Task{Cmd: "no-such-program"}, Failed, "Command exited with status 127", 127},
		"killed":     {Task{Cmd: "kill -9 $$"}, Failed, "Command terminated with signal Killed", 137},
		"segfault":   {Task{Cmd: "kill -11 $$"}, Failed, "Command terminated with signal Segmentation fault", 139},
		"args":       {Task{Args: []string{"sh", "-c", "exit 4"}}, Failed, "Command exited with status 4", 4},
		"args, none": {Task{Args: []string{"no-such-program"}}, Failed, "Failed to start 'no-such-program': no such program in its PATH", 0},
		"args, path": {Task{Args: []string{"./nothing"}}, Failed, "Failed to start './nothing': fork/exec ./nothing: no such file or directory", 0},
	}
	w := open(t, Options{})
	for name, tt := range tests {
		tt.task.ID = strings.ReplaceAll(name, " ", "-")
		w.launch(tt.task)
		end := w.awaitEnd(tt.task.ID)
		message := strings.TrimSuffix(end.Message, " (core dumped)")
		if end.State != tt.state || message != tt.message || end.ExitCode != tt.code {
			t.Errorf("%s: %s %q %d, want %s %q %d", name, end.State, end.Message, end.ExitCode, tt.state, tt.message, tt.code)
		}
	}
	diff(t, "the states of a finished task", []State{Staging, Starting, Running, Finished}, w.states("finished"))
}

func TestLaunchRefusesWhatMakesNoSense(t *testing.T) {
	w := open(t, Options{})
	w.launch(Task{ID: "known", Cmd: "exit 0"})
	w.awaitEnd("known")
	for _, task := range []Task{
		{Cmd: "true"},
		{ID: "..", Cmd: "true"},
		{ID: "a/b", Cmd: "true"},
		{ID: strings.Repeat("x", 256), Cmd: "true"},
		{ID: "a"},
		{ID: "a", Cmd: "true", Args: []string{"true"}},
		{ID: "a", Cmd: "true", App: ".."},
		{ID: "a", Container: &Container{}},
		{ID: "known", Cmd: "true"},
	} {
		if err := w.Launch(task); err == nil {
			t.Errorf("%+v was launched", task)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Launch(Task{ID: "late", Cmd: "true"}); err == nil {
		t.Error("a closed executor launches")
	}
}

func TestEnvironmentIsTheTasksAndTheSandboxs(t *testing.T) {
	t.Setenv("LEAKED_FROM_US", "yes")
	w := open(t, Options{})
	w.launch(Task{ID: "env", App: "/shop/cart", Args: []string{"env"}, Env: map[string]string{"PORT0": "31000", "GREETING": "a b\nc", "MESOS_SANDBOX": "/forged"}})
	w.awaitEnd("env")
	sandbox := w.Sandbox("env")
	if filepath.Base(filepath.Dir(sandbox)) != "shop_cart" {
		t.Errorf("the sandbox is %s", sandbox)
	}
	got := strings.Split(strings.TrimSpace(w.read("env", "stdout")), "\n")
	slices.Sort(got)
	want := []string{"GREETING=a b", "c", "HOME=" + sandbox, "MESOS_SANDBOX=" + sandbox, "MESOS_TASK_ID=env",
		"PACER_TASK=" + w.machine().options.Owner + "/env", "PATH=" + os.Getenv("PATH"), "PORT0=31000"}
	slices.Sort(want)
	diff(t, "environment", want, got)
}

func TestOutputIsCaptured(t *testing.T) {
	w := open(t, Options{})
	w.launch(Task{ID: "big", Cmd: "pwd; i=0; while [ $i -lt 20000 ]; do echo 'line number '$i' of the output of a task'; i=$((i+1)); done; echo oops >&2; echo last >&2"})
	w.awaitEnd("big")
	lines := strings.Split(strings.TrimSpace(w.read("big", "stdout")), "\n")
	if len(lines) != 20001 || lines[0] != w.Sandbox("big") || !strings.HasPrefix(lines[20000], "line number 19999 ") {
		t.Errorf("%d lines, first %q, last %q", len(lines), lines[0], lines[len(lines)-1])
	}
	diff(t, "stderr", "oops\nlast\n", w.read("big", "stderr"))
}

func TestKillAsksAndThenForces(t *testing.T) {
	ways(t, func(t *testing.T, o Options) {
		w := open(t, o)
		w.launch(Task{ID: "polite", Cmd: "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", KillGrace: testenv.Patience})
		w.launch(Task{ID: "deaf", Cmd: "trap '' TERM; echo up; while :; do sleep 0.05; done", KillGrace: 200 * time.Millisecond})
		w.launch(Task{ID: "shell", Cmd: "sleep 1000; true", KillGrace: testenv.Patience})
		// The shell is gone at once; its child is given the time that it needs.
		w.launch(Task{ID: "child", Cmd: "sh -c 'trap \"sleep 0.3; echo saved; exit\" TERM; echo up; while :; do sleep 0.05; done'; true", KillGrace: testenv.Patience})
		for _, id := range []string{"polite", "deaf", "child"} {
			w.awaitFile(id, "stdout")
		}
		w.await("shell", Running)
		for _, id := range []string{"polite", "deaf", "shell", "child", "unknown"} {
			w.Kill(id)
		}
		for id, want := range map[string]string{
			"polite": "Command exited with status 0", "deaf": "Command terminated with signal Killed",
			"shell": "Command terminated with signal Terminated", "child": "Command terminated with signal Terminated",
		} {
			if end := w.awaitEnd(id); end.State != Killed || end.Message != want {
				t.Errorf("%s: %s %q, want %q", id, end.State, end.Message, want)
			}
			diff(t, id, []State{Staging, Starting, Running, Killing, Killed}, w.states(id))
			w.Kill(id) // is nothing now
		}
		diff(t, "what polite said", "up\nbye\n", w.read("polite", "stdout"))
		diff(t, "what child said", "up\nsaved\n", w.read("child", "stdout"))
	})
}

// escapes are commands that start something beyond the task's process group,
// writing its PID to the file pid.
var escapes = map[string]string{
	"background":       `sh -c 'echo $$ > pid; exec sleep 1000' &`,
	"own session":      `setsid sh -c 'echo $$ > pid; exec sleep 1000' &`,
	"double fork":      `(setsid sh -c 'sh -c "echo \$\$ > pid; exec sleep 1000" & exit' & exit)`,
	"deaf":             `setsid sh -c 'trap "" TERM; echo $$ > pid; while :; do sleep 1; done' &`,
	"output elsewhere": `setsid sh -c 'echo $$ > pid; exec sleep 1000' </dev/null >/dev/null 2>&1 &`,
	"no environment":   `setsid env -i /bin/sh -c 'echo $$ > pid; exec sleep 1000' &`,
}

func TestNothingOutlivesItsTask(t *testing.T) {
	ways(t, func(t *testing.T, o Options) {
		w := open(t, o)
		for name, escape := range escapes {
			for _, how := range []string{"killed", "ended"} {
				id := strings.ReplaceAll(name, " ", "-") + "-" + how
				then := "while [ ! -s go ]; do sleep 0.02; done"
				w.launch(Task{ID: id, Cmd: escape + "\n" + then, KillGrace: 100 * time.Millisecond})
				pid := atoi(t, w.awaitFile(id, "pid"))
				if !alive(pid) {
					t.Fatalf("%s: its process %d is not there to be ended", id, pid)
				}
				if how == "killed" {
					w.Kill(id)
				} else if err := os.WriteFile(filepath.Join(w.Sandbox(id), "go"), []byte("1"), 0o644); err != nil {
					t.Fatal(err)
				}
				w.awaitEnd(id)
				if alive(pid) {
					t.Errorf("%s: its process %d is alive after its end", id, pid)
				}
			}
		}
	})
}

func TestATaskDoesNotEndWhatIsNotItsOwn(t *testing.T) {
	ways(t, func(t *testing.T, o Options) {
		w := open(t, o)
		w.launch(Task{ID: "one", Cmd: "echo up; sleep 1000"})
		w.launch(Task{ID: "one-more", Cmd: "echo up; sleep 1000"})
		w.awaitFile("one", "stdout")
		other := w.await("one-more", Running)
		// Somebody looks at the output, in the sandbox.
		reader := exec.Command("tail", "-f", "stdout")
		reader.Dir = w.Sandbox("one")
		if err := reader.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reader.Process.Kill(); _ = reader.Wait() }()
		w.Kill("one")
		w.awaitEnd("one")
		if !alive(other.PID) || !alive(reader.Process.Pid) {
			t.Errorf("alive: the other task %v, the reader %v", alive(other.PID), alive(reader.Process.Pid))
		}
	})
}

func TestKillBeforeRunning(t *testing.T) {
	fifo := filepath.Join(reachable(t), "app.txt")
	server := stuckServer(t)
	w := open(t, Options{})
	w.launch(Task{ID: "slow", Cmd: "true", Fetch: []Fetch{{URI: server.url + "/" + filepath.Base(fifo)}}})
	<-server.asked
	w.Kill("slow")
	end := w.awaitEnd("slow")
	if end.State != Killed {
		t.Errorf("%+v", end)
	}
	diff(t, "states", []State{Staging, Killed}, w.states("slow"))
}

func TestExecRunsInTheTasksSurroundings(t *testing.T) {
	ways(t, func(t *testing.T, o Options) {
		w := open(t, o)
		w.launch(Task{ID: "web", Cmd: "sleep 1000", Env: map[string]string{"PORT0": "31005"}})
		w.await("web", Running)
		for command, want := range map[string]int{
			`test "$PORT0" = 31005`: 0, `test "$PWD" = "$MESOS_SANDBOX"`: 0, "exit 7": 7, "no-such-program": 127, "kill -9 $$": 137,
		} {
			if code, err := w.Exec(t.Context(), "web", command); err != nil || code != want {
				t.Errorf("%s: %d, %v; want %d", command, code, err, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			w.awaitFile("web", "check.pid")
		}()
		if _, err := w.Exec(ctx, "web", "sh -c 'echo $$ > check.pid; exec sleep 1000'; true"); !errors.Is(err, context.Canceled) {
			t.Errorf("a check that took too long: %v", err)
		}
		if pid := atoi(t, w.read("web", "check.pid")); alive(pid) {
			t.Errorf("its process %d is alive", pid)
		}
		// A check does not outlive its task, and Exec returns.
		done := make(chan error, 1)
		go func() {
			_, err := w.Exec(context.Background(), "web", "echo $$ > last.pid; sleep 1000; true")
			done <- err
		}()
		pid := atoi(t, w.awaitFile("web", "last.pid"))
		w.Kill("web")
		w.awaitEnd("web")
		<-done
		if alive(pid) {
			t.Error("a check outlived its task")
		}
		if _, err := w.Exec(t.Context(), "web", "true"); err == nil {
			t.Error("a check of an ended task")
		}
	})
}

func TestUser(t *testing.T) {
	w := open(t, Options{})
	w.launch(Task{ID: "missing", Cmd: "true", User: "no-such-user"})
	if end := w.awaitEnd("missing"); end.State != Failed || !strings.HasPrefix(end.Message, "Failed to run as user 'no-such-user': this machine has no such user") {
		t.Errorf("%+v", end)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w.launch(Task{ID: "me", Cmd: "id -un", User: me.Username})
	w.awaitEnd("me")
	diff(t, "who I run as", me.Username+"\n", w.read("me", "stdout"))
	other := "nobody"
	if me.Uid != "0" {
		other = "root"
	}
	volume := filepath.Join(reachable(t), "data")
	w.launch(Task{ID: "other", Cmd: "id -un; id -G; touch mine data/kept; sleep 1000", User: other, Volumes: []Volume{{Host: volume, Container: "data", Persistent: true}}})
	if me.Uid != "0" {
		if end := w.awaitEnd("other"); end.State != Failed || !strings.Contains(end.Message, "not run by root") {
			t.Errorf("%+v", end)
		}
		return
	}
	eventually(t, "the volume to be written", func() bool { _, err := os.Stat(filepath.Join(volume, "kept")); return err == nil })
	if !strings.HasPrefix(w.read("other", "stdout"), "nobody\n") || strings.Contains(" "+strings.TrimSpace(w.read("other", "stdout"))+" ", " 0 ") {
		t.Errorf("it runs as %q", w.read("other", "stdout"))
	}
	w.Kill("other")
	if end := w.awaitEnd("other"); end.State != Killed {
		t.Errorf("%+v", end)
	}
}

func TestVolumesOfAProcess(t *testing.T) {
	host := reachable(t)
	if err := os.WriteFile(filepath.Join(host, "seen"), []byte("by the task\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		volume  Volume
		cmd     string
		message string
	}{
		"relative":   {Volume{Host: host, Container: "deep/data"}, "cat deep/data/seen && touch deep/data/kept", "Command exited with status 0"},
		"same path":  {Volume{Host: host, Container: host}, "cat " + host + "/seen", "Command exited with status 0"},
		"other path": {Volume{Host: host, Container: "/data"}, "true", "Failed to mount the volume '/data': a plain process sees the host's files"},
		"escaping":   {Volume{Host: host, Container: "../x"}, "true", "Failed to mount the volume '../x': its containerPath leads out of the sandbox"},
		"missing":    {Volume{Host: host + "/none", Container: "x"}, "true", "Failed to mount the volume 'x': the host has no such folder"},
		"not given":  {Volume{Host: "here", Container: "x"}, "true", "Failed to mount the volume 'x': its path on the host, 'here', is not absolute"},
	}
	w := open(t, Options{KeepPerApp: 1})
	for name, tt := range tests {
		id := strings.ReplaceAll(name, " ", "-")
		w.launch(Task{ID: id, App: id, Cmd: tt.cmd, Volumes: []Volume{tt.volume}})
		if end := w.awaitEnd(id); !strings.HasPrefix(end.Message, tt.message) {
			t.Errorf("%s: %q, want %q", name, end.Message, tt.message)
		}
	}
	// The volume outlives its task's sandbox.
	w.launch(Task{ID: "next", App: "relative", Cmd: "true"})
	w.awaitEnd("next")
	eventually(t, "the sandbox to be removed", func() bool { return w.Sandbox("relative") == "" })
	if _, err := os.Stat(filepath.Join(host, "kept")); err != nil {
		t.Error("the volume went with its sandbox")
	}
}

func TestSandboxesOfEndedTasksAreCollected(t *testing.T) {
	o := Options{Dir: filepath.Join(reachable(t), "tasks"), KeepPerApp: 2}
	w := open(t, o)
	w.launch(Task{ID: "live", App: "/a", Cmd: "sleep 1000"})
	w.launch(Task{ID: "other", App: "/b", Cmd: "true"})
	w.awaitEnd("other")
	for i := range 4 {
		id := fmt.Sprint("t", i)
		w.launch(Task{ID: id, App: "/a", Cmd: "true"})
		w.awaitEnd(id)
	}
	kept := func() (ids []string) {
		for _, id := range []string{"live", "other", "t0", "t1", "t2", "t3"} {
			if w.Sandbox(id) != "" {
				ids = append(ids, id)
			}
		}
		return ids
	}
	eventually(t, "the last two of /a to be kept", func() bool { return slices.Equal(kept(), []string{"live", "other", "t2", "t3"}) })
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// A folder that was given stays; too old ones go at the next start.
	old := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(o.Dir, "sandboxes", "a", "t3"), old, old); err != nil {
		t.Fatal(err)
	}
	w = open(t, o)
	eventually(t, "the old one to be gone", func() bool {
		return slices.Equal(kept(), []string{"live", "other"}) || slices.Equal(kept(), []string{"live", "other", "t2"})
	})
}

func TestCloseEndsAllAndRemovesATemporaryFolder(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Setenv("TMPDIR", t.TempDir())
		updates := make(chan Update, 100)
		x, err := New(Options{Update: func(u Update) { updates <- u }, KeepSandboxes: keep, CloseGrace: 50 * time.Millisecond, Docker: "unix:///nowhere/docker.sock"})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Launch(Task{ID: "deaf", Cmd: "trap '' TERM; while :; do sleep 0.1; done", KillGrace: time.Hour}); err != nil {
			t.Fatal(err)
		}
		var pid int
		for u := range updates {
			if u.State == Running {
				pid = u.PID
				break
			}
		}
		sandbox := x.Sandbox("deaf")
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if alive(pid) {
			t.Error("Close left a process")
		}
		if _, err := os.Stat(sandbox); (err == nil) != keep {
			t.Errorf("kept %v: %v", keep, err)
		}
	}
}

func TestASecondExecutorOnTheFolderIsRefused(t *testing.T) {
	w := open(t, Options{})
	w.launch(Task{ID: "live", Cmd: "sleep 1000"})
	pid := w.await("live", Running).PID
	if _, err := New(w.options.with(func(Update) {})); err == nil || !strings.Contains(err.Error(), "in use by another running pacer") {
		t.Errorf("a second one: %v", err)
	}
	if !alive(pid) {
		t.Error("the second one took the first's task for an orphan")
	}
}

func (o Options) with(update func(Update)) Options { o.Update = update; return o }

func TestTheNextStartEndsWhatAKilledOneLeft(t *testing.T) {
	testenv.Long(t)
	ways(t, func(t *testing.T, o Options) {
		o.Dir = filepath.Join(reachable(t), "tasks")
		killVictim(t, o.Dir, "EXECUTOR_TEST_CGROUP="+o.CgroupRoot, "EXECUTOR_TEST_DOCKER=unix:///nowhere/docker.sock")
		var pids []int
		for _, id := range []string{"plain", "escapee"} {
			data, err := os.ReadFile(victimPID(o.Dir, id))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, atoi(t, string(data)))
		}
		for _, pid := range pids {
			if !alive(pid) {
				t.Fatalf("%d is no orphan", pid)
			}
		}
		w := open(t, o)
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("%d is still there", pid)
			}
		}
		if w.Sandbox("plain") == "" {
			t.Error("the sandbox of an earlier run is not known")
		}
	})
}

func TestUpdatesOfATaskComeInOrderAndOneAtATime(t *testing.T) {
	w := open(t, Options{})
	const n = 20
	for i := range n {
		w.launch(Task{ID: fmt.Sprint(i), Cmd: "sleep 1000"})
		if i%2 == 0 {
			w.Kill(fmt.Sprint(i)) // at whatever it is
		}
	}
	for i := range n {
		id := fmt.Sprint(i)
		if i%2 != 0 {
			w.await(id, Running)
			w.Kill(id)
		}
		if end := w.awaitEnd(id); end.State != Killed {
			t.Errorf("%s: %+v", id, end)
		}
		order := []State{Staging, Starting, Running, Killing, Killed}
		last := -1
		for _, s := range w.states(id) {
			if at := slices.Index(order, s); at <= last {
				t.Errorf("%s: %v", id, w.states(id))
			} else {
				last = at
			}
		}
	}
}

func TestWording(t *testing.T) {
	for status, want := range map[syscall.WaitStatus]string{
		0: "Command exited with status 0", 1 << 8: "Command exited with status 1",
		15: "Command terminated with signal Terminated", 6 | 0x80: "Command terminated with signal Aborted (core dumped)",
	} {
		if got, _ := wording(status); got != want {
			t.Errorf("%#x: %q, want %q", status, got, want)
		}
	}
}

// BenchmarkStart tells how long 200 tasks take until all of them run, and until
// all of them have ended.
func BenchmarkStart200(b *testing.B) {
	for b.Loop() {
		w := open(b, Options{})
		began := time.Now()
		for i := range 200 {
			w.launch(Task{ID: fmt.Sprint("t", i), App: "/bench", Cmd: "exec sleep 1000", KillGrace: 3 * time.Second})
		}
		for i := range 200 {
			w.await(fmt.Sprint("t", i), Running)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/200-running")
		began = time.Now()
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/200-ended")
	}
}
