package controller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// disk mounts a file system of its own for a test, which root needs too: modes do
// not hold it back.
func disk(t *testing.T, size int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) {
		testenv.Lacks(t, "mounting a file system needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func remount(t *testing.T, folder string, flags uintptr) {
	t.Helper()
	err := syscall.EBUSY
	for errors.Is(err, syscall.EBUSY) { // while Pacer has a file open in it
		err, _ = syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_REMOUNT|flags, "").(syscall.Errno)
	}
	if err != 0 {
		t.Fatal(err)
	}
}

// fill leaves no room in a folder's file system, nor what Pacer's own attempts to
// write give back.
func fill(t *testing.T, folder string) {
	t.Helper()
	ballast, err := os.OpenFile(filepath.Join(folder, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for {
		attempts, err := filepath.Glob(filepath.Join(folder, ".tmp-*"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := ballast.Write(make([]byte, 4<<20))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		if n == 0 && len(attempts) == 0 {
			return
		}
	}
}

// A replica that cannot save is not ready, whether it has anything to save or not,
// and is again once it can.
func TestReadinessFollowsTheStateFolder(t *testing.T) {
	for name, test := range map[string]struct {
		spoil, mend func(t *testing.T, folder string)
		say         string
	}{
		"full": {
			fill,
			func(t *testing.T, folder string) {
				if err := os.Remove(filepath.Join(folder, "ballast")); err != nil {
					t.Fatal(err)
				}
			},
			"no space left on device",
		},
		"read-only": {
			func(t *testing.T, folder string) { remount(t, folder, syscall.MS_RDONLY) },
			func(t *testing.T, folder string) { remount(t, folder, 0) },
			"read-only file system",
		},
	} {
		for _, saves := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, something to save: %v", name, saves), func(t *testing.T) {
				folder := disk(t, 1<<20)
				l := newLiedIn(t, folder, &localtest.Liar{}, 2, plan.Policy{}, 1)
				if why := l.Status().NotReady(); len(why) > 0 {
					t.Fatalf("not ready at the start: %v", why)
				}
				test.spoil(t, folder)
				if saves {
					l.write(2) // a new app
				}
				l.notReady(test.say)
				if saves {
					l.notReady("sync all: state of sync")
				}
				if _, there := l.world.Instances()[localtest.App(2, 1).ID]; there {
					t.Error("an app was created that could not be noted")
				}
				test.mend(t, folder)
				l.await("ready again", func(y status.Sync) bool {
					return len(l.Status().NotReady()) == 0 && len(l.world.Instances()) == len(y.Apps) && (len(y.Apps) == 3) == saves
				})
			})
		}
	}
}

// notReady waits for a cause that has some words in it, and that none has a line
// break in.
func (l *lied) notReady(say string) {
	l.t.Helper()
	eventually(l.t, "not ready for "+say, func() (bool, string) {
		why := l.Status().NotReady()
		all := strings.Join(why, " | ")
		return strings.Contains(all, say) && !strings.Contains(all, "\n"), all
	})
}

// A state that cannot be read, and is not merely corrupt, is no ready replica's.
func TestReadinessFollowsWhetherTheStateCanBeRead(t *testing.T) {
	folder := t.TempDir()
	state := filepath.Join(folder, "sync-all.json")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	l := startLied(t, folder, &localtest.Liar{}, 2, plan.Policy{}, 1)
	l.notReady("sync all: cannot read the state of this sync")
	if n := len(l.world.Instances()); n > 0 {
		t.Errorf("%d apps were created", n)
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	l.pass()
	l.await("ready", func(status.Sync) bool { return len(l.Status().NotReady()) == 0 })
}
