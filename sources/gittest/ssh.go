package gittest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// SSH is an sshd that serves a repository.
type SSH struct {
	Repo       string // URL of the repository
	SCP        string // the same as user@host:path; it has no place for the port, see Address
	Address    string // host:port
	KeyFile    string // private key that is let in
	KnownHosts string // known_hosts file that knows the server
}

// ServeSSH serves the repository by OpenSSH's sshd until the test ends. The
// user is the one who runs the test.
func (r *Repo) ServeSSH(t testing.TB) *SSH {
	t.Helper()
	sshd := findSSHD(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostKey, hostPublic := newKey(t, filepath.Join(dir, "host_key"))
	keyFile, public := newKey(t, filepath.Join(dir, "id_ed25519"))
	authorized := filepath.Join(dir, "authorized_keys")
	write(t, authorized, string(ssh.MarshalAuthorizedKey(public)))
	config := filepath.Join(dir, "sshd_config")
	write(t, config, strings.Join([]string{
		"HostKey " + hostKey, "AuthorizedKeysFile " + authorized, "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
		"SetEnv HOME=" + r.home + " GIT_CONFIG_NOSYSTEM=1 PATH=" + r.shadows() + ":" + os.Getenv("PATH"), "LogLevel ERROR", "PidFile none",
	}, "\n")+"\n")
	address := listenSSH(t, sshd, config)
	knownHosts := filepath.Join(dir, "known_hosts")
	write(t, knownHosts, KnownHostsLine(address, hostPublic))
	return &SSH{
		Repo: fmt.Sprintf("ssh://%s@%s%s", me.Username, address, r.Bare), SCP: fmt.Sprintf("%s@127.0.0.1:%s", me.Username, r.Bare),
		Address: address, KeyFile: keyFile, KnownHosts: knownHosts,
	}
}

func (r *Repo) shadows() string { return filepath.Join(r.home, "bin") }

// Shadow has a command that is run over ssh be a shell script instead, until the
// function that it returns is called.
func (r *Repo) Shadow(command, script string) (remove func()) {
	r.t.Helper()
	path := filepath.Join(r.shadows(), command)
	if err := os.MkdirAll(r.shadows(), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	return func() { _ = os.Remove(path) }
}

// KnownHostsLine is the line of a known_hosts file for a server.
func KnownHostsLine(address string, key ssh.PublicKey) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key))
}

// NewKey makes an ssh key that no server knows, and returns the private key's file.
func NewKey(t testing.TB) (file string, public ssh.PublicKey) {
	t.Helper()
	return newKey(t, filepath.Join(t.TempDir(), "key"))
}

func findSSHD(t testing.TB) string {
	t.Helper()
	sshd := testenv.Program(t, "sshd")
	if os.Getuid() == 0 {
		// Sshd wants it to be there when root starts it; the system's service
		// would make it at boot.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return sshd
}

func newKey(t testing.TB, path string) (string, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return path, key
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listenSSH takes connections on a free port and gives each to an sshd of its
// own, as inetd does: sshd itself cannot choose a port.
func listenSSH(t testing.TB, sshd, config string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				return
			}
			running.Go(func() { serveSSH(t, sshd, config, conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		listener.Close() //nolint:errcheck // a test's listener
		running.Wait()
	})
	return listener.Addr().String()
}

func serveSSH(t testing.TB, sshd, config string, conn *net.TCPConn) {
	file, err := conn.File()
	conn.Close() //nolint:errcheck // sshd holds its own copy
	if err != nil {
		t.Errorf("connection: %v", err)
		return
	}
	defer file.Close() //nolint:errcheck // as above
	cmd := exec.Command(sshd, "-i", "-e", "-f", config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, t.Output()
	_ = cmd.Run() // its status says how the client went, which the client tells too
}
