package testenv

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// NoSkip is the environment variable with which a test that this machine cannot run
// fails: 1. ./test.sh, which installs what tests need, sets it; without it such a test
// is skipped, with the reason.
const NoSkip = "PACER_TEST_NO_SKIP"

// Test is a test, or a script of one.
type Test interface {
	Skip(args ...any)
	Fatal(args ...any)
}

// Lacks ends a test that needs what this machine lacks. It is the only place where a
// test is skipped, beside Long:
//
//	NoSkip=1   it fails
//	else       it is skipped
func Lacks(t Test, format string, args ...any) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	reason := fmt.Sprintf(format, args...)
	if os.Getenv(NoSkip) == "1" {
		t.Fatal(reason + " (" + NoSkip + "=1 forbids to skip this test)")
	}
	t.Skip(reason)
}

// packages are the Debian packages of what tests need: commands, and files by their
// path. test.sh installs them.
var packages = map[string]string{
	"git":                           "git",
	"sshd":                          "openssh-server",
	"chromium":                      "chromium",
	"xz":                            "xz-utils",
	"bzip2":                         "bzip2",
	"bash":                          "bash",
	"curl":                          "curl",
	"jq":                            "jq",
	"java":                          "default-jre-headless",
	"dockerd":                       "docker.io",
	"/usr/share/java/zookeeper.jar": "zookeeper",
}

// System folders are seldom in the PATH of who is not root.
var systemFolders = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Program returns the path of a command, or ends the test with the package that it is
// in. More are other names of the same command.
func Program(t Test, name string, more ...string) string {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	for _, n := range slices.Insert(more, 0, name) {
		for _, folder := range slices.Insert(slices.Clone(systemFolders), 0, "") {
			if path, err := exec.LookPath(filepath.Join(folder, n)); err == nil {
				return path
			}
		}
	}
	Lacks(t, "%s is missing: install it (./test.sh does; Debian: %s)", name, packages[name])
	return ""
}

// File ends the test where a file is missing, with the package that it is in.
func File(t Test, path string) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	if _, err := os.Stat(path); err != nil {
		Lacks(t, "%v: install it (./test.sh does; Debian: %s)", err, packages[path])
	}
}

// Long ends a test that takes long for what it finds where only short ones are asked
// for (go test -short), which are to end within a minute.
func Long(t Test) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	if testing.Short() {
		t.Skip("it takes long: not with -short")
	}
}

// giteaVersion is the version of Gitea that forge.sh builds.
const giteaVersion = "v1.26.0"

// Gitea returns the folder that forge.sh has built Gitea into, or ends the test: in it
// are the program gitea, and its templates.
func Gitea(t Test) string {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	return giteaIn(t, cacheFolder())
}

// cacheFolder is where forge.sh puts what it builds: of root one that others may read,
// too, since Gitea does not run as root.
func cacheFolder() string {
	if os.Getuid() == 0 {
		return "/var/cache"
	}
	return cmp.Or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(os.Getenv("HOME"), ".cache"))
}

func giteaIn(t Test, cache string) string {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	folder := filepath.Join(cache, "pacer-test", "gitea-"+giteaVersion)
	if _, err := os.Stat(folder); err != nil {
		Lacks(t, "%v: build it (./forge.sh build does; ./test.sh too)", err)
	}
	return folder
}
