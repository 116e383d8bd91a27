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
	"syscall"
	"time"

	"github.com/pacer-gitops/pacer/internal/wait"
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
	return fmt.Errorf("%w: the file has %d bytes, at most %d are read", ErrLimit, size, l.FileBytes)
}

// scanOptions say which directory is read, and when it is at rest.
type scanOptions struct {
	dir     string
	exclude string // path in it of what is no content; empty: all is
	limits  Limits
	quiet   time.Duration // a directory in which nothing changed for so long is at rest
	burst   time.Duration // one that does not come to rest is read after so long all the same
	known   string        // content id of what was read last, empty if nothing was
	listed  func()        // for tests: the directory was listed, and is now read
}

// lateTries is how often a directory that does not come to rest is read before it is
// an error: a window between two changes as short as one listing suffices.
const lateTries = 100

// scanDirectory reads a directory as it is at one moment. No file system gives that,
// so it is listed, read and listed again, until both listings agree and nothing
// changed for a while: what somebody moves, file by file, is otherwise read half at
// its old place and half at its new, and a file that goes from where it is yet to be
// read to where that is over is missed.
//
//	listings            | changed lately      | then
//	agree, all was read | no                  | this is what is there
//	agree, all was read | yes                 | wait, list again
//	differ              | -                   | wait, list again, read what is new
//	differ in content   | for longer than burst | this is what is there
//	differ in names     | for longer than burst | list again at once, lateTries times: then an error
//
// What was read before comes back at once: it is a state that has been seen at rest.
func scanDirectory(ctx context.Context, o scanOptions) (*scanned, error) {
	s := &scan{scanOptions: o, ctx: ctx, held: map[string]held{}}
	defer s.close()
	until := time.Now().Add(o.burst)
	for late := 0; ; {
		if time.Now().Before(until) {
			late = 0
		} else if late++; late > lateTries {
			return nil, fmt.Errorf("%s: %w, for %s and longer: keep files that change all the time out of the directory", s.at, errMoved, o.burst)
		}
		read, err := s.try(late > 0)
		if read != nil || err != nil {
			return read, err
		}
		if err := wait.Sleep(ctx, min(s.pause, time.Until(until))); err != nil {
			return nil, err
		}
	}
}

// scan reads one directory. It goes through an os.Root, which no symlink leads out
// of, even one that is put there while it reads.
type scan struct {
	scanOptions
	ctx   context.Context
	root  *os.Root        // of the last listing
	gone  bool            // nothing was at the path, where a directory was read before
	last  *listed         // nil where it failed, or something of it could not be read
	at    string          // what moved last
	held  map[string]held // what was read, by path
	bytes int64           // of the files of one listing
	pause time.Duration   // before the next try
}

// held is a file's content, as it was when the file told this of itself.
type held struct {
	info fs.FileInfo
	torn bool // it was written to meanwhile
	id   string
	data []byte
}

func (s *scan) close() {
	if s.root != nil {
		s.root.Close() //nolint:errcheck // read only
	}
}

// try lists the directory. Where that agrees with the listing before, whose files
// have been read, it returns what they are; else it reads what is new. It returns
// neither an error nor what was read where the directory moves.
func (s *scan) try(late bool) (*scanned, error) {
	now, err := s.list()
	if errors.Is(err, errMoved) {
		s.last, s.pause = nil, s.quiet
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	before := s.last
	s.pause = s.rest(now)
	if before != nil {
		if s.at = before.moved(now, late); s.at == "" {
			return s.out(before), nil
		}
		s.pause = s.quiet // it moves: the times of its files need not tell
	}
	if s.listed != nil {
		s.listed()
	}
	if s.last, err = s.read(now, late); err != nil || s.last == nil {
		s.pause = s.quiet
		return nil, err
	}
	if read := s.out(now); read.root == s.known {
		return read, nil
	}
	return nil, nil
}

// rest is how much longer nothing must change before the directory is at rest. Where
// its clock is not ours the whole time is waited for.
func (s *scan) rest(l *listed) time.Duration {
	age := max(0, time.Since(l.newest()))
	return max(0, s.quiet-age)
}

// list lists the directory that now stands at the path.
func (s *scan) list() (*listed, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist) && s.known != "" && !s.gone: // another may be about to be put there
			s.gone, s.at = true, s.dir
			err = errMoved
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: it does not exist, or was removed: %w", ErrNotFound, err)
		case isFile(s.dir): // os.OpenRoot says so in an error without a type
			err = fmt.Errorf("it is a file: use the folder that contains it: %w", err)
		}
		return nil, err
	}
	s.gone = false
	if s.root != nil && !sameFolder(s.root, root) { // another one was put there: what was read is not its
		s.last, s.held = nil, map[string]held{}
	}
	s.close()
	s.root = root
	l := &listed{name: ".", path: "."}
	if l.info, err = root.Stat("."); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", s.dir, err)
	}
	err = (&lister{ctx: s.ctx, limits: s.limits, exclude: s.exclude}).folder(root, l, 1)
	if errors.Is(err, errMoved) {
		s.at = s.dir
	}
	return l, err
}

