// Package enginetest gives tests a real Docker engine and an image, without any
// registry: the machine's own engine where one answers, else one that it starts
// for the test in a temporary folder.
package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Engine is a Docker engine that answers.
type Engine struct {
	Address string // as in DOCKER_HOST
	Bridge  bool   // it has a bridge network, so that ports can be published
}

// Start gives an engine until the end of the test. Where none answers and none
// can be started the machine lacks one, and why is said: that needs root and a
// kernel with namespaces.
func Start(t testing.TB) Engine {
	t.Helper()
	address := cmp.Or(os.Getenv("DOCKER_HOST"), client.DefaultDockerHost)
	if answers(t, address) == nil {
		return Engine{address, true}
	}
	program := testenv.Program(t, "dockerd")
	// One at a time: engines of several tests would share the bridge's addresses.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("pacer-test-engine-%d.lock", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var tried []error
	for _, variant := range []struct {
		bridge  bool
		options []string
	}{{true, nil}, {false, []string{"--bridge=none"}}} {
		address, err := start(t, program, variant.options)
		if err == nil {
			if !variant.bridge {
				t.Logf("THIS ENGINE HAS NO BRIDGE NETWORK: %v", errors.Join(tried...))
			}
			return Engine{address, variant.bridge}
		}
		tried = append(tried, err)
	}
	testenv.Lacks(t, "no Docker engine answers at %s and none can be started here: %v", address, errors.Join(tried...))
	return Engine{}
}

// Client is a client of an engine, closed at the end of the test.
func Client(t testing.TB, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.WithHost(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func answers(t testing.TB, address string) error {
	c, err := client.New(client.WithHost(address))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = c.Ping(ctx, client.PingOptions{})
	return err
}

// start starts an engine that touches neither the machine's firewall nor its
// routing, and stops it at the end of the test.
func start(t testing.TB, program string, options []string) (string, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-") // t.TempDir's names are too long for a socket
	if err != nil {
		return "", err
	}
	hadBridge := hasBridge()
	var log bytes.Buffer
	address := "unix://" + filepath.Join(dir, "s")
	cmd := exec.Command(program, append([]string{
		"--data-root=" + filepath.Join(dir, "data"), "--exec-root=" + filepath.Join(dir, "exec"), "--pidfile=" + filepath.Join(dir, "pid"),
		"--config-file=" + filepath.Join(dir, "none"), "-H", address, "--storage-driver=vfs",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
	}, options...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := os.WriteFile(filepath.Join(dir, "none"), []byte("{}"), 0o600); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		stop(t, cmd, exited)
		clean(t, dir)
		if !hadBridge && hasBridge() {
			if out, err := exec.Command("ip", "link", "delete", bridge).CombinedOutput(); err != nil {
				t.Logf("the bridge %s stays: %v %s", bridge, err, out)
			}
		}
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(testenv.Patience); ; {
		select {
		case err := <-exited:
			exited <- err
			return "", fmt.Errorf("dockerd %s: %w: %s", strings.Join(options, " "), err, lastLines(log.String()))
		case <-late:
			return "", fmt.Errorf("dockerd %s does not answer within %s", strings.Join(options, " "), testenv.Patience)
		case <-tick.C:
			if answers(t, address) == nil {
				return address, nil
			}
		}
	}
}

func stop(t testing.TB, cmd *exec.Cmd, exited <-chan error) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(30 * time.Second):
		t.Log("dockerd does not end: killed")
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}
}

const bridge = "docker0"

func hasBridge() bool {
	_, err := os.Stat("/sys/class/net/" + bridge)
	return err == nil
}

// clean removes an engine's folder, in which it may have left mounts.
func clean(t testing.TB, dir string) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			_ = exec.Command("umount", "-l", at).Run()
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("the engine's folder cannot be removed: %v", err)
	}
}

// lastLines are those of an engine's log that say why it ended.
func lastLines(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}
