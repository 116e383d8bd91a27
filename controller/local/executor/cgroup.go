package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroups is the folder in the cgroup v2 hierarchy below which each task has its
// own. It holds a task's processes together, and where the cpu and memory
// controllers were given to us it enforces the task's resources.
type cgroups struct {
	folder  string // empty: none
	enforce bool
	reason  string // why not
}

// cgroup is that of one task. All methods may be called on nil.
type cgroup struct {
	folder  string
	enforce bool
}

// findCgroups looks for the hierarchy and makes our folder in the cgroup that we
// run in, which is the only one that is ours to divide. It never moves ourselves:
// who started us may count on where we are.
func findCgroups(root, owner string) *cgroups {
	switch root {
	case "none":
		return &cgroups{reason: "cgroups are switched off"}
	case "":
		root = "/sys/fs/cgroup"
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			root = "/sys/fs/cgroup/unified" // beside a v1 hierarchy
		}
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		return &cgroups{reason: "this machine has no cgroup v2 hierarchy at " + root}
	}
	own := ownCgroup(root)
	g := &cgroups{folder: filepath.Join(own, "pacer-"+owner)}
	if err := os.Mkdir(g.folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return &cgroups{reason: fmt.Sprintf("the cgroup %s is not delegated to Pacer (%v)", own, errors.Unwrap(err))}
	}
	passedOn := filepath.Join(own, "cgroup.subtree_control")
	if !passesOn(passedOn) {
		_ = writeFile(passedOn, "+cpu +memory") // the kernel lets us only where no process lives beside
	}
	if !passesOn(passedOn) {
		g.reason = fmt.Sprintf("the cgroup v2 %s does not delegate the controllers cpu and memory", own)
		return g
	}
	if err := writeFile(filepath.Join(g.folder, "cgroup.subtree_control"), "+cpu +memory"); err != nil {
		g.reason = fmt.Sprintf("the controllers cpu and memory cannot be switched on in %s (%v)", g.folder, errors.Unwrap(err))
		return g
	}
	g.enforce = true
	return g
}

// passesOn says whether a cgroup gives the controllers that we need to those in it.
func passesOn(subtreeControl string) bool {
	given := readWords(subtreeControl)
	return slices.Contains(given, "cpu") && slices.Contains(given, "memory")
}

// ownCgroup is the folder of the cgroup that we run in (cgroups(7): the line that
// begins with 0::), or the root where that is hidden from us.
func ownCgroup(root string) string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own := filepath.Join(root, path)
			if _, err := os.Stat(own); err == nil {
				return own
			}
		}
	}
	return root
}

// String implements Executor.Enforcement.
func (g *cgroups) String() string {
	if g.enforce {
		return "cpus and mem of processes are enforced by cgroup v2 in " + g.folder
	}
	return "cpus and mem of processes are only accounted: " + g.reason
}

// make makes a task's cgroup and sets its limits; nil where there are none.
func (g *cgroups) make(t Task, limitCPUs bool) (*cgroup, error) {
	if g.folder == "" {
		return nil, nil
	}
	c := &cgroup{folder: filepath.Join(g.folder, t.ID), enforce: g.enforce}
	if err := os.Mkdir(c.folder, 0o755); err != nil {
		return nil, err
	}
	if !g.enforce {
		return c, nil
	}
	for _, set := range limits(t, limitCPUs) {
		if err := writeFile(filepath.Join(c.folder, set[0]), set[1]); err != nil {
			c.remove()
			return nil, err
		}
	}
	return c, nil
}

// limits are the files of a task's cgroup and their contents.
func limits(t Task, limitCPUs bool) [][2]string {
	// cpu.shares as Mesos sets them, 1024 for a CPU and 2 at least, on the scale
	// of cgroup v2: the conversion that runc and systemd use.
	shares := max(2, min(262144, int64(t.CPUs*1024)))
	set := [][2]string{
		{"cpu.weight", strconv.FormatInt(1+((shares-2)*9999)/262142, 10)},
		{"memory.oom.group", "1"}, // a task without some of its processes is of no use
	}
	if cpus := cpuLimit(t, limitCPUs); cpus > 0 {
		const period = 100_000 // µs, the kernel's default; 1 ms is the least quota
		set = append(set, [2]string{"cpu.max", fmt.Sprintf("%d %d", max(1000, int64(cpus*period)), period)})
	}
	if mem := memLimit(t); mem > 0 {
		set = append(set, [2]string{"memory.max", strconv.FormatInt(mem, 10)})
	}
	return set
}

// cpuLimit is a task's upper limit of CPUs; 0: none.
func cpuLimit(t Task, limitCPUs bool) float64 {
	if t.CPULimit == 0 && limitCPUs {
		return t.CPUs
	}
	return max(0, t.CPULimit)
}

// memLimit is a task's upper limit of memory in bytes; 0: none. It is 32 MiB at
// least, as on a Mesos agent.
func memLimit(t Task) int64 {
	mem := t.MemLimit
	if mem == 0 {
		mem = t.Mem
	}
	if mem <= 0 {
		return 0
	}
	return int64(max(mem, 32) * (1 << 20))
}

// left are the cgroups that are there already.
func (g *cgroups) left() []*cgroup {
	if g.folder == "" {
		return nil
	}
	entries, _ := os.ReadDir(g.folder)
	var all []*cgroup
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, &cgroup{folder: filepath.Join(g.folder, e.Name())})
		}
	}
	return all
}

func (g *cgroups) close() {
	if g.folder != "" {
		_ = syscall.Rmdir(g.folder) // fails only if a task's is still there, which was told
	}
}

// enter lets a process start in the cgroup. What it returns is called after.
func (c *cgroup) enter(attr *syscall.SysProcAttr) (func() error, error) {
	if c == nil {
		return func() error { return nil }, nil
	}
	f, err := os.Open(c.folder)
	if err != nil {
		return nil, err
	}
	setCgroup(attr, int(f.Fd()))
	return f.Close, nil
}

// members are the processes in the cgroup and in those that the task made in it.
// The kernel does not list dead ones that nobody waited for.
func (c *cgroup) members() []int {
	var pids []int
	_ = filepath.WalkDir(c.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // it ended meanwhile
		}
		for _, word := range readWords(filepath.Join(path, "cgroup.procs")) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// kill kills all in the cgroup at once; an error where the kernel (before 5.14)
// cannot.
func (c *cgroup) kill() error {
	if c == nil {
		return errors.ErrUnsupported
	}
	return writeFile(filepath.Join(c.folder, "cgroup.kill"), "1")
}

// outOfMemory says whether the kernel killed a process for want of memory.
func (c *cgroup) outOfMemory() bool {
	if c == nil || !c.enforce {
		return false
	}
	words := readWords(filepath.Join(c.folder, "memory.events"))
	i := slices.Index(words, "oom_kill")
	return i >= 0 && i+1 < len(words) && words[i+1] != "0"
}

// remove removes the cgroup, which must be empty of processes.
func (c *cgroup) remove() {
	if c == nil {
		return
	}
	var folders []string
	_ = filepath.WalkDir(c.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	for _, folder := range slices.Backward(folders) {
		_ = syscall.Rmdir(folder)
	}
}

// writeFile writes a file of the kernel's, which has to be there.
func writeFile(name, content string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

func readWords(name string) []string {
	data, _ := os.ReadFile(name)
	return strings.Fields(string(data))
}
