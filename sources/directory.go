package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// DefaultInterval is how often a source is polled where nothing else is said: a git
// server, too.
const DefaultInterval = 30 * time.Second

// DirectoryOptions say which directory is a source, and how it is watched.
type DirectoryOptions struct {
	// Path of the directory. It may be a symlink; symlinks inside it are refused.
	Path string
	// Exclude is the path of a folder that is no content where it lies in
	// the directory, such as one that Pacer itself writes to; empty: none.
	Exclude string
	// Poll is how often Changed says look again though the system told of no
	// change: 30 s where zero. Notifications can be lost, on network file
	// systems always; the poll is the truth.
	Poll time.Duration
	// Debounce is how long nothing must change before the directory is read, so that
	// the many changes of one save, one checkout or one move of many files are one
	// revision: 300 ms where zero.
	Debounce time.Duration
	// Burst is how long a directory that does not come to rest is waited for before it
	// is read all the same: 5 s where zero.
	Burst  time.Duration
	Limits Limits
	Log    *slog.Logger // nil: nothing is logged

	listed func() // for tests; see scanOptions
}

// Directory is a source that is a directory of this machine. A snapshot is a
// copy in memory: what is written to the directory later does not reach it.
type Directory struct {
	options DirectoryOptions
	watcher *watcher

	turn   chan struct{} // held by whoever reads; see attempt
	last   *Snapshot     // guarded by turn, as what is below
	closed bool
}

var _ Source = (*Directory)(nil)

// NewDirectory begins to watch a directory. Its absence is an error of
// Snapshot, not of this function: it may come back.
func NewDirectory(o DirectoryOptions) (*Directory, error) {
	if o.Path == "" {
		return nil, errors.New("a directory source needs a path")
	}
	absolute, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", o.Path, err)
	}
	o.Path = absolute
	if o.Exclude != "" {
		if o.Exclude, err = filepath.Abs(o.Exclude); err != nil {
			return nil, fmt.Errorf("directory %s: without %s: %w", o.Path, o.Exclude, err)
		}
	}
	o.Poll = cmp.Or(o.Poll, DefaultInterval)
	o.Debounce = cmp.Or(o.Debounce, 300*time.Millisecond)
	o.Burst = cmp.Or(o.Burst, 5*time.Second)
	o.Limits = o.Limits.withDefaults()
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Directory{options: o, watcher: startWatcher(o), turn: make(chan struct{}, 1)}, nil
}

// excluded is the path, in the directory, of what is no content; empty: all is.
func (o DirectoryOptions) excluded() string {
	if o.Exclude == "" || !isBelow(o.Path, o.Exclude) {
		return ""
	}
	below, err := filepath.Rel(o.Path, o.Exclude)
	if err != nil { // of two absolute paths, of which one is below the other
		return ""
	}
	return filepath.ToSlash(below)
}

// Snapshot reads the whole directory as it is at one moment; see scanDirectory. Any
// file or folder in it that cannot be read is an error for all of it, as what stands
// there is unknown. Of a directory that changes just now it waits for the end of that.
func (d *Directory) Snapshot(ctx context.Context) (*Snapshot, error) {
	return attempt(ctx, "directory "+d.options.Path, d.turn, d.options.Log, func() (*Snapshot, error) { return d.read(ctx) })
}

func (d *Directory) read(ctx context.Context) (*Snapshot, error) {
	if d.closed {
		return nil, fmt.Errorf("directory %s: %w", d.options.Path, ErrClosed)
	}
	o := scanOptions{
		dir: d.options.Path, exclude: d.options.excluded(), limits: d.options.Limits,
		quiet: d.options.Debounce, burst: d.options.Burst, listed: d.options.listed,
	}
	if d.last != nil {
		o.known = d.last.Revision.ID
	}
	read, err := scanDirectory(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", d.options.Path, err)
	}
	if d.last != nil && d.last.Revision.ID == read.root {
		return d.last, nil
	}
	d.last = &Snapshot{
		Revision: Revision{ID: read.root, Time: read.newest},
		FS:       newTreeFS(read.objects, read.root, read.newest, d.options.Limits),
	}
	return d.last, nil
}

// Changed receives a value when a file system event or the poll says look again.
func (d *Directory) Changed() <-chan struct{} { return d.watcher.changed }

// String is the absolute path.
func (d *Directory) String() string { return d.options.Path }

// Close stops watching.
func (d *Directory) Close() error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-time.After(closeGrace):
		return fmt.Errorf("directory %s: close: a read has not ended after %s", d.options.Path, closeGrace)
	}
	if d.closed {
		return nil
	}
	d.closed = true
	return d.watcher.stop()
}
