package gitpack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// store puts the pack in dir under its name, with an index. What is not kept is
// left out, and what it builds on comes first, so that it can be read alone.
func (p *received) store(ctx context.Context, dir string) (_ Stored, err error) {
	count := len(p.outside)
	for i := range p.entries {
		if p.entries[i].state&kept != 0 {
			count++
		} else {
			p.skipped++
		}
	}
	file, size, w := p.file, p.size, (*Writer)(nil)
	if count != len(p.entries) || len(p.outside) > 0 {
		if file, err = os.CreateTemp(dir, "completed-*"); err != nil {
			return Stored{}, err
		}
		defer func() {
			_ = file.Close()
			_ = os.Remove(file.Name()) // unless it is in place, under another name
		}()
		w = NewWriter(file, zlib.NoCompression, p.limits.Bytes)
	}
	sum, err := p.copyKept(ctx, w, count)
	if err != nil {
		return Stored{}, err
	}
	if w != nil {
		size = w.at + packTrail
	}
	stored := Stored{Name: fmt.Sprintf("pack-%x", sum), Size: size, Skipped: p.skipped}
	return stored, p.place(file.Name(), filepath.Join(dir, stored.Name), sum)
}

// place names the pack, after its index is there: of a pack without one nothing
// is found.
func (p *received) place(from, to string, sum plumbing.Hash) error {
	index, err := os.CreateTemp(filepath.Dir(to), "index-*")
	if err != nil {
		return err
	}
	defer func() {
		_ = index.Close()
		_ = os.Remove(index.Name())
	}()
	if err := writeIndex(index, p.entries, sum); err != nil {
		return fmt.Errorf("index the pack: %w", err)
	}
	if err := os.Rename(index.Name(), to+".idx"); err != nil {
		return err
	}
	return os.Rename(from, to+".pack")
}

// copyKept reads the pack once more, to compare its checksum and to learn those of
// its objects, and writes what is kept, where it is not all. Afterwards the entries
// are those of what was written.
func (p *received) copyKept(ctx context.Context, w *Writer, count int) (sum plumbing.Hash, err error) {
	whole := sha1.New() //nolint:gosec // as above
	from := bufio.NewReaderSize(&contextReader{ctx, io.NewSectionReader(p.file, 0, p.size)}, 64<<10)
	if _, err := io.CopyN(whole, from, packHeader); err != nil {
		return sum, err
	}
	var before []entry
	if w != nil {
		if err := w.Begin(count); err != nil {
			return sum, err
		}
		if before, err = p.writeOutside(ctx, w); err != nil {
			return sum, err
		}
	}
	for i := range p.entries {
		if err := p.copyEntry(i, from, whole, w, before); err != nil {
			return sum, err
		}
	}
	var says plumbing.Hash
	if _, err := io.ReadFull(from, says[:]); err != nil {
		return sum, fmt.Errorf("read the pack: %w", err)
	}
	if sum = plumbing.Hash(whole.Sum(nil)); sum != says {
		return sum, fmt.Errorf("read the pack: its checksum is %s, expected %s", says, sum)
	}
	if w == nil {
		return sum, nil
	}
	p.entries = append(slices.DeleteFunc(p.entries, func(e entry) bool { return e.state&kept == 0 }), before...)
	return w.End()
}

// writeOutside writes what the pack builds on.
func (p *received) writeOutside(ctx context.Context, w *Writer) ([]entry, error) {
	written := make([]entry, 0, len(p.outside))
	for _, o := range p.outside {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		kind, content, err := p.bases(o.hash, p.limits.Object)
		if err != nil {
			return nil, fmt.Errorf("read object %s, a base of the pack: %w", o.hash, err)
		}
		e := entry{offset: w.at, hash: o.hash, state: hashed | kept}
		w.crc = 0
		// Not compressed: a large base is a large folder, which is hashes for the most
		// part. To compress and inflate it takes longer than all the rest.
		if err := w.Object(kind, int64(len(content)), bytes.NewReader(content)); err != nil {
			return nil, w.unfit(err)
		}
		e.crc = w.crc
		written = append(written, e)
	}
	return written, nil
}

