package sources

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/visible"
)

// objects holds folders and files by the id of their content. Its methods may
// be called from several goroutines.
type objects interface {
	folder(id string) (*folder, error)
	// file returns a file's content, or ErrLimit where it is too large.
	file(id string) ([]byte, error)
	size(id string) (int64, error)
}

// folder is immutable once made.
type folder struct {
	entries []entry // sorted by name
	refused []RefusedEntry
}

type entry struct {
	name string
	id   string // of the content
	dir  bool
	exec bool
}

// newFolder sorts entries, and refuses names that stand twice or cannot be told
// apart from a path.
func newFolder(entries []entry, refused []RefusedEntry) *folder {
	if byName := func(a, b entry) int { return cmp.Compare(a.name, b.name) }; !slices.IsSortedFunc(entries, byName) {
		slices.SortFunc(entries, byName) // git sorts a folder as if its name ended in a slash
	}
	f := &folder{entries: make([]entry, 0, len(entries)), refused: refused}
	for i, e := range entries {
		twice := i > 0 && entries[i-1].name == e.name || i+1 < len(entries) && entries[i+1].name == e.name
		reason := refuseName(e.name)
		if twice && reason == "" {
			reason = "occurs twice in its folder: not read"
		}
		if reason != "" {
			f.refused = append(f.refused, RefusedEntry{Name: printable(e.name), Reason: reason})
			continue
		}
		f.entries = append(f.entries, e)
	}
	slices.SortFunc(f.refused, func(a, b RefusedEntry) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

func (f *folder) find(name string) (entry, bool) {
	i, found := slices.BinarySearchFunc(f.entries, name, func(e entry, name string) int { return cmp.Compare(e.name, name) })
	if !found {
		return entry{}, false
	}
	return f.entries[i], true
}

// refuseName says why a name is not read; empty if it is.
func refuseName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is not a valid file name: not read"
	case strings.EqualFold(name, ".git"):
		return "is reserved for git: not read"
	case strings.Contains(name, "/"):
		return "has a slash in its name: not read"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has control characters in its name: not read"
	case !utf8.ValidString(name):
		return "has a name that is not UTF-8: not read"
	case len(name) > maxName:
		return fmt.Sprintf("has a name of %d bytes, at most %d are read: not read", len(name), maxName)
	}
	return ""
}

// maxName is the longest name of a file or folder that file systems take.
const maxName = 255

// printable is the name of an entry that is refused, which can be anything.
func printable(name string) string { return visible.Line(visible.Cut(name, maxName)) }

// treeFS is the file system of a snapshot: it reads objects when asked.
type treeFS struct {
	objects objects
	root    entry
	at      string // path of root in the source, "." for the source's own
	time    time.Time
	meter   *meter

	refusedOnce sync.Once
	refused     []RefusedEntry
}

var (
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadFileFS = (*treeFS)(nil)
	_ fs.StatFS     = (*treeFS)(nil)
	_ fs.SubFS      = (*treeFS)(nil)
)

func newTreeFS(o objects, root string, modified time.Time, l Limits) *treeFS {
	return &treeFS{objects: o, root: entry{name: ".", id: root, dir: true}, at: ".", time: modified, meter: newMeter(l)}
}

// resolve finds the entry of a path.
func (t *treeFS) resolve(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at := t.root
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !at.dir {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		f, err := t.objects.folder(at.id)
		if err != nil {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
		}
		next, found := f.find(part)
		if !found {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: absent(f, part)}
		}
		at = next
	}
	return at, nil
}

// absent tells what is refused from what is not there.
func absent(f *folder, name string) error {
	for _, r := range f.refused {
		if r.Name == printable(name) {
			return fmt.Errorf("%w: it %s", ErrRefused, r.Reason)
		}
	}
	return fs.ErrNotExist
}

// list is the folder at a path, counted.
func (t *treeFS) list(op, name string, e entry) (*folder, error) {
	if !e.dir {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("not a directory")}
	}
	full := path.Join(t.at, name)
	if deep := strings.Count(full, "/") + 1; deep > t.meter.limits.Depth {
		return nil, &fs.PathError{Op: op, Path: name, Err: fmt.Errorf("%w: folders nest deeper than %d", ErrLimit, t.meter.limits.Depth)}
	}
	f, err := t.objects.folder(e.id)
	if err == nil {
		err = t.meter.list(full, len(f.entries)+len(f.refused))
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return f, nil
}

func (t *treeFS) read(op, name string, e entry) ([]byte, error) {
	if e.dir {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("is a directory")}
	}
	content, err := t.objects.file(e.id)
	if err == nil {
		err = t.meter.take(path.Join(t.at, name), int64(len(content)))
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return content, nil
}

