package sources

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// never is a poll that does not come while a test runs.
const never = time.Hour

func openDirectory(t testing.TB, path string) *Directory {
	return openDirectoryWith(t, DirectoryOptions{Path: path, Poll: never, Debounce: time.Millisecond})
}

func openDirectoryWith(t testing.TB, o DirectoryOptions) *Directory {
	t.Helper()
	d, err := NewDirectory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// put writes files below a folder.
func put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, content)
	}
}

// until looks each time the source says so, till the state is as wanted.
func until(t testing.TB, d *Directory, what string, reached func(*Snapshot, error) bool) {
	t.Helper()
	late := time.After(testenv.Patience)
	for {
		s, err := d.Snapshot(t.Context())
		if reached(s, err) {
			return
		}
		select {
		case <-d.Changed():
		case <-late:
			t.Fatalf("%s: not told; the last look was %v, %v", what, s, err)
		}
	}
}

func has(name, content string) func(*Snapshot, error) bool {
	return func(s *Snapshot, err error) bool {
		if err != nil {
			return false
		}
		got, err := fs.ReadFile(s.FS, name)
		return err == nil && string(got) == content
	}
}

func hasNot(name string) func(*Snapshot, error) bool {
	return func(s *Snapshot, err error) bool {
		if err != nil {
			return false
		}
		_, err = fs.Stat(s.FS, name)
		return errors.Is(err, fs.ErrNotExist)
	}
}

func TestDirectoryTellsChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"a": "1", "sub/b": "2"})
	d := openDirectory(t, dir)
	first := snapshot(t, d)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }

	writeFile(t, at("a"), "2")
	until(t, d, "written", has("a", "2"))
	put(t, dir, map[string]string{"new/deep/er/c": "3"})
	until(t, d, "new folders", has("new/deep/er/c", "3"))
	writeFile(t, at("new/deep/er/c"), "4")
	until(t, d, "in a new folder", has("new/deep/er/c", "4"))
	writeFile(t, at("sub/.b.swp"), "editor")
	must(os.Rename(at("sub/.b.swp"), at("sub/b")))
	until(t, d, "replaced by rename", has("sub/b", "editor"))
	must(os.Rename(at("sub"), at("moved")))
	until(t, d, "folder renamed", has("moved/b", "editor"))
	writeFile(t, at("moved/b"), "5")
	until(t, d, "in a renamed folder", has("moved/b", "5"))
	must(os.Remove(at("a")))
	until(t, d, "removed", hasNot("a"))
	must(os.RemoveAll(at("new")))
	until(t, d, "folder removed", hasNot("new"))
	wantFile(t, first, "sub/b", "2") // what was read does not move
}

func TestDirectoryRemovedAndBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "manifests")
	put(t, dir, map[string]string{"a": "1"})
	d := openDirectory(t, dir)
	last := snapshot(t, d)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	until(t, d, "removed", func(_ *Snapshot, err error) bool { return errors.Is(err, ErrNotFound) })
	wantFile(t, last, "a", "1")
	put(t, dir, map[string]string{"a": "2"})
	until(t, d, "back", has("a", "2"))
	writeFile(t, filepath.Join(dir, "a"), "3")
	until(t, d, "written after it came back", has("a", "3"))
}

// TestDirectoryWithoutWhatPacerWrites: a state folder beside the manifests is no
// revision of them.
func TestDirectoryWithoutWhatPacerWrites(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"apps/web.yaml": "id: web", "pacer-state/sync-a.json": "{}", "apps/pacer-state/web.yaml": "id: other"})
	d := openDirectoryWith(t, DirectoryOptions{Path: dir, Exclude: filepath.Join(dir, "pacer-state"), Poll: never, Debounce: time.Millisecond})
	first, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(first.FS, "pacer-state"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state folder is content: %v", err)
	}
	if _, err := fs.Stat(first.FS, "apps/pacer-state/web.yaml"); err != nil {
		t.Errorf("another folder of the name is not: %v", err)
	}
	put(t, dir, map[string]string{"pacer-state/sync-a.json": `{"more": 1}`, "pacer-state/sync-b.json": "{}"})
	if second, err := d.Snapshot(t.Context()); err != nil || second != first {
		t.Errorf("a write to the state folder is another revision: %v", err)
	}
}

func TestDirectoryThatIsASymlink(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	put(t, base, map[string]string{"v1/a": "1", "v2/a": "2"})
	link := filepath.Join(base, "current")
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, link)
	wantFile(t, snapshot(t, d), "a", "1")
	writeFile(t, filepath.Join(base, "v1/a"), "1b")
	until(t, d, "written behind the link", has("a", "1b"))
	if err := os.Symlink("v2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	until(t, d, "link moved", has("a", "2"))
	writeFile(t, filepath.Join(base, "v2/a"), "2b")
	until(t, d, "written behind the moved link", has("a", "2b"))
}

func TestDirectoryPollIsTheTruth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"a": "1"})
	d := openDirectoryWith(t, DirectoryOptions{Path: dir, Poll: 10 * time.Millisecond, Debounce: time.Millisecond})
	snapshot(t, d)
	if err := d.watcher.notify.Remove(dir); err != nil { // as if its events were lost
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "a"), "2")
	until(t, d, "written unseen", has("a", "2"))
}

