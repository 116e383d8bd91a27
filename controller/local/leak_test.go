package local

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leavesNothing fails a test at whose end, after all cleanups registered later,
// there are more goroutines or descriptors than now, or a process whose sandbox
// lies in dir ("": no processes are looked for). No test of this package is
// parallel, so all that is counted is the test's own.
func leavesNothing(t *testing.T, dir string) {
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
// take a moment to go.
func comesDown(t *testing.T, what string, before int, now func() int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); now() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d %s before, %d after\n%s", before, what, now(), stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

// openDescriptors counts those of files, pipes and sockets; the runtime's own
// (epoll, eventfd) come and stay. It is 0 where there is no /proc.
func openDescriptors(t *testing.T) int {
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
