package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// listed is an entry of a directory as its folder told of it, unread.
type listed struct {
	name    string
	path    string // from the top; "." for the top itself
	info    fs.FileInfo
	entries []*listed // of a folder, sorted by name
}

// errMoved: an entry came, went or was written to while the directory was read.
var errMoved = errors.New("it changes during the read")

// lister lists a directory with all its folders.
type lister struct {
	ctx     context.Context
	limits  Limits
	exclude string // path from the top of what is no content; empty: all is
	entries int
}

// folder lists the folder that is open as at, and all below it, into l.
func (s *lister) folder(at *os.Root, l *listed, depth int) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if depth > s.limits.Depth {
		return fmt.Errorf("%s: %w: folders nest deeper than %d", l.path, ErrLimit, s.limits.Depth)
	}
	names, err := readNames(at)
	if err != nil {
		return unreadable(at, ".", l, err)
	}
	if s.entries += len(names); s.entries > s.limits.Files {
		return fmt.Errorf("%s: %w: more than %d files and folders", l.path, ErrLimit, s.limits.Files)
	}
	for _, name := range names {
		e := &listed{name: name, path: path.Join(l.path, name)}
		if name == ".git" || e.path == s.exclude { // of a work tree, or Pacer's own: not content
			continue
		}
		if e.info, err = at.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w: %w", e.path, errMoved, err)
		} else if err != nil {
			return fmt.Errorf("cannot read %s, so the state of the directory is unknown: %w", e.path, err)
		}
		if e.info.IsDir() && refuseName(name) == "" {
			if err := s.below(at, e, depth+1); err != nil {
				return err
			}
		}
		l.entries = append(l.entries, e)
	}
	slices.SortFunc(l.entries, func(a, b *listed) int { return cmp.Compare(a.name, b.name) })
	return nil
}

func (s *lister) below(at *os.Root, l *listed, depth int) error {
	below, err := at.OpenRoot(l.name)
	if err != nil {
		return unreadable(at, l.name, l, err)
	}
	defer below.Close() //nolint:errcheck // read only
	return s.folder(below, l, depth)
}

func readNames(at *os.Root) ([]string, error) {
	f, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return f.Readdirnames(-1)
}

// unreadable tells an entry that moved, was replaced or is gone since it was listed
// from one that cannot be read. Name is its path from the folder that is open as at.
func unreadable(at *os.Root, name string, e *listed, err error) error {
	if now, gone := at.Lstat(name); errors.Is(err, fs.ErrNotExist) || gone != nil || now.Mode().Type() != e.info.Mode().Type() {
		return fmt.Errorf("%s: %w: %w", e.path, errMoved, err)
	}
	return fmt.Errorf("cannot read %s, so the state of the directory is unknown: %w", e.path, err)
}

// moved is the path of the first entry in which two listings of a directory differ,
// empty where there is none. Names suffices for a directory that never rests: then
// that a file was written to between the two is no difference, since no file is
// missed by it; that one came or went always is, as it may have moved from where it
// was yet to be read to where that was over.
func (l *listed) moved(to *listed, names bool) string {
	if l.info.Mode().Type() != to.info.Mode().Type() || !names && !sameState(l.info, to.info) {
		return l.path
	}
	for i, e := range l.entries {
		if i == len(to.entries) || e.name < to.entries[i].name {
			return e.path
		}
		if e.name > to.entries[i].name {
			return to.entries[i].path
		}
		if at := e.moved(to.entries[i], names); at != "" {
			return at
		}
	}
	if len(to.entries) > len(l.entries) {
		return to.entries[len(l.entries)].path
	}
	return ""
}

// sameState reports whether a file was not written to, and in a folder nothing came
// or went, as far as the file system tells. Inodes are left out: some file systems
// number them at each look.
func sameState(a, b fs.FileInfo) bool {
	return a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// newest is when something of it changed last, by the clock of the file system.
func (l *listed) newest() time.Time {
	newest := l.info.ModTime()
	for _, e := range l.entries {
		if at := e.newest(); at.After(newest) {
			newest = at
		}
	}
	return newest
}
