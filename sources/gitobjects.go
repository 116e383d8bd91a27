package sources

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/pacer-gitops/pacer/visible"
)

// gitObjects reads folders and files of one snapshot from a generation.
type gitObjects struct {
	generation *generation
	limits     Limits

	mu      sync.Mutex
	folders map[string]*folder
	bytes   int64 // of the folders
}

// folder remembers what it has read: every path passes through its parents.
func (o *gitObjects) folder(id string) (*folder, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, found := o.folders[id]; found {
		return f, nil
	}
	content, err := o.read(plumbing.TreeObject, plumbing.NewHash(id))
	if err != nil {
		return nil, err
	}
	if o.bytes += int64(len(content)); o.bytes > maxFolders {
		return nil, fmt.Errorf("%w: the folders have more than %d bytes together", ErrLimit, maxFolders)
	}
	f, err := parseTree(content, o.limits.Files)
	if err != nil {
		return nil, fmt.Errorf("the folder's object %s, as it was pushed, %w", id, err)
	}
	o.folders[id] = f
	return f, nil
}

const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeFolder     = "40000"
	modeSymlink    = "120000"
	modeSubmodule  = "160000"
)

// refuseMode says why an entry of that mode is not read; empty if it is.
func refuseMode(mode string) string {
	switch mode {
	case modeFile, modeExecutable, modeFolder:
		return ""
	case modeSymlink:
		return "is a symlink: not read"
	case modeSubmodule:
		return "is a submodule: not read"
	}
	return "has mode " + visible.Line(visible.Cut(mode, 20)) + ": not read"
}

// treeEntry is an entry of a tree object as it stands there.
type treeEntry struct {
	mode, name string
	hash       plumbing.Hash
}

var errTree = errors.New("is malformed: truncated")

// treeEntries are those of a tree object: for each the mode, a space, the name, a
// NUL and the hash as 20 bytes. The last comes with an error where the object is cut
// off. Go-git reads it too, but makes six allocations of each entry, which for a
// folder of 10,000 are most of a look, and takes odd modes for the usual ones.
func treeEntries(content []byte) iter.Seq2[treeEntry, error] {
	text := string(content) // names are parts of it
	return func(yield func(treeEntry, error) bool) {
		for rest := text; rest != ""; {
			mode, after, hasMode := strings.Cut(rest, " ")
			name, after, hasName := strings.Cut(after, "\x00")
			if !hasMode || !hasName || len(after) < len(plumbing.ZeroHash) {
				yield(treeEntry{}, errTree)
				return
			}
			e := treeEntry{mode: mode, name: name, hash: plumbing.Hash([]byte(after[:len(plumbing.ZeroHash)]))}
			if rest = after[len(e.hash):]; !yield(e, nil) {
				return
			}
		}
	}
}

// parseTree reads a tree object. A folder of more entries than the limit is not read.
func parseTree(content []byte, limit int) (*folder, error) {
	likely := min(len(content)/40, limit)
	entries := make([]entry, 0, likely)
	var refused []RefusedEntry
	hashes := make([]byte, 0, likely*2*len(plumbing.ZeroHash))
	for e, err := range treeEntries(content) {
		switch reason := refuseMode(e.mode); {
		case err != nil:
			return nil, err
		case len(entries)+len(refused) == limit:
			return nil, fmt.Errorf("%w: has more than %d entries", ErrLimit, limit)
		case reason != "":
			refused = append(refused, RefusedEntry{Name: printable(e.name), Reason: reason})
		default:
			hashes = hex.AppendEncode(hashes, e.hash[:])
			entries = append(entries, entry{name: e.name, dir: e.mode == modeFolder, exec: e.mode == modeExecutable})
		}
	}
	ids := string(hashes)
	for i := range entries {
		entries[i].id, ids = ids[:2*len(plumbing.ZeroHash)], ids[2*len(plumbing.ZeroHash):]
	}
	return newFolder(entries, refused), nil
}

// spoilt is the error of an object that was fetched and cannot be read.
func (o *gitObjects) spoilt(hash plumbing.Hash, err error) error {
	err = fmt.Errorf("the local clone %s is damaged (object %s): the next fetch replaces it: %w", o.generation.path, hash, err)
	o.generation.spoil(err)
	return err
}

// read reads an object and holds it to its hash.
func (o *gitObjects) read(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	g := o.generation
	limit := o.limits.ObjectBytes
	if kind == plumbing.BlobObject {
		limit = o.limits.FileBytes
	}
	found, content, err := g.read(hash, limit)
	switch {
	case kind == plumbing.BlobObject && errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, o.leftOut()
	case errors.Is(err, ErrLimit):
		if size, err := g.size(hash); kind == plumbing.BlobObject && err == nil && size > limit {
			return nil, tooLarge(size, o.limits)
		}
		return nil, fmt.Errorf("object %s: %w", hash, err)
	case err != nil:
		return nil, o.spoilt(hash, err)
	case found != kind:
		return nil, fmt.Errorf("object %s is a %s and its folder says %s: it was pushed like that", hash, found, kind)
	}
	return content, nil
}

// leftOut is the error of a blob that is not here. It was left on the server
// for its size: every pack was checked, so that no other reason remains.
func (o *gitObjects) leftOut() error {
	return fmt.Errorf("%w: the file has more than %d bytes, and was not fetched", ErrLimit, o.limits.FileBytes)
}

func (o *gitObjects) file(id string) ([]byte, error) {
	return o.read(plumbing.BlobObject, plumbing.NewHash(id))
}

func (o *gitObjects) size(id string) (int64, error) {
	hash := plumbing.NewHash(id)
	size, err := o.generation.size(hash)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return 0, o.leftOut()
	case err != nil:
		return 0, o.spoilt(hash, err)
	}
	return size, nil
}
