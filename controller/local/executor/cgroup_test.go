package executor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeRoot is a folder with the files that the kernel would show. It has no
// folder of the cgroup that the test runs in, so that the root counts as ours.
func fakeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "cgroup")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWhatIsEnforcedIsFound(t *testing.T) {
	tests := map[string]struct {
		root    string
		enforce bool
		want    string
	}{
		"no hierarchy":         {fakeRoot(t, nil), false, "only accounted: this machine has no cgroup v2 hierarchy at "},
		"switched off":         {"none", false, "only accounted: cgroups are switched off"},
		"no controllers":       {fakeRoot(t, map[string]string{"cgroup.controllers": ""}), false, "only accounted: the cgroup v2 "},
		"some controllers":     {fakeRoot(t, map[string]string{"cgroup.controllers": "cpu memory", "cgroup.subtree_control/x": ""}), false, "does not delegate the controllers cpu and memory"},
		"not ours to delegate": {fakeRoot(t, map[string]string{"cgroup.controllers": "cpu memory", "cgroup.subtree_control": "cpu memory"}), false, "cannot be switched on in "},
		"all given": {fakeRoot(t, map[string]string{
			"cgroup.controllers": "cpu memory", "cgroup.subtree_control": "cpu memory pids", "pacer-me/cgroup.subtree_control": "",
		}), true, "enforced by cgroup v2 in "},
	}
	for name, tt := range tests {
		g := findCgroups(tt.root, "me")
		if g.enforce != tt.enforce || !strings.Contains(g.String(), tt.want) {
			t.Errorf("%s: %v %q, want %q", name, g.enforce, g, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	tests := map[string]struct {
		task      Task
		limitCPUs bool
		want      [][2]string
	}{
		"shares only": {Task{CPUs: 1, Mem: 64}, false, [][2]string{{"cpu.weight", "39"}, {"memory.oom.group", "1"}, {"memory.max", "67108864"}}},
		"least":       {Task{CPUs: 0.001, Mem: 1}, false, [][2]string{{"cpu.weight", "1"}, {"memory.oom.group", "1"}, {"memory.max", "33554432"}}},
		"quota":       {Task{CPUs: 0.5, Mem: 32}, true, [][2]string{{"cpu.weight", "20"}, {"memory.oom.group", "1"}, {"cpu.max", "50000 100000"}, {"memory.max", "33554432"}}},
		"own limits":  {Task{CPUs: 1, Mem: 32, CPULimit: 2, MemLimit: 64}, false, [][2]string{{"cpu.weight", "39"}, {"memory.oom.group", "1"}, {"cpu.max", "200000 100000"}, {"memory.max", "67108864"}}},
		"unlimited":   {Task{CPUs: 1, Mem: 32, CPULimit: -1, MemLimit: -1}, true, [][2]string{{"cpu.weight", "39"}, {"memory.oom.group", "1"}}},
	}
	for name, tt := range tests {
		diff(t, name, tt.want, limits(tt.task, tt.limitCPUs))
	}
}

func TestMemoryOverrunIsReadFromTheKernelsCount(t *testing.T) {
	for content, want := range map[string]bool{
		"low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n": true, "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n": false, "": false,
	} {
		c := &cgroup{folder: fakeRoot(t, map[string]string{"memory.events": content}), enforce: true}
		if got := c.outOfMemory(); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
	if (*cgroup)(nil).outOfMemory() {
		t.Error("without a cgroup")
	}
}
