package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sweepTimeout is how long SIGKILL may take. Only a process that hangs in the
// kernel (a dead network file system) outlasts it.
const sweepTimeout = 10 * time.Second

// process is a task that is a plain process.
type process struct {
	machine *machine
	task    *task
	user    *syscall.Credential
	cmd     *exec.Cmd
	family  family
}

// start implements runner.
func (p *process) start(context.Context) (started, error) {
	argv := p.task.Args
	if p.task.Cmd != "" {
		argv = []string{"/bin/sh", "-c", p.task.Cmd}
	}
	files := make([]*os.File, 2)
	for i, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(filepath.Join(p.task.sandbox, name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return started{}, fmt.Errorf("failed to open %s: %w", name, err)
		}
		defer f.Close()
		files[i] = f
	}
	group, err := p.machine.groups.make(p.task.Task, p.machine.options.LimitCPUs)
	if err != nil {
		return started{}, fmt.Errorf("failed to make the task's cgroup: %w", err)
	}
	p.family = family{group: group, mark: p.mark(), sandbox: p.task.sandbox, since: bootTicks()}
	if p.cmd, err = p.spawn(argv, files[0], files[1]); err != nil {
		group.remove()
		return started{}, fmt.Errorf("failed to start '%s': %w", argv[0], err)
	}
	p.family.leader = p.cmd.Process.Pid
	return started{pid: p.cmd.Process.Pid, ips: []string{"127.0.0.1"}}, nil
}

// spawn starts a command with the surroundings of the task: user, cgroup,
// environment and folder.
func (p *process) spawn(argv []string, stdout, stderr io.Writer) (*exec.Cmd, error) {
	env := p.environment()
	path, err := lookPath(argv[0], env["PATH"], p.task.sandbox)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: argv, Dir: p.task.sandbox, Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: p.user},
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	closeGroup, err := p.family.group.enter(cmd.SysProcAttr)
	if err != nil {
		return nil, err
	}
	defer closeGroup()
	return cmd, cmd.Start()
}

func (p *process) mark() string {
	return markOf(p.machine.options.Owner, p.task.ID)
}

// environment is the task's, and what only we know.
func (p *process) environment() map[string]string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	env := map[string]string{"PATH": path, "HOME": p.task.sandbox, "MESOS_TASK_ID": p.task.ID}
	maps.Copy(env, p.task.Env)
	env["MESOS_SANDBOX"] = p.task.sandbox
	env[markVariable] = p.mark()
	return env
}

// lookPath finds a program as execvp would, but in the task's PATH and folder.
func lookPath(name, path, folder string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // the kernel resolves it in the task's folder
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if !filepath.IsAbs(file) {
			file = filepath.Join(folder, file)
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", errors.New("no such program in its PATH")
}

// supervise implements runner.
func (p *process) supervise(kill context.Context, killing func(), grace func() time.Duration) ending {
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	killed := false
	var waitErr error
	select {
	case waitErr = <-exited:
	case <-kill.Done():
		killed = true
		killing()
		waitErr = p.stop(exited, grace())
	}
	end := p.ending(waitErr)
	if killed {
		end.state = Killed
	}
	if left := p.family.sweep(sweepTimeout); len(left) > 0 {
		p.machine.log.Error("processes of a task do not end", "task", p.task.ID, "pids", left)
		end.message += fmt.Sprintf("; processes %v do not end though killed", left)
	}
	if !killed && p.family.group.outOfMemory() {
		end.state, end.message = Failed, "Memory limit exceeded"
	}
	p.family.group.remove()
	return end
}

// stop ends the family: all of it is asked, and has the whole grace period, also
// when its leader (often only a shell) is gone at once.
func (p *process) stop(exited <-chan error, grace time.Duration) error {
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	p.family.signal(syscall.SIGTERM)
	leader, waitErr := exited, error(nil)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if leader == nil && len(p.family.members()) == 0 {
			return waitErr
		}
		select {
		case waitErr = <-leader:
			leader = nil
		case <-time.After(pause):
		case <-deadline.C:
			p.family.signal(syscall.SIGKILL)
			if leader != nil {
				waitErr = <-leader
			}
			return waitErr
		}
	}
}

// ending tells the leader's exit in Mesos' words.
func (p *process) ending(waitErr error) ending {
	if exit := (*exec.ExitError)(nil); waitErr != nil && !errors.As(waitErr, &exit) {
		return ending{state: Failed, message: fmt.Sprintf("Failed to wait for the command: %v", waitErr), code: -1}
	}
	message, code := wording(p.cmd.ProcessState.Sys().(syscall.WaitStatus))
	if code == 0 {
		return ending{Finished, message, code}
	}
	return ending{Failed, message, code}
}

// wording is Mesos' for how a command ended (its WSTRINGIFY), and the exit code
// that a shell would give.
func wording(status syscall.WaitStatus) (string, int) {
	if !status.Signaled() {
		return fmt.Sprintf("Command exited with status %d", status.ExitStatus()), status.ExitStatus()
	}
	message := "Command terminated with signal " + sentence(status.Signal().String())
	if status.CoreDump() {
		message += " (core dumped)"
	}
	return message, 128 + int(status.Signal())
}

// exec implements runner. The command's output is thrown away. What it leaves in
// the background stays until the task ends.
func (p *process) exec(ctx context.Context, command string) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	cmd, err := p.spawn([]string{"/bin/sh", "-c", command}, nil, nil)
	if err != nil {
		return -1, fmt.Errorf("the command of task %q cannot be started: %w", p.task.ID, err)
	}
	own := family{leader: cmd.Process.Pid, since: p.family.since}
	stop := context.AfterFunc(ctx, func() { own.signal(syscall.SIGKILL) })
	err = cmd.Wait()
	if !stop() {
		own.sweep(sweepTimeout)
		return -1, fmt.Errorf("the command of task %q was ended: %w", p.task.ID, ctx.Err())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return -1, fmt.Errorf("the command of task %q cannot be waited for: %w", p.task.ID, err)
	}
	_, code := wording(cmd.ProcessState.Sys().(syscall.WaitStatus))
	return code, nil
}
