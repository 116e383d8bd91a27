package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// mountedSandbox is where a container sees its sandbox, as Mesos mounts it.
const mountedSandbox = "/mnt/mesos/sandbox"

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }

// contained is a task that is a container.
type contained struct {
	machine *machine
	engine  *engine
	task    *task
	id      string

	wait     client.ContainerWaitResult
	waiting  context.CancelFunc // ends the wait
	copied   chan error         // of the copying of its output, which ends with it
	stopCopy context.CancelFunc
}

// stageContainer pulls the image if need be and makes the container.
func (m *machine) stageContainer(t *task) (runner, error) {
	c := &contained{machine: m, engine: m.engine, task: t}
	config, host, err := c.describe()
	if err != nil {
		return nil, err
	}
	if err := c.pull(t.killed); err != nil {
		return nil, fmt.Errorf("failed to pull image '%s': %w", t.Container.Image, err)
	}
	made, err := m.engine.client.ContainerCreate(t.killed, client.ContainerCreateOptions{Config: config, HostConfig: host, Name: c.name()})
	if err != nil {
		return nil, fmt.Errorf("failed to create the container: %w", err)
	}
	for _, warning := range made.Warnings {
		m.log.Info("the Docker engine warns", "task", t.ID, "warning", warning)
	}
	c.id = made.ID
	return c, nil
}

// pull brings the image unless the engine has it.
func (c *contained) pull(ctx context.Context) error {
	image := c.task.Container.Image
	if !c.task.Container.ForcePull {
		_, err := c.engine.client.ImageInspect(ctx, image)
		if err == nil || !isNotFound(err) {
			return err
		}
	}
	progress, err := c.engine.client.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return progress.Wait(ctx)
}

// name is what docker ps shows; "", and hence the engine's choice, if the task's
// ID cannot be one.
func (c *contained) name() string {
	for _, r := range c.task.ID {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", r) {
			return ""
		}
	}
	return "pacer-" + c.task.ID
}

