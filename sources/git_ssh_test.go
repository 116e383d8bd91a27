package sources

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// serveAgent is an ssh agent that holds a key.
func serveAgent(t *testing.T, keyFile string) (socket string) {
	t.Helper()
	content, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(content)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_ = agent.ServeAgent(ring, conn) // ends when the client does
				conn.Close()                     //nolint:errcheck
			})
		}
	})
	t.Cleanup(func() {
		listener.Close() //nolint:errcheck
		running.Wait()
	})
	return socket
}

func TestGitSSHAgent(t *testing.T) {
	repo := gittest.New(t)
	head := repo.Commit("begin", nil)
	server := repo.ServeSSH(t)
	o := GitOptions{URL: server.Repo, Auth: Auth{KnownHosts: server.KnownHosts}}
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := fails(t, openGit(t, o), ErrAuth); !strings.Contains(err.Error(), "set auth.key") {
		t.Errorf("without an agent: %v", err)
	}
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, server.KeyFile))
	before := runtime.NumGoroutine()
	wantRevision(t, snapshot(t, openGit(t, o)), head, "main")
	waitForGoroutines(t, before)
	stranger, _ := gittest.NewKey(t)
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, stranger))
	fails(t, openGit(t, o), ErrAuth)
}

func TestSSHKeyWithPassphrase(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(canary))
	if err != nil {
		t.Fatal(err)
	}
	key := secretFile(t, string(pem.EncodeToMemory(block)))
	if _, _, err := sshCredentials(Auth{Key: key, Passphrase: secretFile(t, canary+"\n")}); err != nil {
		t.Errorf("right passphrase: %v", err)
	}
	for name, passphrase := range map[string]secret.Ref{"none": {}, "wrong": secretFile(t, "wrong")} {
		if _, _, err := sshCredentials(Auth{Key: key, Passphrase: passphrase}); err == nil || !strings.Contains(err.Error(), "passphrase") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Nothing of a repository reaches a program: with none to be found, all works.
func TestNothingIsExecuted(t *testing.T) {
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"a": "1"})
	mark := filepath.Join(t.TempDir(), "executed")
	hook := writeFile(t, filepath.Join(t.TempDir(), "hook"), "#!/bin/sh\ntouch "+mark+"\n")
	if err := os.Chmod(hook, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.pager", "diff.external"} {
		repo.BareGit("config", key, hook)
		repo.Git("config", key, hook)
	}
	t.Setenv("PATH", t.TempDir())
	for _, url := range []string{"file://" + repo.Bare, "file://" + repo.Work} {
		s := snapshot(t, openGit(t, GitOptions{URL: url, AllowLocal: true}))
		wantRevision(t, s, head, "main")
		wantFile(t, s, "a", "1")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program that the repository names was run")
	}
}