func sameFolder(a, b *os.Root) bool {
	one, err := a.Stat(".")
	if err != nil {
		return false
	}
	other, err := b.Stat(".")
	return err == nil && os.SameFile(one, other)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// read reads the files of a listing that are not held as they now are. It returns
// nil where one of them moved.
func (s *scan) read(l *listed, late bool) (*listed, error) {
	s.bytes = 0
	held := map[string]held{}
	whole := true
	err := each(l, func(e *listed) error {
		h, err := s.file(e)
		if err == nil && h.torn && !late {
			err = fmt.Errorf("%s: %w", e.path, errMoved)
		}
		if errors.Is(err, errMoved) {
			whole, s.at = false, e.path
			return nil
		}
		held[e.path] = h
		return err
	})
	s.held = held
	if err != nil || !whole {
		return nil, err
	}
	return l, nil
}

// each calls f for each file of a listing that is read.
func each(l *listed, f func(*listed) error) error {
	for _, e := range l.entries {
		var err error
		switch {
		case refuseType(e.info.Mode()) != "" || refuseName(e.name) != "":
		case e.info.IsDir():
			err = each(e, f)
		default:
			err = f(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file returns the content of a file.
func (s *scan) file(e *listed) (held, error) {
	if err := s.ctx.Err(); err != nil {
		return held{}, err
	}
	h, ok := s.held[e.path]
	if !ok || h.torn || !sameState(h.info, e.info) {
		var err error
		if h, err = s.open(e); err != nil {
			return h, err
		}
	}
	e.info = h.info
	if s.bytes += int64(len(h.data)); s.bytes > s.limits.TotalBytes {
		return h, fmt.Errorf("%s: %w: the files have more than %d bytes together", e.path, ErrLimit, s.limits.TotalBytes)
	}
	return h, nil
}

func (s *scan) open(e *listed) (held, error) {
	// Not waiting for a pipe's other end, should the file have become one since it was listed.
	f, err := s.root.OpenFile(e.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return held{}, unreadable(s.root, e.path, e, err)
	}
	defer f.Close() //nolint:errcheck // read only
	before, err := f.Stat()
	if err != nil {
		return held{}, unreadable(s.root, e.path, e, err)
	}
	if !before.Mode().IsRegular() {
		return held{}, fmt.Errorf("%s: %w", e.path, errMoved)
	}
	data, err := io.ReadAll(io.LimitReader(f, s.limits.FileBytes+1))
	if err != nil {
		return held{}, unreadable(s.root, e.path, e, err)
	}
	after, err := f.Stat()
	if err != nil {
		return held{}, unreadable(s.root, e.path, e, err)
	}
	h := held{info: before, torn: !sameState(before, after), data: data}
	if int64(len(data)) > s.limits.FileBytes {
		h.id, h.data = fmt.Sprintf("large:%d", before.Size()), nil
		return h, nil
	}
	sum := sha256.Sum256(data)
	h.id = contentID(sum[:])
	return h, nil
}

// out is what was read of a listing.
func (s *scan) out(l *listed) *scanned {
	out := &scanned{objects: &memory{
		limits: s.limits, folders: map[string]*folder{}, files: map[string][]byte{}, large: map[string]int64{},
	}}
	out.root = s.folder(l, out)
	return out
}

// folder adds a folder with all below it, and returns its content id.
func (s *scan) folder(l *listed, out *scanned) string {
	var entries []entry
	var refused []RefusedEntry
	for _, below := range l.entries {
		mode := below.info.Mode()
		if reason := refuseType(mode); reason != "" {
			refused = append(refused, RefusedEntry{Name: printable(below.name), Reason: reason})
			continue
		}
		e := entry{name: below.name, dir: mode.IsDir()}
		switch {
		case refuseName(e.name) != "": // newFolder tells
		case e.dir:
			e.id = s.folder(below, out)
		default:
			e.exec = mode&0o111 != 0
			e.id = s.add(below, out)
		}
		entries = append(entries, e)
	}
	f := newFolder(entries, refused)
	id := hashFolder(f)
	out.objects.folders[id] = f
	return id
}

func (s *scan) add(l *listed, out *scanned) string {
	h := s.held[l.path]
	if at := l.info.ModTime(); at.After(out.newest) {
		out.newest = at
	}
	if h.data == nil {
		out.objects.large[h.id] = h.info.Size()
	} else {
		out.objects.files[h.id] = h.data
	}
	return h.id
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