func TestDirectoryOverflowMeansAFullLook(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"sub/a": "1"})
	d := openDirectory(t, dir)
	snapshot(t, d)
	if err := d.watcher.notify.Remove(filepath.Join(dir, "sub")); err != nil { // a folder whose event was lost
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "sub/a"), "2")
	d.watcher.notify.Errors <- fsnotify.ErrEventOverflow
	until(t, d, "after the overflow", has("sub/a", "2"))
	writeFile(t, filepath.Join(dir, "sub/a"), "3")
	until(t, d, "in the folder that is watched again", has("sub/a", "3"))
}

func TestDirectoryRevision(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	content := map[string]string{"a": "1", "sub/b": "2"}
	put(t, one, content)
	put(t, two, content)
	put(t, two, map[string]string{".git/HEAD": "ref: refs/heads/main"})
	if err := os.Chtimes(filepath.Join(two, "a"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	a, b := snapshot(t, openDirectory(t, one)), snapshot(t, openDirectory(t, two))
	if a.Revision.ID != b.Revision.ID || !strings.HasPrefix(a.Revision.ID, "sha256:") {
		t.Errorf("equal content, revisions %s and %s", a.Revision.ID, b.Revision.ID)
	}
	for name, change := range map[string]map[string]string{
		"content": {"a": "2"}, "moved between names": {"a": "2", "sub/b": "1"}, "another file": {"c": ""},
	} {
		dir := t.TempDir()
		put(t, dir, content)
		put(t, dir, change)
		if c := snapshot(t, openDirectory(t, dir)); c.Revision.ID == a.Revision.ID {
			t.Errorf("%s: the revision is the same", name)
		}
	}
	d := openDirectory(t, one)
	if s := snapshot(t, d); s != snapshot(t, d) {
		t.Error("nothing changed, and the snapshot is another")
	}
}

func TestDirectoryRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	put(t, outside, map[string]string{"secret": "x"})
	put(t, dir, map[string]string{"sub/a": "1", ".git/config": "x", "new\nline": "x"})
	for link, to := range map[string]string{"out": outside, "sub/file": filepath.Join(outside, "secret"), "in": "sub", "loop": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, openDirectory(t, dir))
	if got := names(t, s.FS); strings.Join(got, ",") != "sub,sub/a" {
		t.Errorf("walk finds %q", got)
	}
	told := refused(t, s.FS)
	for name, because := range map[string]string{
		"out": "symlink", "sub/file": "symlink", "in": "symlink", "loop": "symlink", "pipe": "not a regular file", `new\nline`: "control characters",
	} {
		if !strings.Contains(told[name], because) {
			t.Errorf("%s is refused because %q, want %q", name, told[name], because)
		}
	}
	if len(told) != 6 {
		t.Errorf("refused are %q", told)
	}
}

func TestDirectoryUnreadableIsNotEmpty(t *testing.T) {
	for name, damage := range map[string]string{"file": "sub/a", "folder": "sub"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, map[string]string{"sub/a": "1", "b": "2"})
			for _, file := range []string{"sub/a", "b"} { // for everybody
				if err := os.Chmod(filepath.Join(dir, file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			d := openDirectory(t, dir)
			look := func() (*Snapshot, error) { return d.read(t.Context()) } // on this thread, whose rights are taken
			asNobody(t, dir, func() {
				if _, err := look(); err != nil {
					t.Error(err)
				}
			})
			if err := os.Chmod(filepath.Join(dir, damage), 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(filepath.Join(dir, damage), 0o700) }) //nolint:errcheck
			asNobody(t, dir, func() {
				s, err := look()
				if err == nil || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), damage) {
					t.Errorf("got %v, %v", s, err)
				}
			})
		})
	}
}

// asNobody runs f without the right of root to read everything.
func asNobody(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0) //nolint:errcheck
	}
	f()
}

func TestDirectoryLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"a/b/c": "12345", "d": "67890", "e": "x"})
	for name, l := range map[string]Limits{"files": {Files: 3}, "total": {TotalBytes: 8}, "depth": {Depth: 2}} {
		t.Run(name, func(t *testing.T) {
			fails(t, openDirectoryWith(t, DirectoryOptions{Path: dir, Limits: l}), ErrLimit)
		})
	}
	s := snapshot(t, openDirectoryWith(t, DirectoryOptions{Path: dir, Limits: Limits{FileBytes: 4}}))
	wantFile(t, s, "e", "x")
	if _, err := fs.ReadFile(s.FS, "d"); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryIsReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDirectory(t, filepath.Join(dir, "a-file"))
	fails(t, d, ErrNotFound)
	writeFile(t, filepath.Join(dir, "a-file"), "x")
	if s, err := d.Snapshot(t.Context()); err == nil {
		t.Errorf("a file is taken for a directory: %v", s)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, d, ErrClosed)
}

func TestDirectoryLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		d, err := NewDirectory(DirectoryOptions{Path: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		snapshot(t, d)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	waitForGoroutines(t, before)
}