// unfit: a pack that is too large with what it builds on may come whole.
func (w *Writer) unfit(err error) error {
	if errors.Is(err, ErrLimit) {
		return fmt.Errorf("%w: with its base objects it exceeds the limit of a fetch", ErrUnfit)
	}
	return err
}

// copyEntry takes an object from the pack that came into the one that is written.
func (p *received) copyEntry(i int, from io.Reader, whole hash.Hash, w *Writer, before []entry) error {
	e := &p.entries[i]
	end := p.size - packTrail
	if i+1 < len(p.entries) {
		end = p.entries[i+1].offset
	}
	length := end - e.offset
	if e.state&kept == 0 {
		_, err := io.CopyN(whole, from, length)
		return err
	}
	if w == nil {
		crc := crc32.NewIEEE()
		_, err := io.CopyN(io.MultiWriter(whole, crc), from, length)
		e.crc = crc.Sum32()
		return err
	}
	if _, err := io.CopyN(whole, from, int64(e.head)); err != nil {
		return err
	}
	h := head{kind: e.kind, size: e.size}
	if base := e.base; e.isDelta() {
		of := &entry{}
		if base < 0 {
			of = &before[-base-1]
		} else {
			of = &p.entries[base]
		}
		// One that stands behind it has no place yet, and is named by its hash.
		h.kind, h.ref, h.back = plumbing.REFDeltaObject, of.hash, w.at-of.offset
		if base < int32(i) { //nolint:gosec // as many as Limits.Objects
			h.kind = plumbing.OFSDeltaObject
		}
	}
	e.offset, w.crc = w.at, 0
	if _, err := w.Write(appendHead(nil, h)); err != nil {
		return w.unfit(err)
	}
	if _, err := io.CopyN(io.MultiWriter(whole, w), from, length-int64(e.head)); err != nil {
		return w.unfit(err)
	}
	e.crc = w.crc
	return nil
}

// Writer writes a pack of objects that are no deltas. Go-git's holds all objects
// until the last is written.
type Writer struct {
	to   io.Writer
	hash hash.Hash
	zlib *zlib.Writer
	at   int64
	left int64 // bytes that may still be written
	crc  uint32
}

// NewWriter returns one that writes at most limit bytes, compressed at a level of
// package zlib's.
func NewWriter(to io.Writer, level int, limit int64) *Writer {
	w := &Writer{to: to, hash: sha1.New(), left: limit} //nolint:gosec // as above
	w.zlib, _ = zlib.NewWriterLevel(w, level)           // an error only of a level that is none
	return w
}

// Write writes bytes of the pack as they are.
func (w *Writer) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, fmt.Errorf("%w: it exceeds the limit of a fetch", ErrLimit)
	}
	w.hash.Write(p) //nolint:errcheck // never fails
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	n, err := w.to.Write(p)
	w.at += int64(n)
	return n, err
}

// Begin begins a pack of so many objects.
func (w *Writer) Begin(objects int) error {
	if int64(objects) > math.MaxUint32 {
		return fmt.Errorf("%w: a pack holds at most %d objects", ErrLimit, uint32(math.MaxUint32))
	}
	_, err := w.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(objects))) //nolint:gosec // checked above
	return err
}

// Object writes an object of exactly size bytes.
func (w *Writer) Object(kind plumbing.ObjectType, size int64, content io.Reader) error {
	if _, err := w.Write(appendHead(nil, head{kind: kind, size: size})); err != nil {
		return err
	}
	w.zlib.Reset(w)
	if _, err := io.CopyN(w.zlib, content, size); err != nil {
		return inflateError(err)
	}
	return w.zlib.Close()
}

// End writes the checksum, and returns it.
func (w *Writer) End() (sum plumbing.Hash, err error) {
	sum = plumbing.Hash(w.hash.Sum(nil))
	_, err = w.to.Write(sum[:])
	return sum, err
}
