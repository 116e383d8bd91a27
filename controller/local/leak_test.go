package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// realMoments come 5 ms apart in real time, also to a bubble, for the channel is
// of none.
var realMoments = make(chan struct{})

func tellRealMoments() {
	for {
		time.Sleep(5 * time.Millisecond)
		realMoments <- struct{}{}
	}
}

// leakPatience is how many times a count is looked at again, 5 ms apart.
var leakPatience = 2000

// leavesNothing fails a test at whose end, after all cleanups registered later,
// there are more goroutines or descriptors than now, or a process whose sandbox
// lies in dir ("": no processes are looked for). No test of this package is
// parallel, so all that is counted is the test's own.
func leavesNothing(t testing.TB, dir string) {
	t.Helper()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	t.Cleanup(func() {
		comesDown(t, "goroutines", goroutines, runtime.NumGoroutine)
		comesDown(t, "descriptors", descriptors, func() int { return openDescriptors(t) })
		if dir != "" {
			if pids := processesIn(dir); len(pids) > 0 {
				t.Errorf("processes are left: %v", pids)
			}
		}
	})
}

// comesDown waits for a count to be no more than it was: what was closed may
// take a moment to go. It waits in real time, too: in a bubble of synctest that
// does not pass by sleeping, and not all that is counted is in the bubble.
func comesDown(t testing.TB, what string, before int, now func() int) {
	t.Helper()
	for range leakPatience {
		if now() <= before {
			return
		}
		time.Sleep(time.Millisecond)
		<-realMoments
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d %s before, %d after\n%s", before, what, now(), stacks[:runtime.Stack(stacks, true)])
}

// openDescriptors counts those of files, pipes and sockets; the runtime's own
// (epoll, eventfd) come and stay. It is 0 where there is no /proc.
func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if os.IsNotExist(err) {
		return 0
	}
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

// processesIn are the processes whose sandbox lies in dir, by their environment,
// which a dead one has no more.
func processesIn(dir string) []string {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var pids []string
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(env), "\x00MESOS_SANDBOX="+dir) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// watched is a test that another one looks at: its failures and its end.
type watched struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (w *watched) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }
func (w *watched) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *watched) end() {
	for _, f := range slices.Backward(w.cleanups) {
		f()
	}
}

// TestTheLeakCheckFindsLeaks: a check that never fails would say nothing.
func TestTheLeakCheckFindsLeaks(t *testing.T) {
	patience := leakPatience
	leakPatience = 3
	defer func() { leakPatience = patience }()
	dir := t.TempDir()
	for name, leak := range map[string]func(t *testing.T) (mend func()){
		"goroutines": func(*testing.T) func() {
			stop := make(chan struct{})
			go func() { <-stop }()
			return func() { close(stop) }
		},
		"descriptors": func(t *testing.T) func() {
			f, err := os.Create(filepath.Join(dir, "open"))
			if err != nil {
				t.Fatal(err)
			}
			return func() { f.Close() }
		},
		"processes": func(t *testing.T) func() {
			cmd := exec.Command("sleep", "1000")
			cmd.Env = []string{"MESOS_SANDBOX=" + dir + "/x"}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
				_ = cmd.Wait() // it was killed
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			clean := &watched{TB: t}
			leavesNothing(clean, dir)
			clean.end()
			if len(clean.failures) != 0 {
				t.Errorf("without a leak: %q", clean.failures)
			}
			leaky := &watched{TB: t}
			leavesNothing(leaky, dir)
			mend := leak(t)
			leaky.end()
			mend()
			if !slices.ContainsFunc(leaky.failures, func(f string) bool { return strings.Contains(f, name) }) {
				t.Errorf("not found; told were %q", leaky.failures)
			}
		})
	}
}
