package gitpack

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// head is what stands before the compressed bytes of an object in a pack.
type head struct {
	kind plumbing.ObjectType // as it stands there: of a delta that it is one
	size int64               // of what the compressed bytes inflate to
	back int64               // of a delta that names its base by place: how far before it that is
	ref  plumbing.Hash       // of a delta that names its base by hash
	len  int                 // of the head itself
}

var errHead = errors.New("an object begins with an invalid length")

// readHead reads the head of an object: its type and the lowest four bits of its
// size in the first byte, the others seven to a byte, each but the last with the
// highest bit set; then what a delta builds on.
func readHead(r io.ByteReader) (h head, err error) {
	c, err := h.next(r)
	if err != nil {
		return h, err
	}
	h.kind = plumbing.ObjectType(c >> 4 & 7)
	size := uint64(c & 0xf)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = h.next(r); err != nil {
			return h, err
		}
		if shift > 53 { // sizes of more than 2^60 bytes are nobody's
			return h, errHead
		}
		size |= uint64(c&0x7f) << shift
	}
	h.size = int64(size) //nolint:gosec // bounded above
	switch h.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return h, nil
	case plumbing.OFSDeltaObject:
		return h, h.readBack(r)
	case plumbing.REFDeltaObject:
		for i := range h.ref {
			if h.ref[i], err = h.next(r); err != nil {
				return h, err
			}
		}
		return h, nil
	}
	return h, fmt.Errorf("it contains an object of unknown type %d", h.kind)
}

func (h *head) next(r io.ByteReader) (byte, error) {
	c, err := r.ReadByte()
	if err == nil {
		h.len++
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return c, err
}

// readBack reads a distance: seven bits to a byte, the highest first, and one more
// for each byte that follows, so that no distance can be written in two ways.
func (h *head) readBack(r io.ByteReader) error {
	c, err := h.next(r)
	if err != nil {
		return err
	}
	back := int64(c & 0x7f)
	for c&0x80 != 0 {
		if c, err = h.next(r); err != nil {
			return err
		}
		if back > 1<<48 {
			return errHead
		}
		back = (back+1)<<7 | int64(c&0x7f)
	}
	h.back = back
	return nil
}

// appendHead writes what readHead reads.
func appendHead(to []byte, h head) []byte {
	size := uint64(h.size)                    //nolint:gosec // never below zero
	first := byte(h.kind)<<4 | byte(size&0xf) //nolint:gosec // three bits, and four
	if size >>= 4; size == 0 {
		to = append(to, first)
	} else {
		to = binary.AppendUvarint(append(to, first|0x80), size)
	}
	switch h.kind {
	case plumbing.OFSDeltaObject:
		var digits [10]byte
		at := len(digits) - 1
		digits[at] = byte(h.back & 0x7f)
		for back := h.back >> 7; back > 0; back >>= 7 {
			back--
			at--
			digits[at] = 0x80 | byte(back&0x7f)
		}
		to = append(to, digits[at:]...)
	case plumbing.REFDeltaObject:
		to = append(to, h.ref[:]...)
	}
	return to
}

// inflater inflates one object after another. To make one takes longer, and more
// memory, than to inflate a usual object.
type inflater struct {
	in      *bufio.Reader
	out     io.ReadCloser
	section io.SectionReader // what in reads, of a pack on disk
	start   [2 * binary.MaxVarintLen64]byte
}

var inflaters = sync.Pool{New: func() any { return &inflater{in: bufio.NewReaderSize(nil, 8<<10)} }}

// begin makes the next object what is read from out, where in stands.
func (i *inflater) begin() (err error) {
	if i.out == nil {
		i.out, err = zlib.NewReader(i.in)
		return err
	}
	return i.out.(zlib.Resetter).Reset(i.in, nil)
}

var errSize = errors.New("an object inflates to another size than declared")

// fill reads what must be all of an object.
func (i *inflater) fill(content []byte) error {
	if _, err := io.ReadFull(i.out, content); err != nil {
		return inflateError(err)
	}
	return i.end()
}

// end makes sure that nothing follows.
func (i *inflater) end() error { return ended(i.out) }

// ended makes sure that an object ends here, which also compares its checksum.
func ended(r io.Reader) error {
	var more [1]byte
	n, err := io.ReadFull(r, more[:])
	switch {
	case n > 0:
		return errSize
	case !errors.Is(err, io.EOF):
		return inflateError(err)
	}
	return nil
}

// inflateError: what ends too soon in the middle of a pack is no end of file.
func inflateError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errSize, io.ErrUnexpectedEOF)
	}
	return err
}
