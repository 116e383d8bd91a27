package sources

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// unwatched is a directory of which the system tells nothing, so that time in a
// bubble can pass; listed is called each time it was listed and is to be read.
func unwatched(t *testing.T, dir string, listed func()) *Directory {
	t.Helper()
	o := DirectoryOptions{Path: dir, Poll: never, Debounce: 300 * time.Millisecond, Burst: 5 * time.Second, listed: listed}
	o.Limits = o.Limits.withDefaults()
	return &Directory{options: o, turn: make(chan struct{}, 1)}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Error(err)
	}
}

// TestDirectoryWhereTemporaryFilesComeAndGo: what an editor or sed puts beside a
// manifest is gone when it is to be read, at each of many tries.
func TestDirectoryWhereTemporaryFilesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"web.yaml": "id: web", "sub/b.yaml": "id: b"})
	for _, times := range []int{1, 12, 40} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				there := func() string { return filepath.Join(dir, fmt.Sprintf("sub/sed%d", n)) }
				writeFile(t, there(), "temporary")
				s := snapshot(t, unwatched(t, dir, func() {
					if n < times {
						remove(t, there())
						if n++; n < times {
							writeFile(t, there(), "temporary")
						}
					}
				}))
				if got := strings.Join(names(t, s.FS), ","); got != "sub,sub/b.yaml,web.yaml" {
					t.Errorf("found %s", got)
				}
			})
		})
	}
}

// TestDirectoryNeverWithoutWhatMoves: a file that goes from a folder that is yet to
// be read into one that was is missed by a single look.
func TestDirectoryNeverWithoutWhatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, map[string]string{"a/one.yaml": "id: one", "z/web.yaml": "id: web"})
		there := false
		s := snapshot(t, unwatched(t, dir, func() {
			if !there {
				there = true
				rename(t, filepath.Join(dir, "z/web.yaml"), filepath.Join(dir, "a/web.yaml"))
			}
		}))
		wantFile(t, s, "a/web.yaml", "id: web")
		if !hasNot("z/web.yaml")(s, nil) {
			t.Error("it is read twice")
		}
	})
}

// TestDirectoryFollowsABurstAsOne: while somebody renames twenty files, one every
// 100 ms, none of the states between is a revision, whenever it is read.
func TestDirectoryFollowsABurstAsOne(t *testing.T) {
	for _, begin := range []time.Duration{0, 50 * time.Millisecond, 950 * time.Millisecond} {
		t.Run(begin.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				for i := range 20 {
					put(t, dir, map[string]string{fmt.Sprintf("old/app-%02d.yaml", i): "id: app", "new/readme": ""})
				}
				d := unwatched(t, dir, nil)
				snapshot(t, d)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for i := range 20 {
						name := fmt.Sprintf("app-%02d.yaml", i)
						rename(t, filepath.Join(dir, "old", name), filepath.Join(dir, "new", name))
						time.Sleep(100 * time.Millisecond)
					}
				}()
				time.Sleep(begin + time.Millisecond) // between two renames
				got := strings.Join(names(t, snapshot(t, d).FS), ",")
				<-ended
				if old, moved := strings.Count(got, "old/"), strings.Count(got, "new/app"); old != 0 || moved != 20 {
					t.Errorf("read half way: %d files at their old places, %d at their new", old, moved)
				}
			})
		})
	}
}

