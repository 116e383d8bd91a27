package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// What Load and OpenFile can say beside an error of the disk.
var (
	// ErrCorrupt: what was saved cannot be understood. It is set aside, and what
	// the sync has applied is not known any more.
	ErrCorrupt = errors.New("the stored state is corrupt")
	// ErrNewer: a newer Pacer saved it. It is set aside.
	ErrNewer = errors.New("the stored state is of a newer version")
	// ErrLocked: another process uses the folder.
	ErrLocked = errors.New("the state folder is in use")
	// ErrNoFolder: there is no such folder.
	ErrNoFolder = errors.New("the state folder does not exist")
)

// File is a Store in a folder: one file a sync. Only one process at a time may
// have a folder open.
type File struct {
	folder string       // absolute
	fresh  bool         // nothing was in it
	lock   *flock.Flock // nil: closed
	files  files
	now    func() time.Time

	mu    sync.Mutex     // one write at a time
	ahead map[string]int // bytes of lines since the last Save, by name of the file
}

var _ Records = (*File)(nil)

const (
	prefix    = "sync-"
	suffix    = ".json"
	temporary = ".tmp-"
	lockName  = "lock"
)

// OpenFile opens a folder, made if missing, and locks it. While another process
// has it open the error wraps ErrLocked and names that process.
func OpenFile(folder string) (*File, error) {
	folder, err := absolute(folder)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	f := &File{folder: folder, lock: lock, files: disk{}, now: time.Now, ahead: map[string]int{}}
	if err := f.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("state folder: %w", err), f.Close())
	}
	return f, nil
}

// OpenExisting opens a folder to read what is in it: it makes, and changes,
// nothing, and works where nothing can be written. Where there is no folder the
// error wraps ErrNoFolder; while another process has it open, ErrLocked.
func OpenExisting(folder string) (*File, error) {
	folder, err := absolute(folder)
	if err != nil {
		return nil, err
	}
	switch _, err := os.ReadDir(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s: no state is stored there; a relative stateDir in the configuration is resolved against its file, one in a flag or the environment against the working directory", ErrNoFolder, folder)
	case err != nil:
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock := flock.New(filepath.Join(folder, lockName), flock.SetFlag(os.O_RDONLY))
	taken, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist): // no process ever had the folder open
	case err != nil:
		return nil, fmt.Errorf("state folder %s: lock: %w", folder, err)
	case !taken:
		return nil, locked(folder)
	}
	return &File{folder: folder, lock: lock, files: disk{}, now: time.Now, ahead: map[string]int{}}, nil
}

func absolute(folder string) (string, error) {
	if folder == "" {
		return "", errors.New("state folder: no path is given")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("state folder: %w", err)
	}
	return folder, nil
}

// Folder returns the absolute path of the folder.
func (f *File) Folder() string { return f.folder }

// IsNew reports whether the folder was made, or empty, when it was opened.
func (f *File) IsNew() bool { return f.fresh }

// lockFolder takes the lock, which the kernel gives back when the process ends,
// however it ends. The file stays: removing it would let two processes lock two
// files of the same name.
func lockFolder(folder string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(folder, lockName))
	taken, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("state folder %s: lock: %w", folder, err)
	case !taken:
		return nil, locked(folder)
	}
	// Only told to people: a pid that cannot be written does no harm.
	_ = os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return lock, nil
}

// locked is the error for a folder that another process uses.
func locked(folder string) error {
	holder := "another process"
	if pid, err := os.ReadFile(filepath.Join(folder, lockName)); err == nil && len(pid) > 0 {
		holder = "process " + strings.TrimSpace(string(pid))
	}
	return fmt.Errorf("%w: %s by %s: stop that one, or set another stateDir", ErrLocked, folder, holder)
}

// sweep removes what writes that were killed have left, and finds out whether
// anything else is there.
func (f *File) sweep() error {
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return err
	}
	f.fresh = !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != lockName })
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			if err := os.Remove(filepath.Join(f.folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close gives the folder free.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// Load returns what was saved, see Store. A file that cannot be understood is
// renamed, so that nothing is lost, and the error, which wraps ErrCorrupt or
// ErrNewer, names where it is; the next Load finds nothing.
func (f *File) Load(ctx context.Context, sync string) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, s, err := f.read(ctx, sync)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) {
		return State{}, f.setAside(name, sync, err)
	}
	return s, told(sync, err)
}

// Peek is Load without setting anything aside.
func (f *File) Peek(ctx context.Context, sync string) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, s, err := f.read(ctx, sync)
	return s, told(sync, err)
}

// read reads the file of a sync; mu is held.
func (f *File) read(ctx context.Context, sync string) (name string, s State, err error) {
	if name, err = f.path(ctx, sync); err != nil {
		return name, State{}, err
	}
	if f.lock == nil {
		return name, State{}, os.ErrClosed
	}
	b, err := readBounded(name, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return name, State{}, nil
	}
	if err != nil {
		return name, State{}, err
	}
	s, err = decode(b, sync)
	return name, s, err
}

// readBounded reads a file of at most so many bytes. A longer one is an error that
// wraps ErrCorrupt.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%w: the file has %d bytes, at most %d are read", ErrCorrupt, info.Size(), most)
	}
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = b.ReadFrom(io.LimitReader(f, most))
	return b.Bytes(), err
}

// told says of which sync an error is.
func told(sync string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state of sync %q: %w", sync, err)
}

// setAside renames a file that cannot be understood.
func (f *File) setAside(name, sync string, why error) error {
	mark := ".corrupt-"
	if errors.Is(why, ErrNewer) {
		mark = ".newer-"
	}
	aside := name + mark + f.now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(name, aside); err != nil {
		return fmt.Errorf("state of sync %q: %w; moving it aside: %w", sync, why, err)
	}
	if err := f.files.syncFolder(f.folder); err != nil {
		return fmt.Errorf("state of sync %q: %w; moving it aside: %w", sync, why, err)
	}
	return fmt.Errorf("state of sync %q: %w: moved aside to %s; its inventory, suspensions, rollbacks, approvals and history are lost", sync, why, aside)
}

// Save replaces what is saved of a sync, see Store. Older history than
// MaxHistory entries is dropped.
func (f *File) Save(ctx context.Context, sync string, s State) error {
	name, err := f.path(ctx, sync)
	if err != nil {
		return told(sync, err)
	}
	b, err := encode(bounded(s), sync)
	if err != nil {
		return told(sync, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return told(sync, os.ErrClosed)
	}
	if err := replace(f.files, f.folder, filepath.Base(name), b); err != nil {
		return fmt.Errorf("state of sync %q is not saved, the previous one remains: %w", sync, err)
	}
	delete(f.ahead, name)
	return nil
}

// path returns the file of a sync.
func (f *File) path(ctx context.Context, sync string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	name, err := escaped(sync)
	if err != nil {
		return "", err
	}
	return filepath.Join(f.folder, prefix+name+suffix), nil
}

// Syncs names the syncs of which something is saved, sorted.
func (f *File) Syncs(context.Context) ([]string, error) {
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	var syncs []string
	for _, e := range entries {
		name, isState := strings.CutPrefix(e.Name(), prefix)
		name, whole := strings.CutSuffix(name, suffix)
		if sync, ok := unescaped(name); ok && isState && whole {
			syncs = append(syncs, sync)
		}
	}
	slices.Sort(syncs)
	return syncs, nil
}
