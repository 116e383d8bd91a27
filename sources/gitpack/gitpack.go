// Package gitpack takes packs in, git's files of many objects, and reads objects
// from them, each within bounds that hold before anything is held in memory.
//
// A pack is compressed twice: each object by zlib, and most as a delta, which says
// what to copy from another object of the pack. Either can make gigabytes from a
// kilobyte. So a pack is read once to learn what it says of itself, before any
// object of it is made (scan.go); then the objects that are kept are made, each
// once (resolve.go); then it is put beside the others with an index, without the
// files that nobody may read for their size (store.go). What is kept can be read
// later at a cost that is bounded too (read.go).
//
// Go-git reads packs as well, but has no bound for the sum and the depth of
// deltas, holds several copies of an object, keeps files open, and cannot be
// stopped.
package gitpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

var (
	// ErrLimit: something is larger than Limits allow.
	ErrLimit = errors.New("over the limit")
	// ErrUnfit: the deltas of a pack cannot be resolved with what is here.
	ErrUnfit = errors.New("the server's pack cannot be completed with the local objects")
)

// Limits bound what a pack may make of this machine. All must be above zero.
type Limits struct {
	Bytes   int64 // of the pack as it comes, and as it is kept
	Objects int   // in the pack
	// Inflated is the sum of what a pack inflates to, of deltas what they are and
	// what they make. At most half of it may be in objects that are kept.
	Inflated int64
	// Object is the size of the largest object that is held in memory: a folder, or
	// one that others build on.
	Object int64
	// File is the size of the largest file that is read. A larger one is not kept,
	// unless a smaller one builds on it.
	File int64
}

// Chains of deltas are bounded, as whoever reads the last object of one makes all
// before it.
const (
	// MaxDepth is how many deltas may build on each other. It is the most that git
	// itself can write; it writes 50 unless asked to.
	MaxDepth = 4095
	// MaxChain is how many bytes the objects of a chain may have together: 50 folders
	// of 80,000 entries.
	MaxChain = 256 << 20
)

// Bases gives objects that are here already, of at most limit bytes, for deltas of
// a pack to build on. The error of one that is not here is plumbing.ErrObjectNotFound.
type Bases func(hash plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error)

// Stored is a pack that was taken in.
type Stored struct {
	Name    string // of its files, without .pack and .idx
	Size    int64  // bytes of the pack
	Skipped int    // files that were not kept for their size
}

// Receive takes a pack in: its files are in dir when it returns nil, and nothing is
// there otherwise. A thin pack is completed with what it builds on, from bases.
//
// It ends soon after ctx does. An error is ErrUnfit where another pack, one that
// builds on less of what is here, might do.
func Receive(ctx context.Context, dir string, body io.Reader, l Limits, bases Bases) (_ Stored, err error) {
	file, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		return Stored{}, err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if removed := os.Remove(file.Name()); !errors.Is(removed, os.ErrNotExist) { // it may be in place
			err = errors.Join(err, removed)
		}
	}()
	size, err := io.Copy(file, io.LimitReader(&contextReader{ctx, body}, l.Bytes+1))
	if err != nil {
		return Stored{}, fmt.Errorf("receive the pack: %w", err)
	}
	if size > l.Bytes {
		return Stored{}, fmt.Errorf("%w: the repository sends more than %d bytes", ErrLimit, l.Bytes)
	}
	p, err := scan(ctx, file, size, l)
	if err != nil {
		return Stored{}, err
	}
	if err := p.resolve(ctx, bases); err != nil {
		return Stored{}, fmt.Errorf("index the pack: %w", err)
	}
	return p.store(ctx, filepath.Clean(dir))
}

// contextReader ends with its context.
type contextReader struct {
	ctx  context.Context
	next io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.next.Read(p)
}
