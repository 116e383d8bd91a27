package sources

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // git's names of objects
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/aymanbagabas/go-udiff"
	"github.com/go-git/go-git/v5/plumbing"
)

// Merge merges two snapshots of git sources that have a third one in common, as git merge
// does without looking for renames. conflicts are the paths that it leaves to a person,
// sorted; then merged is nil. What is equal on two sides is taken over unread, and keeps
// its ContentID.
//
// Its revision is that of theirs. Errors are those of reading, and ErrLimit where a side
// is beyond the limits of its source.
func Merge(base, ours, theirs *Snapshot) (merged *Snapshot, conflicts []string, err error) {
	var sides [3]*treeFS
	for i, s := range []*Snapshot{base, ours, theirs} {
		fs, ok := s.FS.(*treeFS)
		if !ok || fs.at != "." {
			return nil, nil, errors.New("merge: only whole snapshots of git sources can be merged")
		}
		sides[i] = fs
	}
	m := &merging{found: map[string]objects{}, opened: map[string]bool{}, folders: map[string]*folder{}, files: map[string][]byte{}}
	var roots [3]*entry
	for i, fs := range sides {
		roots[i] = &fs.root
		m.sides[i] = fs.objects
		m.limits = fs.meter.limits
	}
	root, err := m.folderOf(".", roots)
	if err != nil {
		return nil, nil, fmt.Errorf("merge: %w", err)
	}
	if len(m.conflicts) > 0 {
		slices.Sort(m.conflicts)
		return nil, slices.Compact(m.conflicts), nil
	}
	if root == nil {
		root = &entry{dir: true, id: m.keepFolder(newFolder(nil, nil))}
	}
	s := *theirs
	s.FS, s.LastChange = newTreeFS(m, root.id, sides[2].time, m.limits), nil
	return &s, nil, nil
}

// The sides of a merge.
const (
	sideBase = iota
	sideOurs
	sideTheirs
)

// merging is one Merge, and afterwards the objects of what it made.
type merging struct {
	sides     [3]objects
	limits    Limits
	conflicts []string
	entries   int // looked at in folders that differ

	folders map[string]*folder // made here
	files   map[string][]byte  // made here
	bytes   int64              // of files that were merged

	mu     sync.Mutex
	found  map[string]objects // id → whose object it is
	opened map[string]bool    // folders whose entries are in found
}

// take notes whose object an entry is.
func (m *merging) take(side int, e *entry) *entry {
	if e == nil {
		return nil
	}
	m.found[e.id] = m.sides[side]
	return e
}

// three merges a value of which there are three:
//
//	ours and theirs     base             result
//	equal               any              theirs
//	differ              equal to ours    theirs
//	differ              equal to theirs  ours
//	differ              other            not decided
func three(base, ours, theirs *entry) (side int, decided bool) {
	switch {
	case same(ours, theirs), same(base, ours):
		return sideTheirs, true
	case same(base, theirs):
		return sideOurs, true
	}
	return 0, false
}

func same(a, b *entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.id == b.id && a.dir == b.dir && a.exec == b.exec
}