// Open implements fs.FS.
func (t *treeFS) Open(name string) (fs.File, error) {
	e, err := t.resolve("open", name)
	if err != nil {
		return nil, err
	}
	info := fileInfo{fs: t, entry: e}
	if e.dir {
		f, err := t.list("open", name, e)
		if err != nil {
			return nil, err
		}
		return &openFolder{info: info, path: name, entries: t.dirEntries(f)}, nil
	}
	content, err := t.read("open", name, e)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(content), info: info}, nil
}

// ReadDir implements fs.ReadDirFS. It looks up no sizes.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.resolve("readdir", name)
	if err != nil {
		return nil, err
	}
	f, err := t.list("readdir", name, e)
	if err != nil {
		return nil, err
	}
	return t.dirEntries(f), nil
}

func (t *treeFS) dirEntries(f *folder) []fs.DirEntry {
	all := make([]dirEntry, len(f.entries))
	out := make([]fs.DirEntry, len(f.entries))
	for i, e := range f.entries {
		all[i].fileInfo = fileInfo{fs: t, entry: e}
		out[i] = &all[i]
	}
	return out
}

// ReadFile implements fs.ReadFileFS.
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	e, err := t.resolve("readfile", name)
	if err != nil {
		return nil, err
	}
	content, err := t.read("readfile", name, e)
	return bytes.Clone(content), err
}

// Stat implements fs.StatFS.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) {
	e, err := t.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	info := fileInfo{fs: t, entry: e}
	return info.sized()
}

// Sub implements fs.SubFS. The file system that it returns tells the refused
// entries of its folder alone, and shares the limits of the whole.
func (t *treeFS) Sub(dir string) (fs.FS, error) {
	e, err := t.resolve("sub", dir)
	if err != nil {
		return nil, err
	}
	if !e.dir {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: errors.New("not a directory")}
	}
	e.name = "."
	return &treeFS{objects: t.objects, root: e, at: path.Join(t.at, dir), time: t.time, meter: t.meter}, nil
}

// Refused returns the entries of the tree that are not shown, by path; a folder
// that cannot be listed is one of them.
func (t *treeFS) Refused() []RefusedEntry {
	t.refusedOnce.Do(func() { t.collectRefused(".", t.root) })
	return slices.Clone(t.refused)
}

func (t *treeFS) collectRefused(name string, e entry) {
	f, err := t.list("list", name, e)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		t.refused = append(t.refused, RefusedEntry{Name: name, Reason: "cannot be listed: " + err.Error()})
		return
	}
	for _, r := range f.refused {
		// Not path.Join: it would resolve a name that is "..".
		if name != "." {
			r.Name = name + "/" + r.Name
		}
		t.refused = append(t.refused, r)
	}
	for _, sub := range f.entries {
		if sub.dir {
			t.collectRefused(path.Join(name, sub.name), sub)
		}
	}
}

// fileInfo is what is known of an entry; its size is looked up when asked for.
type fileInfo struct {
	fs    *treeFS
	entry entry
	size  int64
}

// sized returns a copy that knows its size.
func (i fileInfo) sized() (fs.FileInfo, error) {
	if i.entry.dir {
		return &i, nil
	}
	var err error
	if i.size, err = i.fs.objects.size(i.entry.id); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: i.entry.name, Err: err}
	}
	return &i, nil
}

func (i *fileInfo) Name() string       { return i.entry.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) ModTime() time.Time { return i.fs.time }
func (i *fileInfo) IsDir() bool        { return i.entry.dir }
func (i *fileInfo) Sys() any           { return nil }

// ContentID is equal for equal content.
func (i *fileInfo) ContentID() string { return i.entry.id }

func (i *fileInfo) Mode() fs.FileMode {
	switch {
	case i.entry.dir:
		return fs.ModeDir | 0o555
	case i.entry.exec:
		return 0o555
	}
	return 0o444
}

// dirEntry is an entry of a listing.
type dirEntry struct{ fileInfo }

func (d *dirEntry) Type() fs.FileMode          { return d.Mode().Type() }
func (d *dirEntry) Info() (fs.FileInfo, error) { return d.sized() }
func (d *dirEntry) String() string             { return fs.FormatDirEntry(d) }

type openFile struct {
	*bytes.Reader
	info fileInfo
}

func (f *openFile) Close() error { return nil }
func (f *openFile) Stat() (fs.FileInfo, error) {
	info := f.info
	info.size = f.Reader.Size()
	return &info, nil
}

type openFolder struct {
	info    fileInfo
	path    string
	entries []fs.DirEntry
}

func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Stat() (fs.FileInfo, error) { return &f.info, nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.path, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(f.entries) {
		if n > 0 && len(f.entries) == 0 {
			return nil, io.EOF
		}
		n = len(f.entries)
	}
	out := f.entries[:n:n]
	f.entries = f.entries[n:]
	return out, nil
}