// describe is the task in the engine's words.
func (c *contained) describe() (*container.Config, *container.HostConfig, error) {
	t := c.task
	config := &container.Config{
		Image: t.Container.Image,
		User:  t.User,
		Env:   c.environment(),
		Cmd:   t.Args,
		Labels: map[string]string{
			ownerLabel: c.engine.owner, "MESOS_TASK_ID": t.ID,
		},
	}
	if t.Cmd != "" {
		config.Entrypoint, config.Cmd = []string{"/bin/sh"}, []string{"-c", t.Cmd}
	}
	host := &container.HostConfig{
		Privileged: t.Container.Privileged,
		// The output is read back through the engine, which not every driver lets.
		LogConfig: container.LogConfig{Type: "json-file"},
		Resources: container.Resources{
			CPUShares: max(2, int64(t.CPUs*1024)),
			NanoCPUs:  int64(cpuLimit(t.Task, c.machine.options.LimitCPUs) * 1e9),
			Memory:    memLimit(t.Task),
		},
		NetworkMode: c.networkMode(),
	}
	var err error
	if host.Binds, err = c.binds(); err != nil {
		return nil, nil, err
	}
	if !host.NetworkMode.IsHost() {
		if err := c.publish(config, host); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range t.Container.Parameters {
		if err := setParameter(config, host, p[0], p[1]); err != nil {
			return nil, nil, err
		}
	}
	return config, host, nil
}

func (c *contained) networkMode() container.NetworkMode {
	switch {
	case c.task.Container.HostNetwork:
		return network.NetworkHost
	case c.task.Container.Network != "":
		return container.NetworkMode(c.task.Container.Network)
	}
	return network.NetworkBridge
}

func (c *contained) environment() []string {
	env := map[string]string{"MESOS_TASK_ID": c.task.ID}
	maps.Copy(env, c.task.Env)
	env["MESOS_SANDBOX"] = mountedSandbox
	env[markVariable] = markOf(c.engine.owner, c.task.ID)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

func (c *contained) binds() ([]string, error) {
	binds := []string{c.task.sandbox + ":" + mountedSandbox}
	for _, v := range c.task.Volumes {
		if !filepath.IsAbs(v.Host) {
			return nil, fmt.Errorf("failed to mount the volume '%s': its path on the host, '%s', is not absolute", v.Container, v.Host)
		}
		if strings.Contains(v.Host+v.Container, ":") {
			return nil, fmt.Errorf("failed to mount the volume '%s': the engine takes no colon in its paths", v.Container)
		}
		at := v.Container
		if !path.IsAbs(at) {
			if !filepath.IsLocal(at) || path.Clean(at) == "." {
				return nil, fmt.Errorf("failed to mount the volume '%s': its containerPath leads out of the sandbox", v.Container)
			}
			at = path.Join(mountedSandbox, at)
		}
		mode := "rw"
		if v.ReadOnly {
			mode = "ro"
		}
		binds = append(binds, v.Host+":"+at+":"+mode)
	}
	return binds, nil
}

// publish maps the container's ports to the host's.
func (c *contained) publish(config *container.Config, host *container.HostConfig) error {
	ip, err := netip.ParseAddr(c.machine.options.PublishIP)
	if err != nil {
		return fmt.Errorf("failed to publish the ports: %w", err)
	}
	config.ExposedPorts, host.PortBindings = network.PortSet{}, network.PortMap{}
	for _, p := range c.task.Ports {
		if p.Container == 0 {
			continue
		}
		protocols := p.Protocol
		if protocols == "" {
			protocols = "tcp"
		}
		for protocol := range strings.SplitSeq(protocols, ",") { // Marathon knows "udp,tcp"
			port, err := network.ParsePort(fmt.Sprintf("%d/%s", p.Container, protocol))
			if err != nil {
				return fmt.Errorf("failed to publish port %d: %w", p.Container, err)
			}
			config.ExposedPorts[port] = struct{}{}
			if p.Host != 0 {
				host.PortBindings[port] = append(host.PortBindings[port], network.PortBinding{HostIP: ip, HostPort: fmt.Sprint(p.Host)})
			}
		}
	}
	return nil
}

// start implements runner.
func (c *contained) start(ctx context.Context) (started, error) {
	waiting, cancel := context.WithCancel(context.Background())
	c.waiting = cancel
	// Asked before the start: a short command may end before it could be after.
	c.wait = c.engine.client.ContainerWait(waiting, c.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := c.engine.client.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		c.discard()
		return started{}, fmt.Errorf("failed to start the container: %w", err)
	}
	c.copyOutput()
	inspected, err := c.engine.client.ContainerInspect(context.WithoutCancel(ctx), c.id, client.ContainerInspectOptions{})
	if err != nil {
		c.stopCopy()
		<-c.copied
		c.discard()
		return started{}, fmt.Errorf("failed to ask for the container: %w", err)
	}
	return c.started(inspected.Container), nil
}

func (c *contained) started(info container.InspectResponse) started {
	s := started{ips: []string{"127.0.0.1"}}
	if info.State != nil {
		s.pid = info.State.Pid
	}
	if info.NetworkSettings != nil {
		var ips []string
		for _, name := range slices.Sorted(maps.Keys(info.NetworkSettings.Networks)) {
			if ip := info.NetworkSettings.Networks[name].IPAddress; ip.IsValid() {
				ips = append(ips, ip.String())
			}
		}
		if len(ips) > 0 {
			s.ips = ips
		}
	}
	return s
}

// discard removes the container and ends the wait for it.
func (c *contained) discard() {
	c.removeNow()
	c.waiting()
	select { // one of them comes, and frees what waits
	case <-c.wait.Result:
	case <-c.wait.Error:
	}
}

func (c *contained) removeNow() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.engine.remove(ctx, c.id); err != nil {
		c.machine.log.Error("a container cannot be removed", "task", c.task.ID, "container", c.id, "error", err)
	}
}

// copyOutput begins to copy the container's output to the sandbox.
func (c *contained) copyOutput() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stopCopy, c.copied = cancel, make(chan error, 1)
	go func() { c.copied <- c.copyStreams(ctx) }()
}

func (c *contained) copyStreams(ctx context.Context) error {
	// Opened below the root: the task sees its sandbox and may have put symlinks there.
	root, err := os.OpenRoot(c.task.sandbox)
	if err != nil {
		return err
	}
	defer root.Close()
	var files [2]*os.File
	for i, name := range []string{"stdout", "stderr"} {
		if files[i], err = root.OpenFile(name, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0); err != nil {
			return err
		}
		defer files[i].Close()
	}
	output, err := c.engine.client.ContainerLogs(ctx, c.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return err
	}
	defer output.Close()
	_, err = stdcopy.StdCopy(files[0], files[1], output)
	return err
}

// endOutput waits until the last output has been copied.
func (c *contained) endOutput() {
	late := time.AfterFunc(10*time.Second, c.stopCopy)
	err := <-c.copied
	late.Stop()
	c.stopCopy()
	if err != nil {
		c.machine.log.Warn("a container's output could not be copied to its end", "task", c.task.ID, "error", err)
	}
}

