package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

// Launch starts a process, in a group of its own, that is killed when this one ends,
// however that comes. It does so from a thread that lives as long as this process: the
// kernel kills the child when the thread that started it ends.
func Launch(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	launcher.Do(func() {
		go func() {
			runtime.LockOSThread() // and never unlocked
			for l := range launches {
				l.done <- l.cmd.Start()
			}
		}()
	})
	l := launched{cmd, make(chan error)}
	launches <- l
	return <-l.done
}

type launched struct {
	cmd  *exec.Cmd
	done chan error
}

var (
	launcher sync.Once
	launches = make(chan launched)
)

// Folder is a folder for temporary files that several tests of a process share.
type Folder struct {
	Path string
	lock *flock.Flock
}

// lockName is the file in a Folder whose lock ends with the process: by it folders in
// use are told apart from those of processes that were killed.
const lockName = "lock"

// NewFolder makes a folder whose name begins with a prefix, and removes those of
// processes that were killed.
func NewFolder(prefix string) (*Folder, error) {
	if err := sweep(prefix); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	f := &Folder{Path: path, lock: flock.New(filepath.Join(path, lockName))}
	if _, err := f.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// sweep removes the folders whose process is gone.
func sweep(prefix string) error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", lockName))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range left {
		lock := flock.New(file)
		if free, err := lock.TryLock(); err != nil || !free {
			continue // in use, or swept by another
		}
		errs = append(errs, os.RemoveAll(filepath.Dir(file)), lock.Close())
	}
	return errors.Join(errs...)
}

// Remove removes the folder with all that is in it.
func (f *Folder) Remove() error { return errors.Join(os.RemoveAll(f.Path), f.lock.Close()) }
