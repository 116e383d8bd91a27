package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// markVariable is in the environment of all that we start: owner/task ID.
const markVariable = "PACER_TASK"

func markOf(owner, taskID string) string { return owner + "/" + taskID }

// family is a task's processes.
type family struct {
	group   *cgroup // holds them all; nil: they are looked for in /proc
	leader  int     // first process; its session and group have its number
	mark    string  // value of markVariable; or, ending in /, its beginning
	sandbox string  // whose stdout or stderr they write to; or a folder of sandboxes
	since   uint64  // earlier processes are none of it, in ticks since boot
}

// members are the living processes of the family.
func (f family) members() []int {
	if f.group != nil {
		return f.group.members()
	}
	all := processes()
	if len(all) == 0 && f.leader != 0 && syscall.Kill(-f.leader, 0) == nil {
		return []int{-f.leader} // no /proc here: the group as a whole
	}
	found := map[int]bool{}
	for _, p := range all {
		found[p.pid] = f.has(p)
	}
	f.addDescendants(all, found)
	var pids []int
	for _, p := range all {
		if found[p.pid] && p.alive() && p.pid != os.Getpid() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// addDescendants adds them until there are no more: children may come before
// their parents.
func (f family) addDescendants(all []procInfo, found map[int]bool) {
	for more := true; more; {
		more = false
		for _, p := range all {
			if !found[p.pid] && found[p.parent] && p.started >= f.since {
				found[p.pid], more = true, true
			}
		}
	}
}

// has says whether a process is of the family by what it shows itself.
func (f family) has(p procInfo) bool {
	if p.started < f.since || p.pid == os.Getpid() {
		return false
	}
	if f.leader != 0 && (p.pid == f.leader || p.session == f.leader || p.group == f.leader) {
		return true
	}
	return p.alive() && (f.mark != "" && p.isMarked(f.mark) || f.sandbox != "" && p.writesTo(f.sandbox))
}

// signal sends one to all members: group by group, for a process that forks just
// then would else be missed. A cgroup kills all at once.
func (f family) signal(s syscall.Signal) {
	if s == syscall.SIGKILL && f.group.kill() == nil {
		return
	}
	sent := map[int]bool{}
	for _, pid := range f.members() {
		p, err := readProcess(pid)
		// Just forked by us it is in our own group; and 0 is no group but the caller's.
		if to := -p.group; err == nil && p.group > 1 && p.group != syscall.Getpgrp() {
			pid = to
		}
		if !sent[pid] {
			sent[pid] = true
			_ = syscall.Kill(pid, s) // it may have ended meanwhile
		}
	}
}

// sweep kills all members and waits until they are gone. It returns those that
// are not gone in time.
func (f family) sweep(within time.Duration) []int {
	end := time.Now().Add(within)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left := f.members()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		f.signal(syscall.SIGKILL)
		time.Sleep(pause)
	}
}

// endOrphans ends what an executor with our mark left, first asking it to end.
func (m *machine) endOrphans() error {
	orphans := []family{{mark: m.options.Owner + "/", sandbox: m.sandboxes}}
	for _, g := range m.groups.left() {
		orphans = append(orphans, family{group: g})
	}
	asked := false
	for _, f := range orphans {
		if pids := f.members(); len(pids) > 0 {
			m.log.Warn("ending processes that were left behind", "pids", pids)
			f.signal(syscall.SIGTERM)
			asked = true
		}
	}
	for end := time.Now().Add(2 * time.Second); asked && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		asked = slices.ContainsFunc(orphans, func(f family) bool { return len(f.members()) > 0 })
	}
	var errs []error
	for _, f := range orphans {
		if left := f.sweep(sweepTimeout); len(left) > 0 {
			errs = append(errs, fmt.Errorf("processes %v left behind in %s do not end though killed: end them or use another folder", left, m.dir))
		}
		f.group.remove()
	}
	return errors.Join(errs...)
}

// procInfo is a process as /proc shows it.
type procInfo struct {
	pid, parent, group, session int
	state                       byte
	started                     uint64 // ticks since boot
}

func (p procInfo) alive() bool { return p.state != 'Z' && p.state != 'X' }

// processes lists those of this machine that can be seen; none where there is no
// /proc, which leaves the session and group of a task to their leader.
func processes() []procInfo {
	names, err := readNames("/proc")
	if err != nil {
		return nil
	}
	var all []procInfo
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// readNames lists a folder without looking at each entry.
func readNames(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// statFields are those of /proc/PID/stat from the third, the state, on
// (proc_pid_stat(5)). The name before it may hold anything, so they are counted
// from its last parenthesis.
func statFields(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return nil, fs.ErrInvalid
	}
	return fields, nil
}

func readProcess(pid int) (procInfo, error) {
	fields, err := statFields(pid)
	if err != nil {
		return procInfo{}, err
	}
	p := procInfo{pid: pid, state: fields[0][0]}
	p.parent, _ = strconv.Atoi(fields[1])
	p.group, _ = strconv.Atoi(fields[2])
	p.session, _ = strconv.Atoi(fields[3])
	p.started, err = strconv.ParseUint(fields[19], 10, 64)
	return p, err
}

// bootTicks is now, in the unit in which processes tell their start; 0: unknown,
// which excludes none. A second is taken off against rounding.
func bootTicks() uint64 {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	seconds, _, _ := strings.Cut(string(data), " ")
	up, err := strconv.ParseFloat(seconds, 64)
	if err != nil || up < 1 {
		return 0
	}
	const ticksPerSecond = 100 // USER_HZ, the same on all architectures of Linux
	return uint64((up - 1) * ticksPerSecond)
}

// isMarked says whether the mark is in the environment.
func (p procInfo) isMarked(mark string) bool {
	want := []byte(markVariable + "=" + mark)
	for entry := range bytes.SplitSeq(p.environment(), []byte{0}) {
		if rest, ok := bytes.CutPrefix(entry, want); ok && (len(rest) == 0 || strings.HasSuffix(mark, "/")) {
			return true
		}
	}
	return false
}

// environment reads it; nil if the process has ended or is another user's. In the
// middle of an exec a process shows an empty one: that is waited for, or it would
// slip through just then.
func (p procInfo) environment() []byte {
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if err != nil || len(data) > 0 || !p.inExec() || time.Now().After(end) {
			return data
		}
	}
}

// inExec says whether the process has memory but no environment yet, not even an
// empty one: fields vsize and env_start of proc_pid_stat(5).
func (p procInfo) inExec() bool {
	fields, err := statFields(p.pid)
	return err == nil && len(fields) > 47 && fields[20] != "0" && fields[47] == "0"
}

// writesTo says whether the standard output or error is a task's file in folder.
// Somebody who only reads such a file (tail -f) has it elsewhere.
func (p procInfo) writesTo(folder string) bool {
	for _, fd := range []string{"1", "2"} {
		file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.pid, fd))
		if err != nil || !strings.HasPrefix(file, folder+"/") {
			continue
		}
		if name := filepath.Base(file); name == "stdout" || name == "stderr" {
			return true
		}
	}
	return false
}