// supervise implements runner.
func (c *contained) supervise(kill context.Context, killing func(), grace func() time.Duration) ending {
	var result container.WaitResponse
	var waitErr error
	killed := false
	select {
	case result = <-c.wait.Result:
	case waitErr = <-c.wait.Error:
	case <-kill.Done():
		killed = true
		killing()
		c.stop(grace())
		select {
		case result = <-c.wait.Result:
		case waitErr = <-c.wait.Error:
		}
	}
	c.waiting()
	end := c.ending(result, waitErr)
	if killed && end.state != Lost {
		end.state = Killed
	}
	c.endOutput()
	c.removeNow()
	return end
}

// stop asks the container to end and kills it after its grace period. If the
// engine does not answer, the wait is ended too.
func (c *contained) stop(grace time.Duration) {
	seconds := int((grace + time.Second - 1) / time.Second) // the engine counts whole ones
	ctx, cancel := context.WithTimeout(context.Background(), grace+30*time.Second)
	defer cancel()
	_, err := c.engine.client.ContainerStop(ctx, c.id, client.ContainerStopOptions{Timeout: &seconds})
	if err != nil && !isNotFound(err) {
		if err := c.engine.remove(ctx, c.id); err != nil {
			c.machine.log.Error("a container cannot be stopped", "task", c.task.ID, "container", c.id, "error", err)
			c.waiting()
		}
	}
}

// ending tells the container's end in Mesos' words.
func (c *contained) ending(result container.WaitResponse, waitErr error) ending {
	if waitErr != nil {
		c.engine.forget()
		return ending{Lost, fmt.Sprintf("The Docker engine at %s no longer reports the container: %v", c.engine.address, waitErr), -1}
	}
	if result.Error != nil && result.Error.Message != "" {
		return ending{Failed, sentence(result.Error.Message), int(result.StatusCode)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	info, err := c.engine.client.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err == nil && info.Container.State != nil && info.Container.State.OOMKilled {
		return ending{Failed, "Memory limit exceeded", int(result.StatusCode)}
	}
	end := ending{Failed, fmt.Sprintf("Command exited with status %d", result.StatusCode), int(result.StatusCode)}
	// The engine tells only a shell's code for a signal.
	if s := syscall.Signal(result.StatusCode - 128); s == syscall.SIGKILL || s == syscall.SIGTERM || s == syscall.SIGSEGV || s == syscall.SIGABRT {
		end.message = "Command terminated with signal " + sentence(s.String())
	}
	if result.StatusCode == 0 {
		end.state = Finished
	}
	return end
}

// exec implements runner.
func (c *contained) exec(ctx context.Context, command string) (int, error) {
	code, id, err := c.execWithin(ctx, command)
	if ctx.Err() != nil {
		c.endExec(id)
		return -1, fmt.Errorf("the command of task %q was ended: %w", c.task.ID, ctx.Err())
	}
	if err != nil {
		return -1, fmt.Errorf("the command of task %q cannot be run: %w", c.task.ID, err)
	}
	return code, nil
}

func (c *contained) execWithin(ctx context.Context, command string) (code int, id string, err error) {
	made, err := c.engine.client.ExecCreate(ctx, c.id, client.ExecCreateOptions{
		Cmd: []string{"/bin/sh", "-c", command}, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return -1, "", err
	}
	stream, err := c.engine.client.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return -1, made.ID, err
	}
	// The connection is not the context's any more once it is attached.
	stop := context.AfterFunc(ctx, stream.Close)
	_, err = io.Copy(io.Discard, stream.Reader)
	if stop() {
		stream.Close()
	}
	if err != nil {
		return -1, made.ID, err
	}
	info, err := c.engine.client.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err == nil && info.Running {
		err = errors.New("it closed its output and still runs")
	}
	return info.ExitCode, made.ID, err
}

// endExec kills what is left of a command that took too long. The engine has no
// request for that: when its client goes it asks the first process to end, and no
// other. The command's session is killed where it can be seen, and its processes
// are known by our mark; else they end with the container.
func (c *contained) endExec(id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	session := c.execSession(ctx, id)
	if session == 0 {
		return
	}
	mark := markOf(c.engine.owner, c.task.ID)
	for left := true; left && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		left = false
		for _, p := range processes() {
			if p.session == session && p.alive() && p.isMarked(mark) {
				left = true
				_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended meanwhile
			}
		}
	}
}

// execSession is the number of a command's session, which is its first process';
// 0: it was never started. The engine knows it a little after the command runs.
func (c *contained) execSession(ctx context.Context, id string) int {
	for end := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		info, err := c.engine.client.ExecInspect(ctx, id, client.ExecInspectOptions{})
		if err != nil || info.PID != 0 || time.Now().After(end) {
			return info.PID
		}
	}
}