// folderOf merges three folders, each of which may be missing; nil: nothing is left.
func (m *merging) folderOf(at string, e [3]*entry) (*entry, error) {
	if side, decided := three(e[sideBase], e[sideOurs], e[sideTheirs]); decided {
		return m.take(side, e[side]), nil
	}
	var of [3]*folder
	for i := range of {
		of[i] = &folder{}
		if e[i] == nil {
			continue
		}
		f, err := m.sides[i].folder(e[i].id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		of[i] = f
	}
	names := map[string]bool{}
	for _, f := range of {
		for _, e := range f.entries {
			names[e.name] = true
		}
	}
	if m.entries += len(names); m.entries > m.limits.Files {
		return nil, fmt.Errorf("%w: more than %d entries in folders that differ", ErrLimit, m.limits.Files)
	}
	var entries []entry
	for _, name := range slices.Sorted(maps.Keys(names)) {
		e, err := m.entryOf(join(at, name), name, of)
		if err != nil {
			return nil, err
		}
		if e != nil {
			entries = append(entries, *e)
		}
	}
	refused := mergeRefused(of)
	if len(entries) == 0 && len(refused) == 0 {
		return nil, nil
	}
	for _, side := range []int{sideTheirs, sideOurs} {
		if e[side] != nil && slices.Equal(entries, of[side].entries) && slices.Equal(refused, of[side].refused) {
			return m.take(side, e[side]), nil
		}
	}
	return &entry{dir: true, id: m.keepFolder(newFolder(entries, refused))}, nil
}

func join(at, name string) string {
	if at == "." {
		return name
	}
	return at + "/" + name
}

// entryOf merges what three folders have under a name: its files, and its folders. Both
// cannot be there.
func (m *merging) entryOf(at, name string, of [3]*folder) (*entry, error) {
	var files, folders [3]*entry
	for i, f := range of {
		switch e, found := f.find(name); {
		case !found:
		case e.dir:
			folders[i] = &e
		default:
			files[i] = &e
		}
	}
	file, err := m.fileOf(at, files)
	if err != nil {
		return nil, err
	}
	folder, err := m.folderOf(at, folders)
	if err != nil {
		return nil, err
	}
	switch {
	case file != nil && folder != nil:
		m.conflicts = append(m.conflicts, at)
	case folder != nil:
		file = folder
	}
	if file != nil {
		file = &entry{name: name, id: file.id, dir: file.dir, exec: file.exec}
	}
	return file, nil
}

// fileOf merges three files, each of which may be missing; nil: there is none, or a
// conflict.
func (m *merging) fileOf(at string, e [3]*entry) (*entry, error) {
	base, ours, theirs := e[sideBase], e[sideOurs], e[sideTheirs]
	if side, decided := three(base, ours, theirs); decided {
		return m.take(side, e[side]), nil
	}
	// One changed what the other deleted, or both added it: that is merged as what both
	// have added to an empty file.
	if ours == nil || theirs == nil || base == nil && ours.exec != theirs.exec {
		m.conflicts = append(m.conflicts, at)
		return nil, nil
	}
	if base == nil {
		base = &entry{exec: ours.exec}
	}
	exec := ours.exec
	if base.exec == ours.exec {
		exec = theirs.exec
	}
	contents := [3]*entry{{id: base.id}, {id: ours.id}, {id: theirs.id}}
	if side, decided := three(contents[0], contents[1], contents[2]); decided {
		m.take(side, e[side])
		return &entry{id: e[side].id, exec: exec}, nil
	}
	var texts [3][]byte
	for i := range e {
		if e[i] == nil {
			continue // empty
		}
		text, err := m.sides[i].file(e[i].id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		if m.bytes += int64(len(text)); m.bytes > m.limits.TotalBytes {
			return nil, fmt.Errorf("%w: more than %d bytes of files that both sides have changed", ErrLimit, m.limits.TotalBytes)
		}
		texts[i] = text
	}
	text, merged := mergeLines(texts[sideBase], texts[sideOurs], texts[sideTheirs])
	if !merged {
		m.conflicts = append(m.conflicts, at)
		return nil, nil
	}
	return &entry{id: m.keepFile(text), exec: exec}, nil
}

// mergeLines merges three texts by lines. Changes that overlap or touch are conflicts
// unless they are the same, as in git.
func mergeLines(base, ours, theirs []byte) (text []byte, merged bool) {
	if slices.ContainsFunc([][]byte{base, ours, theirs}, func(t []byte) bool { return bytes.IndexByte(t[:min(len(t), 8000)], 0) >= 0 }) {
		return nil, false // binary, by git's own rule
	}
	a, b := udiff.Lines(string(base), string(ours)), udiff.Lines(string(base), string(theirs))
	var all []udiff.Edit
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x == y:
			all, a, b = append(all, x), a[1:], b[1:]
		case x.End < y.Start:
			all, a = append(all, x), a[1:]
		case y.End < x.Start:
			all, b = append(all, y), b[1:]
		default:
			return nil, false
		}
	}
	all = slices.Concat(all, a, b)
	slices.SortFunc(all, func(x, y udiff.Edit) int { return cmp.Compare(x.Start, y.Start) })
	text, err := udiff.ApplyBytes(base, all)
	return text, err == nil
}

// mergeRefused merges what folders have and nobody reads: by name and reason, since
// nothing else is known of it.
func mergeRefused(of [3]*folder) []RefusedEntry {
	var all []RefusedEntry
	for _, r := range slices.Concat(of[sideOurs].refused, of[sideTheirs].refused) {
		inBase, inOurs, inTheirs := slices.Contains(of[sideBase].refused, r), slices.Contains(of[sideOurs].refused, r), slices.Contains(of[sideTheirs].refused, r)
		if (inOurs && inTheirs || !inBase) && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b RefusedEntry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// keepFile keeps a file that is in no repository, under the name that git would give it.
func (m *merging) keepFile(text []byte) string {
	h := sha1.New() //nolint:gosec // as above
	fmt.Fprintf(h, "blob %d\x00", len(text))
	h.Write(text)
	id := hex.EncodeToString(h.Sum(nil))
	m.files[id] = text
	return id
}

// keepFolder keeps a folder that is in no repository. Its name is no hash of git's, which
// would need what is refused in it; it is the same for the same content.
func (m *merging) keepFolder(f *folder) string {
	h := sha1.New() //nolint:gosec // as above
	for _, e := range f.entries {
		fmt.Fprintf(h, "%s\x00%s %t %t\x00", e.name, e.id, e.dir, e.exec)
	}
	for _, r := range f.refused {
		fmt.Fprintf(h, "%s\x00%s\x00\x00", r.Name, r.Reason)
	}
	id := "merged-" + hex.EncodeToString(h.Sum(nil))
	m.folders[id] = f
	return id
}

// owner is whose object one is that was not made here; nil: nobody's.
func (m *merging) owner(id string) objects {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.found[id]
}

// folder implements objects. What is in a folder that was taken over is of the same side.
func (m *merging) folder(id string) (*folder, error) {
	if f := m.folders[id]; f != nil {
		return f, nil
	}
	side := m.owner(id)
	if side == nil {
		return nil, fmt.Errorf("folder %s: %w", id, plumbing.ErrObjectNotFound)
	}
	f, err := side.folder(id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened[id] {
		return f, nil
	}
	m.opened[id] = true
	for _, e := range f.entries {
		if m.found[e.id] == nil {
			m.found[e.id] = side
		}
	}
	return f, nil
}

func (m *merging) file(id string) ([]byte, error) {
	if text, made := m.files[id]; made {
		return text, nil
	}
	if side := m.owner(id); side != nil {
		return side.file(id)
	}
	return nil, fmt.Errorf("file %s: %w", id, plumbing.ErrObjectNotFound)
}

func (m *merging) size(id string) (int64, error) {
	if text, made := m.files[id]; made {
		return int64(len(text)), nil
	}
	if side := m.owner(id); side != nil {
		return side.size(id)
	}
	return 0, fmt.Errorf("file %s: %w", id, plumbing.ErrObjectNotFound)
}