// TestDirectoryThatNeverRests: a log that grows all the time, and temporary files
// that never cease, are waited for as long as a burst may last.
func TestDirectoryThatNeverRests(t *testing.T) {
	grow := func(t *testing.T, dir string, n int) {
		f, err := os.OpenFile(filepath.Join(dir, "a.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // it is a test's
		fmt.Fprintln(f, "line", n)
	}
	comeAndGo := func(t *testing.T, dir string, n int) {
		if n%2 == 0 {
			writeFile(t, filepath.Join(dir, fmt.Sprintf("a.%d", n)), "x")
		} else {
			remove(t, filepath.Join(dir, fmt.Sprintf("a.%d", n-1)))
		}
	}
	for name, change := range map[string]func(*testing.T, string, int){"grows": grow, "comes and goes": comeAndGo} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				put(t, dir, map[string]string{"web.yaml": "id: web"})
				d := unwatched(t, dir, nil)
				stop, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					for n := 0; ; n++ {
						select {
						case <-time.After(10 * time.Millisecond):
							change(t, dir, n)
						case <-stop:
							return
						}
					}
				}()
				began := time.Now()
				s := snapshot(t, d)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("read after %s", took)
				}
				wantFile(t, s, "web.yaml", "id: web")
				close(stop)
				<-ended
			})
		})
	}
}

// TestDirectoryThatMovesAtEveryLookSaysWhere: that is an error in the end, since a
// file that was missed would be taken for one that was removed.
func TestDirectoryThatMovesAtEveryLookSaysWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, map[string]string{"web.yaml": "id: web", "sub/0": ""})
		n := 0
		d := unwatched(t, dir, func() {
			n++
			rename(t, filepath.Join(dir, fmt.Sprint("sub/", n-1)), filepath.Join(dir, fmt.Sprint("sub/", n)))
		})
		_, err := d.Snapshot(t.Context())
		if err == nil || !strings.Contains(err.Error(), "sub/") || !errors.Is(err, errMoved) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDirectoryReplacedWhileItIsRead: two renames put another directory at the path;
// between them nothing is there.
func TestDirectoryReplacedWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := t.TempDir()
		at := func(name string) string { return filepath.Join(base, name) }
		put(t, base, map[string]string{"now/a": "1", "next/a": "2", "next/b": "2"})
		d := unwatched(t, at("now"), nil)
		snapshot(t, d)
		rename(t, at("now"), at("before"))
		go func() {
			time.Sleep(50 * time.Millisecond)
			rename(t, at("next"), at("now"))
		}()
		s := snapshot(t, d)
		wantFile(t, s, "a", "2")
		wantFile(t, s, "b", "2")
		if err := os.RemoveAll(at("now")); err != nil {
			t.Fatal(err)
		}
		fails(t, d, ErrNotFound)
	})
}

// TestWatcherTellsABurstOnce: it tells once nothing has changed for a while, and now
// and then where that does not come.
func TestWatcherTellsABurstOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan fsnotify.Event)
		w := &watcher{
			path: "/manifests", poll: never, debounce: 300 * time.Millisecond, burst: 5 * time.Second,
			notify:  &fsnotify.Watcher{Events: events, Errors: make(chan error)},
			changed: wait.NewSignal(), quit: make(chan struct{}), done: make(chan struct{}),
		}
		go w.run()
		defer func() {
			close(w.quit)
			<-w.done
		}()
		began := time.Now()
		var told []time.Duration
		burst := func(n int, every time.Duration) {
			for range n {
				events <- fsnotify.Event{Name: "/manifests/web.yaml", Op: fsnotify.Write}
				after := time.After(every)
				for waiting := true; waiting; {
					select {
					case <-w.changed:
						told = append(told, time.Since(began))
					case <-after:
						waiting = false
					}
				}
			}
			select {
			case <-w.changed:
				told = append(told, time.Since(began))
			case <-time.After(time.Minute):
			}
		}
		burst(20, 100*time.Millisecond) // the last at 1.9 s
		if len(told) != 1 || told[0] != 2200*time.Millisecond {
			t.Errorf("told after %v, want once, 300 ms after the last of twenty events", told)
		}
		began, told = time.Now(), nil
		burst(110, 100*time.Millisecond) // the last at 10.9 s
		if len(told) != 3 || told[0] != 5*time.Second || told[2] != 11200*time.Millisecond {
			t.Errorf("told after %v, want at 5 s, once more of what never rests, and at its end", told)
		}
	})
}
