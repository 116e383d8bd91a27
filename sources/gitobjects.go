package sources

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// gitObjects reads folders and files of one snapshot from a generation.
type gitObjects struct {
	generation *generation
	limits     Limits

	mu      sync.Mutex
	folders map[string]*folder
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
	f, err := parseTree(content)
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
	return "has mode " + printable(mode) + ": not read"
}

// parseTree reads a tree object: for each entry the mode, a space, the name, a
// NUL and the hash as 20 bytes. Go-git reads it too, but makes six allocations
// of each entry, which for a folder of 10,000 are most of a look, and takes odd
// modes for the usual ones.
func parseTree(content []byte) (*folder, error) {
	text := string(content) // names are parts of it
	entries := make([]entry, 0, len(content)/40)
	var refused []RefusedEntry
	hashes := make([]byte, 0, len(content)*2)
	for rest := text; rest != ""; {
		mode, after, hasMode := strings.Cut(rest, " ")
		name, after, hasName := strings.Cut(after, "\x00")
		if !hasMode || !hasName || len(after) < len(plumbing.ZeroHash) {
			return nil, errors.New("is malformed: it is cut off")
		}
		hash := content[len(content)-len(after):][:len(plumbing.ZeroHash)]
		rest = after[len(hash):]
		if reason := refuseMode(mode); reason != "" {
			refused = append(refused, RefusedEntry{Name: printable(name), Reason: reason})
			continue
		}
		hashes = hex.AppendEncode(hashes, hash)
		entries = append(entries, entry{name: name, dir: mode == modeFolder, exec: mode == modeExecutable})
	}
	ids := string(hashes)
	for i := range entries {
		entries[i].id, ids = ids[:2*len(plumbing.ZeroHash)], ids[2*len(plumbing.ZeroHash):]
	}
	return newFolder(entries, refused), nil
}

// spoilt is the error of an object that was fetched and cannot be read.
func (o *gitObjects) spoilt(hash plumbing.Hash, err error) error {
	err = fmt.Errorf("the local clone %s is damaged (object %s): it is fetched anew at the next look: %w", o.generation.path, hash, err)
	o.generation.spoil(err)
	return err
}

// read reads an object and holds it to its hash.
func (o *gitObjects) read(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	g := o.generation
	g.mu.Lock()
	defer g.mu.Unlock()
	encoded, err := g.storage.EncodedObject(plumbing.AnyObject, hash)
	if kind == plumbing.BlobObject && errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, o.leftOut()
	}
	if err != nil {
		return nil, o.spoilt(hash, err)
	}
	if kind == plumbing.BlobObject && encoded.Size() > o.limits.FileBytes {
		return nil, tooLarge(encoded.Size(), o.limits)
	}
	content, err := readObject(encoded)
	if err == nil && plumbing.ComputeHash(encoded.Type(), content) != hash {
		err = errors.New("its content is not what its hash says")
	}
	if err != nil {
		return nil, o.spoilt(hash, err)
	}
	if encoded.Type() != kind {
		return nil, fmt.Errorf("object %s is a %s where its folder says %s: it was pushed so", hash, encoded.Type(), kind)
	}
	return content, nil
}

func readObject(encoded plumbing.EncodedObject) ([]byte, error) {
	r, err := encoded.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	content := make([]byte, encoded.Size())
	_, err = io.ReadFull(r, content)
	return content, err
}

// leftOut is the error of a blob that is not here. It was left on the server
// for its size: every pack was checked, so that no other reason remains.
func (o *gitObjects) leftOut() error {
	return fmt.Errorf("%w: the file has more than the %d bytes that may be read, and was not fetched", ErrLimit, o.limits.FileBytes)
}

func (o *gitObjects) file(id string) ([]byte, error) {
	return o.read(plumbing.BlobObject, plumbing.NewHash(id))
}

func (o *gitObjects) size(id string) (int64, error) {
	g := o.generation
	g.mu.Lock()
	defer g.mu.Unlock()
	hash := plumbing.NewHash(id)
	size, err := g.storage.EncodedObjectSize(hash)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return 0, o.leftOut()
	case err != nil:
		return 0, o.spoilt(hash, err)
	}
	return size, nil
}
