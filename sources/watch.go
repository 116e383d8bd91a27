package sources

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// watcher says when to look at a directory again. It owns one goroutine.
//
// It only ever says look again and reads no file, so an event lost or doubled
// does no harm: what counts is what the next look finds.
type watcher struct {
	path     string
	exclude  string // see DirectoryOptions
	poll     time.Duration
	debounce time.Duration
	burst    time.Duration
	log      *slog.Logger

	notify  *fsnotify.Watcher // nil where the system gives none: then the poll alone works
	changed wait.Signal
	quit    chan struct{}
	done    chan struct{}
	warned  bool
}

// startWatcher begins to watch, before the first look, so that no change falls between.
func startWatcher(o DirectoryOptions) *watcher {
	w := &watcher{
		path: o.Path, exclude: o.Exclude, poll: o.Poll, debounce: o.Debounce, burst: o.Burst, log: o.Log,
		changed: wait.NewSignal(), quit: make(chan struct{}), done: make(chan struct{}),
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.warn(err)
	} else {
		w.notify = notify
		w.watchAll()
	}
	go w.run()
	return w
}

func (w *watcher) stop() error {
	close(w.quit)
	<-w.done
	if w.notify == nil {
		return nil
	}
	return w.notify.Close()
}

func (w *watcher) run() {
	defer close(w.done)
	poll := time.NewTicker(w.poll)
	defer poll.Stop()
	// Set anew by each event, so that it ends when a burst does, and by none after
	// what one may take: a directory that never rests is looked at too.
	quiet := time.NewTimer(w.debounce)
	quiet.Stop()
	defer quiet.Stop()
	var began time.Time // of the burst; zero: nothing changed since the last look
	arm := func() {
		if began.IsZero() {
			began = time.Now()
		}
		quiet.Reset(min(w.debounce, w.burst-time.Since(began)))
	}
	var events chan fsnotify.Event
	var failures chan error
	if w.notify != nil {
		events, failures = w.notify.Events, w.notify.Errors
	}
	for {
		select {
		case <-w.quit:
			return
		case <-poll.C:
			w.watchAll()
			w.changed.Notify()
		case <-quiet.C:
			began = time.Time{}
			w.changed.Notify()
		case event := <-events:
			if w.handle(event) {
				arm()
			}
		case err := <-failures: // an overflow among them: events are lost, folders may be new
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.warn(err)
			}
			w.watchAll()
			arm()
		}
	}
}

// handle takes one event and says whether it concerns the directory.
func (w *watcher) handle(event fsnotify.Event) bool {
	switch target := w.target(); {
	case event.Name == w.path || event.Name == target:
		// The directory itself, or the symlink to it, came, went or was replaced.
		w.watchAll()
		return true
	case w.exclude != "" && isBelow(w.exclude, event.Name):
		return false
	case !isBelow(w.path, event.Name) && !isBelow(target, event.Name):
		return false // a neighbour: the folder above is watched too
	}
	if event.Has(fsnotify.Create) {
		if info, err := os.Lstat(event.Name); err == nil && info.IsDir() {
			w.watchTree(event.Name)
		}
	}
	return true
}

func isBelow(root, name string) bool {
	rel, err := filepath.Rel(root, name)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// target is the directory itself where the path is a symlink to it.
func (w *watcher) target() string {
	if target, err := filepath.EvalSymlinks(w.path); err == nil {
		return target
	}
	return w.path
}

// watchAll makes the watches those of the tree as it is now.
func (w *watcher) watchAll() {
	if w.notify == nil {
		return
	}
	stale := w.notify.WatchList()
	// The folder above tells when the directory itself comes, goes or is replaced.
	wanted := []string{filepath.Dir(w.path)}
	w.add(wanted[0])
	wanted = append(wanted, w.watchTree(w.target())...)
	slices.Sort(wanted)
	for _, name := range stale {
		if _, found := slices.BinarySearch(wanted, name); !found {
			_ = w.notify.Remove(name) // gone already: as it should be
		}
	}
}

// watchTree watches a folder and all below it, and returns them. Inotify knows
// no recursion; a folder that comes later is added when its event comes.
func (w *watcher) watchTree(root string) []string {
	var watched []string
	_ = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // gone or unreadable: Snapshot tells
		case !e.IsDir():
			return nil
		case e.Name() == ".git" && name != root:
			return fs.SkipDir
		}
		watched = append(watched, name)
		w.add(name)
		return nil
	})
	return watched
}

func (w *watcher) add(name string) {
	if err := w.notify.Add(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.warn(err)
	}
}

// warn says once that the poll is all there is: more would repeat it for every
// folder and every poll.
func (w *watcher) warn(err error) {
	if !w.warned {
		w.warned = true
		w.log.Warn("cannot watch the whole directory: falling back to polling",
			"directory", w.path, "poll", w.poll, "error", err)
	}
}
