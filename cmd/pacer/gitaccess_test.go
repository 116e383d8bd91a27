package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

// TestOneShotGitAccess: whatever a git server asks for, a verb that is given the
// repository by its URL can give, by flag and by environment, and where it is not
// given the error names a flag that the verb has.
func TestOneShotGitAccess(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{"web.yaml": "id: web\ncmd: sleep 1000\n"})
	forge := repo.Serve(t, gittest.HTTP{User: "gitlab+deploy-token-8", Password: "tok"})
	private := repo.Serve(t, gittest.HTTP{TLS: true})
	server := repo.ServeSSH(t)
	t.Setenv("PW", "tok")
	for name, c := range map[string]struct {
		url  string
		has  []string // flags that are given in any case
		lack string   // the flag that is not given at first
		env  string   // its variable
		give string
	}{
		"user":        {forge.Repo, []string{"--allow-http", "--git-password", "env:PW"}, "--git-username", "PACER_GIT_USERNAME", "gitlab+deploy-token-8"},
		"certificate": {private.Repo, nil, "--git-ca-file", "PACER_GIT_CA_FILE", file("ca.pem", string(private.CA))},
		"passphrase": {server.Repo, []string{"--git-known-hosts", server.KnownHosts, "--git-key", "file:" + file("key", locked(t, server.KeyFile, "tok"))},
			"--git-passphrase", "PACER_GIT_PASSPHRASE_FROM", "env:PW"},
		"http": {forge.Repo, []string{"--git-username", "gitlab+deploy-token-8", "--git-password", "env:PW"}, "--allow-http", "PACER_ALLOW_HTTP", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"validate", "render"} {
				call := func(more ...string) (int, string) {
					var out, errs strings.Builder
					code := run(t.Context(), append(append([]string{verb, c.url}, c.has...), more...), nil, &out, &errs)
					return code, out.String() + errs.String()
				}
				if code, said := call(); code != exitError || !strings.Contains(said, c.lack) {
					t.Errorf("%s without: exit code %d: %s", verb, code, said)
				}
				if code, said := call(c.lack + "=" + c.give); code != exitOK {
					t.Errorf("%s by flag: exit code %d: %s", verb, code, said)
				}
				t.Setenv(c.env, c.give)
				if code, said := call(); code != exitOK {
					t.Errorf("%s by environment: exit code %d: %s", verb, code, said)
				}
				if err := os.Unsetenv(c.env); err != nil {
					t.Fatal(err)
				}
			}
			for _, verb := range []string{"plan", "apply"} {
				command, _, err := newRoot().Find([]string{verb})
				if err != nil || command.Flags().Lookup(strings.TrimPrefix(c.lack, "--")) == nil {
					t.Errorf("%s has no flag %s: %v", verb, c.lack, err)
				}
			}
		})
	}
}

// locked is a private key as a passphrase locks it.
func locked(t *testing.T, file, passphrase string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}
