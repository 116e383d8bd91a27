package sources

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// errUnfit: what came onto a generation does not make it whole. The repository
// is then fetched whole instead.
var errUnfit = errors.New("the server's pack does not fit what is here already")

// complete writes a thin pack anew with what its deltas build on before it, so
// that it can be read alone. Where that adds nothing the pack is returned as it
// is; else a file that the caller closes and removes.
//
// A thin pack may leave out what its deltas build on: it is here in older packs.
// From no other pack do git servers leave out the unchanged folders and files
// of a commit without history.
func (g *generation) complete(pack *os.File, found contents, l Limits) (*os.File, error) {
	bases, err := g.basesHere(found.bases, l)
	if err != nil || len(bases) == 0 {
		return pack, err
	}
	out, err := os.CreateTemp(filepath.Dir(pack.Name()), "completed-*")
	if err != nil {
		return nil, err
	}
	w := &packWriter{to: out, hash: sha1.New(), left: l.FetchBytes} //nolint:gosec // as above
	// Not compressed: a large base is a large folder, which is hashes for the most
	// part. To compress and inflate it takes longer than all the rest.
	w.zlib, _ = zlib.NewWriterLevel(w, zlib.NoCompression) // an error only of a level that is none
	if err = g.writeCompleted(w, bases, pack, found); err == nil {
		return out, nil
	}
	return nil, errors.Join(err, out.Close(), os.Remove(out.Name()))
}

// basesHere are those of the objects that are here.
func (g *generation) basesHere(bases []plumbing.Hash, l Limits) ([]plumbing.Hash, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var here []plumbing.Hash
	for _, hash := range bases {
		size, err := g.storage.EncodedObjectSize(hash)
		switch {
		case errors.Is(err, plumbing.ErrObjectNotFound):
			continue // made by a delta of the pack itself, or the indexer will miss it
		case err != nil:
			g.spoil(err)
			return nil, fmt.Errorf("read object %s, which the pack builds on: %w", hash, err)
		case size > l.ObjectBytes:
			return nil, fmt.Errorf("%w: it builds on object %s of %d bytes, and %d are allowed", errUnfit, hash, size, l.ObjectBytes)
		}
		here = append(here, hash)
	}
	return here, nil
}

func (g *generation) writeCompleted(w *packWriter, bases []plumbing.Hash, pack *os.File, found contents) error {
	if err := w.header(found.objects + uint32(len(bases))); err != nil { //nolint:gosec // bases are fewer than objects
		return err
	}
	for _, hash := range bases {
		kind, content, err := g.base(hash)
		if err != nil {
			return fmt.Errorf("read object %s, which the pack builds on: %w", hash, err)
		}
		if err := w.object(kind, content); err != nil {
			return err
		}
	}
	// Deltas point to earlier objects of the same pack by how far these are
	// before them, which stays.
	body := io.NewSectionReader(pack, packHeaderBytes, found.size-packHeaderBytes-sha1.Size)
	if _, err := io.Copy(w, body); err != nil {
		return err
	}
	_, err := w.to.Write(w.hash.Sum(nil))
	return err
}

// base reads an object, and holds it to its hash: the indexer would give what
// is made of a damaged one a hash of its own.
func (g *generation) base(hash plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	encoded, err := g.storage.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		g.spoil(err)
		return 0, nil, err
	}
	content, err := readObject(encoded)
	if err == nil && plumbing.ComputeHash(encoded.Type(), content) != hash {
		err = errors.New("its content is not what its hash says")
	}
	if err != nil {
		g.spoil(err)
	}
	return encoded.Type(), content, err
}

const packHeaderBytes = 12

// packWriter writes a pack and its checksum. Go-git's encoder writes whole
// packs alone, and holds all their objects.
type packWriter struct {
	to   io.Writer
	hash hash.Hash
	left int64 // bytes that may still be written
	zlib *zlib.Writer
}

func (w *packWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, fmt.Errorf("%w: with what it builds on it is larger than may be fetched", errUnfit)
	}
	w.hash.Write(p) //nolint:errcheck // never fails
	return w.to.Write(p)
}

func (w *packWriter) header(objects uint32) error {
	_, err := w.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), objects))
	return err
}

// object writes an object that is no delta: its type and the lowest four bits
// of its size in the first byte, the others as a varint, then the content.
func (w *packWriter) object(kind plumbing.ObjectType, content []byte) error {
	size := uint64(len(content))
	head := []byte{byte(kind)<<4 | byte(size&0xf)}
	if size >>= 4; size > 0 {
		head[0] |= 0x80
		head = binary.AppendUvarint(head, size)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	w.zlib.Reset(w)
	if _, err := io.Copy(w.zlib, bytes.NewReader(content)); err != nil {
		return err
	}
	return w.zlib.Close()
}
