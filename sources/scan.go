package sources

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// scanned is a directory read into memory.
type scanned struct {
	objects *memory
	root    string // content id of the root folder: sha256:…
	newest  time.Time
}

// memory holds objects that have been read, by sha256 of their content.
type memory struct {
	limits  Limits
	folders map[string]*folder
	files   map[string][]byte
	large   map[string]int64 // size of files that are over the limit
}

func (m *memory) folder(id string) (*folder, error) { return m.folders[id], nil }

func (m *memory) file(id string) ([]byte, error) {
	if size, large := m.large[id]; large {
		return nil, tooLarge(size, m.limits)
	}
	return m.files[id], nil
}

func (m *memory) size(id string) (int64, error) {
	if size, large := m.large[id]; large {
		return size, nil
	}
	return int64(len(m.files[id])), nil
}

func tooLarge(size int64, l Limits) error {
	return fmt.Errorf("%w: the file has %d bytes, and %d may be read", ErrLimit, size, l.FileBytes)
}

// errMoved: an entry vanished between being listed and being read.
var errMoved = errors.New("it changes while it is read")

// scanAttempts is how often a directory that changes under the reader is read
// anew before that is an error.
const scanAttempts = 5

func scanDirectory(ctx context.Context, dir, exclude string, l Limits) (*scanned, error) {
	var read *scanned
	var err error
	for range scanAttempts {
		read, err = scanOnce(ctx, dir, exclude, l)
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return read, err
}

// scanner reads one directory once. It goes through an os.Root, which no
// symlink leads out of, even one that is put there while it reads.
type scanner struct {
	ctx     context.Context
	limits  Limits
	exclude string // path from the top of what is no content; empty: all is
	out     *scanned
	entries int
	bytes   int64
}

func scanOnce(ctx context.Context, dir, exclude string, l Limits) (_ *scanned, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: it does not exist, or was removed: %w", ErrNotFound, err)
		case isFile(dir): // os.OpenRoot says so in an error without a type
			err = fmt.Errorf("it is a file: name the folder that it is in: %w", err)
		}
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	s := &scanner{ctx: ctx, limits: l, exclude: exclude, out: &scanned{objects: &memory{
		limits: l, folders: map[string]*folder{}, files: map[string][]byte{}, large: map[string]int64{},
	}}}
	if s.out.root, err = s.folder(root, ".", 1); err != nil {
		return nil, err
	}
	return s.out, stillThere(root, dir)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// stillThere says whether what was read is still what stands at the path: of a
// directory that was removed or replaced meanwhile half may have been read.
func stillThere(root *os.Root, dir string) error {
	was, err := root.Stat(".")
	if err != nil {
		return err
	}
	now, err := os.Stat(dir)
	if err != nil || !os.SameFile(was, now) {
		return fmt.Errorf("%s: %w", dir, errMoved)
	}
	return nil
}

// folder reads a folder and all below it, and returns its content id.
func (s *scanner) folder(at *os.Root, name string, depth int) (string, error) {
	if err := s.ctx.Err(); err != nil {
		return "", err
	}
	if depth > s.limits.Depth {
		return "", fmt.Errorf("%s: %w: folders nest deeper than %d", name, ErrLimit, s.limits.Depth)
	}
	listed, err := list(at)
	if err != nil {
		return "", unreadable(name, err)
	}
	if s.entries += len(listed); s.entries > s.limits.Files {
		return "", fmt.Errorf("%s: %w: more than %d files and folders", name, ErrLimit, s.limits.Files)
	}
	var entries []entry
	var refused []RefusedEntry
	for _, l := range listed {
		if l.Name() == ".git" || path.Join(name, l.Name()) == s.exclude { // of a work tree, or Pacer's own: not content
			continue
		}
		if reason := refuseType(l.Type()); reason != "" {
			refused = append(refused, RefusedEntry{Name: printable(l.Name()), Reason: reason})
			continue
		}
		e := entry{name: l.Name(), dir: l.IsDir()}
		if reason := refuseName(e.name); reason == "" {
			if err := s.read(at, &e, path.Join(name, e.name), depth); err != nil {
				return "", err
			}
		}
		entries = append(entries, e)
	}
	f := newFolder(entries, refused)
	id := hashFolder(f)
	s.out.objects.folders[id] = f
	return id, nil
}

func list(at *os.Root) ([]fs.DirEntry, error) {
	f, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return f.ReadDir(-1)
}

// unreadable tells a directory that moves under the reader from one that cannot be read.
func unreadable(name string, err error) error {
	if name != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)) {
		return fmt.Errorf("%s: %w: %w", name, errMoved, err)
	}
	return fmt.Errorf("%s cannot be read, so nothing of the directory is known: %w", name, err)
}

// read reads the entry of a folder; name is its path from the top.
func (s *scanner) read(at *os.Root, e *entry, name string, depth int) error {
	if e.dir {
		below, err := at.OpenRoot(e.name)
		if err != nil {
			return unreadable(name, err)
		}
		defer below.Close() //nolint:errcheck // read only
		e.id, err = s.folder(below, name, depth+1)
		return err
	}
	// Not waiting for a pipe's other end, should the file have become one since it was listed.
	f, err := at.OpenFile(e.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unreadable(name, err)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return unreadable(name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", name, errMoved)
	}
	if info.ModTime().After(s.out.newest) {
		s.out.newest = info.ModTime()
	}
	e.exec = info.Mode()&0o111 != 0
	e.id, err = s.content(f, info.Size(), name)
	return err
}

func (s *scanner) content(f *os.File, size int64, name string) (string, error) {
	content, err := io.ReadAll(io.LimitReader(f, s.limits.FileBytes+1))
	if err != nil {
		return "", unreadable(name, err)
	}
	if int64(len(content)) > s.limits.FileBytes {
		id := fmt.Sprintf("large:%d", size)
		s.out.objects.large[id] = size
		return id, nil
	}
	if s.bytes += int64(len(content)); s.bytes > s.limits.TotalBytes {
		return "", fmt.Errorf("%s: %w: the files have more than %d bytes together", name, ErrLimit, s.limits.TotalBytes)
	}
	sum := sha256.Sum256(content)
	id := contentID(sum[:])
	s.out.objects.files[id] = content
	return id, nil
}

func contentID(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// refuseType says why an entry of that type is not read; empty if it is.
func refuseType(mode fs.FileMode) string {
	switch {
	case mode.IsRegular(), mode.IsDir():
		return ""
	case mode&fs.ModeSymlink != 0:
		return "is a symlink: not read"
	}
	return "is not a regular file: not read"
}

// hashFolder is equal for folders of equal names and contents, at any depth.
// What is refused belongs to it: that it came or went is a change to tell.
func hashFolder(f *folder) string {
	h := sha256.New()
	put := func(kind byte, name, id string) {
		h.Write([]byte{kind})
		for _, text := range [...]string{name, id} {
			h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
			io.WriteString(h, text) //nolint:errcheck // a hash takes everything
		}
	}
	for _, e := range f.entries {
		kind := byte('f')
		if e.dir {
			kind = 'd'
		}
		put(kind, e.name, e.id)
	}
	for _, r := range f.refused {
		put('r', r.Name, r.Reason)
	}
	return contentID(h.Sum(nil))
}
