package executor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// makeSandbox makes a task's folder with its stdout and stderr, what is to be
// fetched, and the volumes of a process.
func (m *machine) makeSandbox(t *task, who *syscall.Credential) error {
	if err := os.MkdirAll(filepath.Dir(t.sandbox), 0o755); err != nil {
		return fmt.Errorf("failed to make the sandbox: %w", err)
	}
	if err := os.Mkdir(t.sandbox, 0o750); err != nil {
		return fmt.Errorf("failed to make the sandbox: %w", err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(filepath.Join(t.sandbox, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return fmt.Errorf("failed to make the sandbox: %w", err)
		}
		f.Close()
	}
	if t.Container != nil {
		// Who it runs as is the image's affair: any user may read what was fetched.
		if err := os.Chmod(t.sandbox, 0o755); err != nil {
			return fmt.Errorf("failed to make the sandbox: %w", err)
		}
	}
	if err := m.fetcher.all(t); err != nil {
		return err
	}
	if err := makePersistent(t.Volumes, who); err != nil {
		return err
	}
	if t.Container == nil {
		if err := linkVolumes(t.sandbox, t.Volumes); err != nil {
			return err
		}
	}
	if err := giveTo(who, t.sandbox); err != nil {
		return fmt.Errorf("failed to give the sandbox to user '%s': %w", t.User, err)
	}
	return nil
}

func makePersistent(volumes []Volume, who *syscall.Credential) error {
	for _, v := range volumes {
		if !v.Persistent {
			continue
		}
		err := os.MkdirAll(v.Host, 0o755)
		if err == nil && who != nil {
			err = os.Lchown(v.Host, int(who.Uid), int(who.Gid))
		}
		if err != nil {
			return fmt.Errorf("failed to make the persistent volume '%s': %w", v.Container, err)
		}
	}
	return nil
}

// linkVolumes shows a process its volumes.
func linkVolumes(sandbox string, volumes []Volume) error {
	root, err := os.OpenRoot(sandbox)
	if err != nil {
		return fmt.Errorf("failed to open the sandbox: %w", err)
	}
	defer root.Close()
	for _, v := range volumes {
		if err := linkVolume(root, v); err != nil {
			return fmt.Errorf("failed to mount the volume '%s': %w", v.Container, err)
		}
	}
	return nil
}

func linkVolume(root *os.Root, v Volume) error {
	if !filepath.IsAbs(v.Host) {
		return fmt.Errorf("its path on the host, '%s', is not absolute", v.Host)
	}
	if _, err := os.Stat(v.Host); err != nil {
		return fmt.Errorf("the host has no such folder: %w", err)
	}
	if filepath.IsAbs(v.Container) {
		if filepath.Clean(v.Container) == filepath.Clean(v.Host) {
			return nil // there it is
		}
		return fmt.Errorf("a plain process sees the host's files, so '%s' of the host cannot be shown at another absolute path: "+
			"use a relative containerPath (a place in the sandbox) or an image", v.Host)
	}
	if !filepath.IsLocal(v.Container) || filepath.Clean(v.Container) == "." {
		return errors.New("its containerPath leads out of the sandbox")
	}
	if err := root.MkdirAll(filepath.Dir(v.Container), 0o755); err != nil {
		return err
	}
	return root.Symlink(v.Host, v.Container)
}

// Sandbox implements Executor.
func (m *machine) Sandbox(taskID string) string {
	if t := m.find(taskID); t != nil {
		return t.sandbox
	}
	return m.findSandbox(taskID)
}

// findSandbox looks for the sandbox on disk, where those of earlier runs are too.
func (m *machine) findSandbox(taskID string) string {
	if checkName(taskID) != nil {
		return ""
	}
	apps, _ := os.ReadDir(m.sandboxes)
	for _, app := range apps {
		path := filepath.Join(m.sandboxes, app.Name(), taskID)
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			return path
		}
	}
	return ""
}

// openRegular opens a regular file: opening a pipe would wait for its writer.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// collectAll removes the sandboxes that earlier runs left and nobody keeps.
func (m *machine) collectAll() {
	apps, err := os.ReadDir(m.sandboxes)
	if err != nil {
		m.log.Warn("the sandboxes cannot be listed", "error", err)
	}
	for _, app := range apps {
		m.collect(app.Name())
	}
}

// collect removes an app's sandboxes but the newest and those of live tasks. A
// sandbox's time is its task's end.
func (m *machine) collect(app string) {
	folder := filepath.Join(m.sandboxes, app)
	entries, err := os.ReadDir(folder)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			m.log.Warn("the sandboxes cannot be listed", "app", app, "error", err)
		}
		return
	}
	type ended struct {
		name string
		at   time.Time
	}
	var all []ended
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && m.find(entry.Name()) == nil {
			all = append(all, ended{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b ended) int { return cmp.Or(b.at.Compare(a.at), strings.Compare(a.name, b.name)) })
	for i, s := range all {
		if i < m.options.KeepPerApp && time.Since(s.at) < m.options.KeepFor {
			continue
		}
		if err := os.RemoveAll(filepath.Join(folder, s.name)); err != nil {
			m.log.Warn("an ended task's sandbox cannot be removed", "task", s.name, "error", err)
		}
	}
}
