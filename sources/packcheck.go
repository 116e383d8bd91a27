package sources

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// contents is what a pack was found to hold.
type contents struct {
	objects uint32
	size    int64 // in bytes
	// bases are what deltas name as what they build on and is not, as no delta,
	// in the pack itself.
	bases []plumbing.Hash
}

// checkPack reads a pack once, without holding an object in memory, and refuses
// one with an object larger than the limit: the indexer holds objects whole.
// Of a delta it is the size of what the delta makes that counts.
func checkPack(pack io.ReadSeeker, limit int64) (found contents, err error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return found, err
	}
	scanner := packfile.NewScanner(pack)
	if _, found.objects, err = scanner.Header(); err != nil {
		return found, fmt.Errorf("the server sends no pack: %w", err)
	}
	held, named := map[plumbing.Hash]bool{}, map[plumbing.Hash]bool{}
	for range found.objects {
		hash, base, err := checkObject(scanner, limit)
		if err != nil {
			return found, err
		}
		held[hash], named[base] = true, true // or the zero hash, which is none
	}
	if _, err := scanner.Checksum(); err != nil {
		return found, fmt.Errorf("read the pack: %w", err)
	}
	for base := range named {
		if !base.IsZero() && !held[base] {
			found.bases = append(found.bases, base)
		}
	}
	plumbing.HashesSort(found.bases)
	found.size, err = scanner.SeekFromStart(0)
	return found, err
}

// checkObject returns the hash of an object that is no delta, and what one that
// is names as its base.
func checkObject(scanner *packfile.Scanner, limit int64) (hash, base plumbing.Hash, err error) {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return hash, base, fmt.Errorf("read the pack: %w", err)
	}
	if !knownKind(header.Type) {
		return hash, base, fmt.Errorf("read the pack: it holds an object of type %d, which git does not have", header.Type)
	}
	size := header.Length
	content := &deltaHeader{limit: limit}
	if size <= limit {
		hasher := plumbing.NewHasher(header.Type, size)
		if _, _, err = scanner.NextObject(io.MultiWriter(content, hasher)); err != nil && !errors.Is(err, errTooMuch) {
			return hash, base, fmt.Errorf("read the pack: %w", err)
		}
		if header.Type.IsDelta() {
			size = max(size, content.target())
		} else {
			hash = hasher.Sum()
		}
	}
	if size > limit || errors.Is(err, errTooMuch) {
		return hash, base, fmt.Errorf("%w: the repository holds an object of %d bytes, and %d may be fetched: a file that large does not belong beside manifests",
			ErrLimit, size, limit)
	}
	return hash, header.Reference, nil
}

// knownKind says whether git has objects of a type. Go-git takes others too, into
// packs that git then refuses.
func knownKind(t plumbing.ObjectType) bool {
	switch t {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject, plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		return true
	}
	return false
}

var errTooMuch = errors.New("inflates to more than it says")

// deltaHeader keeps the beginning of an object, where a delta says what size it
// takes and makes, and stops one that inflates without end.
type deltaHeader struct {
	limit int64
	seen  int64
	start []byte
}

func (d *deltaHeader) Write(p []byte) (int, error) {
	d.seen += int64(len(p))
	if d.seen > d.limit {
		return 0, errTooMuch
	}
	if room := 2*binary.MaxVarintLen64 - len(d.start); room > 0 {
		d.start = append(d.start, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// target is the size that a delta says it makes; 0 where it says none, which
// the indexer then tells.
func (d *deltaHeader) target() int64 {
	r := bytes.NewReader(d.start)
	if _, err := binary.ReadUvarint(r); err != nil {
		return 0
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return 0
	}
	return int64(min(size, 1<<62)) //nolint:gosec // bounded on this line
}
